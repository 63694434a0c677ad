/* json.c: see json.h and json_shape.h. Making a decoder, and all that is not the fast way. */
#include "decode/json.h"

#include "base/assert.h"
#include "base/heap.h"
#include "batch/json_scan.h"
#include "batch/text.h"
#include "config/option.h"
#include "decode/json_checks.h"
#include "decode/json_shape.h"
#include "decode/registry.h"

/* timestamp_unit is common to all sources. */
const struct wr_option wr_json_options[] = {
    { "schema", WR_OPTION_TEXT, NULL,
      "File with a JSON Schema that records are held against, and that gives the columns when none are declared." },
    WR_REGISTRY_OPTIONS,
    { "subject", WR_OPTION_TEXT, NULL,
      "The registry's subject whose latest schema is used so; default: the one that each record's id names." },
    { "framing", WR_OPTION_ENUM, NULL,
      "What stands before a record: a registry's id or GUID (confluent; headers: in the header "
      "__value_schema_id), or nothing; default: confluent with a registry.",
      .enum_words = "none confluent headers" },
    { NULL },
};

/* How much of a bad value a fault shows. */
#define SHOWN_BYTES 60

/* Lengths may settle: all members are bet on again in every so many batches. */
#define RETRY_BATCHES 64

/* A copy larger than this is given back after its record: one giant must not cost memory for
 * good. */
#define COPY_KEPT_BYTES (1u << 20)

/* ---- making one ---- */

enum wr_json_kind wr_json_kind_of(struct wr_type type)
{
    switch (type.id) {
    case WR_TYPE_TEXT:
        return WR_JSON_TEXT;
    case WR_TYPE_INT64:
        return WR_JSON_INT64;
    case WR_TYPE_INT16:
    case WR_TYPE_INT32:
    case WR_TYPE_UINT16:
    case WR_TYPE_UINT32:
    case WR_TYPE_UINT64:
        return WR_JSON_INT;
    case WR_TYPE_FLOAT64:
        return WR_JSON_DOUBLE;
    case WR_TYPE_BOOL:
        return WR_JSON_BOOL;
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ:
        return WR_JSON_TIME;
    case WR_TYPE_DECIMAL:
        return WR_JSON_DECIMAL;
    default:
        return WR_JSON_OTHER;
    }
}

static struct wr_json_node *make_node(struct wr_json_decoder *d, uint32_t depth)
{
    struct wr_json_node *node = WR_ARENA_NEW(&d->arena, struct wr_json_node);
    node->depth = depth;
    return node;
}

struct wr_json_key *wr_json_find_key(const struct wr_json_node *node, struct wr_slice name)
{
    for (struct wr_json_key *key = node->keys; key != NULL; key = key->next) {
        if (wr_slice_equal(key->name, name)) {
            return key;
        }
    }
    return NULL;
}

static struct wr_json_key *add_key(struct wr_json_decoder *d, struct wr_json_node *node,
                                   const char *name)
{
    struct wr_json_key *key = wr_json_find_key(node, wr_slice_of(name));
    if (key == NULL) {
        key = WR_ARENA_NEW(&d->arena, struct wr_json_key);
        key->name = wr_slice_of(name);
        key->next = node->keys;
        node->keys = key;
        node->shape_capacity++;
    }
    return key;
}

static void add_field(struct wr_json_decoder *d, struct wr_json_field *field,
                      const struct wr_field *from)
{
    struct wr_json_node *node = d->root;
    for (uint32_t i = 0; i + 1 < from->path_count; i++) {
        struct wr_json_key *key = add_key(d, node, from->path[i]);
        if (key->child == NULL) {
            key->child = make_node(d, i + 2);
        }
        node = key->child;
    }
    struct wr_json_key *key = add_key(d, node, from->path[from->path_count - 1]);
    field->next = key->field;
    key->field = field;
}

static void make_shapes(struct wr_json_decoder *d, struct wr_json_node *node)
{
    node->shape_capacity += WR_JSON_SHAPE_SPARE;
    const size_t bytes = (node->shape_capacity + 1) * sizeof(struct wr_json_member);
    const uintptr_t at = (uintptr_t)wr_arena_zalloc(&d->arena, bytes + 31);
    node->shape = (struct wr_json_member *)((at + 31) & ~(uintptr_t)31);
    node->shape[0].glue_mask = WR_JSON_NO_GLUE;
    for (struct wr_json_key *key = node->keys; key != NULL; key = key->next) {
        if (key->child != NULL) {
            make_shapes(d, key->child);
        }
    }
}

bool wr_json_has_avx2(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
#else
    return false;
#endif
}

