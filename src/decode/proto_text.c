/* proto_text.c: see proto_text.h. */
#include "decode/proto_text.h"

#include "base/buf.h"
#include <stdio.h>

enum token { END, WORD, NUMBER, STRING, SYMBOL, BROKEN };

/* What a scope says of the fields in it: proto2, proto3, or an edition's features. */
struct features {
    bool implicit;  /* fields without a label are absent as zero */
    bool delimited; /* messages are written as groups */
};

struct parser {
    struct wr_protobuf_schema *schema;
    struct wr_protobuf_file *file;
    struct wr_error *err;
    const char *begin;
    const char *at;
    const char *end;
    enum token kind; /* of the token at hand */
    struct wr_slice token;
    struct features features; /* the file's */
    uint32_t depth;
};

struct scope {
    struct wr_protobuf_message *message; /* NULL: the file */
    const char *name;
    struct features features;
};

/* ---- errors ---- */

static wr_status wrong_at(struct parser *p, const char *at, const char *what)
{
    uint32_t line = 1;
    const char *start = p->begin;
    for (const char *c = p->begin; c < at; c++) {
        if (*c == '\n') {
            line++;
            start = c + 1;
        }
    }
    return wr_fail(p->err, WR_CLASS_DATA, "line %u, column %u: %s", line, (uint32_t)(at - start) + 1,
                   what);
}

/* The token at hand is not what the grammar has here. */
static wr_status expected(struct parser *p, const char *what)
{
    char text[200];
    if (p->kind == BROKEN) {
        return wrong_at(p, p->token.data, "a text or comment does not end, or a byte that .proto files do not have");
    }
    snprintf(text, sizeof text, "expected %s, found %s%.*s%s", what, p->kind == END ? "the file's end" : "\"",
             (int)(p->token.bytes < 60 ? p->token.bytes : 60), p->token.data,
             p->kind == END ? "" : "\"");
    return wrong_at(p, p->token.data, text);
}

/* ---- tokens ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* False: a comment does not end. */
static bool skip_blank(struct parser *p)
{
    while (p->at < p->end) {
        const char c = *p->at;
        const char next = p->at + 1 < p->end ? p->at[1] : '\0';
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == '\v') {
            p->at++;
        } else if (c == '/' && next == '/') {
            const char *stop = memchr(p->at, '\n', (size_t)(p->end - p->at));
            p->at = stop != NULL ? stop : p->end;
        } else if (c == '/' && next == '*') {
            const char *stop = memmem(p->at + 2, (size_t)(p->end - p->at - 2), "*/", 2);
            if (stop == NULL) {
                return false;
            }
            p->at = stop + 2;
        } else {
            return true;
        }
    }
    return true;
}

static enum token scan_string(struct parser *p)
{
    const char quote = *p->at++;
    while (p->at < p->end && *p->at != quote && *p->at != '\n') {
        p->at += *p->at == '\\' && p->at + 1 < p->end ? 2 : 1;
    }
    if (p->at >= p->end || *p->at != quote) {
        return BROKEN;
    }
    p->at++;
    return STRING;
}

/* A dotted name is one token, so is a number with all its letters. */
static enum token scan(struct parser *p)
{
    const char c = *p->at;
    const char next = p->at + 1 < p->end ? p->at[1] : '\0';
    if (is_letter(c) || (c == '.' && is_letter(next))) {
        do {
            p->at++;
        } while (p->at < p->end && (is_letter(*p->at) || is_digit(*p->at) || *p->at == '.'));
        return WORD;
    }
    if (is_digit(c) || (c == '.' && is_digit(next))) {
        do {
            p->at++;
        } while (p->at < p->end &&
                 (is_letter(*p->at) || is_digit(*p->at) || *p->at == '.' ||
                  ((*p->at == '+' || *p->at == '-') && (p->at[-1] == 'e' || p->at[-1] == 'E'))));
        return NUMBER;
    }
    if (c == '"' || c == '\'') {
        return scan_string(p);
    }
    p->at++;
    return c > ' ' && c < 0x7f ? SYMBOL : BROKEN;
}

