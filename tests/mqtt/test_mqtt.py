"""MQTT as a source, against Mosquitto: nothing that was acknowledged is lost, whoever dies."""

import json
import os
import select
import socket
import struct
import subprocess
import threading
import time

import pytest

from services.harness import Mosquitto, Weir, run_weir, wait_until
from window_oracle import check_ledger

COLUMNS = "id BIGINT NOT NULL, device TEXT, v DOUBLE PRECISION, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '1 second'"


@pytest.fixture(scope="module")
def broker():
    with Mosquitto() as running:
        yield running


def events(first, end):
    return [{"id": i, "device": f"d{i % 7}", "v": i / 4, "ts": 1700000000000 + i} for i in range(first, end)]


class Pipeline:
    """One source, one file of rows, one of dead letters; with a state."""

    def __init__(self, directory, url, topic, more="", columns=COLUMNS, query="SELECT * FROM devices", settings=""):
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.out = directory / "out.ndjson"
        self.sql = directory / "p.sql"
        self.sql.write_text(f"""
          SET default_commit_interval = '100ms'; {settings}
          CREATE SOURCE devices ({columns}) WITH (connector='mqtt', url='{url}', topic='{topic}', format='json',
            on_error='bad' {more});
          CREATE SINK out WITH (connector='file', path='{self.out}') AS {query};
          CREATE SINK bad WITH (connector='file', path='{directory}/bad.ndjson');""")
        self.words = ("run", self.sql, "--state", directory / "state", "--workers", "2")

    def run(self, *more, **how):
        return run_weir(*self.words, *more, **{"code": 0, "timeout": 60, **how})

    def start(self, env=None):
        return Weir(*self.words, env=env)

    def rows(self, name="out.ndjson"):
        path = self.directory / name
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]]

    def ids(self):
        return sorted(row["id"] for row in self.rows())

    def wait_for_rows(self, weir, count, seconds=30):
        weir.wait_for(lambda: len(self.rows()) >= count, f"{count} rows", seconds)

    def subscribe(self):
        """The session exists from now on."""
        self.run("--bounded")


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_what_matches_arrives_once_and_is_kept_while_nobody_is_connected(broker, tmp_path, unique, version):
    base = unique("plant")
    pipeline = Pipeline(tmp_path, broker.url, f"{base}/+/temp, {base}/alarms/#", f", version='{version}'",
                        query="SELECT id, _topic, _offset, _headers, _timestamp > ts AS stamped FROM devices")
    with pipeline.start() as weir:
        weir.wait_for(lambda: (tmp_path / "state").exists(), "a state")
        wait_until(lambda: "weir-devices" in broker.log_tail(50), "the subscription")
        time.sleep(0.3)
        broker.publish(f"{base}/a/temp", events(0, 100))
        broker.publish(f"{base}/b/temp", events(100, 200))
        broker.publish(f"{base}/alarms/fire/1", events(200, 210), *(
            ("-V", "5", "-D", "publish", "user-property", "site", "north", "-D", "publish", "content-type", "text/json")
            if version == "5" else ()))
        broker.publish(f"{base}/a/humidity", events(900, 910))
        pipeline.wait_for_rows(weir, 210)
        assert weir.terminate() == 0
    broker.publish(f"{base}/a/temp", events(210, 300))  # for the session
    result = pipeline.run("--bounded", stats=True)
    check_ledger(result.stats)
    rows = pipeline.rows()
    assert sorted(row["id"] for row in rows) == list(range(300))
    assert [row["_offset"] for row in rows] == list(range(300)) and all(row["stamped"] for row in rows)
    topics = {row["id"]: row["_topic"] for row in rows}
    assert topics[0] == topics[299] == f"{base}/a/temp" and topics[150] == f"{base}/b/temp"
    assert topics[205] == f"{base}/alarms/fire/1"
    headers = {row["id"]: row["_headers"] for row in rows}
    assert headers[0] is None
    assert headers[205] == ({"site": "north", "mqtt.content_type": "text/json"} if version == "5" else None)
    assert pipeline.run("--bounded") and len(pipeline.rows()) == 300  # all of it was acknowledged


