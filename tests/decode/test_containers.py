"""Avro container files as a source: written by fastavro and by Avro C, whole and damaged, read once across restarts."""

import io
import json
import os
import pathlib
import random
import struct
import subprocess

import fastavro
import pyarrow
import pytest

from services.harness import Weir, run_weir

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOUND = sorted(ROOT.glob("build/*/tests/decode/avro_c_recode"), key=lambda path: path.stat().st_mtime)
DRIVER = os.environ.get("WEIR_BINARY_DRIVER")
RECODE = pathlib.Path(DRIVER).parent / "avro_c_recode" if DRIVER else (FOUND[-1] if FOUND else None)

SCHEMA = {"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "long"}, {"name": "who", "type": ["null", "string"]},
    {"name": "items", "type": {"type": "array", "items": {"type": "record", "name": "Item", "fields": [
        {"name": "sku", "type": "string"}, {"name": "price", "type": "double"}]}}},
    {"name": "tags", "type": {"type": "map", "values": "int"}}]}


def order(i):
    return {"id": i, "who": None if i % 3 == 0 else f"somebody with number {i}",
            "items": [{"sku": f"s{k}", "price": k / 2} for k in range(i % 4)], "tags": {"a": i, "b": 1}}


def long(number):
    number, out = number << 1, b""
    while number > 0x7f:
        out += bytes([number & 0x7f | 0x80])
        number >>= 7
    return out + bytes([number])


def zstandard(path, values, schema):
    """fastavro wants a module of its own for it."""
    def text(value):
        return long(len(value)) + value

    parsed, sync = fastavro.parse_schema(schema), bytes(range(16))
    with open(path, "wb") as file:
        file.write(b"Obj\1" + long(2) + text(b"avro.codec") + text(b"zstandard") + text(b"avro.schema") +
                   text(json.dumps(schema).encode()) + long(0) + sync)
        for begin in range(0, len(values), 700):
            into = io.BytesIO()
            for value in values[begin:begin + 700]:
                fastavro.schemaless_writer(into, parsed, value)
            file.write(long(len(values[begin:begin + 700])) +
                       text(pyarrow.compress(into.getvalue(), codec="zstd", asbytes=True)) + sync)


def container(path, values, schema=None, codec="null", sync_interval=2000):
    if codec == "zstandard":
        zstandard(path, values, schema or SCHEMA)
        return
    with open(path, "wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema or SCHEMA), values, codec=codec, sync_interval=sync_interval)


def write(tmp_path, path, columns="", options="", select="*"):
    sql = tmp_path / "p.sql"
    sql.write_text(f"""CREATE SOURCE orders {columns} WITH (connector='file', path='{path}', format='avro', on_error='bad' {options});
      CREATE SINK out WITH (connector='file', path='{tmp_path}/out.ndjson', format='json', commit_interval='50ms') AS
        SELECT {select} FROM orders;
      CREATE SINK bad WITH (connector='file', path='{tmp_path}/bad.ndjson', commit_interval='50ms');""")
    return sql


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def avro_c(tmp_path, path, values, codec):
    data = b""
    for value in values:
        into = io.BytesIO()
        fastavro.schemaless_writer(into, fastavro.parse_schema(SCHEMA), value)
        data += struct.pack("<I", len(into.getvalue())) + into.getvalue()
    (tmp_path / "c.avsc").write_text(json.dumps(SCHEMA))
    subprocess.run([RECODE, tmp_path / "c.avsc", codec, path], input=data, check=True, timeout=60)


@pytest.mark.parametrize("codec", ["null", "deflate", "zstandard"])
def test_columns_and_values(tmp_path, codec):
    values = [order(i) for i in range(5000)]
    container(tmp_path / "a.avro", values, codec=codec)
    result = run_weir("run", str(write(tmp_path, tmp_path / "a.avro")), stats=True, code=0)
    assert result.stats["events_read"] == 5000
    assert rows(tmp_path / "out.ndjson") == values
    assert rows(tmp_path / "bad.ndjson") == []


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "lzma"])
def test_files_of_avro_c(tmp_path, codec):
    values = [order(i) for i in range(3000)]
    avro_c(tmp_path, tmp_path / "a.avro", values, codec)
    run_weir("run", str(write(tmp_path, tmp_path / "a.avro")), "--state", "none", code=0)
    assert rows(tmp_path / "out.ndjson") == values


def test_standard_input_is_new_data_each_time(tmp_path):
    container(tmp_path / "a.avro", [order(i) for i in range(1000)])
    sql, state = write(tmp_path, "-", columns="(id BIGINT)"), ["--state", str(tmp_path / "state")]
    for run in (1, 2):
        run_weir("run", str(sql), *state, input=(tmp_path / "a.avro").read_bytes(), code=0)
        assert [r["id"] for r in rows(tmp_path / "out.ndjson")] == list(range(1000)) * run


