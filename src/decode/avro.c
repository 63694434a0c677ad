/* avro.c: see avro.h. Framing, and one program per schema that has been seen. */
#include "decode/avro.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/heap.h"
#include "decode/avro_internal.h"
#include <stdio.h>
#include <xxhash.h>
#include <zlib.h>

const struct wr_option wr_avro_options[] = {
    { "schema", WR_OPTION_TEXT, NULL,
      "File with the Avro schema (.avsc): what records were written with or, with a registry, what "
      "they are read as (aliases, defaults)." },
    WR_REGISTRY_OPTIONS,
    { "subject", WR_OPTION_TEXT, NULL,
      "The registry's subject whose latest schema records are read as, and that gives the columns "
      "when none are declared." },
    { "framing", WR_OPTION_ENUM, NULL,
      "What stands before a record: a registry's id or GUID (confluent; headers: in the header "
      "__value_schema_id), AWS Glue's version id, or nothing; default: confluent with a registry.",
      .enum_words = "none confluent headers glue" },
    { NULL },
};

/* CONTAINER: the record's schema is its header avro.schema (source/file_avro.h). */
enum framing { FRAMING_NONE, FRAMING_CONFLUENT, FRAMING_HEADERS, FRAMING_GLUE, FRAMING_CONTAINER };

/* What is known of one schema. */
struct known {
    struct wr_registry_key key;
    struct wr_avro_schema *schema;
    struct wr_avro_program *program; /* NULL: its records are faults */
    const char *field;
    char problem[200];
};

struct avro_decoder {
    struct wr_decoder base;
    const struct wr_schema *schema;
    struct wr_arena arena;
    struct wr_schema_column *columns;
    uint32_t column_count;
    uint32_t unit_digits;
    enum framing framing;
    struct wr_avro_schema *reader; /* NULL: none */
    struct known file;             /* the schema file's program; its key means nothing */
    bool has_file;                 /* all records are read with it */
    struct wr_registry *registry;
    struct known **known; /* known_count of them, by kind and id in no order: schemas are few */
    uint32_t known_count;
    uint32_t known_capacity;
    uint32_t last; /* the one used last */
    /* Container files: the schema of the record before, in this batch, and its key. */
    struct wr_slice schema_text;
    struct wr_registry_key schema_key;
    struct wr_buf inflated;
    struct wr_nested_writer writer;
    void **values; /* of the batch at hand, per column of schema */
};

/* ---- framing ---- */

struct frame {
    struct wr_registry_key key;
    struct wr_slice payload;
    bool compressed;
    const char *problem; /* static text, or the record's header; NULL: none */
};

/* A schema's text by its hash, in the place of a registry's GUID. */
static void read_container(struct avro_decoder *d, const struct wr_records *records, uint32_t row,
                           struct frame *frame)
{
    const struct wr_slice damage = records->header(records, row, "weir.damage");
    const struct wr_slice text = records->header(records, row, "avro.schema");
    if (damage.data != NULL) {
        frame->problem = damage.data;
        return;
    }
    if (text.data == NULL) {
        frame->problem = "the record's header avro.schema is missing: it comes from no Avro container file";
        return;
    }
    if (text.data != d->schema_text.data || text.bytes != d->schema_text.bytes) {
        const XXH128_hash_t hash = XXH3_128bits(text.data, text.bytes);
        d->schema_text = text;
        d->schema_key = (struct wr_registry_key){ .kind = WR_REGISTRY_GUID };
        memcpy(d->schema_key.guid, &hash, sizeof d->schema_key.guid);
    }
    frame->key = d->schema_key;
}

static void read_glue(struct frame *frame)
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

