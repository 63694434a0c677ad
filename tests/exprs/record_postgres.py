#!/usr/bin/env python3
"""Records what PostgreSQL answers to expressions, as cases for tests/unit/test_eval_postgres.c.

    record_postgres.py [--seed N] [--each N] > ../unit/eval_postgres.h

Needs a PostgreSQL 15 or newer with a UTF-8 database that psql reaches without arguments (PGHOST and
so on say where). The notation of the cases is that of tests/unit/eval_testing.h. Left out, because
Weir means something else there on purpose: years outside 1 to 9999 (Weir writes them as ISO 8601
does), NUMERIC's NaN (Weir has none), right() of the smallest integer (PostgreSQL's wraps), LIKE
patterns that end with the escape (always an error here, in PostgreSQL only where the match gets
that far).
"""

import argparse
import random
import re
import subprocess

BIG = str(2**63 - 1)
SMALL = str(-(2**63))

# Values to choose arguments from, by pool. A pool's name is the type in the notation where LETTER
# has no other.
POOL = {
    "l": ["0", "1", "-1", "7", "-13", "100", "1000003", BIG, SMALL, "3037000500", "NULL"],
    "i": ["0", "1", "-1", "2", "3", "5", "-2", "-7", "2147483647", "-2147483648", "NULL"],
    "h": ["0", "1", "-1", "32767", "-32768", "181", "NULL"],
    "d": [
        "0", "-0", "1", "-1.5", "2.5", "0.5", "3.7", "-2.675", "1e10", "1e300", "-1e300",
        "1e-300", "NaN", "Infinity", "-Infinity", "123456.789", "NULL",
    ],
    "f": ["0", "1", "-1.5", "2.5", "1e30", "1e-30", "NaN", "NULL"],
    "b": ["true", "false", "NULL"],
    "t": [
        "", "abc", "ABC", "äöü", "a%b", "a_c", "hello world and more", "xyxtrimyyx", "  pad  ",
        "Thomas", "key=value", "日本語テキスト", 'a\\b', "ab,cd,,ef", "1", "12.50", "2024-02-29", "%",
        "_", "A", "zzz", "NULL",
    ],
    "p": [
        "%", "a%", "%b", "_b_", "%o w%", 'a\\%b', "%a%b%", "_%", "abc", "", "%_", "ä_ü", '\\%',
        "A%", "%z", "NULL",
    ],
    "s": [
        "2024-02-29 12:34:56.789012", "1970-01-01 00:00:00", "1969-12-31 23:59:59.999999",
        "2000-01-01 00:00:00", "1999-12-31 23:00:00", "2023-01-31 00:00:00",
        "2024-12-30 05:06:07", "1900-03-01 01:02:03", "0001-01-01 00:00:00",
        "9999-12-31 23:59:59", "NULL",
    ],
    "D": [
        "2024-02-29", "1970-01-01", "1969-12-31", "2000-12-31", "0001-01-01", "9999-12-31",
        "NULL",
    ],
    "v": [
        "1 day", "1 mon", "-1 mon", "1 year 2 mons 3 days 04:05:06.789", "-3 days 04:00:00",
        "00:00:00.000001", "10 seconds", "13 mons", "30 days", "25:00:00", "NULL",
    ],
    "n": [
        "n10.2:0", "n10.2:1.50", "n10.2:-1.50", "n10.3:2.345", "n10.0:7", "n20.5:-12345.67891",
        "n38.10:123456789012345.0123456789", "n10.2:NULL", "n5.4:0.0001",
    ],
    "F": [
        "hour", "day", "week", "month", "quarter", "year", "decade", "century", "millennium",
        "minute", "second", "milliseconds", "microseconds",
    ],
    "G": [
        "hour", "day", "week", "month", "quarter", "year", "decade", "century", "millennium",
        "minute", "second", "milliseconds", "microseconds", "dow", "isodow", "doy", "isoyear",
        "epoch", "julian",
    ],
    "I": [
        "hour", "day", "month", "quarter", "year", "decade", "century", "millennium", "minute",
        "second", "milliseconds", "microseconds", "epoch",
    ],
    "R": ["a", "^a", "b$", "[a-z]+", "(a)|b", "o.*d", "x*", '\\d+', "l+", "[^a]", "ä"],
    "C": ["xyz", "a", " ", "äa", ""],
    "S": [",", "a", "", "ö", "o w"],
    "j": [
        '{"a": 1, "b": "x\\ny", "c": [1,2,{"d":null}], "a": 5}', '[1,"two",null,[3]]', '"str"',
        "null", "12.5", "{}", "[]", '{"a":null}', "NULL",
    ],
    "K": ["a", "b", "c", "zz"],
    "T": [
        "YYYY-MM-DD HH24:MI:SS", "HH12:MI:SS AM", "Day, DD Mon YYYY", "FMMonth FMDD",
        "DDD IYYY-IW-ID Q", "MS US", "J D WW", "dy DY Dy mon MON", "SSSS", "YY MM", '"at" HH24',
        "FF3 FF6",
    ],
    "N": ["-2", "-1", "0", "1", "2", "3", "5"],
    "J": ["-3", "-1", "0", "1", "2", "9"],
}
SQL_TYPE = {
    "l": "bigint", "i": "int", "h": "smallint", "d": "float8", "f": "float4", "b": "bool",
    "t": "text", "p": "text", "s": "timestamp", "D": "date", "v": "interval", "F": "text",
    "G": "text", "I": "text", "R": "text", "C": "text", "S": "text", "j": "json",
    "K": "text", "T": "text", "N": "int", "J": "int",
}
# Pools that share a type with another.
LETTER = {
    "p": "t", "F": "t", "G": "t", "I": "t", "R": "t", "C": "t", "S": "t", "K": "t", "T": "t",
    "N": "i", "J": "i",
}


