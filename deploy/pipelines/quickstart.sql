-- The whole product in one file: events in, 10-second windows on the terminal, every event as Parquet.
--   weir run deploy/pipelines/quickstart.sql

CREATE SOURCE clicks (
  event_id TEXT NOT NULL,
  user_id  BIGINT NOT NULL,
  type     TEXT,
  amount   DOUBLE PRECISION,
  country  TEXT,
  page     TEXT,
  device   TEXT,
  ts       TIMESTAMP,
  WATERMARK FOR ts AS ts - INTERVAL '1 second'
) WITH (
  connector = 'datagen',
  rate = '100000',
  duration = '20s',
  seed = '42',
  'fields.event_id.kind' = 'hex',
  'fields.user_id.kind' = 'zipf',
  'fields.user_id.min' = '1',
  'fields.user_id.max' = '100000',
  'fields.type.kind' = 'choice',
  'fields.type.values' = 'view,click,cart,purchase,search',
  'fields.amount.min' = '1',
  'fields.amount.max' = '500',
  'fields.country.kind' = 'choice',
  'fields.country.values' = 'DE,FR,US,GB,JP,BR,IN,CA',
  'fields.page.kind' = 'choice',
  'fields.page.values' = '/,/search,/products/1,/products/2,/products/3,/cart,/checkout',
  'fields.device.kind' = 'choice',
  'fields.device.values' = 'desktop,mobile-ios,mobile-android,tablet',
  out_of_order = '800ms',
  out_of_order_percent = '5'
);

CREATE SINK per_type WITH (connector = 'stdout') AS
SELECT window_start, window_end, type, count(*) AS events, round(sum(amount)) AS revenue,
       approx_count_distinct(user_id) AS users
FROM TUMBLE(clicks, ts, INTERVAL '10 seconds')
GROUP BY window_start, window_end, type;

CREATE SINK lake WITH (connector = 'parquet', path = './lake', commit_interval = '5s') AS
SELECT * FROM clicks;
