/* Nested columns: what elements a file has of them, their levels read back by the reader of our own, and what the writer holds. */
#include "batch/nested.h"
#include "encode/parquet.h"
#include "encode/parquet_column.h"
#include "encode/parquet_read.h"
#include "encode/parquet_tree.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct wr_type array_of(struct wr_type element)
{
    struct wr_type type;
    cr_assert_eq(wr_nested_array(element, &type, NULL), WR_OK);
    return type;
}

static struct wr_type map_of(struct wr_type key, struct wr_type value)
{
    struct wr_type type;
    cr_assert_eq(wr_nested_map(key, value, &type, NULL), WR_OK);
    return type;
}

static struct wr_type struct_of(const struct wr_nested_field *fields, uint32_t count)
{
    struct wr_type type;
    cr_assert_eq(wr_nested_struct(fields, count, &type, NULL), WR_OK);
    return type;
}

/* id BIGINT NOT NULL, s STRUCT<a BIGINT, l BIGINT[][]>, m MAP<TEXT, BIGINT> NOT NULL */
static struct wr_field fields[3];
static struct wr_schema schema = { fields, 3 };

static void make_schema(void)
{
    const struct wr_type big = wr_type_of(WR_TYPE_INT64);
    const struct wr_nested_field inner[] = { { "a", big }, { "l", array_of(array_of(big)) } };
    fields[0] = (struct wr_field){ .name = "id", .type = big, .not_null = true, .field_id = 1 };
    fields[1] = (struct wr_field){ .name = "s", .type = struct_of(inner, 2), .field_id = 2 };
    fields[2] = (struct wr_field){ .name = "m",
                                   .type = map_of(wr_type_of(WR_TYPE_TEXT), big),
                                   .not_null = true,
                                   .field_id = 3 };
}

static wr_status into_buf(void *ctx, const void *bytes, size_t n, struct wr_error *err)
{
    struct wr_buf *file = ctx;
    if (file != NULL) {
        wr_buf_append(file, bytes, n);
    }
    return WR_OK;
}

TestSuite(parquet_nested, .init = make_schema);

Test(parquet_nested, a_schema_is_a_tree_of_elements_with_levels)
{
    struct wr_parquet_tree tree;
    const char *path[WR_PARQUET_DEPTH_MAX];
    wr_parquet_tree_init(&tree, &schema);
    cr_assert_eq(tree.count, 12);
    cr_assert_eq(tree.leaf_count, 5);
    cr_assert_eq(tree.widest, 2);
    const struct wr_parquet_element *leaf = &tree.elements[tree.leaves[2]];
    cr_assert_eq(wr_parquet_path(&tree, tree.leaves[2], path), 6);
    static const char *const names[] = { "s", "l", "list", "element", "list", "element" };
    for (uint32_t i = 0; i < 6; i++) {
        cr_assert_str_eq(path[i], names[i]);
    }
    cr_assert_eq(leaf->definition, 6);
    cr_assert_eq(leaf->repeat, 2);
    const struct wr_parquet_element *key = &tree.elements[tree.leaves[3]];
    cr_assert_eq(key->definition, 1, "a required map's key is there where an entry is");
    cr_assert_eq(key->repetition, 0);
    cr_assert_eq(tree.elements[tree.roots[2]].definition, 0);
    wr_parquet_tree_deinit(&tree);
}

Test(parquet_nested, field_ids_go_on_behind_the_columns_as_iceberg_numbers_a_new_table)
{
    struct wr_parquet_tree tree;
    wr_parquet_tree_init(&tree, &schema);
    /* s: 2, its a 4 and l 5, then what lies in l; m: 3, its key and value */
    cr_assert_eq(tree.elements[tree.leaves[1]].field_id, 4);
    cr_assert_eq(tree.elements[tree.leaves[2]].field_id, 7);
    cr_assert_eq(tree.elements[tree.leaves[3]].field_id, 8);
    cr_assert_eq(tree.elements[tree.leaves[4]].field_id, 9);
    cr_assert_eq(tree.elements[tree.roots[2] + 1].field_id, 0, "key_value has none");
    wr_parquet_tree_deinit(&tree);
    fields[1].field_id = 0;
    wr_parquet_tree_init(&tree, &schema);
    cr_assert_eq(tree.elements[tree.leaves[1]].field_id, 0);
    cr_assert_eq(tree.elements[tree.leaves[3]].field_id, 4);
    wr_parquet_tree_deinit(&tree);
}

