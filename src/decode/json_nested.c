/* json_nested.c: JSON objects and arrays into STRUCT, ARRAY and MAP values; see json.h. The text has been scanned: it is JSON. */
#include "base/assert.h"
#include "batch/json_scan.h"
#include "batch/text.h"
#include "decode/json_shape.h"
#include "decode/json_text.h"

/* The last value of a field in the text. */
struct span {
    const char *at; /* NULL: the object does not have it */
    const char *after;
};

struct nester {
    struct wr_json_decoder *d;
    const struct wr_json_field *field;
    struct wr_nested_path path;
};

static bool put_value(struct nester *n, struct wr_type type, const char *at, const char *after);

static bool misfit(struct nester *n, struct wr_type type, const char *at, const char *after)
{
    char where[sizeof(((struct wr_row_fault *)NULL)->field)];
    wr_nested_path_text(&n->path, n->field->dotted, where, sizeof where);
    wr_json_ill_typed(n->d, where, type, at, after);
    return false;
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

/* Finds each field's value, so that they can be written in the type's order. */
static void find_spans(struct nester *n, const struct wr_nested *nested, const char *at,
                       struct span *spans)
{
    struct wr_json_part part;
    uint32_t expected = 0;
    memset(spans, 0, nested->field_count * sizeof *spans);
    for (at++; (at = wr_json_next_member(at, &part)) != NULL;) {
        bool own;
        const struct wr_slice name = wr_json_contents(n->d, part.key, part.key_after, &own);
        const uint32_t found = find_field(nested, name, expected);
        if (found != UINT32_MAX) {
            spans[found] = (struct span){ part.at, part.after };
            expected = found + 1;
        }
    }
}

static bool put_struct(struct nester *n, struct wr_type type, const char *at)
{
    const struct wr_nested *nested = wr_nested_of(type);
    struct wr_buf *scratch = &n->d->spans; /* a stack: it may move while values are written */
    const size_t base = scratch->bytes;
    const size_t bytes = nested->field_count * sizeof(struct span);
    bool fine = true;
    find_spans(n, nested, at, (struct span *)wr_buf_reserve(scratch, bytes));
    scratch->bytes += bytes;
    for (uint32_t i = 0; i < nested->field_count && fine; i++) {
        struct span value;
        memcpy(&value, scratch->data + base + i * sizeof value, sizeof value);
        if (value.at == NULL) {
            wr_nested_put_null(&n->d->writer);
            continue;
        }
        n->path.steps[n->path.depth++] = (struct wr_nested_path_step){ .name = nested->fields[i].name };
        fine = put_value(n, nested->fields[i].type, value.at, value.after);
        n->path.depth--;
    }
    scratch->bytes = base;
    return fine;
}

static bool put_array(struct nester *n, struct wr_type type, const char *at)
{
    const struct wr_type element = wr_nested_of(type)->fields[0].type;
    struct wr_nested_path_step *step = &n->path.steps[n->path.depth++];
    struct wr_json_part part;
    *step = (struct wr_nested_path_step){ .index = 0 };
    for (at++; (at = wr_json_next_element(at, &part)) != NULL; step->index++) {
        if (!put_value(n, element, part.at, part.after)) {
            return false;
        }
    }
    n->path.depth--;
    return true;
}

/* Keys are quoted whatever their type is. */
static bool put_key(struct nester *n, struct wr_type type, struct wr_slice key, const char *at,
                    const char *after)
{
    alignas(16) char room[16];
    if (type.id == WR_TYPE_TEXT) {
        wr_nested_put_bytes(&n->d->writer, key.data, key.bytes);
        return true;
    }
    if (!wr_decoder_convert(type, key, false, n->d->unit_digits, &n->d->batch->arena, room)) {
        n->path.depth--;
        return misfit(n, type, at, after);
    }
    wr_nested_put(&n->d->writer, type, room);
    return true;
}

static bool put_map(struct nester *n, struct wr_type type, const char *at)
{
    const struct wr_nested *nested = wr_nested_of(type);
    struct wr_nested_path_step *step = &n->path.steps[n->path.depth++];
    struct wr_json_part part;
    for (at++; (at = wr_json_next_member(at, &part)) != NULL;) {
        bool own;
        const struct wr_slice name = wr_json_contents(n->d, part.key, part.key_after, &own);
        *step = (struct wr_nested_path_step){ .key = name };
        if (!put_key(n, nested->fields[0].type, name, part.key, part.key_after) ||
            !put_value(n, nested->fields[1].type, part.at, part.after)) {
            return false;
        }
    }
    n->path.depth--;
    wr_nested_settle_map(&n->d->writer, type);
    return true;
}

static bool put_nested(struct nester *n, struct wr_type type, const char *at, const char *after)
{
    if (*at != (type.id == WR_TYPE_ARRAY ? '[' : '{')) {
        return misfit(n, type, at, after);
    }
    wr_nested_open(&n->d->writer, type);
    const bool fine = type.id == WR_TYPE_STRUCT  ? put_struct(n, type, at)
                      : type.id == WR_TYPE_ARRAY ? put_array(n, type, at)
                                                 : put_map(n, type, at);
    if (fine && n->d->writer.depth > 1) {
        (void)wr_nested_close(&n->d->writer);
    }
    return fine;
}

static bool put_value(struct nester *n, struct wr_type type, const char *at, const char *after)
{
    struct wr_nested_writer *w = &n->d->writer;
    if (w->buf.bytes > WR_NESTED_BYTES_MAX) {
        wr_json_fault(n->d, NULL, "a nested value is larger than 64 MiB");
        return false;
    }
    if (*at == 'n') {
        wr_nested_put_null(w);
        return true;
    }
    if (wr_type_is_nested(type)) {
        return put_nested(n, type, at, after);
    }
    if (type.id == WR_TYPE_TEXT && *at == '"') {
        bool own;
        const struct wr_slice text = wr_json_contents(n->d, at, after, &own);
        wr_nested_put_bytes(w, text.data, text.bytes);
        return true;
    }
    if (type.id == WR_TYPE_TEXT || type.id == WR_TYPE_JSON) {
        wr_nested_put_bytes(w, at, (size_t)(after - at));
        return true;
    }
    alignas(16) char room[16];
    if (!wr_json_convert(n->d, type, at, after, room)) {
        return misfit(n, type, at, after);
    }
    wr_nested_put(w, type, room);
    return true;
}

bool wr_json_nested(struct wr_json_decoder *d, const struct wr_json_field *field, const char *at,
                    const char *after, struct wr_view *out)
{
    struct nester n = { .d = d, .field = field };
    d->writer.depth = 0; /* a value that failed left it open */
    d->spans.bytes = 0;
    if (!put_nested(&n, field->type, at, after)) {
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
