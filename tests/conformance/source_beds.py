"""What the conformance suite asks of a source: a real server, a stream of records in it, and the SQL that reads it.

A bed stands for one stream. Records are bytes, put in order; `n` counts rows by the JSON field of that name.
"""

import tempfile
import time

from services import harness
from services.fake_pubsub import FakePubsub


class Bed:
    """One stream of a server. A class attribute says what the source promises beside "everything arrives"."""

    name = None
    columns = "n BIGINT, t TEXT, ts TIMESTAMP"
    is_log = True        # positions can be read again: start = 'earliest' | 'latest' mean something
    survives_kill = True  # what the server acknowledged is there after SIGKILL of the server
    record_bytes_max = 10_000_000  # the largest record that the server takes
    keeps_order = True
    takes_empty = True
    has_key = True
    knows_streams = True  # one that is not there is an error
    knows_repeats = True  # what the service delivers again is not taken twice
    can_freeze = True    # SIGSTOP
    takes_proxy = True   # the server does not send its clients to an address of its own

    def __init__(self, server, stream):
        self.server, self.stream, self.endpoint = server, stream, None
        self.create()

    def create(self):
        raise NotImplementedError

    def put(self, values, key=None):
        raise NotImplementedError

    def options(self):
        """connector and what names server and stream, as they stand in WITH (…)."""
        raise NotImplementedError

    def env(self):
        return {}

    @property
    def address(self):
        """host:port, for a proxy in front of it."""
        return f"127.0.0.1:{self.server.port}"

    def sql(self, columns=None, **options):
        given = {**self.options(), "format": "json", **options}
        return (f"CREATE SOURCE s ({columns or self.columns}) WITH (" +
                ", ".join(f"{name} = '{value}'" for name, value in given.items()) + ");\n")

    def kill_server(self):
        self.server.kill()

    def wrong_stream(self):
        """Options that name a stream that is not there, and a word that the error must contain."""
        raise NotImplementedError

    def unreachable(self, port):
        """(options, environment) of a server that is not there."""
        raise NotImplementedError

    def through(self, address):
        """The same stream by way of a proxy."""
        self.endpoint = address
        return self


class KafkaBed(Bed):
    name = "kafka"
    takes_proxy = False  # test_kills.py has a broker behind a proxy, which it must be told about

    def create(self):
        self.server.create_topic(self.stream, partitions=4, max_message_bytes=11_000_000)

    def put(self, values, key=None):
        self.server.produce(self.stream, values, keys=[key] * len(values) if key is not None else None,
                            partition=None if key is not None else (lambda i: i % 4), message_max_bytes=11_000_000)

    def options(self):
        return {"connector": "kafka", "brokers": self.endpoint or self.server.brokers, "topic": self.stream}

    def wrong_stream(self):
        return {**self.options(), "topic": self.stream + "-missing"}, self.stream + "-missing"

    def unreachable(self, port):
        return {**self.options(), "brokers": f"127.0.0.1:{port}"}, {}


class KinesisBed(Bed):
    name = "kinesis"
    record_bytes_max = 1_000_000
    takes_empty = False

    def create(self):
        self.server.create_stream(self.stream, shards=2)

    def put(self, values, key=None):
        self.server.put(self.stream, [(key if key is not None else str(i), value) for i, value in enumerate(values)])

    def options(self):
        return {"connector": "kinesis", "stream": self.stream}

    def env(self):
        env = self.server.env()
        if self.endpoint:
            env["AWS_ENDPOINT_URL_KINESIS"] = f"http://{self.endpoint}"
        return env

    def wrong_stream(self):
        return {**self.options(), "stream": self.stream + "-missing"}, self.stream + "-missing"

    def unreachable(self, port):
        return self.options(), {**self.server.env(), "AWS_ENDPOINT_URL_KINESIS": f"http://127.0.0.1:{port}"}


class PubsubBed(Bed):
    """Our own service: Google's emulator goes on leasing messages to processes that are gone, the fake of its Go client is slow."""

    name = "pubsub"
    is_log = False
    can_freeze = False  # it lives in this process
    keeps_order = False
    takes_empty = False  # a message without attributes must have data

    def create(self):
        self.server.create(self.stream)

    @property
    def address(self):
        return self.server.address

    def kill_server(self):
        self.server.stop()

    def put(self, values, key=None):
        self.server.publish(self.stream, values, keys=[key] * len(values) if key is not None else None)

    def options(self):
        return {"connector": "pubsub", "subscription": self.stream, "empty_after": "2s", "ack_deadline": "10s"}

    def env(self):
        env = self.server.env()
        if self.endpoint:
            env["PUBSUB_EMULATOR_HOST"] = self.endpoint
        return env

    def wrong_stream(self):
        return {**self.options(), "subscription": self.stream + "-missing"}, self.stream + "-missing"

    def unreachable(self, port):
        return self.options(), {**self.server.env(), "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{port}"}


class MqttBed(Bed):
    """A session that the broker keeps: what is published before weir comes waits for it."""

    name = "mqtt"
    is_log = False
    keeps_order = False  # of what is delivered again
    has_key = False
    survives_kill = False  # Mosquitto writes its sessions when it is stopped in order
    knows_streams = False
    knows_repeats = False  # a message that is delivered again has no name of its own

    def create(self):
        self.server.open_session(client=self.stream, topic=self.stream)

    def put(self, values, key=None):
        """Lines together, what is no line for itself."""
        lines = []
        for value in [*values, None]:
            if value is not None and value and not set(value) & {0, 10}:
                lines.append(value)
                continue
            if lines:
                self.server.publish(self.stream, lines)
                lines = []
            if value is not None:
                with tempfile.NamedTemporaryFile() as file:
                    file.write(value)
                    file.flush()
                    self.server.publish_file(self.stream, file.name)

    def options(self):
        return {"connector": "mqtt", "topic": self.stream, "client_id": self.stream,
                "url": f"mqtt://{self.endpoint or self.address}"}

    def unreachable(self, port):
        return {**self.options(), "url": f"mqtt://127.0.0.1:{port}"}, {}


BEDS = {"kafka": (harness.Kafka, KafkaBed), "kinesis": (harness.Kinesalite, KinesisBed),
        "mqtt": (harness.Mosquitto, MqttBed), "pubsub": (FakePubsub, PubsubBed)}


def pause_server(bed, seconds):
    bed.server.pause()
    time.sleep(seconds)
    bed.server.resume()
