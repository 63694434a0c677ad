/* command_check.c: weir check and weir explain. */
#include "base/log.h"
#include "main/commands.h"
#include "main/load.h"
#include "run/policy.h"
#include "run/run_config.h"
#include <getopt.h>
#include <stdio.h>

static const char check_help[] =
    "usage: weir check FILE.sql [--set NAME=VALUE]\n"
    "\n"
    "Parses the pipeline, binds every name and checks every option. Touches no network.\n"
    "\n"
    "Examples:\n"
    "  weir check clicks.sql\n"
    "  weir check - < clicks.sql\n";

static const char explain_help[] =
    "usage: weir explain FILE.sql [--set NAME=VALUE]\n"
    "\n"
    "Prints the plan: what each source decodes, the operators, windows, exchanges and sinks.\n"
    "\n"
    "Examples:\n"
    "  weir explain clicks.sql\n";

static int command(int argc, char **argv, const char *help, bool explain)
{
    static const struct option options[] = { { "set", required_argument, NULL, 's' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    struct wr_overrides overrides = { 0 };
    int option;
    optind = 1;
    opterr = 0; /* getopt's own messages do not say whose they are */
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return WR_EXIT_OK;
        }
        if (option == '?' || option == ':') {
            wr_command_bad_option(option, argv);
        }
        if (option != 's' || !wr_overrides_add(&overrides, optarg)) {
            fprintf(stderr, "try: weir %s --help\n", argv[0]);
            return WR_EXIT_USAGE;
        }
    }
    if (optind + 1 != argc) {
        fprintf(stderr, "weir: which pipeline? give one FILE.sql\ntry: weir %s --help\n", argv[0]);
        return WR_EXIT_USAGE;
    }
    struct wr_error err = { 0 };
    struct wr_buf text = { 0 };
    struct wr_buf out = { 0 };
    struct wr_plan *plan = NULL;
    struct wr_run_config config = { .file = argv[optind] };
    wr_status status = wr_load_plan(argv[optind], &overrides, &text, &plan, &err);
    if (status == WR_OK) {
        status = wr_run_config_settle(&config, plan, &plan->arena, &err);
    }
    if (status == WR_OK && explain) {
        wr_plan_explain(plan, &out);
        fwrite(out.data, 1, out.bytes, stdout);
    } else if (status == WR_OK) {
        printf("%s: %u source%s, %u sink%s: ok\n", argv[optind], plan->source_count,
               plan->source_count == 1 ? "" : "s", plan->sink_count,
               plan->sink_count == 1 ? "" : "s");
    } else {
        wr_log_error(WR_LOG_ERROR, NULL, &err);
    }
    wr_plan_destroy(plan);
    wr_buf_deinit(&out);
    wr_buf_deinit(&text);
    return status == WR_OK ? WR_EXIT_OK : wr_policy_exit_code(&err);
}

int wr_command_check(int argc, char **argv)
{
    return command(argc, argv, check_help, false);
}

int wr_command_explain(int argc, char **argv)
{
    return command(argc, argv, explain_help, true);
}
