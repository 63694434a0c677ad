#include "test_source_harness.h"

#include "batch/text.h"
#include "source/pace.h"
#include <criterion/criterion.h>

/* ---- pace ---- */

Test(source_generator, rows_are_due_at_their_intended_time)
{
    struct wr_pace p;
    const struct wr_time start = { .wall_us = 5000000, .mono_ns = 1000 };
    wr_pace_start(&p, start, 1000, 0, 0, 3, 0);
    struct wr_time now = start;
    cr_assert_eq(wr_pace_due(&p, 0, now), 1u);
    cr_assert_eq(wr_pace_due(&p, 1, now), 0u);
    now.mono_ns += 1000000; /* 1 ms: row 1 */
    cr_assert_eq(wr_pace_due(&p, 1, now), 1u);
    now.mono_ns += 9000000; /* rows 0..10 */
    cr_assert_eq(wr_pace_due(&p, 0, now), 4u);
    cr_assert_eq(wr_pace_due(&p, 1, now), 4u);
    cr_assert_eq(wr_pace_due(&p, 2, now), 3u);
    cr_assert_eq(wr_pace_offset_us(&p, 10), 10000);
    cr_assert_eq(wr_pace_at_ns(&p, 10), 1000 + 10000000);
    cr_assert(!wr_pace_ended(&p, 0, 1000000, now));
}

Test(source_generator, a_duration_is_a_count_of_rows)
{
    struct wr_pace p;
    const struct wr_time start = { 0 };
    wr_pace_start(&p, start, 100, 0, 2000000, 2, 0);
    const struct wr_time late = { .mono_ns = 100 * WR_NS_PER_S };
    cr_assert_eq(wr_pace_due(&p, 0, late), 100u);
    cr_assert_eq(wr_pace_due(&p, 1, late), 100u);
    cr_assert(wr_pace_ended(&p, 0, 100, late));
    cr_assert(!wr_pace_ended(&p, 0, 99, late));
    wr_pace_start(&p, start, 0, 5, 0, 2, 0);
    cr_assert_eq(wr_pace_due(&p, 0, start), 3u);
    cr_assert_eq(wr_pace_due(&p, 1, start), 2u);
}

/* ---- datagen ---- */

static const char *const paths[] = { "event_id", "user_id", "type", "amount", "country", "ts",
                                     "day",      "ok",      "cost" };
static struct wr_field fields[] = {
    { .name = "event_id", .path = &paths[0], .path_count = 1, .type = { WR_TYPE_TEXT }, .declared = 0 },
    { .name = "user_id", .path = &paths[1], .path_count = 1, .type = { WR_TYPE_INT64 }, .declared = 1 },
    { .name = "type", .path = &paths[2], .path_count = 1, .type = { WR_TYPE_TEXT }, .declared = 2 },
    { .name = "amount", .path = &paths[3], .path_count = 1, .type = { WR_TYPE_FLOAT64 }, .declared = 3 },
    { .name = "country", .path = &paths[4], .path_count = 1, .type = { WR_TYPE_TEXT }, .declared = 4 },
    { .name = "ts", .path = &paths[5], .path_count = 1, .type = { WR_TYPE_TIMESTAMP }, .declared = 5 },
    { .name = "day", .path = &paths[6], .path_count = 1, .type = { WR_TYPE_DATE }, .declared = 6 },
    { .name = "ok", .path = &paths[7], .path_count = 1, .type = { WR_TYPE_BOOL }, .declared = 7 },
    { .name = "cost", .path = &paths[8], .path_count = 1,
      .type = { .id = WR_TYPE_DECIMAL, .precision = 10, .scale = 2 }, .declared = 8 },
};
#define FIELDS ((uint32_t)(sizeof fields / sizeof fields[0]))

static void use_schema(struct harness *h, uint32_t first)
{
    h->plan.declared = (struct wr_schema){ fields, FIELDS };
    h->plan.scan = (struct wr_schema){ fields + first, FIELDS - first };
    h->plan.event_time = 5 - first;
}

