/* command_run.c: weir run and weir preview. */
#include "base/log.h"
#include "main/commands.h"
#include "main/load.h"
#include "run/policy.h"
#include "run/run_config.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char run_help[] =
    "usage: weir run FILE.sql [options]\n"
    "\n"
    "Runs a pipeline until its sources end or a signal comes. FILE - is standard input.\n"
    "\n"
    "  --bounded            read every source up to the end that it has now, close all windows, exit\n"
    "  --workers N          worker threads (default: one per core)\n"
    "  --memory SIZE        what the process may use, such as 512MiB (default: half, at most 2GiB)\n"
    "  --listen HOST:PORT   serve /metrics, /healthz, /readyz and HTTP ingest\n"
    "  --state URL          where state is kept: a directory, s3://, az://, gs://, or none\n"
    "                       (default: .weir/NAME beside the file)\n"
    "  --standby            while another copy runs: wait and take over when it is gone\n"
    "  --stats FILE         write a JSON report at the end and on SIGUSR1\n"
    "  --set NAME=VALUE     a setting of the pipeline; wins over SET in the file\n"
    "  --log-level LEVEL    debug, info, warn, error or off (default info)\n"
    "  --log-format FORMAT  text or json (default text)\n"
    "  --quiet              no status block, no summary\n"
    "\n"
    "Kill it at any moment and start it again: it goes on where it was.\n"
    "SIGINT, SIGTERM: stop reading, commit, exit 0; a second one exits at once.\n"
    "Exit codes: 0 done, 1 failed while running, 2 wrong command line or SQL.\n"
    "\n"
    "Examples:\n"
    "  weir run deploy/pipelines/quickstart.sql\n"
    "  weir run clicks.sql --bounded --workers 4 --stats stats.json\n"
    "  weir run clicks.sql --state s3://bucket/weir/clicks --standby\n"
    "  weir run clicks.sql --listen 127.0.0.1:9090 --memory 512MiB --log-format json\n";

static const char preview_help[] =
    "usage: weir preview FILE.sql [--rows N] [--bounded] [--set NAME=VALUE]\n"
    "\n"
    "Reads the sources and prints what each sink would get; writes nothing, commits nothing.\n"
    "\n"
    "  --rows N             rows per sink, then stop (default 10)\n"
    "  --bounded            stop at the sources' present end, closing all windows\n"
    "\n"
    "Examples:\n"
    "  weir preview clicks.sql\n"
    "  weir preview clicks.sql --rows 100 --bounded\n";

enum { OPT_BOUNDED = 256, OPT_WORKERS, OPT_MEMORY, OPT_LISTEN, OPT_STATE, OPT_STANDBY, OPT_STATS, OPT_SET, OPT_LEVEL, OPT_FORMAT, OPT_QUIET, OPT_ROWS, OPT_HELP };

static const struct option run_options[] = {
    { "bounded", no_argument, NULL, OPT_BOUNDED },
    { "workers", required_argument, NULL, OPT_WORKERS },
    { "memory", required_argument, NULL, OPT_MEMORY },
    { "listen", required_argument, NULL, OPT_LISTEN },
    { "state", required_argument, NULL, OPT_STATE },
    { "standby", no_argument, NULL, OPT_STANDBY },
    { "stats", required_argument, NULL, OPT_STATS },
    { "set", required_argument, NULL, OPT_SET },
    { "log-level", required_argument, NULL, OPT_LEVEL },
    { "log-format", required_argument, NULL, OPT_FORMAT },
    { "quiet", no_argument, NULL, OPT_QUIET },
    { "rows", required_argument, NULL, OPT_ROWS },
    { "help", no_argument, NULL, OPT_HELP },
    { 0 },
};

struct arguments {
    struct wr_run_config config;
    struct wr_overrides overrides;
    enum wr_log_level level;
    enum wr_log_format format;
    bool help;
};

static bool take_word(const char *text, const char *const *words, const char *option, int *index)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            *index = i;
            return true;
        }
    }
    fprintf(stderr, "weir: --%s does not take \"%s\"\n", option, text);
    return false;
}

