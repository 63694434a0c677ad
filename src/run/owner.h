/* owner.h: who may write a state's manifests (interface): finding the head, claiming it, committing behind it.
 *
 * The rules are design.md's, section 4, "Who owns" and invariants 2 and 4. A seat never waits or sleeps: what has to be waited for is told
 * with the time of the next look, so that control can go on serving signals.
 *
 *   CLOSED -> LOOKING   wr_seat_open     the store is reachable; a local directory is locked (lock file)
 *   LOOKING -> LOOKING  wr_seat_claim    WR_END: another owner may live
 *   LOOKING -> OWNER    wr_seat_claim    WR_OK: the manifest E+1 with this owner is put (E = 0: a new state with a new uuid)
 *   OWNER -> OWNER      wr_seat_commit   E+1, E+2, …
 *   OWNER -> FENCED     wr_seat_commit   FATAL: somebody else put that manifest; nothing more is written
 *   OWNER -> RELEASED   wr_seat_release  a last manifest with owner.released
 * Threads: control.
 */
#ifndef WR_RUN_OWNER_H
#define WR_RUN_OWNER_H

#include "base/clock.h"
#include "config/option.h"
#include "state/manifest.h"

struct wr_seat;

struct wr_seat_config {
    const char *url;
    const struct wr_options *options; /* of its store; may be NULL for local directories */
    const char *pipeline;
    const char *owner_id; /* 16 hex digits */
    int64_t owner_timeout_us;
    bool standby; /* wait for a living owner to end */
    /* Whether this process could go on from the state, asked before anything is written; WR_FAIL ends the claim. NULL: anything will do. */
    wr_status (*accept)(void *ctx, const struct wr_manifest *head, struct wr_error *err);
    void *accept_ctx;
};

WR_NODISCARD wr_status wr_seat_open(struct wr_seat **seat, const struct wr_seat_config *config,
                                    struct wr_error *err);
void wr_seat_close(struct wr_seat *seat); /* NULL is fine */

/* WR_OK: this process is the owner. WR_END: look again at *next_ns (told once why). WR_FAIL: USER: a living owner, by name; else the store. */
WR_NODISCARD wr_status wr_seat_claim(struct wr_seat *seat, struct wr_time now, int64_t *next_ns,
                                     struct wr_error *err);
/* The newest manifest: after a claim the claimed one, then what was committed last. Borrowed until the next commit. */
const struct wr_manifest *wr_seat_head(const struct wr_seat *seat);

/* Puts next as epoch head + 1 with this owner; fills next's epoch, owner and predecessors. WR_OK: it is the head now and the seat owns it.
 * WR_FAIL: RETRY: the outcome is open or it failed, the same next may be committed again; FATAL: fenced, by name. next stays the caller's. */
WR_NODISCARD wr_status wr_seat_commit(struct wr_seat *seat, struct wr_manifest *next,
                                      struct wr_error *err);
/* All that the head names is published and predecessors' leftovers are gone: the next manifest says so. */
void wr_seat_published(struct wr_seat *seat);
/* An owner without news must show that it lives: a third of owner_timeout has passed since its last manifest. */
bool wr_seat_must_write(const struct wr_seat *seat, struct wr_time now);
/* Shows it: the head once more, as the next epoch. RETRY and FATAL as commit. */
WR_NODISCARD wr_status wr_seat_touch(struct wr_seat *seat, struct wr_error *err);
/* Deletes a few old manifests; never fails loudly. */
void wr_seat_prune(struct wr_seat *seat);
WR_NODISCARD wr_status wr_seat_release(struct wr_seat *seat, struct wr_error *err);

#endif
