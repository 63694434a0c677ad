/* store_local.c: objects as files under one directory.
 *
 * An object is written to a hidden file beside its place (`.NAME.RANDOM.tmp`), synced, and moved
 * there by rename: readers see all of it or nothing. Put-if-absent moves with
 * renameat2(RENAME_NOREPLACE), or link(2) where the file system does not know that; both let
 * exactly one of many racers through, also over NFS. Names that begin with a dot are never listed:
 * what a crash leaves behind is invisible, and abandon removes it.
 * The random part is no process id: in a container every run has the same one, and would meet the
 * hidden files that the run before it left.
 */
#include "store/store_local.h"
#include "store/store_ticket.h"

#include "base/assert.h"
#include "base/heap.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_BYTES      (1 + 16 + 4) /* ".0123456789abcdef.tmp" */

static const char *path_of_url(const char *url)
{
    return strncmp(url, "file://", 7) == 0 ? url + 7 : url;
}

static wr_status local_check(const char *url, const struct wr_options *options,
                             struct wr_error *err)
{
    const char *path = path_of_url(url);
    if (path != url && path[0] != '/') {
        wr_fail(err, WR_CLASS_USER, "%s names a host, not a directory", url);
        wr_error_hint(err, "write file:///absolute/path, or just a path");
        return WR_FAIL;
    }
    wr_ensure(path[0] != '\0', err, WR_CLASS_USER, "the path is empty");
    return WR_OK;
}

/* Keys come from Weir, but hold texts from outside (partition values): none may leave the
 * directory. */
wr_status wr_local_join(const struct local_store *store, const char *key, char **path,
                        struct wr_error *err)
{
    bool bad = key[0] == '\0' || key[0] == '/';
    for (const char *at = key; at != NULL && !bad; at = strchr(at, '/')) {
        at += *at == '/' ? 1 : 0;
        const size_t segment = strcspn(at, "/");
        bad = segment == 0 || (segment == 1 && at[0] == '.') ||
              (segment == 2 && at[0] == '.' && at[1] == '.');
    }
    wr_ensure(!bad, err, WR_CLASS_FATAL, "'%s' cannot be the name of an object", key);
    struct wr_buf buf = { 0 };
    wr_buf_printf(&buf, "%s%s%s", store->root, strcmp(store->root, "/") == 0 ? "" : "/", key);
    *path = wr_strdup(wr_buf_cstr(&buf));
    wr_buf_deinit(&buf);
    return WR_OK;
}

/* ---- store ---- */

static void local_close(struct wr_store *base)
{
    struct local_store *store = (struct local_store *)base;
    wr_local_names_deinit(&store->names);
    free(store->root);
    free(store);
}

static wr_status prove_writable(const char *root, struct wr_error *err)
{
    struct wr_buf probe = { 0 };
    wr_buf_printf(&probe, "%s/x", root);
    int error = wr_file_make_parents(wr_buf_cstr(&probe), true);
    wr_buf_deinit(&probe);
    if (error == 0) {
        error = access(root, W_OK | X_OK) == 0 ? 0 : errno;
        if (error == 0) {
            return WR_OK;
        }
        wr_file_fail(err, WR_CLASS_FATAL, error, "write into directory", root);
        if (error == EACCES) {
            wr_error_hint(err, "give this user the right to write there: ls -ld '%s'", root);
        }
        return WR_FAIL;
    }
    return wr_file_fail(err, WR_CLASS_FATAL, error, "create directory", root);
}

static wr_status local_open(struct wr_store **out, const char *url,
                            const struct wr_options *options, struct wr_io *io,
                            struct wr_error *err)
{
    WR_TRY(local_check(url, options, err));
    struct local_store *store = wr_calloc(1, sizeof *store);
    store->base.ops = &wr_store_local_ops;
    store->io = io;
    store->root = wr_strdup(path_of_url(url));
    for (size_t n = strlen(store->root); n > 1 && store->root[n - 1] == '/'; n--) {
        store->root[n - 1] = '\0';
    }
    const wr_status status = prove_writable(store->root, err);
    if (status != WR_OK) {
        local_close(&store->base);
        return status;
    }
    *out = &store->base;
    return WR_OK;
}

/* ---- reading ---- */

