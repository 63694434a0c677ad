"""Expressions through the whole program, against DuckDB: one `weir run` from a file to files computes some hundred
of them over typed rows (integers, doubles, decimals, texts, timestamps, NULLs), DuckDB the same ones; row by row the
values must be equal (doubles to 12 digits). The list is templates over columns, and nested expressions from a seeded
generator. WEIR_DUCKDB_SEED varies its seed.

Where DuckDB writes differently what means the same, the template has DuckDB's form too. Left out, because DuckDB means
something else than PostgreSQL and Weir: round() of doubles ending in .5 (away from zero there, to even here), substring
and left with starts before the text, LIKE with a backslash (no escape there), division by zero and overflow (NULL or
another type there, a dead letter here), EXTRACT(second) (whole there), to_char and regexp_replace (other patterns), text
of doubles and intervals (other formats), epoch_ms of parts of milliseconds before 1970 (cut toward zero there, down
here), shifts of negative integers (refused there), subtraction of timestamps (an INTERVAL has no common text), initcap
(not there).
"""

import datetime
import decimal
import json
import math
import os
import random

import duckdb

from services.harness import run_weir

SEED = int(os.environ.get("WEIR_DUCKDB_SEED", "1"))
PER_SINK = 48

TEXTS = ["", "abc", "ABC", "Héllo Wörld", "日本語テキスト", "a,b,,c", "  pad  ", "x%y_z", "it's", None, "😀 smile", "xyxabcyx",
         "12", "Zürich", "äöü ÄÖÜ"]
TIMES = ["2024-02-29 12:34:56.789012", "1970-01-01 00:00:00", "1969-12-31 23:59:59.999999", None, "2000-01-31 00:00:00",
         "2023-12-31 23:59:59", "2024-12-30 05:06:07.5", "1999-03-01 01:02:03", "2100-02-28 10:00:00", "2024-03-15 18:30:00"]
DOUBLES = [0.25, 1.0, -1.75, 3.7, None, 123456.789, -0.125, 2.4, 1e10, 1e-5, 99.99, -7.3]
INTEGERS = [0, 1, -1, 7, -13, 100, None, 32000, -999, 42, 8, 3, 255]


def rows():
    return [{"id": n, "i": INTEGERS[n % 13], "j": INTEGERS[(n * 5 + 3) % 13],
             "l": None if n % 11 == 4 else (n * 2654435761 + 12345) % 2**40 - 2**39,
             "d": DOUBLES[n % 12], "e": DOUBLES[(n * 7 + 2) % 12],
             "n": None if n % 9 == 5 else str(decimal.Decimal(n * 7919 % 20011 - 10000) / 100),
             "t": TEXTS[n % 15], "u": TEXTS[(n * 4 + 1) % 15], "s": TIMES[n % 10], "r": TIMES[(n * 3 + 1) % 10],
             "b": [True, False, None][n % 3], "c": [True, None, False, False][n % 4]} for n in range(120)]


COLUMNS = [("id", "BIGINT"), ("i", "INTEGER"), ("j", "INTEGER"), ("l", "BIGINT"), ("d", "DOUBLE PRECISION"),
           ("e", "DOUBLE PRECISION"), ("n", "NUMERIC(12,2)"), ("t", "TEXT"), ("u", "TEXT"), ("s", "TIMESTAMP"),
           ("r", "TIMESTAMP"), ("b", "BOOLEAN"), ("c", "BOOLEAN")]


# --- the expressions: Weir's text, or (Weir's, DuckDB's) ----------------------------------------------

NUMERIC = ["x + 3", "x - 2 * 3", "-x", "- -x", "x * 2 - 1", "abs(x)", "x % 7 = 0", "x BETWEEN -5 AND 50", "x NOT BETWEEN 0 AND 1",
           "x IN (1, 7, 100)", "x NOT IN (0, -1)", "x IS NULL", "x IS NOT NULL", "x = 1 OR x > 40", "NOT x < 3", "coalesce(x, -9)",
           "nullif(x, 1)", "CASE WHEN x > 10 THEN 'big' WHEN x < 0 THEN 'below' ELSE 'small' END", "CASE x WHEN 1 THEN 'one' END",
           "x IS DISTINCT FROM 7", "x IS NOT DISTINCT FROM NULL", "(x > 0) IS TRUE", "(x > 0) IS NOT FALSE", "(x > 0) IS UNKNOWN",
           "x ISNULL", "x NOTNULL AND x <> 1", "sign(x)", "x::double precision / 4"]
