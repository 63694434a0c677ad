/* Three-valued logic, lazy branches, casts. */
#include "eval_testing.h"

Test(eval_logic, and_or_not_know_three_values)
{
    static const struct eval_case cases[] = {
        { "AND(b:true, b:true)", "true" },
        { "AND(b:true, b:NULL)", "NULL" },
        { "AND(b:NULL, b:false)", "false" },
        { "AND(b:false, b:NULL, b:true)", "false" },
        { "OR(b:NULL, b:true)", "true" },
        { "OR(b:NULL, b:false)", "NULL" },
        { "OR(b:false, b:false)", "false" },
        { "NOT(b:NULL)", "NULL" },
        { "NOT(b:true)", "false" },
        { "IS_NULL(l:NULL)", "true" },
        { "IS_NOT_NULL(l:NULL)", "false" },
        { "IS_NULL(l:0)", "false" },
        { "IS_TRUE(b:NULL)", "false" },
        { "IS_FALSE(b:NULL)", "false" },
        { "IS_FALSE(b:false)", "true" },
        { "NOT(IS_TRUE(b:NULL))", "true" },
        { "IS_DISTINCT(l:1, l:NULL)", "true" },
        { "IS_DISTINCT(l:NULL, l:NULL)", "false" },
        { "IS_DISTINCT(t:'a text that is not short', t:'a text that is not short')", "false" },
        { "IS_DISTINCT(d:NaN, d:NaN)", "false" },
        { "NULLIF(l:1, l:1)", "NULL" },
        { "NULLIF(l:1, l:2)", "1" },
        { "NULLIF(t:a, t:NULL)", "a" },
        { "NULLIF(t:NULL, t:a)", "NULL" },
        { "COALESCE(l:NULL, l:NULL)", "NULL" },
        { "COALESCE(t:NULL, t:'the first that is there', t:x)", "the first that is there" },
    };
    CHECK_CASES(cases);
}

Test(eval_logic, an_error_in_a_branch_not_taken_does_not_exist)
{
    static const struct eval_case cases[] = {
        { "AND(b:false, EQ_I64(DIV_I64(l:1, l:0), l:1))", "false" },
        { "AND(b:NULL, EQ_I64(DIV_I64(l:1, l:0), l:1))", "!division by zero" },
        { "OR(b:true, EQ_I64(DIV_I64(l:1, l:0), l:1))", "true" },
        { "OR(EQ_I64(DIV_I64(l:1, l:0), l:1), b:true)", "!division by zero" },
        { "CASE<l>(b:false, DIV_I64(l:1, l:0), b:true, l:7, DIV_I64(l:2, l:0))", "7" },
        { "CASE<l>(b:NULL, DIV_I64(l:1, l:0))", "NULL" },
        { "CASE<l>(b:NULL, l:1, l:2)", "2" },
        { "CASE<l>(b:true, DIV_I64(l:1, l:0), l:2)", "!division by zero" },
        { "CASE<l>(EQ_I64(DIV_I64(l:1, l:0), l:1), l:1, l:2)", "!division by zero" },
        { "CASE<t>(b:true, t:'a text longer than a view', t:x)", "a text longer than a view" },
        { "COALESCE(l:1, DIV_I64(l:1, l:0))", "1" },
        { "COALESCE(DIV_I64(l:1, l:0), l:1)", "!division by zero" },
        { "IN(l:1, l:1, DIV_I64(l:1, l:0))", "true" },
        { "IN(l:1, l:2, DIV_I64(l:1, l:0))", "!division by zero" },
        { "IS_NULL(DIV_I64(l:1, l:0))", "!division by zero" },
    };
    CHECK_CASES(cases);
}

