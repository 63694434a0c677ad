/* delta_files.c: which data files a table's log knows. */
#include "table/delta_load.h"

#include "base/heap.h"

static void tell(const char *path, void (*found)(void *ctx, const char *key), void *ctx)
{
    struct wr_buf key = { 0 };
    if (wr_delta_path_decode(path, &key)) {
        found(ctx, wr_buf_cstr(&key));
    }
    wr_buf_deinit(&key);
}

void wr_delta_each_file(const struct wr_delta *table, void (*found)(void *ctx, const char *key),
                        void *ctx)
{
    const struct wr_delta_map *files = &table->state.files;
    const struct wr_delta_map *tombs = &table->state.tombs;
    for (uint32_t i = 0; i < files->slot_count; i++) {
        const struct wr_delta_file *file = wr_delta_map_at(files, i);
        if (file != NULL) {
            tell(file->path, found, ctx);
        }
    }
    for (uint32_t i = 0; i < tombs->slot_count; i++) {
        const struct wr_delta_tomb *tomb = wr_delta_map_at(tombs, i);
        if (tomb != NULL && !tomb->data_change) {
            tell(tomb->path, found, ctx);
        }
    }
}
