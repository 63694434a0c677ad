"""Starts the test services and runs weir, for every Python test.

    from services.harness import Kafka, S3Minio, S3Versity

    with Kafka() as kafka:
        kafka.create_topic("clicks", partitions=4)
        run_weir("run", "pipeline.sql", "--bounded")

A service runs on a free loopback port in a temporary directory, is waited for by its readiness
check and stopped by its process id. One that this machine cannot run (no Java, no Go) raises
Unavailable: pytest then skips by name, and fails instead where CI=true. tests/conftest.py offers
the same as fixtures shared by a whole test session.
"""

import ctypes
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

TESTS = pathlib.Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
SERVICES = TESTS / "services"
TOOLS = pathlib.Path(os.environ.get("WEIR_TOOLS") or ROOT / "build" / "test-tools")

READY_SECONDS = 60
RUN_SECONDS = 60
FULL = os.environ.get("WEIR_TEST_FULL") == "1"


class Unavailable(Exception):
    """This machine lacks what a service needs; the text says what."""


# --- ports and processes ----------------------------------------------------------------------

# Below the kernel's ephemeral range, so that no client's outgoing connection takes a port between
# our look and the server's bind; different processes start looking in different places.
_FIRST_PORT, _LAST_PORT = 15000, 32000
_next_port = _FIRST_PORT + (os.getpid() * 97) % (_LAST_PORT - _FIRST_PORT)


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(count=1):
    """The first of `count` consecutive free loopback ports, not handed out before."""
    global _next_port
    for _ in range(_LAST_PORT - _FIRST_PORT):
        first = _next_port
        if first + count > _LAST_PORT:
            _next_port = _FIRST_PORT
            continue
        if all(_is_free(first + i) for i in range(count)):
            _next_port = first + count
            return first
        _next_port = first + 1
    raise RuntimeError(f"no {count} consecutive free ports")


