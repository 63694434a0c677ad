/* nested_build.h: what all decoders need to build STRUCT, ARRAY and MAP values with the writer of batch/nested.h: where in the value
 * they are, for faults; and maps of which each key counts once.
 *
 * Threads: pure functions over the caller's data. Invariants:
 *   (1) a path holds no more steps than a type can be deep; it borrows the names
 */
#ifndef WR_DECODE_NESTED_BUILD_H
#define WR_DECODE_NESTED_BUILD_H

#include "base/limits.h"
#include "batch/nested.h"

/* A body larger than this is refused: names and widths can make it a hundred times as long as the record that it came from. */
#define WR_NESTED_BYTES_MAX WR_RECORD_BYTES_MAX

struct wr_nested_path {
    struct wr_nested_path_step {
        const char *name; /* a field; NULL: an element or an entry */
        struct wr_slice key; /* an entry of a MAP: data is not NULL */
        uint64_t index;   /* an element, from 0 */
    } steps[WR_NESTED_DEPTH_MAX];
    uint32_t depth;
};

/* column, then `.field`, `[3]` (from 0, as in JSON) and `['key']`, cut to fit. */
void wr_nested_path_text(const struct wr_nested_path *path, const char *column, char *into,
                         size_t bytes);

/* Before the innermost open body, a MAP of that type, is closed: of entries with equal keys the last one stays. */
void wr_nested_settle_map(struct wr_nested_writer *w, struct wr_type map);

#endif
