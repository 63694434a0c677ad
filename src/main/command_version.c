/* command_version.c: weir version. */
#include "io/loop.h"
#include "main/commands.h"
#include "run/policy.h"
#include "run/report.h"
#include <stdio.h>
#include <string.h>

static void show(void *ctx, const char *library, const char *version)
{
    printf("  %-11s %s\n", library, version);
}

int wr_command_version(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        puts("usage: weir version\n\nPrints the version of weir, of its libraries, and which event "
             "loop this machine permits.");
        return WR_EXIT_OK;
    }
    printf("weir %s\n", WR_VERSION);
    wr_report_versions(show, NULL);
    const char *why = wr_io_uring_unavailable();
    printf("  %-11s %s%s\n", "event loop", why[0] == '\0' ? "io_uring" : "epoll: ", why);
    return WR_EXIT_OK;
}