static void print_rows(struct wr_buf *into, const struct wr_batch *b, const struct wr_schema *schema)
{
    for (uint32_t i = 0; i < b->rows; i++) {
        for (uint32_t c = 0; c < schema->count; c++) {
            const struct wr_column *column = &b->columns[c];
            wr_buf_byte(into, ' ');
            if (wr_column_is_null(column, i)) {
                wr_buf_text(into, "NULL");
            } else {
                wr_text_format(into, column->type,
                               (char *)column->values + (size_t)i * wr_type_width(column->type));
            }
        }
        wr_buf_byte(into, '\n');
    }
}

/* Where a run came to, as a manifest would keep it. */
struct kept {
    struct wr_split_start starts[4];
    char names[4][24];
    char notes[4][WR_SPLIT_NOTE_BYTES_MAX];
    uint32_t count;
};

static void keep_split(struct kept *kept, const struct wr_poll *poll)
{
    struct wr_split_start *start = &kept->starts[poll->split];
    snprintf(kept->names[poll->split], sizeof kept->names[0], "%s", poll->split_name);
    snprintf(kept->notes[poll->split], sizeof kept->notes[0], "%s", poll->split_note);
    *start = (struct wr_split_start){ kept->names[poll->split], poll->next_position,
                                      kept->notes[poll->split] };
    kept->count++;
}

/* Reads a generator to its end, or until it gave rows_max rows and more, with batches of
 * batch_rows; splits: the rows of each, appended; kept: where it came to. */
static uint64_t generate_some(struct harness *h, uint32_t batch_rows, uint64_t rows_max,
                              struct wr_buf *splits, struct kept *kept)
{
    h->env.batch_rows = batch_rows;
    cr_assert_eq(harness_start(h), WR_OK, "%s", h->err.message);
    struct wr_batch_pool *pool = wr_batch_pool_create(&h->plan.scan, batch_rows, 4);
    struct wr_batch *b = wr_batch_take(pool);
    uint64_t rows = 0;
    kept->count = 0;
    while (rows < rows_max) {
        struct wr_poll poll = { 0 };
        cr_assert_eq(h->ops->poll(h->readers[0], h->now, b, &poll, &h->err), WR_OK);
        if (poll.kind == WR_POLL_FINISHED) {
            break;
        }
        if (poll.kind == WR_POLL_SPLIT_OPENED) {
            keep_split(kept, &poll);
        }
        if (poll.kind == WR_POLL_NOTHING) {
            const int64_t deadline = h->ops->deadline_ns(h->readers[0]);
            cr_assert(deadline > h->now.mono_ns && deadline < INT64_MAX);
            h->now.wall_us += (deadline - h->now.mono_ns) / 1000;
            h->now.mono_ns = deadline;
        }
        if (poll.kind == WR_POLL_ROWS) {
            int64_t *next = &kept->starts[poll.split].next_position;
            cr_assert_eq(b->origin.position_first, *next);
            *next += b->rows;
            cr_assert_eq(poll.next_position, *next);
            rows += b->rows;
            print_rows(&splits[poll.split], b, &h->plan.scan);
            wr_batch_release(b);
            b = wr_batch_take(pool);
        }
    }
    wr_batch_release(b);
    wr_batch_pool_destroy(pool);
    return rows;
}

/* To its end; into: the rows, split by split. */
static uint64_t generate(struct harness *h, uint32_t batch_rows, struct wr_buf *into)
{
    struct wr_buf splits[4] = { 0 };
    struct kept kept;
    const uint64_t rows = generate_some(h, batch_rows, UINT64_MAX, splits, &kept);
    for (uint32_t s = 0; s < 4; s++) {
        wr_buf_append(into, splits[s].data, splits[s].bytes);
        wr_buf_deinit(&splits[s]);
    }
    return rows;
}

