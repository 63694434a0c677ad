CREATE SOURCE s (id BIGINT, ts TIMESTAMP, WATERMARK FOR ts)
WITH (connector = 'kafka', brokers = 'h:9092', topic = 't', 'kafka.sasl.password' = 'hunter2', idel_timeout = '1s');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM s;
