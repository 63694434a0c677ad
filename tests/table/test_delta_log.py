"""The log of a Delta table: exactly once, conflicts, other writers, schemas, checkpoints."""

import json
import os
import random
import shutil
import threading

import pyarrow
import pyarrow.parquet
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from table.bed import NULL, READERS, Driver, Failed, by_deltalake, commit, ids, log_of, reader  # noqa: F401


def test_an_epoch_is_in_the_table_once(tmp_path):
    with Driver(tmp_path / "t", tmp_path) as driver, Driver(tmp_path / "t", tmp_path) as other:
        driver.open("id|BIGINT")
        other.open("id|BIGINT")
        driver.rows([[1]])
        assert driver.append("u/lake", 5) == 1
        for writer in (driver, other):  # a zombie that has not read what happened meanwhile, too
            writer.rows([[2]])
            assert writer.append("u/lake", 5) == -1
            writer.rows([[3]])
            assert writer.append("u/lake", 4) == -1
            assert writer.txn("u/lake") == 5 and writer.txn("v/lake") == -1
        other.rows([[4]])
        assert other.append("u/lake", 6) == 2
        assert driver.txn("u/lake") == 6
        assert driver.ask("other", "u/lake", "lake") == ["-"]
        assert driver.ask("other", "v/lake", "lake") == ["u/lake"]
        assert driver.ask("other", "v/ake", "ake") == ["-"]
    assert ids(tmp_path / "t") == [1, 4]


@pytest.mark.parametrize("applied", [True, False])
def test_an_answer_that_was_lost(tmp_path, applied):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.ask("fault", 1, "a" if applied else "")
        if applied:
            driver.open("id|BIGINT")
        else:
            with pytest.raises(Failed) as failure:
                driver.open("id|BIGINT")
            assert failure.value.cls == 3
            driver.open("id|BIGINT")
        for epoch in range(1, 6):
            driver.rows([[epoch]])
            driver.ask("fault", 1, "a" if applied else "")
            if applied:
                assert driver.append("u/lake", epoch) == epoch
            else:
                with pytest.raises(Failed) as failure:
                    driver.append("u/lake", epoch)
                assert failure.value.cls == 3 and "lost" in failure.value.message
                assert driver.append("u/lake", epoch) == epoch
    assert ids(tmp_path / "t") == [1, 2, 3, 4, 5]


def test_two_writers_with_the_same_epochs_race(tmp_path):
    """A zombie and its successor put the same epochs: each lands once, whoever wins."""
    with Driver(tmp_path / "t", tmp_path) as one, Driver(tmp_path / "t", tmp_path) as two:
        one.open("id|BIGINT")
        two.open("id|BIGINT")
        for epoch in range(1, 101):
            for writer in (one, two):
                writer.rows([[epoch]])
            for writer in (one, two):
                writer.send("append", "u/lake", epoch)
            landed = [int(writer.answer()[0]) for writer in (one, two)]
            assert sorted(version >= 0 for version in landed) == [False, True]
    assert ids(tmp_path / "t") == list(range(1, 101))
    assert DeltaTable(str(tmp_path / "t")).version() == 100


def test_racing_with_delta_rs(tmp_path):
    """200 commits, half of them delta-rs's, at the same time."""
    path = str(tmp_path / "t")
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT;p|TEXT", "p")
        trouble = []

        def theirs():
            try:
                for number in range(100):
                    write_deltalake(path, pyarrow.table({"id": pyarrow.array([1000 + number], pyarrow.int64()),
                                                         "p": pyarrow.array(["theirs"], pyarrow.string())}), mode="append",
                                    commit_properties=CommitProperties(max_commit_retries=10000))
            except Exception as error:  # pylint: disable=broad-except
                trouble.append(error)

        thread = threading.Thread(target=theirs)
        thread.start()
        for epoch in range(100):
            driver.rows([[epoch, "ours"]])
            driver.append("u/lake", epoch)
        thread.join()
        assert not trouble
        assert driver.refresh() == 200
    assert ids(path) == [*range(100), *range(1000, 1100)]
    assert {f"{v:020}.json" for v in range(201)} <= set(os.listdir(log_of(path)))


# --- what is refused --------------------------------------------------------------------------