/* bytes: at most so many from offset on. */
static wr_status read_open_file(struct local_store *store, int fd, const char *path,
                                uint64_t offset, uint64_t bytes, struct wr_buf *into,
                                struct wr_error *err)
{
    struct stat info;
    if (fstat(fd, &info) < 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "look at", path);
    }
    wr_ensure(S_ISREG(info.st_mode), err, WR_CLASS_FATAL, "%s is not a file", path);
    const uint64_t size = (uint64_t)info.st_size;
    const uint64_t left = offset < size ? size - offset : 0;
    const size_t wanted = (size_t)(bytes < left ? bytes : left);
    if (wanted == 0) {
        return WR_OK;
    }
    size_t got;
    const int error = wr_file_read_all(store->io, fd, wr_buf_reserve(into, wanted + 1), wanted,
                                       (int64_t)offset, &got);
    if (error != 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, error, "read", path);
    }
    into->bytes += got;
    return WR_OK;
}

static wr_status local_get_range(struct wr_store *base, const char *key, uint64_t offset,
                                 uint64_t bytes, struct wr_buf *into, struct wr_error *err)
{
    struct local_store *store = (struct local_store *)base;
    char *path;
    WR_TRY(wr_local_join(store, key, &path, err));
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    wr_status status;
    if (fd >= 0) {
        status = read_open_file(store, fd, path, offset, bytes, into, err);
        close(fd);
    } else if (errno == ENOENT || errno == ENOTDIR) {
        status = WR_END;
    } else {
        status = wr_file_fail(err, WR_CLASS_FATAL, errno, "open", path);
    }
    free(path);
    return status;
}

static wr_status local_get(struct wr_store *base, const char *key, struct wr_buf *into,
                           struct wr_error *err)
{
    return local_get_range(base, key, 0, UINT64_MAX, into, err);
}

static wr_status local_erase(struct wr_store *base, const char *key, struct wr_error *err)
{
    char *path;
    WR_TRY(wr_local_join((struct local_store *)base, key, &path, err));
    wr_status status = WR_OK;
    if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR) {
        status = wr_file_fail(err, WR_CLASS_FATAL, errno, "remove", path);
    }
    free(path);
    return status;
}

static wr_status local_modified(struct wr_store *base, const char *key, int64_t *ms,
                                struct wr_error *err)
{
    struct local_store *store = (struct local_store *)base;
    char *path;
    struct stat info;
    WR_TRY(wr_local_join(store, key, &path, err));
    wr_status status = WR_OK;
    if (stat(path, &info) == 0) {
        *ms = info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1000000;
    } else if (errno == ENOENT || errno == ENOTDIR) {
        status = WR_END;
    } else {
        status = wr_file_fail(err, WR_CLASS_FATAL, errno, "look at", path);
    }
    free(path);
    return status;
}

/* ---- list ---- */

struct found_key {
    char *key;
    uint64_t bytes;
};

struct listing {
    const struct local_store *store;
    const char *prefix;
    const char *start_after;
    struct found_key *keys;
    size_t count;
    size_t capacity;
};

static void keep(struct listing *list, const char *key, uint64_t bytes)
{
    if (strncmp(key, list->prefix, strlen(list->prefix)) != 0 ||
        (list->start_after != NULL && strcmp(key, list->start_after) <= 0)) {
        return;
    }
    if (list->count == list->capacity) {
        list->capacity = list->capacity * 2 + 64;
        list->keys = wr_realloc(list->keys, list->capacity * sizeof *list->keys);
    }
    list->keys[list->count++] = (struct found_key){ wr_strdup(key), bytes };
}

/* A directory holds keys of the prefix only if one of the two begins the other. */
static bool worth_entering(const struct listing *list, const char *directory)
{
    const size_t a = strlen(directory);
    const size_t b = strlen(list->prefix);
    return strncmp(directory, list->prefix, a < b ? a : b) == 0;
}

