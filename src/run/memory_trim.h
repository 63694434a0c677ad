/* memory_trim.h: gives freed memory back to the kernel before the process takes more than --memory.
 *
 * The allocator keeps freed pages for a minute (main/malloc_conf.c), which is cheap while there is room; where there is little they
 * would count against a container's limit as if they were in use. Threads: control.
 */
#ifndef WR_RUN_MEMORY_TRIM_H
#define WR_RUN_MEMORY_TRIM_H

#include "base/clock.h"

struct wr_memory_trim {
    uint64_t limit_bytes;
    int fd; /* /proc/self/statm; -1: there is none */
    int64_t next_ns;
};

void wr_memory_trim_init(struct wr_memory_trim *trim, uint64_t memory_bytes);
void wr_memory_trim_deinit(struct wr_memory_trim *trim);
/* Looks at what the process takes, a few times a second at most. */
void wr_memory_trim_tick(struct wr_memory_trim *trim, struct wr_time now);

#endif
