"""Protobuf from Kafka: by a schema file and by a registry, written by Confluent's serializer; the schema changes during a run, the
registry goes away."""

import json
import pathlib
import struct
import time
import zlib

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

from services.harness import Registry, Weir, run_weir

GEO = """syntax = "proto3"; package shop;
message Geo { string country = 1; repeated double at = 2; }
"""
FIRST = """syntax = "proto3"; package shop;
import "google/protobuf/timestamp.proto";
import "shop/geo.proto";
message Click {
  int64 id = 1; string type = 2; optional double amount = 3; google.protobuf.Timestamp ts = 4; Geo geo = 5;
  repeated Item items = 6; map<string, int32> tags = 7; Kind kind = 8;
  message Item { string sku = 1; int32 count = 2; }
  enum Kind { VIEW = 0; BUY = 1; }
}
message Other { string name = 1; }
"""
# One field more, one less, one renamed, one number that became wider.
SECOND = FIRST.replace("string type = 2;", "string page = 9;").replace("int32 count = 2", "int64 how_many = 2")
BROKEN = FIRST.replace("int64 id = 1", "Geo id = 1")


def classes(folder, text):
    """protoc's descriptor set of text and of what it imports, and the classes of its messages."""
    (folder / "shop").mkdir(parents=True, exist_ok=True)
    (folder / "shop" / "geo.proto").write_text(GEO)
    (folder / "shop" / "click.proto").write_text(text)
    out = folder / "click.desc"
    assert protoc.main(["protoc", f"-I{folder}", f"-I{pathlib.Path(protoc.__file__).parent / '_proto'}",
                        "--include_imports", f"-o{out}", "shop/click.proto"]) == 0
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
        pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"shop.{name}"))
            for name in ("Click", "Other", "Geo")}


def fill(click, i):
    click.id, click.ts.seconds, click.ts.nanos = i, 1700000000 + i, 5000000
    if i % 2:
        click.amount = i / 2
    click.geo.country = "DE"
    click.geo.at.extend([i, 0.5])
    item = click.items.add(sku=f"sku-{i}")
    setattr(item, "count" if hasattr(item, "count") else "how_many", i)
    click.tags["a"] = i
    click.kind = 1
    return click


def framed(number, message, indexes=b"\0"):
    return struct.pack(">bI", 0, number) + indexes + message.SerializeToString()


def write(tmp_path, kafka, topic, options, columns="", select="*"):
    path = tmp_path / "p.sql"
    path.write_text(f"""CREATE SOURCE clicks {columns} WITH (connector='kafka', brokers='{kafka.brokers}', topic='{topic}',
        start='earliest', format='protobuf', on_error='bad', {options});
      CREATE SINK out WITH (connector='file', path='{tmp_path}/out.ndjson', format='json', commit_interval='100ms') AS
        SELECT {select} FROM clicks;
      CREATE SINK bad WITH (connector='file', path='{tmp_path}/bad.ndjson', commit_interval='100ms');""")
    return path


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wanted(i):
    return {"id": i, "type": "", "amount": i / 2 if i % 2 else None, "geo": {"country": "DE", "at": [i, 0.5]},
            "items": [{"sku": f"sku-{i}", "count": i}], "tags": {"a": i}, "kind": "BUY"}


def register(registry, topic, text, name="value"):
    registry.register(f"{topic}-geo", GEO, kind="PROTOBUF")
    return registry.register(f"{topic}-{name}", text, kind="PROTOBUF",
                             references=[{"name": "shop/geo.proto", "subject": f"{topic}-geo", "version": 1}])


@pytest.mark.parametrize("schema", ["shop/click.proto", "click.desc"])
def test_schema_file_gives_the_columns(kafka, unique, tmp_path, schema):
    click = classes(tmp_path, FIRST)["Click"]
    for framing, prefix, pack in (("none", b"", bytes), ("glue", b"\x03\x05" + b"u" * 16, lambda b: zlib.compress(b"\0" + b)),
                                  ("confluent", b"\0\0\0\0\7\0", bytes)):
        topic = unique("protobuf")
        kafka.create_topic(topic)
        kafka.produce(topic, [prefix + pack(fill(click(), i).SerializeToString()) for i in range(10)])
        sql = write(tmp_path, kafka, topic, f"schema='{tmp_path}/{schema}', message='Click', framing='{framing}'")
        run_weir("run", str(sql), "--bounded", "--state", "none", code=0)
        assert rows(tmp_path / "bad.ndjson") == []
        got = rows(tmp_path / "out.ndjson")
        assert [{k: v for k, v in r.items() if k != "ts"} for r in got] == [wanted(i) for i in range(10)], framing
        assert got[3]["ts"] == "2023-11-14T22:13:23.005Z"
        (tmp_path / "out.ndjson").unlink()


