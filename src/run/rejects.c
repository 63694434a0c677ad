#include "run/rejects.h"

#include "base/heap.h"
#include <stdio.h>
#include <string.h>

void wr_rejects_init(struct wr_rejects *rejects)
{
    *rejects = (struct wr_rejects){ 0 };
    pthread_mutex_init(&rejects->lock, NULL);
}

void wr_rejects_deinit(struct wr_rejects *rejects)
{
    for (struct wr_reject *r; (r = wr_rejects_take(rejects)) != NULL;) {
        wr_reject_free(r);
    }
    pthread_mutex_destroy(&rejects->lock);
}

void wr_rejects_put(struct wr_rejects *rejects, uint32_t sink, const char *row_json, size_t bytes,
                    const char *message)
{
    struct wr_reject *reject = wr_calloc(1, sizeof *reject);
    reject->sink = sink;
    reject->bytes = bytes;
    reject->row_json = wr_malloc(bytes + 1);
    memcpy(reject->row_json, row_json, bytes);
    reject->row_json[bytes] = '\0';
    snprintf(reject->message, sizeof reject->message, "%s", message);
    pthread_mutex_lock(&rejects->lock);
    if (rejects->first == NULL) {
        rejects->first = reject;
    } else {
        rejects->last->next = reject;
    }
    rejects->last = reject;
    atomic_store_explicit(&rejects->any, true, memory_order_relaxed);
    atomic_fetch_add_explicit(&rejects->put, 1, memory_order_relaxed);
    pthread_mutex_unlock(&rejects->lock);
}

struct wr_reject *wr_rejects_take(struct wr_rejects *rejects)
{
    if (!atomic_load_explicit(&rejects->any, memory_order_relaxed)) {
        return NULL;
    }
    pthread_mutex_lock(&rejects->lock);
    struct wr_reject *reject = rejects->first;
    if (reject != NULL) {
        rejects->first = reject->next;
    }
    atomic_store_explicit(&rejects->any, rejects->first != NULL, memory_order_relaxed);
    pthread_mutex_unlock(&rejects->lock);
    return reject;
}

void wr_reject_free(struct wr_reject *reject)
{
    free(reject->row_json);
    free(reject);
}
