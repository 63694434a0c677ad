-- Every row, pad and all, to a table that is readable a second later and keeps its files big.
CREATE SOURCE clicks (
  event_id TEXT, user_id BIGINT, type TEXT, amount DOUBLE PRECISION, country TEXT, page TEXT,
  device TEXT, ts TIMESTAMP, pad TEXT
) WITH (
  connector = 'kafka', brokers = '${BENCH_BROKERS}', topic = '${BENCH_TOPIC}', format = 'json',
  start = 'earliest'
);

CREATE SINK lake WITH (
  connector = 'delta', path = '${BENCH_TABLE}', commit_interval = '1s',
  target_file_size = '${BENCH_TARGET}'
) AS
SELECT * FROM clicks;
