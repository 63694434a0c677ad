"""weir run into Delta tables: local and on S3, read back with delta-rs, DuckDB and polars, and compared with the rows sent."""

import datetime
import decimal
import json
import pathlib
import signal
import urllib.parse

import deltalake
import duckdb
import polars
import pytest

from services.harness import Weir, run_weir
from window_oracle import check_ledger

COLUMNS = "id BIGINT NOT NULL, name TEXT, amount DOUBLE PRECISION, price NUMERIC(12,2), ok BOOLEAN, day DATE, ts TIMESTAMP, note JSON"
START = datetime.datetime(2024, 1, 31, 23, 59, 58, 1, tzinfo=datetime.UTC)
NAMES = ["a/b c", None, "ümlaut %41=?#", "x" * 40]


def row(i):
    """What is sent, and what is to come back."""
    return {"id": i, "name": NAMES[i % 4], "amount": i / 8, "price": f"{i}.25", "ok": i % 3 == 0 if i % 5 else None,
            "day": f"2024-02-{i % 28 + 1:02}", "ts": (START + datetime.timedelta(seconds=i)).isoformat(), "note": {"i": i}}


def write_rows(path, numbers):
    path.write_text("".join(json.dumps(row(i)) + "\n" for i in numbers))


def pipeline(tmp_path, table, options="", columns=COLUMNS, select="*"):
    sql = tmp_path / "p.sql"
    sql.write_text(f"""
      CREATE SOURCE rows ({columns}) WITH (connector='file', path='{tmp_path}/in*.ndjson', format='json');
      CREATE SINK lake WITH (connector='delta', path='{table}'{options}) AS SELECT {select} FROM rows;""")
    return sql


