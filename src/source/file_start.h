/* file_start.h: where each file of a source begins: at its own beginning, or where an earlier run
 * came to (internal to the connector 'file').
 * Ownership: the caller's array. Threads: one. */
#ifndef WR_SOURCE_FILE_START_H
#define WR_SOURCE_FILE_START_H

#include "source/file_avro.h"
#include "source/file_list.h"
#include "weir/source.h"

struct wr_file_start {
    int64_t origin;   /* position of the file's first byte: 0 but for a new standard input */
    int64_t position; /* of the first byte that is to be read */
    char note[40];    /* what its first bytes are; "" when nobody will ask or it has none */
    /* Container files, whose positions are numbers of records: where the next one lies (file_avro.h). */
    struct wr_avro_place place;
};

/* starts: one per file, zeroed. Warns of files that an earlier run read and that are no more. */
WR_NODISCARD wr_status wr_file_starts_find(struct wr_file_start *starts,
                                           const struct wr_file_list *files,
                                           const struct wr_source_env *env, struct wr_error *err);

/* A note that tells the place too. */
void wr_file_start_note(const struct wr_file_start *start, struct wr_avro_place place,
                        char note[WR_SPLIT_NOTE_BYTES_MAX]);

#endif
