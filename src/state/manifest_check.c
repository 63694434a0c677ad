/* manifest_check.c: the numbered invariants of manifest.h and the balance of the ledger (design.md, section 4, invariant 5). */
#include "state/manifest.h"

#include "base/heap.h"
#include "batch/json_scan.h"
#include <stdlib.h>

#define BROKEN(...) return wr_fail(err, WR_CLASS_FATAL, "the manifest contradicts itself: " __VA_ARGS__)

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names are matched by later starts: two alike would make one of them lost. names: scratch, sorted here. */
static wr_status check_unique(const char **names, uint32_t count, const char *what,
                              struct wr_error *err)
{
    if (count > 1) {
        qsort(names, count, sizeof *names, by_text);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (names[i][0] == '\0') {
            BROKEN("a %s has no name", what);
        }
        if (i > 0 && strcmp(names[i - 1], names[i]) == 0) {
            BROKEN("two %ss are called %.200s", what, names[i]);
        }
    }
    return WR_OK;
}

#define CHECK_NAMES(list, count, what)                                                             \
    do {                                                                                           \
        const char **names_ = wr_malloc(sizeof *names_ * ((count) + 1u));                          \
        for (uint32_t i_ = 0; i_ < (count); i_++) {                                                \
            names_[i_] = (list)[i_].name != NULL ? (list)[i_].name : "";                           \
        }                                                                                          \
        const wr_status checked_ = check_unique(names_, (count), (what), err);                     \
        free(names_);                                                                              \
        WR_TRY(checked_);                                                                          \
    } while (0)

static bool is_hex(const char *text, size_t bytes)
{
    return strlen(text) == bytes && strspn(text, "0123456789abcdef") == bytes;
}

static bool is_uuid(const char *text)
{
    return strlen(text) == 36 && strspn(text, "0123456789abcdef-") == 36 && text[8] == '-' &&
           text[13] == '-' && text[18] == '-' && text[23] == '-';
}

static wr_status check_head(const struct wr_manifest *m, struct wr_error *err)
{
    if (m->epoch == 0 || m->epoch > INT64_MAX) { /* (1) */
        BROKEN("its epoch is %llu", (unsigned long long)m->epoch);
    }
    if (!is_uuid(m->uuid)) { /* (1) */
        BROKEN("\"%.40s\" is not a UUID", m->uuid);
    }
    if (!is_hex(m->owner.id, 16)) {
        BROKEN("\"%.20s\" is not an owner's id", m->owner.id);
    }
    return WR_OK;
}

static wr_status check_cuts(const struct wr_manifest *m, struct wr_error *err)
{
    for (uint32_t c = 0; c < m->cut_count; c++) { /* (2) */
        const struct wr_manifest_cut *cut = &m->cuts[c];
        if (cut->epoch == 0 || cut->epoch > m->epoch ||
            (c > 0 && cut->epoch <= m->cuts[c - 1].epoch)) {
            BROKEN("cut %u is of epoch %llu, which is out of order", c,
                   (unsigned long long)cut->epoch);
        }
        CHECK_NAMES(cut->sources, cut->source_count, "source");
        for (uint32_t s = 0; s < cut->source_count; s++) {
            CHECK_NAMES(cut->sources[s].splits, cut->sources[s].split_count, "split");
        }
    }
    return WR_OK;
}

static wr_status check_sinks(const struct wr_manifest *m, struct wr_error *err)
{
    CHECK_NAMES(m->sinks, m->sink_count, "sink");
    for (uint32_t k = 0; k < m->sink_count; k++) { /* (3) */
        const struct wr_manifest_sink *sink = &m->sinks[k];
        if (sink->cut != 0 && wr_manifest_cut_of(m, sink->cut) == NULL) {
            BROKEN("sink %.200s stands at epoch %llu, of which there is no cut", sink->name,
                   (unsigned long long)sink->cut);
        }
        if (sink->cut == 0 && sink->receipt_count > 0) {
            BROKEN("sink %.200s has receipts but no epoch", sink->name);
        }
        for (uint32_t r = 0; r < sink->receipt_count; r++) { /* (4): they are written as they are */
            if (!wr_json_valid(sink->receipts[r])) {
                BROKEN("a receipt of sink %.200s is not JSON", sink->name);
            }
        }
    }
    return WR_OK;
}

static wr_status check_operators(const struct wr_manifest *m, struct wr_error *err)
{
    CHECK_NAMES(m->operators, m->operator_count, "operator");
    for (uint32_t o = 0; o < m->operator_count; o++) { /* (3) */
        if (m->operators[o].cut != 0 && wr_manifest_cut_of(m, m->operators[o].cut) == NULL) {
            BROKEN("operator %.200s stands at epoch %llu, of which there is no cut",
                   m->operators[o].name, (unsigned long long)m->operators[o].cut);
        }
    }
    for (uint32_t s = 0; s < m->snapshot_count; s++) {
        const uint64_t epoch = m->snapshots[s].epoch;
        if (epoch > m->epoch || (s > 0 && epoch < m->snapshots[s - 1].epoch)) {
            BROKEN("snapshot %.200s is out of order", m->snapshots[s].key);
        }
    }
    return WR_OK;
}

static wr_status check_ledger(const struct wr_manifest *m, struct wr_error *err)
{
    for (uint32_t l = 0; l < m->ledger_count; l++) {
        const struct wr_manifest_ledger *line = &m->ledger[l];
        const unsigned __int128 sum = (unsigned __int128)line->landed + line->late +
                                      line->dead_lettered + line->filtered + line->in_flight;
        if (sum != line->read) {
            (void)wr_fail(err, WR_CLASS_FATAL,
                          "the ledger does not balance: sink %.200s, source %.200s, split %.200s: "
                          "%llu read, %llu accounted for",
                          line->sink, line->source, line->split, (unsigned long long)line->read,
                          (unsigned long long)sum);
            wr_error_detail(err, "landed %llu, late %llu, dead-lettered %llu, filtered %llu, in flight %llu",
                            (unsigned long long)line->landed, (unsigned long long)line->late,
                            (unsigned long long)line->dead_lettered,
                            (unsigned long long)line->filtered, (unsigned long long)line->in_flight);
            return WR_FAIL;
        }
    }
    return WR_OK;
}

wr_status wr_manifest_check(const struct wr_manifest *manifest, struct wr_error *err)
{
    WR_TRY(check_head(manifest, err));
    WR_TRY(check_cuts(manifest, err));
    WR_TRY(check_sinks(manifest, err));
    WR_TRY(check_operators(manifest, err));
    return check_ledger(manifest, err);
}
