CREATE SOURCE clicks (
  event_id TEXT, user_id BIGINT NOT NULL, type TEXT, amount DOUBLE PRECISION, ts TIMESTAMP, payload JSON,
  WATERMARK FOR ts AS ts - INTERVAL '1 second'
) WITH (connector = 'kafka', brokers = '127.0.0.1:9092', topic = 'clicks', format = 'json');
CREATE SINK out WITH (connector = 'stdout') AS
SELECT type FROM clicks UNION ALL SELECT user_id FROM clicks;
