/* kinesis_shards.c: which shards there are, where each goes on, and notes in the manifest.
 *
 * Notes: "horizon" | "time=MS" | "at=NUMBER" | "seq=NUMBER" (behind that record) | "seq=NUMBER/SUB" (within it) | "ended", and then perhaps
 * " since=MS": records before are not wanted, in children either. A shard that was opened at its latest record notes the time of
 * that, by the service's clock: a restart before its first record then misses nothing.
 */
#include "source/kinesis_source.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/log.h"
#include "batch/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SHARDS_MAX 100000u
/* Reshards between two that are in the retention (a year at most); bounds a recursion. */
#define DEPTH_MAX 10000u

/* ---- start and notes ---- */

wr_status wr_kinesis_start_parse(const char *text, struct wr_kinesis_from *from, const char **list,
                                 struct wr_error *err)
{
    int64_t us;
    *from = (struct wr_kinesis_from){ .kind = WR_KINESIS_HORIZON };
    *list = NULL;
    if (text == NULL || strcmp(text, "earliest") == 0 || strcmp(text, "trim_horizon") == 0) {
        return WR_OK;
    }
    if (strcmp(text, "latest") == 0) {
        from->kind = WR_KINESIS_LATEST;
        return WR_OK;
    }
    if (strncmp(text, "shardId-", 8) == 0) {
        *list = text;
        return WR_OK;
    }
    from->kind = WR_KINESIS_TIME;
    if (wr_text_parse_int64(wr_slice_of(text), &from->time_ms) && from->time_ms >= 0) {
        return WR_OK;
    }
    if (wr_text_parse_timestamp(wr_slice_of(text), &us) && us >= 0) {
        from->time_ms = us / 1000;
        return WR_OK;
    }
    (void)wr_fail(err, WR_CLASS_USER, "start = '%.200s' is no start", text);
    wr_error_hint(err, "write earliest, latest, a time like '2026-07-01T00:00:00Z', milliseconds since "
                       "1970, or shardId-000000000000=SEQUENCE for each shard that is to begin later");
    return WR_FAIL;
}

void wr_kinesis_note_write(const struct wr_kinesis_from *from, int64_t since_ms, bool ended,
                           char note[WR_SPLIT_NOTE_BYTES_MAX])
{
    int bytes = 0;
    if (ended) {
        bytes = snprintf(note, WR_SPLIT_NOTE_BYTES_MAX, "ended");
    } else if (from->kind == WR_KINESIS_AT && !from->cursor.within) {
        bytes = snprintf(note, WR_SPLIT_NOTE_BYTES_MAX, "at=%s", from->cursor.sequence);
    } else if (from->kind == WR_KINESIS_AT || from->kind == WR_KINESIS_AFTER) {
        bytes = snprintf(note, WR_SPLIT_NOTE_BYTES_MAX, "seq=%s", from->cursor.sequence);
        if (from->cursor.within) {
            bytes += snprintf(note + bytes, WR_SPLIT_NOTE_BYTES_MAX - (size_t)bytes, "/%" PRIu32,
                              from->cursor.sub);
        }
    } else if (from->kind == WR_KINESIS_HORIZON) {
        bytes = snprintf(note, WR_SPLIT_NOTE_BYTES_MAX, "horizon");
    } else {
        bytes = snprintf(note, WR_SPLIT_NOTE_BYTES_MAX, "time=%" PRId64, from->time_ms);
    }
    if (since_ms != WR_KINESIS_NO_TIME) {
        bytes += snprintf(note + bytes, WR_SPLIT_NOTE_BYTES_MAX - (size_t)bytes, " since=%" PRId64,
                          since_ms);
    }
    wr_assert(bytes < (int)WR_SPLIT_NOTE_BYTES_MAX);
}

static bool read_sequence(struct wr_slice text, struct wr_kinesis_from *from)
{
    uint64_t sub = 0;
    const char *slash = memchr(text.data, '/', text.bytes);
    struct wr_slice number = text;
    from->kind = WR_KINESIS_AFTER;
    if (slash != NULL) {
        number.bytes = (size_t)(slash - text.data);
        if (!wr_text_parse_uint64((struct wr_slice){ slash + 1, text.bytes - number.bytes - 1 }, &sub) ||
            sub >= UINT32_MAX) {
            return false;
        }
        from->kind = WR_KINESIS_AT;
        from->cursor.within = true;
        from->cursor.sub = (uint32_t)sub;
    }
    if (!wr_kinesis_is_sequence(number)) {
        return false;
    }
    memcpy(from->cursor.sequence, number.data, number.bytes);
    from->cursor.sequence[number.bytes] = '\0';
    return true;
}

