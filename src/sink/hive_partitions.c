#include "sink/hive_partitions.h"

#include "base/hash.h"
#include "base/heap.h"
#include "batch/text.h"

#define FIRST_SLOTS 64u
#define NULL_NAME "__HIVE_DEFAULT_PARTITION__"

void wr_hive_init(struct wr_hive_partitions *table, const struct wr_plan_sink *plan,
                  wr_hive_text_fn *text)
{
    *table = (struct wr_hive_partitions){ .plan = plan, .text = text, .slot_count = FIRST_SLOTS };
    table->slots = wr_calloc(table->slot_count, sizeof *table->slots);
    table->touched = wr_calloc(WR_BATCH_ROWS_MAX, sizeof *table->touched);
    table->of_row = wr_calloc(WR_BATCH_ROWS_MAX, sizeof *table->of_row);
    table->grouped = wr_calloc(WR_BATCH_ROWS_MAX, sizeof *table->grouped);
}

static void partition_free(struct wr_hive_partition *p)
{
    free(p->key);
    free(p->directory);
    free(p->values);
    free(p);
}

void wr_hive_deinit(struct wr_hive_partitions *table)
{
    for (uint32_t i = 0; i < table->slot_count; i++) {
        if (table->slots[i] != NULL) {
            partition_free(table->slots[i]);
        }
    }
    free(table->slots);
    free(table->touched);
    free(table->of_row);
    free(table->grouped);
    wr_buf_deinit(&table->scratch);
    *table = (struct wr_hive_partitions){ 0 };
}

/* ---- names ---- */

/* The characters that Hive escapes (FileUtils.charToEscape); everything else, UTF-8 included,
 * stays. */
static bool needs_escape(unsigned char c)
{
    return c < 0x20 || c == 0x7f || strchr("\"#%'*/:=?\\{[]^", c) != NULL;
}

void wr_hive_escape(struct wr_buf *buf, const char *text, size_t bytes)
{
    const bool looks_null = bytes == strlen(NULL_NAME) && memcmp(text, NULL_NAME, bytes) == 0;
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (needs_escape(c) || (looks_null && i == 0)) {
            wr_buf_printf(buf, "%%%02X", c);
        } else {
            wr_buf_byte(buf, c);
        }
    }
}

static const void *value_at(const struct wr_column *column, uint32_t row)
{
    return (const char *)column->values + (size_t)row * wr_type_width(column->type);
}

/* The value's text; false: it is NULL. */
static bool value_text(const struct wr_hive_partitions *table, const struct wr_column *column,
                       uint32_t row, struct wr_buf *value)
{
    value->bytes = 0;
    if (wr_column_is_null(column, row)) {
        return false;
    }
    if (table->text != NULL) {
        return table->text(column->type, value_at(column, row), value);
    }
    wr_text_format(value, column->type, value_at(column, row));
    return true;
}

static void append_values(struct wr_buf *values, const char *name, const struct wr_buf *value)
{
    wr_buf_byte(values, values->bytes == 0 ? '{' : ',');
    wr_text_json_string(values, name, strlen(name));
    wr_buf_byte(values, ':');
    if (value != NULL) {
        wr_text_json_string(values, value->data, value->bytes);
    } else {
        wr_buf_text(values, "null");
    }
}

/* Names the directory and values of one row, or says why they cannot be. */
static void name_partition(const struct wr_hive_partitions *table, const struct wr_batch *batch,
                           uint32_t row, struct wr_hive_partition *p)
{
    const struct wr_plan_sink *plan = table->plan;
    struct wr_buf path = { 0 };
    struct wr_buf value = { 0 };
    struct wr_buf values = { 0 };
    bool fits = true;
    for (uint32_t i = 0; i < plan->partition_count; i++) {
        const struct wr_field *field = &plan->schema.fields[plan->partition[i]];
        const bool some = value_text(table, &batch->columns[plan->partition[i]], row, &value);
        const size_t begin = path.bytes;
        wr_hive_escape(&path, field->name, strlen(field->name));
        wr_buf_byte(&path, '=');
        if (some) {
            wr_hive_escape(&path, value.data, value.bytes);
        } else {
            wr_buf_text(&path, NULL_NAME);
        }
        if (!some && field->not_null) {
            p->refused = "a partition column that is NOT NULL holds an empty text, which the table "
                         "would read as NULL";
        }
        fits = fits && path.bytes - begin <= WR_HIVE_NAME_BYTES_MAX;
        wr_buf_byte(&path, '/');
        if (table->text != NULL) {
            append_values(&values, field->name, some ? &value : NULL);
        }
    }
    wr_buf_byte(&values, '}');
    if (!fits || path.bytes > WR_HIVE_DIRECTORY_BYTES_MAX) {
        p->refused = "the partition's directory name is longer than stores allow (255 bytes a "
                     "column, 768 in all)";
    }
    p->directory = p->refused == NULL ? wr_strdup(wr_buf_cstr(&path)) : NULL;
    p->values = table->text != NULL ? wr_strdup(wr_buf_cstr(&values)) : NULL;
    wr_buf_deinit(&path);
    wr_buf_deinit(&value);
    wr_buf_deinit(&values);
}

