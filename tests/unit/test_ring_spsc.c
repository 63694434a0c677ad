#include "base/rand.h"
#include "ring/ring_spsc.h"
#include <criterion/criterion.h>

#define CAPACITY 4u

static struct wr_ring ring;
static void *slots[CAPACITY];
static int items[16];

static void *item(uint32_t i)
{
    return &items[i];
}

Test(ring_spsc, an_empty_ring_gives_nothing)
{
    wr_ring_init(&ring, slots, CAPACITY);
    void *out[2];
    cr_assert_eq(wr_ring_pop(&ring, out, 2), 0);
    cr_assert_eq(wr_ring_peek(&ring), NULL);
    cr_assert_eq(wr_ring_room(&ring), CAPACITY);
    cr_assert_eq(wr_ring_depth(&ring), 0);
}

Test(ring_spsc, full_ring_leaves_the_rest_with_the_caller)
{
    wr_ring_init(&ring, slots, CAPACITY);
    void *in[] = { item(0), item(1), item(2), item(3), item(4), item(5) };
    cr_assert_eq(wr_ring_push(&ring, in, 6), 4);
    cr_assert_eq(wr_ring_push(&ring, in + 4, 2), 0);
    cr_assert_eq(wr_ring_room(&ring), 0);
    cr_assert_eq(wr_ring_depth(&ring), 4);
    void *out[6];
    cr_assert_eq(wr_ring_pop(&ring, out, 1), 1);
    cr_assert_eq(out[0], item(0));
    cr_assert_eq(wr_ring_push(&ring, in + 4, 2), 1);
    cr_assert_eq(wr_ring_pop(&ring, out, 6), 4);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(out[i], item(i + 1));
    }
}

Test(ring_spsc, peek_does_not_take)
{
    wr_ring_init(&ring, slots, CAPACITY);
    void *in[] = { item(7), item(8) };
    wr_ring_push(&ring, in, 2);
    cr_assert_eq(wr_ring_peek(&ring), item(7));
    cr_assert_eq(wr_ring_peek(&ring), item(7));
    void *out;
    cr_assert_eq(wr_ring_pop(&ring, &out, 1), 1);
    cr_assert_eq(out, item(7));
    cr_assert_eq(wr_ring_peek(&ring), item(8));
}

Test(ring_spsc, a_ring_of_one_works)
{
    wr_ring_init(&ring, slots, 1);
    for (uint32_t i = 0; i < 10; i++) {
        void *in = item(i);
        void *out;
        cr_assert_eq(wr_ring_push(&ring, &in, 1), 1);
        cr_assert_eq(wr_ring_push(&ring, &in, 1), 0);
        cr_assert_eq(wr_ring_pop(&ring, &out, 1), 1);
        cr_assert_eq(out, item(i));
    }
}

Test(ring_spsc, random_pushes_and_pops_keep_the_order)
{
    wr_ring_init(&ring, slots, CAPACITY);
    struct wr_rand rand;
    wr_rand_seed(&rand, 5);
    uint64_t pushed = 0;
    uint64_t popped = 0;
    while (popped < 100000) {
        void *buffer[6];
        uint32_t count = (uint32_t)wr_rand_below(&rand, 7);
        for (uint32_t i = 0; i < count; i++) {
            buffer[i] = (void *)(uintptr_t)(pushed + i + 1);
        }
        const uint64_t room = CAPACITY - (pushed - popped);
        const uint32_t taken = wr_ring_push(&ring, buffer, count);
        cr_assert_eq(taken, count < room ? count : room);
        pushed += taken;
        cr_assert_eq(wr_ring_depth(&ring), pushed - popped);
        count = (uint32_t)wr_rand_below(&rand, 7);
        const uint32_t got = wr_ring_pop(&ring, buffer, count);
        cr_assert_eq(got, count < pushed - popped ? count : pushed - popped);
        for (uint32_t i = 0; i < got; i++) {
            cr_assert_eq((uintptr_t)buffer[i], popped + i + 1);
        }
        popped += got;
    }
}
