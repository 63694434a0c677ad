#include "encode/parquet_shred.h"

#include "base/assert.h"
#include "batch/nested.h"

/* Rows between two looks at whether pages are full, unless a leaf fills up sooner. */
#define SEGMENT_ROWS 256u

struct shredder {
    const struct wr_parquet_element *elements;
    struct wr_parquet_column *leaves;
    struct wr_parquet_run *runs;
    uint32_t first; /* number of the first leaf */
    bool full;      /* some leaf's page is */
};

static void flush(struct shredder *s, uint32_t leaf)
{
    struct wr_parquet_column *c = &s->leaves[leaf];
    wr_parquet_column_append_run(c, &s->runs[leaf]);
    s->full = s->full || wr_parquet_column_is_full(c);
}

static struct wr_parquet_run *put_level(struct shredder *s, uint32_t leaf, uint8_t definition,
                                        uint8_t repeat)
{
    struct wr_parquet_run *run = &s->runs[leaf];
    if (run->count == WR_PARQUET_RUN) {
        flush(s, leaf);
    }
    run->definition[run->count] = definition;
    run->repeat[run->count++] = repeat;
    return run;
}

/* All leaves in the element end at this level. */
static void put_nothing(struct shredder *s, const struct wr_parquet_element *e, uint8_t definition,
                        uint8_t repeat)
{
    for (uint32_t leaf = e->leaf; leaf < e->leaf_end; leaf++) {
        (void)put_level(s, leaf - s->first, definition, repeat);
    }
}

static void put_value(struct shredder *s, const struct wr_parquet_element *e, const void *value,
                      uint8_t repeat)
{
    struct wr_parquet_run *run = put_level(s, e->leaf - s->first, e->definition, repeat);
    const uint32_t width = wr_type_width(e->type);
    memcpy((char *)run->values + (size_t)run->value_count++ * width, value, width);
}

static void put(struct shredder *s, const struct wr_parquet_element *e, const void *value,
                uint8_t repeat);

/* The slots of a struct, of one element of a list or of one entry of a map. group: the element whose children they fill. */
static void put_slots(struct shredder *s, const struct wr_parquet_element *group,
                      struct wr_nested_cursor *cursor, uint8_t repeat)
{
    const struct wr_parquet_element *child = group + 1;
    char value[16] __attribute__((aligned(16)));
    struct wr_type type;
    bool null;
    for (uint32_t i = 0; i < group->children; i++, child = s->elements + child->end) {
        wr_assert(wr_nested_next(cursor, &type, value, &null));
        if (null) {
            wr_assert(child->repetition != 0);
            put_nothing(s, child, group->definition, repeat);
        } else {
            put(s, child, value, repeat);
        }
    }
}

static void put(struct shredder *s, const struct wr_parquet_element *e, const void *value,
                uint8_t repeat)
{
    struct wr_nested_cursor cursor;
    if (e->kind == WR_PARQUET_LEAF) {
        put_value(s, e, value, repeat);
        return;
    }
    wr_nested_walk(&cursor, e->type, wr_view_slice(value));
    if (e->kind == WR_PARQUET_STRUCT) {
        put_slots(s, e, &cursor, repeat);
        return;
    }
    const struct wr_parquet_element *entries = e + 1;
    if (cursor.count == 0) {
        put_nothing(s, e, e->definition, repeat);
    }
    while (cursor.index < cursor.count) {
        put_slots(s, entries, &cursor, repeat);
        repeat = entries->repeat;
    }
}

static wr_status put_row(struct shredder *s, const struct wr_parquet_element *root,
                         const struct wr_column *in, uint32_t row, struct wr_error *err)
{
    if (!wr_column_is_null(in, row)) {
        put(s, root, (const struct wr_view *)in->values + row, 0);
        return WR_OK;
    }
    wr_ensure(root->repetition != 0, err, WR_CLASS_FATAL,
              "column \"%s\" is NOT NULL but a row holds NULL", root->name);
    put_nothing(s, root, 0, 0);
    return WR_OK;
}

/* Rows end: so may pages. */
static wr_status settle(struct shredder *s, uint32_t leaf_count, uint32_t rows, struct wr_error *err)
{
    for (uint32_t i = 0; i < leaf_count; i++) {
        wr_parquet_column_append_run(&s->leaves[i], &s->runs[i]);
        WR_TRY(wr_parquet_column_end_rows(&s->leaves[i], rows, err));
    }
    s->full = false;
    return WR_OK;
}

/* Rows that fit into the open page of each leaf. */
static uint32_t segment_rows(const struct shredder *s, uint32_t leaf_count, uint32_t count)
{
    uint32_t n = count < SEGMENT_ROWS ? count : SEGMENT_ROWS;
    for (uint32_t i = 0; i < leaf_count; i++) {
        const struct wr_parquet_column *c = &s->leaves[i];
        const uint32_t room = c->settings->page_rows - c->page_levels; /* it is not full */
        n = n < room ? n : room;
    }
    return n;
}

wr_status wr_parquet_shred(struct wr_parquet_column *leaves, const struct wr_column *in,
                           const uint32_t *rows, uint32_t count, struct wr_error *err)
{
    struct wr_parquet_shared *shared = leaves->shared;
    const struct wr_parquet_tree *tree = &shared->tree;
    const struct wr_parquet_element *root = &tree->elements[tree->roots[leaves->index]];
    const uint32_t leaf_count = root->leaf_end - root->leaf;
    struct shredder s = { .elements = tree->elements, .leaves = leaves, .runs = shared->runs,
                          .first = root->leaf };
    const uint64_t bytes_max = leaves->settings->page_bytes / 4;
    for (uint32_t i = 0; i < leaf_count; i++) {
        s.runs[i].count = s.runs[i].value_count = 0; /* of a writer that failed */
    }
    for (uint32_t done = 0; done < count;) {
        const uint32_t n = segment_rows(&s, leaf_count, count - done);
        uint64_t bytes = 0;
        uint32_t taken = 0;
        while (taken < n && !s.full && bytes <= bytes_max) {
            const uint32_t row = rows == NULL ? done + taken : rows[done + taken];
            WR_TRY(put_row(&s, root, in, row, err));
            bytes += ((const struct wr_view *)in->values)[row].bytes;
            taken++;
        }
        WR_TRY(settle(&s, leaf_count, taken, err));
        done += taken;
    }
    return WR_OK;
}