INTEGER = ["x / 3", "x % 5", "x / -4", "x % -3", "x * x", "x & 12", "x | 5", ("x # 9", "xor(x, 9)"), ("x << 2", "x * 4"), ("x >> 1", "CAST(floor(x / 2.0) AS bigint)"),
           ("~x", "-x - 1"), ("~x + 1", "-(x + 1) - 1"), "x::text", "x::text || '!'", "x::bigint + 1", "mod(x, 4)", "x / 2 * 2 + x % 2 = x"]
DOUBLE = ["x / 3", "x * 1.5", "ceil(x)", "floor(x)", "trunc(x)", "exp(x / 1000000000000)", "sqrt(abs(x))", "cbrt(x)", "sin(x)", "cos(x)",
          "atan(x)", "ln(abs(x) + 1)", "log10(abs(x) + 1)", "log2(abs(x) + 1)", "power(x, 2)", "x ^ 2", "-x ^ 2", "2 ^ 3 ^ 2 + x",
          "atan2(x, 2)", "degrees(x)", "radians(x)", "round(x, 1)", "x::bigint", "greatest(x, 1.5)", "least(x, 0.5, 3)",
          "pi() * x", "round(x * 3)", "tan(x)"]
DECIMAL = ["n + 1.25", "n - 0.01", "n * 2", "-n", "n > 10.5", "n::double precision / 3", "n::integer", "n::bigint", "ceil(n)", "floor(n)",
           "n = 12.34", "abs(n) < 50", "n + i", "n::numeric(14,1)", "n * 1.5 > 20", "n + d"]
TEXT = ["x || 'y'", "x || x", "lower(x)", "upper(x)", "length(x)", "char_length(x)", ("octet_length(x)", "strlen(x)"), "reverse(x)",
        "repeat(x, 2)", "replace(x, 'b', 'BB')", "translate(x, 'abc', 'xy')", "trim(x)", "ltrim(x)", "rtrim(x)", "trim(BOTH 'x' FROM x)",
        "trim(LEADING 'xy' FROM x)", "trim(TRAILING FROM x)", "ltrim(x, 'a ')", "substring(x FROM 2 FOR 3)", "substring(x FROM 2)",
        ("substring(x FOR 2)", "substring(x, 1, 2)"), "substr(x, 3, 2)", "left(x, 3)", "right(x, 3)", "left(x, -2)", "right(x, -2)",
        "lpad(x, 6, '*')", "rpad(x, 6, '-+')", "position('b' IN x)", "strpos(x, 'ö')", "split_part(x, ',', 2)", "starts_with(x, 'a')",
        "contains(x, 'l')", ("ends_with(x, 'c')", "suffix(x, 'c')"), "ascii(x)", "x LIKE 'a%'", "x LIKE '_b_'", "x NOT LIKE '%l%'",
        "x ILIKE 'AB%'", "x LIKE '%!%%' ESCAPE '!'", "x LIKE '%!_%' ESCAPE '!'", "x ILIKE '%ö%'", ("x ~ '^[a-z]+$'", "regexp_matches(x, '^[a-z]+$')"),
        ("x !~ 'b'", "NOT regexp_matches(x, 'b')"), ("x ~* 'ABC'", "regexp_matches(x, 'ABC', 'i')"), "x < 'b'", "x >= 'Z'", "x = ''",
        "x IN ('abc', '12', '')", "x BETWEEN 'A' AND 'b'", "concat(x, '-', x)", "concat_ws('/', x, 'z')", "coalesce(x, 'none')",
        "md5(x)", "greatest(x, 'm')", "least(x, 'm')", "nullif(x, 'abc')", "x IS NULL OR length(x) > 5", "CASE WHEN x = 'abc' THEN 1 ELSE 0 END",
        "x || NULL IS NULL", "lower(upper(x)) = lower(x)", "try_cast(x AS integer)", "'a''b' || x", ("E'\\t\\u00e9' || x", "'\té' || x"),
        "x IS DISTINCT FROM 'abc'", "length(trim(x)) + 1"]
