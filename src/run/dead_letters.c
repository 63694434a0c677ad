#include "run/dead_letters.h"

#include "base/hash.h"
#include "base/heap.h"
#include "batch/records.h"
#include "batch/text.h"
#include "run/dead_letters_parts.h"
#include <jansson.h>

/* ---- one letter ---- */

struct wr_letter_scratch {
    json_t *root;
    struct wr_buf value; /* decoded base64 */
    char *headers;
    char *sinks;
};

struct wr_letter_scratch *wr_letter_scratch_create(void)
{
    return wr_calloc(1, sizeof(struct wr_letter_scratch));
}

static void scratch_clear(struct wr_letter_scratch *scratch)
{
    json_decref(scratch->root);
    free(scratch->headers);
    free(scratch->sinks);
    scratch->root = NULL;
    scratch->headers = NULL;
    scratch->sinks = NULL;
    scratch->value.bytes = 0;
}

void wr_letter_scratch_destroy(struct wr_letter_scratch *scratch)
{
    if (scratch != NULL) {
        scratch_clear(scratch);
        wr_buf_deinit(&scratch->value);
        free(scratch);
    }
}

static struct wr_slice text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value)
               ? (struct wr_slice){ json_string_value(value), json_string_length(value) }
               : (struct wr_slice){ 0 };
}

bool wr_letter_settle(struct wr_letter_scratch *scratch, struct wr_letter *letter)
{
    /* A message without a value still has the key or the topic's time; rows of generators have a time only. */
    letter->has_payload = letter->value.data != NULL || letter->key.data != NULL;
    if (!letter->base64 || letter->value.data == NULL) {
        return true;
    }
    size_t bytes = 0;
    scratch->value.bytes = 0;
    char *into = wr_buf_reserve(&scratch->value, letter->value.bytes / 4 * 3 + 3);
    if (!wr_text_parse_base64(letter->value, into, &bytes)) {
        return false;
    }
    letter->value = (struct wr_slice){ into, bytes };
    return true;
}

static void take_json(struct wr_letter_scratch *scratch, struct wr_letter *letter)
{
    const json_t *headers = json_object_get(scratch->root, "_headers");
    const json_t *sinks = json_object_get(scratch->root, "_sinks"); /* letters of earlier versions have none */
    if (json_is_array(sinks)) {
        scratch->sinks = json_dumps(sinks, JSON_COMPACT);
        letter->sinks = wr_slice_of(scratch->sinks);
    }
    if (json_is_string(headers)) {
        letter->headers = text_of(scratch->root, "_headers");
    } else if (json_is_object(headers) || json_is_array(headers)) {
        scratch->headers = json_dumps(headers, JSON_COMPACT);
        letter->headers = wr_slice_of(scratch->headers);
    }
}

static bool take_letter(struct wr_letter_scratch *scratch, struct wr_letter *letter)
{
    const json_t *root = scratch->root;
    const json_t *position = json_object_get(root, "_position");
    const struct wr_slice timestamp = text_of(root, "_timestamp");
    letter->source = text_of(root, "_source");
    letter->error = text_of(root, "_error");
    letter->value = text_of(root, "_value");
    letter->base64 = wr_slice_is(text_of(root, "_encoding"), "base64");
    letter->key = text_of(root, "_key");
    if (letter->source.data == NULL || letter->error.data == NULL ||
        !wr_letter_settle(scratch, letter)) {
        return false;
    }
    letter->split = text_of(root, "_split");
    letter->field = text_of(root, "_field");
    letter->origin_position = json_is_integer(position) ? json_integer_value(position) : 0;
    letter->timestamp_us = WR_RECORD_NO_TIME;
    if (timestamp.data != NULL && !wr_text_parse_timestamp(timestamp, &letter->timestamp_us)) {
        return false;
    }
    take_json(scratch, letter);
    return true;
}

