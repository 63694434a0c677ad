CREATE SOURCE clicks (
  event_id TEXT, user_id BIGINT NOT NULL, type TEXT, amount DOUBLE PRECISION, ts TIMESTAMP, payload JSON,
  WATERMARK FOR ts AS ts - INTERVAL '1 second'
) WITH (connector = 'kafka', brokers = '127.0.0.1:9092', topic = 'clicks', format = 'json');
CREATE SINK out WITH (connector = 'stdout') AS
SELECT amount + 0 AS a0, amount + 1 AS a1, amount + 2 AS a2, amount + 3 AS a3, amount + 4 AS a4, amount + 5 AS a5, amount + 6 AS a6, amount + 7 AS a7, amount + 8 AS a8, amount + 9 AS a9, amount + 10 AS a10, amount + 11 AS a11, amount + 12 AS a12, amount + 13 AS a13, amount + 14 AS a14, amount + 15 AS a15, amount + 16 AS a16, amount + 17 AS a17, amount + 18 AS a18, amount + 19 AS a19, amount + 20 AS a20, amount + 21 AS a21, amount + 22 AS a22, amount + 23 AS a23, amount + 24 AS a24, amount + 25 AS a25, amount + 26 AS a26, amount + 27 AS a27, amount + 28 AS a28, amount + 29 AS a29, amount + 30 AS a30, amount + 31 AS a31, amount + 32 AS a32, amount + 33 AS a33, amount + 34 AS a34, amount + 35 AS a35, amount + 36 AS a36, amount + 37 AS a37, amount + 38 AS a38, amount + 39 AS a39, amout AS last FROM clicks;