def test_confluents_serializer_and_columns_of_the_subject(kafka, registry, unique, tmp_path):
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    topic = unique("protobuf")
    kafka.create_topic(topic)
    click = classes(tmp_path, FIRST)["Click"]
    serialize = ProtobufSerializer(click, SchemaRegistryClient({"url": registry.url}),
                                   {"reference.subject.name.strategy": lambda _, file: f"{topic}-{file.name.split('/')[-1]}"})
    context = SerializationContext(topic, MessageField.VALUE)
    kafka.produce(topic, [serialize(fill(click(), i), context) for i in range(500)])
    sql = write(tmp_path, kafka, topic, f"registry='{registry.url}', subject='{topic}-value'")
    run_weir("run", str(sql), "--bounded", code=0)
    assert rows(tmp_path / "bad.ndjson") == []
    got = rows(tmp_path / "out.ndjson")
    assert [{k: v for k, v in r.items() if k != "ts"} for r in got] == [wanted(i) for i in range(500)]


def test_schemas_change_and_what_cannot_be_read_is_dead_lettered(kafka, registry, unique, tmp_path):
    topic = unique("protobuf")
    kafka.create_topic(topic)
    first, second = register(registry, topic, FIRST), register(registry, topic, SECOND, "second")
    broken = register(registry, topic, BROKEN, "broken")
    made, later, wrong = (classes(tmp_path / str(i), text) for i, text in enumerate((FIRST, SECOND, BROKEN)))
    whole = framed(first, fill(made["Click"](), 1))
    bad_type = wrong["Click"]()
    bad_type.id.country = "DE"
    kafka.produce(topic, [whole, framed(second, fill(later["Click"](), 2)), framed(broken, bad_type),
                          framed(first, made["Other"](name="x"), b"\2\2"), framed(999999, made["Click"](id=1)),
                          framed(first, made["Click"](id=1), b"\2\x0a"), b"\x07junk", whole[:-3],
                          framed(first, made["Click"](id=3))])
    sql = write(tmp_path, kafka, topic, f"registry='{registry.url}', message='shop.Click'",
                columns="(id BIGINT, type TEXT, geo.country TEXT, items STRUCT<sku TEXT, count BIGINT>[], page TEXT)",
                select='id, type, "geo.country", items, page')
    run_weir("run", str(sql), "--bounded", code=0)
    assert rows(tmp_path / "out.ndjson") == [
        {"id": 1, "type": "", "geo.country": "DE", "items": [{"sku": "sku-1", "count": 1}], "page": None},
        {"id": 2, "type": None, "geo.country": "DE", "items": [{"sku": "sku-2", "count": None}], "page": ""},
        {"id": 3, "type": "", "geo.country": None, "items": [], "page": None}]
    reasons = [(r["_position"], r["_error"]) for r in rows(tmp_path / "bad.ndjson")]
    parts = ["message shop.Geo here, which cannot become BIGINT", "is a shop.Other, not a shop.Click",
             "schema id 999999: GET http://", "no message with the record's indexes", "does not begin with a schema id",
             "ends too early"]
    assert [offset for offset, _ in reasons] == [2, 3, 4, 5, 6, 7]
    for (_, reason), part in zip(reasons, parts, strict=True):
        assert part in reason, reason


