/* Two threads move a million items through a ring of 8; each checks what it gets. */
#include "base/rand.h"
#include "ring/ring_spsc.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define ITEMS    1000000u
#define CAPACITY 8u

struct item {
    uint64_t number; /* written by the producer, read by the consumer: no atomics of its own */
};

static struct wr_ring ring;
static void *slots[CAPACITY];
static struct item pool[4 * CAPACITY]; /* more than can be under way: reuse is safe */

static void *produce(void *arg)
{
    struct wr_rand rand;
    wr_rand_seed(&rand, 1);
    uint64_t pushed = 0;
    while (pushed < ITEMS) {
        void *run[CAPACITY];
        uint32_t count = 1 + (uint32_t)wr_rand_below(&rand, CAPACITY);
        const uint32_t room = wr_ring_room(&ring);
        count = count < room ? count : room;
        count = count < ITEMS - pushed ? count : (uint32_t)(ITEMS - pushed);
        for (uint32_t i = 0; i < count; i++) {
            struct item *item = &pool[(pushed + i) % (4 * CAPACITY)];
            item->number = pushed + i;
            run[i] = item;
        }
        if (wr_ring_push(&ring, run, count) != count) {
            fprintf(stderr, "the ring refused items for which it had room\n");
            exit(1);
        }
        pushed += count;
        if (count == 0) {
            sched_yield();
        }
    }
    return arg;
}

int main(void)
{
    wr_ring_init(&ring, slots, CAPACITY);
    pthread_t producer;
    if (pthread_create(&producer, NULL, produce, NULL) != 0) {
        perror("pthread_create");
        return 1;
    }
    struct wr_rand rand;
    wr_rand_seed(&rand, 2);
    uint64_t popped = 0;
    while (popped < ITEMS) {
        void *run[CAPACITY];
        const uint32_t got = wr_ring_pop(&ring, run, 1 + (uint32_t)wr_rand_below(&rand, CAPACITY));
        for (uint32_t i = 0; i < got; i++, popped++) {
            if (((struct item *)run[i])->number != popped) {
                fprintf(stderr, "item %llu came as number %llu\n", (unsigned long long)popped,
                        (unsigned long long)((struct item *)run[i])->number);
                return 1;
            }
        }
        if (got == 0) {
            sched_yield();
        }
    }
    pthread_join(producer, NULL);
    return wr_ring_depth(&ring) == 0 && wr_ring_peek(&ring) == NULL ? 0 : 1;
}
