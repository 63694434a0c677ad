/* parquet_meta.h: a file's footer and page indexes, as parquet.thrift lays them out. */
#ifndef WR_ENCODE_PARQUET_META_H
#define WR_ENCODE_PARQUET_META_H

#include "encode/parquet.h"
#include "encode/parquet_column.h"

/* A column chunk that has been written. Offsets are in the file; index spans in the writer's index buffers. */
struct wr_parquet_chunk {
    uint64_t offset;     /* of its first page */
    uint64_t dict_bytes; /* of the dictionary page; 0: none */
    uint64_t bytes;
    uint64_t uncompressed_bytes;
    uint64_t levels; /* rows of flat columns */
    uint64_t nulls;
    struct wr_bounds bounds;
    uint32_t encoding_pages[WR_PARQUET_ENCODINGS_];
    uint64_t column_index_at;
    uint32_t column_index_bytes; /* 0: none */
    uint64_t offset_index_at;
    uint32_t offset_index_bytes;
};

struct wr_parquet_group {
    uint64_t rows;
    uint64_t offset;
    uint64_t bytes;
    uint64_t uncompressed_bytes;
};

struct wr_parquet_file {
    const struct wr_parquet_tree *tree;
    const struct wr_parquet_column *columns; /* leaves; all of a column or none */
    uint32_t columns_count;
    const struct wr_parquet_group *groups;
    uint32_t groups_count;
    const struct wr_parquet_chunk *chunks; /* groups_count x columns_count */
    uint64_t rows;
    uint64_t column_indexes_offset; /* where the writer's index buffers went */
    uint64_t offset_indexes_offset;
    bool timestamp_local;
    bool json_as_text;
    const char *created_by;
    const struct wr_parquet_pair *pairs;
    uint32_t pairs_count;
};

/* Appends FileMetaData (without its length and the magic). */
void wr_parquet_append_footer(struct wr_buf *out, const struct wr_parquet_file *file);
/* Appends the column index of a finished column; nothing when a page has values but no bounds. */
void wr_parquet_append_column_index(struct wr_buf *out, const struct wr_parquet_column *c);
/* Appends the offset index; the first data page lies at offset in the file. */
void wr_parquet_append_offset_index(struct wr_buf *out, const struct wr_parquet_column *c,
                                    uint64_t offset);

#endif
