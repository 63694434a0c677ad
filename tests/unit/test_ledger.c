#include "obs/ledger.h"
#include <criterion/criterion.h>

Test(ledger, balances_when_every_row_is_somewhere)
{
    struct wr_ledger_counts c = { .read = 10, .passed = 4, .late = 3, .dead_lettered = 2,
                                  .filtered = 1, .partly_late = 2 };
    cr_assert(wr_ledger_balances(&c));
    c.late++;
    cr_assert_not(wr_ledger_balances(&c));
}

Test(ledger, sums_every_field)
{
    struct wr_ledger_counts sum = { .read = 1, .passed = 1 };
    const struct wr_ledger_counts c = { .read = 10, .passed = 4, .late = 3, .dead_lettered = 2,
                                        .filtered = 1, .partly_late = 2 };
    wr_ledger_add(&sum, &c);
    cr_assert_eq(sum.read, 11);
    cr_assert_eq(sum.passed, 5);
    cr_assert_eq(sum.late, 3);
    cr_assert_eq(sum.partly_late, 2);
    cr_assert_eq(sum.dead_lettered, 2);
    cr_assert_eq(sum.filtered, 1);
    cr_assert(wr_ledger_balances(&sum));
}
