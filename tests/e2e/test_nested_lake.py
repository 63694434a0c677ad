"""weir run: STRUCT, ARRAY and MAP columns out of JSON into a Delta table and a directory of Parquet files, read back by three readers."""

import json
import pathlib
import random

import deltalake
import duckdb
import polars

from parquet.nested_values import plain, same
from services.harness import run_weir
from window_oracle import check_ledger

TEXT, BIG, DOUBLE = (("scalar", name) for name in ("TEXT", "BIGINT", "DOUBLE PRECISION"))
USER = ("struct", [("name", TEXT), ("tags", ("array", TEXT)), ("score", ("map", TEXT, DOUBLE))])
ITEMS = ("array", ("struct", [("sku", TEXT), ("counts", ("array", BIG))]))
COLUMNS = [("id", BIG, True), ("buyer", USER, False), ("items", ITEMS, False), ("attrs", ("map", TEXT, TEXT), False)]
SQL = """id BIGINT NOT NULL, buyer STRUCT<name TEXT, tags TEXT[], score MAP<TEXT, DOUBLE PRECISION>>,
  items ARRAY<STRUCT<sku TEXT, counts BIGINT[]>>, attrs MAP<TEXT, TEXT>"""


def row(i):
    """As it is sent and as it comes back, but for fields that are left out."""
    rand = random.Random(i)
    def maybe(v):
        return None if rand.random() < 0.2 else v
    def name():
        return rand.choice(["Ada", "ümlaut 日本", 'q"\\\n', "", "x" * 50])
    buyer = {"name": maybe(name()), "tags": maybe([maybe(name()) for _ in range(rand.randrange(4))]),
             "score": maybe({f"k{k}": maybe(k / 4) for k in range(rand.randrange(3))})}
    items = [maybe({"sku": maybe(name()), "counts": maybe([maybe(rand.randrange(-9, 9)) for _ in range(rand.randrange(3))])})
             for _ in range(rand.randrange(4))]
    return [i, maybe(buyer), maybe(items), maybe({f"a{k}": maybe(name()) for k in range(rand.randrange(3))})]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(dict(zip((name for name, _, _ in COLUMNS), r))) + "\n" for r in rows))


def as_pairs(rows):
    """Maps as nested_values has them."""
    def pairs(kind, v):
        if v is None or kind[0] == "scalar":
            return v
        if kind[0] == "struct":
            return {name: pairs(field, v[name]) for name, field in kind[1]}
        if kind[0] == "array":
            return [pairs(kind[1], item) for item in v]
        return [(key, pairs(kind[2], item)) for key, item in v.items()]
    return [[pairs(kind, v) for (_, kind, _), v in zip(COLUMNS, r)] for r in rows]


def by_id(rows):
    return sorted(rows, key=lambda r: r["id"])


def pipeline(tmp_path, columns=SQL, sinks=None):
    sinks = sinks or f"""
      CREATE SINK lake WITH (connector='delta', path='{tmp_path}/lake', row_group_size='64KiB') AS SELECT * FROM orders;
      CREATE SINK dir WITH (connector='parquet', path='{tmp_path}/dir') AS SELECT * FROM orders;"""
    path = tmp_path / "p.sql"
    path.write_text(f"CREATE SOURCE orders ({columns}) WITH (connector='file', path='{tmp_path}/in*.ndjson', format='json');{sinks}")
    return path


def test_json_into_delta_and_parquet(tmp_path):
    rows = [row(i) for i in range(4000)]
    write_rows(tmp_path / "in1.ndjson", rows[:2000])
    write_rows(tmp_path / "in2.ndjson", rows[2000:])
    result = run_weir("run", pipeline(tmp_path), "--quiet", "--workers", "2", "--bounded", code=0, stats=True)
    ledger = check_ledger(result.stats)
    assert ledger["lake"]["landed"] == ledger["dir"]["landed"] == 4000
    table, files = str(tmp_path / "lake"), f"{tmp_path}/dir/*.parquet"
    run_weir("table", "compact", table, "--all", code=0)
    sent = as_pairs(rows)
    same(COLUMNS, sent, by_id(deltalake.DeltaTable(table).to_pyarrow_table().to_pylist()), "deltalake")
    same(COLUMNS, sent, by_id(polars.scan_delta(table).collect().to_dicts()), "polars")
    same(COLUMNS, sent, by_id(duckdb.connect().sql(f"SELECT * FROM '{files}'").to_arrow_table().to_pylist()), "duckdb")
    same(COLUMNS, sent, by_id(polars.read_parquet(files).to_dicts()), "polars, directory")


def test_fields_that_are_not_sent_are_null_and_the_last_of_equal_keys_counts(tmp_path):
    (tmp_path / "in.ndjson").write_text('{"id": 1, "buyer": {}, "items": [{}], "attrs": {"k": "old", "j": null, "k": "new"}}\n')
    run_weir("run", pipeline(tmp_path), "--quiet", "--bounded", code=0)
    (got,) = deltalake.DeltaTable(tmp_path / "lake").to_pyarrow_table().to_pylist()
    assert got["buyer"] == {"name": None, "tags": None, "score": None} and got["items"] == [{"sku": None, "counts": None}]
    assert plain(COLUMNS[3][1], got["attrs"]) == [("j", None), ("k", "new")]


def test_a_run_with_a_new_field_in_a_struct_evolves_the_table(tmp_path):
    state = tmp_path / "state"
    sink = f"CREATE SINK lake WITH (connector='delta', path='{tmp_path}/lake') AS SELECT * FROM orders;"
    (tmp_path / "in1.ndjson").write_text('{"id": 1, "s": {"a": 1, "b": "x"}}\n')
    run_weir("run", pipeline(tmp_path, "id BIGINT, s STRUCT<a BIGINT>", sink), "--quiet", "--bounded", "--state", state, code=0)
    (tmp_path / "in2.ndjson").write_text('{"id": 2, "s": {"a": 2, "b": "y"}}\n')
    run_weir("run", pipeline(tmp_path, "id BIGINT, s STRUCT<a BIGINT, b TEXT>", sink), "--quiet", "--bounded", "--state", state,
             code=0)
    rows = by_id(deltalake.DeltaTable(tmp_path / "lake").to_pyarrow_table().to_pylist())
    assert [r["s"] for r in rows] == [{"a": 1, "b": None}, {"a": 2, "b": "y"}]


def test_a_nested_column_cannot_name_partitions(tmp_path):
    write_rows(tmp_path / "in.ndjson", [])
    for connector in ("delta", "parquet"):
        sink = f"CREATE SINK lake WITH (connector='{connector}', path='{tmp_path}/lake', partition_by = 'attrs') AS SELECT * FROM orders;"
        result = run_weir("check", pipeline(tmp_path, sinks=sink), code=2)
        assert 'column "attrs" is MAP<TEXT, TEXT>: it cannot name partitions' in result.stderr
        assert "partition_by" in result.stderr and "^" in result.stderr
        assert not pathlib.Path(tmp_path / "lake").exists()
