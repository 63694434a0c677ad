"""Avro from Kafka: written by Confluent's serializer with a real registry, read with columns out of the schema; the schema
changes during a run, the registry goes away and comes back."""

import http.server
import io
import json
import struct
import threading
import time
import zlib

import fastavro
import pytest

from services.harness import Registry, Weir, run_weir


def record(*fields, name="Click"):
    return {"type": "record", "name": name, "namespace": "com.example",
            "fields": [dict(zip(("name", "type", "default"), field)) for field in fields]}


TS = {"type": "long", "logicalType": "timestamp-millis"}
FIRST = record(("id", "long"), ("type", "string"), ("amount", ["null", "double"], None), ("ts", TS))
# One field more, one less, a promotion.
SECOND = record(("id", "long"), ("country", ["null", "string"], None), ("amount", ["null", "float"], None), ("ts", TS))
# What was a string is a record now.
BROKEN = record(("id", {"type": "array", "items": "long"}), ("ts", TS))


def binary(schema, value, prefix=b""):
    into = io.BytesIO()
    fastavro.schemaless_writer(into, fastavro.parse_schema(schema), value)
    return prefix + into.getvalue()


def framed(number, schema, value):
    return binary(schema, value, struct.pack(">bI", 0, number))


def first(i, **more):
    return {"id": i, "type": "view", "amount": i / 2, "ts": 1700000000000 + i, **more}


def write(tmp_path, kafka, topic, options, columns="", select="*"):
    path = tmp_path / "p.sql"
    path.write_text(f"""CREATE SOURCE clicks {columns} WITH (connector='kafka', brokers='{kafka.brokers}', topic='{topic}',
        start='earliest', format='avro', on_error='bad', {options});
      CREATE SINK out WITH (connector='file', path='{tmp_path}/out.ndjson', format='json', commit_interval='100ms') AS
        SELECT {select} FROM clicks;
      CREATE SINK bad WITH (connector='file', path='{tmp_path}/bad.ndjson', commit_interval='100ms');""")
    return path


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_confluents_serializer_and_columns_of_the_subject(kafka, registry, unique, tmp_path):
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroSerializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    topic = unique("avro")
    kafka.create_topic(topic, partitions=2)
    client = SchemaRegistryClient({"url": registry.url})
    context = SerializationContext(topic, MessageField.VALUE)
    for schema, make in ((FIRST, first), (SECOND, lambda i: {**first(i), "country": "DE"})):
        serialize = AvroSerializer(client, json.dumps(schema))
        values = [serialize({k: v for k, v in make(i).items()}, context) for i in range(500)]
        kafka.produce(topic, values, partition=lambda n: n % 2)
    sql = write(tmp_path, kafka, topic, f"registry='{registry.url}', subject='{topic}-value'")
    result = run_weir("run", str(sql), "--bounded", stats=True, code=0)
    got = rows(tmp_path / "out.ndjson")
    assert result.stats["events_read"] == 1000 and len(got) == 1000
    assert list(got[0]) == ["id", "country", "amount", "ts"]  # the newest version's
    assert sorted(r["id"] for r in got) == sorted(list(range(500)) * 2)
    assert sum(r["country"] == "DE" for r in got) == 500 == sum(r["country"] is None for r in got)
    assert all(r["amount"] == r["id"] / 2 for r in got)
    assert rows(tmp_path / "bad.ndjson") == []