def refused(tmp_path, columns, partition="", flags="ce"):
    with Driver(tmp_path / "t", tmp_path) as driver:
        with pytest.raises(Failed) as failure:
            driver.open(columns, partition, flags)
    assert failure.value.cls == 1 and 'table "t"' in failure.value.message
    return failure.value


@pytest.fixture
def made(tmp_path):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("id|BIGINT!;s|TEXT;p|DATE", "p")
        driver.rows([[1, "x", "2024-01-01"]])
        driver.append("u/lake", 1)
    return tmp_path


def test_no_table_and_not_to_be_made(tmp_path):
    failure = refused(tmp_path, "id|BIGINT", flags="")
    assert "no Delta table" in failure.message and "create = true" in failure.hint
    assert not log_of(tmp_path / "t").exists()


def test_other_schemas_are_refused_by_name(made):
    before = sorted(os.listdir(log_of(made / "t")))
    failure = refused(made, "id|INTEGER!;s|TEXT;p|DATE", "p")
    assert 'column "id" is long in the table, but integer (INTEGER) in the query' in failure.message and failure.hint
    failure = refused(made, "id|BIGINT;s|TEXT;p|DATE", "p")
    assert '"id" is NOT NULL in the table' in failure.message
    failure = refused(made, "s|TEXT;p|DATE", "p")
    assert '"id" of the table is NOT NULL' in failure.message
    failure = refused(made, "id|BIGINT!;S|TEXT;p|DATE", "p")
    assert 'spells the column "s"' in failure.message
    failure = refused(made, "id|BIGINT!;s|TEXT;p|DATE", "s")
    assert "partitioned by p" in failure.message and "partition_by = 'p'" in failure.hint
    failure = refused(made, "id|BIGINT!;s|TEXT;p|DATE")
    assert "partitioned by p" in failure.message
    failure = refused(made, "id|BIGINT!;s|TEXT;p|DATE;new|TEXT", "p", "c")
    assert 'no column "new"' in failure.message
    assert sorted(os.listdir(log_of(made / "t"))) == before


@pytest.mark.parametrize("columns,word", [
    ("id|BIGINT UNSIGNED", "NUMERIC(20,0)"), ("id|INTEGER UNSIGNED", "BIGINT"), ("id|SMALLINT UNSIGNED", "INTEGER")])
def test_types_that_delta_does_not_have(tmp_path, columns, word):
    assert word in refused(tmp_path, columns).hint


def test_names_that_delta_does_not_take(tmp_path):
    assert "no spaces" in refused(tmp_path, "a b|BIGINT").message
    assert "same name" in refused(tmp_path, "a|BIGINT;A|BIGINT").message
    assert "not" in refused(tmp_path, "a|BIGINT", "a").message
    assert "BYTEA" in refused(tmp_path, "a|BYTEA;b|BIGINT", "a").message


def protocol(path, **protocol_fields):
    """Adds a commit that raises the table's protocol."""
    version = max(int(name[:20]) for name in os.listdir(log_of(path)) if name.endswith(".json")) + 1
    (log_of(path) / f"{version:020}.json").write_text(json.dumps({"protocol": protocol_fields}) + "\n")


