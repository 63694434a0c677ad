"""Google Pub/Sub as a source and as a sink: against the fake of Google's Go client, Google's emulator where this machine has it, and
our own service (services/fake_pubsub.py) for what neither does: TLS, tokens, answers that fail on request."""

import collections
import json
import random
import subprocess
import threading
import time

import pytest

from services.fake_cloud import FakeCloud
from services.fake_pubsub import FakePubsub
from services.harness import SERVICES, PubsubEmulator, Pstest, Weir, run_weir, wait_until

# The emulator is in no registry: where it is not, there is nothing to skip.
REAL = ["pstest"] + (["emulator"] if PubsubEmulator.is_here() else [])


@pytest.fixture(scope="module")
def pstest():
    with Pstest() as running:
        yield running


@pytest.fixture(scope="module")
def emulator():
    with PubsubEmulator() as running:
        yield running


@pytest.fixture
def fake():
    with FakePubsub() as running:
        yield running


@pytest.fixture(params=["fake", *REAL])
def server(request):
    return request.getfixturevalue(request.param)


class Scene:
    """A pipeline from a subscription into a file, exactly once, with a state of its own."""

    def __init__(self, tmp_path, server, name, columns="id BIGINT", select="id", source="", sink="", more=""):
        self.server, self.name = server, name
        self.out, self.sql, self.state = tmp_path / "out.ndjson", tmp_path / "p.sql", tmp_path / "state"
        self.bad = tmp_path / "bad.ndjson"
        self.env = server.env()
        self.sql.write_text(f"""
          CREATE SOURCE s ({columns}) WITH (connector = 'pubsub', subscription = '{name}', format = 'json', empty_after = '1s'{source});
          CREATE SINK o WITH (connector = 'file', path = '{self.out}', format = 'json', commit_interval = '100ms'{sink})
            AS SELECT {select} FROM s;{more}""")
        self.arguments = ["run", self.sql, "--state", self.state]

    def weir(self, *more):
        return Weir(*self.arguments, *more, env=self.env)

    def bounded(self, code=0, **how):
        return run_weir(*self.arguments, "--bounded", env=self.env, code=code, **how)

    def rows(self):
        """Whole lines: the last one may be on its way."""
        return [json.loads(line) for line in self.out.read_text().split("\n")[:-1]] if self.out.exists() else []

    def ids(self):
        return [row["id"] for row in self.rows()]

    def wait_for_rows(self, weir, count, seconds=40):
        weir.wait_for(lambda: len(self.rows()) >= count, f"{count} rows ({len(self.rows())} are there)", seconds)


def numbered(count, first=0):
    return [json.dumps({"id": i}).encode() for i in range(first, first + count)]


def once(count):
    return list(range(count))


# --- everything arrives -----------------------------------------------------------------------