static void next(struct parser *p)
{
    const char *start = p->at;
    if (!skip_blank(p)) {
        p->kind = BROKEN;
        p->token = (struct wr_slice){ start, 0 };
        p->at = p->end;
        return;
    }
    start = p->at;
    p->kind = p->at == p->end ? END : scan(p);
    p->token = (struct wr_slice){ start, (size_t)(p->at - start) };
}

static bool is(const struct parser *p, const char *text)
{
    return (p->kind == WORD || p->kind == SYMBOL) && wr_slice_is(p->token, text);
}

static bool take(struct parser *p, const char *text)
{
    if (!is(p, text)) {
        return false;
    }
    next(p);
    return true;
}

static wr_status need(struct parser *p, const char *text)
{
    char what[16];
    if (take(p, text)) {
        return WR_OK;
    }
    snprintf(what, sizeof what, "\"%.8s\"", text);
    return expected(p, what);
}

/* A name, of parts when dotted. */
static wr_status need_name(struct parser *p, bool dotted, const char **name)
{
    const bool plain = memchr(p->token.data, '.', p->token.bytes) == NULL;
    if (p->kind != WORD || (!plain && !dotted) || p->token.data[p->token.bytes - 1] == '.') {
        return expected(p, "a name");
    }
    if (p->token.bytes > WR_PROTOBUF_NAME_BYTES_MAX) {
        return wrong_at(p, p->token.data, "a name is longer than 512 bytes");
    }
    *name = wr_arena_strndup(&p->schema->arena, p->token.data, p->token.bytes);
    next(p);
    return WR_OK;
}

static wr_status need_full_name(struct parser *p, const char *scope, const char **own,
                                const char **full)
{
    const char *at = p->token.data;
    *own = NULL;
    *full = NULL;
    WR_TRY(need_name(p, false, own));
    *full = wr_protobuf_full_name(p->schema, scope, *own);
    return *full != NULL ? WR_OK : wrong_at(p, at, "a full name is longer than 512 bytes");
}

/* Decimal, 0x… or 0…; up to max. */
static wr_status need_number(struct parser *p, uint64_t max, uint64_t *number)
{
    const char *at = p->token.data;
    const char *end = at + p->token.bytes;
    uint32_t base = 10;
    *number = 0;
    if (p->kind != NUMBER) {
        return expected(p, "a number");
    }
    if (end - at > 1 && *at == '0') {
        base = at[1] == 'x' || at[1] == 'X' ? 16 : 8;
        at += base == 16 ? 2 : 1;
    }
    bool fits = at < end;
    for (; at < end && fits; at++) {
        const char low = (char)(*at | 0x20);
        const uint32_t digit = is_digit(*at)               ? (uint32_t)(*at - '0')
                               : low >= 'a' && low <= 'f' ? (uint32_t)(low - 'a') + 10
                                                           : 99;
        *number = *number * base + digit;
        fits = digit < base && *number <= max;
    }
    if (!fits) {
        return expected(p, max == WR_PROTOBUF_NUMBER_MAX ? "a field's number (1 to 536870911)" : "a number that fits");
    }
    next(p);
    return WR_OK;
}

static wr_status need_string(struct parser *p, const char **text)
{
    struct wr_buf buf = { 0 };
    if (p->kind != STRING) {
        return expected(p, "a quoted text");
    }
    for (; p->kind == STRING; next(p)) { /* neighbours are one text; escapes do not occur in what we read */
        wr_buf_append(&buf, p->token.data + 1, p->token.bytes - 2);
    }
    *text = wr_arena_strndup(&p->schema->arena, buf.data != NULL ? buf.data : "", buf.bytes);
    wr_buf_deinit(&buf);
    return WR_OK;
}

