#include "base/rand.h"
#include "state/snapshot.h"
#include <criterion/criterion.h>

static struct wr_error err;

static wr_status note(void *ctx, const char *name, const void *records, size_t bytes,
                      struct wr_error *error)
{
    struct wr_buf *out = ctx;
    wr_buf_text(out, name);
    wr_buf_byte(out, ':');
    wr_buf_append(out, records, bytes);
    wr_buf_byte(out, '\n');
    return WR_OK;
}

static wr_status refuse(void *ctx, const char *name, const void *records, size_t bytes,
                        struct wr_error *error)
{
    return wr_fail(error, WR_CLASS_FATAL, "no");
}

static wr_status sum(void *ctx, const char *name, const void *records, size_t bytes,
                     struct wr_error *error)
{
    struct wr_buf *out = ctx; /* one per operator: "a", "b", "c" */
    wr_buf_append(&out[name[0] - 'a'], records, bytes);
    return WR_OK;
}

static struct wr_slice slice_of(const struct wr_buf *buf)
{
    return (struct wr_slice){ buf->data, buf->bytes };
}

static void small_object(struct wr_buf *object)
{
    struct wr_snapshot_writer *writer = wr_snapshot_writer_create();
    wr_snapshot_add(writer, "a", "one", 3);
    wr_snapshot_add(writer, "b", "two", 3);
    wr_snapshot_add(writer, "a", "three", 5);
    cr_assert_eq(wr_snapshot_raw_bytes(writer), 11);
    cr_assert_eq(wr_snapshot_finish(writer, object, &err), WR_OK);
    cr_assert(wr_snapshot_is_empty(writer));
    wr_snapshot_writer_destroy(writer);
}

Test(snapshot, what_is_told_comes_back_by_operator)
{
    struct wr_buf object = { 0 };
    struct wr_buf out = { 0 };
    small_object(&object);
    cr_assert_eq(wr_snapshot_read(slice_of(&object), note, &out, &err), WR_OK, "%s", err.message);
    cr_assert_str_eq(wr_buf_cstr(&out), "a:onethree\nb:two\n");
    cr_assert_eq(wr_snapshot_read(slice_of(&object), refuse, NULL, &err), WR_FAIL);
    cr_assert_str_eq(err.message, "no");
    wr_buf_deinit(&object);
    wr_buf_deinit(&out);
}

Test(snapshot, an_empty_one_and_a_used_writer_are_fine)
{
    struct wr_buf object = { 0 };
    struct wr_buf out = { 0 };
    struct wr_snapshot_writer *writer = wr_snapshot_writer_create();
    wr_snapshot_add(writer, "a", "", 0);
    cr_assert(wr_snapshot_is_empty(writer));
    cr_assert_eq(wr_snapshot_finish(writer, &object, &err), WR_OK);
    cr_assert_eq(wr_snapshot_read(slice_of(&object), note, &out, &err), WR_OK);
    cr_assert_eq(out.bytes, 0);
    object.bytes = 0;
    wr_snapshot_add(writer, "b", "x", 1);
    cr_assert_eq(wr_snapshot_finish(writer, &object, &err), WR_OK);
    cr_assert_eq(wr_snapshot_read(slice_of(&object), note, &out, &err), WR_OK);
    cr_assert_str_eq(wr_buf_cstr(&out), "b:x\n");
    wr_snapshot_writer_destroy(writer);
    wr_snapshot_writer_destroy(NULL);
    wr_buf_deinit(&object);
    wr_buf_deinit(&out);
}

Test(snapshot, megabytes_of_several_operators_come_back_in_order)
{
    struct wr_rand rand;
    wr_rand_seed(&rand, 5);
    struct wr_buf told[3] = { { 0 } };
    struct wr_buf got[3] = { { 0 } };
    struct wr_buf object = { 0 };
    struct wr_snapshot_writer *writer = wr_snapshot_writer_create();
    for (uint32_t i = 0; i < 200; i++) {
        static char bytes[60000];
        const uint64_t count = wr_rand_below(&rand, sizeof bytes);
        const uint64_t op = wr_rand_below(&rand, 3);
        for (uint64_t b = 0; b < count; b++) {
            bytes[b] = (char)wr_rand_below(&rand, 7);
        }
        wr_snapshot_add(writer, (const char *[]){ "a", "b", "c" }[op], bytes, count);
        wr_buf_append(&told[op], bytes, count);
    }
    cr_assert_eq(wr_snapshot_finish(writer, &object, &err), WR_OK);
    cr_assert_eq(wr_snapshot_read(slice_of(&object), sum, got, &err), WR_OK, "%s", err.message);
    for (uint32_t op = 0; op < 3; op++) {
        cr_assert_eq(got[op].bytes, told[op].bytes);
        cr_assert_eq(memcmp(got[op].data, told[op].data, told[op].bytes), 0);
        wr_buf_deinit(&told[op]);
        wr_buf_deinit(&got[op]);
    }
    wr_snapshot_writer_destroy(writer);
    wr_buf_deinit(&object);
}

