/* make_parquet.c: writes one Parquet file whose every value test_parquet.py can compute by itself.
 *
 *   make_parquet OUT key=value...
 *     rows=N seed=N shape=random|small|sorted|extreme nulls=none|some|all|runs columns=LETTERS (default all)
 *     sel=1 (every third row of a batch is dead) batch=N (rows of a batch) partition=1 (append_rows, two halves)
 *     group_rows=N group_bytes=N page_rows=N page_bytes=N level=N files=N (OUT, OUT.1 ... with shared memory)
 *     dict=0 plain=1 crc=1 local=1 flush=N (flush_row_group every N batches) skip=LETTERS required=1
 *
 * The value of row r in column c is made of v = mix(seed * 1000003 + r * 64 + c); see fill_value.
 */
#include "base/assert.h"
#include "base/heap.h"
#include "encode/parquet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct setup {
    const char *out;
    uint64_t rows, seed;
    char shape, nulls; /* first letters */
    bool sel, partition, required;
    uint32_t batch, flush, files;
    const char *columns, *skip;
    struct wr_parquet_options options;
};

static const struct {
    char letter;
    const char *name;
    struct wr_type type;
} kinds[] = {
    { 'b', "bool", { .id = WR_TYPE_BOOL } },
    { 's', "int16", { .id = WR_TYPE_INT16 } },
    { 'i', "int32", { .id = WR_TYPE_INT32 } },
    { 'l', "int64", { .id = WR_TYPE_INT64 } },
    { 'S', "uint16", { .id = WR_TYPE_UINT16 } },
    { 'I', "uint32", { .id = WR_TYPE_UINT32 } },
    { 'L', "uint64", { .id = WR_TYPE_UINT64 } },
    { 'f', "float32", { .id = WR_TYPE_FLOAT32 } },
    { 'd', "float64", { .id = WR_TYPE_FLOAT64 } },
    { 'x', "dec9", { .id = WR_TYPE_DECIMAL, .precision = 9, .scale = 2 } },
    { 'y', "dec18", { .id = WR_TYPE_DECIMAL, .precision = 18, .scale = 4 } },
    { 'z', "dec38", { .id = WR_TYPE_DECIMAL, .precision = 38, .scale = 10 } },
    { 't', "text", { .id = WR_TYPE_TEXT } },
    { 'B', "bytes", { .id = WR_TYPE_BYTES } },
    { 'D', "date", { .id = WR_TYPE_DATE } },
    { 'T', "ts", { .id = WR_TYPE_TIMESTAMP } },
    { 'Z', "tstz", { .id = WR_TYPE_TIMESTAMPTZ } },
    { 'v', "interval", { .id = WR_TYPE_INTERVAL } },
    { 'j', "json", { .id = WR_TYPE_JSON } },
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static bool is_null(const struct setup *s, uint64_t row, uint64_t v)
{
    switch (s->nulls) {
    case 'a':
        return true;
    case 's':
        return (v >> 40) % 7 == 3;
    case 'r':
        return row / 1000 % 3 == 1;
    default:
        return false;
    }
}

static double extreme_f64(uint64_t v)
{
    const double values[] = { NAN, INFINITY, -INFINITY, 0.0, -0.0, 1.7976931348623157e308, 5e-324, 1.5 };
    return values[v % 8];
}

static __int128 decimal(char letter, char shape, uint64_t v)
{
    const uint64_t limit = letter == 'x' ? 999999999ULL : 999999999999999999ULL;
    __int128 high = (__int128)limit;
    for (int i = 0; letter == 'z' && i < 20; i++) {
        high = high * 10 + 9; /* 38 nines */
    }
    if (shape == 'e') {
        return v % 3 == 0 ? high : v % 3 == 1 ? -high : 0;
    }
    if (letter == 'z' && shape != 'm' && shape != 'o') {
        return (__int128)(int64_t)v * 1000000007;
    }
    return (__int128)(v % (2 * limit + 1)) - (__int128)limit;
}

static struct wr_interval interval(uint64_t v)
{
    const struct wr_interval values[] = {
        { 0, 0, 0 }, { 0, 1, 7384000000 }, { 14, 0, 0 }, { 0, 0, -1500000 }, { -1, 3, 1 } };
    return values[v % 5];
}

static struct wr_view text_view(struct wr_arena *arena, char letter, char shape, uint64_t v)
{
    char text[256];
    uint32_t n = 0;
    if (letter == 'j') {
        n = (uint32_t)snprintf(text, sizeof text, "{\"a\": %llu}", (unsigned long long)v);
    } else if (letter == 'B') {
        for (uint64_t i = 0; i < v % 4; i++, n += 8) {
            memcpy(text + n, &v, 8);
        }
    } else if (shape == 'e') {
        /* Empty, all of the alphabet's last letter, and more than a statistic keeps. */
        n = v % 4 == 0 ? 0 : v % 4 == 1 ? 200 : v % 4 == 2 ? 64 : 66;
        for (uint32_t i = 0; i + 2 <= n; i += 2) {
            memcpy(text + i, "\xc3\xbf", 2);
        }
    } else if (shape == 'o') {
        n = (uint32_t)snprintf(text, sizeof text, "https://example.org/items/%012llu", (unsigned long long)v);
    } else {
        n = (uint32_t)snprintf(text, sizeof text, "%llx%.*s", (unsigned long long)v, (int)(v % 37),
                               "-abcdefghijklmnopqrstuvwxyz0123456789");
    }
    const char *kept = n > WR_VIEW_INLINE_BYTES ? wr_arena_strndup(arena, text, n) : text;
    return wr_view_of(kept, n);
}

static int64_t integer(char letter, char shape, uint64_t v)
{
    const bool date = letter == 'D';
    const bool time = letter == 'T' || letter == 'Z';
    if (shape == 'e') {
        const int64_t i64[] = { INT64_MIN, INT64_MAX, 0, -1, 1 };
        const int32_t i32[] = { INT32_MIN, INT32_MAX, 0, -1, 1 };
        const int16_t i16[] = { INT16_MIN, INT16_MAX, 0, -1, 1 };
        return letter == 's' || letter == 'S'                 ? i16[v % 5]
               : date || letter == 'i' || letter == 'I'       ? i32[v % 5]
                                                              : i64[v % 5];
    }
    if (date) {
        return (int64_t)(v % 2000000) - 700000;
    }
    return time && shape == 'r' ? (int64_t)(v % 4000000000000000ULL) : (int64_t)v;
}

static void fill_value(char letter, char shape, uint64_t v, struct wr_arena *arena, char *out)
{
    const int64_t number = integer(letter, shape, v);
    switch (letter) {
    case 'b':
        *out = (char)(v & 1);
        break;
    case 's':
    case 'S':
        memcpy(out, &number, 2);
        break;
    case 'i':
    case 'I':
    case 'D':
        memcpy(out, &number, 4);
        break;
    case 'f': {
        const float f = shape == 'e' ? (float)(v % 8 == 6 ? 1e-45 : v % 8 == 5 ? 3.4028234e38 : extreme_f64(v))
                                     : (float)(int32_t)v * 0.25f;
        memcpy(out, &f, 4);
        break;
    }
    case 'd': {
        const double d = shape == 'e' ? extreme_f64(v) : (double)(int64_t)(v >> 11) * 0.01;
        memcpy(out, &d, 8);
        break;
    }
    case 'x':
    case 'y':
    case 'z': {
        const __int128 value = decimal(letter, shape, v);
        memcpy(out, &value, 16);
        break;
    }
    case 'v': {
        const struct wr_interval value = interval(v);
        memcpy(out, &value, 16);
        break;
    }
    case 't':
    case 'B':
    case 'j': {
        const struct wr_view view = text_view(arena, letter, shape, v);
        memcpy(out, &view, 16);
        break;
    }
    default:
        memcpy(out, &number, 8);
        break;
    }
}

static uint64_t shaped(char shape, uint64_t v, uint64_t row)
{
    return shape == 'm' ? v % 5 : shape == 'o' ? row : v;
}

static void fill(const struct setup *s, struct wr_batch *batch, const struct wr_schema *schema, uint64_t first,
                 uint32_t count)
{
    batch->rows = count;
    for (uint32_t c = 0; c < schema->count; c++) {
        const char letter = kinds[schema->fields[c].declared].letter;
        const uint32_t width = wr_type_width(schema->fields[c].type);
        char *values = batch->columns[c].values;
        memset(values, 0, (size_t)count * width);
        for (uint32_t r = 0; r < count; r++) {
            const uint64_t row = first + r;
            const uint64_t v = mix(s->seed * 1000003 + row * 64 + schema->fields[c].declared);
            if (is_null(s, row, v)) {
                wr_bit_clear(wr_batch_nullable(batch, c), r);
            } else {
                fill_value(letter, s->shape, shaped(s->shape, v, row), &batch->arena,
                           values + (size_t)r * width);
            }
        }
    }
}

static wr_status to_file(void *ctx, const void *bytes, size_t n, struct wr_error *err)
{
    return fwrite(bytes, 1, n, ctx) == n ? WR_OK : wr_fail(err, WR_CLASS_FATAL, "cannot write");
}

static void must(wr_status status, const struct wr_error *err)
{
    if (status != WR_OK) {
        fprintf(stderr, "make_parquet: %s\n", err->message);
        exit(1);
    }
}

static void append(const struct setup *s, struct wr_parquet_writer *writer, struct wr_batch *batch)
{
    struct wr_error err = { 0 };
    if (s->sel) {
        batch->sel = batch->sel_storage;
        for (uint32_t r = 0; r < batch->rows; r++) {
            if (r % 3 != 1) {
                batch->sel[batch->sel_count++] = r;
            }
        }
    }
    if (!s->partition) {
        must(wr_parquet_append(writer, batch, &err), &err);
        return;
    }
    uint32_t rows[WR_BATCH_ROWS_MAX];
    for (uint32_t r = 0; r < batch->rows; r++) {
        rows[r] = r;
    }
    const uint32_t half = batch->rows / 2;
    must(wr_parquet_append_rows(writer, batch, rows, half, &err), &err);
    must(wr_parquet_append_rows(writer, batch, rows + half, batch->rows - half, &err), &err);
}

static void write_file(const struct setup *s, const struct wr_schema *schema, struct wr_batch_pool *pool,
                       const char *path, uint64_t first)
{
    struct wr_error err = { 0 };
    struct wr_parquet_writer *writer;
    uint8_t skip[64] = { 0 };
    for (uint32_t c = 0; c < schema->count; c++) {
        skip[c] = s->skip != NULL && strchr(s->skip, kinds[schema->fields[c].declared].letter) != NULL;
    }
    FILE *file = fopen(path, "wb");
    wr_assert(file != NULL);
    must(wr_parquet_create(schema, skip, &s->options, to_file, file, &writer, &err), &err);
    uint32_t batches = 0;
    for (uint64_t row = 0; row < s->rows; row += s->batch) {
        struct wr_batch *batch = wr_batch_take(pool);
        const uint64_t left = s->rows - row;
        fill(s, batch, schema, first + row, left < s->batch ? (uint32_t)left : s->batch);
        append(s, writer, batch);
        wr_batch_release(batch);
        if (s->flush > 0 && ++batches % s->flush == 0) {
            must(wr_parquet_flush_row_group(writer, &err), &err);
        }
    }
    must(wr_parquet_finish(writer, &err), &err);
    wr_assert(wr_parquet_bytes(writer) == (uint64_t)ftell(file));
    printf("%llu rows, %llu bytes, %llu buffered\n", (unsigned long long)wr_parquet_rows(writer),
           (unsigned long long)wr_parquet_bytes(writer),
           (unsigned long long)wr_parquet_buffered_bytes(writer));
    wr_parquet_destroy(writer);
    fclose(file);
}

static bool option(struct setup *s, const char *key, const char *value)
{
    const struct {
        const char *key;
        uint32_t *into;
    } numbers[] = {
        { "batch", &s->batch },
        { "flush", &s->flush },
        { "files", &s->files },
        { "group_rows", &s->options.row_group_rows },
        { "page_rows", &s->options.page_rows },
        { "page_bytes", &s->options.page_bytes },
    };
    const struct {
        const char *key;
        bool *into;
    } switches[] = {
        { "sel", &s->sel },
        { "partition", &s->partition },
        { "required", &s->required },
        { "no_dict", &s->options.no_dictionary },
        { "plain", &s->options.plain_only },
        { "crc", &s->options.page_crc },
        { "local", &s->options.timestamp_local },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(key, numbers[i].key) == 0) {
            *numbers[i].into = (uint32_t)strtoul(value, NULL, 10);
            return true;
        }
    }
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++) {
        if (strcmp(key, switches[i].key) == 0) {
            *switches[i].into = value[0] == '1';
            return true;
        }
    }
    if (strcmp(key, "rows") == 0) {
        s->rows = strtoull(value, NULL, 10);
    } else if (strcmp(key, "seed") == 0) {
        s->seed = strtoull(value, NULL, 10);
    } else if (strcmp(key, "group_bytes") == 0) {
        s->options.row_group_bytes = strtoull(value, NULL, 10);
    } else if (strcmp(key, "level") == 0) {
        s->options.zstd_level = atoi(value);
    } else if (strcmp(key, "shape") == 0) {
        s->shape = value[1] == 'm' || value[1] == 'o' ? value[1] : value[0]; /* small, sorted */
    } else if (strcmp(key, "nulls") == 0) {
        s->nulls = value[0];
    } else if (strcmp(key, "columns") == 0) {
        s->columns = value;
    } else if (strcmp(key, "skip") == 0) {
        s->skip = value;
    } else {
        return false;
    }
    return true;
}

