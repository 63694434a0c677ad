/* load.h: reads a pipeline file (or standard input) and plans it. */
#ifndef WR_MAIN_LOAD_H
#define WR_MAIN_LOAD_H

#include "base/buf.h"
#include "run/catalog.h"

/* The command line's --set, --workers, --memory as pairs. */
struct wr_overrides {
    struct wr_option_pair pairs[64];
    uint32_t count;
};

/* text "name=value", of argv: it is cut at the equals sign and kept; false (with a message printed) when it is not. */
bool wr_overrides_add(struct wr_overrides *overrides, char *text);
bool wr_overrides_set(struct wr_overrides *overrides, const char *name, const char *value);

/* path "-": standard input. text holds the SQL and must outlive the plan. */
WR_NODISCARD wr_status wr_load_plan(const char *path, const struct wr_overrides *overrides,
                                    struct wr_buf *text, struct wr_plan **plan,
                                    struct wr_error *err);

#endif
