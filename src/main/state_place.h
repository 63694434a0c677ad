/* state_place.h: the state that a command's argument means: a URL, a directory, or the pipeline file whose state it is.
 *
 * Threads: control. */
#ifndef WR_MAIN_STATE_PLACE_H
#define WR_MAIN_STATE_PLACE_H

#include "main/load.h"
#include "run/run_config.h"
#include "state/manifest.h"
#include "store/store.h"

struct wr_state_place {
    struct wr_arena arena;
    struct wr_buf text; /* of the pipeline's file */
    struct wr_plan *plan; /* NULL: the argument was a URL */
    struct wr_run_config config;
    const char *url;
    const struct wr_options *options;
};

/* A file is a pipeline, anything else a state. overrides: --set pairs; state.NAME are options of the state's store. */
WR_NODISCARD wr_status wr_state_place_find(struct wr_state_place *place, const char *argument,
                                           const struct wr_overrides *overrides, struct wr_error *err);
void wr_state_place_deinit(struct wr_state_place *place); /* zeroed is fine */

/* Opens its store; a local directory that does not exist is an error and is not made. */
WR_NODISCARD wr_status wr_state_place_open(const struct wr_state_place *place, struct wr_store **store,
                                           struct wr_error *err);
/* Reads its newest manifest; none is an error (USER). head: initialised by this, to be deinitialised when WR_OK. */
WR_NODISCARD wr_status wr_state_place_head(const struct wr_state_place *place, struct wr_store *store,
                                           struct wr_manifest *head, struct wr_error *err);

#endif