static struct wr_schema make_schema(const struct setup *s)
{
    struct wr_schema schema = { .fields = wr_calloc(KINDS, sizeof(struct wr_field)) };
    for (uint32_t i = 0; i < KINDS; i++) {
        if (s->columns == NULL || strchr(s->columns, kinds[i].letter) != NULL) {
            struct wr_field *field = &schema.fields[schema.count++];
            field->name = kinds[i].name;
            field->type = kinds[i].type;
            field->not_null = s->required;
            field->declared = i;
            field->field_id = i + 1;
        }
    }
    return schema;
}

int main(int argc, char **argv)
{
    struct setup s = { .rows = 1000, .shape = 'r', .nulls = 'n', .batch = WR_BATCH_ROWS_MAX, .files = 1 };
    wr_assert(argc > 1);
    for (int i = 2; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        wr_assert(equals != NULL);
        *equals = '\0';
        if (!option(&s, argv[i], equals + 1)) {
            fprintf(stderr, "make_parquet: unknown option %s\n", argv[i]);
            return 2;
        }
    }
    static const struct wr_parquet_pair pairs[] = { { "weir.test", "yes" }, { "empty", NULL } };
    struct wr_schema schema = make_schema(&s);
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, WR_BATCH_ROWS_MAX, 4);
    s.options.pairs = pairs;
    s.options.pairs_count = 2;
    s.options.shared = s.files > 1 ? wr_parquet_shared_create(&schema) : NULL;
    for (uint32_t f = 0; f < s.files; f++) {
        char path[1024];
        snprintf(path, sizeof path, f == 0 ? "%s" : "%s.%u", argv[1], f);
        write_file(&s, &schema, pool, path, f * s.rows);
    }
    wr_parquet_shared_destroy(s.options.shared);
    wr_batch_pool_destroy(pool);
    free(schema.fields);
    return 0;
}
