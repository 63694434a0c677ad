CREATE SOURCE clicks WITH (
  connector = 'kafka', brokers = '127.0.0.1:9092', topic = 'clicks', format = 'avro',
  schema = 'broken.avsc');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM clicks;
