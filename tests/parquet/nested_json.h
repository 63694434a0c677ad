/* nested_json.h: types of any depth from SQL's text, and values of them from JSON, for the test programs.
 *
 * Scalars are JSON strings in SQL's text (or JSON numbers and booleans), structs are arrays of their fields' values in order, arrays
 * arrays, maps arrays of [key, value]. Wrong input aborts: it is the test's own.
 */
#ifndef WR_TESTS_NESTED_JSON_H
#define WR_TESTS_NESTED_JSON_H

#include "base/arena.h"
#include "base/assert.h"
#include "batch/nested.h"
#include "batch/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static struct wr_type nested_json_type(const char **at);

static void nested_json_skip(const char **at, const char *word)
{
    wr_assert(strncmp(*at, word, strlen(word)) == 0);
    *at += strlen(word);
    *at += strspn(*at, " ");
}

static struct wr_type nested_json_scalar(const char **at)
{
    char name[32];
    char known[32];
    unsigned precision;
    unsigned scale;
    int used = 0;
    if (sscanf(*at, "NUMERIC(%u,%u)%n", &precision, &scale, &used) == 2 && used > 0) {
        *at += used;
        return (struct wr_type){ WR_TYPE_DECIMAL, (uint8_t)precision, (uint8_t)scale, 0 };
    }
    const size_t bytes = strcspn(*at, ",>[");
    wr_assert(bytes < sizeof name);
    memcpy(name, *at, bytes);
    name[bytes] = '\0';
    *at += bytes;
    for (int id = WR_TYPE_BOOL; id < WR_TYPE_STATE; id++) {
        if (strcmp(wr_type_name(wr_type_of((enum wr_type_id)id), known, sizeof known), name) == 0) {
            return wr_type_of((enum wr_type_id)id);
        }
    }
    fprintf(stderr, "no type %s\n", name);
    abort();
}

static void nested_json_name(const char **at, char *into)
{
    const bool quoted = **at == '"';
    *at += quoted;
    while (quoted ? **at != '"' || (*at)[1] == '"' : **at != ' ') {
        *at += quoted && **at == '"';
        *into++ = *(*at)++;
    }
    *into = '\0';
    *at += quoted;
    *at += strspn(*at, " ");
}

static struct wr_type nested_json_struct(const char **at)
{
    struct wr_nested_field fields[64];
    char names[64][64];
    uint32_t count = 0;
    struct wr_type type;
    nested_json_skip(at, "STRUCT<");
    do {
        wr_assert(count < 64);
        if (count > 0) {
            nested_json_skip(at, ",");
        }
        nested_json_name(at, names[count]);
        fields[count].name = names[count];
        fields[count++].type = nested_json_type(at);
    } while (**at == ',');
    nested_json_skip(at, ">");
    wr_assert(wr_nested_struct(fields, count, &type, NULL) == WR_OK);
    return type;
}

static struct wr_type nested_json_type(const char **at)
{
    struct wr_type type;
    if (strncmp(*at, "STRUCT<", 7) == 0) {
        type = nested_json_struct(at);
    } else if (strncmp(*at, "MAP<", 4) == 0) {
        nested_json_skip(at, "MAP<");
        const struct wr_type key = nested_json_type(at);
        nested_json_skip(at, ",");
        const struct wr_type value = nested_json_type(at);
        nested_json_skip(at, ">");
        wr_assert(wr_nested_map(key, value, &type, NULL) == WR_OK);
    } else {
        type = nested_json_scalar(at);
    }
    while (strncmp(*at, "[]", 2) == 0) {
        nested_json_skip(at, "[]");
        wr_assert(wr_nested_array(type, &type, NULL) == WR_OK);
    }
    return type;
}

/* A scalar as it lies in a column; texts live in arena. */
static void nested_json_parse(struct wr_type type, const json_t *json, struct wr_arena *arena,
                              void *value)
{
    char *text = json_is_string(json) ? NULL : json_dumps(json, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    const char *data = text != NULL ? text : json_string_value(json);
    const size_t bytes = text != NULL ? strlen(text) : json_string_length(json);
    const char *kept = wr_arena_strndup(arena, data, bytes);
    const struct wr_slice slice = { kept, bytes };
    if (!(type.id == WR_TYPE_BYTES ? wr_text_parse_bytes(slice, arena, value)
                                   : wr_text_parse(type, slice, value))) {
        fprintf(stderr, "bad value %s\n", data);
        abort();
    }
    free(text);
}

static void nested_json_slot(struct wr_nested_writer *w, struct wr_type type, const json_t *json,
                             struct wr_arena *arena);

static void nested_json_slots(struct wr_nested_writer *w, struct wr_type type, const json_t *json,
                              struct wr_arena *arena)
{
    const struct wr_nested *nested = wr_nested_of(type);
    for (size_t i = 0; i < json_array_size(json); i++) {
        const json_t *item = json_array_get(json, i);
        if (type.id == WR_TYPE_MAP) {
            nested_json_slot(w, nested->fields[0].type, json_array_get(item, 0), arena);
            nested_json_slot(w, nested->fields[1].type, json_array_get(item, 1), arena);
        } else {
            nested_json_slot(w, nested->fields[type.id == WR_TYPE_STRUCT ? i : 0].type, item, arena);
        }
    }
}

static void nested_json_slot(struct wr_nested_writer *w, struct wr_type type, const json_t *json,
                             struct wr_arena *arena)
{
    char value[16] __attribute__((aligned(16)));
    if (json_is_null(json)) {
        wr_nested_put_null(w);
    } else if (wr_type_is_nested(type)) {
        wr_nested_open(w, type);
        nested_json_slots(w, type, json, arena);
        (void)wr_nested_close(w);
    } else {
        nested_json_parse(type, json, arena, value);
        wr_nested_put(w, type, value);
    }
}

/* Any value but NULL, as it lies in a column. */
static void nested_json_value(struct wr_type type, const json_t *json, struct wr_arena *arena,
                              void *value)
{
    struct wr_nested_writer w = { 0 };
    if (!wr_type_is_nested(type)) {
        nested_json_parse(type, json, arena, value);
        return;
    }
    wr_nested_open(&w, type);
    nested_json_slots(&w, type, json, arena);
    const struct wr_slice body = wr_nested_close(&w);
    wr_assert(wr_nested_check(type, body));
    const struct wr_view view = wr_view_of(wr_arena_strndup(arena, body.data, body.bytes), body.bytes);
    memcpy(value, &view, sizeof view);
    wr_nested_writer_deinit(&w);
}

#endif
