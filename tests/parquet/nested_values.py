"""Random types of any depth and values of them, for the tests of what stores them."""

import base64
import datetime
import decimal
import random
import struct

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
TEXTS = ["", "a", "äöü", "日本語 and more than twelve bytes", "quote\" back\\slash\nnewline", "\u0001\t", "😀", "x" * 300,
         "comma, separated", "null"]
KEYS = ["TEXT", "BIGINT", "INTEGER", "DATE", "BOOLEAN"]
SIGNED = KEYS + ["SMALLINT", "DOUBLE PRECISION", "REAL", "BYTEA", "TIMESTAMPTZ", "NUMERIC(9,2)", "NUMERIC(38,10)", "JSON",
                 "INTERVAL"]
SCALARS = SIGNED + ["INTEGER UNSIGNED", "BIGINT UNSIGNED"]
NAMES = ["a", "b", "c d", "E", "ü", 'q"q', "key", "list", "element"]


# --- types: ("scalar", name), ("struct", [(name, type)]), ("array", type), ("map", key, value) ----------


def any_type(rand, depth, scalars=SCALARS, names=NAMES):
    kind = rand.choice(["scalar", "scalar", "struct", "array", "map"]) if depth > 0 else "scalar"
    if kind == "struct":
        return ("struct", [(name, any_type(rand, depth - 1, scalars, names))
                           for name in rand.sample(names, rand.randint(1, 4))])
    if kind == "array":
        return ("array", any_type(rand, depth - 1, scalars, names))
    if kind == "map":
        return ("map", ("scalar", rand.choice(KEYS)), any_type(rand, depth - 1, scalars, names))
    return ("scalar", rand.choice(scalars))


def sql(kind):
    if kind[0] == "struct":
        return "STRUCT<" + ", ".join('"%s" %s' % (n.replace('"', '""'), sql(t)) for n, t in kind[1]) + ">"
    if kind[0] == "array":
        return sql(kind[1]) + "[]"
    if kind[0] == "map":
        return f"MAP<{sql(kind[1])}, {sql(kind[2])}>"
    return kind[1]


# --- values, as readers give them -----------------------------------------------------------------


def scalar(rand, name):
    if name == "BOOLEAN":
        return rand.random() < 0.5
    if name == "TEXT":
        return rand.choice(TEXTS)
    if name == "BYTEA":
        return rand.randbytes(rand.choice([0, 1, 12, 13, 40]))
    if name == "DATE":
        return datetime.date(1970, 1, 1) + datetime.timedelta(days=rand.randint(-30000, 60000))
    if name == "TIMESTAMPTZ":
        return EPOCH + datetime.timedelta(microseconds=rand.randint(-10 ** 15, 4 * 10 ** 15))
    if name == "DOUBLE PRECISION":
        return rand.choice([0.0, -0.1, 1e300, float("inf"), rand.random()])
    if name == "REAL":
        return struct.unpack("<f", struct.pack("<f", rand.uniform(-1e6, 1e6)))[0]
    if name.startswith("NUMERIC"):
        precision, scale = (int(part) for part in name[8:-1].split(","))
        with decimal.localcontext(prec=50):
            return decimal.Decimal(rand.randint(-10 ** precision + 1, 10 ** precision - 1)).scaleb(-scale)
    if name == "JSON":
        return rand.choice(['{"a": [1, 2]}', "[]", "null", '"t"'])
    if name == "INTERVAL":
        return rand.choice(["1 day 02:03:04", "-1 mons +3 days 00:00:00.000001"])
    low, high = {"SMALLINT": (-2 ** 15, 2 ** 15), "INTEGER": (-2 ** 31, 2 ** 31), "BIGINT": (-2 ** 63, 2 ** 63),
                 "INTEGER UNSIGNED": (0, 2 ** 32), "BIGINT UNSIGNED": (0, 2 ** 64)}[name]
    return rand.choice([low, high - 1, rand.randrange(low, high), rand.randrange(5)])


def value(rand, kind, nulls=0.2):
    if rand.random() < nulls:
        return None
    if kind[0] == "struct":
        return {name: value(rand, field) for name, field in kind[1]}
    count = rand.choice([0, 0, 1, 2, 3, 5])
    if kind[0] == "array":
        return [value(rand, kind[1]) for _ in range(count)]
    if kind[0] == "map":
        keys = dict.fromkeys(scalar(rand, kind[1][1]) for _ in range(count))
        return [(key, value(rand, kind[2])) for key in keys]
    return scalar(rand, kind[1])


