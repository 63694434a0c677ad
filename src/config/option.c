/* option.c: see option.h. A bag keeps one entry per row, in the order of the tables. */
#include "config/option.h"

#include "base/assert.h"
#include "base/buf.h"
#include "config/suggest.h"

#include <errno.h>
#include <stdlib.h>

struct entry {
    const struct wr_option *row;
    const struct wr_option_pair *pair; /* NULL: not given (PREFIX: the first) */
    const char *text;                  /* given or default; NULL: unset */
    int64_t number;                    /* INT, SIZE, DURATION, BOOL */
    double real;
    const char **list;
    uint32_t list_count;
    struct wr_option_pair *prefixed;
    uint32_t prefixed_count;
};

struct wr_options {
    struct entry *entries;
    uint32_t count;
};

struct parse {
    struct wr_arena *arena;
    struct wr_options *bag;
    const char *what;
    uint32_t *bad_at;
    struct wr_error *err;
};

static bool takes_off(const struct wr_option *row)
{
    return row->enum_words != NULL && row->kind != WR_OPTION_ENUM;
}

static bool is_prefix_of(const struct wr_option *row, const char *name)
{
    const size_t bytes = strlen(row->name);
    return row->kind == WR_OPTION_PREFIX && strncmp(row->name, name, bytes) == 0 &&
           name[bytes] != '\0';
}

static struct entry *find(const struct wr_options *bag, const char *name)
{
    for (uint32_t i = 0; i < bag->count; i++) {
        if (strcmp(bag->entries[i].row->name, name) == 0) {
            return &bag->entries[i];
        }
    }
    return NULL;
}

static struct entry *find_row(const struct wr_options *bag, const char *name)
{
    struct entry *entry = find(bag, name);
    if (entry != NULL && entry->row->kind == WR_OPTION_PREFIX) {
        return NULL; /* "kafka." alone names no property */
    }
    for (uint32_t i = 0; entry == NULL && i < bag->count; i++) {
        if (is_prefix_of(bag->entries[i].row, name)) {
            entry = &bag->entries[i];
        }
    }
    return entry;
}

static const struct entry *must(const struct wr_options *bag, const char *name)
{
    const struct entry *entry = find(bag, name);
    wr_assert(entry != NULL);
    return entry;
}

/* Is text one of the space-separated words? */
static bool is_word(const char *words, const char *text)
{
    const size_t bytes = strlen(text);
    for (const char *at = words; bytes > 0 && (at = strstr(at, text)) != NULL; at += bytes) {
        const bool begins = at == words || at[-1] == ' ';
        if (begins && (at[bytes] == ' ' || at[bytes] == '\0')) {
            return true;
        }
    }
    return false;
}

static const char *kind_name(enum wr_option_kind kind)
{
    switch (kind) {
    case WR_OPTION_TEXT:
        return "text";
    case WR_OPTION_BOOL:
        return "true or false";
    case WR_OPTION_INT:
        return "integer";
    case WR_OPTION_SIZE:
        return "size";
    case WR_OPTION_DURATION:
        return "duration";
    case WR_OPTION_DOUBLE:
        return "number";
    case WR_OPTION_ENUM:
        return "one of";
    case WR_OPTION_LIST:
        return "list";
    case WR_OPTION_PREFIX:
        return "any";
    }
    return "?";
}

/* "a, b or c" from "a b c". */
static void words_text(struct wr_buf *buf, const char *words)
{
    for (const char *at = words; *at != '\0';) {
        const size_t bytes = strcspn(at, " ");
        if (at != words) {
            wr_buf_text(buf, strchr(at, ' ') == NULL ? " or " : ", ");
        }
        wr_buf_append(buf, at, bytes);
        at += bytes + (at[bytes] == ' ');
    }
}

