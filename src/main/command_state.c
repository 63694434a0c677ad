/* command_state.c: weir state show and weir state reset. */
#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "batch/text.h"
#include "main/commands.h"
#include "main/state_place.h"
#include "run/owner.h"
#include "run/owner_head.h"
#include "run/owner_self.h"
#include "run/policy.h"
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

static const char help[] =
    "usage: weir state show URL|FILE.sql [--json] [--set NAME=VALUE]\n"
    "       weir state reset URL|FILE.sql [--yes] [--set NAME=VALUE]\n"
    "\n"
    "show prints what a pipeline has committed: its epoch and owner, where each source goes on, what each\n"
    "sink and operator stands at, and the ledger. reset removes it all: the pipeline begins anew then.\n"
    "\n"
    "  --json            the manifest itself\n"
    "  --yes             do not ask\n"
    "  --set NAME=VALUE  as for weir run; state.NAME are options of the state's store\n"
    "\n"
    "Examples:\n"
    "  weir state show clicks.sql\n"
    "  weir state show s3://bucket/weir/clicks --json\n"
    "  weir state reset clicks.sql --yes\n";

/* ---- show ---- */

static const char *time_text(int64_t us, char text[40])
{
    if (us == WR_TIME_MIN || us == WR_TIME_MAX) {
        return us == WR_TIME_MIN ? "-" : "end";
    }
    *wr_text_timestamp(text, us) = '\0';
    return text;
}

static void show_owner(const struct wr_manifest *m, struct wr_arena *arena)
{
    struct wr_owner self;
    wr_owner_self(&self, arena);
    const int64_t age_ms = wr_clock_now().wall_us / 1000 - m->owner.at_ms;
    const char *life = m->owner.released ? "ended in order"
                       : wr_owner_life(&self, &m->owner) == WR_OWNER_ALIVE ? "running"
                       : wr_owner_life(&self, &m->owner) == WR_OWNER_DEAD  ? "dead"
                                                                          : "elsewhere";
    char at[40];
    printf("pipeline   %s\nuuid       %s\nepoch      %llu\n", m->pipeline, m->uuid,
           (unsigned long long)m->epoch);
    printf("owner      %s: pid %lld on %s, %s\n", m->owner.id, (long long)m->owner.pid, m->owner.host, life);
    printf("written    %s, %lld.%03lld s ago\n", time_text(m->owner.at_ms * 1000, at),
           (long long)(age_ms / 1000), (long long)((age_ms < 0 ? -age_ms : age_ms) % 1000));
}

static void show_cuts(const struct wr_manifest *m)
{
    char watermark[40];
    char emitted[40];
    for (uint32_t c = m->cut_count; c > 0; c--) {
        const struct wr_manifest_cut *cut = &m->cuts[c - 1];
        printf("\npositions of epoch %llu%s\n", (unsigned long long)cut->epoch,
               c == m->cut_count ? "" : " (for sinks that commit less often)");
        for (uint32_t s = 0; s < cut->source_count; s++) {
            const struct wr_manifest_source *source = &cut->sources[s];
            printf("  source %s, watermark %s\n", source->name, time_text(source->emitted_us, emitted));
            printf("    %-32s %20s  %s\n", "split", "position", "watermark");
            for (uint32_t p = 0; p < source->split_count; p++) {
                const struct wr_manifest_split *split = &source->splits[p];
                printf("    %-32s %20lld  %s%s\n", split->name, (long long)split->position,
                       time_text(split->watermark_us, watermark), split->idle ? " (idle)" : "");
            }
        }
    }
}

static void show_sinks(const struct wr_manifest *m)
{
    printf("\n%-24s %-12s %-14s %12s  %s\n", "sink", "connector", "guarantee", "epoch", "published");
    for (uint32_t k = 0; k < m->sink_count; k++) {
        const struct wr_manifest_sink *sink = &m->sinks[k];
        printf("%-24s %-12s %-14s %12llu  %s\n", sink->name, sink->connector,
               sink->exactly_once ? "exactly_once" : "at_least_once", (unsigned long long)sink->cut,
               sink->published ? "yes" : "not known yet");
    }
}

