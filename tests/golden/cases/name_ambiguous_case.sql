CREATE SOURCE s ("userId" BIGINT, "USERID" BIGINT)
WITH (connector = 'kafka', brokers = 'h:9092', topic = 't');
CREATE SINK out WITH (connector = 'stdout') AS SELECT userid FROM s;
