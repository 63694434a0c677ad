#include "encode/parquet_bounds.h"

#include "encode/kernels.h"

#define F64_INFINITY 0x7ff0000000000000ULL
#define F32_INFINITY 0x7f800000u
#define SIGN64       0x8000000000000000ULL
#define SIGN32       0x80000000u

void wr_bounds_add_keys(struct wr_bounds *b, int64_t min, int64_t max)
{
    b->min = !b->any || min < b->min ? min : b->min;
    b->max = !b->any || max > b->max ? max : b->max;
    b->any = true;
}

void wr_bounds_add_wide(struct wr_bounds *b, const __int128 *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        b->wide_min = !b->any || values[i] < b->wide_min ? values[i] : b->wide_min;
        b->wide_max = !b->any || values[i] > b->wide_max ? values[i] : b->wide_max;
        b->any = true;
    }
}

static struct wr_text_bound cut(struct wr_slice text)
{
    struct wr_text_bound bound = { .cut = text.bytes > WR_BOUND_BYTES };
    bound.bytes = (uint8_t)(bound.cut ? WR_BOUND_BYTES : text.bytes);
    memcpy(bound.data, text.data, bound.bytes);
    return bound;
}

/* Two cut texts with the same prefix count as equal: the prefix bounds both. */
static int compare_text(const struct wr_text_bound *a, const struct wr_text_bound *b)
{
    const uint8_t bytes = a->bytes < b->bytes ? a->bytes : b->bytes;
    const int order = memcmp(a->data, b->data, bytes);
    if (order != 0) {
        return order;
    }
    return a->bytes != b->bytes ? (int)a->bytes - (int)b->bytes : (int)a->cut - (int)b->cut;
}

static void add_text_bounds(struct wr_bounds *b, const struct wr_text_bound *min,
                            const struct wr_text_bound *max)
{
    if (!b->any || compare_text(min, &b->text_min) < 0) {
        b->text_min = *min;
    }
    if (!b->any || compare_text(max, &b->text_max) > 0) {
        b->text_max = *max;
    }
    b->any = true;
}

void wr_bounds_add_text(struct wr_bounds *b, struct wr_slice min, struct wr_slice max)
{
    const struct wr_text_bound low = cut(min);
    const struct wr_text_bound high = cut(max);
    add_text_bounds(b, &low, &high);
}

void wr_bounds_merge(struct wr_bounds *b, const struct wr_bounds *other, enum wr_bounds_kind kind)
{
    if (!other->any) {
        return;
    }
    if (kind == WR_BOUNDS_TEXT || kind == WR_BOUNDS_BYTES) {
        add_text_bounds(b, &other->text_min, &other->text_max);
    } else if (kind == WR_BOUNDS_WIDE) {
        const __int128 both[2] = { other->wide_min, other->wide_max };
        wr_bounds_add_wide(b, both, 2);
    } else {
        wr_bounds_add_keys(b, other->min, other->max);
    }
}

bool wr_bounds_usable(const struct wr_bounds *b, enum wr_bounds_kind kind)
{
    if (!b->any || kind == WR_BOUNDS_NONE) {
        return false;
    }
    if (kind == WR_BOUNDS_F64) { /* (2): NaNs lie beyond the infinities */
        return b->min >= wr_order_f64(F64_INFINITY | SIGN64) && b->max <= wr_order_f64(F64_INFINITY);
    }
    if (kind == WR_BOUNDS_F32) {
        return b->min >= wr_order_f32(F32_INFINITY | SIGN32) && b->max <= wr_order_f32(F32_INFINITY);
    }
    return true;
}

static void put_wide(__int128 value, uint32_t width, char *out)
{
    for (uint32_t i = 0; i < width; i++) {
        out[i] = (char)(uint8_t)(value >> (8 * (width - 1 - i)));
    }
}

/* Bounds that are numbers; the order keys of floats and unsigned ones undo themselves. */
static uint32_t put_key(int64_t key, enum wr_bounds_kind kind, bool max, char *out)
{
    uint64_t bits = (uint64_t)key;
    uint32_t bytes = 8;
    switch (kind) {
    case WR_BOUNDS_BOOL:
        bytes = 1;
        break;
    case WR_BOUNDS_32:
        bytes = 4;
        break;
    case WR_BOUNDS_U64:
        bits ^= SIGN64;
        break;
    case WR_BOUNDS_F64:
        bits = (uint64_t)wr_order_f64(bits);
        bits = (bits & ~SIGN64) == 0 ? (max ? 0 : SIGN64) : bits; /* (3) */
        break;
    case WR_BOUNDS_F32:
        bytes = 4;
        bits = (uint32_t)wr_order_f32((uint32_t)bits);
        bits = (bits & ~(uint64_t)SIGN32) == 0 ? (max ? 0 : SIGN32) : bits; /* (3) */
        break;
    default:
        break;
    }
    memcpy(out, &bits, bytes); /* little-endian: the low bytes come first */
    return bytes;
}

