/* command_table.c: weir table: looks after a Delta table. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "batch/text.h"
#include "main/commands.h"
#include "run/policy.h"
#include "store/store.h"
#include "table/delta.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
    "usage: weir table history|compact|vacuum PATH [options]\n"
    "\n"
    "Looks after a Delta table: a directory, s3://, az:// or gs://. Safe while others write.\n"
    "\n"
    "  history              what was committed, newest first\n"
    "    --limit N            so many commits (default 20)\n"
    "  compact              merge small files, partition by partition; changes no data\n"
    "    --target-file-size SIZE   up to this size (default 128MB)\n"
    "    --all                also where what there is does not fill a file of that size\n"
    "  vacuum               delete files that no version within the retention needs, and old\n"
    "                       entries of the log\n"
    "    --retention TIME     how long removed files are kept (default '7 days'); less than a\n"
    "                         reader's or writer's longest run breaks it\n"
    "    --dry-run            only say what would be deleted\n"
    "\n"
    "S3: --endpoint URL, --region NAME, --path-style and the other options of the sink; keys come\n"
    "from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the endpoint also from AWS_ENDPOINT_URL_S3.\n"
    "\n"
    "Examples:\n"
    "  weir table history lake/clicks --limit 5\n"
    "  weir table compact s3://bucket/clicks --all\n"
    "  weir table vacuum lake/clicks --retention '3 days' --dry-run\n";

#define PAIRS_MAX 16u

struct arguments {
    const char *action;
    const char *path;
    int64_t limit;
    int64_t target_bytes;
    int64_t retention_us;
    bool all;
    bool dry_run;
    bool help;
    struct wr_option_pair pairs[PAIRS_MAX]; /* of the store */
    uint32_t pair_count;
};

/* ---- the command line ---- */

static int usage(const char *format, const char *what)
{
    fprintf(stderr, "weir: ");
    fprintf(stderr, format, what);
    fprintf(stderr, "\ntry: weir table --help\n");
    return WR_EXIT_USAGE;
}

