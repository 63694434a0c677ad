/* Expressions whose values PostgreSQL was asked for: tests/exprs/record_postgres.py. */
#include "eval_testing.h"

#include "eval_postgres.h"

Test(eval_postgres, values_are_what_postgresql_answered)
{
    CHECK_CASES(recorded);
}
