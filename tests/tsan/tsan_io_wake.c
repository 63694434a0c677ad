/* A thread hands numbers over and wakes the loop's owner, which sleeps without a limit in between.
 * A lost wake-up is a hang, which the test's time limit ends. */
#include "io/loop.h"
#include "ring/ring_spsc.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ITEMS 20000u

static struct wr_io *io;
static struct wr_ring ring;
static void *slots[4];
static uint64_t numbers[ITEMS];

static void *produce(void *arg)
{
    for (uint32_t i = 0; i < ITEMS; i++) {
        numbers[i] = i;
        void *item = &numbers[i];
        while (wr_ring_push(&ring, &item, 1) == 0) {
            sched_yield();
        }
        wr_io_wake(io);
        if (i % 64 == 0) { /* let the owner fall asleep now and then */
            const struct timespec pause = { .tv_nsec = 50000 };
            nanosleep(&pause, NULL);
        }
    }
    return arg;
}

static int run(enum wr_io_backend backend)
{
    struct wr_error err;
    if (wr_io_create(&io, backend, 8, &err) != WR_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    wr_ring_init(&ring, slots, 4);
    pthread_t producer;
    if (pthread_create(&producer, NULL, produce, NULL) != 0) {
        perror("pthread_create");
        return 1;
    }
    uint64_t expected = 0;
    while (expected < ITEMS) {
        void *item;
        if (wr_ring_pop(&ring, &item, 1) == 0) {
            wr_io_turn(io, -1);
        } else if (*(uint64_t *)item != expected++) {
            fprintf(stderr, "%s: out of order\n", wr_io_backend_name(io));
            return 1;
        }
    }
    pthread_join(producer, NULL);
    wr_io_destroy(io);
    return 0;
}

int main(void)
{
    int failed = run(WR_IO_EPOLL) + run(WR_IO_SIM);
    if (wr_io_uring_unavailable()[0] != '\0') {
        fprintf(stderr, "io_uring is left out: %s\n", wr_io_uring_unavailable());
    } else {
        failed += run(WR_IO_URING);
    }
    return failed == 0 ? 0 : 1;
}
