/* protobuf.c: see protobuf.h. One program per message type that has been seen; around it schema_stream.h. */
#include "decode/protobuf.h"

#include "base/heap.h"
#include "decode/protobuf_internal.h"
#include "decode/schema_stream.h"
#include <stdio.h>

const struct wr_option wr_protobuf_options[] = {
    { "schema", WR_OPTION_TEXT, NULL,
      "File with the messages' types: .proto text, or a descriptor set as protoc -o --include_imports and buf build write "
      "it. With a registry: what records are read as." },
    { "message", WR_OPTION_TEXT, NULL,
      "Full name of the payload's message type, such as shop.Click; default: the only one of the schema." },
    WR_SCHEMA_STREAM_OPTIONS,
    { NULL },
};

/* What is known of one message type. */
struct type {
    const struct wr_protobuf_message *message;
    struct wr_protobuf_program *program; /* NULL: its records are faults */
    const char *field;
    char problem[200];
};

/* What is known of one schema. Its types are few: those that records were of. */
struct known {
    struct wr_schema_known base;
    struct wr_protobuf_schema *schema; /* NULL: problem says why */
    struct type *only; /* what all its records are; NULL: their indexes tell */
    struct type **types;
    uint32_t type_count;
    uint32_t type_capacity;
    char problem[200];
};

struct protobuf_decoder {
    struct wr_schema_stream stream;
    const struct wr_protobuf_message *reader; /* NULL: none */
    const char *message;   /* the option; NULL: any */
    struct known file;     /* of the schema file, with one type; its key means nothing */
    struct type file_type;
    struct wr_protobuf_run run;
    uint32_t indexes[WR_PROTOBUF_DEPTH_MAX]; /* of the record at hand: the way to its message type */
    uint32_t index_count;
};

/* ---- behind the schema's id ---- */

/* How many, then each; 00 alone stands for the first message. */
static inline void read_indexes(struct protobuf_decoder *d, struct wr_slice *from, struct wr_schema_frame *frame)
{
    struct wr_proto_reader r = wr_proto_read(*from);
    uint64_t raw = 0;
    int64_t count = wr_proto_varint(&r, &raw) ? wr_proto_zigzag(raw) : -1;
    bool fine = count >= 0 && count <= (int64_t)WR_PROTOBUF_DEPTH_MAX;
    d->index_count = fine ? (uint32_t)count : 0;
    for (uint32_t i = 0; i < d->index_count && fine; i++) {
        fine = wr_proto_varint(&r, &raw) && wr_proto_zigzag(raw) >= 0 && wr_proto_zigzag(raw) < UINT32_MAX;
        d->indexes[i] = (uint32_t)wr_proto_zigzag(raw);
    }
    if (count == 0) {
        d->index_count = 1;
        d->indexes[0] = 0;
    }
    if (!fine) {
        frame->problem = "the message's indexes behind the schema id are not well formed";
    }
    from->bytes = (size_t)(r.end - r.at);
    from->data = (const char *)r.at;
}

/* Glue's index counts types in an order of its own; the option `message` says which it is. */
static void skip_glue_index(struct wr_schema_frame *frame)
{
    struct wr_proto_reader r = wr_proto_read(frame->payload);
    uint64_t index;
    if (!wr_proto_varint(&r, &index)) {
        frame->problem = "the record does not begin as AWS Glue's serializers write it";
    }
    frame->payload = (struct wr_slice){ (const char *)r.at, (size_t)(r.end - r.at) };
}

static inline void read_on(struct wr_schema_stream *stream, struct wr_schema_frame *frame)
{
    if (stream->framing == WR_FRAMING_GLUE) {
        skip_glue_index(frame);
    } else {
        read_indexes((struct protobuf_decoder *)stream,
                     frame->header.data != NULL ? &frame->header : &frame->payload, frame);
    }
}

/* ---- programs ---- */

static void compile(struct protobuf_decoder *d, struct type *type, struct wr_error *err)
{
    const struct wr_schema_stream *s = &d->stream;
    if (wr_protobuf_compile(&type->program, type->message, d->reader, s->columns, s->column_count,
                            s->unit_digits, &type->field, err) == WR_FAIL) {
        snprintf(type->problem, sizeof type->problem, "%.190s", err->message);
    }
}