/* A limit in the unit that its kind reads best. */
static void limit_text(struct wr_buf *buf, const struct wr_option *row, int64_t limit)
{
    static const struct {
        const char *name;
        int64_t factor;
    } durations[] = {{"d", 86400000000},
                     {"h", 3600000000},
                     {"m", 60000000},
                     {"s", 1000000},
                     {"ms", 1000}},
      sizes[] = {
          {"GiB", 1 << 30}, {"GB", 1000000000}, {"MiB", 1 << 20}, {"MB", 1000000}, {"KB", 1000}};
    if (row->kind == WR_OPTION_DURATION) {
        for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]) && limit != 0; i++) {
            if (limit % durations[i].factor == 0) {
                wr_buf_printf(buf, "%lld%s", (long long)(limit / durations[i].factor),
                              durations[i].name);
                return;
            }
        }
        wr_buf_printf(buf, limit == 0 ? "%lld" : "%lldus", (long long)limit);
        return;
    }
    for (size_t i = 0; row->kind == WR_OPTION_SIZE && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (limit > 0 && limit % sizes[i].factor == 0) {
            wr_buf_printf(buf, "%lld%s", (long long)(limit / sizes[i].factor), sizes[i].name);
            return;
        }
    }
    wr_buf_printf(buf, "%lld", (long long)limit);
}

static bool is_limited(const struct wr_option *row)
{
    return row->min != 0 || row->max != 0;
}

static void range_text(struct wr_buf *buf, const struct wr_option *row)
{
    if (row->max == 0 || row->max == INT64_MAX) {
        wr_buf_text(buf, "at least ");
        limit_text(buf, row, row->min);
        return;
    }
    limit_text(buf, row, row->min);
    wr_buf_text(buf, " to ");
    limit_text(buf, row, row->max);
}

static void kind_hint(const struct parse *p, const struct wr_option *row)
{
    struct wr_buf words = {0};
    switch (row->kind) {
    case WR_OPTION_BOOL:
        wr_error_hint(p->err, "write 'true' or 'false'");
        break;
    case WR_OPTION_INT:
        wr_error_hint(p->err, "write a whole number, such as '%s'",
                      row->default_text != NULL ? row->default_text : "4");
        break;
    case WR_OPTION_DOUBLE:
        wr_error_hint(p->err, "write a number, such as '0.5'");
        break;
    case WR_OPTION_SIZE:
        wr_error_hint(p->err, "write a size, such as '64KB', '128MB' or '1GiB'");
        break;
    case WR_OPTION_DURATION:
        wr_error_hint(p->err, "write a duration, such as '50ms', '30s', '5 minutes' or '1h'%s",
                      takes_off(row) ? ", or 'off'" : "");
        break;
    case WR_OPTION_ENUM:
        words_text(&words, row->enum_words);
        wr_error_hint(p->err, "it can be %s", wr_buf_cstr(&words));
        break;
    case WR_OPTION_TEXT:
    case WR_OPTION_LIST:
    case WR_OPTION_PREFIX:
        break;
    }
    wr_buf_deinit(&words);
}

/* What an error may say of a value: a secret nothing, one from the environment only its name. */
static const char *told(const struct entry *entry)
{
    if (entry->row->flags & WR_OPTION_SECRET) {
        return "***";
    }
    const struct wr_option_pair *pair = entry->pair;
    return pair != NULL && pair->raw != NULL && strstr(pair->raw, "${") != NULL ? pair->raw
                                                                                : entry->text;
}

static wr_status fail_value(const struct parse *p, const struct entry *entry)
{
    const struct wr_option *row = entry->row;
    const char *text = told(entry);
    const bool word = row->kind == WR_OPTION_ENUM;
    wr_fail(p->err, WR_CLASS_USER, "option \"%s\" of %s: '%s' is not %s%s", row->name, p->what,
            text,
            word                            ? "one of its words"
            : row->kind == WR_OPTION_BOOL   ? ""
            : row->kind == WR_OPTION_INT    ? "an "
            : row->kind == WR_OPTION_DOUBLE ? "a "
            : row->kind == WR_OPTION_SIZE   ? "a "
                                            : "a ",
            word ? "" : kind_name(row->kind));
    kind_hint(p, row);
    if (word && p->err != NULL) {
        struct wr_suggest suggest;
        wr_suggest_init(&suggest, wr_slice_of(text));
        for (const char *at = row->enum_words; *at != '\0';) {
            const size_t bytes = strcspn(at, " ");
            wr_suggest_offer(&suggest, (struct wr_slice){at, bytes});
            at += bytes + (at[bytes] == ' ');
        }
        if (suggest.best.bytes > 0) {
            wr_error_hint(p->err, "did you mean '%.*s'? %s", WR_SLICE_ARG(suggest.best),
                          p->err->hint);
        }
    }
    return WR_FAIL;
}

