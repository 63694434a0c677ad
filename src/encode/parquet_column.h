/* parquet_column.h: one leaf column of an open row group: values in, finished pages out.
 *
 * A flat column takes columns of batches, its definition levels are a bitmap. A leaf of a nested column takes runs of levels and
 * values (parquet_shred.h makes them); its pages end between rows only.
 *
 * State of a column chunk (begin -> append* -> end -> begin ...):
 *   DICTIONARY  values become indexes of a growing dictionary           [append]
 *     -> PLAIN  when the dictionary is full or costs more than it saves [give_up]; the open page's values
 *               are taken back out of the dictionary, pages written before keep theirs
 *   PLAIN       values are staged and encoded when the page is full      [flush_page]
 * A chunk starts in DICTIONARY unless options or what was learned from earlier chunks say otherwise.
 *
 * Invariants:
 *   (1) in DICTIONARY indexes holds page_values indexes and stage nothing; in PLAIN stage holds page_values
 *       values and indexes nothing
 *   (2) rows of the open page never exceed page_rows; levels of a nested leaf's may, by one row and one run
 *   (3) dict_pages == 0 in PLAIN means that the chunk has no dictionary page
 */
#ifndef WR_ENCODE_PARQUET_COLUMN_H
#define WR_ENCODE_PARQUET_COLUMN_H

#include "base/status.h"
#include "encode/parquet_bounds.h"
#include "encode/parquet_compress.h"
#include "encode/parquet_dict.h"
#include "encode/parquet_encoding.h"
#include "encode/parquet_tree.h"

enum wr_parquet_physical {
    WR_PARQUET_BOOLEAN = 0,
    WR_PARQUET_INT32 = 1,
    WR_PARQUET_INT64 = 2,
    WR_PARQUET_FLOAT = 4,
    WR_PARQUET_DOUBLE = 5,
    WR_PARQUET_BYTE_ARRAY = 6,
    WR_PARQUET_FIXED_LEN_BYTE_ARRAY = 7,
};

/* How a type lies in a file. */
struct wr_parquet_layout {
    uint8_t physical;   /* enum wr_parquet_physical */
    uint8_t bounds;     /* enum wr_bounds_kind */
    uint8_t width;      /* bytes in the file; 0: texts */
    uint8_t stage_bytes; /* bytes of a staged value; 0: texts */
};

/* false: a type that no file can hold. */
bool wr_parquet_layout_of(struct wr_type type, struct wr_parquet_layout *layout);

/* What one chunk taught for the next ones, of the same or of another file. */
struct wr_parquet_learned {
    uint8_t dict_rest;      /* chunks to go before a dictionary is tried again */
    uint8_t encoding_trust; /* pages to go before encodings are compared again */
    uint8_t encoding;       /* the one that won */
    struct wr_compress_choice index_pages;
    struct wr_compress_choice value_pages;
};

/* Levels and values of a nested leaf on their way into the open page. */
#define WR_PARQUET_RUN 256u
struct wr_parquet_run {
    __int128 values[WR_PARQUET_RUN]; /* those that are not NULL, as they lie in a column of the type */
    uint32_t count;                  /* of levels */
    uint32_t value_count;
    uint8_t definition[WR_PARQUET_RUN];
    uint8_t repeat[WR_PARQUET_RUN];
};

/* Working memory of one thread, for all its columns and files. */
struct wr_parquet_shared {
    struct wr_compressor *compressor;
    const struct wr_kernels *kernels;
    struct wr_parquet_tree tree;        /* of the schema; empty: it does not fit */
    struct wr_parquet_learned *learned; /* one per leaf */
    struct wr_parquet_run *runs;        /* one per leaf of the widest nested column */
    uint32_t columns_count;
    uint32_t group_rows; /* of the last row group that ended: what the next one will be like; 0: not known */
    struct wr_buf raw;   /* a page before compression */
    struct wr_buf other; /* the same in another encoding, to compare */
    struct wr_buf frame; /* a page after compression */
    struct wr_buf words; /* numbers of an encoding, text of intervals */
    uint32_t rows[WR_BATCH_ROWS_MAX];
    __int128 gathered[WR_BATCH_ROWS_MAX];  /* values without NULLs */
    __int128 converted[WR_BATCH_ROWS_MAX]; /* ... in the file's width */
    struct wr_dict_scratch dict;
};

/* The settings of a writer that columns look at. */
struct wr_parquet_settings {
    int zstd_level;
    uint32_t page_bytes;
    uint32_t page_rows;
    bool dictionary;
    bool plain_only;
    bool page_crc;
};

struct wr_parquet_page {
    uint64_t offset; /* of its header, in pages */
    uint32_t bytes;  /* header and frame */
    uint32_t rows;
    uint32_t nulls;
    struct wr_bounds bounds;
};

/* Levels of the open page: encoded in parts when there are many, so that a row of millions of values needs little. */
struct wr_parquet_levels {
    struct wr_buf raw;     /* a byte each */
    struct wr_buf encoded; /* hybrid, of those before raw */
};