/* ---- lookup ---- */

/* The row's values as bytes: texts with their length, all with a byte that tells NULL. */
static void append_key(const struct wr_hive_partitions *table, const struct wr_batch *batch,
                       uint32_t row, struct wr_buf *key)
{
    for (uint32_t i = 0; i < table->plan->partition_count; i++) {
        const struct wr_column *column = &batch->columns[table->plan->partition[i]];
        const bool null = wr_column_is_null(column, row);
        wr_buf_byte(key, null);
        if (null) {
            continue;
        }
        if (wr_type_is_view(column->type)) {
            const struct wr_view *view = value_at(column, row);
            wr_buf_append(key, &view->bytes, sizeof view->bytes);
            wr_buf_append(key, wr_view_data(view), view->bytes);
        } else {
            wr_buf_append(key, value_at(column, row), wr_type_width(column->type));
        }
    }
}

static bool same_key(const struct wr_hive_partition *p, const struct wr_buf *key)
{
    return p->key_bytes == key->bytes && memcmp(p->key, key->data, key->bytes) == 0;
}

static void place(struct wr_hive_partitions *table, struct wr_hive_partition *p)
{
    uint32_t slot = (uint32_t)p->hash & (table->slot_count - 1);
    while (table->slots[slot] != NULL) {
        slot = (slot + 1) & (table->slot_count - 1);
    }
    table->slots[slot] = p;
}

static void rebuild(struct wr_hive_partitions *table, uint32_t slot_count, bool keep_closed)
{
    struct wr_hive_partition **old = table->slots;
    const uint32_t old_count = table->slot_count;
    table->slots = wr_calloc(slot_count, sizeof *table->slots);
    table->slot_count = slot_count;
    table->count = 0;
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i] != NULL && (keep_closed || old[i]->file != NULL)) {
            place(table, old[i]);
            table->count++;
        } else if (old[i] != NULL) {
            partition_free(old[i]);
        }
    }
    free(old);
}

void wr_hive_forget_closed(struct wr_hive_partitions *table)
{
    rebuild(table, table->slot_count, false);
}

static struct wr_hive_partition *find(struct wr_hive_partitions *table,
                                      const struct wr_batch *batch, uint32_t row)
{
    const struct wr_buf *key = &table->scratch;
    const uint64_t hash = wr_hash_bytes(key->data, key->bytes);
    uint32_t slot = (uint32_t)hash & (table->slot_count - 1);
    for (; table->slots[slot] != NULL; slot = (slot + 1) & (table->slot_count - 1)) {
        if (table->slots[slot]->hash == hash && same_key(table->slots[slot], key)) {
            return table->slots[slot];
        }
    }
    struct wr_hive_partition *p = wr_calloc(1, sizeof *p);
    p->hash = hash;
    p->key_bytes = (uint32_t)key->bytes;
    p->key = wr_malloc(key->bytes + 1);
    memcpy(p->key, key->data, key->bytes);
    name_partition(table, batch, row, p);
    if (table->count + 1 > table->slot_count / 2) {
        rebuild(table, table->slot_count * 2, true);
    }
    place(table, p);
    table->count++;
    return p;
}

void wr_hive_group(struct wr_hive_partitions *table, const struct wr_batch *batch)
{
    const uint32_t live = wr_batch_live(batch);
    struct wr_hive_partition *last = NULL;
    table->touched_count = 0;
    for (uint32_t i = 0; i < live; i++) {
        const uint32_t row = wr_batch_row(batch, i);
        table->scratch.bytes = 0;
        append_key(table, batch, row, &table->scratch);
        if (last == NULL || !same_key(last, &table->scratch)) {
            last = find(table, batch, row);
        }
        if (last->rows++ == 0) {
            table->touched[table->touched_count++] = last;
        }
        table->of_row[i] = last;
    }
    uint32_t begin = 0;
    for (uint32_t t = 0; t < table->touched_count; t++) {
        table->touched[t]->begin = begin;
        begin += table->touched[t]->rows;
        table->touched[t]->rows = 0;
    }
    for (uint32_t i = 0; i < live; i++) {
        struct wr_hive_partition *p = table->of_row[i];
        table->grouped[p->begin + p->rows++] = wr_batch_row(batch, i);
    }
}
