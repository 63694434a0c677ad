/* schema.h: names and types of a batch's columns (interface). Plain data in the plan's arena, read-only after
 * binding, shared by all threads. */
#ifndef WR_BATCH_SCHEMA_H
#define WR_BATCH_SCHEMA_H

#include "batch/type.h"

struct wr_field {
    const char *name; /* as SQL spells it, case kept where quoted */
    /* Where decoders find it: path segments of a nested object ("payload","user","id"), at least one,
     * normally just name. NULL for columns that no decoder fills. */
    const char *const *path;
    uint32_t path_count;
    struct wr_type type;
    bool not_null;
    uint32_t declared; /* index in the source's full column list (projection keeps it); else own index */
    uint32_t field_id; /* Parquet field_id, from 1; what lies in nested columns is numbered on behind the largest */
};

struct wr_schema {
    struct wr_field *fields;
    uint32_t count;
};

/* Index of name (exact), or -1. */
int32_t wr_schema_find(const struct wr_schema *schema, const char *name);

#endif
