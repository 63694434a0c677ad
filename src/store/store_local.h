/* store_local.h: what the files of the local store share (internal to store/).
 *
 * store_local.c: open, put, get, delete, list, tickets. store_local_upload.c: hidden files that
 * become objects, many at once.
 */
#ifndef WR_STORE_STORE_LOCAL_H
#define WR_STORE_STORE_LOCAL_H

#include "store/local_file.h"
#include "store/store_ops.h"

/* A name of up to so many bytes stands whole in that of its hidden file: 255, less the dots, 16
 * digits and "tmp". */
#define WR_LOCAL_NAME_KEPT_BYTES 233

/* Directories whose names are not yet durable; the same one may stand there more than once. */
struct local_names {
    char **paths;
    uint32_t count;
    uint32_t capacity;
};

struct local_store {
    struct wr_store base;
    struct wr_io *io;
    char *root; /* without a slash at the end, except "/" */
    struct local_upload *begun_first; /* to be prepared together */
    struct local_upload *begun_last;
    uint32_t begun_open; /* of them: not synced yet */
    uint32_t under_way;  /* syncs that the loop has */
    struct local_names names;
};

struct local_upload {
    struct wr_upload base;
    struct local_store *store;
    struct local_upload *next_begun;
    char *path;
    char *temporary; /* NULL: moved to path */
    int fd;          /* -1: its bytes are synced, or lost */
    int64_t bytes;
    struct wr_io_op op;
    int sync_error; /* stays: the kernel forgets what it could not write */
    int move_error; /* of the last attempt */
    bool begun;     /* is in the list */
    bool syncing;   /* the loop has op */
    bool prepared;
    bool kept; /* close leaves what is there */
};

/* store_local.c: the path of key, which must not lead out of the directory. */
WR_NODISCARD wr_status wr_local_join(const struct local_store *store, const char *key, char **path,
                                     struct wr_error *err);

/* store_local_upload.c: the functions of the vtable. */
wr_status wr_local_upload_open(struct wr_upload **out, struct wr_store *base, const char *key,
                               struct wr_error *err);
wr_status wr_local_upload_write(struct wr_upload *base, const void *data, size_t bytes,
                                struct wr_error *err);
void wr_local_upload_prepare_begin(struct wr_upload *base);
wr_status wr_local_upload_prepare(struct wr_upload *base, struct wr_error *err);
void wr_local_upload_publish_begin(struct wr_upload *base);
wr_status wr_local_upload_publish(struct wr_upload *base, struct wr_error *err);
void wr_local_upload_close(struct wr_upload *base);
/* A whole object in one call, by the same steps, each of which waits. */
wr_status wr_local_put(struct wr_store *base, const char *key, const void *data, size_t bytes,
                       enum wr_put_condition condition, struct wr_error *err);
/* Frees what is noted; no upload is open any more. */
void wr_local_names_deinit(struct local_names *names);

#endif
