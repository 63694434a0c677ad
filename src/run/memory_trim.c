#include "run/memory_trim.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Each purge costs page faults afterwards. */
#define EVERY_NS (100 * WR_NS_PER_MS)

/* jemalloc's; NULL under another allocator, whose own thresholds then decide. */
extern int mallctl(const char *name, void *old, size_t *old_bytes, void *fresh, size_t fresh_bytes)
    __attribute__((weak));

void wr_memory_trim_init(struct wr_memory_trim *trim, uint64_t memory_bytes)
{
    *trim = (struct wr_memory_trim){ .limit_bytes = memory_bytes - memory_bytes / 4 };
    trim->fd = mallctl != NULL ? open("/proc/self/statm", O_RDONLY | O_CLOEXEC) : -1;
}

void wr_memory_trim_deinit(struct wr_memory_trim *trim)
{
    if (trim->fd >= 0) {
        close(trim->fd);
        trim->fd = -1;
    }
}

/* Resident and not a file's (those pages the kernel takes back by itself); 0: unknown. */
static uint64_t taken_bytes(const struct wr_memory_trim *trim)
{
    char text[128];
    unsigned long long resident;
    unsigned long long shared;
    const ssize_t bytes = pread(trim->fd, text, sizeof text - 1, 0);
    if (bytes <= 0) {
        return 0;
    }
    text[bytes] = '\0';
    if (sscanf(text, "%*u %llu %llu", &resident, &shared) != 2 || resident < shared) {
        return 0;
    }
    return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

void wr_memory_trim_tick(struct wr_memory_trim *trim, struct wr_time now)
{
    if (trim->fd < 0 || now.mono_ns < trim->next_ns) {
        return;
    }
    if (taken_bytes(trim) > trim->limit_bytes) {
        trim->next_ns = now.mono_ns + EVERY_NS;
        (void)mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* 4096: MALLCTL_ARENAS_ALL */
    }
}
