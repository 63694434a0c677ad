CREATE SOURCE s (id BIGINT) WITH (connector = );