/* All but plain records and Confluent's; apart, so that those stay in registers. */
__attribute__((noinline)) static void unframe(struct avro_decoder *d, const struct wr_records *records,
                                              uint32_t row, struct frame *frame)
{
    if (d->framing == FRAMING_HEADERS && records->header != NULL) {
        struct wr_slice header = records->header(records, row, WR_REGISTRY_HEADER);
        if (header.data != NULL && wr_registry_read_key(&header, &frame->key)) {
            return;
        }
    }
    if (d->framing == FRAMING_CONTAINER && records->header != NULL) {
        read_container(d, records, row, frame);
    } else if (d->framing == FRAMING_CONTAINER) {
        frame->problem = "the record comes from no Avro container file";
    } else if (d->framing == FRAMING_GLUE) {
        read_glue(frame);
    } else if (!wr_registry_read_key(&frame->payload, &frame->key)) {
        frame->problem = "the record does not begin with a schema id (00) or GUID (01)";
    }
}

static inline struct frame frame_of(struct avro_decoder *d, const struct wr_records *records,
                                    uint32_t row)
{
    const struct wr_record *record = &records->items[row];
    struct frame frame = { .payload = { record->data, record->bytes } };
    if (record->data == NULL || record->bytes > WR_RECORD_BYTES_MAX) {
        frame.problem = record->data == NULL ? "empty record" : "record is larger than 64 MiB";
    } else if (d->framing != FRAMING_NONE &&
               (d->framing != FRAMING_CONFLUENT ||
                !wr_registry_read_key(&frame.payload, &frame.key))) {
        unframe(d, records, row, &frame);
    }
    return frame;
}

/* zlib, into the decoder's buffer; the texts are copied out of it by copy_payload. */
static bool inflate_payload(struct avro_decoder *d, struct frame *frame)
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

static void known_deinit(struct known *known)
{
    wr_avro_program_destroy(known->program);
    wr_avro_schema_destroy(known->schema);
}

static void compile(struct avro_decoder *d, struct known *known, struct wr_error *err)
{
    const struct wr_avro_node *reader = d->reader != NULL ? d->reader->root : known->schema->root;
    if (wr_avro_compile(&known->program, known->schema->root, reader, d->columns, d->column_count,
                        d->unit_digits, &known->field, err) == WR_FAIL) {
        snprintf(known->problem, sizeof known->problem, "%.190s", err->message);
    }
}

static struct known *find_known(struct avro_decoder *d, const struct wr_registry_key *key)
{
    if (d->last < d->known_count && wr_registry_same_key(&d->known[d->last]->key, key)) {
        return d->known[d->last];
    }
    for (uint32_t i = 0; i < d->known_count; i++) {
        if (wr_registry_same_key(&d->known[i]->key, key)) {
            d->last = i;
            return d->known[i];
        }
    }
    return NULL;
}