/* Behind the closing one of what has just been opened; brackets of all kinds are balanced by depth alone. */
static wr_status skip_brackets(struct parser *p)
{
    for (uint32_t depth = 1; depth > 0; next(p)) {
        if (p->kind == END || p->kind == BROKEN) {
            return expected(p, "a closing bracket");
        }
        if (p->kind == SYMBOL && strchr("{[(<", *p->token.data) != NULL) {
            depth++;
        } else if (p->kind == SYMBOL && strchr("}])>", *p->token.data) != NULL) {
            depth--;
        }
    }
    return WR_OK;
}

/* Behind the next ';' that is in no brackets. */
static wr_status skip_statement(struct parser *p)
{
    while (!take(p, ";")) {
        if (p->kind == END || p->kind == BROKEN || is(p, "}")) {
            return expected(p, "\";\"");
        }
        const bool opens = is(p, "{") || is(p, "[") || is(p, "(");
        next(p);
        if (opens) {
            WR_TRY(skip_brackets(p));
        }
    }
    return WR_OK;
}

/* ---- options ---- */

/* At the name of an option: notes a feature, stays where it is otherwise. */
static void read_feature(struct parser *p, struct features *features, bool *explicit_presence)
{
    const bool presence = is(p, "features.field_presence");
    const bool encoding = is(p, "features.message_encoding");
    if (!presence && !encoding) {
        return;
    }
    next(p);
    if (!take(p, "=")) {
        return;
    }
    if (presence) {
        features->implicit = is(p, "IMPLICIT");
        *explicit_presence = is(p, "EXPLICIT") || is(p, "LEGACY_REQUIRED");
    } else {
        features->delimited = is(p, "DELIMITED");
    }
}

static wr_status parse_option(struct parser *p, struct features *features)
{
    bool unused;
    next(p);
    read_feature(p, features, &unused);
    return skip_statement(p);
}

/* [ … ] behind a field, when there is one. */
static wr_status parse_field_options(struct parser *p, struct features *features)
{
    bool unused;
    if (!take(p, "[")) {
        return WR_OK;
    }
    for (uint32_t depth = 1; depth > 0; next(p)) {
        if (depth == 1) {
            read_feature(p, features, &unused);
        }
        if (p->kind == END || p->kind == BROKEN) {
            return expected(p, "\"]\"");
        }
        if (p->kind == SYMBOL && strchr("{[(<", *p->token.data) != NULL) {
            depth++;
        } else if (p->kind == SYMBOL && strchr("}])>", *p->token.data) != NULL) {
            depth--;
        }
    }
    return WR_OK;
}

/* ---- enums ---- */

static wr_status parse_enum_value(struct parser *p, struct wr_protobuf_enum *choices)
{
    struct features unused = { 0 };
    const char *name;
    uint64_t number;
    WR_TRY(need_name(p, false, &name));
    WR_TRY(need(p, "="));
    const bool minus = take(p, "-");
    WR_TRY(need_number(p, minus ? (uint64_t)INT32_MAX + 1 : INT32_MAX, &number));
    WR_TRY(parse_field_options(p, &unused));
    WR_TRY(need(p, ";"));
    struct wr_protobuf_value *value = wr_protobuf_value_add(p->schema, choices);
    value->name = name;
    value->number = (int32_t)(minus ? -(int64_t)number : (int64_t)number);
    return WR_OK;
}

static wr_status parse_enum(struct parser *p, const char *scope)
{
    const char *own;
    const char *full;
    struct features unused = { 0 };
    next(p);
    WR_TRY(need_full_name(p, scope, &own, &full));
    WR_TRY(need(p, "{"));
    struct wr_protobuf_enum *choices = wr_protobuf_enum_add(p->schema);
    choices->name = full;
    while (!take(p, "}")) {
        if (is(p, "option")) {
            const struct parser before = *p;
            next(p);
            if (!is(p, "=")) { /* else a value of that name */
                *p = before;
                WR_TRY(parse_option(p, &unused));
                continue;
            }
            *p = before;
        } else if (is(p, "reserved")) {
            WR_TRY(skip_statement(p));
            continue;
        } else if (take(p, ";")) {
            continue;
        }
        WR_TRY(parse_enum_value(p, choices));
    }
    return WR_OK;
}

