CREATE SOURCE s (id BIGINT, ts TIMESTAMP, WATERMARK FOR ts)
WITH (connector = 'kafka', brokrs = 'h:9092', topic = 't');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM s;
