/* manifest.c: one table of fields drives both directions, so that what is written is what is read.
 *
 * The text is checked whole (batch/json_scan.h), then walked; receipts are kept as the very bytes that they were,
 * because what they say belongs to their sink. */
#include "state/manifest.h"

#include "base/assert.h"
#include "base/clock.h"
#include "batch/json_scan.h"
#include "batch/text.h"
#include <stdio.h>

enum field_kind {
    FIELD_INT,
    FIELD_COUNT, /* uint64_t: never negative in the text */
    FIELD_SMALL, /* uint32_t */
    FIELD_TIME,  /* int64_t; null is WR_TIME_MIN */
    FIELD_BOOL,
    FIELD_CHARS, /* char[limit]: ASCII */
    FIELD_TEXT,  /* const char *; {"hex":"…"} when it is not UTF-8 (names of files may be anything) */
    FIELD_OBJECT,
    FIELD_OBJECTS, /* array of structs, its count at count_offset */
    FIELD_TEXTS,   /* array of const char * */
    FIELD_RAWS,    /* array of struct wr_slice: any JSON values */
};

struct field {
    const char *name; /* NULL ends a table */
    enum field_kind kind;
    bool optional; /* TEXT: left out when NULL; others: zero when missing */
    size_t offset;
    size_t count_offset;
    size_t limit; /* CHARS: bytes; OBJECTS: size of an element */
    const struct field *fields;
};

#define AT(type, member) .offset = offsetof(struct type, member)
#define LIST(type, member, counter)                                                                \
    AT(type, member), .count_offset = offsetof(struct type, counter)
#define PLAIN(type, member, how) { .name = #member, .kind = (how), AT(type, member) }
#define OBJECTS(type, member, counter, element, table)                                             \
    { .name = #member, .kind = FIELD_OBJECTS, LIST(type, member, counter),                         \
      .limit = sizeof(struct element), .fields = (table) }

static const struct field owner_fields[] = {
    { .name = "id", .kind = FIELD_CHARS, AT(wr_owner, id), .limit = sizeof((struct wr_owner *)0)->id },
    PLAIN(wr_owner, host, FIELD_TEXT),
    PLAIN(wr_owner, boot, FIELD_TEXT),
    PLAIN(wr_owner, pid, FIELD_INT),
    PLAIN(wr_owner, pid_start, FIELD_COUNT),
    PLAIN(wr_owner, pid_namespace, FIELD_COUNT),
    PLAIN(wr_owner, at_ms, FIELD_INT),
    PLAIN(wr_owner, released, FIELD_BOOL),
    { .name = NULL },
};

static const struct field split_fields[] = {
    PLAIN(wr_manifest_split, name, FIELD_TEXT),
    PLAIN(wr_manifest_split, position, FIELD_INT),
    PLAIN(wr_manifest_split, watermark_us, FIELD_TIME),
    PLAIN(wr_manifest_split, max_event_us, FIELD_TIME),
    PLAIN(wr_manifest_split, idle, FIELD_BOOL),
    { .name = "note", .kind = FIELD_TEXT, .optional = true, AT(wr_manifest_split, note) },
    { .name = NULL },
};

static const struct field source_fields[] = {
    PLAIN(wr_manifest_source, name, FIELD_TEXT),
    PLAIN(wr_manifest_source, emitted_us, FIELD_TIME),
    OBJECTS(wr_manifest_source, splits, split_count, wr_manifest_split, split_fields),
    { .name = NULL },
};

static const struct field cut_fields[] = {
    PLAIN(wr_manifest_cut, epoch, FIELD_COUNT),
    OBJECTS(wr_manifest_cut, sources, source_count, wr_manifest_source, source_fields),
    { .name = NULL },
};

static const struct field activation_fields[] = {
    PLAIN(wr_manifest_activation, source, FIELD_TEXT),
    PLAIN(wr_manifest_activation, split, FIELD_TEXT),
    PLAIN(wr_manifest_activation, position, FIELD_INT),
    PLAIN(wr_manifest_activation, floor_us, FIELD_TIME),
    { .name = NULL },
};

