"""Payloads that the producer compressed, whatever the source: unpacked before the decoder, kept as they came in dead letters."""

import base64
import gzip
import json
import zlib

import pyarrow
import pytest

from services.harness import Mosquitto, run_weir


@pytest.fixture(scope="module")
def broker():
    with Mosquitto() as running:
        yield running


class Pipeline:
    def __init__(self, directory, broker, topic):
        self.directory, self.broker, self.topic = directory, broker, topic
        self.sql = directory / "p.sql"

    def write(self, columns="id BIGINT NOT NULL, v DOUBLE PRECISION", more="", query="SELECT * FROM s"):
        self.sql.write_text(f"""
          SET default_commit_interval = '100ms';
          CREATE SOURCE s ({columns}) WITH (connector='mqtt', url='{self.broker.url}', topic='{self.topic}', format='json',
            on_error='bad' {more});
          CREATE SINK out WITH (connector='file', path='{self.directory}/out.ndjson') AS {query};
          CREATE SINK bad WITH (connector='file', path='{self.directory}/bad.ndjson');""")

    def run(self, *verb, **how):
        words = verb or ("run", "--bounded")
        return run_weir(words[0], *words[1:], self.sql, "--state", self.directory / "state", **{"code": 0, **how})

    def publish(self, *payloads):
        path = self.directory / "message"
        for payload in payloads:
            path.write_bytes(payload)
            self.broker.publish_file(self.topic, path)

    def rows(self, name="out.ndjson"):
        path = self.directory / name
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []

    def letters(self):
        """{raw bytes: error}"""
        return {base64.b64decode(row["_value"]) if row["_encoding"] == "base64" else row["_value"].encode(): row["_error"]
                for row in self.rows("bad.ndjson")}


def event(number, **more):
    return json.dumps({"id": number, "v": number / 2, **more}).encode()


def zstd(data):
    return pyarrow.compress(data, codec="zstd", asbytes=True)


def streamed(data):
    """zstd without a content size."""
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def test_gzip_and_zstd_are_told_by_their_first_bytes(broker, tmp_path, unique):
    pipeline = Pipeline(tmp_path, broker, unique("packed"))
    pipeline.write()
    pipeline.run()
    good = [event(0), gzip.compress(event(1)), zstd(event(2)), streamed(event(3, pad="x" * 300_000)),
            gzip.compress(event(4)[:5]) + gzip.compress(event(4)[5:]), gzip.compress(event(5, pad="y" * 3_000_000)),
            zstd(event(6)[:4]) + zstd(event(6)[4:])]
    bad = {gzip.compress(event(10))[:-3]: "ends in the middle", b"\x1f\x8bnonsense": "gzip payload is broken",
           zstd(event(11) * 20)[:-2]: "ends in the middle", gzip.compress(b'{"id":12'): "",
           b"\x28\xb5\x2f\xfd\xff\xff\xff\xff": "zstd payload", gzip.compress(event(13)) + b"tail": "gzip payload is broken"}
    pipeline.publish(*good, *bad)
    pipeline.run(timeout=60)
    assert {row["id"]: row["v"] for row in pipeline.rows()} == {i: i / 2 for i in range(7)}
    letters = pipeline.letters()
    assert set(letters) == set(bad)
    for raw, told in bad.items():
        assert told in letters[raw], (raw, letters[raw])


def test_what_unpacks_to_too_much_becomes_a_dead_letter(broker, tmp_path, unique):
    pipeline = Pipeline(tmp_path, broker, unique("bomb"))
    pipeline.write()
    pipeline.run()
    zeros = bytes(80 << 20)
    compressor = zlib.compressobj(9, wbits=31)
    bombs = [compressor.compress(zeros) + compressor.flush(), zstd(zeros), streamed(zeros)]
    large = [gzip.compress(event(i, pad="z" * (9 << 20))) for i in range(6)]  # 54 MiB in one round
    pipeline.publish(event(100), *bombs, *large, event(101))
    pipeline.run(timeout=60)
    assert sorted(row["id"] for row in pipeline.rows()) == [*range(6), 100, 101]
    letters = pipeline.letters()
    assert set(letters) == set(bombs)
    assert all("unpacks to more than 64 MiB" in told for told in letters.values())


def test_dead_letters_keep_the_bytes_as_they_came_and_are_replayed(broker, tmp_path, unique):
    pipeline = Pipeline(tmp_path, broker, unique("letters"))
    pipeline.write(columns="id BIGINT NOT NULL, v BIGINT")
    pipeline.run()
    packed = [gzip.compress(event(1)), zstd(event(3))]  # 0.5 and 1.5 are not BIGINT
    pipeline.publish(*packed, gzip.compress(event(2)))
    pipeline.run()
    assert [row["id"] for row in pipeline.rows()] == [2]
    assert set(pipeline.letters()) == set(packed)
    pipeline.write()
    pipeline.run("dlq", "replay")
    assert sorted((row["id"], row["v"]) for row in pipeline.rows()) == [(1, 0.5), (2, 1), (3, 1.5)]


def test_declared_compression(broker, tmp_path, unique):
    topic = unique("declared")
    for name, refused in (("none", {1, 2}), ("gzip", {0, 2}), ("zstd", {0, 1})):
        (tmp_path / name).mkdir()
        pipeline = Pipeline(tmp_path / name, broker, f"{topic}/{name}")
        pipeline.write(more=f", compression='{name}'")
        pipeline.run()
        payloads = [event(0), gzip.compress(event(1)), zstd(event(2))]
        pipeline.publish(*payloads)
        pipeline.run()
        assert {row["id"] for row in pipeline.rows()} == {0, 1, 2} - refused
        assert set(pipeline.letters()) == {payloads[i] for i in refused}
    pipeline.write(more=", compression='lz4'")
    assert "auto none gzip zstd" in run_weir("check", pipeline.sql, code=2).stderr.replace(",", "").replace(" or", "")