static struct known *learn(struct avro_decoder *d, const struct wr_registry_key *key,
                           const struct wr_registry_schema *answer)
{
    struct wr_error err;
    struct known *known = wr_calloc(1, sizeof *known);
    known->key = *key;
    void *schema = NULL;
    const wr_status status = wr_schema_of_answer(&wr_avro_format, &schema, answer, &err);
    known->schema = schema;
    if (status == WR_OK) {
        compile(d, known, &err);
    } else {
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

/* One that was not met before. */
__attribute__((noinline)) static wr_status look_further(struct avro_decoder *d,
                                                        const struct wr_registry_key *key,
                                                        struct known **known, struct wr_error *err)
{
    const struct wr_registry_schema *answer = NULL;
    const struct wr_registry_schema own = { "AVRO", &d->schema_text, 1 };
    if (d->framing == FRAMING_CONTAINER) {
        answer = &own;
    } else {
        WR_TRY(wr_registry_find(d->registry, key, &answer, err));
    }
    *known = learn(d, key, answer);
    return WR_OK;
}

/* WR_OK: *known is what is to be used; WR_AGAIN: on its way; WR_FAIL: err says why not. */
static inline wr_status look_up(struct avro_decoder *d, const struct wr_registry_key *key,
                                struct known **known, struct wr_error *err)
{
    *known = d->has_file ? &d->file : find_known(d, key);
    return *known != NULL ? WR_OK : look_further(d, key, known, err);
}

/* ---- making one ---- */

static wr_status choose_framing(struct avro_decoder *d, const struct wr_options *options,
                                struct wr_error *err)
{
    static const char *const names[] = { "none", "confluent", "headers", "glue" };
    const char *given = wr_options_text(options, "framing");
    const bool registry = wr_options_has(options, "registry");
    const char *connector = wr_options_text(options, "connector");
    if (connector != NULL && strcmp(connector, "file") == 0) {
        wr_ensure(given == NULL, err, WR_CLASS_USER,
                  "framing = '%s' does not go with connector 'file', which reads Avro container files",
                  given);
        d->framing = FRAMING_CONTAINER;
        return WR_OK;
    }
    const bool glue = registry && wr_registry_is_glue(options);
    d->framing = glue ? FRAMING_GLUE : registry ? FRAMING_CONFLUENT : FRAMING_NONE;
    for (uint32_t i = 0; given != NULL && i < 4; i++) {
        d->framing = strcmp(given, names[i]) == 0 ? (enum framing)i : d->framing;
    }
    if (registry && (d->framing == FRAMING_NONE || glue != (d->framing == FRAMING_GLUE))) {
        return wr_fail(err, WR_CLASS_USER, "framing = '%s' does not go with a registry: its records "
                                           "carry no id that the registry knows",
                       given);
    }
    return WR_OK;
}

/* The file alone: every record is written with it. */
static wr_status use_file(struct avro_decoder *d, struct wr_avro_schema *schema, const char *where,
                          struct wr_error *err)
{
    struct wr_error own;
    err = err != NULL ? err : &own;
    d->has_file = true;
    d->file.schema = schema;
    compile(d, &d->file, err);
    if (d->file.program == NULL) {
        wr_schema_compile_failed(d->file.field, where, err);
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status open_schemas(struct avro_decoder *d, const struct wr_options *options,
                              struct wr_error *err)
{
    const char *file = wr_options_text(options, "schema");
    const char *subject = wr_options_text(options, "subject");
    void *schema = NULL;
    WR_TRY(choose_framing(d, options, err));
    if (file != NULL) {
        WR_TRY(wr_schema_of_file(&wr_avro_format, &schema, file, err));
    }
    if (!wr_options_has(options, "registry")) {
        if (d->framing == FRAMING_CONTAINER) {
            d->reader = schema;
            return WR_OK;
        }
        wr_ensure(file != NULL, err, WR_CLASS_USER,
                  "format 'avro' needs schema = 'file.avsc' or registry = 'http://…'");
        return use_file(d, schema, file, err);
    }
    d->reader = schema;
    WR_TRY(wr_registry_open(&d->registry, options, err));
    if (schema == NULL && subject != NULL) {
        WR_TRY(wr_schema_of_subject(&wr_avro_format, &schema, d->registry, subject, err));
        d->reader = schema;
    }
    return WR_OK;
}

static struct avro_decoder *make(const struct wr_schema *scan_fields,
                                 const struct wr_options *options)
{
    struct avro_decoder *d = wr_calloc(1, sizeof *d);
    d->base.ops = wr_decoder_find("avro");
    d->schema = scan_fields;
    d->unit_digits = wr_decoder_unit_digits(options);
    wr_arena_init(&d->arena, 0);
    d->column_count = wr_schema_columns_of(scan_fields, &d->arena, &d->columns);
    d->values = WR_ARENA_ARRAY(&d->arena, void *, scan_fields->count + 1);
    return d;
}

wr_status wr_avro_create(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                         const struct wr_options *options, struct wr_error *err)
{
    wr_ensure(options != NULL, err, WR_CLASS_USER, "format 'avro' needs a schema");
    struct avro_decoder *d = make(scan_fields, options);
    if (open_schemas(d, options, err) == WR_FAIL) {
        wr_avro_destroy(&d->base);
        return WR_FAIL;
    }
    *decoder = &d->base;
    return WR_OK;
}

wr_status wr_avro_create_for(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                             struct wr_slice writer, struct wr_slice reader, struct wr_error *err)
{
    struct avro_decoder *d = make(scan_fields, NULL);
    struct wr_avro_schema *schema = NULL;
    wr_status status = WR_OK;
    if (reader.bytes > 0) {
        status = wr_avro_schema_parse(&d->reader, &reader, 1, err);
    }
    if (status == WR_OK) {
        status = wr_avro_schema_parse(&schema, &writer, 1, err);
    }
    if (status == WR_OK) {
        status = use_file(d, schema, "schema", err);
    }
    if (status != WR_OK) {
        wr_avro_destroy(&d->base);
        return WR_FAIL;
    }
    *decoder = &d->base;
    return WR_OK;
}

void wr_avro_destroy(struct wr_decoder *decoder)
{
    struct avro_decoder *d = (struct avro_decoder *)decoder;
    known_deinit(&d->file);
    for (uint32_t i = 0; i < d->known_count; i++) {
        known_deinit(d->known[i]);
        free(d->known[i]);
    }
    free(d->known);
    wr_avro_schema_destroy(d->reader);
    wr_registry_close(d->registry);
    wr_buf_deinit(&d->inflated);
    wr_nested_writer_deinit(&d->writer);
    wr_arena_deinit(&d->arena);
    free(d);
}

/* ---- decoding ---- */

wr_status wr_avro_needs(struct wr_decoder *decoder, const struct wr_records *records)
{
    struct avro_decoder *d = (struct avro_decoder *)decoder;
    wr_status all = WR_OK;
    if (d->framing == FRAMING_CONTAINER) {
        return WR_OK;
    }
    for (uint32_t row = 0; row < records->count && !d->has_file; row++) {
        const struct frame frame = frame_of(d, records, row);
        struct known *known;
        struct wr_error err;
        if (frame.problem == NULL && look_up(d, &frame.key, &known, &err) == WR_AGAIN) {
            all = WR_AGAIN; /* and go on: what else is missing is fetched at the same time */
        }
    }
    return all;
}

static bool decode_row(struct avro_decoder *d, const struct wr_records *records, uint32_t row,
                       struct wr_avro_run *run, struct wr_faults *faults)
{
    struct frame frame = frame_of(d, records, row);
    struct known *known = NULL;
    if (frame.problem == NULL && frame.compressed && inflate_payload(d, &frame)) {
        const char *copy =
            wr_arena_strndup(&run->batch->arena, d->inflated.data, d->inflated.bytes);
        frame.payload = (struct wr_slice){ copy, d->inflated.bytes };
    }
    if (frame.problem != NULL) {
        wr_faults_add(faults, row, NULL, "%s", frame.problem);
        return false;
    }
    struct wr_error err;
    const wr_status status = look_up(d, &frame.key, &known, &err);
    if (status != WR_OK) {
        wr_faults_add(faults, row, NULL, "%s",
                      status == WR_AGAIN ? "the record's schema is not here yet" : err.message);
        return false;
    }
    if (known->program == NULL) {
        wr_faults_add(faults, row, known->field, "%s", known->problem);
        return false;
    }
    if (!wr_avro_run(known->program, run, frame.payload.data, frame.payload.bytes, row)) {
        wr_faults_add(faults, row, run->field, "%s", run->message);
        return false;
    }
    return true;
}

void wr_avro_decode(struct wr_decoder *decoder, const struct wr_records *records,
                    struct wr_batch *batch, struct wr_faults *faults)
{
    struct avro_decoder *d = (struct avro_decoder *)decoder;
    struct wr_avro_run run = { .batch = batch, .values = d->values, .writer = &d->writer };
    wr_assert(batch->columns_count == d->schema->count && records->count <= WR_BATCH_ROWS_MAX);
    d->schema_text = (struct wr_slice){ 0 }; /* what lay there may be another one by now */
    for (uint32_t c = 0; c < batch->columns_count; c++) {
        d->values[c] = batch->columns[c].values;
    }
    for (uint32_t row = 0; row < records->count; row++) {
        (void)decode_row(d, records, row, &run, faults);
    }
    wr_decoder_finish(batch, d->schema, records->count, faults);
}