/* directory: "" or a key that ends with a slash. */
static int walk(struct listing *list, const char *directory)
{
    struct wr_buf buf = { 0 };
    wr_buf_printf(&buf, "%s/%s", list->store->root, directory);
    DIR *stream = opendir(wr_buf_cstr(&buf));
    int error = stream == NULL && errno != ENOENT && errno != ENOTDIR ? errno : 0;
    for (const struct dirent *entry; stream != NULL && error == 0;) {
        errno = 0;
        entry = readdir(stream);
        if (entry == NULL) {
            error = errno;
            break;
        }
        struct stat info;
        if (entry->d_name[0] == '.' ||
            fstatat(dirfd(stream), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0) {
            continue; /* hidden, or gone meanwhile */
        }
        buf.bytes = 0;
        wr_buf_printf(&buf, "%s%s%s", directory, entry->d_name, S_ISDIR(info.st_mode) ? "/" : "");
        if (S_ISREG(info.st_mode)) {
            keep(list, wr_buf_cstr(&buf), (uint64_t)info.st_size);
        } else if (S_ISDIR(info.st_mode) && worth_entering(list, wr_buf_cstr(&buf))) {
            error = walk(list, wr_buf_cstr(&buf));
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    wr_buf_deinit(&buf);
    return error;
}

/* The directory that holds all keys of the prefix, as "" or a key that ends with a slash: a walk need not begin
 * above it. */
static char *directory_of(const char *prefix)
{
    const char *slash = strrchr(prefix, '/');
    const bool safe = prefix[0] != '/' && strstr(prefix, "..") == NULL;
    char *directory = wr_strdup(slash != NULL && safe ? prefix : "");
    if (directory[0] != '\0') {
        directory[slash - prefix + 1] = '\0';
    }
    return directory;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct found_key *)a)->key, ((const struct found_key *)b)->key);
}

static wr_status local_list(struct wr_store *base, const char *prefix, const char *start_after,
                            void (*found)(void *ctx, const char *key, uint64_t bytes), void *ctx,
                            struct wr_error *err)
{
    struct local_store *store = (struct local_store *)base;
    struct listing list = { .store = store, .prefix = prefix, .start_after = start_after };
    char *directory = directory_of(prefix);
    const int error = walk(&list, directory);
    free(directory);
    if (error == 0 && list.count > 0) {
        qsort(list.keys, list.count, sizeof *list.keys, by_key);
    }
    for (size_t i = 0; i < list.count; i++) {
        if (error == 0) {
            found(ctx, list.keys[i].key, list.keys[i].bytes);
        }
        free(list.keys[i].key);
    }
    free(list.keys);
    return error == 0 ? WR_OK
                      : wr_file_fail(err, WR_CLASS_FATAL, error, "list directory", store->root);
}

/* ---- tickets ---- */

static void local_upload_ticket(const struct wr_upload *base, struct wr_buf *into)
{
    const struct local_upload *up = (const struct local_upload *)base;
    const size_t root = strcmp(up->store->root, "/") == 0 ? 1 : strlen(up->store->root) + 1;
    wr_assert(up->prepared && up->temporary != NULL);
    wr_ticket_write(json_pack("{s:s, s:s, s:I}", "key", up->path + root, "temporary",
                              up->temporary + root, "bytes", (json_int_t)up->bytes),
                    into);
}

static void local_upload_keep(struct wr_upload *base)
{
    ((struct local_upload *)base)->kept = true;
}

/* Whether temporary is the path of a hidden file beside path. */
static bool is_temporary_of(const char *temporary, const char *path)
{
    const size_t directory = (size_t)(strrchr(path, '/') - path) + 1;
    const char *name = temporary + directory;
    const size_t bytes = strlen(temporary);
    return bytes > directory + 1 + TAIL_BYTES && strncmp(temporary, path, directory) == 0 &&
           name[0] == '.' && strchr(name, '/') == NULL &&
           strcmp(temporary + bytes - 4, ".tmp") == 0;
}

static wr_status publish_file(const char *temporary, const char *path, struct wr_error *err)
{
    wr_ensure(is_temporary_of(temporary, path), err, WR_CLASS_FATAL,
              "'%s' is not a prepared file of %s", temporary, path);
    if (rename(temporary, path) < 0) {
        const int cause = errno;
        if (cause != ENOENT || access(path, F_OK) != 0) {
            wr_file_fail(err, WR_CLASS_FATAL, cause, "publish the prepared file as", path);
            if (cause == ENOENT) {
                wr_error_hint(err, "neither %s nor the file itself is there: somebody removed it",
                              temporary);
            }
            return WR_FAIL;
        }
    }
    const int error = wr_file_sync_parent(path);
    return error == 0 ? WR_OK
                      : wr_file_fail(err, WR_CLASS_FATAL, error, "sync the directory of", path);
}

static wr_status local_publish_ticket(struct wr_store *base, const char *text, size_t bytes,
                                      struct wr_error *err)
{
    const struct local_store *store = (const struct local_store *)base;
    json_t *ticket;
    char *path = NULL, *temporary = NULL;
    WR_TRY(wr_ticket_read(text, bytes, &ticket, err));
    const char *hidden = wr_ticket_text(ticket, "temporary");
    wr_status status = wr_local_join(store, wr_ticket_text(ticket, "key"), &path, err);
    if (status == WR_OK) {
        status = wr_local_join(store, hidden != NULL ? hidden : "", &temporary, err);
    }
    if (status == WR_OK) {
        status = publish_file(temporary, path, err);
    }
    free(temporary);
    free(path);
    json_decref(ticket);
    return status;
}

