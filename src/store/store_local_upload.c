/* store_local_upload.c: hidden files that become objects: written, synced, moved to their place.
 *
 *   writing -> [prepare_begin] -> begun -> (its bytes are synced) -> [prepare] -> prepared
 *   prepared -> [publish] -> published; a direct one is moved before prepare returns
 *
 * A sync costs a turn of the disk, whoever waits for it. So what was begun is settled together, by
 * the first prepare that waits:
 *   1. the syncs of files, many under way in the loop: the file system's journal and the disk's
 *      cache are flushed once for all that wait
 *   2. direct uploads are moved
 *   3. each directory that got names is synced once
 * Without io_uring the kernel is told to begin writing (1), and the syncs follow one by one: the
 * first of them brings the journal, which holds the names of all, so that the others are cheap.
 *
 * Invariants:
 *   (1) an upload is prepared only if its bytes are synced, and its directory and those above it up
 *       to the root were synced after the name was there: another writer may have made them and
 *       not have synced them yet
 *   (2) a directory leaves the list of names only by a sync that worked
 *   (3) bytes whose sync failed are never taken for durable: a second sync would say that all is
 *       well, since the kernel has forgotten them
 */
#include "store/store_local.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/rand.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Syncs that are in the loop at once: each holds a descriptor. */
#define SYNCS_MAX 64u
/* Files that wait for their syncs, each with a descriptor (or fewer, where the process may not have so
 * many): a file that is made while the journal is written waits for it, so all are made first. */
#define HELD_MAX 1024u

static struct local_upload *upload_of(struct wr_upload *base)
{
    return (struct local_upload *)base;
}

/* ---- names ---- */

void wr_local_names_deinit(struct local_names *names)
{
    for (uint32_t i = 0; i < names->count; i++) {
        free(names->paths[i]);
    }
    free(names->paths);
    *names = (struct local_names){ 0 };
}

static void note_name(struct local_names *names, const char *path, size_t bytes)
{
    if (names->count == names->capacity) {
        names->capacity = names->capacity * 2 + 16;
        names->paths = wr_realloc(names->paths, names->capacity * sizeof *names->paths);
    }
    char *copy = wr_malloc(bytes + 1);
    memcpy(copy, path, bytes);
    copy[bytes] = '\0';
    names->paths[names->count++] = copy;
}

