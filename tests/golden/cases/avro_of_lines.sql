CREATE SOURCE clicks WITH (connector = 'file', path = 'clicks.bin', format = 'avro', schema = 'clicks.avsc');
CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM clicks;