@pytest.mark.parametrize("qos", ["1", "2"])
def test_killed_again_and_again_nothing_is_lost_and_nothing_is_twice(broker, tmp_path, unique, qos):
    topic = unique("kill")
    once = Pipeline(tmp_path / "once", broker.url, topic, f", qos='{qos}', deduplicate_by='id'")
    once.subscribe()
    count = 12000
    feeder = subprocess.Popen(broker.publisher(topic, "-l", qos=qos), stdin=subprocess.PIPE)

    def feed():
        for event in events(0, count):
            feeder.stdin.write(json.dumps(event).encode() + b"\n")
            if event["id"] % 100 == 99:
                feeder.stdin.flush()
                time.sleep(0.02)
        feeder.stdin.close()

    thread = threading.Thread(target=feed)
    thread.start()
    kills = 0
    while thread.is_alive() or feeder.poll() is None:
        with once.start() as weir:
            time.sleep(0.35 + 0.13 * (kills % 4))
            weir.kill()
        kills += 1
    thread.join()
    assert feeder.wait(60) == 0 and kills >= 3
    result = once.run("--bounded", stats=True)
    ledger = check_ledger(result.stats)
    assert once.ids() == list(range(count))
    print(f"QoS {qos}: {kills} kills; of {count} messages {ledger['out']['filtered']} came twice and were filtered")


def test_without_deduplication_a_crash_repeats_but_loses_nothing(broker, tmp_path, unique):
    topic = unique("repeat")
    pipeline = Pipeline(tmp_path, broker.url, topic, columns="id BIGINT")
    pipeline.subscribe()
    for first in (0, 2000):
        with pipeline.start() as weir:
            broker.publish(topic, events(first, first + 2000))
            weir.kill()
    pipeline.run("--bounded")
    assert set(pipeline.ids()) == set(range(4000))


def test_a_broker_that_restarts_is_found_again_and_repeats_nothing(tmp_path):
    with Mosquitto() as broker:
        pipeline = Pipeline(tmp_path, broker.url, "restart")
        with pipeline.start() as weir:
            wait_until(lambda: "weir-devices" in broker.log_tail(50), "the subscription")
            time.sleep(0.3)
            for turn in range(3):
                broker.publish("restart", events(turn * 500, turn * 500 + 500))
                broker.stop()
                broker.start()
            broker.publish("restart", events(1500, 1600))
            weir.wait_for(lambda: set(pipeline.ids()) == set(range(1600)), "all rows", 30)
            assert weir.terminate() == 0
            assert "the broker" in weir.stderr() and "again in" in weir.stderr()
        print(f"3 restarts: {len(pipeline.ids()) - 1600} of 1,600 rows came twice")
        assert len(pipeline.ids()) < 1600 + 1500


def test_a_broker_that_sends_few_ahead_is_read_to_its_end(tmp_path):
    with Mosquitto(MQTT_INFLIGHT=20) as broker:
        pipeline = Pipeline(tmp_path, broker.url, "few", ", version='3.1.1'")
        pipeline.subscribe()
        broker.publish("few", events(0, 150))
        pipeline.run("--bounded")
    assert pipeline.ids() == list(range(150))  # 20 with each commit


class Cutter:
    """A TCP proxy whose connections break off on demand."""

    def __init__(self, port):
        self.target, self.pairs, self.stopped = port, [], False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while not self.stopped:
            watched = [self.listener] + [s for pair in self.pairs for s in pair]
            for ready in select.select(watched, [], [], 0.05)[0]:
                if ready is self.listener:
                    client = self.listener.accept()[0]
                    self.pairs.append((client, socket.create_connection(("127.0.0.1", self.target))))
                    continue
                pair = next((p for p in self.pairs if ready in p), None)
                if pair is None:
                    continue
                try:
                    data = ready.recv(65536)
                    (pair[1] if ready is pair[0] else pair[0]).sendall(data)
                except OSError:
                    data = b""
                if not data:
                    self.cut(pair)

    def cut(self, pair):
        self.pairs.remove(pair)
        for end in pair:
            end.close()

    def cut_all(self):
        for pair in list(self.pairs):
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.stopped = True
        self.thread.join()
        self.listener.close()


