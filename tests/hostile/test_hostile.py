"""64 MB of hostile bytes through the whole program: every record lands or becomes a dead letter with its own bytes, nothing
crashes, hangs or is lost. tools/test runs this a second time under ASan + UBSan.

Each run prints its seed; WEIR_SEED=N repeats it, and tools/test --full takes more bytes and more seeds.
"""

import base64
import collections
import gzip
import json
import os
import pathlib
import random
import re
import subprocess

import pytest

from services.harness import FULL, ROOT, run_weir, weir_bin, weir_env
from window_oracle import check_ledger

SEED = int(os.environ.get("WEIR_SEED", random.SystemRandom().randrange(1 << 31) if FULL else 20240611))
MB = 1_000_000
SECONDS = 240

COLUMNS = """id BIGINT NOT NULL, name TEXT, amount DOUBLE PRECISION, price NUMERIC(12,2), small SMALLINT, flag BOOLEAN,
  doc JSON, raw BYTEA, day DATE, ts TIMESTAMP"""
NAMES = ["id", "name", "amount", "price", "small", "flag", "doc", "raw", "day", "ts"]

CUT = b"\n(cut: the line is too long)"

GOOD, BAD, EITHER = "good", "bad", "either"


# --- records of JSON ----------------------------------------------------------------------------


def event(rng):
    value = {"id": rng.randrange(-(1 << 63), 1 << 63), "name": rng.choice(["a", "straße", "日本", "x" * rng.randrange(60), "\U0001f600 \\\"\n"]),
             "amount": rng.uniform(-1e6, 1e6), "price": f"{rng.randrange(10**9)}.{rng.randrange(100):02}",
             "small": rng.randrange(-32768, 32768), "flag": rng.random() < 0.5, "doc": {"k": [1, None, "v"]},
             "raw": base64.b64encode(rng.randbytes(rng.randrange(20))).decode(), "day": "2024-02-29", "ts": 1700000000000 + rng.randrange(10**9)}
    for name in rng.sample(NAMES[1:], rng.randrange(5)):
        value[name] = None
    return value


def dumps(rng, value):
    return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode()


def good(rng):
    return GOOD, dumps(rng, event(rng))


def truncated(rng):
    text = dumps(rng, event(rng))
    return BAD, text[:rng.randrange(1, len(text))]