static const struct field sink_fields[] = {
    PLAIN(wr_manifest_sink, name, FIELD_TEXT),
    PLAIN(wr_manifest_sink, connector, FIELD_TEXT),
    PLAIN(wr_manifest_sink, exactly_once, FIELD_BOOL),
    PLAIN(wr_manifest_sink, cut, FIELD_COUNT),
    { .name = "receipts", .kind = FIELD_RAWS, LIST(wr_manifest_sink, receipts, receipt_count) },
    PLAIN(wr_manifest_sink, published, FIELD_BOOL),
    { .name = NULL },
};

static const struct field operator_fields[] = {
    PLAIN(wr_manifest_operator, name, FIELD_TEXT),
    PLAIN(wr_manifest_operator, fingerprint, FIELD_TEXT),
    PLAIN(wr_manifest_operator, cut, FIELD_COUNT),
    PLAIN(wr_manifest_operator, watermark_us, FIELD_TIME),
    { .name = NULL },
};

static const struct field snapshot_fields[] = {
    PLAIN(wr_manifest_snapshot, key, FIELD_TEXT),
    PLAIN(wr_manifest_snapshot, epoch, FIELD_COUNT),
    PLAIN(wr_manifest_snapshot, bytes, FIELD_COUNT),
    { .name = NULL },
};

static const struct field ledger_fields[] = {
    PLAIN(wr_manifest_ledger, sink, FIELD_TEXT),
    PLAIN(wr_manifest_ledger, source, FIELD_TEXT),
    PLAIN(wr_manifest_ledger, split, FIELD_TEXT),
    PLAIN(wr_manifest_ledger, read, FIELD_COUNT),
    PLAIN(wr_manifest_ledger, landed, FIELD_COUNT),
    PLAIN(wr_manifest_ledger, late, FIELD_COUNT),
    PLAIN(wr_manifest_ledger, partly_late, FIELD_COUNT),
    PLAIN(wr_manifest_ledger, dead_lettered, FIELD_COUNT),
    PLAIN(wr_manifest_ledger, filtered, FIELD_COUNT),
    PLAIN(wr_manifest_ledger, in_flight, FIELD_COUNT),
    { .name = NULL },
};

static const struct field manifest_fields[] = {
    PLAIN(wr_manifest, format, FIELD_SMALL),
    { .name = "uuid", .kind = FIELD_CHARS, AT(wr_manifest, uuid),
      .limit = sizeof((struct wr_manifest *)0)->uuid },
    PLAIN(wr_manifest, epoch, FIELD_COUNT),
    PLAIN(wr_manifest, pipeline, FIELD_TEXT),
    { .name = "owner", .kind = FIELD_OBJECT, AT(wr_manifest, owner), .fields = owner_fields },
    { .name = "predecessors", .kind = FIELD_TEXTS, LIST(wr_manifest, predecessors, predecessor_count) },
    OBJECTS(wr_manifest, cuts, cut_count, wr_manifest_cut, cut_fields),
    OBJECTS(wr_manifest, activations, activation_count, wr_manifest_activation, activation_fields),
    OBJECTS(wr_manifest, sinks, sink_count, wr_manifest_sink, sink_fields),
    OBJECTS(wr_manifest, operators, operator_count, wr_manifest_operator, operator_fields),
    OBJECTS(wr_manifest, snapshots, snapshot_count, wr_manifest_snapshot, snapshot_fields),
    OBJECTS(wr_manifest, ledger, ledger_count, wr_manifest_ledger, ledger_fields),
    { .name = NULL },
};

#undef AT
#undef LIST
#undef PLAIN
#undef OBJECTS

/* What a pointer is cast to at an offset that the tables name with the right type. */
static const void *member_of(const void *object, size_t offset)
{
    return (const char *)object + offset;
}

/* ---- writing ---- */

static void put_int(struct wr_buf *into, int64_t value)
{
    char *at = wr_buf_reserve(into, 32);
    into->bytes += (size_t)(wr_text_int64(at, value) - at);
}

static void put_count(struct wr_buf *into, uint64_t value)
{
    wr_assert(value <= INT64_MAX);
    put_int(into, (int64_t)value);
}

