/* protobuf_parts.h: what the files that make values share: protobuf_scalar.c (scalars and times), protobuf_gather.c (occurrences, elements,
 * entries), protobuf_json.c, protobuf_nest.c (STRUCT, ARRAY, MAP), protobuf_shape.c; see protobuf_value.h. */
#ifndef WR_DECODE_PROTOBUF_PARTS_H
#define WR_DECODE_PROTOBUF_PARTS_H

#include "base/limits.h"
#include "batch/text.h"
#include "decode/protobuf_value.h"

#define WR_PROTOBUF_MALFORMED "a field's bytes are cut off or not well formed"

/* ---- protobuf_scalar.c ---- */

/* Sets the problem; false. */
bool wr_protobuf_wrong(struct wr_protobuf_work *work, const char *problem);
/* On the way out of a failure: it was in the field of that name, or (NULL) in the element of that index. False. */
bool wr_protobuf_below(struct wr_protobuf_work *work, const char *name, int64_t index);
/* Whether a nested value may be that large: (1). */
bool wr_protobuf_may_grow(struct wr_protobuf_work *work, size_t bytes);

/* A scalar out of what the wire has, as its natural type. */
bool wr_protobuf_natural_of(struct wr_protobuf_work *work, const struct wr_protobuf_field *field,
                            uint64_t number, struct wr_slice bytes, union wr_scalar *value);
/* What stands for a scalar that is not there. */
uint64_t wr_protobuf_zero_of(const struct wr_protobuf_field *field);
bool wr_protobuf_converts(struct wr_type from, const struct wr_protobuf_field *field, struct wr_type type);
/* A Timestamp or Duration in as many pieces as the list has. */
bool wr_protobuf_moment(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                        const struct wr_protobuf_list *list, union wr_scalar *value);

/* ---- protobuf_gather.c ---- */

static inline struct wr_slice wr_protobuf_bytes_of(const struct wr_protobuf_seen *seen)
{
    return (struct wr_slice){ seen->data, seen->bytes };
}

/* The lists of one message's fields by index in by_number; the message has as many pieces as the list. NULL: not well formed, or
 * too much work. wanted: by index, what counts; NULL: all. */
struct wr_protobuf_list *wr_protobuf_gather(struct wr_protobuf_work *work,
                                            const struct wr_protobuf_message *message,
                                            const bool *wanted,
                                            const struct wr_protobuf_list *pieces);

/* One occurrence as a list of its own. */
struct wr_protobuf_list wr_protobuf_alone(const struct wr_protobuf_seen *seen,
                                          struct wr_protobuf_seen *copy);

/* Calls one for each element of a repeated field, packed or not. Scalars come as number and bytes, messages as seen. */
struct wr_protobuf_each {
    bool (*one)(struct wr_protobuf_each *each, const struct wr_protobuf_seen *seen);
    struct wr_protobuf_work *work;
    const struct wr_protobuf_field *field;
    const struct wr_protobuf_shape *shape;
    struct wr_buf *into;
    uint32_t depth;
    uint32_t index;
};

bool wr_protobuf_each(struct wr_protobuf_each *e, const struct wr_protobuf_list *list);

struct wr_protobuf_entry {
    union wr_scalar key;
    struct wr_protobuf_list value;
    bool dropped; /* an entry with the same key follows */
};

/* A map's entries, as many as the list has; key: what keys become. */
bool wr_protobuf_entries(struct wr_protobuf_work *work, const struct wr_protobuf_message *message,
                         const struct wr_protobuf_shape *key, const struct wr_protobuf_list *list,
                         struct wr_protobuf_entry **entries, uint32_t *count);

/* ---- protobuf_json.c ---- */

/* The value of a JSON shape, into an emptied buffer. */
bool wr_protobuf_json(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                      const struct wr_protobuf_list *list, struct wr_buf *into);

#endif
