CREATE SOURCE clicks (
  event_id TEXT, user_id BIGINT NOT NULL, type TEXT, amount DOUBLE PRECISION, ts TIMESTAMP, payload JSON,
  WATERMARK FOR ts AS ts - INTERVAL '1 second'
) WITH (connector = 'kafka', brokers = '127.0.0.1:9092', topic = 'clicks', format = 'json');
CREATE SINK out WITH (connector = 'stdout') AS
SELECT window_start, max(n) FROM TUMBLE((SELECT window_start AS a, max(ts) AS m, count(*) AS n FROM TUMBLE(clicks, ts, INTERVAL '1 second') GROUP BY window_start, window_end), m, INTERVAL '1 minute') GROUP BY window_start, window_end;
