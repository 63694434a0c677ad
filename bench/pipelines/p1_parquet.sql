-- B of P1: every row to zstd Parquet.
CREATE SOURCE clicks (
  event_id TEXT, user_id BIGINT, type TEXT, amount DOUBLE PRECISION, country TEXT, page TEXT,
  device TEXT, ts TIMESTAMP,
  WATERMARK FOR ts AS ts - INTERVAL '1 second'
) WITH (
  connector = 'kafka', brokers = '${BENCH_BROKERS}', topic = '${BENCH_TOPIC}', format = 'json',
  start = 'earliest'
);

CREATE SINK lake WITH (connector = 'parquet', path = '${BENCH_OUT}/lake') AS
SELECT * FROM clicks;
