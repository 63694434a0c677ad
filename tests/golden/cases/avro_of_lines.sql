CREATE SOURCE clicks WITH (connector = 'http', format = 'avro', schema = 'clicks.avsc');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM clicks;
