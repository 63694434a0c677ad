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
import subprocess

import duckdb
import polars
import pyarrow.parquet
import pytest

from parquet.nested_values import given, no_json, of_json, random_columns, random_rows, same, sql

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def program():
    named = os.environ.get("WEIR_MAKE_NESTED")
    if named:
        return named
    built = sorted(ROOT.glob("build/*/tests/parquet/make_nested"), key=lambda path: path.stat().st_mtime)
    assert built, "make_nested is not built (tools/build --debug)"
    return str(built[-1])


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


def random_file(rand):
    columns = random_columns(rand)
    rows = random_rows(rand, columns, rand.choice([0, 1, 30, 300]))
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


def test_types_as_deep_as_they_may_be(tmp_path):
    kind, deep = ("scalar", "BIGINT"), [1, None]
    for level in range(15):
        kind, deep = (("struct", [("f", kind)]), {"f": deep}) if level % 3 == 1 else (("array", kind), [deep, None] if level else deep)
    columns = [("id", ("scalar", "BIGINT"), True), ("d", kind, False)]
    rows = [[1, deep], [2, None]]
    make(tmp_path / "file.parquet", columns, rows)
    for name, read in READERS.items():
        same(columns, rows, read(tmp_path / "file.parquet"), name)


@pytest.mark.parametrize("options", [{}, {"no_dict": 1}, {"plain": 1, "no_dict": 1}], ids=str)
def test_large_values_in_lists_and_maps(tmp_path, options):
    columns = [("l", ("array", ("scalar", "TEXT")), False), ("m", ("map", ("scalar", "TEXT"), ("scalar", "BYTEA")), False)]
    big = "ü" * 1500000
    rows = [[["a", big, None], [("k", big.encode())]], [[], None], [[big, "b" * 300000], [(big, b""), ("j", None)]]]
    make(tmp_path / "file.parquet", columns, rows, **options)
    for name, read in READERS.items():
        same(columns, rows, read(tmp_path / "file.parquet"), name)