bool wr_kinesis_note_read(const char *note, struct wr_kinesis_from *from, int64_t *since_ms,
                          bool *ended)
{
    const char *space = strchrnul(note, ' ');
    const struct wr_slice word = { note, (size_t)(space - note) };
    *from = (struct wr_kinesis_from){ .kind = WR_KINESIS_HORIZON };
    *since_ms = WR_KINESIS_NO_TIME;
    *ended = wr_slice_is(word, "ended");
    if (*space != '\0' && (strncmp(space, " since=", 7) != 0 ||
                           !wr_text_parse_int64(wr_slice_of(space + 7), since_ms))) {
        return false;
    }
    if (strncmp(note, "time=", 5) == 0) {
        from->kind = WR_KINESIS_TIME;
        return wr_text_parse_int64((struct wr_slice){ note + 5, word.bytes - 5 }, &from->time_ms) &&
               from->time_ms >= 0;
    }
    if (strncmp(note, "seq=", 4) == 0) {
        return read_sequence((struct wr_slice){ note + 4, word.bytes - 4 }, from);
    }
    if (strncmp(note, "at=", 3) == 0 && memchr(note, '/', word.bytes) == NULL) {
        const bool good = read_sequence((struct wr_slice){ note + 3, word.bytes - 3 }, from);
        from->kind = WR_KINESIS_AT;
        return good;
    }
    return *ended || wr_slice_is(word, "horizon");
}

/* ---- what the service tells ---- */

static struct wr_kinesis_shard *find(const struct wr_source *s, const char *id)
{
    for (uint32_t i = 0; i < s->shard_count; i++) {
        if (strcmp(s->shards[i]->id, id) == 0) {
            return s->shards[i];
        }
    }
    return NULL;
}

static bool is_id(const char *id)
{
    size_t bytes = 0;
    for (; id != NULL && id[bytes] != '\0'; bytes++) {
        const char c = id[bytes];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '.' || c == '-')) {
            return false;
        }
    }
    return bytes > 0 && bytes <= WR_KINESIS_ID_BYTES_MAX;
}

/* "shardId-000000000003": 3. */
static int32_t number_of(const char *id, uint32_t otherwise)
{
    const char *dash = strrchr(id, '-');
    int64_t number;
    if (dash != NULL && wr_text_parse_int64(wr_slice_of(dash + 1), &number) && number >= 0 &&
        number <= INT32_MAX) {
        return (int32_t)number;
    }
    return (int32_t)(otherwise & INT32_MAX);
}

static struct wr_kinesis_shard *add_shard(struct wr_source *s, const char *id)
{
    struct wr_kinesis_shard *shard = wr_calloc(1, sizeof *shard);
    const size_t bytes = strlen(s->api.stream) + strlen(id) + 2;
    shard->id = wr_strdup(id);
    shard->name = wr_malloc(bytes);
    (void)snprintf(shard->name, bytes, "%s/%s", s->api.stream, id);
    shard->range = WR_HASH_RANGE_ALL;
    shard->partition = number_of(id, s->shard_count);
    shard->split = WR_KINESIS_UNNUMBERED;
    shard->since_ms = WR_KINESIS_NO_TIME;
    shard->behind_ms = -1;
    s->shards = wr_realloc(s->shards, (s->shard_count + 1) * sizeof(struct wr_kinesis_shard *));
    s->shards[s->shard_count++] = shard;
    return shard;
}

static void add_parent(struct wr_kinesis_shard *shard, const char *id)
{
    if (is_id(id) && strcmp(id, shard->id) != 0) {
        const uint32_t at = shard->parent_ids[0] == NULL ? 0 : 1;
        if (shard->parent_ids[at] == NULL) {
            shard->parent_ids[at] = wr_strdup(id);
        }
    }
}

