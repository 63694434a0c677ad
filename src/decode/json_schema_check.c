/* json_schema_check.c: holding JSON text against a schema; see json_schema.h. */
#include "base/heap.h"
#include "base/limits.h"
#include "batch/json_scan.h"
#include "batch/text.h"
#include "decode/json_schema.h"
#include "decode/json_text.h"
#include <math.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

/* Steps that PCRE2 may take for one text, and what one check may look at: hostile texts end in a violation, not in a wait. */
#define MATCH_LIMIT 1000000u
#define BUDGET_BASE 100000u
#define BUDGET_EACH 64u
#define SHOWN_BYTES 40u

struct wr_json_checker {
    struct wr_buf text; /* a string without its escapes */
    pcre2_match_data *match;
    pcre2_match_context *context;
    /* of the check at hand */
    struct wr_json_violation *violation;
    uint32_t quiet; /* within anyOf and its like: what fails there is no violation yet */
    uint32_t depth;
    uint64_t budget;
    struct step {
        const char *key; /* with quotes, in the text; NULL: an element */
        const char *key_after;
        uint64_t index;
    } steps[WR_JSON_DEPTH_MAX];
    uint32_t step_count;
};

typedef struct wr_json_checker checker;
typedef struct wr_json_schema_node node;

static bool check(checker *c, const node *n, const char *at, const char *after);

checker *wr_json_checker_create(void)
{
    checker *c = wr_calloc(1, sizeof *c);
    c->match = pcre2_match_data_create(1, NULL);
    c->context = pcre2_match_context_create(NULL);
    if (c->context != NULL) {
        pcre2_set_match_limit(c->context, MATCH_LIMIT);
        pcre2_set_depth_limit(c->context, MATCH_LIMIT);
    }
    return c;
}

void wr_json_checker_destroy(checker *c)
{
    if (c != NULL) {
        pcre2_match_data_free(c->match);
        pcre2_match_context_free(c->context);
        wr_buf_deinit(&c->text);
        free(c);
    }
}

/* ---- texts ---- */

/* A string without quotes and escapes: borrowed from the text, or in the checker until the next one. */
static struct wr_slice plain(checker *c, const char *at, const char *after)
{
    struct wr_slice text = { at + 1, (size_t)(after - at) - 2 };
    if (text.bytes > 0 && memchr(text.data, '\\', text.bytes) != NULL) {
        c->text.bytes = 0;
        char *into = wr_buf_reserve(&c->text, text.bytes);
        text = (struct wr_slice){ into, wr_json_unescape(text.data, text.bytes, into) };
    }
    return text;
}

static bool append(char *into, size_t room, size_t *used, const char *text, size_t bytes)
{
    if (*used + bytes >= room) {
        return false;
    }
    memcpy(into + *used, text, bytes);
    *used += bytes;
    into[*used] = '\0';
    return true;
}

static void point(checker *c)
{
    char *into = c->violation->pointer;
    const size_t room = sizeof c->violation->pointer;
    size_t used = 0;
    bool fits = true;
    into[0] = '\0';
    for (uint32_t i = 0; i < c->step_count && fits; i++) {
        char number[32];
        fits = append(into, room, &used, "/", 1);
        if (c->steps[i].key == NULL) {
            const int made = snprintf(number, sizeof number, "%llu", (unsigned long long)c->steps[i].index);
            fits = fits && append(into, room, &used, number, (size_t)made);
            continue;
        }
        const struct wr_slice key = plain(c, c->steps[i].key, c->steps[i].key_after);
        for (size_t k = 0; k < key.bytes && fits; k++) {
            fits = key.data[k] == '~'   ? append(into, room, &used, "~0", 2)
                   : key.data[k] == '/' ? append(into, room, &used, "~1", 2)
                                        : append(into, room, &used, &key.data[k], 1);
        }
    }
}

/* rule: "minimum 0"; the value is shown behind it. */
static bool violated(checker *c, const char *rule, const char *at, const char *after)
{
    if (c->quiet > 0) {
        return false;
    }
    size_t shown = (size_t)(after - at);
    const bool cut = shown > SHOWN_BYTES;
    shown = cut ? SHOWN_BYTES : shown;
    while (shown > 0 && !wr_utf8_valid(at, shown)) {
        shown--; /* not in the middle of a character */
    }
    (void)snprintf(c->violation->message, sizeof c->violation->message, "%.90s: %.*s%s", rule, (int)shown, at,
                   cut ? "..." : "");
    point(c);
    return false;
}

static bool violated_count(checker *c, const char *keyword, int64_t limit, const char *at,
                           const char *after)
{
    char rule[60];
    (void)snprintf(rule, sizeof rule, "%s %lld", keyword, (long long)limit);
    return violated(c, rule, at, after);
}