static wr_status check_range(const struct parse *p, const struct entry *entry)
{
    const struct wr_option *row = entry->row;
    const int64_t number = entry->number;
    if (!is_limited(row) || (number >= row->min && (row->max == 0 || number <= row->max))) {
        return WR_OK;
    }
    struct wr_buf range = {0};
    range_text(&range, row);
    wr_fail(p->err, WR_CLASS_USER, "option \"%s\" of %s: %s is out of range", row->name, p->what,
            told(entry));
    wr_error_hint(p->err, "it can be %s", wr_buf_cstr(&range));
    wr_buf_deinit(&range);
    return WR_FAIL;
}

static bool parse_bool(const char *text, int64_t *value)
{
    static const char *const yes[] = {"true", "on", "yes", "1"};
    static const char *const no[] = {"false", "off", "no", "0"};
    for (size_t i = 0; i < 4; i++) {
        if (wr_slice_equal_nocase(wr_slice_of(text), wr_slice_of(yes[i]))) {
            *value = 1;
            return true;
        }
        if (wr_slice_equal_nocase(wr_slice_of(text), wr_slice_of(no[i]))) {
            *value = 0;
            return true;
        }
    }
    return false;
}

static bool parse_int(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    *value = number;
    return errno == 0 && end != text && *end == '\0' && text[0] != ' ';
}

static bool parse_double(const char *text, double *value)
{
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    return errno == 0 && end != text && *end == '\0' && *value - *value == 0;
}

/* Cuts "a, b,c" into texts without blanks around them; empty ones are left out. */
static void split_list(const struct parse *p, struct entry *entry)
{
    uint32_t most = 1;
    for (const char *at = entry->text; *at != '\0'; at++) {
        most += *at == ',';
    }
    entry->list = WR_ARENA_ARRAY(p->arena, const char *, most);
    entry->list_count = 0;
    for (const char *at = entry->text;;) {
        size_t bytes = strcspn(at, ",");
        const char *next = at + bytes;
        while (bytes > 0 && (at[0] == ' ' || at[0] == '\t' || at[0] == '\n')) {
            at++;
            bytes--;
        }
        while (bytes > 0 &&
               (at[bytes - 1] == ' ' || at[bytes - 1] == '\t' || at[bytes - 1] == '\n')) {
            bytes--;
        }
        if (bytes > 0) {
            entry->list[entry->list_count++] = wr_arena_strndup(p->arena, at, bytes);
        }
        if (*next == '\0') {
            return;
        }
        at = next + 1;
    }
}

static wr_status parse_number(const struct parse *p, struct entry *entry)
{
    const struct wr_option *row = entry->row;
    const struct wr_slice text = wr_slice_of(entry->text);
    if (takes_off(row) && is_word(row->enum_words, entry->text)) {
        entry->number = -1;
        return WR_OK;
    }
    const bool good = row->kind == WR_OPTION_INT    ? parse_int(entry->text, &entry->number)
                      : row->kind == WR_OPTION_SIZE ? wr_parse_size(text, &entry->number)
                                                    : wr_parse_duration(text, &entry->number);
    if (!good) {
        return fail_value(p, entry);
    }
    return check_range(p, entry);
}

static wr_status parse_value(const struct parse *p, struct entry *entry)
{
    const struct wr_option *row = entry->row;
    bool good = true;
    switch (row->kind) {
    case WR_OPTION_TEXT:
    case WR_OPTION_PREFIX:
        break;
    case WR_OPTION_BOOL:
        good = parse_bool(entry->text, &entry->number);
        break;
    case WR_OPTION_INT:
    case WR_OPTION_SIZE:
    case WR_OPTION_DURATION:
        return parse_number(p, entry);
    case WR_OPTION_DOUBLE:
        good = parse_double(entry->text, &entry->real);
        break;
    case WR_OPTION_ENUM:
        good = is_word(row->enum_words, entry->text);
        break;
    case WR_OPTION_LIST:
        split_list(p, entry);
        good = entry->list_count > 0 || !(row->flags & WR_OPTION_REQUIRED);
        break;
    }
    return good ? WR_OK : fail_value(p, entry);
}

