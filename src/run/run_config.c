#include "run/run_config.h"

#include "base/buf.h"
#include "base/hash.h"
#include "config/common_options.h"
#include "sql/sql.h"
#include "store/store.h"
#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#define MEMORY_DEFAULT_MOST (2ULL << 30)

static uint64_t read_limit(const char *path)
{
    FILE *file = fopen(path, "re");
    unsigned long long value = 0;
    if (file == NULL) {
        return UINT64_MAX;
    }
    const int got = fscanf(file, "%llu", &value); /* "max" gives 0 */
    fclose(file);
    return got == 1 && value > 0 ? value : UINT64_MAX;
}

uint64_t wr_memory_available(void)
{
    uint64_t least = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    const uint64_t v2 = read_limit("/sys/fs/cgroup/memory.max");
    const uint64_t v1 = read_limit("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    struct rlimit limit;
    least = v2 < least ? v2 : least;
    least = v1 < least ? v1 : least;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur < least) {
        least = limit.rlim_cur;
    }
    return least;
}

static uint32_t cores(void)
{
    cpu_set_t set;
    const int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < 1 ? 1 : (uint32_t)count;
}

/* "dir/clicks.sql" -> "clicks"; standard input -> "stdin". */
static const char *pipeline_name(const char *file, struct wr_arena *arena)
{
    if (strcmp(file, "-") == 0) {
        return "stdin";
    }
    const char *slash = strrchr(file, '/');
    const char *base = slash != NULL ? slash + 1 : file;
    size_t bytes = strlen(base);
    if (bytes > 4 && strcmp(base + bytes - 4, ".sql") == 0) {
        bytes -= 4;
    }
    return wr_arena_strndup(arena, base, bytes);
}

/* What a batch in a lane holds at most, roughly: its columns and the payload that its texts borrow. */
static uint64_t batch_bytes(const struct wr_plan *plan, uint32_t rows)
{
    uint64_t widest = 0;
    for (uint32_t s = 0; s < plan->source_count; s++) {
        uint64_t row = 256; /* a payload */
        for (uint32_t c = 0; c < plan->sources[s].scan.count; c++) {
            row += wr_type_width(plan->sources[s].scan.fields[c].type);
        }
        widest = row > widest ? row : widest;
    }
    return widest * rows + 1;
}

/* Lanes take an eighth of the memory at most: fewer batches between the threads when there is little. */
static uint32_t lane_capacity(const struct wr_run_config *config, const struct wr_plan *plan,
                              uint32_t most)
{
    const uint64_t share = config->memory_bytes / 8 / config->workers / (plan->sink_count + 1);
    const uint64_t fit = share / batch_bytes(plan, config->batch_rows);
    uint32_t capacity = 2;
    while (capacity * 2 <= most && capacity * 2 <= fit) {
        capacity *= 2;
    }
    return capacity;
}

/* A report that cannot be written is told now rather than after a week of running. */
static wr_status check_stats_file(const char *path, struct wr_arena *arena, struct wr_error *err)
{
    if (path == NULL) {
        return WR_OK;
    }
    const char *slash = strrchr(path, '/');
    const char *directory =
        slash == NULL ? "." : (slash == path ? "/" : wr_arena_strndup(arena, path, (size_t)(slash - path)));
    if (access(directory, W_OK | X_OK) != 0) {
        (void)wr_fail(err, WR_CLASS_USER, "cannot write --stats %s: %s", path, strerror(errno));
        wr_error_hint(err, "name a file in a directory that exists and may be written");
        return WR_FAIL;
    }
    return WR_OK;
}

/* ---- the state ---- */

/* ".weir/NAME" beside the file. */
static const char *default_state(const struct wr_run_config *config, struct wr_arena *arena)
{
    const char *slash = strrchr(config->file, '/');
    const size_t folder = slash != NULL ? (size_t)(slash - config->file) + 1 : 0;
    struct wr_buf path = { 0 };
    wr_buf_append(&path, config->file, folder);
    wr_buf_printf(&path, ".weir/%s", config->name);
    const char *text = wr_arena_strndup(arena, path.data, path.bytes);
    wr_buf_deinit(&path);
    return text;
}

static const char *local_directory(const char *url)
{
    if (strncmp(url, "file://", 7) == 0) {
        return url + 7;
    }
    return strstr(url, "://") == NULL ? url : NULL;
}

/* While control waits for an answer of its store, it serves neither signals nor sources: its requests are short, and it is control
 * that tries again, not the store. What the user has set stays. */
