/* datagen_column.c: see datagen_column.h. */
#include "source/datagen_column.h"

#include "base/assert.h"
#include "base/clock.h"
#include "batch/text.h"
#include <math.h>

#define LENGTH_MAX 1024
#define CHOICES_MAX 4096u

static const char kind_names[][10] = { "none",   "sequence", "random", "zipf",
                                       "choice", "hex",      "uuid",   "time" };
static const char *const settings[] = { "kind",   "min",     "max",      "values", "weights",
                                        "length", "prefix",  "digits",   "exponent",
                                        "null_percent", NULL };

/* ---- settings ---- */

/* "user_id.kind" -> the setting when the column is name; columns may hold dots themselves. */
static const char *setting_of(const struct wr_option_pair *pair, const char *name)
{
    const char *dot = strrchr(pair->name, '.');
    const size_t bytes = strlen(name);
    if (dot == NULL || (size_t)(dot - pair->name) != bytes ||
        memcmp(pair->name, name, bytes) != 0) {
        return NULL;
    }
    return dot + 1;
}

wr_status wr_gen_check_names(const struct wr_schema *declared, const struct wr_option_pair *pairs,
                             uint32_t count, uint32_t *bad_at, struct wr_error *err)
{
    for (uint32_t p = 0; p < count; p++) {
        const char *setting = NULL;
        for (uint32_t f = 0; f < declared->count && setting == NULL; f++) {
            setting = setting_of(&pairs[p], declared->fields[f].name);
        }
        *bad_at = pairs[p].name_at;
        if (setting == NULL) {
            (void)wr_fail(err, WR_CLASS_USER, "option 'fields.%s' names no column of the source",
                          pairs[p].name);
            wr_error_hint(err, "write fields.<column>.<setting>, such as fields.%s.kind = 'random'",
                          declared->count > 0 ? declared->fields[0].name : "user_id");
            return WR_FAIL;
        }
        bool known = false;
        for (uint32_t s = 0; settings[s] != NULL; s++) {
            known = known || strcmp(settings[s], setting) == 0;
        }
        if (!known) {
            (void)wr_fail(err, WR_CLASS_USER, "there is no setting '%s' of a column", setting);
            wr_error_hint(err, "settings are kind, min, max, values, weights, length, prefix, "
                               "digits, exponent, null_percent");
            return WR_FAIL;
        }
    }
    return WR_OK;
}

struct settings {
    const char *column;
    const struct wr_option_pair *pairs;
    uint32_t count;
    uint32_t *bad_at;
    struct wr_error *err;
};

static const char *get(const struct settings *s, const char *setting)
{
    for (uint32_t p = 0; p < s->count; p++) {
        const char *found = setting_of(&s->pairs[p], s->column);
        if (found != NULL && strcmp(found, setting) == 0) {
            *s->bad_at = s->pairs[p].value_at;
            return s->pairs[p].value;
        }
    }
    return NULL;
}

static wr_status get_double(const struct settings *s, const char *setting, double low, double high,
                            double *value)
{
    const char *text = get(s, setting);
    if (text != NULL) {
        wr_ensure(wr_text_parse_double(wr_slice_of(text), value) && *value >= low && *value <= high,
                  s->err, WR_CLASS_USER, "fields.%s.%s = '%s' is not a number from %g to %g",
                  s->column, setting, text, low, high);
    }
    return WR_OK;
}

static bool contains(const char *name, const char *part)
{
    return strcasestr(name, part) != NULL;
}

static bool ends_with(const char *name, const char *end)
{
    const size_t bytes = strlen(name);
    const size_t tail = strlen(end);
    return bytes >= tail && strcasecmp(name + bytes - tail, end) == 0;
}

