/* protobuf_gather.c: a message's fields as lists of where they occur; see protobuf_value.h. */
#include "decode/protobuf_parts.h"

#include "base/hash.h"

bool wr_protobuf_note(struct wr_protobuf_work *work, struct wr_protobuf_list *list, bool all,
                      const struct wr_proto_field *from)
{
    struct wr_protobuf_seen *seen = all ? NULL : list->first;
    if (seen == NULL) {
        if (work->seen_count == WR_PROTOBUF_SEEN_MAX) { /* (1) */
            return wr_protobuf_wrong(work, "more than 4194304 values in one record");
        }
        work->seen_count++;
        seen = wr_arena_alloc(&work->scratch, sizeof *seen);
        seen->next = NULL;
        if (list->first == NULL) {
            list->first = seen;
        } else {
            list->last->next = seen;
        }
        list->last = seen;
    }
    seen->kind = from->kind;
    if (from->kind == WR_PROTO_BYTES || from->kind == WR_PROTO_GROUP) {
        seen->data = from->bytes.data;
        seen->bytes = (uint32_t)from->bytes.bytes;
    } else {
        seen->value = from->value;
        seen->bytes = 0;
    }
    return true;
}

/* The lists of one message's fields, by index in by_number. */
struct gathered {
    struct wr_protobuf_list *lists;
    uint32_t *active; /* per oneof: index of the member that is set, plus 1 */
};

/* Another member of a oneof was set: the one before is gone. */
static void choose(const struct wr_protobuf_field *field, uint32_t index, struct gathered *g)
{
    uint32_t *active = &g->active[field->oneof - 1];
    if (*active != 0 && *active != index + 1) {
        g->lists[*active - 1] = (struct wr_protobuf_list){ 0 };
    }
    *active = index + 1;
}

static bool gather_piece(struct wr_protobuf_work *work, const struct wr_protobuf_message *message,
                         const bool *wanted, struct wr_slice piece, struct gathered *g)
{
    struct wr_proto_reader r = wr_proto_read(piece);
    struct wr_proto_field f;
    while (wr_proto_next(&r, &f)) {
        const uint32_t index = wr_protobuf_index_of(message, f.number);
        if (index == WR_PROTOBUF_NO_FIELD) {
            continue;
        }
        const struct wr_protobuf_field *field = message->by_number[index];
        const bool right = f.kind == wr_protobuf_kind_of(field) ||
                           (f.kind == WR_PROTO_BYTES && wr_protobuf_packs(field));
        if (!right) {
            continue; /* a wire type that the field cannot have: an unknown field */
        }
        if (field->oneof != 0) {
            choose(field, index, g);
        }
        if ((wanted == NULL || wanted[index]) &&
            !wr_protobuf_note(work, &g->lists[index], field->repeated || field->message != NULL, &f)) {
            return wr_protobuf_below(work, field->name, 0);
        }
    }
    return !r.bad || wr_protobuf_wrong(work, WR_PROTOBUF_MALFORMED);
}

/* A message in as many pieces as there are. NULL: not well formed, or too much work. */
struct wr_protobuf_list *wr_protobuf_gather(struct wr_protobuf_work *work,
                                       const struct wr_protobuf_message *message,
                                       const bool *wanted, const struct wr_protobuf_list *pieces)
{
    const uint32_t cost = 1 + message->field_count / 8; /* (1) */
    if (work->effort < cost) {
        (void)wr_protobuf_wrong(work, "too many messages for the record's size");
        return NULL;
    }
    work->effort -= cost;
    struct gathered g = {
        .lists = WR_ARENA_ARRAY(&work->scratch, struct wr_protobuf_list, message->field_count + 1),
        .active = message->oneof_count == 0 ? NULL
                                            : WR_ARENA_ARRAY(&work->scratch, uint32_t, message->oneof_count),
    };
    for (const struct wr_protobuf_seen *s = pieces->first; s != NULL; s = s->next) {
        if (!gather_piece(work, message, wanted, wr_protobuf_bytes_of(s), &g)) {
            return NULL;
        }
    }
    return g.lists;
}

/* One occurrence as a list of its own. */
struct wr_protobuf_list wr_protobuf_alone(const struct wr_protobuf_seen *seen, struct wr_protobuf_seen *copy)
{
    *copy = *seen;
    copy->next = NULL;
    return (struct wr_protobuf_list){ copy, copy };
}

