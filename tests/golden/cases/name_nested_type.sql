CREATE SOURCE s (tags LIST<TEXT>) WITH (connector = 'kafka');