static void build_bag(const struct parse *p, const struct wr_option *const *tables)
{
    uint32_t count = 0;
    for (const struct wr_option *const *t = tables; *t != NULL; t++) {
        for (const struct wr_option *row = *t; row->name != NULL; row++) {
            count++;
        }
    }
    p->bag->entries = WR_ARENA_ARRAY(p->arena, struct entry, count);
    for (const struct wr_option *const *t = tables; *t != NULL; t++) {
        for (const struct wr_option *row = *t; row->name != NULL; row++) {
            /* A connector's own row comes first and hides a common one of the same name. */
            if (find(p->bag, row->name) == NULL) {
                p->bag->entries[p->bag->count++] = (struct entry){.row = row};
            }
        }
    }
}

static wr_status fail_unknown(const struct parse *p, const char *name)
{
    struct wr_suggest suggest;
    wr_suggest_init(&suggest, wr_slice_of(name));
    struct wr_buf all = {0};
    for (uint32_t i = 0; i < p->bag->count; i++) {
        const char *known = p->bag->entries[i].row->name;
        wr_suggest_offer(&suggest, wr_slice_of(known));
        wr_buf_printf(&all, "%s%s%s", i > 0 ? ", " : "", known,
                      p->bag->entries[i].row->kind == WR_OPTION_PREFIX ? "*" : "");
    }
    wr_fail(p->err, WR_CLASS_USER, "%s has no option \"%s\"", p->what, name);
    if (suggest.best.bytes > 0 && suggest.distance == 0) {
        wr_error_hint(p->err, "write the property's name after it: %s…", name);
    } else if (suggest.best.bytes > 0) {
        wr_error_hint(p->err, "did you mean \"%.*s\"?", WR_SLICE_ARG(suggest.best));
    } else {
        wr_error_hint(p->err, "its options are %s", wr_buf_cstr(&all));
    }
    wr_buf_deinit(&all);
    return WR_FAIL;
}

static void point_at(const struct parse *p, uint32_t at)
{
    if (p->bad_at != NULL) {
        *p->bad_at = at;
    }
}

static void take_prefixed(const struct parse *p, struct entry *entry,
                          const struct wr_option_pair *pair, uint32_t most)
{
    if (entry->prefixed == NULL) {
        entry->prefixed = WR_ARENA_ARRAY(p->arena, struct wr_option_pair, most);
        entry->pair = pair;
    }
    struct wr_option_pair *taken = &entry->prefixed[entry->prefixed_count++];
    *taken = *pair;
    taken->name = pair->name + strlen(entry->row->name);
}

static wr_status take_pair(const struct parse *p, const struct wr_option_pair *pair, uint32_t most)
{
    point_at(p, pair->name_at);
    struct entry *entry = find_row(p->bag, pair->name);
    if (entry == NULL) {
        return fail_unknown(p, pair->name);
    }
    if (entry->row->unavailable != NULL) {
        wr_fail(p->err, WR_CLASS_USER, "option \"%s\" of %s cannot be used: %s", pair->name,
                p->what, entry->row->unavailable);
        wr_error_hint(p->err, "leave it out");
        return WR_FAIL;
    }
    if (entry->row->kind == WR_OPTION_PREFIX) {
        take_prefixed(p, entry, pair, most);
        return WR_OK;
    }
    if (entry->pair != NULL) {
        wr_fail(p->err, WR_CLASS_USER, "option \"%s\" is given twice", pair->name);
        wr_error_hint(p->err, "keep one of them");
        return WR_FAIL;
    }
    entry->pair = pair;
    entry->text = pair->value;
    point_at(p, pair->value_at);
    return parse_value(p, entry);
}

wr_status wr_options_parse(const struct wr_option *const *tables, const char *what,
                           const struct wr_option_pair *pairs, uint32_t pair_count,
                           struct wr_arena *arena, struct wr_options **bag, uint32_t *bad_at,
                           struct wr_error *err)
{
    struct wr_options *made = WR_ARENA_NEW(arena, struct wr_options);
    const struct parse p = {arena, made, what, bad_at, err};
    build_bag(&p, tables);
    for (uint32_t i = 0; i < pair_count; i++) {
        WR_TRY(take_pair(&p, &pairs[i], pair_count));
    }
    point_at(&p, UINT32_MAX);
    for (uint32_t i = 0; i < made->count; i++) {
        struct entry *entry = &made->entries[i];
        if (entry->pair != NULL) {
            continue;
        }
        if ((entry->row->flags & WR_OPTION_REQUIRED) && entry->row->default_text == NULL) {
            wr_fail(err, WR_CLASS_USER, "%s needs the option \"%s\"", what, entry->row->name);
            wr_error_hint(err, "add %s = '…' (%s)", entry->row->name,
                          entry->row->help != NULL ? entry->row->help : "no default");
            return WR_FAIL;
        }
        if (entry->row->default_text != NULL) {
            entry->text = entry->row->default_text;
            WR_TRY(parse_value(&p, entry));
        }
    }
    *bag = made;
    return WR_OK;
}