def wait_until(check, what, seconds=READY_SECONDS, every=0.05):
    """Calls check() until it returns something true, and returns that; fails after `seconds`.

    An exception out of check() counts as "not yet" and is told when time is up."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            result = check()
            if result:
                return result
        except AssertionError:
            raise
        except Exception as error:  # pylint: disable=broad-except
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"gave up after {seconds} s: {what}" + (f" ({last!r})" if last else ""))
        time.sleep(every)


def http_status(url, timeout=5):
    """The status code that url answers; raises OSError when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _die_with_parent():
    """In the child: a test run that is killed leaves no server behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


# --- services ---------------------------------------------------------------------------------


class Service:
    """One server process. Subclasses say what script runs it and when it is ready."""

    script = ""
    ports = 1
    needs = ()  # (path under TOOLS, or program on PATH after "which:"), all must be there

    def __init__(self, **environment):
        self.environment = {k: str(v) for k, v in environment.items()}
        self.directory = None
        self.port = None
        self.process = None
        self._own_directory = False

    # A service started again after stop() or kill() keeps its port and its data.
    def start(self):
        self._check_available()
        if self.directory is None:
            self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"weir-{self.script}-"))
            self._own_directory = True
            self.port = free_port(self.ports)
        self._launch()
        try:
            wait_until(self._ready_or_dead, f"{self.script} on port {self.port} to be ready")
        except BaseException as error:
            tail = self.log_tail()
            self.stop()
            raise AssertionError(f"{self.script} did not start: {error}\n{tail}") from error
        return self

    def _launch(self):
        log = open(self.directory / "service.log", "ab")
        self.process = subprocess.Popen(
            [str(SERVICES / self.script), str(self.directory), str(self.port)],
            env={**os.environ, "WEIR_TOOLS": str(TOOLS), **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        log.close()

    def _check_available(self):
        for need in self.needs:
            if need.startswith("which:"):
                if not shutil.which(need[6:]):
                    raise Unavailable(f"{self.script}: no {need[6:]} on this machine")
            elif not (TOOLS / need).exists():
                raise Unavailable(f"{self.script}: not installed (tests/services/install {self.script})")

    def _ready_or_dead(self):
        if self.process.poll() is not None:
            raise AssertionError(f"exited with {self.process.returncode}")
        return self.ready()

    def ready(self):
        raise NotImplementedError

    def log_tail(self, lines=20):
        try:
            text = (self.directory / "service.log").read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _signal(self, number, seconds):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(number)
        self.process.wait(seconds)

    def kill(self):
        """kill -9: what a crash of the server is."""
        self._signal(signal.SIGKILL, 30)

    def pause(self):
        """Freezes the server: it keeps its connections and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        """Stops the server, keeping its data for a start() after it."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)  # a paused one could not hear TERM
        try:
            self._signal(signal.SIGTERM, 20)
        except subprocess.TimeoutExpired:
            self.kill()

    def close(self):
        """Stops the server and removes its directory."""
        self.stop()
        if self._own_directory and self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.close()


class Kafka(Service):
    """An Apache Kafka 4.1 broker. Kafka(secure=True) also listens with SASL and TLS (and, with KAFKA_JWKS_URL, takes tokens)."""

    script = "kafka"
    ports = 7
    needs = ("which:java", "kafka/lib")

    def __init__(self, secure=False, **environment):
        environment.setdefault("HEAP", "384m")
        if secure:
            environment["KAFKA_SECURE"] = "1"
        super().__init__(**environment)
        self.user, self.password = "weir", environment.get("KAFKA_PASSWORD", "weir-secret")
        self._admin = None

    @property
    def brokers(self):
        return f"127.0.0.1:{self.port}"

    address = brokers

    # The listeners of secure=True. TLS ones are named localhost; trust ca, show client_cert.
    @property
    def sasl_brokers(self):
        return f"localhost:{self.port + 2}"

    @property
    def sasl_tls_brokers(self):
        return f"localhost:{self.port + 3}"

    @property
    def mtls_brokers(self):
        return f"localhost:{self.port + 4}"

    @property
    def oauth_brokers(self):
        return f"localhost:{self.port + 5}"

    @property
    def certs(self):
        """Directory of ca.crt, client.crt, client.key, other-ca.crt."""
        return self.directory / "certs"

    def config(self, **more):
        return {"bootstrap.servers": self.brokers, "socket.timeout.ms": 10000,
                "log_level": 0, **{k.replace("_", "."): v for k, v in more.items()}}

    def admin(self):
        from confluent_kafka.admin import AdminClient

        if self._admin is None:
            self._admin = AdminClient(self.config(), logger=_silent_logger())
        return self._admin

    def ready(self):
        return bool(self.admin().list_topics(timeout=1).brokers)

    def create_topic(self, topic, partitions=1, **settings):
        from confluent_kafka.admin import NewTopic

        config = {k.replace("_", "."): str(v) for k, v in settings.items()}
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config)
        for future in self.admin().create_topics([new], request_timeout=30).values():
            future.result(30)

        # A topic just made is known to the controller before the broker serves it.
        def served():
            about = self.admin().list_topics(topic, timeout=5).topics[topic]
            return (about.error is None and len(about.partitions) == partitions
                    and all(p.leader >= 0 and p.error is None for p in about.partitions.values()))

        wait_until(served, f"topic {topic} to be served")
        return topic

    def produce(self, topic, values, keys=None, partition=None, headers=None, **settings):
        """Sends values (bytes, str, or what json.dumps takes), waits for every acknowledgement.

        keys: as many keys, or None; partition: a number, or a function of the value's index."""
        from confluent_kafka import Producer

        failures = []

        def delivered(error, _message):
            if error is not None:
                failures.append(error)

        producer = Producer({**self.config(**settings), "linger.ms": 20,
                             "queue.buffering.max.messages": 1000000})
        keys = iter(keys) if keys is not None else None
        count = 0
        for value in values:
            more = {}
            if partition is not None:
                more["partition"] = partition(count) if callable(partition) else partition
            if keys is not None:
                more["key"] = next(keys)
            if headers is not None:
                more["headers"] = headers
            while True:
                try:
                    producer.produce(topic, _as_bytes(value), on_delivery=delivered, **more)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
            count += 1
        left = producer.flush(60)
        assert not failures and left == 0, f"{len(failures)} failed ({failures[:1]}), {left} not sent"
        return count

    def end_offsets(self, topic):
        """{partition: offset behind the last record}"""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({**self.config(), "group.id": "weir-tests-offsets"})
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1]
                    for p in partitions}
        finally:
            consumer.close()

    def read_all(self, topic, seconds=RUN_SECONDS, isolation="read_committed"):
        """All messages of the topic up to its present end, as confluent_kafka Messages."""
        from confluent_kafka import Consumer, KafkaError, TopicPartition

        consumer = Consumer({**self.config(), "group.id": "weir-tests-reader",
                             "enable.auto.commit": False, "enable.partition.eof": True,
                             "isolation.level": isolation, "auto.offset.reset": "earliest"})
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
            open_partitions, messages = set(partitions), []
            deadline = time.monotonic() + seconds
            while open_partitions:
                assert time.monotonic() < deadline, f"reading {topic} took over {seconds} s"
                for message in consumer.consume(10000, timeout=0.2):
                    if message.error() is None:
                        messages.append(message)
                    elif message.error().code() == KafkaError._PARTITION_EOF:
                        open_partitions.discard(message.partition())
                    else:
                        raise AssertionError(str(message.error()))
            return messages
        finally:
            consumer.close()

    def read_json(self, topic, **how):
        return [json.loads(m.value()) for m in self.read_all(topic, **how)]

    def committed(self, group, topic):
        """{partition: offset} that the consumer group has committed."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({**self.config(), "group.id": group})
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            answer = consumer.committed([TopicPartition(topic, p) for p in partitions], timeout=10)
            return {p.partition: p.offset for p in answer if p.offset >= 0}
        finally:
            consumer.close()


class _S3(Service):
    """What the S3 servers have in common: keys, a region, and path-style buckets."""

    access_key, secret_key, region = "weirtest", "weirtest-secret", "us-east-1"

    @property
    def scheme(self):
        return "https" if self.environment.get("S3_TLS") else "http"

    @property
    def endpoint(self):
        host = "localhost" if self.scheme == "https" else "127.0.0.1"
        return f"{self.scheme}://{host}:{self.port}"

    address = endpoint

    def env(self):
        """The variables that point weir, as any AWS tool, at this server."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key,
                "AWS_REGION": self.region, "AWS_ENDPOINT_URL_S3": self.endpoint}

    def client(self, **config):
        import boto3
        from botocore.config import Config

        verify = str(self.directory / "certs" / "ca.crt") if self.scheme == "https" else None
        return boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key, region_name=self.region, verify=verify,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"},
                          retries={"max_attempts": 3}, **config))

    def make_bucket(self, bucket):
        self.client().create_bucket(Bucket=bucket)
        return bucket

    def keys(self, bucket, prefix=""):
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(o["Key"] for page in pages for o in page.get("Contents", []))

    def open_uploads(self, bucket):
        """Keys of multipart uploads that nobody completed or aborted."""
        return [u["Key"] for u in self.client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])]

    def download(self, bucket, directory, prefix=""):
        """Copies the objects into directory, under their keys; returns the paths."""
        client, paths = self.client(), []
        for key in self.keys(bucket, prefix):
            path = pathlib.Path(directory) / key
            path.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, key, str(path))
            paths.append(path)
        return paths