Test(parquet_nested, a_schema_with_too_many_leaves_is_refused)
{
    static char names[WR_NESTED_FIELDS_MAX][8];
    struct wr_nested_field wide[WR_NESTED_FIELDS_MAX];
    struct wr_error err;
    struct wr_parquet_writer *writer;
    for (uint32_t i = 0; i < WR_NESTED_FIELDS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "f%u", i);
        wide[i] = (struct wr_nested_field){ names[i], wr_type_of(WR_TYPE_INT64) };
    }
    const struct wr_type row = struct_of(wide, WR_NESTED_FIELDS_MAX);
    for (uint32_t i = 0; i < 17; i++) {
        wide[i].type = row;
    }
    fields[0].type = struct_of(wide, 17);
    struct wr_parquet_shared *shared = wr_parquet_shared_create(&schema);
    const struct wr_parquet_options options = { .shared = shared };
    cr_assert_eq(wr_parquet_create(&schema, NULL, &options, into_buf, NULL, &writer, &err), WR_FAIL);
    cr_assert_not_null(strstr(err.message, "column \"id\""));
    wr_parquet_shared_destroy(shared);
}

/* ---- values ---- */

static void put_i64(struct wr_nested_writer *w, int64_t value)
{
    wr_nested_put(w, wr_type_of(WR_TYPE_INT64), &value);
}

static struct wr_view keep(struct wr_batch *batch, struct wr_nested_writer *w)
{
    const struct wr_slice body = wr_nested_close(w);
    return wr_view_of(wr_arena_strndup(&batch->arena, body.data, body.bytes), body.bytes);
}

/* s: {a: 7, l: [[1, 2], [], null]}, null, {a: null, l: []}; m: {k: 1, j: null}, {}, {} */
static struct wr_batch *three_rows(struct wr_batch_pool *pool)
{
    struct wr_nested_writer w = { 0 };
    struct wr_batch *batch = wr_batch_take(pool);
    struct wr_view *s = batch->columns[1].values;
    struct wr_view *m = batch->columns[2].values;
    const struct wr_type outer = wr_nested_of(fields[1].type)->fields[1].type;
    const struct wr_type inner = wr_nested_of(outer)->fields[0].type;
    batch->rows = 3;
    memset(s, 0, 3 * sizeof *s);
    for (int64_t i = 0; i < 3; i++) {
        ((int64_t *)batch->columns[0].values)[i] = i;
    }
    wr_nested_open(&w, fields[1].type);
    put_i64(&w, 7);
    wr_nested_open(&w, outer);
    wr_nested_open(&w, inner);
    put_i64(&w, 1);
    put_i64(&w, 2);
    (void)wr_nested_close(&w);
    wr_nested_open(&w, inner);
    (void)wr_nested_close(&w);
    wr_nested_put_null(&w);
    (void)wr_nested_close(&w);
    s[0] = keep(batch, &w);
    wr_bit_clear(wr_batch_nullable(batch, 1), 1);
    wr_nested_open(&w, fields[1].type);
    wr_nested_put_null(&w);
    wr_nested_open(&w, outer);
    (void)wr_nested_close(&w);
    s[2] = keep(batch, &w);
    wr_nested_open(&w, fields[2].type);
    wr_nested_put_bytes(&w, "k", 1);
    put_i64(&w, 1);
    wr_nested_put_bytes(&w, "j", 1);
    wr_nested_put_null(&w);
    m[0] = keep(batch, &w);
    wr_nested_open(&w, fields[2].type);
    m[1] = m[2] = keep(batch, &w);
    wr_nested_writer_deinit(&w);
    return batch;
}

static void expect_leaf(const struct wr_parquet_reader *reader, uint32_t node, const char *definition,
                        const char *repeat)
{
    struct wr_parquet_leaf leaf;
    cr_assert_eq(wr_parquet_read_leaf(reader, 0, node, &leaf, NULL), WR_OK);
    cr_assert_eq(leaf.count, strlen(definition));
    for (uint32_t i = 0; i < leaf.count; i++) {
        cr_assert_eq(leaf.definition[i], definition[i] - '0', "definition level %u of node %u", i, node);
        cr_assert_eq(leaf.repeat[i], repeat[i] - '0', "repetition level %u of node %u", i, node);
    }
    wr_parquet_leaf_deinit(&leaf);
}

Test(parquet_nested, levels_are_those_of_dremel)
{
    struct wr_buf file = { 0 };
    struct wr_error err;
    struct wr_parquet_writer *writer;
    struct wr_parquet_reader *reader;
    struct wr_parquet_summary summary;
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, 8, 1);
    cr_assert_eq(wr_parquet_create(&schema, NULL, NULL, into_buf, &file, &writer, &err), WR_OK);
    struct wr_batch *batch = three_rows(pool);
    cr_assert_eq(wr_parquet_append(writer, batch, &err), WR_OK);
    wr_batch_release(batch);
    cr_assert_eq(wr_parquet_finish(writer, &err), WR_OK);
    wr_parquet_summarize(writer, &summary);
    wr_parquet_destroy(writer);

    cr_assert_eq(wr_parquet_open(&reader, file.data, file.bytes, &err), WR_OK);
    expect_leaf(reader, 3, "201", "000");
    expect_leaf(reader, 8, "664302", "021100");
    expect_leaf(reader, 11, "1100", "0100");
    expect_leaf(reader, 12, "2100", "0100");
    wr_parquet_close(reader);

    cr_assert_eq(summary.columns_count, 5);
    cr_assert_eq(summary.columns[2].index, 1);
    cr_assert_eq(summary.columns[2].leaf, 1);
    cr_assert_eq(summary.columns[2].nulls, 4);
    cr_assert_eq(summary.columns[2].bounds.max, 2);
    wr_parquet_summary_deinit(&summary);
    wr_batch_pool_destroy(pool);
    wr_buf_deinit(&file);
}

