CREATE SOURCE s (id BIGINT, ts TIMESTAMP, WATERMARK FOR ts)
WITH (connector = 'kafak', topic = 't');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM s;