/* Records of another message than the columns were made of would become rows of NULLs. */
static bool is_wanted(const struct protobuf_decoder *d, const struct wr_protobuf_message *message,
                      const char **wanted)
{
    *wanted = d->reader != NULL ? d->reader->name : d->message;
    if (*wanted == NULL || strcmp(message->name, *wanted) == 0) {
        return true;
    }
    const size_t bytes = strlen(*wanted);
    const size_t whole = strlen(message->name);
    return d->reader == NULL && whole > bytes && message->name[whole - bytes - 1] == '.' &&
           strcmp(message->name + whole - bytes, *wanted) == 0;
}

static struct type *type_of(struct protobuf_decoder *d, struct known *known,
                            const struct wr_protobuf_message *message)
{
    const char *wanted;
    struct wr_error err;
    for (uint32_t i = 0; i < known->type_count; i++) {
        if (known->types[i]->message == message) {
            return known->types[i];
        }
    }
    struct type *type = wr_calloc(1, sizeof *type);
    type->message = message;
    if (is_wanted(d, message, &wanted)) {
        compile(d, type, &err);
    } else {
        snprintf(type->problem, sizeof type->problem, "the record is a %.80s, not a %.80s", message->name, wanted);
    }
    if (known->type_count == known->type_capacity) {
        known->type_capacity = known->type_capacity == 0 ? 2 : known->type_capacity * 2;
        known->types = wr_realloc(known->types, known->type_capacity * sizeof(struct type *));
    }
    known->types[known->type_count++] = type;
    return type;
}

/* Glue's records do not say in a way that we know which of the schema's messages they are. */
static wr_status choose_only(struct protobuf_decoder *d, struct known *known, struct wr_error *err)
{
    const char *name = d->reader != NULL ? d->reader->name : d->message;
    const struct wr_protobuf_message *message = NULL;
    WR_TRY(wr_protobuf_choose(known->schema, name, false, &message, err));
    known->only = type_of(d, known, message);
    return WR_OK;
}

static struct wr_schema_known *learn(struct wr_schema_stream *stream, const struct wr_registry_schema *answer)
{
    struct wr_error err;
    struct known *known = wr_calloc(1, sizeof *known);
    void *schema = NULL;
    wr_status status = wr_schema_of_answer(&wr_protobuf_format, &schema, answer, &err);
    known->schema = schema;
    if (status == WR_OK && stream->framing == WR_FRAMING_GLUE) {
        status = choose_only((struct protobuf_decoder *)stream, known, &err);
    }
    if (status != WR_OK) {
        snprintf(known->problem, sizeof known->problem, "%.190s", err.message);
        wr_protobuf_schema_destroy(known->schema);
        known->schema = NULL;
    }
    return &known->base;
}

static void forget(struct wr_schema_stream *stream, struct wr_schema_known *base)
{
    struct known *known = (struct known *)base;
    for (uint32_t i = 0; i < known->type_count; i++) {
        wr_protobuf_program_destroy(known->types[i]->program);
        free(known->types[i]);
    }
    free(known->types);
    wr_protobuf_schema_destroy(known->schema);
    free(known);
}

static const struct wr_schema_stream_ops stream_ops = {
    .format = &wr_protobuf_format, .learn = learn, .forget = forget, .read_on = read_on
};

/* ---- making one ---- */