def test_connections_that_break_lose_nothing(broker, tmp_path, unique):
    topic = unique("cut")
    cutter = Cutter(broker.port)
    pipeline = Pipeline(tmp_path, f"mqtt://127.0.0.1:{cutter.port}", topic)
    try:
        pipeline.subscribe()
        with pipeline.start() as weir:
            publisher = threading.Thread(target=broker.publish, args=(topic, events(0, 20000)))
            publisher.start()
            for _ in range(8):
                time.sleep(0.15)
                cutter.cut_all()
            publisher.join()
            weir.wait_for(lambda: len(set(pipeline.ids())) == 20000, "all rows", 40)
            assert weir.terminate() == 0
        rows = len(pipeline.rows())
        # Only messages whose acknowledgement was on its way when a connection broke come a second time.
        print(f"8 cuts: {rows - 20000} of 20,000 rows came twice")
        assert rows - 20000 < 10000
    finally:
        cutter.close()


def test_a_shared_subscription_divides_the_messages(broker, tmp_path, unique):
    topic = unique("shared")
    one, two = (Pipeline(tmp_path / name, broker.url, f"$share/weir/{topic}/#") for name in ("one", "two"))
    one.subscribe()
    two.subscribe()
    with one.start() as a, two.start() as b:
        time.sleep(0.5)
        broker.publish(f"{topic}/x", events(0, 2000))
        wait_until(lambda: len(one.rows()) + len(two.rows()) >= 2000, "all rows", 30)
        assert a.terminate() == 0 and b.terminate() == 0
    assert sorted(one.ids() + two.ids()) == list(range(2000))
    assert one.ids() and two.ids()


def test_tls_is_verified(broker, tmp_path, unique):
    topic = unique("tls")
    ca = f", tls.ca='{broker.certs}/ca.crt'"
    good = Pipeline(tmp_path / "good", broker.url_tls, topic, ca)
    good.subscribe()
    broker.publish(topic, events(0, 50))
    good.run("--bounded")
    assert good.ids() == list(range(50))
    own = f", tls.cert='{broker.certs}/client.crt', tls.key='{broker.certs}/client.key'"
    Pipeline(tmp_path / "mtls", broker.url_mtls, topic, ca + own).run("--bounded")
    for name, url, more, told in (
            ("other", broker.url_tls, f", tls.ca='{broker.certs}/other-ca.crt'", "is not trusted"),
            ("system", broker.url_tls, "", "is not trusted"),
            ("no-client", broker.url_mtls, ca, "client's certificate"),
            ("plain", broker.url_tls.replace("mqtts", "mqtt"), "", "with or without TLS"),
            ("not-tls", broker.url.replace("mqtt://", "mqtts://"), ca, "no TLS connection")):
        result = Pipeline(tmp_path / name, url, topic, more).run("--bounded", code=1)
        assert told in result.stderr and "Traceback" not in result.stderr, (name, result)


def test_a_wrong_password_is_told_and_never_shown(broker, tmp_path, unique):
    topic = unique("login")
    login = f", username='{broker.user}', password='${{MQTT_PASSWORD}}'"
    for version in ("5", "3.1.1"):
        pipeline = Pipeline(tmp_path / version, broker.url_password, topic, f"{login}, version='{version}'")
        result = pipeline.run("--bounded", code=1, env={"MQTT_PASSWORD": "planted-secret"})
        assert "refuses the connection" in result.stderr and "check username and password" in result.stderr
        assert "planted-secret" not in result.stderr + result.stdout
        plan = run_weir("explain", pipeline.sql, env={"MQTT_PASSWORD": "planted-secret"}, code=0)
        assert "planted-secret" not in plan.stdout + plan.stderr
        assert "may come twice, without deduplicate_by" in plan.stdout
        pipeline.run("--bounded", env={"MQTT_PASSWORD": broker.password})
    nobody = Pipeline(tmp_path / "nobody", f"mqtt://127.0.0.1:{socket_nobody_listens_at()}", topic)
    assert "cannot connect to the broker" in nobody.run("--bounded", code=1).stderr