class S3Minio(_S3):
    script = "s3"
    needs = ("bin/minio",)

    def ready(self):
        import ssl

        trust = None
        if self.scheme == "https":
            trust = ssl.create_default_context(cafile=str(self.directory / "certs" / "ca.crt"))
        url = self.endpoint + "/minio/health/live"
        with urllib.request.urlopen(url, timeout=2, context=trust) as answer:
            return answer.status == 200


class S3Versity(_S3):
    script = "s3-versitygw"
    needs = ("bin/versitygw",)

    def ready(self):
        return http_status(self.endpoint, 2) > 0


class Azurite(Service):
    """Azure Blob Storage. After kill() it has lost what it acknowledged in its last seconds."""

    script = "azurite"
    needs = ("which:node", "azurite/.version")
    account = "devstoreaccount1"
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    @property
    def scheme(self):
        return "https" if self.environment.get("AZURITE_TLS") else "http"

    @property
    def endpoint(self):
        host = "localhost" if self.scheme == "https" else "127.0.0.1"
        return f"{self.scheme}://{host}:{self.port}/{self.account}"

    def ready(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=2):
            return True

    def env(self):
        """The variables that point weir at this server."""
        return {"AZURE_STORAGE_ACCOUNT": self.account, "AZURE_STORAGE_KEY": self.key,
                "AZURE_STORAGE_BLOB_ENDPOINT": self.endpoint}

    def client(self):
        """The official SDK's, as the judge of what lies in the server."""
        from azure.storage.blob import BlobServiceClient

        verify = str(self.directory / "certs" / "ca.crt") if self.scheme == "https" else True
        return BlobServiceClient(self.endpoint, credential=self.key, retry_total=2, connection_verify=verify)

    def make_bucket(self, bucket):
        self.client().create_container(bucket)
        return bucket

    def keys(self, bucket, prefix=""):
        return sorted(blob.name for blob in self.client().get_container_client(bucket).list_blobs(prefix or None))

    def read(self, bucket, key):
        return self.client().get_blob_client(bucket, key).download_blob().readall()

    def download(self, bucket, directory, prefix=""):
        """Copies the objects into directory, under their keys; returns the paths."""
        return _download(self, bucket, directory, prefix)

    def url(self, bucket, path=""):
        return f"az://{bucket}/{path}"


