"""Nested columns in Parquet files by make_nested.c: random types and values, read back by pyarrow, DuckDB and Polars, and as lines.

WEIR_MAKE_NESTED names the program; otherwise the newest one of the build directories is taken.
"""

import csv
import datetime
import decimal
import io
import json
import os
import pathlib
import random
import struct
import subprocess

import duckdb
import polars
import pyarrow.parquet
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
TEXTS = ["", "a", "äöü", "日本語 and more than twelve bytes", "quote\" back\\slash\nnewline", "\u0001\t", "😀", "x" * 300,
         "comma, separated", "null"]
KEYS = ["TEXT", "BIGINT", "INTEGER", "DATE", "BOOLEAN"]
SCALARS = KEYS + ["SMALLINT", "DOUBLE PRECISION", "REAL", "BYTEA", "TIMESTAMPTZ", "NUMERIC(9,2)", "NUMERIC(38,10)", "JSON",
                  "INTEGER UNSIGNED", "BIGINT UNSIGNED", "INTERVAL"]


def program():
    named = os.environ.get("WEIR_MAKE_NESTED")
    if named:
        return named
    built = sorted(ROOT.glob("build/*/tests/parquet/make_nested"), key=lambda path: path.stat().st_mtime)
    assert built, "make_nested is not built (tools/build --debug)"
    return str(built[-1])


# --- types: ("scalar", name), ("struct", [(name, type)]), ("array", type), ("map", key, value) ----------


def any_type(rand, depth):
    kind = rand.choice(["scalar", "scalar", "struct", "array", "map"]) if depth > 0 else "scalar"
    if kind == "struct":
        names = rand.sample(["a", "b", "c d", "E", "ü", 'q"q', "key", "list", "element"], rand.randint(1, 4))
        return ("struct", [(name, any_type(rand, depth - 1)) for name in names])
    if kind == "array":
        return ("array", any_type(rand, depth - 1))
    if kind == "map":
        return ("map", ("scalar", rand.choice(KEYS)), any_type(rand, depth - 1))
    return ("scalar", rand.choice(SCALARS))


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
        return __import__("base64").b64decode(v)
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


# --- writing and reading --------------------------------------------------------------------------