static bool within(checker *c, int64_t count, int64_t low, int64_t high, const char *low_keyword,
                   const char *high_keyword, const char *at, const char *after)
{
    if (count < low) {
        return violated_count(c, low_keyword, low, at, after);
    }
    return high < 0 || count <= high || violated_count(c, high_keyword, high, at, after);
}

/* ---- equality with a schema's value ---- */

static bool equals(checker *c, const json_t *wanted, const char *at, const char *after);

static bool equals_object(checker *c, const json_t *wanted, const char *at)
{
    struct wr_json_part part;
    size_t count = 0;
    for (at++; (at = wr_json_next_member(at, &part)) != NULL; count++) {
        const struct wr_slice key = plain(c, part.key, part.key_after);
        const json_t *own = json_object_getn(wanted, key.data, key.bytes);
        if (own == NULL || !equals(c, own, part.at, part.after)) {
            return false;
        }
    }
    return count == json_object_size(wanted);
}

static bool equals_array(checker *c, const json_t *wanted, const char *at)
{
    struct wr_json_part part;
    size_t count = 0;
    for (at++; (at = wr_json_next_element(at, &part)) != NULL; count++) {
        if (count >= json_array_size(wanted) ||
            !equals(c, json_array_get(wanted, count), part.at, part.after)) {
            return false;
        }
    }
    return count == json_array_size(wanted);
}

static bool equals_number(const json_t *wanted, const char *at, const char *after)
{
    double value;
    int64_t whole;
    const struct wr_slice text = { at, (size_t)(after - at) };
    if (json_is_integer(wanted) && wr_text_parse_int64(text, &whole)) {
        return whole == json_integer_value(wanted); /* exact, also beyond 2^53 */
    }
    return json_is_number(wanted) && wr_text_parse_double(text, &value) &&
           value == json_number_value(wanted);
}

static bool equals(checker *c, const json_t *wanted, const char *at, const char *after)
{
    switch (*at) {
    case 'n':
        return json_is_null(wanted);
    case 't':
        return json_is_true(wanted);
    case 'f':
        return json_is_false(wanted);
    case '{':
        return json_is_object(wanted) && equals_object(c, wanted, at);
    case '[':
        return json_is_array(wanted) && equals_array(c, wanted, at);
    case '"': {
        const struct wr_slice text = plain(c, at, after);
        return json_is_string(wanted) && json_string_length(wanted) == text.bytes &&
               memcmp(json_string_value(wanted), text.data, text.bytes) == 0;
    }
    default:
        return equals_number(wanted, at, after);
    }
}

static bool check_values(checker *c, const node *n, const char *at, const char *after)
{
    if (n->one_value != NULL && !equals(c, n->one_value, at, after)) {
        return violated(c, "const", at, after);
    }
    for (size_t i = 0; n->any_of_values != NULL; i++) {
        if (i == json_array_size(n->any_of_values)) {
            return violated(c, "enum", at, after);
        }
        if (equals(c, json_array_get(n->any_of_values, i), at, after)) {
            break;
        }
    }
    return true;
}

/* ---- by kind of value ---- */

static bool check_number(checker *c, const node *n, double value, const char *at, const char *after)
{
    const struct wr_json_bound *bounds[] = { &n->low, &n->high };
    for (uint32_t i = 0; i < 2; i++) {
        const struct wr_json_bound *b = bounds[i];
        const bool past = i == 0 ? value < b->value : value > b->value;
        if (b->set && (past || (b->exclusive && value == b->value))) {
            char rule[80];
            (void)snprintf(rule, sizeof rule, "%s %.17g%s", b->keyword, b->value,
                           b->exclusive && b->keyword[0] == 'm' ? " (exclusive)" : "");
            return violated(c, rule, at, after);
        }
    }
    return true;
}

static bool check_string(checker *c, const node *n, const char *at, const char *after)
{
    if (n->length_min < 0 && n->length_max < 0 && n->pattern == NULL) {
        return true;
    }
    const struct wr_slice text = plain(c, at, after);
    int64_t characters = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        characters += ((uint8_t)text.data[i] & 0xc0) != 0x80;
    }
    if (!within(c, characters, n->length_min, n->length_max, "minLength", "maxLength", at, after)) {
        return false;
    }
    if (n->pattern == NULL) {
        return true;
    }
    const int found = pcre2_match(n->pattern, (PCRE2_SPTR)text.data, text.bytes, 0, PCRE2_NO_UTF_CHECK, c->match,
                                  c->context);
    if (found >= 0) {
        return true;
    }
    char rule[90];
    (void)snprintf(rule, sizeof rule, "pattern %.60s%s", n->pattern_text,
                   found == PCRE2_ERROR_NOMATCH ? "" : " (takes too long)");
    return violated(c, rule, at, after);
}

