-- Orders as Protobuf, whose schemas are in a registry (Confluent's API), into a Delta table; what was ordered, per minute and article.
-- A producer's next schema is followed without a stop; records that its change makes unreadable are kept aside with the reason.
--   export KAFKA_BROKERS=127.0.0.1:9092 REGISTRY=127.0.0.1:8081 BUCKET=lake
--   export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… AWS_REGION=us-east-1 AWS_ENDPOINT_URL_S3=http://127.0.0.1:9000
--   weir run deploy/pipelines/protobuf-to-delta.sql
--
--   message Order {
--     string order_id = 1;
--     google.protobuf.Timestamp ts = 2;
--     Customer customer = 3;                       message Customer { int64 id = 1; string country = 2; }
--     repeated Item items = 4;                     message Item { string sku = 1; int32 quantity = 2; }
--     map<string, string> labels = 5;
--   }

CREATE SOURCE orders (
  order_id         TEXT NOT NULL,
  ts               TIMESTAMP,
  customer.id      BIGINT,
  customer.country TEXT,
  items            STRUCT<sku TEXT, quantity INTEGER>[],
  labels           MAP<TEXT, TEXT>,
  WATERMARK FOR ts AS ts - INTERVAL '5 seconds'
) WITH (
  connector = 'kafka',
  brokers = '${KAFKA_BROKERS}',
  topic = 'orders',
  start = 'earliest',
  format = 'protobuf',
  message = 'shop.Order',
  registry = 'http://${REGISTRY}',
  on_error = 'orders_bad'
);

CREATE SINK lake WITH (connector = 'delta', path = 's3://${BUCKET}/orders', commit_interval = '10s') AS
SELECT order_id, ts, "customer.id" AS customer_id, "customer.country" AS country, items, labels FROM orders;

CREATE SINK per_article WITH (
  connector = 'kafka',
  brokers = '${KAFKA_BROKERS}',
  topic = 'per-article',
  format = 'json',
  key = 'sku'
) AS
SELECT window_start, window_end, sku, sum(quantity) AS ordered, count(*) AS orders
FROM TUMBLE((SELECT ts, item.sku AS sku, item.quantity AS quantity FROM orders CROSS JOIN UNNEST(items) AS item),
            ts, INTERVAL '1 minute')
GROUP BY window_start, window_end, sku;

CREATE SINK orders_bad WITH (connector = 'file', path = './orders-bad.ndjson');
