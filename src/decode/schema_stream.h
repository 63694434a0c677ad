/* schema_stream.h: records that were each written with a schema of their own: what stands before a record, which schema that means, and
 * what the format has made of it. The shell around Avro's and Protobuf's decoders.
 *
 * What stands before a record (`framing`):
 *   none        nothing: all records are of the schema file
 *   confluent   00 and a 4-byte id, or 01 and a 16-byte GUID
 *   headers     the same bytes in the header __value_schema_id; records without it are read as confluent
 *   glue        03, 00 or 05 (zlib) and a 16-byte version id, as AWS Glue's serializers write
 *   own         the record's source says it, in a way that the format knows (Avro's container files)
 * Ids are looked up in the registry, or stepped over when there is only a schema file. Without `framing`: glue with AWS Glue's
 * registry, confluent with another, else none.
 *
 * A schema's life, and the function that moves it:
 *   (unknown) -> fetched        [wr_schema_stream_needs]  asks the registry; WR_AGAIN until it has answered or timed out
 *   fetched -> known            [learn, of the format]    compiled, or with the problem that all its records have; kept for good
 *   refused, overdue            [registry.h]              its records are faults; the registry's client asks again by itself
 *
 * How a format uses it: its decoder begins with a wr_schema_stream, its notion of a schema with a wr_schema_known. For each record it
 * calls wr_schema_stream_take and decodes what is left with what is known. What runs per record is inline here, and the table is a
 * constant there: no call is made for a record of the schema that the one before had.
 *
 * Ownership: the stream owns all but what its table's `forget` frees. Threads: one at a time.
 */
#ifndef WR_DECODE_SCHEMA_STREAM_H
#define WR_DECODE_SCHEMA_STREAM_H

#include "base/limits.h"
#include "decode/schema_columns.h"

/* Rows for the formats' options, which also have one named schema. */
#define WR_SCHEMA_STREAM_OPTIONS                                                                   \
    WR_REGISTRY_OPTIONS,                                                                           \
        { "subject", WR_OPTION_TEXT, NULL,                                                         \
          "The registry's subject whose latest schema records are read as, and that gives the "    \
          "columns when none are declared." },                                                     \
    {                                                                                              \
        "framing", WR_OPTION_ENUM, NULL,                                                           \
            "What stands before a record: a registry's id or GUID (confluent; headers: in the "    \
            "header __value_schema_id), AWS Glue's version id, or nothing; default: confluent "    \
            "with a registry.",                                                                    \
            .enum_words = "none confluent headers glue"                                            \
    }

enum wr_framing { WR_FRAMING_NONE, WR_FRAMING_CONFLUENT, WR_FRAMING_HEADERS, WR_FRAMING_GLUE, WR_FRAMING_OWN };

/* One schema: the format's struct begins with it. */
struct wr_schema_known {
    struct wr_registry_key key;
};

struct wr_schema_stream;

/* What stood before one record, and the record. */
struct wr_schema_frame {
    struct wr_registry_key key;
    struct wr_slice payload;
    struct wr_slice header; /* HEADERS: what is left of the header that the key was in; data NULL: there was none */
    bool compressed;
    const char *problem; /* static text, or the record's header; NULL: none */
};

/* The format's part. One per format, constant. */
struct wr_schema_stream_ops {
    const struct wr_schema_format *format;
    /* A schema that the registry has: in any case something known, if only why its records are faults. */
    struct wr_schema_known *(*learn)(struct wr_schema_stream *stream, const struct wr_registry_schema *answer);
    void (*forget)(struct wr_schema_stream *stream, struct wr_schema_known *known);
    /* What the format itself has put between the id and the record. Not with NONE. NULL: nothing. */
    void (*read_on)(struct wr_schema_stream *stream, struct wr_schema_frame *frame);
};

struct wr_schema_stream {
    struct wr_decoder base;
    const struct wr_schema_stream_ops *ops;
    const struct wr_schema *schema;
    struct wr_arena arena;
    struct wr_schema_column *columns;
    uint32_t column_count;
    uint32_t unit_digits;
    enum wr_framing framing;
    void *reader;                 /* the schema of `schema` or `subject`; NULL: none */
    struct wr_schema_known *file; /* what all records are read with, the format's own; NULL: looked up */
    struct wr_registry *registry;
    struct wr_schema_known **known; /* known_count of them, by kind and id in no order: schemas are few */
    uint32_t known_count;
    uint32_t known_capacity;
    uint32_t last; /* the one used last */
    struct wr_buf inflated;
    void **values; /* of the batch at hand, per column of schema */
};