static void show_operators(const struct wr_manifest *m)
{
    char closed[40];
    uint64_t bytes = 0;
    if (m->operator_count > 0) {
        printf("\n%-24s %12s  %s\n", "operator", "epoch", "closed through");
    }
    for (uint32_t o = 0; o < m->operator_count; o++) {
        printf("%-24s %12llu  %s\n", m->operators[o].name, (unsigned long long)m->operators[o].cut,
               time_text(m->operators[o].watermark_us, closed));
    }
    for (uint32_t s = 0; s < m->snapshot_count; s++) {
        bytes += m->snapshots[s].bytes;
    }
    printf("\nsnapshots  %u object%s, %llu bytes%s", m->snapshot_count, m->snapshot_count == 1 ? "" : "s",
           (unsigned long long)bytes, m->snapshot_count > 0 ? "" : "\n");
    if (m->snapshot_count > 0) {
        printf(", epochs %llu to %llu\n", (unsigned long long)m->snapshots[0].epoch,
               (unsigned long long)m->snapshots[m->snapshot_count - 1].epoch);
    }
}

static void show_ledger(const struct wr_manifest *m)
{
    if (m->ledger_count == 0) {
        return;
    }
    printf("\nledger: read = landed + late + dead-lettered + filtered + in flight\n");
    printf("  %-20s %-28s %14s %14s %10s %13s %14s %10s\n", "sink", "split", "read", "landed", "late",
           "dead-lettered", "filtered", "in flight");
    for (uint32_t l = 0; l < m->ledger_count; l++) {
        const struct wr_manifest_ledger *line = &m->ledger[l];
        printf("  %-20s %-28s %14llu %14llu %10llu %13llu %14llu %10llu\n", line->sink, line->split,
               (unsigned long long)line->read, (unsigned long long)line->landed,
               (unsigned long long)line->late, (unsigned long long)line->dead_lettered,
               (unsigned long long)line->filtered, (unsigned long long)line->in_flight);
    }
}

static wr_status show(struct wr_state_place *place, bool json, struct wr_error *err)
{
    struct wr_store *store = NULL;
    struct wr_manifest head;
    WR_TRY(wr_state_place_open(place, &store, err));
    const wr_status status = wr_state_place_head(place, store, &head, err);
    wr_store_close(store);
    WR_TRY(status);
    if (json) {
        struct wr_buf text = { 0 };
        wr_manifest_write(&head, &text);
        fwrite(text.data, 1, text.bytes, stdout);
        wr_buf_deinit(&text);
    } else {
        show_owner(&head, &place->arena);
        show_sinks(&head);
        show_operators(&head);
        show_cuts(&head);
        show_ledger(&head);
    }
    wr_manifest_deinit(&head);
    return WR_OK;
}

/* ---- reset ---- */

struct keys {
    struct wr_arena *arena;
    const char **items;
    size_t count, capacity;
};

static void note_key(void *ctx, const char *key, uint64_t bytes)
{
    struct keys *keys = ctx;
    (void)bytes;
    if (keys->count == keys->capacity) {
        keys->capacity = keys->capacity * 2 + 64;
        const char **more = WR_ARENA_ARRAY(keys->arena, const char *, keys->capacity);
        memcpy(more, keys->items, keys->count * sizeof *more);
        keys->items = more;
    }
    keys->items[keys->count++] = wr_arena_strdup(keys->arena, key);
}

/* What weir makes below a state's URL; nothing else that may lie there is touched. Manifests come first and in order: while the newest is
 * there the state is whole as far as recovery is concerned, once it is gone there is no state. */
static const char *const prefixes[] = { "manifest/", "snapshot/", "spool/", "http-" };

static wr_status remove_all(const struct wr_state_place *place, struct wr_store *store,
                            struct wr_arena *arena, struct wr_error *err)
{
    struct keys keys = { .arena = arena };
    for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes; p++) {
        WR_TRY(wr_store_list(store, prefixes[p], NULL, note_key, &keys, err));
        for (size_t i = 0; i < keys.count; i++) {
            WR_TRY(wr_store_delete(store, keys.items[i], err));
        }
        if (keys.count > 0) {
            printf("%s: removed %zu object%s under %s\n", place->url, keys.count,
                   keys.count == 1 ? "" : "s", prefixes[p]);
        }
        keys.count = 0;
    }
    return WR_OK;
}