static void put_text(struct wr_buf *into, const char *text)
{
    const size_t bytes = text == NULL ? 0 : strlen(text);
    if (wr_utf8_valid(text, bytes)) {
        wr_text_json_string(into, text == NULL ? "" : text, bytes);
        return;
    }
    wr_buf_text(into, "{\"hex\":\"");
    for (size_t i = 0; i < bytes; i++) {
        wr_buf_printf(into, "%02x", (unsigned)(uint8_t)text[i]);
    }
    wr_buf_text(into, "\"}");
}

static void put_object(struct wr_buf *into, const void *object, const struct field *fields,
                       uint32_t depth);

/* A line per element, indented by depth: for the reader at three in the morning. */
static void put_list(struct wr_buf *into, const void *object, const struct field *field,
                     uint32_t depth)
{
    const uint32_t count = *(const uint32_t *)member_of(object, field->count_offset);
    const void *list = *(const void *const *)member_of(object, field->offset);
    wr_buf_byte(into, '[');
    for (uint32_t i = 0; i < count; i++) {
        wr_buf_text(into, i == 0 ? "\n" : ",\n");
        for (uint32_t space = 0; space <= depth; space++) {
            wr_buf_byte(into, ' ');
        }
        if (field->kind == FIELD_TEXTS) {
            put_text(into, ((const char *const *)list)[i]);
        } else if (field->kind == FIELD_RAWS) {
            const struct wr_slice raw = ((const struct wr_slice *)list)[i];
            wr_buf_append(into, raw.data, raw.bytes);
        } else {
            put_object(into, (const char *)list + field->limit * i, field->fields, depth + 1);
        }
    }
    wr_buf_byte(into, ']');
}

static void put_value(struct wr_buf *into, const void *object, const struct field *field,
                      uint32_t depth)
{
    const void *at = member_of(object, field->offset);
    switch (field->kind) {
    case FIELD_INT: put_int(into, *(const int64_t *)at); break;
    case FIELD_COUNT: put_count(into, *(const uint64_t *)at); break;
    case FIELD_SMALL: put_count(into, *(const uint32_t *)at); break;
    case FIELD_TIME:
        if (*(const int64_t *)at == WR_TIME_MIN) {
            wr_buf_text(into, "null");
        } else {
            put_int(into, *(const int64_t *)at);
        }
        break;
    case FIELD_BOOL: wr_buf_text(into, *(const bool *)at ? "true" : "false"); break;
    case FIELD_CHARS: put_text(into, at); break;
    case FIELD_TEXT: put_text(into, *(const char *const *)at); break;
    case FIELD_OBJECT: put_object(into, at, field->fields, depth + 1); break;
    default: put_list(into, object, field, depth); break;
    }
}

static void put_object(struct wr_buf *into, const void *object, const struct field *fields,
                       uint32_t depth)
{
    bool first = true;
    wr_buf_byte(into, '{');
    for (const struct field *field = fields; field->name != NULL; field++) {
        if (field->optional && field->kind == FIELD_TEXT &&
            *(const char *const *)member_of(object, field->offset) == NULL) {
            continue;
        }
        wr_buf_text(into, first ? "\"" : (depth == 0 ? ",\n\"" : ",\""));
        first = false;
        wr_buf_text(into, field->name);
        wr_buf_text(into, "\":");
        put_value(into, object, field, depth);
    }
    wr_buf_byte(into, '}');
}

void wr_manifest_write(const struct wr_manifest *manifest, struct wr_buf *into)
{
    put_object(into, manifest, manifest_fields, 0);
    wr_buf_byte(into, '\n');
}

/* ---- reading: everything below walks text that wr_json_valid has let through ---- */

struct reading {
    struct wr_arena *arena;
    struct wr_error *err;
};

static WR_NODISCARD wr_status damaged(const struct reading *r, const char *field, const char *why)
{
    (void)wr_fail(r->err, WR_CLASS_FATAL, "the manifest is damaged: \"%s\" %s", field, why);
    wr_error_hint(r->err, "manifests are only written by weir: was this one edited by hand?");
    return WR_FAIL;
}

