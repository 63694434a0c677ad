/* file_list.c: see file_list.h. */
#include "source/file_list.h"

#include "base/heap.h"
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More files than this in one source are a mistake ('/' as the path). */
#define FILES_MAX 100000u

static wr_status add(struct wr_file_list *list, const char *path, struct wr_error *err)
{
    wr_ensure(list->count < FILES_MAX, err, WR_CLASS_USER, "path names more than %u files",
              FILES_MAX);
    if (list->count == list->capacity) {
        list->capacity = list->capacity * 2 + 8;
        list->paths = wr_realloc(list->paths, list->capacity * sizeof(char *));
    }
    list->paths[list->count++] = wr_strdup(path);
    return WR_OK;
}

static wr_status add_file(struct wr_file_list *list, const char *path, struct wr_error *err)
{
    if (access(path, R_OK) != 0) {
        const int cause = errno;
        (void)wr_fail(err, WR_CLASS_USER, "cannot read %s: %s", path, strerror(cause));
        wr_error_hint(err, cause == EACCES ? "give the user that runs weir the right to read it"
                                           : "check the path");
        return WR_FAIL;
    }
    return add(list, path, err);
}

/* Hidden files and what is not a file (sub-directories) are passed over. */
static int is_candidate(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static wr_status add_directory(struct wr_file_list *list, const char *path, struct wr_error *err)
{
    struct dirent **entries = NULL;
    const int found = scandir(path, &entries, is_candidate, alphasort);
    if (found < 0) {
        return wr_fail(err, WR_CLASS_USER, "cannot list directory %s: %s", path, strerror(errno));
    }
    const uint32_t before = list->count;
    wr_status status = WR_OK;
    for (int i = 0; i < found; i++) {
        const size_t bytes = strlen(path) + strlen(entries[i]->d_name) + 2;
        char *full = wr_malloc(bytes);
        const bool slash = path[0] != '\0' && path[strlen(path) - 1] == '/';
        (void)snprintf(full, bytes, "%s%s%s", path, slash ? "" : "/", entries[i]->d_name);
        struct stat info;
        if (status == WR_OK && stat(full, &info) == 0 && !S_ISDIR(info.st_mode)) {
            status = add_file(list, full, err);
        }
        free(full);
        free(entries[i]);
    }
    free(entries);
    if (status == WR_OK && list->count == before) {
        (void)wr_fail(err, WR_CLASS_USER, "there is no file in directory %s", path);
        wr_error_hint(err, "sub-directories are not searched; a glob such as '%s/*/*' is", path);
        return WR_FAIL;
    }
    return status;
}

static wr_status add_glob(struct wr_file_list *list, const char *pattern, struct wr_error *err)
{
    glob_t found = { 0 };
    const int result = glob(pattern, GLOB_BRACE | GLOB_TILDE, NULL, &found);
    if (result != 0) {
        globfree(&found);
        wr_ensure(result == GLOB_NOMATCH, err, WR_CLASS_USER, "cannot search for %s: %s", pattern,
                  result == GLOB_NOSPACE ? "out of memory" : "a directory cannot be read");
        (void)wr_fail(err, WR_CLASS_USER, "no file matches %s", pattern);
        wr_error_hint(err, "check the pattern: ls %s", pattern);
        return WR_FAIL;
    }
    const uint32_t before = list->count;
    wr_status status = WR_OK;
    for (size_t i = 0; i < found.gl_pathc && status == WR_OK; i++) {
        struct stat info;
        if (stat(found.gl_pathv[i], &info) == 0 && !S_ISDIR(info.st_mode)) {
            status = add_file(list, found.gl_pathv[i], err);
        }
    }
    globfree(&found);
    if (status == WR_OK) {
        wr_ensure(list->count > before, err, WR_CLASS_USER, "%s matches directories only", pattern);
    }
    return status;
}

static wr_status add_path(struct wr_file_list *list, const char *path, struct wr_error *err)
{
    if (strncmp(path, "file://", 7) == 0) {
        path += 7;
    }
    struct stat info;
    if (strcmp(path, "-") == 0) {
        for (uint32_t i = 0; i < list->count; i++) {
            wr_ensure(strcmp(list->paths[i], "-") != 0, err, WR_CLASS_USER,
                      "standard input can be read once only");
        }
        return add(list, path, err);
    }
    if (stat(path, &info) == 0) { /* a name that exists is taken literally, whatever is in it */
        return S_ISDIR(info.st_mode) ? add_directory(list, path, err) : add_file(list, path, err);
    }
    if (strpbrk(path, "*?[{") != NULL) {
        return add_glob(list, path, err);
    }
    return add_file(list, path, err); /* says why not */
}

wr_status wr_file_list_expand(struct wr_file_list *list, const char *const *paths, uint32_t count,
                              struct wr_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        WR_TRY(add_path(list, paths[i], err));
    }
    wr_ensure(list->count > 0, err, WR_CLASS_USER, "path names no file");
    return WR_OK;
}

void wr_file_list_deinit(struct wr_file_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        free(list->paths[i]);
    }
    free(list->paths);
    *list = (struct wr_file_list){ 0 };
}
