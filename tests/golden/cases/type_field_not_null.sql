CREATE SOURCE s (a STRUCT<x INT NOT NULL>) WITH (connector = 'kafka');