static struct wr_slice value_at(const char **at, const char *end)
{
    *at = wr_json_skip_space(*at, end);
    const char *start = *at;
    *at = wr_json_scan_value(start, end, 0, NULL);
    wr_assert(*at != NULL);
    return (struct wr_slice){ start, (size_t)(*at - start) };
}

/* Steps to the next element of an array or object whose inside is [*at, end); false at its end. */
static bool next_element(const char **at, const char *end)
{
    *at = wr_json_skip_space(*at, end);
    if (*at < end && **at == ',') {
        *at = wr_json_skip_space(*at + 1, end);
    }
    return *at < end;
}

/* The inside of an object, array or string. */
static struct wr_slice inside(struct wr_slice value)
{
    return (struct wr_slice){ value.data + 1, value.bytes - 2 };
}

/* The value of an object's field, data NULL when it is not there; the first of the same name counts. */
static struct wr_slice find_field(struct wr_slice object, const char *name)
{
    const struct wr_slice body = inside(object);
    const char *at = body.data;
    const char *end = body.data + body.bytes;
    while (next_element(&at, end)) {
        const struct wr_slice key = inside(value_at(&at, end));
        at = wr_json_skip_space(at, end) + 1; /* the colon */
        const struct wr_slice value = value_at(&at, end);
        if (wr_slice_is(key, name)) {
            return value;
        }
    }
    return (struct wr_slice){ NULL, 0 };
}

static bool hex_digit(char c, uint32_t *value)
{
    if (c >= '0' && c <= '9') {
        *value = (uint32_t)(c - '0');
    } else if (c >= 'a' && c <= 'f') {
        *value = (uint32_t)(c - 'a') + 10;
    } else {
        return false;
    }
    return true;
}

static WR_NODISCARD wr_status get_hex(const struct reading *r, struct wr_slice value,
                                      const char *name, const char **out)
{
    const struct wr_slice hex = value.data[0] == '{' ? find_field(value, "hex")
                                                     : (struct wr_slice){ NULL, 0 };
    if (hex.data == NULL || hex.data[0] != '"' || hex.bytes % 2 != 0) {
        return damaged(r, name, "is not a text");
    }
    const struct wr_slice digits = inside(hex);
    char *text = wr_arena_zalloc(r->arena, digits.bytes / 2 + 1);
    for (size_t i = 0; i < digits.bytes; i += 2) {
        uint32_t high, low;
        if (!hex_digit(digits.data[i], &high) || !hex_digit(digits.data[i + 1], &low) ||
            high + low == 0) {
            return damaged(r, name, "is not a text in hex digits");
        }
        text[i / 2] = (char)(uint8_t)(high << 4 | low);
    }
    *out = text;
    return WR_OK;
}

static WR_NODISCARD wr_status get_text(const struct reading *r, struct wr_slice value,
                                       const char *name, const char **out)
{
    if (value.data[0] != '"') {
        return get_hex(r, value, name, out);
    }
    const struct wr_slice raw = inside(value);
    char *text = wr_arena_alloc(r->arena, raw.bytes + 1);
    const size_t bytes = wr_json_unescape(raw.data, raw.bytes, text);
    if (memchr(text, 0, bytes) != NULL) {
        return damaged(r, name, "holds a NUL");
    }
    text[bytes] = '\0';
    *out = text;
    return WR_OK;
}

static WR_NODISCARD wr_status get_number(const struct reading *r, struct wr_slice value,
                                         const struct field *field, void *at)
{
    int64_t number;
    if (field->kind == FIELD_TIME && wr_slice_is(value, "null")) {
        *(int64_t *)at = WR_TIME_MIN;
        return WR_OK;
    }
    if (!wr_text_parse_int64(value, &number)) {
        return damaged(r, field->name, "is not a whole number");
    }
    if (field->kind == FIELD_INT || field->kind == FIELD_TIME) {
        *(int64_t *)at = number;
        return WR_OK;
    }
    if (number < 0 || (field->kind == FIELD_SMALL && number > UINT32_MAX)) {
        return damaged(r, field->name, "is out of range");
    }
    if (field->kind == FIELD_SMALL) {
        *(uint32_t *)at = (uint32_t)number;
    } else {
        *(uint64_t *)at = (uint64_t)number;
    }
    return WR_OK;
}

