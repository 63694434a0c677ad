/* protobuf.c: see protobuf.h. Framing, and one program per message type that has been seen. */
#include "decode/protobuf.h"

#include "base/assert.h"
#include "base/heap.h"
#include "decode/protobuf_internal.h"
#include <stdio.h>
#include <zlib.h>

const struct wr_option wr_protobuf_options[] = {
    { "schema", WR_OPTION_TEXT, NULL,
      "File with the messages' types: .proto text, or a descriptor set as protoc -o --include_imports and buf build write "
      "it. With a registry: what records are read as." },
    { "message", WR_OPTION_TEXT, NULL,
      "Full name of the payload's message type, such as shop.Click; default: the only one of the schema." },
    WR_REGISTRY_OPTIONS,
    { "subject", WR_OPTION_TEXT, NULL,
      "The registry's subject whose latest schema records are read as, and that gives the columns "
      "when none are declared." },
    { "framing", WR_OPTION_ENUM, NULL,
      "What stands before a message: a registry's id or GUID (confluent; headers: in the header "
      "__value_schema_id), AWS Glue's version id, or nothing; default: confluent with a registry.",
      .enum_words = "none confluent headers glue" },
    { NULL },
};

#define HEADER_NAME "__value_schema_id"

enum framing { FRAMING_NONE, FRAMING_CONFLUENT, FRAMING_HEADERS, FRAMING_GLUE };

/* What is known of one message type. */
struct type {
    const struct wr_protobuf_message *message;
    struct wr_protobuf_program *program; /* NULL: its records are faults */
    const char *field;
    char problem[200];
};

/* What is known of one schema. Its types are few: those that records were of. */
struct known {
    struct wr_registry_key key;
    struct wr_protobuf_schema *schema; /* NULL: problem says why */
    struct type **types;
    uint32_t type_count;
    uint32_t type_capacity;
    char problem[200];
};

struct protobuf_decoder {
    struct wr_decoder base;
    const struct wr_schema *schema;
    struct wr_arena arena;
    struct wr_schema_column *columns;
    uint32_t column_count;
    uint32_t unit_digits;
    enum framing framing;
    struct wr_protobuf_schema *reader; /* NULL: none */
    const struct wr_protobuf_message *reader_message;
    const char *message; /* the option; NULL: any */
    struct type file;    /* the schema file's program */
    bool has_file;       /* all records are read with it */
    struct wr_registry *registry;
    struct known **known; /* known_count of them, by kind and id in no order: schemas are few */
    uint32_t known_count;
    uint32_t known_capacity;
    uint32_t last; /* the one used last */
    struct wr_buf inflated;
    struct wr_protobuf_run run;
    void **values; /* of the batch at hand, per column of schema */
};

/* ---- framing ---- */

struct frame {
    struct wr_registry_key key;
    uint32_t indexes[WR_PROTOBUF_DEPTH_MAX];
    uint32_t index_count;
    struct wr_slice payload;
    bool compressed;
    const char *problem; /* static text; NULL: none */
};

static bool read_key(struct wr_slice *from, struct wr_registry_key *key)
{
    const uint8_t *at = (const uint8_t *)from->data;
    size_t used = 0;
    if (from->bytes >= 5 && at[0] == 0) {
        key->kind = WR_REGISTRY_ID;
        key->id = (uint32_t)at[1] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 8 | at[4];
        used = 5;
    } else if (from->bytes >= 17 && at[0] == 1) {
        key->kind = WR_REGISTRY_GUID;
        memcpy(key->guid, at + 1, 16);
        used = 17;
    }
    from->data += used;
    from->bytes -= used;
    return used > 0;
}

