"""What a user does with files, generators, Parquet directories, dead letters and signals."""

import base64
import gzip
import json
import signal
import time
import urllib.error
import urllib.request

import duckdb
import pytest

from services.harness import Weir, free_port, run_weir
from window_oracle import check_ledger

CLICKS = "id BIGINT NOT NULL, name TEXT, amount DOUBLE PRECISION, ts TIMESTAMP"


def pipeline(tmp_path, text):
    path = tmp_path / "p.sql"
    path.write_text(text.replace("{dir}", str(tmp_path)))
    return path


def ndjson(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_bad_records_become_dead_letters_with_all_that_is_known(tmp_path):
    lines = [
        b'{"id":1,"name":"a","amount":1.5,"ts":1700000000000}',
        b'{"id":2,"name":"b"',
        b'{"id":"x","name":"c"}',
        b'{"name":"no id"}',
        b'{"id":5,"name":"\xff\xfe"}',
        b'not json',
        b'{"id":7,"name":"z","amount":7,"ts":"2023-11-14T22:13:21Z"}',
    ]
    (tmp_path / "in.ndjson").write_bytes(b"\n".join(lines) + b"\n")
    sql = pipeline(tmp_path, f"""
      CREATE SOURCE clicks ({CLICKS}) WITH (connector='file', path='{{dir}}/in.ndjson', format='json', on_error='bad');
      CREATE SINK good WITH (connector='file', path='{{dir}}/good.ndjson') AS SELECT * FROM clicks;
      CREATE SINK bad WITH (connector='file', path='{{dir}}/bad.ndjson');""")
    result = run_weir("run", sql, "--quiet", code=0, stats=True)
    sums = check_ledger(result.stats)
    assert sums["good"]["read"] == 7 and sums["good"]["landed"] == 2 and sums["good"]["dead_lettered"] == 5
    assert [r["id"] for r in ndjson(tmp_path / "good.ndjson")] == [1, 7]
    bad = ndjson(tmp_path / "bad.ndjson")
    assert len(bad) == 5
    offset = 0
    by_position = {r["_position"]: r for r in bad}
    for index, line in enumerate(lines):
        if 0 < index < 6:
            row = by_position[offset]
            raw = base64.b64decode(row["_value"]) if row["_encoding"] == "base64" else row["_value"].encode()
            assert raw == line
            assert row["_source"] == "clicks" and row["_split"].endswith("in.ndjson") and row["_error"]
        offset += len(line) + 1
    assert by_position[sum(len(line) + 1 for line in lines[:2])]["_field"] == "id"


def test_a_row_error_is_dead_lettered_not_a_crash(tmp_path):
    (tmp_path / "in.ndjson").write_text("\n".join(json.dumps({"id": i, "amount": 1}) for i in range(5)) + "\n")
    sql = pipeline(tmp_path, f"""
      CREATE SOURCE clicks ({CLICKS}) WITH (connector='file', path='{{dir}}/in.ndjson', format='json', on_error='bad');
      CREATE SINK good WITH (connector='file', path='{{dir}}/good.ndjson') AS SELECT id, 10 / (id - 2) AS q FROM clicks WHERE id <> 4;
      CREATE SINK bad WITH (connector='file', path='{{dir}}/bad.ndjson');""")
    sums = check_ledger(run_weir("run", sql, "--quiet", code=0, stats=True).stats)
    assert {r["id"]: r["q"] for r in ndjson(tmp_path / "good.ndjson")} == {0: -5, 1: -10, 3: 10}
    (bad,) = ndjson(tmp_path / "bad.ndjson")
    assert "division by zero" in bad["_error"] and json.loads(bad["_value"])["id"] == 2
    good = sums["good"]
    assert (good["landed"], good["filtered"], good["dead_lettered"]) == (3, 1, 1)


def test_on_error_fail_stops_with_exit_1_and_names_the_record(tmp_path):
    (tmp_path / "in.ndjson").write_text('{"id":1}\nbroken\n')
    sql = pipeline(tmp_path, f"""
      CREATE SOURCE clicks ({CLICKS}) WITH (connector='file', path='{{dir}}/in.ndjson', format='json', on_error='fail');
      CREATE SINK good WITH (connector='blackhole') AS SELECT * FROM clicks;""")
    result = run_weir("run", sql, "--quiet", code=1)
    assert "in.ndjson" in result.stderr and "position 9" in result.stderr and "hint:" in result.stderr


@pytest.mark.parametrize("pack", ["plain", "gzip", "zstd"])
def test_files_to_partitioned_parquet(tmp_path, pack):
    import pyarrow as pa
    names = ["DE", "FR", "a b/c=d", "", None]
    folder = tmp_path / "in"
    folder.mkdir()
    for f in range(3):
        text = "".join(json.dumps({"id": f * 1000 + i, "name": names[i % 5], "amount": i / 4, "ts": 1700000000000 + i}) + "\n"
                       for i in range(1000)).encode()
        if pack == "gzip":
            text = gzip.compress(text)
        elif pack == "zstd":
            text = pa.Codec("zstd").compress(text, asbytes=True)
        (folder / f"{f}.ndjson").write_bytes(text)
    sql = pipeline(tmp_path, f"""
      CREATE SOURCE clicks ({CLICKS}) WITH (connector='file', path='{{dir}}/in/*', format='json');
      CREATE SINK lake WITH (connector='parquet', path='{{dir}}/lake', partition_by='name, date(ts) AS day') AS SELECT * FROM clicks;""")
    sums = check_ledger(run_weir("run", sql, "--quiet", "--workers", "2", code=0, stats=True).stats)
    assert sums["lake"]["landed"] == 3000
    found = duckdb.sql(f"""SELECT name, count(*), sum(id), sum(amount), min(day)::TEXT
        FROM read_parquet('{tmp_path}/lake/**/*.parquet', hive_partitioning = true) GROUP BY name""").fetchall()
    assert {r[0]: r[1] for r in found} in ({n: 600 for n in names}, {n or None: 1200 if not n else 600 for n in names})
    assert sum(r[2] for r in found) == sum(f * 1000 + i for f in range(3) for i in range(1000))
    assert {r[4] for r in found} == {"2023-11-14"}
    assert not [p for p in (tmp_path / "lake").rglob("*") if p.name.startswith(".")]


def test_csv_in_and_out(tmp_path):
    (tmp_path / "in.csv").write_text('amount,id,name\r\n1.5,1,"a ""quoted"", name"\r\n,2,\r\nx,3,bad\r\n2,4,"two\nlines"\r\n')
    sql = pipeline(tmp_path, f"""
      CREATE SOURCE clicks ({CLICKS}) WITH (connector='file', path='{{dir}}/in.csv', format='csv', header='true', on_error='bad');
      CREATE SINK good WITH (connector='file', path='{{dir}}/good.csv', format='csv') AS SELECT id, name, amount FROM clicks;
      CREATE SINK bad WITH (connector='file', path='{{dir}}/bad.ndjson');""")
    run_weir("run", sql, "--quiet", code=0)
    rows = duckdb.sql(f"SELECT * FROM read_csv('{tmp_path}/good.csv', header=true) ORDER BY id").fetchall()
    assert rows == [(1, 'a "quoted", name', 1.5), (2, None, None), (4, "two\nlines", 2.0)] or rows[1][1] in (None, "")
    assert [r["_field"] for r in ndjson(tmp_path / "bad.ndjson")] == ["amount"]


def test_standard_input_and_output(tmp_path):
    sql = pipeline(tmp_path, f"""
      CREATE SOURCE clicks ({CLICKS}) WITH (connector='file', path='-', format='json');
      CREATE SINK out WITH (connector='stdout') AS SELECT id * 2 AS twice, upper(name) AS name FROM clicks;""")
    result = run_weir("run", sql, "--quiet", input='{"id":21,"name":"straße"}\n{"id":4}', code=0)
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"twice": 42, "name": "STRASSE"}, {"twice": 8, "name": None}] or "STRA" in result.stdout


