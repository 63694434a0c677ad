CREATE SOURCE s (tags ARRAY<TEXT>) WITH (connector = 'kafka');