/* What a text column holds when nothing is said, by its name. */
static const char *default_values(const char *name)
{
    static const char *const known[][2] = {
        { "country", "DE,US,FR,GB,IN,BR,JP,CN,ES,IT,NL,PL,SE,CA,AU,MX" },
        { "city", "Berlin,Paris,London,Madrid,Rome,Tokyo,Mumbai,Toronto,Sydney,Austin" },
        { "device", "phone,desktop,tablet,tv" },
        { "browser", "firefox,chrome,safari,edge" },
        { "page", "/,/home,/search,/cart,/checkout,/product/1,/product/2,/product/3,/help" },
        { "url", "/,/home,/search,/cart,/checkout,/product/1,/product/2,/product/3,/help" },
        { "currency", "EUR,USD,GBP,JPY" },
        { "status", "ok,error,timeout" },
        { "level", "info,warn,error" },
        { "method", "GET,POST,PUT,DELETE" },
        { "type", "click,view,purchase,search" },
        { "kind", "click,view,purchase,search" },
        { "action", "click,view,purchase,search" },
        { "name", "alice,bob,carol,dave,erin,frank,grace,heidi" },
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (contains(name, known[i][0])) {
            return known[i][1];
        }
    }
    return NULL;
}

static enum wr_gen_kind default_kind(const struct wr_field *field)
{
    switch (field->type.id) {
    case WR_TYPE_TEXT:
        if (contains(field->name, "uuid")) {
            return WR_GEN_UUID;
        }
        return !ends_with(field->name, "id") && default_values(field->name) != NULL
                   ? WR_GEN_CHOICE
                   : WR_GEN_HEX;
    case WR_TYPE_BYTES: return WR_GEN_HEX;
    case WR_TYPE_DATE:
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ: return WR_GEN_TIME;
    case WR_TYPE_JSON:
    case WR_TYPE_INTERVAL: return WR_GEN_CHOICE;
    default: return strcasecmp(field->name, "id") == 0 ? WR_GEN_SEQUENCE : WR_GEN_RANDOM;
    }
}

static bool kind_fits(enum wr_gen_kind kind, struct wr_type type)
{
    const bool numbers = wr_type_is_numeric(type) || type.id == WR_TYPE_BOOL;
    const bool text = type.id == WR_TYPE_TEXT;
    switch (kind) {
    case WR_GEN_SEQUENCE:
    case WR_GEN_RANDOM:
    case WR_GEN_ZIPF: return numbers || text;
    case WR_GEN_HEX: return text || type.id == WR_TYPE_BYTES;
    case WR_GEN_UUID: return text;
    case WR_GEN_TIME: return wr_type_is_timestamp(type) || type.id == WR_TYPE_DATE;
    case WR_GEN_CHOICE: return true;
    case WR_GEN_NONE: return false;
    }
    return false;
}

static wr_status choose_kind(struct wr_gen_column *g, const struct wr_field *field,
                             const struct settings *s)
{
    const char *text = get(s, "kind");
    g->kind = get(s, "values") != NULL ? WR_GEN_CHOICE : default_kind(field);
    if (text == NULL) {
        return WR_OK;
    }
    (void)get(s, "kind"); /* for the caret */
    for (uint32_t k = WR_GEN_SEQUENCE; k <= WR_GEN_TIME; k++) {
        if (strcmp(text, kind_names[k]) == 0) {
            g->kind = (enum wr_gen_kind)k;
            char name[32];
            wr_ensure(kind_fits(g->kind, g->type), s->err, WR_CLASS_USER,
                      "kind '%s' cannot fill column %s of type %s", text, s->column,
                      wr_type_name(g->type, name, sizeof name));
            return WR_OK;
        }
    }
    return wr_fail(s->err, WR_CLASS_USER,
                   "fields.%s.kind = '%s' is not one of sequence, random, zipf, choice, hex, uuid, "
                   "time",
                   s->column, text);
}

/* ---- ranges of numbers ---- */

