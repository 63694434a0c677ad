#include "batch/nested.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/heap.h"
#include "batch/text.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>

/* ---- shapes ---- */

/* Readers index without the lock: an entry is complete before the id that names it leaves intern(). */
static _Atomic(const struct wr_nested *) shapes[WR_NESTED_SHAPES_MAX];
static uint32_t shape_count;
static pthread_mutex_t shapes_lock = PTHREAD_MUTEX_INITIALIZER;

static struct wr_type type_of(uint8_t id, uint32_t index)
{
    return (struct wr_type){ .id = id,
                             .precision = (uint8_t)(index & 0xff),
                             .scale = (uint8_t)(index >> 8) };
}

const struct wr_nested *wr_nested_of(struct wr_type type)
{
    wr_assert(wr_type_is_nested(type));
    const struct wr_nested *nested = atomic_load_explicit(
        &shapes[type.precision | (uint32_t)type.scale << 8], memory_order_acquire); /* intern's release */
    wr_assert(nested != NULL && nested->id == type.id);
    return nested;
}

static bool is_plain_name(const char *name)
{
    if (!(islower((unsigned char)name[0]) || name[0] == '_')) {
        return false;
    }
    for (const char *c = name; *c != '\0'; c++) {
        if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '_') {
            return false;
        }
    }
    return true;
}

static void put_name(struct wr_buf *text, const char *name)
{
    if (is_plain_name(name)) {
        wr_buf_text(text, name);
        return;
    }
    wr_buf_byte(text, '"');
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '"') {
            wr_buf_byte(text, '"');
        }
        wr_buf_byte(text, (uint8_t)*c);
    }
    wr_buf_byte(text, '"');
}

static void put_type(struct wr_buf *text, struct wr_type type)
{
    char name[32];
    wr_buf_text(text, wr_type_is_nested(type) ? wr_nested_of(type)->text
                                              : wr_type_name(type, name, sizeof name));
}

static void put_text(struct wr_buf *text, uint8_t id, const struct wr_nested_field *fields,
                     uint32_t count)
{
    if (id == WR_TYPE_ARRAY) {
        put_type(text, fields[0].type);
        wr_buf_text(text, "[]");
        return;
    }
    wr_buf_text(text, id == WR_TYPE_MAP ? "MAP<" : "STRUCT<");
    for (uint32_t i = 0; i < count; i++) {
        wr_buf_text(text, i > 0 ? ", " : "");
        if (id == WR_TYPE_STRUCT) {
            put_name(text, fields[i].name);
            wr_buf_byte(text, ' ');
        }
        put_type(text, fields[i].type);
    }
    wr_buf_byte(text, '>');
}

static const struct wr_nested *make_shape(uint8_t id, const struct wr_nested_field *fields,
                                          uint32_t count, uint8_t depth, struct wr_buf *text)
{
    struct wr_nested *made = wr_calloc(1, sizeof *made);
    struct wr_nested_field *own = wr_calloc(count, sizeof *own);
    for (uint32_t i = 0; i < count; i++) {
        own[i] = (struct wr_nested_field){ wr_strdup(fields[i].name), fields[i].type };
    }
    *made = (struct wr_nested){ .id = id,
                                .depth = depth,
                                .field_count = count,
                                .fields = own,
                                .text = wr_strdup(wr_buf_cstr(text)) };
    return made;
}

