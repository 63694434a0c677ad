CREATE SOURCE orders WITH (connector = 'file', path = 'orders.bin', format = 'protobuf', schema = 'orders.proto');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM orders;