/* ---- what others left ---- */

struct leaving {
    const struct local_store *store;
    const char *prefix;
    const char *mark;
    bool (*keep)(void *ctx, const char *key);
    void *ctx;
};

/* The key that the hidden file directory/name was to become; false when it is none, or its name
 * was cut so that nobody can tell. */
static bool key_of_temporary(const char *directory, const char *name, struct wr_buf *key)
{
    const size_t bytes = strlen(name);
    key->bytes = 0;
    if (bytes <= 1 + TAIL_BYTES || bytes >= 1 + WR_LOCAL_NAME_KEPT_BYTES + TAIL_BYTES ||
        strcmp(name + bytes - 4, ".tmp") != 0 || name[bytes - TAIL_BYTES] != '.') {
        return false;
    }
    wr_buf_printf(key, "%s%.*s", directory, (int)(bytes - 1 - TAIL_BYTES), name + 1);
    return true;
}

static bool is_left(const struct leaving *l, const char *key)
{
    return strncmp(key, l->prefix, strlen(l->prefix)) == 0 && strstr(key, l->mark) != NULL &&
           (l->keep == NULL || !l->keep(l->ctx, key));
}

/* directory: "" or a key that ends with a slash. Returns 0 or an errno. */
static int abandon_in(const struct leaving *l, const char *directory)
{
    const struct listing list = { .store = l->store, .prefix = l->prefix };
    struct wr_buf buf = { 0 };
    wr_buf_printf(&buf, "%s/%s", l->store->root, directory);
    DIR *stream = opendir(wr_buf_cstr(&buf));
    int error = stream == NULL && errno != ENOENT && errno != ENOTDIR ? errno : 0;
    while (stream != NULL && error == 0) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            error = errno;
            break;
        }
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(stream), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0) {
            continue;
        }
        if (S_ISREG(info.st_mode) && entry->d_name[0] == '.') {
            if (key_of_temporary(directory, entry->d_name, &buf) &&
                is_left(l, wr_buf_cstr(&buf)) &&
                unlinkat(dirfd(stream), entry->d_name, 0) < 0 && errno != ENOENT) {
                error = errno;
            }
        } else if (S_ISDIR(info.st_mode) && entry->d_name[0] != '.') {
            buf.bytes = 0;
            wr_buf_printf(&buf, "%s%s/", directory, entry->d_name);
            error = worth_entering(&list, wr_buf_cstr(&buf)) ? abandon_in(l, wr_buf_cstr(&buf)) : 0;
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    wr_buf_deinit(&buf);
    return error;
}

static wr_status local_abandon(struct wr_store *base, const char *prefix, const char *mark,
                               bool (*keep_key)(void *ctx, const char *key), void *ctx,
                               struct wr_error *err)
{
    const struct leaving l = { .store = (struct local_store *)base,
                               .prefix = prefix,
                               .mark = mark,
                               .keep = keep_key,
                               .ctx = ctx };
    char *directory = directory_of(prefix);
    const int error = abandon_in(&l, directory);
    free(directory);
    return error == 0 ? WR_OK
                      : wr_file_fail(err, WR_CLASS_FATAL, error,
                                     "remove unpublished files of an earlier run in",
                                     l.store->root);
}

const struct wr_store_ops wr_store_local_ops = {
    .scheme = "file://",
    .takes_paths = true,
    .knows_direct = true,
    .check = local_check,
    .open = local_open,
    .close = local_close,
    .put = wr_local_put,
    .get = local_get,
    .get_range = local_get_range,
    .erase = local_erase,
    .modified = local_modified,
    .list = local_list,
    .upload_open = wr_local_upload_open,
    .upload_write = wr_local_upload_write,
    .upload_prepare = wr_local_upload_prepare,
    .upload_publish = wr_local_upload_publish,
    .upload_prepare_begin = wr_local_upload_prepare_begin,
    .upload_publish_begin = wr_local_upload_publish_begin,
    .upload_close = wr_local_upload_close,
    .upload_ticket = local_upload_ticket,
    .upload_keep = local_upload_keep,
    .publish_ticket = local_publish_ticket,
    .abandon = local_abandon,
};
