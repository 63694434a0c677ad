/* dead_letters_parquet.c: dead letters in Parquet files, of a Delta table or a directory; letters are columns.
 *
 * All files are one part, "rows": a file each second or so would be a split each in the state. Weir's files are named
 * part-OWNER-SINK-LANE-EPOCH-N, and epochs ascend over all owners of a state, so files have an order, and a letter's position is its
 * epoch and its number among the letters of that epoch. Nobody compacts the table of an error sink unless he is told to
 * (sink_delta.c); files that were merged are read as long as they are there, what they were merged into is not.
 *
 * The store is asked by whoever reads: control for a list, a worker while it replays. It waits for the answer.
 */
#include "run/dead_letters_parts.h"

#include "base/heap.h"
#include "batch/records.h"
#include "config/option.h"
#include "encode/parquet_read.h"
#include "store/store.h"
#include "table/delta.h"
#include <inttypes.h>
#include <stdio.h>

#define EPOCH_SHIFT 28u /* letters of one epoch: 2^28 */
#define NUMBER_MASK (((int64_t)1 << EPOCH_SHIFT) - 1)

struct letter_file {
    char *key;
    uint64_t epoch;
    uint32_t lane;
    uint64_t number;
};

struct place {
    struct wr_store *store;
    struct letter_file *files; /* in order */
    uint32_t count;
    uint32_t capacity;
};

/* A letter's columns, in this order. */
enum { SOURCE, SPLIT, POSITION, TIMESTAMP, KEY, HEADERS, VALUE, ENCODING, ERROR, FIELD, SINKS, COLUMNS };
static const char *const column_names[COLUMNS] = { "_source",  "_split",    "_position", "_timestamp",
                                                   "_key",     "_headers",  "_value",    "_encoding",
                                                   "_error",   "_field",    "_sinks" };

struct column {
    struct wr_parquet_leaf leaf;
    bool there;     /* the file has it */
    uint32_t value; /* of the next row that has one */
};

struct row_reader {
    struct place *place;
    uint32_t file; /* the next one */
    struct wr_buf bytes; /* of the open file */
    struct wr_parquet_reader *parquet;
    uint32_t group; /* the next one */
    struct column columns[COLUMNS];
    uint64_t row;
    uint64_t rows; /* of the open row group */
    int64_t position; /* of the next row */
};

/* ---- which files ---- */

/* part-OWNER-SINK-LANE-EPOCH-N.zstd.parquet, in any directory. */
static bool read_name(const char *key, struct letter_file *file)
{
    const char *slash = strrchr(key, '/');
    unsigned lane;
    int used = 0;
    return sscanf(slash != NULL ? slash + 1 : key,
                  "part-%*[0-9a-f]-%*[0-9a-f]-%u-%" SCNu64 "-%" SCNu64 ".zstd.parquet%n", &lane,
                  &file->epoch, &file->number, &used) == 3 &&
           used > 0 && (file->lane = lane, file->epoch < (uint64_t)1 << (63 - EPOCH_SHIFT));
}

static void found(void *ctx, const char *key)
{
    struct place *place = ctx;
    struct letter_file file;
    if (!read_name(key, &file)) {
        return; /* what a compaction made, or not ours */
    }
    if (place->count == place->capacity) {
        place->capacity = place->capacity * 2 + 16;
        place->files = wr_realloc(place->files, place->capacity * sizeof *place->files);
    }
    file.key = wr_strdup(key);
    place->files[place->count++] = file;
}

static void found_object(void *ctx, const char *key, uint64_t bytes)
{
    found(ctx, key);
}

static int by_age(const void *a, const void *b)
{
    const struct letter_file *x = a;
    const struct letter_file *y = b;
    if (x->epoch != y->epoch) {
        return x->epoch < y->epoch ? -1 : 1;
    }
    if (x->lane != y->lane) {
        return x->lane < y->lane ? -1 : 1;
    }
    if (x->number != y->number) {
        return x->number < y->number ? -1 : 1;
    }
    return strcmp(x->key, y->key);
}

static wr_status list_table(struct place *place, struct wr_error *err)
{
    struct wr_delta *table;
    WR_TRY(wr_delta_open(&table, place->store, NULL, err));
    wr_delta_each_file(table, found, place);
    wr_delta_close(table);
    return WR_OK;
}

static void any_key(void *ctx, const char *key, uint64_t bytes)
{
    *(bool *)ctx = true;
}

