/* avro_nest.c: one nested value out of bytes that are not to be trusted; see avro_nest.h. */
#include "decode/avro_nest.h"

#include "base/assert.h"
#include "batch/text.h"
#include "decode/decoder.h"
#include <stdio.h>

static bool put(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r);

static bool wrong(struct wr_avro_nest_run *r, const char *problem)
{
    r->c->problem = problem;
    return false;
}

static bool misfit(struct wr_avro_nest_run *r, struct wr_type type)
{
    r->wanted = type;
    return false;
}

static bool enter(struct wr_avro_nest_run *r, struct wr_nested_path_step step)
{
    wr_assert(r->path.depth < WR_NESTED_DEPTH_MAX);
    r->path.steps[r->path.depth++] = step;
    return true;
}

/* ---- scalars ---- */

static bool put_integer(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r)
{
    int64_t number;
    int32_t narrow;
    if (!wr_avro_long(r->c, &number)) {
        return false;
    }
    const int64_t before = number;
    const bool fits = nest->op == OP_SCALED  ? !__builtin_mul_overflow(number, nest->factor, &number)
                      : nest->op == OP_INT32 ? number >= INT32_MIN && number <= INT32_MAX
                                             : true;
    if (!fits) {
        (void)snprintf(r->shown, sizeof r->shown, "%lld", (long long)before);
        return misfit(r, nest->type);
    }
    narrow = (int32_t)number;
    wr_nested_put(r->writer, nest->type, nest->op == OP_INT32 ? (const void *)&narrow : &number);
    return true;
}

static bool put_text(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r)
{
    struct wr_slice text;
    if (!wr_avro_bytes(r->c, &text)) {
        return false;
    }
    if (nest->op == OP_TEXT && !wr_utf8_valid(text.data, text.bytes)) {
        return wrong(r, "a string is not UTF-8");
    }
    wr_nested_put_bytes(r->writer, text.data, text.bytes);
    return true;
}

static bool put_symbol(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r)
{
    int64_t index;
    if (!wr_avro_long(r->c, &index)) {
        return false;
    }
    if (index < 0 || index >= nest->node->count) {
        return wrong(r, "an enum's index is out of range");
    }
    wr_nested_put(r->writer, nest->type, &nest->symbols[index]);
    return true;
}

static bool put_json(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r)
{
    struct wr_buf text = { 0 };
    const bool made = wr_avro_json(r->c, nest->node, 0, &text);
    if (made) {
        wr_nested_put_bytes(r->writer, text.data, text.bytes);
    }
    wr_buf_deinit(&text);
    return made;
}

static bool put_scalar(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r)
{
    union wr_scalar value;
    if (!wr_avro_read(r->c, nest->node, nest->type, r->unit_digits, r->arena, &value, r->shown)) {
        return misfit(r, nest->type);
    }
    wr_nested_put(r->writer, nest->type, &value);
    return true;
}

/* ---- records ---- */

static void put_missing(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r, uint32_t slot)
{
    if (nest->missing[slot] == NULL) {
        wr_nested_put_null(r->writer);
    } else {
        wr_nested_put(r->writer, wr_nested_of(nest->type)->fields[slot].type, nest->missing[slot]);
    }
}

static bool put_field(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r, uint32_t field)
{
    const char *name = wr_nested_of(nest->type)->fields[nest->slots[field]].name;
    (void)enter(r, (struct wr_nested_path_step){ .name = name });
    if (!put(nest->inner[field], r)) {
        return false;
    }
    r->path.depth--;
    return true;
}

static bool put_record_in_order(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r)
{
    uint32_t slot = 0;
    for (uint32_t i = 0; i < nest->node->count; i++) {
        if (nest->inner[i] == NULL) {
            if (!wr_avro_skip(r->c, nest->node->fields[i].type, 0)) {
                return false;
            }
            continue;
        }
        for (; slot < nest->slots[i]; slot++) {
            put_missing(nest, r, slot);
        }
        if (!put_field(nest, r, i)) {
            return false;
        }
        slot++;
    }
    for (const uint32_t count = wr_nested_of(nest->type)->field_count; slot < count; slot++) {
        put_missing(nest, r, slot);
    }
    return true;
}

