"""Compaction, vacuum, history: what keeps a table small, and changes none of its rows."""

import json
import os
import threading
import time

import pyarrow
import pyarrow.parquet
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

from services import harness
from table.bed import NULL, READERS, Driver, Failed, by_deltalake, commit, ids, log_of, reader  # noqa: F401

COLUMNS = "id|BIGINT;p|TEXT;s|TEXT;f|DOUBLE PRECISION;ts|TIMESTAMP;n|NUMERIC(30,3)"


def row(number, partition="x"):
    return [number, partition, f"text {number}" * 3, number / 7, f"2024-01-01T00:00:00.{number % 1000:03}001Z",
            f"{number}.5"]


def fill(driver, files, rows=10, partitions=("x",), first=0):
    number = first
    for epoch in range(files):
        for partition in partitions:
            driver.rows([row(number + i, partition) for i in range(rows)])
            number += rows
        driver.append()
    return number


def live(path):
    return sorted(DeltaTable(str(path)).file_uris())


def test_merged_files_hold_the_same_rows(tmp_path, reader):
    path = tmp_path / "t"
    with Driver(path, tmp_path) as driver:
        driver.open(COLUMNS, "p")
        total = fill(driver, 10, partitions=("a b/c", NULL, "x"))
        before = sorted(map(str, READERS[reader](path)))
        assert driver.compact_all() == (30, 3)
        assert driver.compact_all() == (0, 0)
    assert len(live(path)) == 3
    assert sorted(map(str, READERS[reader](path))) == before and len(before) == total
    actions = commit(path, DeltaTable(str(path)).version())
    assert all(body["dataChange"] is False for name, body in actions if name in ("add", "remove"))


def test_merged_statistics_are_those_of_all_rows(tmp_path):
    path = tmp_path / "t"
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT;s|TEXT;nan|DOUBLE PRECISION;none|DATE;n|NUMERIC(38,2);b|BOOLEAN;ts|TIMESTAMP")
        driver.rows([[2**62, "b" * 70, 1.5, NULL, "-99999999999999999999.25", "true", "2024-01-01T00:00:00.000001Z"]])
        driver.append()
        driver.rows([[-(2**62), "a", "NaN", NULL, "7", NULL, "2023-01-01T00:00:00.000001Z"],
                     [NULL, NULL, NULL, NULL, NULL, NULL, NULL]])
        driver.append()
        assert driver.compact() == (2, 1, False)
    stats = [json.loads(body["stats"]) for name, body in commit(path, 3) if name == "add"][0]
    assert stats["numRecords"] == 3
    assert stats["nullCount"] == {"id": 1, "s": 1, "nan": 1, "none": 3, "n": 1, "b": 2, "ts": 1}
    assert stats["minValues"]["id"] == -(2**62) and stats["maxValues"]["id"] == 2**62
    assert stats["minValues"]["s"] == "a" and stats["maxValues"]["s"] == "b" * 31 + "c"
    assert "-99999999999999999999.25" in commit_text(path, 3) and stats["maxValues"]["n"] == 7
    assert stats["minValues"]["ts"] == "2023-01-01T00:00:00.000Z"
    assert stats["maxValues"]["ts"] == "2024-01-01T00:00:00.001Z"
    assert "nan" not in stats["minValues"] and "nan" not in stats["maxValues"]


def commit_text(path, version):
    return (log_of(path) / f"{version:020}.json").read_text()


def test_merged_files_are_sound_parquet(tmp_path):
    import duckdb
    import polars
    path = tmp_path / "t"
    with Driver(path, tmp_path) as driver:
        driver.open(COLUMNS)
        total = fill(driver, 20, rows=700)
        driver.compact_all()
    file = live(path)[0].removeprefix("file://")
    parquet = pyarrow.parquet.ParquetFile(file, page_checksum_verification=True)
    assert parquet.metadata.num_row_groups == 20 and parquet.metadata.num_rows == total
    for number in range(20):
        group = parquet.metadata.row_group(number)
        for c in range(group.num_columns):
            column = group.column(c)
            assert column.has_offset_index and column.has_column_index and column.is_stats_set
        assert parquet.read_row_group(number)["id"].to_pylist() == list(range(700 * number, 700 * (number + 1)))
    # Readers that use page indexes find each row.
    for number in (0, 699, 700, 6999, 13999):
        assert polars.scan_parquet(file).filter(polars.col("id") == number).collect()["f"].to_list() == [number / 7]
        assert duckdb.sql(f"SELECT f FROM '{file}' WHERE id = {number}").fetchall() == [(number / 7,)]


