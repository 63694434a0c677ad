/* json_nested.c: JSON objects and arrays into STRUCT, ARRAY and MAP values; see json.h. The text has been scanned: it is JSON. */
#include "base/assert.h"
#include "batch/json_scan.h"
#include "batch/text.h"
#include "decode/json_shape.h"
#include "decode/json_text.h"

/* Values are written as they come, in one pass, until an object's members turn out to stand in another order than the type's fields (or
 * twice): from there on, within the value at hand, each object's members are found first. */
struct nester {
    struct wr_json_decoder *d;
    const struct wr_json_field *field;
    struct wr_nested_path path;
    bool sorting; /* it was so */
    bool turned;  /* and has just been found out */
};

/* at: at the value's first byte. The byte after it; NULL after a fault. */
static const char *put_value(struct nester *n, struct wr_type type, const char *at);

static const char *misfit(struct nester *n, struct wr_type type, const char *at)
{
    char where[sizeof(((struct wr_row_fault *)NULL)->field)];
    wr_nested_path_text(&n->path, n->field->dotted, where, sizeof where);
    wr_json_ill_typed(n->d, where, type, at, wr_json_pass_value(at));
    return NULL;
}

/* expected: the field that comes next when the members are in order. */
static uint32_t find_field(const struct wr_nested *nested, struct wr_slice name, uint32_t expected)
{
    for (uint32_t i = 0; i < nested->field_count; i++) {
        const uint32_t at = (expected + i) % nested->field_count;
        if (wr_slice_is(name, nested->fields[at].name)) {
            return at;
        }
    }
    return UINT32_MAX;
}

static void put_nulls(struct nester *n, uint32_t from, uint32_t to)
{
    for (; from < to; from++) {
        wr_nested_put_null(&n->d->writer);
    }
}

static const char *put_field(struct nester *n, const struct wr_nested_field *field, const char *at)
{
    n->path.steps[n->path.depth++] = (struct wr_nested_path_step){ .name = field->name };
    const char *after = put_value(n, field->type, at);
    n->path.depth -= after != NULL;
    return after;
}

/* NULL with turned set: the members stand in another order. */
static const char *put_struct_in_order(struct nester *n, const struct wr_nested *nested,
                                       const char *at)
{
    uint32_t next = 0;
    for (at = wr_json_pass_space(at + 1); *at != '}'; at = wr_json_pass_space(at)) {
        bool own;
        const char *key_after = wr_json_pass_string(at);
        const struct wr_slice name = wr_json_contents(n->d, at, key_after, &own);
        const uint32_t found = find_field(nested, name, next);
        at = wr_json_pass_space(wr_json_pass_space(key_after) + 1);
        if (found == UINT32_MAX) {
            at = wr_json_pass_value(at);
        } else if (found < next) {
            n->turned = true;
            return NULL;
        } else {
            put_nulls(n, next, found);
            next = found + 1;
            at = put_field(n, &nested->fields[found], at);
            if (at == NULL) {
                return NULL;
            }
        }
        at = wr_json_pass_space(at);
        at += *at == ',';
    }
    put_nulls(n, next, nested->field_count);
    return at + 1;
}

/* Finds each field's value; returns the byte after the object. */
static const char *find_values(struct nester *n, const struct wr_nested *nested, const char *at,
                               const char **values)
{
    struct wr_json_part part;
    uint32_t expected = 0;
    const char *after = at + 1;
    memset(values, 0, nested->field_count * sizeof *values);
    for (const char *next = after; (next = wr_json_next_member(next, &part)) != NULL; after = next) {
        bool own;
        const struct wr_slice name = wr_json_contents(n->d, part.key, part.key_after, &own);
        const uint32_t found = find_field(nested, name, expected);
        if (found != UINT32_MAX) {
            values[found] = part.at;
            expected = found + 1;
        }
    }
    return wr_json_pass_space(after) + 1;
}

static const char *put_struct_sorted(struct nester *n, const struct wr_nested *nested,
                                     const char *at)
{
    struct wr_buf *scratch = &n->d->spans; /* a stack: it may move while values are written */
    const size_t base = scratch->bytes;
    const size_t bytes = nested->field_count * sizeof(const char *);
    const char *after = find_values(n, nested, at, (const char **)(void *)wr_buf_reserve(scratch, bytes));
    scratch->bytes += bytes;
    for (uint32_t i = 0; i < nested->field_count; i++) {
        const char *value;
        memcpy(&value, scratch->data + base + i * sizeof value, sizeof value);
        if (value == NULL) {
            wr_nested_put_null(&n->d->writer);
        } else if (put_field(n, &nested->fields[i], value) == NULL) {
            return NULL;
        }
    }
    scratch->bytes = base;
    return after;
}

static const char *put_struct(struct nester *n, struct wr_type type, const char *at)
{
    const struct wr_nested *nested = wr_nested_of(type);
    struct wr_nested_writer *w = &n->d->writer;
    const size_t bytes = w->buf.bytes;
    const uint32_t depth = w->depth;
    const uint32_t path = n->path.depth;
    if (!n->sorting) {
        const char *after = put_struct_in_order(n, nested, at);
        if (after != NULL || !n->turned) {
            return after;
        }
        n->turned = false;
        n->sorting = true;
        w->buf.bytes = bytes;
        w->depth = depth;
        w->open[depth - 1].count = 0;
        n->path.depth = path;
    }
    return put_struct_sorted(n, nested, at);
}