# (case's name, SQL, pools of the arguments)
FUNCTIONS = []
for suffix, pool in (("I64", "l"), ("I32", "i"), ("I16", "h"), ("F64", "d"), ("F32", "f")):
    for word, sign in (("ADD", "+"), ("SUB", "-"), ("MUL", "*"), ("DIV", "/")):
        FUNCTIONS.append((f"{word}_{suffix}", f"{{0}} {sign} {{1}}", pool * 2))
    if pool in "lih":
        FUNCTIONS.append((f"MOD_{suffix}", "{0} % {1}", pool * 2))
        FUNCTIONS.append((f"ABS_{suffix}", "abs({0})", pool))
    FUNCTIONS.append((f"NEG_{suffix}", "- {0}", pool))
for suffix, pool in (("I64", "l"), ("F64", "d"), ("F32", "f"), ("TEXT", "t"), ("DATE", "D"),
                     ("TIMESTAMP", "s"), ("INTERVAL", "v"), ("BOOL", "b"), ("I16", "h"),
                     ("DECIMAL", "n")):
    for word, sign in (("EQ", "="), ("NE", "<>"), ("LT", "<"), ("LE", "<="), ("GT", ">"),
                       ("GE", ">=")):
        collate = ' collate "C"' if suffix == "TEXT" else ""
        FUNCTIONS.append((f"{word}_{suffix}", f"{{0}} {sign} {{1}}{collate}", pool * 2))
for letter, sql_type in (("l", "bigint"), ("i", "int"), ("h", "smallint"), ("d", "float8"),
                         ("f", "float4"), ("n6.2", "numeric(6,2)")):
    for pool in "lihdfnt":
        if pool != letter:
            FUNCTIONS.append((f"CAST<{letter}>", f"CAST({{0}} AS {sql_type})", pool))
for letter, sql_type, pools in (("t", "text", "lbv"), ("D", "date", "st"), ("s", "timestamp", "D"),
                                ("b", "bool", "it"), ("i", "int", "b"), ("v", "interval", "t")):
    for pool in pools:
        FUNCTIONS.append((f"CAST<{letter}>", f"CAST({{0}} AS {sql_type})", pool))
