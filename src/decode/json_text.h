/* json_text.h: steps through JSON that has been scanned already (batch/json_scan.h): nothing is checked again.
 * Values stand within an object or array, so that something ends each of them. Threads: pure functions. */
#ifndef WR_DECODE_JSON_TEXT_H
#define WR_DECODE_JSON_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* at: at the opening quote. The byte after the closing one. */
static inline const char *wr_json_pass_string(const char *at)
{
    for (at++; *at != '"'; at++) {
        at += *at == '\\';
    }
    return at + 1;
}

/* at: at the value's first byte. The byte after it. */
static inline const char *wr_json_pass_value(const char *at)
{
    uint32_t open = 0;
    do {
        if (*at == '"') {
            at = wr_json_pass_string(at);
        } else if (*at == '{' || *at == '[') {
            open++;
            at++;
        } else if (*at == '}' || *at == ']') {
            open--;
            at++;
        } else if (open > 0) {
            at++;
        } else {
            while (*at != ',' && *at != '}' && *at != ']' && (uint8_t)*at > ' ') {
                at++;
            }
        }
    } while (open > 0);
    return at;
}

static inline const char *wr_json_pass_space(const char *at)
{
    while ((uint8_t)*at <= ' ') {
        at++;
    }
    return at;
}

/* A member of an object: its key, with the quotes, and its value. */
struct wr_json_part {
    const char *key;
    const char *key_after;
    const char *at;
    const char *after;
};

/* at: behind '{', or what this returned before. NULL: there is no other member. */
static inline const char *wr_json_next_member(const char *at, struct wr_json_part *part)
{
    at = wr_json_pass_space(at);
    if (*at == '}') {
        return NULL;
    }
    part->key = at;
    part->key_after = wr_json_pass_string(at);
    part->at = wr_json_pass_space(wr_json_pass_space(part->key_after) + 1);
    part->after = wr_json_pass_value(part->at);
    at = wr_json_pass_space(part->after);
    return at + (*at == ',');
}

/* The same of an array, whose parts have no keys. at: behind '['. */
static inline const char *wr_json_next_element(const char *at, struct wr_json_part *part)
{
    at = wr_json_pass_space(at);
    if (*at == ']') {
        return NULL;
    }
    part->at = at;
    part->after = wr_json_pass_value(at);
    at = wr_json_pass_space(part->after);
    return at + (*at == ',');
}

#endif
