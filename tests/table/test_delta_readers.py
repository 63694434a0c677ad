"""What Weir writes into a Delta table, as the readers that people use see it."""

import datetime
import json
import math
import random

import pyarrow.parquet
import pytest
from deltalake import DeltaTable

from table.bed import D, NULL, READERS, Driver, by_deltalake, by_polars, commit, ids, log_of, reader  # noqa: F401

UTC = datetime.timezone.utc

TYPES = {  # column: type, SQL text, what readers say
    "b": ("BOOLEAN", "true", True),
    "i2": ("SMALLINT", "-32768", -32768),
    "i4": ("INTEGER", "2147483647", 2147483647),
    "i8": ("BIGINT", "9007199254740993", 9007199254740993),
    "f4": ("REAL", "1.5", 1.5),
    "f8": ("DOUBLE PRECISION", "-0.1", -0.1),
    "d9": ("NUMERIC(9,2)", "1234567.89", D("1234567.89")),
    "d18": ("NUMERIC(18,4)", "-12345678901234.5678", D("-12345678901234.5678")),
    "d38": ("NUMERIC(38,10)", "1234567890123456789012345678.0123456789",
            D("1234567890123456789012345678.0123456789")),
    "s": ("TEXT", "äöü" + "x" * 100, "äöü" + "x" * 100),
    "x": ("BYTEA", "\\x00ff7f", b"\x00\xff\x7f"),
    "d": ("DATE", "1969-12-31", datetime.date(1969, 12, 31)),
    "ts": ("TIMESTAMP", "1969-12-31T23:59:59.999999Z",
           datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)),
    "tz": ("TIMESTAMPTZ", "2024-01-31T10:00:00.123456Z",
           datetime.datetime(2024, 1, 31, 10, 0, 0, 123456, UTC)),
    "j": ("JSON", '{"a":[1,2]}', '{"a":[1,2]}'),
    "iv": ("INTERVAL", "1 day 02:03:04", "1 day 02:03:04"),
}
COLUMNS = "id|BIGINT!;" + ";".join(f"{name}|{kind}" for name, (kind, _, _) in TYPES.items())


def test_every_type_and_nulls(tmp_path, reader):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open(COLUMNS)
        driver.rows([[1, *(text for _, text, _ in TYPES.values())], [2] + [NULL] * len(TYPES)])
        assert driver.append("u/lake", 1) == 1
    rows = sorted(READERS[reader](tmp_path / "t"), key=lambda row: row["id"])
    assert rows[0] == {"id": 1, **{name: value for name, (_, _, value) in TYPES.items()}}
    assert rows[1] == {"id": 2, **{name: None for name in TYPES}}


def test_the_first_commits_say_what_the_protocol_asks(tmp_path):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("id|BIGINT!;p|TEXT;v|DOUBLE PRECISION", "p")
        driver.rows([[1, "x", 2.5]])
        driver.append("u/lake", 7)
    first, second = dict(commit(tmp_path / "t", 0)), dict(commit(tmp_path / "t", 1))
    assert first["protocol"] == {"minReaderVersion": 1, "minWriterVersion": 2}
    assert first["metaData"]["partitionColumns"] == ["p"]
    fields = json.loads(first["metaData"]["schemaString"])["fields"]
    assert [(f["name"], f["type"], f["nullable"]) for f in fields] == [
        ("id", "long", False), ("p", "string", True), ("v", "double", True)]
    assert second["txn"]["appId"] == "u/lake" and second["txn"]["version"] == 7
    assert second["commitInfo"]["txnId"] and second["commitInfo"]["engineInfo"] == "weir/test"
    assert second["add"]["dataChange"] is True
    assert json.loads(second["add"]["stats"])["numRecords"] == 1
    data = pyarrow.parquet.ParquetFile(tmp_path / "t" / second["add"]["path"])
    assert data.schema_arrow.names == ["id", "v"]  # partition columns are not in the file


STRANGE = ["plain", "a b/c", "ü", "100%", "%41", "a=b", "it's", 'say "q"', "a+b&c#d?e", "..", "x:y", "[z]{w}",
           "__HIVE_DEFAULT_PARTITION__x", "tab\u00a0", "日本", "~-._", "a\\b", "new|line;", "", NULL]


def test_partitions_with_strange_values(tmp_path, reader):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("id|BIGINT;p|TEXT;d|DATE", "p;d")
        for number, value in enumerate(STRANGE):
            driver.rows([[number, value, NULL if number % 3 == 0 else f"2024-01-{number + 1:02}"]])
        driver.append("u/lake", 1)
        driver.ask("checkpoint", 0)
    rows = sorted(READERS[reader](tmp_path / "t"), key=lambda row: row["id"])
    # An empty text is null to Delta.
    assert [row["p"] for row in rows] == [None if value in ("", NULL) else value for value in STRANGE]
    assert [row["d"] for row in rows] == [None if i % 3 == 0 else datetime.date(2024, 1, i + 1)
                                          for i in range(len(STRANGE))]


PARTITION_TYPES = {
    "b": ("BOOLEAN", "true", True), "i": ("INTEGER", "-5", -5), "n": ("NUMERIC(10,2)", "1.50", D("1.50")),
    "ts": ("TIMESTAMP", "2024-01-31T10:00:00.123456Z", datetime.datetime(2024, 1, 31, 10, 0, 0, 123456, UTC)),
    "ts0": ("TIMESTAMPTZ", "2024-01-31T10:00:00Z", datetime.datetime(2024, 1, 31, 10, 0, tzinfo=UTC)),
    "d": ("DATE", "2024-02-29", datetime.date(2024, 2, 29)),
}