/* stream: zeroed. options may be NULL. */
void wr_schema_stream_init(struct wr_schema_stream *stream, const struct wr_schema_stream_ops *ops,
                           const struct wr_schema *scan_fields, const struct wr_options *options);
void wr_schema_stream_deinit(struct wr_schema_stream *stream); /* half-opened is fine */

/* The framing, the registry's client, the reader's schema. Without a registry the format sets file then, but for OWN. */
WR_NODISCARD wr_status wr_schema_stream_open(struct wr_schema_stream *stream, const struct wr_options *options,
                                             struct wr_error *err);

/* wr_decoder_ops.needs. */
wr_status wr_schema_stream_needs(struct wr_decoder *decoder, const struct wr_records *records);

/* Before the records of a batch. */
void wr_schema_stream_begin(struct wr_schema_stream *stream, const struct wr_records *records,
                            const struct wr_batch *batch);

/* What is known by that key; NULL: nothing yet. Of the kinds ID and GUID. */
struct wr_schema_known *wr_schema_stream_find(struct wr_schema_stream *stream, const struct wr_registry_key *key);
/* Has the format learn a schema and keeps it. */
struct wr_schema_known *wr_schema_stream_learn(struct wr_schema_stream *stream, const struct wr_registry_key *key,
                                               const struct wr_registry_schema *answer);

/* ---- per record ---- */

/* Framings that are not none and confluent's, and what is not framed as it should be. */
void wr_schema_stream_unframe(const struct wr_schema_stream *stream, const struct wr_records *records, uint32_t row,
                              struct wr_schema_frame *frame);
/* zlib; what is unpacked lies in arena. False: the frame has a problem. */
bool wr_schema_stream_inflate(struct wr_schema_stream *stream, struct wr_arena *arena, struct wr_schema_frame *frame);
/* One that was not met before. WR_AGAIN: on its way; WR_FAIL: err says why not. */
WR_NODISCARD wr_status wr_schema_stream_look_up(struct wr_schema_stream *stream, const struct wr_registry_key *key,
                                                struct wr_schema_known **known, struct wr_error *err);
/* Of a record whose schema is not the one before's. NULL: it cannot be looked up, a fault was added. */
struct wr_schema_known *wr_schema_stream_change(struct wr_schema_stream *stream, const struct wr_registry_key *key,
                                                 uint32_t row, struct wr_faults *faults);

/* Not with OWN. */
__attribute__((always_inline)) static inline void
wr_schema_stream_frame(const struct wr_schema_stream *stream, const struct wr_records *records, uint32_t row,
                       struct wr_schema_frame *frame)
{
    const struct wr_record *record = &records->items[row];
    frame->payload = (struct wr_slice){ record->data, record->bytes };
    frame->header.data = NULL;
    frame->compressed = false;
    frame->problem = NULL;
    if (record->data == NULL || record->bytes > WR_RECORD_BYTES_MAX) {
        frame->problem = record->data == NULL ? "empty record" : "record is larger than 64 MiB";
    } else if (stream->framing != WR_FRAMING_NONE &&
               (stream->framing != WR_FRAMING_CONFLUENT || !wr_registry_read_key(&frame->payload, &frame->key))) {
        wr_schema_stream_unframe(stream, records, row, frame);
    }
}

/* Takes what stands before the record off, so that frame->payload is the record; what is known of its schema, or NULL: a fault was
 * added. ops: the stream's, as a constant. arena: the batch's. */
__attribute__((always_inline)) static inline struct wr_schema_known *
wr_schema_stream_take(struct wr_schema_stream *stream, const struct wr_schema_stream_ops *ops,
                      const struct wr_records *records, uint32_t row, struct wr_arena *arena,
                      struct wr_schema_frame *frame, struct wr_faults *faults)
{
    wr_schema_stream_frame(stream, records, row, frame);
    if (stream->framing != WR_FRAMING_NONE) {
        if (frame->compressed && frame->problem == NULL) {
            (void)wr_schema_stream_inflate(stream, arena, frame);
        }
        if (ops->read_on != NULL && frame->problem == NULL) {
            ops->read_on(stream, frame);
        }
    }
    if (__builtin_expect(frame->problem != NULL, 0)) {
        wr_faults_add(faults, row, NULL, "%s", frame->problem);
        return NULL;
    }
    if (stream->file != NULL) {
        return stream->file;
    }
    if (stream->last < stream->known_count &&
        wr_registry_same_key(&stream->known[stream->last]->key, &frame->key)) {
        return stream->known[stream->last];
    }
    return wr_schema_stream_change(stream, &frame->key, row, faults);
}

#endif
