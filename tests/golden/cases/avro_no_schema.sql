CREATE SOURCE clicks (id BIGINT) WITH (
  connector = 'kafka', brokers = '127.0.0.1:9092', topic = 'clicks', format = 'avro');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM clicks;
