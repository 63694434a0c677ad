/* fault.c: see fault.h. SIGKILL is what a crash test wants: no handler, no flush, no atexit. */
#include "base/fault.h"

#ifdef WR_DEBUG

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long hits;

void wr_fault_hit(const char *name)
{
    const char *wanted = getenv("WEIR_FAULT");
    if (wanted == NULL) {
        return;
    }
    const char *colon = strrchr(wanted, ':');
    const size_t name_bytes = colon == NULL ? strlen(wanted) : (size_t)(colon - wanted);
    if (strlen(name) != name_bytes || memcmp(name, wanted, name_bytes) != 0) {
        return;
    }
    const unsigned long wanted_hit = colon == NULL ? 1 : strtoul(colon + 1, NULL, 10);

    pthread_mutex_lock(&lock);
    hits++;
    const int now = hits == wanted_hit;
    pthread_mutex_unlock(&lock);
    if (now) {
        kill(getpid(), SIGKILL);
        pause();
    }
}

#endif
