"""Schemas beyond Avro's usual way: JSON held against a registry's, AWS Glue's API for the ids on the wire, a schema that changes while
weir runs, and dead letters whose schema is known by their headers, given again."""

import http.server
import io
import json
import struct
import threading
import uuid
import zlib

import fastavro

from services.harness import Weir, run_weir

ORDER = {"type": "object", "title": "Order", "required": ["id"], "additionalProperties": False,
         "properties": {"id": {"type": "integer", "minimum": 1}, "tags": {"type": "array", "items": {"type": "string"}}}}


def record(*fields):
    return {"type": "record", "name": "Click", "fields": [dict(zip(("name", "type", "default"), f)) for f in fields]}


def binary(schema, value, prefix=b""):
    into = io.BytesIO()
    fastavro.schemaless_writer(into, fastavro.parse_schema(schema), value)
    return prefix + into.getvalue()


def write(tmp_path, kafka, topic, options, columns="", select="*"):
    path = tmp_path / "p.sql"
    path.write_text(f"""CREATE SOURCE s {columns} WITH (connector='kafka', brokers='{kafka.brokers}', topic='{topic}',
        start='earliest', on_error='bad', {options});
      CREATE SINK out WITH (connector='file', path='{tmp_path}/out.ndjson', format='json', commit_interval='100ms') AS
        SELECT {select} FROM s;
      CREATE SINK bad WITH (connector='file', path='{tmp_path}/bad.ndjson', commit_interval='100ms');""")
    return str(path)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_json_of_confluents_serializer_is_held_against_its_schema(kafka, registry, unique, tmp_path):
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.json_schema import JSONSerializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    topic = unique("json")
    kafka.create_topic(topic)
    client = SchemaRegistryClient({"url": registry.url})
    context = SerializationContext(topic, MessageField.VALUE)
    serialize = JSONSerializer(json.dumps(ORDER), client)
    good = [serialize({"id": i, "tags": ["a", str(i)]}, context) for i in range(1, 101)]
    other = registry.register(f"{topic}-refused", {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "patternProperties": {"^x": {"type": "string"}}}, kind="JSON")
    bad = [good[0][:5] + b'{"id":0}', good[0][:5] + b'{"id":7,"more":1}', b'{"id":8}', struct.pack(">bI", 0, other) + b'{"id":9}',
           struct.pack(">bI", 0, 999999) + b'{"id":9}']
    kafka.produce(topic, good + bad)
    # By each record's id, with columns of the subject's latest.
    sql = write(tmp_path, kafka, topic, f"format='json', registry='{registry.url}'", columns="(id BIGINT, tags JSON)")
    run_weir("run", sql, "--bounded", code=0)
    assert [r["id"] for r in rows(tmp_path / "out.ndjson")] == list(range(1, 101))
    errors = [r["_error"] for r in rows(tmp_path / "bad.ndjson")]
    wanted = ['at "/id": minimum 1: 0', 'at "/more": additionalProperties false', "does not begin with a schema id",
              '"patternProperties" is not checked by weir', "schema id 999999"]
    assert len(errors) == len(wanted)
    for error, part in zip(errors, wanted):
        assert part in error, error
    (tmp_path / "out.ndjson").unlink()
    (tmp_path / "bad.ndjson").unlink()
    sql = write(tmp_path, kafka, topic, f"format='json', registry='{registry.url}', subject='{topic}-value'")
    run_weir("run", sql, "--bounded", code=0)
    assert rows(tmp_path / "out.ndjson")[1:3] == [{"id": 2, "tags": ["a", "2"]}, {"id": 3, "tags": ["a", "3"]}]


