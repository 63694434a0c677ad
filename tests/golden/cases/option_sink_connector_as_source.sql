CREATE SOURCE s (id BIGINT, ts TIMESTAMP, WATERMARK FOR ts)
WITH (connector = 'stdout');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM s;
