#include "run/owner_self.h"

#include "base/rand.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct wr_owner *simulated_self;
static bool (*simulated_alive)(void *ctx, const struct wr_owner *owner);
static void *simulated_ctx;

void wr_owner_simulate(const struct wr_owner *self,
                       bool (*alive)(void *ctx, const struct wr_owner *owner), void *ctx)
{
    simulated_self = self;
    simulated_alive = alive;
    simulated_ctx = ctx;
}

/* A small file's first line, "" when it cannot be read. */
static const char *first_line(const char *path, char *line, size_t bytes)
{
    FILE *file = fopen(path, "re");
    line[0] = '\0';
    if (file != NULL) {
        if (fgets(line, (int)bytes, file) == NULL) {
            line[0] = '\0';
        }
        fclose(file);
    }
    line[strcspn(line, "\n")] = '\0';
    return line;
}

/* proc(5): fields 3 (state) and 22 (start time in ticks since boot) follow the last parenthesis: the name before it may hold anything.
 * False: there is no such process, or it has ended and only waits for its parent. */
static bool started_at(int64_t pid, uint64_t *start)
{
    char path[64];
    char line[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    const char *at = strrchr(first_line(path, line, sizeof line), ')');
    if (at == NULL || strlen(at) < 4 || at[2] == 'Z' || at[2] == 'X') {
        return false;
    }
    for (uint32_t field = 2; field < 22 && at != NULL; field++) {
        at = strchr(at + 1, ' ');
    }
    *start = at == NULL ? 0 : strtoull(at + 1, NULL, 10);
    return at != NULL;
}

void wr_owner_self(struct wr_owner *self, struct wr_arena *arena)
{
    char text[256];
    struct stat info;
    if (simulated_self != NULL) {
        *self = *simulated_self;
        return;
    }
    memset(self, 0, sizeof *self);
    if (gethostname(text, sizeof text) != 0) {
        text[0] = '\0';
    }
    text[sizeof text - 1] = '\0';
    self->host = wr_arena_strdup(arena, text);
    self->boot = wr_arena_strdup(arena, first_line("/proc/sys/kernel/random/boot_id", text, sizeof text));
    self->pid = getpid();
    (void)started_at(self->pid, &self->pid_start);
    self->pid_namespace = stat("/proc/self/ns/pid", &info) == 0 ? (uint64_t)info.st_ino : 0;
}

static bool alive(const struct wr_owner *owner)
{
    uint64_t start = 0;
    if (simulated_alive != NULL) {
        return simulated_alive(simulated_ctx, owner);
    }
    return owner->pid > 0 && started_at(owner->pid, &start) && start == owner->pid_start;
}

enum wr_owner_life wr_owner_life(const struct wr_owner *self, const struct wr_owner *owner)
{
    if (owner->released) {
        return WR_OWNER_DEAD;
    }
    if (self->boot[0] == '\0' || strcmp(self->boot, owner->boot) != 0 ||
        self->pid_namespace == 0 || self->pid_namespace != owner->pid_namespace) {
        return WR_OWNER_UNKNOWN;
    }
    return alive(owner) ? WR_OWNER_ALIVE : WR_OWNER_DEAD;
}

void wr_uuid_make(char uuid[37])
{
    const uint64_t high = (wr_rand_entropy() & ~0xf000ULL) | 0x4000ULL;
    const uint64_t low = (wr_rand_entropy() & ~(3ULL << 62)) | 2ULL << 62;
    snprintf(uuid, 37, "%08x-%04x-%04x-%04x-%012llx", (unsigned)(high >> 32),
             (unsigned)(high >> 16 & 0xffff), (unsigned)(high & 0xffff), (unsigned)(low >> 48),
             (unsigned long long)(low & 0xffffffffffffULL));
}