static WR_NODISCARD wr_status get_chars(const struct reading *r, struct wr_slice value,
                                        const struct field *field, char *into)
{
    const char *text = NULL;
    WR_TRY(get_text(r, value, field->name, &text));
    if (strlen(text) >= field->limit) {
        return damaged(r, field->name, "is too long");
    }
    memset(into, 0, field->limit);
    memcpy(into, text, strlen(text));
    return WR_OK;
}

static WR_NODISCARD wr_status get_object(const struct reading *r, struct wr_slice value,
                                         const char *name, const struct field *fields, void *object);

static uint32_t count_elements(struct wr_slice array)
{
    const struct wr_slice body = inside(array);
    const char *at = body.data;
    uint32_t count = 0;
    while (next_element(&at, body.data + body.bytes)) {
        (void)value_at(&at, body.data + body.bytes);
        count++; /* fewer than UINT32_MAX: each takes a byte of a text below 4 GiB */
    }
    return count;
}

static WR_NODISCARD wr_status get_element(const struct reading *r, struct wr_slice value,
                                          const struct field *field, void *list, uint32_t index)
{
    if (field->kind == FIELD_TEXTS) {
        return get_text(r, value, field->name, (const char **)list + index);
    }
    if (field->kind == FIELD_RAWS) {
        const char *copy = wr_arena_strndup(r->arena, value.data, value.bytes);
        ((struct wr_slice *)list)[index] = (struct wr_slice){ copy, value.bytes };
        return WR_OK;
    }
    return get_object(r, value, field->name, field->fields, (char *)list + field->limit * index);
}

static WR_NODISCARD wr_status get_list(const struct reading *r, struct wr_slice value,
                                       const struct field *field, void *object)
{
    if (value.data[0] != '[') {
        return damaged(r, field->name, "is not a list");
    }
    const size_t element = field->kind == FIELD_TEXTS  ? sizeof(char *)
                           : field->kind == FIELD_RAWS ? sizeof(struct wr_slice)
                                                       : field->limit;
    const uint32_t count = count_elements(value);
    const struct wr_slice body = inside(value);
    const char *at = body.data;
    void *list = wr_arena_zalloc(r->arena, element * count);
    for (uint32_t i = 0; next_element(&at, body.data + body.bytes); i++) {
        WR_TRY(get_element(r, value_at(&at, body.data + body.bytes), field, list, i));
    }
    *(void **)((char *)object + field->offset) = list;
    *(uint32_t *)(void *)((char *)object + field->count_offset) = count;
    return WR_OK;
}

static WR_NODISCARD wr_status get_value(const struct reading *r, struct wr_slice value,
                                        const struct field *field, void *object)
{
    void *at = (char *)object + field->offset;
    switch (field->kind) {
    case FIELD_BOOL:
        if (value.data[0] != 't' && value.data[0] != 'f') {
            return damaged(r, field->name, "is neither true nor false");
        }
        *(bool *)at = value.data[0] == 't';
        return WR_OK;
    case FIELD_CHARS: return get_chars(r, value, field, at);
    case FIELD_TEXT: return get_text(r, value, field->name, at);
    case FIELD_OBJECT: return get_object(r, value, field->name, field->fields, at);
    case FIELD_OBJECTS:
    case FIELD_TEXTS:
    case FIELD_RAWS: return get_list(r, value, field, object);
    default: return get_number(r, value, field, at);
    }
}

/* Fields that are not in the table are passed over: a later version of the same format may have more. */
static WR_NODISCARD wr_status get_object(const struct reading *r, struct wr_slice value,
                                         const char *name, const struct field *fields, void *object)
{
    if (value.data[0] != '{') {
        return damaged(r, name, "is not an object");
    }
    for (const struct field *field = fields; field->name != NULL; field++) {
        const struct wr_slice found = find_field(value, field->name);
        if (found.data != NULL) {
            WR_TRY(get_value(r, found, field, object));
        } else if (!field->optional) {
            return damaged(r, field->name, "is missing");
        }
    }
    return WR_OK;
}

