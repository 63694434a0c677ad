/* json_schema.c: reading JSON Schema; see json_schema.h. */
#include "decode/json_schema.h"

#include "base/heap.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

/* More places than this come from a schema made to hurt. */
#define NODES_MAX 100000u
#define DEPTH_MAX 200u
#define PROPERTIES_MAX 1024u

struct parser {
    struct wr_json_schema *schema;
    struct wr_error *err;
    uint32_t depth;
};

static const struct wr_json_schema_node *parse(struct parser *p, const json_t *json);

static bool bad(struct parser *p, const char *keyword, const char *why)
{
    (void)wr_fail(p->err, WR_CLASS_DATA, "JSON Schema: \"%.60s\" %s", keyword, why);
    return false;
}

/* ---- keywords ---- */

static bool take_types(struct parser *p, struct wr_json_schema_node *node, const json_t *json)
{
    static const struct {
        const char *name;
        uint8_t types;
    } names[] = { { "null", WR_JSON_IS_NULL },       { "boolean", WR_JSON_IS_BOOLEAN },
                  { "integer", WR_JSON_IS_INTEGER }, { "number", WR_JSON_IS_INTEGER | WR_JSON_IS_NUMBER },
                  { "string", WR_JSON_IS_STRING },   { "array", WR_JSON_IS_ARRAY },
                  { "object", WR_JSON_IS_OBJECT } };
    const size_t count = json_is_array(json) ? json_array_size(json) : 1;
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_is_array(json) ? json_array_get(json, i) : json;
        const char *name = json_string_value(one);
        uint8_t found = 0;
        for (size_t k = 0; name != NULL && k < sizeof names / sizeof names[0]; k++) {
            found = strcmp(names[k].name, name) == 0 ? names[k].types : found;
        }
        if (found == 0) {
            return bad(p, "type", "is a type's name, or a list of them");
        }
        node->types |= found;
    }
    return true;
}

static bool take_count(struct parser *p, const char *keyword, const json_t *json, int64_t *into)
{
    const double value = json_number_value(json);
    if (!json_is_number(json) || value < 0 || value > 1e15 || value != (double)(int64_t)value) {
        return bad(p, keyword, "is a whole number from 0");
    }
    *into = (int64_t)value;
    return true;
}

static bool take_bound(struct parser *p, struct wr_json_bound *bound, const char *keyword,
                       const json_t *json, bool exclusive, bool low)
{
    if (exclusive && json_is_boolean(json)) { /* draft 4: beside minimum */
        bound->exclusive = json_is_true(json);
        return true;
    }
    if (!json_is_number(json)) {
        return bad(p, keyword, "is a number");
    }
    const double value = json_number_value(json);
    /* Of `minimum` and `exclusiveMinimum` the one that says more. */
    if (!bound->set || (low ? value > bound->value : value < bound->value) ||
        (value == bound->value && exclusive)) {
        bound->value = value;
        bound->exclusive = exclusive || (!bound->set && bound->exclusive);
        bound->keyword = keyword;
    }
    bound->set = true;
    return true;
}

static bool take_pattern(struct parser *p, struct wr_json_schema_node *node, const json_t *json)
{
    int error;
    PCRE2_SIZE at;
    if (!json_is_string(json)) {
        return bad(p, "pattern", "is a text");
    }
    node->pattern_text = json_string_value(json);
    node->pattern = pcre2_compile((PCRE2_SPTR)node->pattern_text, json_string_length(json),
                                  PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX, &error, &at,
                                  NULL);
    if (node->pattern == NULL) {
        char text[120];
        pcre2_get_error_message(error, (PCRE2_UCHAR *)text, sizeof text);
        (void)wr_fail(p->err, WR_CLASS_DATA, "JSON Schema: pattern \"%.60s\", character %zu: %s", node->pattern_text,
                      at, text);
        return false;
    }
    (void)pcre2_jit_compile(node->pattern, PCRE2_JIT_COMPLETE);
    return true;
}

