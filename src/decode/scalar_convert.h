/* scalar_convert.h: a scalar that a binary format has read as its natural type, as the column's type: by SQL's casts.
 *
 * Threads: pure functions. Texts that are made lie in the caller's arena.
 */
#ifndef WR_DECODE_SCALAR_CONVERT_H
#define WR_DECODE_SCALAR_CONVERT_H

#include "base/arena.h"
#include "batch/type.h"

/* A value of any type but STATE, as it lies in a column. */
union wr_scalar {
    int64_t int64;
    uint64_t uint64;
    int32_t int32;
    uint32_t uint32;
    uint8_t boolean;
    float f32;
    double f64;
    __int128 decimal;
    struct wr_view view;
    struct wr_interval interval;
};

/* The value in place. False: it does not fit, and is undefined then. unit_digits: of numbers that are times, see decoder.h. */
bool wr_scalar_convert(struct wr_type from, struct wr_type type, uint32_t unit_digits,
                       struct wr_arena *arena, union wr_scalar *value);

/* The value's beginning, for messages. */
void wr_scalar_show(struct wr_type type, const union wr_scalar *value, char shown[64]);

#endif