/* A table that is not there yet has no letters. */
static wr_status has_log(struct wr_store *store, bool *has, struct wr_error *err)
{
    *has = false;
    return wr_store_list(store, "_delta_log/", NULL, any_key, has, err);
}

static wr_status open_place(struct wr_letters *letters, bool table, struct wr_error *err)
{
    struct place *place = wr_calloc(1, sizeof *place);
    bool there = true;
    letters->own = place;
    if (letters->sink->partition_count > 0) {
        (void)wr_fail(err, WR_CLASS_USER, "dead letters cannot be read back where partition_by takes columns of theirs away");
        wr_error_hint(err, "an error sink without partition_by keeps all of a letter in its files");
        return WR_FAIL;
    }
    WR_TRY(wr_store_open(&place->store, wr_options_text(letters->sink->options, "path"),
                         letters->sink->options, NULL, err));
    if (table) {
        WR_TRY(has_log(place->store, &there, err));
        WR_TRY(there ? list_table(place, err) : WR_OK);
    } else {
        WR_TRY(wr_store_list(place->store, "", NULL, found_object, place, err));
    }
    if (place->count > 0) {
        qsort(place->files, place->count, sizeof *place->files, by_age);
        wr_letters_add_part(letters, "rows");
    }
    return WR_OK;
}

static wr_status delta_open(struct wr_letters *letters, struct wr_error *err)
{
    return open_place(letters, true, err);
}

static wr_status parquet_open(struct wr_letters *letters, struct wr_error *err)
{
    return open_place(letters, false, err);
}

static void place_close(struct wr_letters *letters)
{
    struct place *place = letters->own;
    if (place == NULL) {
        return;
    }
    for (uint32_t i = 0; i < place->count; i++) {
        free(place->files[i].key);
    }
    free(place->files);
    wr_store_close(place->store);
    free(place);
}

static wr_status place_span(struct wr_letters *letters, uint32_t part, int64_t *begin, int64_t *end,
                            struct wr_error *err)
{
    const struct place *place = letters->own;
    *begin = 0;
    *end = (int64_t)(place->files[place->count - 1].epoch + 1) << EPOCH_SHIFT;
    return WR_OK;
}

/* ---- rows ---- */

static wr_status rows_open(struct wr_letter_reader *reader, struct wr_error *err)
{
    struct row_reader *r = wr_calloc(1, sizeof *r);
    r->place = reader->letters->own;
    reader->own = r;
    while (r->file < r->place->count &&
           (int64_t)(r->place->files[r->file].epoch + 1) << EPOCH_SHIFT <= reader->from) {
        r->file++;
    }
    return WR_OK;
}

static void close_group(struct row_reader *r)
{
    for (uint32_t c = 0; c < COLUMNS; c++) {
        if (r->columns[c].there) {
            wr_parquet_leaf_deinit(&r->columns[c].leaf);
        }
        r->columns[c] = (struct column){ 0 };
    }
    r->row = 0;
    r->rows = 0;
}

static void close_file(struct row_reader *r)
{
    close_group(r);
    wr_parquet_close(r->parquet);
    r->parquet = NULL;
    r->bytes.bytes = 0;
    r->group = 0;
}

static wr_status open_file(struct row_reader *r, struct wr_error *err)
{
    const struct letter_file *file = &r->place->files[r->file];
    const bool first = r->file == 0 || r->place->files[r->file - 1].epoch != file->epoch;
    const wr_status status = wr_store_get(r->place->store, file->key, &r->bytes, err);
    if (status == WR_END) {
        (void)wr_fail(err, WR_CLASS_FATAL, "%s is gone, with the dead letters that were in it", file->key);
        wr_error_hint(err, "the table was compacted and vacuumed: replay dead letters before the vacuum's retention is over");
        return WR_FAIL;
    }
    WR_TRY(status);
    WR_TRY_IN(wr_parquet_open(&r->parquet, r->bytes.data, r->bytes.bytes, err), err, "%s", file->key);
    if (first) {
        r->position = (int64_t)file->epoch << EPOCH_SHIFT;
    }
    r->file++;
    return WR_OK;
}