static const char *put_array(struct nester *n, struct wr_type type, const char *at)
{
    const struct wr_type element = wr_nested_of(type)->fields[0].type;
    struct wr_nested_path_step *step = &n->path.steps[n->path.depth++];
    *step = (struct wr_nested_path_step){ .index = 0 };
    for (at = wr_json_pass_space(at + 1); *at != ']'; step->index++) {
        at = put_value(n, element, at);
        if (at == NULL) {
            return NULL;
        }
        at = wr_json_pass_space(at);
        at = *at == ',' ? wr_json_pass_space(at + 1) : at;
    }
    n->path.depth--;
    return at + 1;
}

/* Keys are quoted whatever their type is. */
static bool put_key(struct nester *n, struct wr_type type, struct wr_slice key, const char *at)
{
    alignas(16) char room[16];
    if (type.id == WR_TYPE_TEXT) {
        wr_nested_put_bytes(&n->d->writer, key.data, key.bytes);
        return true;
    }
    if (!wr_decoder_convert(type, key, false, n->d->unit_digits, &n->d->batch->arena, room)) {
        n->path.depth--;
        (void)misfit(n, type, at);
        return false;
    }
    wr_nested_put(&n->d->writer, type, room);
    return true;
}

static const char *put_map(struct nester *n, struct wr_type type, const char *at)
{
    const struct wr_nested *nested = wr_nested_of(type);
    struct wr_nested_path_step *step = &n->path.steps[n->path.depth++];
    for (at = wr_json_pass_space(at + 1); *at != '}';) {
        bool own;
        const char *key_after = wr_json_pass_string(at);
        const struct wr_slice name = wr_json_contents(n->d, at, key_after, &own);
        *step = (struct wr_nested_path_step){ .key = name };
        if (!put_key(n, nested->fields[0].type, name, at)) {
            return NULL;
        }
        at = put_value(n, nested->fields[1].type,
                       wr_json_pass_space(wr_json_pass_space(key_after) + 1));
        if (at == NULL) {
            return NULL;
        }
        at = wr_json_pass_space(at);
        at = *at == ',' ? wr_json_pass_space(at + 1) : at;
    }
    n->path.depth--;
    wr_nested_settle_map(&n->d->writer, type);
    return at + 1;
}

/* The outermost body is closed by the caller. */
static const char *put_nested(struct nester *n, struct wr_type type, const char *at)
{
    if (*at != (type.id == WR_TYPE_ARRAY ? '[' : '{')) {
        return misfit(n, type, at);
    }
    wr_nested_open(&n->d->writer, type);
    const char *after = type.id == WR_TYPE_STRUCT  ? put_struct(n, type, at)
                        : type.id == WR_TYPE_ARRAY ? put_array(n, type, at)
                                                   : put_map(n, type, at);
    if (after != NULL && n->d->writer.depth > 1) {
        (void)wr_nested_close(&n->d->writer);
    }
    return after;
}

static const char *put_value(struct nester *n, struct wr_type type, const char *at)
{
    struct wr_nested_writer *w = &n->d->writer;
    if (w->buf.bytes > WR_NESTED_BYTES_MAX) {
        return wr_json_fault(n->d, NULL, "a nested value is larger than 64 MiB");
    }
    if (*at == 'n') {
        wr_nested_put_null(w);
        return at + 4;
    }
    if (wr_type_is_nested(type)) {
        return put_nested(n, type, at);
    }
    const char *after = wr_json_pass_value(at);
    if (type.id == WR_TYPE_TEXT && *at == '"') {
        bool own;
        const struct wr_slice text = wr_json_contents(n->d, at, after, &own);
        wr_nested_put_bytes(w, text.data, text.bytes);
        return after;
    }
    if (type.id == WR_TYPE_TEXT || type.id == WR_TYPE_JSON) {
        wr_nested_put_bytes(w, at, (size_t)(after - at));
        return after;
    }
    alignas(16) char room[16];
    if (!wr_json_convert(n->d, type, at, after, room)) {
        return misfit(n, type, at);
    }
    wr_nested_put(w, type, room);
    return after;
}

bool wr_json_nested(struct wr_json_decoder *d, const struct wr_json_field *field, const char *at,
                    struct wr_view *out)
{
    struct nester n = { .d = d, .field = field };
    d->writer.depth = 0; /* a value that failed left it open */
    d->spans.bytes = 0;
    if (put_nested(&n, field->type, at) == NULL) {
        return false;
    }
    const struct wr_slice body = wr_nested_close(&d->writer);
    if (body.bytes > WR_NESTED_BYTES_MAX) {
        wr_json_fault(d, NULL, "a nested value is larger than 64 MiB");
        return false;
    }
    *out = body.bytes <= WR_VIEW_INLINE_BYTES
               ? wr_view_of(body.data, body.bytes)
               : wr_view_of(wr_arena_strndup(&d->batch->arena, body.data, body.bytes), body.bytes);
    return true;
}
