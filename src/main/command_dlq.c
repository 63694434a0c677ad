/* command_dlq.c: weir dlq list, show and replay. */
#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "batch/records.h"
#include "batch/text.h"
#include "main/commands.h"
#include "main/state_place.h"
#include "run/dead_letters.h"
#include "run/pipeline.h"
#include "run/policy.h"
#include "run/replay.h"
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>

static const char help[] =
    "usage: weir dlq list FILE.sql [--source NAME] [--error TEXT] [--json]\n"
    "       weir dlq show FILE.sql [--source NAME] [--error TEXT] [--limit N] [--json]\n"
    "       weir dlq replay FILE.sql [--source NAME] [--error TEXT] [--dry-run] [--stats FILE]\n"
    "\n"
    "Dead letters are the records that a pipeline could not use: what on_error = 'SINK' keeps. list groups\n"
    "them by source, error and field, and tells how many have been replayed. show prints whole records,\n"
    "oldest first. replay sends those that were not replayed yet through the pipeline as FILE.sql says now,\n"
    "after the schema or the SQL was fixed: each of them once, however often it is killed or repeated. What\n"
    "fails again is a new dead letter, for the next replay.\n"
    "\n"
    "  --source NAME     only of this source\n"
    "  --error TEXT      only those whose error has this text; the others stay for another replay\n"
    "  --limit N         show: so many records (default 10)\n"
    "  --json            as JSON, for other programs\n"
    "  --dry-run         replay: only count what would be replayed\n"
    "  --stats FILE      replay: write a JSON report at the end\n"
    "  --from-start      replay: the file of dead letters is another one than before: from its beginning\n"
    "  --state URL       where the pipeline's state is, as for weir run\n"
    "  --set NAME=VALUE  a setting of the pipeline, as for weir run\n"
    "  --quiet           replay: no summary\n"
    "\n"
    "Stop the pipeline before a replay: the state has one owner. A replay does not move the watermark: a\n"
    "record is late only for windows whose results are out already (on_late keeps it), windows that it opens\n"
    "are closed by the next weir run. Letters are read from connector 'file' and 'kafka', format = 'json'.\n"
    "\n"
    "Examples:\n"
    "  weir dlq list clicks.sql\n"
    "  weir dlq show clicks.sql --error 'not a BIGINT' --limit 3\n"
    "  weir dlq replay clicks.sql --dry-run\n"
    "  weir dlq replay clicks.sql --source clicks --stats replay.json\n";

struct arguments {
    struct wr_overrides overrides;
    struct wr_run_config config;
    struct wr_replay_options replay;
    const char *verb;
    const char *file;
    uint64_t limit;
    bool json, dry_run;
};

/* What list and --dry-run tell of letters that are alike. */
struct group {
    char *source, *sink, *error, *field;
    uint64_t letters, replayed, impossible;
    int64_t first_us, last_us; /* WR_RECORD_NO_TIME: none had a time */
};

/* What all of them go through. */
struct survey {
    const struct arguments *arguments;
    const struct wr_plan *plan;
    const struct wr_manifest_cut *cut; /* where the state stands; NULL: there is none */
    struct group *groups;
    uint32_t group_count;
    uint64_t unreadable;
    uint64_t shown;
};

typedef void (*letter_fn)(struct survey *survey, const struct wr_plan_sink *sink,
                          const struct wr_letter *letter, bool done);

/* ---- walking over all letters ---- */

static const struct wr_plan_source *source_named(const struct wr_plan *plan, struct wr_slice name)
{
    for (uint32_t s = 0; s < plan->source_count; s++) {
        if (wr_slice_is(name, plan->sources[s].name)) {
            return &plan->sources[s];
        }
    }
    return NULL;
}

/* The splits that the state knows of a source: letters of each have positions of their own. */
static struct wr_replay_known *splits_of(const struct survey *v, const char *source, uint32_t *count)
{
    const struct wr_manifest_source *from =
        v->cut != NULL ? wr_manifest_source_of(v->cut, source) : NULL;
    *count = from != NULL ? from->split_count : 0;
    struct wr_replay_known *known = wr_calloc(*count + 1, sizeof *known);
    for (uint32_t i = 0; i < *count; i++) {
        known[i] = (struct wr_replay_known){ from->splits[i].name, from->splits[i].position,
                                             from->splits[i].note };
    }
    return known;
}

