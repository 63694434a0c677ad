-- Every row to a table, with twenty commits a second.
CREATE SOURCE clicks (
  event_id TEXT, user_id BIGINT, type TEXT, amount DOUBLE PRECISION, country TEXT, page TEXT,
  device TEXT, ts TIMESTAMP
) WITH (
  connector = 'kafka', brokers = '${BENCH_BROKERS}', topic = '${BENCH_TOPIC}', format = 'json',
  start = 'earliest'
);

CREATE SINK lake WITH (connector = 'delta', path = '${BENCH_TABLE}', commit_interval = '50ms') AS
SELECT * FROM clicks;