class FakeGcs(Service):
    """Google Cloud Storage's JSON API, without authentication."""

    script = "gcs"
    needs = ("bin/fake-gcs-server",)

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def ready(self):
        return http_status(self.endpoint + "/_internal/healthcheck", 2) == 200

    def env(self):
        """The variable that points weir, as any Google client, at this server."""
        return {"STORAGE_EMULATOR_HOST": self.endpoint}

    def client(self):
        """The official SDK's, as the judge of what lies in the server."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        return storage.Client(project="weir", credentials=AnonymousCredentials(),
                              client_options={"api_endpoint": self.endpoint})

    def make_bucket(self, bucket):
        self.client().create_bucket(bucket)
        return bucket

    def keys(self, bucket, prefix=""):
        return sorted(blob.name for blob in self.client().list_blobs(bucket, prefix=prefix or None))

    def read(self, bucket, key):
        return self.client().bucket(bucket).blob(key).download_as_bytes()

    def download(self, bucket, directory, prefix=""):
        """Copies the objects into directory, under their keys; returns the paths."""
        return _download(self, bucket, directory, prefix)

    def url(self, bucket, path=""):
        return f"gs://{bucket}/{path}"


def _download(service, bucket, directory, prefix):
    paths = []
    for key in service.keys(bucket, prefix):
        path = pathlib.Path(directory) / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(service.read(bucket, key))
        paths.append(path)
    return paths


class Registry(Service):
    """A schema registry that speaks Confluent's API. In memory: what was registered is gone after stop() or kill()."""

    script = "registry"
    needs = ("which:java", "registry/.artifact")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def ready(self):
        return http_status(f"{self.url}/subjects") == 200

    def register(self, subject, schema, kind="AVRO", references=()):
        """The id of a schema, given as what json.dumps takes or as text."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        body = {"schema": text, **({} if kind == "AVRO" else {"schemaType": kind}),
                **({"references": list(references)} if references else {})}
        request = urllib.request.Request(f"{self.url}/subjects/{subject}/versions", json.dumps(body).encode(),
                                         {"Content-Type": "application/vnd.schemaregistry.v1+json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["id"]


class _Kinesis(Service):
    """What the emulators of Kinesis have in common. Any key is taken: KinesisGate before one checks signatures."""

    access_key, secret_key, region = "weirtest", "weirtest-secret", "us-east-1"

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def ready(self):
        return http_status(self.endpoint + "/healthcheck", 2) > 0

    def env(self):
        """The variables that point weir, as any AWS tool, at this server."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key,
                "AWS_REGION": self.region, "AWS_ENDPOINT_URL_KINESIS": self.endpoint}

    def client(self):
        import boto3
        from botocore.config import Config

        return boto3.client(
            "kinesis", endpoint_url=self.endpoint, aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key, region_name=self.region,
            config=Config(retries={"max_attempts": 3}))

    def wait_active(self, stream):
        def active():
            about = self.client().describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
            return about["StreamStatus"] == "ACTIVE"

        wait_until(active, f"stream {stream} to be active")
        return stream

    def create_stream(self, stream, shards=1):
        self.client().create_stream(StreamName=stream, ShardCount=shards)
        return self.wait_active(stream)

    def put(self, stream, records):
        """records: (partition key, what json.dumps takes or bytes), put in order."""
        client, records = self.client(), list(records)
        for at in range(0, len(records), 500):
            batch = [{"PartitionKey": str(key), "Data": _as_bytes(value)} for key, value in records[at:at + 500]]
            answer = client.put_records(StreamName=stream, Records=batch)
            assert answer["FailedRecordCount"] == 0, answer
        return len(records)

    def open_shards(self, stream):
        shards = self.client().list_shards(StreamName=stream)["Shards"]
        return [s for s in shards if "EndingSequenceNumber" not in s["SequenceNumberRange"]]

    def split(self, stream, shard):
        keys = {name: int(key) for name, key in shard["HashKeyRange"].items()}
        middle = (keys["StartingHashKey"] + keys["EndingHashKey"]) // 2 + 1
        self.client().split_shard(StreamName=stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=str(middle))
        self.wait_active(stream)

    def merge(self, stream, one, other):
        self.client().merge_shards(StreamName=stream, ShardToMerge=one["ShardId"], AdjacentShardToMerge=other["ShardId"])
        self.wait_active(stream)

    def read_all(self, stream):
        """All records of all shards, parents first, as boto3 gives them."""
        client, found = self.client(), []
        for shard in client.list_shards(StreamName=stream)["Shards"]:
            at = client.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"],
                                           ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
            while at:
                answer = client.get_records(ShardIterator=at, Limit=10000)
                found += answer["Records"]
                at = answer.get("NextShardIterator")
                if not answer["Records"] and not answer["MillisBehindLatest"]:
                    break
        return found


