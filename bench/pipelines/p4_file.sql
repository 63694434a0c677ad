-- P4: an NDJSON file to zstd Parquet; ts stays the number that it is, as in DuckDB's copy.
CREATE SOURCE clicks (
  event_id TEXT, user_id BIGINT, type TEXT, amount DOUBLE PRECISION, country TEXT, page TEXT,
  device TEXT, ts BIGINT
) WITH (connector = 'file', path = '${BENCH_FILE}', format = 'json');

CREATE SINK lake WITH (connector = 'parquet', path = '${BENCH_OUT}/lake') AS
SELECT * FROM clicks;
