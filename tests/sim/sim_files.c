/* sim_files.c: what readers of the Delta tables and Parquet directories of the simulated store see, without the code that wrote
 * them: the log is read action by action, the files by the reader of checkpoints.
 */
#include "sim_check.h"

#include "base/heap.h"
#include "encode/parquet_read.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The columns of a feed's rows in the order of sim_row. */
static const char *const feed_columns[][SIM_COLUMNS] = {
    [SIM_FEED_ROWS] = { "id", "k", "v", "ts" },
    [SIM_FEED_WINDOW] = { "window_start", "window_end", "k", "n", "total", "low", "high" },
    [SIM_FEED_LATE] = { "id", "_sink" },
    [SIM_FEED_BAD] = { "_split", "_position" },
};

/* A partition's column is only in the path: …/k=3/part-…. */
static void from_path(const char *path, const char *name, struct sim_row *rows, uint32_t count,
                      uint32_t column)
{
    char mark[32];
    snprintf(mark, sizeof mark, "/%s=", name);
    const char *at = strstr(path, mark);
    if (at == NULL) {
        sim_violation("%s has no column %s", path, name);
        return;
    }
    const int64_t value = strtoll(at + strlen(mark), NULL, 10);
    for (uint32_t i = 0; i < count; i++) {
        rows[i].column[column] = value;
    }
}

static void from_leaf(const struct wr_parquet_leaf *leaf, struct sim_row *rows, uint32_t column)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < leaf->count; i++) {
        if (leaf->definition_max > 0 && leaf->definition[i] < leaf->definition_max) {
            rows[i].column[column] = SIM_NULL;
        } else if (leaf->texts != NULL) {
            rows[i].column[column] = sim_hash_text(leaf->texts[next].data, leaf->texts[next].bytes);
            next++;
        } else {
            rows[i].column[column] = leaf->numbers[next++];
        }
    }
}

static void read_group(const struct wr_parquet_reader *reader, uint32_t group, const char *path,
                       uint32_t sink)
{
    const uint32_t count = (uint32_t)wr_parquet_group_rows(reader, group);
    const char *const *names = feed_columns[sim->scenario.sinks[sink].feed];
    struct sim_row *rows = wr_calloc(count + 1, sizeof *rows);
    for (uint32_t c = 0; c < SIM_COLUMNS && names[c] != NULL; c++) {
        const uint32_t node = wr_parquet_child(reader, 0, names[c], 0);
        struct wr_parquet_leaf leaf;
        struct wr_error err = { 0 };
        if (node == 0) {
            from_path(path, names[c], rows, count, c);
        } else if (wr_parquet_read_leaf(reader, group, node, &leaf, &err) != WR_OK) {
            sim_violation("%s: %s: %s", path, names[c], err.message);
        } else {
            if (leaf.count == count) {
                from_leaf(&leaf, rows, c);
            } else {
                sim_violation("%s: %s has %u values in %u rows", path, names[c], leaf.count, count);
            }
            wr_parquet_leaf_deinit(&leaf);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        sim_table_add(&sim->tables[sink], &rows[i]);
    }
    free(rows);
}

static void read_file(const char *path, uint32_t sink)
{
    const struct sim_object *object = sim_object_find(path);
    struct wr_parquet_reader *reader = NULL;
    struct wr_error err = { 0 };
    if (object == NULL) {
        sim_violation("(1) the log of %s names %s, which is not there",
                      sim->scenario.sinks[sink].name, path);
        return;
    }
    if (wr_parquet_open(&reader, object->data, object->bytes, &err) != WR_OK) {
        sim_violation("%s: %s", path, err.message);
        return;
    }
    for (uint32_t g = 0; g < wr_parquet_groups(reader); g++) {
        read_group(reader, g, path, sink);
    }
    wr_parquet_close(reader);
}

/* ---- Delta ---- */

struct live {
    char **paths;
    uint32_t count;
    uint32_t capacity;
};

static void put_path(struct live *live, const char *root, const char *encoded)
{
    char path[512];
    size_t at = (size_t)snprintf(path, sizeof path, "%s/", root);
    for (const char *c = encoded; *c != '\0' && at + 1 < sizeof path; c++) {
        unsigned byte = (unsigned char)*c;
        if (*c == '%' && sscanf(c + 1, "%2x", &byte) == 1) {
            c += 2;
        }
        path[at++] = (char)byte;
    }
    path[at] = '\0';
    if (live->count == live->capacity) {
        live->capacity = live->capacity * 2 + 64;
        live->paths = wr_realloc(live->paths, live->capacity * sizeof *live->paths);
    }
    live->paths[live->count++] = wr_strdup(path);
}

static void read_commit(struct live *live, const char *root, const struct sim_object *object)
{
    const char *at = object->data;
    const char *end = at + object->bytes;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end == NULL ? end : line_end;
        json_t *json = json_loadb(at, (size_t)(line_end - at), 0, NULL);
        const char *path =
            json_string_value(json_object_get(json_object_get(json, "add"), "path"));
        if (path != NULL) {
            put_path(live, root, path);
        }
        if (json_object_get(json, "remove") != NULL) {
            sim_violation("%s removes a file: nobody compacts here", object->key);
        }
        json_decref(json);
        at = line_end + 1;
    }
}

static void read_delta(uint32_t sink)
{
    char root[64];
    char log[96];
    struct live live = { 0 };
    snprintf(root, sizeof root, "lake-%s", sim->scenario.sinks[sink].name);
    snprintf(log, sizeof log, "%s/_delta_log/", root);
    for (uint32_t i = sim_object_lower(log); i < sim->object_count; i++) {
        const char *key = sim->objects[i].key;
        const size_t bytes = strlen(key);
        if (strncmp(key, log, strlen(log)) != 0) {
            break;
        }
        if (bytes > 5 && strcmp(key + bytes - 5, ".json") == 0) {
            read_commit(&live, root, &sim->objects[i]);
        }
    }
    for (uint32_t i = 0; i < live.count; i++) {
        read_file(live.paths[i], sink);
        free(live.paths[i]);
    }
    free(live.paths);
}

static void read_directory(uint32_t sink)
{
    char root[64];
    snprintf(root, sizeof root, "dir-%s/", sim->scenario.sinks[sink].name);
    for (uint32_t i = sim_object_lower(root); i < sim->object_count; i++) {
        if (strncmp(sim->objects[i].key, root, strlen(root)) != 0) {
            break;
        }
        if (strstr(sim->objects[i].key, ".parquet") != NULL) {
            read_file(sim->objects[i].key, sink);
        }
    }
}

void sim_read_files(void)
{
    for (uint32_t k = 0; k < sim->scenario.sink_count; k++) {
        if (strcmp(sim->scenario.sinks[k].connector, "delta") == 0) {
            read_delta(k);
        } else if (strcmp(sim->scenario.sinks[k].connector, "parquet") == 0) {
            read_directory(k);
        }
    }
}