static uint64_t datagen(const char *const *pairs, uint32_t batch_rows, uint32_t first_field,
                        struct wr_buf *into)
{
    struct harness h;
    uint32_t at = 0;
    harness_init(&h);
    use_schema(&h, first_field);
    cr_assert_eq(harness_options(&h, &wr_source_datagen, "", pairs), WR_OK, "%s", h.err.message);
    cr_assert_eq(h.ops->check(&h.plan, &at, &h.err), WR_OK, "%s", h.err.message);
    const uint64_t rows = generate(&h, batch_rows, into);
    harness_end(&h);
    return rows;
}

Test(source_generator, the_same_seed_gives_the_same_rows_in_batches_of_any_size)
{
    const char *const pairs[] = { "rows", "3000", "splits", "3", "start_time", "2024-01-31T00:00:00Z",
                                  "rate", "50000", "out_of_order", "2s", "fields.amount.null_percent",
                                  "10", "fields.user_id.kind", "zipf", NULL };
    struct wr_buf a = { 0 };
    struct wr_buf b = { 0 };
    cr_assert_eq(datagen(pairs, 1024, 0, &a), 3000u);
    cr_assert_eq(datagen(pairs, 7, 0, &b), 3000u);
    cr_assert_eq(a.bytes, b.bytes);
    cr_assert_eq(memcmp(a.data, b.data, a.bytes), 0);
    cr_assert_not_null(strstr(wr_buf_cstr(&a), "NULL"));
    cr_assert_not_null(strstr(wr_buf_cstr(&a), "2024-01-31T00:00:00"));
    wr_buf_deinit(&a);
    wr_buf_deinit(&b);
}

Test(source_generator, what_a_query_selects_does_not_change_the_values)
{
    const char *const pairs[] = { "rows", "50", "start_time", "2024-01-31T00:00:00Z", NULL };
    struct wr_buf all = { 0 };
    struct wr_buf some = { 0 };
    datagen(pairs, 100, 0, &all);
    datagen(pairs, 100, 2, &some);
    const char *line = wr_buf_cstr(&all);
    const char *want = wr_buf_cstr(&some);
    for (uint32_t i = 0; i < 50; i++) {
        const char *cut = strchr(strchr(line + 1, ' ') + 1, ' '); /* without the first two */
        const size_t bytes = (size_t)(strchr(cut, '\n') - cut);
        cr_assert_eq(strncmp(cut, want, bytes), 0);
        line = strchr(line, '\n') + 1;
        want += bytes + 1;
    }
    wr_buf_deinit(&all);
    wr_buf_deinit(&some);
}

Test(source_generator, kinds_values_and_ranges_are_kept)
{
    const char *const pairs[] = { "rows", "2000", "start_time", "2024-01-31T00:00:00Z",
                                  "fields.user_id.kind", "sequence", "fields.user_id.min", "5",
                                  "fields.type.values", "a, b", "fields.type.weights", "1,0",
                                  "fields.event_id.kind", "uuid", "fields.cost.min", "1",
                                  "fields.cost.max", "1", NULL };
    struct wr_buf rows = { 0 };
    datagen(pairs, 512, 0, &rows);
    const char *line = wr_buf_cstr(&rows);
    for (int i = 0; i < 2000; i++) {
        char id[64];
        char type[64];
        char amount[64];
        char rest[6][64];
        int user;
        cr_assert_eq(sscanf(line, " %63s %d %63s %63s %63s %63s %63s %63s %63s", id, &user, type,
                            amount, rest[0], rest[1], rest[2], rest[3], rest[4]),
                     9);
        cr_assert_eq(strlen(id), 36u);
        cr_assert_eq(id[14], '4');
        cr_assert_eq(user, 5 + i);
        cr_assert_str_eq(type, "a");
        cr_assert(atof(amount) >= 0 && atof(amount) <= 100);
        cr_assert_str_eq(rest[2], "2024-01-31");
        cr_assert_str_eq(rest[4], "1.00");
        line = strchr(line, '\n') + 1;
    }
    wr_buf_deinit(&rows);
}

