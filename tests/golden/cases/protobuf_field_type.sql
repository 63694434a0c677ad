CREATE SOURCE orders (customer STRUCT<id BOOLEAN>) WITH (
  connector = 'kafka', brokers = '127.0.0.1:9092', topic = 'orders', format = 'protobuf', schema = 'orders.proto', message = 'Order');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM orders;
