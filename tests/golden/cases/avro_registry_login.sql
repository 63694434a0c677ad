CREATE SOURCE clicks (id BIGINT) WITH (
  connector = 'kafka', brokers = '127.0.0.1:9092', topic = 'clicks', format = 'avro',
  registry = 'http://user:${WEIR_TEST_SECRET}@127.0.0.1:8081');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM clicks;
