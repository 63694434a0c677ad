-- C of P1, committed every second.
CREATE SOURCE clicks (
  event_id TEXT, user_id BIGINT, type TEXT, amount DOUBLE PRECISION, country TEXT, page TEXT,
  device TEXT, ts TIMESTAMP,
  WATERMARK FOR ts AS ts - INTERVAL '1 second'
) WITH (
  connector = 'kafka', brokers = '${BENCH_BROKERS}', topic = '${BENCH_TOPIC}', format = 'json',
  start = 'earliest'
);

CREATE SINK per_window WITH (
  connector = 'file', path = '${BENCH_OUT}/windows.ndjson', format = 'json', commit_interval = '1s'
) AS
SELECT window_start, window_end, type, country, count(*) AS events, sum(amount) AS revenue
FROM TUMBLE(clicks, ts, INTERVAL '10 seconds')
GROUP BY window_start, window_end, type, country;

CREATE SINK lake WITH (
  connector = 'parquet', path = '${BENCH_OUT}/lake', commit_interval = '1s'
) AS
SELECT * FROM clicks;