/* One part, with the marks of each source of the plan. */
static wr_status walk_part(struct survey *v, const struct wr_plan_sink *sink,
                           struct wr_letters *letters, uint32_t part,
                           const struct wr_replay_marks *marks, letter_fn each, struct wr_error *err)
{
    const struct wr_replay_options *only = &v->arguments->replay;
    struct wr_letter_reader *reader = NULL;
    struct wr_letter letter;
    int64_t begin;
    int64_t end;
    WR_TRY(wr_letters_span(letters, part, &begin, &end, err));
    wr_status status = wr_letter_reader_open(&reader, letters, part, begin, end, err);
    while (status == WR_OK && v->shown < v->arguments->limit) {
        status = wr_letter_reader_next(reader, &letter, err);
        if (status == WR_AGAIN) {
            wr_clock_sleep_ms(2);
            status = WR_OK;
            continue;
        }
        if (status != WR_OK) {
            break;
        }
        if (!letter.readable) {
            v->unreadable++;
            continue;
        }
        const struct wr_plan_source *source = source_named(v->plan, letter.source);
        if ((only->source == NULL || wr_slice_is(letter.source, only->source)) &&
            wr_letter_has_error(&letter, only->error)) {
            each(v, sink, &letter,
                 source != NULL && wr_replay_marks_done(&marks[source - v->plan->sources], &letter));
        }
    }
    wr_letter_reader_close(reader);
    return status == WR_FAIL ? WR_FAIL : WR_OK;
}

static wr_status walk_sink(struct survey *v, const struct wr_plan_sink *sink, letter_fn each,
                           struct wr_error *err)
{
    struct wr_letters *letters = NULL;
    WR_TRY(wr_letters_open(&letters, sink, err));
    wr_status status = WR_OK;
    struct wr_replay_marks *marks = wr_calloc(v->plan->source_count + 1, sizeof *marks);
    for (uint32_t part = 0; part < wr_letters_parts(letters) && status == WR_OK; part++) {
        for (uint32_t s = 0; s < v->plan->source_count; s++) {
            uint32_t count;
            struct wr_replay_known *known = splits_of(v, v->plan->sources[s].name, &count);
            wr_replay_marks_find(&marks[s], sink->name, wr_letters_part(letters, part), known, count);
            free(known);
        }
        status = walk_part(v, sink, letters, part, marks, each, err);
        for (uint32_t s = 0; s < v->plan->source_count; s++) {
            wr_replay_marks_deinit(&marks[s]);
        }
    }
    free(marks);
    wr_letters_close(letters);
    return status;
}

/* Whether a source that is asked for keeps its letters in this sink. */
static bool concerns(const struct survey *v, uint32_t sink)
{
    const char *only = v->arguments->replay.source;
    for (uint32_t s = 0; s < v->plan->source_count; s++) {
        const struct wr_plan_source *source = &v->plan->sources[s];
        if (source->on_error == WR_ON_ERROR_SINK && source->error_sink == sink &&
            (only == NULL || strcmp(only, source->name) == 0)) {
            return true;
        }
    }
    return false;
}

static wr_status walk(struct survey *v, letter_fn each, struct wr_error *err)
{
    uint32_t sinks = 0;
    for (uint32_t k = 0; k < v->plan->sink_count; k++) {
        if (v->plan->sinks[k].feed == WR_FEED_ERRORS && concerns(v, k)) {
            sinks++;
            WR_TRY(walk_sink(v, &v->plan->sinks[k], each, err));
        }
    }
    if (sinks == 0) {
        (void)wr_fail(err, WR_CLASS_USER, "%s keeps no dead letters", v->plan->file);
        wr_error_hint(err, "give a source on_error = 'bad' and CREATE SINK bad WITH (connector = 'file', path = 'bad.ndjson', "
                           "format = 'json');");
        return WR_FAIL;
    }
    return WR_OK;
}

/* ---- list ---- */

static char *text_of(struct wr_slice text)
{
    char *copy = wr_malloc(text.bytes + 1);
    memcpy(copy, text.data != NULL ? text.data : "", text.bytes);
    copy[text.bytes] = '\0';
    return copy;
}