struct wr_parquet_column {
    const char *name; /* of the schema's column */
    const struct wr_parquet_element *element;
    struct wr_type type;
    struct wr_parquet_layout layout;
    bool required;  /* flat: no NULLs */
    bool leveled;   /* a leaf of a nested column */
    uint32_t index; /* of the column in the schema */
    const struct wr_parquet_settings *settings;
    struct wr_parquet_shared *shared;

    /* the chunk */
    bool dictionary;          /* state DICTIONARY */
    bool dict_checked;        /* the first look at whether it pays has been taken */
    uint32_t dict_pages;
    uint32_t encoding_pages[WR_PARQUET_ENCODINGS_]; /* data pages by encoding */
    uint64_t rows_expected;   /* of the whole row group; set by the writer */
    uint64_t chunk_rows;
    uint64_t chunk_levels;    /* of finished pages */
    uint64_t chunk_values;    /* not NULL, finished pages and open one */
    uint64_t chunk_raw_bytes; /* of those values */
    uint64_t uncompressed_bytes; /* headers and raw pages */
    struct wr_bounds bounds;  /* of finished pages */
    uint64_t nulls;
    struct wr_dict dict;
    struct wr_buf dict_page;  /* finished: header and frame */
    struct wr_buf pages;      /* finished: headers and frames */
    struct wr_buf infos;      /* struct wr_parquet_page each */

    /* the open page */
    uint32_t page_rows;
    uint32_t page_levels; /* rows, NULLs and empty lists counted; a flat column's are its rows */
    uint32_t page_values;
    uint64_t page_raw_bytes;
    struct wr_bounds page_bounds; /* texts in DICTIONARY: computed when the page ends */
    bool page_has_nulls;          /* validity is in use */
    uint8_t *validity;            /* settings->page_rows bits; a nested leaf has none */
    struct wr_parquet_levels definition; /* of a nested leaf */
    struct wr_parquet_levels repeat;
    struct wr_buf indexes;        /* uint32_t each */
    struct wr_buf stage;          /* values, or texts one after the other */
    struct wr_buf lengths;        /* of staged texts, uint32_t each */
};

/* leaf: number in shared's tree. name, settings and shared are borrowed. */
void wr_parquet_column_init(struct wr_parquet_column *c, const char *name, uint32_t leaf,
                            const struct wr_parquet_settings *settings,
                            struct wr_parquet_shared *shared);
void wr_parquet_column_deinit(struct wr_parquet_column *c); /* accepts a zeroed one */

void wr_parquet_column_begin(struct wr_parquet_column *c);
/* rows: row numbers, or NULL for first..first + count - 1. */
WR_NODISCARD wr_status wr_parquet_column_append(struct wr_parquet_column *c,
                                                const struct wr_column *in, const uint32_t *rows,
                                                uint32_t first, uint32_t count,
                                                struct wr_error *err);
/* Of a nested leaf: takes what run holds and empties it; then ends rows, and with them the page when it is full. */
void wr_parquet_column_append_run(struct wr_parquet_column *c, struct wr_parquet_run *run);
WR_NODISCARD wr_status wr_parquet_column_end_rows(struct wr_parquet_column *c, uint32_t rows,
                                                  struct wr_error *err);
bool wr_parquet_column_is_full(const struct wr_parquet_column *c);
/* Asks for the first of the rows, as far as append looks at once. */
void wr_parquet_column_prefetch(const struct wr_column *in, uint32_t first, uint32_t count);
/* Finishes the open page and the dictionary page. */
WR_NODISCARD wr_status wr_parquet_column_end(struct wr_parquet_column *c, struct wr_error *err);

/* Gives the memory of a chunk that has ended back to the heap; the next one takes it anew. */
void wr_parquet_column_release(struct wr_parquet_column *c);

uint64_t wr_parquet_column_buffered(const struct wr_parquet_column *c);

static inline uint32_t wr_parquet_column_pages(const struct wr_parquet_column *c)
{
    return (uint32_t)(c->infos.bytes / sizeof(struct wr_parquet_page));
}

static inline const struct wr_parquet_page *wr_parquet_column_page(const struct wr_parquet_column *c,
                                                                   uint32_t i)
{
    return (const struct wr_parquet_page *)(const void *)c->infos.data + i;
}

/* parquet_page.c: encodes levels, all (they end here) or most of them. */
void wr_parquet_levels_fold(struct wr_parquet_levels *levels, const struct wr_kernels *k,
                            uint32_t max, bool all);
/* Encodes and compresses what the open page holds. */
WR_NODISCARD wr_status wr_parquet_page_finish(struct wr_parquet_column *c, struct wr_error *err);
WR_NODISCARD wr_status wr_parquet_page_dictionary(struct wr_parquet_column *c,
                                                  struct wr_error *err);

#endif