Test(eval_logic, in_compares_short_and_long_lists)
{
    static const struct eval_case cases[] = {
        { "IN(l:3, l:1, l:2, l:3)", "true" },
        { "IN(l:4, l:1, l:2, l:3)", "false" },
        { "IN(l:4, l:1, l:NULL, l:3)", "NULL" },
        { "IN(l:3, l:NULL, l:3)", "true" },
        { "IN(l:NULL, l:1, l:2)", "NULL" },
        { "IN(t:f, t:a, t:b, t:c, t:d, t:e, t:f, t:g, t:h, t:i, t:j)", "true" },
        { "IN(t:z, t:a, t:b, t:c, t:d, t:e, t:f, t:g, t:h, t:i, t:j)", "false" },
        { "IN(t:z, t:a, t:b, t:c, t:d, t:e, t:f, t:g, t:h, t:i, t:NULL)", "NULL" },
        { "IN(t:NULL, t:a, t:b, t:c, t:d, t:e, t:f, t:g, t:h, t:i, t:j)", "NULL" },
        { "IN(d:-0, d:9, d:1, d:2, d:3, d:4, d:5, d:6, d:7, d:8, d:0)", "true" },
        { "IN(d:NaN, d:9, d:1, d:2, d:3, d:4, d:5, d:6, d:7, d:8, d:NaN)", "true" },
        { "IN(v:'1 mon', v:'1 s', v:'2 s', v:'3 s', v:'4 s', v:'5 s', v:'6 s', v:'7 s', v:'8 s', "
          "v:'30 days')", "true" },
        { "IN(n5.2:1.50, n5.2:1, n5.2:2, n5.2:3, n5.2:4, n5.2:5, n5.2:6, n5.2:7, n5.2:8, n5.2:1.5)",
          "true" },
    };
    CHECK_CASES(cases);
}

/* Rows that take different branches, with errors in some, in one batch. */
Test(eval_logic, each_row_takes_its_own_branch)
{
    struct case_parser p = { .text = "CASE<l>(NE_I64(l:1, l:0), DIV_I64(l:100, l:1), l:-1)" };
    p.at = p.text;
    struct wr_expr *expr = parse_case(&p);
    int64_t divisors[200];
    for (int i = 0; i < 200; i++) {
        divisors[i] = i % 7;
    }
    /* Both places where the divisor stands become the one column. */
    struct wr_expr *divisor = expr->args[0]->args[0];
    *divisor = (struct wr_expr){ .kind = WR_EXPR_COLUMN, .type = wr_type_of(WR_TYPE_INT64) };
    expr->args[1]->args[1] = divisor;
    struct wr_column column = { .values = divisors, .type = wr_type_of(WR_TYPE_INT64) };
    struct wr_field field = { .name = "a", .type = column.type };
    const struct wr_schema schema = { &field, 1 };
    const struct wr_batch batch = { .columns = &column, .columns_count = 1, .rows = 200 };
    struct wr_eval *eval = NULL;
    struct wr_error err;
    cr_assert_eq(wr_eval_create(&eval, expr, &schema, wr_slice_of(p.text), &err), WR_OK);
    struct wr_eval_faults faults = { 0 };
    struct wr_column result;
    wr_eval_run(eval, &batch, 0, &p.arena, &faults, &result);
    cr_assert_eq(faults.count, 0);
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(((int64_t *)result.values)[i], i % 7 == 0 ? -1 : 100 / (i % 7));
    }
    wr_eval_destroy(eval);

    /* The division alone: every seventh row fails, with its own number, the others do not. */
    cr_assert_eq(wr_eval_create(&eval, expr->args[1], &schema, wr_slice_of(p.text), &err), WR_OK);
    wr_eval_run(eval, &batch, 0, &p.arena, &faults, &result);
    cr_assert_eq(faults.count, 29);
    for (uint32_t i = 0; i < faults.count; i++) {
        cr_assert_eq(faults.items[i].row, i * 7);
    }
    wr_eval_destroy(eval);
    wr_eval_faults_deinit(&faults);
    wr_arena_deinit(&p.arena);
}

