/* generator.h: what the connectors that make their rows themselves (datagen, nexmark) have in
 * common: splits over workers, pace, positions, ends.
 *
 * A split's position is the number of its next row. The schedule starts when the first split is
 * opened; that moment goes into the splits' notes, and a resumed run keeps it: rows get the event
 * times that an uninterrupted run would have given them, and those that fell due meanwhile come at
 * once, as from a topic that was written to all the time. Only rows without rate and start_time,
 * which are stamped with the clock as they are made, cannot be told before they are made.
 * Threads: see weir/source.h.
 */
#ifndef WR_SOURCE_GENERATOR_H
#define WR_SOURCE_GENERATOR_H

#include "source/pace.h"
#include "source/source_gate.h"

#define WR_GENERATOR_SPLITS_MAX 1024

/* The rows that both connectors' tables begin with: rate, rows, duration, seed, splits,
 * start_time. */
#define WR_GENERATOR_OPTIONS                                                                       \
    { "rate", WR_OPTION_INT, "0", "Rows a second, paced by intended time; 0: as fast as it can.",  \
      .min = 0, .max = 1000000000 },                                                               \
    { "rows", WR_OPTION_INT, NULL, "Ends after so many rows.", .min = 1, .max = INT64_MAX / 4 },   \
    { "duration", WR_OPTION_DURATION, NULL, "Ends after this time (rate x duration rows).",        \
      .min = 1000, .max = 365 * 86400 * WR_US_PER_S },                                             \
    { "seed", WR_OPTION_INT, "1", "The same seed gives the same values.", .min = 0,                \
      .max = INT64_MAX },                                                                          \
    { "splits", WR_OPTION_INT, "1", "Splits, dealt out to the workers.", .min = 1,                 \
      .max = WR_GENERATOR_SPLITS_MAX },                                                            \
    { "start_time", WR_OPTION_TEXT, NULL,                                                          \
      "Event time of the first row; default: now. With rate 0 it then steps by 1 us a row." }

struct wr_generator;

/* Batches do not cross multiples of so many rows of a split (datagen's generators begin anew there). */
#define WR_GENERATOR_BLOCK_ROWS (1u << 16)

/* Makes rows [first, first + rows) of a split into batch: columns and rows are theirs to set.
 * times: intended time of each. @thread worker */
typedef void (*wr_generator_fill)(void *split_state, struct wr_batch *batch, uint64_t first,
                                  uint32_t rows, uint32_t split, uint32_t splits,
                                  const int64_t *times);

struct wr_generator_kind {
    /* State of one split; control's thread. */
    void *(*split_create)(void *ctx, uint32_t split);
    void (*split_destroy)(void *state);
    wr_generator_fill fill;
};

/* Options of the plan are checked against each other. @thread control */
wr_status wr_generator_check(const struct wr_plan_source *plan, uint32_t *bad_at,
                             struct wr_error *err);

/* ctx: the connector's, for split_create; must outlive it. */
WR_NODISCARD wr_status wr_generator_open(struct wr_generator **out, const struct wr_source_env *env,
                                         const struct wr_generator_kind *kind, void *ctx,
                                         struct wr_error *err);
void wr_generator_close(struct wr_generator *generator); /* NULL is fine */

/* The reader's part of the vtable: struct wr_reader is the generator's. */
wr_status wr_generator_reader_open(struct wr_reader **out, struct wr_generator *generator,
                                   uint32_t worker);
wr_status wr_generator_poll(struct wr_reader *reader, struct wr_time now, struct wr_batch *batch,
                            struct wr_poll *out, struct wr_error *err);
void wr_generator_pause(struct wr_reader *reader, uint32_t split, bool paused);
int64_t wr_generator_deadline_ns(const struct wr_reader *reader);
void wr_generator_reader_close(struct wr_reader *reader);

#endif