static void expect_refusal(const char *name, const char *value, const char *part)
{
    const char *const pairs[] = { name, value, NULL };
    struct harness h;
    uint32_t at = 0;
    harness_init(&h);
    use_schema(&h, 0);
    cr_assert_eq(harness_options(&h, &wr_source_datagen, "", pairs), WR_OK, "%s", h.err.message);
    cr_assert_eq(h.ops->check(&h.plan, &at, &h.err), WR_FAIL);
    cr_assert_not_null(strstr(h.err.message, part), "%s", h.err.message);
    harness_end(&h);
}

Test(source_generator, settings_that_cannot_be_met_are_refused)
{
    expect_refusal("fields.nobody.kind", "random", "names no column");
    expect_refusal("fields.user_id.knid", "random", "no setting 'knid'");
    expect_refusal("fields.user_id.kind", "lognormal", "is not one of");
    expect_refusal("fields.user_id.kind", "uuid", "cannot fill column user_id of type BIGINT");
    expect_refusal("fields.user_id.min", "x", "is not a number");
    expect_refusal("fields.user_id.max", "-5", "greater than its max");
    expect_refusal("fields.user_id.values", "1,x", "'x' is not a value of type BIGINT");
    expect_refusal("fields.type.weights", "1,2", "weights");
    expect_refusal("fields.cost.max", "1000000000", "do not fit");
    expect_refusal("start_time", "soon", "is not a time");
    expect_refusal("out_of_order_percent", "101", "not a percentage");
}

Test(source_generator, a_bounded_run_needs_an_end)
{
    const char *const pairs[] = { "rate", "10", NULL };
    struct harness h;
    harness_init(&h);
    use_schema(&h, 0);
    h.env.bounded = true;
    cr_assert_eq(harness_options(&h, &wr_source_datagen, "", pairs), WR_OK);
    cr_assert_eq(harness_start(&h), WR_FAIL);
    cr_assert_not_null(strstr(h.err.hint, "duration"));
    harness_end(&h);
}

/* ---- nexmark ---- */

static uint64_t nexmark(const char *splits, struct wr_buf *into)
{
    const char *const pairs[] = { "rows", "5000", "splits", splits, "start_time",
                                  "2024-01-31T00:00:00Z", NULL };
    struct harness h;
    uint32_t at = 0;
    harness_init(&h);
    h.plan.declared = *wr_source_nexmark.own_columns;
    h.plan.scan = h.plan.declared;
    cr_assert_eq(harness_options(&h, &wr_source_nexmark, "", pairs), WR_OK, "%s", h.err.message);
    cr_assert_eq(h.ops->check(&h.plan, &at, &h.err), WR_OK, "%s", h.err.message);
    const uint64_t rows = generate(&h, 333, into);
    harness_end(&h);
    return rows;
}

Test(source_generator, nexmark_keeps_the_proportions_and_refers_to_what_exists)
{
    struct wr_buf rows = { 0 };
    cr_assert_eq(nexmark("1", &rows), 5000u);
    uint32_t persons = 0;
    uint32_t auctions = 0;
    uint32_t bids = 0;
    for (const char *line = wr_buf_cstr(&rows); *line != '\0'; line = strchr(line, '\n') + 1) {
        persons += strncmp(line, " person 2024", 12) == 0;
        auctions += strncmp(line, " auction 2024", 13) == 0;
        bids += strncmp(line, " bid 2024", 9) == 0;
    }
    cr_assert_eq(persons, 100u);
    cr_assert_eq(auctions, 300u);
    cr_assert_eq(bids, 4600u);
    cr_assert_not_null(strstr(rows.data, " person 2024-01-31T00:00:00Z 1000 "));
    wr_buf_deinit(&rows);
}