void wr_letter_parse(struct wr_letter_scratch *scratch, struct wr_slice line,
                     struct wr_letter *letter)
{
    const int64_t position = letter->position;
    const int64_t next_position = letter->next_position;
    *letter = (struct wr_letter){ .position = position, .next_position = next_position };
    scratch_clear(scratch);
    scratch->root = json_loadb(line.data, line.bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (json_is_object(scratch->root) && take_letter(scratch, letter)) {
        letter->readable = true;
        return;
    }
    *letter = (struct wr_letter){ .position = position, .next_position = next_position };
}

bool wr_letter_has_error(const struct wr_letter *letter, const char *text)
{
    return text == NULL || (letter->readable && memmem(letter->error.data, letter->error.bytes, text,
                                                       strlen(text)) != NULL);
}

/* ---- parts ---- */

static const struct wr_letters_ops *const kinds[] = { &wr_letters_file, &wr_letters_kafka,
                                                    &wr_letters_eventhubs, &wr_letters_delta,
                                                    &wr_letters_parquet, NULL };

void wr_letters_add_part(struct wr_letters *letters, const char *name)
{
    letters->parts = wr_realloc(letters->parts, (letters->part_count + 1) * sizeof(char *));
    letters->parts[letters->part_count++] = wr_strdup(name);
}

static wr_status cannot_read(const struct wr_plan_sink *sink, struct wr_error *err)
{
    (void)wr_fail(err, WR_CLASS_USER, "error sink \"%s\": dead letters cannot be read back from connector '%s'",
                  sink->name, sink->connector);
    wr_error_hint(err, "weir dlq reads them from connector 'delta' and 'parquet', and from 'file', 'kafka' and 'eventhubs' with "
                       "format = 'json'");
    return WR_FAIL;
}

wr_status wr_letters_open(struct wr_letters **out, const struct wr_plan_sink *sink,
                          struct wr_error *err)
{
    uint32_t kind = 0;
    while (kinds[kind] != NULL && strcmp(kinds[kind]->connector, sink->connector) != 0) {
        kind++;
    }
    if (kinds[kind] == NULL) {
        return cannot_read(sink, err);
    }
    if (!kinds[kind]->any_format && strcmp(sink->format, "json") != 0) {
        (void)wr_fail(err, WR_CLASS_USER, "error sink \"%s\": dead letters cannot be read back from format '%s'",
                      sink->name, sink->format);
        wr_error_hint(err, "format = 'json' keeps all of a letter");
        return WR_FAIL;
    }
    struct wr_letters *letters = wr_calloc(1, sizeof *letters);
    letters->ops = kinds[kind];
    letters->sink = sink;
    if (letters->ops->open(letters, err) != WR_OK) {
        wr_error_prefix(err, "error sink \"%s\"", sink->name);
        wr_letters_close(letters);
        return WR_FAIL;
    }
    *out = letters;
    return WR_OK;
}

void wr_letters_close(struct wr_letters *letters)
{
    if (letters == NULL) {
        return;
    }
    letters->ops->close(letters);
    for (uint32_t i = 0; i < letters->part_count; i++) {
        free(letters->parts[i]);
    }
    free(letters->parts);
    free(letters);
}

uint32_t wr_letters_parts(const struct wr_letters *letters)
{
    return letters->part_count;
}

const char *wr_letters_part(const struct wr_letters *letters, uint32_t part)
{
    return letters->parts[part];
}

wr_status wr_letters_span(struct wr_letters *letters, uint32_t part, int64_t *begin, int64_t *end,
                          struct wr_error *err)
{
    WR_TRY_IN(letters->ops->span(letters, part, begin, end, err), err, "error sink \"%s\"",
              letters->sink->name);
    return WR_OK;
}

/* ---- what tells a part from another ---- */

#define HEAD_BYTES 512u
static const char mark_form[] = "head=%u:%llx";

wr_status wr_letters_mark(struct wr_letters *letters, uint32_t part,
                          char mark[WR_LETTERS_MARK_BYTES], struct wr_error *err)
{
    char head[HEAD_BYTES];
    size_t bytes = sizeof head;
    mark[0] = '\0';
    if (letters->ops->head == NULL) {
        return WR_OK;
    }
    WR_TRY(letters->ops->head(letters, part, head, &bytes, err));
    if (bytes > 0) {
        (void)snprintf(mark, WR_LETTERS_MARK_BYTES, mark_form, (unsigned)bytes,
                       (unsigned long long)wr_hash_bytes_raw(head, bytes));
    }
    return WR_OK;
}

bool wr_letters_fit(struct wr_letters *letters, uint32_t part, const char *mark)
{
    char head[HEAD_BYTES];
    unsigned count;
    unsigned long long hash;
    const char *at = mark != NULL ? strstr(mark, "head=") : NULL;
    if (letters->ops->head == NULL || at == NULL || sscanf(at, mark_form, &count, &hash) != 2 ||
        count > HEAD_BYTES) {
        return true;
    }
    size_t bytes = count;
    struct wr_error err;
    return letters->ops->head(letters, part, head, &bytes, &err) == WR_OK && bytes == count &&
           wr_hash_bytes_raw(head, bytes) == hash;
}

/* ---- readers ---- */

wr_status wr_letter_reader_open(struct wr_letter_reader **out, struct wr_letters *letters,
                                uint32_t part, int64_t from, int64_t to, struct wr_error *err)
{
    struct wr_letter_reader *reader = wr_calloc(1, sizeof *reader);
    reader->letters = letters;
    reader->part = part;
    reader->from = from;
    reader->to = to;
    reader->scratch = wr_letter_scratch_create();
    if (letters->ops->reader_open(reader, err) != WR_OK) {
        wr_error_prefix(err, "error sink \"%s\"", letters->sink->name);
        wr_letter_reader_close(reader);
        return WR_FAIL;
    }
    *out = reader;
    return WR_OK;
}

wr_status wr_letter_reader_next(struct wr_letter_reader *reader, struct wr_letter *letter,
                                struct wr_error *err)
{
    WR_TRY_IN(reader->letters->ops->next(reader, letter, err), err, "error sink \"%s\"",
              reader->letters->sink->name);
    return WR_OK;
}

void wr_letter_reader_close(struct wr_letter_reader *reader)
{
    if (reader != NULL) {
        reader->letters->ops->reader_close(reader);
        wr_letter_scratch_destroy(reader->scratch);
        free(reader);
    }
}

/* ---- how far ---- */

/* Names travel through JSON, logs and terminals. */
static void append_escaped(struct wr_buf *buf, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((uint8_t)*c < 0x20 || *c == '"' || *c == '\\' || *c == '%' || *c == 0x7f) {
            wr_buf_printf(buf, "%%%02X", (unsigned)(uint8_t)*c);
        } else {
            wr_buf_byte(buf, (uint8_t)*c);
        }
    }
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1);
}

