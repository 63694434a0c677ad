/* rejects.h: rows that the other side of a sink refused for good, from sink workers to worker 0, which makes dead letters
 * of them. Rare by nature: a locked list. Invariant (1): nothing put in is lost; control ends a run only when it is empty. */
#ifndef WR_RUN_REJECTS_H
#define WR_RUN_REJECTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wr_reject {
    struct wr_reject *next;
    uint32_t sink;
    char *row_json;
    size_t bytes;
    char message[256];
};

struct wr_rejects {
    pthread_mutex_t lock;
    struct wr_reject *first;
    struct wr_reject *last;
    atomic_bool any; /* a cheap look each turn */
    _Atomic uint64_t put; /* ever */
};

void wr_rejects_init(struct wr_rejects *rejects);
void wr_rejects_deinit(struct wr_rejects *rejects);
void wr_rejects_put(struct wr_rejects *rejects, uint32_t sink, const char *row_json, size_t bytes,
                    const char *message); /* @thread sink worker */
struct wr_reject *wr_rejects_take(struct wr_rejects *rejects); /* oldest or NULL; free with wr_reject_free */
void wr_reject_free(struct wr_reject *reject);

#endif