Test(source_generator, nexmark_splits_share_one_stream)
{
    struct wr_buf one = { 0 };
    struct wr_buf two = { 0 };
    nexmark("1", &one);
    nexmark("2", &two);
    /* Split 0 of two has the even rows: its second row is the third of all. */
    const char *third = strchr(strchr(wr_buf_cstr(&one), '\n') + 1, '\n') + 1;
    const char *second = strchr(wr_buf_cstr(&two), '\n') + 1;
    const size_t bytes = (size_t)(strchr(third, '\n') - third);
    cr_assert_eq(strncmp(third, second, bytes + 1), 0);
    wr_buf_deinit(&one);
    wr_buf_deinit(&two);
}

/* ---- going on ---- */

static void prepare(struct harness *h, const struct wr_source_ops *ops, const char *const *pairs)
{
    harness_init(h);
    if (ops == &wr_source_nexmark) {
        h->plan.declared = *wr_source_nexmark.own_columns;
        h->plan.scan = h->plan.declared;
    } else {
        use_schema(h, 0);
    }
    cr_assert_eq(harness_options(h, ops, "", pairs), WR_OK, "%s", h->err.message);
}

/* A run that is stopped after rows_max rows, and another one 7 s later, give what one run gives. */
static void expect_resumes(const struct wr_source_ops *ops, const char *const *pairs,
                           uint64_t rows_max)
{
    struct wr_buf whole[4] = { 0 };
    struct wr_buf parts[4] = { 0 };
    struct kept kept;
    struct kept none;
    struct harness h;
    prepare(&h, ops, pairs);
    const uint64_t all = generate_some(&h, 700, UINT64_MAX, whole, &none);
    harness_end(&h);
    prepare(&h, ops, pairs);
    const uint64_t first = generate_some(&h, 700, rows_max, parts, &kept);
    harness_end(&h);
    cr_assert(first >= rows_max && first < all);

    prepare(&h, ops, pairs);
    h.now.wall_us += 7 * WR_US_PER_S;
    h.now.mono_ns = 123; /* another boot */
    h.env.resumed = true;
    h.env.starts = kept.starts;
    h.env.start_count = kept.count;
    cr_assert_eq(generate_some(&h, 500, UINT64_MAX, parts, &none), all - first);
    harness_end(&h);
    for (uint32_t s = 0; s < 4; s++) {
        cr_assert_eq(parts[s].bytes, whole[s].bytes);
        cr_assert(whole[s].bytes == 0 || memcmp(parts[s].data, whole[s].data, whole[s].bytes) == 0);
        wr_buf_deinit(&parts[s]);
        wr_buf_deinit(&whole[s]);
    }
}

static const char *const paced[] = { "rows", "100000", "splits", "3", "rate", "90000",
                                     "out_of_order", "2s", "fields.amount.null_percent", "10",
                                     "fields.user_id.kind", "zipf", "fields.type.values", "a, b",
                                     NULL };

Test(source_generator, a_resumed_run_gives_the_rest_with_the_times_of_the_first_start)
{
    expect_resumes(&wr_source_datagen, paced, 1);
    expect_resumes(&wr_source_datagen, paced, 41000);
}

Test(source_generator, rows_are_the_same_behind_a_block_of_draws)
{
    const char *const one[] = { "rows", "140000", "start_time", "2024-01-31T00:00:00Z",
                                "out_of_order", "1s", "fields.event_id.kind", "uuid", NULL };
    expect_resumes(&wr_source_datagen, one, 65500);
    expect_resumes(&wr_source_datagen, one, 132000);
}

Test(source_generator, nexmark_goes_on_as_if_it_had_not_stopped)
{
    const char *const pairs[] = { "rows", "20000", "splits", "2", "rate", "5000", NULL };
    expect_resumes(&wr_source_nexmark, pairs, 7001);
}

