/* owner.c: see owner.h. */
#include "run/owner.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/heap.h"
#include "base/log.h"
#include "run/owner_head.h"
#include "run/owner_self.h"
#include "store/store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define LOOK_FIRST_NS (100 * WR_NS_PER_MS)
#define LOOK_LAST_NS WR_NS_PER_S
#define SILENT_LONG_NS (3600 * WR_NS_PER_S) /* a zombie of that age looks around first: manifests are kept for a day */
#define HINT_EVERY 64u

enum state { LOOKING, OWNER, FENCED, RELEASED };

struct wr_seat {
    struct wr_arena arena; /* copies of the config's texts */
    struct wr_seat_config config;
    struct wr_store *store;
    int lock_fd; /* local directories: open while looking, locked once claimed; else -1 */
    bool locked;
    enum state state;
    struct wr_owner self;
    struct wr_manifest head;
    struct wr_manifest_span span;
    struct wr_pruner pruner;
    uint64_t claimed;
    bool published;
    int64_t put_ns;      /* monotonic, of the last put that was ours */
    int64_t pending_ms;  /* at_ms of a put whose outcome is open: tried again it is the same text; 0: none */
    struct wr_buf text;  /* being put */
    /* while looking: what the other owner wrote last, and since when we know it */
    uint64_t seen_epoch;
    int64_t seen_ns;
    bool told;
};

/* ---- opening ---- */

/* The directory of a local store, NULL for others. */
static const char *directory_of(const char *url)
{
    if (strncmp(url, "file://", 7) == 0) {
        return url + 7;
    }
    return strstr(url, "://") == NULL ? url : NULL;
}

static wr_status open_lock(struct wr_seat *seat, struct wr_error *err)
{
    const char *directory = directory_of(seat->config.url);
    if (directory == NULL) {
        return WR_OK;
    }
    const char *path = wr_arena_printf(&seat->arena, "%s/.lock", directory);
    seat->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    wr_ensure(seat->lock_fd >= 0, err, WR_CLASS_FATAL, "cannot open the lock file %s: %s", path,
              strerror(errno));
    seat->pruner.local = true;
    return WR_OK;
}

wr_status wr_seat_open(struct wr_seat **out, const struct wr_seat_config *config,
                       struct wr_error *err)
{
    struct wr_seat *seat = wr_calloc(1, sizeof *seat);
    *out = NULL;
    seat->lock_fd = -1;
    wr_arena_init(&seat->arena, 0);
    seat->config = *config;
    seat->config.url = wr_arena_strdup(&seat->arena, config->url);
    seat->config.pipeline = wr_arena_strdup(&seat->arena, config->pipeline);
    wr_assert(strlen(config->owner_id) == sizeof seat->self.id - 1);
    wr_owner_self(&seat->self, &seat->arena);
    memcpy(seat->self.id, config->owner_id, sizeof seat->self.id);
    wr_status status = wr_store_open(&seat->store, config->url, config->options, NULL, err);
    if (status == WR_OK) {
        status = open_lock(seat, err);
    }
    if (status != WR_OK) {
        wr_seat_close(seat);
        wr_error_prefix(err, "state");
        return status;
    }
    *out = seat;
    return WR_OK;
}

void wr_seat_close(struct wr_seat *seat)
{
    if (seat == NULL) {
        return;
    }
    if (seat->lock_fd >= 0) {
        close(seat->lock_fd); /* and with it the lock */
    }
    wr_store_close(seat->store);
    wr_manifest_deinit(&seat->head);
    wr_pruner_deinit(&seat->pruner);
    wr_buf_deinit(&seat->text);
    wr_arena_deinit(&seat->arena);
    free(seat);
}

/* ---- judging ---- */

static void take_head(struct wr_seat *seat, struct wr_manifest *manifest)
{
    wr_manifest_deinit(&seat->head);
    seat->head = *manifest;
    memset(manifest, 0, sizeof *manifest);
}

/* "pid 12 on host a", for messages. */
static void name_owner(const struct wr_owner *owner, char *text, size_t bytes)
{
    snprintf(text, bytes, "pid %lld on host %.200s (owner %s)", (long long)owner->pid, owner->host,
             owner->id);
}

static wr_status refuse(const struct wr_seat *seat, struct wr_error *err)
{
    char name[300];
    name_owner(&seat->head.owner, name, sizeof name);
    (void)wr_fail(err, WR_CLASS_USER, "the state %s is in use by %s", seat->config.url, name);
    wr_error_detail(err, "its newest epoch is %llu", (unsigned long long)seat->head.epoch);
    wr_error_hint(err, "stop that process first, or start with --standby to take over when it ends; "
                       "another pipeline needs a state of its own (--state)");
    return WR_FAIL;
}

