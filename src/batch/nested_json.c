/* nested_json.c: see nested_json.h. Values are found by the scanner first and converted then, level by level: a STRUCT's fields come in
 * the type's order, whatever the object's is, and of a MAP's equal keys only the last is written. */
#include "batch/nested_json.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/limits.h"
#include "batch/json_scan.h"
#include "batch/text.h"

#include <stdio.h>

struct parser {
    struct wr_nested_writer *w;
    struct wr_arena memory; /* texts without escapes, keys */
    char *why;
    size_t why_bytes;
    const char *place; /* the field at hand; NULL: none */
};

static bool fail(struct parser *p, const char *what, struct wr_type type)
{
    char name[40];
    (void)snprintf(p->why, p->why_bytes, "%s %s%s%s", what, wr_type_name(type, name, sizeof name),
                   p->place != NULL ? " in " : "", p->place != NULL ? p->place : "");
    return false;
}

/* The text of a string or of any other scalar: without quotes and escapes. */
static struct wr_slice text_of(struct parser *p, struct wr_slice value)
{
    if (value.bytes < 2 || value.data[0] != '"') {
        return value;
    }
    const struct wr_slice inside = { value.data + 1, value.bytes - 2 };
    if (memchr(inside.data, '\\', inside.bytes) == NULL) {
        return inside;
    }
    char *room = wr_arena_alloc(&p->memory, inside.bytes);
    return (struct wr_slice){ room, wr_json_unescape(inside.data, inside.bytes, room) };
}

/* A scalar as it lies in a column; views borrow the text or the parser's memory. */
static bool scalar(struct parser *p, struct wr_type type, struct wr_slice json, void *value)
{
    struct wr_slice text = type.id == WR_TYPE_JSON ? json : text_of(p, json);
    memset(value, 0, 16);
    if (type.id == WR_TYPE_TEXT || type.id == WR_TYPE_JSON) {
        const struct wr_view view = wr_view_of(text.data, text.bytes);
        memcpy(value, &view, sizeof view);
        return true;
    }
    if (type.id == WR_TYPE_BYTES) {
        char *room = wr_arena_alloc(&p->memory, text.bytes / 4 * 3 + 3);
        size_t bytes = 0;
        if (json.data[0] != '"' || !wr_text_parse_base64(text, room, &bytes)) {
            return fail(p, "invalid", type);
        }
        const struct wr_view view = wr_view_of(room, bytes);
        memcpy(value, &view, sizeof view);
        return true;
    }
    return wr_text_parse(type, text, value) || fail(p, "invalid", type);
}

static bool put_body(struct parser *p, struct wr_type type, struct wr_slice json);

static bool put_slot(struct parser *p, struct wr_type type, struct wr_slice json)
{
    if (p->w->buf.bytes > WR_RECORD_BYTES_MAX) {
        return fail(p, "too large for", type); /* a few bytes of JSON can ask for a thousand fields */
    }
    if (wr_slice_is(json, "null")) {
        wr_nested_put_null(p->w);
        return true;
    }
    if (wr_type_is_nested(type)) {
        return put_body(p, type, json);
    }
    char value[16] __attribute__((aligned(16)));
    if (!scalar(p, type, json, value)) {
        return false;
    }
    wr_nested_put(p->w, type, value);
    return true;
}

/* ---- walking objects and arrays, which the scanner has passed as a whole ---- */

struct member {
    struct wr_slice name; /* with its quotes; empty: an array's element */
    struct wr_slice value;
};

/* at: behind the opening bracket or a comma. False behind the last one. */
static bool next_member(const char **at, const char *end, bool object, struct member *m)
{
    const char *from = wr_json_skip_space(*at, end);
    if (from >= end || *from == ']' || *from == '}') {
        return false;
    }
    m->name = (struct wr_slice){ from, 0 };
    if (object) {
        bool escaped;
        const char *after = wr_json_scan_string(from + 1, end, &escaped, NULL);
        m->name.bytes = (size_t)(after - from);
        from = wr_json_skip_space(wr_json_skip_space(after, end) + 1, end); /* the colon */
    }
    const char *after = wr_json_scan_value(from, end, 1, NULL);
    m->value = (struct wr_slice){ from, (size_t)(after - from) };
    after = wr_json_skip_space(after, end);
    *at = after < end && *after == ',' ? after + 1 : after;
    return true;
}

/* Objects mostly bring their fields in the type's order: the search begins where the last one ended. */
static uint32_t find_field(const struct wr_nested *nested, struct wr_slice name, uint32_t from)
{
    for (uint32_t i = 0; i < nested->field_count; i++) {
        const uint32_t at = from + i < nested->field_count ? from + i : from + i - nested->field_count;
        if (wr_slice_is(name, nested->fields[at].name)) {
            return at;
        }
    }
    return UINT32_MAX;
}

