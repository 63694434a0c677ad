"""Parquet files by make_parquet.c, read back by pyarrow, DuckDB and Polars.

What must be in a file is computed here, anew, from the same mixing function: see Expected.
WEIR_MAKE_PARQUET names the program; otherwise the newest one of the build directories is taken.
"""

import datetime
import os
import pathlib
import struct
import subprocess

import duckdb
import numpy
import polars
import pyarrow
import pyarrow.parquet
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LETTERS = "bsilSILfdxyztBDTZvj"
NAMES = ["bool", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float32", "float64", "dec9", "dec18",
         "dec38", "text", "bytes", "date", "ts", "tstz", "interval", "json"]
UTC = pyarrow.timestamp("us", tz="UTC")
TYPES = [pyarrow.bool_(), pyarrow.int16(), pyarrow.int32(), pyarrow.int64(), pyarrow.uint16(), pyarrow.uint32(),
         pyarrow.uint64(), pyarrow.float32(), pyarrow.float64(), pyarrow.decimal128(9, 2), pyarrow.decimal128(18, 4),
         pyarrow.decimal128(38, 10), pyarrow.string(), pyarrow.binary(), pyarrow.date32(), UTC, UTC,
         pyarrow.string(), pyarrow.string()]
INTERVALS = ["00:00:00", "1 day 02:03:04", "1 year 2 mons", "-00:00:01.5", "-1 mons +3 days 00:00:00.000001"]
NUMBERS = "bsilSILfdDTZ"  # columns that are cheap to compute by the million


def program():
    named = os.environ.get("WEIR_MAKE_PARQUET")
    if named:
        return named
    built = sorted(ROOT.glob("build/*/tests/parquet/make_parquet"), key=lambda path: path.stat().st_mtime)
    assert built, "make_parquet is not built (tools/build --debug)"
    return str(built[-1])


def mix(x):
    with numpy.errstate(over="ignore"):
        x = x + numpy.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        return x ^ (x >> numpy.uint64(31))


