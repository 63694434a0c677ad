/* fn_hash.c: xxhash64 (XXH64 with seed 0, over the text's bytes), md5, sha256, and the encodings of
 * BYTEA as text. */
#include "batch/text.h"
#include "exec/eval_node.h"
#include "exec/eval_utf8.h"
#include <openssl/evp.h>
#include <pthread.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static void xxhash64(struct wr_call *call)
{
    uint64_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_arg_text(call, 0, row);
        out[row] = XXH64(text.data, text.bytes, 0);
    }
}

void wr_kernel_XXHASH64(struct wr_call *call)
{
    xxhash64(call);
}

void wr_kernel_XXHASH64_BYTES(struct wr_call *call)
{
    xxhash64(call);
}

/* ---- digests ---- */

/* Fetched once for the process: a fetch per digest costs more than the digest. Lives until the
 * process ends. */
static EVP_MD *md5_method;
static EVP_MD *sha256_method;
static pthread_once_t methods_once = PTHREAD_ONCE_INIT;

static void fetch_methods(void)
{
    md5_method = EVP_MD_fetch(NULL, "MD5", NULL);
    sha256_method = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static void free_context(void *state)
{
    EVP_MD_CTX_free(state);
}

/* False after a failure (a build of OpenSSL may forbid MD5). */
static bool digest(struct wr_call *call, uint32_t row, EVP_MD *method, uint8_t *into,
                   unsigned *bytes)
{
    struct wr_node *node = call->node;
    if (node->state == NULL) {
        node->state = EVP_MD_CTX_new();
        node->state_free = free_context;
    }
    const struct wr_slice text = wr_arg_text(call, 0, row);
    if (node->state == NULL || method == NULL || !EVP_DigestInit_ex2(node->state, method, NULL) ||
        !EVP_DigestUpdate(node->state, text.data, text.bytes) ||
        !EVP_DigestFinal_ex(node->state, into, bytes)) {
        wr_result_fail(call, row, "OpenSSL does not provide this digest");
        return false;
    }
    return true;
}

static char *put_hex(char *into, const uint8_t *data, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes; i++) {
        *into++ = digits[data[i] >> 4];
        *into++ = digits[data[i] & 15];
    }
    return into;
}

static void md5(struct wr_call *call)
{
    pthread_once(&methods_once, fetch_methods);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        uint8_t raw[EVP_MAX_MD_SIZE];
        char text[2 * EVP_MAX_MD_SIZE];
        unsigned bytes = 0;
        if (digest(call, row, md5_method, raw, &bytes)) {
            const char *end = put_hex(text, raw, bytes);
            wr_result_text(call, row, text, (size_t)(end - text));
        }
    }
}

void wr_kernel_MD5(struct wr_call *call)
{
    md5(call);
}

void wr_kernel_MD5_BYTES(struct wr_call *call)
{
    md5(call);
}

static void sha256(struct wr_call *call)
{
    pthread_once(&methods_once, fetch_methods);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        uint8_t raw[EVP_MAX_MD_SIZE];
        unsigned bytes = 0;
        if (digest(call, row, sha256_method, raw, &bytes)) {
            wr_result_text(call, row, (const char *)raw, bytes);
        }
    }
}

void wr_kernel_SHA256(struct wr_call *call)
{
    sha256(call);
}

void wr_kernel_SHA256_BYTES(struct wr_call *call)
{
    sha256(call);
}

/* ---- encode, decode, to_hex ---- */

enum encoding { ENCODING_UNKNOWN, ENCODING_HEX, ENCODING_BASE64, ENCODING_ESCAPE };

static enum encoding encoding_of(struct wr_slice name)
{
    static const struct {
        const char *name;
        enum encoding encoding;
    } names[] = { { "hex", ENCODING_HEX },
                  { "base64", ENCODING_BASE64 },
                  { "escape", ENCODING_ESCAPE } };
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (wr_slice_equal_nocase(name, wr_slice_of(names[i].name))) {
            return names[i].encoding;
        }
    }
    return ENCODING_UNKNOWN;
}

/* As PostgreSQL's: lines of 76 characters (RFC 2045), separated by one newline. */
#define BASE64_LINE 76u

static void put_base64(struct wr_buf *out, struct wr_slice data)
{
    const size_t step = BASE64_LINE / 4 * 3;
    for (size_t at = 0; at < data.bytes; at += step) {
        if (at > 0) {
            wr_buf_byte(out, '\n');
        }
        wr_text_base64(out, data.data + at, data.bytes - at < step ? data.bytes - at : step);
    }
}