Test(snapshot, every_cut_and_every_changed_bit_is_told_before_anything_is_restored)
{
    struct wr_buf object = { 0 };
    struct wr_buf out = { 0 };
    small_object(&object);
    for (size_t bytes = 0; bytes < object.bytes; bytes++) {
        char *copy = malloc(bytes + 1); /* so that a sanitizer sees a read behind it */
        memcpy(copy, object.data, bytes);
        cr_assert_eq(wr_snapshot_read((struct wr_slice){ copy, bytes }, note, &out, &err), WR_FAIL);
        cr_assert_eq(err.cls, WR_CLASS_FATAL);
        free(copy);
    }
    for (size_t bit = 0; bit < object.bytes * 8; bit++) {
        object.data[bit / 8] = (char)(object.data[bit / 8] ^ 1 << bit % 8);
        cr_assert_eq(wr_snapshot_read(slice_of(&object), note, &out, &err), WR_FAIL, "bit %zu", bit);
        object.data[bit / 8] = (char)(object.data[bit / 8] ^ 1 << bit % 8);
    }
    wr_buf_byte(&object, 0);
    cr_assert_eq(wr_snapshot_read(slice_of(&object), note, &out, &err), WR_FAIL, "bytes behind it");
    cr_assert_eq(out.bytes, 0);
    wr_buf_deinit(&object);
}

Test(snapshot, a_newer_version_says_so)
{
    struct wr_buf object = { 0 };
    small_object(&object);
    object.data[4] = 9;
    cr_assert_eq(wr_snapshot_read(slice_of(&object), note, NULL, &err), WR_FAIL);
    cr_assert_not_null(strstr(err.message, "version 9"));
    cr_assert_not_null(strstr(err.hint, "newer"));
    wr_buf_deinit(&object);
}

Test(snapshot, keys_tell_their_epoch)
{
    char key[96];
    uint64_t epoch;
    wr_snapshot_key(42, "0123456789abcdef", 3, key);
    cr_assert_str_eq(key, "snapshot/00000000000000000042-0123456789abcdef-3.wrsn");
    cr_assert(wr_snapshot_key_epoch(key, &epoch));
    cr_assert_eq(epoch, 42);
    cr_assert_not(wr_snapshot_key_epoch("manifest/1.json", &epoch));
}

/* More than the writer keeps raw: blocks are packed as they are told, and come back in the same order. */
Test(snapshot, a_large_one_is_packed_on_the_way)
{
    struct wr_snapshot_writer *writer = wr_snapshot_writer_create();
    struct wr_buf object = { 0 };
    struct wr_buf out[3] = { 0 };
    struct wr_buf told[2] = { 0 };
    struct wr_rand rand;
    uint64_t piece[512];
    wr_rand_seed(&rand, 7);
    for (uint32_t i = 0; i < 6000; i++) {
        const uint32_t name = (uint32_t)wr_rand_below(&rand, 2);
        for (uint32_t k = 0; k < 512; k++) {
            piece[k] = wr_rand_below(&rand, 1000);
        }
        const size_t bytes = 1 + wr_rand_below(&rand, sizeof piece);
        wr_snapshot_add(writer, name == 0 ? "a" : "b", piece, bytes);
        wr_buf_append(&told[name], piece, bytes);
    }
    cr_assert(told[0].bytes + told[1].bytes > (10u << 20));
    cr_assert_eq(wr_snapshot_raw_bytes(writer), told[0].bytes + told[1].bytes);
    cr_assert_eq(wr_snapshot_finish(writer, &object, &err), WR_OK);
    cr_assert_eq(wr_snapshot_read(slice_of(&object), sum, out, &err), WR_OK, "%s", err.message);
    for (uint32_t n = 0; n < 2; n++) {
        cr_assert_eq(out[n].bytes, told[n].bytes);
        cr_assert_eq(memcmp(out[n].data, told[n].data, told[n].bytes), 0);
        wr_buf_deinit(&out[n]);
        wr_buf_deinit(&told[n]);
    }
    wr_buf_deinit(&object);
    wr_snapshot_writer_destroy(writer);
}