static bool take_list(struct parser *p, struct wr_json_schema_nodes *list, const char *keyword,
                      const json_t *json)
{
    const size_t count = json_array_size(json);
    if (count == 0) {
        return bad(p, keyword, "is a list of schemas");
    }
    list->items = WR_ARENA_ARRAY(&p->schema->arena, const struct wr_json_schema_node *, count);
    for (size_t i = 0; i < count; i++) {
        list->items[i] = parse(p, json_array_get(json, i));
        if (list->items[i] == NULL) {
            return false;
        }
    }
    list->count = (uint32_t)count;
    return true;
}

static struct wr_json_property *property(struct parser *p, struct wr_json_schema_node *node,
                                         struct wr_slice name)
{
    for (uint32_t i = 0; i < node->property_count; i++) {
        if (wr_slice_equal(node->properties[i].name, name)) {
            return &node->properties[i];
        }
    }
    if (node->property_count == PROPERTIES_MAX) {
        (void)bad(p, "properties", "are more than 1024");
        return NULL;
    }
    struct wr_json_property *made = &node->properties[node->property_count++];
    *made = (struct wr_json_property){ .name = name };
    return made;
}

/* `properties` and `required` in one table. */
static bool take_properties(struct parser *p, struct wr_json_schema_node *node, const json_t *json)
{
    const json_t *own = json_object_get(json, "properties");
    const json_t *required = json_object_get(json, "required");
    const size_t room = json_object_size(own) + json_array_size(required);
    const char *key;
    json_t *value;
    if ((own != NULL && !json_is_object(own)) || (required != NULL && !json_is_array(required))) {
        return bad(p, own != NULL && !json_is_object(own) ? "properties" : "required",
                   own != NULL && !json_is_object(own) ? "is an object" : "is a list of names");
    }
    node->properties = WR_ARENA_ARRAY(&p->schema->arena, struct wr_json_property,
                                      room < PROPERTIES_MAX ? room + 1 : PROPERTIES_MAX);
    json_object_foreach((json_t *)own, key, value)
    {
        struct wr_json_property *made = property(p, node, wr_slice_of(key));
        if (made == NULL || (made->node = parse(p, value)) == NULL) {
            return false;
        }
    }
    for (size_t i = 0; i < json_array_size(required); i++) {
        const json_t *name = json_array_get(required, i);
        if (!json_is_string(name)) {
            return bad(p, "required", "is a list of names");
        }
        struct wr_json_property *made = property(p, node, wr_slice_of(json_string_value(name)));
        if (made == NULL) {
            return false;
        }
        node->required_count += !made->required;
        made->required = true;
    }
    return true;
}

/* ---- references ---- */

/* A segment of a JSON pointer, in a URI: ~1 is /, ~0 is ~, %41 is A. */
static void unescape(char *segment)
{
    char *into = segment;
    for (const char *at = segment; *at != '\0'; at++) {
        unsigned code;
        if (*at == '%' && sscanf(at + 1, "%2x", &code) == 1) {
            *into++ = (char)code;
            at += 2;
        } else {
            *into++ = *at;
        }
    }
    *into = '\0';
    into = segment;
    for (const char *at = segment; *at != '\0'; at++) {
        if (*at == '~' && (at[1] == '0' || at[1] == '1')) {
            *into++ = at[1] == '0' ? '~' : '/';
            at++;
        } else {
            *into++ = *at;
        }
    }
    *into = '\0';
}

static const json_t *follow(const json_t *root, const char *pointer)
{
    char *copy = wr_strdup(pointer);
    char *rest = copy + 1;
    char *segment;
    while (root != NULL && (segment = strsep(&rest, "/")) != NULL) {
        unescape(segment);
        root = json_is_array(root) ? json_array_get(root, (size_t)strtoul(segment, NULL, 10))
                                   : json_object_get(root, segment);
    }
    free(copy);
    return root;
}

