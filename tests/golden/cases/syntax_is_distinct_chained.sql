CREATE SOURCE t (a TEXT, b TEXT, c TEXT) WITH (connector = 'file', path = 'in.ndjson', format = 'json');
CREATE SINK o WITH (connector = 'stdout') AS
SELECT a IS DISTINCT FROM b IS NULL AS x FROM t;
