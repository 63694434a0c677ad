/* avro.c: see avro.h. One program per schema that has been seen; around it schema_stream.h. */
#include "decode/avro.h"

#include "base/heap.h"
#include "decode/avro_internal.h"
#include "decode/schema_stream.h"
#include <stdio.h>
#include <xxhash.h>

const struct wr_option wr_avro_options[] = {
    { "schema", WR_OPTION_TEXT, NULL,
      "File with the Avro schema (.avsc): what records were written with or, with a registry, what "
      "they are read as (aliases, defaults)." },
    WR_SCHEMA_STREAM_OPTIONS,
    { NULL },
};

/* What is known of one schema. */
struct known {
    struct wr_schema_known base;
    struct wr_avro_schema *schema; /* the reader's or its own */
    struct wr_avro_program *program; /* NULL: its records are faults */
    const char *field;
    char problem[200];
};

struct avro_decoder {
    struct wr_schema_stream stream; /* OWN: the schema is the record's header avro.schema (source/file_avro.h) */
    struct known file;              /* the schema file's program; its key means nothing */
    /* Container files: the schema of the record before, in this batch, and its key. */
    struct wr_slice schema_text;
    struct wr_registry_key schema_key;
    struct wr_nested_writer writer;
};

/* ---- programs ---- */

static void known_deinit(struct wr_schema_stream *stream, struct known *known)
{
    wr_avro_program_destroy(known->program);
    if (known->schema != stream->reader) {
        wr_avro_schema_destroy(known->schema);
    }
}

static void compile(struct wr_schema_stream *s, struct known *known, struct wr_error *err)
{
    const struct wr_avro_schema *reader = s->reader != NULL ? s->reader : known->schema;
    if (wr_avro_compile(&known->program, known->schema->root, reader->root, s->columns, s->column_count,
                        s->unit_digits, &known->field, err) == WR_FAIL) {
        snprintf(known->problem, sizeof known->problem, "%.190s", err->message);
    }
}

static struct wr_schema_known *learn(struct wr_schema_stream *stream, const struct wr_registry_schema *answer)
{
    struct wr_error err;
    struct known *known = wr_calloc(1, sizeof *known);
    void *schema = NULL;
    if (wr_schema_of_answer(&wr_avro_format, &schema, answer, &err) == WR_OK) {
        known->schema = schema;
        compile(stream, known, &err);
    } else {
        snprintf(known->problem, sizeof known->problem, "%.190s", err.message);
    }
    return &known->base;
}

static void forget(struct wr_schema_stream *stream, struct wr_schema_known *known)
{
    known_deinit(stream, (struct known *)known);
    free(known);
}

static const struct wr_schema_stream_ops stream_ops = { .format = &wr_avro_format, .learn = learn, .forget = forget };

/* ---- making one ---- */