/* Waits for another look; says once why. */
static wr_status look_again(struct wr_seat *seat, int64_t at_ns, const char *why, int64_t *next_ns)
{
    if (why != NULL && !seat->told) {
        char name[300];
        name_owner(&seat->head.owner, name, sizeof name);
        wr_log_info("state", "%s is owned by %s: %s", seat->config.url, name, why);
        seat->told = true;
    }
    *next_ns = at_ns;
    return WR_END;
}

/* Another machine's owner: dead when it has written nothing for the time-out; a new manifest in between shows that it lives. */
static wr_status watch(struct wr_seat *seat, struct wr_time now, int64_t *next_ns,
                       struct wr_error *err)
{
    const int64_t timeout_ns = seat->config.owner_timeout_us * 1000;
    const int64_t step_ns = timeout_ns / 20 < LOOK_FIRST_NS  ? LOOK_FIRST_NS
                            : timeout_ns / 20 > LOOK_LAST_NS ? LOOK_LAST_NS
                                                             : timeout_ns / 20;
    if (seat->seen_epoch != seat->head.epoch) {
        const bool lives = seat->seen_epoch != 0;
        seat->seen_epoch = seat->head.epoch;
        seat->seen_ns = now.mono_ns;
        if (lives && !seat->config.standby) {
            return refuse(seat, err);
        }
    }
    const int64_t until_ns = seat->seen_ns + timeout_ns;
    if (now.mono_ns >= until_ns) {
        return WR_OK;
    }
    const int64_t next = now.mono_ns + step_ns;
    return look_again(seat, next < until_ns ? next : until_ns,
                      seat->config.standby ? "standing by"
                                           : "it ran elsewhere; waiting whether it still lives",
                      next_ns);
}

static wr_status living(struct wr_seat *seat, struct wr_time now, int64_t *next_ns,
                        struct wr_error *err)
{
    if (!seat->config.standby) {
        return refuse(seat, err);
    }
    return look_again(seat, now.mono_ns + LOOK_FIRST_NS, "standing by", next_ns);
}

/* WR_OK: the head may be claimed. */
static wr_status judge(struct wr_seat *seat, struct wr_time now, int64_t *next_ns,
                       struct wr_error *err)
{
    switch (wr_owner_life(&seat->self, &seat->head.owner)) {
    case WR_OWNER_DEAD: return WR_OK;
    case WR_OWNER_ALIVE: return living(seat, now, next_ns, err);
    default: return watch(seat, now, next_ns, err);
    }
}

/* WR_OK: locked, or there is nothing to lock. WR_END: another process has it. */
static wr_status lock(struct wr_seat *seat, struct wr_error *err)
{
    if (seat->lock_fd < 0 || seat->locked) {
        return WR_OK;
    }
    if (flock(seat->lock_fd, LOCK_EX | LOCK_NB) == 0) {
        seat->locked = true;
        return WR_OK;
    }
    wr_ensure(errno == EWOULDBLOCK || errno == EINTR, err, WR_CLASS_FATAL,
              "cannot lock the state %s: %s", seat->config.url, strerror(errno));
    return WR_END;
}

/* ---- claiming ---- */

static void sign(struct wr_seat *seat, struct wr_manifest *next, bool released)
{
    next->format = WR_MANIFEST_FORMAT;
    next->epoch = seat->head.epoch + 1;
    memcpy(next->uuid, seat->head.uuid, sizeof next->uuid);
    next->owner = seat->self;
    next->owner.released = released;
    next->owner.at_ms = seat->pending_ms != 0 ? seat->pending_ms : wr_clock_now().wall_us / 1000;
    seat->pending_ms = next->owner.at_ms;
    if (next->pipeline == NULL) {
        next->pipeline = seat->config.pipeline;
    }
}

static void name_predecessors(struct wr_seat *seat, struct wr_manifest *next)
{
    const struct wr_manifest *head = &seat->head;
    const char **ids = WR_ARENA_ARRAY(&next->arena, const char *, head->predecessor_count + 1);
    uint32_t count = 0;
    bool known = head->epoch == 0 || strcmp(head->owner.id, seat->self.id) == 0;
    for (uint32_t i = 0; i < head->predecessor_count && !seat->published; i++) {
        ids[count++] = wr_arena_strdup(&next->arena, head->predecessors[i]);
        known = known || strcmp(head->predecessors[i], head->owner.id) == 0;
    }
    if (!known) {
        ids[count++] = wr_arena_strdup(&next->arena, head->owner.id);
    }
    next->predecessors = ids;
    next->predecessor_count = count;
}