static void read_range(struct wr_kinesis_shard *shard, const json_t *range)
{
    const char *first = json_string_value(json_object_get(range, "StartingHashKey"));
    const char *last = json_string_value(json_object_get(range, "EndingHashKey"));
    struct wr_hash_range read;
    if (first != NULL && last != NULL && wr_hash_key_parse(wr_slice_of(first), &read.first) &&
        wr_hash_key_parse(wr_slice_of(last), &read.last) && read.first <= read.last) {
        shard->range = read;
    }
}

void wr_kinesis_learn(struct wr_source *s, const json_t *array)
{
    const uint32_t before = s->shard_count;
    size_t i, p;
    json_t *item, *parent;
    json_array_foreach (array, i, item) {
        const char *id = json_string_value(json_object_get(item, "ShardId"));
        if (!is_id(id) || find(s, id) != NULL || s->shard_count >= SHARDS_MAX) {
            continue;
        }
        struct wr_kinesis_shard *shard = add_shard(s, id);
        add_parent(shard, json_string_value(json_object_get(item, "ParentShardId")));
        add_parent(shard, json_string_value(json_object_get(item, "AdjacentParentShardId")));
        json_array_foreach (json_object_get(item, "ParentShards"), p, parent) {
            add_parent(shard, json_string_value(parent));
        }
        read_range(shard, json_object_get(item, "HashKeyRange"));
        shard->closed = json_is_string(json_object_get(json_object_get(item, "SequenceNumberRange"),
                                                       "EndingSequenceNumber"));
    }
    for (uint32_t n = before; n < s->shard_count; n++) {
        for (p = 0; p < 2; p++) {
            const char *id = s->shards[n]->parent_ids[p];
            s->shards[n]->parents[p] = id != NULL ? find(s, id) : NULL;
        }
    }
}

wr_status wr_kinesis_list(struct wr_source *s, struct wr_kinesis_api *api, struct wr_error *err)
{
    struct wr_buf body = { 0 };
    wr_status status = WR_OK;
    json_t *answer = NULL;
    wr_buf_byte(&body, '{');
    wr_kinesis_put_stream(api, &body);
    for (bool more = true; more && status == WR_OK;) {
        wr_buf_text(&body, body.bytes > 1 ? ",\"MaxResults\":1000}" : "\"MaxResults\":1000}");
        status = wr_kinesis_ask(api, "ListShards", (struct wr_slice){ body.data, body.bytes },
                                "list its shards", &answer, NULL, err);
        const char *token = json_string_value(json_object_get(answer, "NextToken"));
        body.bytes = 0;
        wr_buf_text(&body, "{\"NextToken\":");
        wr_kinesis_put_text(&body, token != NULL ? token : "", token != NULL ? strlen(token) : 0);
        more = token != NULL && token[0] != '\0';
        pthread_mutex_lock(&s->lock);
        wr_kinesis_learn(s, json_object_get(answer, "Shards"));
        more = more && s->shard_count < SHARDS_MAX;
        pthread_mutex_unlock(&s->lock);
        json_decref(answer);
        answer = NULL;
    }
    wr_buf_deinit(&body);
    return status;
}

/* ---- announcing ---- */

static void announce(struct wr_source *s, struct wr_kinesis_shard *shard)
{
    wr_assert(shard->split == WR_KINESIS_UNNUMBERED);
    s->splits = wr_realloc(s->splits, (s->split_count + 1) * sizeof(struct wr_kinesis_shard *));
    shard->split = s->split_count;
    shard->worker = shard->split % s->env.workers;
    shard->to_open = true;
    s->splits[s->split_count++] = shard;
    s->pending[shard->worker]++; /* (3) */
    if (shard->start_ended) {
        shard->first = shard->last = wr_kinesis_block_create();
        shard->first->ended = shard->first->closed = true;
    }
    wr_kinesis_note_write(&shard->start, shard->since_ms, shard->start_ended, shard->note);
}

static void let_fetch(struct wr_source *s, struct wr_kinesis_shard *shard)
{
    if (!shard->start_ended && !shard->may_fetch) {
        shard->may_fetch = true;
        s->activations++;
    }
}

static bool parents_ended(const struct wr_kinesis_shard *shard, bool as_told)
{
    for (uint32_t p = 0; p < 2; p++) {
        const struct wr_kinesis_shard *parent = shard->parents[p];
        if (parent != NULL && !parent->passed && !parent->ended &&
            (as_told || !parent->start_ended)) {
            return false;
        }
    }
    return true;
}

