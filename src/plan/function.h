/* function.h: the one table of scalar functions and operators (interface): the binder resolves names against it,
 * exec has a kernel per row. Adding a function = one row here and one kernel in exec/.
 *
 * Type codes of the signature text, one letter per argument then '>' and the result:
 *   b BOOLEAN, h SMALLINT, i INTEGER, l BIGINT, H/I/L the UNSIGNED ones, f REAL, d DOUBLE PRECISION,
 *   n NUMERIC (any p,s; the result's is computed by the binder's rule for the function), t TEXT, y BYTEA,
 *   D DATE, s TIMESTAMP, z TIMESTAMPTZ, v INTERVAL, j JSON;  a trailing '*' repeats the last argument (one or more).
 *   R STRUCT, A ARRAY, M MAP, x any type: rows with one of these are bound by bind_nested.c, which knows what types go together.
 * Overloads are several rows with the same SQL name.
 */
#ifndef WR_PLAN_FUNCTION_H
#define WR_PLAN_FUNCTION_H

#include "batch/type.h"

/* Properties. */
#define WR_FN_OPERATOR 1u   /* SQL name is an operator ("+"), not callable by name */
#define WR_FN_NULLS 2u      /* sees NULL arguments itself (not strict) */
#define WR_FN_MAY_FAIL 4u   /* can raise an error of the row (overflow, bad text) */
#define WR_FN_VOLATILE 8u   /* not foldable (now() is fixed per batch; random-like are not offered) */

/* X(ID, "sql name", "signature", flags) */
#define WR_FUNCTION_TABLE(X)                                                                       \
    WR_FUNCTIONS_ARITHMETIC(X)                                                                     \
    WR_FUNCTIONS_COMPARE(X)                                                                        \
    WR_FUNCTIONS_MATH(X)                                                                           \
    WR_FUNCTIONS_TEXT(X)                                                                           \
    WR_FUNCTIONS_TIME(X)                                                                           \
    WR_FUNCTIONS_NESTED(X)                                                                         \
    WR_FUNCTIONS_OTHER(X)

/* ids: OP_TYPE. Arithmetic on mixed types is widened by the binder (smallint+integer -> integer, integer+bigint -> bigint,
 * any+double -> double, integer+numeric -> numeric; unsigned with signed -> numeric(20,0) unless it fits). */
