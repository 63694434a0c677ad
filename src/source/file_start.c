/* file_start.c: see file_start.h.
 *
 * A note is "head=COUNT:HASH" of the first COUNT bytes of the file as it lies on disk: as many as it
 * had, HEAD_BYTES at most. Those of container files go on with " at=BLOCK:GIVEN".
 */
#include "source/file_start.h"

#include "base/hash.h"
#include "base/heap.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_BYTES 1024u

static const char note_form[] = "head=%u:%llx";
static const char place_form[] = " at=%llu:%llu";

static bool is_input(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* Reads up to bytes of a regular file's beginning; -1: it is none, or cannot be read now. */
static int64_t read_head(const char *path, void *into, size_t bytes)
{
    const int fd = is_input(path) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                  : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    int64_t got = -1;
    if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
        const off_t at = is_input(path) ? lseek(fd, 0, SEEK_CUR) : 0;
        do {
            got = pread(fd, into, bytes, at > 0 ? at : 0);
        } while (got < 0 && errno == EINTR);
    }
    if (fd >= 0) {
        close(fd);
    }
    return got;
}

static void write_note(struct wr_file_start *start, const char *path)
{
    char head[HEAD_BYTES];
    const int64_t got = read_head(path, head, sizeof head);
    if (got > 0) {
        (void)snprintf(start->note, sizeof start->note, note_form, (unsigned)got,
                       (unsigned long long)wr_hash_bytes_raw(head, (size_t)got));
    }
}

/* Does the file begin with what the note tells? Without a note: yes. */
static bool fits_note(const char *path, const char *note)
{
    char head[HEAD_BYTES];
    unsigned count;
    unsigned long long hash;
    if (note == NULL || sscanf(note, note_form, &count, &hash) != 2 || count > HEAD_BYTES) {
        return true;
    }
    const int64_t got = read_head(path, head, count);
    return got == (int64_t)count && wr_hash_bytes_raw(head, count) == hash;
}

/* Is standard input the regular file that it was? */
static bool same_input(const char *note)
{
    char head[1];
    return note != NULL && note[0] != '\0' && read_head("-", head, 1) >= 0 && fits_note("-", note);
}

/* A note without a place: the records before the position are counted off. */
static struct wr_avro_place read_place(const struct wr_split_start *before)
{
    unsigned long long block;
    unsigned long long given;
    const char *at = before->note != NULL ? strstr(before->note, " at=") : NULL;
    if (at == NULL || sscanf(at, place_form, &block, &given) != 2 || block > INT64_MAX) {
        return (struct wr_avro_place){ 0, (uint64_t)before->next_position };
    }
    return (struct wr_avro_place){ (int64_t)block, given };
}

void wr_file_start_note(const struct wr_file_start *start, struct wr_avro_place place,
                        char note[WR_SPLIT_NOTE_BYTES_MAX])
{
    char at[64];
    (void)snprintf(at, sizeof at, place_form, (unsigned long long)place.block,
                   (unsigned long long)place.given);
    (void)snprintf(note, WR_SPLIT_NOTE_BYTES_MAX, "%s%s", start->note, at);
}

static wr_status go_on(struct wr_file_start *start, const char *path,
                       const struct wr_split_start *before, struct wr_error *err)
{
    wr_ensure(before->next_position >= 0, err, WR_CLASS_FATAL,
              "the state has position %lld for %s", (long long)before->next_position, path);
    start->position = before->next_position;
    start->place = read_place(before);
    if (start->position == 0) {
        return WR_OK;
    }
    if (is_input(path) && !same_input(before->note)) {
        start->origin = start->position;
        start->place = (struct wr_avro_place){ 0 }; /* from its beginning */
        wr_log_warn("file", "standard input cannot be resumed: all of it is read as new data; what "
                            "the last run had read and not committed is not read again");
        return WR_OK;
    }
    if (!fits_note(path, before->note)) {
        (void)wr_fail(err, WR_CLASS_USER,
                      "%s is not the file that was read before, up to byte %lld", path,
                      (long long)start->position);
        wr_error_hint(err, "it was truncated or replaced: put the file back, or give new data under "
                           "a new name");
        return WR_FAIL;
    }
    return WR_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct wr_split_start *const *)a)->name,
                  (*(const struct wr_split_start *const *)b)->name);
}

static void warn_of_missing(const struct wr_split_start *const *sorted, uint32_t count,
                            const bool *seen)
{
    uint32_t missing = 0;
    const char *first = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (!seen[i]) {
            first = missing++ == 0 ? sorted[i]->name : first;
        }
    }
    if (missing > 0) {
        wr_log_warn("file",
                    "%u files that an earlier run read are not there any more (the first: %s): what "
                    "they held behind the last commit is not read",
                    missing, first);
    }
}

static wr_status match(struct wr_file_start *starts, const struct wr_file_list *files,
                       const struct wr_split_start **sorted, uint32_t count, bool *seen,
                       struct wr_error *err)
{
    for (uint32_t i = 0; i < files->count; i++) {
        const struct wr_split_start wanted = { .name = files->paths[i] };
        const struct wr_split_start *key = &wanted;
        const struct wr_split_start **found =
            count > 0 ? bsearch(&key, sorted, count, sizeof *sorted, by_name) : NULL;
        if (found != NULL) {
            seen[found - sorted] = true;
            WR_TRY(go_on(&starts[i], files->paths[i], *found, err));
        }
    }
    warn_of_missing(sorted, count, seen);
    return WR_OK;
}

wr_status wr_file_starts_find(struct wr_file_start *starts, const struct wr_file_list *files,
                              const struct wr_source_env *env, struct wr_error *err)
{
    const uint32_t count = env->resumed ? env->start_count : 0;
    const struct wr_split_start **sorted = wr_calloc(count + 1, sizeof *sorted);
    bool *seen = wr_calloc(count + 1, sizeof *seen);
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = &env->starts[i];
    }
    if (count > 0) {
        qsort(sorted, count, sizeof *sorted, by_name);
    }
    const wr_status status = match(starts, files, sorted, count, seen, err);
    free(seen);
    free(sorted);
    for (uint32_t i = 0; status == WR_OK && env->has_state && i < files->count; i++) {
        write_note(&starts[i], files->paths[i]);
    }
    return status;
}