/* "1.5" and "2.5" fail alike: what a message quotes is not part of its kind. */
static char *kind_of_error(struct wr_slice error)
{
    struct wr_buf kind = { 0 };
    bool quoted = false;
    for (size_t i = 0; i < error.bytes; i++) {
        const bool quote = error.data[i] == '"';
        if (quote && !quoted) {
            wr_buf_text(&kind, "\"…\"");
        } else if (!quote && !quoted) {
            wr_buf_byte(&kind, (uint8_t)error.data[i]);
        }
        quoted = quote ? !quoted : quoted;
    }
    char *text = wr_strdup(wr_buf_cstr(&kind));
    wr_buf_deinit(&kind);
    return text;
}

static struct group *group_of(struct survey *v, const struct wr_plan_sink *sink,
                              const struct wr_letter *letter)
{
    char *error = kind_of_error(letter->error);
    for (uint32_t i = 0; i < v->group_count; i++) {
        struct group *g = &v->groups[i];
        if (strcmp(g->error, error) == 0 && wr_slice_is(letter->source, g->source) &&
            strcmp(g->sink, sink->name) == 0 &&
            wr_slice_equal(letter->field, wr_slice_of(g->field))) {
            free(error);
            return g;
        }
    }
    v->groups = wr_realloc(v->groups, (v->group_count + 1) * sizeof *v->groups);
    v->groups[v->group_count] = (struct group){ .source = text_of(letter->source),
                                                .sink = wr_strdup(sink->name),
                                                .error = error,
                                                .field = text_of(letter->field),
                                                .first_us = WR_RECORD_NO_TIME,
                                                .last_us = WR_RECORD_NO_TIME };
    return &v->groups[v->group_count++];
}

static void add_to_group(struct survey *v, const struct wr_plan_sink *sink,
                         const struct wr_letter *letter, bool done)
{
    struct group *g = group_of(v, sink, letter);
    const int64_t at = letter->timestamp_us;
    g->letters++;
    g->replayed += done && wr_letter_replayable(letter);
    g->impossible += !wr_letter_replayable(letter);
    if (at != WR_RECORD_NO_TIME) {
        g->first_us = g->first_us == WR_RECORD_NO_TIME || at < g->first_us ? at : g->first_us;
        g->last_us = g->last_us == WR_RECORD_NO_TIME || at > g->last_us ? at : g->last_us;
    }
}

static int by_size(const void *a, const void *b)
{
    const uint64_t x = ((const struct group *)a)->letters;
    const uint64_t y = ((const struct group *)b)->letters;
    return x == y ? 0 : (x > y ? -1 : 1);
}

static const char *time_text(int64_t us, char text[40])
{
    if (us == WR_RECORD_NO_TIME) {
        return "-";
    }
    *wr_text_timestamp(text, us) = '\0';
    return text;
}

static json_t *time_json(int64_t us)
{
    char text[40];
    return us == WR_RECORD_NO_TIME ? json_null() : json_string(time_text(us, text));
}

static void put_groups_json(const struct survey *v)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < v->group_count; i++) {
        const struct group *g = &v->groups[i];
        json_t *field = g->field[0] != '\0' ? json_string(g->field) : json_null();
        json_array_append_new(list, json_pack("{ss ss ss so sI sI sI so so}", "source", g->source, "sink", g->sink,
                                              "error", g->error, "field", field, "letters",
                                              (json_int_t)g->letters, "replayed", (json_int_t)g->replayed,
                                              "not_replayable", (json_int_t)g->impossible, "first",
                                              time_json(g->first_us), "last", time_json(g->last_us)));
    }
    json_t *root = json_pack("{so sI}", "groups", list, "unreadable", (json_int_t)v->unreadable);
    json_dumpf(root, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(root);
}