def test_nested_messages_into_parquet_and_through_unnest(kafka, unique, tmp_path):
    import pyarrow.parquet

    topic = unique("protobuf")
    kafka.create_topic(topic)
    click = classes(tmp_path, FIRST)["Click"]
    kafka.produce(topic, [fill(click(), i).SerializeToString() for i in range(300)] + [b"", b"\x08"])
    sql = tmp_path / "p.sql"
    sql.write_text(f"""CREATE SOURCE clicks WITH (connector='kafka', brokers='{kafka.brokers}', topic='{topic}', start='earliest',
        format='protobuf', schema='{tmp_path}/shop/click.proto', message='shop.Click', on_error='bad');
      CREATE SINK lake WITH (connector='parquet', path='{tmp_path}/lake', commit_interval='100ms') AS SELECT * FROM clicks;
      CREATE SINK flat WITH (connector='file', path='{tmp_path}/flat.ndjson', format='json', commit_interval='100ms') AS
        SELECT c.id, c.geo.country AS country, item.sku AS sku FROM clicks AS c CROSS JOIN UNNEST(c.items) AS item;
      CREATE SINK bad WITH (connector='file', path='{tmp_path}/bad.ndjson', commit_interval='100ms');""")
    result = run_weir("run", str(sql), "--bounded", stats=True, code=0)
    assert result.stats["events_read"] == 302
    got = sorted(pyarrow.parquet.read_table(tmp_path / "lake").to_pylist(), key=lambda r: (r["geo"] is None, r["id"]))
    assert len(got) == 301
    for i, row in enumerate(got[:300]):
        assert {**{k: v for k, v in row.items() if k != "ts"}, "tags": dict(row["tags"])} == wanted(i)
    assert got[300] == {"id": 0, "type": "", "amount": None, "ts": None, "geo": None, "items": [], "tags": [], "kind": "VIEW"}
    assert sorted((r["id"], r["country"], r["sku"]) for r in rows(tmp_path / "flat.ndjson")) == \
        sorted((i, "DE", f"sku-{i}") for i in range(300))
    bad = rows(tmp_path / "bad.ndjson")
    assert len(bad) == 1 and bad[0]["_position"] == 301 and "ends too early" in bad[0]["_error"] and bad[0]["_field"] == "id"


def test_a_reader_finds_renamed_fields(kafka, registry, unique, tmp_path):
    topic = unique("protobuf")
    kafka.create_topic(topic)
    made = classes(tmp_path / "made", FIRST)
    classes(tmp_path, SECOND.replace("int64 id = 1", "int64 number = 1"))
    kafka.produce(topic, [framed(register(registry, topic, FIRST), fill(made["Click"](), 5))])
    sql = write(tmp_path, kafka, topic, f"registry='{registry.url}', schema='{tmp_path}/click.desc', message='shop.Click'",
                columns="(number BIGINT, items STRUCT<sku TEXT, how_many BIGINT>[], page TEXT)")
    run_weir("run", str(sql), "--bounded", code=0)
    assert rows(tmp_path / "bad.ndjson") == []
    assert rows(tmp_path / "out.ndjson") == [{"number": 5, "items": [{"sku": "sku-5", "how_many": 5}], "page": ""}]


def test_an_outage_stops_only_what_is_not_known(kafka, unique, tmp_path):
    topic = unique("protobuf")
    kafka.create_topic(topic)
    click = classes(tmp_path, FIRST)["Click"]
    with Registry() as registry:
        known = register(registry, topic, FIRST)
        later = register(registry, topic, SECOND, "later")
        kafka.produce(topic, [framed(known, click(id=1))])
        sql = write(tmp_path, kafka, topic, f"registry='{registry.url}', registry_timeout='2s'", columns="(id BIGINT)")
        out, bad = tmp_path / "out.ndjson", tmp_path / "bad.ndjson"
        with Weir("run", str(sql)) as weir:
            weir.wait_for(lambda: len(rows(out)) == 1, "the first row")
            registry.pause()
            kafka.produce(topic, [framed(known, click(id=i)) for i in range(2, 10)])
            weir.wait_for(lambda: len(rows(out)) == 9, "rows of a known schema during the outage", seconds=10)
            begun = time.monotonic()
            kafka.produce(topic, [framed(later, click(id=10)), framed(known, click(id=11))])
            weir.wait_for(lambda: len(rows(bad)) == 1, "the dead letter", seconds=20)
            assert time.monotonic() - begun > 1
            weir.wait_for(lambda: len(rows(out)) == 10, "the row behind it", seconds=10)
            assert f"schema id {later}" in rows(bad)[0]["_error"]
            registry.resume()

            def arrived():
                kafka.produce(topic, [framed(later, click(id=12))])
                return any(r["id"] == 12 for r in rows(out))

            weir.wait_for(arrived, "the new schema after the outage", seconds=40)
            weir.terminate()
