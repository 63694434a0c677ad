/* Any bytes as a Parquet file: all its leaves are read, and it is merged with itself. What a merge made of a file that
 * can be merged can be opened again. */
#include "base/assert.h"
#include "batch/nested.h"
#include "encode/parquet_merge.h"
#include "encode/parquet_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void read_all(const char *data, size_t bytes)
{
    struct wr_parquet_reader *reader;
    struct wr_error err;
    uint32_t count;
    if (wr_parquet_open(&reader, data, bytes, &err) != WR_OK) {
        wr_assert(reader == NULL && err.message[0] != '\0');
        return;
    }
    const struct wr_parquet_node *nodes = wr_parquet_nodes(reader, &count);
    for (uint32_t group = 0; group < wr_parquet_groups(reader) && group < 8; group++) {
        for (uint32_t i = 1; i < count; i++) {
            struct wr_parquet_leaf leaf;
            if (nodes[i].physical >= 0 &&
                wr_parquet_read_leaf(reader, group, i, &leaf, &err) == WR_OK) {
                uint64_t text_bytes = 0;
                for (uint32_t v = 0; leaf.texts != NULL && v < leaf.value_count; v++) {
                    text_bytes += leaf.texts[v].bytes > 0 ? (uint8_t)leaf.texts[v].data[0] : 0;
                }
                wr_assert(leaf.value_count <= leaf.count && text_bytes <= 255ull * leaf.count);
                wr_parquet_leaf_deinit(&leaf);
            }
        }
    }
    wr_parquet_close(reader);
}

static wr_status fetch(void *ctx, uint64_t offset, uint64_t bytes, struct wr_buf *into,
                       struct wr_error *err)
{
    const struct wr_slice *file = ctx;
    wr_assert(offset <= file->bytes && bytes <= file->bytes - offset);
    wr_buf_append(into, file->data + offset, (size_t)bytes);
    return WR_OK;
}

static wr_status into_buf(void *ctx, const void *data, size_t bytes, struct wr_error *err)
{
    wr_buf_append(ctx, data, bytes);
    return WR_OK;
}

/* o STRUCT<a BIGINT, t TEXT[]>, m MAP<TEXT, BIGINT> */
static void add_nested(struct wr_field *o, struct wr_field *m)
{
    const struct wr_type text = wr_type_of(WR_TYPE_TEXT);
    struct wr_type texts;
    wr_assert(wr_nested_array(text, &texts, NULL) == WR_OK);
    const struct wr_nested_field inner[] = { { "a", wr_type_of(WR_TYPE_INT64) }, { "t", texts } };
    wr_assert(wr_nested_struct(inner, 2, &o->type, NULL) == WR_OK);
    wr_assert(wr_nested_map(text, wr_type_of(WR_TYPE_INT64), &m->type, NULL) == WR_OK);
}

static void merge(struct wr_slice file)
{
    static struct wr_field fields[] = {
        { .name = "id", .type = { .id = WR_TYPE_INT64 } },
        { .name = "s", .type = { .id = WR_TYPE_TEXT } },
        { .name = "f", .type = { .id = WR_TYPE_FLOAT64 } },
        { .name = "n", .type = { .id = WR_TYPE_DECIMAL, .precision = 30, .scale = 2 } },
        { .name = "ts", .type = { .id = WR_TYPE_TIMESTAMP } },
        { .name = "o" },
        { .name = "m" },
    };
    add_nested(&fields[5], &fields[6]);
    const struct wr_schema schema = { fields, sizeof fields / sizeof *fields };
    struct wr_buf out = { 0 };
    struct wr_error err;
    struct wr_parquet_summary summary;
    struct wr_parquet_merge *m = wr_parquet_merge_create(&schema, NULL, into_buf, &out);
    if (wr_parquet_merge_add(m, fetch, &file, file.bytes, &err) == WR_OK &&
        wr_parquet_merge_add(m, fetch, &file, file.bytes, &err) == WR_OK &&
        wr_parquet_merge_finish(m, &err) == WR_OK) {
        wr_parquet_merge_summarize(m, &summary);
        wr_assert(summary.bytes == out.bytes);
        wr_parquet_summary_deinit(&summary);
        read_all(out.data, out.bytes);
    }
    wr_parquet_merge_destroy(m);
    wr_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    read_all((const char *)data, bytes);
    merge((struct wr_slice){ (const char *)data, bytes });
    return 0;
}