bool wr_json_has_avx512(void)
{
#if defined(__x86_64__)
    return wr_json_has_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi2");
#else
    return false;
#endif
}

static void choose_walk(struct wr_json_decoder *d)
{
    d->run = wr_json_has_avx512() ? wr_json_run_avx512
             : wr_json_has_avx2() ? wr_json_run_avx2
                                  : wr_json_run_plain;
}

static wr_status check_field(const struct wr_field *field, struct wr_error *err)
{
    /* The path's objects are walked by recursion and count as nesting. */
    wr_ensure(field->path_count < WR_JSON_DEPTH_MAX, err, WR_CLASS_USER,
              "column \"%s\" lies %u levels deep; json goes down to %u", field->name,
              field->path_count, WR_JSON_DEPTH_MAX - 1);
    return WR_OK;
}

static void fill_fields(struct wr_json_decoder *d)
{
    static const int64_t multipliers[] = { 1000000, 1000, 1, 0 };
    const struct wr_schema *schema = d->schema;
    d->unit_multiplier = multipliers[d->unit_digits / 3];
    d->fields = WR_ARENA_ARRAY(&d->arena, struct wr_json_field, schema->count + 1);
    for (uint32_t c = 0; c < schema->count; c++) {
        const struct wr_field *from = &schema->fields[c];
        if (from->path == NULL || from->path_count == 0) {
            continue;
        }
        struct wr_json_field *field = &d->fields[d->field_count];
        field->type = from->type;
        field->width = wr_type_width(from->type);
        field->column = c;
        field->seen_word = d->field_count / 64;
        field->seen_bit = 1ull << (d->field_count % 64);
        field->not_null = from->not_null;
        field->dotted = wr_decoder_dotted(from, &d->arena);
        d->all[field->seen_word] |= field->seen_bit;
        d->field_count++;
        add_field(d, field, from);
    }
    d->seen_words = (d->field_count + 63) / 64;
}

wr_status wr_json_create(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                         const struct wr_options *options, struct wr_error *err)
{
    wr_ensure(scan_fields->count <= WR_COLUMNS_MAX, err, WR_CLASS_USER,
              "%u columns; a source can have %u", scan_fields->count, WR_COLUMNS_MAX);
    for (uint32_t c = 0; c < scan_fields->count; c++) {
        WR_TRY(check_field(&scan_fields->fields[c], err));
    }
    struct wr_json_checks *checks = NULL;
    WR_TRY(wr_json_checks_create(&checks, options, err));
    struct wr_json_decoder *d = wr_calloc_aligned(sizeof(*d));
    d->checks = checks;
    d->base.ops = wr_decoder_find("json");
    d->schema = scan_fields;
    d->unit_digits = wr_decoder_unit_digits(options);
    wr_arena_init(&d->arena, 0);
    d->root = make_node(d, 1);
    fill_fields(d);
    make_shapes(d, d->root);
    choose_walk(d);
    d->marks = wr_arena_alloc(&d->arena, WR_JSON_MARKS_ROOM * sizeof(*d->marks));
    d->templates.tries = WR_JSON_TRIAL_RECORDS;
    d->templates.hits = WR_JSON_TRIAL_RECORDS; /* the first trial begins with the first batch */
    *decoder = &d->base;
    return WR_OK;
}

void wr_json_destroy(struct wr_decoder *decoder)
{
    struct wr_json_decoder *d = (struct wr_json_decoder *)decoder;
    wr_json_templates_deinit(&d->templates);
    wr_arena_deinit(&d->arena);
    wr_nested_writer_deinit(&d->writer);
    wr_buf_deinit(&d->spans);
    wr_json_checks_destroy(d->checks);
    free(d->copy);
    free(d);
}

/* ---- one batch ---- */

/* rows: in the batch before. again: give every member another chance. */
static void refresh_shapes(struct wr_json_node *node, uint32_t rows, bool again)
{
    for (uint32_t i = 0; i < node->shape_count; i++) {
        struct wr_json_member *m = &node->shape[i];
        /* A lost bet costs more than a won one gains, and misses come in runs. */
        m->steady = again || (m->steady && m->misses <= rows / 8);
        m->misses = 0;
        if (m->field != NULL) {
            m->values = m->field->values;
        }
    }
    for (const struct wr_json_key *key = node->keys; key != NULL; key = key->next) {
        if (key->child != NULL) {
            refresh_shapes(key->child, rows, again);
        }
    }
}