/* Zero and bytes above ASCII as \ooo, the backslash doubled. */
static void put_escaped(struct wr_buf *out, struct wr_slice data)
{
    for (size_t i = 0; i < data.bytes; i++) {
        const uint8_t c = (uint8_t)data.data[i];
        if (c == 0 || c >= 0x80) {
            wr_buf_printf(out, "\\%03o", c);
        } else {
            if (c == '\\') {
                wr_buf_byte(out, '\\');
            }
            wr_buf_byte(out, c);
        }
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool take_hex(struct wr_buf *out, struct wr_slice text)
{
    int high = -1;
    for (size_t i = 0; i < text.bytes; i++) {
        const int digit = hex_digit(text.data[i]);
        if (digit < 0) {
            if (is_space(text.data[i]) && high < 0) {
                continue;
            }
            return false;
        }
        if (high < 0) {
            high = digit;
        } else {
            wr_buf_byte(out, (uint8_t)(high << 4 | digit));
            high = -1;
        }
    }
    return high < 0;
}

/* Decodes into the run's arena; out holds the text without its white space. */
static bool take_base64(struct wr_call *call, uint32_t row, struct wr_buf *out,
                        struct wr_slice text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if (!is_space(text.data[i])) {
            wr_buf_byte(out, (uint8_t)text.data[i]);
        }
    }
    size_t bytes = 0;
    char *into = wr_result_room(call, out->bytes / 4 * 3 + 3);
    if (out->bytes > 0 &&
        !wr_text_parse_base64((struct wr_slice){ out->data, out->bytes }, into, &bytes)) {
        return false;
    }
    wr_result_borrow(call, row, into, bytes);
    return true;
}

static bool take_escaped(struct wr_buf *out, struct wr_slice text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        const char *at = text.data + i;
        const size_t left = text.bytes - i;
        if (*at != '\\') {
            wr_buf_byte(out, (uint8_t)*at);
        } else if (left >= 2 && at[1] == '\\') {
            wr_buf_byte(out, '\\');
            i++;
        } else if (left >= 4 && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' &&
                   at[3] >= '0' && at[3] <= '7') {
            wr_buf_byte(out, (uint8_t)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0')));
            i += 3;
        } else {
            return false;
        }
    }
    return true;
}

static void fail_encoding(struct wr_call *call, uint32_t row, struct wr_slice name)
{
    wr_result_fail(call, row, "unknown encoding '%.*s' (known: hex, base64, escape)",
                   (int)(name.bytes < 16 ? name.bytes : 16), name.data);
}

void wr_kernel_ENCODE(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        struct wr_buf *out = wr_node_buf(call->node);
        const struct wr_slice data = wr_arg_text(call, 0, row);
        const struct wr_slice name = wr_arg_text(call, 1, row);
        switch (encoding_of(name)) {
        case ENCODING_HEX: {
            char *at = wr_buf_reserve(out, data.bytes * 2);
            out->bytes += (size_t)(put_hex(at, (const uint8_t *)data.data, data.bytes) - at);
            break;
        }
        case ENCODING_BASE64:
            put_base64(out, data);
            break;
        case ENCODING_ESCAPE:
            put_escaped(out, data);
            break;
        default:
            fail_encoding(call, row, name);
            continue;
        }
        wr_result_text(call, row, wr_buf_cstr(out), out->bytes);
    }
}

void wr_kernel_DECODE(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        struct wr_buf *out = wr_node_buf(call->node);
        const struct wr_slice text = wr_arg_text(call, 0, row);
        const struct wr_slice name = wr_arg_text(call, 1, row);
        const enum encoding encoding = encoding_of(name);
        bool good = false;
        switch (encoding) {
        case ENCODING_HEX:
            good = take_hex(out, text);
            break;
        case ENCODING_BASE64:
            if (take_base64(call, row, out, text)) {
                continue;
            }
            break;
        case ENCODING_ESCAPE:
            good = take_escaped(out, text);
            break;
        default:
            fail_encoding(call, row, name);
            continue;
        }
        if (good) {
            wr_result_text(call, row, wr_buf_cstr(out), out->bytes);
        } else {
            wr_result_fail(call, row, "invalid %.*s text", WR_SLICE_ARG(name));
        }
    }
}

void wr_kernel_TO_HEX(struct wr_call *call)
{
    const int64_t *from = wr_arg_values(call, 0);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        char text[16];
        uint64_t value = (uint64_t)from[row];
        uint32_t at = sizeof text;
        do {
            text[--at] = "0123456789abcdef"[value & 15];
            value >>= 4;
        } while (value != 0);
        wr_result_text(call, row, text + at, sizeof text - at);
    }
}
