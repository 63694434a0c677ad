/* sim_verify.c: after the history: every sink holds exactly what the reference says, and the last manifest's ledger agrees. */
#include "sim_check.h"
#include "sim_scenario.h"

#include "base/heap.h"
#include "state/manifest.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_columns(const void *a, const void *b)
{
    const struct sim_row *x = a;
    const struct sim_row *y = b;
    for (uint32_t c = 0; c < SIM_COLUMNS; c++) {
        if (x->column[c] != y->column[c]) {
            return x->column[c] < y->column[c] ? -1 : 1;
        }
    }
    return 0;
}

static void sort_rows(struct sim_row *rows, uint32_t count)
{
    if (count > 0) {
        qsort(rows, count, sizeof *rows, by_columns);
    }
}

static void differs(const struct sim_sink *sink, const char *what, const struct sim_row *row)
{
    char text[SIM_COLUMNS * 24] = "";
    size_t at = 0;
    for (uint32_t c = 0; c < 7; c++) {
        at += (size_t)snprintf(text + at, sizeof text - at, " %lld", (long long)row->column[c]);
    }
    sim_trace("sink %s: %s row%s", sink->name, what, text);
    sim_violation("sink %s (%s): %s row:%s", sink->name, sink->connector, what, text);
}

/* exact: equal as multisets. Else a row may be there more often, and a window's sink may have results of attempts that were never
 * committed: another time splits may wake, or be found, at other moments. */
static void compare(const struct sim_sink *sink, const struct sim_expected *expected,
                    struct sim_table *table, bool exact)
{
    sort_rows(expected->rows, expected->count);
    sort_rows(table->rows, table->count);
    uint32_t e = 0;
    uint32_t t = 0;
    while (e < expected->count || t < table->count) {
        const int order = e == expected->count ? 1
                          : t == table->count  ? -1
                                               : by_columns(&expected->rows[e], &table->rows[t]);
        if (order == 0) {
            e++;
            t++;
        } else if (order < 0) {
            differs(sink, "missing", &expected->rows[e++]);
        } else {
            const bool again = t > 0 && by_columns(&table->rows[t - 1], &table->rows[t]) == 0;
            if (exact || (!again && sink->feed != SIM_FEED_WINDOW && sim->lost == 0)) {
                differs(sink, again ? "doubled" : "alien", &table->rows[t]);
            }
            t++;
        }
    }
}

static void compare_ledger(const struct sim_expected *expected)
{
    const struct sim_object *object = sim_object_find(sim->head.key);
    struct wr_manifest m;
    struct wr_error err = { 0 };
    wr_manifest_init(&m);
    const struct wr_slice text = { object->data, object->bytes };
    if (wr_manifest_read(&m, text, &err) != WR_OK) {
        sim_violation("the last manifest: %s", err.message);
    }
    for (uint32_t k = 0; k < sim->scenario.sink_count; k++) {
        const struct sim_expected *e = &expected[k];
        struct wr_manifest_ledger sum = { 0 };
        if (sim->scenario.sinks[k].feed != SIM_FEED_ROWS &&
            sim->scenario.sinks[k].feed != SIM_FEED_WINDOW) {
            continue;
        }
        for (uint32_t i = 0; i < m.ledger_count; i++) {
            if (strcmp(m.ledger[i].sink, sim->scenario.sinks[k].name) == 0) {
                sum.read += m.ledger[i].read;
                sum.landed += m.ledger[i].landed;
                sum.late += m.ledger[i].late;
                sum.partly_late += m.ledger[i].partly_late;
                sum.dead_lettered += m.ledger[i].dead_lettered;
                sum.filtered += m.ledger[i].filtered;
                sum.in_flight += m.ledger[i].in_flight;
            }
        }
        if (sum.read != e->read || sum.landed + sum.in_flight != e->passed || sum.late != e->late ||
            sum.partly_late != e->partly_late || sum.dead_lettered != e->dead ||
            sum.filtered != e->filtered) {
            sim_violation("(5) ledger of %s: read %llu landed %llu in flight %llu late %llu (%llu partly) dead "
                          "%llu filtered %llu; expected %llu %llu 0 %llu (%llu) %llu %llu",
                          sim->scenario.sinks[k].name, (unsigned long long)sum.read,
                          (unsigned long long)sum.landed, (unsigned long long)sum.in_flight,
                          (unsigned long long)sum.late, (unsigned long long)sum.partly_late,
                          (unsigned long long)sum.dead_lettered, (unsigned long long)sum.filtered,
                          (unsigned long long)e->read, (unsigned long long)e->passed,
                          (unsigned long long)e->late, (unsigned long long)e->partly_late,
                          (unsigned long long)e->dead, (unsigned long long)e->filtered);
        }
    }
    wr_manifest_deinit(&m);
}

void sim_verify(void)
{
    struct sim_expected expected[SIM_SINKS_MAX] = { 0 };
    sim_reference(expected);
    sim_read_files();
    for (uint32_t k = 0; k < sim->scenario.sink_count; k++) {
        const struct sim_sink *sink = &sim->scenario.sinks[k];
        compare(sink, &expected[k], &sim->tables[k], sink->once && sim->lost == 0);
    }
    if (sim->head.epoch > 0) {
        compare_ledger(expected);
    }
    for (uint32_t k = 0; k < SIM_SINKS_MAX; k++) {
        free(expected[k].rows);
    }
}