def make(path, columns, rows, form="parquet", **options):
    """columns: (name, type, not null)."""
    lines = [json.dumps([[name, sql(kind), required] for name, kind, required in columns])]
    lines += [json.dumps([given(kind, v) for (_, kind, _), v in zip(columns, row)]) for row in rows]
    run = subprocess.run([program(), str(path), form, *(f"{key}={v}" for key, v in options.items())],
                         input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout


def by_pyarrow(path):
    return pyarrow.parquet.read_table(path, page_checksum_verification=True).to_pylist()


def by_duckdb(path):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection.sql(f"SELECT * FROM read_parquet('{path}')").to_arrow_table().to_pylist()


def by_polars(path):
    return polars.read_parquet(path).to_dicts()


READERS = {"pyarrow": by_pyarrow, "duckdb": by_duckdb, "polars": by_polars}


def same(columns, rows, read, what):
    assert len(read) == len(rows), what
    for number, (row, got) in enumerate(zip(rows, read)):
        for (name, kind, _), v in zip(columns, row):
            assert plain(kind, got[name]) == plain(kind, v), f"{what}, row {number}, {name} {sql(kind)}"


def random_file(rand):
    columns = [("id", ("scalar", "BIGINT"), True)]
    for i in range(rand.randint(1, 4)):
        kind = rand.choice([("array", any_type(rand, 3)), ("map", ("scalar", rand.choice(KEYS)), any_type(rand, 3)),
                            ("struct", [("x", any_type(rand, 3)), ("y", any_type(rand, 2))]), any_type(rand, 4)])
        columns.append((f"c{i}", kind, rand.random() < 0.2))
    nulls = rand.choice([0.2, 0.2, 0.9])
    rows = [[i] + [value(rand, kind, 0 if required else nulls) for _, kind, required in columns[1:]]
            for i in range(rand.choice([0, 1, 30, 300]))]
    options = rand.choice([{}, {"page_rows": 7}, {"page_rows": 16, "group_rows": 40}, {"page_bytes": 100, "no_dict": 1},
                           {"plain": 1, "no_dict": 1}, {"plain": 1}, {"batch": 1, "page_rows": 3}, {"batch": 17, "flush": 2},
                           {"group_bytes": 2000, "crc": 1}])
    return columns, rows, options


@pytest.mark.parametrize("seed", range(60))
def test_any_type_and_any_value_are_read_back(tmp_path, seed):
    columns, rows, options = random_file(random.Random(seed))
    path = tmp_path / "file.parquet"
    make(path, columns, rows, **options)
    for name, read in READERS.items():
        same(columns, rows, read(path), f"seed {seed}, {name}")


@pytest.mark.parametrize("seed", range(100, 115))
def test_lines_say_the_same(tmp_path, seed):
    columns, rows, _ = random_file(random.Random(seed))
    columns = [(name, no_json(kind), required) for name, kind, required in columns]
    make(tmp_path / "lines", columns, rows, "json")
    lines = (tmp_path / "lines").read_text().splitlines()
    read = [json.loads(line, parse_float=decimal.Decimal) for line in lines]
    same(columns, rows, [{name: of_json(kind, row[name]) for name, kind, _ in columns} for row in read], f"seed {seed}")


def test_cells_of_csv_hold_json(tmp_path):
    columns = [("id", ("scalar", "BIGINT"), True), ("l", ("array", ("scalar", "TEXT")), False),
               ("s", ("struct", [("a", ("scalar", "BIGINT")), ("b", ("map", ("scalar", "TEXT"), ("scalar", "DATE")))]), False)]
    rows = [[1, ['q"uote', "comma,", "line\n", None], {"a": 1, "b": [("k", datetime.date(2024, 1, 2))]}], [2, None, None], [3, [], None]]
    make(tmp_path / "lines", columns, rows, "csv")
    read = list(csv.reader(io.StringIO((tmp_path / "lines").read_text())))
    assert [row[0] for row in read] == ["1", "2", "3"] and read[1][1:] == ["", ""]
    assert json.loads(read[0][1]) == ['q"uote', "comma,", "line\n", None] and read[2][1] == "[]"
    assert json.loads(read[0][2]) == {"a": 1, "b": {"k": "2024-01-02"}}


# --- what is in a file ----------------------------------------------------------------------------

LISTS = [("id", ("scalar", "BIGINT"), True), ("l", ("array", ("scalar", "BIGINT")), False),
         ("s", ("struct", [("t", ("scalar", "TEXT")), ("m", ("map", ("scalar", "TEXT"), ("scalar", "BIGINT")))]), False)]


def leaves(path, group=0):
    part = pyarrow.parquet.ParquetFile(path).metadata.row_group(group)
    return {part.column(i).path_in_schema: part.column(i) for i in range(part.num_columns)}


def test_levels_statistics_and_indexes_per_leaf(tmp_path):
    path = tmp_path / "file.parquet"
    make(path, LISTS, [[1, [3, 1], {"t": "b", "m": [("k", 5)]}], [2, [], None], [3, None, {"t": None, "m": []}],
                       [4, [None, 2], {"t": "a", "m": [("j", None), ("k", 7)]}]])
    found = leaves(path)
    assert {name: c.num_values for name, c in found.items()} == {
        "id": 4, "l.list.element": 6, "s.t": 4, "s.m.key_value.key": 5, "s.m.key_value.value": 5}
    ranges = {name: (c.statistics.min, c.statistics.max, c.statistics.null_count) for name, c in found.items()}
    assert ranges == {"id": (1, 4, 0), "l.list.element": (1, 3, 3), "s.t": ("a", "b", 2), "s.m.key_value.key": ("j", "k", 2),
                      "s.m.key_value.value": (5, 7, 3)}
    assert all(c.has_column_index and c.has_offset_index and c.compression == "ZSTD" for c in found.values())


def test_field_ids_are_those_of_a_new_iceberg_table(tmp_path):
    path = tmp_path / "file.parquet"
    make(path, LISTS, [])
    def ids(field):
        own = [int((field.metadata or {}).get(b"PARQUET:field_id", b"-1"))]
        kind = field.type
        inner = [kind.key_field, kind.item_field] if pyarrow.types.is_map(kind) else [
            kind.field(i) for i in range(kind.num_fields)]
        return own + [number for child in inner for number in ids(child)]
    schema = pyarrow.parquet.read_schema(path)
    assert [ids(field) for field in schema] == [[1], [2, 4], [3, 5, 6, 7, 8]]


def test_encodings_serve_leaves_as_they_serve_columns(tmp_path):
    path = tmp_path / "file.parquet"
    make(path, LISTS, [[i, list(range(i, i + 10)), {"t": ["x", "y"][i % 2], "m": []}] for i in range(3000)])
    found = leaves(path)
    assert "DELTA_BINARY_PACKED" in found["l.list.element"].encodings
    assert "RLE_DICTIONARY" in found["s.t"].encodings
    assert found["l.list.element"].num_values == 30000


def test_row_groups_and_pages_are_limited_by_levels(tmp_path):
    path = tmp_path / "file.parquet"
    rows = [[i, list(range(50)), None] for i in range(400)]
    make(path, LISTS, rows, group_rows=5000, page_rows=500, batch=20)
    metadata = pyarrow.parquet.ParquetFile(path).metadata
    assert [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)] == [100] * 4
    same(LISTS, rows, by_pyarrow(path), "pyarrow")