/* The writer's fields stand in another order than the type's: first where each begins. */
static bool put_record_sorted(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r)
{
    const uint32_t count = wr_nested_of(nest->type)->field_count;
    const uint8_t *begins[WR_NESTED_FIELDS_MAX];
    uint32_t fields[WR_NESTED_FIELDS_MAX];
    for (uint32_t i = 0; i < nest->node->count; i++) {
        if (nest->inner[i] != NULL) {
            begins[nest->slots[i]] = r->c->at;
            fields[nest->slots[i]] = i;
        }
        if (!wr_avro_skip(r->c, nest->node->fields[i].type, 0)) {
            return false;
        }
    }
    const uint8_t *end = r->c->at;
    for (uint32_t slot = 0; slot < count; slot++) {
        if (!nest->has[slot]) {
            put_missing(nest, r, slot);
            continue;
        }
        r->c->at = begins[slot];
        if (!put_field(nest, r, fields[slot])) {
            return false;
        }
    }
    r->c->at = end;
    return true;
}

/* ---- arrays and maps ---- */

static bool put_key(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r, struct wr_slice key)
{
    const struct wr_type type = wr_nested_of(nest->type)->fields[0].type;
    union wr_scalar value;
    if (!wr_utf8_valid(key.data, key.bytes)) {
        return wrong(r, "a string is not UTF-8");
    }
    if (type.id == WR_TYPE_TEXT) {
        wr_nested_put_bytes(r->writer, key.data, key.bytes);
        return true;
    }
    if (!wr_decoder_convert(type, key, false, r->unit_digits, r->arena, &value)) {
        (void)snprintf(r->shown, sizeof r->shown, "a map's key");
        return misfit(r, type);
    }
    wr_nested_put(r->writer, type, &value);
    return true;
}

static bool put_items(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r)
{
    const bool map = nest->type.id == WR_TYPE_MAP;
    uint64_t items;
    int64_t bytes;
    (void)enter(r, (struct wr_nested_path_step){ 0 });
    struct wr_nested_path_step *step = &r->path.steps[r->path.depth - 1];
    for (;;) {
        if (!wr_avro_block(r->c, &items, &bytes)) {
            return false;
        }
        if (items == 0) {
            break;
        }
        for (; items > 0; items--, step->index++) {
            if (map && (!wr_avro_bytes(r->c, &step->key) || !put_key(nest, r, step->key))) {
                return false;
            }
            if (!put(nest->inner[0], r)) {
                return false;
            }
        }
    }
    r->path.depth--;
    if (map) {
        wr_nested_settle_map(r->writer, nest->type);
    }
    return true;
}

/* Opens the value's body and fills it; the outermost one is closed by the caller. */
static bool put_nested(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r)
{
    wr_nested_open(r->writer, nest->type);
    const bool fine = nest->type.id != WR_TYPE_STRUCT ? put_items(nest, r)
                      : nest->in_order                ? put_record_in_order(nest, r)
                                                      : put_record_sorted(nest, r);
    if (fine && r->writer->depth > 1) {
        (void)wr_nested_close(r->writer);
    }
    return fine;
}

/* A union's value: the branch's tree. */
static bool choose(const struct wr_avro_nest **nest, struct wr_avro_nest_run *r)
{
    while ((*nest)->op == OP_UNION) {
        int64_t index;
        if (!wr_avro_long(r->c, &index)) {
            return false;
        }
        if (index < 0 || index >= (*nest)->node->count) {
            return wrong(r, "a union's index is out of range");
        }
        *nest = (*nest)->inner[index];
    }
    return true;
}

static bool put(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r)
{
    if (!wr_avro_spend(r->c) || !choose(&nest, r)) {
        return false;
    }
    if (r->writer->buf.bytes > WR_NESTED_BYTES_MAX) {
        return wrong(r, "a nested value is larger than 64 MiB");
    }
    struct wr_slice bytes = { "", 0 };
    switch ((enum wr_avro_op)nest->op) {
    case OP_NESTED:
        return put_nested(nest, r);
    case OP_NULL:
        wr_nested_put_null(r->writer);
        return true;
    case OP_INT64:
    case OP_INT32:
    case OP_SCALED:
        return put_integer(nest, r);
    case OP_TEXT:
    case OP_BYTES:
        return put_text(nest, r);
    case OP_ENUM:
        return put_symbol(nest, r);
    case OP_FLOAT32:
    case OP_FLOAT64:
        bytes.bytes = nest->op == OP_FLOAT32 ? 4 : 8;
        if ((size_t)(r->c->end - r->c->at) < bytes.bytes) {
            return wrong(r, "the record ends too early");
        }
        wr_nested_put(r->writer, nest->type, r->c->at);
        r->c->at += bytes.bytes;
        return true;
    case OP_JSON:
        return put_json(nest, r);
    case OP_REFUSE:
        r->refused = nest->message;
        return false;
    default:
        return put_scalar(nest, r);
    }
}

static void keep_body(struct wr_slice body, struct wr_arena *arena, struct wr_view *out)
{
    *out = body.bytes <= WR_VIEW_INLINE_BYTES
               ? wr_view_of(body.data, body.bytes)
               : wr_view_of(wr_arena_strndup(arena, body.data, body.bytes), body.bytes);
}

