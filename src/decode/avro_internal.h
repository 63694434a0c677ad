/* avro_internal.h: what the decoder's two files share: reading schemas that options name. */
#ifndef WR_DECODE_AVRO_INTERNAL_H
#define WR_DECODE_AVRO_INTERNAL_H

#include "decode/avro_program.h"
#include "decode/avro_schema.h"
#include "decode/registry.h"

/* The schema in the file that `schema` names. */
WR_NODISCARD wr_status wr_avro_schema_of_file(struct wr_avro_schema **schema, const char *path,
                                              struct wr_error *err);
/* A registry's answer. */
WR_NODISCARD wr_status wr_avro_schema_of_answer(struct wr_avro_schema **schema,
                                                const struct wr_registry_schema *answer,
                                                struct wr_error *err);
/* The latest schema of `subject`; waits for it. */
WR_NODISCARD wr_status wr_avro_schema_of_subject(struct wr_avro_schema **schema,
                                                 struct wr_registry *registry, const char *subject,
                                                 struct wr_error *err);

/* What a schema's columns are, for a program: those of fields that have a path. Returns how many; dotted names lie in
 * arena. */
uint32_t wr_avro_columns_of(const struct wr_schema *fields, struct wr_arena *arena,
                            struct wr_avro_column **columns);

/* Says which column, and that the schema file is at fault. */
void wr_avro_compile_failed(const char *field, const char *where, struct wr_error *err);

#endif
