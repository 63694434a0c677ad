CREATE SOURCE s (id BIGINT PRIMARY KEY)
WITH (connector = 'kafka', brokers = 'h:9092', topic = 't');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM s;