def mutated(rng):
    text = bytearray(dumps(rng, event(rng)))
    for _ in range(rng.choice([1, 1, 1, 2, 5, 30])):
        at = rng.randrange(len(text) + 1)
        how = rng.randrange(5)
        if how == 0 and at < len(text):
            text[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            text[at:at] = bytes([rng.randrange(256)])
        elif how == 2:
            del text[at:at + rng.randrange(1, 9)]
        elif how == 3:
            text[at:at] = text[at:at + rng.randrange(1, 40)]
        else:
            text[at:at] = rng.choice([b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\\u", b"\\ud800", b"null", b"\0",
                                      b"1e999", b"-", b"0", b"\x7f", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf"])
    return EITHER, bytes(text).replace(b"\n", b" ")


NUMBERS = [b"1e400", b"-1e400", b"9223372036854775808", b"-9223372036854775809", b"1" * 400, b"0." + b"0" * 300 + b"1", b"1e-400",
           b"1e99999999999999999999", b"0e99999999999999", b"-0", b"0.0000000000000000000000001e25", b"18446744073709551616", b"1E+5",
           b"00", b"01", b"+1", b".5", b"5.", b"1e", b"1e+", b"--1", b"0x10", b"NaN", b"Infinity", b"-Infinity", b"1_000", b"1.2.3",
           b"4.9e-324", b"1.7976931348623157e308", b"1.7976931348623159e308", b"2.2250738585072011e-308", b"123456789012345678901234567890.5"]


def huge_number(rng):
    column = rng.choice([b"id", b"amount", b"price", b"small", b"ts", b"name", b"doc", b"unknown"])
    number = rng.choice(NUMBERS)
    if rng.random() < 0.3:
        number = b'"' + number + b'"'
    return EITHER, b'{"id":1,"' + column + b'":' + number + b"}"


def bad_utf8(rng):
    piece = rng.choice([b"\xff", b"\xc0\xaf", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc3", b"\xf0\x9f\x98", b"\x80"])
    text = b"x" * rng.randrange(70) + piece + b"y" * rng.randrange(70)
    return BAD, b'{"id":2,"name":"' + text + b'"}'


def nul_bytes(rng):
    return rng.choice([(BAD, b'{"id":3,"name":"a\0b"}'), (BAD, b'{"id":3}\0'), (BAD, b"\0" * rng.randrange(1, 90)), (BAD, b'\0{"id":3}'),
                       (EITHER, b'{"id":3,"name":"a\\u0000b"}')])


def escapes(rng):
    return rng.choice([(GOOD, rb'{"id":4,"name":"\"\\\/\b\f\n\r\t\u0041\ud83d\ude00"}'), (GOOD, rb'{"\u0069d":4}'),
                       (BAD, rb'{"id":4,"name":"\x41"}'), (BAD, rb'{"id":4,"name":"\u12"}'), (BAD, b'{"id":4,"name":"\\'),
                       (BAD, rb'{"id":4,"name":"\ud800"}'), (BAD, rb'{"id":4,"name":"\udc00\ud800"}'), (BAD, b'{"id":4,"name":"tab\there"}')])


def duplicates(rng):
    keys = [b'"id":%d' % rng.randrange(100) for _ in range(rng.randrange(2, 30))]
    if rng.random() < 0.5:
        keys.insert(0, b'"id":"not a number"')
    return EITHER, b"{" + b",".join(keys) + b"}"


def nested(rng):
    depth = rng.choice([10, 200, 255, 256, 257, 1000, 20000])
    opened, closed = rng.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"b":', b"}]")])
    inner = opened * depth + b"1" + closed * (depth if rng.random() < 0.7 else depth - 1)
    column = rng.choice([b"doc", b"name", b"unknown"])
    return (GOOD if depth == 10 and inner.endswith(closed * 10) else EITHER), b'{"id":5,"' + column + b'":' + inner + b"}"


def noise(rng):
    return BAD, b"\x01" + rng.randbytes(rng.randrange(0, 300)).replace(b"\n", b"?").replace(b"\r", b"?")


def other_tops(rng):
    return BAD, rng.choice([b"[]", b"1", b'"text"', b"null", b"true", b"[{\"id\":1}]", b"{}", b"{} {}", b'{"id":1},', b'{"id":1}{"id":2}',
                            b"{", b"}", b'{"id"', b'{"id":', b"{\"id\":1,}", b"{,}", b"{\"id\" 1}", b"{'id':1}", b"/* */ {\"id\":1}", b" ", b"\t"])


JSON_KINDS = [(good, 30), (truncated, 10), (mutated, 30), (huge_number, 8), (bad_utf8, 6), (nul_bytes, 2), (escapes, 4), (duplicates, 2),
              (nested, 0.3), (noise, 5), (other_tops, 3)]


def giants():
    """Records of 10 MB: each is more than a block, a batch or a buffer anywhere on the way."""
    size = 10 * MB
    return [(GOOD, b'{"id":6,"name":"' + b"z" * size + b'"}'), (BAD, b'{"id":6,"name":"' + b'\\"' * (size // 2)),
            (EITHER, b'{"id":6,"doc":' + b"[" * size), (GOOD, b'{"id":6,"unknown":[' + b"1," * (size // 2) + b'1],"small":7}')]


def make_json(rng, target, big=()):
    """(bytes, {offset: (expectation, record)})"""
    kinds, weights = zip(*JSON_KINDS)
    parts, records, at = [], {}, 0
    big, small = list(big), 0
    if rng.random() < 0.5:
        parts.append(b"\xef\xbb\xbf")
        at = 3
    every = target // (len(big) + 1)
    while small < target or big:
        if big and small >= target - every * len(big):
            expectation, record = big.pop()
        else:
            expectation, record = rng.choices(kinds, weights)[0](rng)
            small += len(record)
        end = b"\r\n" if rng.random() < 0.1 else b"\n"
        if record.endswith(b"\r"):
            record += b"?"
        if record:
            records[at] = (expectation, record)
        parts += [record, end]
        at += len(record) + len(end)
        if rng.random() < 0.01:
            parts.append(b"\n\r\n")
            at += 3
    return b"".join(parts), records


# --- what came of them --------------------------------------------------------------------------


def run_pipeline(directory, files, options, what, columns=COLUMNS, on_error="bad"):
    """Runs files -> good.ndjson, bad.ndjson; returns (stats, {file: {offset: row}}, {file: {offset: (bytes, letter)}})."""
    source = directory / "in"
    source.mkdir()
    for name, data in files.items():
        (source / name).write_bytes(data)
    sql = directory / "p.sql"
    sql.write_text(f"""
      CREATE SOURCE events ({columns}) WITH (connector='file', path='{source}/*', {options}, on_error='{on_error}');
      CREATE SINK good WITH (connector='file', path='{directory}/good.ndjson') AS SELECT _offset AS at, id, name FROM events;
      CREATE SINK lake WITH (connector='parquet', path='{directory}/lake') AS SELECT * FROM events;
      CREATE SINK bad WITH (connector='file', path='{directory}/bad.ndjson');""")
    print(f"seed {SEED}, {what}")
    result = run_weir("run", sql, "--quiet", *what, code=0, stats=True, timeout=SECONDS)
    bad = collections.defaultdict(dict)
    with open(directory / "bad.ndjson", encoding="utf-8") as lines:
        for line in lines:
            letter = json.loads(line)
            raw = letter["_value"].encode() if letter["_encoding"] == "utf-8" else base64.b64decode(letter["_value"], validate=True)
            name = pathlib.Path(letter["_split"]).name
            assert letter["_position"] not in bad[name], f"twice: {name} at {letter['_position']}"
            assert letter["_error"] and letter["_source"] == "events"
            bad[name][letter["_position"]] = raw, letter
    with open(directory / "good.ndjson", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return result.stats, rows, bad


def check_counts(stats, records, rows, bad):
    sums = check_ledger(stats)
    dead = sum(len(letters) for letters in bad.values())
    for sink in ("good", "lake"):
        assert sums[sink]["read"] == records
        assert sums[sink]["landed"] == len(rows) and sums[sink]["dead_lettered"] == dead
        assert sums[sink]["late"] == sums[sink]["filtered"] == sums[sink]["in_flight"] == 0
    assert len(rows) + dead == records


def check_json(data, records, rows, bad):
    """Rows of one file: each record is exactly one of the two, and is there whole."""
    landed = {row["at"]: row for row in rows}
    assert len(landed) == len(rows)
    assert landed.keys() | bad.keys() == records.keys() and not landed.keys() & bad.keys()
    for at, (raw, letter) in bad.items():
        expectation, record = records[at]
        assert raw == record, f"at {at}: the letter holds {raw[:200]!r}, the file {record[:200]!r}"
        assert expectation != GOOD, f"at {at}: {letter['_error']}: {record[:300]!r}"
    for at, row in landed.items():
        expectation, record = records[at]
        assert expectation != BAD, f"at {at}: landed as {str(row)[:200]}: {record[:300]!r}"
        assert data[at:at + len(record)] == record


@pytest.mark.parametrize("batch_rows, workers", [(1024, 2), (1, 1)] if not FULL else [(1024, 2), (1, 1), (7, 4)])
def test_json(tmp_path, batch_rows, workers):
    rng = random.Random(SEED + batch_rows)
    small = batch_rows == 1 and not FULL
    data, records = make_json(rng, (4 if small else 10) * MB, () if small else giants()[:2] if not FULL else giants())
    stats, rows, bad = run_pipeline(tmp_path, {"a.ndjson": data}, "format='json'",
                                    ["--set", f"batch_rows={batch_rows}", "--workers", str(workers)])
    check_counts(stats, len(records), rows, bad)
    check_json(data, records, rows, bad["a.ndjson"])
    expected_good = sum(e == GOOD for e, _ in records.values())
    assert len(rows) >= expected_good > 0


def test_json_packed_and_several_files(tmp_path):
    import pyarrow
    rng = random.Random(SEED + 100)
    made = {name: make_json(rng, 3 * MB * (3 if FULL else 1), giants()[2:3] if name == "c.zst" else ()) for name in ("a.gz", "b.gz", "c.zst", "d.ndjson")}
    files = {}
    for name, (data, _) in made.items():
        files[name] = data
        if name.endswith("gz"):
            half = len(data) // 2
            files[name] = gzip.compress(data[:half], 1) + gzip.compress(data[half:], 1)  # two members
        elif name.endswith("zst"):
            files[name] = pyarrow.Codec("zstd").compress(data, asbytes=True)
    stats, rows, bad = run_pipeline(tmp_path, files, "format='json'", ["--workers", "2", "--memory", "256MiB"])
    check_counts(stats, sum(len(records) for _, records in made.values()), rows, bad)
    landed = collections.Counter(row["at"] for row in rows)
    for name, (_, records) in made.items():
        for at, (raw, letter) in bad[name].items():
            whole = records[at][1]
            if len(whole) > 8 * MB:  # more than such a memory has for a line: its beginning, marked
                assert raw == whole[:65536] + CUT
            else:
                assert raw == whole and records[at][0] != GOOD, letter["_error"]
        landed.subtract(records.keys() - bad[name].keys())
    assert not any(landed.values())


# --- CSV ----------------------------------------------------------------------------------------

CSV_PIECES = [b"", b"1", b"-7", b"x", b"a b", b"1e400", b"9223372036854775808", b"2024-02-30", b"\\x00ff", b"\\xzz", b"true", b"maybe",
              b'"quoted"', b'"a ""b"" c"', b'"two\nlines"', b'"crlf\r\nin it"', b'"', b'""', b'a"b', b'"a"b', b"\xff\xfe", b"\0", b"\xef\xbb\xbf",
              b"x" * 5000, b"{}", b"[" * 300, b"'", b"\t", b"\\N", b"NULL"]


def make_csv(rng, target):
    """Fields of which any may be wrong; an open quote swallows what follows up to the next one, as it should."""
    parts = []
    size = 0
    while size < target:
        how = rng.random()
        if how < 0.5:
            fields = [b"%d" % rng.randrange(1000), b"n", b"1.5", b"2.25", b"3", b"true", b"{}", b"", b"2024-01-01", b"1700000000000"]
        else:
            fields = [rng.choice(CSV_PIECES) for _ in range(rng.choice([10, 10, 10, 1, 9, 11, 40]))]
        line = b",".join(fields)
        if how > 0.97:
            line = rng.randbytes(rng.randrange(1, 200))
        parts.append(line + (b"\r\n" if rng.random() < 0.2 else b"\n"))
        size += len(parts[-1])
    return b"".join(parts)


def check_tiling(data, start, rows, bad):
    """Positions and letters cover the file without a gap: between two records there is nothing but line ends."""
    places = sorted([(row["at"], None) for row in rows] + [(at, raw) for at, (raw, _) in bad.items()])
    assert data[start:places[0][0]].strip(b"\r\n") == b""
    for (at, raw), (following, _) in zip(places, places[1:] + [(len(data), None)]):
        assert following > at and data[following - 1:following] == b"\n", f"at {at}: the next record, at {following}, begins within a line"
        line = data[at:following]
        if raw is not None:
            assert line.startswith(raw) and line[len(raw):].strip(b"\r\n") == b"", f"at {at}: {raw[:100]!r} is not {line[:100]!r}"
        else:
            assert b"\0" not in line


@pytest.mark.parametrize("header", [True, False])
def test_csv(tmp_path, header):
    rng = random.Random(SEED + 200 + header)
    first = ",".join(NAMES).encode() + b"\r\n" if header else b""
    data = first + make_csv(rng, (24 if FULL else 6) * MB) + b"\n"
    stats, rows, bad = run_pipeline(tmp_path, {"a.csv": data}, f"format='csv', header='{str(header).lower()}'", ["--workers", "1"])
    check_counts(stats, len(rows) + len(bad["a.csv"]), rows, bad)
    check_tiling(data, len(first), rows, bad["a.csv"])
    assert len(rows) > 1000 and len(bad["a.csv"]) > 1000


# --- broken archives ----------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "garbage behind", "empty member", "only magic"])
def test_broken_archives_end_with_a_message_that_names_the_file(tmp_path, codec, damage):
    import pyarrow
    rng = random.Random(SEED + 300)
    data, records = make_json(rng, 2 * MB)
    pack = (lambda d: gzip.compress(d, 1)) if codec == "gzip" else (lambda d: pyarrow.Codec("zstd").compress(d, asbytes=True))
    packed = bytearray(pack(data))
    if damage == "truncated":
        del packed[len(packed) * 2 // 3:]
    elif damage == "flipped":
        # More than a block of zstd holds (128 KiB): its frames have no checksum here, but block headers cannot be 0xff.
        packed[len(packed) // 3:len(packed) // 3 + 200_000] = b"\xff" * 200_000
    elif damage == "garbage behind":
        packed += b"this is no archive any more"
    elif damage == "empty member":
        packed += pack(b"")
    else:
        packed = packed[:4]
    (tmp_path / "in.bin").write_bytes(packed)
    (tmp_path / "p.sql").write_text(f"""
      CREATE SOURCE events ({COLUMNS}) WITH (connector='file', path='{tmp_path}/in.bin', format='json', on_error='bad');
      CREATE SINK good WITH (connector='file', path='{tmp_path}/good.ndjson') AS SELECT _offset AS at, id FROM events;
      CREATE SINK bad WITH (connector='file', path='{tmp_path}/bad.ndjson');""")
    result = run_weir("run", tmp_path / "p.sql", "--quiet", stats=True, timeout=SECONDS)
    sums = check_ledger(result.stats)
    if damage == "empty member":
        assert result.code == 0 and sums["good"]["read"] == len(records)
        return
    assert result.code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("weir: ")]
    assert len(errors) == 1 and str(tmp_path / "in.bin") in errors[0] and codec in errors[0], result.stderr
    assert re.search(r"^  hint: \S", result.stderr, re.MULTILINE), result.stderr
    # What is in the files is whole lines of whole epochs.
    for name in ("good", "bad"):
        text = (tmp_path / f"{name}.ndjson").read_bytes()
        assert not text or text.endswith(b"\n")
        assert all(json.loads(line) for line in text.splitlines())


# --- SQL ----------------------------------------------------------------------------------------


VARIABLES = {name: "x:9092" for name in ("KAFKA_BROKERS", "BENCH_BROKERS", "BENCH_FILE", "BENCH_DIR", "TOPIC", "BUCKET", "LAKE")}


def corpus():
    """Right pipelines as often as wrong ones."""
    right = [*(ROOT / "deploy" / "pipelines").glob("*.sql"), *(ROOT / "bench" / "pipelines").glob("*.sql"),
             *(ROOT / "tests" / "fuzz" / "corpus" / "sql").glob("*")]
    wrong = [*(ROOT / "tests" / "golden" / "cases").glob("*.sql")]
    assert len(right) > 8 and len(wrong) > 60
    texts = [[path.read_bytes() for path in sorted(paths)] for paths in (right, wrong)]
    return texts[0] * (len(wrong) // len(right)) + texts[1]


WORDS = (b"SELECT FROM WHERE GROUP BY HAVING CREATE SOURCE SINK VIEW TABLE WITH AS AND OR NOT NULL IS IN BETWEEN LIKE CASE WHEN THEN ELSE END "
         b"CAST INTERVAL TUMBLE HOP SESSION UNION ALL INSERT INTO WATERMARK FOR count sum ( ( ( ) ) , ; ' \" -- /* */ $$ :: -> ->> 1 1.5e400 "
         b"'x' * = <> || % 99999999999999999999 DISTINCT FILTER OVER array [ ] { } \0 \xff \xc3\xa9 E'\\' U&'").split(b" ")


def mutate_sql(rng, texts):
    text = bytearray(rng.choice(texts))
    for _ in range(rng.choice([0, 1, 1, 2, 4, 12])):
        at = rng.randrange(len(text) + 1)
        how = rng.randrange(7)
        if how == 0:
            del text[at:at + rng.randrange(1, 30)]
        elif how == 1:
            text[at:at] = b" " + rng.choice(WORDS) + b" "
        elif how == 2 and at < len(text):
            text[at] = rng.randrange(256)
        elif how == 3:
            other = rng.choice(texts)
            start = rng.randrange(len(other) + 1)
            text[at:at] = other[start:start + rng.randrange(200)]
        elif how == 4:
            piece = rng.choice([b"(", b"NOT ", b"-", b"CASE WHEN ", b"a.", b"[", b"1+", b"SELECT * FROM ("])
            text[at:at] = piece * rng.choice([3, 50, 400, 20000])
        elif how == 5:
            start = rng.randrange(len(text) + 1)
            text[at:at] = text[start:start + rng.randrange(60)]
        else:
            del text[at:]
    return bytes(text)


def check_sql(directory, text):
    path = directory / "case.sql"
    path.write_bytes(text)
    done = subprocess.run([weir_bin(), "check", path], env=weir_env(VARIABLES), capture_output=True, timeout=60, check=False)
    where = f"seed {SEED}: exit {done.returncode}: {done.stderr[-2000:].decode(errors='replace')}\n--- {text[:3000]!r}"
    assert done.returncode in (0, 2), where
    message = done.stderr.decode()  # must be UTF-8 whatever the file was
    if done.returncode == 2:
        assert message.startswith("weir: ") and len(message.splitlines()[0]) > 10, where
        assert len(done.stderr) < 20_000, where
    return done.returncode


def test_sql(tmp_path):
    rng = random.Random(SEED + 400)
    texts = corpus()
    codes = collections.Counter(check_sql(tmp_path, mutate_sql(rng, texts)) for _ in range(4000 if FULL else 300))
    assert codes[0] and codes[2], f"all the same: {codes}"


@pytest.mark.parametrize("text", [b"", b"\0", b"\xef\xbb\xbf", b";" * 100_000, b"(" * 1_000_000, b"SELECT " * 300_000, b"'" + b"x" * 3_000_000,
                                  b"/*" * 500_000, b"--" + b"x" * 4_000_000, b"x" * 5_000_000, b"$" * 100_000, b"\n" * 1_000_000 + b"x"],
                         ids=["empty", "nul", "mark", "semicolons", "parentheses", "selects", "open text", "comments", "comment", "too long", "dollars", "lines"])
def test_sql_extremes(tmp_path, text):
    assert check_sql(tmp_path, text) == 2