def test_a_row_of_millions_of_values_needs_no_more_than_its_pages(tmp_path):
    path = tmp_path / "file.parquet"
    kind = ("array", ("struct", [("a", ("scalar", "BOOLEAN")), ("b", ("struct", [(n, ("scalar", "TEXT")) for n in "abcdefgh"]))]))
    big = [None] * 500000
    told = make(path, [("id", ("scalar", "BIGINT"), True), ("l", kind, False)], [[1, [None]], [2, big], [3, [{"a": True, "b": None}]]])
    assert int(told.split()[4]) < 4 << 20, told
    read = pyarrow.parquet.read_table(path).column("l")
    assert [len(cell) for cell in read] == [1, 500000, 1]
    assert read[2].as_py() == [{"a": True, "b": None}] and read[1].values.null_count == 500000


def test_a_nested_column_can_be_left_out(tmp_path):
    path = tmp_path / "file.parquet"
    make(path, LISTS, [[1, [1], {"t": "x", "m": []}]], skip=1)
    assert by_pyarrow(path) == [{"id": 1, "s": {"t": "x", "m": []}}]
    make(path, LISTS, [[1, [1], {"t": "x", "m": []}]], skip=2)
    assert by_duckdb(path) == [{"id": 1, "l": [1]}]


def test_not_null_columns_of_nested_types(tmp_path):
    columns = [("s", ("struct", [("a", ("scalar", "BIGINT"))]), True)]
    make(tmp_path / "file.parquet", columns, [[{"a": None}], [{"a": 1}]])
    assert by_polars(tmp_path / "file.parquet") == [{"s": {"a": None}}, {"s": {"a": 1}}]
    line = json.dumps([["s", "STRUCT<a BIGINT>", True]]) + "\n[[1]]\n[null]\n"
    run = subprocess.run([program(), str(tmp_path / "bad"), "parquet"], input=line, capture_output=True, text=True)
    assert run.returncode == 1 and 'column "s" is NOT NULL' in run.stderr