class Glue:
    """GetSchemaVersion as AWS documents it; the signature is checked with AWS's own code."""

    def __init__(self, schemas, kind="AVRO"):
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        self.asked, self.wrong = [], []
        glue = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = AWSRequest("POST", f"http://{self.headers['Host']}/", data=body, headers={
                    k: self.headers[k] for k in ("Content-Type", "X-Amz-Date", "X-Amz-Target")})
                request.context["timestamp"] = self.headers["X-Amz-Date"]
                auth = SigV4Auth(Credentials("AKIDEXAMPLE", "hunter2secret"), "glue", "eu-central-1")
                expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
                if f"Signature={expected}" not in self.headers["Authorization"]:
                    glue.wrong.append(self.headers["Authorization"])
                asked = json.loads(body)
                glue.asked.append((self.headers["X-Amz-Target"], asked))
                found = schemas.get(asked.get("SchemaVersionId") or asked["SchemaId"]["RegistryName"] + "/" + asked["SchemaId"]["SchemaName"])
                if found is None:
                    answer, code = {"__type": "EntityNotFoundException", "Message": "Schema version is not found."}, 400
                else:
                    answer, code = {"SchemaDefinition": found if kind == "PROTOBUF" else json.dumps(found), "DataFormat": kind, "Status": "AVAILABLE"}, 200
                data = json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"glue+http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_glues_ids_are_asked_for(kafka, unique, tmp_path):
    first, second, missing = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    one = record(("id", "long"), ("name", "string"))
    two = record(("id", "int"), ("name", "string"), ("more", "double"))
    topic = unique("glue")
    kafka.create_topic(topic)
    kafka.produce(topic, [binary(one, {"id": 1, "name": "a"}, b"\x03\x00" + first.bytes),
                          b"\x03\x05" + second.bytes + zlib.compress(binary(two, {"id": 2, "name": "a name that is long", "more": 0.5})),
                          binary(one, {"id": 3, "name": "c"}, b"\x03\x00" + missing.bytes), b"\x00\x00\x00\x00\x07x"])
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hunter2secret", "AWS_REGION": "eu-central-1"}
    with Glue({str(first): one, str(second): two, "shop/clicks": two}) as glue:
        sql = write(tmp_path, kafka, topic, f"format='avro', registry='{glue.address}', subject='shop/clicks'")
        result = run_weir("run", sql, "--bounded", code=0, env=keys)
        assert glue.wrong == [] and "hunter2secret" not in result.stderr
        assert {target for target, _ in glue.asked} == {"AWSGlue.GetSchemaVersion"}
        assert {"SchemaVersionId": str(first)} in [asked for _, asked in glue.asked]
    assert rows(tmp_path / "out.ndjson") == [{"id": 1, "name": "a", "more": None}, {"id": 2, "name": "a name that is long", "more": 0.5}]
    errors = [r["_error"] for r in rows(tmp_path / "bad.ndjson")]
    assert len(errors) == 2 and "EntityNotFoundException" in errors[0] and str(missing) in errors[0]
    assert "AWS Glue's serializers" in errors[1]
    refused = run_weir("check", write(tmp_path, kafka, topic, "format='avro', registry='glue', framing='confluent'", columns="(id BIGINT)"), env=keys)
    refused = run_weir("run", str(tmp_path / "p.sql"), "--bounded", env=keys) if refused.code == 0 else refused
    assert refused.code != 0 and "does not go with a registry" in refused.stderr


def test_glues_ids_of_protobuf(kafka, unique, tmp_path):
    one = 'syntax = "proto3"; package shop; message Other { string a = 1; } message Click { int64 id = 1; string name = 2; }'
    two = 'syntax = "proto3"; package shop; message Click { int64 id = 1; double more = 3; string page = 2; } message Other { string a = 1; }'
    alone = 'syntax = "proto3"; package shop; message Else { int64 id = 1; }'
    first, second, other, missing = (uuid.uuid4() for _ in range(4))
    topic = unique("glue")
    kafka.create_topic(topic)
    kafka.produce(topic, [b"\x03\x00" + first.bytes + b"\x01\x08\x01\x12\x01a", b"\x03\x05" + second.bytes + zlib.compress(b"\0\x08\x02\x12\x01b"),
                          b"\x03\x00" + other.bytes + b"\0\x08\x03", b"\x03\x00" + missing.bytes + b"\0\x08\x04", b"\x03\x00" + first.bytes])
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hunter2secret", "AWS_REGION": "eu-central-1"}
    with Glue({str(first): one, str(second): two, str(other): alone}, "PROTOBUF") as glue:
        sql = write(tmp_path, kafka, topic, f"format='protobuf', registry='{glue.address}', message='Click'", columns="(id BIGINT, name TEXT, page TEXT)")
        run_weir("run", sql, "--bounded", code=0, env=keys)
        assert glue.wrong == []
    # Each by the names of the schema that it was written with.
    assert rows(tmp_path / "out.ndjson") == [{"id": 1, "name": "a", "page": None}, {"id": 2, "name": None, "page": "b"}]
    errors = [r["_error"] for r in rows(tmp_path / "bad.ndjson")]
    wanted = ['no message "Click"', str(missing), "AWS Glue's serializers"]
    assert len(errors) == 3 and all(part in error for part, error in zip(wanted, errors)), errors


