/* schema.c: see schema.h. */
#include "batch/schema.h"

int32_t wr_schema_find(const struct wr_schema *schema, const char *name)
{
    for (uint32_t i = 0; i < schema->count; i++) {
        if (strcmp(schema->fields[i].name, name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}