/* The directory that holds path got a name; above: those that hold that one, too. */
static void note_names(struct local_store *store, const char *path, bool above)
{
    const size_t root = strlen(store->root);
    size_t n = (size_t)(strrchr(path, '/') - path);
    for (;;) {
        note_name(&store->names, path, n > 0 ? n : 1);
        if (!above || n <= root) {
            return;
        }
        do {
            n--;
        } while (n > root && path[n] != '/');
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void remove_twins(struct local_names *names)
{
    uint32_t kept = 0;
    if (names->count > 1) {
        qsort(names->paths, names->count, sizeof *names->paths, by_text);
    }
    for (uint32_t i = 0; i < names->count; i++) {
        if (kept > 0 && strcmp(names->paths[kept - 1], names->paths[i]) == 0) {
            free(names->paths[i]);
        } else {
            names->paths[kept++] = names->paths[i];
        }
    }
    names->count = kept;
}

/* ---- syncs ---- */

/* Whether syncs overlap in the loop. The simulated one does them one by one, in order. */
static bool overlaps(const struct local_store *store)
{
    return store->io != NULL && wr_io_backend_of(store->io) == WR_IO_URING;
}

static void submit(struct local_store *store, struct wr_io_op *op)
{
    wr_io_submit(store->io, op);
    store->under_way++;
    wr_io_wait(store->io, &store->under_way, SYNCS_MAX - 1); /* starts it, too */
}

struct name_sync {
    struct local_store *store;
    struct wr_io_op op;
    int error;
};

static void name_synced(struct wr_io_op *op)
{
    struct name_sync *sync = op->ctx;
    /* Some file systems cannot sync a directory (local_file.c). */
    sync->error = op->result < 0 && op->result != -EINVAL ? -op->result : 0;
    sync->store->under_way--;
    close(op->fd);
}

static void sync_names_together(struct local_store *store, struct name_sync *syncs)
{
    for (uint32_t i = 0; i < store->names.count; i++) {
        struct name_sync *sync = &syncs[i];
        const int fd = open(store->names.paths[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *sync = (struct name_sync){ .store = store, .error = fd < 0 ? errno : 0 };
        sync->op = (struct wr_io_op){ .kind = WR_IO_FSYNC_ALL,
                                      .fd = fd,
                                      .done = name_synced,
                                      .ctx = sync };
        if (fd >= 0) {
            submit(store, &sync->op);
        }
    }
    wr_io_wait(store->io, &store->under_way, 0);
}

/* (2) */
static wr_status sync_names(struct local_store *store, struct wr_error *err)
{
    struct local_names *names = &store->names;
    remove_twins(names);
    if (names->count == 0) {
        return WR_OK;
    }
    struct name_sync *syncs = wr_calloc(names->count, sizeof *syncs);
    if (overlaps(store) && names->count > 1) {
        sync_names_together(store, syncs);
    } else {
        for (uint32_t i = 0; i < names->count; i++) {
            syncs[i].error = wr_file_sync_directory(names->paths[i]);
        }
    }
    uint32_t left = 0;
    wr_status status = WR_OK;
    for (uint32_t i = 0; i < names->count; i++) {
        if (syncs[i].error == 0) {
            free(names->paths[i]);
            continue;
        }
        if (left == 0) {
            status = wr_file_fail(err, WR_CLASS_FATAL, syncs[i].error, "sync the directory",
                                  names->paths[i]);
        }
        names->paths[left++] = names->paths[i];
    }
    names->count = left;
    free(syncs);
    return status;
}

/* The kernel had no room for the request: the bytes are where they were. */
static bool was_not_tried(int error)
{
    return error == EAGAIN || error == ECANCELED || error == ENOMEM;
}

static void bytes_synced(struct local_upload *up, int error)
{
    if (was_not_tried(error)) {
        return; /* settle does it */
    }
    up->sync_error = error; /* (3) */
    up->store->begun_open--;
    close(up->fd);
    up->fd = -1;
}

static void op_done(struct wr_io_op *op)
{
    struct local_upload *up = op->ctx;
    up->syncing = false;
    up->store->under_way--;
    bytes_synced(up, op->result < 0 ? -op->result : 0);
}

static void start_sync(struct local_upload *up)
{
    if (up->fd >= 0 && !up->syncing) {
        up->syncing = true;
        up->op = (struct wr_io_op){
            .kind = WR_IO_FSYNC, .fd = up->fd, .done = op_done, .ctx = up
        };
        submit(up->store, &up->op);
    }
}

/* A single one goes the shortest way. */
static void sync_begun(struct local_store *store)
{
    const bool many = store->begun_open > 1;
    struct local_upload *up;
    for (up = store->begun_first; up != NULL && many; up = up->next_begun) {
        if (overlaps(store)) {
            start_sync(up);
        } else if (up->fd >= 0) {
            (void)sync_file_range(up->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* only a beginning */
        }
    }
    if (store->under_way > 0) {
        wr_io_wait(store->io, &store->under_way, 0);
    }
    for (up = store->begun_first; up != NULL; up = up->next_begun) {
        if (up->fd >= 0) {
            bytes_synced(up, wr_file_sync(store->io, up->fd));
        }
    }
}

/* Gone, and the file is there: whoever took over has published it from its ticket. */
static void move_to_place(struct local_upload *up)
{
    up->move_error = 0;
    if (up->temporary == NULL) {
        return;
    }
    if (rename(up->temporary, up->path) < 0 && (errno != ENOENT || access(up->path, F_OK) != 0)) {
        up->move_error = errno;
        return;
    }
    free(up->temporary);
    up->temporary = NULL;
    note_names(up->store, up->path, false);
}

/* All that was begun. What went wrong with a file is in its upload; WR_FAIL: with a directory. */
static wr_status settle(struct local_store *store, struct wr_error *err)
{
    sync_begun(store);
    while (store->begun_first != NULL) {
        struct local_upload *up = store->begun_first;
        store->begun_first = up->next_begun;
        up->next_begun = NULL;
        up->begun = false;
        store->begun_open -= up->fd >= 0;
        if (up->base.direct && up->fd < 0 && up->sync_error == 0) {
            move_to_place(up);
        }
    }
    store->begun_last = NULL;
    return sync_names(store, err);
}

/* ---- uploads ---- */

void wr_local_upload_close(struct wr_upload *base)
{
    struct local_upload *up = upload_of(base);
    struct local_store *store = up->store;
    struct wr_error ignored;
    if (up->begun) {
        (void)!settle(store, &ignored); /* the loop has its op; what belongs to others they ask for */
    }
    if (up->fd >= 0) {
        close(up->fd);
    }
    if (up->temporary != NULL && !up->kept) {
        (void)unlink(up->temporary);
    } else if (up->base.direct && !up->prepared && !up->kept) {
        (void)unlink(up->path);
    }
    free(up->temporary);
    free(up->path);
    free(up);
}

static char *temporary_of(const char *path)
{
    const char *name = strrchr(path, '/');
    const size_t directory = name == NULL ? 0 : (size_t)(name - path) + 1;
    struct wr_buf buf = { 0 };
    wr_buf_append(&buf, path, directory);
    wr_buf_printf(&buf, ".%.*s.%016llx.tmp", WR_LOCAL_NAME_KEPT_BYTES, path + directory,
                  (unsigned long long)wr_rand_entropy());
    char *text = wr_strdup(wr_buf_cstr(&buf));
    wr_buf_deinit(&buf);
    return text;
}

/* durable: the directories are there to stay when it returns; else prepare sees to that (1). */
static wr_status open_file(struct local_upload **out, struct local_store *store, const char *key,
                           bool durable, struct wr_error *err)
{
    char *path;
    WR_TRY(wr_local_join(store, key, &path, err));
    const int made = wr_file_make_parents(path, durable);
    if (made != 0) {
        wr_file_fail(err, WR_CLASS_FATAL, made, "create the directory of", path);
        free(path);
        return WR_FAIL;
    }
    struct local_upload *up = wr_calloc(1, sizeof *up);
    up->base.ops = &wr_store_local_ops;
    up->store = store;
    up->path = path;
    up->temporary = temporary_of(path);
    up->fd = open(up->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (up->fd < 0 && (errno == EMFILE || errno == ENFILE) && store->begun_open > 0) {
        sync_begun(store); /* which gives theirs back */
        up->fd = open(up->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (up->fd < 0) {
        wr_file_fail(err, WR_CLASS_FATAL, errno, "create", up->temporary);
        free(up->temporary);
        up->temporary = NULL;
        wr_local_upload_close(&up->base);
        return WR_FAIL;
    }
    *out = up;
    return WR_OK;
}

wr_status wr_local_upload_open(struct wr_upload **out, struct wr_store *base, const char *key,
                               struct wr_error *err)
{
    struct local_upload *up;
    WR_TRY(open_file(&up, (struct local_store *)base, key, false, err));
    *out = &up->base;
    return WR_OK;
}

wr_status wr_local_upload_write(struct wr_upload *base, const void *data, size_t bytes,
                                struct wr_error *err)
{
    struct local_upload *up = upload_of(base);
    const int error = wr_file_write_all(up->store->io, up->fd, data, bytes, up->bytes);
    if (error != 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, error, "write", up->path);
    }
    up->bytes += (int64_t)bytes;
    return WR_OK;
}

void wr_local_upload_prepare_begin(struct wr_upload *base)
{
    struct local_upload *up = upload_of(base);
    struct local_store *store = up->store;
    if (up->begun || up->prepared) {
        return;
    }
    note_names(store, up->path, true);
    if (store->begun_first == NULL) {
        store->begun_first = up;
    } else {
        store->begun_last->next_begun = up;
    }
    store->begun_last = up;
    up->begun = true;
    store->begun_open += up->fd >= 0;
    if (store->begun_open >= HELD_MAX) {
        sync_begun(store);
    }
}

/* Never worth another attempt, whatever the reason (3). */
static wr_status sync_failed(const struct local_upload *up, struct wr_error *err)
{
    const char *why = strerrordesc_np(up->sync_error);
    wr_fail(err, WR_CLASS_FATAL, "cannot sync %s: %s", up->path,
            why != NULL ? why : "unknown error");
    wr_error_hint(err, "the disk did not take what was written; nothing committed is lost: look at "
                       "the disk, then start again");
    return WR_FAIL;
}

wr_status wr_local_upload_prepare(struct wr_upload *base, struct wr_error *err)
{
    struct local_upload *up = upload_of(base);
    if (up->prepared) {
        return WR_OK;
    }
    if (!up->begun && (up->fd >= 0 || (up->base.direct && up->temporary != NULL))) {
        wr_local_upload_prepare_begin(base);
    }
    const wr_status names = settle(up->store, err);
    if (up->sync_error != 0) {
        return sync_failed(up, err);
    }
    if (up->move_error != 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, up->move_error, "rename the finished file to",
                            up->path);
    }
    if (up->fd >= 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, ENOMEM, "sync", up->path);
    }
    up->prepared = names == WR_OK;
    return names;
}

void wr_local_upload_publish_begin(struct wr_upload *base)
{
    move_to_place(upload_of(base));
}

wr_status wr_local_upload_publish(struct wr_upload *base, struct wr_error *err)
{
    struct local_upload *up = upload_of(base);
    wr_dassert(up->prepared);
    move_to_place(up);
    if (up->move_error != 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, up->move_error, "rename the finished file to",
                            up->path);
    }
    return settle(up->store, err);
}

/* ---- small objects ---- */

/* Moves without replacing: 0, EEXIST, or what went wrong. */
static int move_if_absent(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) {
        return errno;
    }
    if (link(from, to) < 0) {
        const int error = errno;
        struct stat info;
        /* NFS may answer a repeated request, whose first answer was lost, with what that one did:
         * the number of names tells (store.h, (4)). */
        if (error != EEXIST || stat(from, &info) != 0 || info.st_nlink < 2) {
            return error;
        }
    }
    (void)unlink(from); /* a second, hidden name of the same file does no harm */
    return 0;
}

/* The hidden name need not be durable, only what it is renamed to: the directory is synced once.
 * The two syncs that are left cannot overlap: a name must not last longer than its bytes. */
static wr_status put_file(struct local_upload *up, enum wr_put_condition condition,
                          struct wr_error *err)
{
    const bool if_absent = condition == WR_PUT_IF_ABSENT;
    int error = wr_file_sync(up->store->io, up->fd);
    if (error != 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, error, "sync", up->path);
    }
    if (if_absent) {
        error = move_if_absent(up->temporary, up->path);
    } else if (rename(up->temporary, up->path) < 0) {
        error = errno;
    }
    if (error == EEXIST && if_absent) {
        return WR_END; /* close removes the temporary file */
    }
    if (error != 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, error,
                            if_absent ? "create" : "rename the finished file to", up->path);
    }
    free(up->temporary);
    up->temporary = NULL;
    error = wr_file_sync_parent(up->path);
    return error == 0 ? WR_OK
                      : wr_file_fail(err, WR_CLASS_FATAL, error, "sync the directory of", up->path);
}

wr_status wr_local_put(struct wr_store *base, const char *key, const void *data, size_t bytes,
                       enum wr_put_condition condition, struct wr_error *err)
{
    struct local_upload *up;
    WR_TRY(open_file(&up, (struct local_store *)base, key, true, err));
    wr_status status = wr_local_upload_write(&up->base, data, bytes, err);
    if (status == WR_OK) {
        status = put_file(up, condition, err);
    }
    wr_local_upload_close(&up->base);
    return status;
}
