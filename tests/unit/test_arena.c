#include "base/arena.h"
#include <criterion/criterion.h>
#include <stdio.h>

Test(arena, gives_aligned_disjoint_memory)
{
    struct wr_arena arena;
    wr_arena_init(&arena, 128);
    cr_assert_neq(wr_arena_alloc(&arena, 0), NULL);
    char *all[300];
    for (size_t bytes = 1; bytes < 300; bytes++) {
        all[bytes] = wr_arena_alloc(&arena, bytes);
        cr_assert_eq((uintptr_t)all[bytes] % 16, 0);
        memset(all[bytes], (int)bytes, bytes);
    }
    for (size_t bytes = 1; bytes < 300; bytes++) {
        cr_assert_eq((uint8_t)all[bytes][0], (uint8_t)bytes);
        cr_assert_eq((uint8_t)all[bytes][bytes - 1], (uint8_t)bytes);
    }
    wr_arena_deinit(&arena);
}

Test(arena, keeps_what_was_written_over_many_chunks)
{
    struct wr_arena arena;
    wr_arena_init(&arena, 64);
    char *texts[200];
    for (int i = 0; i < 200; i++) {
        texts[i] = wr_arena_printf(&arena, "text number %d", i);
    }
    for (int i = 0; i < 200; i++) {
        char expected[32];
        snprintf(expected, sizeof(expected), "text number %d", i);
        cr_assert_str_eq(texts[i], expected);
    }
    wr_arena_deinit(&arena);
}

static void use(struct wr_arena *arena)
{
    for (int i = 0; i < 50; i++) {
        wr_arena_alloc(arena, (size_t)(i * 37 % 400));
    }
    wr_arena_alloc(arena, 100000);
    wr_arena_alloc(arena, 10);
}

Test(arena, serves_the_same_use_after_reset_without_malloc)
{
    struct wr_arena arena;
    wr_arena_init(&arena, 256);
    use(&arena);
    const size_t held = arena.held_bytes;
    cr_assert_gt(held, 100000);
    for (int i = 0; i < 10; i++) {
        wr_arena_reset(&arena);
        use(&arena);
        cr_assert_eq(arena.held_bytes, held);
    }
    wr_arena_deinit(&arena);
    cr_assert_eq(arena.held_bytes, 0);
}

Test(arena, finds_a_large_kept_chunk_wherever_it_lies)
{
    struct wr_arena arena;
    wr_arena_init(&arena, 64);
    for (int i = 0; i < 20; i++) {
        wr_arena_alloc(&arena, 60);
    }
    wr_arena_alloc(&arena, 5000);
    const size_t held = arena.held_bytes;
    wr_arena_reset(&arena);
    wr_arena_alloc(&arena, 5000); /* now first: taken from the end of the list */
    for (int i = 0; i < 19; i++) {
        wr_arena_alloc(&arena, 60);
    }
    cr_assert_eq(arena.held_bytes, held);
    wr_arena_deinit(&arena);
}

Test(arena, zeroes_and_duplicates)
{
    struct wr_arena arena = { 0 }; /* a zeroed one works with the usual chunk size */
    char *dirty = wr_arena_alloc(&arena, 64);
    memset(dirty, 0xff, 64);
    wr_arena_reset(&arena);
    char *clean = wr_arena_zalloc(&arena, 64);
    cr_assert_eq(clean, dirty);
    for (int i = 0; i < 64; i++) {
        cr_assert_eq(clean[i], 0);
    }
    cr_assert_str_eq(wr_arena_strndup(&arena, "abcdef", 3), "abc");
    cr_assert_str_eq(wr_arena_strndup(&arena, NULL, 0), "");
    cr_assert_str_eq(wr_arena_strdup(&arena, "abc"), "abc");
    wr_arena_deinit(&arena);
    wr_arena_deinit(&arena);
}