/* The next of a packed run. */
static bool unpack(struct wr_proto_reader *r, enum wr_proto_kind kind, uint64_t *number)
{
    const uint32_t bytes = kind == WR_PROTO_FIXED64 ? 8 : 4;
    if (kind == WR_PROTO_VARINT) {
        return wr_proto_varint(r, number);
    }
    if ((size_t)(r->end - r->at) < bytes) {
        r->bad = true;
        return false;
    }
    *number = 0;
    memcpy(number, r->at, bytes);
    r->at += bytes;
    return true;
}

static bool each_packed(struct wr_protobuf_each *e, const struct wr_protobuf_seen *seen)
{
    struct wr_proto_reader r = wr_proto_read(wr_protobuf_bytes_of(seen));
    const enum wr_proto_kind kind = wr_protobuf_kind_of(e->field);
    while (r.at < r.end) {
        struct wr_protobuf_seen one = { .kind = kind };
        if (!unpack(&r, kind, &one.value)) {
            return wr_protobuf_wrong(e->work, WR_PROTOBUF_MALFORMED);
        }
        if (!e->one(e, &one)) {
            return false;
        }
        e->index++;
    }
    return true;
}

bool wr_protobuf_each(struct wr_protobuf_each *e, const struct wr_protobuf_list *list)
{
    const bool packs = wr_protobuf_packs(e->field);
    for (const struct wr_protobuf_seen *s = list->first; s != NULL; s = s->next) {
        if (packs && s->kind == WR_PROTO_BYTES) {
            if (!each_packed(e, s)) {
                return wr_protobuf_below(e->work, NULL, e->index);
            }
            continue;
        }
        if (!e->one(e, s)) {
            return wr_protobuf_below(e->work, NULL, e->index);
        }
        e->index++;
    }
    return true;
}

/* ---- maps ---- */

static bool same_key(struct wr_type type, const union wr_scalar *a,
                     const union wr_scalar *b)
{
    return wr_type_is_view(type) ? wr_view_equal(&a->view, &b->view)
                                 : memcmp(a, b, wr_type_width(type)) == 0;
}

static uint64_t key_hash(struct wr_type type, const union wr_scalar *key)
{
    if (wr_type_is_view(type)) {
        const struct wr_slice text = wr_view_slice(&key->view);
        return wr_hash_bytes(text.data, text.bytes);
    }
    return wr_hash_bytes(key, wr_type_width(type));
}

/* Marks all but the last of equal keys: an open table of entries' numbers. */
static void drop_earlier(struct wr_protobuf_work *work, struct wr_type type, struct wr_protobuf_entry *entries,
                         uint32_t count)
{
    uint32_t slots = 4;
    while (slots < count * 2) {
        slots *= 2;
    }
    uint32_t *table = WR_ARENA_ARRAY(&work->scratch, uint32_t, slots); /* number + 1 */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)key_hash(type, &entries[i].key) & (slots - 1);
        while (table[at] != 0 && !same_key(type, &entries[table[at] - 1].key, &entries[i].key)) {
            at = (at + 1) & (slots - 1);
        }
        if (table[at] != 0) {
            entries[table[at] - 1].dropped = true;
        }
        table[at] = i + 1;
    }
}

bool wr_protobuf_entries(struct wr_protobuf_work *work, const struct wr_protobuf_message *message,
                         const struct wr_protobuf_shape *key, const struct wr_protobuf_list *list,
                         struct wr_protobuf_entry **entries, uint32_t *count)
{
    *count = 0;
    for (const struct wr_protobuf_seen *s = list->first; s != NULL; s = s->next) {
        (*count)++;
    }
    *entries = WR_ARENA_ARRAY(&work->scratch, struct wr_protobuf_entry, *count + 1);
    uint32_t i = 0;
    for (const struct wr_protobuf_seen *s = list->first; s != NULL; s = s->next, i++) {
        struct wr_protobuf_list lists[2] = { { 0 } };
        struct gathered g = { .lists = lists };
        if (!gather_piece(work, message, NULL, wr_protobuf_bytes_of(s), &g)) {
            return false;
        }
        const struct wr_protobuf_seen *k = lists[0].first;
        const struct wr_slice none = { "", 0 };
        if (!wr_protobuf_scalar(work, key, k != NULL && k->kind != WR_PROTO_BYTES ? k->value : 0,
                                k != NULL && k->kind == WR_PROTO_BYTES ? wr_protobuf_bytes_of(k) : none,
                                &(*entries)[i].key)) {
            return wr_protobuf_below(work, "key", 0);
        }
        (*entries)[i].value = lists[1];
    }
    drop_earlier(work, key->type, *entries, *count);
    return true;
}