/* A child begins with its first record; where the source began at a time, not before that. */
static void inherit(struct wr_kinesis_shard *shard)
{
    for (uint32_t p = 0; p < 2; p++) {
        const struct wr_kinesis_shard *parent = shard->parents[p];
        if (parent != NULL && parent->since_ms > shard->since_ms) {
            shard->since_ms = parent->since_ms;
        }
    }
    shard->start = (struct wr_kinesis_from){ .kind = WR_KINESIS_HORIZON };
    if (shard->since_ms != WR_KINESIS_NO_TIME) {
        shard->start = (struct wr_kinesis_from){ .kind = WR_KINESIS_TIME, .time_ms = shard->since_ms };
    }
}

static bool is_parent(const struct wr_kinesis_shard *parent, const struct wr_kinesis_shard *child)
{
    return child->parents[0] == parent || child->parents[1] == parent;
}

bool wr_kinesis_has_children(const struct wr_source *s, const struct wr_kinesis_shard *shard)
{
    for (uint32_t i = 0; i < s->shard_count; i++) {
        if (is_parent(shard, s->shards[i])) {
            return true;
        }
    }
    return false;
}

bool wr_kinesis_announce_children(struct wr_source *s, struct wr_kinesis_shard *shard)
{
    uint32_t count = 0;
    shard->ended = true; /* for parents_ended; whether it is told is up to the gate */
    for (uint32_t i = 0; i < s->shard_count; i++) {
        struct wr_kinesis_shard *child = s->shards[i];
        if (is_parent(shard, child) && child->split == WR_KINESIS_UNNUMBERED && !child->passed &&
            parents_ended(child, true) && (!s->env.bounded || child->at_open)) {
            inherit(child);
            announce(s, child);
            count++;
        }
    }
    shard->ended = false;
    shard->children_announced = true;
    wr_open_gate_announce(&s->gate, count);
    return count > 0;
}

bool wr_kinesis_release_children(struct wr_source *s, struct wr_kinesis_shard *shard)
{
    const uint32_t before = s->activations;
    for (uint32_t i = 0; i < s->split_count; i++) {
        if (is_parent(shard, s->splits[i]) && parents_ended(s->splits[i], true)) {
            let_fetch(s, s->splits[i]);
        }
    }
    return s->activations != before;
}

/* ---- the beginning ---- */

static wr_status take_start(struct wr_source *s, const struct wr_split_start *start,
                            struct wr_error *err)
{
    const size_t prefix = strlen(s->api.stream);
    const char *id = start->name + prefix + 1;
    if (strncmp(start->name, s->api.stream, prefix) != 0 || start->name[prefix] != '/' || !is_id(id)) {
        (void)wr_fail(err, WR_CLASS_FATAL, "the state knows %s, which is no shard of stream %s",
                      start->name, s->api.stream);
        wr_error_hint(err, "give another stream another state: state reset makes this pipeline begin anew");
        return WR_FAIL;
    }
    struct wr_kinesis_shard *shard = find(s, id);
    const bool listed = shard != NULL;
    shard = listed ? shard : add_shard(s, id);
    shard->known = true;
    shard->start_position = start->next_position;
    wr_ensure(start->next_position >= 0 &&
                  wr_kinesis_note_read(start->note != NULL ? start->note : "horizon", &shard->start,
                                       &shard->since_ms, &shard->start_ended),
              err, WR_CLASS_FATAL, "the state's note on %s is damaged", start->name);
    if (!listed && !shard->start_ended && !s->skip_gaps) {
        (void)wr_fail(err, WR_CLASS_FATAL, "stream %s: shard %s is not there any more", s->api.stream,
                      id);
        wr_error_detail(err, "its records up to number %" PRId64 " were read; the rest was deleted "
                             "(retention), or the stream was made anew", start->next_position);
        wr_error_hint(err, "a start with on_gap = 'skip' goes on with what is left");
        return WR_FAIL;
    }
    if (!listed && !shard->start_ended) {
        wr_log_warn("kinesis", "stream %s: shard %s is not there any more: what of it was not read is skipped",
                    s->api.stream, id);
        shard->start_ended = true;
    }
    return WR_OK;
}

static void pass_ancestors(struct wr_kinesis_shard *shard, uint32_t depth)
{
    for (uint32_t p = 0; p < 2; p++) {
        struct wr_kinesis_shard *parent = shard->parents[p];
        if (parent != NULL && !parent->known && !parent->passed && depth < DEPTH_MAX) {
            parent->passed = true;
            pass_ancestors(parent, depth + 1);
        }
    }
}

