/* schema_stream.c: see schema_stream.h. */
#include "decode/schema_stream.h"

#include "base/assert.h"
#include "base/heap.h"
#include <zlib.h>

/* ---- framing ---- */

static void read_glue(struct wr_schema_frame *frame)
{
    const uint8_t *at = (const uint8_t *)frame->payload.data;
    if (frame->payload.bytes < 18 || at[0] != 3 || (at[1] != 0 && at[1] != 5)) {
        frame->problem = "the record does not begin as AWS Glue's serializers write it";
        return;
    }
    frame->compressed = at[1] == 5;
    frame->key.kind = WR_REGISTRY_GUID;
    memcpy(frame->key.guid, at + 2, 16);
    frame->payload.data += 18;
    frame->payload.bytes -= 18;
}

void wr_schema_stream_unframe(const struct wr_schema_stream *stream, const struct wr_records *records, uint32_t row,
                              struct wr_schema_frame *frame)
{
    if (stream->framing == WR_FRAMING_HEADERS && records->header != NULL) {
        struct wr_slice header = records->header(records, row, WR_REGISTRY_HEADER);
        if (header.data != NULL && wr_registry_read_key(&header, &frame->key)) {
            frame->header = header;
            return;
        }
    }
    if (stream->framing == WR_FRAMING_GLUE) {
        read_glue(frame);
    } else if (!wr_registry_read_key(&frame->payload, &frame->key)) {
        frame->problem = "the record does not begin with a schema id (00) or GUID (01)";
    }
}

bool wr_schema_stream_inflate(struct wr_schema_stream *stream, struct wr_arena *arena, struct wr_schema_frame *frame)
{
    struct wr_buf *into = &stream->inflated;
    z_stream z = { .next_in = (Bytef *)frame->payload.data, .avail_in = (uInt)frame->payload.bytes };
    if (inflateInit(&z) != Z_OK) {
        frame->problem = "zlib cannot be started";
        return false;
    }
    int code = Z_OK;
    into->bytes = 0;
    while (code == Z_OK && into->bytes <= WR_RECORD_BYTES_MAX) {
        z.next_out = (Bytef *)wr_buf_reserve(into, 16384);
        z.avail_out = 16384;
        code = inflate(&z, Z_NO_FLUSH);
        into->bytes += 16384 - z.avail_out;
        if (z.avail_in == 0 && z.avail_out > 0 && code == Z_OK) {
            code = Z_DATA_ERROR; /* cut off */
        }
    }
    (void)inflateEnd(&z);
    if (code != Z_STREAM_END) {
        frame->problem = "the record's zlib data is broken or larger than 64 MiB";
        return false;
    }
    /* Out of the buffer that the next one is unpacked into: texts borrow from the record. */
    frame->payload = (struct wr_slice){ wr_arena_strndup(arena, into->data, into->bytes), into->bytes };
    return true;
}

/* ---- schemas ---- */

struct wr_schema_known *wr_schema_stream_find(struct wr_schema_stream *stream, const struct wr_registry_key *key)
{
    if (stream->last < stream->known_count && wr_registry_same_key(&stream->known[stream->last]->key, key)) {
        return stream->known[stream->last];
    }
    for (uint32_t i = 0; i < stream->known_count; i++) {
        if (wr_registry_same_key(&stream->known[i]->key, key)) {
            stream->last = i;
            return stream->known[i];
        }
    }
    return NULL;
}

struct wr_schema_known *wr_schema_stream_learn(struct wr_schema_stream *stream, const struct wr_registry_key *key,
                                               const struct wr_registry_schema *answer)
{
    struct wr_schema_known *known = stream->ops->learn(stream, answer);
    known->key = *key;
    if (stream->known_count == stream->known_capacity) {
        stream->known_capacity = stream->known_capacity == 0 ? 8 : stream->known_capacity * 2;
        stream->known = wr_realloc(stream->known, stream->known_capacity * sizeof(struct wr_schema_known *));
    }
    stream->last = stream->known_count;
    stream->known[stream->known_count++] = known;
    return known;
}

wr_status wr_schema_stream_look_up(struct wr_schema_stream *stream, const struct wr_registry_key *key,
                                   struct wr_schema_known **known, struct wr_error *err)
{
    const struct wr_registry_schema *answer = NULL;
    *known = wr_schema_stream_find(stream, key);
    if (*known == NULL) {
        WR_TRY(wr_registry_find(stream->registry, key, &answer, err));
        *known = wr_schema_stream_learn(stream, key, answer);
    }
    return WR_OK;
}

struct wr_schema_known *wr_schema_stream_change(struct wr_schema_stream *stream, const struct wr_registry_key *key,
                                                uint32_t row, struct wr_faults *faults)
{
    struct wr_schema_known *known = NULL;
    struct wr_error err;
    const wr_status status = wr_schema_stream_look_up(stream, key, &known, &err);
    if (status != WR_OK) {
        wr_faults_add(faults, row, NULL, "%s",
                      status == WR_AGAIN ? "the record's schema is not here yet" : err.message);
        return NULL;
    }
    return known;
}

