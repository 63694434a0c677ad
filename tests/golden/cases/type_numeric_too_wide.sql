CREATE SOURCE s (id NUMERIC(40,2))
WITH (connector = 'kafka', brokers = 'h:9092', topic = 't');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM s;