def socket_nobody_listens_at():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_poison_message_becomes_a_dead_letter_and_is_replayed_with_its_topic(broker, tmp_path, unique):
    topic = unique("poison")
    query = "SELECT id, v, _topic FROM devices"
    strict = Pipeline(tmp_path, broker.url, f"{topic}/#", columns="id BIGINT NOT NULL, v BIGINT", query=query)
    strict.subscribe()
    broker.publish(f"{topic}/a", ['{"id":1,"v":1}', "not json", '{"id":2,"v":1.5}', "", '{"id":3,"v":3}'])
    strict.run("--bounded")
    assert strict.ids() == [1, 3]
    bad = strict.rows("bad.ndjson")
    assert [row["_value"] for row in bad][:2] == ["not json", '{"id":2,"v":1.5}'] and len(bad) == 3
    assert {row["_key"] for row in bad} == {f"{topic}/a"}
    Pipeline(tmp_path, broker.url, f"{topic}/#", columns="id BIGINT NOT NULL, v DOUBLE PRECISION", query=query)
    run_weir("dlq", "replay", strict.sql, "--state", tmp_path / "state", code=0)
    assert {"id": 2, "v": 1.5, "_topic": f"{topic}/a"} in strict.rows()


def test_a_client_id_that_somebody_else_uses_is_told(broker, tmp_path, unique):
    topic = unique("twice")
    one, two = (Pipeline(tmp_path / name, broker.url, topic, f", client_id='{topic}'") for name in ("one", "two"))
    with one.start() as a:
        wait_until(lambda: f" as {topic}" in broker.log_tail(50), "the session")
        time.sleep(0.3)
        with two.start() as b:
            # This broker does not say why it closes a connection; others end the run (reason 0x8e of version 5).
            wait_until(lambda: "if another client uses the client id" in a.stderr() + b.stderr(), "the hint", 20)


def test_a_preview_takes_nothing_away(broker, tmp_path, unique):
    topic = unique("preview")
    pipeline = Pipeline(tmp_path, broker.url, f"$share/g/{topic}", f", client_id='{topic}'")
    pipeline.subscribe()
    broker.publish(topic, events(0, 5))
    with Weir("preview", pipeline.sql, "--rows", "3") as preview:
        wait_until(lambda: broker.log_tail(50).count("weir-devices-") >= 1, "the preview's session")
        time.sleep(0.3)
        broker.publish(topic, events(5, 10))
        preview.wait_for(lambda: preview.stdout().count("out: {") == 3, "three rows", 20)
        assert preview.terminate() == 0
    pipeline.run("--bounded")
    assert pipeline.ids() == list(range(10))


def test_retained_messages(broker, tmp_path, unique):
    topic = unique("retained")
    broker.publish(topic, events(1, 2), "-r")
    with_them = Pipeline(tmp_path / "with", broker.url, topic, query="SELECT id, _headers FROM devices")
    with_them.run("--bounded")
    with_them.run("--bounded")  # for new subscriptions only
    assert with_them.rows() == [{"id": 1, "_headers": {"mqtt.retain": "true"}}]
    for version in ("5", "3.1.1"):
        without = Pipeline(tmp_path / version, broker.url, topic, f", retained='false', version='{version}'")
        without.run("--bounded")
        assert without.rows() == []


def test_large_messages_and_little_memory(broker, tmp_path, unique):
    topic = unique("large")
    pipeline = Pipeline(tmp_path, broker.url, topic, columns="id BIGINT, pad TEXT", query="SELECT id, length(pad) AS n FROM devices",
                        settings="SET memory = '64MiB';")
    pipeline.subscribe()
    sizes = [10_000_000, 10, 300_000, 5_000_000, 1, 262_144, 0] * 2
    for number, size in enumerate(sizes):
        path = tmp_path / "message"
        path.write_text(json.dumps({"id": number, "pad": "x" * size}))
        broker.publish(topic, [path.read_text()]) if size < 100 else broker.publish_file(topic, path)
    pipeline.run("--bounded")
    assert {row["id"]: row["n"] for row in pipeline.rows()} == dict(enumerate(sizes))


@pytest.mark.parametrize("greeting", [
    b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\xff\xff\xff\xff\x7f", b"\x20\x02\x00", b"\x20\x03\x00\x00\x7f",
    b"\x20\x02\x00\x00\x30\x02\xff\xff", b"\x20\x03\x00\x00\x00\x90\x04\x00\x02\x00\x01", os.urandom(200)])
