-- Click events from Kafka: every event as zstd-compressed Parquet on S3, revenue per country to a Kafka topic, late and
-- broken events kept aside.
--   export KAFKA_BROKERS=127.0.0.1:9092 BUCKET=lake
--   export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… AWS_REGION=us-east-1 AWS_ENDPOINT_URL_S3=http://127.0.0.1:9000
--   weir run deploy/pipelines/kafka-to-s3.sql

CREATE SOURCE clicks (
  event_id TEXT,
  user_id  BIGINT NOT NULL,
  type     TEXT,
  amount   DOUBLE PRECISION,
  country  TEXT,
  ts       TIMESTAMP,
  WATERMARK FOR ts AS ts - INTERVAL '1 second'
) WITH (
  connector = 'kafka',
  brokers = '${KAFKA_BROKERS}',
  topic = 'clicks',
  group_id = 'weir-clicks',
  start = 'earliest',
  format = 'json',
  idle_timeout = '30s',
  on_late = 'clicks_late',
  on_error = 'clicks_bad'
);

CREATE SINK lake WITH (
  connector = 'parquet',
  path = 's3://${BUCKET}/clicks',
  partition_by = 'country',
  commit_interval = '10s'
) AS
SELECT * FROM clicks;

CREATE SINK per_country WITH (
  connector = 'kafka',
  brokers = '${KAFKA_BROKERS}',
  topic = 'per-country',
  format = 'json',
  key = 'country'
) AS
SELECT window_start, window_end, type, country, count(*) AS events, sum(amount) AS revenue
FROM TUMBLE(clicks, ts, INTERVAL '10 seconds')
GROUP BY window_start, window_end, type, country;

CREATE SINK clicks_late WITH (connector = 'file', path = './clicks-late.ndjson');
CREATE SINK clicks_bad WITH (connector = 'file', path = './clicks-bad.ndjson');