void wr_json_decode(struct wr_decoder *decoder, const struct wr_records *records,
                    struct wr_batch *batch, struct wr_faults *faults)
{
    struct wr_json_decoder *d = (struct wr_json_decoder *)decoder;
    wr_assert(batch->columns_count == d->schema->count && records->count <= WR_BATCH_ROWS_MAX);
    d->batch = batch;
    d->faults = faults;
    for (uint32_t i = 0; i < d->field_count; i++) {
        d->fields[i].values = batch->columns[d->fields[i].column].values;
    }
    refresh_shapes(d->root, d->rows_before, d->batches++ % RETRY_BATCHES == 0);
    d->rows_before = records->count;
    wr_json_templates_refresh(d);
    if (d->checks != NULL) {
        records = wr_json_checks_strip(d->checks, records);
    }
    d->run(d, records);
    if (d->checks != NULL) {
        wr_json_checks_run(d->checks, records, faults);
    }
    wr_decoder_finish(batch, d->schema, records->count, faults);
    if (d->copy_capacity > COPY_KEPT_BYTES) {
        free(d->copy);
        d->copy = NULL;
        d->copy_capacity = 0;
    }
    if (d->writer.buf.capacity > COPY_KEPT_BYTES) {
        wr_nested_writer_deinit(&d->writer);
    }
}

wr_status wr_json_needs(struct wr_decoder *decoder, const struct wr_records *records)
{
    struct wr_json_decoder *d = (struct wr_json_decoder *)decoder;
    return d->checks == NULL ? WR_OK : wr_json_checks_need(d->checks, records);
}

static void copy_record(struct wr_json_decoder *d, const struct wr_record *record)
{
    const size_t need = WR_JSON_LEAD_BYTES + (size_t)record->bytes + WR_JSON_PADDING;
    if (need > d->copy_capacity) {
        free(d->copy);
        d->copy_capacity = need < 4096 ? 4096 : need + need / 2;
        d->copy = wr_malloc(d->copy_capacity);
    }
    char *into = d->copy + WR_JSON_LEAD_BYTES;
    memset(d->copy, 0, WR_JSON_LEAD_BYTES);
    memcpy(into, record->data, record->bytes);
    memset(into + record->bytes, 0, WR_JSON_PADDING);
    d->start = into;
    d->end = into + record->bytes;
    d->origin = (ptrdiff_t)((uintptr_t)record->data - (uintptr_t)into);
}

bool wr_json_open_slow(struct wr_json_decoder *d, const struct wr_record *record)
{
    if (record->data == NULL || record->bytes == 0) {
        wr_json_fault(d, NULL, "empty record");
        return false;
    }
    if (record->bytes > WR_RECORD_BYTES_MAX) {
        wr_json_fault(d, NULL, "record is larger than 64 MiB");
        return false;
    }
    copy_record(d, record);
    return true;
}

/* ---- faults ---- */

const char *wr_json_fault(struct wr_json_decoder *d, const char *at, const char *what)
{
    if (at == NULL) {
        wr_faults_add(d->faults, d->row, NULL, "%s", what);
    } else {
        wr_faults_add(d->faults, d->row, NULL, "malformed JSON: %s (near byte %zu)", what,
                      (size_t)(at - d->start));
    }
    return NULL;
}

void wr_json_ill_typed(struct wr_json_decoder *d, const char *where, struct wr_type wanted,
                       const char *at, const char *after)
{
    char type[32];
    const size_t bytes = (size_t)(after - at);
    int shown = bytes > SHOWN_BYTES ? SHOWN_BYTES : (int)bytes;
    while (shown < (int)bytes && shown > 0 && ((uint8_t)at[shown] & 0xc0) == 0x80) {
        shown--; /* not in the middle of a character */
    }
    wr_faults_add(d->faults, d->row, where, "%.*s%s is not a valid %s", shown, at,
                  shown < (int)bytes ? "..." : "", wr_type_name(wanted, type, sizeof(type)));
}

bool wr_json_fill_nulls(struct wr_json_decoder *d)
{
    for (uint32_t i = 0; i < d->field_count; i++) {
        const struct wr_json_field *field = &d->fields[i];
        if ((d->seen[field->seen_word] & field->seen_bit) == 0 && field->not_null) {
            wr_faults_add(d->faults, d->row, field->dotted,
                          "column is NOT NULL, but the value is null or missing");
            return false;
        }
    }
    for (uint32_t w = 0; w < d->seen_words; w++) {
        for (uint64_t left = d->all[w] & ~d->seen[w]; left != 0; left &= left - 1) {
            const uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(left);
            const struct wr_json_field *field = &d->fields[i];
            memset((char *)field->values + (size_t)d->row * field->width, 0, field->width);
            wr_bit_clear(wr_batch_nullable(d->batch, field->column), d->row);
        }
    }
    return true;
}

