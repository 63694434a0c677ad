CREATE SOURCE s (id BIGINT, ts TIMESTAMP, WATERMARK FOR time AS time - INTERVAL '1 second')
WITH (connector = 'kafka', brokers = 'h:9092', topic = 't');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM s;
