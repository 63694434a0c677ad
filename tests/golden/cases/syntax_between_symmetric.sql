CREATE SOURCE t (a TEXT, b TEXT, c TEXT) WITH (connector = 'file', path = 'in.ndjson', format = 'json');
CREATE SINK o WITH (connector = 'stdout') AS
SELECT a BETWEEN SYMMETRIC b AND c AS x FROM t;
