"""Exactly once with real processes: weir is killed with SIGKILL again and again while events stream in, its broker and its object
store die, freeze and go astray, owners meet; in the end tables, directories, files, topics and ledger hold what was produced, once."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time

import duckdb
import pytest

from paced_events import COLUMNS, PARTITIONS, Feed, Oracle
from services.harness import FULL, Kafka, S3Minio, Toxiproxy, Unavailable, Weir, free_port, run_weir, wait_until
from window_oracle import check_ledger, to_us

RATE = 50_000
KILLS = 100 if FULL else 10
# After a service is back. Connections to the broker that swallow what is on its way: librdkafka notices by time-outs of 6 s; seen
# in 16 of 16: 3.9 to 5.8 s.
RECOVERS_SECONDS = 10


class Scene:
    """One topic and one pipeline with every kind of exactly-once sink; `place` is a directory or an s3:// URL."""

    def __init__(self, kafka, unique, tmp_path, s3=None, brokers=None, endpoint=None, files=True):
        """files: whether lines and dead letters go to local files, which belong to one machine; else they are tables."""
        self.kafka, self.s3, self.tmp_path, self.files = kafka, s3, tmp_path, files
        self.topic = kafka.create_topic(unique("events"), partitions=PARTITIONS)
        self.results = kafka.create_topic(unique("results"), partitions=2)
        self.bucket = s3.make_bucket(unique("kills")) if s3 else None
        self.place = f"s3://{self.bucket}" if s3 else str(tmp_path / "out")
        self.state = self.place + "/state" if s3 else str(tmp_path / "state")
        self.env = s3.env() if s3 else {}
        if endpoint:
            self.env["AWS_ENDPOINT_URL_S3"] = endpoint
        lines, bad = (f"connector='file', path='{tmp_path}/{name}.ndjson'" if files else
                      f"connector='delta', path='{self.place}/{name}'" for name in ("lines", "bad"))
        self.sql = tmp_path / "p.sql"
        self.sql.write_text(f"""
          SET default_commit_interval = '200ms';
          CREATE SOURCE events ({COLUMNS}) WITH (connector='kafka', brokers='{brokers or kafka.brokers}', topic='{self.topic}',
            format='json', start='earliest', idle_timeout='10 minutes', on_late='late', on_error='bad');
          CREATE SINK lake WITH (connector='delta', path='{self.place}/lake', commit_interval='200ms') AS SELECT * FROM events;
          CREATE SINK files WITH (connector='parquet', path='{self.place}/files', commit_interval='600ms') AS
            SELECT id, k, v, ts FROM events WHERE k < 50;
          CREATE SINK per_second WITH (connector='kafka', brokers='{brokers or kafka.brokers}', topic='{self.results}', key='k',
            guarantee='exactly_once') AS
            SELECT window_start, k, count(*) AS n, sum(v) AS s, min(id) AS first, max(id) AS last
            FROM TUMBLE(events, ts, INTERVAL '1 second') GROUP BY window_start, window_end, k;
          CREATE SINK lines WITH ({lines}, commit_interval='200ms') AS
            SELECT id, k, v, ts FROM events WHERE k = 3;
          CREATE SINK late WITH (connector='delta', path='{self.place}/late');
          CREATE SINK bad WITH ({bad});""")

    def weir(self, *more, workers=2):
        return Weir("run", self.sql, "--quiet", "--state", self.state, "--workers", workers, *more, env=self.env)

    def epoch(self):
        """The newest manifest's number, 0 when there is none."""
        if self.s3:
            names = self.s3.keys(self.bucket, "state/manifest/")
        else:
            folder = self.tmp_path / "state" / "manifest"
            names = os.listdir(folder) if folder.exists() else []
        numbers = [int(name.rsplit("/", 1)[-1].split(".")[0]) for name in names if name.endswith(".json")
                   and name.rsplit("/", 1)[-1].split(".")[0].isdigit()]
        return max(numbers, default=0)

    def manifest(self):
        key = f"manifest/{self.epoch():020}.json"
        if self.s3:
            return json.loads(self.s3.client().get_object(Bucket=self.bucket, Key="state/" + key)["Body"].read())
        return json.loads((self.tmp_path / "state" / key).read_text())

    def committed(self):
        """Rows of the source that the newest manifest has, over all partitions."""
        cuts = self.manifest()["cuts"] if self.epoch() else []
        return sum(split["position"] for cut in cuts[-1:] for source in cut["sources"] for split in source["splits"])

    # --- what came out

    def table(self, name):
        from deltalake import DeltaTable

        options = None
        if self.s3:
            options = {**self.s3.env(), "AWS_ENDPOINT_URL": self.s3.endpoint, "AWS_ALLOW_HTTP": "true"}
        return DeltaTable(f"{self.place}/{name}", storage_options=options)

    def rows(self, name, columns="id, k, v, epoch_ms(ts) AS ts"):
        data = self.table(name).to_pyarrow_table()  # noqa: F841  (DuckDB finds it by name)
        return duckdb.sql(f"SELECT {columns} FROM data").to_arrow_table()

    def parquet_rows(self):
        folder = f"{self.place}/files"
        if self.s3:
            self.s3.download(self.bucket, self.tmp_path / "got", "files/")
            folder = f"{self.tmp_path}/got/files"
        return duckdb.sql(f"SELECT id, k, v, epoch_ms(ts) AS ts FROM read_parquet('{folder}/**/*.parquet')").to_arrow_table()

    def lines(self):
        if not self.files:
            return self.rows("lines")
        return duckdb.sql(f"""SELECT id, k, v, epoch_ms(ts::TIMESTAMP) AS ts FROM read_json('{self.tmp_path}/lines.ndjson',
            columns={{id: 'BIGINT', k: 'BIGINT', v: 'BIGINT', ts: 'VARCHAR'}})""").to_arrow_table()

    def broken(self):
        """[(partition, offset)] of the dead letters."""
        if self.files:
            found = [json.loads(line) for line in (self.tmp_path / "bad.ndjson").read_text().splitlines()]
        else:
            found = self.rows("bad", "_split, _position").to_pylist()
        return [(int(row["_split"].rsplit("/", 1)[-1]), row["_position"]) for row in found]

    def check(self, n, stats):
        """Everything against the oracle of n events; stats: of the last run."""
        oracle = Oracle(n)
        sound = n - oracle.broken
        assert oracle.differences(self.rows("lake")) == (0, 0), "lake: (missing, too many)"
        assert oracle.differences(self.parquet_rows(), "k < 50") == (0, 0), "files: (missing, too many)"
        assert oracle.differences(self.lines(), "k = 3") == (0, 0), "lines: (missing, too many)"
        self.check_windows(oracle)
        assert sorted(self.rows("late", "id")["id"].to_pylist()) == oracle.late_ids()
        positions = self.broken()
        assert len(positions) == len(set(positions)) and set(positions) == oracle.broken_positions
        self.check_ledgers(oracle, sound, stats)
        if self.s3:
            assert self.s3.open_uploads(self.bucket) == []

    def check_windows(self, oracle):
        ours, theirs = {}, oracle.windows()
        for row in self.kafka.read_json(self.results):
            key = (to_us(row["window_start"]) // 1000, row["k"])
            assert key not in ours, f"twice: {row}"
            ours[key] = (row["n"], row["s"], row["first"], row["last"])
        wrong = [(key, ours.get(key), theirs.get(key)) for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)]
        assert not wrong, f"{len(wrong)} of {len(theirs)} windows differ, e.g. (key, ours, right): {sorted(wrong)[:3]}"

    def check_ledgers(self, oracle, sound, stats):
        filtered = {name: sound - oracle.connection.execute(f"SELECT count(*) FROM events WHERE {where}").fetchall()[0][0]
                    for name, where in (("files", "k < 50"), ("lines", "k = 3"))}
        right = {name: {"read": oracle.n, "dead_lettered": oracle.broken, "late": 0, "filtered": filtered.get(name, 0),
                        "landed": sound - filtered.get(name, 0)} for name in ("lake", "files", "lines", "per_second")}
        right["per_second"].update(late=oracle.late, landed=sound - oracle.late)
        manifest = self.manifest()
        assert manifest["owner"]["released"]
        for where, sums in (("--stats", check_ledger(stats)), ("the last manifest", check_ledger(manifest))):
            for name, expected in right.items():
                got = {word: sums[name][word] for word in expected}
                assert got == expected, f"ledger of {name} in {where}"


