CREATE SOURCE clicks (
  event_id TEXT, user_id BIGINT NOT NULL, type TEXT, amount DOUBLE PRECISION, country TEXT, ts TIMESTAMP,
  WATERMARK FOR ts AS ts - INTERVAL '1 second'
) WITH (connector = 'kafka', brokers = '127.0.0.1:9092', topic = 'clicks', format = 'json',
        idle_timeout = '30s', on_late = 'clicks_late', on_error = 'clicks_bad');
CREATE SINK clicks_late WITH (connector='file', path='late.ndjson');
CREATE SINK clicks_bad WITH (connector='file', path='bad.ndjson');

CREATE SINK lake WITH (connector = 'parquet', path = 's3://bucket/clicks', partition_by = 'country, date(ts) as day',
                       commit_interval = '1s', target_file_size = '128MB') AS
SELECT * FROM clicks;

CREATE SINK per_country WITH (connector = 'kafka', brokers = '127.0.0.1:9092', topic = 'per-country', format = 'json') AS
SELECT window_start, window_end, type, country, count(*) AS events, sum(amount) AS revenue
FROM TUMBLE(clicks, ts, INTERVAL '10 seconds')
GROUP BY window_start, window_end, type, country;
