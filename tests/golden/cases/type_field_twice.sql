CREATE SOURCE s (a STRUCT<x INT, x TEXT>) WITH (connector = 'kafka');