/* The file alone: every record is written with it. */
static wr_status use_file(struct protobuf_decoder *d, const char *where, struct wr_error *err)
{
    struct wr_error own;
    err = err != NULL ? err : &own;
    d->stream.file = &d->file.base;
    d->file.schema = d->stream.reader;
    d->file.only = &d->file_type;
    d->file_type.message = d->reader;
    compile(d, &d->file_type, err);
    if (d->file_type.program == NULL) {
        wr_schema_compile_failed(d->file_type.field, where, err);
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status open_schemas(struct protobuf_decoder *d, const struct wr_options *options, struct wr_error *err)
{
    const char *file = wr_options_text(options, "schema");
    d->message = wr_options_text(options, "message");
    WR_TRY(wr_schema_stream_open(&d->stream, options, err));
    if (d->stream.reader != NULL) {
        WR_TRY(wr_protobuf_choose(d->stream.reader, d->message, file == NULL, &d->reader, err));
    }
    return d->stream.registry != NULL ? WR_OK : use_file(d, file, err);
}

static struct protobuf_decoder *make(const struct wr_schema *scan_fields, const struct wr_options *options)
{
    struct protobuf_decoder *d = wr_calloc(1, sizeof *d);
    wr_schema_stream_init(&d->stream, &stream_ops, scan_fields, options);
    return d;
}

static wr_status give(struct wr_decoder **decoder, struct protobuf_decoder *d, wr_status status)
{
    if (status == WR_OK) {
        *decoder = &d->stream.base;
    } else {
        wr_protobuf_destroy(&d->stream.base);
    }
    return status;
}

wr_status wr_protobuf_create(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                             const struct wr_options *options, struct wr_error *err)
{
    wr_ensure(options != NULL, err, WR_CLASS_USER, "format 'protobuf' needs a schema");
    struct protobuf_decoder *d = make(scan_fields, options);
    return give(decoder, d, open_schemas(d, options, err));
}

wr_status wr_protobuf_create_for(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                                 struct wr_slice schema, const char *message, struct wr_error *err)
{
    struct protobuf_decoder *d = make(scan_fields, NULL);
    struct wr_protobuf_schema *made = NULL;
    wr_status status = wr_protobuf_schema_of_bytes(&made, schema, err);
    d->stream.reader = made;
    if (status == WR_OK) {
        status = wr_protobuf_choose(made, message, false, &d->reader, err);
    }
    if (status == WR_OK) {
        status = use_file(d, "schema", err);
    }
    return give(decoder, d, status);
}

void wr_protobuf_destroy(struct wr_decoder *decoder)
{
    struct protobuf_decoder *d = (struct protobuf_decoder *)decoder;
    wr_protobuf_program_destroy(d->file_type.program);
    wr_protobuf_run_deinit(&d->run);
    wr_schema_stream_deinit(&d->stream);
    free(d);
}

/* ---- decoding ---- */

wr_status wr_protobuf_needs(struct wr_decoder *decoder, const struct wr_records *records)
{
    return wr_schema_stream_needs(decoder, records);
}

/* The type that a record is of; NULL: a fault was added. */
static const struct type *type_of_record(struct protobuf_decoder *d, struct known *known, uint32_t row,
                                         struct wr_faults *faults)
{
    if (known->only != NULL) {
        return known->only;
    }
    if (known->schema == NULL) {
        wr_faults_add(faults, row, NULL, "%s", known->problem);
        return NULL;
    }
    const struct wr_protobuf_message *message = wr_protobuf_at(known->schema, d->indexes, d->index_count);
    if (message == NULL) {
        wr_faults_add(faults, row, NULL, "the schema has no message with the record's indexes");
        return NULL;
    }
    return type_of(d, known, message);
}

static void decode_row(struct protobuf_decoder *d, const struct wr_records *records, uint32_t row,
                       struct wr_faults *faults)
{
    struct wr_schema_frame frame;
    struct known *known = (struct known *)wr_schema_stream_take(&d->stream, &stream_ops, records, row,
                                                                &d->run.batch->arena, &frame, faults);
    const struct type *type = known != NULL ? type_of_record(d, known, row, faults) : NULL;
    if (type == NULL) {
        return;
    }
    if (type->program == NULL) {
        wr_faults_add(faults, row, type->field, "%s", type->problem);
    } else if (!wr_protobuf_run_record(type->program, &d->run, frame.payload.data, frame.payload.bytes, row)) {
        wr_faults_add(faults, row, d->run.field, "%s", d->run.message);
    }
}

void wr_protobuf_decode(struct wr_decoder *decoder, const struct wr_records *records,
                        struct wr_batch *batch, struct wr_faults *faults)
{
    struct protobuf_decoder *d = (struct protobuf_decoder *)decoder;
    wr_schema_stream_begin(&d->stream, records, batch);
    d->run.batch = batch;
    d->run.values = d->stream.values;
    for (uint32_t row = 0; row < records->count; row++) {
        decode_row(d, records, row, faults);
    }
    wr_decoder_finish(batch, d->stream.schema, records->count, faults);
}
