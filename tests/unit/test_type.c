/* Types, string views and schemas. */
#include "batch/schema.h"
#include "batch/type.h"
#include <criterion/criterion.h>

static void check_name(struct wr_type type, const char *wanted)
{
    char name[32];
    cr_assert_str_eq(wr_type_name(type, name, sizeof(name)), wanted);
}

Test(type, names_are_sql)
{
    check_name(wr_type_of(WR_TYPE_INT64), "BIGINT");
    check_name(wr_type_of(WR_TYPE_UINT16), "SMALLINT UNSIGNED");
    check_name(wr_type_of(WR_TYPE_FLOAT64), "DOUBLE PRECISION");
    check_name((struct wr_type){ .id = WR_TYPE_DECIMAL, .precision = 38, .scale = 10 },
               "NUMERIC(38,10)");
    for (int id = 0; id < WR_TYPE_COUNT_; id++) {
        char name[32];
        if (!wr_type_is_nested(wr_type_of((enum wr_type_id)id))) { /* those are named by their shapes: test_nested.c */
            wr_type_name(wr_type_of((enum wr_type_id)id), name, sizeof(name));
            cr_assert(strlen(name) > 1);
        }
        cr_assert_eq(wr_type_width(wr_type_of((enum wr_type_id)id)) == 0, id == WR_TYPE_NULL);
    }
}

Test(type, views_compare_by_bytes)
{
    static const char *const ordered[] = { "", "a", "aa", "ab", "abcdefghijkl", "abcdefghijklm",
                                           "abcdefghijklmn", "abd", "b", "\xff" };
    for (size_t i = 0; i < 10; i++) {
        for (size_t j = 0; j < 10; j++) {
            const struct wr_view a = wr_view_of(ordered[i], strlen(ordered[i]));
            const struct wr_view b = wr_view_of(ordered[j], strlen(ordered[j]));
            const int order = wr_view_compare(&a, &b);
            cr_assert_eq(order < 0, i < j);
            cr_assert_eq(order > 0, i > j);
            cr_assert_eq(wr_view_equal(&a, &b), i == j);
        }
    }
}

Test(type, schema_finds_exact_names)
{
    struct wr_field fields[] = { { .name = "a" }, { .name = "B" } };
    const struct wr_schema schema = { fields, 2 };
    cr_assert_eq(wr_schema_find(&schema, "B"), 1);
    cr_assert_eq(wr_schema_find(&schema, "b"), -1);
}
