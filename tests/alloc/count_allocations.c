/* count_allocations.c: preloaded into weir, counts the calls that take memory and leaves their number, when the process
 * ends, in the file that $COUNT_ALLOCATIONS names: "calls bytes".
 * Threads: any; the counters are atomic. What dlsym itself asks for before the real functions are known comes from a small
 * static area that is never given back.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic unsigned long long calls;
static _Atomic unsigned long long total_bytes;

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
} real;

static _Alignas(64) char early[64 << 10];
static size_t early_used;

static void *early_take(size_t bytes)
{
    const size_t at = early_used;
    early_used += (bytes + 63) / 64 * 64;
    if (early_used > sizeof early) {
        abort();
    }
    return early + at; /* zeroed: it is static and used once */
}

static int is_early(const void *p)
{
    return (const char *)p >= early && (const char *)p < early + sizeof early;
}

static void find_real(void)
{
    static _Thread_local int inside;
    if (real.memalign != NULL || inside) {
        return;
    }
    inside = 1;
    *(void **)&real.malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&real.calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&real.realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&real.free = dlsym(RTLD_NEXT, "free");
    *(void **)&real.posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    *(void **)&real.aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
    *(void **)&real.memalign = dlsym(RTLD_NEXT, "memalign");
    inside = 0;
}

static void count(size_t bytes)
{
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&total_bytes, bytes, memory_order_relaxed);
}

void *malloc(size_t bytes)
{
    find_real();
    count(bytes);
    return real.malloc != NULL ? real.malloc(bytes) : early_take(bytes);
}

void *calloc(size_t items, size_t bytes)
{
    find_real();
    count(items * bytes);
    return real.calloc != NULL ? real.calloc(items, bytes) : early_take(items * bytes);
}

void *realloc(void *p, size_t bytes)
{
    find_real();
    count(bytes);
    if (is_early(p)) {
        void *copy = malloc(bytes);
        const size_t there = (size_t)(early + sizeof early - (char *)p);
        return memcpy(copy, p, bytes < there ? bytes : there);
    }
    return real.realloc(p, bytes);
}

void free(void *p)
{
    find_real();
    if (p != NULL && !is_early(p) && real.free != NULL) {
        real.free(p);
    }
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    find_real();
    count(bytes);
    return real.posix_memalign(out, alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    find_real();
    count(bytes);
    return real.aligned_alloc(alignment, bytes);
}

void *memalign(size_t alignment, size_t bytes)
{
    find_real();
    count(bytes);
    return real.memalign(alignment, bytes);
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("COUNT_ALLOCATIONS");
    const unsigned long long seen = atomic_load(&calls);
    const unsigned long long bytes = atomic_load(&total_bytes);
    FILE *file = path != NULL ? fopen(path, "w") : NULL;
    if (file != NULL) {
        fprintf(file, "%llu %llu\n", seen, bytes);
        fclose(file);
    }
}