static bool put_struct(struct parser *p, struct wr_type type, struct wr_slice json)
{
    const struct wr_nested *nested = wr_nested_of(type);
    struct wr_slice values[WR_NESTED_FIELDS_MAX];
    memset(values, 0, nested->field_count * sizeof *values);
    const char *at = json.data + 1;
    struct member m;
    uint32_t next = 0;
    while (next_member(&at, json.data + json.bytes, true, &m)) {
        const uint32_t field = find_field(nested, text_of(p, m.name), next);
        if (field != UINT32_MAX) {
            values[field] = m.value;
            next = field + 1 < nested->field_count ? field + 1 : 0;
        }
    }
    for (uint32_t i = 0; i < nested->field_count; i++) {
        p->place = nested->fields[i].name;
        if (values[i].data == NULL) {
            wr_nested_put_null(p->w);
        } else if (!put_slot(p, nested->fields[i].type, values[i])) {
            return false;
        }
    }
    return true;
}

struct entry {
    char key[16] __attribute__((aligned(16)));
    struct wr_slice value;
    bool replaced;
};

static bool same_key(struct wr_type type, const struct entry *a, const struct entry *b)
{
    return wr_type_is_view(type) ? wr_view_equal((const void *)a->key, (const void *)b->key)
                                 : memcmp(a->key, b->key, sizeof a->key) == 0;
}

static uint64_t key_hash(struct wr_type type, const struct entry *e)
{
    const struct wr_slice bytes = wr_type_is_view(type)
                                      ? wr_view_slice((const void *)e->key)
                                      : (struct wr_slice){ e->key, sizeof e->key };
    return wr_hash_bytes(bytes.data, bytes.bytes);
}

/* Of equal keys all but the last are marked. */
static void settle(struct wr_type type, struct entry *entries, uint32_t count)
{
    uint32_t slots = 16;
    while (slots < count * 2) {
        slots *= 2;
    }
    uint32_t *table = wr_calloc(slots, sizeof *table); /* index + 1 */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)key_hash(type, &entries[i]) & (slots - 1);
        while (table[at] != 0 && !same_key(type, &entries[table[at] - 1], &entries[i])) {
            at = (at + 1) & (slots - 1);
        }
        if (table[at] != 0) {
            entries[table[at] - 1].replaced = true;
        }
        table[at] = i + 1;
    }
    free(table);
}

static bool put_map(struct parser *p, struct wr_type type, struct wr_slice json)
{
    const struct wr_nested *nested = wr_nested_of(type);
    const struct wr_type key = nested->fields[0].type;
    struct entry *entries = NULL;
    uint32_t count = 0;
    uint32_t capacity = 0;
    bool good = true;
    struct member m;
    const char *at = json.data + 1;
    p->place = "a key";
    while (good && next_member(&at, json.data + json.bytes, true, &m)) {
        if (count == capacity) {
            capacity = capacity == 0 ? 16 : capacity * 2;
            entries = wr_realloc(entries, capacity * sizeof *entries);
        }
        entries[count] = (struct entry){ .value = m.value };
        good = scalar(p, key, m.name, entries[count].key);
        count++;
    }
    if (good) {
        settle(key, entries, count);
    }
    for (uint32_t i = 0; good && i < count; i++) {
        if (!entries[i].replaced) {
            p->place = "a value";
            wr_nested_put(p->w, key, entries[i].key);
            good = put_slot(p, nested->fields[1].type, entries[i].value);
        }
    }
    free(entries);
    return good;
}

static bool put_array(struct parser *p, struct wr_type type, struct wr_slice json)
{
    const struct wr_type element = wr_nested_of(type)->fields[0].type;
    const char *at = json.data + 1;
    struct member m;
    while (next_member(&at, json.data + json.bytes, false, &m)) {
        if (!put_slot(p, element, m.value)) {
            return false;
        }
    }
    return true;
}

static bool put_body(struct parser *p, struct wr_type type, struct wr_slice json)
{
    if (json.data[0] != (type.id == WR_TYPE_ARRAY ? '[' : '{')) {
        return fail(p, type.id == WR_TYPE_ARRAY ? "no JSON array for" : "no JSON object for", type);
    }
    wr_nested_open(p->w, type);
    const bool good = type.id == WR_TYPE_STRUCT  ? put_struct(p, type, json)
                      : type.id == WR_TYPE_ARRAY ? put_array(p, type, json)
                                                 : put_map(p, type, json);
    if (good && p->w->depth > 1) {
        (void)wr_nested_close(p->w);
    }
    return good;
}

bool wr_nested_parse_json(struct wr_nested_writer *w, struct wr_type type, struct wr_slice json,
                          struct wr_slice *body, char *why, size_t why_bytes)
{
    struct parser p = { .w = w, .why = why, .why_bytes = why_bytes };
    const char *end = json.data + json.bytes;
    const char *at = wr_json_skip_space(json.data, end);
    const char *after = at < end ? wr_json_scan_value(at, end, 0, NULL) : NULL;
    wr_arena_init(&p.memory, 4u << 10);
    w->depth = 0;
    bool good = after != NULL && wr_json_skip_space(after, end) == end;
    if (!good) {
        (void)snprintf(why, why_bytes, "not JSON");
    } else {
        good = put_body(&p, type, (struct wr_slice){ at, (size_t)(after - at) });
    }
    if (good) {
        *body = wr_nested_close(w);
    }
    w->depth = 0;
    wr_arena_deinit(&p.memory);
    return good;
}
