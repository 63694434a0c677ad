CREATE SOURCE t (a TEXT) WITH (connector = 'file', path = 'in.ndjson', format = 'json');
CREATE SINK o WITH (connector = 'stdout') AS
SELECT a FROM t WHERE a "xääääääääääääääääääääääääääääää";