@pytest.fixture(params=["s3", "directories"])
def scene(request, kafka, unique, tmp_path):
    return Scene(kafka, unique, tmp_path, request.getfixturevalue("minio") if request.param == "s3" else None)


def finish(scene, feed, **how):
    """Ends the events, lets weir read them all, and checks everything."""
    n = feed.end()
    result = run_weir("run", scene.sql, "--quiet", "--bounded", "--state", scene.state, "--workers", "2", env=scene.env,
                      code=0, stats=True, timeout=how.get("seconds", 120))
    print(f"{n} events, epoch {scene.epoch()}")
    scene.check(n, result.stats)


@pytest.mark.timeout(1800 if FULL else 300)
def test_killed_at_random_moments_all_comes_exactly_once(scene):
    rng = random.Random(KILLS)
    moved, before = 0, 0
    with Feed(scene.kafka.brokers, scene.topic, RATE) as feed:
        for kill in range(KILLS):
            with scene.weir(workers=rng.choice((1, 2, 3))) as weir:
                # Every third at the earliest moments: claims, recovery, opening.
                time.sleep(rng.uniform(0.02, 0.6) if kill % 3 == 2 else rng.uniform(0.6, 2.4))
                assert weir.process.poll() is None, f"run {kill} ended by itself: {weir.result()!r}"
                weir.kill()
            at = scene.committed()
            moved, before = moved + (at > before), at
        print(f"{moved} of {KILLS} killed runs committed rows: {before} in all")
        assert moved >= KILLS // 4
        finish(scene, feed, seconds=240)


