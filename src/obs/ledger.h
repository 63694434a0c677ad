/* ledger.h: the counts that account for every row read (design.md, section 2, "ledger").
 *
 * One wr_ledger_counts per (worker, query, source, split); the owner worker writes, readers add up.
 * Invariant (1): at an epoch's cut read = passed + late + dead_lettered + filtered, where passed are the
 * rows that a sink got or that at least one window counts; what of passed is published is landed, the
 * rest is in flight. partly_late rows are also in passed.
 */
#ifndef WR_OBS_LEDGER_H
#define WR_OBS_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

struct wr_ledger_counts {
    uint64_t read;
    uint64_t passed;
    uint64_t late;
    uint64_t partly_late;
    uint64_t dead_lettered;
    uint64_t filtered;
};

static inline bool wr_ledger_balances(const struct wr_ledger_counts *c)
{
    return c->read == c->passed + c->late + c->dead_lettered + c->filtered;
}

static inline void wr_ledger_add(struct wr_ledger_counts *into, const struct wr_ledger_counts *c)
{
    into->read += c->read;
    into->passed += c->passed;
    into->late += c->late;
    into->partly_late += c->partly_late;
    into->dead_lettered += c->dead_lettered;
    into->filtered += c->filtered;
}

#endif
