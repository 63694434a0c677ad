/* json_checks.c: see json_checks.h. */
#include "decode/json_checks.h"

#include "base/assert.h"
#include "base/heap.h"
#include "decode/json_schema.h"
#include "decode/json_schema_columns.h"
#include "decode/registry.h"
#include <errno.h>
#include <stdio.h>

enum framing { FRAMING_NONE, FRAMING_CONFLUENT, FRAMING_HEADERS };

/* What is known of one id. */
struct known {
    struct wr_registry_key key;
    struct wr_json_schema *schema; /* NULL: its records are faults */
    char problem[200];
};

struct wr_json_checks {
    struct wr_json_schema *schema; /* all records are held against it; NULL: each against its own id's */
    struct wr_json_checker *checker;
    struct wr_registry *registry;
    enum framing framing;
    struct known **known; /* in no order: schemas are few */
    uint32_t known_count;
    uint32_t last; /* the one used last */
    struct wr_records stripped;
    struct wr_record items[WR_BATCH_ROWS_MAX];
    struct wr_registry_key keys[WR_BATCH_ROWS_MAX]; /* of framed records */
    bool unframed[WR_BATCH_ROWS_MAX];
};

/* ---- schemas that options name ---- */

static wr_status of_file(struct wr_json_schema **schema, const char *path, struct wr_error *err)
{
    struct wr_buf text = { 0 };
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        (void)wr_fail(err, WR_CLASS_USER, "schema = '%.300s': %s", path, strerror(errno));
        wr_error_hint(err, "name a file that holds a JSON Schema, as seen from where weir is started");
        return WR_FAIL;
    }
    for (size_t got = 1; got > 0 && text.bytes <= WR_JSON_SCHEMA_BYTES_MAX; text.bytes += got) {
        got = fread(wr_buf_reserve(&text, 65536), 1, 65536, file);
    }
    fclose(file);
    const wr_status status =
        wr_json_schema_parse(schema, (struct wr_slice){ text.data != NULL ? text.data : "", text.bytes }, err);
    wr_buf_deinit(&text);
    if (status == WR_FAIL) {
        wr_error_prefix(err, "%.300s", path);
        if (err != NULL) {
            err->cls = WR_CLASS_USER;
        }
    }
    return status;
}

static wr_status of_answer(struct wr_json_schema **schema, const struct wr_registry_schema *answer,
                           struct wr_error *err)
{
    wr_ensure(strcmp(answer->type, "JSON") == 0, err, WR_CLASS_DATA,
              "the registry's schema is of type %.40s, not JSON", answer->type);
    wr_ensure(answer->text_count == 1, err, WR_CLASS_DATA,
              "the registry's schema refers to others, which weir does not follow in JSON Schema");
    return wr_json_schema_parse(schema, answer->texts[0], err);
}

static wr_status of_subject(struct wr_json_schema **schema, struct wr_registry *registry,
                            const char *subject, struct wr_error *err)
{
    const struct wr_registry_key key = { .kind = WR_REGISTRY_SUBJECT, .subject = subject };
    const struct wr_registry_schema *answer = NULL;
    wr_status status = wr_registry_wait(registry, &key, &answer, err);
    if (status == WR_OK) {
        status = of_answer(schema, answer, err);
    }
    if (status == WR_FAIL && err != NULL) {
        err->cls = WR_CLASS_USER;
        wr_error_hint(err, "see that the registry runs and knows the subject: curl REGISTRY/subjects");
    }
    return status;
}

/* ---- making one ---- */