def test_files_with_schemas_of_their_own_and_a_readers_schema(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    old = {"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}, {"name": "old", "type": "string"}]}
    new = {"type": "record", "name": "R", "fields": [{"name": "extra", "type": "double"}, {"name": "n", "type": "long"}]}
    reader = {"type": "record", "name": "R", "fields": [{"name": "n", "type": "long"},
                                                        {"name": "name", "aliases": ["old"], "type": "string", "default": "-"}]}
    container(folder / "1.avro", [{"n": i, "old": "x"} for i in range(10)], old)
    container(folder / "2.avro", [{"n": i, "extra": 1.5} for i in range(10, 20)], new)
    (folder / "3.avro").write_bytes(b"this is none")
    (folder / "4.avro").write_bytes(b"")
    (tmp_path / "r.avsc").write_text(json.dumps(reader))
    sql = write(tmp_path, folder, options=f", schema='{tmp_path}/r.avsc'")
    run_weir("run", str(sql), code=0)
    got = sorted(rows(tmp_path / "out.ndjson"), key=lambda r: r["n"])
    assert got == [{"n": i, "name": "x" if i < 10 else "-"} for i in range(20)]
    bad = rows(tmp_path / "bad.ndjson")
    assert len(bad) == 1 and "no Avro container file" in bad[0]["_error"] and bad[0]["_value"] == "this is none"


def blocks(data):
    """[(offset, bytes)] of a file's blocks, by its sync marker."""
    with io.BytesIO(data) as file:
        found = [(b.offset, b.size) for b in fastavro.block_reader(file)]
    return found


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_one_bad_block_does_not_stop_a_file(tmp_path, codec):
    values = [order(i) for i in range(2000)]
    container(tmp_path / "a.avro", values, codec=codec)
    data = bytearray((tmp_path / "a.avro").read_bytes())
    sync = bytes(data[-16:])
    ends = [at + 16 for at in range(len(data)) if data[at:at + 16] == sync]
    assert len(ends) > 8
    data[ends[2] - 8] ^= 1  # a sync marker: its block, and all up to the next one
    data[ends[5] + 1] ^= 0x7f  # a size
    if codec == "deflate":
        data[ends[7] + 40:ends[7] + 60] = bytes(20)  # what a block holds
    data = data[:-20]  # and the end is missing
    (tmp_path / "b.avro").write_bytes(data)
    sql = write(tmp_path, tmp_path / "b.avro")
    state = ["--state", str(tmp_path / "state")]
    run_weir("run", str(sql), *state, code=0)
    got = [r["id"] for r in rows(tmp_path / "out.ndjson")]
    bad = rows(tmp_path / "bad.ndjson")
    errors = [b["_error"] for b in bad]
    assert got == sorted(set(got)) and 1000 < len(got) < 2000
    assert all(r == values[r["id"]] for r in rows(tmp_path / "out.ndjson"))
    assert len(bad) >= (4 if codec == "deflate" else 3)
    assert "does not end with the file's sync marker" in errors[0] and "ends within a block" in errors[-1]
    if codec == "deflate":
        assert any("deflate data is broken" in e for e in errors)
    positions = [b["_position"] for b in bad]
    assert positions == sorted(set(positions))
    # Again, from what was committed: nothing comes twice.
    run_weir("run", str(sql), *state, code=0)
    assert len(rows(tmp_path / "out.ndjson")) == len(got) and len(rows(tmp_path / "bad.ndjson")) == len(bad)


def test_flipped_bytes_are_rows_or_dead_letters(tmp_path):
    rng = random.Random(5)
    values = [order(i) for i in range(1500)]
    container(tmp_path / "a.avro", values, codec="deflate")
    whole = (tmp_path / "a.avro").read_bytes()
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(30):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.getrandbits(8)
        (folder / f"{n:02}.avro").write_bytes(data[:rng.randint(0, len(data))] if n % 3 == 0 else data)
    sql = write(tmp_path, folder, columns="(id BIGINT, who TEXT)")
    result = run_weir("run", str(sql), stats=True, code=0)
    assert result.stats["events_read"] == len(rows(tmp_path / "out.ndjson")) + len(rows(tmp_path / "bad.ndjson"))


def test_a_killed_run_goes_on_exactly_once(tmp_path):
    codec = "deflate"
    values = [{"id": i, "who": "w" * 30, "items": [], "tags": {}} for i in range(60000)]
    container(tmp_path / "a.avro", values, codec=codec, sync_interval=16000)
    sql = write(tmp_path, tmp_path / "a.avro", columns="(id BIGINT, who TEXT)")
    out, state = tmp_path / "out.ndjson", ["--state", str(tmp_path / "state")]
    with Weir("run", str(sql), *state) as weir:
        weir.wait_for(lambda: out.exists() and out.stat().st_size > 0, "the first rows", seconds=20)
        weir.process.kill()
    killed = len(out.read_bytes().splitlines())
    run_weir("run", str(sql), *state, code=0)
    assert [r["id"] for r in rows(out)] == list(range(len(values))), killed
    # What is appended is read, and nothing else.
    with open(tmp_path / "a.avro", "a+b") as file:
        fastavro.writer(file, fastavro.parse_schema(SCHEMA), [order(i) for i in range(60000, 60100)], codec=codec)
    run_weir("run", str(sql), *state, code=0)
    assert [r["id"] for r in rows(out)] == list(range(60100))
