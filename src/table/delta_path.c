#include "base/rand.h"
#include "table/delta_log.h"

#include <stdio.h>
#include <string.h>

#define LOG_DIRECTORY "_delta_log/"
#define DIGITS        20

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~/=", c) != NULL);
}

void wr_delta_path_encode(const char *path, struct wr_buf *into)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const char *at = path; *at != '\0'; at++) {
        const unsigned char c = (unsigned char)*at;
        if (is_plain(c)) {
            wr_buf_byte(into, c);
        } else {
            const char escape[3] = { '%', hex[c >> 4], hex[c & 15] };
            wr_buf_append(into, escape, sizeof escape);
        }
    }
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool wr_delta_path_decode(const char *path, struct wr_buf *into)
{
    const size_t colon = strcspn(path, ":/?#");
    if (path[0] == '/' || path[0] == '\0' || path[colon] == ':') {
        return false;
    }
    for (const char *at = path; *at != '\0'; at++) {
        if (*at != '%') {
            wr_buf_byte(into, (uint8_t)*at);
            continue;
        }
        const int high = digit(at[1]);
        const int low = high < 0 ? -1 : digit(at[2]);
        if (low < 0 || high * 16 + low == 0) {
            return false;
        }
        wr_buf_byte(into, (uint8_t)(high * 16 + low));
        at += 2;
    }
    return true;
}

const char *wr_delta_key(int64_t version, const char *suffix, char *into, size_t bytes)
{
    snprintf(into, bytes, LOG_DIRECTORY "%020lld%s", (long long)version, suffix);
    return into;
}

bool wr_delta_key_parse(const char *key, int64_t *version, const char **suffix)
{
    const size_t directory = strlen(LOG_DIRECTORY);
    if (strncmp(key, LOG_DIRECTORY, directory) != 0) {
        return false;
    }
    int64_t value = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        const char c = key[directory + i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, c - '0', &value)) {
            return false;
        }
    }
    *version = value;
    *suffix = key + directory + DIGITS;
    return **suffix == '.';
}

void wr_delta_uuid(char into[37])
{
    uint64_t high = wr_rand_entropy();
    uint64_t low = wr_rand_entropy();
    high = (high & ~0xf000ull) | 0x4000;           /* version 4: random */
    low = (low & ~(3ull << 62)) | (uint64_t)2 << 62; /* the variant of RFC 9562 */
    snprintf(into, 37, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(high >> 32),
             (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xffff), (unsigned)(low >> 48),
             (unsigned long long)(low & 0xffffffffffffull));
}
