/* suggest.h: "did you mean": the nearest of some names to one that is not there.
 *
 * Ownership: borrows all texts. Threads: one.
 */
#ifndef WR_CONFIG_SUGGEST_H
#define WR_CONFIG_SUGGEST_H

#include "base/slice.h"

struct wr_suggest {
    struct wr_slice wanted;
    struct wr_slice best; /* bytes == 0: nothing is near */
    uint32_t distance;    /* of best; to begin with: one more than what still counts as near */
};

void wr_suggest_init(struct wr_suggest *suggest, struct wr_slice wanted);
void wr_suggest_offer(struct wr_suggest *suggest, struct wr_slice candidate);

#endif
