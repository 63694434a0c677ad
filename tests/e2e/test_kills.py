"""Exactly once with real processes: weir is killed with SIGKILL again and again while events stream in, its broker and its object
store die, freeze and go astray, owners meet; in the end tables, directories, files, topics and ledger hold what was produced, once."""

import json
import os
import random
import signal
import time

import duckdb
import pytest

from paced_events import COLUMNS, PARTITIONS, Feed, Oracle
from services.harness import FULL, Kafka, S3Minio, Toxiproxy, Weir, free_port, run_weir, wait_until, weir_bin, weir_env
from window_oracle import check_ledger, to_us

RATE = 50_000
KILLS = 100 if FULL else 10
RECOVERS_SECONDS = 10  # after a service is back


class Scene:
    """One topic and one pipeline with every kind of exactly-once sink; `place` is a directory or an s3:// URL."""

    def __init__(self, kafka, unique, tmp_path, s3=None, brokers=None, endpoint=None):
        self.kafka, self.s3, self.tmp_path = kafka, s3, tmp_path
        self.topic = kafka.create_topic(unique("events"), partitions=PARTITIONS)
        self.results = kafka.create_topic(unique("results"), partitions=2)
        self.bucket = s3.make_bucket(unique("kills")) if s3 else None
        self.place = f"s3://{self.bucket}" if s3 else str(tmp_path / "out")
        self.state = self.place + "/state" if s3 else str(tmp_path / "state")
        self.env = s3.env() if s3 else {}
        if endpoint:
            self.env["AWS_ENDPOINT_URL_S3"] = endpoint
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
          CREATE SINK lines WITH (connector='file', path='{tmp_path}/lines.ndjson', commit_interval='200ms') AS
            SELECT id, k, v, ts FROM events WHERE k = 3;
          CREATE SINK late WITH (connector='delta', path='{self.place}/late');
          CREATE SINK bad WITH (connector='file', path='{tmp_path}/bad.ndjson');""")

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

    def check(self, n, stats):
        """Everything against the oracle of n events; stats: of the last run."""
        oracle = Oracle(n)
        sound = n - oracle.broken
        assert oracle.differences(self.rows("lake")) == (0, 0), "lake: (missing, too many)"
        assert oracle.differences(self.parquet_rows(), "k < 50") == (0, 0), "files: (missing, too many)"
        lines = duckdb.sql(f"""SELECT id, k, v, epoch_ms(ts::TIMESTAMP) AS ts FROM read_json('{self.tmp_path}/lines.ndjson',
            columns={{id: 'BIGINT', k: 'BIGINT', v: 'BIGINT', ts: 'VARCHAR'}})""").to_arrow_table()
        assert oracle.differences(lines, "k = 3") == (0, 0), "lines: (missing, too many)"
        self.check_windows(oracle)
        assert sorted(self.rows("late", "id")["id"].to_pylist()) == oracle.late_ids()
        bad = [json.loads(line) for line in (self.tmp_path / "bad.ndjson").read_text().splitlines()]
        positions = [(int(row["_split"].rsplit("/", 1)[-1].rsplit("-", 1)[-1]), row["_position"]) for row in bad]
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
