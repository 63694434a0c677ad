/* protobuf.h: the decoder for format = 'protobuf': one binary message per payload.
 *
 * Where the message type comes from, and what stands before the message (`framing`):
 *   none        schema = a .proto file or a descriptor set, message = its type: the payload is the message
 *   confluent   00 and a 4-byte id, or 01 and a 16-byte GUID, then the message's indexes (zigzag varints: how many, then each; one
 *               byte 00: the first message); looked up in the registry, or stepped over when there is only a schema file
 *   headers     the same bytes in the header __value_schema_id; records without it are read as confluent
 *   glue        03, 00 or 05 (zlib), a 16-byte version id and a varint index, as AWS Glue's serializers write; the version is looked
 *               up where registry = 'glue', else stepped over. The index is stepped over: `message` says which type it is
 * Without `framing`: glue with AWS Glue's registry, confluent with another, else none. More in schema_stream.h.
 *
 * Columns are found by their path, `a.b` through nested messages; see protobuf_program.h. With a registry the schema of `schema` or
 * `subject` is the reader's: its names lead to numbers, and numbers to the writer's fields, so that a renamed field is
 * found. What a value becomes:
 *   absent                      NULL for optional fields, members of a oneof, messages and all of proto2; else the type's zero
 *   numbers, booleans           as SQL's casts; what does not fit is a fault
 *   enum                        TEXT: its name, or the number where that is not in the schema; integers: the number
 *   string                      TEXT, or any type that can be read from text; UTF-8 or a fault
 *   bytes                       BYTEA; for TEXT they must be UTF-8
 *   Timestamp, Duration         TIMESTAMP, INTERVAL (nanoseconds are cut down to microseconds)
 *   wrappers (Int64Value, …)    the value inside, or NULL
 *   message, repeated, map      STRUCT, ARRAY, MAP; or JSON and TEXT: as JSON text
 *   Struct, Value, ListValue    JSON
 *
 * Limits: records of 64 MiB, 4,194,304 values of one record in lists and messages, nested values of 64 MiB, STRUCTs as nested.h has
 * them, JSON 64 messages deep, a .proto text of 4 MiB with 256 imports and names of 512 bytes, a descriptor set of 16 MiB. What
 * is beyond them is a fault or refused at the start; nothing is allocated for a size before its bytes are there.
 *
 * A schema id that is not known is fetched by the registry's client while the records wait (needs); what the registry
 * does not have, or a schema whose messages cannot become rows, makes each of its records a fault with the reason.
 */
#ifndef WR_DECODE_PROTOBUF_H
#define WR_DECODE_PROTOBUF_H

#include "config/option.h"
#include "decode/decoder.h"

extern const struct wr_option wr_protobuf_options[];

wr_status wr_protobuf_create(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                             const struct wr_options *options, struct wr_error *err);
wr_status wr_protobuf_needs(struct wr_decoder *decoder, const struct wr_records *records);
void wr_protobuf_decode(struct wr_decoder *decoder, const struct wr_records *records,
                        struct wr_batch *batch, struct wr_faults *faults);
void wr_protobuf_destroy(struct wr_decoder *decoder);

/* See decoder.h; in protobuf_columns.c. */
wr_status wr_protobuf_columns(const struct wr_options *options, struct wr_arena *arena,
                              struct wr_schema *columns, struct wr_error *err);

/* A decoder of bare messages of that schema (.proto text or descriptor set), without options: for tests and fuzzing. */
WR_NODISCARD wr_status wr_protobuf_create_for(struct wr_decoder **decoder,
                                              const struct wr_schema *scan_fields,
                                              struct wr_slice schema, const char *message,
                                              struct wr_error *err);

#endif
