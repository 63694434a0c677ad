CREATE TABLE clicks (
  `userId` BIGINT, price DECIMAL(10,2), ts TIMESTAMP(3), name STRING,
  WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH ('connector' = 'kafka', 'topic' = 'clicks', 'properties.bootstrap.servers' = 'h:9092', 'scan.startup.mode'='earliest-offset', 'properties.security.protocol'='SSL', 'format' = 'json');
CREATE TABLE out (ws TIMESTAMP(3), we TIMESTAMP(3), n BIGINT, total DECIMAL(12,2)) WITH ('connector'='stdout');
INSERT INTO out SELECT window_start, window_end, COUNT(*), SUM(price) FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '10' MINUTES)) WHERE userid > 5 GROUP BY window_start, window_end;