/* The text says all: equal texts are equal types. */
static wr_status intern(uint8_t id, const struct wr_nested_field *fields, uint32_t count,
                        struct wr_type *type, struct wr_error *err)
{
    uint8_t depth = 1;
    for (uint32_t i = 0; i < count; i++) {
        wr_assert(fields[i].type.id != WR_TYPE_STATE && fields[i].type.id != WR_TYPE_NULL);
        if (wr_type_is_nested(fields[i].type) && wr_nested_of(fields[i].type)->depth >= depth) {
            depth = (uint8_t)(wr_nested_of(fields[i].type)->depth + 1);
        }
    }
    wr_ensure(depth <= WR_NESTED_DEPTH_MAX, err, WR_CLASS_USER,
              "a type may be nested %u levels deep at most", WR_NESTED_DEPTH_MAX);
    struct wr_buf text = { 0 };
    put_text(&text, id, fields, count);
    (void)wr_buf_cstr(&text);
    (void)pthread_mutex_lock(&shapes_lock);
    uint32_t at = 0;
    for (; at < shape_count; at++) {
        const struct wr_nested *known = atomic_load_explicit(&shapes[at], memory_order_relaxed);
        if (known->id == id && strcmp(known->text, text.data) == 0) {
            break;
        }
    }
    if (at == shape_count && shape_count < WR_NESTED_SHAPES_MAX) {
        /* release: wr_nested_of's acquire */
        atomic_store_explicit(&shapes[at], make_shape(id, fields, count, depth, &text),
                              memory_order_release);
        shape_count++;
    }
    (void)pthread_mutex_unlock(&shapes_lock);
    wr_buf_deinit(&text);
    wr_ensure(at < WR_NESTED_SHAPES_MAX, err, WR_CLASS_USER, "more than %u nested types",
              WR_NESTED_SHAPES_MAX);
    *type = type_of(id, at);
    return WR_OK;
}

wr_status wr_nested_struct(const struct wr_nested_field *fields, uint32_t count,
                           struct wr_type *type, struct wr_error *err)
{
    wr_ensure(count > 0, err, WR_CLASS_USER, "a STRUCT needs a field");
    wr_ensure(count <= WR_NESTED_FIELDS_MAX, err, WR_CLASS_USER,
              "a STRUCT has %u fields at most, not %u", WR_NESTED_FIELDS_MAX, count);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            wr_ensure(strcmp(fields[i].name, fields[k].name) != 0, err, WR_CLASS_USER,
                      "a STRUCT has two fields named \"%s\"", fields[i].name);
        }
    }
    return intern(WR_TYPE_STRUCT, fields, count, type, err);
}

wr_status wr_nested_array(struct wr_type element, struct wr_type *type, struct wr_error *err)
{
    const struct wr_nested_field field = { "element", element };
    return intern(WR_TYPE_ARRAY, &field, 1, type, err);
}

wr_status wr_nested_map(struct wr_type key, struct wr_type value, struct wr_type *type,
                        struct wr_error *err)
{
    char name[32];
    wr_ensure(!wr_type_is_nested(key) && !wr_type_is_float(key) && key.id != WR_TYPE_JSON &&
                  key.id != WR_TYPE_INTERVAL,
              err, WR_CLASS_USER, "%s cannot be a MAP's key", wr_type_name(key, name, sizeof name));
    const struct wr_nested_field fields[] = { { "key", key }, { "value", value } };
    return intern(WR_TYPE_MAP, fields, 2, type, err);
}

int32_t wr_nested_find(const struct wr_nested *nested, struct wr_slice name)
{
    int32_t found = -1;
    bool ambiguous = false;
    for (uint32_t i = 0; i < nested->field_count; i++) {
        const char *own = nested->fields[i].name;
        if (strlen(own) != name.bytes || strncasecmp(own, name.data, name.bytes) != 0) {
            continue;
        }
        if (memcmp(own, name.data, name.bytes) == 0) {
            return (int32_t)i;
        }
        ambiguous = found >= 0;
        found = (int32_t)i;
    }
    return ambiguous ? -1 : found;
}

/* ---- writing ---- */

void wr_nested_writer_deinit(struct wr_nested_writer *w)
{
    wr_buf_deinit(&w->buf);
    w->depth = 0;
}

static void put_u32(struct wr_buf *buf, uint32_t value)
{
    wr_buf_append(buf, &value, sizeof value);
}

static void count_slot(struct wr_nested_writer *w)
{
    wr_dassert(w->depth > 0);
    w->open[w->depth - 1].count++;
}

void wr_nested_open(struct wr_nested_writer *w, struct wr_type type)
{
    wr_assert(w->depth < WR_NESTED_DEPTH_MAX);
    if (w->depth == 0) {
        w->buf.bytes = 0;
    } else {
        count_slot(w);
        wr_buf_byte(&w->buf, 1);
        put_u32(&w->buf, 0); /* its length, at close */
    }
    w->open[w->depth].at = w->buf.bytes;
    w->open[w->depth].count = 0;
    w->open[w->depth].id = type.id;
    w->depth++;
    if (type.id != WR_TYPE_STRUCT) {
        put_u32(&w->buf, 0); /* the count, at close */
    }
}

