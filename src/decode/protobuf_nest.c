/* protobuf_nest.c: STRUCT, ARRAY and MAP; see protobuf_value.h. */
#include "decode/protobuf_parts.h"

static bool emit(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                 const struct wr_protobuf_list *list);

static bool emit_element(struct wr_protobuf_each *e, const struct wr_protobuf_seen *seen)
{
    struct wr_protobuf_seen copy;
    const struct wr_protobuf_list list = wr_protobuf_alone(seen, &copy);
    const struct wr_arena_mark mark = wr_arena_mark(&e->work->scratch);
    const bool made = emit(e->work, e->shape, &list);
    wr_arena_rewind(&e->work->scratch, mark);
    return made;
}

static bool fill_array(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                       const struct wr_protobuf_list *list)
{
    struct wr_protobuf_each each = { .one = emit_element, .work = work, .field = shape->field, .shape = shape->inner[0] };
    return wr_protobuf_each(&each, list);
}

static bool fill_map(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                     const struct wr_protobuf_list *list)
{
    struct wr_protobuf_entry *entries;
    uint32_t count;
    if (!wr_protobuf_entries(work, shape->field->message, shape->inner[0], list, &entries, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].dropped) {
            continue;
        }
        const struct wr_arena_mark mark = wr_arena_mark(&work->scratch);
        wr_nested_put(&work->writer, shape->inner[0]->type, &entries[i].key);
        if (!emit(work, shape->inner[1], &entries[i].value)) {
            return wr_protobuf_below(work, NULL, i);
        }
        wr_arena_rewind(&work->scratch, mark);
    }
    return true;
}

static bool fill_struct(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                        const struct wr_protobuf_list *list)
{
    static const struct wr_protobuf_list none;
    const struct wr_protobuf_list *lists = wr_protobuf_gather(work, shape->field->message, shape->wanted, list);
    if (lists == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < shape->slot_count; i++) {
        const struct wr_protobuf_slot *slot = &shape->slots[i];
        const struct wr_protobuf_list *own =
            slot->index != WR_PROTOBUF_NO_FIELD ? &lists[slot->index] : &none;
        if (slot->shape == NULL || (own->first == NULL && slot->presence)) {
            wr_nested_put_null(&work->writer);
        } else if (!emit(work, slot->shape, own)) {
            return wr_protobuf_below(work, slot->name, 0);
        }
    }
    return true;
}

static bool fill(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                 const struct wr_protobuf_list *list)
{
    return shape->kind == SHAPE_ARRAY ? fill_array(work, shape, list)
           : shape->kind == SHAPE_MAP ? fill_map(work, shape, list)
                                      : fill_struct(work, shape, list);
}

static bool make_wrapper(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                         const struct wr_protobuf_list *list, union wr_scalar *value);

/* All that is no nested type. */
static bool make_flat(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                      const struct wr_protobuf_list *list, union wr_scalar *value)
{
    const struct wr_protobuf_seen *seen = list->first;
    const struct wr_slice none = { "", 0 };
    switch (shape->kind) {
    case SHAPE_TIMESTAMP:
    case SHAPE_DURATION:
        return wr_protobuf_moment(work, shape, list, value);
    case SHAPE_WRAPPER:
        return make_wrapper(work, shape, list, value);
    default:
        return seen == NULL ? wr_protobuf_scalar(work, shape, wr_protobuf_zero_of(shape->field), none, value)
               : seen->kind == WR_PROTO_BYTES
                   ? wr_protobuf_scalar(work, shape, 0, wr_protobuf_bytes_of(seen), value)
                   : wr_protobuf_scalar(work, shape, seen->value, none, value);
    }
}

static bool make_wrapper(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                         const struct wr_protobuf_list *list, union wr_scalar *value)
{
    const struct wr_protobuf_list *lists = wr_protobuf_gather(work, shape->field->message, NULL, list);
    return lists != NULL && make_flat(work, shape->inner[0], &lists[0], value);
}

/* One slot of the writer's open body. */
static bool emit(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                 const struct wr_protobuf_list *list)
{
    union wr_scalar value;
    if (!wr_protobuf_may_grow(work, work->writer.buf.bytes)) {
        return false;
    }
    if (shape->kind >= SHAPE_ARRAY) {
        wr_nested_open(&work->writer, shape->type);
        if (!fill(work, shape, list)) {
            return false;
        }
        (void)wr_nested_close(&work->writer);
        return true;
    }
    if (shape->kind == SHAPE_JSON) {
        if (!wr_protobuf_json(work, shape, list, &work->json)) {
            return false;
        }
        wr_nested_put_bytes(&work->writer, work->json.data, work->json.bytes);
        return true;
    }
    if (!make_flat(work, shape, list, &value)) {
        return false;
    }
    wr_nested_put(&work->writer, shape->type, &value);
    return true;
}

bool wr_protobuf_make(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                      const struct wr_protobuf_list *list, struct wr_arena *arena,
                      union wr_scalar *value)
{
    struct wr_slice made;
    if (shape->kind < SHAPE_JSON) {
        work->texts = arena;
        return make_flat(work, shape, list, value);
    }
    work->texts = &work->scratch;
    if (shape->kind == SHAPE_JSON) {
        if (!wr_protobuf_json(work, shape, list, &work->json)) {
            return false;
        }
        made = (struct wr_slice){ work->json.data, work->json.bytes };
    } else {
        work->writer.depth = 0; /* a value that failed left its bodies open */
        wr_nested_open(&work->writer, shape->type);
        if (!fill(work, shape, list)) {
            return false;
        }
        made = wr_nested_close(&work->writer);
    }
    if (!wr_protobuf_may_grow(work, made.bytes)) {
        return false;
    }
    value->view = wr_view_of(made.bytes > WR_VIEW_INLINE_BYTES
                                 ? wr_arena_strndup(arena, made.data, made.bytes)
                                 : made.data,
                             made.bytes);
    return true;
}
