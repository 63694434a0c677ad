/* datagen.c: the connector 'datagen': rows made up to a schema, for demonstrations, load and tests.
 *
 * Values are a function of seed, split and row number (datagen_column.h); times come from the
 * schedule (pace.h).
 * Out-of-order rows: each row's event time is, with probability out_of_order_percent, moved back
 * by up to out_of_order.
 * Ownership: a source has the choices of all columns in its arena; a split its own copies of the
 * columns.
 */
#include "source/connectors.h"

#include "base/hash.h"
#include "base/heap.h"
#include "source/datagen_column.h"
#include "source/generator.h"

struct wr_source {
    struct wr_generator *generator;
    struct wr_arena arena;
    struct wr_gen_column *columns; /* one per column of the scan, as the splits begin with them */
    uint32_t column_count;
    uint32_t event_time; /* in the scan, or WR_NO_COLUMN */
    const struct wr_schema *scan;
    int64_t out_of_order_us;
    uint64_t disorder_parts; /* of 2^32 */
    uint64_t seed;
};

struct split_state {
    const struct wr_source *source;
    uint32_t split;
    uint64_t next; /* row that the generators stand at; UINT64_MAX: none yet */
    struct wr_rand disorder;
    int64_t *event_times;
    struct wr_gen_column columns[];
};

static const struct wr_option datagen_options[] = {
    WR_GENERATOR_OPTIONS,
    { "out_of_order", WR_OPTION_DURATION, "0",
      "Out-of-order rows lie up to this far back in event time.", .min = 0,
      .max = 365 * 86400 * WR_US_PER_S },
    { "out_of_order_percent", WR_OPTION_DOUBLE, "5",
      "How many rows are out of order, when any are." },
    { "fields.", WR_OPTION_PREFIX, NULL,
      "fields.<column>.<setting>: kind (sequence, random, zipf, choice, hex, uuid, time), min, "
      "max, values ('a,b'), weights ('3,1'), length, prefix, digits, exponent, null_percent. Without "
      "them a column is filled by its type and name." },
    { NULL },
};

static wr_status make_columns(const struct wr_plan_source *plan, const struct wr_schema *schema,
                              struct wr_gen_column *columns, struct wr_arena *arena,
                              uint32_t *bad_at, struct wr_error *err)
{
    uint32_t count;
    const struct wr_option_pair *pairs = wr_options_prefixed(plan->options, "fields.", &count);
    WR_TRY(wr_gen_check_names(&plan->declared, pairs, count, bad_at, err));
    for (uint32_t c = 0; c < schema->count; c++) {
        WR_TRY(wr_gen_column_init(&columns[c], &schema->fields[c], c, pairs, count, arena, bad_at,
                                  err));
    }
    return WR_OK;
}

static wr_status datagen_check(const struct wr_plan_source *plan, uint32_t *bad_at,
                               struct wr_error *err)
{
    WR_TRY(wr_generator_check(plan, bad_at, err));
    const double percent = wr_options_double(plan->options, "out_of_order_percent");
    *bad_at = wr_options_at(plan->options, "out_of_order_percent");
    wr_ensure(percent >= 0 && percent <= 100, err, WR_CLASS_USER,
              "out_of_order_percent = %g is not a percentage from 0 to 100", percent);
    struct wr_arena arena;
    wr_arena_init(&arena, 0);
    struct wr_gen_column *columns =
        WR_ARENA_ARRAY(&arena, struct wr_gen_column, plan->declared.count + 1);
    const wr_status status = make_columns(plan, &plan->declared, columns, &arena, bad_at, err);
    wr_arena_deinit(&arena);
    return status;
}

/* ---- rows ---- */

static void *split_create(void *ctx, uint32_t split)
{
    const struct wr_source *s = ctx;
    struct split_state *state =
        wr_calloc(1, sizeof *state + (s->column_count + 1) * sizeof state->columns[0]);
    state->source = s;
    state->split = split;
    state->next = UINT64_MAX;
    state->event_times = wr_calloc(WR_BATCH_ROWS_MAX, sizeof(int64_t));
    for (uint32_t c = 0; c < s->column_count; c++) {
        state->columns[c] = s->columns[c];
    }
    return state;
}

