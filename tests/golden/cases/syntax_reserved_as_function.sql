CREATE SOURCE t (a TEXT, b TEXT, c TEXT) WITH (connector = 'file', path = 'in.ndjson', format = 'json');
CREATE SINK o WITH (connector = 'stdout') AS
SELECT a AND NOT IN (b) AS x FROM t;