static void type_range(struct wr_type type, double *low, double *high)
{
    static const double ranges[][3] = {
        { WR_TYPE_BOOL, 0, 1 },
        { WR_TYPE_INT16, INT16_MIN, INT16_MAX },
        { WR_TYPE_INT32, INT32_MIN, INT32_MAX },
        { WR_TYPE_UINT16, 0, UINT16_MAX },
        { WR_TYPE_UINT32, 0, UINT32_MAX },
        { WR_TYPE_UINT64, 0, 9e18 },
    };
    *low = -9e18;
    *high = 9e18;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if ((int)ranges[i][0] == type.id) {
            *low = ranges[i][1];
            *high = ranges[i][2];
        }
    }
}

static void default_range(const struct wr_gen_column *g, const char *name, double *min, double *max)
{
    *min = ends_with(name, "id") ? 1 : 0;
    *max = ends_with(name, "id") ? 100000 : 1000;
    if (g->type.id == WR_TYPE_BOOL) {
        *max = 1;
    } else if (wr_type_is_float(g->type)) {
        *max = 100;
    } else if (g->type.id == WR_TYPE_INT16 || g->type.id == WR_TYPE_UINT16) {
        *max = 1000;
    } else if (g->type.id == WR_TYPE_DECIMAL) {
        const double most = pow(10, g->type.precision - g->type.scale);
        *max = most < 1000 ? most - 1 : 1000;
    }
    if (g->kind == WR_GEN_SEQUENCE) {
        *min = 0;
        type_range(g->type, &(double){ 0 }, max);
    }
}

static wr_status set_range(struct wr_gen_column *g, const struct settings *s)
{
    double low;
    double high;
    double min;
    double max;
    double digits = 2;
    type_range(g->type, &low, &high);
    default_range(g, s->column, &min, &max);
    WR_TRY(get_double(s, "digits", 0, 9, &digits));
    WR_TRY(get_double(s, "min", low, high, &min));
    if (min > max && get(s, "max") == NULL) {
        max = min + 1000 < high ? min + 1000 : high;
    }
    WR_TRY(get_double(s, "max", low, high, &max));
    wr_ensure(min <= max, s->err, WR_CLASS_USER, "fields.%s.min is greater than its max",
              s->column);
    g->factor = pow(10, wr_type_is_float(g->type) ? digits : 0);
    const double unit = g->type.id == WR_TYPE_DECIMAL ? pow(10, g->type.scale) : g->factor;
    wr_ensure(fabs(min) <= 9e18 / unit && (fabs(max) <= 9e18 / unit || g->kind == WR_GEN_SEQUENCE),
              s->err, WR_CLASS_USER, "fields.%s: min and max are too large for its digits",
              s->column);
    if (g->type.id == WR_TYPE_DECIMAL) {
        const double most = pow(10, g->type.precision - g->type.scale);
        wr_ensure(fabs(min) < most && (fabs(max) < most || g->kind == WR_GEN_SEQUENCE), s->err,
                  WR_CLASS_USER, "fields.%s: min and max do not fit its type", s->column);
    }
    g->min = (int64_t)llround(min * unit);
    const double top = max * unit < 9e18 ? max * unit : 9e18;
    g->span = (uint64_t)(int64_t)llround(top) - (uint64_t)g->min + 1;
    return WR_OK;
}

/* ---- choices ---- */

static uint32_t count_parts(const char *text)
{
    uint32_t count = 1;
    for (const char *p = text; *p != '\0'; p++) {
        count += *p == ',';
    }
    return count;
}

/* The part before the next comma, without blanks around it; moves *text behind the comma. */
static struct wr_slice next_part(const char **text)
{
    const char *begin = *text;
    const char *end = strchrnul(begin, ',');
    *text = *end == ',' ? end + 1 : end;
    while (begin < end && *begin == ' ') {
        begin++;
    }
    while (end > begin && end[-1] == ' ') {
        end--;
    }
    return (struct wr_slice){ begin, (size_t)(end - begin) };
}