/* A batch of one row: an array of count structs of eight fields, all NULL or all the same number. */
static struct wr_batch *long_row(struct wr_batch_pool *pool, struct wr_type list, uint32_t count, bool null)
{
    struct wr_nested_writer w = { 0 };
    struct wr_batch *batch = wr_batch_take(pool);
    const struct wr_type row = wr_nested_of(list)->fields[0].type;
    batch->rows = 1;
    wr_nested_open(&w, list);
    for (uint32_t i = 0; i < count; i++) {
        if (null) {
            wr_nested_put_null(&w);
            continue;
        }
        wr_nested_open(&w, row);
        for (uint32_t f = 0; f < 8; f++) {
            put_i64(&w, i);
        }
        (void)wr_nested_close(&w);
    }
    *(struct wr_view *)batch->columns[0].values = keep(batch, &w);
    wr_nested_writer_deinit(&w);
    return batch;
}

Test(parquet_nested, a_row_of_a_million_elements_holds_encoded_levels_and_counts_its_values)
{
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };
    struct wr_nested_field inner[8];
    struct wr_error err;
    struct wr_parquet_writer *writer;
    for (uint32_t i = 0; i < 8; i++) {
        inner[i] = (struct wr_nested_field){ names[i], wr_type_of(WR_TYPE_INT64) };
    }
    fields[0] = (struct wr_field){ .name = "l", .type = array_of(struct_of(inner, 8)), .field_id = 1 };
    schema.count = 1;
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, 1, 1);
    const struct wr_parquet_options options = { .page_rows = UINT32_MAX, .page_bytes = 1u << 30,
                                                .row_group_rows = UINT32_MAX };
    cr_assert_eq(wr_parquet_create(&schema, NULL, &options, into_buf, NULL, &writer, &err), WR_OK);
    struct wr_batch *batch = long_row(pool, fields[0].type, 1000000, true);
    cr_assert_eq(wr_parquet_append(writer, batch, &err), WR_OK);
    wr_batch_release(batch);
    const uint64_t before = wr_parquet_buffered_bytes(writer);
    cr_assert_lt(before, 4u << 20, "%zu", (size_t)before); /* eight million levels */
    batch = long_row(pool, fields[0].type, 100000, false);
    cr_assert_eq(wr_parquet_append(writer, batch, &err), WR_OK);
    wr_batch_release(batch);
    cr_assert_gt(wr_parquet_buffered_bytes(writer), before + 8 * 100000 * 4, "the open page is counted");
    cr_assert_eq(wr_parquet_finish(writer, &err), WR_OK);
    wr_parquet_destroy(writer);
    wr_batch_pool_destroy(pool);
}

Test(parquet_nested, after_a_file_that_failed_in_a_row_the_next_one_starts_clean)
{
    struct wr_buf file = { 0 };
    struct wr_error err;
    struct wr_parquet_writer *writer;
    struct wr_parquet_reader *reader;
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, 8, 2);
    struct wr_parquet_shared *shared = wr_parquet_shared_create(&schema);
    const struct wr_parquet_options options = { .shared = shared };
    struct wr_batch *batch = three_rows(pool);
    wr_bit_clear(wr_batch_nullable(batch, 2), 2); /* m is NOT NULL: the third row breaks the file */
    cr_assert_eq(wr_parquet_create(&schema, NULL, &options, into_buf, NULL, &writer, &err), WR_OK);
    cr_assert_eq(wr_parquet_append(writer, batch, &err), WR_FAIL);
    cr_assert_str_eq(err.message, "column \"m\" is NOT NULL but a row holds NULL");
    wr_parquet_destroy(writer);
    wr_batch_release(batch);

    cr_assert_eq(wr_parquet_create(&schema, NULL, &options, into_buf, &file, &writer, &err), WR_OK);
    batch = three_rows(pool);
    cr_assert_eq(wr_parquet_append(writer, batch, &err), WR_OK);
    wr_batch_release(batch);
    cr_assert_eq(wr_parquet_finish(writer, &err), WR_OK);
    wr_parquet_destroy(writer);
    cr_assert_eq(wr_parquet_open(&reader, file.data, file.bytes, &err), WR_OK);
    expect_leaf(reader, 11, "1100", "0100");
    wr_parquet_close(reader);
    wr_parquet_shared_destroy(shared);
    wr_batch_pool_destroy(pool);
    wr_buf_deinit(&file);
}