wr_status wr_schema_stream_needs(struct wr_decoder *decoder, const struct wr_records *records)
{
    struct wr_schema_stream *s = (struct wr_schema_stream *)decoder;
    wr_status all = WR_OK;
    if (s->file != NULL || s->framing == WR_FRAMING_OWN) {
        return WR_OK;
    }
    for (uint32_t row = 0; row < records->count; row++) {
        struct wr_schema_frame frame;
        struct wr_schema_known *known;
        struct wr_error err;
        wr_schema_stream_frame(s, records, row, &frame);
        /* Not with GLUE, where it may be packed. */
        if (frame.problem == NULL && s->ops->read_on != NULL && s->framing != WR_FRAMING_GLUE) {
            s->ops->read_on(s, &frame);
        }
        if (frame.problem == NULL && wr_schema_stream_look_up(s, &frame.key, &known, &err) == WR_AGAIN) {
            all = WR_AGAIN; /* and go on: what else is missing is fetched at the same time */
        }
    }
    return all;
}

/* ---- making one ---- */

void wr_schema_stream_init(struct wr_schema_stream *stream, const struct wr_schema_stream_ops *ops,
                           const struct wr_schema *scan_fields, const struct wr_options *options)
{
    stream->base.ops = wr_decoder_find(ops->format->name);
    stream->ops = ops;
    stream->schema = scan_fields;
    stream->unit_digits = wr_decoder_unit_digits(options);
    wr_arena_init(&stream->arena, 0);
    stream->column_count = wr_schema_columns_of(scan_fields, &stream->arena, &stream->columns);
    stream->values = WR_ARENA_ARRAY(&stream->arena, void *, scan_fields->count + 1);
}

static wr_status choose_framing(struct wr_schema_stream *s, const struct wr_options *options, struct wr_error *err)
{
    static const char *const names[] = { "none", "confluent", "headers", "glue" };
    const char *given = wr_options_text(options, "framing");
    const char *connector = wr_options_text(options, "connector");
    const bool registry = wr_options_has(options, "registry");
    const bool glue = registry && wr_registry_is_glue(options);
    if (s->ops->format->containers && connector != NULL && strcmp(connector, "file") == 0) {
        wr_ensure(given == NULL, err, WR_CLASS_USER,
                  "framing = '%s' does not go with connector 'file', which reads %s container files", given,
                  s->ops->format->title);
        s->framing = WR_FRAMING_OWN;
        return WR_OK;
    }
    s->framing = glue ? WR_FRAMING_GLUE : registry ? WR_FRAMING_CONFLUENT : WR_FRAMING_NONE;
    for (uint32_t i = 0; given != NULL && i < 4; i++) {
        s->framing = strcmp(given, names[i]) == 0 ? (enum wr_framing)i : s->framing;
    }
    if (registry && (s->framing == WR_FRAMING_NONE || glue != (s->framing == WR_FRAMING_GLUE))) {
        return wr_fail(err, WR_CLASS_USER, "framing = '%s' does not go with a registry: its records "
                                           "carry no id that the registry knows",
                       given);
    }
    return WR_OK;
}

wr_status wr_schema_stream_open(struct wr_schema_stream *s, const struct wr_options *options, struct wr_error *err)
{
    const struct wr_schema_format *format = s->ops->format;
    const char *file = wr_options_text(options, "schema");
    const char *subject = wr_options_text(options, "subject");
    const bool registry = wr_options_has(options, "registry");
    WR_TRY(choose_framing(s, options, err));
    wr_ensure(file != NULL || registry || s->framing == WR_FRAMING_OWN, err, WR_CLASS_USER,
              "format '%s' needs schema = '%s' or registry = 'http://…'", format->name, format->file);
    if (registry) {
        WR_TRY(wr_registry_open(&s->registry, options, err));
    }
    if (file != NULL) {
        return wr_schema_of_file(format, &s->reader, file, err);
    }
    return registry && subject != NULL ? wr_schema_of_subject(format, &s->reader, s->registry, subject, err) : WR_OK;
}

void wr_schema_stream_deinit(struct wr_schema_stream *s)
{
    for (uint32_t i = 0; i < s->known_count; i++) {
        s->ops->forget(s, s->known[i]);
    }
    free(s->known);
    s->ops->format->destroy(s->reader);
    wr_registry_close(s->registry);
    wr_buf_deinit(&s->inflated);
    wr_arena_deinit(&s->arena);
}

void wr_schema_stream_begin(struct wr_schema_stream *s, const struct wr_records *records,
                            const struct wr_batch *batch)
{
    wr_assert(batch->columns_count == s->schema->count && records->count <= WR_BATCH_ROWS_MAX);
    for (uint32_t c = 0; c < batch->columns_count; c++) {
        s->values[c] = batch->columns[c].values;
    }
}