void wr_nested_put_null(struct wr_nested_writer *w)
{
    count_slot(w);
    wr_buf_byte(&w->buf, 0);
}

void wr_nested_put_bytes(struct wr_nested_writer *w, const char *data, size_t bytes)
{
    count_slot(w);
    wr_buf_byte(&w->buf, 1);
    put_u32(&w->buf, (uint32_t)bytes);
    wr_buf_append(&w->buf, data, bytes);
}

void wr_nested_put(struct wr_nested_writer *w, struct wr_type type, const void *value)
{
    if (wr_type_is_view(type)) {
        const struct wr_slice text = wr_view_slice(value);
        wr_nested_put_bytes(w, text.data, text.bytes);
        return;
    }
    count_slot(w);
    wr_buf_byte(&w->buf, 1);
    wr_buf_append(&w->buf, value, wr_type_width(type));
}

struct wr_slice wr_nested_close(struct wr_nested_writer *w)
{
    wr_assert(w->depth > 0);
    w->depth--;
    char *body = w->buf.data + w->open[w->depth].at;
    const size_t bytes = w->buf.bytes - w->open[w->depth].at;
    if (w->open[w->depth].id != WR_TYPE_STRUCT) {
        const uint32_t slots = w->open[w->depth].count;
        const uint32_t count = w->open[w->depth].id == WR_TYPE_MAP ? slots / 2 : slots;
        memcpy(body, &count, sizeof count);
    }
    if (w->depth > 0) {
        const uint32_t length = (uint32_t)bytes;
        memcpy(body - sizeof length, &length, sizeof length);
    }
    return (struct wr_slice){ body, bytes };
}

/* ---- reading ---- */

static uint32_t get_u32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static struct wr_type slot_type(const struct wr_nested *nested, uint32_t index)
{
    return nested->id == WR_TYPE_STRUCT ? nested->fields[index].type
           : nested->id == WR_TYPE_MAP  ? nested->fields[index & 1].type
                                        : nested->fields[0].type;
}

void wr_nested_walk(struct wr_nested_cursor *cursor, struct wr_type type, struct wr_slice body)
{
    *cursor = (struct wr_nested_cursor){ .nested = wr_nested_of(type),
                                         .at = body.data,
                                         .end = body.data + body.bytes };
    cursor->count = cursor->nested->field_count;
    if (type.id != WR_TYPE_STRUCT) {
        wr_assert(body.bytes >= 4);
        cursor->count = get_u32(body.data) * (type.id == WR_TYPE_MAP ? 2 : 1);
        cursor->at += 4;
    }
}

bool wr_nested_next(struct wr_nested_cursor *cursor, struct wr_type *type, void *value, bool *null)
{
    memset(value, 0, 16);
    if (cursor->index == cursor->count) {
        return false;
    }
    *type = slot_type(cursor->nested, cursor->index++);
    wr_assert(cursor->at < cursor->end);
    *null = *cursor->at++ == 0;
    if (*null) {
        return true;
    }
    if (!wr_type_is_view(*type)) {
        const uint32_t width = wr_type_width(*type);
        wr_assert((size_t)(cursor->end - cursor->at) >= width);
        memcpy(value, cursor->at, width);
        cursor->at += width;
        return true;
    }
    wr_assert((size_t)(cursor->end - cursor->at) >= 4);
    const uint32_t bytes = get_u32(cursor->at);
    cursor->at += 4;
    wr_assert((size_t)(cursor->end - cursor->at) >= bytes);
    const struct wr_view view = wr_view_of(cursor->at, bytes);
    memcpy(value, &view, sizeof view);
    cursor->at += bytes;
    return true;
}

bool wr_nested_at(struct wr_type type, struct wr_slice body, uint32_t index, void *value)
{
    struct wr_nested_cursor cursor;
    struct wr_type slot;
    bool null = true;
    wr_nested_walk(&cursor, type, body);
    for (uint32_t i = 0; i <= index; i++) {
        if (!wr_nested_next(&cursor, &slot, value, &null)) {
            return false;
        }
    }
    return !null;
}