@pytest.mark.parametrize("name", sorted(PARTITION_TYPES))
def test_partitions_of_other_types(tmp_path, reader, name):
    kind, text, value = PARTITION_TYPES[name]
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open(f"id|BIGINT;p|{kind}", "p")
        driver.rows([[1, text]])
        driver.rows([[2, NULL]])
        driver.append("u/lake", 1)
    rows = sorted(READERS[reader](tmp_path / "t"), key=lambda row: row["id"])
    assert [row["p"] for row in rows] == [value, None]


def test_empty_commits_and_empty_tables(tmp_path, reader):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("id|BIGINT")
        assert READERS[reader](tmp_path / "t") == []
        assert [driver.append("u/lake", epoch) for epoch in (1, 2)] == [1, 2]
        driver.rows([[1]])
        assert driver.append("u/lake", 3) == 3
    assert ids(tmp_path / "t", reader) == [1]


# --- statistics -------------------------------------------------------------------------------


def stats_of(path, version=1):
    return [json.loads(body["stats"]) for name, body in commit(path, version) if name == "add"]


def test_bounds_never_claim_too_much(tmp_path):
    rng = random.Random(7)
    letters = ["a", "z", "é", "日", "\U0010ffff", "\ud7ff", "~", " "]
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("id|BIGINT;s|TEXT;ts|TIMESTAMP;f|REAL;n|NUMERIC(30,5);d|DATE")
        for _ in range(60):
            rows = []
            for _ in range(rng.randint(1, 8)):
                text = "".join(rng.choice(letters) for _ in range(rng.choice([0, 1, 31, 32, 33, 80])))
                us = rng.randint(-10**15, 10**15)
                time = datetime.datetime(1970, 1, 1, tzinfo=UTC) + datetime.timedelta(microseconds=us)
                rows.append([rng.randint(-2**63, 2**63 - 1), text, time.isoformat(),
                             repr(rng.uniform(-1e30, 1e30)), f"{rng.randint(-10**24, 10**24)}.{rng.randint(0, 99999):05}",
                             (datetime.date(1970, 1, 1) + datetime.timedelta(rng.randint(-9999, 9999))).isoformat()])
            driver.rows(rows)
        driver.append("u/lake", 1)
    checked = 0
    for name, body in commit(tmp_path / "t", 1):
        if name != "add":
            continue
        stats = json.loads(body["stats"], parse_float=D)
        table = pyarrow.parquet.read_table(tmp_path / "t" / body["path"])
        assert stats["numRecords"] == table.num_rows
        for column in table.column_names:
            values = table[column].to_pylist()
            low, high = stats["minValues"].get(column), stats["maxValues"].get(column)
            if column == "s":
                assert low is not None and len(low) <= 32
                assert low.encode() <= min(v.encode() for v in values)
                if high is not None:
                    assert len(high) <= 32 and high.encode() >= max(v.encode() for v in values)
                else:  # nothing is above 32 times the last character
                    assert max(v.encode() for v in values).startswith(("\U0010ffff" * 16).encode())
            elif column == "ts":
                parse = lambda text: datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
                slack = datetime.timedelta(milliseconds=1)
                assert min(values) - slack < parse(low) <= min(values)
                assert max(values) + slack > parse(high) >= max(values)
            elif column == "d":
                assert (low, high) == (min(values).isoformat(), max(values).isoformat())
            elif column == "f":
                assert (float(low), float(high)) == (min(values), max(values))
            else:
                assert (D(low), D(high)) == (min(values), max(values))
            checked += 1
    assert checked == 360


def test_floats_that_json_cannot_hold_have_no_bounds(tmp_path, reader):
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("id|BIGINT;nan|DOUBLE PRECISION;inf|REAL;fine|DOUBLE PRECISION;none|DOUBLE PRECISION")
        driver.rows([[1, "NaN", "Infinity", "0", NULL], [2, "1", "1", "-0", NULL]])
        driver.append("u/lake", 1)
    stats = stats_of(tmp_path / "t")[0]
    assert set(stats["minValues"]) == {"id", "fine"} == set(stats["maxValues"])
    assert stats["nullCount"] == {"id": 0, "nan": 0, "inf": 0, "fine": 0, "none": 2}
    rows = sorted(READERS[reader](tmp_path / "t"), key=lambda row: row["id"])
    assert math.isnan(rows[0]["nan"]) and math.isinf(rows[0]["inf"])


def test_readers_that_skip_by_statistics_find_every_row(tmp_path):
    import polars
    with Driver(tmp_path / "t", tmp_path) as driver:
        driver.open("id|BIGINT;s|TEXT;ts|TIMESTAMP")
        for number in range(40):
            driver.rows([[number, "x" * 40 + chr(97 + number % 26), f"2024-01-01T00:00:{number:02}.999999Z"]])
        driver.append("u/lake", 1)
        driver.compact_all(target=1_000_000)
        for number in range(40, 50):
            driver.rows([[number, "x" * 40 + chr(97 + number % 26), f"2024-01-01T00:00:{number:02}.999999Z"]])
        driver.append("u/lake", 2)
    for number in range(50):
        wanted = datetime.datetime(2024, 1, 1, 0, 0, number, 999999, UTC)
        found = polars.scan_delta(str(tmp_path / "t")).filter(polars.col("ts") == wanted).collect()
        assert found["id"].to_list() == [number]
    dataset = DeltaTable(str(tmp_path / "t")).to_pyarrow_dataset()
    import pyarrow.dataset
    letter = dataset.to_table(filter=pyarrow.dataset.field("s") == "x" * 40 + "c")
    assert sorted(letter["id"].to_pylist()) == [2, 28]
