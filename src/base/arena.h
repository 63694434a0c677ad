/* arena.h: memory that is freed all at once: chunks, bumped, kept over a reset.
 *
 * Ownership: the arena owns its chunks; what it hands out lives until reset or deinit.
 * Threads: one at a time.
 * Invariants: (1) after the first full use a reset arena serves the same use without malloc.
 */
#ifndef WR_BASE_ARENA_H
#define WR_BASE_ARENA_H

#include "base/slice.h"
#include <stdarg.h>

struct wr_arena_chunk;

struct wr_arena {
    struct wr_arena_chunk *first;
    struct wr_arena_chunk *current;
    size_t used;        /* bytes used of current */
    size_t chunk_bytes; /* size of a new chunk; 0 means 4 KiB */
    size_t held_bytes;  /* sum of all chunks: for memory accounting */
};

void wr_arena_init(struct wr_arena *arena, size_t chunk_bytes);
void wr_arena_deinit(struct wr_arena *arena); /* accepts a zeroed one */
void wr_arena_reset(struct wr_arena *arena);  /* keeps the chunks */

/* Gives back what was handed out after the mark; keeps the chunks. */
struct wr_arena_mark {
    struct wr_arena_chunk *current;
    size_t used;
};

static inline struct wr_arena_mark wr_arena_mark(const struct wr_arena *arena)
{
    return (struct wr_arena_mark){ arena->current, arena->used };
}

static inline void wr_arena_rewind(struct wr_arena *arena, struct wr_arena_mark mark)
{
    arena->current = mark.current;
    arena->used = mark.used;
}

/* Never NULL: running out of address space ends the process with a message (all sizes that come from
 * outside are checked before they come here). Aligned to 16. */
void *wr_arena_alloc(struct wr_arena *arena, size_t bytes);
void *wr_arena_zalloc(struct wr_arena *arena, size_t bytes);
char *wr_arena_strndup(struct wr_arena *arena, const char *text, size_t bytes); /* adds a NUL */
char *wr_arena_strdup(struct wr_arena *arena, const char *text);
char *wr_arena_printf(struct wr_arena *arena, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#define WR_ARENA_NEW(arena, type) ((type *)wr_arena_zalloc((arena), sizeof(type)))
#define WR_ARENA_ARRAY(arena, type, count)                                                         \
    ((type *)wr_arena_zalloc((arena), sizeof(type) * (size_t)(count)))

#endif