class KinesisMock(_Kinesis):
    """kinesis-mock: all calls, SubscribeToShard too; in memory."""

    script = "kinesis"
    ports = 2
    needs = ("which:node", "kinesis/.version")


class Kinesalite(_Kinesis):
    """kinesalite: fast, keeps its data through kill(); no consumers, no pages of ListShards, no ARNs."""

    script = "kinesalite"
    needs = ("which:node", "kinesis/.version")


class KinesisGate(_Kinesis):
    """Checks signatures before `upstream`, and fails calls when fail() was asked for."""

    script = "kinesis-gate"

    def __init__(self, upstream, **environment):
        super().__init__(KINESIS_UPSTREAM=upstream.port, **environment)

    def ready(self):
        return http_status(self.endpoint + "/_gate", 2) == 200

    def fail(self, kind=None, target=None, count=1, **more):
        rule = {"type": kind, "count": count, **({"target": target} if target else {}), **more}
        request = urllib.request.Request(self.endpoint + "/_gate", json.dumps(rule).encode())
        urllib.request.urlopen(request, timeout=10).close()

    def told(self):
        """{"calls": {name: how often}, "refused": {name: how often}, "left": failures still to come}"""
        with urllib.request.urlopen(self.endpoint + "/_gate", timeout=10) as answer:
            return json.load(answer)