FUNCTIONS += [
    ("CEIL_F64", "ceil({0})", "d"),
    ("FLOOR_F64", "floor({0})", "d"),
    ("ROUND_F64", "round({0})", "d"),
    ("TRUNC_F64", "trunc({0})", "d"),
    ("SIGN_F64", "sign({0})", "d"),
    ("SQRT_F64", "sqrt({0})", "d"),
    ("LN_F64", "ln({0})", "d"),
    ("EXP_F64", "exp({0})", "d"),
    ("POWER_F64", "power({0},{1})", "dd"),
    ("LOG_F64", "log({0})", "d"),
    ("BIT_AND_I64", "{0} & {1}", "ll"),
    ("BIT_OR_I64", "{0} | {1}", "ll"),
    ("BIT_XOR_I64", "{0} # {1}", "ll"),
    ("BIT_NOT_I64", "~ {0}", "l"),
    ("CONCAT_OP", "{0} || {1}", "tt"),
    ("CONCAT", "concat({0},{1},{2})", "ttt"),
    ("CONCAT_WS", "concat_ws({0},{1},{2})", "ttt"),
    ("LENGTH", "length({0})", "t"),
    ("OCTET_LENGTH", "octet_length({0})", "t"),
    ("LOWER", "lower({0})", "t"),
    ("UPPER", "upper({0})", "t"),
    ("INITCAP", "initcap({0})", "t"),
    ("TRIM", "trim({0})", "t"),
    ("BTRIM_CHARS", "btrim({0},{1})", "tC"),
    ("LTRIM_CHARS", "ltrim({0},{1})", "tC"),
    ("RTRIM_CHARS", "rtrim({0},{1})", "tC"),
    ("SUBSTRING", "substring({0},{1})", "tN"),
    ("SUBSTRING_FOR", "substring({0},{1},{2})", "tii"),
    ("LEFT", "left({0},{1})", "ti"),
    ("RIGHT", "right({0},{1})", "ti"),
    ("REVERSE", "reverse({0})", "t"),
    ("REPEAT", "repeat({0},{1})", "tN"),
    ("REPLACE", "replace({0},{1},{2})", "tCS"),
    ("TRANSLATE", "translate({0},{1},{2})", "ttC"),
    ("LPAD_FILL", "lpad({0},{1},{2})", "tNC"),
    ("RPAD_FILL", "rpad({0},{1},{2})", "tNC"),
    ("POSITION", "position({0} in {1})", "Ct"),
    ("STRPOS", "strpos({0},{1})", "tS"),
    ("SPLIT_PART", "split_part({0},{1},{2})", "tSJ"),
    ("STARTS_WITH", "starts_with({0},{1})", "tC"),
    ("ASCII", "ascii({0})", "t"),
    ("CHR", "chr({0})", "N"),
    ("LIKE", "{0} like {1}", "tp"),
    ("ILIKE", "{0} ilike {1}", "tp"),
    ("LIKE_ESCAPE", "{0} like {1} escape 'b'", "tpX"),
    ("REGEXP_MATCH_OP", "{0} ~ {1}", "tR"),
    ("REGEXP_IMATCH_OP", "{0} ~* {1}", "tR"),
    ("REGEXP_LIKE", "regexp_like({0},{1})", "tR"),
    ("REGEXP_REPLACE", "regexp_replace({0},{1},{2})", "tRC"),
    ("REGEXP_REPLACE_FLAGS", "regexp_replace({0},{1},{2},'g')", "tRCg"),
    ("REGEXP_SUBSTR", "regexp_substr({0},{1})", "tR"),
    ("REGEXP_COUNT", "regexp_count({0},{1})", "tR"),
    ("ADD_TIMESTAMP_INTERVAL", "{0} + {1}", "sv"),
    ("SUB_TIMESTAMP_INTERVAL", "{0} - {1}", "sv"),
    ("SUB_TIMESTAMP", "{0} - {1}", "ss"),
    ("ADD_INTERVAL", "{0} + {1}", "vv"),
    ("SUB_INTERVAL", "{0} - {1}", "vv"),
    ("MUL_INTERVAL", "{0} * {1}", "vd"),
    ("NEG_INTERVAL", "- {0}", "v"),
    ("ADD_DATE_DAYS", "{0} + {1}", "DN"),
    ("SUB_DATE", "{0} - {1}", "DD"),
    ("DATE_TRUNC", "date_trunc({0},{1})", "Fs"),
    ("EXTRACT", "date_part({0},{1})", "Gs"),
    ("EXTRACT_DATE", "date_part({0},{1}::timestamp)", "GD"),
    ("EXTRACT_INTERVAL", "date_part({0},{1})", "Iv"),
    ("TO_CHAR", "to_char({0},{1})", "sT"),
    ("DATE_BIN", "date_bin({0},{1},{2})", "vss"),
    ("JSON_GET", "{0} -> {1}", "jK"),
    ("JSON_GET_TEXT", "{0} ->> {1}", "jK"),
    ("JSON_GET_INDEX", "{0} -> {1}", "jN"),
    ("JSON_GET_INDEX_TEXT", "{0} ->> {1}", "jN"),
    ("JSON_TYPEOF", "json_typeof({0})", "j"),
    ("JSON_ARRAY_LENGTH", "json_array_length({0})", "j"),
    ("TO_HEX", "to_hex({0})", "l"),
    ("MD5", "md5({0})", "t"),
    ("GREATEST_I64", "greatest({0},{1})", "ll"),
    ("LEAST_F64", "least({0},{1})", "dd"),
    ("NULLIF", "nullif({0},{1})", "ll"),
    ("COALESCE", "coalesce({0},{1})", "tt"),
    ("IS_DISTINCT", "{0} is distinct from {1}", "dd"),
    ("ADD_DECIMAL<n38.10>", "({0} + {1})::numeric(38,10)", "nn"),
    ("SUB_DECIMAL<n38.10>", "({0} - {1})::numeric(38,10)", "nn"),
    ("MUL_DECIMAL<n38.6>", "({0} * {1})::numeric(38,6)", "nn"),
    ("MOD_DECIMAL<n38.10>", "({0} % {1})::numeric(38,10)", "nn"),
    ("DIV_DECIMAL<n38.4>", "({0} / {1})::numeric(38,4)", "nn"),
    ("ROUND_DECIMAL_N<n38.10>", "round({0},{1})::numeric(38,10)", "nN"),
    ("CEIL_DECIMAL<n38.0>", "ceil({0})", "n"),
    ("FLOOR_DECIMAL<n38.0>", "floor({0})", "n"),
]