static wr_status choose_framing(struct wr_json_checks *checks, const struct wr_options *options,
                                bool registry, bool fixed, struct wr_error *err)
{
    const char *given = wr_options_text(options, "framing");
    checks->framing = registry ? FRAMING_CONFLUENT : FRAMING_NONE;
    if (given != NULL) {
        checks->framing = strcmp(given, "headers") == 0     ? FRAMING_HEADERS
                          : strcmp(given, "confluent") == 0 ? FRAMING_CONFLUENT
                                                            : FRAMING_NONE;
    }
    if (registry && !fixed && checks->framing == FRAMING_NONE) {
        (void)wr_fail(err, WR_CLASS_USER, "framing = 'none': without an id no record has a schema in the registry");
        wr_error_hint(err, "say which one with subject = '…'");
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status open_schemas(struct wr_json_checks *checks, const struct wr_options *options,
                              struct wr_error *err)
{
    const char *file = wr_options_text(options, "schema");
    const char *subject = wr_options_text(options, "subject");
    const bool registry = wr_options_has(options, "registry");
    WR_TRY(choose_framing(checks, options, registry, file != NULL || subject != NULL, err));
    wr_ensure(!registry || !wr_registry_is_glue(options), err, WR_CLASS_USER,
              "format 'json' knows registries with Confluent's API only");
    if (file != NULL) {
        WR_TRY(of_file(&checks->schema, file, err));
    }
    if (registry) {
        WR_TRY(wr_registry_open(&checks->registry, options, err));
    }
    if (registry && file == NULL && subject != NULL) {
        WR_TRY(of_subject(&checks->schema, checks->registry, subject, err));
    }
    return WR_OK;
}

static bool asked_for(const struct wr_options *options)
{
    return options != NULL && (wr_options_has(options, "schema") || wr_options_has(options, "registry") ||
                               wr_options_text(options, "framing") != NULL);
}

wr_status wr_json_checks_create(struct wr_json_checks **checks, const struct wr_options *options,
                                struct wr_error *err)
{
    *checks = NULL;
    if (!asked_for(options)) {
        return WR_OK;
    }
    struct wr_json_checks *made = wr_calloc(1, sizeof *made);
    if (open_schemas(made, options, err) == WR_FAIL) {
        wr_json_checks_destroy(made);
        return WR_FAIL;
    }
    if (made->schema != NULL || made->registry != NULL) {
        made->checker = wr_json_checker_create();
    }
    *checks = made;
    return WR_OK;
}

void wr_json_checks_destroy(struct wr_json_checks *checks)
{
    if (checks == NULL) {
        return;
    }
    for (uint32_t i = 0; i < checks->known_count; i++) {
        wr_json_schema_destroy(checks->known[i]->schema);
        free(checks->known[i]);
    }
    free(checks->known);
    wr_json_schema_destroy(checks->schema);
    wr_json_checker_destroy(checks->checker);
    wr_registry_close(checks->registry);
    free(checks);
}

/* ---- framing ---- */

/* False: it begins with no id. */
static bool unframe(const struct wr_json_checks *checks, const struct wr_records *records,
                    uint32_t row, struct wr_record *item, struct wr_registry_key *key)
{
    struct wr_slice payload = { item->data, item->bytes };
    if (checks->framing == FRAMING_NONE || item->data == NULL) {
        return true; /* the decoder has its own words for nothing */
    }
    if (checks->framing == FRAMING_HEADERS && records->header != NULL) {
        struct wr_slice header = records->header(records, row, WR_REGISTRY_HEADER);
        if (header.data != NULL && wr_registry_read_key(&header, key)) {
            return true;
        }
    }
    const bool framed = wr_registry_read_key(&payload, key);
    item->data = payload.data;
    item->bytes = (uint32_t)payload.bytes;
    return framed;
}

const struct wr_records *wr_json_checks_strip(struct wr_json_checks *checks,
                                              const struct wr_records *records)
{
    if (checks->framing == FRAMING_NONE) {
        return records;
    }
    wr_assert(records->count <= WR_BATCH_ROWS_MAX);
    checks->stripped = *records;
    checks->stripped.items = checks->items;
    for (uint32_t row = 0; row < records->count; row++) {
        checks->items[row] = records->items[row];
        checks->unframed[row] = !unframe(checks, records, row, &checks->items[row], &checks->keys[row]);
        if (checks->unframed[row]) {
            checks->items[row].data = NULL; /* no decoder takes it for a row */
            checks->items[row].bytes = 0;
        }
    }
    return &checks->stripped;
}

/* ---- schemas by id ---- */

static struct known *learn(struct wr_json_checks *checks, const struct wr_registry_key *key,
                           const struct wr_registry_schema *answer)
{
    struct wr_error err;
    struct known *known = wr_calloc(1, sizeof *known);
    known->key = *key;
    if (of_answer(&known->schema, answer, &err) != WR_OK) {
        (void)snprintf(known->problem, sizeof known->problem, "%.190s", err.message);
    }
    checks->known = wr_realloc(checks->known, (checks->known_count + 1) * sizeof *checks->known);
    checks->last = checks->known_count;
    checks->known[checks->known_count++] = known;
    return known;
}

static struct known *find_known(struct wr_json_checks *checks, const struct wr_registry_key *key)
{
    for (uint32_t i = 0; i < checks->known_count; i++) {
        const uint32_t at = (checks->last + i) % checks->known_count;
        if (wr_registry_same_key(&checks->known[at]->key, key)) {
            checks->last = at;
            return checks->known[at];
        }
    }
    return NULL;
}

static wr_status look_up(struct wr_json_checks *checks, const struct wr_registry_key *key,
                         struct known **known, struct wr_error *err)
{
    const struct wr_registry_schema *answer = NULL;
    *known = find_known(checks, key);
    if (*known == NULL) {
        WR_TRY(wr_registry_find(checks->registry, key, &answer, err));
        *known = learn(checks, key, answer);
    }
    return WR_OK;
}

wr_status wr_json_checks_need(struct wr_json_checks *checks, const struct wr_records *records)
{
    wr_status all = WR_OK;
    if (checks->schema != NULL || checks->registry == NULL) {
        return WR_OK;
    }
    const struct wr_records *stripped = wr_json_checks_strip(checks, records);
    for (uint32_t row = 0; row < stripped->count; row++) {
        struct known *known;
        struct wr_error err;
        if (!checks->unframed[row] && stripped->items[row].data != NULL &&
            look_up(checks, &checks->keys[row], &known, &err) == WR_AGAIN) {
            all = WR_AGAIN; /* and go on: what else is missing is fetched at the same time */
        }
    }
    return all;
}

/* ---- checking ---- */

static void check_row(struct wr_json_checks *checks, const struct wr_records *stripped, uint32_t row,
                      struct wr_faults *faults)
{
    const struct wr_record *item = &stripped->items[row];
    const struct wr_json_schema *schema = checks->schema;
    struct wr_json_violation violation;
    if (schema == NULL) {
        struct known *known = NULL;
        struct wr_error err;
        const wr_status status = look_up(checks, &checks->keys[row], &known, &err);
        if (status != WR_OK || known->schema == NULL) {
            wr_faults_add(faults, row, NULL, "%s",
                          status == WR_OK      ? known->problem
                          : status == WR_AGAIN ? "the record's schema is not here yet"
                                               : err.message);
            return;
        }
        schema = known->schema;
    }
    if (!wr_json_check(checks->checker, schema, (struct wr_slice){ item->data, item->bytes }, &violation)) {
        wr_faults_add(faults, row, violation.pointer, "JSON Schema, at \"%s\": %s", violation.pointer,
                      violation.message);
    }
}

static int by_row(const void *a, const void *b)
{
    const uint32_t left = ((const struct wr_row_fault *)a)->row;
    const uint32_t right = ((const struct wr_row_fault *)b)->row;
    return left < right ? -1 : left > right;
}

void wr_json_checks_run(struct wr_json_checks *checks, const struct wr_records *stripped,
                        struct wr_faults *faults)
{
    const uint32_t before = faults->count;
    uint32_t next = 0;
    for (uint32_t row = 0; row < stripped->count; row++) {
        if (next < before && faults->items[next].row == row) {
            if (checks->framing != FRAMING_NONE && checks->unframed[row]) {
                (void)snprintf(faults->items[next].message, sizeof faults->items[next].message,
                               "the record does not begin with a schema id (00) or GUID (01)");
            }
            next++;
        } else if (checks->checker != NULL) {
            check_row(checks, stripped, row, faults);
        }
    }
    if (faults->count > before && before > 0) {
        qsort(faults->items, faults->count, sizeof faults->items[0], by_row);
    }
}

/* ---- for the binder ---- */

static wr_status columns_of_registry(const struct wr_options *options, struct wr_arena *arena,
                                     struct wr_schema *columns, struct wr_error *err)
{
    struct wr_registry *registry = NULL;
    struct wr_json_schema *schema = NULL;
    const char *subject = wr_options_text(options, "subject");
    WR_TRY(wr_registry_open(&registry, options, err)); /* its address, at least */
    wr_status status = WR_OK;
    if (columns->count == 0) {
        status = of_subject(&schema, registry, subject, err);
        if (status == WR_OK) {
            status = wr_json_schema_columns(schema, arena, columns, err);
        }
    }
    wr_json_schema_destroy(schema);
    wr_registry_close(registry);
    return status;
}

wr_status wr_json_columns(const struct wr_options *options, struct wr_arena *arena,
                          struct wr_schema *columns, struct wr_error *err)
{
    const char *file = wr_options_text(options, "schema");
    const bool registry = wr_options_has(options, "registry");
    struct wr_json_schema *schema = NULL;
    if (columns->count == 0 && file == NULL &&
        (!registry || wr_options_text(options, "subject") == NULL)) {
        (void)wr_fail(err, WR_CLASS_USER, "the source has no columns, and no schema that gives them");
        wr_error_hint(err, "declare columns, or say schema = 'file.json', or registry = 'http://…' with subject = '…'");
        return WR_FAIL;
    }
    if (file != NULL) {
        WR_TRY(of_file(&schema, file, err));
        const wr_status status =
            columns->count == 0 ? wr_json_schema_columns(schema, arena, columns, err) : WR_OK;
        wr_json_schema_destroy(schema);
        return status;
    }
    return registry ? columns_of_registry(options, arena, columns, err) : WR_OK;
}