# --- services that die, freeze and go astray ----------------------------------------------------


@pytest.fixture
def shaky(unique, tmp_path):
    """A scene of its own whose broker and object store are reached through a proxy, and so can be troubled in every way."""
    port = free_port()
    kafka = Kafka(secure=True, KAFKA_ADVERTISED_PORT=port)
    kafka.directory, kafka.port = tmp_path / "kafka", free_port(Kafka.ports)
    kafka.directory.mkdir()
    with Toxiproxy() as proxy, S3Minio() as s3, contextlib.ExitStack() as stack:
        # The proxy first: who asks the broker is sent there.
        brokers = proxy.add_proxy("kafka", kafka.brokers, port=port)
        stack.enter_context(kafka)
        endpoint = "http://" + proxy.add_proxy("s3", f"127.0.0.1:{s3.port}")
        scene = Scene(kafka, unique, tmp_path, s3, brokers, endpoint)
        scene.proxy = proxy
        # The events come by another door: it is weir that is in trouble, not their producer.
        scene.feed = Feed(kafka.sasl_brokers, scene.topic, RATE // 5, security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN",
                          sasl_username=kafka.user, sasl_password=kafka.password)
        yield scene


def broker_serves(scene):
    return wait_until(lambda: scene.kafka.end_offsets(scene.topic), "the broker to serve the topic", seconds=60)


def killed(service):
    def trouble(scene, rest):
        server = getattr(scene, service)
        server.kill()
        time.sleep(rest)
        server.start()
        broker_serves(scene)
    return trouble


def frozen(service):
    def trouble(scene, rest):
        server = getattr(scene, service)
        server.pause()
        time.sleep(rest)
        server.resume()
    return trouble