class Mosquitto(Service):
    """An MQTT broker: anybody may at url, user weir with its password at url_password, TLS at url_tls and url_mtls."""

    script = "mosquitto"
    ports = 4
    user, password = "weir", "weir-secret"

    def _check_available(self):
        if not (TOOLS / "mosquitto" / "bin" / "mosquitto").exists() and not shutil.which("mosquitto_pub"):
            raise Unavailable("mosquitto: not installed (tests/services/install mosquitto)")

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def url_password(self):
        return f"mqtt://127.0.0.1:{self.port + 1}"

    @property
    def url_tls(self):
        return f"mqtts://localhost:{self.port + 2}"

    @property
    def url_mtls(self):
        return f"mqtts://localhost:{self.port + 3}"

    @property
    def certs(self):
        """Directory of ca.crt, client.crt, client.key, other-ca.crt."""
        return self.directory / "certs"

    def ready(self):
        with socket.create_connection(("127.0.0.1", self.port + 3), timeout=2):
            return True

    def publish(self, topic, values, *arguments, seconds=RUN_SECONDS):
        """Sends values (bytes without line ends, str, or what json.dumps takes) at QoS 1, and waits until the broker has
        them. arguments: mosquitto_pub's own."""
        lines = [_as_bytes(value) + b"\n" for value in values]
        for first in range(0, len(lines), 30000):  # of more than 65,535 messages mosquitto_pub 2.0 forgets some
            subprocess.run(self.publisher(topic, "-l", *arguments), input=b"".join(lines[first:first + 30000]), check=True,
                           timeout=seconds)

    def publish_file(self, topic, path, seconds=RUN_SECONDS):
        """Sends the file's content as one message."""
        subprocess.run(self.publisher(topic, "-f", str(path)), check=True, timeout=seconds)

    def open_session(self, client, topic):
        """Subscribes once, so that the broker keeps for that client what is published while it is away."""
        subprocess.run([self._program("mosquitto_sub"), "-p", str(self.port), "-V", "5", "-i", client, "-t", topic, "-q", "1",
                        "-c", "-x", "86400", "-E"], check=True, timeout=RUN_SECONDS)

    @staticmethod
    def _program(name):
        own = TOOLS / "mosquitto" / "bin" / name
        return str(own) if own.exists() else name

    def publisher(self, topic, *arguments, qos=1):
        """The command of a client that publishes."""
        return [self._program("mosquitto_pub"), "-p", str(self.port), "-t", topic, "-q", str(qos), *arguments]


class Pstest(Service):
    """Pub/Sub, by the fake of Google's Go client."""

    script = "pubsub-pstest"
    needs = ("bin/pstest",)
    project = "weir"

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def ready(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=2):
            return True

    def env(self):
        """The variables that point weir, as any Google client, at this server."""
        return {"PUBSUB_EMULATOR_HOST": self.address, "GOOGLE_CLOUD_PROJECT": self.project}

    def _clients(self):
        """The generated clients: one request a call."""
        os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # its handlers crash a process that starts others while calls are under way
        import grpc
        from google.pubsub_v1.services.publisher import PublisherClient
        from google.pubsub_v1.services.publisher.transports.grpc import PublisherGrpcTransport
        from google.pubsub_v1.services.subscriber import SubscriberClient
        from google.pubsub_v1.services.subscriber.transports.grpc import SubscriberGrpcTransport

        options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
        channel = grpc.insecure_channel(self.address, options=options)
        return (PublisherClient(transport=PublisherGrpcTransport(channel=channel)),
                SubscriberClient(transport=SubscriberGrpcTransport(channel=channel)))

    def create(self, name, exactly_once=False, ordering=False):
        """A topic and a subscription of that name."""
        publisher, subscriber = self._clients()
        topic = f"projects/{self.project}/topics/{name}"
        publisher.create_topic(request={"name": topic})
        subscriber.create_subscription(request={
            "name": f"projects/{self.project}/subscriptions/{name}", "topic": topic, "enable_message_ordering": ordering,
            "enable_exactly_once_delivery": exactly_once})
        return name

    def publish(self, name, values, keys=None, attributes=None):
        publisher, _ = self._clients()
        topic = f"projects/{self.project}/topics/{name}"
        for first in range(0, len(values), 1000):
            messages = [{"data": value, "attributes": attributes or {}, "ordering_key": keys[first + i] if keys else ""}
                        for i, value in enumerate(values[first:first + 1000])]
            publisher.publish(request={"topic": topic, "messages": messages})

    def receive(self, name, count, seconds=30):
        """count messages of the subscription, acknowledged, as (data, attributes, ordering key)."""
        _, subscriber = self._clients()
        subscription, got = f"projects/{self.project}/subscriptions/{name}", []
        deadline = time.monotonic() + seconds
        while len(got) < count:
            assert time.monotonic() < deadline, f"{len(got)} of {count} messages after {seconds} s"
            answer = subscriber.pull(request={"subscription": subscription, "max_messages": 1000, "return_immediately": True})
            got += [(m.message.data, dict(m.message.attributes), m.message.ordering_key) for m in answer.received_messages]
            if answer.received_messages:
                subscriber.acknowledge(request={"subscription": subscription, "ack_ids": [m.ack_id for m in answer.received_messages]})
        return got


