/* sim_sink.c: sinks of the simulated world.
 *
 * 'simtable' is a table with one commit per epoch, as Delta is: rows are put as an object at prepare, the receipt names it,
 * publish adds all lanes' objects at once, and the table remembers which epoch of which state it has. 'simlog' is a log
 * without transactions: what is written is visible.
 */
#include "sim_connectors.h"

#include "base/heap.h"
#include "sim_check.h"
#include "sim_world.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct wr_writer {
    struct wr_sink_env env;
    struct wr_store *store;
    uint32_t sink; /* in the scenario */
    struct wr_buf rows; /* struct sim_row */
    uint64_t taken;
    uint64_t prepared_rows; /* bytes of rows that the newest prepare has put */
    uint64_t prepared;      /* epoch */
};

static const struct wr_option no_options[] = { { .name = NULL } };

static int64_t value_of(const struct wr_column *column, uint32_t row)
{
    if (wr_column_is_null(column, row)) {
        return SIM_NULL;
    }
    switch (column->type.id) {
    case WR_TYPE_INT64:
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ: return ((const int64_t *)column->values)[row];
    case WR_TYPE_TEXT: {
        const struct wr_slice text = wr_view_slice(&((const struct wr_view *)column->values)[row]);
        return sim_hash_text(text.data, text.bytes);
    }
    default: return 0; /* not compared */
    }
}

static void row_of(const struct wr_writer *w, const struct wr_batch *batch, uint32_t row,
                   struct sim_row *into)
{
    *into = (struct sim_row){ 0 };
    const uint32_t count = batch->columns_count < SIM_COLUMNS ? batch->columns_count : SIM_COLUMNS;
    if (sim->scenario.sinks[w->sink].feed == SIM_FEED_LATE) {
        into->column[0] = value_of(&batch->columns[0], row); /* id */
        into->column[1] = value_of(&batch->columns[batch->columns_count - 2], row); /* _sink */
        return;
    }
    if (sim->scenario.sinks[w->sink].feed == SIM_FEED_BAD) {
        into->column[0] = value_of(&batch->columns[1], row); /* split */
        into->column[1] = value_of(&batch->columns[2], row); /* position */
        return;
    }
    for (uint32_t c = 0; c < count; c++) {
        into->column[c] = value_of(&batch->columns[c], row);
    }
}

static wr_status sink_open(struct wr_writer **out, const struct wr_sink_env *env, struct wr_error *err)
{
    struct wr_writer *w = wr_calloc(1, sizeof *w);
    *out = w;
    w->env = *env;
    w->sink = sim_sink_index(env->plan->name);
    return wr_store_open(&w->store, "sim://stage", NULL, env->io, err);
}

static wr_status sink_write(struct wr_writer *w, const struct wr_batch *batch, struct wr_time now,
                            struct wr_error *err)
{
    if (!sim->calm && sim_chance(sim->scenario.fault_per_mille / 4)) {
        return wr_fail(err, WR_CLASS_RETRY, "the simulated sink is busy");
    }
    for (uint32_t i = 0; i < wr_batch_live(batch); i++) {
        struct sim_row row;
        row_of(w, batch, wr_batch_row(batch, i), &row);
        wr_buf_append(&w->rows, &row, sizeof row);
    }
    w->taken += wr_batch_live(batch);
    return WR_OK;
}

/* One atomic commit of the table, with an answer that may be lost. */
static wr_status commit(struct wr_writer *w, uint64_t epoch, const struct wr_receipt *receipts,
                        uint32_t count, struct wr_error *err)
{
    struct sim_table *table = &sim->tables[w->sink];
    char name[64];
    snprintf(name, sizeof name, "commit of %s %llu", w->env.plan->name, (unsigned long long)epoch);
    sim_point(SIM_POINT_OP, name);
    const bool fails = sim_chance(sim->scenario.fault_per_mille);
    const bool applied = !fails || sim_chance(500);
    const bool known = strcmp(table->uuid, w->env.state_uuid) == 0 && table->committed >= epoch;
    if (applied && !known) {
        sim_check_commit(w->env.plan->name, w->env.state_uuid, epoch);
        for (uint32_t i = 0; i < count; i++) {
            json_t *json = json_loadb(receipts[i].text, receipts[i].bytes, 0, NULL);
            char key[192];
            snprintf(key, sizeof key, "stage/%s", json_string_value(json_object_get(json, "key")));
            json_decref(json);
            const struct sim_object *object = sim_object_find(key);
            if (object == NULL) {
                sim_violation("(1) %s: the receipt names %s, which is not there", name, key);
                return WR_OK;
            }
            for (size_t at = 0; at < object->bytes; at += sizeof(struct sim_row)) {
                struct sim_row row;
                memcpy(&row, object->data + at, sizeof row);
                sim_table_add(table, &row);
            }
        }
        table->committed = epoch;
        snprintf(table->uuid, sizeof table->uuid, "%s", w->env.state_uuid);
    }
    sim_trace("sink: %s%s%s", name, known ? " (known)" : "", fails ? " (answer is lost)" : "");
    sim_point(SIM_POINT_OP, name);
    return fails ? wr_fail(err, WR_CLASS_RETRY, "the simulated table does not answer") : WR_OK;
}

