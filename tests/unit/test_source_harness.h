/* test_source_harness.h: opens a source as run does, on one worker, and polls it. */
#ifndef WR_TEST_SOURCE_HARNESS_H
#define WR_TEST_SOURCE_HARNESS_H

#include "base/assert.h"
#include "base/buf.h"
#include "base/heap.h"
#include "config/common_options.h"
#include "decode/csv.h"
#include "source/connectors.h"

#include <stdio.h>
#include <stdlib.h>

struct harness {
    const struct wr_source_ops *ops;
    struct wr_arena arena;
    struct wr_plan_source plan;
    struct wr_source_env env;
    struct wr_source *source;
    struct wr_reader *readers[4];
    struct wr_io *io;
    uint32_t wakes;
    struct wr_error err;
    struct wr_time now;
};

static inline void harness_wake(void *ctx, uint32_t worker)
{
    ((struct harness *)ctx)->wakes++;
}

/* pairs: name, value, name, value, ..., NULL. */
static inline wr_status harness_options(struct harness *h, const struct wr_source_ops *ops,
                                        const char *format, const char *const *pairs)
{
    const struct wr_option *tables[] = { ops->options, wr_source_common_options,
                                         strcmp(format, "csv") == 0 ? wr_csv_options : NULL, NULL };
    struct wr_option_pair *given = WR_ARENA_ARRAY(&h->arena, struct wr_option_pair, 64);
    uint32_t count = 0;
    given[count++] = (struct wr_option_pair){ "connector", ops->name, ops->name, 0, 0 };
    for (uint32_t i = 0; pairs[i] != NULL; i += 2) {
        given[count++] =
            (struct wr_option_pair){ pairs[i], pairs[i + 1], pairs[i + 1], 10 * i, 10 * i + 5 };
    }
    uint32_t at;
    h->ops = ops;
    h->plan.name = "s";
    h->plan.connector = ops->name;
    h->plan.format = format;
    return wr_options_parse(tables, "connector", given, count, &h->arena, &h->plan.options, &at,
                            &h->err);
}

static inline void harness_init(struct harness *h)
{
    memset(h, 0, sizeof *h);
    wr_arena_init(&h->arena, 0);
    h->plan.event_time = WR_NO_COLUMN;
    h->env = (struct wr_source_env){ .plan = &h->plan,
                                     .workers = 1,
                                     .batch_rows = WR_BATCH_ROWS_MAX,
                                     .memory_bytes = 64 << 20,
                                     .wake = harness_wake,
                                     .wake_ctx = h };
    h->now = (struct wr_time){ .wall_us = 1700000000000000, .mono_ns = 1000000000 };
    wr_assert(wr_io_create(&h->io, WR_IO_AUTO, 64, &h->err) == WR_OK);
}

static inline wr_status harness_start(struct harness *h)
{
    if (h->ops->open(&h->source, &h->env, &h->err) != WR_OK) {
        return WR_FAIL;
    }
    for (uint32_t w = 0; w < h->env.workers; w++) {
        if (h->ops->reader_open(&h->readers[w], h->source, w, h->io, &h->err) != WR_OK) {
            return WR_FAIL;
        }
    }
    return WR_OK;
}

static inline void harness_end(struct harness *h)
{
    for (uint32_t w = 0; w < h->env.workers; w++) {
        if (h->readers[w] != NULL) {
            h->ops->reader_close(h->readers[w]);
        }
    }
    if (h->source != NULL) {
        h->ops->close(h->source);
    }
    wr_io_destroy(h->io);
    wr_arena_deinit(&h->arena);
}

#endif