bool wr_options_has(const struct wr_options *bag, const char *name)
{
    const struct entry *entry = must(bag, name);
    return entry->text != NULL || entry->prefixed_count > 0;
}

bool wr_options_given(const struct wr_options *bag, const char *name)
{
    return must(bag, name)->pair != NULL;
}

const char *wr_options_text(const struct wr_options *bag, const char *name)
{
    return must(bag, name)->text;
}

int64_t wr_options_int(const struct wr_options *bag, const char *name)
{
    return must(bag, name)->number;
}

bool wr_options_bool(const struct wr_options *bag, const char *name)
{
    return must(bag, name)->number != 0;
}

double wr_options_double(const struct wr_options *bag, const char *name)
{
    return must(bag, name)->real;
}

const char *const *wr_options_list(const struct wr_options *bag, const char *name, uint32_t *count)
{
    const struct entry *entry = must(bag, name);
    *count = entry->list_count;
    return entry->list;
}

const struct wr_option_pair *wr_options_prefixed(const struct wr_options *bag, const char *prefix,
                                                 uint32_t *count)
{
    const struct entry *entry = must(bag, prefix);
    *count = entry->prefixed_count;
    return entry->prefixed;
}

uint32_t wr_options_at(const struct wr_options *bag, const char *name)
{
    const struct entry *entry = must(bag, name);
    return entry->pair != NULL ? entry->pair->value_at : UINT32_MAX;
}

/* What was written is shown, so that a value that came from the environment stays ${NAME}. */
static const char *shown(const struct wr_option *row, const struct wr_option_pair *pair)
{
    return (row->flags & WR_OPTION_SECRET) ? "***" : pair->raw != NULL ? pair->raw : pair->value;
}

void wr_options_each(const struct wr_options *bag,
                     void (*show)(void *ctx, const char *name, const char *value, bool given),
                     void *ctx)
{
    for (uint32_t i = 0; i < bag->count; i++) {
        const struct entry *entry = &bag->entries[i];
        for (uint32_t k = 0; k < entry->prefixed_count; k++) {
            const struct wr_option_pair *pair = &entry->prefixed[k];
            const char *whole = pair->name - strlen(entry->row->name);
            show(ctx, whole, shown(entry->row, pair), true);
        }
        if (entry->row->kind == WR_OPTION_PREFIX || entry->text == NULL) {
            continue;
        }
        const bool given = entry->pair != NULL;
        show(ctx, entry->row->name, given ? shown(entry->row, entry->pair) : entry->text, given);
    }
}

static void reference_row(const struct wr_option *row, struct wr_buf *into)
{
    wr_buf_printf(into, "  %s%s  (", row->name, row->kind == WR_OPTION_PREFIX ? "*" : "");
    if (row->kind == WR_OPTION_ENUM) {
        words_text(into, row->enum_words);
    } else {
        wr_buf_text(into, kind_name(row->kind));
        if (takes_off(row)) {
            wr_buf_text(into, " or ");
            words_text(into, row->enum_words);
        }
    }
    if (is_limited(row)) {
        wr_buf_text(into, ", ");
        range_text(into, row);
    }
    if (row->default_text != NULL) {
        wr_buf_printf(into, ", default %s",
                      row->default_text[0] != '\0' ? row->default_text : "''");
    }
    wr_buf_printf(into, "%s%s)\n", row->flags & WR_OPTION_REQUIRED ? ", required" : "",
                  row->flags & WR_OPTION_SECRET ? ", secret" : "");
    if (row->help != NULL) {
        wr_buf_printf(into, "      %s\n", row->help);
    }
    if (row->unavailable != NULL) {
        wr_buf_printf(into, "      Not in this build: %s\n", row->unavailable);
    }
}

void wr_options_reference(const struct wr_option *table, struct wr_buf *into)
{
    for (const struct wr_option *row = table; row->name != NULL; row++) {
        reference_row(row, into);
    }
}
