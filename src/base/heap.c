/* heap.c: see heap.h. */
#include "base/heap.h"

#include "base/limits.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

_Noreturn static void out_of_memory(size_t bytes)
{
    fprintf(stderr,
            "weir: out of memory: the system refused %zu bytes\n"
            "  hint: give the process more memory or lower --memory; the next start goes on from "
            "the last committed epoch\n",
            bytes);
    _exit(1);
}

void *wr_malloc(size_t bytes)
{
    void *memory = malloc(bytes == 0 ? 1 : bytes);
    if (memory == NULL) {
        out_of_memory(bytes);
    }
    return memory;
}

void *wr_calloc(size_t count, size_t bytes)
{
    void *memory = count == 0 || bytes == 0 ? calloc(1, 1) : calloc(count, bytes);
    if (memory == NULL) {
        size_t total;
        out_of_memory(__builtin_mul_overflow(count, bytes, &total) ? SIZE_MAX : total);
    }
    return memory;
}

void *wr_realloc(void *old, size_t bytes)
{
    void *memory = realloc(old, bytes == 0 ? 1 : bytes);
    if (memory == NULL) {
        out_of_memory(bytes);
    }
    return memory;
}

char *wr_strdup(const char *text)
{
    const size_t bytes = strlen(text) + 1;
    return memcpy(wr_malloc(bytes), text, bytes);
}

void *wr_calloc_aligned(size_t bytes)
{
    if (bytes > SIZE_MAX - WR_CACHE_LINE) {
        out_of_memory(bytes);
    }
    const size_t lines = bytes == 0 ? 1 : (bytes + WR_CACHE_LINE - 1) / WR_CACHE_LINE;
    void *memory = aligned_alloc(WR_CACHE_LINE, lines * WR_CACHE_LINE);
    if (memory == NULL) {
        out_of_memory(bytes);
    }
    return memset(memory, 0, lines * WR_CACHE_LINE);
}
