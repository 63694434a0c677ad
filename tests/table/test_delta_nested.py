"""Delta tables with STRUCT, ARRAY and MAP columns: what others read of ours, what we do with theirs."""

import json
import random

import pyarrow
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake

from parquet.nested_values import SIGNED, given, random_columns, random_rows, same, sql
from table.bed import NULL, READERS, Driver, Failed, by_deltalake, by_polars, commit, reader  # noqa: F401

ORDER = "STRUCT<a BIGINT, b TEXT[], m MAP<TEXT, STRUCT<x DOUBLE PRECISION, d DATE>>>"
COLUMNS = f"id|BIGINT!;s|{ORDER};l|BIGINT[]"
ROWS = [[1, [5, ["x", None], [["k", [1.5, "2024-01-02"]], ["n", None]]], [3, 1]],
        [2, None, []], [3, [None, None, None], None], [4, [-7, [], []], [None, 2]]]
READ = [{"a": 5, "b": ["x", None]}, None, {"a": None, "b": None}, {"a": -7, "b": []}]


def lines(rows):
    """Cells of the driver's rows."""
    return [[NULL if v is None else json.dumps(v) if isinstance(v, list) else v for v in row] for row in rows]


def stats_of(path, version):
    return json.loads(dict(commit(path, version))["add"]["stats"])


def in_order(path, read):
    return sorted(READERS[read](path), key=lambda row: row["id"])


def check(rows):
    assert [row["id"] for row in rows] == [1, 2, 3, 4]
    assert [row["l"] for row in rows] == [[3, 1], [], None, [None, 2]]
    assert [s and {"a": s["a"], "b": s["b"]} for s in (row["s"] for row in rows)] == READ
    maps = [row["s"] and row["s"]["m"] for row in rows]
    assert dict(maps[0])["k"]["x"] == 1.5 and str(dict(maps[0])["k"]["d"]) == "2024-01-02" and dict(maps[0])["n"] is None
    assert maps[1:] == [None, None, maps[3]] and len(maps[3]) == 0


def test_every_reader_reads_nested_columns(tmp_path, reader):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open(COLUMNS)
        for row in lines(ROWS):
            driver.rows([row])
        driver.append("u/lake", 1)
    check(in_order(tmp_path / "t", reader))


def test_the_log_says_what_the_protocol_asks(tmp_path):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open(COLUMNS)
        driver.rows(lines(ROWS))
        driver.append("u/lake", 1)
    fields = json.loads(dict(commit(tmp_path / "t", 0))["metaData"]["schemaString"])["fields"]
    def field(name, kind, nullable=True):
        return {"name": name, "type": kind, "nullable": nullable, "metadata": {}}
    entry = {"type": "struct", "fields": [field("x", "double"), field("d", "date")]}
    assert fields == [field("id", "long", False), field("s", {"type": "struct", "fields": [
        field("a", "long"), field("b", {"type": "array", "elementType": "string", "containsNull": True}),
        field("m", {"type": "map", "keyType": "string", "valueType": entry, "valueContainsNull": True})]}),
        field("l", {"type": "array", "elementType": "long", "containsNull": True})]
    assert stats_of(tmp_path / "t", 1) == {
        "numRecords": 4, "minValues": {"id": 1, "s": {"a": -7}}, "maxValues": {"id": 4, "s": {"a": 5}},
        "nullCount": {"id": 0, "s": {"a": 2}}}


def test_files_are_skipped_by_nested_statistics(tmp_path):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("id|BIGINT;s|STRUCT<a BIGINT, t TEXT>")
        for i in range(5):
            driver.rows([[i, json.dumps([i * 10, "x" * i])]])
        driver.append("u/lake", 1)
    # kernels prune by these objects: an answer that lacks a row would show a bound that is wrong
    found = QueryBuilder().register("t", DeltaTable(str(tmp_path / "t"))).execute("SELECT id FROM t WHERE s['a'] = 30").read_all()
    assert pyarrow.table(found).to_pydict() == {"id": [3]}