static char *unescaped(const char *text)
{
    char *into = wr_malloc(strlen(text) + 1);
    size_t made = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '%' && hex(c[1]) >= 0 && hex(c[2]) >= 0) {
            into[made++] = (char)(hex(c[1]) * 16 + hex(c[2]));
            c += 2;
        } else {
            into[made++] = *c;
        }
    }
    into[made] = '\0';
    return into;
}

char *wr_replay_split_name(const char *sink, const char *part, const char *error)
{
    struct wr_buf name = { 0 };
    wr_buf_printf(&name, WR_REPLAY_PREFIX "%s/", sink);
    append_escaped(&name, part);
    if (error != NULL) {
        wr_buf_text(&name, "?error=");
        append_escaped(&name, error);
    }
    char *text = wr_strdup(wr_buf_cstr(&name));
    wr_buf_deinit(&name);
    return text;
}

void wr_replay_marks_find(struct wr_replay_marks *marks, const char *sink, const char *part,
                          const struct wr_replay_known *splits, uint32_t count)
{
    char *base = wr_replay_split_name(sink, part, NULL);
    const size_t bytes = strlen(base);
    *marks = (struct wr_replay_marks){ .items = wr_calloc(count + 1, sizeof *marks->items) };
    for (uint32_t i = 0; i < count; i++) {
        const char *rest = splits[i].name + bytes;
        if (strncmp(splits[i].name, base, bytes) != 0 ||
            (*rest != '\0' && strncmp(rest, "?error=", 7) != 0)) {
            continue;
        }
        marks->items[marks->count].error = *rest == '\0' ? NULL : unescaped(rest + 7);
        marks->items[marks->count].position = splits[i].position;
        marks->items[marks->count++].note = splits[i].note;
    }
    free(base);
}

void wr_replay_marks_deinit(struct wr_replay_marks *marks)
{
    for (uint32_t i = 0; i < marks->count; i++) {
        free(marks->items[i].error);
    }
    free(marks->items);
    *marks = (struct wr_replay_marks){ 0 };
}

bool wr_replay_marks_done(const struct wr_replay_marks *marks, const struct wr_letter *letter)
{
    for (uint32_t i = 0; i < marks->count; i++) {
        if (letter->position < marks->items[i].position &&
            wr_letter_has_error(letter, marks->items[i].error)) {
            return true;
        }
    }
    return false;
}