class PubsubEmulator(Pstest):
    """Google's emulator, of a Debian package that no registry has: is_here() says whether this machine does."""

    script = "pubsub"
    needs = ("which:java",)

    @staticmethod
    def is_here():
        return bool(os.environ.get("PUBSUB_EMULATOR_JAR")) or (
            shutil.which("java") is not None and shutil.which("dpkg") is not None and
            subprocess.run(["dpkg", "-L", "google-cloud-cli-pubsub-emulator"], capture_output=True, check=False).returncode == 0)

    def ready(self):
        return http_status(f"http://{self.address}/", 2) == 200


class Toxiproxy(Service):
    """A TCP proxy that misbehaves on demand: add_proxy(), then toxic(), enable()."""

    script = "toxiproxy"
    needs = ("bin/toxiproxy-server",)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def ready(self):
        return http_status(self.address + "/version", 2) == 200

    def _post(self, path, body, method="POST"):
        request = urllib.request.Request(self.address + path, json.dumps(body).encode(),
                                         {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def add_proxy(self, name, upstream, port=None):
        """Forwards a port to upstream ("host:port"); returns the port's address."""
        listen = f"127.0.0.1:{port or free_port()}"
        self._post("/proxies", {"name": name, "listen": listen, "upstream": upstream, "enabled": True})
        return listen

    def toxic(self, proxy, type, stream="downstream", **attributes):
        """One of latency, reset_peer, timeout, bandwidth, slicer, limit_data."""
        return self._post(f"/proxies/{proxy}/toxics", {"name": f"{type}-{stream}", "type": type,
                          "stream": stream, "toxicity": 1.0, "attributes": attributes})

    def loosen(self, proxy, type, stream="downstream"):
        """Lets everything pass from now on but leaves the connections open (reset() closes those of "timeout"): they are half
        open, what the toxic swallowed never comes."""
        return self._post(f"/proxies/{proxy}/toxics/{type}-{stream}", {"toxicity": 0.0})

    def enable(self, proxy, enabled=True):
        """enabled=False refuses connections and cuts the present ones."""
        self._post(f"/proxies/{proxy}", {"enabled": enabled})

    def reset(self):
        """Takes all toxics away and enables all proxies."""
        self._post("/reset", {})


def _silent_logger():
    import logging

    logger = logging.getLogger("weir-tests-kafka")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def _as_bytes(value):
    if value is None or isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode()


# --- weir -------------------------------------------------------------------------------------


def weir_bin():
    """The weir under test: $WEIR_BIN, else build/weir."""
    path = pathlib.Path(os.environ.get("WEIR_BIN") or ROOT / "build" / "weir")
    assert path.exists(), f"no weir at {path}: run tools/build, or set WEIR_BIN"
    return str(path.resolve())


def weir_debug_bin():
    """One with fault points (base/fault.h): $WEIR_DEBUG_BIN, else build/weir-debug."""
    path = pathlib.Path(os.environ.get("WEIR_DEBUG_BIN") or ROOT / "build" / "weir-debug")
    assert path.exists(), f"no weir at {path}: run tools/build --debug, or set WEIR_DEBUG_BIN"
    return str(path.resolve())


def weir_env(env=None):
    """The environment of a weir under test: this one's without what would lead it elsewhere."""
    clean = {k: v for k, v in os.environ.items()
             if not k.startswith(("AWS_", "AZURE_", "GOOGLE_", "STORAGE_EMULATOR_")) and not k.lower().endswith("_proxy")}
    return {**clean, "LC_ALL": "C.UTF-8", "TZ": "UTC", **(env or {})}


class Result:
    """What a finished weir left: exit code, output, and its --stats file's content, if any."""

    def __init__(self, arguments, code, stdout, stderr, stats=None):
        self.arguments, self.code = arguments, code
        self.stdout, self.stderr, self.stats = stdout, stderr, stats

    def __repr__(self):
        return (f"weir {' '.join(self.arguments)}\nexit code {self.code}\n"
                f"--- stdout\n{self.stdout[-4000:]}\n--- stderr\n{self.stderr[-4000:]}")


@contextlib.contextmanager
def own_state(arguments):
    """The arguments of a weir, with a state directory that only this process has.

    By default state lies beside the SQL file, so that a second run of it goes on where the first one ended; most
    tests mean a run of its own. Who tests the going on gives --state."""
    arguments = [str(a) for a in arguments]
    if arguments[:1] != ["run"] or "--state" in arguments or "--help" in arguments:
        yield arguments
        return
    with tempfile.TemporaryDirectory(prefix="weir-state-", ignore_cleanup_errors=True) as directory:
        yield ["run", "--state", directory + "/state", *arguments[1:]]


def run_weir(*arguments, **keywords):
    """Runs weir to its end and returns a Result.

    code: the exit code that is right (None: any). stats: adds --stats and loads the file.
    launcher: words put before weir, e.g. ("strace", "-f"). A weir that does not end in time
    is killed, and that is a failure with its output."""
    with own_state(arguments) as own:
        return _run_weir(*own, **keywords)


def _run_weir(*arguments, input=None, env=None, cwd=None, timeout=RUN_SECONDS, code=None, stats=False,
              launcher=()):
    arguments = list(arguments)
    scratch = None
    if stats:
        scratch = tempfile.NamedTemporaryFile(prefix="weir-stats-", suffix=".json")
        arguments += ["--stats", scratch.name]
    if isinstance(input, str):
        input = input.encode()
    process = subprocess.Popen(
        [*launcher, weir_bin(), *arguments], env=weir_env(env), cwd=cwd, start_new_session=True,
        stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=_die_with_parent)
    try:
        out, errors = process.communicate(input, timeout=timeout)
        hung = False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, errors = process.communicate()
        hung = True
    result = Result(arguments, process.returncode, out.decode(errors="replace"),
                    errors.decode(errors="replace"))
    assert not hung, f"not done after {timeout} s, killed: {result!r}"
    if scratch:
        text = pathlib.Path(scratch.name).read_text()
        result.stats = json.loads(text) if text else None
        scratch.close()
    assert code is None or result.code == code, f"exit code {code} was expected: {result!r}"
    return result


class Weir:
    """A weir left running, for tests that watch, signal or kill it.

        with Weir("run", "pipeline.sql") as weir:
            ...
            assert weir.terminate() == 0
    """

    def __init__(self, *arguments, env=None, cwd=None, launcher=(), program=None):
        self._program = program or weir_bin()
        self._state = own_state(arguments)
        self.arguments = self._state.__enter__()
        self._env, self._cwd, self._launcher = weir_env(env), cwd, launcher
        self._out = tempfile.TemporaryFile()
        self._err = tempfile.TemporaryFile()
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(
            [*self._launcher, self._program, *self.arguments], env=self._env, cwd=self._cwd,
            stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err, start_new_session=True,
            preexec_fn=_die_with_parent)
        return self

    def __exit__(self, kind, error, _trace):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if error is not None:
            print(repr(self.result()), file=sys.stderr)
        self._out.close()
        self._err.close()
        self._state.__exit__(None, None, None)

    @property
    def pid(self):
        return self.process.pid

    def stdout(self):
        return self._read(self._out)

    def stderr(self):
        return self._read(self._err)

    @staticmethod
    def _read(file):
        # pread leaves the offset alone, which the child shares.
        return os.pread(file.fileno(), 1 << 26, 0).decode(errors="replace")

    def result(self):
        return Result(self.arguments, self.process.returncode, self.stdout(), self.stderr())

    def wait_for(self, check, what, seconds=READY_SECONDS):
        """wait_until, failing at once when weir exits before check() holds."""
        def alive_check():
            value = check()
            if not value and self.process.poll() is not None:
                raise AssertionError(f"weir exited while waiting for {what}: {self.result()!r}")
            return value
        return wait_until(alive_check, what, seconds)

    def wait(self, seconds=RUN_SECONDS):
        """The exit code; a weir that does not end is a failure."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not done after {seconds} s: {self.result()!r}") from None

    def signal(self, number):
        self.process.send_signal(number)

    def terminate(self, seconds=RUN_SECONDS):
        """SIGTERM, then the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self):
        """kill -9, and waits until it is gone."""
        self.signal(signal.SIGKILL)
        return self.process.wait(30)