static wr_status fenced(struct wr_seat *seat, const struct wr_manifest *theirs, struct wr_error *err)
{
    char name[300] = "an unknown owner";
    seat->state = FENCED;
    if (theirs->epoch != 0) {
        name_owner(&theirs->owner, name, sizeof name);
    }
    (void)wr_fail(err, WR_CLASS_FATAL, "the state %s was taken over by %s: this process was fenced",
                  seat->config.url, name);
    wr_error_detail(err, "epoch %llu was to be pid %lld's on host %.100s",
                    (unsigned long long)seat->head.epoch + 1, (long long)seat->self.pid,
                    seat->self.host);
    wr_error_hint(err, "the new owner goes on from the last commit, nothing is lost; start this one "
                       "with --standby if it is to wait");
    return WR_FAIL;
}

/* The place is taken: by ourselves, in a put whose answer was lost, or by another owner. */
static wr_status settle(struct wr_seat *seat, uint64_t epoch, struct wr_error *err)
{
    struct wr_manifest theirs;
    struct wr_buf text = { 0 };
    wr_status status = wr_head_read(seat->store, epoch, &theirs, &text, err);
    if (status == WR_OK && strcmp(theirs.owner.id, seat->self.id) == 0) {
        const bool same = text.bytes == seat->text.bytes &&
                          memcmp(text.data, seat->text.data, text.bytes) == 0;
        status = same ? WR_OK
                      : wr_fail(err, WR_CLASS_FATAL,
                                "epoch %llu of the state %s was written by this process, but with other "
                                "contents; start again to go on from it",
                                (unsigned long long)epoch, seat->config.url);
    } else if (status != WR_FAIL) {
        status = fenced(seat, &theirs, err);
    }
    wr_manifest_deinit(&theirs);
    wr_buf_deinit(&text);
    return status;
}

/* Put-if-absent of the next manifest. WR_END: the place is taken. */
static wr_status put(struct wr_seat *seat, const struct wr_manifest *next, struct wr_error *err)
{
    char key[48];
    WR_TRY(wr_manifest_check(next, err));
    seat->text.bytes = 0;
    wr_manifest_write(next, &seat->text);
    wr_manifest_key(next->epoch, key);
    WR_FAULT("state.before_manifest");
    const wr_status status = wr_store_put(seat->store, key, seat->text.data, seat->text.bytes,
                                          WR_PUT_IF_ABSENT, err);
    WR_FAULT("state.after_manifest");
    return status;
}

static void become_head(struct wr_seat *seat, struct wr_manifest *next)
{
    seat->pending_ms = 0;
    seat->put_ns = wr_clock_now().mono_ns;
    seat->published = false;
    take_head(seat, next);
    seat->span.newest = seat->head.epoch;
    seat->span.oldest = seat->span.oldest == 0 ? seat->head.epoch : seat->span.oldest;
}

/* Equal contents in an arena of its own. */
static wr_status copy_head(const struct wr_seat *seat, struct wr_manifest *next, struct wr_error *err)
{
    struct wr_buf text = { 0 };
    wr_manifest_init(next);
    if (seat->head.epoch == 0) {
        return WR_OK;
    }
    wr_manifest_write(&seat->head, &text);
    const wr_status status =
        wr_manifest_read(next, (struct wr_slice){ text.data, text.bytes }, err);
    wr_buf_deinit(&text);
    return status;
}

static wr_status claim_head(struct wr_seat *seat, struct wr_time now, int64_t *next_ns,
                            struct wr_error *err)
{
    struct wr_manifest next;
    char before[300] = "";
    if (seat->head.epoch == 0) {
        wr_uuid_make(seat->head.uuid);
    } else {
        name_owner(&seat->head.owner, before, sizeof before);
    }
    wr_status status = copy_head(seat, &next, err);
    if (status == WR_OK) {
        seat->pending_ms = 0;
        sign(seat, &next, false);
        name_predecessors(seat, &next);
        status = put(seat, &next, err);
    }
    if (status == WR_OK) {
        const bool ended = seat->head.epoch == 0 || seat->head.owner.released;
        become_head(seat, &next);
        seat->state = OWNER;
        seat->claimed = seat->head.epoch;
        if (!ended) {
            wr_log_info("state", "took over from %s, which did not end in order", before);
        }
    } else if (status == WR_END) { /* somebody was faster, or our own lost answer: the next look tells */
        status = look_again(seat, now.mono_ns, NULL, next_ns);
    }
    wr_manifest_deinit(&next);
    return status;
}

/* What the newest manifest says now. A put of ours whose answer was lost is found here. */
static wr_status look(struct wr_seat *seat, struct wr_error *err)
{
    struct wr_manifest found;
    const wr_status status = wr_head_newest(seat->store, &seat->span, &found, err);
    if (status != WR_FAIL) {
        take_head(seat, &found);
    }
    return status;
}