TIME = ["x + INTERVAL '1 day'", "x - INTERVAL '1 month'", "x + INTERVAL '1' YEAR", "x + INTERVAL '90 minutes'", "x - INTERVAL '0.5 seconds'",
        "date_trunc('hour', x)", "date_trunc('day', x)", "date_trunc('week', x)", "date_trunc('month', x)", "date_trunc('quarter', x)",
        "date_trunc('year', x)", "date_trunc('second', x)", "EXTRACT(year FROM x)", "EXTRACT(MONTH FROM x)", "EXTRACT(day FROM x)",
        "EXTRACT(hour FROM x)", "EXTRACT(minute FROM x)", "EXTRACT(dow FROM x)", "EXTRACT(isodow FROM x)", "EXTRACT(doy FROM x)",
        "EXTRACT(week FROM x)", "EXTRACT(quarter FROM x)", "EXTRACT(epoch FROM x)", "EXTRACT(isoyear FROM x)", "date_part('century', x)",
        "date_part('decade', x)", "x::date", "x::date + 31", "x::date - 1", "x::date - DATE '2000-01-01'", "x > TIMESTAMP '2000-01-01 00:00:00'",
        "x BETWEEN TIMESTAMP '1970-01-01' AND TIMESTAMP '2024-01-01'", "x::date = DATE '2024-02-29'", "epoch_ms(date_trunc('second', x))", "x IS NULL",
        "coalesce(x, TIMESTAMP '2001-02-03 04:05:06')", "CASE WHEN x < TIMESTAMP '2000-01-01' THEN 'old' ELSE 'new' END",
        "x + INTERVAL '1 month' - INTERVAL '1 month' = x", "year(x) * 100 + month(x)", "x + i * INTERVAL '1 hour'", "x - INTERVAL '1 minute' * i"]
LOGIC = ["b AND c", "b OR c", "NOT b", "NOT b AND c", "NOT (b AND c)", "b = c", "b <> c", "b IS TRUE", "b IS NOT TRUE", "b IS FALSE",
         "b IS UNKNOWN", "b IS NOT DISTINCT FROM c", "b OR c AND i > 0", "(b OR c) AND i > 0", "coalesce(b, c)", "b IN (true)",
         "CASE WHEN b THEN 1 WHEN c THEN 2 ELSE 3 END", "b IS NULL AND c IS NOT NULL", "i > j", "i + j * 2", "(i + j) * 2", "i - j - 1",
         "i * j / 7", "i - (j - 1)", "d + e", "d - e * 2", "d < e", "i < d", "l + i", "l / 1000", "l % 97", "l > d", "i + n", "d > n",
         "t || u", "t < u", "t = u", "greatest(t, u)", "t || i::text", "s < r", "s IS DISTINCT FROM r", "greatest(s, r)", "least(s, r)",
         "i = 1 OR i = 7 AND j > 0", "i BETWEEN j AND 100", "i NOT BETWEEN 0 AND j", "i IN (j, 1)", "i NOT IN (j, 1)", "t LIKE u",
         "position(u IN t)", "coalesce(i, j, 0)", "nullif(i, j)", "i IS NULL OR j IS NULL", "i / nullif(j, 0)", "i % nullif(j, 0)",
         "- i + j", "-(i + j)", "1 - -i", "i * -j", "i + j = j + i", "i < j IS NOT NULL", "NOT i = j", "least(i, j, 5)", "replace(t, u, '~')"]


def templates():
    for name, list_of in (("i", NUMERIC + INTEGER), ("j", INTEGER), ("l", NUMERIC), ("d", DOUBLE + [t for t in NUMERIC if "%" not in t]),
                          ("e", DOUBLE), ("t", TEXT), ("u", TEXT), ("s", TIME), ("r", TIME)):
        for template in list_of:
            pair = template if isinstance(template, tuple) else (template, template)
            yield tuple(replace_x(text, name) for text in pair)
    yield from ((text, text) for text in DECIMAL + LOGIC)