def literal(pool):
    """One argument: its notation and its SQL."""
    if pool == "X":
        return "t:b", "'b'::text"
    if pool == "g":
        return "t:g", "'g'::text"
    value = random.choice(POOL[pool])
    if pool == "n":
        kind, number = value.split(":")
        sql = "NULL" if number == "NULL" else f"'{number}'"
        return value, f"{sql}::numeric({kind[1:].replace('.', ',')})"
    letter = LETTER.get(pool, pool)
    if value == "NULL":
        return f"{letter}:NULL", f"NULL::{SQL_TYPE[pool]}"
    quoted = value.replace("'", "''")
    return f"{letter}:'{quoted}'", f"'{quoted}'::{SQL_TYPE[pool]}"


def make_cases(each):
    """{notation: SQL}, each random choices per function."""
    cases = {}
    for name, sql, pools in FUNCTIONS:
        for _ in range(each):
            args = [literal(pool) for pool in pools]
            notation = f"{name}({', '.join(a[0] for a in args)})"
            cases[notation] = sql.format(*[a[1] for a in args])
    return cases


def ask(queries):
    """The answers' texts; '!' for an error. No answer holds a newline."""
    script = ["""set timezone = 'UTC'; set extra_float_digits = 1; set intervalstyle = postgres;
create function pg_temp.try(q text) returns text language plpgsql as $f$
declare r text;
begin
    execute 'select (' || q || ')::text' into r;
    return replace(coalesce(r, 'NULL'), chr(10), '\\n');
exception when others then return '!';
end $f$;"""]
    script += [f"select pg_temp.try($q${query}$q$);" for query in queries]
    done = subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1"], input="\n".join(script),
                          text=True, capture_output=True, check=True)
    return done.stdout.split("\n")[:-1]


def in_weirs_form(notation, text):
    """PostgreSQL's text of a value as Weir writes it."""
    if text in ("t", "f"):
        return {"t": "true", "f": "false"}[text]
    time = re.fullmatch(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)?", text)
    if time and not notation.startswith("TO_CHAR"):
        fraction = time[3] or ""
        if fraction:
            fraction = fraction.ljust(4 if len(fraction) <= 4 else 7, "0")
        return f"{time[1]}T{time[2]}{fraction}Z"
    return text


def differs_on_purpose(notation, text):
    return (text.endswith(" BC") or re.match(r"\d{5,}-\d\d-\d\d", text)
            or (text == "NaN" and notation.startswith("CAST<n"))
            or (notation.startswith("RIGHT") and "-2147483648" in notation)
            or (notation.startswith("LIKE_ESCAPE") and re.search(r"b', t:b\)$", notation)))


def c_string(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("??", "?\\?")
    return f'"{escaped}"'


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=10)
    args = parser.parse_args()
    random.seed(args.seed)
    cases = make_cases(args.each)
    version = ask(["current_setting('server_version')"])[0].split(" ", maxsplit=1)[0]
    answers = ask(cases.values())
    assert len(answers) == len(cases)
    print(f"/* Recorded from PostgreSQL {version} by tests/exprs/record_postgres.py: do not edit. */")
    print("static const struct eval_case recorded[] = {")
    for notation, answer in zip(cases, answers):
        if not differs_on_purpose(notation, answer) and "\\n" not in answer:
            expected = c_string(in_weirs_form(notation, answer))
            print(f"    {{ {c_string(notation)},\n      {expected} }},")
    print("};")


if __name__ == "__main__":
    main()
