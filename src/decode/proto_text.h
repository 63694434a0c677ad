/* proto_text.h: the parser of .proto files: proto2, proto3 and editions.
 *
 *   file      = { ";" | "syntax" "=" string ";" | "edition" "=" string ";" | "package" name ";"
 *             | "import" [ "public" | "weak" | "option" ] string ";" | option | message | enum | skipped }
 *   skipped   = ( "service" | "extend" ) name "{" … "}"
 *   option    = "option" … ";"
 *   message   = "message" ident "{" { ";" | field | map | group | oneof | message | enum | option | "extend" … | "reserved" … ";"
 *             | "extensions" … ";" } "}"
 *   field     = [ "optional" | "required" | "repeated" ] type ident "=" number [ "[" … "]" ] ";"
 *   map       = "map" "<" type "," type ">" ident "=" number [ "[" … "]" ] ";"
 *   group     = label "group" ident "=" number [ "[" … "]" ] "{" … "}"
 *   oneof     = "oneof" ident "{" { field | group | option | ";" } "}"
 *   enum      = "enum" ident "{" { ident "=" [ "-" ] number [ "[" … "]" ] ";" | option | "reserved" … ";" | ";" } "}"
 *
 * Of options only features.field_presence and features.message_encoding count, of files, messages and fields. Words are keywords only
 * where the grammar has them: a field may be named "message".
 *
 * Threads: pure. Work is linear in the text; recursion is WR_PROTOBUF_DEPTH_MAX deep.
 */
#ifndef WR_DECODE_PROTO_TEXT_H
#define WR_DECODE_PROTO_TEXT_H

#include "decode/protobuf_schema.h"

/* Adds the file to schema, unlinked. WR_FAIL (class DATA): err says line and column. */
WR_NODISCARD wr_status wr_proto_text_parse(struct wr_protobuf_schema *schema, const char *name,
                                           struct wr_slice text, struct wr_error *err);

#endif