def astray(service, toxic, stream="downstream", **attributes):
    def trouble(scene, rest):
        scene.proxy.reset()
        scene.proxy.toxic(service, toxic, stream=stream, **attributes)
        time.sleep(rest)
        if toxic == "timeout":
            scene.proxy.loosen(service, toxic, stream)
        else:
            scene.proxy.reset()
    return trouble


TROUBLES = [
    ("the broker is killed", killed("kafka"), 1),
    ("the broker freezes", frozen("kafka"), 5),
    ("the broker is slow", astray("kafka", "latency", latency=300, jitter=200), 1),
    ("the broker's connections are reset", astray("kafka", "reset_peer", timeout=50), 1),
    ("the object store is killed", killed("s3"), 2),
    ("the object store freezes", frozen("s3"), 5),
    ("the object store is slow", astray("s3", "latency", latency=300, jitter=200), 1),
    ("the object store's connections are reset", astray("s3", "reset_peer", timeout=20), 1),
    ("the object store's answers are lost", astray("s3", "timeout", timeout=0), 2),
    ("what is sent to the object store is lost", astray("s3", "timeout", "upstream", timeout=0), 2),
    # last: what they began may go on beneath the next trouble
    ("what is sent to the broker is lost", astray("kafka", "timeout", "upstream", timeout=0), 2),
    ("the broker's answers are lost", astray("kafka", "timeout", timeout=0), 2),
]

# Left to --full, for their time: each has a sharper sibling.
ONLY_FULL = {"the broker is slow", "the broker's connections are reset", "what is sent to the broker is lost", "the object store is slow",
             "the object store's answers are lost"}


@pytest.mark.timeout(1800 if FULL else 300)
def test_it_recovers_by_itself_from_whatever_broker_and_store_do(shaky):
    """The same process all the time; within 10 s after each trouble rows are committed again."""
    took = {}
    with shaky.feed as feed:
        with shaky.weir("--stats", shaky.tmp_path / "stats.json") as weir:
            weir.wait_for(lambda: shaky.committed() > 0, "the first rows")
            for name, trouble, rest in TROUBLES * 3 if FULL else [t for t in TROUBLES if t[0] not in ONLY_FULL]:
                trouble(shaky, rest)
                before, back = shaky.committed(), time.monotonic()
                weir.wait_for(lambda: shaky.committed() > before, f"rows after: {name}", seconds=60)
                took[name] = max(took.get(name, 0), time.monotonic() - back)
                print(f"{took[name]:5.1f} s after: {name}", flush=True)
            check_signals_are_heard(shaky, weir)
            assert weir.terminate(90) == 0
        slow = {name: seconds for name, seconds in took.items() if seconds > RECOVERS_SECONDS}
        assert not slow, slow
        finish(shaky, feed)


def check_signals_are_heard(scene, weir):
    """While the object store answers nothing, control waits for it, but not for long."""
    stats = scene.tmp_path / "stats.json"
    stats.unlink(missing_ok=True)
    scene.proxy.reset()
    scene.proxy.toxic("s3", "timeout", timeout=0)
    time.sleep(1)
    asked = time.monotonic()
    weir.signal(signal.SIGUSR1)
    weir.wait_for(stats.exists, "the statistics that SIGUSR1 asks for", seconds=15)
    print(f"{time.monotonic() - asked:5.1f} s until a signal was heard")
    scene.proxy.reset()