def test_everything_arrives_with_its_metadata_and_is_acknowledged(server, tmp_path, unique):
    name = server.create(unique("all"))
    server.publish(name, numbered(60), attributes={"colour": "grün", "quote": '"'})
    scene = Scene(tmp_path, server, name, select="id, _message_id AS m, _headers AS h, _timestamp AS t, _offset AS o, _topic AS p, _key AS k")
    scene.bounded()
    rows = scene.rows()
    assert sorted(row["id"] for row in rows) == once(60)
    assert sorted(row["o"] for row in rows) == once(60)
    assert len({row["m"] for row in rows}) == 60 and all(row["m"] for row in rows)
    assert all(row["h"] == {"colour": "grün", "quote": '"'} and row["p"] == name and row["k"] is None for row in rows)
    assert abs(time.time() - time.mktime(time.strptime(rows[0]["t"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone) < 60
    again = scene.bounded(stats=True)
    assert len(scene.rows()) == 60, again
    if isinstance(server, FakePubsub):
        assert server.counts(name) == (0, 0, 60)


def test_an_empty_subscription_ends_a_bounded_run(server, tmp_path, unique):
    scene = Scene(tmp_path, server, server.create(unique("empty")))
    begun = time.monotonic()
    scene.bounded()
    assert scene.rows() == [] and time.monotonic() - begun < 15


def test_while_nothing_comes_the_service_is_asked_whether_it_answers(fake, tmp_path):
    """That is what caught up stands on. Seldom, and without taking a message from anybody."""
    fake.create("quiet")
    fake.publish("quiet", numbered(10))
    probes = []
    fake.trouble["ModifyAckDeadline"] = lambda request: None if request.ack_ids else probes.append(time.monotonic())
    scene = Scene(tmp_path, fake, "quiet")
    with scene.weir() as weir:
        scene.wait_for_rows(weir, 10)
        weir.wait_for(lambda: probes, "a probe")
        time.sleep(2.5)
        assert len(probes) <= 2, "every ten seconds is enough"
        fake.publish("quiet", numbered(10, 10))
        scene.wait_for_rows(weir, 20)
        before = len(probes)
        weir.wait_for(lambda: len(probes) > before, "a probe after the new messages")
        assert fake.calls["Pull"] == 1 and weir.terminate() == 0
    assert sorted(scene.ids()) == once(20)


def test_large_and_odd_messages(request, tmp_path, unique):
    for which in ["fake", *(["emulator"] if "emulator" in REAL else [])]:
        server = request.getfixturevalue(which)
        name = server.create(unique("odd"))
        large = "x" * (10_000_000 - 200)
        server.publish(name, [json.dumps({"id": 1, "v": large}).encode()])
        server.publish(name, [json.dumps({"id": 2, "v": ""}).encode(), '{"id": 3, "v": "zażółć 🦔 \\u0000"}'.encode()])
        scene = Scene(tmp_path / which, server, name, columns="id BIGINT, v TEXT", select="id, length(v) AS n") if (
            tmp_path / which).mkdir() is None else None
        scene.bounded()
        assert sorted((row["id"], row["n"]) for row in scene.rows()) == [(1, len(large)), (2, 0), (3, 10)], which


# --- exactly once -----------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["fake", *[name for name in REAL if name == "emulator"]], indirect=True)
def test_killed_at_random_moments_all_comes_exactly_once(server, tmp_path, unique):
    """The emulator goes on leasing messages to the streams of processes that are gone, until those run out: fewer kills there,
    and many streams at the end."""
    is_fake, seed = isinstance(server, FakePubsub), random.randrange(1 << 30)
    count, kills = (6000, 5) if is_fake else (2000, 2)
    print("seed", seed)
    moments = random.Random(seed)
    name = server.create(unique("kills"))
    scene = Scene(tmp_path, server, name, source=", ack_deadline = '10s', streams = 1")

    def publish():
        for first in range(0, count, 100):
            server.publish(name, numbered(100, first))
            time.sleep(0.05)

    publisher = threading.Thread(target=publish)
    publisher.start()
    moved = 0
    for _ in range(kills):
        before = len(scene.rows())
        with scene.weir() as weir:
            time.sleep(moments.uniform(0.3, 1.2))
            assert weir.process.poll() is None, weir.result()
            weir.kill()
        moved += len(scene.rows()) > before
    publisher.join()
    if is_fake:  # no need to wait for the leases of the dead
        with server._changed:
            server.of(name).expire(time.monotonic() + 3600)
    scene.sql.write_text(scene.sql.read_text().replace("streams = 1", "streams = 16"))
    with scene.weir() as weir:
        scene.wait_for_rows(weir, count, 120)
        time.sleep(0.5)
        assert weir.terminate() == 0
    assert sorted(scene.ids()) == once(count)
    assert moved >= 1, "no killed run had committed anything: the test showed nothing"


def killed_before_the_acknowledgement(fake, tmp_path, name, values, **how):
    """A run whose rows are committed, and of which not one acknowledgement got through."""
    import grpc

    fake.create(name)
    fake.publish(name, values)
    scene = Scene(tmp_path, fake, name, source=", ack_deadline = '10s'" + how.pop("source", ""), **how)
    fake.trouble["Acknowledge"] = lambda _request: (grpc.StatusCode.UNAVAILABLE, "not now")
    with scene.weir() as weir:
        scene.wait_for_rows(weir, how.get("count", 300))
        weir.wait_for(lambda: fake.calls["Acknowledge"] > 0, "an acknowledgement")
        weir.kill()
    del fake.trouble["Acknowledge"]
    assert fake.counts(name)[2] == 0
    with fake._changed:  # the dead subscriber's leases run out
        fake.of(name).expire(time.monotonic() + 3600)
    return scene


def test_what_was_committed_but_not_acknowledged_is_known_when_it_comes_again(fake, tmp_path):
    scene = killed_before_the_acknowledgement(fake, tmp_path, "twice", numbered(300))
    fake.publish("twice", numbered(20, 300))
    result = scene.bounded(stats=True)
    assert sorted(scene.ids()) == once(320)
    assert "filtered 300" in result.stderr
    assert fake.counts("twice") == (0, 0, 320)


def test_without_deduplication_it_comes_twice(fake, tmp_path):
    """The opposite of the test above: the messages really are delivered again."""
    scene = killed_before_the_acknowledgement(fake, tmp_path, "none", numbered(300), source=", deduplicate_by = 'none'")
    scene.bounded()
    assert sorted(scene.ids()) == sorted(once(300) * 2)


def test_a_poison_record_is_one_dead_letter_also_when_it_comes_again(fake, tmp_path):
    bad = f"""CREATE SINK bad WITH (connector = 'file', path = '{tmp_path}/bad.ndjson', format = 'json');"""
    scene = killed_before_the_acknowledgement(fake, tmp_path, "poison", [*numbered(150), b"{not json", b"", *numbered(150, 150)],
                                              source=", on_error = 'bad'", more=bad)
    scene.bounded()
    assert sorted(scene.ids()) == once(300)
    letters = [json.loads(line) for line in scene.bad.read_text().splitlines()]
    assert len(letters) == 2, letters
    assert fake.counts("poison") == (0, 0, 302)


def test_leases_are_extended_while_messages_wait_for_their_commit(fake, tmp_path):
    fake.create("leases")
    fake.publish("leases", numbered(1, 2600))
    scene = Scene(tmp_path, fake, "leases", source=", ack_deadline = '10s'")
    scene.sql.write_text(scene.sql.read_text().replace("commit_interval = '100ms'", "commit_interval = '1h'"))
    with scene.weir() as weir:
        weir.wait_for(lambda: fake.counts("leases")[2] == 1, "the first epoch, in which all sinks take part")
        fake.of("leases").extended.clear()
        fake.publish("leases", numbered(2600))
        weir.wait_for(lambda: len(fake.of("leases").extended) == 2600, "2,600 extensions", 20)
        weir.wait_for(lambda: min(fake.of("leases").extended.values()) >= 2, "two of each", 30)
        assert fake.counts("leases") == (0, 2600, 1), "nothing is acknowledged before its commit, nothing came again"
        assert weir.terminate() == 0
    assert sorted(scene.ids()) == once(2601) and fake.counts("leases") == (0, 0, 2601)


def test_what_is_not_committed_is_given_back_at_the_end(fake, tmp_path):
    fake.create("back")
    fake.publish("back", numbered(500))
    scene = Scene(tmp_path, fake, "back")
    run_weir("preview", scene.sql, "--rows", "5", env=scene.env, code=0)
    waiting, leased, acked = fake.counts("back")
    assert acked == 0 and fake.of("back").nacked >= 5 and waiting + leased == 500
    with fake._changed:
        fake.of("back").expire(time.monotonic() + 3600)
    scene.bounded()
    assert sorted(scene.ids()) == once(500)


def test_delivered_again_while_it_is_held_it_is_known(fake, tmp_path):
    """The service breaks a lease: the message comes again with another ack id, which is the one that counts."""
    fake.create("held")
    fake.publish("held", numbered(1, 100))
    scene = Scene(tmp_path, fake, "held", source=", deduplicate_by = 'none'")
    scene.sql.write_text(scene.sql.read_text().replace("commit_interval = '100ms'", "commit_interval = '3s'"))
    with scene.weir() as weir:
        weir.wait_for(lambda: fake.counts("held")[2] == 1, "the first epoch, in which all sinks take part")
        fake.publish("held", numbered(100))
        weir.wait_for(lambda: fake.counts("held")[1] == 100, "all to be delivered")
        with fake._changed:
            fake.of("held").expire(time.monotonic() + 3600)
        weir.wait_for(lambda: fake.counts("held")[2] == 101, "all to be acknowledged", 20)
        assert max(message.attempts for message in fake.delivered) == 2
        assert weir.terminate() == 0
    assert sorted(scene.ids()) == once(101)


def test_without_state_it_is_acknowledged_when_the_sinks_have_it(fake, tmp_path):
    fake.create("stateless")
    fake.publish("stateless", numbered(100))
    scene = Scene(tmp_path, fake, "stateless")
    scene.sql.write_text(scene.sql.read_text().replace("connector = 'file', path", "connector = 'stdout' --").split("--")[0]
                         + ", format = 'json') AS SELECT id FROM s;")
    result = run_weir("run", scene.sql, "--state", "none", "--bounded", env=scene.env, code=0)
    assert sorted(json.loads(line)["id"] for line in result.stdout.splitlines() if line.startswith("{")) == once(100)
    assert fake.counts("stateless") == (0, 0, 100)


# --- ordering keys, exactly-once subscriptions ------------------------------------------------


@pytest.mark.parametrize("server", ["fake", *[name for name in REAL if name == "emulator"]], indirect=True)
def test_messages_of_an_ordering_key_keep_their_order(server, tmp_path, unique):
    name = server.create(unique("order"), ordering=True)
    keys = [f"k{i % 7}" for i in range(700)]
    for key in sorted(set(keys)):  # a request has one key
        server.publish(name, [json.dumps({"id": i}).encode() for i in range(700) if keys[i] == key],
                       keys=[key] * keys.count(key))
    scene = Scene(tmp_path, server, name, select="id, _key AS k, _offset AS o", source=", streams = 3")
    with scene.weir() as weir:
        scene.wait_for_rows(weir, 350)
        if isinstance(server, FakePubsub):
            server.break_streams()
        scene.wait_for_rows(weir, 700)
        assert weir.terminate() == 0
    seen = collections.defaultdict(list)
    for row in sorted(scene.rows(), key=lambda row: row["o"]):
        seen[row["k"]].append(row["id"])
    assert {key: ids == sorted(ids) for key, ids in seen.items()} == dict.fromkeys(set(keys), True)
    assert sorted(scene.ids()) == once(700)


@pytest.mark.parametrize("server", ["fake", *[name for name in REAL if name == "emulator"]], indirect=True)
def test_an_exactly_once_subscription(server, tmp_path, unique):
    name = server.create(unique("eos"), exactly_once=True)
    server.publish(name, numbered(200))
    if isinstance(server, FakePubsub):
        first = min(message.number for message in server.of(name).backlog)
        server.ack_failures = {str(first + i): "TRANSIENT_FAILURE_TRY_AGAIN" for i in range(0, 20)}
        server.ack_failures |= {str(first + i): "PERMANENT_FAILURE_INVALID_ACK_ID" for i in range(100, 120)}
    scene = Scene(tmp_path, server, name)
    with scene.weir() as weir:
        scene.wait_for_rows(weir, 200)
        if isinstance(server, FakePubsub):
            weir.wait_for(lambda: server.counts(name) == (0, 0, 200), "every acknowledgement to be confirmed", 20)
        else:
            time.sleep(1)
        assert weir.terminate() == 0
    scene.bounded()
    assert sorted(scene.ids()) == once(200)


# --- trouble ----------------------------------------------------------------------------------


def test_the_server_is_killed_and_comes_back(fake, tmp_path):
    fake.create("away")
    fake.publish("away", numbered(200))
    scene = Scene(tmp_path, fake, "away", source=", ack_deadline = '10s'")
    with scene.weir() as weir:
        scene.wait_for_rows(weir, 200)
        fake.stop()
        time.sleep(1.5)
        fake.start()
        fake.publish("away", numbered(200, 200))
        scene.wait_for_rows(weir, 400)
        fake.break_streams()
        fake.publish("away", numbered(50, 400))
        scene.wait_for_rows(weir, 450)
        weir.wait_for(lambda: fake.counts("away") == (0, 0, 450), "all to be acknowledged", 20)
        assert weir.terminate() == 0
    assert sorted(scene.ids()) == once(450)


def test_streams_that_are_refused_for_a_while_are_begun_again(fake, tmp_path):
    import grpc

    fake.create("busy")
    fake.publish("busy", numbered(100))
    left = iter([grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL, grpc.StatusCode.ABORTED, grpc.StatusCode.UNAVAILABLE])
    fake.trouble["StreamingPull"] = lambda _request: next(((code, "busy") for code in left), None)
    scene = Scene(tmp_path, fake, "busy")
    scene.bounded()
    assert sorted(scene.ids()) == once(100)


def test_a_wrong_subscription_is_told_at_the_start(server, tmp_path):
    result = Scene(tmp_path, server, "nobody").bounded(code=None)
    assert result.code in (1, 2)
    assert 'source "s" (pubsub)' in result.stderr and "subscriptions/nobody: NOT_FOUND" in result.stderr
    assert "hint: check project and name" in result.stderr


def test_other_mistakes_are_told_in_words(fake, tmp_path):
    import grpc

    fake.create("words")
    fake.trouble["Pull"] = lambda _request: (grpc.StatusCode.PERMISSION_DENIED, "User not authorized: 100% of it")
    result = Scene(tmp_path, fake, "words").bounded(code=None)
    assert result.code in (1, 2) and "PERMISSION_DENIED" in result.stderr and "User not authorized: 100% of it" in result.stderr
    assert "roles/pubsub.subscriber" in result.stderr
    for source, said in [(", project = 'a b'", "is not the name"), (", ack_deadline = '1s'", "ack_deadline"),
                         (", deduplicate_within = '5s'", "deduplicate_within is shorter than ack_deadline"),
                         (", deduplicate_by = 'nope'", "unknown column"), (", endpoint = 'not/a/host'", "endpoint")]:
        refused = Scene(tmp_path, fake, "words", source=source).bounded(code=2)
        assert said in refused.stderr, refused.stderr
    nobody = Scene(tmp_path, fake, "words", source=", endpoint = 'http://127.0.0.1:1'").bounded(code=None)
    assert nobody.code in (1, 2) and "does not answer" in nobody.stderr


def test_a_subscription_that_is_deleted_ends_the_run(fake, tmp_path):
    fake.create("gone")
    fake.publish("gone", numbered(10))
    scene = Scene(tmp_path, fake, "gone")
    with scene.weir() as weir:
        scene.wait_for_rows(weir, 10)
        weir.wait_for(lambda: fake.counts("gone") == (0, 0, 10), "all to be acknowledged")
        with fake._changed:
            fake.subscriptions.clear()
        fake.break_streams()
        assert weir.wait() == 1
        assert "subscriptions/gone: NOT_FOUND" in weir.stderr()


# --- TLS and tokens ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certs")
    subprocess.run([SERVICES / "certs", directory], check=True)
    return directory


def test_over_tls_with_a_token_that_is_refreshed(certs, tmp_path):
    with FakeCloud() as cloud, FakePubsub(certs, cloud_takes(cloud)) as fake:
        cloud.token_seconds = 6
        fake.create("safe")
        fake.publish("safe", numbered(100))
        scene = Scene(tmp_path, fake, "safe", source=f", endpoint = '{fake.address}', ca_file = '{certs}/ca.crt'")
        scene.env = {"GOOGLE_CLOUD_PROJECT": "weir", "GOOGLE_APPLICATION_CREDENTIALS": cloud.service_account(tmp_path / "key.json")}
        with scene.weir("--log-level", "debug") as weir:
            scene.wait_for_rows(weir, 100)
            for first in range(100, 180, 10):
                time.sleep(1)
                fake.publish("safe", numbered(10, first))
            scene.wait_for_rows(weir, 180)
            weir.wait_for(lambda: fake.counts("safe") == (0, 0, 180), "all to be acknowledged")
            assert weir.terminate() == 0
            logged = weir.stderr() + weir.stdout()
        assert sorted(scene.ids()) == once(180)
        assert len(cloud.tokens) >= 2, "the token was not refreshed"
        assert all(token not in logged for token in cloud.tokens) and "PRIVATE KEY" not in logged


def cloud_takes(cloud):
    return lambda token: cloud.tokens.get(token, 0) > time.time()


def test_a_certificate_that_nobody_trusts_is_refused_and_gets_no_token(certs, tmp_path):
    seen = []
    with FakeCloud() as cloud, FakePubsub(certs, lambda token: seen.append(token)) as fake:
        fake.create("safe")
        for ca in ("", f", ca_file = '{certs}/other-ca.crt'"):
            scene = Scene(tmp_path, fake, "safe", source=f", endpoint = '{fake.address}'{ca}")
            scene.env = {"GOOGLE_CLOUD_PROJECT": "weir", "GCE_METADATA_HOST": cloud.url.removeprefix("http://")}
            result = scene.bounded(code=None)
            assert result.code in (1, 2) and "certificate" in result.stderr and "ca_file" in result.stderr, result.stderr
        assert seen == []


def test_a_token_that_is_not_taken_is_told(certs, tmp_path):
    with FakeCloud() as cloud, FakePubsub(certs, lambda _token: False) as fake:
        fake.create("safe")
        scene = Scene(tmp_path, fake, "safe", source=f", endpoint = '{fake.address}', ca_file = '{certs}/ca.crt'")
        scene.env = {"GOOGLE_CLOUD_PROJECT": "weir", "GCE_METADATA_HOST": cloud.url.removeprefix("http://")}
        result = scene.bounded(code=None)
        assert result.code in (1, 2) and "UNAUTHENTICATED" in result.stderr and "GOOGLE_APPLICATION_CREDENTIALS" in result.stderr
        assert all(token not in result.stderr for token in cloud.tokens)


# --- the sink ---------------------------------------------------------------------------------


def publishing(tmp_path, server, topic, rows, sink="", select="*"):
    """A bounded run that publishes rows (dicts of id, k, v)."""
    given = tmp_path / "in.ndjson"
    given.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sql = tmp_path / "sink.sql"
    sql.write_text(f"""
      CREATE SOURCE s (id BIGINT, k TEXT, v TEXT) WITH (connector = 'file', path = '{given}', format = 'json');
      CREATE SINK o WITH (connector = 'pubsub', topic = '{topic}', format = 'json'{sink}) AS SELECT {select} FROM s;""")
    return ["run", sql, "--bounded", "--state", tmp_path / "sink-state"], {"env": server.env()}


def test_rows_make_the_round_trip(server, tmp_path, unique):
    name = server.create(unique("round"))
    rows = [{"id": i, "k": f"k{i % 5}" if i % 6 else None, "v": "ü" * (i % 40)} for i in range(400)]
    arguments, how = publishing(tmp_path, server, name, rows, ", attributes = 'k, id'")
    run_weir(*arguments, code=0, **how)
    scene = Scene(tmp_path, server, name, columns="id BIGINT, k TEXT, v TEXT", select="id, k, v, _headers AS h")
    scene.bounded()
    assert sorted(scene.rows(), key=lambda row: row["id"]) == [
        {**row, "h": {**({"k": row["k"]} if row["k"] else {}), "id": str(row["id"])}} for row in rows]


def test_keys_become_ordering_keys_and_keep_their_order_over_failures(fake, tmp_path):
    import grpc

    fake.create("keys")
    rng = random.Random(7)
    fake.trouble["Publish"] = lambda request: ((grpc.StatusCode.UNAVAILABLE, "not now")
                                               if request.messages and rng.random() < 0.3 else None)
    rows = [{"id": i, "k": f"k{i % 50}", "v": ""} for i in range(3000)]
    arguments, how = publishing(tmp_path, fake, "keys", rows, ", key = 'k'", "id, k")
    run_weir(*arguments, code=0, **how)
    seen = collections.defaultdict(list)
    for message in fake.published:
        row = json.loads(message.data)
        assert message.ordering_key == row["k"]
        seen[row["k"]].append(row["id"])
    assert all(ids == sorted(ids) for ids in seen.values()) and sorted(sum(seen.values(), [])) == once(3000)


def test_a_message_that_is_refused_alone_is_a_dead_letter(fake, tmp_path):
    import grpc

    fake.create("refuse")
    fake.trouble["Publish"] = lambda request: ((grpc.StatusCode.INVALID_ARGUMENT, "the service does not like 77")
                                               if any(b'"id":77,' in m.data for m in request.messages) else None)
    rows = [{"id": i, "k": None, "v": ""} for i in range(1500)]
    rows.append({"id": 9999, "k": None, "v": "x" * 10_000_001})
    arguments, how = publishing(tmp_path, fake, "refuse", rows)
    result = run_weir(*arguments, code=None, **how)
    assert sorted(json.loads(m.data)["id"] for m in fake.published) == [i for i in range(1500) if i != 77]
    assert "the service does not like 77" in result.stderr and "10 MB at most" in result.stderr and "1,499 rows" in result.stderr


def test_a_missing_topic_and_a_wrong_column_are_told(server, tmp_path):
    arguments, how = publishing(tmp_path, server, "nobody", [{"id": 1}])
    result = run_weir(*arguments, **how)
    assert result.code in (1, 2) and "topics/nobody: NOT_FOUND" in result.stderr, result.stderr
    arguments, how = publishing(tmp_path, server, "nobody", [{"id": 1}], ", key = 'nope'")
    result = run_weir(*arguments, **how)
    assert result.code == 2 and 'no column "nope"' in result.stderr
    arguments, how = publishing(tmp_path, server, "nobody", [{"id": 1}], ", guarantee = 'exactly_once'")
    assert run_weir(*arguments, **how).code == 2


def test_a_sink_that_stands_still_for_a_while_loses_nothing(fake, tmp_path):
    """Little memory, much to read, and for five seconds nowhere to put it: then all goes on."""
    import grpc

    fake.create("from")
    fake.create("to")
    first = []  # when weir asked first

    def refuse(request):
        first[:] = first or [time.monotonic()]
        return (grpc.StatusCode.UNAVAILABLE, "not now") if request.messages and time.monotonic() < first[0] + 5 else None

    fake.publish("from", [json.dumps({"id": i, "v": "x" * 40_000}).encode() for i in range(1500)])
    fake.trouble["Publish"] = refuse
    sql = tmp_path / "p.sql"
    sql.write_text("""CREATE SOURCE s (id BIGINT, v TEXT) WITH (connector = 'pubsub', subscription = 'from', format = 'json', empty_after = '2s');
      CREATE SINK o WITH (connector = 'pubsub', topic = 'to', format = 'json') AS SELECT id, v FROM s;""")
    run_weir("run", sql, "--bounded", "--memory", "64MiB", "--state", tmp_path / "state", env=fake.env(), code=0)
    assert sorted({json.loads(m.data)["id"] for m in fake.published[1500:]}) == once(1500)
    assert fake.counts("from") == (0, 0, 1500)


# --- how fast ---------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["emulator"] if "emulator" in REAL else ["fake"], indirect=True)
def test_events_per_second(server, tmp_path, unique):
    count = 20_000
    name = server.create(unique("fast"))
    server.publish(name, numbered(count))
    scene = Scene(tmp_path, server, name, source=", streams = 16")
    begun = time.monotonic()
    with scene.weir() as weir:
        scene.wait_for_rows(weir, count)
        seconds = time.monotonic() - begun
        assert weir.terminate() == 0
    assert sorted(scene.ids()) == once(count)
    print(f"{count / seconds:,.0f} events/s from {type(server).__name__}, from start to file")
