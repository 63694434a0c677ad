#include "batch/nested.h"

#include <criterion/criterion.h>

static struct wr_type array_of(struct wr_type element)
{
    struct wr_type type;
    struct wr_error err;
    cr_assert_eq(wr_nested_array(element, &type, &err), WR_OK);
    return type;
}

static struct wr_type map_of(struct wr_type key, struct wr_type value)
{
    struct wr_type type;
    struct wr_error err;
    cr_assert_eq(wr_nested_map(key, value, &type, &err), WR_OK);
    return type;
}

/* STRUCT<a BIGINT, "B c" TEXT[], m MAP<TEXT, DOUBLE PRECISION>> */
static struct wr_type order(void)
{
    const struct wr_nested_field fields[] = {
        { "a", wr_type_of(WR_TYPE_INT64) },
        { "B c", array_of(wr_type_of(WR_TYPE_TEXT)) },
        { "m", map_of(wr_type_of(WR_TYPE_TEXT), wr_type_of(WR_TYPE_FLOAT64)) },
    };
    struct wr_type type;
    struct wr_error err;
    cr_assert_eq(wr_nested_struct(fields, 3, &type, &err), WR_OK);
    return type;
}

static struct wr_slice an_order(struct wr_nested_writer *w, bool tags)
{
    const struct wr_nested *shape = wr_nested_of(order());
    const int64_t a = -5;
    const double d = 0.5;
    wr_nested_open(w, order());
    wr_nested_put(w, shape->fields[0].type, &a);
    if (tags) {
        wr_nested_open(w, shape->fields[1].type);
        wr_nested_put_bytes(w, "x", 1);
        wr_nested_put_null(w);
        wr_nested_put_bytes(w, "longer than twelve bytes", 24);
        (void)wr_nested_close(w);
    } else {
        wr_nested_put_null(w);
    }
    wr_nested_open(w, shape->fields[2].type);
    wr_nested_put_bytes(w, "k", 1);
    wr_nested_put(w, wr_type_of(WR_TYPE_FLOAT64), &d);
    wr_nested_put_bytes(w, "n", 1);
    wr_nested_put_null(w);
    (void)wr_nested_close(w);
    return wr_nested_close(w);
}

Test(nested, equal_types_have_equal_ids_and_a_name)
{
    cr_assert(wr_type_equal(order(), order()));
    cr_assert_not(wr_type_equal(order(), array_of(order())));
    cr_assert_str_eq(wr_nested_of(order())->text,
                     "STRUCT<a BIGINT, \"B c\" TEXT[], m MAP<TEXT, DOUBLE PRECISION>>");
    char name[32];
    cr_assert_str_eq(wr_type_name(array_of(wr_type_of(WR_TYPE_DATE)), name, sizeof name), "DATE[]");
    cr_assert_str_eq(wr_type_name(order(), name, sizeof name), "STRUCT<a BIGINT, \"B c\" TEXT[...");
}

Test(nested, refuses_what_cannot_be_a_type)
{
    struct wr_type type = wr_type_of(WR_TYPE_TEXT);
    struct wr_error err;
    const struct wr_nested_field twice[] = { { "a", type }, { "a", type } };
    cr_assert_eq(wr_nested_struct(twice, 2, &type, &err), WR_FAIL);
    cr_assert_str_eq(err.message, "a STRUCT has two fields named \"a\"");
    cr_assert_eq(wr_nested_struct(twice, 0, &type, &err), WR_FAIL);
    cr_assert_eq(wr_nested_map(wr_type_of(WR_TYPE_FLOAT64), type, &type, &err), WR_FAIL);
    for (uint32_t i = 0; i < WR_NESTED_DEPTH_MAX; i++) {
        cr_assert_eq(wr_nested_array(type, &type, &err), WR_OK);
    }
    cr_assert_eq(wr_nested_array(type, &type, &err), WR_FAIL);
}

Test(nested, a_value_reads_back_as_it_was_written)
{
    struct wr_nested_writer w = { 0 };
    const struct wr_slice body = an_order(&w, true);
    cr_assert(wr_nested_check(order(), body));
    int64_t a;
    char value[16];
    cr_assert(wr_nested_at(order(), body, 0, value));
    memcpy(&a, value, sizeof a);
    cr_assert_eq(a, -5);
    struct wr_view tags;
    cr_assert(wr_nested_at(order(), body, 1, &tags));
    const struct wr_type tags_type = wr_nested_of(order())->fields[1].type;
    cr_assert_eq(wr_nested_count(tags_type, wr_view_slice(&tags)), 3);
    struct wr_view tag;
    cr_assert_not(wr_nested_at(tags_type, wr_view_slice(&tags), 1, &tag));
    cr_assert(wr_nested_at(tags_type, wr_view_slice(&tags), 2, &tag));
    cr_assert_eq(tag.bytes, 24);
    cr_assert_not(wr_nested_at(tags_type, wr_view_slice(&tags), 3, &tag));
    struct wr_view map;
    cr_assert(wr_nested_at(order(), body, 2, &map));
    const struct wr_type map_type = wr_nested_of(order())->fields[2].type;
    const struct wr_view key = wr_view_of("k", 1);
    const struct wr_view none = wr_view_of("n", 1);
    double d;
    cr_assert(wr_nested_lookup(map_type, wr_view_slice(&map), &key, value));
    memcpy(&d, value, sizeof d);
    cr_assert_eq(d, 0.5);
    cr_assert_not(wr_nested_lookup(map_type, wr_view_slice(&map), &none, value));
    wr_nested_writer_deinit(&w);
}

Test(nested, is_told_as_json)
{
    struct wr_nested_writer w = { 0 };
    struct wr_buf text = { 0 };
    wr_nested_format_json(&text, order(), an_order(&w, true));
    cr_assert_str_eq(wr_buf_cstr(&text),
                     "{\"a\":-5,\"B c\":[\"x\",null,\"longer than twelve bytes\"],\"m\":{\"k\":0.5,\"n\":null}}");
    text.bytes = 0;
    wr_nested_format_json(&text, order(), an_order(&w, false));
    cr_assert_str_eq(wr_buf_cstr(&text), "{\"a\":-5,\"B c\":null,\"m\":{\"k\":0.5,\"n\":null}}");
    wr_buf_deinit(&text);
    wr_nested_writer_deinit(&w);
}

Test(nested, every_damage_of_a_body_is_seen)
{
    struct wr_nested_writer w = { 0 };
    const struct wr_slice body = an_order(&w, true);
    char copy[256];
    cr_assert(body.bytes < sizeof copy);
    for (size_t cut = 0; cut < body.bytes; cut++) {
        cr_assert_not(wr_nested_check(order(), (struct wr_slice){ body.data, cut }), "%zu", cut);
    }
    for (size_t i = 0; i < body.bytes; i++) { /* must not crash; many changes leave a well-formed body */
        memcpy(copy, body.data, body.bytes);
        copy[i] = (char)(copy[i] ^ 0x40);
        if (wr_nested_check(order(), (struct wr_slice){ copy, body.bytes })) {
            struct wr_buf text = { 0 };
            wr_nested_format_json(&text, order(), (struct wr_slice){ copy, body.bytes });
            wr_buf_deinit(&text);
        }
    }
    wr_nested_writer_deinit(&w);
}