static bool take_reference(struct parser *p, struct wr_json_schema_node *node, const json_t *json)
{
    const char *text = json_string_value(json);
    if (text == NULL || text[0] != '#' || (text[1] != '\0' && text[1] != '/')) {
        (void)wr_fail(p->err, WR_CLASS_DATA, "JSON Schema: $ref \"%.80s\" leads out of the document (#/… stays within)",
                      text != NULL ? text : "");
        return false;
    }
    const json_t *found = text[1] == '\0' ? p->schema->json : follow(p->schema->json, text + 1);
    if (found == NULL) {
        (void)wr_fail(p->err, WR_CLASS_DATA, "JSON Schema: $ref \"%.80s\" leads nowhere", text);
        return false;
    }
    node->reference = parse(p, found);
    return node->reference != NULL;
}

/* ---- nodes ---- */

/* Said about a value, never checked; and words of tools that make schemas. */
static bool is_annotation(const char *keyword)
{
    static const char *const words[] = {
        "$schema", "$id", "id", "$comment", "title", "description", "default", "example", "examples",
        "deprecated", "readOnly", "writeOnly", "format", "contentEncoding", "contentMediaType",
        "definitions", "$defs", "$anchor", "additionalItems", "existingJavaType",
    };
    static const char *const begins[] = { "x-", "connect.", "java", "confluent:", "tsType" };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i], keyword) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        if (strncmp(begins[i], keyword, strlen(begins[i])) == 0) {
            return true;
        }
    }
    return false;
}

static bool take_number(struct parser *p, struct wr_json_schema_node *node, const char *keyword,
                        const json_t *value, bool *known)
{
    const struct {
        const char *keyword;
        int64_t *into;
    } counts[] = { { "minLength", &node->length_min },         { "maxLength", &node->length_max },
                   { "minItems", &node->items_min },           { "maxItems", &node->items_max },
                   { "minProperties", &node->properties_min }, { "maxProperties", &node->properties_max } };
    *known = true;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (strcmp(counts[i].keyword, keyword) == 0) {
            return take_count(p, counts[i].keyword, value, counts[i].into);
        }
    }
    if (strcmp(keyword, "minimum") == 0 || strcmp(keyword, "exclusiveMinimum") == 0) {
        return take_bound(p, &node->low, keyword[0] == 'm' ? "minimum" : "exclusiveMinimum", value,
                          keyword[0] == 'e', true);
    }
    if (strcmp(keyword, "maximum") == 0 || strcmp(keyword, "exclusiveMaximum") == 0) {
        return take_bound(p, &node->high, keyword[0] == 'm' ? "maximum" : "exclusiveMaximum", value,
                          keyword[0] == 'e', false);
    }
    *known = false;
    return true;
}

static bool take_schemas(struct parser *p, struct wr_json_schema_node *node, const char *keyword,
                         const json_t *value, bool *known)
{
    *known = true;
    if (strcmp(keyword, "allOf") == 0) {
        return take_list(p, &node->all, "allOf", value);
    } else if (strcmp(keyword, "anyOf") == 0) {
        return take_list(p, &node->any, "anyOf", value);
    } else if (strcmp(keyword, "oneOf") == 0) {
        return take_list(p, &node->one, "oneOf", value);
    } else if (strcmp(keyword, "not") == 0) {
        return (node->not_this = parse(p, value)) != NULL;
    } else if (strcmp(keyword, "items") == 0) {
        return !json_is_array(value) ? (node->items = parse(p, value)) != NULL
                                     : bad(p, "items", "as a list of schemas is not checked by weir");
    } else if (strcmp(keyword, "additionalProperties") == 0) {
        return (node->other_properties = parse(p, value)) != NULL;
    } else if (strcmp(keyword, "$ref") == 0) {
        return take_reference(p, node, value);
    }
    *known = false;
    return true;
}

