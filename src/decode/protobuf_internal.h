/* protobuf_internal.h: what the decoder's two files share. */
#ifndef WR_DECODE_PROTOBUF_INTERNAL_H
#define WR_DECODE_PROTOBUF_INTERNAL_H

#include "decode/protobuf_program.h"
#include "decode/protobuf_schema.h"

/* Its schemas are struct wr_protobuf_schema. */
extern const struct wr_schema_format wr_protobuf_format;

/* Text or descriptor set, by the looks of it. */
WR_NODISCARD wr_status wr_protobuf_schema_of_bytes(struct wr_protobuf_schema **schema,
                                                   struct wr_slice bytes, struct wr_error *err);
/* The message that the option names; name NULL: the only one of the file, or with first, the file's first. */
WR_NODISCARD wr_status wr_protobuf_choose(const struct wr_protobuf_schema *schema, const char *name,
                                          bool first, const struct wr_protobuf_message **message,
                                          struct wr_error *err);

/* The type of a column that is declared by nobody. */
struct wr_type wr_protobuf_column_type(const struct wr_protobuf_message *message,
                                       const struct wr_protobuf_field *field);

#endif
