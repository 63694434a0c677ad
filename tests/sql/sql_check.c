/* sql_check.c: `sql_check [--explain] FILE`: checks or explains a pipeline against the test catalog
 * (tests/sql/catalog.h), in the form that `weir check` has. For tests that need no connectors, and
 * to try out SQL by hand. */
#include "sql/catalog.h"

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

static void read_all(FILE *in, struct wr_buf *into)
{
    for (;;) {
        char *room = wr_buf_reserve(into, 65536);
        const size_t got = fread(room, 1, 65536, in);
        into->bytes += got;
        if (got == 0) {
            return;
        }
    }
}

int main(int argc, char **argv)
{
    const bool explain = argc == 3 && strcmp(argv[1], "--explain") == 0;
    if (argc != 2 + explain) {
        fprintf(stderr, "usage: sql_check [--explain] FILE\n");
        return 2;
    }
    const char *path = argv[1 + explain];
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        perror(path);
        return 2;
    }
    struct wr_buf text = {0};
    read_all(in, &text);
    fclose(in);
    const char *slash = strrchr(path, '/');
    struct wr_plan *plan;
    struct wr_error err = {0};
    const struct wr_slice sql = {text.data, text.bytes};
    int status = 0;
    if (wr_sql_plan(slash != NULL ? slash + 1 : path, sql, &catalog, NULL, 0, &plan, &err) !=
        WR_OK) {
        fprintf(stderr, "%s\n%s%shint: %s\n", err.message, err.detail,
                err.detail[0] != '\0' ? "\n" : "", err.hint);
        status = 2;
    } else {
        struct wr_buf out = {0};
        wr_plan_explain(plan, &out);
        if (explain) {
            fwrite(out.data, 1, out.bytes, stdout);
        }
        wr_buf_deinit(&out);
        wr_plan_destroy(plan);
    }
    wr_buf_deinit(&text);
    return status;
}