Test(eval_logic, a_filter_narrows_the_selection_in_place)
{
    struct case_parser p = { .text = "GT_I64(MOD_I64(l:5, l:3), l:0)" };
    p.at = p.text;
    struct wr_expr *expr = parse_case(&p);
    int64_t values[1024];
    uint8_t validity[WR_BITMAP_BYTES(1024)];
    memset(validity, 0xFF, sizeof validity);
    for (int i = 0; i < 1024; i++) {
        values[i] = i;
    }
    wr_bit_clear(validity, 4);
    *expr->args[0]->args[0] = (struct wr_expr){ .kind = WR_EXPR_COLUMN,
                                                .type = wr_type_of(WR_TYPE_INT64) };
    struct wr_column column = { .values = values, .validity = validity,
                                .type = wr_type_of(WR_TYPE_INT64) };
    struct wr_field field = { .name = "a", .type = column.type };
    const struct wr_schema schema = { &field, 1 };
    const struct wr_batch batch = { .columns = &column, .columns_count = 1, .rows = 1024 };
    struct wr_eval *eval = NULL;
    struct wr_error err;
    cr_assert_eq(wr_eval_create(&eval, expr, &schema, wr_slice_of(p.text), &err), WR_OK);
    struct wr_eval_faults faults = { 0 };
    uint32_t sel[1024];
    uint32_t count =
        wr_eval_filter(eval, &batch, 0, NULL, &faults, NULL, batch.rows, sel);
    uint32_t expected = 0;
    for (uint32_t i = 0; i < 1024; i++) {
        if (i % 3 != 0 && i != 4) {
            cr_assert_eq(sel[expected++], i);
        }
    }
    cr_assert_eq(count, expected);
    /* Again over every other row of what is left, in place. */
    uint32_t half = 0;
    for (uint32_t i = 0; i < count; i += 2) {
        sel[half++] = sel[i];
    }
    cr_assert_eq(wr_eval_filter(eval, &batch, 0, NULL, &faults, sel, half, sel), half);
    cr_assert_eq(faults.count, 0);
    cr_assert_eq(wr_eval_bare_column(eval), UINT32_MAX);
    wr_eval_destroy(eval);
    wr_arena_deinit(&p.arena);
}

