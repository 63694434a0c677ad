CREATE SOURCE s WITH (connector = 'kafka', brokers = 'h', topic = 't');
CREATE SINK out WITH (connector = 'stdout') AS
SELECT * FROM s;