class Expected:
    """What make_parquet writes, as pyarrow arrays."""

    def __init__(self, rows, seed=0, shape="random", nulls="none", sel=0, first=0, batch=1024, **_):
        row = numpy.arange(first, first + rows, dtype=numpy.uint64)
        if sel:
            row = row[(row - numpy.uint64(first)) % numpy.uint64(batch) % numpy.uint64(3) != 1]
        self.row, self.seed, self.shape, self.nulls = row, seed, shape, nulls

    def column(self, letter):
        index = LETTERS.index(letter)
        with numpy.errstate(over="ignore"):
            v = mix(numpy.uint64(self.seed * 1000003) + self.row * numpy.uint64(64) + numpy.uint64(index))
        null = {"none": numpy.zeros(len(v), bool), "all": numpy.ones(len(v), bool),
                "some": (v >> numpy.uint64(40)) % numpy.uint64(7) == 3,
                "runs": self.row // numpy.uint64(1000) % numpy.uint64(3) == 1}[self.nulls]
        v = {"small": v % numpy.uint64(5), "sorted": self.row}.get(self.shape, v)
        return self.array(letter, TYPES[index], v, null)

    def array(self, letter, kind, v, null):
        if letter in NUMBERS:
            return pyarrow.array(self.numbers(letter, v), mask=null).cast(kind) if letter in "DTZ" else pyarrow.array(
                self.numbers(letter, v), type=kind, mask=null)
        value = {"x": self.decimal, "y": self.decimal, "z": self.decimal, "t": self.text}.get(letter)
        if value is not None:
            made = [None if n else value(letter, int(x)) for x, n in zip(v, null)]
        elif letter == "B":
            made = [None if n else struct.pack("<Q", int(x)) * (int(x) % 4) for x, n in zip(v, null)]
        elif letter == "v":
            made = [None if n else INTERVALS[int(x) % 5] for x, n in zip(v, null)]
        else:
            made = [None if n else '{"a": %d}' % x for x, n in zip(v, null)]
        if letter in "xyz":
            return decimals(made, kind)
        return pyarrow.array(made, type=kind)

    def numbers(self, letter, v):
        extreme = self.shape == "extreme"
        if letter == "b":
            return (v & numpy.uint64(1)).astype(bool)
        if letter in "fd":
            if extreme:
                values = [numpy.nan, numpy.inf, -numpy.inf, 0.0, -0.0, 1.7976931348623157e308, 5e-324, 1.5]
                if letter == "f":
                    values[5:7] = [3.4028234e38, 1e-45]
                return numpy.array(values, numpy.float32 if letter == "f" else float)[v % numpy.uint64(8)]
            if letter == "f":
                return v.astype(numpy.int32).astype(numpy.float32) * numpy.float32(0.25)
            return (v >> numpy.uint64(11)).astype(float) * 0.01
        width = {"s": numpy.int16, "S": numpy.uint16, "i": numpy.int32, "I": numpy.uint32, "D": numpy.int32,
                 "L": numpy.uint64}.get(letter, numpy.int64)
        if extreme:
            of = {"s": numpy.int16, "S": numpy.int16, "i": numpy.int32, "I": numpy.int32, "D": numpy.int32}
            info = numpy.iinfo(of.get(letter, numpy.int64))
            values = numpy.array([info.min, info.max, 0, -1, 1], numpy.int64)[v % numpy.uint64(5)]
            return values.astype(width)
        if letter == "D":
            return ((v % numpy.uint64(2000000)).astype(numpy.int64) - 700000).astype(numpy.int32)
        if letter in "TZ" and self.shape == "random":
            v = v % numpy.uint64(4000000000000000)
        return v.astype(width)

    def decimal(self, letter, v):
        limit = 10 ** (9 if letter == "x" else 18) - 1
        high = 10 ** 38 - 1 if letter == "z" else limit
        if self.shape == "extreme":
            return [high, -high, 0][v % 3]
        if letter == "z" and self.shape == "random":
            return (v - 2 ** 64 if v >= 2 ** 63 else v) * 1000000007
        return v % (2 * limit + 1) - limit

    def text(self, _, v):
        if self.shape == "extreme":
            return "\xff" * ([0, 200, 64, 66][v % 4] // 2)
        if self.shape == "sorted":
            return "https://example.org/items/%012d" % v
        return "%x" % v + "-abcdefghijklmnopqrstuvwxyz0123456789"[:v % 37]


def decimals(unscaled, kind):
    """decimal128 from unscaled integers, without decimal.Decimal's context in between."""
    raw = b"".join((0 if u is None else u).to_bytes(16, "little", signed=True) for u in unscaled)
    bits = numpy.packbits(numpy.array([u is not None for u in unscaled], bool), bitorder="little").tobytes()
    return pyarrow.Array.from_buffers(kind, len(unscaled), [pyarrow.py_buffer(bits), pyarrow.py_buffer(raw)])


def make(path, **options):
    run = subprocess.run([program(), str(path), *(f"{key}={value}" for key, value in options.items())],
                         capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return path


def bits(array):
    """The array in a form that compares NaNs by their being NaN and zeros by their sign."""
    if isinstance(array, pyarrow.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pyarrow.ExtensionArray):
        array = array.storage
    if pyarrow.types.is_floating(array.type):
        wide = array.fill_null(0).to_numpy(zero_copy_only=False)
        wide = numpy.where(numpy.isnan(wide), numpy.array(numpy.nan, wide.dtype), wide)
        whole = pyarrow.array(wide.view(numpy.int32 if wide.itemsize == 4 else numpy.int64),
                              mask=array.is_null().to_numpy(zero_copy_only=False))
        return whole
    return array


def same(read, expected, what):
    read, expected = bits(read), bits(expected)
    if read.type != expected.type:
        read = read.cast(expected.type)
    assert len(read) == len(expected), what
    if not read.equals(expected):
        for i in range(len(read)):
            if not read[i].equals(expected[i]):
                raise AssertionError(f"{what}, row {i}: {read[i]} read, {expected[i]} expected")
        raise AssertionError(f"{what}: arrays differ")


def check_pyarrow(path, expected, letters, **options):
    table = pyarrow.parquet.read_table(path, **options)
    assert table.column_names == [NAMES[LETTERS.index(letter)] for letter in letters]
    for letter, column in zip(letters, table.columns):
        same(column, expected.column(letter), f"pyarrow, {NAMES[LETTERS.index(letter)]}")
    return table


def check_duckdb(path, expected, letters):
    # Out of DuckDB's ranges are infinite dates and times, which it would show as such.
    letters = [letter for letter in letters if expected.shape != "extreme" or letter not in "DTZ"]
    names = ", ".join(f"{name}::VARCHAR AS {name}" if letter == "j" else name
                      for letter, name in ((letter, NAMES[LETTERS.index(letter)]) for letter in letters))
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    table = connection.sql(f"SELECT {names} FROM read_parquet('{path}')").to_arrow_table()
    for letter, column in zip(letters, table.columns):
        same(column, expected.column(letter), f"duckdb, {NAMES[LETTERS.index(letter)]}")


def check_polars(path, expected, letters):
    table = polars.read_parquet(path).to_arrow()
    for letter, column in zip(letters, table.columns):
        same(column, expected.column(letter), f"polars, {NAMES[LETTERS.index(letter)]}")


def check(path, options, letters=LETTERS):
    expected = Expected(**options)
    table = check_pyarrow(path, expected, letters)
    check_duckdb(path, expected, letters)
    check_polars(path, expected, letters)
    return table


CASES = [
    dict(rows=0), dict(rows=1), dict(rows=1, nulls="all"), dict(rows=1000, nulls="all"),
    dict(rows=5000), dict(rows=5000, nulls="some"), dict(rows=9000, nulls="runs"),
    dict(rows=5000, shape="small"), dict(rows=5000, shape="small", nulls="some"),
    dict(rows=40000, shape="small", nulls="runs"),
    dict(rows=5000, shape="sorted"), dict(rows=5000, shape="sorted", nulls="some"),
    dict(rows=3000, shape="extreme"), dict(rows=3000, shape="extreme", nulls="some"),
    dict(rows=3000, shape="extreme", no_dict=1), dict(rows=3000, shape="extreme", plain=1),
    dict(rows=20000, seed=7, no_dict=1), dict(rows=20000, seed=7, no_dict=1, nulls="some"),
    dict(rows=5000, plain=1, nulls="some"), dict(rows=5000, plain=1, shape="small"),
    dict(rows=5000, required=1), dict(rows=5000, required=1, shape="small"),
    dict(rows=5000, crc=1, nulls="some"), dict(rows=5000, level=9),
    dict(rows=10000, group_rows=1000, nulls="some"), dict(rows=10000, group_bytes=100000),
    dict(rows=10000, page_rows=100, nulls="some"), dict(rows=10000, page_rows=777, nulls="runs"),
    dict(rows=10000, page_bytes=500, shape="small"), dict(rows=10000, page_bytes=500, no_dict=1),
    dict(rows=10000, flush=2, nulls="some"),
    dict(rows=9000, batch=1), dict(rows=9000, batch=13, nulls="some"), dict(rows=9000, sel=1),
    dict(rows=9000, sel=1, nulls="some"), dict(rows=9000, sel=1, nulls="some", partition=1),
    dict(rows=9000, partition=1, shape="small", nulls="runs", page_rows=1001),
    dict(rows=60000, seed=3), dict(rows=60000, shape="sorted", page_rows=3000, group_rows=20000),
]


@pytest.mark.parametrize("options", CASES, ids=lambda o: ",".join(f"{k}={v}" for k, v in o.items()))
def test_three_readers_read_every_value_back(options, tmp_path):
    if options.get("partition") and options.get("sel"):
        options = {key: value for key, value in options.items() if key != "sel"}
    path = make(tmp_path / "file.parquet", **options)
    check(path, options)
    if options.get("crc"):
        check_pyarrow(path, Expected(**options), LETTERS, page_checksum_verification=True)


@pytest.mark.parametrize("shape", ["random", "small", "sorted"])
def test_two_million_rows(shape, tmp_path):
    options = dict(rows=2000000, shape=shape, nulls="some", columns=NUMBERS)
    check(make(tmp_path / "file.parquet", **options), options, "".join(c for c in LETTERS if c in NUMBERS))


def test_files_in_turn_share_what_was_learned(tmp_path):
    make(tmp_path / "file", rows=30000, files=4, nulls="some")
    for i in range(4):
        expected = Expected(rows=30000, nulls="some", first=i * 30000)
        check_pyarrow(tmp_path / ("file" if i == 0 else f"file.{i}"), expected, LETTERS)


def test_skipped_columns_are_not_written(tmp_path):
    path = make(tmp_path / "file.parquet", rows=100, columns="ltT", skip="t")
    check_pyarrow(path, Expected(rows=100), "lT")
    empty = subprocess.run([program(), str(path), "columns=l", "skip=l"], capture_output=True, text=True)
    assert empty.returncode == 1 and "partition column" in empty.stderr


def test_footer_says_what_the_file_is(tmp_path):
    path = make(tmp_path / "file.parquet", rows=5000, shape="small", nulls="some")
    file = pyarrow.parquet.ParquetFile(path)
    assert file.metadata.created_by.startswith("weir version 0.1.0 (build ")
    assert file.metadata.metadata[b"weir.test"] == b"yes"
    assert [int(f.metadata[b"PARQUET:field_id"]) for f in file.schema_arrow] == list(range(1, 20))
    for i, letter in enumerate(LETTERS):
        column = file.metadata.row_group(0).column(i)
        assert column.compression == "ZSTD"
        assert column.has_offset_index and column.has_column_index
        assert column.statistics.null_count == Expected(5000, shape="small", nulls="some").column(letter).null_count
        if letter not in "bDTZ":  # times are expected to go on, so differences are taken
            assert "RLE_DICTIONARY" in column.encodings, letter


def test_local_timestamps_on_demand(tmp_path):
    path = make(tmp_path / "file.parquet", rows=10, columns="TZ", local=1)
    schema = pyarrow.parquet.read_schema(path)
    assert [str(field.type) for field in schema] == ["timestamp[us]", "timestamp[us, tz=UTC]"]


def test_encodings_are_those_that_pay(tmp_path):
    def encodings(**options):
        metadata = pyarrow.parquet.read_metadata(make(tmp_path / "file.parquet", **options))
        group = metadata.row_group(0)
        return {group.column(i).path_in_schema: set(group.column(i).encodings) - {"RLE"} for i in range(19)}
    random = encodings(rows=50000)
    assert random["text"] <= {"DELTA_LENGTH_BYTE_ARRAY"}
    assert random["int64"] <= {"PLAIN", "DELTA_BINARY_PACKED"}
    in_order = encodings(rows=50000, shape="sorted")
    assert in_order["text"] == {"DELTA_BYTE_ARRAY"}
    assert in_order["ts"] == in_order["int64"] == in_order["uint32"] == {"DELTA_BINARY_PACKED"}
    assert in_order["float32"] == {"BYTE_STREAM_SPLIT"}
    assert in_order["bool"] == {"PLAIN"}


def test_statistics_bound_every_value(tmp_path):
    for shape in ("random", "small", "sorted"):
        path = make(tmp_path / "file.parquet", rows=8000, shape=shape, nulls="some", group_rows=3000)
        file = pyarrow.parquet.ParquetFile(path)
        for g in range(file.num_row_groups):
            table = file.read_row_group(g)
            for i, letter in enumerate(LETTERS):
                statistics = file.metadata.row_group(g).column(i).statistics
                values = [value for value in table.column(i).to_pylist() if value is not None]
                if letter == "d" or letter == "f":
                    values = [0.0 if value == 0 else value for value in values]
                low, high = statistics.min, statistics.max
                if letter == "Z" or letter == "T":
                    low, high = (x.replace(tzinfo=datetime.timezone.utc) for x in (low, high))
                    values = [x.replace(tzinfo=datetime.timezone.utc) for x in values]
                if letter == "j":
                    low, high = (x.decode() if isinstance(x, bytes) else x for x in (low, high))
                assert low <= min(values) and max(values) <= high, (shape, letter)
                if letter not in "tBj":
                    assert (low, high) == (min(values), max(values)), (shape, letter)


def test_nan_has_no_bounds_and_long_texts_have_cut_ones(tmp_path):
    path = make(tmp_path / "file.parquet", rows=1000, shape="extreme")
    group = pyarrow.parquet.read_metadata(path).row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(19)}
    assert not columns["float64"].statistics.has_min_max and not columns["float64"].has_column_index
    assert not columns["float32"].statistics.has_min_max
    text = columns["text"].statistics
    assert text.min == "" and text.max == "\xff" * 31 + "\u0100"
    assert columns["int64"].statistics.min == -2 ** 63 and columns["int64"].statistics.max == 2 ** 63 - 1
    assert columns["uint64"].statistics.max == 2 ** 64 - 1


@pytest.mark.parametrize("shape", ["random", "small", "sorted"])
@pytest.mark.parametrize("column, letter", [("int64", "l"), ("uint32", "I"), ("uint64", "L"), ("float64", "d"),
                                            ("text", "t"), ("dec38", "z"), ("ts", "T")])
def test_filters_find_what_is_there(column, letter, shape, tmp_path):
    """Pruning by statistics and page index must not lose a row, and must not find more."""
    options = dict(rows=30000, shape=shape, group_rows=5000, page_rows=500, nulls="some")
    path = make(tmp_path / "file.parquet", **options)
    expected = Expected(**options).column(letter)
    values = [value for value in expected.to_pylist() if value is not None]
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for wanted in sorted(set(values))[:: max(1, len(set(values)) // 6)]:
        for op, count in (("=", sum(v == wanted for v in values)), (">=", sum(v >= wanted for v in values)),
                          ("<", sum(v < wanted for v in values))):
            scan = polars.scan_parquet(path)
            target = polars.lit(wanted, dtype=scan.collect_schema()[column])
            condition = {"=": polars.col(column) == target, ">=": polars.col(column) >= target,
                         "<": polars.col(column) < target}[op]
            assert scan.filter(condition).select(polars.len()).collect().item() == count
            typed = connection.execute(f"SELECT any_value(typeof({column})) FROM '{path}'").fetchone()[0]
            found = connection.execute(f"SELECT count(*) FROM '{path}' WHERE {column} {op} CAST(? AS {typed})",
                                       [wanted]).fetchone()[0]
            assert found == count
        found = pyarrow.parquet.read_table(path, filters=[(column, "=", pyarrow.scalar(wanted, expected.type))])
        assert found.num_rows == sum(v == wanted for v in values)


def test_web_events_read_back_alike(tmp_path):
    """The rows of bench_parquet: random hex ids, which go past zstd's encoder, skewed pages, prices."""
    path = tmp_path / "events.parquet"
    bench = pathlib.Path(program()).with_name("bench_parquet")
    subprocess.run([bench, "300000", path], check=True, capture_output=True, timeout=300)
    table = pyarrow.parquet.read_table(path)
    ids = table["event_id"].to_pylist()
    assert len(set(ids)) == len(ids) and all(len(x) == 16 and not set(x) - set("0123456789abcdef") for x in ids)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    others = {"duckdb": connection.sql(f"FROM '{path}'").to_arrow_table(), "polars": polars.read_parquet(path).to_arrow()}
    for name, other in others.items():
        for column in table.column_names:
            same(other[column], table[column].combine_chunks(), f"{name}, {column}")