#define WR_ARITH_(X, OP, SQL, FLAGS)                                                               \
    X(OP##_I16, SQL, "hh>h", FLAGS)                                                                \
    X(OP##_I32, SQL, "ii>i", FLAGS)                                                                \
    X(OP##_I64, SQL, "ll>l", FLAGS)                                                                \
    X(OP##_U16, SQL, "HH>H", FLAGS)                                                                \
    X(OP##_U32, SQL, "II>I", FLAGS)                                                                \
    X(OP##_U64, SQL, "LL>L", FLAGS)                                                                \
    X(OP##_F32, SQL, "ff>f", FLAGS)                                                                \
    X(OP##_F64, SQL, "dd>d", FLAGS)                                                                \
    X(OP##_DECIMAL, SQL, "nn>n", FLAGS)

#define WR_FUNCTIONS_ARITHMETIC(X)                                                                 \
    WR_ARITH_(X, ADD, "+", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                        \
    WR_ARITH_(X, SUB, "-", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                        \
    WR_ARITH_(X, MUL, "*", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                        \
    WR_ARITH_(X, DIV, "/", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                        \
    X(MOD_I16, "%", "hh>h", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                       \
    X(MOD_I32, "%", "ii>i", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                       \
    X(MOD_I64, "%", "ll>l", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                       \
    X(MOD_U16, "%", "HH>H", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                       \
    X(MOD_U32, "%", "II>I", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                       \
    X(MOD_U64, "%", "LL>L", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                       \
    X(MOD_DECIMAL, "%", "nn>n", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                   \
    X(NEG_I16, "u-", "h>h", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                       \
    X(NEG_I32, "u-", "i>i", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                       \
    X(NEG_I64, "u-", "l>l", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                       \
    X(NEG_F32, "u-", "f>f", WR_FN_OPERATOR)                                                        \
    X(NEG_F64, "u-", "d>d", WR_FN_OPERATOR)                                                        \
    X(NEG_DECIMAL, "u-", "n>n", WR_FN_OPERATOR)                                                    \
    X(NEG_INTERVAL, "u-", "v>v", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                  \
    X(BIT_AND_I64, "&", "ll>l", WR_FN_OPERATOR)                                                    \
    X(BIT_OR_I64, "|", "ll>l", WR_FN_OPERATOR)                                                     \
    X(BIT_XOR_I64, "#", "ll>l", WR_FN_OPERATOR)                                                    \
    X(BIT_NOT_I64, "u~", "l>l", WR_FN_OPERATOR)                                                    \
    X(SHIFT_LEFT_I64, "<<", "ll>l", WR_FN_OPERATOR)                                                \
    X(SHIFT_RIGHT_I64, ">>", "ll>l", WR_FN_OPERATOR)

/* Comparison: one set per physical order. TEXT also serves JSON equality after a cast to text. */
#define WR_COMPARE_(X, OP, SQL)                                                                    \
    X(OP##_BOOL, SQL, "bb>b", WR_FN_OPERATOR)                                                      \
    X(OP##_I16, SQL, "hh>b", WR_FN_OPERATOR)                                                       \
    X(OP##_I32, SQL, "ii>b", WR_FN_OPERATOR)                                                       \
    X(OP##_I64, SQL, "ll>b", WR_FN_OPERATOR)                                                       \
    X(OP##_U16, SQL, "HH>b", WR_FN_OPERATOR)                                                       \
    X(OP##_U32, SQL, "II>b", WR_FN_OPERATOR)                                                       \
    X(OP##_U64, SQL, "LL>b", WR_FN_OPERATOR)                                                       \
    X(OP##_F32, SQL, "ff>b", WR_FN_OPERATOR)                                                       \
    X(OP##_F64, SQL, "dd>b", WR_FN_OPERATOR)                                                       \
    X(OP##_DECIMAL, SQL, "nn>b", WR_FN_OPERATOR)                                                   \
    X(OP##_TEXT, SQL, "tt>b", WR_FN_OPERATOR)                                                      \
    X(OP##_BYTES, SQL, "yy>b", WR_FN_OPERATOR)                                                     \
    X(OP##_DATE, SQL, "DD>b", WR_FN_OPERATOR)                                                      \
    X(OP##_TIMESTAMP, SQL, "ss>b", WR_FN_OPERATOR)                                                 \
    X(OP##_TIMESTAMPTZ, SQL, "zz>b", WR_FN_OPERATOR)                                               \
    X(OP##_INTERVAL, SQL, "vv>b", WR_FN_OPERATOR)

#define WR_FUNCTIONS_COMPARE(X)                                                                    \
    WR_COMPARE_(X, EQ, "=")                                                                        \
    WR_COMPARE_(X, NE, "<>")                                                                       \
    WR_COMPARE_(X, LT, "<")                                                                        \
    WR_COMPARE_(X, LE, "<=")                                                                       \
    WR_COMPARE_(X, GT, ">")                                                                        \
    WR_COMPARE_(X, GE, ">=")

#define WR_FUNCTIONS_MATH(X)                                                                       \
    X(ABS_I16, "abs", "h>h", WR_FN_MAY_FAIL)                                                       \
    X(ABS_I32, "abs", "i>i", WR_FN_MAY_FAIL)                                                       \
    X(ABS_I64, "abs", "l>l", WR_FN_MAY_FAIL)                                                       \
    X(ABS_F64, "abs", "d>d", 0)                                                                    \
    X(ABS_DECIMAL, "abs", "n>n", 0)                                                                \
    X(CEIL_F64, "ceil", "d>d", 0)                                                                  \
    X(CEILING_F64, "ceiling", "d>d", 0)                                                            \
    X(CEIL_DECIMAL, "ceil", "n>n", 0)                                                              \
    X(FLOOR_F64, "floor", "d>d", 0)                                                                \
    X(FLOOR_DECIMAL, "floor", "n>n", 0)                                                            \
    X(ROUND_F64, "round", "d>d", 0)                                                                \
    X(ROUND_F64_N, "round", "di>d", 0)                                                             \
    X(ROUND_DECIMAL, "round", "n>n", 0)                                                            \
    X(ROUND_DECIMAL_N, "round", "ni>n", 0)                                                         \
    X(TRUNC_F64, "trunc", "d>d", 0)                                                                \
    X(SIGN_F64, "sign", "d>d", 0)                                                                  \
    X(SQRT_F64, "sqrt", "d>d", WR_FN_MAY_FAIL)                                                     \
    X(CBRT_F64, "cbrt", "d>d", 0)                                                                  \
    X(EXP_F64, "exp", "d>d", WR_FN_MAY_FAIL)                                                       \
    X(LN_F64, "ln", "d>d", WR_FN_MAY_FAIL)                                                         \
    X(LOG10_F64, "log10", "d>d", WR_FN_MAY_FAIL)                                                   \
    X(LOG_F64, "log", "d>d", WR_FN_MAY_FAIL)                                                       \
    X(LOG2_F64, "log2", "d>d", WR_FN_MAY_FAIL)                                                     \
    X(POWER_F64, "power", "dd>d", WR_FN_MAY_FAIL)                                                  \
    X(POW_F64, "pow", "dd>d", WR_FN_MAY_FAIL)                                                      \
    X(POWER_OP_F64, "^", "dd>d", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                  \
    X(MOD_FN_I64, "mod", "ll>l", WR_FN_MAY_FAIL)                                                   \
    X(SIN_F64, "sin", "d>d", 0)                                                                    \
    X(COS_F64, "cos", "d>d", 0)                                                                    \
    X(TAN_F64, "tan", "d>d", 0)                                                                    \
    X(ASIN_F64, "asin", "d>d", WR_FN_MAY_FAIL)                                                     \
    X(ACOS_F64, "acos", "d>d", WR_FN_MAY_FAIL)                                                     \
    X(ATAN_F64, "atan", "d>d", 0)                                                                  \
    X(ATAN2_F64, "atan2", "dd>d", 0)                                                               \
    X(DEGREES_F64, "degrees", "d>d", 0)                                                            \
    X(RADIANS_F64, "radians", "d>d", 0)                                                            \
    X(PI_F64, "pi", ">d", 0)                                                                       \
    X(GREATEST_I64, "greatest", "l*>l", WR_FN_NULLS)                                               \
    X(GREATEST_F64, "greatest", "d*>d", WR_FN_NULLS)                                               \
    X(GREATEST_TEXT, "greatest", "t*>t", WR_FN_NULLS)                                              \
    X(GREATEST_TIMESTAMP, "greatest", "s*>s", WR_FN_NULLS)                                         \
    X(LEAST_I64, "least", "l*>l", WR_FN_NULLS)                                                     \
    X(LEAST_F64, "least", "d*>d", WR_FN_NULLS)                                                     \
    X(LEAST_TEXT, "least", "t*>t", WR_FN_NULLS)                                                    \
    X(LEAST_TIMESTAMP, "least", "s*>s", WR_FN_NULLS)

#define WR_FUNCTIONS_TEXT(X)                                                                       \
    X(CONCAT_OP, "||", "tt>t", WR_FN_OPERATOR)                                                     \
    X(CONCAT, "concat", "t*>t", WR_FN_NULLS)                                                       \
    X(CONCAT_WS, "concat_ws", "tt*>t", WR_FN_NULLS)                                                \
    X(LENGTH, "length", "t>i", 0)                                                                  \
    X(CHAR_LENGTH, "char_length", "t>i", 0)                                                        \
    X(OCTET_LENGTH, "octet_length", "t>i", 0)                                                      \
    X(LENGTH_BYTES, "length", "y>i", 0)                                                            \
    X(LOWER, "lower", "t>t", 0)                                                                    \
    X(UPPER, "upper", "t>t", 0)                                                                    \
    X(INITCAP, "initcap", "t>t", 0)                                                                \
    X(TRIM, "trim", "t>t", 0)                                                                      \
    X(TRIM_CHARS, "trim", "tt>t", 0)                                                               \
    X(BTRIM, "btrim", "t>t", 0)                                                                    \
    X(BTRIM_CHARS, "btrim", "tt>t", 0)                                                             \
    X(LTRIM, "ltrim", "t>t", 0)                                                                    \
    X(LTRIM_CHARS, "ltrim", "tt>t", 0)                                                             \
    X(RTRIM, "rtrim", "t>t", 0)                                                                    \
    X(RTRIM_CHARS, "rtrim", "tt>t", 0)                                                             \
    X(SUBSTRING, "substring", "ti>t", 0)                                                           \
    X(SUBSTRING_FOR, "substring", "tii>t", WR_FN_MAY_FAIL)                                         \
    X(SUBSTR, "substr", "ti>t", 0)                                                                 \
    X(SUBSTR_FOR, "substr", "tii>t", WR_FN_MAY_FAIL)                                               \
    X(LEFT, "left", "ti>t", 0)                                                                     \
    X(RIGHT, "right", "ti>t", 0)                                                                   \
    X(REVERSE, "reverse", "t>t", 0)                                                                \
    X(REPEAT, "repeat", "ti>t", WR_FN_MAY_FAIL)                                                    \
    X(REPLACE, "replace", "ttt>t", 0)                                                              \
    X(TRANSLATE, "translate", "ttt>t", 0)                                                          \
    X(LPAD, "lpad", "ti>t", WR_FN_MAY_FAIL)                                                        \
    X(LPAD_FILL, "lpad", "tit>t", WR_FN_MAY_FAIL)                                                  \
    X(RPAD, "rpad", "ti>t", WR_FN_MAY_FAIL)                                                        \
    X(RPAD_FILL, "rpad", "tit>t", WR_FN_MAY_FAIL)                                                  \
    X(POSITION, "position", "tt>i", 0) /* position(needle, haystack), as the binder orders IN */   \
    X(STRPOS, "strpos", "tt>i", 0)     /* strpos(haystack, needle) */                              \
    X(SPLIT_PART, "split_part", "tti>t", WR_FN_MAY_FAIL)                                           \
    X(STARTS_WITH, "starts_with", "tt>b", 0)                                                       \
    X(ENDS_WITH, "ends_with", "tt>b", 0)                                                           \
    X(CONTAINS, "contains", "tt>b", 0)                                                             \
    X(ASCII, "ascii", "t>i", 0)                                                                    \
    X(CHR, "chr", "i>t", WR_FN_MAY_FAIL)                                                           \
    X(LIKE, "like", "tt>b", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                       \
    X(ILIKE, "ilike", "tt>b", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                     \
    X(LIKE_ESCAPE, "like", "ttt>b", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                               \
    X(ILIKE_ESCAPE, "ilike", "ttt>b", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                             \
    X(REGEXP_MATCH_OP, "~", "tt>b", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                               \
    X(REGEXP_IMATCH_OP, "~*", "tt>b", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                             \
    X(REGEXP_LIKE, "regexp_like", "tt>b", WR_FN_MAY_FAIL)                                          \
    X(REGEXP_LIKE_FLAGS, "regexp_like", "ttt>b", WR_FN_MAY_FAIL)                                   \
    X(REGEXP_REPLACE, "regexp_replace", "ttt>t", WR_FN_MAY_FAIL)                                   \
    X(REGEXP_REPLACE_FLAGS, "regexp_replace", "tttt>t", WR_FN_MAY_FAIL)                            \
    X(REGEXP_SUBSTR, "regexp_substr", "tt>t", WR_FN_MAY_FAIL)                                      \
    X(REGEXP_COUNT, "regexp_count", "tt>i", WR_FN_MAY_FAIL)                                        \
    X(REGEXP_EXTRACT, "regexp_extract", "tti>t", WR_FN_MAY_FAIL)

#define WR_FUNCTIONS_TIME(X)                                                                       \
    X(ADD_TIMESTAMP_INTERVAL, "+", "sv>s", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                        \
    X(ADD_TIMESTAMPTZ_INTERVAL, "+", "zv>z", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                      \
    X(ADD_INTERVAL_TIMESTAMP, "+", "vs>s", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                        \
    X(ADD_INTERVAL_TIMESTAMPTZ, "+", "vz>z", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                      \
    X(SUB_TIMESTAMP_INTERVAL, "-", "sv>s", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                        \
    X(SUB_TIMESTAMPTZ_INTERVAL, "-", "zv>z", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                      \
    X(SUB_TIMESTAMP, "-", "ss>v", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                 \
    X(SUB_TIMESTAMPTZ, "-", "zz>v", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                               \
    X(ADD_INTERVAL, "+", "vv>v", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                  \
    X(SUB_INTERVAL, "-", "vv>v", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                  \
    X(MUL_INTERVAL, "*", "vd>v", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                  \
    X(ADD_DATE_DAYS, "+", "Di>D", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                 \
    X(SUB_DATE_DAYS, "-", "Di>D", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                 \
    X(SUB_DATE, "-", "DD>i", WR_FN_OPERATOR | WR_FN_MAY_FAIL)                                      \
    X(DATE_TRUNC, "date_trunc", "ts>s", WR_FN_MAY_FAIL)                                            \
    X(DATE_TRUNC_TZ, "date_trunc", "tz>z", WR_FN_MAY_FAIL)                                         \
    X(EXTRACT, "date_part", "ts>d", WR_FN_MAY_FAIL) /* extract(f FROM x) is bound to it */         \
    X(EXTRACT_TZ, "date_part", "tz>d", WR_FN_MAY_FAIL)                                             \
    X(EXTRACT_DATE, "date_part", "tD>d", WR_FN_MAY_FAIL)                                           \
    X(EXTRACT_INTERVAL, "date_part", "tv>d", WR_FN_MAY_FAIL)                                       \
    X(TO_TIMESTAMP, "to_timestamp", "d>z", WR_FN_MAY_FAIL)                                         \
    X(TO_TIMESTAMP_TEXT, "to_timestamp", "tt>z", WR_FN_MAY_FAIL)                                   \
    X(TO_CHAR, "to_char", "st>t", WR_FN_MAY_FAIL)                                                  \
    X(EPOCH_MS, "epoch_ms", "s>l", 0)                                                              \
    X(FROM_EPOCH_MS, "from_epoch_ms", "l>s", WR_FN_MAY_FAIL)                                       \
    X(DATE_BIN, "date_bin", "vss>s", WR_FN_MAY_FAIL)                                               \
    X(NOW, "now", ">z", WR_FN_VOLATILE)                                                            \
    X(DATE_OF_TIMESTAMP, "date", "s>D", 0)                                                         \
    X(DATE_OF_TIMESTAMPTZ, "date", "z>D", 0)                                                       \
    X(DATE_OF_TEXT, "date", "t>D", WR_FN_MAY_FAIL)                                                 \
    X(YEAR_OF, "year", "s>l", 0)                                                                   \
    X(MONTH_OF, "month", "s>l", 0)                                                                 \
    X(DAY_OF, "day", "s>l", 0)                                                                     \
    X(HOUR_OF, "hour", "s>l", 0)                                                                   \
    X(MINUTE_OF, "minute", "s>l", 0)

/* STRUCT, ARRAY and MAP. $field: the STRUCT and the field's index (constant INTEGER, from 0); $element: from 1; $array, $struct and
 * $map make a value of the call's type of their arguments (of a map: key, value, key, value …). */
#define WR_FUNCTIONS_NESTED(X)                                                                     \
    X(STRUCT_FIELD, "$field", "Ri>x", 0)                                                           \
    X(ARRAY_ELEMENT, "$element", "Al>x", 0)                                                        \
    X(MAP_VALUE, "$value", "Mx>x", 0)                                                              \
    X(MAKE_ARRAY, "$array", "x*>A", WR_FN_NULLS)                                                   \
    X(MAKE_STRUCT, "$struct", "x*>R", WR_FN_NULLS)                                                 \
    X(MAKE_MAP, "$map", "xx*>M", WR_FN_NULLS | WR_FN_MAY_FAIL)                                     \
    X(EQ_NESTED, "=", "xx>b", WR_FN_OPERATOR)                                                      \
    X(NE_NESTED, "<>", "xx>b", WR_FN_OPERATOR)                                                     \
    X(CARDINALITY_ARRAY, "cardinality", "A>i", 0)                                                  \
    X(CARDINALITY_MAP, "cardinality", "M>i", 0)                                                    \
    X(ARRAY_LENGTH, "array_length", "A>i", 0)                                                      \
    X(ARRAY_CONTAINS, "array_contains", "Ax>b", 0)                                                 \
    X(MAP_KEYS, "map_keys", "M>A", 0)                                                              \
    X(MAP_VALUES, "map_values", "M>A", 0)

/* WINDOW_START_OF, WINDOW_END_OF: what SELECT over a TUMBLE without GROUP BY computes per row; args: time, size in us
 * (constant), offset in us (constant). */
#define WR_FUNCTIONS_OTHER(X)                                                                      \
    X(JSON_GET, "->", "jt>j", WR_FN_OPERATOR)                                                      \
    X(JSON_GET_INDEX, "->", "ji>j", WR_FN_OPERATOR)                                                \
    X(JSON_GET_TEXT, "->>", "jt>t", WR_FN_OPERATOR)                                                \
    X(JSON_GET_INDEX_TEXT, "->>", "ji>t", WR_FN_OPERATOR)                                          \
    X(JSON_TYPEOF, "json_typeof", "j>t", 0)                                                        \
    X(JSON_ARRAY_LENGTH, "json_array_length", "j>i", WR_FN_MAY_FAIL)                               \
    X(XXHASH64, "xxhash64", "t>L", 0)                                                              \
    X(XXHASH64_BYTES, "xxhash64", "y>L", 0)                                                        \
    X(MD5, "md5", "t>t", 0)                                                                        \
    X(MD5_BYTES, "md5", "y>t", 0)                                                                  \
    X(SHA256, "sha256", "t>y", 0)                                                                  \
    X(SHA256_BYTES, "sha256", "y>y", 0)                                                            \
    X(ENCODE, "encode", "yt>t", WR_FN_MAY_FAIL)                                                    \
    X(DECODE, "decode", "tt>y", WR_FN_MAY_FAIL)                                                    \
    X(TO_HEX, "to_hex", "l>t", 0)                                                                  \
    X(WINDOW_START_OF, "$window_start", "sll>s", 0)                                                \
    X(WINDOW_END_OF, "$window_end", "sll>s", 0)

enum wr_function {
#define WR_X(id, name, signature, flags) WR_FN_##id,
    WR_FUNCTION_TABLE(WR_X)
#undef WR_X
        WR_FUNCTION_COUNT_
};

struct wr_function_row {
    const char *id;
    const char *name;
    const char *signature;
    uint32_t flags;
};

/* Indexed by enum wr_function. */
extern const struct wr_function_row wr_functions[WR_FUNCTION_COUNT_];

/* Does a row take or give STRUCT, ARRAY, MAP or any type? */
bool wr_function_is_nested(const struct wr_function_row *row);

/* The type that a signature letter names (precision 0 for n); id NULL for an unknown letter. */
struct wr_type wr_function_type(char letter);

#endif