/* The file alone: every record is written with it. */
static wr_status use_file(struct avro_decoder *d, struct wr_avro_schema *schema, const char *where,
                          struct wr_error *err)
{
    struct wr_error own;
    err = err != NULL ? err : &own;
    d->stream.file = &d->file.base;
    d->file.schema = schema;
    compile(&d->stream, &d->file, err);
    if (d->file.program == NULL) {
        wr_schema_compile_failed(d->file.field, where, err);
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status open_schemas(struct avro_decoder *d, const struct wr_options *options, struct wr_error *err)
{
    WR_TRY(wr_schema_stream_open(&d->stream, options, err));
    return d->stream.registry != NULL || d->stream.framing == WR_FRAMING_OWN
               ? WR_OK
               : use_file(d, d->stream.reader, wr_options_text(options, "schema"), err);
}

static struct avro_decoder *make(const struct wr_schema *scan_fields, const struct wr_options *options)
{
    struct avro_decoder *d = wr_calloc(1, sizeof *d);
    wr_schema_stream_init(&d->stream, &stream_ops, scan_fields, options);
    return d;
}

static wr_status give(struct wr_decoder **decoder, struct avro_decoder *d, wr_status status)
{
    if (status == WR_OK) {
        *decoder = &d->stream.base;
    } else {
        wr_avro_destroy(&d->stream.base);
    }
    return status;
}

wr_status wr_avro_create(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                         const struct wr_options *options, struct wr_error *err)
{
    wr_ensure(options != NULL, err, WR_CLASS_USER, "format 'avro' needs a schema");
    struct avro_decoder *d = make(scan_fields, options);
    return give(decoder, d, open_schemas(d, options, err));
}

wr_status wr_avro_create_for(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                             struct wr_slice writer, struct wr_slice reader, struct wr_error *err)
{
    struct avro_decoder *d = make(scan_fields, NULL);
    struct wr_avro_schema *schema = NULL;
    wr_status status = WR_OK;
    if (reader.bytes > 0) {
        status = wr_avro_format.of_texts(&d->stream.reader, &reader, 1, err);
    }
    if (status == WR_OK) {
        status = wr_avro_schema_parse(&schema, &writer, 1, err);
    }
    if (status == WR_OK) {
        status = use_file(d, schema, "schema", err);
    }
    return give(decoder, d, status);
}

void wr_avro_destroy(struct wr_decoder *decoder)
{
    struct avro_decoder *d = (struct avro_decoder *)decoder;
    known_deinit(&d->stream, &d->file);
    wr_nested_writer_deinit(&d->writer);
    wr_schema_stream_deinit(&d->stream);
    free(d);
}

/* ---- container files ---- */

/* What a record's schema is known by: its text's hash, in the place of a registry's GUID. NULL: it has one; else the problem. */
static const char *read_container(struct avro_decoder *d, const struct wr_records *records, uint32_t row)
{
    const struct wr_record *record = &records->items[row];
    if (record->data == NULL || record->bytes > WR_RECORD_BYTES_MAX) {
        return record->data == NULL ? "empty record" : "record is larger than 64 MiB";
    }
    if (records->header == NULL) {
        return "the record comes from no Avro container file";
    }
    const struct wr_slice damage = records->header(records, row, "weir.damage");
    const struct wr_slice text = records->header(records, row, "avro.schema");
    if (damage.data != NULL) {
        return damage.data;
    }
    if (text.data == NULL) {
        return "the record's header avro.schema is missing: it comes from no Avro container file";
    }
    if (text.data != d->schema_text.data || text.bytes != d->schema_text.bytes) {
        const XXH128_hash_t hash = XXH3_128bits(text.data, text.bytes);
        d->schema_text = text;
        d->schema_key = (struct wr_registry_key){ .kind = WR_REGISTRY_GUID };
        memcpy(d->schema_key.guid, &hash, sizeof d->schema_key.guid);
    }
    return NULL;
}

/* As wr_schema_stream_take. */
__attribute__((noinline)) static struct wr_schema_known *
take_container(struct avro_decoder *d, const struct wr_records *records, uint32_t row,
               struct wr_schema_frame *frame, struct wr_faults *faults)
{
    const char *problem = read_container(d, records, row);
    if (problem != NULL) {
        wr_faults_add(faults, row, NULL, "%s", problem);
        return NULL;
    }
    frame->payload = (struct wr_slice){ records->items[row].data, records->items[row].bytes };
    struct wr_schema_known *known = wr_schema_stream_find(&d->stream, &d->schema_key);
    const struct wr_registry_schema own = { wr_avro_format.registry_type, &d->schema_text, 1 };
    return known != NULL ? known : wr_schema_stream_learn(&d->stream, &d->schema_key, &own);
}

/* ---- decoding ---- */

wr_status wr_avro_needs(struct wr_decoder *decoder, const struct wr_records *records)
{
    return wr_schema_stream_needs(decoder, records);
}

static void decode_row(struct avro_decoder *d, const struct wr_records *records, uint32_t row,
                       struct wr_avro_run *run, struct wr_faults *faults)
{
    struct wr_schema_frame frame;
    const struct known *known =
        (const struct known *)(d->stream.framing == WR_FRAMING_OWN
                                   ? take_container(d, records, row, &frame, faults)
                                   : wr_schema_stream_take(&d->stream, &stream_ops, records, row,
                                                           &run->batch->arena, &frame, faults));
    if (known == NULL) {
        return;
    }
    if (known->program == NULL) {
        wr_faults_add(faults, row, known->field, "%s", known->problem);
    } else if (!wr_avro_run(known->program, run, frame.payload.data, frame.payload.bytes, row)) {
        wr_faults_add(faults, row, run->field, "%s", run->message);
    }
}

void wr_avro_decode(struct wr_decoder *decoder, const struct wr_records *records,
                    struct wr_batch *batch, struct wr_faults *faults)
{
    struct avro_decoder *d = (struct avro_decoder *)decoder;
    struct wr_avro_run run = { .batch = batch, .values = d->stream.values, .writer = &d->writer };
    wr_schema_stream_begin(&d->stream, records, batch);
    d->schema_text = (struct wr_slice){ 0 }; /* what lay there may be another one by now */
    for (uint32_t row = 0; row < records->count; row++) {
        decode_row(d, records, row, &run, faults);
    }
    wr_decoder_finish(batch, d->stream.schema, records->count, faults);
}