/* ---- fields ---- */

static enum wr_protobuf_type scalar_of(const char *name)
{
    static const char *const names[] = { "",       "double",   "float",    "int64",  "uint64",
                                         "int32",  "fixed64",  "fixed32",  "bool",   "string",
                                         " group", " message", "bytes",    "uint32", " enum",
                                         "sfixed32", "sfixed64", "sint32", "sint64" };
    for (uint32_t i = 1; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            return (enum wr_protobuf_type)i;
        }
    }
    return WR_PROTOBUF_NAMED;
}

static wr_status parse_message_body(struct parser *p, struct scope scope);

static wr_status deeper(struct parser *p)
{
    if (p->depth == WR_PROTOBUF_DEPTH_MAX) {
        return wrong_at(p, p->token.data, "declarations nest deeper than 32");
    }
    p->depth++;
    return WR_OK;
}

static void set_type(struct wr_protobuf_field *field, const char *type, bool delimited)
{
    field->type = scalar_of(type);
    field->type_name = field->type == WR_PROTOBUF_NAMED ? type : NULL;
    field->presence = field->presence || delimited;
}

/* "group Name = 1 { … }": a message and a field of its name in small letters. */
static wr_status parse_group(struct parser *p, const struct scope *scope,
                             struct wr_protobuf_field field)
{
    const char *own;
    const char *full;
    uint64_t number;
    struct features features = scope->features;
    WR_TRY(need_full_name(p, scope->name, &own, &full));
    WR_TRY(need(p, "="));
    WR_TRY(need_number(p, WR_PROTOBUF_NUMBER_MAX, &number));
    WR_TRY(parse_field_options(p, &features));
    char *name = wr_arena_strdup(&p->schema->arena, own);
    for (char *c = name; *c != '\0'; c++) {
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c;
    }
    field.name = name;
    field.number = (uint32_t)number;
    field.type = WR_PROTOBUF_GROUP;
    field.type_name = own;
    *wr_protobuf_field_add(p->schema, scope->message) = field;
    struct wr_protobuf_message *message =
        wr_protobuf_message_add(p->schema, NULL, scope->message);
    message->name = full;
    return parse_message_body(p, (struct scope){ message, full, scope->features });
}

/* The entry's message is called FieldEntry, as protoc calls it. */
static wr_status add_map(struct parser *p, const struct scope *scope, const char *key,
                         const char *value, struct wr_protobuf_field *field)
{
    char own[WR_PROTOBUF_NAME_BYTES_MAX + 8];
    size_t made = 0;
    bool upper = true;
    for (const char *c = field->name; *c != '\0'; c++) {
        if (*c == '_') {
            upper = true;
            continue;
        }
        own[made++] = upper && *c >= 'a' && *c <= 'z' ? (char)(*c & ~0x20) : *c;
        upper = false;
    }
    memcpy(own + made, "Entry", 6);
    const char *full = wr_protobuf_full_name(p->schema, scope->name, own);
    if (full == NULL) {
        return wrong_at(p, p->token.data, "a full name is longer than 512 bytes");
    }
    struct wr_protobuf_message *entry = wr_protobuf_message_add(p->schema, NULL, scope->message);
    entry->name = full;
    entry->map_entry = true;
    struct wr_protobuf_field *first = wr_protobuf_field_add(p->schema, entry);
    first->name = "key";
    first->number = 1;
    set_type(first, key, false);
    struct wr_protobuf_field *second = wr_protobuf_field_add(p->schema, entry);
    second->name = "value";
    second->number = 2;
    set_type(second, value, false);
    field->repeated = true;
    field->type = WR_PROTOBUF_MESSAGE;
    field->type_name = wr_arena_printf(&p->schema->arena, ".%s", full);
    return WR_OK;
}

