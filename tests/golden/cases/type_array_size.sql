CREATE SOURCE s (a TEXT[3]) WITH (connector = 'kafka');