wr_status wr_seat_claim(struct wr_seat *seat, struct wr_time now, int64_t *next_ns,
                        struct wr_error *err)
{
    wr_assert(seat->state == LOOKING);
    const wr_status locked = lock(seat, err);
    WR_TRY(locked == WR_FAIL ? WR_FAIL : WR_OK);
    const wr_status looked = look(seat, err);
    if (looked == WR_FAIL) {
        wr_error_prefix(err, "state %s", seat->config.url);
        return WR_FAIL;
    }
    if (locked == WR_END) {
        if (seat->head.epoch == 0) { /* it has just begun */
            return look_again(seat, now.mono_ns + LOOK_FIRST_NS, NULL, next_ns);
        }
        return living(seat, now, next_ns, err);
    }
    if (looked == WR_END && seat->span.newest != 0) { /* pruned between listing and reading: somebody is fast */
        return look_again(seat, now.mono_ns + LOOK_FIRST_NS, NULL, next_ns);
    }
    if (seat->head.epoch != 0 && strcmp(seat->head.owner.id, seat->self.id) == 0) {
        seat->state = OWNER;
        seat->claimed = seat->head.epoch;
        seat->put_ns = now.mono_ns;
        return WR_OK;
    }
    if (seat->head.epoch != 0) {
        WR_TRY(judge(seat, now, next_ns, err));
        if (seat->config.accept != NULL) {
            WR_TRY(seat->config.accept(seat->config.accept_ctx, &seat->head, err));
        }
    }
    return claim_head(seat, now, next_ns, err);
}

const struct wr_manifest *wr_seat_head(const struct wr_seat *seat)
{
    return &seat->head;
}

/* ---- committing ---- */

/* Manifests behind the head may have been pruned by now, and then a put of ours would succeed although others went on. */
static wr_status look_around(struct wr_seat *seat, struct wr_error *err)
{
    struct wr_manifest_span span;
    struct wr_manifest theirs;
    if (wr_clock_now().mono_ns - seat->put_ns < SILENT_LONG_NS) {
        return WR_OK;
    }
    wr_status status = wr_head_newest(seat->store, &span, &theirs, err);
    /* The one behind ours may be our own, its answer lost: the put settles that. */
    if (status != WR_FAIL && (span.newest < seat->head.epoch || span.newest > seat->head.epoch + 1)) {
        status = fenced(seat, &theirs, err);
    }
    wr_manifest_deinit(&theirs);
    return status == WR_FAIL ? WR_FAIL : WR_OK;
}

static wr_status commit(struct wr_seat *seat, struct wr_manifest *next, bool released,
                        struct wr_error *err)
{
    wr_ensure(seat->state == OWNER, err, WR_CLASS_FATAL, "the state %s is not this process's any more",
              seat->config.url);
    WR_TRY(look_around(seat, err));
    sign(seat, next, released);
    name_predecessors(seat, next);
    wr_status status = put(seat, next, err);
    if (status == WR_END) {
        status = settle(seat, next->epoch, err);
    }
    if (status == WR_OK) {
        become_head(seat, next);
    }
    return status;
}

wr_status wr_seat_commit(struct wr_seat *seat, struct wr_manifest *next, struct wr_error *err)
{
    return commit(seat, next, false, err);
}

void wr_seat_published(struct wr_seat *seat)
{
    seat->published = true;
}

bool wr_seat_must_write(const struct wr_seat *seat, struct wr_time now)
{
    return seat->state == OWNER &&
           now.mono_ns - seat->put_ns >= seat->config.owner_timeout_us * 1000 / 3;
}

void wr_seat_prune(struct wr_seat *seat)
{
    if (seat->state != OWNER) {
        return;
    }
    wr_head_prune(&seat->pruner, seat->store, &seat->span, seat->claimed, &seat->head,
                  wr_clock_now().wall_us / 1000);
    if (!seat->pruner.local && seat->head.epoch % HINT_EVERY == 0) {
        wr_head_hint(seat->store, &seat->span);
    }
}

static wr_status repeat_head(struct wr_seat *seat, bool released, struct wr_error *err)
{
    struct wr_manifest next;
    wr_status status = copy_head(seat, &next, err);
    for (uint32_t k = 0; status == WR_OK && seat->published && k < next.sink_count; k++) {
        next.sinks[k].published = true;
    }
    if (status == WR_OK) {
        status = commit(seat, &next, released, err);
    }
    wr_manifest_deinit(&next);
    return status;
}

wr_status wr_seat_touch(struct wr_seat *seat, struct wr_error *err)
{
    return repeat_head(seat, false, err);
}

wr_status wr_seat_release(struct wr_seat *seat, struct wr_error *err)
{
    if (seat->state != OWNER) {
        return WR_OK;
    }
    const wr_status status = repeat_head(seat, true, err);
    if (status == WR_OK) {
        seat->state = RELEASED;
        if (seat->lock_fd >= 0) {
            close(seat->lock_fd);
            seat->lock_fd = -1;
        }
    }
    return status;
}