/* Slots in proportion to the weights, each choice with a weight getting at least one. */
static wr_status set_weights(struct wr_gen_column *g, const char *text, uint32_t count,
                             struct wr_arena *arena, const struct settings *s)
{
    g->slots = WR_ARENA_ARRAY(arena, uint16_t, WR_GEN_CHOICE_SLOTS);
    double *weights = WR_ARENA_ARRAY(arena, double, count);
    double sum = 0;
    if (text != NULL) {
        wr_ensure(count_parts(text) == count, s->err, WR_CLASS_USER,
                  "fields.%s: there are %u values and %u weights", s->column, count,
                  count_parts(text));
    }
    for (uint32_t i = 0; i < count; i++) {
        weights[i] = 1;
        if (text != NULL) {
            const struct wr_slice part = next_part(&text);
            wr_ensure(wr_text_parse_double(part, &weights[i]) && weights[i] >= 0 &&
                          weights[i] <= 1e9,
                      s->err, WR_CLASS_USER, "fields.%s.weights: '%.*s' is not a weight", s->column,
                      WR_SLICE_ARG(part));
        }
        sum += weights[i];
    }
    wr_ensure(sum > 0, s->err, WR_CLASS_USER, "fields.%s.weights are all zero", s->column);
    double until = 0;
    uint32_t slot = 0;
    for (uint32_t i = 0; i < count; i++) {
        until += weights[i] / sum * WR_GEN_CHOICE_SLOTS;
        const uint32_t least = slot + (weights[i] > 0);
        while (slot < WR_GEN_CHOICE_SLOTS && (slot < least || slot + 0.5 < until)) {
            g->slots[slot++] = (uint16_t)i;
        }
    }
    for (uint32_t last = slot; slot > 0 && slot < WR_GEN_CHOICE_SLOTS; slot++) {
        g->slots[slot] = g->slots[last - 1]; /* rounding left a few over */
    }
    return WR_OK;
}

static wr_status set_choices(struct wr_gen_column *g, struct wr_arena *arena,
                             const struct settings *s)
{
    const char *weights = get(s, "weights");
    const char *given = get(s, "values");
    const char *text = given != NULL ? given : default_values(s->column);
    if (given == NULL && g->type.id != WR_TYPE_TEXT) {
        text = g->type.id == WR_TYPE_JSON ? "{}"
                                          : (g->type.id == WR_TYPE_INTERVAL ? "1 second" : NULL);
    }
    if (text == NULL) {
        (void)wr_fail(s->err, WR_CLASS_USER, "kind 'choice' of column %s needs its values",
                      s->column);
        wr_error_hint(s->err, "add fields.%s.values = 'a, b, c'", s->column);
        return WR_FAIL;
    }
    const uint32_t count = count_parts(text);
    wr_ensure(count <= CHOICES_MAX, s->err, WR_CLASS_USER, "fields.%s has more than %u values",
              s->column, CHOICES_MAX);
    g->choices = WR_ARENA_ARRAY(arena, struct wr_gen_value, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct wr_slice part = next_part(&text);
        const char *kept = wr_arena_strndup(arena, part.data, part.bytes); /* views borrow it */
        char name[32];
        wr_ensure(wr_text_parse(g->type, (struct wr_slice){ kept, part.bytes }, &g->choices[i]),
                  s->err, WR_CLASS_USER, "fields.%s.values: '%s' is not a value of type %s",
                  s->column, kept, wr_type_name(g->type, name, sizeof name));
    }
    return set_weights(g, weights, count, arena, s);
}

