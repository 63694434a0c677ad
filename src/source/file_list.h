/* file_list.h: which files a `path` option names: files, globs, directories, standard input.
 * Threads: one at a time. */
#ifndef WR_SOURCE_FILE_LIST_H
#define WR_SOURCE_FILE_LIST_H

#include "base/status.h"

struct wr_file_list {
    char **paths; /* in the order of the option; what a glob or directory names is sorted by name */
    uint32_t count;
    uint32_t capacity;
};

/* A path without a file is an error (class USER), and so is a file that cannot be read. "-" stays
 * "-". */
WR_NODISCARD wr_status wr_file_list_expand(struct wr_file_list *list, const char *const *paths,
                                           uint32_t count, struct wr_error *err);
void wr_file_list_deinit(struct wr_file_list *list); /* accepts a zeroed one */

#endif