/* How many, then each; 00 alone stands for the first message. */
static void read_indexes(struct wr_slice *from, struct frame *frame)
{
    struct wr_proto_reader r = wr_proto_read(*from);
    uint64_t raw = 0;
    int64_t count = wr_proto_varint(&r, &raw) ? wr_proto_zigzag(raw) : -1;
    bool fine = count >= 0 && count <= (int64_t)WR_PROTOBUF_DEPTH_MAX;
    frame->index_count = fine ? (uint32_t)count : 0;
    for (uint32_t i = 0; i < frame->index_count && fine; i++) {
        fine = wr_proto_varint(&r, &raw) && wr_proto_zigzag(raw) >= 0 && wr_proto_zigzag(raw) < UINT32_MAX;
        frame->indexes[i] = (uint32_t)wr_proto_zigzag(raw);
    }
    if (count == 0) {
        frame->index_count = 1;
        frame->indexes[0] = 0;
    }
    if (!fine) {
        frame->problem = "the message's indexes behind the schema id are not well formed";
    }
    from->bytes = (size_t)(r.end - r.at);
    from->data = (const char *)r.at;
}

static void read_glue(struct frame *frame)
{
    const uint8_t *at = (const uint8_t *)frame->payload.data;
    if (frame->payload.bytes < 18 || at[0] != 3 || (at[1] != 0 && at[1] != 5)) {
        frame->problem = "the record does not begin as AWS Glue's serializers write it";
        return;
    }
    frame->compressed = at[1] == 5;
    frame->payload.data += 18;
    frame->payload.bytes -= 18;
}

/* Glue's index counts types in an order of its own; the option `message` says which it is. */
static void skip_glue_index(struct frame *frame)
{
    struct wr_proto_reader r = wr_proto_read(frame->payload);
    uint64_t index;
    if (!wr_proto_varint(&r, &index)) {
        frame->problem = "the record does not begin as AWS Glue's serializers write it";
    }
    frame->payload = (struct wr_slice){ (const char *)r.at, (size_t)(r.end - r.at) };
}

/* Into frame, not as a result: its indexes, mostly unused, would be copied for each record. */
static void frame_of(const struct protobuf_decoder *d, const struct wr_records *records, uint32_t row,
                     struct frame *frame)
{
    const struct wr_record *record = &records->items[row];
    frame->index_count = 0;
    frame->payload = (struct wr_slice){ record->data, record->bytes };
    frame->compressed = false;
    frame->problem = NULL;
    if (record->data == NULL || record->bytes > WR_RECORD_BYTES_MAX) {
        frame->problem = record->data == NULL ? "empty record" : "record is larger than 64 MiB";
        return;
    }
    if (d->framing == FRAMING_HEADERS && records->header != NULL) {
        struct wr_slice header = records->header(records, row, HEADER_NAME);
        if (header.data != NULL && read_key(&header, &frame->key)) {
            read_indexes(&header, frame);
            return;
        }
    }
    if (d->framing == FRAMING_GLUE) {
        read_glue(frame);
    } else if (d->framing != FRAMING_NONE) {
        if (read_key(&frame->payload, &frame->key)) {
            read_indexes(&frame->payload, frame);
        } else {
            frame->problem = "the record does not begin with a schema id (00) or GUID (01)";
        }
    }
}

/* zlib, into the decoder's buffer. */
static bool inflate_payload(struct protobuf_decoder *d, struct frame *frame)
{
    z_stream stream = { .next_in = (Bytef *)frame->payload.data,
                        .avail_in = (uInt)frame->payload.bytes };
    if (inflateInit(&stream) != Z_OK) {
        frame->problem = "zlib cannot be started";
        return false;
    }
    int code = Z_OK;
    d->inflated.bytes = 0;
    while (code == Z_OK && d->inflated.bytes <= WR_RECORD_BYTES_MAX) {
        stream.next_out = (Bytef *)wr_buf_reserve(&d->inflated, 16384);
        stream.avail_out = 16384;
        code = inflate(&stream, Z_NO_FLUSH);
        d->inflated.bytes += 16384 - stream.avail_out;
        if (stream.avail_in == 0 && stream.avail_out > 0 && code == Z_OK) {
            code = Z_DATA_ERROR; /* cut off */
        }
    }
    (void)inflateEnd(&stream);
    if (code != Z_STREAM_END) {
        frame->problem = "the record's zlib data is broken or larger than 64 MiB";
        return false;
    }
    return true;
}

