/* delta_load.h: from a log's objects to its state (internal to table/). */
#ifndef WR_TABLE_DELTA_LOAD_H
#define WR_TABLE_DELTA_LOAD_H

#include "table/delta_log.h"

struct wr_delta_checkpoint_seen {
    int64_t version;
    uint32_t parts; /* 0: a single file */
    uint32_t seen;  /* of its files */
};

/* What a log's directory holds. */
struct wr_delta_listing {
    struct wr_buf commits;     /* int64_t each, ascending */
    struct wr_buf checkpoints; /* struct wr_delta_checkpoint_seen each, complete or not */
    int64_t newest;            /* commit; -1: none */
    bool v2_checkpoints;       /* there are some that this program does not read */
};

/* from: the first version to be listed; -1: all. The listing needs deinit, also after a failure. */
WR_NODISCARD wr_status wr_delta_list(struct wr_store *store, int64_t from,
                                     struct wr_delta_listing *listing, struct wr_error *err);
void wr_delta_listing_deinit(struct wr_delta_listing *listing);

/* Reads the log anew. The state's version is -1 when there is no table. */
WR_NODISCARD wr_status wr_delta_load(struct wr_delta *table, struct wr_error *err);
/* Replays the next commit; WR_END: there is none yet. */
WR_NODISCARD wr_status wr_delta_read_next(struct wr_delta *table, struct wr_error *err);

#endif
