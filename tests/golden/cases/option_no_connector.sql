CREATE SOURCE s (id BIGINT);
CREATE SINK out WITH (connector = 'stdout') AS
SELECT * FROM s;