def text(name, v):
    """SQL's text of a scalar."""
    if isinstance(v, bytes):
        return "\\x" + v.hex()
    if isinstance(v, datetime.datetime):
        return v.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(v, float):
        return repr(v)
    return str(v).lower() if isinstance(v, bool) else str(v)


def given(kind, v):
    """What nested_json.h takes."""
    if v is None:
        return None
    if kind[0] == "struct":
        return [given(field, v[name]) for name, field in kind[1]]
    if kind[0] == "array":
        return [given(kind[1], item) for item in v]
    if kind[0] == "map":
        return [[given(kind[1], key), given(kind[2], item)] for key, item in v]
    return text(kind[1], v)


def plain(kind, v):
    """The same whatever reader it comes from: maps as sorted pairs, dicts in the type's order."""
    if v is None:
        return None
    if kind[0] == "struct":
        assert set(v) == {name for name, _ in kind[1]}
        return [plain(field, v[name]) for name, field in kind[1]]
    if kind[0] == "array":
        return [plain(kind[1], item) for item in v]
    if kind[0] == "map":
        pairs = v.items() if isinstance(v, dict) else [p.values() if isinstance(p, dict) else p for p in v]
        made = [(plain(kind[1], key), plain(kind[2], item)) for key, item in (tuple(p) for p in pairs)]
        return sorted(made, key=lambda pair: repr(pair[0]))
    if isinstance(v, datetime.datetime):
        return v.astimezone(UTC)
    if kind[1] == "JSON" and isinstance(v, bytes):
        return v.decode()  # Polars, of JSON inside of groups
    return v


def of_json(kind, v):
    """What a JSON line says, as readers would give it."""
    if v is None:
        return None
    if kind[0] == "struct":
        return {name: of_json(field, v[name]) for name, field in kind[1]}
    if kind[0] == "array":
        return [of_json(kind[1], item) for item in v]
    if kind[0] == "map":
        return [(of_key(kind[1][1], key), of_json(kind[2], item)) for key, item in v.items()]
    return of_scalar(kind[1], v)


def of_key(name, v):
    return v == "true" if name == "BOOLEAN" else int(v) if name in ("BIGINT", "INTEGER") else of_scalar(name, v)


def of_scalar(name, v):
    if name == "DATE":
        return datetime.date.fromisoformat(v)
    if name == "TIMESTAMPTZ":
        return datetime.datetime.fromisoformat(v.replace("Z", "+00:00"))
    if name.startswith("NUMERIC"):
        return decimal.Decimal(v)
    if name == "BYTEA":
        return base64.b64decode(v)
    if name in ("DOUBLE PRECISION", "REAL"):
        v = float(v)
        return v if name == "DOUBLE PRECISION" else struct.unpack("<f", struct.pack("<f", v))[0]
    return v


def no_json(kind):
    """The type without JSON columns: their text lies in a line as it is, not as a text."""
    if kind[0] == "struct":
        return ("struct", [(name, no_json(field)) for name, field in kind[1]])
    if kind[0] in ("array", "map"):
        return (kind[0], *(no_json(part) for part in kind[1:]))
    return ("scalar", "TEXT") if kind[1] == "JSON" else kind


def random_columns(rand, scalars=SCALARS, names=NAMES):
    """(name, type, not null), the first one an id."""
    columns = [("id", ("scalar", "BIGINT"), True)]
    for i in range(rand.randint(1, 4)):
        def inner(depth):
            return any_type(rand, depth, scalars, names)
        kind = rand.choice([("array", inner(3)), ("map", ("scalar", rand.choice(KEYS)), inner(3)),
                            ("struct", [("x", inner(3)), ("y", inner(2))]), inner(4)])
        columns.append((f"c{i}", kind, rand.random() < 0.2))
    return columns


def random_rows(rand, columns, count, first=0):
    nulls = rand.choice([0.2, 0.2, 0.9])
    return [[first + i] + [value(rand, kind, 0 if required else nulls) for _, kind, required in columns[1:]]
            for i in range(count)]


def same(columns, rows, read, what):
    assert len(read) == len(rows), what
    for number, (row, got) in enumerate(zip(rows, read)):
        for (name, kind, _), v in zip(columns, row):
            assert plain(kind, got[name]) == plain(kind, v), f"{what}, row {number}, {name} {sql(kind)}"