@pytest.mark.parametrize("fields,name", [
    ({"minReaderVersion": 2, "minWriterVersion": 5}, "columnMapping"),
    ({"minReaderVersion": 1, "minWriterVersion": 6}, "identityColumns"),
    ({"minReaderVersion": 4, "minWriterVersion": 8}, "version above"),
    ({"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"],
      "writerFeatures": ["deletionVectors", "appendOnly"]}, "deletionVectors"),
    ({"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["appendOnly", "rowTracking"]}, "rowTracking"),
])
def test_features_are_refused_by_name(made, fields, name):
    protocol(made / "t", **fields)
    before = sorted(os.listdir(log_of(made / "t")))
    assert name in refused(made, "id|BIGINT!;s|TEXT;p|DATE", "p").message
    assert sorted(os.listdir(log_of(made / "t"))) == before


def test_harmless_features_are_taken(made):
    protocol(made / "t", minReaderVersion=3, minWriterVersion=7, readerFeatures=["timestampNtz"],
             writerFeatures=["timestampNtz", "appendOnly", "invariants"])
    with Driver(made / "t", made) as driver:
        driver.open("id|BIGINT!;s|TEXT;p|DATE", "p")
        driver.rows([[2, "y", "2024-01-01"]])
        assert driver.append("u/lake", 2) == 3
    assert ids(made / "t") == [1, 2]


def test_a_protocol_raised_while_we_write_is_noticed(made):
    with Driver(made / "t", made) as driver:
        driver.open("id|BIGINT!;s|TEXT;p|DATE", "p")
        protocol(made / "t", minReaderVersion=2, minWriterVersion=5)
        driver.rows([[2, "y", "2024-01-01"]])
        with pytest.raises(Failed) as failure:
            driver.append("u/lake", 2)
        assert failure.value.cls == 1 and "columnMapping" in failure.value.message


def test_constraints_of_others_are_refused(tmp_path):
    path = str(tmp_path / "t")
    write_deltalake(path, pyarrow.table({"id": pyarrow.array([1], pyarrow.int64())}))
    DeltaTable(path).alter.add_constraint({"positive": "id > 0"})
    assert "positive" in refused(tmp_path, "id|BIGINT").message


# --- schema evolution -------------------------------------------------------------------------


def test_columns_are_added(tmp_path, reader):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("id|BIGINT!;p|TEXT", "p")
        driver.rows([[1, "x"]])
        driver.append("u/lake", 1)
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("id|BIGINT!;p|TEXT;new|NUMERIC(10,2)!", "p", "ce")
        driver.rows([[2, "x", "1.50"]])
        assert driver.append("u/lake", 2) == 3
    with Driver(tmp_path / "t", tmp_path) as driver:  # an older query goes on: the column is NULL
        driver.open("id|BIGINT!;p|TEXT", "p")
        driver.rows([[3, "x"]])
        driver.append("u/lake", 3)
    rows = sorted(READERS[reader](tmp_path / "t"), key=lambda row: row["id"])
    assert [(row["id"], str(row["new"])) for row in rows] == [(1, "None"), (2, "1.50"), (3, "None")]


def test_a_column_added_by_others_meanwhile(tmp_path):
    path = str(tmp_path / "t")
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT")
        write_deltalake(path, pyarrow.table({"id": pyarrow.array([1], pyarrow.int64()), "more": ["x"]}),
                        mode="append", schema_mode="merge")
        driver.rows([[2]])
        assert driver.append("u/lake", 1) == 2
    assert sorted((row["id"], row["more"]) for row in by_deltalake(path)) == [(1, "x"), (2, None)]


# --- checkpoints ------------------------------------------------------------------------------


def drop_commits(path, below):
    for name in os.listdir(log_of(path)):
        if name.endswith(".json") and int(name[:20]) < below:
            (log_of(path) / name).unlink()


def test_our_checkpoint_is_all_that_readers_need(tmp_path, reader):
    path = tmp_path / "t"
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT;p|TEXT;ts|TIMESTAMP", "p")
        for epoch in range(20):
            driver.rows([[epoch, NULL if epoch % 4 == 0 else f"p {epoch % 4}/%", "2024-01-01T00:00:00Z"]])
            driver.append(f"u{epoch % 2}/lake", epoch)
        driver.compact(target=1_000_000)
        driver.ask("checkpoint", 100)
        assert not list(log_of(path).glob("*.parquet"))
        driver.ask("checkpoint", 20)
        version = driver.refresh()
    hint = json.loads((log_of(path) / "_last_checkpoint").read_text())
    assert hint["version"] == version and hint["numOfAddFiles"] == 16
    drop_commits(path, version)
    (log_of(path) / f"{version:020}.json").unlink()
    assert ids(path, reader) == list(range(20))
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT;p|TEXT;ts|TIMESTAMP", "p")
        assert driver.txn("u0/lake") == 18 and driver.txn("u1/lake") == 19
        driver.rows([[20, "x", NULL]])
        assert driver.append("u0/lake", 20) == version + 1
    assert ids(path, reader) == list(range(21))


def test_their_checkpoint_is_all_that_we_need(tmp_path):
    path = str(tmp_path / "t")
    for epoch in range(12):
        table = pyarrow.table({"id": pyarrow.array([epoch], pyarrow.int64()),
                               "p": pyarrow.array([[None, "a b", "ü/%"][epoch % 3]], pyarrow.string())})
        write_deltalake(path, table, mode="append", partition_by=["p"],
                        commit_properties=CommitProperties(app_transactions=[Transaction("u/lake", epoch)]))
    DeltaTable(path).optimize.compact()
    DeltaTable(path).create_checkpoint()
    version = DeltaTable(path).version()
    drop_commits(path, version + 1)
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT;p|TEXT", "p")
        assert driver.txn("u/lake") == 11 and driver.refresh() == version
        driver.rows([[12, "a b"]])
        assert driver.append("u/lake", 11) == -1
        driver.rows([[12, "a b"]])
        assert driver.append("u/lake", 12) == version + 1
        assert driver.compact_all() == (0, 0)  # the files' schemas differ: ours have field ids
    assert ids(path) == list(range(13))


def rewrite(path, version, parts=1, **how):
    """Writes the checkpoint anew, as another engine would."""
    old = log_of(path) / f"{version:020}.checkpoint.parquet"
    table = pyarrow.parquet.read_table(old)
    old.unlink()
    if parts == 1:
        pyarrow.parquet.write_table(table, old, **how)
        return
    step = -(-table.num_rows // parts)
    for part in range(parts):
        name = f"{version:020}.checkpoint.{part + 1:010}.{parts:010}.parquet"
        pyarrow.parquet.write_table(table.slice(part * step, step), log_of(path) / name, **how)


WAYS = [
    dict(compression="snappy"), dict(compression="gzip"), dict(compression="none"), dict(compression="zstd"),
    dict(compression="snappy", data_page_version="2.0"), dict(compression="none", data_page_version="2.0"),
    dict(compression="zstd", use_dictionary=False, data_page_size=64),
    dict(use_dictionary=False, compression="none", data_page_version="2.0", column_encoding={
        "add.path": "DELTA_BYTE_ARRAY", "add.stats": "DELTA_LENGTH_BYTE_ARRAY", "add.size": "DELTA_BINARY_PACKED"}),
    dict(row_group_size=3), dict(parts=4), dict(use_compliant_nested_type=False),
]


@pytest.mark.parametrize("way", range(len(WAYS)))
def test_checkpoints_however_they_are_encoded(tmp_path, way):
    path = tmp_path / "t"
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT;p|TEXT;s|TEXT", "p")
        for epoch in range(30):
            driver.rows([[epoch, f"p{epoch % 3}", "x" * epoch]])
            driver.append(f"u{epoch % 5}/lake", epoch)
        driver.compact(target=1_000_000)
        driver.ask("checkpoint", 0)
        version = driver.refresh()
        before = sorted(driver.ask("vacuum", 10**15, "d"))
    rewrite(path, version, **WAYS[way])
    drop_commits(path, version + 1)
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT;p|TEXT;s|TEXT", "p")
        assert [driver.txn(f"u{n}/lake") for n in range(5)] == [25, 26, 27, 28, 29]
        assert sorted(driver.ask("vacuum", 10**15, "d")) == before
        driver.ask("checkpoint", 0)  # nothing new: none is written
        driver.append("u0/lake", 30)
        driver.ask("checkpoint", 0)
        driver.compact_all(target=1_000_000)
    drop_commits(path, version + 1)
    assert ids(path) == list(range(30))
    assert [row["s"] for row in sorted(by_deltalake(path), key=lambda r: r["id"])] == ["x" * n for n in range(30)]


def test_a_lost_hint_and_a_wrong_one(made):
    path = made / "t"
    with Driver(path, made) as driver:
        driver.open("id|BIGINT!;s|TEXT;p|DATE", "p")
        driver.ask("checkpoint", 0)
        for epoch in range(2, 5):
            driver.append("u/lake", epoch)
    drop_commits(path, 1)
    for text in (None, "", "{", '{"version":77}', '{"version":-1}', '{"version":"x"}', "[]"):
        hint = log_of(path) / "_last_checkpoint"
        hint.unlink(missing_ok=True)
        if text is not None:
            hint.write_text(text)
        with Driver(path, made) as driver:
            driver.open("id|BIGINT!;s|TEXT;p|DATE", "p")
            assert driver.refresh() == 4 and driver.txn("u/lake") == 4


def test_a_log_with_a_hole_is_refused(made):
    path = made / "t"
    with Driver(path, made) as driver:
        driver.open("id|BIGINT!;s|TEXT;p|DATE", "p")
        for epoch in range(2, 6):
            driver.append("u/lake", epoch)
    (log_of(path) / f"{3:020}.json").unlink()
    with Driver(path, made) as driver:
        with pytest.raises(Failed) as failure:
            driver.open("id|BIGINT!;s|TEXT;p|DATE", "p")
        assert "version 3 is missing" in failure.value.message
    drop_commits(path, 4)
    with Driver(path, made) as driver:
        with pytest.raises(Failed) as failure:
            driver.open("id|BIGINT!;s|TEXT;p|DATE", "p")
        assert "begins with version 4" in failure.value.message
    (log_of(path) / f"{4:020}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.parquet").write_text("")
    with Driver(path, made) as driver:
        with pytest.raises(Failed) as failure:
            driver.open("id|BIGINT!;s|TEXT;p|DATE", "p")
        assert "v2Checkpoint" in failure.value.message


def test_a_writer_that_slept_while_others_cleared_the_log(tmp_path):
    path = tmp_path / "t"
    with Driver(path, tmp_path) as driver, Driver(path, tmp_path) as other:
        driver.open("id|BIGINT")
        other.open("id|BIGINT")
        for epoch in range(10):
            other.rows([[epoch]])
            other.append("u/lake", epoch)
        other.ask("checkpoint", 0)
        drop_commits(path, 10)
        driver.ask("sleep", 3_600_000)
        driver.rows([[10]])
        assert driver.append("v/lake", 1) == 11  # not 1, which is free again
        assert driver.txn("u/lake") == 9
    assert ids(path) == list(range(11))


def test_hostile_checkpoints_and_commits(tmp_path):
    """Flipped bits and cuts: an error or a table, never a crash."""
    path = tmp_path / "t"
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT;p|TEXT", "p")
        for epoch in range(5):
            driver.rows([[epoch, "x"]])
            driver.append("u/lake", epoch)
        driver.ask("checkpoint", 0)
        version = driver.refresh()
    drop_commits(path, version + 1)
    checkpoint = log_of(path) / f"{version:020}.checkpoint.parquet"
    sound = checkpoint.read_bytes()
    rewrite(path, version, compression="none", use_dictionary=True)
    variants = [sound, checkpoint.read_bytes()]
    rng = random.Random(int(os.environ.get("WEIR_FUZZ_SEED", "1")))
    outcomes = {True: 0, False: 0}
    with Driver(path, tmp_path) as driver:
        for _ in range(int(os.environ.get("WEIR_FUZZ_ROUNDS", "400"))):
            data = bytearray(rng.choice(variants))
            for _ in range(rng.choice([1, 1, 2, 8])):
                data[rng.randrange(len(data))] = rng.choice([0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)])
            if rng.random() < 0.1:
                del data[rng.randrange(len(data)):]
            checkpoint.write_bytes(data)
            try:
                driver.ask("attach")
                outcomes[True] += 1
            except Failed as failure:
                assert failure.message and failure.cls in (1, 4)
                outcomes[False] += 1
    assert outcomes[True] > 0 and outcomes[False] > 0


@pytest.mark.parametrize("text", ["x", "[]", '{"add":{}}', '{"add":{"path":"a","size":-1,"partitionValues":{}}}',
                                  '{"remove":{}}', '{"txn":{"version":1}}', '{"metaData":{"id":"x"}}', '{"add":{"path":"a"',
                                  '{"metaData":{"id":"x","schemaString":"{}","partitionColumns":[]}}'])
def test_damaged_commits_are_named(made, text):
    (log_of(made / "t") / f"{2:020}.json").write_text(text + "\n")
    with Driver(made / "t", made) as driver:
        with pytest.raises(Failed) as failure:
            driver.open("id|BIGINT!;s|TEXT;p|DATE", "p")
        assert "damaged" in failure.value.message