Test(eval_logic, casts_round_and_refuse_as_in_postgresql)
{
    static const struct eval_case cases[] = {
        { "CAST<h>(l:32768)", "!32768 is out of range for SMALLINT" },
        { "CAST<h>(l:-32768)", "-32768" },
        { "CAST<L>(i:-1)", "!-1 is out of range for BIGINT UNSIGNED" },
        { "CAST<l>(L:9223372036854775808)", "!9223372036854775808 is out of range for BIGINT" },
        { "CAST<i>(d:2.5)", "2" },
        { "CAST<i>(d:3.5)", "4" },
        { "CAST<i>(d:-2.5)", "-2" },
        { "CAST<i>(d:2147483647.5)", "!2147483647.5 is out of range for INTEGER" },
        { "CAST<i>(d:NaN)", "!NaN is out of range for INTEGER" },
        { "CAST<l>(d:9223372036854775807)", "!9.223372036854776e+18 is out of range" },
        { "CAST<L>(d:-0.4)", "0" },
        { "CAST<i>(n10.2:2.50)", "3" },
        { "CAST<i>(n10.2:-2.50)", "-3" },
        { "CAST<h>(n10.0:40000)", "!40000 is out of range for SMALLINT" },
        { "CAST<d>(l:9007199254740993)", "9.007199254740992e+15" },
        { "CAST<d>(n38.20:0.1)", "0.1" },
        { "CAST<d>(n38.0:12345678901234567890123456789012345678)", "1.2345678901234568e+37" },
        { "CAST<f>(d:1e39)", "!1e+39 is out of range for REAL" },
        { "CAST<f>(d:1e-50)", "!1e-50 is out of range for REAL" },
        { "CAST<f>(d:Infinity)", "Infinity" },
        { "CAST<n10.2>(d:1.005)", "1.01" },
        { "CAST<n10.2>(d:-2.345)", "-2.35" },
        { "CAST<n10.2>(d:1e20)", "!1e+20 is out of range for NUMERIC(10,2)" },
        { "CAST<n5.2>(l:1000)", "!1000 is out of range for NUMERIC(5,2)" },
        { "CAST<n5.2>(n10.4:1.0050)", "1.01" },
        { "CAST<n5.1>(t:' -12.35 ')", "-12.4" },
        { "CAST<i>(t:' 42 ')", "42" },
        { "CAST<i>(t:'42x')", "!invalid INTEGER: '42x' in \"CAST<i>" },
        { "CAST<h>(t:'99999')", "!invalid SMALLINT: '99999'" },
        { "TRY_CAST<i>(t:'42x')", "NULL" },
        { "TRY_CAST<h>(l:99999)", "NULL" },
        { "TRY_CAST<i>(t:'7')", "7" },
        { "CAST<d>(t:'1e3')", "1000" },
        { "CAST<b>(t:'yes')", "true" },
        { "CAST<b>(t:'perhaps')", "!invalid BOOLEAN" },
        { "CAST<i>(b:true)", "1" },
        { "CAST<b>(i:0)", "false" },
        { "CAST<n5.2>(b:true)", "1.00" },
        { "CAST<t>(l:-12345678901234567)", "-12345678901234567" },
        { "CAST<t>(i:-5)", "-5" },
        { "CAST<t>(d:0.1)", "0.1" },
        { "CAST<t>(n5.2:1.5)", "1.50" },
        { "CAST<t>(b:true)", "true" },
        { "CAST<t>(y:'\\x01ff')", "\\x01ff" },
        { "CAST<y>(t:'\\x01ff')", "\\x01ff" },
        { "CAST<y>(t:'a\\x')", "\\x615c78" },
        { "CAST<t>(D:2024-02-29)", "2024-02-29" },
        { "CAST<t>(s:'2024-02-29 12:00:00.5')", "2024-02-29T12:00:00.500Z" },
        { "CAST<s>(t:'2024-02-29 12:00:00+02')", "2024-02-29T10:00:00Z" },
        { "CAST<s>(t:'2024-02-30')", "!invalid TIMESTAMP: '2024-02-30'" },
        { "CAST<s>(D:2024-02-29)", "2024-02-29T00:00:00Z" },
        { "CAST<s>(D:300000-01-01)", "!+300000-01-01 is out of range for TIMESTAMP" },
        { "CAST<D>(s:'1969-12-31 23:59:59')", "1969-12-31" },
        { "CAST<z>(s:'2024-01-01 00:00:00')", "2024-01-01T00:00:00Z" },
        { "CAST<v>(t:'1 day 02:00:00')", "1 day 02:00:00" },
        { "CAST<t>(v:'1 mon -2 days')", "1 mon -2 days" },
        { "CAST<j>(t:'{\"a\": [1, 2]}')", "{\"a\": [1, 2]}" },
        { "CAST<j>(t:'{\"a\": }')", "!invalid JSON: '{\"a\": }'" },
        { "CAST<j>(l:5)", "5" },
        { "CAST<j>(t:'nope')", "!invalid JSON" },
        { "CAST<t>(j:'\"a\\u00e9\\n\"')", "a\xc3\xa9\n" },
        { "CAST<t>(j:'null')", "NULL" },
        { "CAST<t>(j:' [1] ')", "[1]" },
        { "CAST<i>(j:' 42 ')", "42" },
        { "CAST<i>(j:'\"42\"')", "42" },
        { "CAST<i>(j:'[42]')", "!invalid INTEGER: '[42]'" },
        { "CAST<b>(j:'true')", "true" },
        { "CAST<s>(j:'\"2024-02-29T12:00:00Z\"')", "2024-02-29T12:00:00Z" },
        { "CAST<D>(j:'5')", "!invalid DATE: '5'" },
        { "CAST<d>(j:'null')", "NULL" },
        { "CAST<i>(t:NULL)", "NULL" },
        { "CAST<l>(CAST<i>(t:'12'))", "12" },
        { "CAST<v>(l:1)", "!cannot cast BIGINT to INTERVAL" },
    };
    CHECK_CASES(cases);
}