/* ---- values, the complete way ---- */

static struct wr_view borrowed(const struct wr_json_decoder *d, const char *at, size_t bytes)
{
    struct wr_view view = wr_view_of(at, bytes);
    if (bytes > WR_VIEW_INLINE_BYTES) {
        view.data = (const char *)((uintptr_t)at + (uintptr_t)d->origin);
    }
    return view;
}

struct wr_slice wr_json_contents(struct wr_json_decoder *d, const char *at, const char *after,
                                 bool *own)
{
    struct wr_slice text = { at + 1, (size_t)(after - at) - 2 };
    *own = text.bytes > 0 && memchr(text.data, '\\', text.bytes) != NULL;
    if (*own) {
        char *into = wr_arena_alloc(&d->batch->arena, text.bytes);
        text.bytes = wr_json_unescape(text.data, text.bytes, into);
        text.data = into;
    }
    return text;
}

bool wr_json_convert(struct wr_json_decoder *d, struct wr_type type, const char *at,
                     const char *after, void *out)
{
    if (type.id == WR_TYPE_BOOL) {
        *(uint8_t *)out = *at == 't';
        return *at == 't' || *at == 'f';
    }
    if (*at == '"') {
        bool own;
        const struct wr_slice text = wr_json_contents(d, at, after, &own);
        return wr_decoder_convert(type, text, false, d->unit_digits, &d->batch->arena, out);
    }
    if (*at != '-' && (uint8_t)(*at - '0') > 9) {
        return false;
    }
    const struct wr_slice text = { at, (size_t)(after - at) };
    return wr_decoder_convert(type, text, true, d->unit_digits, &d->batch->arena, out);
}

/* Remembers the day of an RFC 3339 text for the fast way. */
static void note_day(struct wr_json_decoder *d, const char *at, const char *after)
{
    int32_t days;
    if (*at != '"' || after - at < 12 ||
        !wr_text_parse_date((struct wr_slice){ at + 1, 10 }, &days)) {
        return;
    }
    memcpy(&d->day_head, at + 1, 8);
    d->day_tail = (uint64_t)(uint8_t)at[9] | (uint64_t)(uint8_t)at[10] << 8;
    d->day_us = (int64_t)days * 86400000000;
}

static bool store_one(struct wr_json_decoder *d, struct wr_json_field *field, const char *at,
                      const char *after)
{
    void *out = (char *)field->values + (size_t)d->row * field->width;
    if (field->type.id == WR_TYPE_TEXT && *at == '"') {
        bool own;
        const struct wr_slice text = wr_json_contents(d, at, after, &own);
        *(struct wr_view *)out =
            own ? wr_view_of(text.data, text.bytes) : borrowed(d, text.data, text.bytes);
    } else if (field->type.id == WR_TYPE_TEXT || field->type.id == WR_TYPE_JSON) {
        *(struct wr_view *)out = borrowed(d, at, (size_t)(after - at));
    } else if (wr_type_is_nested(field->type)) {
        if (!wr_json_nested(d, field, at, out)) {
            return false;
        }
    } else {
        alignas(16) char room[16];
        if (!wr_json_convert(d, field->type, at, after, room)) {
            wr_json_ill_typed(d, field->dotted, field->type, at, after);
            return false;
        }
        memcpy(out, room, field->width);
        if (wr_type_is_timestamp(field->type)) {
            note_day(d, at, after);
        }
    }
    d->seen[field->seen_word] |= field->seen_bit;
    return true;
}

static bool is_null(const char *at, const char *after)
{
    return after - at == 4 && memcmp(at, "null", 4) == 0;
}

bool wr_json_store(struct wr_json_decoder *d, struct wr_json_field *field, const char *at,
                   const char *after)
{
    const bool null = is_null(at, after);
    for (; field != NULL; field = field->next) {
        if (null) {
            d->seen[field->seen_word] &= ~field->seen_bit;
        } else if (!store_one(d, field, at, after)) {
            return false;
        }
    }
    return true;
}

const char *wr_json_value_slow(struct wr_json_decoder *d, struct wr_json_field *field,
                               const char *at, uint32_t depth)
{
    const char *why = "";
    at = wr_json_skip_space(at, d->end); /* more of it than the glue had */
    const char *after = wr_json_scan_value(at, d->end, depth, &why);
    if (after == NULL) {
        return wr_json_fault(d, at, why);
    }
    return wr_json_store(d, field, at, after) ? after : NULL;
}

