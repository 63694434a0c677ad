/* main.c: the weir program: finds the command. */
#include "main/commands.h"
#include "run/policy.h"
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "weir: event streams to a data lake, as SQL describes\n"
    "\n"
    "usage: weir COMMAND ...\n"
    "\n"
    "  run FILE.sql         run a pipeline\n"
    "  check FILE.sql       check a pipeline; touches no network\n"
    "  explain FILE.sql     print its plan\n"
    "  preview FILE.sql     print what each sink would get; writes nothing\n"
    "  plan NEW.sql         what a changed pipeline does to its state\n"
    "  state show|reset     what a pipeline has committed; begin anew\n"
    "  table ACTION PATH    history, compact, vacuum of a Delta table\n"
    "  dlq list|show|replay the records that could not be used; send them through again\n"
    "  connectors [NAME]    list connectors, or the options of one\n"
    "  version              versions of weir and its libraries\n"
    "\n"
    "weir COMMAND --help tells more.\n"
    "\n"
    "Examples:\n"
    "  weir run deploy/pipelines/quickstart.sql\n"
    "  weir check clicks.sql && weir run clicks.sql --listen 127.0.0.1:9090\n";

static const struct {
    const char *name;
    int (*command)(int argc, char **argv);
} commands[] = {
    { "run", wr_command_run },         { "check", wr_command_check },
    { "explain", wr_command_explain }, { "preview", wr_command_preview },
    { "plan", wr_command_plan },       { "state", wr_command_state },
    { "table", wr_command_table },     { "dlq", wr_command_dlq },
    { "connectors", wr_command_connectors }, { "version", wr_command_version },
};

void wr_command_bad_option(int option, char **argv)
{
    fprintf(stderr, option == ':' ? "weir: option %s needs a value\n" : "weir: there is no option %s\n",
            argv[optind - 1]);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs(help, stderr);
        return WR_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        fputs(help, stdout);
        return WR_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        return wr_command_version(1, argv + 1);
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].command(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "weir: no command \"%s\"\ntry: weir --help\n", argv[1]);
    return WR_EXIT_USAGE;
}
