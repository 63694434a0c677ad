CREATE SOURCE s (id BIGNIT) WITH (connector = 'kafka');