static void put_groups(const struct survey *v)
{
    char first[40];
    char last[40];
    uint64_t open = 0;
    if (v->group_count == 0) {
        puts("no dead letters");
    } else {
        printf("%-16s %-16s %10s %10s  %-28s %-28s %s\n", "source", "field", "letters", "replayed", "first", "last",
               "error");
    }
    for (uint32_t i = 0; i < v->group_count; i++) {
        const struct group *g = &v->groups[i];
        printf("%-16s %-16s %10llu %10llu  %-28s %-28s %s\n", g->source, g->field[0] != '\0' ? g->field : "-",
               (unsigned long long)g->letters, (unsigned long long)g->replayed,
               time_text(g->first_us, first), time_text(g->last_us, last), g->error);
        open += g->letters - g->replayed - g->impossible;
    }
    if (v->unreadable > 0) {
        printf("%llu lines are no dead letters\n", (unsigned long long)v->unreadable);
    }
    if (open > 0) {
        printf("\n%llu can be replayed: weir dlq replay %s\n", (unsigned long long)open, v->arguments->file);
    }
}

static void drop_groups(struct survey *v)
{
    for (uint32_t i = 0; i < v->group_count; i++) {
        free(v->groups[i].source);
        free(v->groups[i].sink);
        free(v->groups[i].error);
        free(v->groups[i].field);
    }
    free(v->groups);
}

static wr_status list(struct survey *v, struct wr_error *err)
{
    WR_TRY(walk(v, add_to_group, err));
    if (v->group_count > 0) {
        qsort(v->groups, v->group_count, sizeof *v->groups, by_size);
    }
    (v->arguments->json ? put_groups_json : put_groups)(v);
    return WR_OK;
}

/* ---- show ---- */

static json_t *slice_json(struct wr_slice text)
{
    return text.data != NULL ? json_stringn(text.data, text.bytes) : json_null();
}