bool wr_bounds_min(const struct wr_bounds *b, enum wr_bounds_kind kind, uint32_t width, char *out,
                   uint32_t *bytes, bool *exact)
{
    if (!wr_bounds_usable(b, kind)) {
        return false;
    }
    *exact = true;
    if (kind == WR_BOUNDS_WIDE) {
        put_wide(b->wide_min, width, out);
        *bytes = width;
    } else if (kind == WR_BOUNDS_TEXT || kind == WR_BOUNDS_BYTES) {
        uint32_t n = b->text_min.bytes;
        if (b->text_min.cut && kind == WR_BOUNDS_TEXT) { /* no half characters */
            while (n > 0 && ((uint8_t)b->text_min.data[n - 1] & 0xc0) == 0x80) {
                n--;
            }
            n -= n > 0 && (uint8_t)b->text_min.data[n - 1] >= 0xc0;
        }
        memcpy(out, b->text_min.data, n);
        *bytes = n;
        *exact = !b->text_min.cut;
    } else {
        *bytes = put_key(b->min, kind, false, out);
    }
    return true;
}

static bool raise_bytes(char *text, uint32_t *bytes)
{
    for (uint32_t n = *bytes; n > 0; n--) {
        const uint8_t last = (uint8_t)text[n - 1];
        if (last != 0xff) {
            text[n - 1] = (char)(last + 1);
            *bytes = n;
            return true;
        }
    }
    return false;
}

static uint32_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const uint32_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t heads[4] = { 0, 0xc0, 0xe0, 0xf0 };
    out[0] = (char)(heads[more] | c >> (6 * more));
    for (uint32_t i = 1; i <= more; i++) {
        out[i] = (char)(0x80 | (c >> (6 * (more - i)) & 0x3f));
    }
    return more + 1;
}

/* Decodes the character that starts at text; 0 bytes when it is ill-formed or does not fit in. */
static uint32_t get_utf8(const char *text, uint32_t bytes, uint32_t *c)
{
    const uint8_t head = (uint8_t)text[0];
    const uint32_t need = head < 0x80 ? 1 : head < 0xe0 ? 2 : head < 0xf0 ? 3 : 4;
    if (need > bytes || !wr_utf8_valid(text, need)) {
        return 0;
    }
    *c = need == 1 ? head : head & (0x7fu >> need);
    for (uint32_t i = 1; i < need; i++) {
        *c = *c << 6 | ((uint8_t)text[i] & 0x3f);
    }
    return need;
}

/* Code points and UTF-8 bytes order alike, so the next code point in place of the last one is above. */
static bool raise_utf8(char *text, uint32_t *bytes)
{
    uint32_t n = *bytes;
    while (n > 0) {
        do {
            n--;
        } while (n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80);
        uint32_t c;
        if (get_utf8(text + n, *bytes - n, &c) == 0 || c == 0x10ffff) {
            *bytes = n; /* cut in its middle, or the last of all: the one before takes its place */
            continue;
        }
        c = c == 0xd7ff ? 0xe000 : c + 1; /* surrogates are no characters */
        *bytes = n + put_utf8(text + n, c);
        return true;
    }
    return false;
}

bool wr_bounds_max(const struct wr_bounds *b, enum wr_bounds_kind kind, uint32_t width, char *out,
                   uint32_t *bytes, bool *exact)
{
    if (!wr_bounds_usable(b, kind)) {
        return false;
    }
    *exact = true;
    if (kind == WR_BOUNDS_WIDE) {
        put_wide(b->wide_max, width, out);
        *bytes = width;
        return true;
    }
    if (kind != WR_BOUNDS_TEXT && kind != WR_BOUNDS_BYTES) {
        *bytes = put_key(b->max, kind, true, out);
        return true;
    }
    *bytes = b->text_max.bytes;
    memcpy(out, b->text_max.data, *bytes);
    *exact = !b->text_max.cut;
    if (*exact) {
        return true;
    }
    return kind == WR_BOUNDS_TEXT ? raise_utf8(out, bytes) : raise_bytes(out, bytes);
}

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_i128(__int128 a, __int128 b)
{
    return (a > b) - (a < b);
}

int wr_bounds_compare_min(const struct wr_bounds *a, const struct wr_bounds *b,
                          enum wr_bounds_kind kind)
{
    if (kind == WR_BOUNDS_TEXT || kind == WR_BOUNDS_BYTES) {
        return compare_text(&a->text_min, &b->text_min);
    }
    return kind == WR_BOUNDS_WIDE ? compare_i128(a->wide_min, b->wide_min)
                                  : compare_i64(a->min, b->min);
}

int wr_bounds_compare_max(const struct wr_bounds *a, const struct wr_bounds *b,
                          enum wr_bounds_kind kind)
{
    if (kind == WR_BOUNDS_TEXT || kind == WR_BOUNDS_BYTES) {
        return compare_text(&a->text_max, &b->text_max);
    }
    return kind == WR_BOUNDS_WIDE ? compare_i128(a->wide_max, b->wide_max)
                                  : compare_i64(a->max, b->max);
}
