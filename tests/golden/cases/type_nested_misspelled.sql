CREATE SOURCE s (a STRUCT<x ARRAY<MAP<TEXT, BIGIN>>>) WITH (connector = 'kafka');
