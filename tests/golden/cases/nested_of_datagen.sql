CREATE SOURCE d (id BIGINT, tags TEXT[]) WITH (connector = 'datagen');
