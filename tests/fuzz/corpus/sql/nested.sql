CREATE SOURCE e (id BIGINT, ts TIMESTAMP, a TEXT[], m MAP<TEXT, ARRAY<ROW(x INT, "Y z" MAP<INT, BYTEA>)>>,
  p STRUCT<"user" STRUCT<id BIGINT, name TEXT>, items STRUCT<sku: TEXT, qty INT NULL>[][]>, WATERMARK FOR ts)
WITH (connector = 'kafka', brokers = 'h:1', topic = 't', format = 'json');
CREATE VIEW v AS SELECT id, p AS q, ROW(id, a[1] AS b) AS r FROM e WHERE p.user.id > 0 AND a = ARRAY['x', NULL];
CREATE SINK one WITH (connector = 'stdout') AS
SELECT v.q.user.name, (q).items[1][2].sku, r.b, MAP['k', 1]['k'] AS k, CAST('[[1]]' AS INT[][])[1] AS c,
  cardinality(q.items), '{"x":1}'::STRUCT<x INT> AS s FROM v;
CREATE SINK two WITH (connector = 'stdout') AS
SELECT window_start, item.sku, n, sum(item.qty) AS q, last_value(item) FILTER (WHERE item IS NOT NULL) AS l
FROM TUMBLE(e, ts, INTERVAL '1 minute') AS t CROSS JOIN UNNEST(t.p.items) AS list LEFT JOIN LATERAL
  UNNEST(list) WITH ORDINALITY AS item(item, n) ON TRUE, UNNEST(m) kv(k, v)
WHERE id IN (1, 2) AND kv.k <> '' AND array_contains(a, 'x')
GROUP BY window_start, window_end, item.sku, n;