static const struct wr_option *store_option(const char *name)
{
    for (const struct wr_option *row = wr_store_options; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

/* The flags that take no value; false: another. */
static bool take_flag(struct arguments *a, const char *name)
{
    if (strcmp(name, "all") == 0) {
        a->all = true;
    } else if (strcmp(name, "dry_run") == 0) {
        a->dry_run = true;
    } else if (strcmp(name, "help") == 0) {
        a->help = true;
    } else {
        return false;
    }
    return true;
}

static bool take_number(struct arguments *a, const char *name, const char *value, bool *good)
{
    if (strcmp(name, "limit") == 0) {
        *good = wr_text_parse_int64(wr_slice_of(value), &a->limit) && a->limit > 0 &&
                a->limit <= UINT32_MAX;
    } else if (strcmp(name, "target_file_size") == 0) {
        *good = wr_parse_size(wr_slice_of(value), &a->target_bytes) && a->target_bytes > 0;
    } else if (strcmp(name, "retention") == 0) {
        *good = wr_parse_duration(wr_slice_of(value), &a->retention_us) && a->retention_us >= 0;
    } else {
        return false;
    }
    return true;
}

/* text: "name" or "name=value", changed: dashes become underscores. */
static int take_option(struct arguments *a, char *text, int *at, int argc, char **argv)
{
    static char yes[] = "true";
    char *value = strchr(text, '=');
    bool good = true;
    if (value != NULL) {
        *value++ = '\0';
    }
    for (char *c = text; *c != '\0'; c++) {
        *c = *c == '-' ? '_' : *c;
    }
    if (value == NULL && take_flag(a, text)) {
        return WR_EXIT_OK;
    }
    const struct wr_option *row = store_option(text);
    if (value == NULL && row != NULL && row->kind == WR_OPTION_BOOL) {
        value = yes;
    }
    if (value == NULL && *at + 1 < argc) {
        value = argv[++*at];
    }
    if (value == NULL) {
        return usage("--%s: there is no such option, or it needs a value", text);
    }
    if (take_number(a, text, value, &good)) {
        return good ? WR_EXIT_OK : usage("'%s' is not a value of that option", value);
    }
    if (row == NULL || a->pair_count == PAIRS_MAX) {
        return usage("there is no option --%s", text);
    }
    if ((row->flags & WR_OPTION_SECRET) != 0) { /* other users see command lines */
        return usage("--%s: secrets come from the environment (AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN)",
                     text);
    }
    a->pairs[a->pair_count++] =
        (struct wr_option_pair){ row->name, value, value, UINT32_MAX, UINT32_MAX };
    return WR_EXIT_OK;
}

static int parse(struct arguments *a, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int code = WR_EXIT_OK;
        if (strncmp(argv[i], "--", 2) == 0) {
            code = take_option(a, argv[i] + 2, &i, argc, argv);
        } else if (strcmp(argv[i], "-h") == 0) {
            a->help = true;
        } else if (a->action == NULL) {
            a->action = argv[i];
        } else if (a->path == NULL) {
            a->path = argv[i];
        } else {
            code = usage("what is '%s' for?", argv[i]);
        }
        if (code != WR_EXIT_OK) {
            return code;
        }
    }
    if (a->help) {
        return WR_EXIT_OK;
    }
    if (a->action == NULL) {
        return usage("%s", "history, compact or vacuum?");
    }
    if (strcmp(a->action, "history") != 0 && strcmp(a->action, "compact") != 0 &&
        strcmp(a->action, "vacuum") != 0) {
        return usage("weir table has no '%s'", a->action);
    }
    return a->path != NULL ? WR_EXIT_OK : usage("%s", "which table? give its path");
}

/* ---- texts ---- */

static const char *size_text(uint64_t bytes, char *into, size_t room)
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    double number = (double)bytes;
    size_t unit = 0;
    while (number >= 1000 && unit + 1 < sizeof units / sizeof *units) {
        number /= 1000;
        unit++;
    }
    snprintf(into, room, unit == 0 ? "%.0f %s" : "%.1f %s", number, units[unit]);
    return into;
}

static void print_event(void *ctx, const struct wr_delta_event *event)
{
    bool *headed = ctx;
    char time[64] = "";
    char rows[32] = "?";
    char size[32];
    int64_t us;
    if (event->timestamp_ms > 0 && !__builtin_mul_overflow(event->timestamp_ms, 1000, &us)) {
        *wr_text_timestamp(time, us) = '\0';
    }
    if (event->rows >= 0) {
        *wr_text_int64(rows, event->rows) = '\0';
    }
    if (!*headed) {
        printf("%8s  %-24s  %-18s  %6s  %6s  %12s  %10s  %s\n", "version", "time", "operation",
               "files+", "files-", "rows+", "bytes+", "engine");
        *headed = true;
    }
    printf("%8lld  %-24s  %-18s  %6u  %6u  %12s  %10s  %s\n", (long long)event->version, time,
           event->operation[0] == '\0' ? "?" : event->operation, event->adds, event->removes, rows,
           size_text(event->bytes, size, sizeof size), event->engine);
}

/* ---- actions ---- */

static wr_status history(struct wr_store *store, const struct arguments *a, struct wr_error *err)
{
    bool headed = false;
    return wr_delta_history(store, (uint32_t)a->limit, print_event, &headed, err);
}

