/* command_plan.c: weir plan: what a changed pipeline does to its state, before it is started. */
#include "base/log.h"
#include "batch/text.h"
#include "main/commands.h"
#include "main/state_place.h"
#include "run/plan_compare.h"
#include "run/policy.h"
#include <getopt.h>
#include <stdio.h>

static const char help[] =
    "usage: weir plan NEW.sql --against STATE_URL|OLD.sql [--json] [--set NAME=VALUE]\n"
    "\n"
    "Tells for each source, operator and sink what starting NEW.sql on the state would do: keep what it holds,\n"
    "migrate it, rebuild (begin empty), drop, or refuse. With OLD.sql: what it would do to OLD.sql's state.\n"
    "Operators are matched by the names of views and sinks. Changes nothing.\n"
    "\n"
    "  --json            one JSON object\n"
    "  --set NAME=VALUE  as for weir run; state.NAME are options of the state's store\n"
    "\n"
    "Exit codes: 0 nothing is refused, 1 something is, 2 wrong command line or SQL.\n"
    "\n"
    "Examples:\n"
    "  weir plan clicks.sql --against s3://bucket/weir/clicks\n"
    "  weir plan clicks-new.sql --against clicks.sql\n";

static void put_json(const struct wr_changes *changes)
{
    struct wr_buf out = { 0 };
    wr_buf_text(&out, "{\"changes\":[");
    for (uint32_t i = 0; i < changes->count; i++) {
        const struct wr_change *change = &changes->items[i];
        wr_buf_printf(&out, "%s\n {\"subject\":\"%s\",\"verdict\":\"%s\",\"name\":", i > 0 ? "," : "",
                      wr_change_subject_name(change->subject), wr_change_verdict_name(change->verdict));
        wr_text_json_string(&out, change->name, strlen(change->name));
        wr_buf_text(&out, ",\"reason\":");
        wr_text_json_string(&out, change->reason, strlen(change->reason));
        wr_buf_text(&out, "}");
    }
    wr_buf_printf(&out, "],\n\"refused\":%u}\n", changes->refused);
    fwrite(out.data, 1, out.bytes, stdout);
    wr_buf_deinit(&out);
}

static void put_table(const struct wr_changes *changes)
{
    for (uint32_t i = 0; i < changes->count; i++) {
        const struct wr_change *change = &changes->items[i];
        printf("%-8s %-9s %-24s %s\n", wr_change_verdict_name(change->verdict),
               wr_change_subject_name(change->subject), change->name, change->reason);
    }
    if (changes->refused > 0) {
        printf("\nThis pipeline cannot go on from that state: %u change%s refused. A view or sink under another\n"
               "name starts empty; another --state begins anew.\n",
               changes->refused, changes->refused == 1 ? " is" : "s are");
    }
}

/* The newest manifest of the state at a URL; of a pipeline file what its state would hold. */
static wr_status find_old(const char *against, const struct wr_overrides *overrides,
                          struct wr_manifest *old, struct wr_error *err)
{
    struct wr_state_place place;
    struct wr_store *store = NULL;
    wr_status status = wr_state_place_find(&place, against, overrides, err);
    if (status == WR_OK && place.plan != NULL) {
        wr_plan_describe(place.plan, old);
    } else if (status == WR_OK) {
        status = wr_state_place_open(&place, &store, err);
        if (status == WR_OK) {
            status = wr_state_place_head(&place, store, old, err);
        }
    }
    wr_store_close(store);
    wr_state_place_deinit(&place);
    return status;
}

struct arguments {
    struct wr_overrides overrides;
    const char *file, *against;
    bool json;
};

/* WR_END: help was asked for. */
static wr_status take_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = { { "set", required_argument, NULL, 's' },
                                             { "against", required_argument, NULL, 'a' },
                                             { "json", no_argument, NULL, 'j' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    int option;
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (option) {
        case 'h': return WR_END;
        case 'j': a->json = true; break;
        case 'a': a->against = optarg; break;
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
    if (optind + 1 != argc || a->against == NULL) {
        fprintf(stderr, "weir: which pipeline, against which state? give NEW.sql and --against\n");
        return WR_FAIL;
    }
    a->file = argv[optind];
    return WR_OK;
}

static wr_status compare(const struct arguments *a, struct wr_changes *changes, struct wr_error *err)
{
    struct wr_buf text = { 0 };
    struct wr_plan *plan = NULL;
    struct wr_manifest old = { 0 };
    wr_status status = wr_load_plan(a->file, &a->overrides, &text, &plan, err);
    if (status == WR_OK) {
        status = find_old(a->against, &a->overrides, &old, err);
    }
    if (status == WR_OK) {
        status = wr_plan_compare(&old, plan, changes, err);
    }
    wr_manifest_deinit(&old);
    wr_plan_destroy(plan);
    wr_buf_deinit(&text);
    return status;
}

int wr_command_plan(int argc, char **argv)
{
    struct arguments a = { 0 };
    struct wr_error err = { 0 };
    struct wr_changes changes = { 0 };
    const wr_status taken = take_arguments(argc, argv, &a);
    if (taken != WR_OK) {
        fprintf(taken == WR_END ? stdout : stderr, "%s", taken == WR_END ? help : "try: weir plan --help\n");
        return taken == WR_END ? WR_EXIT_OK : WR_EXIT_USAGE;
    }
    const wr_status status = compare(&a, &changes, &err);
    int exit_code = WR_EXIT_OK;
    if (status != WR_OK) {
        wr_log_error(WR_LOG_ERROR, NULL, &err);
        exit_code = wr_policy_exit_code(&err);
    } else {
        (a.json ? put_json : put_table)(&changes);
        exit_code = changes.refused > 0 ? WR_EXIT_FAILED : WR_EXIT_OK;
    }
    wr_changes_deinit(&changes);
    return exit_code;
}