wr_status wr_gen_column_init(struct wr_gen_column *g, const struct wr_field *field, uint32_t column,
                             const struct wr_option_pair *pairs, uint32_t pair_count,
                             struct wr_arena *arena, uint32_t *bad_at, struct wr_error *err)
{
    const struct settings s = { field->name, pairs, pair_count, bad_at, err };
    *g = (struct wr_gen_column){ .type = field->type, .column = column };
    if (field->path == NULL) {
        return WR_OK;
    }
    double nulls = 0;
    double length = ends_with(field->name, "id") ? 16 : 8;
    g->exponent = 1;
    WR_TRY(choose_kind(g, field, &s));
    WR_TRY(get_double(&s, "null_percent", 0, 100, &nulls));
    WR_TRY(get_double(&s, "length", 1, LENGTH_MAX, &length));
    WR_TRY(get_double(&s, "exponent", 0.01, 10, &g->exponent));
    wr_ensure(nulls == 0 || !field->not_null, err, WR_CLASS_USER,
              "column %s is NOT NULL, so null_percent must be 0", field->name);
    g->null_parts = nulls >= 100 ? UINT32_MAX : (uint32_t)(nulls / 100 * 4294967296.0);
    g->length = (uint32_t)length;
    g->prefix = get(&s, "prefix");
    if (g->kind == WR_GEN_CHOICE) {
        return set_choices(g, arena, &s);
    }
    if (g->kind == WR_GEN_SEQUENCE || g->kind == WR_GEN_RANDOM || g->kind == WR_GEN_ZIPF) {
        return set_range(g, &s);
    }
    return WR_OK;
}

uint32_t wr_gen_seek_block(struct wr_rand *rand, uint64_t seed, uint64_t row)
{
    /* The first block's seed is the split's own. */
    wr_rand_seed(rand, seed + row / WR_GEN_BLOCK_ROWS * 0xda942042e4dd58b5ULL);
    return (uint32_t)(row % WR_GEN_BLOCK_ROWS);
}

/* What the fill functions below take for each row. */
static uint32_t draws_of_row(const struct wr_gen_column *g)
{
    switch (g->kind) {
    case WR_GEN_RANDOM:
    case WR_GEN_ZIPF:
    case WR_GEN_CHOICE: return 1;
    case WR_GEN_UUID: return 2;
    case WR_GEN_HEX: return (g->length + 15) / 16 * (g->type.id == WR_TYPE_BYTES ? 2 : 1);
    default: return 0;
    }
}

void wr_gen_column_seek(struct wr_gen_column *g, uint64_t seed, uint64_t row)
{
    const uint32_t before = wr_gen_seek_block(&g->rand, seed, row);
    for (uint64_t i = (uint64_t)before * draws_of_row(g); i > 0; i--) {
        (void)wr_rand_next(&g->rand);
    }
    (void)wr_gen_seek_block(&g->nulls, ~seed, row);
    for (uint32_t i = 0; i < before; i++) {
        (void)wr_rand_next(&g->nulls);
    }
}

/* ---- filling ---- */

/* Inverse of the power law's continuous distribution over [1, n + 1). */
static uint64_t power_law(double u, double n, double exponent)
{
    double x;
    if (fabs(exponent - 1) < 1e-9) {
        x = exp(u * log(n + 1));
    } else {
        const double p = 1 - exponent;
        x = pow(u * (pow(n + 1, p) - 1) + 1, 1 / p);
    }
    const double index = x - 1;
    return index < 0 ? 0 : (index >= n ? (uint64_t)n - 1 : (uint64_t)index);
}

static void make_numbers(struct wr_gen_column *g, int64_t *into, uint32_t rows, uint64_t number,
                         uint64_t stride)
{
    const uint64_t min = (uint64_t)g->min;
    if (g->kind == WR_GEN_SEQUENCE) {
        for (uint32_t i = 0; i < rows; i++) {
            const uint64_t step = number + i * stride;
            into[i] = (int64_t)(min + (g->span == 0 || step < g->span ? step : step % g->span));
        }
    } else if (g->kind == WR_GEN_ZIPF) {
        for (uint32_t i = 0; i < rows; i++) {
            into[i] = (int64_t)(min + power_law(wr_rand_unit(&g->rand), (double)g->span,
                                                g->exponent));
        }
    } else if (g->span == 0) {
        for (uint32_t i = 0; i < rows; i++) {
            into[i] = (int64_t)wr_rand_next(&g->rand);
        }
    } else {
        struct wr_rand r = g->rand; /* in registers */
        for (uint32_t i = 0; i < rows; i++) {
            into[i] = (int64_t)(min + wr_rand_below(&r, g->span));
        }
        g->rand = r;
    }
}