Test(source_generator, what_fell_due_while_nobody_ran_comes_at_once)
{
    const char *const pairs[] = { "rate", "1000", NULL };
    struct wr_buf rows[4] = { 0 };
    struct kept kept;
    struct harness h;
    prepare(&h, &wr_source_datagen, pairs);
    generate_some(&h, 100, 10, rows, &kept);
    harness_end(&h);
    prepare(&h, &wr_source_datagen, pairs);
    h.now.wall_us += WR_US_PER_S;
    h.env.resumed = true;
    h.env.starts = kept.starts;
    h.env.start_count = kept.count;
    const int64_t before_ns = h.now.mono_ns;
    generate_some(&h, 100, 900, rows, &kept);
    cr_assert_eq(h.now.mono_ns, before_ns);
    harness_end(&h);
    wr_buf_deinit(&rows[0]);
}

Test(source_generator, another_number_of_splits_is_refused)
{
    const struct wr_split_start starts[] = { { "0", 5, NULL }, { "1", 5, NULL } };
    const char *const pairs[] = { "rate", "10", NULL };
    struct harness h;
    prepare(&h, &wr_source_datagen, pairs);
    h.env.resumed = true;
    h.env.starts = starts;
    h.env.start_count = 2;
    cr_assert_eq(harness_start(&h), WR_FAIL);
    cr_assert_not_null(strstr(h.err.hint, "set splits"));
    harness_end(&h);
}

/* ---- held back ---- */

/* The next poll with rows, or one with nothing; its split or UINT32_MAX. */
static uint32_t next_rows(struct harness *h, struct wr_batch_pool *pool, int64_t *next)
{
    struct wr_poll poll = { 0 };
    struct wr_batch *b = wr_batch_take(pool);
    do {
        poll = (struct wr_poll){ 0 };
        cr_assert_eq(h->ops->poll(h->readers[0], h->now, b, &poll, &h->err), WR_OK);
    } while (poll.kind != WR_POLL_ROWS && poll.kind != WR_POLL_NOTHING);
    if (poll.kind == WR_POLL_ROWS) {
        cr_assert_eq(b->origin.position_first, next[poll.split]);
        next[poll.split] = poll.next_position;
    }
    wr_batch_release(b);
    return poll.kind == WR_POLL_ROWS ? poll.split : UINT32_MAX;
}

Test(source_generator, a_split_that_is_held_back_waits_where_it_is)
{
    const char *const pairs[] = { "splits", "2", "start_time", "2024-01-31T00:00:00Z", NULL };
    struct harness h;
    int64_t next[2] = { 0 };
    harness_init(&h);
    use_schema(&h, 0);
    h.env.batch_rows = 16;
    cr_assert_eq(harness_options(&h, &wr_source_datagen, "", pairs), WR_OK, "%s", h.err.message);
    cr_assert_eq(harness_start(&h), WR_OK, "%s", h.err.message);
    struct wr_batch_pool *pool = wr_batch_pool_create(&h.plan.scan, 16, 4);
    while (next[0] == 0 || next[1] == 0) {
        cr_assert_lt(next_rows(&h, pool, next), 2u);
    }
    h.ops->pause(h.readers[0], 1, true);
    const int64_t at = next[1];
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(next_rows(&h, pool, next), 0u);
    }
    h.ops->pause(h.readers[0], 0, true);
    cr_assert_eq(next_rows(&h, pool, next), UINT32_MAX);
    cr_assert_eq(h.ops->deadline_ns(h.readers[0]), INT64_MAX); /* nobody spins while all wait */
    h.ops->pause(h.readers[0], 1, false);
    cr_assert(h.ops->deadline_ns(h.readers[0]) <= h.now.mono_ns);
    cr_assert_eq(next_rows(&h, pool, next), 1u); /* its position was checked */
    cr_assert_gt(next[1], at);
    wr_batch_pool_destroy(pool);
    harness_end(&h);
}