static void show_json(struct survey *v, const struct wr_plan_sink *sink,
                      const struct wr_letter *letter, bool done)
{
    struct wr_buf base64 = { 0 };
    struct wr_slice value = letter->value;
    if (letter->base64 && value.data != NULL) {
        wr_text_base64(&base64, value.data, value.bytes);
        value = (struct wr_slice){ base64.data, base64.bytes };
    }
    json_t *root = json_pack(
        "{so so so so so so so so ss so sb}", "source", slice_json(letter->source), "split",
        slice_json(letter->split), "position",
        letter->split.data != NULL ? json_integer(letter->origin_position) : json_null(), "timestamp",
        time_json(letter->timestamp_us), "error", slice_json(letter->error), "field",
        slice_json(letter->field), "key", slice_json(letter->key), "headers",
        letter->headers.data != NULL ? json_loadb(letter->headers.data, letter->headers.bytes, JSON_DECODE_ANY, NULL)
                                     : json_null(),
        "encoding", letter->base64 ? "base64" : "utf-8", "value", slice_json(value), "replayed", done);
    json_dumpf(root, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(root);
    wr_buf_deinit(&base64);
    v->shown++;
}

/* Control characters must not reach the terminal. */
static void put_text(const char *name, struct wr_slice text)
{
    printf("  %-10s ", name);
    for (size_t i = 0; i < text.bytes; i++) {
        const uint8_t c = (uint8_t)text.data[i];
        if (c < 0x20 || c == 0x7f) {
            printf("\\x%02x", c);
        } else {
            putchar(c);
        }
    }
    putchar('\n');
}

static void show_text(struct survey *v, const struct wr_plan_sink *sink,
                      const struct wr_letter *letter, bool done)
{
    char at[40];
    printf("%ssource %.*s", v->shown > 0 ? "\n" : "", WR_SLICE_ARG(letter->source));
    if (letter->split.data != NULL) {
        printf(", %.*s, position %lld", WR_SLICE_ARG(letter->split), (long long)letter->origin_position);
    } else {
        printf(", a result row");
    }
    printf(", %s%s\n", time_text(letter->timestamp_us, at), done ? " (replayed)" : "");
    put_text("error", letter->error);
    if (letter->field.data != NULL) {
        put_text("field", letter->field);
    }
    if (letter->sinks.data != NULL) {
        put_text("sinks", letter->sinks);
    }
    if (letter->key.data != NULL) {
        put_text("key", letter->key);
    }
    if (letter->headers.data != NULL) {
        put_text("headers", letter->headers);
    }
    if (letter->base64) {
        struct wr_buf base64 = { 0 };
        wr_text_base64(&base64, letter->value.data, letter->value.bytes);
        put_text("base64", (struct wr_slice){ base64.data, base64.bytes });
        wr_buf_deinit(&base64);
    } else if (letter->value.data != NULL) {
        put_text("value", letter->value);
    }
    v->shown++;
}

/* ---- replay ---- */

static wr_status dry_run(struct survey *v, struct wr_error *err)
{
    uint64_t open = 0;
    WR_TRY(walk(v, add_to_group, err));
    for (uint32_t i = 0; i < v->group_count; i++) {
        const struct group *g = &v->groups[i];
        const uint64_t due = g->letters - g->replayed - g->impossible;
        if (due > 0) {
            printf("%10llu  %s: %s%s%s\n", (unsigned long long)due, g->source, g->error,
                   g->field[0] != '\0' ? ", field " : "", g->field);
        }
        open += due;
    }
    printf("%llu dead letters would be replayed; nothing was changed\n", (unsigned long long)open);
    return WR_OK;
}

static int replay(struct arguments *a, const struct wr_state_place *place)
{
    struct wr_run_config config = place->config;
    config.stats_file = a->config.stats_file;
    config.quiet = a->config.quiet;
    config.replay = wr_replay_create(&a->replay);
    const int code = wr_pipeline_run(place->plan, &config);
    wr_replay_destroy(config.replay);
    return code;
}

/* ---- the command line ---- */

enum { OPT_SOURCE = 256, OPT_ERROR, OPT_LIMIT, OPT_JSON, OPT_DRY_RUN, OPT_STATS, OPT_FROM_START, OPT_STATE, OPT_SET, OPT_QUIET, OPT_HELP };

static const struct option options[] = { { "source", required_argument, NULL, OPT_SOURCE },
                                         { "error", required_argument, NULL, OPT_ERROR },
                                         { "limit", required_argument, NULL, OPT_LIMIT },
                                         { "json", no_argument, NULL, OPT_JSON },
                                         { "dry-run", no_argument, NULL, OPT_DRY_RUN },
                                         { "stats", required_argument, NULL, OPT_STATS },
                                         { "from-start", no_argument, NULL, OPT_FROM_START },
                                         { "state", required_argument, NULL, OPT_STATE },
                                         { "set", required_argument, NULL, OPT_SET },
                                         { "quiet", no_argument, NULL, OPT_QUIET },
                                         { "help", no_argument, NULL, OPT_HELP },
                                         { 0 } };

static bool take_limit(struct arguments *a)
{
    int64_t limit;
    if (!wr_text_parse_int64(wr_slice_of(optarg), &limit) || limit < 1) {
        fprintf(stderr, "weir: --limit takes a number from 1 on\n");
        return false;
    }
    a->limit = (uint64_t)limit;
    return true;
}

static bool take_option(struct arguments *a, int option)
{
    switch (option) {
    case OPT_SOURCE: a->replay.source = optarg; return true;
    case OPT_ERROR:
        a->replay.error = optarg;
        if (optarg[0] == '\0' || strlen(optarg) > WR_REPLAY_ERROR_BYTES_MAX) {
            fprintf(stderr, "weir: --error takes 1 to %u bytes of text\n", WR_REPLAY_ERROR_BYTES_MAX);
            return false;
        }
        return true;
    case OPT_LIMIT: return take_limit(a);
    case OPT_JSON: a->json = true; return true;
    case OPT_DRY_RUN: a->dry_run = true; return true;
    case OPT_STATS: a->config.stats_file = optarg; return true;
    case OPT_FROM_START: a->replay.from_start = true; return true;
    case OPT_STATE: return wr_overrides_set(&a->overrides, "state", optarg);
    case OPT_SET: return wr_overrides_add(&a->overrides, optarg);
    case OPT_QUIET: a->config.quiet = true; return true;
    default: return false;
    }
}

/* WR_END: help was asked for. */
static wr_status take_arguments(int argc, char **argv, struct arguments *a)
{
    int option;
    optind = 1;
    opterr = 0;
    a->limit = UINT64_MAX;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (option == 'h' || option == OPT_HELP) {
            return WR_END;
        }
        if (option == '?' || option == ':') {
            wr_command_bad_option(option, argv);
            return WR_FAIL;
        }
        if (!take_option(a, option)) {
            return WR_FAIL;
        }
    }
    static const char *const verbs[] = { "list", "show", "replay" };
    for (size_t i = 0; i < 3 && optind + 2 == argc; i++) {
        a->verb = strcmp(argv[optind], verbs[i]) == 0 ? verbs[i] : a->verb;
    }
    if (a->verb == NULL) {
        fprintf(stderr, "weir: dlq list, dlq show or dlq replay, and one FILE.sql\n");
        return WR_FAIL;
    }
    a->file = argv[optind + 1];
    if (strcmp(a->verb, "show") != 0) {
        a->limit = UINT64_MAX;
    } else if (a->limit == UINT64_MAX) {
        a->limit = 10;
    }
    return WR_OK;
}