#define STORE(type)                                                                                \
    for (uint32_t i = 0; i < rows; i++) {                                                          \
        ((type *)values)[i] = (type)numbers[i];                                                    \
    }                                                                                              \
    break

static void store_numbers(const struct wr_gen_column *g, void *values, const int64_t *numbers,
                          uint32_t rows, struct wr_arena *arena)
{
    switch (g->type.id) {
    case WR_TYPE_BOOL: STORE(uint8_t);
    case WR_TYPE_INT16: STORE(int16_t);
    case WR_TYPE_UINT16: STORE(uint16_t);
    case WR_TYPE_INT32: STORE(int32_t);
    case WR_TYPE_UINT32: STORE(uint32_t);
    case WR_TYPE_INT64: STORE(int64_t);
    case WR_TYPE_UINT64: STORE(uint64_t);
    case WR_TYPE_DECIMAL: STORE(__int128);
    case WR_TYPE_FLOAT32:
        for (uint32_t i = 0; i < rows; i++) {
            ((float *)values)[i] = (float)((double)numbers[i] / g->factor);
        }
        break;
    case WR_TYPE_FLOAT64:
        for (uint32_t i = 0; i < rows; i++) {
            ((double *)values)[i] = (double)numbers[i] / g->factor;
        }
        break;
    default: { /* TEXT */
        const size_t prefix = g->prefix == NULL ? 0 : strlen(g->prefix);
        for (uint32_t i = 0; i < rows; i++) {
            char *text = wr_arena_alloc(arena, prefix + 32);
            if (prefix > 0) {
                memcpy(text, g->prefix, prefix);
            }
            const char *end = wr_text_int64(text + prefix, numbers[i]);
            ((struct wr_view *)values)[i] = wr_view_of(text, (size_t)(end - text));
        }
    }
    }
}

/* Eight hexadecimal digits from 32 bits: spread nibbles to bytes, then add 'a' - 10 or '0'. */
static void hex_digits(char into[8], uint32_t bits)
{
    uint64_t x = bits;
    x = ((x << 16) | x) & 0x0000ffff0000ffffULL;
    x = ((x << 8) | x) & 0x00ff00ff00ff00ffULL;
    x = ((x << 4) | x) & 0x0f0f0f0f0f0f0f0fULL;
    const uint64_t letters = ((x + 0x0606060606060606ULL) >> 4) & 0x0101010101010101ULL;
    x += 0x3030303030303030ULL + letters * ('a' - 10 - '0');
    memcpy(into, &x, 8);
}

static void fill_hex(struct wr_gen_column *g, struct wr_view *values, uint32_t rows,
                     struct wr_arena *arena)
{
    const bool bytes = g->type.id == WR_TYPE_BYTES;
    const uint32_t room = (g->length + 15) & ~15u; /* whole draws */
    char *text = wr_arena_alloc(arena, (size_t)room * rows);
    for (uint32_t i = 0; i < rows; i++, text += room) {
        for (uint32_t at = 0; at < g->length; at += 16) {
            const uint64_t bits = wr_rand_next(&g->rand);
            if (bytes) {
                const uint64_t more = wr_rand_next(&g->rand);
                memcpy(text + at, &bits, 8);
                memcpy(text + at + 8, &more, 8);
            } else {
                hex_digits(text + at, (uint32_t)bits);
                hex_digits(text + at + 8, (uint32_t)(bits >> 32));
            }
        }
        values[i] = wr_view_of(text, g->length);
    }
}

