/* avro.h: the decoder for format = 'avro': one binary Avro record per payload.
 *
 * Where the writer's schema comes from, and what stands before the record (`framing`):
 *   none        the schema file alone: the payload is the record
 *   confluent   00 and a 4-byte id, or 01 and a 16-byte GUID; looked up in the registry, or stepped over when there is only a
 *               schema file
 *   headers     the same bytes in the header __value_schema_id; records without it are read as confluent
 *   glue        03, 00 or 05 (zlib) and a 16-byte version id, as AWS Glue's serializers write; looked up where registry = 'glue', else
 *               stepped over
 * Without `framing`: glue with AWS Glue's registry, confluent with another, else none. Connector 'file' reads container files, each with a schema of its own:
 * there `schema` or `subject` is the reader's.
 *
 * Columns are found in the writer's schema by their path, `a.b` through nested records and maps; see avro_program.h. With a registry
 * the schema of `schema` or of `subject` is the reader's: its aliases, defaults and logical types count. What a value becomes:
 *   null                        NULL, so is a field that the writer does not have and the reader has no default for
 *   numbers, booleans           as SQL's casts; what does not fit is a fault
 *   dates, timestamps, decimals by their logical type; plain integers for TIMESTAMP in timestamp_unit
 *   string, enum                TEXT, or any type that can be read from text
 *   bytes, fixed                BYTEA; BYTEA's bytes for TEXT must be UTF-8
 *   record, array, map          STRUCT, ARRAY, MAP, resolved as the record itself is; JSON or TEXT: as JSON text
 *
 * A schema id that is not known is fetched by the registry's client while the records wait (needs); what the registry
 * does not have, or a schema whose records cannot become rows, makes each of its records a fault with the reason.
 */
#ifndef WR_DECODE_AVRO_H
#define WR_DECODE_AVRO_H

#include "config/option.h"
#include "decode/decoder.h"

extern const struct wr_option wr_avro_options[];

wr_status wr_avro_create(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                         const struct wr_options *options, struct wr_error *err);
wr_status wr_avro_needs(struct wr_decoder *decoder, const struct wr_records *records);
void wr_avro_decode(struct wr_decoder *decoder, const struct wr_records *records,
                    struct wr_batch *batch, struct wr_faults *faults);
void wr_avro_destroy(struct wr_decoder *decoder);

/* See decoder.h; in avro_columns.c. */
wr_status wr_avro_columns(const struct wr_options *options, struct wr_arena *arena,
                          struct wr_schema *columns, struct wr_error *err);

/* The columns of that schema: for tests. */
WR_NODISCARD wr_status wr_avro_columns_for(struct wr_slice schema, struct wr_arena *arena,
                                           struct wr_schema *columns, struct wr_error *err);

/* A decoder of records with that schema alone, without options: for tests and fuzzing. */
WR_NODISCARD wr_status wr_avro_create_for(struct wr_decoder **decoder,
                                          const struct wr_schema *scan_fields,
                                          struct wr_slice writer, struct wr_slice reader,
                                          struct wr_error *err);

#endif
