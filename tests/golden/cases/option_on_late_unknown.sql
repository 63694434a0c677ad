CREATE SOURCE s (id BIGINT, ts TIMESTAMP, WATERMARK FOR ts)
WITH (connector = 'kafka', brokers = 'h:9092', topic = 't', on_late = 'late');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM s;