static void fill_uuid(struct wr_gen_column *g, struct wr_view *values, uint32_t rows,
                      struct wr_arena *arena)
{
    char *text = wr_arena_alloc(arena, (size_t)48 * rows);
    for (uint32_t i = 0; i < rows; i++, text += 48) {
        const uint64_t a = wr_rand_next(&g->rand);
        const uint64_t b = wr_rand_next(&g->rand);
        char digits[32];
        hex_digits(digits, (uint32_t)a);
        hex_digits(digits + 8, (uint32_t)(a >> 32));
        hex_digits(digits + 16, (uint32_t)b);
        hex_digits(digits + 24, (uint32_t)(b >> 32));
        digits[12] = '4';                     /* version, RFC 9562 5.4 */
        digits[16] = "89ab"[(b >> 60) & 3];   /* variant */
        static const uint8_t parts[][3] = { { 0, 0, 8 },   { 9, 8, 4 },   { 14, 12, 4 },
                                            { 19, 16, 4 }, { 24, 20, 12 } };
        for (uint32_t p = 0; p < 5; p++) {
            memcpy(text + parts[p][0], digits + parts[p][1], parts[p][2]);
        }
        text[8] = text[13] = text[18] = text[23] = '-';
        values[i] = wr_view_of(text, 36);
    }
}

static void fill_choice(struct wr_gen_column *g, char *values, uint32_t rows)
{
    const uint32_t width = wr_type_width(g->type);
    for (uint32_t i = 0; i < rows; i++) {
        const uint64_t slot = wr_rand_next(&g->rand) >> 52;
        const struct wr_gen_value *value = &g->choices[g->slots[slot]];
        if (width == 16) {
            memcpy(values + (size_t)i * 16, value->bytes, 16);
        } else {
            memcpy(values + (size_t)i * width, value->bytes, width);
        }
    }
}
_Static_assert(WR_GEN_CHOICE_SLOTS == 1u << (64 - 52), "fill_choice takes the top bits");

static void fill_times(const struct wr_gen_column *g, void *values, uint32_t rows,
                       const int64_t *times)
{
    if (g->type.id != WR_TYPE_DATE) {
        memcpy(values, times, rows * sizeof(int64_t));
        return;
    }
    for (uint32_t i = 0; i < rows; i++) {
        const int64_t day = 86400 * WR_US_PER_S;
        ((int32_t *)values)[i] = (int32_t)(times[i] / day - (times[i] % day < 0));
    }
}

static void fill_nulls(struct wr_gen_column *g, struct wr_batch *batch, uint32_t rows)
{
    const uint32_t width = wr_type_width(g->type);
    uint8_t *validity = wr_batch_nullable(batch, g->column);
    char *values = batch->columns[g->column].values;
    for (uint32_t i = 0; i < rows; i++) {
        if ((uint32_t)(wr_rand_next(&g->nulls) >> 32) <= g->null_parts) {
            wr_bit_clear(validity, i);
            memset(values + (size_t)i * width, 0, width);
        }
    }
}

void wr_gen_column_fill(struct wr_gen_column *g, struct wr_batch *batch, uint32_t rows,
                        uint64_t number, uint64_t stride, const int64_t *times)
{
    void *values = batch->columns[g->column].values;
    wr_assert(rows <= WR_BATCH_ROWS_MAX);
    switch (g->kind) {
    case WR_GEN_NONE: return;
    case WR_GEN_CHOICE: fill_choice(g, values, rows); break;
    case WR_GEN_HEX: fill_hex(g, values, rows, &batch->arena); break;
    case WR_GEN_UUID: fill_uuid(g, values, rows, &batch->arena); break;
    case WR_GEN_TIME: fill_times(g, values, rows, times); break;
    case WR_GEN_SEQUENCE:
    case WR_GEN_RANDOM:
    case WR_GEN_ZIPF: {
        int64_t numbers[WR_BATCH_ROWS_MAX];
        make_numbers(g, numbers, rows, number, stride);
        store_numbers(g, values, numbers, rows, &batch->arena);
    }
    }
    if (g->null_parts > 0) {
        fill_nulls(g, batch, rows);
    }
}