static const struct wr_option_pair *impatient(const struct wr_option_pair *given, uint32_t *count,
                                              struct wr_arena *arena)
{
    static const char *const defaults[][2] = { { "request_timeout", "5s" }, { "max_retries", "0" } };
    const uint32_t given_count = *count;
    struct wr_option_pair *pairs = WR_ARENA_ARRAY(arena, struct wr_option_pair, given_count + 2);
    for (uint32_t i = 0; i < given_count; i++) {
        pairs[i] = given[i];
    }
    for (uint32_t d = 0; d < 2; d++) {
        bool have = false;
        for (uint32_t i = 0; i < given_count && !have; i++) {
            have = strcmp(given[i].name, defaults[d][0]) == 0;
        }
        if (!have) {
            pairs[(*count)++] = (struct wr_option_pair){ .name = defaults[d][0],
                                                         .value = defaults[d][1],
                                                         .raw = defaults[d][1],
                                                         .name_at = UINT32_MAX,
                                                         .value_at = UINT32_MAX };
        }
    }
    return pairs;
}

/* Sources that cannot be read again and previews have no state; standard input as the pipeline has no place for a default one. */
static wr_status settle_state(struct wr_run_config *config, const struct wr_plan *plan,
                              const struct wr_options *bag, struct wr_arena *arena,
                              struct wr_error *err)
{
    static const struct wr_option *const tables[] = { wr_store_options, NULL };
    const char *given = wr_options_text(bag, "state");
    config->owner_timeout_us = wr_options_int(bag, "owner_timeout");
    if (config->preview_rows > 0 || (given != NULL && strcmp(given, "none") == 0) ||
        (given == NULL && strcmp(config->file, "-") == 0)) {
        return WR_OK;
    }
    uint32_t count = 0;
    uint32_t bad_at = UINT32_MAX;
    struct wr_options *options = NULL;
    struct wr_options *of_control = NULL;
    const struct wr_option_pair *pairs = wr_options_prefixed(bag, "state.", &count);
    wr_status parsed = wr_options_parse(tables, "state", pairs, count, arena, &options, &bad_at, err);
    if (parsed == WR_OK) {
        pairs = impatient(pairs, &count, arena);
        parsed = wr_options_parse(tables, "state", pairs, count, arena, &of_control, &bad_at, err);
    }
    if (parsed == WR_FAIL) {
        if (bad_at != UINT32_MAX) {
            wr_sql_error_at(plan, bad_at, err);
        }
        return WR_FAIL;
    }
    config->state_url = given != NULL ? given : default_state(config, arena);
    config->state_options = options;
    config->control_options = of_control;
    config->state_directory = local_directory(config->state_url);
    if (wr_store_check(config->state_url, options, err) == WR_FAIL) {
        if (given != NULL && wr_options_at(bag, "state") != UINT32_MAX) {
            wr_sql_error_at(plan, wr_options_at(bag, "state"), err);
        }
        return WR_FAIL;
    }
    return WR_OK;
}

wr_status wr_run_config_settle(struct wr_run_config *config, const struct wr_plan *plan,
                               struct wr_arena *arena, struct wr_error *err)
{
    static const struct wr_option *const tables[] = { wr_setting_options, NULL };
    struct wr_options *bag = NULL;
    uint32_t bad_at = UINT32_MAX;
    if (wr_options_parse(tables, "SET", plan->settings, plan->setting_count, arena, &bag, &bad_at,
                         err) == WR_FAIL) {
        if (bad_at != UINT32_MAX) { /* else it came from the command line */
            wr_sql_error_at(plan, bad_at, err);
        }
        return WR_FAIL;
    }
    WR_TRY(check_stats_file(config->stats_file, arena, err));
    config->name = pipeline_name(config->file, arena);
    config->workers = wr_options_has(bag, "workers") ? (uint32_t)wr_options_int(bag, "workers")
                                                     : cores();
    config->workers = config->workers > WR_WORKERS_MAX ? WR_WORKERS_MAX : config->workers;
    if (wr_options_has(bag, "memory")) {
        config->memory_bytes = (uint64_t)wr_options_int(bag, "memory");
    } else {
        const uint64_t half = wr_memory_available() / 2;
        config->memory_bytes = half < MEMORY_DEFAULT_MOST ? half : MEMORY_DEFAULT_MOST;
    }
    config->batch_rows = (uint32_t)wr_options_int(bag, "batch_rows");
    config->lane_batches =
        lane_capacity(config, plan, (uint32_t)wr_options_int(bag, "ring_batches"));
    config->commit_interval_us = wr_options_int(bag, "default_commit_interval");
    WR_TRY(settle_state(config, plan, bag, arena, err));
    wr_hash_mask = strcmp(wr_options_text(bag, "test_hash"), "zero") == 0 ? 0 : UINT64_MAX;
    return WR_OK;
}
