#include "source/kinesis_kpl.h"

#include "base/proto_wire.h"
#include <criterion/criterion.h>
#include <openssl/evp.h>

/* A pack of records whose message is given: magic, message, MD5. */
static struct wr_buf pack(const struct wr_buf *message)
{
    struct wr_buf buf = { 0 };
    uint8_t sum[16];
    unsigned bytes = 0;
    EVP_Digest(message->data, message->bytes, sum, &bytes, EVP_md5(), NULL);
    wr_buf_append(&buf, "\xf3\x89\x9a\xc2", 4);
    wr_buf_append(&buf, message->data, message->bytes);
    wr_buf_append(&buf, sum, 16);
    return buf;
}

static void put_record(struct wr_buf *message, uint64_t key, int64_t explicit_key, const char *data)
{
    const size_t begun = wr_proto_begin(message, 3);
    wr_proto_put_varint(message, 1, key);
    if (explicit_key >= 0) {
        wr_proto_put_varint(message, 2, (uint64_t)explicit_key);
    }
    wr_proto_put_bytes(message, 3, data, strlen(data));
    wr_proto_end(message, begun);
}

/* Keys "a" (MD5 0cc175b9...) and "b" (92eb5ffe...), an explicit hash key of 1, three records. */
static struct wr_buf three(void)
{
    struct wr_buf message = { 0 };
    wr_proto_put_bytes(&message, 1, "a", 1);
    wr_proto_put_bytes(&message, 1, "b", 1);
    wr_proto_put_bytes(&message, 2, "1", 1);
    put_record(&message, 0, -1, "first");
    put_record(&message, 1, -1, "second");
    put_record(&message, 1, 0, "");
    struct wr_buf buf = pack(&message);
    wr_buf_deinit(&message);
    return buf;
}

static struct wr_slice slice_of(const struct wr_buf *buf)
{
    return (struct wr_slice){ buf->data, buf->bytes };
}

Test(kpl, records_come_in_order_with_their_keys)
{
    struct wr_kpl *kpl;
    struct wr_buf buf = three();
    cr_assert_eq(wr_kpl_create(&kpl, NULL), WR_OK);
    cr_assert(wr_kpl_open(kpl, slice_of(&buf), &WR_HASH_RANGE_ALL));
    cr_assert_eq(wr_kpl_count(kpl), 3);
    const char *const data[] = { "first", "second", "" };
    const char *const keys[] = { "a", "b", "b" };
    for (uint32_t i = 0; i < 3; i++) {
        const struct wr_kpl_record record = wr_kpl_at(kpl, i);
        cr_assert(wr_slice_is(record.data, data[i]));
        cr_assert(wr_slice_is(record.key, keys[i]));
        cr_assert_eq(record.sub, i);
        cr_assert_eq(record.last, i == 2);
        cr_assert_not(record.elsewhere);
    }
    wr_buf_deinit(&buf);
    wr_kpl_destroy(kpl);
}

Test(kpl, records_of_other_shards_are_marked_by_hash_of_key_or_explicit_key)
{
    struct wr_kpl *kpl;
    struct wr_buf buf = three();
    /* The upper half: "b" lies in it; "a", and the explicit key 1, do not. */
    const struct wr_hash_range upper = { (unsigned __int128)1 << 127, ~(unsigned __int128)0 };
    const struct wr_hash_range one = { 1, 1 };
    cr_assert_eq(wr_kpl_create(&kpl, NULL), WR_OK);
    cr_assert(wr_kpl_open(kpl, slice_of(&buf), &upper));
    cr_assert(wr_kpl_at(kpl, 0).elsewhere);
    cr_assert_not(wr_kpl_at(kpl, 1).elsewhere);
    cr_assert(wr_kpl_at(kpl, 2).elsewhere);
    cr_assert(wr_kpl_open(kpl, slice_of(&buf), &one));
    cr_assert(wr_kpl_at(kpl, 0).elsewhere);
    cr_assert(wr_kpl_at(kpl, 1).elsewhere);
    cr_assert_not(wr_kpl_at(kpl, 2).elsewhere);
    wr_buf_deinit(&buf);
    wr_kpl_destroy(kpl);
}

Test(kpl, a_pack_with_any_byte_changed_or_missing_is_none)
{
    struct wr_kpl *kpl;
    struct wr_buf buf = three();
    cr_assert_eq(wr_kpl_create(&kpl, NULL), WR_OK);
    for (size_t i = 0; i < buf.bytes; i++) {
        buf.data[i] ^= 0x20;
        cr_assert_not(wr_kpl_open(kpl, slice_of(&buf), &WR_HASH_RANGE_ALL), "byte %zu", i);
        buf.data[i] ^= 0x20;
        cr_assert_not(wr_kpl_open(kpl, (struct wr_slice){ buf.data, i }, &WR_HASH_RANGE_ALL));
    }
    cr_assert(wr_kpl_open(kpl, slice_of(&buf), &WR_HASH_RANGE_ALL));
    wr_buf_deinit(&buf);
    wr_kpl_destroy(kpl);
}

Test(kpl, a_well_sealed_pack_that_is_no_such_message_is_none)
{
    struct wr_kpl *kpl;
    cr_assert_eq(wr_kpl_create(&kpl, NULL), WR_OK);
    for (int which = 0; which < 5; which++) {
        struct wr_buf message = { 0 };
        wr_proto_put_bytes(&message, 1, "a", 1);
        if (which == 0) {
            put_record(&message, 1, -1, "no such key");
        } else if (which == 1) {
            put_record(&message, 0, 0, "no such hash key");
        } else if (which == 2) {
            wr_proto_put_bytes(&message, 2, "12x", 3);
            put_record(&message, 0, 0, "no number");
        } else if (which == 3) {
            const size_t begun = wr_proto_begin(&message, 3);
            wr_proto_put_varint(&message, 1, 0); /* no data */
            wr_proto_end(&message, begun);
        } /* 4: no records */
        struct wr_buf buf = pack(&message);
        cr_assert_not(wr_kpl_open(kpl, slice_of(&buf), &WR_HASH_RANGE_ALL), "%d", which);
        wr_buf_deinit(&message);
        wr_buf_deinit(&buf);
    }
    wr_kpl_destroy(kpl);
}

Test(kpl, hash_keys_are_numbers_below_two_to_the_128)
{
    unsigned __int128 key;
    cr_assert(wr_hash_key_parse(wr_slice_of("340282366920938463463374607431768211455"), &key));
    cr_assert(key == ~(unsigned __int128)0);
    cr_assert_not(wr_hash_key_parse(wr_slice_of("340282366920938463463374607431768211456"), &key));
    cr_assert_not(wr_hash_key_parse(wr_slice_of("3402823669209384634633746074317682114550"), &key));
    cr_assert_not(wr_hash_key_parse(wr_slice_of(""), &key));
    cr_assert_not(wr_hash_key_parse(wr_slice_of("-1"), &key));
    cr_assert(wr_hash_key_parse(wr_slice_of("0"), &key));
    cr_assert(key == 0);
}