/* "shardId-000000000000=4957..., shardId-000000000001=...": the record with that number is the first. */
static wr_status take_list(struct wr_source *s, const char *list, struct wr_error *err)
{
    while (*list != '\0') {
        char id[WR_KINESIS_ID_BYTES_MAX + 1];
        const size_t bytes = strcspn(list, ",");
        const char *equals = memchr(list, '=', bytes);
        const size_t id_bytes = equals != NULL ? (size_t)(equals - list) : sizeof id;
        struct wr_slice number = { equals != NULL ? equals + 1 : list,
                                   equals != NULL ? bytes - id_bytes - 1 : 0 };
        while (number.bytes > 0 && number.data[number.bytes - 1] == ' ') {
            number.bytes--;
        }
        wr_ensure(id_bytes < sizeof id && wr_kinesis_is_sequence(number), err, WR_CLASS_USER,
                  "start: '%.*s' is not SHARD=SEQUENCE", (int)(bytes < 200 ? bytes : 200), list);
        memcpy(id, list, id_bytes);
        id[id_bytes] = '\0';
        struct wr_kinesis_shard *shard = find(s, id);
        wr_ensure(shard != NULL, err, WR_CLASS_USER, "start: stream %s has no shard %s", s->api.stream,
                  id);
        if (!shard->known) {
            shard->start.kind = WR_KINESIS_AT;
            memcpy(shard->start.cursor.sequence, number.data, number.bytes);
            shard->start.cursor.sequence[number.bytes] = '\0';
        }
        list += bytes;
        list += strspn(list, ", ");
    }
    return WR_OK;
}

/* The start of a shard that the manifest does not know and that has no parents that will be read. */
static void start_root(struct wr_source *s, struct wr_kinesis_shard *shard, bool resumed)
{
    if (resumed) { /* found since then: nothing of it may be lost */
        for (uint32_t i = 0; i < s->shard_count; i++) {
            if (s->shards[i]->known && s->shards[i]->since_ms > shard->since_ms) {
                shard->since_ms = s->shards[i]->since_ms;
            }
        }
        inherit(shard);
    } else if (shard->start.kind != WR_KINESIS_AT) {
        shard->start = s->start;
        shard->since_ms = s->start.kind == WR_KINESIS_TIME ? s->start.time_ms : WR_KINESIS_NO_TIME;
        if (s->start.kind == WR_KINESIS_LATEST) {
            shard->start.time_ms = s->opened_ms;
        }
    }
}

wr_status wr_kinesis_begin(struct wr_source *s, struct wr_error *err)
{
    const bool resumed = s->env.resumed && s->env.start_count > 0;
    for (uint32_t i = 0; i < s->shard_count; i++) {
        s->shards[i]->at_open = true;
    }
    for (uint32_t i = 0; s->env.resumed && i < s->env.start_count; i++) {
        WR_TRY(take_start(s, &s->env.starts[i], err));
    }
    if (s->start_list != NULL && !resumed) {
        WR_TRY(take_list(s, s->start_list, err));
    }
    for (uint32_t i = 0; i < s->shard_count; i++) {
        struct wr_kinesis_shard *shard = s->shards[i];
        if (shard->known) {
            pass_ancestors(shard, 0);
        } else if (!resumed && s->start.kind == WR_KINESIS_LATEST && shard->closed) {
            shard->passed = true;
        }
    }
    for (uint32_t i = 0; i < s->shard_count; i++) {
        struct wr_kinesis_shard *shard = s->shards[i];
        const bool root = parents_ended(shard, false);
        if (shard->passed || (!shard->known && !root)) {
            continue;
        }
        if (!shard->known) {
            start_root(s, shard, resumed);
        }
        announce(s, shard);
    }
    for (uint32_t i = 0; i < s->split_count; i++) {
        if (parents_ended(s->splits[i], false)) {
            let_fetch(s, s->splits[i]);
        }
    }
    wr_open_gate_announce(&s->gate, s->split_count);
    if (s->split_count == 0) {
        return wr_fail(err, WR_CLASS_FATAL, "stream %s has no shards", s->api.stream);
    }
    return WR_OK;
}