DATAGEN = """
  CREATE SOURCE clicks (id BIGINT, kind TEXT, amount DOUBLE PRECISION, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '100 milliseconds')
  WITH (connector='datagen', rate='{rate}', {bound} seed='1');
"""


def test_generator_ends_by_itself_and_counts_are_exact(tmp_path):
    sql = pipeline(tmp_path, DATAGEN.format(rate=0, bound="rows='250000',") + """
      CREATE SINK lake WITH (connector='parquet', path='{dir}/lake') AS SELECT * FROM clicks;
      CREATE SINK counts WITH (connector='file', path='{dir}/counts.ndjson') AS
        SELECT window_start, count(*) AS n FROM TUMBLE(clicks, ts, INTERVAL '1 second') GROUP BY window_start, window_end;""")
    sums = check_ledger(run_weir("run", sql, "--quiet", "--workers", "2", code=0, stats=True).stats)
    assert sums["lake"]["landed"] == 250_000
    assert sum(r["n"] for r in ndjson(tmp_path / "counts.ndjson")) + sums["counts"]["late"] == 250_000
    assert duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/lake/*.parquet'").fetchall()[0] == (250_000,)


def test_sigterm_commits_everything_and_exits_0(tmp_path):
    sql = pipeline(tmp_path, DATAGEN.format(rate=50000, bound="") + """
      CREATE SINK lake WITH (connector='parquet', path='{dir}/lake', commit_interval='300ms') AS SELECT * FROM clicks;""")
    stats = tmp_path / "stats.json"
    with Weir("run", sql, "--quiet", "--stats", stats) as weir:
        weir.wait_for(lambda: list((tmp_path / "lake").glob("*.parquet")), "the first file")
        time.sleep(0.5)
        weir.signal(signal.SIGUSR1)
        weir.wait_for(stats.exists, "the statistics on SIGUSR1")
        weir.signal(signal.SIGTERM)
        assert weir.wait() == 0
    report = json.loads(stats.read_text())
    sums = check_ledger(report)
    assert sums["lake"]["in_flight"] == 0
    assert duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/lake/*.parquet'").fetchall()[0][0] == sums["lake"]["landed"] > 0


def test_a_kill_leaves_only_whole_files(tmp_path):
    sql = pipeline(tmp_path, DATAGEN.format(rate=200000, bound="") + """
      CREATE SINK lake WITH (connector='parquet', path='{dir}/lake', commit_interval='100ms') AS SELECT * FROM clicks;""")
    with Weir("run", sql, "--quiet") as weir:
        weir.wait_for(lambda: len(list((tmp_path / "lake").glob("*.parquet"))) > 3, "some files")
        weir.kill()
    for file in (tmp_path / "lake").glob("*.parquet"):
        assert duckdb.sql(f"SELECT count(*) FROM '{file}'").fetchall()[0][0] > 0


def test_http_ingest_and_admin_pages(tmp_path):
    port = free_port()
    sql = pipeline(tmp_path, f"""
      CREATE SOURCE clicks ({CLICKS}) WITH (connector='http', format='json');
      CREATE SINK out WITH (connector='file', path='{{dir}}/out.ndjson', commit_interval='100ms') AS SELECT id, name FROM clicks;""")
    base = f"http://127.0.0.1:{port}"

    def get(path):
        try:
            with urllib.request.urlopen(base + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""
    with Weir("run", sql, "--quiet", "--listen", f"127.0.0.1:{port}") as weir:
        weir.wait_for(lambda: get("/readyz")[0] == 200, "/readyz")
        assert get("/healthz")[0] == 200
        body = "".join(json.dumps({"id": i, "name": f"n{i}"}) + "\n" for i in range(1000)).encode()
        for _ in range(3):
            request = urllib.request.Request(base + "/ingest/clicks", data=body, method="POST")
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 202
        assert get("/nothing")[0] == 404
        weir.wait_for(lambda: (tmp_path / "out.ndjson").exists() and
                      len((tmp_path / "out.ndjson").read_text().splitlines()) == 3000, "3000 rows")
        status, metrics = get("/metrics")
        assert status == 200
        assert 'weir_source_events_total{source="clicks"} 3000' in metrics
        weir.signal(signal.SIGTERM)
        assert weir.wait() == 0


def test_preview_writes_nothing(tmp_path):
    (tmp_path / "in.ndjson").write_text("".join(json.dumps({"id": i, "ts": 1700000000000 + i * 1000}) + "\n" for i in range(100)))
    sql = pipeline(tmp_path, f"""
      CREATE SOURCE clicks ({CLICKS}, WATERMARK FOR ts AS ts) WITH (connector='file', path='{{dir}}/in.ndjson', format='json');
      CREATE SINK rows WITH (connector='file', path='{{dir}}/rows.ndjson') AS SELECT id FROM clicks;
      CREATE SINK counts WITH (connector='parquet', path='{{dir}}/lake') AS
        SELECT window_start, count(*) AS n FROM TUMBLE(clicks, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end;""")
    result = run_weir("preview", sql, "--rows", "3", "--bounded", code=0)
    lines = result.stdout.splitlines()
    assert sum(line.startswith("rows: {") for line in lines) == 3
    assert sum(line.startswith("counts: {") for line in lines) == 3
    assert not (tmp_path / "rows.ndjson").exists() and not (tmp_path / "lake").exists()


def test_a_far_future_row_is_dead_lettered_and_moves_no_watermark(tmp_path):
    now = 1_700_000_000_000
    rows = [{"id": i, "ts": now + i * 1000} for i in range(30)]
    rows.insert(10, {"id": 999, "ts": 253_000_000_000_000})
    (tmp_path / "in.ndjson").write_text("".join(json.dumps(r) + "\n" for r in rows))
    sql = pipeline(tmp_path, f"""
      CREATE SOURCE clicks ({CLICKS}, WATERMARK FOR ts AS ts)
        WITH (connector='file', path='{{dir}}/in.ndjson', format='json', max_ahead='1d', on_error='bad');
      CREATE SINK counts WITH (connector='file', path='{{dir}}/counts.ndjson') AS
        SELECT window_start, count(*) AS n FROM TUMBLE(clicks, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end;
      CREATE SINK bad WITH (connector='file', path='{{dir}}/bad.ndjson');""")
    sums = check_ledger(run_weir("run", sql, "--quiet", code=0, stats=True).stats)
    assert sums["counts"]["late"] == 0 and sums["counts"]["dead_lettered"] == 1
    assert sum(r["n"] for r in ndjson(tmp_path / "counts.ndjson")) == 30
    (bad,) = ndjson(tmp_path / "bad.ndjson")
    assert json.loads(bad["_value"])["id"] == 999 and "ahead" in bad["_error"]


def test_nexmark_runs(tmp_path):
    sql = pipeline(tmp_path, """
      CREATE SOURCE nexmark (WATERMARK FOR date_time AS date_time) WITH (connector='nexmark', rows='50000');
      CREATE SINK out WITH (connector='file', path='{dir}/out.ndjson') AS
        SELECT window_start, event_type, count(*) AS n FROM TUMBLE(nexmark, date_time, INTERVAL '10 seconds')
        GROUP BY window_start, window_end, event_type;""")
    run_weir("run", sql, "--quiet", "--bounded", code=0)
    totals = {}
    for row in ndjson(tmp_path / "out.ndjson"):
        totals[row["event_type"]] = totals.get(row["event_type"], 0) + row["n"]
    assert sum(totals.values()) == 50000
    assert totals["person"] == 1000 and totals["auction"] == 3000 and totals["bid"] == 46000