def test_a_broker_that_talks_nonsense_ends_the_start_with_a_message(tmp_path, greeting):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            client = listener.accept()[0]
            client.recv(1000)
            client.sendall(greeting)
            time.sleep(0.2)
            client.close()

        threading.Thread(target=serve, daemon=True).start()
        pipeline = Pipeline(tmp_path, f"mqtt://127.0.0.1:{listener.getsockname()[1]}", "t")
        result = pipeline.run("--bounded", code=1, timeout=30)
    assert 'source "devices" (mqtt)' in result.stderr and "broker" in result.stderr


@pytest.mark.parametrize("options, told", [
    ("url='http://x', topic='t'", "begin with mqtt://"),
    ("url='mqtt://u:p@x', topic='t'", "a user does not belong in it"),
    ("url='mqtt://x:0', topic='t'", "port"),
    ("url='mqtt://x', topic='a/#/b'", "# stands for all that follows"),
    ("url='mqtt://x', topic='a/b+'", "+ stands for a whole level"),
    ("url='mqtt://x', topic='$share/g'", "$share/group/topic"),
    ("url='mqtt://x', topic='t', password='p'", "username"),
    ("url='mqtt://x', topic='t', tls.ca='f'", "mqtts://"),
    ("url='mqtts://x', topic='t', tls.cert='f'", "go together"),
    ("url='mqtt://x', topic='t', qos='3'", "qos"),
])
def test_options_that_do_not_fit_are_refused_before_the_start(tmp_path, options, told):
    sql = tmp_path / "p.sql"
    sql.write_text(f"""CREATE SOURCE s (id BIGINT) WITH (connector='mqtt', {options}, format='json');
      CREATE SINK out WITH (connector='blackhole') AS SELECT * FROM s;""")
    result = run_weir("check", sql, code=2)
    assert told in result.stderr and "^" in result.stderr


def publish_fast(broker, topic, values):
    """Many messages of QoS 1 over one connection, without a window; returns when all are acknowledged."""
    def packet(kind, body):
        size, length = len(body), b""
        while True:
            length += bytes([size % 128 | (128 if size > 127 else 0)])
            size //= 128
            if size == 0:
                return bytes([kind]) + length + body

    def text(value):
        return struct.pack(">H", len(value)) + value

    with socket.create_connection(("127.0.0.1", broker.port)) as client:
        client.sendall(packet(0x10, text(b"MQTT") + b"\x04\x02\x00\x00" + text(b"fast")))
        acknowledged = -1  # CONNACK is four bytes too, as every PUBACK
        packets = [packet(0x32, text(topic.encode()) + struct.pack(">H", number % 65535 + 1) + json.dumps(value).encode())
                   for number, value in enumerate(values)]
        received = b""
        for first in range(0, len(packets), 1000):
            client.sendall(b"".join(packets[first:first + 1000]))
            while acknowledged < first - 20_000 or (first + 1000 >= len(packets) and acknowledged < len(packets)):
                received += client.recv(65536)
                acknowledged += len(received) // 4
                received = received[len(received) // 4 * 4:]


def test_a_hundred_thousand_messages(broker, tmp_path, unique):
    topic = unique("many")
    pipeline = Pipeline(tmp_path, broker.url, topic, query="SELECT count(*) AS n, sum(id) AS s, window_start FROM TUMBLE(devices, ts, "
                        "INTERVAL '1 hour') GROUP BY window_start, window_end")
    pipeline.subscribe()
    publish_fast(broker, topic, events(0, 100_000))
    started = time.monotonic()
    result = pipeline.run("--bounded", stats=True, timeout=120)
    seconds = time.monotonic() - started
    assert sum(row["n"] for row in pipeline.rows()) == 100_000
    assert sum(row["s"] for row in pipeline.rows()) == sum(range(100_000))
    told = next(line for line in result.stderr.splitlines() if "CPU per event" in line)
    print(f"100,000 messages of QoS 1 in {seconds:.2f} s, of them a second of silence at the end: at least "
          f"{100_000 / (seconds - 1):.0f} events/s; {told}")
