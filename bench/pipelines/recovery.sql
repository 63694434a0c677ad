-- 1-second windows, one each 20 ms, to a topic, and every row to a table, over crashes.
CREATE SOURCE clicks (
  event_id TEXT, user_id BIGINT, type TEXT, amount DOUBLE PRECISION, country TEXT, page TEXT,
  device TEXT, ts TIMESTAMP,
  WATERMARK FOR ts AS ts
) WITH (
  connector = 'kafka', brokers = '${BENCH_BROKERS}', topic = '${BENCH_TOPIC}', format = 'json',
  group_id = '${BENCH_GROUP}',
  start = 'earliest'
);

CREATE SINK per_window WITH (
  connector = 'kafka', brokers = '${BENCH_BROKERS}', topic = '${BENCH_RESULTS}', format = 'json',
  guarantee = 'at_least_once'
) AS
SELECT window_start, window_end, type, country, count(*) AS events, sum(amount) AS revenue
FROM HOP(clicks, ts, INTERVAL '20 milliseconds', INTERVAL '1 second')
GROUP BY window_start, window_end, type, country;

CREATE SINK lake WITH (connector = 'delta', path = '${BENCH_TABLE}', commit_interval = '1s') AS
SELECT * FROM clicks;