static wr_status parse_map_types(struct parser *p, const char **key, const char **value)
{
    WR_TRY(need(p, "<"));
    WR_TRY(need_name(p, true, key));
    WR_TRY(need(p, ","));
    WR_TRY(need_name(p, true, value));
    return need(p, ">");
}

static bool is_label(const struct parser *p)
{
    return is(p, "optional") || is(p, "required") || is(p, "repeated");
}

/* A field, map or group; oneof: from 1, 0: none. */
static wr_status parse_field(struct parser *p, const struct scope *scope, uint32_t oneof)
{
    struct features features = scope->features;
    struct wr_protobuf_field field = { .oneof = oneof };
    const char *type;
    const char *key = NULL;
    const char *value = NULL;
    uint64_t number;
    bool labelled = false;
    if (is_label(p)) {
        field.repeated = is(p, "repeated");
        labelled = !field.repeated;
        next(p);
    }
    WR_TRY(need_name(p, true, &type));
    if (strcmp(type, "group") == 0 && p->kind == WORD) {
        field.presence = true;
        return parse_group(p, scope, field);
    }
    if (strcmp(type, "map") == 0 && is(p, "<")) {
        WR_TRY(parse_map_types(p, &key, &value));
    }
    WR_TRY(need_name(p, false, &field.name));
    WR_TRY(need(p, "="));
    WR_TRY(need_number(p, WR_PROTOBUF_NUMBER_MAX, &number));
    WR_TRY(parse_field_options(p, &features));
    WR_TRY(need(p, ";"));
    field.number = (uint32_t)number;
    field.presence = labelled || !features.implicit;
    if (key != NULL) {
        WR_TRY(add_map(p, scope, key, value, &field));
    } else {
        set_type(&field, type, false);
        if (field.type == WR_PROTOBUF_NAMED && features.delimited) {
            field.type = WR_PROTOBUF_NAMED_DELIMITED;
        }
    }
    *wr_protobuf_field_add(p->schema, scope->message) = field;
    return WR_OK;
}

static wr_status parse_oneof(struct parser *p, const struct scope *scope)
{
    const char *name;
    struct features features = scope->features;
    const uint32_t oneof = ++scope->message->oneof_count;
    next(p);
    WR_TRY(need_name(p, false, &name));
    WR_TRY(need(p, "{"));
    while (!take(p, "}")) {
        if (is(p, "option")) {
            WR_TRY(parse_option(p, &features));
        } else if (!take(p, ";")) {
            WR_TRY(parse_field(p, scope, oneof));
        }
    }
    return WR_OK;
}

/* ---- messages ---- */

static wr_status parse_message(struct parser *p, const struct scope *outer)
{
    const char *own;
    const char *full;
    next(p);
    WR_TRY(need_full_name(p, outer->name, &own, &full));
    struct wr_protobuf_message *message =
        wr_protobuf_message_add(p->schema, p->file, outer->message);
    message->name = full;
    return parse_message_body(p, (struct scope){ message, full, outer->features });
}

/* Whether the word at hand begins a declaration and not a field whose type has that name: what follows tells, since a field's name
 * is followed by '=', a declaration's by something else. */
static bool declares(struct parser *p, const char *word, const char *follows)
{
    if (!is(p, word)) {
        return false;
    }
    struct parser ahead = *p;
    next(&ahead);
    if (ahead.kind != WORD && *follows != '\0') {
        return false;
    }
    next(&ahead);
    return *follows == '\0' || is(&ahead, follows);
}