def test_targets_and_patience(tmp_path):
    path = tmp_path / "t"
    with Driver(path, tmp_path) as driver:
        driver.open(COLUMNS, "p")
        fill(driver, 20, partitions=("a", "b"))
        size = os.path.getsize(live(path)[0].removeprefix("file://"))
        # Young groups that could still grow are left alone; those that fill a file are merged, oldest first.
        assert driver.compact(settle=10**9, flags="") == (0, 0, False)
        before, after, more = driver.compact(target=size * 8, settle=10**9, flags="")
        assert 7 <= before <= 10 and after == 1 and more
        merged = driver.compact_all(target=size * 8, settle=10**9, flags="")
        assert merged[0] > 20
        left = len(live(path))
        assert driver.compact_all(target=size * 8, settle=0, flags="")[0] > 0  # nothing came for long: the rest too
        assert len(live(path)) < left
    assert ids(path) == list(range(400))


def test_files_before_and_after_a_new_column(tmp_path):
    path = tmp_path / "t"
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT")
        for number in range(4):
            driver.rows([[number]])
            driver.append()
        driver.open("id|BIGINT;new|TEXT", "", "ce")
        for number in range(4, 8):
            driver.rows([[number, "x"]])
            driver.append()
        assert driver.compact_all() == (8, 2)
    assert ids(path) == list(range(8)) and len(live(path)) == 2


def test_one_odd_file_does_not_stop_the_others(tmp_path):
    path = str(tmp_path / "t")
    write_deltalake(path, pyarrow.table({"id": pyarrow.array([100], pyarrow.int64())}))
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT")
        for number in range(4):
            driver.rows([[number]])
            driver.append()
        assert driver.compact_all() == (4, 1)
    assert ids(path) == [0, 1, 2, 3, 100]


def test_a_damaged_file_is_named_and_left_alone(tmp_path):
    path = tmp_path / "t"
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT")
        for number in range(5):
            driver.rows([[number]])
            driver.append()
        name = next(body["path"] for action, body in commit(path, 3) if action == "add")
        sound = (path / name).read_bytes()
        (path / name).write_bytes(sound[:-20] + bytes(20))
        with pytest.raises(Failed) as failure:
            driver.compact()
        assert name in failure.value.message
        assert driver.compact_all() == (4, 1)
        (path / name).write_bytes(sound)
    assert ids(path) == list(range(5))


def test_compaction_races_with_writers(tmp_path):
    """Two compactors, our writer and delta-rs at the same time: each row once."""
    path = str(tmp_path / "t")
    done = threading.Event()
    trouble = []

    def guard(work):
        def run():
            try:
                work()
            except BaseException as error:  # pylint: disable=broad-except
                trouble.append(error)
        return run

    def compacts(name):
        with Driver(path, tmp_path / name) as driver:
            driver.open("id|BIGINT;p|TEXT", "p")
            while not done.is_set():
                driver.compact()

    def theirs():
        for number in range(40):
            write_deltalake(path, pyarrow.table({"id": pyarrow.array([1000 + number], pyarrow.int64()),
                                                 "p": pyarrow.array(["a"], pyarrow.string())}), mode="append",
                            commit_properties=CommitProperties(max_commit_retries=10000))

    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT;p|TEXT", "p")
        others = [threading.Thread(target=guard(lambda name=name: compacts(name))) for name in ("one", "two")]
        writer = threading.Thread(target=guard(theirs))
        for thread in (*others, writer):
            thread.start()
        for epoch in range(150):
            driver.rows([[epoch, "ab"[epoch % 2]]])
            driver.append("u/lake", epoch)
        writer.join()
        done.set()
        for thread in others:
            thread.join()
        assert not trouble, trouble
        driver.compact_all()
        operations = [event[1] for event in driver.history()]
        assert operations.count("OPTIMIZE") > 5 and operations.count("STREAMING UPDATE") == 150
    assert ids(path) == [*range(150), *range(1000, 1040)]


def test_vacuum_deletes_what_nobody_needs(tmp_path):
    path = tmp_path / "t"
    with Driver(path, tmp_path) as driver:
        driver.open(COLUMNS, "p")
        fill(driver, 4, partitions=("a b/%", NULL))
        old = live(path)
        driver.compact_all()
        (path / "orphan.parquet").write_text("not in the log, old")
        os.utime(path / "orphan.parquet", (time.time() - 90000, time.time() - 90000))
        (path / "young.parquet").write_text("not in the log, but just written")
        (path / "_hidden").mkdir()
        (path / "_hidden" / "index").write_text("another program's")
        os.utime(path / "_hidden" / "index", (0, 0))
        day = 86_400_000
        assert driver.vacuum(day, dry_run=True) == ["orphan.parquet"] and (path / "orphan.parquet").exists()
        assert driver.vacuum(day) == ["orphan.parquet"] and not (path / "orphan.parquet").exists()
        time.sleep(0.01)
        assert len(driver.vacuum(0)) == 9  # eight that were merged, and the young one
        assert driver.vacuum(0) == []
        assert (path / "_hidden" / "index").exists()
    assert ids(path) == list(range(80)) and len(old) == 8
    assert not any(os.path.exists(uri.removeprefix("file://")) for uri in old)