bool wr_nested_lookup(struct wr_type type, struct wr_slice body, const void *key, void *value)
{
    struct wr_nested_cursor cursor;
    struct wr_type slot;
    bool null;
    char own[16] __attribute__((aligned(16)));
    wr_nested_walk(&cursor, type, body);
    while (wr_nested_next(&cursor, &slot, own, &null)) {
        const bool same = wr_type_is_view(slot) ? wr_view_equal((const void *)own, key)
                                                : memcmp(own, key, wr_type_width(slot)) == 0;
        if (!wr_nested_next(&cursor, &slot, value, &null)) {
            break;
        }
        if (same) {
            return !null;
        }
    }
    memset(value, 0, 16);
    return false;
}

uint32_t wr_nested_count(struct wr_type type, struct wr_slice body)
{
    return type.id == WR_TYPE_STRUCT ? wr_nested_of(type)->field_count : get_u32(body.data);
}

/* ---- bytes from outside ---- */

static bool check_body(struct wr_type type, const char **at, const char *end);

static bool check_slot(struct wr_type type, bool may_be_null, const char **at, const char *end)
{
    if (*at == end || (unsigned char)**at > 1 || (**at == 0 && !may_be_null)) {
        return false;
    }
    if (*(*at)++ == 0) {
        return true;
    }
    uint32_t bytes = wr_type_width(type);
    if (wr_type_is_view(type)) {
        if (end - *at < 4) {
            return false;
        }
        bytes = get_u32(*at);
        *at += 4;
    }
    if ((size_t)(end - *at) < bytes) {
        return false;
    }
    const char *inner = *at;
    *at += bytes;
    return !wr_type_is_nested(type) || (check_body(type, &inner, *at) && inner == *at);
}

static bool check_body(struct wr_type type, const char **at, const char *end)
{
    const struct wr_nested *nested = wr_nested_of(type);
    uint64_t slots = nested->field_count;
    if (type.id != WR_TYPE_STRUCT) {
        if (end - *at < 4) {
            return false;
        }
        slots = (uint64_t)get_u32(*at) * (type.id == WR_TYPE_MAP ? 2 : 1);
        *at += 4;
    }
    for (uint64_t i = 0; i < slots; i++) {
        const bool key = type.id == WR_TYPE_MAP && (i & 1) == 0;
        if (!check_slot(slot_type(nested, (uint32_t)(type.id == WR_TYPE_STRUCT ? i : i & 1)), !key,
                        at, end)) {
            return false;
        }
    }
    return true;
}

bool wr_nested_check(struct wr_type type, struct wr_slice body)
{
    const char *at = body.data;
    return check_body(type, &at, body.data + body.bytes) && at == body.data + body.bytes;
}

/* ---- text ---- */

static void put_key(struct wr_buf *buf, struct wr_type type, const void *key)
{
    struct wr_buf text = { 0 };
    wr_text_format(&text, type, key);
    wr_text_json_string(buf, text.data != NULL ? text.data : "", text.bytes);
    wr_buf_deinit(&text);
}

void wr_nested_format_json(struct wr_buf *buf, struct wr_type type, struct wr_slice body)
{
    struct wr_nested_cursor cursor;
    struct wr_type slot;
    bool null;
    char value[16] __attribute__((aligned(16)));
    wr_nested_walk(&cursor, type, body);
    wr_buf_byte(buf, type.id == WR_TYPE_ARRAY ? '[' : '{');
    for (uint32_t i = 0; wr_nested_next(&cursor, &slot, value, &null); i++) {
        const bool is_key = type.id == WR_TYPE_MAP && (i & 1) == 0;
        if (i > 0 && (type.id != WR_TYPE_MAP || is_key)) {
            wr_buf_byte(buf, ',');
        }
        if (type.id == WR_TYPE_STRUCT) {
            const char *name = cursor.nested->fields[i].name;
            wr_text_json_string(buf, name, strlen(name));
            wr_buf_byte(buf, ':');
        }
        if (is_key) {
            put_key(buf, slot, value);
            wr_buf_byte(buf, ':');
        } else if (null) {
            wr_buf_text(buf, "null");
        } else {
            wr_text_format_json(buf, slot, value);
        }
    }
    wr_buf_byte(buf, type.id == WR_TYPE_ARRAY ? ']' : '}');
}