def test_pages_of_lists_are_found_by_the_offset_index(tmp_path):
    """DataFusion skips pages of the filter's column and takes the same rows out of those of the others."""
    count = 1000
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("name|TEXT;l|BIGINT[];s|STRUCT<t TEXT, m MAP<TEXT, BIGINT>>")
        driver.rows([[f"{i:05}" + "%x" % (i * 7919) * 250, json.dumps([i] * (i % 101)),
                      json.dumps([f"{i * 31}", [[f"k{k}", i] for k in range(i % 37)]])] for i in range(count)])
        driver.append("u/lake", 1)
    table = DeltaTable(str(tmp_path / "t"))
    for i in (0, 1, 333, 334, 700, 998, 999):
        query = f"SELECT l, s FROM t WHERE name >= '{i:05}' AND name < '{i + 1:05}'"
        (row,) = pyarrow.table(QueryBuilder().register("t", table).execute(query).read_all()).to_pylist()
        assert row["l"] == [i] * (i % 101) and row["s"]["t"] == str(i * 31)
        assert dict(row["s"]["m"]) == {f"k{k}": i for k in range(i % 37)}


# --- fields added inside of structs ------------------------------------------------------------------


def test_a_field_added_inside_of_a_struct_evolves_the_table(tmp_path, reader):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("id|BIGINT;s|STRUCT<a BIGINT>")
        driver.rows([[1, "[5]"]])
        driver.append("u/lake", 1)
        with pytest.raises(Failed, match='the table has no column "s.b"'):
            driver.open("id|BIGINT;s|STRUCT<a BIGINT, b TEXT>")
        driver.open("id|BIGINT;s|STRUCT<a BIGINT, b TEXT>", flags="e")
        driver.rows([[2, '[6, "x"]']])
        driver.append("u/lake", 2)
    rows = in_order(tmp_path / "t", reader)
    assert [row["s"] for row in rows] == [{"a": 5, "b": None}, {"a": 6, "b": "x"}]
    fields = json.loads(dict(commit(tmp_path / "t", 2))["metaData"]["schemaString"])["fields"]
    assert [f["name"] for f in fields[1]["type"]["fields"]] == ["a", "b"]


def test_fields_are_added_inside_of_lists_and_maps_too(tmp_path):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("id|BIGINT;l|STRUCT<a BIGINT>[];m|MAP<TEXT, STRUCT<a BIGINT>>")
        driver.open("id|BIGINT;l|STRUCT<a BIGINT, b BIGINT>[];m|MAP<TEXT, STRUCT<a BIGINT, c DATE>>;n|TEXT[]", flags="e")
        driver.rows([[1, "[[1, 2]]", '[["k", [1, "2024-01-02"]]]', '["x"]']])
        driver.append("u/lake", 1)
    (row,) = by_deltalake(tmp_path / "t")
    assert row["l"] == [{"a": 1, "b": 2}] and row["n"] == ["x"] and str(dict(row["m"])["k"]["c"]) == "2024-01-02"


def test_a_table_with_more_fields_than_ours_is_written(tmp_path):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("id|BIGINT;s|STRUCT<a BIGINT, b TEXT>")
        driver.open("id|BIGINT;s|STRUCT<b TEXT>")
        driver.rows([[1, '["x"]']])
        driver.append("u/lake", 1)
    assert [row["s"] for row in by_deltalake(tmp_path / "t")] == [{"a": None, "b": "x"}]


# --- refusals, by path ---------------------------------------------------------------------------------

REFUSED = {
    "s|STRUCT<a TEXT, b STRUCT<c BIGINT>>": 'column "s.a" is long in the table, but string (TEXT) in the query',
    "s|STRUCT<a BIGINT, b STRUCT<c DOUBLE PRECISION>>": 'column "s.b.c" is long in the table, but double',
    "s|STRUCT<a BIGINT, b TEXT[]>": 'column "s.b" is struct in the table, but array (TEXT[]) in the query',
    "s|BIGINT": 'column "s" is struct in the table, but long (BIGINT) in the query',
    "s|STRUCT<A BIGINT>": 'the table spells the column "a", the query "s.A"',
    "l|TEXT": 'column "l" is array in the table, but string',
    "l|TEXT[][]": 'column "l.element" is string in the table, but array',
    "m|MAP<BIGINT, BIGINT>": 'column "m.key" is string in the table, but long',
    "m|MAP<TEXT, TEXT>": 'column "m.value" is long in the table, but string',
    "u|STRUCT<x SMALLINT UNSIGNED>": 'column "u.x" is SMALLINT UNSIGNED, and Delta tables have no such type',
    'u|STRUCT<"x y" BIGINT>': 'column "u.x y": Delta tables allow no spaces',
    "u|STRUCT<x BIGINT, X BIGINT>": 'column "u": its fields "x" and "X" are the same name to Delta',
}


