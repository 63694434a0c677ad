/* heap.h: malloc that never returns NULL. Sizes from outside are checked by the caller first; what is left
 * is the kernel refusing memory, and then the only honest act is to say so and end (recovery is the same
 * as after kill -9). */
#ifndef WR_BASE_HEAP_H
#define WR_BASE_HEAP_H

#include <stddef.h>
#include <stdlib.h>

void *wr_malloc(size_t bytes) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *wr_calloc(size_t count, size_t bytes) __attribute__((malloc, returns_nonnull));
void *wr_realloc(void *old, size_t bytes) __attribute__((returns_nonnull));
char *wr_strdup(const char *text) __attribute__((malloc, returns_nonnull));
/* Aligned to a cache line and zeroed; free with free(). */
void *wr_calloc_aligned(size_t bytes) __attribute__((malloc, returns_nonnull));

#endif