/* Puts all generators at a row: the first, one after a restart, or a block's first. */
static void seek(struct split_state *state, uint64_t row)
{
    const struct wr_source *s = state->source;
    for (uint32_t c = 0; c < s->column_count; c++) {
        /* By the declared column: what a query selects does not change the values. */
        const uint64_t column = (uint64_t)s->scan->fields[c].declared + 1;
        wr_gen_column_seek(&state->columns[c],
                           (s->seed + column * 0xd1342543de82ef95ULL) * 0x9e3779b97f4a7c15ULL +
                               state->split,
                           row);
    }
    const uint64_t seed = s->seed * 0x9e3779b97f4a7c15ULL + state->split + 1;
    for (uint32_t i = wr_gen_seek_block(&state->disorder, seed, row); i > 0; i--) {
        (void)wr_rand_next(&state->disorder);
    }
}

static void split_destroy(void *ctx)
{
    struct split_state *state = ctx;
    if (state != NULL) {
        free(state->event_times);
        free(state);
    }
}

static const int64_t *disorder(struct split_state *state, const int64_t *times, uint32_t rows)
{
    const struct wr_source *s = state->source;
    if (s->out_of_order_us == 0) {
        return times;
    }
    for (uint32_t i = 0; i < rows; i++) {
        const uint64_t draw = wr_rand_next(&state->disorder);
        const int64_t back = (int64_t)(((draw >> 32) * (uint64_t)s->out_of_order_us) >> 32);
        const bool moved = (draw & UINT32_MAX) < s->disorder_parts;
        state->event_times[i] = times[i] - (moved ? back : 0);
    }
    return state->event_times;
}

_Static_assert(WR_GENERATOR_BLOCK_ROWS == WR_GEN_BLOCK_ROWS, "a batch lies in one block");

static void fill(void *ctx, struct wr_batch *batch, uint64_t first, uint32_t rows, uint32_t split,
                 uint32_t splits, const int64_t *times)
{
    struct split_state *state = ctx;
    const struct wr_source *s = state->source;
    if (first != state->next || first % WR_GEN_BLOCK_ROWS == 0) {
        seek(state, first);
    }
    state->next = first + rows;
    const int64_t *event_times = disorder(state, times, rows);
    for (uint32_t c = 0; c < s->column_count; c++) {
        wr_gen_column_fill(&state->columns[c], batch, rows, first * splits + split, splits,
                           c == s->event_time ? event_times : times);
    }
}

static const struct wr_generator_kind datagen_kind = {
    .split_create = split_create, .split_destroy = split_destroy, .fill = fill
};

/* ---- vtable ---- */

static void datagen_close(struct wr_source *s)
{
    if (s != NULL) {
        wr_generator_close(s->generator);
        wr_arena_deinit(&s->arena);
        free(s);
    }
}

static wr_status datagen_open(struct wr_source **out, const struct wr_source_env *env,
                              struct wr_error *err)
{
    const struct wr_plan_source *plan = env->plan;
    struct wr_source *s = wr_calloc(1, sizeof *s);
    wr_arena_init(&s->arena, 0);
    s->scan = &plan->scan;
    s->column_count = plan->scan.count;
    s->event_time = plan->event_time;
    s->seed = (uint64_t)wr_options_int(plan->options, "seed");
    s->out_of_order_us = wr_options_int(plan->options, "out_of_order");
    s->disorder_parts =
        (uint64_t)(wr_options_double(plan->options, "out_of_order_percent") / 100 * 4294967296.0);
    s->columns = WR_ARENA_ARRAY(&s->arena, struct wr_gen_column, s->column_count + 1);
    uint32_t at;
    if (make_columns(plan, s->scan, s->columns, &s->arena, &at, err) != WR_OK ||
        wr_generator_open(&s->generator, env, &datagen_kind, s, err) != WR_OK) {
        datagen_close(s);
        return WR_FAIL;
    }
    *out = s;
    return WR_OK;
}

static wr_status datagen_reader_open(struct wr_reader **out, struct wr_source *s, uint32_t worker,
                                     struct wr_io *io, struct wr_error *err)
{
    return wr_generator_reader_open(out, s->generator, worker);
}

const struct wr_source_ops wr_source_datagen = {
    .name = "datagen",
    .help = "Makes up rows by column types and names; paced, seeded, with disorder.",
    .options = datagen_options,
    .makes_columns = true,
    .check = datagen_check,
    .open = datagen_open,
    .reader_open = datagen_reader_open,
    .poll = wr_generator_poll,
    .pause = wr_generator_pause,
    .deadline_ns = wr_generator_deadline_ns,
    .reader_close = wr_generator_reader_close,
    .close = datagen_close,
};