static bool confirmed(const struct wr_state_place *place, const struct wr_manifest *head)
{
    char answer[8] = "";
    printf("The state of pipeline %s at %s (epoch %llu) will be removed; the pipeline begins anew then.\n"
           "Go on? [y/N] ",
           head->pipeline, place->url, (unsigned long long)head->epoch);
    fflush(stdout);
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

static wr_status confirm(const struct wr_state_place *place, bool yes, struct wr_error *err)
{
    struct wr_store *store = NULL;
    struct wr_manifest head;
    WR_TRY(wr_state_place_open(place, &store, err));
    wr_status status = wr_state_place_head(place, store, &head, err);
    wr_store_close(store);
    WR_TRY(status);
    if (!yes && isatty(STDIN_FILENO) == 0) {
        status = wr_fail(err, WR_CLASS_USER, "removing the state %s has to be confirmed", place->url);
        wr_error_hint(err, "add --yes");
    } else if (!yes && !confirmed(place, &head)) {
        status = wr_fail(err, WR_CLASS_USER, "nothing was removed");
    }
    wr_manifest_deinit(&head);
    return status;
}

/* As its owner: whoever runs it is refused by name, and one that starts meanwhile is. */
static wr_status reset(struct wr_state_place *place, bool yes, struct wr_error *err)
{
    struct wr_seat *seat = NULL;
    struct wr_store *store = NULL;
    char id[17];
    WR_TRY(confirm(place, yes, err));
    snprintf(id, sizeof id, "%016llx", (unsigned long long)wr_rand_entropy());
    const struct wr_seat_config config = {
        .url = place->url, .options = place->options, .pipeline = "reset", .owner_id = id,
        .owner_timeout_us = place->config.owner_timeout_us > 0 ? place->config.owner_timeout_us
                                                               : 10 * WR_US_PER_S
    };
    WR_TRY(wr_seat_open(&seat, &config, err));
    int64_t next_ns = 0;
    wr_status status = wr_seat_claim(seat, wr_clock_now(), &next_ns, err);
    while (status == WR_END) {
        const int64_t wait_ms = (next_ns - wr_clock_now().mono_ns) / WR_NS_PER_MS + 1;
        wr_clock_sleep_ms(wait_ms > 0 ? (uint32_t)wait_ms : 1);
        status = wr_seat_claim(seat, wr_clock_now(), &next_ns, err);
    }
    if (status == WR_OK) {
        status = wr_state_place_open(place, &store, err);
    }
    if (status == WR_OK) {
        status = remove_all(place, store, &place->arena, err);
    }
    wr_store_close(store);
    wr_seat_close(seat);
    return status;
}

/* ---- the command line ---- */

struct arguments {
    struct wr_overrides overrides;
    bool json, yes;
    const char *verb, *place;
};

/* WR_END: help was asked for. */
static wr_status take_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = { { "set", required_argument, NULL, 's' },
                                             { "json", no_argument, NULL, 'j' },
                                             { "yes", no_argument, NULL, 'y' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    int option;
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (option) {
        case 'h': return WR_END;
        case 'j': a->json = true; break;
        case 'y': a->yes = true; break;
        case 's':
            if (!wr_overrides_add(&a->overrides, optarg)) {
                return WR_FAIL;
            }
            break;
        default:
            wr_command_bad_option(option, argv);
            return WR_FAIL;
        }
    }
    if (optind + 2 != argc || (strcmp(argv[optind], "show") != 0 && strcmp(argv[optind], "reset") != 0)) {
        fprintf(stderr, "weir: state show or state reset, and one URL or FILE.sql\n");
        return WR_FAIL;
    }
    a->verb = argv[optind];
    a->place = argv[optind + 1];
    return WR_OK;
}

int wr_command_state(int argc, char **argv)
{
    struct arguments a = { 0 };
    struct wr_error err = { 0 };
    struct wr_state_place place;
    const wr_status taken = take_arguments(argc, argv, &a);
    if (taken != WR_OK) {
        fprintf(taken == WR_END ? stdout : stderr, "%s", taken == WR_END ? help : "try: weir state --help\n");
        return taken == WR_END ? WR_EXIT_OK : WR_EXIT_USAGE;
    }
    wr_status status = wr_state_place_find(&place, a.place, &a.overrides, &err);
    if (status == WR_OK) {
        status = strcmp(a.verb, "show") == 0 ? show(&place, a.json, &err) : reset(&place, a.yes, &err);
    }
    if (status != WR_OK) {
        wr_log_error(WR_LOG_ERROR, NULL, &err);
    }
    wr_state_place_deinit(&place);
    return status == WR_OK ? WR_EXIT_OK : wr_policy_exit_code(&err);
}