@pytest.mark.parametrize("columns", REFUSED, ids=lambda c: c)
def test_what_does_not_fit_is_named_by_its_path(tmp_path, columns):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("s|STRUCT<a BIGINT, b STRUCT<c BIGINT>>;l|TEXT[];m|MAP<TEXT, BIGINT>")
        with pytest.raises(Failed) as failed:
            driver.open(columns, flags="e")
    assert REFUSED[columns] in str(failed.value) and failed.value.hint.strip() == failed.value.hint


def test_partition_columns_are_not_nested(tmp_path):
    with Driver(tmp_path / "t", tmp_path) as driver:
        with pytest.raises(Failed, match=r'column "l" is TEXT\[\]: it cannot name partitions'):
            driver.open("id|BIGINT;l|TEXT[]", "l")


def test_not_null_inside_of_their_table_is_refused(tmp_path):
    kind = pyarrow.struct([pyarrow.field("a", pyarrow.int64(), nullable=False)])
    write_deltalake(str(tmp_path / "t"), pyarrow.table({"s": pyarrow.array([{"a": 1}], kind)}))
    with Driver(tmp_path / "t", tmp_path) as driver:
        with pytest.raises(Failed, match='column "s.a" is NOT NULL in the table'):
            driver.open("s|STRUCT<a BIGINT>")
        with pytest.raises(Failed, match='column "s.a" of the table is NOT NULL, and the query has none'):
            driver.open("s|STRUCT<b BIGINT>", flags="e")


# --- upkeep ---------------------------------------------------------------------------------------------


def test_files_are_merged_and_keep_their_statistics(tmp_path, reader):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open(COLUMNS)
        for epoch, row in enumerate(lines(ROWS)):
            driver.rows([row])
            driver.append("u/lake", epoch + 1)
        assert driver.compact_all() == (4, 1)
        driver.ask("checkpoint", 0)
    assert stats_of(tmp_path / "t", 5) == {
        "numRecords": 4, "minValues": {"id": 1, "s": {"a": -7}}, "maxValues": {"id": 4, "s": {"a": 5}},
        "nullCount": {"id": 0, "s": {"a": 2}}}
    check(in_order(tmp_path / "t", reader))


def test_checkpoints_go_both_ways(tmp_path):
    path = tmp_path / "t"
    kind = pyarrow.struct([("a", pyarrow.int64()), ("b", pyarrow.list_(pyarrow.string())),
                           ("m", pyarrow.map_(pyarrow.string(), pyarrow.struct([("x", pyarrow.float64()), ("d", pyarrow.date32())])))])
    schema = pyarrow.schema([("id", pyarrow.int64()), ("s", kind), ("l", pyarrow.list_(pyarrow.int64()))])
    write_deltalake(str(path), pyarrow.table({"id": [0], "s": [{"a": 1, "b": ["y"], "m": [("k", {"x": 0.5, "d": None})]}], "l": [[9]]},
                                             schema))
    DeltaTable(str(path)).create_checkpoint()
    (path / "_delta_log" / f"{0:020}.json").unlink()
    with Driver(path, tmp_path) as driver:
        driver.open(COLUMNS.replace("!", ""))
        driver.rows(lines(ROWS))
        driver.append("u/lake", 1)
        driver.ask("checkpoint", 0)
        assert driver.compact_all()[1] <= 1  # theirs and ours have different footers
    (path / "_delta_log" / f"{1:020}.json").unlink()
    rows = sorted(by_deltalake(path), key=lambda row: row["id"])
    assert rows[0]["l"] == [9] and rows[0]["s"]["b"] == ["y"]
    check(rows[1:])


@pytest.mark.parametrize("seed", range(12))
def test_any_type_and_any_value_are_read_back(tmp_path, seed):
    rand = random.Random(seed)
    columns = random_columns(rand, scalars=SIGNED, names=["a", "b", "c-d", "E", "ü", "key", "list", "element"])
    columns = [column for column in columns if column[0] == "id" or column[1][0] != "scalar"]
    parts = [random_rows(rand, columns, count, first) for first, count in ((0, 30), (30, 1), (31, 50))]
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open(";".join(f"{name}|{sql(kind)}{'!' if required else ''}" for name, kind, required in columns))
        for epoch, rows in enumerate(parts):
            driver.rows(lines([[given(kind, v) for (_, kind, _), v in zip(columns, row)] for row in rows]))
            driver.append("u/lake", epoch + 1)
        if seed % 2:
            assert driver.compact_all() == (3, 1)
            driver.ask("checkpoint", 0)
    for name in ("deltalake", "polars", "duckdb") if seed % 4 == 0 else ("deltalake", "polars"):
        same(columns, sum(parts, []), in_order(tmp_path / "t", name), f"seed {seed}, {name}")
