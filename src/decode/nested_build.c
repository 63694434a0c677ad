/* nested_build.c: see nested_build.h. */
#include "decode/nested_build.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/heap.h"
#include "batch/text.h"
#include <stdio.h>

/* How much of a map's key a path shows. */
#define KEY_SHOWN 40u

/* Maps up to this size are compared pairwise. */
#define FEW 8u

void wr_nested_path_text(const struct wr_nested_path *path, const char *column, char *into,
                         size_t bytes)
{
    size_t at = (size_t)snprintf(into, bytes, "%s", column);
    for (uint32_t i = 0; i < path->depth && at < bytes; i++) {
        const struct wr_nested_path_step *step = &path->steps[i];
        int made;
        if (step->name != NULL) {
            made = snprintf(into + at, bytes - at, ".%s", step->name);
        } else if (step->key.data != NULL) {
            uint32_t shown = step->key.bytes < KEY_SHOWN ? (uint32_t)step->key.bytes : KEY_SHOWN;
            while (shown > 0 && !wr_utf8_valid(step->key.data, shown)) {
                shown--; /* not in the middle of a character */
            }
            made = snprintf(into + at, bytes - at, "['%.*s']", (int)shown, step->key.data);
        } else {
            made = snprintf(into + at, bytes - at, "[%llu]", (unsigned long long)step->index);
        }
        at += made > 0 ? (size_t)made : 0;
    }
}

/* ---- maps ---- */

struct entry {
    uint32_t key;   /* where its slot begins, from the body's first entry */
    uint32_t value;
    uint32_t end;
    bool again; /* a later one has the same key */
};

static uint32_t slot_bytes(struct wr_type type, const char *at)
{
    uint32_t bytes = wr_type_width(type);
    if (*at == 0) {
        return 1;
    }
    if (wr_type_is_view(type)) {
        memcpy(&bytes, at + 1, sizeof bytes);
        bytes += (uint32_t)sizeof bytes;
    }
    return 1 + bytes;
}

/* Keys are scalars without two ways to write one: equal keys are equal bytes. */
static bool same_key(const char *body, const struct entry *a, const struct entry *b)
{
    return a->value - a->key == b->value - b->key &&
           memcmp(body + a->key, body + b->key, a->value - a->key) == 0;
}

static bool mark_few(const char *body, struct entry *entries, uint32_t count)
{
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = i + 1; k < count && !entries[i].again; k++) {
            entries[i].again = same_key(body, &entries[i], &entries[k]);
        }
        any = any || entries[i].again;
    }
    return any;
}

static bool mark_many(const char *body, struct entry *entries, uint32_t count)
{
    uint32_t room = 32;
    bool any = false;
    while (room < count * 2) {
        room *= 2;
    }
    uint32_t *table = wr_calloc(room, sizeof *table); /* 1 + the entry */
    for (uint32_t i = 0; i < count; i++) {
        const struct entry *e = &entries[i];
        uint32_t at = (uint32_t)wr_hash_bytes_raw(body + e->key, e->value - e->key) & (room - 1);
        while (table[at] != 0 && !same_key(body, &entries[table[at] - 1], e)) {
            at = (at + 1) & (room - 1);
        }
        if (table[at] != 0) {
            entries[table[at] - 1].again = true;
            any = true;
        }
        table[at] = i + 1;
    }
    free(table);
    return any;
}

/* Closes the gaps; returns how many bytes are left. */
static uint32_t keep_last(char *body, const struct entry *entries, uint32_t count, uint32_t *kept)
{
    uint32_t made = 0;
    *kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!entries[i].again) {
            const uint32_t bytes = entries[i].end - entries[i].key;
            memmove(body + made, body + entries[i].key, bytes);
            made += bytes;
            ++*kept;
        }
    }
    return made;
}

void wr_nested_settle_map(struct wr_nested_writer *w, struct wr_type map)
{
    wr_assert(w->depth > 0 && w->open[w->depth - 1].id == WR_TYPE_MAP);
    const struct wr_nested *nested = wr_nested_of(map);
    const uint32_t count = w->open[w->depth - 1].count / 2;
    const size_t begin = w->open[w->depth - 1].at + 4;
    struct entry own[FEW];
    uint32_t at = 0;
    if (count < 2) {
        return;
    }
    struct entry *entries = count <= FEW ? own : wr_calloc(count, sizeof *entries);
    char *body = w->buf.data + begin;
    for (uint32_t i = 0; i < count; i++) {
        struct entry *e = &entries[i];
        *e = (struct entry){ .key = at };
        e->value = at + slot_bytes(nested->fields[0].type, body + at);
        e->end = e->value + slot_bytes(nested->fields[1].type, body + e->value);
        at = e->end;
    }
    wr_assert(begin + at == w->buf.bytes);
    if (count <= FEW ? mark_few(body, entries, count) : mark_many(body, entries, count)) {
        uint32_t kept;
        w->buf.bytes = begin + keep_last(body, entries, count, &kept);
        w->open[w->depth - 1].count = kept * 2;
    }
    if (entries != own) {
        free(entries);
    }
}
