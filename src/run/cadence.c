#include "run/cadence.h"

#include "base/heap.h"

static int64_t own_interval_us(const struct wr_pipeline *p, uint32_t sink)
{
    const int64_t given = p->plan->sinks[sink].commit_interval_us;
    return given > 0                                  ? given
           : p->sink_ops[sink]->commit_interval_us > 0 ? p->sink_ops[sink]->commit_interval_us
                                                       : p->config.commit_interval_us;
}

/* Lowers every[x] of all sinks that node reaches, and of the node, to the smallest among them; true when anything moved. */
static bool level(const uint32_t *sinks, uint32_t count, uint64_t *every)
{
    uint64_t least = UINT64_MAX;
    bool moved = false;
    for (uint32_t i = 0; i < count; i++) {
        least = every[sinks[i]] < least ? every[sinks[i]] : least;
    }
    for (uint32_t i = 0; i < count; i++) {
        moved = moved || every[sinks[i]] != least;
        every[sinks[i]] = least;
    }
    return moved;
}

static uint32_t reach(const struct wr_plan *plan, uint32_t node, uint32_t *sinks, uint32_t count)
{
    for (uint32_t i = 0; i < plan->nodes[node].sink_count; i++) {
        sinks[count++] = plan->nodes[node].sinks[i];
    }
    for (uint32_t i = 0; i < plan->nodes[node].consumer_count; i++) {
        count = reach(plan, plan->nodes[node].consumers[i], sinks, count);
    }
    return count;
}

/* Paths may meet again: a sink can be reached more than once. */
static uint32_t most_paths(const struct wr_plan *plan)
{
    uint64_t *paths = wr_calloc(plan->node_count + 1, sizeof *paths);
    uint64_t most = 0;
    for (uint32_t n = plan->node_count; n-- > 0;) {
        paths[n] = plan->nodes[n].sink_count;
        for (uint32_t i = 0; i < plan->nodes[n].consumer_count; i++) {
            paths[n] += paths[plan->nodes[n].consumers[i]];
        }
        most = paths[n] > most ? paths[n] : most;
    }
    free(paths);
    return (uint32_t)most;
}

/* Whether all sinks behind the node must commit together. */
static bool binds(const struct wr_pipeline *p, const struct wr_plan_node *node)
{
    return node->kind == WR_NODE_WINDOW ||
           (node->kind == WR_NODE_SCAN &&
            (p->plan->sources[node->source].dedup_column != WR_NO_COLUMN ||
             p->source_ops[node->source]->counts_arrivals));
}

static void share(struct wr_pipeline *p)
{
    const struct wr_plan *plan = p->plan;
    uint32_t *sinks = wr_calloc(most_paths(plan) + 1, sizeof *sinks);
    for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t n = 0; n < plan->node_count; n++) {
            if (binds(p, &plan->nodes[n])) {
                const uint32_t count = reach(plan, n, sinks, 0);
                moved = level(sinks, count, p->sink_every) || moved;
                p->node_every[n] = count > 0 ? (uint32_t)p->sink_every[sinks[0]] : 1;
            }
        }
    }
    free(sinks);
}

void wr_cadence_settle(struct wr_pipeline *p)
{
    const struct wr_plan *plan = p->plan;
    p->sink_every = wr_calloc(plan->sink_count + 1, sizeof *p->sink_every);
    p->node_every = wr_calloc(plan->node_count + 1, sizeof *p->node_every);
    p->exactly_once = wr_calloc(plan->sink_count + 1, sizeof *p->exactly_once);
    p->epoch_interval_us = p->config.commit_interval_us;
    for (uint32_t k = 0; k < plan->sink_count; k++) {
        const int64_t own = plan->sinks[k].commit_interval_us;
        if (own > 0 && own < p->epoch_interval_us) {
            p->epoch_interval_us = own;
        }
    }
    for (uint32_t k = 0; k < plan->sink_count; k++) {
        const bool side = plan->sinks[k].feed == WR_FEED_LATE || plan->sinks[k].feed == WR_FEED_ERRORS;
        const int64_t every = side ? 1 : own_interval_us(p, k) / p->epoch_interval_us;
        p->sink_every[k] = every < 1 ? 1 : (uint64_t)every;
        const char *guarantee = wr_options_text(plan->sinks[k].options, "guarantee");
        p->exactly_once[k] = p->sink_ops[k]->transactional;
        if (guarantee != NULL && p->sink_ops[k]->exactly_once) {
            p->exactly_once[k] = strcmp(guarantee, "exactly_once") == 0;
        }
        p->exactly_once[k] = p->exactly_once[k] && p->config.state_url != NULL;
    }
    share(p);
}
