CREATE SOURCE clicks (
  event_id TEXT, ts TIMESTAMP, tags TEXT[], attributes MAP<TEXT, BIGINT>,
  payload STRUCT<"user" STRUCT<id BIGINT, name TEXT>, items STRUCT<sku TEXT, quantity INT>[]>,
  WATERMARK FOR ts AS ts - INTERVAL '1 second'
) WITH (connector = 'kafka', brokers = '127.0.0.1:9092', topic = 'clicks', format = 'json');
CREATE SINK out WITH (connector = 'stdout') AS
SELECT tags[1:2] FROM clicks;