static bool take_option(struct arguments *a, int option)
{
    static const char *const levels[] = { "debug", "info", "warn", "error", "off", NULL };
    static const char *const formats[] = { "text", "json", NULL };
    int index = 0;
    switch (option) {
    case OPT_BOUNDED: a->config.bounded = true; return true;
    case OPT_WORKERS: return wr_overrides_set(&a->overrides, "workers", optarg);
    case OPT_MEMORY: return wr_overrides_set(&a->overrides, "memory", optarg);
    case OPT_STATE: return wr_overrides_set(&a->overrides, "state", optarg);
    case OPT_STANDBY: a->config.standby = true; return true;
    case OPT_LISTEN: a->config.listen = optarg; return true;
    case OPT_STATS: a->config.stats_file = optarg; return true;
    case OPT_SET: return wr_overrides_add(&a->overrides, optarg);
    case OPT_QUIET: a->config.quiet = true; return true;
    case OPT_HELP: a->help = true; return true;
    case OPT_LEVEL:
        if (take_word(optarg, levels, "log-level", &index)) {
            a->level = (enum wr_log_level)index;
            return true;
        }
        return false;
    case OPT_FORMAT:
        if (take_word(optarg, formats, "log-format", &index)) {
            a->format = (enum wr_log_format)index;
            return true;
        }
        return false;
    case OPT_ROWS: {
        char *end = NULL;
        const unsigned long rows = strtoul(optarg, &end, 10);
        if (*end != '\0' || rows == 0 || rows > 1000000) {
            fprintf(stderr, "weir: --rows takes a number from 1 to 1000000\n");
            return false;
        }
        a->config.preview_rows = (uint32_t)rows;
        return true;
    }
    default: return false;
    }
}

static bool parse(int argc, char **argv, struct arguments *a)
{
    int option;
    optind = 1;
    opterr = 0; /* getopt's own messages do not say whose they are */
    while ((option = getopt_long(argc, argv, ":h", run_options, NULL)) != -1) {
        if (option == 'h') {
            option = OPT_HELP;
        } else if (option == '?' || option == ':') {
            wr_command_bad_option(option, argv);
            return false;
        }
        if (!take_option(a, option)) {
            return false;
        }
    }
    if (a->help) {
        return true;
    }
    if (optind + 1 != argc) {
        fprintf(stderr, optind >= argc ? "weir: which pipeline? give its FILE.sql\n"
                                       : "weir: one pipeline at a time\n");
        return false;
    }
    a->config.file = argv[optind];
    return true;
}

static int run(struct arguments *a)
{
    struct wr_error err = { 0 };
    struct wr_buf text = { 0 };
    struct wr_plan *plan = NULL;
    wr_log_setup(a->level, a->format);
    wr_status status = wr_load_plan(a->config.file, &a->overrides, &text, &plan, &err);
    if (status == WR_OK) {
        status = wr_run_config_settle(&a->config, plan, &plan->arena, &err);
    }
    int code;
    if (status == WR_OK) {
        code = wr_pipeline_run(plan, &a->config);
    } else {
        wr_log_error(WR_LOG_ERROR, NULL, &err);
        code = wr_policy_exit_code(&err);
    }
    wr_plan_destroy(plan);
    wr_buf_deinit(&text);
    return code;
}

static int command(int argc, char **argv, const char *help, uint32_t preview_rows)
{
    struct arguments *a = calloc(1, sizeof *a);
    if (a == NULL) {
        return WR_EXIT_FAILED;
    }
    a->level = WR_LOG_INFO;
    a->config.preview_rows = preview_rows;
    int code = WR_EXIT_USAGE;
    if (!parse(argc, argv, a)) {
        fprintf(stderr, "try: weir %s --help\n", argv[0]);
    } else if (a->help) {
        fputs(help, stdout);
        code = WR_EXIT_OK;
    } else {
        code = run(a);
    }
    free(a);
    return code;
}

int wr_command_run(int argc, char **argv)
{
    return command(argc, argv, run_help, 0);
}

int wr_command_preview(int argc, char **argv)
{
    return command(argc, argv, preview_help, 10);
}