# --- owners ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", [pytest.param("s3", marks=pytest.mark.full), "directories"], indirect=True)
def test_a_second_copy_is_refused_by_name_and_a_standby_takes_over(scene):
    with Feed(scene.kafka.brokers, scene.topic, RATE // 5) as feed:
        with scene.weir() as first:
            first.wait_for(lambda: scene.committed() > 0, "the first rows")
            second = run_weir("run", scene.sql, "--quiet", "--state", scene.state, env=scene.env, code=2)
            for word in (f"pid {first.pid}", os.uname().nodename, "--standby"):
                assert word in second.stderr, second
            with scene.weir("--standby", workers=1) as standby:
                standby.wait_for(lambda: "standing by" in standby.stderr(), "the standby to stand by")
                before = scene.committed()
                first.wait_for(lambda: scene.committed() > before, "the owner to go on beside its standby")
                first.kill()
                before, killed_at = scene.committed(), time.monotonic()
                standby.wait_for(lambda: scene.committed() > before, "the standby to take over")
                print(f"{time.monotonic() - killed_at:.1f} s until the standby had committed")
                assert scene.manifest()["owner"]["pid"] == standby.pid
                assert standby.terminate() == 0
        finish(scene, feed)


def other_machine():
    """Words that start a process in pid and user namespaces of its own: its owner cannot tell who of ours lives, as from another host."""
    launcher = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")
    try:
        works = subprocess.run([*launcher, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        works = False
    if not works:
        raise Unavailable("this machine permits no pid namespaces")
    return launcher


def test_an_owner_that_froze_and_wakes_finds_another_one_and_publishes_nothing(kafka, minio, unique, tmp_path):
    scene = Scene(kafka, unique, tmp_path, minio, files=False)
    launcher = other_machine()
    with Feed(kafka.brokers, scene.topic, RATE // 5) as feed:
        with scene.weir("--set", "owner_timeout=2s") as frozen_owner:
            frozen_owner.wait_for(lambda: scene.committed() > 0, "the first rows")
            frozen_owner.signal(signal.SIGSTOP)
            before = scene.manifest()["owner"]["id"]
            with Weir("run", scene.sql, "--quiet", "--state", scene.state, "--set", "owner_timeout=2s", env=scene.env,
                      launcher=launcher) as other:
                other.wait_for(lambda: scene.manifest()["owner"]["id"] != before, "the other machine to take over")
                at = scene.committed()
                other.wait_for(lambda: scene.committed() > at, "the other machine to commit")
                owner = scene.manifest()["owner"]
                frozen_owner.signal(signal.SIGCONT)
                assert frozen_owner.wait() == 1
                assert f"owner {owner['id']}" in frozen_owner.stderr() and "fenced" in frozen_owner.stderr(), frozen_owner.result()
                at = scene.committed()
                other.wait_for(lambda: scene.committed() > at, "the other machine to go on undisturbed")
                assert scene.manifest()["owner"]["id"] == owner["id"]
                os.kill(child_of(other.pid), signal.SIGTERM)
                assert other.wait() == 0, other.result()
        finish(scene, feed)


def child_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return int(file.read().split()[0])


# --- the second start -----------------------------------------------------------------------------


def test_a_second_run_says_that_there_is_nothing_new_and_a_lost_state_is_noticed(tmp_path):
    from deltalake import DeltaTable

    state, data, sql = tmp_path / ".weir" / "p", tmp_path / "in.ndjson", tmp_path / "p.sql"
    data.write_text("".join(json.dumps({"id": i}) + "\n" for i in range(1000)))
    sql.write_text(f"""CREATE SOURCE rows (id BIGINT) WITH (connector='file', path='{data}', format='json');
      CREATE SINK lake WITH (connector='delta', path='{tmp_path}/lake') AS SELECT * FROM rows;""")

    def run():
        return run_weir("run", sql, "--state", state, code=0, cwd=tmp_path)

    def rows():
        return DeltaTable(str(tmp_path / "lake")).to_pyarrow_table().num_rows

    assert "nothing new" not in run().stderr and rows() == 1000
    again = run()
    assert "nothing new since the last run" in again.stderr and "weir state reset" in again.stderr and rows() == 1000
    with open(data, "a", encoding="ascii") as file:
        file.write('{"id": 1000}\n')
    assert "nothing new" not in run().stderr and rows() == 1001
    shutil.rmtree(state)
    lost = run()
    assert "was last written with another state" in lost.stderr and rows() == 2002
