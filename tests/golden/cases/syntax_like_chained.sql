CREATE SOURCE t (a TEXT, b TEXT, c TEXT) WITH (connector = 'file', path = 'in.ndjson', format = 'json');
CREATE SINK o WITH (connector = 'stdout') AS
SELECT a LIKE b LIKE c AS x FROM t;
