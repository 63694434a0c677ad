"""The services that the other tests stand on do what those tests rely on."""

import json
import socket
import urllib.error
import urllib.request

import pytest

from services import harness


def test_kafka_gives_back_what_was_produced(kafka, unique):
    topic = kafka.create_topic(unique("echo"), partitions=3)
    sent = [{"n": n} for n in range(1000)]
    assert kafka.produce(topic, sent, partition=lambda n: n % 3) == 1000
    assert sorted(kafka.read_json(topic), key=lambda row: row["n"]) == sent
    assert sum(kafka.end_offsets(topic).values()) == 1000


def test_kafka_does_not_make_topics_by_itself(kafka, unique):
    from confluent_kafka import KafkaException, Producer

    producer = Producer({**kafka.config(), "message.timeout.ms": 2000}, logger=harness._silent_logger())
    errors = []
    try:
        producer.produce(unique("never"), b"x", on_delivery=lambda error, _: errors.append(error))
        producer.flush(20)
    except KafkaException as error:
        errors.append(error)
    assert errors and errors[0] is not None


def test_secure_kafka_lets_in_only_the_right_password(kafka_secure):
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    def connect(password, mechanism, servers, **more):
        client = AdminClient({
            "bootstrap.servers": servers, "sasl.mechanisms": mechanism, "sasl.username": "weir",
            "sasl.password": password, "log_level": 0, **more}, logger=harness._silent_logger())
        return len(client.list_topics(timeout=10).brokers)

    plain = {"security.protocol": "SASL_PLAINTEXT"}
    tls = {"security.protocol": "SASL_SSL", "ssl.ca.location": str(kafka_secure.certs / "ca.crt")}
    assert connect("weir-secret", "SCRAM-SHA-512", kafka_secure.sasl_brokers, **plain) == 1
    assert connect("weir-secret", "PLAIN", kafka_secure.sasl_tls_brokers, **tls) == 1
    with pytest.raises(KafkaException):
        connect("wrong", "SCRAM-SHA-256", kafka_secure.sasl_brokers, **{**plain, "socket.timeout.ms": 3000})


def test_s3_keeps_objects_and_refuses_a_wrong_secret(s3, unique):
    from botocore.exceptions import ClientError

    bucket = s3.make_bucket(unique("bucket"))
    s3.client().put_object(Bucket=bucket, Key="a/b=1/c.txt", Body=b"hello")
    assert s3.keys(bucket) == ["a/b=1/c.txt"]
    assert s3.keys(bucket, "other/") == []
    assert s3.open_uploads(bucket) == []
    with pytest.raises(ClientError) as refused:
        s3.client().put_object(Bucket=bucket, Key="a/b=1/c.txt", Body=b"x", IfNoneMatch="*")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412

    class Stranger(type(s3)):
        secret_key = "not-the-secret"

    stranger = Stranger()
    stranger.port, stranger.directory = s3.port, s3.directory
    with pytest.raises(ClientError) as refused:
        stranger.client().list_objects_v2(Bucket=bucket)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_killed_server_comes_back_with_its_data(unique):
    with harness.S3Minio() as minio:
        bucket = minio.make_bucket(unique("kept"))
        minio.client().put_object(Bucket=bucket, Key="k", Body=b"v")
        minio.kill()
        minio.start()
        assert minio.keys(bucket) == ["k"]


@pytest.mark.parametrize("cloud", ["azurite", "gcs"])
def test_azure_and_google_keep_objects_and_take_a_name_once(request, cloud, unique, tmp_path):
    service = request.getfixturevalue(cloud)
    bucket = service.make_bucket(unique("bucket"))
    if cloud == "azurite":
        from azure.core.exceptions import ResourceExistsError as taken

        def put():
            service.client().get_blob_client(bucket, "a/b=1/c.txt").upload_blob(b"hello", overwrite=False)
    else:
        from google.api_core.exceptions import PreconditionFailed as taken

        def put():
            service.client().bucket(bucket).blob("a/b=1/c.txt").upload_from_string(b"hello", if_generation_match=0)
    put()
    with pytest.raises(taken):
        put()
    assert service.keys(bucket) == ["a/b=1/c.txt"] and service.keys(bucket, "other/") == []
    assert [path.read_bytes() for path in service.download(bucket, tmp_path)] == [b"hello"]


def test_toxiproxy_cuts_a_connection(toxiproxy, unique):
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = unique("proxy")
        listen = toxiproxy.add_proxy(name, f"127.0.0.1:{server.getsockname()[1]}")
        host, port = listen.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            accepted, _ = server.accept()
            with accepted:
                accepted.sendall(b"ping")
                assert client.recv(4) == b"ping"
                toxiproxy.enable(name, False)
                assert client.recv(1) == b""
        with pytest.raises(OSError):
            socket.create_connection((host, int(port)), timeout=2)


def test_the_registry_keeps_ids_and_says_what_it_does_not_have(registry, unique):
    subject = unique("subject")
    schema = {"type": "record", "name": "R", "fields": [{"name": subject.replace("-", "_"), "type": "int"}]}
    number = registry.register(subject, schema)
    assert registry.register(subject, schema) == number
    for path in (f"/schemas/ids/{number}", f"/subjects/{subject}/versions/latest"):
        with urllib.request.urlopen(registry.url + path, timeout=30) as answer:
            assert json.loads(json.load(answer)["schema"]) == schema
    for path, code in (("/schemas/ids/999999", 40403), ("/subjects/nobody/versions/latest", 40401)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(registry.url + path, timeout=30)
        assert refused.value.code == 404 and json.load(refused.value)["error_code"] == code


def test_services_get_ports_of_their_own():
    first, second = harness.free_port(5), harness.free_port()
    assert second not in range(first, first + 5)


def test_run_weir_reports_a_hang_with_the_output(tmp_path, monkeypatch):
    program = tmp_path / "weir"
    program.write_text("#!/bin/sh\necho started\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("WEIR_BIN", str(program))
    with pytest.raises(AssertionError, match="started"):
        harness.run_weir("run", "x.sql", timeout=0.5)


def test_run_weir_gives_output_exit_code_and_stats(tmp_path, monkeypatch):
    program = tmp_path / "weir"
    stats = json.dumps({"events_read": 3})
    program.write_text(f"#!/bin/sh\ncat\necho oops >&2\nwhile [ $# -gt 1 ]; do shift; done\n"
                       f"echo '{stats}' > $1\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.setenv("WEIR_BIN", str(program))
    result = harness.run_weir("run", "-", input="text", stats=True, code=2)
    assert (result.stdout, result.stderr, result.stats) == ("text", "oops\n", {"events_read": 3})
    with pytest.raises(AssertionError, match="exit code 0 was expected"):
        harness.run_weir("run", "-", input="", stats=True, code=0)
