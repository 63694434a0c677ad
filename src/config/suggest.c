/* suggest.c: see suggest.h. */
#include "config/suggest.h"

void wr_suggest_init(struct wr_suggest *suggest, struct wr_slice wanted)
{
    suggest->wanted = wanted;
    suggest->best = (struct wr_slice){NULL, 0};
    /* A third of the letters may be wrong: more, and the guess is usually not what was meant. */
    const size_t wrong = 1 + wanted.bytes / 3;
    suggest->distance = 1 + (uint32_t)(wrong > 3 ? 3 : wrong);
}

/* "kafk" for "kafka", "start" for "start_at": what was begun or written too long. */
static bool is_prefix(struct wr_slice a, struct wr_slice b)
{
    const size_t shorter = a.bytes < b.bytes ? a.bytes : b.bytes;
    return shorter >= 3 && wr_slice_equal_nocase((struct wr_slice){a.data, shorter},
                                                 (struct wr_slice){b.data, shorter});
}

void wr_suggest_offer(struct wr_suggest *suggest, struct wr_slice candidate)
{
    if (candidate.bytes == 0 || suggest->distance == 0) {
        return;
    }
    const uint32_t distance = wr_slice_distance(suggest->wanted, candidate, suggest->distance - 1);
    if (distance < suggest->distance) {
        suggest->distance = distance;
        suggest->best = candidate;
    } else if (suggest->best.bytes == 0 && is_prefix(suggest->wanted, candidate)) {
        suggest->best = candidate; /* anything nearer in letters still wins */
    }
}
