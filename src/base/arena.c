/* arena.c: see arena.h. The chunks form one list; those before current are full, those after it are
 * kept from an earlier use and are taken before new ones are made. */
#include "base/arena.h"

#include "base/assert.h"
#include "base/heap.h"
#include <stdalign.h>
#include <stdio.h>

#define ALIGNMENT   16u
#define CHUNK_BYTES 4096u

struct wr_arena_chunk {
    struct wr_arena_chunk *next;
    size_t bytes; /* of data */
    alignas(ALIGNMENT) char data[];
};

void wr_arena_init(struct wr_arena *arena, size_t chunk_bytes)
{
    memset(arena, 0, sizeof(*arena));
    arena->chunk_bytes = chunk_bytes;
}

void wr_arena_deinit(struct wr_arena *arena)
{
    struct wr_arena_chunk *chunk = arena->first;
    while (chunk != NULL) {
        struct wr_arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    wr_arena_init(arena, arena->chunk_bytes);
}

void wr_arena_reset(struct wr_arena *arena)
{
    arena->current = arena->first;
    arena->used = 0;
}

static struct wr_arena_chunk *chunk_create(struct wr_arena *arena, size_t bytes)
{
    const size_t usual = arena->chunk_bytes == 0 ? CHUNK_BYTES : arena->chunk_bytes;
    const size_t size = bytes > usual ? bytes : (usual + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct wr_arena_chunk *chunk = wr_malloc(sizeof(*chunk) + size);
    chunk->next = NULL;
    chunk->bytes = size;
    arena->held_bytes += sizeof(*chunk) + size;
    return chunk;
}

/* Makes current a chunk with room for bytes: the first kept one that is large enough, else a new
 * one. The same use after a reset finds the chunks in the order in which it took them: (1). */
static void advance(struct wr_arena *arena, size_t bytes)
{
    struct wr_arena_chunk **link = arena->current == NULL ? &arena->first : &arena->current->next;
    struct wr_arena_chunk **found = link;
    while (*found != NULL && (*found)->bytes < bytes) {
        found = &(*found)->next;
    }
    struct wr_arena_chunk *chunk = *found;
    if (chunk == NULL) {
        chunk = chunk_create(arena, bytes);
    } else {
        *found = chunk->next;
    }
    chunk->next = *link;
    *link = chunk;
    arena->current = chunk;
    arena->used = 0;
}

void *wr_arena_alloc(struct wr_arena *arena, size_t bytes)
{
    wr_assert(bytes < SIZE_MAX / 2);
    const size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (arena->current == NULL || arena->current->bytes - arena->used < rounded) {
        advance(arena, rounded);
    }
    void *at = arena->current->data + arena->used;
    arena->used += rounded;
    return at;
}

void *wr_arena_zalloc(struct wr_arena *arena, size_t bytes)
{
    return memset(wr_arena_alloc(arena, bytes), 0, bytes);
}

char *wr_arena_strndup(struct wr_arena *arena, const char *text, size_t bytes)
{
    wr_assert(bytes < SIZE_MAX / 2);
    char *copy = wr_arena_alloc(arena, bytes + 1);
    if (bytes > 0) {
        memcpy(copy, text, bytes);
    }
    copy[bytes] = '\0';
    return copy;
}

char *wr_arena_strdup(struct wr_arena *arena, const char *text)
{
    return wr_arena_strndup(arena, text, strlen(text));
}

char *wr_arena_printf(struct wr_arena *arena, const char *fmt, ...)
{
    wr_assert(fmt != NULL);
    va_list args;
    va_start(args, fmt);
    const int bytes = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    wr_assert(bytes >= 0);

    char *text = wr_arena_alloc(arena, (size_t)bytes + 1);
    va_start(args, fmt);
    vsnprintf(text, (size_t)bytes + 1, fmt, args);
    va_end(args);
    return text;
}
