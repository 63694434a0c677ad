-- 1-second windows, one each 10 ms: a hundred window closings a second for the far percentiles.
CREATE SOURCE clicks (
  event_id TEXT, user_id BIGINT, type TEXT, amount DOUBLE PRECISION, country TEXT, page TEXT,
  device TEXT, ts TIMESTAMP,
  WATERMARK FOR ts AS ts
) WITH (
  connector = 'kafka', brokers = '${BENCH_BROKERS}', topic = '${BENCH_TOPIC}', format = 'json',
  start = 'earliest'
);

CREATE SINK per_window WITH (
  connector = 'kafka', brokers = '${BENCH_BROKERS}', topic = '${BENCH_RESULTS}', format = 'json',
  guarantee = 'at_least_once'
) AS
SELECT window_start, window_end, type, country, count(*) AS events, sum(amount) AS revenue
FROM HOP(clicks, ts, INTERVAL '10 milliseconds', INTERVAL '1 second')
GROUP BY window_start, window_end, type, country;