void wr_json_forget(struct wr_json_decoder *d, struct wr_json_node *node)
{
    for (struct wr_json_key *key = node->keys; key != NULL; key = key->next) {
        for (struct wr_json_field *field = key->field; field != NULL; field = field->next) {
            d->seen[field->seen_word] &= ~field->seen_bit;
        }
        if (key->child != NULL) {
            wr_json_forget(d, key->child);
        }
    }
}

/* ---- shapes ---- */

static bool glue_is(const struct wr_json_decoder *d, const struct wr_json_member *m, const char *at)
{
    return (size_t)(d->end - at) > m->glue_bytes && memcmp(at, m->glue, m->glue_bytes) == 0;
}

/* What a member with this key does. */
static void aim_member(struct wr_json_decoder *d, struct wr_json_member *m,
                       const struct wr_json_key *key)
{
    m->field = key == NULL ? NULL : key->field;
    m->child = key == NULL ? NULL : key->child;
    if (m->field != NULL) {
        m->values = m->field->values;
        m->seen = &d->seen[m->field->seen_word];
        m->seen_bit = m->field->seen_bit;
    }
    if (m->child != NULL) {
        m->kind = WR_JSON_CHILD;
    } else if (m->field == NULL) {
        m->kind = WR_JSON_SKIP;
    } else {
        m->kind = m->field->next != NULL ? WR_JSON_OTHER : wr_json_kind_of(m->field->type);
    }
}

/* Puts the glue into the shape before the member that was expected; when the shape is full, in its
 * place. */
static struct wr_json_member *learn(struct wr_json_node *node, struct wr_json_member *expected,
                                    const char *glue, size_t bytes)
{
    struct wr_json_member *last = node->shape + node->shape_count;
    if (node->shape_count < node->shape_capacity) {
        memmove(expected + 1, expected, (size_t)(last + 1 - expected) * sizeof(*expected));
        node->shape_count++;
    } else if (expected == last) {
        expected--;
    }
    memset(expected, 0, sizeof(*expected));
    memcpy(expected->glue, glue, bytes);
    expected->steady = true;
    expected->glue_bytes = (uint32_t)bytes;
    expected->glue_mask = bytes > 32 ? WR_JSON_NO_GLUE : (1ull << bytes) - 1;
    return expected;
}

/* at: at a key's opening quote, behind the glue's beginning. */
static const char *parse_key(struct wr_json_decoder *d, struct wr_json_node *node, const char *glue,
                             const char *at, struct wr_json_member **member)
{
    const char *why = "";
    bool escaped;
    if (at == d->end || *at != '"') {
        return wr_json_fault(d, at, "expected a key");
    }
    const char *after = wr_json_scan_string(at + 1, d->end, &escaped, &why);
    if (after == NULL) {
        return wr_json_fault(d, at, why);
    }
    bool own;
    const struct wr_slice name = wr_json_contents(d, at, after, &own);
    at = wr_json_skip_space(after, d->end);
    if (at == d->end || *at != ':') {
        return wr_json_fault(d, at, "expected ':' after a key");
    }
    at = wr_json_skip_space(at + 1, d->end);
    if (at == d->end) {
        return wr_json_fault(d, at, "a value is missing");
    }
    const size_t bytes = (size_t)(at - glue);
    *member = bytes <= WR_JSON_GLUE_BYTES ? learn(node, *member, glue, bytes) : &d->passing;
    (*member)->opens = *glue == '{';
    aim_member(d, *member, wr_json_find_key(node, name));
    return at;
}

const char *wr_json_resync(struct wr_json_decoder *d, struct wr_json_node *node, const char *at,
                           bool first, struct wr_json_member **member)
{
    const char *glue = at;
    at = wr_json_skip_space(first ? at + 1 : at, d->end);
    if (at >= d->end) {
        return wr_json_fault(d, d->end, "ends inside an object");
    }
    if (*at == '}') {
        *member = NULL;
        return at + 1;
    }
    const struct wr_json_member *last = node->shape + node->shape_count;
    struct wr_json_member *m = *member;
    for (uint32_t i = 0; i < WR_JSON_LOOKAHEAD && m < last; i++, m++) {
        if (m->opens == first && glue_is(d, m, glue)) {
            *member = m;
            return glue + m->glue_bytes;
        }
    }
    if (!first) {
        if (*at != ',') {
            return wr_json_fault(d, at, "expected ',' or '}'");
        }
        at = wr_json_skip_space(at + 1, d->end);
    }
    return parse_key(d, node, glue, at, member);
}