static wr_status compact_all(struct wr_delta *table, const struct arguments *a,
                             struct wr_error *err)
{
    const struct wr_delta_compact_options options = {
        .target_bytes = (uint64_t)a->target_bytes,
        .settle_ms = 0,
        .everything = a->all,
    };
    struct wr_delta_compact_result result;
    uint64_t before = 0;
    uint64_t after = 0;
    uint64_t bytes = 0;
    char size[32];
    do {
        WR_TRY(wr_delta_compact(table, &options, &result, err));
        before += result.files_before;
        after += result.files_after;
        bytes += result.bytes;
    } while (result.files_before > 0 || result.more);
    if (before == 0) {
        printf("nothing to merge\n");
        return WR_OK;
    }
    printf("%llu files merged into %llu (%s)\n", (unsigned long long)before,
           (unsigned long long)after, size_text(bytes, size, sizeof size));
    return WR_OK;
}

static wr_status compact(struct wr_store *store, const struct arguments *a, struct wr_error *err)
{
    struct wr_delta *table;
    WR_TRY(wr_delta_open(&table, store, NULL, err));
    const wr_status status = compact_all(table, a, err);
    wr_delta_close(table);
    return status;
}

struct swept {
    uint64_t files;
    uint64_t bytes;
    bool dry_run;
};

static void print_swept(void *ctx, const char *path, uint64_t bytes)
{
    struct swept *swept = ctx;
    swept->files++;
    swept->bytes += bytes;
    if (swept->dry_run) {
        printf("%s\n", path);
    }
}

static wr_status vacuum(struct wr_store *store, const struct arguments *a, struct wr_error *err)
{
    char size[32];
    struct swept swept = { .dry_run = a->dry_run };
    WR_TRY(wr_delta_vacuum(store, a->retention_us / 1000, a->dry_run, print_swept, &swept, err));
    printf("%llu file%s (%s) %s\n", (unsigned long long)swept.files, swept.files == 1 ? "" : "s",
           size_text(swept.bytes, size, sizeof size),
           a->dry_run ? "would be deleted" : "deleted");
    return WR_OK;
}

/* A store makes the directory that it is given; a mistyped path must not. */
static wr_status check_directory(const char *path, struct wr_error *err)
{
    struct stat info;
    const char *local = strncmp(path, "file://", 7) == 0 ? path + 7 : path;
    if (strstr(local, "://") == NULL && (stat(local, &info) != 0 || !S_ISDIR(info.st_mode))) {
        wr_fail(err, WR_CLASS_USER, "there is no directory %s", local);
        wr_error_hint(err, "check the path");
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status run(const struct arguments *a, struct wr_arena *arena, struct wr_error *err)
{
    const struct wr_option *const tables[] = { wr_store_options, NULL };
    struct wr_options *options;
    struct wr_store *store;
    WR_TRY(check_directory(a->path, err));
    WR_TRY(wr_options_parse(tables, "table", a->pairs, a->pair_count, arena, &options, NULL, err));
    WR_TRY(wr_store_check(a->path, options, err));
    WR_TRY(wr_store_open(&store, a->path, options, NULL, err));
    const wr_status status = a->action[0] == 'h'   ? history(store, a, err)
                             : a->action[0] == 'c' ? compact(store, a, err)
                                                   : vacuum(store, a, err);
    wr_store_close(store);
    if (status == WR_FAIL) {
        wr_error_prefix(err, "table %s", a->path);
    }
    return status;
}

int wr_command_table(int argc, char **argv)
{
    struct arguments a = { .limit = 20,
                           .target_bytes = 128000000,
                           .retention_us = 7 * 86400 * WR_US_PER_S };
    struct wr_arena arena;
    struct wr_error err = { 0 };
    const int code = parse(&a, argc, argv);
    if (code != WR_EXIT_OK || a.help) {
        fputs(a.help && code == WR_EXIT_OK ? help : "", stdout);
        return code;
    }
    wr_arena_init(&arena, 0);
    const wr_status status = run(&a, &arena, &err);
    if (status != WR_OK) {
        fflush(stdout);
        wr_log_error(WR_LOG_ERROR, NULL, &err);
    }
    wr_arena_deinit(&arena);
    return status == WR_OK ? WR_EXIT_OK : wr_policy_exit_code(&err);
}