def test_what_cannot_be_read_is_dead_lettered_with_the_reason(kafka, registry, unique, tmp_path):
    topic = unique("avro")
    kafka.create_topic(topic)
    good = registry.register(f"{topic}-value", FIRST)
    broken = registry.register(f"{topic}-broken", BROKEN)
    other = registry.register(f"{topic}-json", {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"},
                              kind="JSON")
    whole = framed(good, FIRST, first(1))
    kafka.produce(topic, [whole, framed(broken, BROKEN, {"id": [1], "ts": 5}), framed(999999, FIRST, first(2)),
                          framed(other, FIRST, first(2)), b"\x07junk", whole[:-1], whole + b"x", framed(good, FIRST, first(3))])
    sql = write(tmp_path, kafka, topic, f"registry='{registry.url}'", columns="(id BIGINT, type TEXT, ts TIMESTAMP)")
    run_weir("run", str(sql), "--bounded", code=0)
    assert [r["id"] for r in rows(tmp_path / "out.ndjson")] == [1, 3]
    reasons = [(r["_offset"] if "_offset" in r else r["_position"], r["_error"]) for r in rows(tmp_path / "bad.ndjson")]
    wanted = ["array here, which cannot become BIGINT", "schema id 999999: GET http://", "type JSON, not AVRO",
              "does not begin with a schema id", "ends too early", "1 bytes are left"]
    assert [offset for offset, _ in reasons] == [1, 2, 3, 4, 5, 6]
    for (_, reason), part in zip(reasons, wanted):
        assert part in reason, reason
    assert "404" in reasons[1][1]


def test_ids_in_headers_and_references(kafka, registry, unique, tmp_path):
    topic = unique("avro")
    kafka.create_topic(topic)
    geo = record(("country", "string"), name="Geo")
    registry.register(f"{topic}-geo", geo)
    with_geo = record(("id", "long"), ("geo", "com.example.Geo"))
    number = registry.register(f"{topic}-value", with_geo,
                               references=[{"name": "com.example.Geo", "subject": f"{topic}-geo", "version": 1}])
    inline = record(("id", "long"), ("geo", geo))
    value = {"id": 7, "geo": {"country": "DE"}}
    kafka.produce(topic, [binary(inline, value)], headers=[("__value_schema_id", struct.pack(">bI", 0, number))])
    kafka.produce(topic, [framed(number, inline, {**value, "id": 8})])
    sql = write(tmp_path, kafka, topic, f"registry='{registry.url}', framing='headers'",
                columns='(id BIGINT, geo.country TEXT)')
    run_weir("run", str(sql), "--bounded", code=0)
    assert rows(tmp_path / "bad.ndjson") == []
    assert [(r["id"], r["geo.country"]) for r in rows(tmp_path / "out.ndjson")] == [(7, "DE"), (8, "DE")]


def test_schema_file_alone_and_glue(kafka, unique, tmp_path):
    (tmp_path / "clicks.avsc").write_text(json.dumps(FIRST))
    for framing, prefix, pack in (("none", b"", bytes), ("glue", b"\x03\x00" + b"u" * 16, bytes),
                                  ("glue", b"\x03\x05" + b"u" * 16, zlib.compress), ("confluent", b"\0\0\0\0\7", bytes)):
        topic = unique("avro")
        kafka.create_topic(topic)
        kafka.produce(topic, [prefix + pack(binary(FIRST, first(i, type="a type longer than twelve"))) for i in range(10)])
        sql = write(tmp_path, kafka, topic, f"schema='{tmp_path}/clicks.avsc', framing='{framing}'")
        run_weir("run", str(sql), "--bounded", "--state", "none", code=0)
        got = rows(tmp_path / "out.ndjson")
        assert [r["id"] for r in got][-10:] == list(range(10)), framing
        assert all(r["type"] == "a type longer than twelve" for r in got)
        (tmp_path / "out.ndjson").unlink()


def test_an_outage_stops_only_what_is_not_known(kafka, unique, tmp_path):
    topic = unique("avro")
    kafka.create_topic(topic)
    with Registry() as registry:
        known = registry.register(f"{topic}-value", FIRST)
        later = registry.register(f"{topic}-later", SECOND)
        kafka.produce(topic, [framed(known, FIRST, first(1))])
        sql = write(tmp_path, kafka, topic, f"registry='{registry.url}', registry_timeout='3s'",
                    columns="(id BIGINT, country TEXT)")
        out, bad = tmp_path / "out.ndjson", tmp_path / "bad.ndjson"
        with Weir("run", str(sql)) as weir:
            weir.wait_for(lambda: len(rows(out)) == 1, "the first row")
            registry.pause()
            kafka.produce(topic, [framed(known, FIRST, first(i)) for i in range(2, 10)])
            weir.wait_for(lambda: len(rows(out)) == 9, "rows of a known schema during the outage", seconds=10)
            # An id that is new waits for its time, and what follows it goes on then.
            begun = time.monotonic()
            kafka.produce(topic, [framed(later, SECOND, {**first(10), "country": "DE"}), framed(known, FIRST, first(11))])
            weir.wait_for(lambda: len(rows(bad)) == 1, "the dead letter", seconds=20)
            assert time.monotonic() - begun > 2
            weir.wait_for(lambda: len(rows(out)) == 10, "the row behind it", seconds=10)
            assert f"schema id {later}" in rows(bad)[0]["_error"]
            # From now on nothing waits for that id, until the registry is back.
            registry.resume()

            def arrived():
                kafka.produce(topic, [framed(later, SECOND, {**first(12), "country": "FR"})])
                return any(r["country"] == "FR" for r in rows(out))

            weir.wait_for(arrived, "the new schema after the outage", seconds=30)
            weir.terminate()


def test_a_login_is_sent_and_a_dead_address_passed_over(kafka, unique, tmp_path):
    asked = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            body = json.dumps({"schema": json.dumps(FIRST)}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    topic = unique("avro")
    kafka.create_topic(topic)
    kafka.produce(topic, [framed(5, FIRST, first(1)), binary(FIRST, first(2), b"\x01" + bytes(range(16)))])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:9, http://127.0.0.1:{server.server_port}/base/"
        for login, wanted in (("registry_user='me', registry_password='hunter2'", "Basic bWU6aHVudGVyMg=="),
                              ("registry_token='hunter2'", "Bearer hunter2")):
            asked.clear()
            sql = write(tmp_path, kafka, topic, f"registry='{address}', {login}", columns="(id BIGINT)")
            result = run_weir("run", str(sql), "--bounded", "--state", "none", code=0)
            guid = "00010203-0405-0607-0809-0a0b0c0d0e0f"
            assert sorted(asked) == [("/base/schemas/guids/" + guid, wanted), ("/base/schemas/ids/5", wanted)]
            assert "hunter2" not in result.stderr + run_weir("explain", str(sql), code=0).stdout
            assert [r["id"] for r in rows(tmp_path / "out.ndjson")][-2:] == [1, 2]
        server.shutdown()


@pytest.mark.parametrize("what", ["nobody", "no_subject"])
def test_a_subject_that_cannot_be_had_refuses_to_start(kafka, unique, registry, tmp_path, what):
    url = "http://127.0.0.1:9" if what == "nobody" else registry.url
    sql = write(tmp_path, kafka, unique("avro"), f"registry='{url}', subject='nothing', registry_timeout='1s', "
                                                 "registry_user='u', registry_password='hunter2'")
    result = run_weir("check", str(sql), code=2)
    assert 'subject "nothing"' in result.stderr and "hunter2" not in result.stderr
    assert ("404" in result.stderr) == (what == "no_subject")
