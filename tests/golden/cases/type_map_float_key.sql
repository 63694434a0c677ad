CREATE SOURCE s (a MAP<DOUBLE PRECISION, TEXT>) WITH (connector = 'kafka');