static bool step_into(checker *c, struct step step, const node *n, const char *at,
                      const char *after)
{
    if (c->step_count == WR_JSON_DEPTH_MAX) {
        return violated(c, "nested too deep to be checked", at, after);
    }
    c->steps[c->step_count++] = step;
    const bool fine = check(c, n, at, after);
    c->step_count--;
    return fine;
}

static bool check_array(checker *c, const node *n, const char *at, const char *after)
{
    struct wr_json_part part;
    int64_t count = 0;
    if (n->items == NULL && n->items_min < 0 && n->items_max < 0) {
        return true;
    }
    const char *next = at + 1;
    for (; (next = wr_json_next_element(next, &part)) != NULL; count++) {
        if (n->items != NULL && !step_into(c, (struct step){ .index = (uint64_t)count }, n->items, part.at, part.after)) {
            return false;
        }
    }
    return within(c, count, n->items_min, n->items_max, "minItems", "maxItems", at, after);
}

/* expected: the property that comes next when the members are in the schema's order. */
static uint32_t find_property(const node *n, struct wr_slice name, uint32_t expected)
{
    for (uint32_t i = 0; i < n->property_count; i++) {
        const uint32_t at = (expected + i) % n->property_count;
        if (wr_slice_equal(n->properties[at].name, name)) {
            return at;
        }
    }
    return UINT32_MAX;
}

static bool check_required(checker *c, const node *n, const uint64_t *seen, const char *at,
                           const char *after)
{
    for (uint32_t i = 0; i < n->property_count; i++) {
        if (n->properties[i].required && (seen[i / 64] >> (i % 64) & 1) == 0) {
            char rule[90];
            (void)snprintf(rule, sizeof rule, "required \"%.*s\"",
                           n->properties[i].name.bytes > 60 ? 60 : (int)n->properties[i].name.bytes,
                           n->properties[i].name.data);
            return violated(c, rule, at, after);
        }
    }
    return true;
}

static bool check_member(checker *c, const node *n, const struct wr_json_part *part, uint32_t found)
{
    const struct step step = { .key = part->key, .key_after = part->key_after };
    const node *own = found != UINT32_MAX ? n->properties[found].node : NULL;
    /* What is required only is no property of its own. */
    own = own == NULL ? n->other_properties : own;
    if (own == NULL) {
        return true;
    }
    if (own->never && own == n->other_properties) {
        c->steps[c->step_count] = step;
        c->step_count += c->step_count < WR_JSON_DEPTH_MAX - 1;
        const bool no = violated(c, "additionalProperties false", part->at, part->after);
        c->step_count -= c->step_count > 0;
        return no;
    }
    return step_into(c, step, own, part->at, part->after);
}

static bool check_object(checker *c, const node *n, const char *at, const char *after)
{
    struct wr_json_part part;
    uint64_t seen[1024 / 64 + 1];
    uint32_t expected = 0;
    int64_t count = 0;
    if (n->property_count == 0 && n->other_properties == NULL && n->properties_min < 0 &&
        n->properties_max < 0) {
        return true;
    }
    memset(seen, 0, (n->property_count / 64 + 1) * sizeof seen[0]);
    for (const char *next = at + 1; (next = wr_json_next_member(next, &part)) != NULL; count++) {
        if (c->budget < n->property_count / 16) {
            return violated(c, "takes too long to be checked", at, after);
        }
        const uint32_t found = find_property(n, plain(c, part.key, part.key_after), expected);
        if (found != UINT32_MAX) {
            seen[found / 64] |= 1ull << (found % 64);
            expected = found + 1;
        } else {
            c->budget -= n->property_count / 16;
        }
        if (!check_member(c, n, &part, found)) {
            return false;
        }
    }
    return within(c, count, n->properties_min, n->properties_max, "minProperties", "maxProperties", at, after) &&
           check_required(c, n, seen, at, after);
}

static uint8_t type_of(const char *at, const char *after, double *number)
{
    switch (*at) {
    case 'n':
        return WR_JSON_IS_NULL;
    case 't':
    case 'f':
        return WR_JSON_IS_BOOLEAN;
    case '"':
        return WR_JSON_IS_STRING;
    case '[':
        return WR_JSON_IS_ARRAY;
    case '{':
        return WR_JSON_IS_OBJECT;
    default:
        *number = 0;
        (void)wr_text_parse_double((struct wr_slice){ at, (size_t)(after - at) }, number);
        return *number == trunc(*number) ? WR_JSON_IS_INTEGER : WR_JSON_IS_NUMBER; /* 5.0 too */
    }
}

