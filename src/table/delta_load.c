/* delta_load.c: finds out from the objects of a log where to begin, and reads it.
 *
 * A reader starts at the newest complete checkpoint and takes the commits behind it, one number after the other. What is
 * listed but cannot be reached that way is a gap: writing into it would break the table, so it is an error.
 */
#include "table/delta_load.h"

#include "base/heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_PREFIX      "_delta_log/"
#define LAST_CHECKPOINT "_delta_log/_last_checkpoint"
#define PARTS_MAX       10000u

void wr_delta_listing_deinit(struct wr_delta_listing *listing)
{
    wr_buf_deinit(&listing->commits);
    wr_buf_deinit(&listing->checkpoints);
}

static struct wr_delta_checkpoint_seen *checkpoint_of(struct wr_delta_listing *listing,
                                                      int64_t version, uint32_t parts)
{
    struct wr_delta_checkpoint_seen *all = (void *)listing->checkpoints.data;
    const size_t count = listing->checkpoints.bytes / sizeof *all;
    for (size_t i = 0; i < count; i++) {
        if (all[i].version == version && all[i].parts == parts) {
            return &all[i];
        }
    }
    const struct wr_delta_checkpoint_seen fresh = { .version = version, .parts = parts };
    wr_buf_append(&listing->checkpoints, &fresh, sizeof fresh);
    all = (void *)listing->checkpoints.data;
    return &all[count];
}

static void found(void *ctx, const char *key, uint64_t bytes)
{
    struct wr_delta_listing *listing = ctx;
    int64_t version;
    const char *suffix;
    unsigned part;
    unsigned parts;
    int used = 0;
    if (!wr_delta_key_parse(key, &version, &suffix)) {
        return;
    }
    if (strcmp(suffix, ".json") == 0) {
        wr_buf_append(&listing->commits, &version, sizeof version);
        listing->newest = version > listing->newest ? version : listing->newest;
    } else if (strcmp(suffix, ".checkpoint.parquet") == 0) {
        checkpoint_of(listing, version, 0)->seen = 1;
    } else if (sscanf(suffix, ".checkpoint.%10u.%10u.parquet%n", &part, &parts, &used) == 2 &&
               used > 0 && suffix[used] == '\0' && part >= 1 && part <= parts &&
               parts <= PARTS_MAX) {
        checkpoint_of(listing, version, parts)->seen++; /* a key is listed once */
    } else if (strncmp(suffix, ".checkpoint.", 12) == 0) {
        listing->v2_checkpoints = true;
    }
}

wr_status wr_delta_list(struct wr_store *store, int64_t from, struct wr_delta_listing *listing,
                        struct wr_error *err)
{
    char start[64];
    *listing = (struct wr_delta_listing){ .newest = -1 };
    return wr_store_list(store, LOG_PREFIX,
                         from >= 0 ? wr_delta_key(from, "", start, sizeof start) : NULL, found,
                         listing, err);
}

/* The newest complete one; NULL: none. */
static const struct wr_delta_checkpoint_seen *newest_checkpoint(
    const struct wr_delta_listing *listing)
{
    const struct wr_delta_checkpoint_seen *all = (const void *)listing->checkpoints.data;
    const struct wr_delta_checkpoint_seen *best = NULL;
    for (size_t i = 0; i < listing->checkpoints.bytes / sizeof *all; i++) {
        const bool complete = all[i].seen == (all[i].parts == 0 ? 1 : all[i].parts);
        if (complete && (best == NULL || all[i].version > best->version)) {
            best = &all[i];
        }
    }
    return best;
}

/* What _last_checkpoint says; -1: nothing, or nothing that makes sense. It is only a hint. */
static wr_status last_checkpoint(struct wr_store *store, int64_t *version, struct wr_error *err)
{
    struct wr_buf text = { 0 };
    *version = -1;
    const wr_status status = wr_store_get(store, LAST_CHECKPOINT, &text, err);
    if (status == WR_OK && text.bytes > 0) {
        json_error_t json_error;
        json_t *hint = json_loadb(text.data, text.bytes, 0, &json_error);
        const json_t *number = json_object_get(hint, "version");
        if (json_is_integer(number) && json_integer_value(number) >= 0) {
            *version = json_integer_value(number);
        }
        json_decref(hint);
    }
    wr_buf_deinit(&text);
    return status == WR_FAIL ? WR_FAIL : WR_OK;
}

static wr_status find_start(struct wr_store *store, struct wr_delta_listing *listing,
                            struct wr_error *err)
{
    int64_t hint;
    WR_TRY(last_checkpoint(store, &hint, err));
    WR_TRY(wr_delta_list(store, hint, listing, err));
    if (hint >= 0 && newest_checkpoint(listing) == NULL) {
        wr_delta_listing_deinit(listing);
        WR_TRY(wr_delta_list(store, -1, listing, err));
    }
    return WR_OK;
}

static wr_status no_start(const struct wr_delta_listing *listing, int64_t first,
                          struct wr_error *err)
{
    if (listing->v2_checkpoints) {
        return wr_fail(err, WR_CLASS_USER, "the table uses the feature 'v2Checkpoint', which Weir does not read");
    }
    return wr_fail(err, WR_CLASS_FATAL, "the table's log is damaged: it begins with version %lld, without a "
                   "checkpoint", (long long)first);
}

wr_status wr_delta_read_next(struct wr_delta *table, struct wr_error *err)
{
    char key[64];
    struct wr_buf text = { 0 };
    const int64_t next = table->state.version + 1;
    wr_delta_key(next, ".json", key, sizeof key);
    wr_status status = wr_store_get(table->store, key, &text, err);
    if (status == WR_OK) {
        status = wr_delta_replay(&table->state, next, text.data, text.bytes, key, err);
    }
    wr_buf_deinit(&text);
    return status;
}

static wr_status replay_from_start(struct wr_delta *table, const struct wr_delta_listing *listing,
                                   struct wr_error *err)
{
    const struct wr_delta_checkpoint_seen *start = newest_checkpoint(listing);
    const int64_t *commits = (const void *)listing->commits.data;
    const size_t count = listing->commits.bytes / sizeof *commits;
    if (start != NULL) {
        WR_TRY(wr_delta_checkpoint_load(table->store, start->version, start->parts, &table->state,
                                        err));
        table->state.version = start->version;
        table->checkpoint_version = start->version;
    } else if (count == 0) {
        return listing->v2_checkpoints ? no_start(listing, 0, err) : WR_OK;
    } else if (commits[0] != 0) {
        return no_start(listing, commits[0], err);
    }
    wr_status status = WR_OK;
    while (status == WR_OK) {
        status = wr_delta_read_next(table, err);
    }
    if (status == WR_FAIL) {
        return WR_FAIL;
    }
    wr_ensure(table->state.version >= listing->newest, err, WR_CLASS_FATAL,
              "the table's log is damaged: version %lld is missing, but there is a version %lld",
              (long long)table->state.version + 1, (long long)listing->newest);
    return WR_OK;
}

wr_status wr_delta_load(struct wr_delta *table, struct wr_error *err)
{
    struct wr_delta_listing listing = { 0 };
    wr_delta_state_deinit(&table->state);
    table->checkpoint_version = -1;
    wr_status status = find_start(table->store, &listing, err);
    if (status == WR_OK) {
        status = replay_from_start(table, &listing, err);
    }
    wr_delta_listing_deinit(&listing);
    return status;
}
