/* owner_self.h: who this process is to the owner of a state, and whether another one still lives.
 *
 * Threads: control.
 */
#ifndef WR_RUN_OWNER_SELF_H
#define WR_RUN_OWNER_SELF_H

#include "base/arena.h"
#include "state/manifest.h"

/* Fills host, boot, pid, pid_start and pid_namespace; texts are made in arena. */
void wr_owner_self(struct wr_owner *self, struct wr_arena *arena);

enum wr_owner_life {
    WR_OWNER_DEAD,    /* it ran on this machine and does not any more, or it ended in order */
    WR_OWNER_ALIVE,   /* it runs on this machine */
    WR_OWNER_UNKNOWN, /* another machine, or process ids that say nothing here: only time tells */
};

enum wr_owner_life wr_owner_life(const struct wr_owner *self, const struct wr_owner *owner);

/* For tests, before threads start: who this process is, and who lives; NULL goes back to the machine's own. alive is asked about owners of
 * the same boot and pid namespace as self. Both are borrowed. */
void wr_owner_simulate(const struct wr_owner *self,
                       bool (*alive)(void *ctx, const struct wr_owner *owner), void *ctx);

/* A random UUID (RFC 9562, version 4). */
void wr_uuid_make(char uuid[37]);

#endif