/* "extend", "extensions" and "reserved" name no field's type that anybody has. */
static wr_status parse_member(struct parser *p, struct scope *scope)
{
    if (declares(p, "message", "{")) {
        return parse_message(p, scope);
    }
    if (declares(p, "enum", "{")) {
        return parse_enum(p, scope->name);
    }
    if (declares(p, "oneof", "{")) {
        return parse_oneof(p, scope);
    }
    if (declares(p, "extend", "{")) {
        while (!take(p, "{")) {
            next(p);
        }
        return skip_brackets(p);
    }
    if (is(p, "option")) {
        return parse_option(p, &scope->features);
    }
    if (is(p, "extensions") || is(p, "reserved")) {
        return skip_statement(p);
    }
    return take(p, ";") ? WR_OK : parse_field(p, scope, 0);
}

static wr_status parse_message_body(struct parser *p, struct scope scope)
{
    WR_TRY(deeper(p));
    WR_TRY(need(p, "{"));
    while (!take(p, "}")) {
        WR_TRY(parse_member(p, &scope));
    }
    p->depth--;
    return WR_OK;
}

/* ---- files ---- */

static wr_status parse_syntax(struct parser *p)
{
    const char *text;
    const bool edition = is(p, "edition");
    const char *at = p->token.data;
    next(p);
    WR_TRY(need(p, "="));
    WR_TRY(need_string(p, &text));
    WR_TRY(need(p, ";"));
    p->features.implicit = !edition && strcmp(text, "proto3") == 0;
    const bool known = edition ? strncmp(text, "20", 2) == 0
                               : p->features.implicit || strcmp(text, "proto2") == 0;
    return known ? WR_OK : wrong_at(p, at, "this syntax is none of proto2, proto3 and editions");
}

static wr_status parse_import(struct parser *p)
{
    const char *name;
    next(p);
    if (p->kind == WORD) {
        next(p); /* public, weak, option */
    }
    if (p->file->import_count == WR_PROTOBUF_IMPORTS_MAX) {
        return wrong_at(p, p->token.data, "more than 256 imports");
    }
    WR_TRY(need_string(p, &name));
    wr_protobuf_import_add(p->schema, p->file, name);
    return need(p, ";");
}

static wr_status parse_statement(struct parser *p)
{
    const struct scope scope = { NULL, p->file->package, p->features };
    if (is(p, "syntax") || is(p, "edition")) {
        return parse_syntax(p);
    }
    if (is(p, "import")) {
        return parse_import(p);
    }
    if (take(p, "package")) {
        WR_TRY(need_name(p, true, &p->file->package));
        return need(p, ";");
    }
    if (is(p, "option")) {
        return parse_option(p, &p->features);
    }
    if (is(p, "message")) {
        return parse_message(p, &scope);
    }
    if (is(p, "enum")) {
        return parse_enum(p, p->file->package);
    }
    if (is(p, "service") || is(p, "extend")) {
        const char *name;
        next(p);
        WR_TRY(need_name(p, true, &name));
        WR_TRY(need(p, "{"));
        return skip_brackets(p);
    }
    return take(p, ";") ? WR_OK : expected(p, "message, enum, import or another declaration");
}

wr_status wr_proto_text_parse(struct wr_protobuf_schema *schema, const char *name,
                              struct wr_slice text, struct wr_error *err)
{
    struct parser p = { .schema = schema,
                        .err = err,
                        .begin = text.data,
                        .at = text.data,
                        .end = text.data + text.bytes };
    wr_ensure(text.bytes <= WR_PROTOBUF_SCHEMA_BYTES_MAX, err, WR_CLASS_DATA,
              "the .proto text is longer than 4 MiB");
    p.file = wr_protobuf_file_add(schema);
    p.file->name = wr_arena_strdup(&schema->arena, name);
    if (text.bytes >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) {
        p.at += 3; /* a byte order mark */
    }
    for (next(&p); p.kind != END;) {
        WR_TRY(parse_statement(&p));
    }
    return WR_OK;
}