def replace_x(text, name):
    """The word x outside of strings."""
    parts = text.split("'")
    for at in range(0, len(parts), 2):
        parts[at] = "".join(name if word == "x" else word for word in split_words(parts[at]))
    return "'".join(parts)


def split_words(text):
    word = ""
    for letter in text:
        if letter.isalnum() or letter == "_":
            word += letter
            continue
        yield word
        yield letter
        word = ""
    yield word


class Nested:
    """Expressions of a type, as deep as asked; small whole numbers, so that nothing overflows."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def of(self, kind, depth):
        return getattr(self, kind)(depth) if depth > 0 else self.random.choice(
            {"number": ["i", "j", "3", "-2", "10"], "text": ["t", "u", "'ab'", "'é'"], "truth": ["b", "c", "i > j", "t = u", "TRUE", "NULL"],
             "time": ["s", "r", "TIMESTAMP '2020-05-06 07:08:09'"]}[kind])

    def pick(self, *templates):
        return self.random.choice(templates)

    def number(self, depth):
        n = lambda kind="number": self.of(kind, depth - 1)  # noqa: E731
        return self.pick(lambda: f"{n()} + {n()}", lambda: f"{n()} - {n()}", lambda: f"({n()} - {n()}) % 1000 * {self.of('number', 0)}",
                         lambda: f"({n()}) / 7", lambda: f"-({n()})", lambda: f"abs({n()})", lambda: f"length({n('text')})",
                         lambda: f"CASE WHEN {n('truth')} THEN {n()} ELSE {n()} END", lambda: f"coalesce({n()}, {n()})",
                         lambda: f"nullif({n()}, {n()})", lambda: f"position({self.of('text', 0)} IN {n('text')})",
                         lambda: f"CAST(EXTRACT(hour FROM {n('time')}) AS integer)")()

    def text(self, depth):
        n = lambda kind="text": self.of(kind, depth - 1)  # noqa: E731
        return self.pick(lambda: f"({n()} || {n()})", lambda: f"lower({n()})", lambda: f"left({n()}, 5)", lambda: f"reverse({n()})",
                         lambda: f"CAST({n('number')} AS text)", lambda: f"CASE WHEN {n('truth')} THEN {n()} END",
                         lambda: f"coalesce({n()}, {n()})", lambda: f"substring({n()} FROM 2 FOR 4)", lambda: f"replace({n()}, 'a', 'ä')")()

    def truth(self, depth):
        n = lambda kind="truth": self.of(kind, depth - 1)  # noqa: E731
        compare = self.pick("=", "<>", "<", "<=", ">", ">=")
        kind = self.pick("number", "text", "time")
        return self.pick(lambda: f"({n()} AND {n()})", lambda: f"({n()} OR {n()})", lambda: f"(NOT {n()})", lambda: f"({n(kind)} {compare} {n(kind)})",
                         lambda: f"({n(kind)} IS NULL)", lambda: f"({n(kind)} IS DISTINCT FROM {n(kind)})",
                         lambda: f"({n('number')} BETWEEN {n('number')} AND {n('number')})", lambda: f"({n('number')} IN ({n('number')}, 1, 7))",
                         lambda: f"({n('text')} LIKE '%a%')", lambda: f"(({n()}) IS NOT TRUE)")()

    def time(self, depth):
        n = lambda kind="time": self.of(kind, depth - 1)  # noqa: E731
        return self.pick(lambda: f"({n()} + INTERVAL '1 day')", lambda: f"({n()} - INTERVAL '1 month')", lambda: f"date_trunc('hour', {n()})",
                         lambda: f"greatest({n()}, {n()})", lambda: f"CASE WHEN {n('truth')} THEN {n()} ELSE {n()} END",
                         lambda: f"coalesce({n()}, {n()})")()


def expressions():
    nested = Nested(SEED)
    made = [nested.of(kind, depth) for kind in ("number", "text", "truth", "time") for depth in (2, 3, 3, 4, 4) for _ in range(3)]
    listed = list(dict.fromkeys([*templates(), *((text, text) for text in made)]))
    return [(f"c{number}", weir, duck) for number, (weir, duck) in enumerate(listed)]


# --- running them ------------------------------------------------------------------------------------------


def weir_values(tmp_path, wanted):
    (tmp_path / "in.ndjson").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows()))
    chunks = [wanted[at:at + PER_SINK] for at in range(0, len(wanted), PER_SINK)]
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS)
    sql = [f"CREATE SOURCE rows_in ({columns}) WITH (connector='file', path='{tmp_path}/in.ndjson', format='json');"]
    for number, chunk in enumerate(chunks):
        items = ",\n  ".join(f"{weir} AS {name}" for name, weir, _ in chunk)
        sql.append(f"CREATE SINK o{number} WITH (connector='file', path='{tmp_path}/o{number}.ndjson', format='json') AS\n"
                   f"SELECT id, {items} FROM rows_in;")
    (tmp_path / "p.sql").write_text("\n".join(sql))
    run_weir("run", tmp_path / "p.sql", "--quiet", code=0)
    values = {}
    for number in range(len(chunks)):
        for line in (tmp_path / f"o{number}.ndjson").read_text().splitlines():
            row = json.loads(line)
            values.setdefault(row["id"], {}).update(row)
    assert len(values) == len(rows()), "not all rows arrived in every sink"
    return values


def duck_values(wanted):
    database = duckdb.connect()
    database.execute("SET TimeZone='UTC'; SET integer_division=true")
    columns = ", ".join(f"{name} {'VARCHAR' if kind == 'TEXT' else kind}" for name, kind in COLUMNS)
    database.execute(f"CREATE TABLE rows_in ({columns})")
    database.executemany(f"INSERT INTO rows_in VALUES ({', '.join('?' * len(COLUMNS))})", [list(row.values()) for row in rows()])
    found = {row["id"]: {} for row in rows()}
    for name, _, duck in wanted:
        for number, value in database.execute(f"SELECT id, {duck} FROM rows_in").fetchall():
            found[number][name] = value
    return found


def equal(weir, duck):
    if weir is None or duck is None:
        return weir is None and duck is None
    if isinstance(duck, datetime.datetime):
        return isinstance(weir, str) and datetime.datetime.fromisoformat(weir.replace("Z", "")) == duck.replace(tzinfo=None)
    if isinstance(duck, datetime.date):
        return weir == duck.isoformat()
    if isinstance(duck, bool) or isinstance(weir, bool):
        return weir is duck
    if isinstance(duck, decimal.Decimal) or isinstance(duck, float):
        return isinstance(weir, (int, float)) and math.isclose(float(duck), weir, rel_tol=1e-12, abs_tol=1e-12)
    if isinstance(duck, int):
        return isinstance(weir, (int, float)) and not isinstance(weir, bool) and weir == duck
    return weir == duck


def test_expressions_give_what_duckdb_gives(tmp_path):
    wanted = expressions()
    assert len(wanted) >= 300
    duck, weir = duck_values(wanted), weir_values(tmp_path, wanted)
    wrong = []
    for name, text, of_duck in wanted:
        bad = [n for n in sorted(duck) if not equal(weir[n].get(name), duck[n][name])]
        if bad:
            row = rows()[bad[0]]
            wrong.append(f"{text}   [{len(bad)} rows] {row}: Weir {weir[bad[0]].get(name)!r}, DuckDB {duck[bad[0]][name]!r}"
                         + (f" by {of_duck}" if of_duck != text else ""))
    assert len(wrong) == 0, f"{len(wrong)} of {len(wanted)} differ:\n" + "\n".join(wrong[:40])


def test_values_are_compared_at_all():
    assert not equal(1, 2) and not equal(None, 0) and not equal("a", "b") and not equal(1, True)
    assert not equal("2024-01-01T00:00:00Z", datetime.datetime(2024, 1, 2)) and not equal(1.0, decimal.Decimal("1.01"))