static wr_status open_group(struct row_reader *r, struct wr_error *err)
{
    r->rows = wr_parquet_group_rows(r->parquet, r->group);
    for (uint32_t c = 0; c < COLUMNS; c++) {
        const uint32_t node = wr_parquet_child(r->parquet, 0, column_names[c], 0);
        if (node == 0) {
            continue; /* files of earlier versions have less */
        }
        struct wr_parquet_leaf leaf;
        WR_TRY_IN(wr_parquet_read_leaf(r->parquet, r->group, node, &leaf, err), err, "%s, column %s",
                  r->place->files[r->file - 1].key, column_names[c]);
        r->columns[c] = (struct column){ .leaf = leaf, .there = true };
        const bool numbers = c == POSITION || c == TIMESTAMP;
        wr_ensure(leaf.count == r->rows && leaf.repeat_max == 0 &&
                      (numbers ? leaf.numbers != NULL : leaf.texts != NULL),
                  err, WR_CLASS_FATAL, "%s: column %s is not that of a dead letter",
                  r->place->files[r->file - 1].key, column_names[c]);
    }
    r->group++;
    return WR_OK;
}

/* Stands at a row; WR_END: there is none. */
static wr_status find_row(struct row_reader *r, struct wr_error *err)
{
    while (r->row == r->rows) {
        close_group(r);
        if (r->parquet != NULL && r->group == wr_parquet_groups(r->parquet)) {
            close_file(r);
        }
        if (r->parquet == NULL) {
            if (r->file == r->place->count) {
                return WR_END;
            }
            WR_TRY(open_file(r, err));
        } else {
            WR_TRY(open_group(r, err));
        }
    }
    return WR_OK;
}

/* Goes to the column's value of this row; false: NULL. */
static bool take(struct row_reader *r, uint32_t c, uint32_t *value)
{
    struct column *column = &r->columns[c];
    if (!column->there || column->leaf.definition[r->row] != column->leaf.definition_max) {
        return false;
    }
    *value = column->value++;
    return true;
}

static struct wr_slice take_text(struct row_reader *r, uint32_t c)
{
    uint32_t at;
    if (!take(r, c, &at)) {
        return (struct wr_slice){ 0 };
    }
    const struct wr_slice text = r->columns[c].leaf.texts[at];
    return text.data != NULL ? text : (struct wr_slice){ "", 0 };
}

static int64_t take_number(struct row_reader *r, uint32_t c, int64_t otherwise)
{
    uint32_t at;
    return take(r, c, &at) ? r->columns[c].leaf.numbers[at] : otherwise;
}

static void take_row(struct row_reader *r, struct wr_letter_scratch *scratch, struct wr_letter *letter)
{
    *letter = (struct wr_letter){ .position = r->position,
                                  .next_position = r->position + 1,
                                  .source = take_text(r, SOURCE),
                                  .split = take_text(r, SPLIT),
                                  .origin_position = take_number(r, POSITION, 0),
                                  .timestamp_us = take_number(r, TIMESTAMP, WR_RECORD_NO_TIME),
                                  .key = take_text(r, KEY),
                                  .headers = take_text(r, HEADERS),
                                  .value = take_text(r, VALUE),
                                  .error = take_text(r, ERROR),
                                  .field = take_text(r, FIELD),
                                  .sinks = take_text(r, SINKS) };
    letter->base64 = wr_slice_is(take_text(r, ENCODING), "base64");
    letter->readable = letter->source.data != NULL && letter->error.data != NULL &&
                       wr_letter_settle(scratch, letter);
    r->row++;
    r->position++;
}

static wr_status rows_next(struct wr_letter_reader *reader, struct wr_letter *letter,
                           struct wr_error *err)
{
    struct row_reader *r = reader->own;
    do {
        WR_TRY(find_row(r, err));
        if (r->position >= reader->to) {
            return WR_END;
        }
        wr_ensure((r->position & NUMBER_MASK) != NUMBER_MASK, err, WR_CLASS_FATAL,
                  "more than 2^%u dead letters in one epoch", EPOCH_SHIFT);
        take_row(r, reader->scratch, letter);
    } while (letter->position < reader->from);
    return WR_OK;
}

static void rows_close(struct wr_letter_reader *reader)
{
    struct row_reader *r = reader->own;
    if (r != NULL) {
        close_file(r);
        wr_buf_deinit(&r->bytes);
        free(r);
    }
}

#define ROWS_CALLS                                                                                 \
    .any_format = true, .close = place_close, .span = place_span, .reader_open = rows_open,        \
    .next = rows_next, .reader_close = rows_close

const struct wr_letters_ops wr_letters_delta = { .connector = "delta", .open = delta_open, ROWS_CALLS };
const struct wr_letters_ops wr_letters_parquet = { .connector = "parquet", .open = parquet_open, ROWS_CALLS };
