CREATE SOURCE s (a ARRAY) WITH (connector = 'kafka');