static bool take_keyword(struct parser *p, struct wr_json_schema_node *node, const char *keyword,
                         const json_t *value)
{
    bool known = false;
    if (strcmp(keyword, "properties") == 0 || strcmp(keyword, "required") == 0) {
        return true; /* take_properties */
    } else if (strcmp(keyword, "type") == 0) {
        return take_types(p, node, value);
    } else if (strcmp(keyword, "enum") == 0) {
        node->any_of_values = value;
        return json_is_array(value) || bad(p, "enum", "is a list of values");
    } else if (strcmp(keyword, "const") == 0) {
        node->one_value = value;
        return true;
    } else if (strcmp(keyword, "pattern") == 0) {
        return take_pattern(p, node, value);
    }
    if (strcmp(keyword, "format") == 0) {
        node->format = json_string_value(value);
    }
    bool fine = take_number(p, node, keyword, value, &known);
    if (!known) {
        fine = take_schemas(p, node, keyword, value, &known);
    }
    return known ? fine : is_annotation(keyword) || bad(p, keyword, "is not checked by weir");
}

static bool fill(struct parser *p, struct wr_json_schema_node *node, const json_t *json)
{
    const char *keyword;
    json_t *value;
    if (json_is_boolean(json)) {
        node->never = json_is_false(json);
        return true;
    }
    if (!json_is_object(json)) {
        (void)wr_fail(p->err, WR_CLASS_DATA, "JSON Schema: a schema is an object, true or false");
        return false;
    }
    if (!take_properties(p, node, json)) {
        return false;
    }
    json_object_foreach((json_t *)json, keyword, value)
    {
        if (!take_keyword(p, node, keyword, value)) {
            return false;
        }
    }
    return true;
}

static const struct wr_json_schema_node *parse(struct parser *p, const json_t *json)
{
    struct wr_json_schema *schema = p->schema;
    for (struct wr_json_schema_node *node = schema->nodes; node != NULL && !json_is_boolean(json);
         node = node->next) {
        if (node->from == json) {
            return node; /* jansson keeps one object for all trues */
        }
    }
    if (schema->node_count++ == NODES_MAX || p->depth == DEPTH_MAX) {
        (void)wr_fail(p->err, WR_CLASS_DATA, "JSON Schema: too large, or nested deeper than %u levels", DEPTH_MAX);
        return NULL;
    }
    struct wr_json_schema_node *node = WR_ARENA_NEW(&schema->arena, struct wr_json_schema_node);
    *node = (struct wr_json_schema_node){ .from = json,
                                          .length_min = -1,
                                          .length_max = -1,
                                          .items_min = -1,
                                          .items_max = -1,
                                          .properties_min = -1,
                                          .properties_max = -1,
                                          .next = schema->nodes };
    schema->nodes = node;
    p->depth++;
    const bool fine = fill(p, node, json);
    p->depth--;
    return fine ? node : NULL;
}

wr_status wr_json_schema_parse(struct wr_json_schema **out, struct wr_slice text,
                               struct wr_error *err)
{
    struct wr_error own = { 0 };
    json_error_t where;
    wr_ensure(text.bytes <= WR_JSON_SCHEMA_BYTES_MAX, err, WR_CLASS_DATA, "JSON Schema: longer than %u MiB",
              WR_JSON_SCHEMA_BYTES_MAX >> 20);
    json_t *json = json_loadb(text.data, text.bytes, JSON_DECODE_ANY, &where);
    wr_ensure(json != NULL, err, WR_CLASS_DATA, "JSON Schema: line %d, column %d: %s", where.line, where.column,
              where.text);
    struct wr_json_schema *schema = wr_calloc(1, sizeof *schema);
    struct parser p = { .schema = schema, .err = &own };
    wr_arena_init(&schema->arena, 0);
    schema->json = json;
    schema->root = parse(&p, json);
    if (schema->root == NULL) {
        wr_json_schema_destroy(schema);
        if (err != NULL) {
            *err = own;
        }
        return WR_FAIL;
    }
    *out = schema;
    return WR_OK;
}

void wr_json_schema_destroy(struct wr_json_schema *schema)
{
    if (schema == NULL) {
        return;
    }
    for (struct wr_json_schema_node *node = schema->nodes; node != NULL; node = node->next) {
        pcre2_code_free(node->pattern);
    }
    json_decref(schema->json);
    wr_arena_deinit(&schema->arena);
    free(schema);
}