bool wr_avro_nest_run(const struct wr_avro_nest *nest, struct wr_avro_nest_run *r,
                      struct wr_view *out)
{
    r->writer->depth = 0; /* a value that failed left it open */
    r->shown[0] = '\0';
    r->refused = NULL;
    if (!put_nested(nest, r)) {
        return false;
    }
    const struct wr_slice body = wr_nested_close(r->writer);
    if (body.bytes > WR_NESTED_BYTES_MAX) {
        return wrong(r, "a nested value is larger than 64 MiB");
    }
    keep_body(body, r->arena, out);
    return true;
}

/* ---- defaults ---- */

struct defaults {
    struct wr_nested_writer writer;
    struct wr_arena *arena;
    uint32_t unit_digits;
};

static bool put_default(struct defaults *d, const struct wr_avro_node *node, const json_t *json,
                        struct wr_type type);

static bool default_record(struct defaults *d, const struct wr_avro_node *node, const json_t *json,
                           struct wr_type type)
{
    const struct wr_nested *nested = wr_nested_of(type);
    bool fine = node->kind == WR_AVRO_RECORD && json_is_object(json);
    for (uint32_t i = 0; i < nested->field_count && fine; i++) {
        const struct wr_avro_field *field = wr_avro_find_field(node, nested->fields[i].name, NULL);
        const json_t *own = field != NULL ? json_object_get(json, field->name) : NULL;
        own = own == NULL && field != NULL ? field->otherwise : own;
        if (own == NULL) {
            wr_nested_put_null(&d->writer);
        } else {
            fine = put_default(d, field->type, own, nested->fields[i].type);
        }
    }
    return fine;
}

static bool default_items(struct defaults *d, const struct wr_avro_node *node, const json_t *json,
                          struct wr_type type)
{
    const struct wr_type inner = wr_nested_of(type)->fields[0].type;
    bool fine = node->kind == WR_AVRO_ARRAY && json_is_array(json);
    for (size_t i = 0; fine && i < json_array_size(json); i++) {
        fine = put_default(d, node->types[0], json_array_get(json, i), inner);
    }
    return fine;
}

static bool default_entries(struct defaults *d, const struct wr_avro_node *node, const json_t *json,
                            struct wr_type type)
{
    const struct wr_nested *nested = wr_nested_of(type);
    bool fine = node->kind == WR_AVRO_MAP && json_is_object(json);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json, key, value)
    {
        union wr_scalar own;
        if (nested->fields[0].type.id == WR_TYPE_TEXT) {
            wr_nested_put_bytes(&d->writer, key, strlen(key));
        } else if (fine && wr_decoder_convert(nested->fields[0].type, wr_slice_of(key), false,
                                              d->unit_digits, d->arena, &own)) {
            wr_nested_put(&d->writer, nested->fields[0].type, &own);
        } else {
            return false;
        }
        if (!fine || !put_default(d, node->types[0], value, nested->fields[1].type)) {
            return false;
        }
    }
    if (fine) {
        wr_nested_settle_map(&d->writer, type);
    }
    return fine;
}

static bool open_default(struct defaults *d, const struct wr_avro_node *node, const json_t *json,
                         struct wr_type type)
{
    node = wr_avro_default_branch(node, json);
    wr_nested_open(&d->writer, type);
    return type.id == WR_TYPE_STRUCT  ? default_record(d, node, json, type)
           : type.id == WR_TYPE_ARRAY ? default_items(d, node, json, type)
                                      : default_entries(d, node, json, type);
}

static bool put_default(struct defaults *d, const struct wr_avro_node *node, const json_t *json,
                        struct wr_type type)
{
    union wr_scalar value;
    if (json_is_null(json)) {
        wr_nested_put_null(&d->writer);
        return true;
    }
    if (wr_type_is_nested(type)) {
        if (!open_default(d, node, json, type)) {
            return false;
        }
        (void)wr_nested_close(&d->writer);
        return true;
    }
    if (!wr_avro_default(node, json, type, d->unit_digits, d->arena, &value)) {
        return false;
    }
    wr_nested_put(&d->writer, type, &value);
    return true;
}

bool wr_avro_nest_default(const struct wr_avro_node *node, const json_t *json, struct wr_type type,
                          uint32_t unit_digits, struct wr_arena *arena, union wr_scalar *value)
{
    struct defaults d = { .arena = arena, .unit_digits = unit_digits };
    const bool fine = open_default(&d, node, json, type);
    if (fine) {
        keep_body(wr_nested_close(&d.writer), arena, &value->view);
    }
    wr_nested_writer_deinit(&d.writer);
    return fine;
}
