/* owner_head.h: the manifests of a state as objects: finding the newest one, forgetting old ones.
 *
 * The object manifest/last is a hint where to begin listing: {"epoch":…,"oldest":…}, written now and then. What it says is never
 * believed: the newest manifest is what a listing finds, and a hint behind which there is none is passed over.
 * Threads: control.
 */
#ifndef WR_RUN_OWNER_HEAD_H
#define WR_RUN_OWNER_HEAD_H

#include "state/manifest.h"
#include "store/store.h"

/* Where manifests lie, as far as is known. */
struct wr_manifest_span {
    uint64_t oldest; /* nothing worth deleting is older; 0: unknown */
    uint64_t newest; /* 0: none */
};

/* Lists. */
WR_NODISCARD wr_status wr_head_find(struct wr_store *store, struct wr_manifest_span *span,
                                    struct wr_error *err);
void wr_head_hint(struct wr_store *store, const struct wr_manifest_span *span);

/* Reads and checks one into manifest (initialised by this). WR_END: there is none, manifest is empty. text receives the bytes as they
 * are (emptied first; may be NULL). */
WR_NODISCARD wr_status wr_head_read(struct wr_store *store, uint64_t epoch, struct wr_manifest *manifest,
                                    struct wr_buf *text, struct wr_error *err);
/* Finds and reads the newest. WR_END: there is none yet, or it went away just now: *span tells which. */
WR_NODISCARD wr_status wr_head_newest(struct wr_store *store, struct wr_manifest_span *span,
                                      struct wr_manifest *manifest, struct wr_error *err);

#define WR_HEAD_KEPT_LOCAL 16u             /* manifests, where nobody can be silent and come back: the directory is locked */
#define WR_HEAD_KEPT_MS (24 * 3600 * 1000) /* elsewhere */

/* What is to be deleted. */
struct wr_pruner {
    bool local;
    uint64_t due_before; /* manifests before this epoch are old enough for sure */
    char **orphans;      /* keys of snapshots that no manifest names */
    uint32_t orphan_count;
    uint32_t orphan_capacity;
    bool searched; /* for orphans */
};

/* Deletes at most a few. claimed: the epoch that this owner has claimed; head: the newest. */
void wr_head_prune(struct wr_pruner *pruner, struct wr_store *store, struct wr_manifest_span *span,
                   uint64_t claimed, const struct wr_manifest *head, int64_t now_ms);
void wr_pruner_deinit(struct wr_pruner *pruner); /* zeroed is fine */

#endif
