/* parquet_bounds.h: smallest and largest value of a page or chunk, and how statistics write them.
 *
 * Numbers are kept as order keys (kernels.h), decimals of more than 18 digits as __int128, texts as their
 * first WR_BOUND_BYTES bytes. Plain values: copy them as you like.
 * What readers must be able to rely on (parquet.thrift, Statistics, ColumnOrder):
 *   (1) minimum <= every value <= maximum, also when a text was cut: a cut minimum is a prefix, a cut maximum is
 *       a prefix with its last character raised by one
 *   (2) a NaN among the values: no bounds at all
 *   (3) a minimum of +0.0 is written as -0.0, a maximum of -0.0 as +0.0
 */
#ifndef WR_ENCODE_PARQUET_BOUNDS_H
#define WR_ENCODE_PARQUET_BOUNDS_H

#include "batch/type.h"

#define WR_BOUND_BYTES 64u /* parquet-mr's default of column index truncation */

/* What the keys mean, and so how a bound is written. */
enum wr_bounds_kind {
    WR_BOUNDS_NONE, /* no order that readers agree on */
    WR_BOUNDS_BOOL,
    WR_BOUNDS_32, /* signed and unsigned: the low half of the key */
    WR_BOUNDS_64,
    WR_BOUNDS_U64,
    WR_BOUNDS_F32,
    WR_BOUNDS_F64,
    WR_BOUNDS_WIDE,  /* FIXED_LEN_BYTE_ARRAY decimals */
    WR_BOUNDS_TEXT,  /* UTF-8 */
    WR_BOUNDS_BYTES, /* any bytes */
};

struct wr_text_bound {
    uint8_t bytes; /* of data */
    bool cut;      /* the value goes on after data */
    char data[WR_BOUND_BYTES];
};

struct wr_bounds {
    bool any; /* at least one value */
    int64_t min;
    int64_t max;
    __int128 wide_min;
    __int128 wide_max;
    struct wr_text_bound text_min;
    struct wr_text_bound text_max;
};

void wr_bounds_add_keys(struct wr_bounds *b, int64_t min, int64_t max);
void wr_bounds_add_wide(struct wr_bounds *b, const __int128 *values, uint32_t count);
void wr_bounds_add_text(struct wr_bounds *b, struct wr_slice min, struct wr_slice max);
/* Widens b by other, of the same kind. */
void wr_bounds_merge(struct wr_bounds *b, const struct wr_bounds *other, enum wr_bounds_kind kind);
/* True when there are values and none is a NaN. */
bool wr_bounds_usable(const struct wr_bounds *b, enum wr_bounds_kind kind);

/* Writes the minimum or maximum in PLAIN encoding (texts without length) into out, which has room for
 * WR_BOUND_BYTES + 8. false: there is none that holds (no values, NaN, or a cut maximum that cannot be raised). *exact:
 * the bound is a value. width: of WIDE. */
bool wr_bounds_min(const struct wr_bounds *b, enum wr_bounds_kind kind, uint32_t width, char *out,
                   uint32_t *bytes, bool *exact);
bool wr_bounds_max(const struct wr_bounds *b, enum wr_bounds_kind kind, uint32_t width, char *out,
                   uint32_t *bytes, bool *exact);

/* <0, 0, >0: by minimum, by maximum. For the boundary order of a column index. */
int wr_bounds_compare_min(const struct wr_bounds *a, const struct wr_bounds *b,
                          enum wr_bounds_kind kind);
int wr_bounds_compare_max(const struct wr_bounds *a, const struct wr_bounds *b,
                          enum wr_bounds_kind kind);

#endif