def test_a_producers_schema_changes_during_a_run(kafka, registry, unique, tmp_path):
    topic = unique("avro")
    kafka.create_topic(topic)
    reader = record(("id", "long"), ("kept", "string", "default"), ("added", ["null", "int"], None))
    versions = [record(("id", "long"), ("kept", "string")), record(("id", "long"), ("kept", "string"), ("added", ["null", "int"], None)),
                record(("id", "int"), ("added", ["null", "int"], None)), record(("id", {"type": "array", "items": "long"}))]
    values = [{"id": 1, "kept": "x"}, {"id": 2, "kept": "y", "added": 5}, {"id": 3, "added": 6}, {"id": [4]}]
    (tmp_path / "r.avsc").write_text(json.dumps(reader))
    ids = [registry.register(f"{topic}-{n}", version) for n, version in enumerate(versions)]
    out, bad = tmp_path / "out.ndjson", tmp_path / "bad.ndjson"
    sql = write(tmp_path, kafka, topic, f"format='avro', registry='{registry.url}', schema='{tmp_path}/r.avsc'")
    with Weir("run", sql) as weir:
        for n in range(3):
            kafka.produce(topic, [binary(versions[n], values[n], struct.pack(">bI", 0, ids[n]))])
            weir.wait_for(lambda: len(rows(out)) == n + 1, f"version {n}", seconds=20)
        kafka.produce(topic, [binary(versions[3], values[3], struct.pack(">bI", 0, ids[3])),
                              binary(versions[0], values[0], struct.pack(">bI", 0, ids[0]))])
        weir.wait_for(lambda: len(rows(out)) == 4 and len(rows(bad)) == 1, "the incompatible one", seconds=20)
        weir.terminate()
    assert rows(out) == [{"id": 1, "kept": "x", "added": None}, {"id": 2, "kept": "y", "added": 5},
                         {"id": 3, "kept": "default", "added": 6}, {"id": 1, "kept": "x", "added": None}]
    assert "cannot become BIGINT" in rows(bad)[0]["_error"]


def test_dead_letters_with_ids_in_headers_are_given_again(kafka, registry, unique, tmp_path):
    topic = unique("headers")
    kafka.create_topic(topic)
    schema = record(("n", "string"), ("id", "long"))
    number = registry.register(f"{topic}-value", schema)
    guid = b"\x01" + bytes(range(0xF0, 0x100))  # no text, and no schema
    header = [("__value_schema_id", struct.pack(">bI", 0, number)), ("trace", b"\xff\xfe")]
    kafka.produce(topic, [binary(schema, {"n": "1", "id": 1}), binary(schema, {"n": "x", "id": 2})], headers=header)
    kafka.produce(topic, [binary(schema, {"n": "3", "id": 3})], headers=[("__value_schema_id", guid)])
    options, state = f"format='avro', registry='{registry.url}', framing='headers'", ["--state", str(tmp_path / "state")]
    sql = write(tmp_path, kafka, topic, options, columns="(id BIGINT, n INT)")
    run_weir("run", sql, "--bounded", *state, code=0)
    assert [r["id"] for r in rows(tmp_path / "out.ndjson")] == [1]
    letters = rows(tmp_path / "bad.ndjson")
    assert [letter["_headers"]["trace"] for letter in letters[:1]] == [{"base64": "//4="}]
    # The column takes it now.
    sql = write(tmp_path, kafka, topic, options, columns="(id BIGINT, n TEXT)")
    run_weir("dlq", "replay", sql, *state, code=0)
    assert [r["id"] for r in rows(tmp_path / "out.ndjson")] == [1, 2]
    again = rows(tmp_path / "bad.ndjson")[len(letters):]
    assert len(again) == 1 and "schema GUID" in again[0]["_error"] and again[0]["_headers"] == letters[1]["_headers"]


def test_dead_letters_of_container_files_keep_their_schema(tmp_path):
    schema = record(("n", "string"), ("id", "long"))
    with open(tmp_path / "a.avro", "wb") as file:
        fastavro.writer(file, fastavro.parse_schema(schema), [{"n": str(i) if i % 10 else f"no number {i}", "id": i} for i in range(50)])

    def pipeline(kind):
        (tmp_path / "p.sql").write_text(f"""
          CREATE SOURCE s (id BIGINT, n {kind}) WITH (connector='file', path='{tmp_path}/a.avro', format='avro', on_error='bad');
          CREATE SINK out WITH (connector='file', path='{tmp_path}/out.ndjson', format='json') AS SELECT * FROM s;
          CREATE SINK bad WITH (connector='file', path='{tmp_path}/bad.ndjson');""")
        return str(tmp_path / "p.sql"), "--state", str(tmp_path / "state")

    run_weir("run", *pipeline("INT"), code=0)
    assert len(rows(tmp_path / "out.ndjson")) == 45 and len(rows(tmp_path / "bad.ndjson")) == 5
    (tmp_path / "a.avro").rename(tmp_path / "gone")
    (tmp_path / "a.avro").write_bytes(b"")
    run_weir("dlq", "replay", *pipeline("TEXT"), code=0)
    assert sorted(r["id"] for r in rows(tmp_path / "out.ndjson")) == list(range(50))
