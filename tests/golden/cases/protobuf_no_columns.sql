CREATE SOURCE orders WITH (
  connector = 'kafka', brokers = '127.0.0.1:9092', topic = 'orders', format = 'protobuf');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM orders;