static wr_status check_source(const struct arguments *a, const struct wr_plan *plan,
                              struct wr_error *err)
{
    const struct wr_plan_source *source =
        a->replay.source != NULL ? source_named(plan, wr_slice_of(a->replay.source)) : NULL;
    wr_ensure(a->replay.source == NULL || source != NULL, err, WR_CLASS_USER, "%s has no source \"%s\"", a->file,
              a->replay.source);
    if (source != NULL && source->on_error != WR_ON_ERROR_SINK) {
        (void)wr_fail(err, WR_CLASS_USER, "source \"%s\" keeps no dead letters", source->name);
        wr_error_hint(err, "give it on_error = '%s_bad', the name of a sink that keeps them", source->name);
        return WR_FAIL;
    }
    return WR_OK;
}

/* Reads where the state stands. WR_END: there is none. */
static wr_status read_head(const struct wr_state_place *place, struct wr_manifest *head,
                           struct wr_error *err)
{
    struct wr_store *store = NULL;
    WR_TRY(wr_state_place_open(place, &store, err));
    const wr_status status = wr_state_place_head(place, store, head, err);
    wr_store_close(store);
    return status;
}

static int run_verb(struct arguments *a, const struct wr_state_place *place, struct wr_error *err)
{
    struct survey v = { .arguments = a, .plan = place->plan };
    struct wr_manifest head;
    struct wr_error no_state;
    const bool replays = strcmp(a->verb, "replay") == 0;
    const bool have = read_head(place, &head, &no_state) == WR_OK;
    v.cut = have && head.cut_count > 0 ? &head.cuts[head.cut_count - 1] : NULL;
    wr_status status = WR_OK;
    int code = WR_EXIT_OK;
    if (replays && !have) {
        *err = no_state; /* without one nobody could tell what has been replayed */
        status = WR_FAIL;
    } else if (replays && !a->dry_run) {
        code = replay(a, place);
    } else if (strcmp(a->verb, "list") == 0) {
        status = list(&v, err);
    } else if (replays) {
        status = dry_run(&v, err);
    } else {
        status = walk(&v, a->json ? show_json : show_text, err);
    }
    drop_groups(&v);
    if (have) {
        wr_manifest_deinit(&head);
    }
    return status == WR_OK ? code : -1;
}

int wr_command_dlq(int argc, char **argv)
{
    struct arguments a = { 0 };
    struct wr_error err = { 0 };
    struct wr_state_place place;
    const wr_status taken = take_arguments(argc, argv, &a);
    if (taken != WR_OK) {
        fprintf(taken == WR_END ? stdout : stderr, "%s", taken == WR_END ? help : "try: weir dlq --help\n");
        return taken == WR_END ? WR_EXIT_OK : WR_EXIT_USAGE;
    }
    wr_log_setup(WR_LOG_INFO, WR_LOG_TEXT);
    wr_status status = wr_state_place_find(&place, a.file, &a.overrides, &err);
    if (status == WR_OK && place.plan == NULL) {
        status = wr_fail(&err, WR_CLASS_USER, "%s is no pipeline file", a.file);
    }
    if (status == WR_OK) {
        status = check_source(&a, place.plan, &err);
    }
    int code = status == WR_OK ? run_verb(&a, &place, &err) : -1;
    if (code < 0) {
        wr_log_error(WR_LOG_ERROR, NULL, &err);
        code = wr_policy_exit_code(&err);
    }
    wr_state_place_deinit(&place);
    return code;
}
