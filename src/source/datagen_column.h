/* datagen_column.h: fills one column of generated rows, by the column's type, its name and its
 * `fields.` options.
 *
 * A column's values depend on the seed, the split and the number of the row alone: each row takes
 * the same count of draws from a generator of its own column and split, so batch sizes and timing
 * do not matter. Every WR_GEN_BLOCK_ROWS rows that generator begins anew from a seed of the block:
 * a restart in the middle of a billion rows draws again for one block, not for all before it.
 * Ownership: texts that do not fit a view lie in the batch's arena or in the column's choices (the
 * source's arena).
 * Threads: one; splits have copies.
 */
#ifndef WR_SOURCE_DATAGEN_COLUMN_H
#define WR_SOURCE_DATAGEN_COLUMN_H

#include "base/rand.h"
#include "batch/batch.h"
#include "config/option.h"

enum wr_gen_kind {
    WR_GEN_NONE,     /* not filled: metadata and computed columns */
    WR_GEN_SEQUENCE, /* min + number of the row */
    WR_GEN_RANDOM,   /* uniform from min to max */
    WR_GEN_ZIPF,     /* from min to max, small ones far more often (power law) */
    WR_GEN_CHOICE,   /* one of values */
    WR_GEN_HEX,      /* length random hexadecimal digits; BYTEA: bytes */
    WR_GEN_UUID,     /* version 4 */
    WR_GEN_TIME,     /* the row's event time; other time columns: the intended time */
};

#define WR_GEN_BLOCK_ROWS (1u << 16)
#define WR_GEN_CHOICE_SLOTS 4096u /* weights are kept to a 4,096th */

struct wr_gen_value {
    _Alignas(16) char bytes[16];
};

struct wr_gen_column {
    enum wr_gen_kind kind;
    struct wr_type type;
    uint32_t column; /* in the batch */
    uint32_t null_parts; /* of 2^32 */
    int64_t min;         /* DECIMAL: in units of the scale; floats: in units of 1 / factor */
    uint64_t span;       /* max - min + 1; 0: all 64 bits */
    double exponent;     /* ZIPF */
    double factor;       /* floats: 10^digits */
    const char *prefix;  /* TEXT of numbers */
    uint32_t length;     /* HEX */
    struct wr_gen_value *choices; /* shared by the splits' copies */
    uint16_t *slots;              /* WR_GEN_CHOICE_SLOTS indexes of choices, by weight */
    struct wr_rand rand;
    struct wr_rand nulls; /* apart: batches draw values first, then which are NULL */
};

/* field: of the scan's schema. pairs: those under "fields.", without it. bad_at: of the culprit.
 * Memory from arena. */
WR_NODISCARD wr_status wr_gen_column_init(struct wr_gen_column *g, const struct wr_field *field,
                                          uint32_t column, const struct wr_option_pair *pairs,
                                          uint32_t pair_count, struct wr_arena *arena,
                                          uint32_t *bad_at, struct wr_error *err);
/* The next fill begins with the split's row `row`. seed: the column's and split's. Needed before
 * row 0, before the first row of each block, and to go on anywhere. */
void wr_gen_column_seek(struct wr_gen_column *g, uint64_t seed, uint64_t row);
/* Seeds rand for the block of row and returns how many rows of the block come before it. */
uint32_t wr_gen_seek_block(struct wr_rand *rand, uint64_t seed, uint64_t row);
/* Each pair must name a column of the schema and a known setting. */
WR_NODISCARD wr_status wr_gen_check_names(const struct wr_schema *declared,
                                          const struct wr_option_pair *pairs, uint32_t count,
                                          uint32_t *bad_at, struct wr_error *err);

/* Rows [0, rows) of the batch, all of one block, are number, number + stride, ... times: what TIME
 * columns get. */
void wr_gen_column_fill(struct wr_gen_column *g, struct wr_batch *batch, uint32_t rows,
                        uint64_t number, uint64_t stride, const int64_t *times);

#endif