def storage(s3):
    return {"AWS_ENDPOINT_URL": s3.endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": s3.env()["AWS_ACCESS_KEY_ID"], "AWS_SECRET_ACCESS_KEY": s3.env()["AWS_SECRET_ACCESS_KEY"]}


def expected(numbers):
    rows = []
    for i in numbers:
        r = row(i)
        ts = datetime.datetime.fromisoformat(r["ts"])
        rows.append((i, r["name"], r["amount"], r["price"], r["ok"], r["day"], ts, i))
    return rows


def normal(rows):
    return sorted((r["id"], r["name"], r["amount"], str(r["price"]), r["ok"], str(r["day"]),
                   r["ts"].astimezone(datetime.UTC) if r["ts"].tzinfo else r["ts"].replace(tzinfo=datetime.UTC),
                   json.loads(r["note"])["i"]) for r in rows)


def with_duckdb(delta, folder):
    """Sums over the data files that the log names, partitions from their directories (DuckDB's delta extension is not at hand)."""
    files = [str(pathlib.Path(folder) / urllib.parse.unquote(path))
             for path in delta.get_add_actions(flatten=True).column("path").to_pylist()]
    with duckdb.connect() as connection:
        return connection.execute("""SELECT count(*), sum(id), count(name), sum(amount), sum(price), count(ok)
          FROM read_parquet($files, hive_partitioning = true, union_by_name = true)""", {"files": files}).fetchall()[0]


def check_readers(table, numbers, options=None):
    delta = deltalake.DeltaTable(table, storage_options=options)
    assert normal(delta.to_pyarrow_table().to_pylist()) == expected(numbers)


def check_local_readers(table, numbers):
    check_readers(table, numbers)
    assert normal(polars.read_delta(table).to_dicts()) == expected(numbers)
    sent = [row(i) for i in numbers]
    assert with_duckdb(deltalake.DeltaTable(table), table) == (
        len(sent), sum(r["id"] for r in sent), sum(r["name"] is not None for r in sent), sum(r["amount"] for r in sent),
        sum(decimal.Decimal(r["price"]) for r in sent), sum(r["ok"] is not None for r in sent))


def log(table):
    """The actions of all commits."""
    return [[json.loads(line) for line in path.read_text().splitlines()]
            for path in sorted((pathlib.Path(table) / "_delta_log").glob("*[0-9].json"))]


PARTITIONS = ["", ", partition_by = 'name'", ", partition_by = 'day, name'"]


@pytest.mark.parametrize("partitions", PARTITIONS, ids=["plain", "by_text", "by_date_and_text"])
def test_local(tmp_path, partitions):
    write_rows(tmp_path / "in.ndjson", range(5000))
    table = str(tmp_path / "lake")
    result = run_weir("run", pipeline(tmp_path, table, partitions), "--quiet", "--workers", "2", "--bounded", code=0, stats=True)
    assert check_ledger(result.stats)["lake"]["landed"] == 5000
    check_local_readers(table, range(5000))
    assert list(deltalake.DeltaTable(table).metadata().partition_columns) == {"": [], PARTITIONS[1]: ["name"]}.get(partitions, ["day", "name"])


@pytest.mark.parametrize("partitions", PARTITIONS[:2], ids=["plain", "by_text"])
def test_s3(s3, unique, tmp_path, partitions):
    bucket = unique("delta")
    s3.make_bucket(bucket)
    write_rows(tmp_path / "in.ndjson", range(5000))
    table = f"s3://{bucket}/some/lake"
    result = run_weir("run", pipeline(tmp_path, table, partitions), "--quiet", "--workers", "2", "--bounded", env=s3.env(), code=0, stats=True)
    assert check_ledger(result.stats)["lake"]["landed"] == 5000
    check_readers(table, range(5000), storage(s3))
    assert s3.open_uploads(bucket) == []
    # polars on S3 does not find directories with escaped characters, whoever wrote them; in a copy it does.
    s3.download(bucket, tmp_path / "copy", "some/lake")
    check_local_readers(str(next((tmp_path / "copy").rglob("_delta_log")).parent), range(5000))


def test_statistics_let_readers_skip_files_and_bound_every_value(tmp_path):
    write_rows(tmp_path / "in.ndjson", range(1000))
    table = tmp_path / "lake"
    run_weir("run", pipeline(tmp_path, table), "--quiet", "--bounded", code=0)
    adds = [a["add"] for commit in log(table) for a in commit if "add" in a]
    stats = [json.loads(add["stats"]) for add in adds]
    assert sum(s["numRecords"] for s in stats) == 1000
    assert min(s["minValues"]["id"] for s in stats) == 0 and max(s["maxValues"]["id"] for s in stats) == 999
    assert sum(s["nullCount"]["name"] for s in stats) == 250
    assert all(len(s["maxValues"]["name"]) <= 33 for s in stats)
    for add in adds:
        assert (table / add["path"]).stat().st_size == add["size"]


def test_a_second_run_goes_on_and_one_with_a_new_column_evolves_the_table(tmp_path):
    table = tmp_path / "lake"
    state = tmp_path / "state"
    write_rows(tmp_path / "in1.ndjson", range(100))
    narrow = "id BIGINT NOT NULL, name TEXT"
    run_weir("run", pipeline(tmp_path, table, columns=narrow), "--quiet", "--bounded", "--state", state, code=0)
    write_rows(tmp_path / "in2.ndjson", range(100, 200))
    run_weir("run", pipeline(tmp_path, table, columns=narrow), "--quiet", "--bounded", "--state", state, code=0)
    assert sorted(deltalake.DeltaTable(table).to_pyarrow_table().column("id").to_pylist()) == list(range(200))
    write_rows(tmp_path / "in3.ndjson", range(200, 300))
    run_weir("run", pipeline(tmp_path, table, columns=narrow + ", amount DOUBLE PRECISION"), "--quiet", "--bounded", "--state", state, code=0)
    rows = deltalake.DeltaTable(table).to_pyarrow_table().sort_by("id").to_pylist()
    assert [r["id"] for r in rows] == list(range(300))
    assert [r["amount"] for r in rows] == [None] * 200 + [i / 8 for i in range(200, 300)]
    apps = {a["txn"]["appId"] for commit in log(table) for a in commit if "txn" in a}
    assert len(apps) == 1 and apps.pop().endswith("/lake")
    assert len(polars.read_delta(str(table))) == 300


def test_a_run_that_is_killed_goes_on_without_loss_or_repetition(tmp_path):
    table = tmp_path / "lake"
    state = tmp_path / "state"
    sql = tmp_path / "p.sql"
    sql.write_text(f"""
      CREATE SOURCE rows (id BIGINT, name TEXT) WITH (connector='datagen', rate='5000', rows='20000');
      CREATE SINK lake WITH (connector='delta', path='{table}', commit_interval='100ms') AS SELECT * FROM rows;""")
    for commits in (3, 6, 10):
        with Weir("run", sql, "--quiet", "--state", state) as weir:
            weir.wait_for(lambda n=commits: table.exists() and len(log(table)) > n, "commits")
            weir.kill()
    run_weir("run", sql, "--quiet", "--bounded", "--state", state, code=0)
    rows = deltalake.DeltaTable(table).to_pyarrow_table()
    assert duckdb.sql("SELECT count(*), count(DISTINCT id) FROM rows").fetchall() == [(20000, 20000)]


def test_small_files_are_merged_while_rows_stream_in(tmp_path):
    table = tmp_path / "lake"
    sql = tmp_path / "p.sql"
    sql.write_text(f"""
      CREATE SOURCE rows (id BIGINT, name TEXT) WITH (connector='datagen', rate='20000');
      CREATE SINK lake WITH (connector='delta', path='{table}', commit_interval='50ms', target_file_size='256KiB',
                             checkpoint_interval='20') AS SELECT * FROM rows;""")
    stats = tmp_path / "stats.json"

    def merged():
        return table.exists() and any("remove" in a for commit in log(table) for a in commit) and \
            (table / "_delta_log/_last_checkpoint").exists()

    with Weir("run", sql, "--quiet", "--stats", stats) as weir:
        weir.wait_for(merged, "a merge and a checkpoint", 60)
        weir.signal(signal.SIGTERM)
        assert weir.wait() == 0
    landed = check_ledger(json.loads(stats.read_text()))["lake"]["landed"]
    rows = deltalake.DeltaTable(table).to_pyarrow_table()
    assert duckdb.sql("SELECT count(*), count(DISTINCT id) FROM rows").fetchall() == [(landed, landed)]
    for commit in log(table):
        if any("remove" in a for a in commit):
            assert all(a["remove"]["dataChange"] is False for a in commit if "remove" in a)
            assert all(a["add"]["dataChange"] is False for a in commit if "add" in a)


def refusal(tmp_path, table, options="", **how):
    result = run_weir("run", pipeline(tmp_path, table, options, **how), "--quiet", "--bounded")
    assert result.code == 2, result
    return result.stderr


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path):
    write_rows(tmp_path / "in.ndjson", range(10))
    table = tmp_path / "lake"
    run_weir("run", pipeline(tmp_path, table), "--quiet", "--bounded", code=0)
    before = len(log(table))
    assert "amount" in refusal(tmp_path, table, columns="id BIGINT NOT NULL, amount TEXT")
    assert "partition" in refusal(tmp_path, table, ", partition_by = 'name'")
    assert "no Delta table" in refusal(tmp_path, tmp_path / "nowhere", ", create = 'false'")
    assert not (tmp_path / "nowhere" / "_delta_log").exists()
    stderr = refusal(tmp_path, tmp_path / "types", columns="id BIGINT UNSIGNED")
    assert "id" in stderr and "NUMERIC(20,0)" in stderr
    assert "every column" in refusal(tmp_path, tmp_path / "types", ", partition_by = 'id'", columns="id BIGINT")
    assert len(log(table)) == before


@pytest.mark.parametrize("connector", ["stdout", "blackhole"])
def test_a_sink_that_cannot_take_rows_back_refuses_exactly_once_with_a_caret(tmp_path, connector):
    sql = tmp_path / "p.sql"
    sql.write_text(f"CREATE SOURCE rows (id BIGINT) WITH (connector='datagen', rows='1');\n"
                   f"CREATE SINK out WITH (connector='{connector}',\n  guarantee = 'exactly_once') AS SELECT * FROM rows;\n")
    result = run_weir("check", sql)
    assert result.code == 2 and "cannot take back" in result.stderr, result
    assert ":3:" in result.stderr and "^" in result.stderr, result