/* ---- programs ---- */

static void known_destroy(struct known *known)
{
    for (uint32_t i = 0; i < known->type_count; i++) {
        wr_protobuf_program_destroy(known->types[i]->program);
        free(known->types[i]);
    }
    free(known->types);
    wr_protobuf_schema_destroy(known->schema);
    free(known);
}

static void compile(struct protobuf_decoder *d, struct type *type, struct wr_error *err)
{
    if (wr_protobuf_compile(&type->program, type->message, d->reader_message, d->columns,
                            d->column_count, d->unit_digits, &type->field, err) == WR_FAIL) {
        snprintf(type->problem, sizeof type->problem, "%.190s", err->message);
    }
}

/* Records of another message than the columns were made of would become rows of NULLs. */
static bool is_wanted(const struct protobuf_decoder *d, const struct wr_protobuf_message *message,
                      const char **wanted)
{
    *wanted = d->reader_message != NULL ? d->reader_message->name : d->message;
    if (*wanted == NULL || strcmp(message->name, *wanted) == 0) {
        return true;
    }
    const size_t bytes = strlen(*wanted);
    const size_t whole = strlen(message->name);
    return d->reader_message == NULL && whole > bytes && message->name[whole - bytes - 1] == '.' &&
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

static bool same_key(const struct wr_registry_key *a, const struct wr_registry_key *b)
{
    return a->kind == b->kind && (a->kind == WR_REGISTRY_ID ? a->id == b->id
                                                            : memcmp(a->guid, b->guid, 16) == 0);
}

static struct known *find_known(struct protobuf_decoder *d, const struct wr_registry_key *key)
{
    if (d->last < d->known_count && same_key(&d->known[d->last]->key, key)) {
        return d->known[d->last];
    }
    for (uint32_t i = 0; i < d->known_count; i++) {
        if (same_key(&d->known[i]->key, key)) {
            d->last = i;
            return d->known[i];
        }
    }
    return NULL;
}

static struct known *learn(struct protobuf_decoder *d, const struct wr_registry_key *key,
                           const struct wr_registry_schema *answer)
{
    struct wr_error err;
    struct known *known = wr_calloc(1, sizeof *known);
    known->key = *key;
    void *schema = NULL;
    const wr_status status = wr_schema_of_answer(&wr_protobuf_format, &schema, answer, &err);
    known->schema = schema;
    if (status != WR_OK) {
        snprintf(known->problem, sizeof known->problem, "%.190s", err.message);
    }
    if (d->known_count == d->known_capacity) {
        d->known_capacity = d->known_capacity == 0 ? 8 : d->known_capacity * 2;
        d->known = wr_realloc(d->known, d->known_capacity * sizeof(struct known *));
    }
    d->last = d->known_count;
    d->known[d->known_count++] = known;
    return known;
}

/* WR_OK: *known is what is to be used; WR_AGAIN: on its way; WR_FAIL: err says why not. */
static wr_status look_up(struct protobuf_decoder *d, const struct wr_registry_key *key,
                         struct known **known, struct wr_error *err)
{
    const struct wr_registry_schema *answer = NULL;
    *known = find_known(d, key);
    if (*known != NULL) {
        return WR_OK;
    }
    WR_TRY(wr_registry_find(d->registry, key, &answer, err));
    *known = learn(d, key, answer);
    return WR_OK;
}

/* ---- making one ---- */

static wr_status choose_framing(struct protobuf_decoder *d, const struct wr_options *options,
                                struct wr_error *err)
{
    static const char *const names[] = { "none", "confluent", "headers", "glue" };
    const char *given = wr_options_text(options, "framing");
    const bool registry = wr_options_has(options, "registry");
    d->framing = registry ? FRAMING_CONFLUENT : FRAMING_NONE;
    for (uint32_t i = 0; given != NULL && i < 4; i++) {
        d->framing = strcmp(given, names[i]) == 0 ? (enum framing)i : d->framing;
    }
    if (registry && (d->framing == FRAMING_NONE || d->framing == FRAMING_GLUE)) {
        return wr_fail(err, WR_CLASS_USER, "framing = '%s' does not go with a registry: its records "
                                           "carry no id that the registry knows",
                       given);
    }
    return WR_OK;
}

/* The file alone: every record is written with it. */
static wr_status use_file(struct protobuf_decoder *d, const char *where, struct wr_error *err)
{
    struct wr_error own;
    err = err != NULL ? err : &own;
    d->has_file = true;
    d->file.message = d->reader_message;
    compile(d, &d->file, err);
    if (d->file.program == NULL) {
        wr_schema_compile_failed(d->file.field, where, err);
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status open_schemas(struct protobuf_decoder *d, const struct wr_options *options,
                              struct wr_error *err)
{
    const char *file = wr_options_text(options, "schema");
    const char *subject = wr_options_text(options, "subject");
    const bool registry = wr_options_has(options, "registry");
    void *schema = NULL;
    d->message = wr_options_text(options, "message");
    WR_TRY(choose_framing(d, options, err));
    wr_ensure(file != NULL || registry, err, WR_CLASS_USER,
              "format 'protobuf' needs schema = 'file.proto' or registry = 'http://…'");
    if (registry) {
        WR_TRY(wr_registry_open(&d->registry, options, err));
    }
    if (file != NULL) {
        WR_TRY(wr_schema_of_file(&wr_protobuf_format, &schema, file, err));
    } else if (subject != NULL) {
        WR_TRY(wr_schema_of_subject(&wr_protobuf_format, &schema, d->registry, subject, err));
    }
    d->reader = schema;
    if (d->reader != NULL) {
        WR_TRY(wr_protobuf_choose(d->reader, d->message, file == NULL, &d->reader_message, err));
    }
    return registry ? WR_OK : use_file(d, file, err);
}

static struct protobuf_decoder *make(const struct wr_schema *scan_fields,
                                     const struct wr_options *options)
{
    struct protobuf_decoder *d = wr_calloc(1, sizeof *d);
    d->base.ops = wr_decoder_find("protobuf");
    d->schema = scan_fields;
    d->unit_digits = wr_decoder_unit_digits(options);
    wr_arena_init(&d->arena, 0);
    d->column_count = wr_schema_columns_of(scan_fields, &d->arena, &d->columns);
    d->values = WR_ARENA_ARRAY(&d->arena, void *, scan_fields->count + 1);
    return d;
}

wr_status wr_protobuf_create(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                             const struct wr_options *options, struct wr_error *err)
{
    wr_ensure(options != NULL, err, WR_CLASS_USER, "format 'protobuf' needs a schema");
    struct protobuf_decoder *d = make(scan_fields, options);
    if (open_schemas(d, options, err) == WR_FAIL) {
        wr_protobuf_destroy(&d->base);
        return WR_FAIL;
    }
    *decoder = &d->base;
    return WR_OK;
}

wr_status wr_protobuf_create_for(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                                 struct wr_slice schema, const char *message, struct wr_error *err)
{
    struct protobuf_decoder *d = make(scan_fields, NULL);
    wr_status status = wr_protobuf_schema_of_bytes(&d->reader, schema, err);
    if (status == WR_OK) {
        status = wr_protobuf_choose(d->reader, message, false, &d->reader_message, err);
    }
    if (status == WR_OK) {
        status = use_file(d, "schema", err);
    }
    if (status != WR_OK) {
        wr_protobuf_destroy(&d->base);
        return WR_FAIL;
    }
    *decoder = &d->base;
    return WR_OK;
}

void wr_protobuf_destroy(struct wr_decoder *decoder)
{
    struct protobuf_decoder *d = (struct protobuf_decoder *)decoder;
    wr_protobuf_program_destroy(d->file.program);
    for (uint32_t i = 0; i < d->known_count; i++) {
        known_destroy(d->known[i]);
    }
    free(d->known);
    wr_protobuf_schema_destroy(d->reader);
    wr_registry_close(d->registry);
    wr_buf_deinit(&d->inflated);
    wr_protobuf_run_deinit(&d->run);
    wr_arena_deinit(&d->arena);
    free(d);
}

/* ---- decoding ---- */

wr_status wr_protobuf_needs(struct wr_decoder *decoder, const struct wr_records *records)
{
    struct protobuf_decoder *d = (struct protobuf_decoder *)decoder;
    wr_status all = WR_OK;
    for (uint32_t row = 0; row < records->count && !d->has_file; row++) {
        struct frame frame;
        struct known *known;
        struct wr_error err;
        frame_of(d, records, row, &frame);
        if (frame.problem == NULL && look_up(d, &frame.key, &known, &err) == WR_AGAIN) {
            all = WR_AGAIN; /* and go on: what else is missing is fetched at the same time */
        }
    }
    return all;
}

/* The type that a record is of; NULL: a fault was added. */
static const struct type *type_of_frame(struct protobuf_decoder *d, const struct frame *frame,
                                        uint32_t row, struct wr_faults *faults)
{
    struct known *known = NULL;
    struct wr_error err;
    if (d->has_file) {
        return &d->file;
    }
    const wr_status status = look_up(d, &frame->key, &known, &err);
    if (status != WR_OK) {
        wr_faults_add(faults, row, NULL, "%s",
                      status == WR_AGAIN ? "the record's schema is not here yet" : err.message);
        return NULL;
    }
    if (known->schema == NULL) {
        wr_faults_add(faults, row, NULL, "%s", known->problem);
        return NULL;
    }
    const struct wr_protobuf_message *message =
        wr_protobuf_at(known->schema, frame->indexes, frame->index_count);
    if (message == NULL) {
        wr_faults_add(faults, row, NULL, "the schema has no message with the record's indexes");
        return NULL;
    }
    return type_of(d, known, message);
}

/* A compressed record's bytes are copied out of the buffer that the next one is inflated into: texts borrow them. */
static void open_frame(struct protobuf_decoder *d, struct frame *frame, struct wr_batch *batch)
{
    if (frame->problem == NULL && frame->compressed && inflate_payload(d, frame)) {
        const char *copy = wr_arena_strndup(&batch->arena, d->inflated.data, d->inflated.bytes);
        frame->payload = (struct wr_slice){ copy, d->inflated.bytes };
    }
    if (frame->problem == NULL && d->framing == FRAMING_GLUE) {
        skip_glue_index(frame);
    }
}

static void decode_row(struct protobuf_decoder *d, const struct wr_records *records, uint32_t row,
                       struct wr_faults *faults)
{
    struct frame frame;
    frame_of(d, records, row, &frame);
    if (d->framing == FRAMING_GLUE) {
        open_frame(d, &frame, d->run.batch);
    }
    if (frame.problem != NULL) {
        wr_faults_add(faults, row, NULL, "%s", frame.problem);
        return;
    }
    const struct type *type = type_of_frame(d, &frame, row, faults);
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
    wr_assert(batch->columns_count == d->schema->count && records->count <= WR_BATCH_ROWS_MAX);
    d->run.batch = batch;
    d->run.values = d->values;
    for (uint32_t c = 0; c < batch->columns_count; c++) {
        d->values[c] = batch->columns[c].values;
    }
    for (uint32_t row = 0; row < records->count; row++) {
        decode_row(d, records, row, faults);
    }
    wr_decoder_finish(batch, d->schema, records->count, faults);
}