def test_vacuum_clears_the_log_behind_an_old_checkpoint(tmp_path, reader):
    path = tmp_path / "t"
    month = 31 * 86_400_000
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT")
        for number in range(10):
            driver.rows([[number]])
            driver.append("u/lake", number)
            if number in (3, 6):
                driver.ask("checkpoint", 0)
        for version in range(9):  # all but the last two are old
            name = log_of(path) / f"{version:020}.json"
            name.write_text(name.read_text().replace('"timestamp":1', '"timestamp":', 1)
                            if version % 2 else name.read_text().replace('"timestamp":', '"timestamp":1000,"was":', 1))
        driver.vacuum(month)
        left = sorted(os.listdir(log_of(path)))
        assert left[0] == f"{7:020}.checkpoint.parquet" and f"{6:020}.json" not in left
        assert f"{7:020}.json" in left and f"{10:020}.json" in left and "_last_checkpoint" in left
    assert ids(path, reader) == list(range(10))
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT")
        assert driver.txn("u/lake") == 9


def test_history_of_all_engines(tmp_path):
    path = str(tmp_path / "t")
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT")
        driver.rows([[1], [2]])
        driver.append("u/lake", 1)
        write_deltalake(path, pyarrow.table({"id": pyarrow.array([3], pyarrow.int64())}), mode="append")
        DeltaTable(path).delete("id = 3")
        events = driver.history()
        assert [event[0] for event in events] == [3, 2, 1, 0]
        assert [event[1] for event in events] == ["DELETE", "WRITE", "STREAMING UPDATE", "CREATE TABLE"]
        assert events[2][2:6] == ("weir/test", 1, 0, 2) and "delta-rs" in events[1][2]
        assert events[0][3:5] == (0, 1)
        assert [event[0] for event in driver.history(2)] == [3, 2]


def test_on_s3(minio, unique, tmp_path):
    bucket = unique("table")
    minio.client().create_bucket(Bucket=bucket)
    url = f"s3://{bucket}/deep/t"
    env = minio.env()
    options = {"AWS_ENDPOINT_URL": minio.endpoint, "AWS_ACCESS_KEY_ID": env["AWS_ACCESS_KEY_ID"],
               "AWS_SECRET_ACCESS_KEY": env["AWS_SECRET_ACCESS_KEY"], "AWS_REGION": "us-east-1",
               "AWS_ALLOW_HTTP": "true", "aws_conditional_put": "etag"}
    with Driver(url, tmp_path, env) as driver, Driver(url, tmp_path, env) as other:
        driver.open(COLUMNS, "p")
        other.open(COLUMNS, "p")
        for epoch in range(10):
            for number, writer in enumerate((driver, other)):
                writer.rows([row(2 * epoch + number, "a/b%c")])
                writer.send("append", f"u{number}/lake", epoch)
            assert all(int(writer.answer()[0]) >= 0 for writer in (driver, other))
        driver.ask("checkpoint", 0)
        assert driver.compact_all() == (20, 1)
        assert len(driver.vacuum(10**9)) == 0
    assert ids(url, "deltalake", options=options) == list(range(20))
    assert ids(url, "polars", options={**options, "aws_endpoint_url": minio.endpoint}) == list(range(20))


# --- weir table -------------------------------------------------------------------------------


def test_the_commands(tmp_path, run_weir):
    path = tmp_path / "t"
    with Driver(path, tmp_path) as driver:
        driver.open(COLUMNS, "p")
        total = fill(driver, 6, partitions=("a", "b"))
    result = run_weir("table", "history", str(path), "--limit", "3", code=0)
    lines = result.stdout.splitlines()
    assert len(lines) == 4 and lines[0].split()[0] == "version" and lines[1].split()[0] == "6"
    assert "12 files merged into 2" in run_weir("table", "compact", str(path), "--all", code=0).stdout
    assert "nothing to merge" in run_weir("table", "compact", str(path), "--all", code=0).stdout
    assert "0 files" in run_weir("table", "vacuum", str(path), code=0).stdout
    dry = run_weir("table", "vacuum", str(path), "--retention", "0s", "--dry-run", code=0).stdout
    assert "12 files" in dry and "would be deleted" in dry and dry.count("p=a/part-") == 6
    assert "12 files" in run_weir("table", "vacuum", str(path), "--retention=0s", code=0).stdout
    assert ids(path) == list(range(total))


@pytest.mark.parametrize("words,says", [
    ((), "history, compact or vacuum"), (("history",), "which table"), (("drop", "t"), "no 'drop'"),
    (("history", "nowhere"), "there is no directory"), (("compact", "."), "no Delta table"),
    (("vacuum", ".", "--retention", "soon"), "'soon'"), (("compact", ".", "--target-file-size", "-1"), "'-1'"),
    (("history", ".", "--nonsense", "1"), "nonsense"), (("history", "s3://b/t", "--secret-access-key=x"), "environment"),
])
def test_wrong_command_lines(run_weir, words, says):
    result = run_weir("table", *words, code=2)
    assert says in result.stderr and "abc" not in result.stderr
