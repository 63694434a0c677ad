#include "base/proto_wire.h"

#include <criterion/criterion.h>

static struct wr_slice slice_of(const struct wr_buf *buf)
{
    return (struct wr_slice){ buf->data, buf->bytes };
}

/* The examples of the format's own description: 08 96 01 is field 1 = 150, 12 07 "testing" is field 2. */
Test(proto_wire, reads_the_descriptions_examples)
{
    struct wr_proto_reader r =
        wr_proto_read((struct wr_slice){ "\x08\x96\x01\x12\x07testing", 12 });
    struct wr_proto_field f;
    cr_assert(wr_proto_next(&r, &f));
    cr_assert_eq(f.number, 1);
    cr_assert_eq(f.kind, WR_PROTO_VARINT);
    cr_assert_eq(f.value, 150);
    cr_assert(wr_proto_next(&r, &f));
    cr_assert_eq(f.number, 2);
    cr_assert_eq(f.bytes.bytes, 7);
    cr_assert_arr_eq(f.bytes.data, "testing", 7);
    cr_assert_not(wr_proto_next(&r, &f));
    cr_assert_not(r.bad);
}

Test(proto_wire, reads_back_what_it_wrote)
{
    struct wr_buf buf = { 0 };
    wr_proto_put_varint(&buf, 1, UINT64_MAX);
    const size_t outer = wr_proto_begin(&buf, 536870911);
    for (int i = 0; i < 100; i++) {
        wr_proto_put_bytes(&buf, 3, "abc", 3);
    }
    wr_proto_end(&buf, outer);
    wr_proto_put_varint(&buf, 4, 0);
    struct wr_proto_reader r = wr_proto_read(slice_of(&buf));
    struct wr_proto_field f;
    cr_assert(wr_proto_next(&r, &f));
    cr_assert_eq(f.value, UINT64_MAX);
    cr_assert(wr_proto_next(&r, &f));
    cr_assert_eq(f.number, 536870911);
    struct wr_proto_reader inner = wr_proto_read(f.bytes);
    int count = 0;
    struct wr_proto_field g;
    while (wr_proto_next(&inner, &g)) {
        cr_assert_eq(g.number, 3);
        cr_assert_arr_eq(g.bytes.data, "abc", 3);
        count++;
    }
    cr_assert_eq(count, 100);
    cr_assert_not(inner.bad);
    cr_assert(wr_proto_next(&r, &f));
    cr_assert_eq(f.number, 4);
    cr_assert_not(wr_proto_next(&r, &f));
    cr_assert_not(r.bad);
    wr_buf_deinit(&buf);
}

Test(proto_wire, skips_groups_whole)
{
    /* 1 { 2: 5, 3 { } }, then 4: 1 */
    struct wr_proto_reader r =
        wr_proto_read((struct wr_slice){ "\x0b\x10\x05\x1b\x1c\x0c\x20\x01", 8 });
    struct wr_proto_field f;
    cr_assert(wr_proto_next(&r, &f));
    cr_assert_eq(f.kind, WR_PROTO_GROUP);
    cr_assert_eq(f.bytes.bytes, 4);
    cr_assert(wr_proto_next(&r, &f));
    cr_assert_eq(f.number, 4);
    cr_assert_eq(f.value, 1);
    cr_assert_not(r.bad);
}

Test(proto_wire, each_damage_ends_the_walk)
{
    static const struct wr_slice damaged[] = {
        { "\x08", 1 },                                              /* no value */
        { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12 }, /* eleven bytes */
        { "\x12\x05" "abc", 5 },                                       /* longer than what is there */
        { "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 },
        { "\x00\x01", 2 },                                          /* field 0 */
        { "\x0e", 1 },                                              /* wire type 6 */
        { "\x0c", 1 },                                              /* an end without a group */
        { "\x0b\x14", 2 },                                          /* another group's end */
        { "\x0b", 1 },                                              /* no end */
        { "\x0d\x01\x02", 3 },
        { "\x09\x01\x02", 3 },
    };
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        struct wr_proto_reader r = wr_proto_read(damaged[i]);
        struct wr_proto_field f;
        cr_assert_not(wr_proto_next(&r, &f), "%zu", i);
        cr_assert(r.bad, "%zu", i);
    }
}