static bool check_kind(checker *c, const node *n, const char *at, const char *after)
{
    static const struct {
        uint8_t type;
        const char *name;
    } names[] = { { WR_JSON_IS_NUMBER, "number" },   { WR_JSON_IS_INTEGER, "integer" }, { WR_JSON_IS_STRING, "string" },
                  { WR_JSON_IS_BOOLEAN, "boolean" }, { WR_JSON_IS_OBJECT, "object" },   { WR_JSON_IS_ARRAY, "array" },
                  { WR_JSON_IS_NULL, "null" } };
    double number = 0;
    const uint8_t type = type_of(at, after, &number);
    if (n->types != 0 && (n->types & type) == 0) {
        char rule[80] = "type";
        size_t used = 4;
        uint8_t left = n->types;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            if ((left & names[i].type) != 0) {
                left &= (uint8_t) ~(names[i].type == WR_JSON_IS_NUMBER ? WR_JSON_IS_NUMBER | WR_JSON_IS_INTEGER
                                                                       : names[i].type);
                used += (size_t)snprintf(rule + used, sizeof rule - used, " %s", names[i].name);
            }
        }
        return violated(c, rule, at, after);
    }
    switch (type) {
    case WR_JSON_IS_INTEGER:
    case WR_JSON_IS_NUMBER:
        return check_number(c, n, number, at, after);
    case WR_JSON_IS_STRING:
        return check_string(c, n, at, after);
    case WR_JSON_IS_ARRAY:
        return check_array(c, n, at, after);
    case WR_JSON_IS_OBJECT:
        return check_object(c, n, at, after);
    default:
        return true;
    }
}

/* ---- schemas of schemas ---- */

static uint32_t matches(checker *c, const struct wr_json_schema_nodes *nodes, uint32_t enough,
                        const char *at, const char *after)
{
    uint32_t count = 0;
    c->quiet++;
    for (uint32_t i = 0; i < nodes->count && count < enough; i++) {
        count += check(c, nodes->items[i], at, after);
    }
    c->quiet--;
    return count;
}

static bool check_combined(checker *c, const node *n, const char *at, const char *after)
{
    for (uint32_t i = 0; i < n->all.count; i++) {
        if (!check(c, n->all.items[i], at, after)) {
            return false;
        }
    }
    if (n->any.count > 0 && matches(c, &n->any, 1, at, after) == 0) {
        return violated(c, "anyOf: none fits", at, after);
    }
    if (n->one.count > 0) {
        const uint32_t count = matches(c, &n->one, 2, at, after);
        if (count != 1) {
            return violated(c, count == 0 ? "oneOf: none fits" : "oneOf: more than one fits", at, after);
        }
    }
    if (n->not_this != NULL) {
        const struct wr_json_schema_nodes one = { (const node **)&n->not_this, 1 };
        if (matches(c, &one, 1, at, after) > 0) {
            return violated(c, "not", at, after);
        }
    }
    return n->reference == NULL || check(c, n->reference, at, after);
}

/* (1) */
static bool check(checker *c, const node *n, const char *at, const char *after)
{
    if (c->budget == 0 || c->depth == WR_JSON_SCHEMA_DEPTH_MAX) {
        return violated(c, c->budget == 0 ? "takes too long to be checked" : "nested too deep to be checked", at, after);
    }
    c->budget--;
    if (n->never) {
        return violated(c, "false", at, after);
    }
    c->depth++;
    const bool fine = check_values(c, n, at, after) && check_kind(c, n, at, after) && check_combined(c, n, at, after);
    c->depth--;
    return fine;
}

bool wr_json_check(checker *c, const struct wr_json_schema *schema, struct wr_slice text,
                   struct wr_json_violation *violation)
{
    const char *end = text.data + text.bytes;
    const char *at = wr_json_skip_space(text.data, end);
    while (end > at && (uint8_t)end[-1] <= ' ') {
        end--;
    }
    c->violation = violation;
    c->quiet = 0;
    c->depth = 0;
    c->step_count = 0;
    c->budget = BUDGET_BASE + BUDGET_EACH * (uint64_t)text.bytes;
    const bool fine = check(c, schema->root, at, end);
    if (c->budget == 0) { /* within anyOf it may have looked like a mismatch */
        (void)snprintf(violation->message, sizeof violation->message, "takes too long to be checked");
        violation->pointer[0] = '\0';
    }
    return fine && c->budget > 0;
}