static WR_NODISCARD wr_status check_format(const struct reading *r, struct wr_slice object)
{
    int64_t format = 0;
    const struct wr_slice text = find_field(object, "format");
    if (text.data == NULL || !wr_text_parse_int64(text, &format) || format < 1) {
        return damaged(r, "format", "is not a version");
    }
    if (format > WR_MANIFEST_FORMAT) {
        (void)wr_fail(r->err, WR_CLASS_FATAL,
                      "the state was written by a newer weir: its manifest has format %lld, this "
                      "program knows %d",
                      (long long)format, WR_MANIFEST_FORMAT);
        wr_error_hint(r->err, "run a weir that knows state format %lld; nothing was changed",
                      (long long)format);
        return WR_FAIL;
    }
    return WR_OK;
}

wr_status wr_manifest_read(struct wr_manifest *manifest, struct wr_slice text, struct wr_error *err)
{
    const struct reading r = { .arena = &manifest->arena, .err = err };
    const char *end = text.data + text.bytes;
    wr_ensure(text.bytes > 0 && text.bytes < UINT32_MAX && wr_json_valid(text), err, WR_CLASS_FATAL,
              "the manifest is damaged: %zu bytes that are not JSON", text.bytes);
    const char *at = text.data;
    const struct wr_slice object = value_at(&at, end);
    wr_ensure(object.data[0] == '{', err, WR_CLASS_FATAL,
              "the manifest is damaged: it is not a JSON object");
    WR_TRY(check_format(&r, object));
    return get_object(&r, object, "manifest", manifest_fields, manifest);
}

/* ---- the rest ---- */

void wr_manifest_init(struct wr_manifest *manifest)
{
    memset(manifest, 0, sizeof *manifest);
    wr_arena_init(&manifest->arena, 16 << 10);
    manifest->format = WR_MANIFEST_FORMAT;
}

void wr_manifest_deinit(struct wr_manifest *manifest)
{
    wr_arena_deinit(&manifest->arena);
    memset(manifest, 0, sizeof *manifest);
}

void wr_manifest_key(uint64_t epoch, char key[48])
{
    snprintf(key, 48, "manifest/%020llu.json", (unsigned long long)epoch);
}

bool wr_manifest_key_epoch(const char *key, uint64_t *epoch)
{
    char again[48];
    unsigned long long value;
    if (sscanf(key, "manifest/%20llu.json", &value) != 1) {
        return false;
    }
    wr_manifest_key(value, again);
    *epoch = value;
    return strcmp(again, key) == 0; /* nothing before, behind or in other digits */
}

const struct wr_manifest_cut *wr_manifest_cut_of(const struct wr_manifest *manifest, uint64_t epoch)
{
    for (uint32_t i = manifest->cut_count; i > 0; i--) {
        if (manifest->cuts[i - 1].epoch == epoch) {
            return &manifest->cuts[i - 1];
        }
    }
    return NULL;
}

/* One search by name, in any of the lists. */
#define FIND(list, count, text)                                                                    \
    for (uint32_t i = 0; i < (count); i++) {                                                       \
        if (strcmp((list)[i].name, (text)) == 0) {                                                 \
            return &(list)[i];                                                                     \
        }                                                                                          \
    }                                                                                              \
    return NULL

const struct wr_manifest_sink *wr_manifest_sink_of(const struct wr_manifest *manifest,
                                                   const char *name)
{
    FIND(manifest->sinks, manifest->sink_count, name);
}

const struct wr_manifest_operator *wr_manifest_operator_of(const struct wr_manifest *manifest,
                                                           const char *name)
{
    FIND(manifest->operators, manifest->operator_count, name);
}

const struct wr_manifest_source *wr_manifest_source_of(const struct wr_manifest_cut *cut,
                                                       const char *name)
{
    FIND(cut->sources, cut->source_count, name);
}

const struct wr_manifest_split *wr_manifest_split_of(const struct wr_manifest_source *source,
                                                     const char *name)
{
    FIND(source->splits, source->split_count, name);
}
