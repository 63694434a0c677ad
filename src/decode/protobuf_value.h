/* protobuf_value.h: values of Protobuf's fields as Weir's types: converted, gathered into STRUCT, ARRAY and MAP, written as JSON. What
 * protobuf_run.c has no step of its own for. Made by the files that protobuf_parts.h lists.
 *
 * A message's fields come in any order, in pieces and repeatedly, a nested value's slots go out in one order: so a field's
 * occurrences are gathered first (a list of where they lie in the record), then each slot is made out of its list. Of scalars the
 * last occurrence counts; occurrences of one message are merged by reading them as if they stood one behind the other.
 *
 * Ownership: a shape lies in its program's arena and borrows the schema. Work belongs to one decoder; occurrences lie in its
 * scratch arena and live until the record is done.
 * Threads: shapes are read-only after compiling; work is one thread's.
 * Invariants:
 *   (1) what a record costs is bounded: WR_PROTOBUF_SEEN_MAX occurrences, WR_RECORD_BYTES_MAX bytes of a nested value, JSON
 *       WR_PROTOBUF_JSON_DEPTH_MAX deep, and effort: a message with many fields costs also when they are not there
 *   (2) a value that cannot be made sets problem, and path to where it stands below its column
 */
#ifndef WR_DECODE_PROTOBUF_VALUE_H
#define WR_DECODE_PROTOBUF_VALUE_H

#include "base/proto_wire.h"
#include "batch/nested.h"
#include "decode/protobuf_schema.h"
#include "decode/scalar_convert.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are read as they lie");

/* Occurrences of fields within one record that are remembered until their value is made. Each costs 32 bytes. */
#define WR_PROTOBUF_SEEN_MAX (4u << 20)
#define WR_PROTOBUF_JSON_DEPTH_MAX 64u

/* One occurrence of a field on the wire. */
struct wr_protobuf_seen {
    struct wr_protobuf_seen *next;
    union {
        uint64_t value;
        const char *data;
    };
    uint32_t bytes;
    enum wr_proto_kind kind;
};

struct wr_protobuf_list {
    struct wr_protobuf_seen *first; /* NULL: the field is not there */
    struct wr_protobuf_seen *last;
};

enum wr_protobuf_shape_kind {
    SHAPE_SCALAR,
    SHAPE_CHOICE, /* an enum's number */
    SHAPE_TIMESTAMP,
    SHAPE_DURATION,
    SHAPE_WRAPPER, /* inner[0] is the value inside */
    SHAPE_JSON,
    SHAPE_ARRAY, /* inner[0]: an element */
    SHAPE_MAP,   /* inner[0], inner[1]: key, value */
    SHAPE_STRUCT,
};

/* How a field of the writer becomes a value of a type. */
struct wr_protobuf_shape {
    enum wr_protobuf_shape_kind kind;
    struct wr_type type;
    struct wr_type natural; /* what the field is by itself; SCALAR, TIMESTAMP, DURATION */
    const struct wr_protobuf_field *field;
    const struct wr_protobuf_shape *inner[2];
    const struct wr_protobuf_slot *slots; /* STRUCT: one per field of the type */
    uint32_t slot_count;
    const bool *wanted; /* STRUCT: by index in by_number: what is gathered */
    bool one;           /* JSON: of an element, not of the repeated field */
};

struct wr_protobuf_slot {
    const char *name;
    uint32_t index; /* in by_number; WR_PROTOBUF_NO_FIELD: the writer has no such field */
    bool presence;  /* absent is NULL */
    const struct wr_protobuf_shape *shape; /* NULL: always NULL */
};

struct wr_protobuf_work {
    struct wr_arena scratch;         /* of the record at hand */
    struct wr_arena *texts;          /* where texts that are made go */
    struct wr_nested_writer writer;
    struct wr_buf json;
    uint32_t seen_count;
    uint64_t effort; /* that is left for the record */
    uint32_t unit_digits;
    const char *problem; /* static text */
    struct wr_type wanted; /* with shown: what it is not */
    char shown[64];        /* the value that does not fit, or empty */
    char path[100];        /* ".items[3].price" */
};

/* Before each record of that many bytes. */
void wr_protobuf_work_begin(struct wr_protobuf_work *work, size_t bytes);
void wr_protobuf_work_deinit(struct wr_protobuf_work *work); /* zeroed is fine */

/* The wire type that a singular field of the type has. */
enum wr_proto_kind wr_protobuf_kind_of(const struct wr_protobuf_field *field);

/* Whether its repeated form may be packed. */
static inline bool wr_protobuf_packs(const struct wr_protobuf_field *field)
{
    return field->repeated && wr_protobuf_kind_of(field) != WR_PROTO_BYTES &&
           wr_protobuf_kind_of(field) != WR_PROTO_GROUP;
}

/* The type of a scalar, or of a message that means a scalar; WR_TYPE_JSON for all else. */
struct wr_type wr_protobuf_natural(const struct wr_protobuf_field *field);

/* How the writer's field becomes type. reader: the field as the pipeline knows it, or NULL. one: an element of a repeated
 * field. WR_FAIL (class DATA): it cannot, err says which field (dotted, from below the column). */
WR_NODISCARD wr_status wr_protobuf_shape_make(const struct wr_protobuf_shape **shape,
                                              struct wr_arena *arena,
                                              const struct wr_protobuf_field *field,
                                              const struct wr_protobuf_field *reader, bool one,
                                              struct wr_type type, struct wr_error *err);

/* The field of both sides: by name on the reader's, then by number on the writer's; without a reader by name. */
void wr_protobuf_look_up(const struct wr_protobuf_message *writer,
                         const struct wr_protobuf_message *reader, const char *name,
                         const struct wr_protobuf_field **field,
                         const struct wr_protobuf_field **reader_field);

/* Notes an occurrence. False: too many (problem). */
bool wr_protobuf_note(struct wr_protobuf_work *work, struct wr_protobuf_list *list, bool all,
                      const struct wr_proto_field *from);

/* Makes the shape's value of a list (an empty one gives the type's zero, an empty array, a message without fields), as it
 * lies in a column; texts borrow from the record or lie in arena. False: see (2). */
bool wr_protobuf_make(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                      const struct wr_protobuf_list *list, struct wr_arena *arena,
                      union wr_scalar *value);

/* A scalar that is at hand. */
bool wr_protobuf_scalar(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                        uint64_t number, struct wr_slice bytes, union wr_scalar *value);

/* Microseconds of a Timestamp's bytes, over what stands in *us: a part that they do not have stays. */
bool wr_protobuf_timestamp(struct wr_protobuf_work *work, struct wr_slice bytes, int64_t *us);

#endif