static wr_status sink_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                              struct wr_error *err)
{
    if (w->rows.bytes == 0) {
        return WR_OK;
    }
    char key[128];
    snprintf(key, sizeof key, "%s-%s-%u-%llu", w->env.owner, w->env.plan->name, w->env.lane,
             (unsigned long long)epoch);
    WR_TRY(wr_store_put(w->store, key, w->rows.data, w->rows.bytes, WR_PUT_ALWAYS, err));
    w->rows.bytes = 0;
    wr_buf_printf(receipt, "{\"key\":\"%s\"}", key);
    if (sim_bug(SIM_BUG_PUBLISH_EARLY)) {
        const struct wr_receipt own = { receipt->data, receipt->bytes };
        return commit(w, epoch, &own, 1, err);
    }
    return WR_OK;
}

static wr_status sink_publish(struct wr_writer *w, uint64_t epoch, const struct wr_receipt *receipts,
                              uint32_t receipt_count, struct wr_error *err)
{
    return w->env.lane == 0 ? commit(w, epoch, receipts, receipt_count, err) : WR_OK;
}

struct leftovers {
    const struct wr_sink_recovery *recovery;
    const char *sink;
    char keys[64][128];
    uint32_t count;
};

static void leftover(void *ctx, const char *key, uint64_t bytes)
{
    struct leftovers *l = ctx;
    char quoted[160];
    snprintf(quoted, sizeof quoted, "\"%s\"", key);
    for (uint32_t i = 0; i < l->recovery->receipt_count; i++) {
        if (memmem(l->recovery->receipts[i].text, l->recovery->receipts[i].bytes, quoted,
                   strlen(quoted)) != NULL) {
            return;
        }
    }
    char mark[64];
    for (uint32_t i = 0; i < l->recovery->owner_count && l->count < 64; i++) {
        snprintf(mark, sizeof mark, "%s-%s-", l->recovery->owners[i], l->sink);
        if (strncmp(key, mark, strlen(mark)) == 0) {
            snprintf(l->keys[l->count++], 128, "%s", key);
            return;
        }
    }
}

static wr_status sink_recover(struct wr_writer *w, const struct wr_sink_recovery *recovery,
                              struct wr_error *err)
{
    if (recovery->epoch > 0 && !sim_bug(SIM_BUG_NO_RECOVERY)) {
        WR_TRY(commit(w, recovery->epoch, recovery->receipts, recovery->receipt_count, err));
    }
    struct leftovers found = { .recovery = recovery, .sink = w->env.plan->name };
    WR_TRY(wr_store_list(w->store, "", NULL, leftover, &found, err));
    for (uint32_t i = 0; i < found.count; i++) {
        WR_TRY(wr_store_delete(w->store, found.keys[i], err));
    }
    return WR_OK;
}

static void sink_stats(const struct wr_writer *w, struct wr_sink_stats *stats)
{
    *stats = (struct wr_sink_stats){ .rows = w->taken };
}

static void sink_close(struct wr_writer *w)
{
    if (w != NULL) {
        wr_store_close(w->store);
        wr_buf_deinit(&w->rows);
        free(w);
    }
}

const struct wr_sink_ops sim_table_ops = {
    .name = "simtable",
    .help = "A table of the simulated world.",
    .options = no_options,
    .parallel = true,
    .transactional = true,
    .exactly_once = true,
    .bulk = true,
    .open = sink_open,
    .write = sink_write,
    .recover = sink_recover,
    .prepare = sink_prepare,
    .publish = sink_publish,
    .stats = sink_stats,
    .close = sink_close,
};

/* ---- at least once ---- */

static wr_status log_write(struct wr_writer *w, const struct wr_batch *batch, struct wr_time now,
                           struct wr_error *err)
{
    sim_point(SIM_POINT_OP, "before a message");
    WR_TRY(sink_write(w, batch, now, err));
    for (size_t at = 0; at < w->rows.bytes; at += sizeof(struct sim_row)) {
        struct sim_row row;
        memcpy(&row, w->rows.data + at, sizeof row);
        sim_table_add(&sim->tables[w->sink], &row);
    }
    w->rows.bytes = 0;
    w->env.visible(w->env.ctx, batch->ingest_us, wr_batch_live(batch));
    sim_point(SIM_POINT_OP, "after a message");
    return WR_OK;
}

static wr_status log_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                             struct wr_error *err)
{
    return WR_OK;
}

static wr_status log_publish(struct wr_writer *w, uint64_t epoch, const struct wr_receipt *receipts,
                             uint32_t receipt_count, struct wr_error *err)
{
    return WR_OK;
}

const struct wr_sink_ops sim_log_ops = {
    .name = "simlog",
    .help = "A log of the simulated world, without transactions.",
    .options = no_options,
    .open = sink_open,
    .write = log_write,
    .prepare = log_prepare,
    .publish = log_publish,
    .stats = sink_stats,
    .close = sink_close,
};
