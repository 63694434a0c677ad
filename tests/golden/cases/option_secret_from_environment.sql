CREATE SOURCE s (id BIGINT, ts TIMESTAMP, WATERMARK FOR ts)
WITH (connector = 'kafka', brokers = 'h:9092', topic = 't', idle_timeout = '${WEIR_TEST_SECRET}');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM s;
