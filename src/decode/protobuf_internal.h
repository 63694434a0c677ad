/* protobuf_internal.h: what the decoder's two files share: reading schemas that options name. */
#ifndef WR_DECODE_PROTOBUF_INTERNAL_H
#define WR_DECODE_PROTOBUF_INTERNAL_H

#include "decode/protobuf_program.h"
#include "decode/protobuf_schema.h"
#include "decode/registry.h"

/* Text or descriptor set, by the looks of it. */
WR_NODISCARD wr_status wr_protobuf_schema_of_bytes(struct wr_protobuf_schema **schema,
                                                   struct wr_slice bytes, struct wr_error *err);
/* The schema in the file that `schema` names; imports of a .proto file come from its directory or one above. */
WR_NODISCARD wr_status wr_protobuf_schema_of_file(struct wr_protobuf_schema **schema,
                                                  const char *path, struct wr_error *err);
/* A registry's answer: .proto texts, or FileDescriptorProtos in base64. */
WR_NODISCARD wr_status wr_protobuf_schema_of_answer(struct wr_protobuf_schema **schema,
                                                    const struct wr_registry_schema *answer,
                                                    struct wr_error *err);
/* The latest schema of `subject`; waits for it. */
WR_NODISCARD wr_status wr_protobuf_schema_of_subject(struct wr_protobuf_schema **schema,
                                                     struct wr_registry *registry,
                                                     const char *subject, struct wr_error *err);

/* The message that the option names; name NULL: the only one of the file, or with first, the file's first. */
WR_NODISCARD wr_status wr_protobuf_choose(const struct wr_protobuf_schema *schema, const char *name,
                                          bool first, const struct wr_protobuf_message **message,
                                          struct wr_error *err);

/* The type of a column that is declared by nobody. */
struct wr_type wr_protobuf_column_type(const struct wr_protobuf_message *message,
                                       const struct wr_protobuf_field *field);

/* What a schema's columns are, for a program: those of fields that have a path. Returns how many; dotted names lie in
 * arena. */
uint32_t wr_protobuf_columns_of(const struct wr_schema *fields, struct wr_arena *arena,
                                struct wr_protobuf_column **columns);

/* Says which column, and that the schema file is at fault. */
void wr_protobuf_compile_failed(const char *field, const char *where, struct wr_error *err);

#endif
