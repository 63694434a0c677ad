"""One behaviour for all sources: the same cases against a real server of each.

What a source alone can do (resharding, groups, leases, enhanced fan-out) is in a suite of its own."""

import base64
import collections
import json
import threading
import time

import pytest

from conformance.source_beds import BEDS, pause_server
from services.harness import Toxiproxy, Weir, free_port, run_weir
from window_oracle import check_ledger

SINK = """CREATE SINK o WITH (connector = 'file', path = '{dir}/{name}.ndjson', format = 'json', commit_interval = '100ms',
  guarantee = 'exactly_once') AS {select};
"""
BAD = "CREATE SINK bad WITH (connector = 'file', path = '{dir}/bad.ndjson', format = 'json', commit_interval = '100ms');\n"
HEAL_SECONDS = 30  # after a server is back


@pytest.fixture(scope="module", params=sorted(BEDS))
def kind(request):
    """A server that the cases of one source share, and how to make a bed on it."""
    make_server, make_bed = BEDS[request.param]
    with make_server() as server:
        yield server, make_bed


@pytest.fixture
def bed(kind, unique):
    server, make_bed = kind
    return make_bed(server, unique("stream"))


@pytest.fixture
def own_bed(kind, unique):
    """On a server that this test may stop and kill."""
    _, make_bed = kind
    with BEDS[make_bed.name][0]() as server:
        yield make_bed(server, unique("stream"))


def events(numbers, text="x"):
    return [json.dumps({"n": n, "t": text, "ts": 1_700_000_000_000 + n}).encode() for n in numbers]


class Job:
    """A pipeline with a state, whose rows are counted in a file."""

    def __init__(self, bed, tmp_path, select="SELECT n, t FROM s", more="", name="o", columns=None, **options):
        options.setdefault("start", "earliest") if bed.is_log else None
        self.bed, self.dir, self.out, self.bad = bed, tmp_path, tmp_path / f"{name}.ndjson", tmp_path / "bad.ndjson"
        sql = tmp_path / f"{name}.sql"
        sql.write_text(bed.sql(columns, **options) + SINK.format(dir=tmp_path, name=name, select=select) +
                       more.format(dir=tmp_path))
        self.arguments = ["run", sql, "--quiet", "--state", tmp_path / f"{name}.state"]

    def weir(self, *more):
        return Weir(*self.arguments, *more, env=self.bed.env())

    def rows(self, path=None):
        path = path or self.out
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []

    def numbers(self):
        return sorted(row["n"] for row in self.rows())

    def await_rows(self, weir, count, seconds=HEAL_SECONDS):
        weir.wait_for(lambda: len(self.rows()) >= count, f"{count} rows of {len(self.rows())}", seconds)

    def run_until(self, count, *more):
        """Runs until so many rows are there, and a little longer: what comes twice would come now."""
        with self.weir(*more) as weir:
            self.await_rows(weir, count)
            time.sleep(0.3)
            assert weir.terminate() == 0
            return weir.result()


def once(bed, tmp_path):
    """A job that takes no row twice, also of a service whose repeats have no name."""
    repeats = {} if bed.knows_repeats else {"deduplicate_by": "n", "deduplicate_within": "10 minutes"}
    return Job(bed, tmp_path, columns="n BIGINT, t TEXT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '1 minute'", **repeats)


@pytest.mark.parametrize("workers", [1, 3])
def test_everything_arrives_once(bed, tmp_path, workers):
    bed.put(events(range(5000)))
    job = Job(bed, tmp_path)
    job.run_until(5000, "--workers", workers)
    assert job.numbers() == list(range(5000))


@pytest.mark.promises("keeps_order")
def test_records_of_one_key_keep_their_order(bed, tmp_path):
    bed.put(events(range(2000)), key="one")
    job = Job(bed, tmp_path)
    job.run_until(2000, "--workers", 2)
    assert [row["n"] for row in job.rows()] == list(range(2000))


def test_a_bounded_run_ends_by_itself(bed, tmp_path):
    bed.put(events(range(1000)))
    job = Job(bed, tmp_path)
    run_weir(*job.arguments, "--bounded", env=bed.env(), code=0, timeout=60)
    assert job.numbers() == list(range(1000))
    run_weir(*job.arguments, "--bounded", env=bed.env(), code=0, timeout=60)
    assert job.numbers() == list(range(1000)), "nothing new, nothing twice"
    bed.put(events(range(1000, 1100)))
    run_weir(*job.arguments, "--bounded", env=bed.env(), code=0, timeout=60)
    assert job.numbers() == list(range(1100))


def test_an_empty_stream_is_no_error(bed, tmp_path):
    job = Job(bed, tmp_path)
    run_weir(*job.arguments, "--bounded", env=bed.env(), code=0, timeout=60)
    assert job.rows() == []


@pytest.mark.full
def test_rows_that_come_later_are_read_at_once(bed, tmp_path):
    job = Job(bed, tmp_path)
    with job.weir() as weir:
        time.sleep(1)
        for at in range(0, 50, 10):
            bed.put(events(range(at, at + 10)))
            began = time.monotonic()
            job.await_rows(weir, at + 10)
            assert time.monotonic() - began < 5
        assert weir.terminate() == 0
    assert job.numbers() == list(range(50))


def test_it_goes_on_after_a_stop(bed, tmp_path):
    job = Job(bed, tmp_path)
    for at in range(0, 3000, 1000):
        bed.put(events(range(at, at + 1000)))
        job.run_until(at + 1000)
    assert job.numbers() == list(range(3000))


def test_kills_neither_lose_nor_repeat_a_row(bed, tmp_path):
    count, stop = 12_000, threading.Event()

    def produce():
        for at in range(0, count, 500):
            bed.put(events(range(at, at + 500)))
            stop.wait(0.15)

    job = once(bed, tmp_path)
    producer = threading.Thread(target=produce)
    producer.start()
    for seconds in (0.7, 1.2, 0.9, 1.5):
        with job.weir("--workers", 2) as weir:
            time.sleep(seconds)
            weir.kill()
    producer.join()
    with job.weir("--workers", 2) as weir:
        job.await_rows(weir, count, 90)
        time.sleep(1)
        assert weir.terminate() == 0
    times = collections.Counter(row["n"] for row in job.rows())
    assert {n: c for n, c in times.items() if c > 1} == {}
    assert sorted(times) == list(range(count))


@pytest.mark.promises("is_log")
def test_start_latest_reads_only_what_comes(bed, tmp_path):
    bed.put(events(range(100)))
    job = Job(bed, tmp_path, start="latest")
    with job.weir() as weir:
        time.sleep(3)
        bed.put(events(range(100, 120)))
        job.await_rows(weir, 20)
        assert weir.terminate() == 0
    assert job.numbers() == list(range(100, 120))
    bed.put(events(range(120, 130)))
    job.run_until(30)
    assert job.numbers() == list(range(100, 130)), "a later start goes on at the state's positions"


def test_poison_records_become_dead_letters_with_their_bytes(bed, tmp_path):
    poison = [b"{", b"\xff\xfe\x00", b'{"n": "no number"}', b"[1]", b'{"n": 1e99}']
    good = events(range(200))
    bed.put(good[:100] + poison + good[100:])
    job = Job(bed, tmp_path, more=BAD, on_error="bad")
    with job.weir() as weir:
        job.await_rows(weir, 200)
        weir.wait_for(lambda: len(job.rows(job.bad)) >= len(poison), "dead letters")
        assert weir.terminate() == 0
    assert job.numbers() == list(range(200))
    letters = job.rows(job.bad)
    found = [base64.b64decode(row["_value"]) if row.get("_encoding") == "base64" else row["_value"].encode()
             for row in letters]
    assert sorted(found) == sorted(poison)
    assert all(row["_error"] and row["_source"] == "s" and row["_split"] and row["_position"] is not None for row in letters)
    assert len({(row["_split"], row["_position"]) for row in letters}) == len(poison)


@pytest.mark.promises("takes_empty")
def test_an_empty_record_is_not_lost_in_silence(bed, tmp_path):
    bed.put(events(range(10)) + [b""] + events(range(10, 20)))
    job = Job(bed, tmp_path, more=BAD, on_error="bad")
    with job.weir() as weir:
        job.await_rows(weir, 20)
        weir.wait_for(lambda: len(job.rows(job.bad)) >= 1, "the dead letter")
        assert weir.terminate() == 0
    assert job.numbers() == list(range(20))


def test_texts_of_all_alphabets_come_through(bed, tmp_path):
    texts = ["", "ä", "日本語", "🙂" * 100, "\u0000\u001f\"\\/", "a" * 5000, "\u2028 \ufeff", "العربية", "‮x"]
    bed.put([json.dumps({"n": n, "t": text}, ensure_ascii=n % 2 == 0).encode() for n, text in enumerate(texts)])
    job = Job(bed, tmp_path)
    job.run_until(len(texts))
    assert {row["n"]: row["t"] for row in job.rows()} == dict(enumerate(texts))


def test_the_largest_record_of_the_service(bed, tmp_path):
    bytes_of = bed.record_bytes_max - 200
    bed.put(events([1]) + events([2], "y" * bytes_of) + events([3]))
    job = Job(bed, tmp_path, select="SELECT n, length(t) AS t FROM s")
    job.run_until(3)
    assert {row["n"]: row["t"] for row in job.rows()} == {1: 1, 2: bytes_of, 3: 1}


def test_metadata_tell_where_a_row_came_from(bed, tmp_path):
    bed.put(events(range(20)), key="k" if bed.has_key else None)
    key = "_key" if bed.has_key else "'k'"
    job = Job(bed, tmp_path, select=f"SELECT n, _topic AS topic, _timestamp AS at, {key} AS key FROM s")
    job.run_until(20)
    for row in job.rows():
        assert row["topic"] and bed.stream in row["topic"]
        assert row["at"].startswith(time.strftime("%Y-", time.gmtime()))
        assert row["key"] == "k"


def test_an_idle_split_does_not_hold_windows_back(bed, tmp_path):
    job = Job(bed, tmp_path, columns="n BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts", idle_timeout="1s",
              select="SELECT window_start, count(*) AS c FROM TUMBLE(s, ts, INTERVAL '1 second') GROUP BY window_start, window_end")
    bed.put(events(range(0, 5000, 10)), key="one")  # one split of the stream has rows
    with job.weir() as weir:
        job.await_rows(weir, 4)
        assert weir.terminate() == 0
    assert [row["c"] for row in job.rows()[:4]] == [100] * 4


def test_windows_and_ledger_add_up(bed, tmp_path):
    numbers = [n for n in range(6000)]
    bed.put(events(numbers))
    job = Job(bed, tmp_path, columns="n BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '10 seconds'",
              select="SELECT window_start, count(*) AS c, sum(n) AS total FROM TUMBLE(s, ts, INTERVAL '1 second') "
                     "GROUP BY window_start, window_end")
    result = run_weir(*job.arguments, "--bounded", env=bed.env(), code=0, stats=True, timeout=60)
    expected = collections.Counter(n // 1000 for n in numbers)
    assert sorted(row["c"] for row in job.rows()) == sorted(expected.values())
    assert sum(row["total"] for row in job.rows()) == sum(numbers)
    sums = check_ledger(result.stats)["o"]
    assert (sums["read"], sums["landed"], sums["in_flight"]) == (6000, 6000, 0)


def test_a_clock_far_ahead_does_not_make_the_rest_late(bed, tmp_path):
    far = json.dumps({"n": -1, "ts": 4_000_000_000_000_000}).encode()
    bed.put(events(range(1000)) + [far] + events(range(1000, 2000)))
    job = Job(bed, tmp_path, columns="n BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '10 seconds'", on_error="bad", more=BAD,
              select="SELECT count(*) AS c FROM TUMBLE(s, ts, INTERVAL '1 second') GROUP BY window_start, window_end")
    run_weir(*job.arguments, "--bounded", env=bed.env(), code=0, timeout=60)
    assert sum(row["c"] for row in job.rows()) == 2000
    assert [json.loads(row["_value"])["n"] for row in job.rows(job.bad)] == [-1]


def test_duplicates_of_the_producer_are_removed_by_key(bed, tmp_path):
    bed.put(events(range(500)) + events(range(500)) + events(range(250, 600)))
    job = Job(bed, tmp_path, columns="n BIGINT, t TEXT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '1 minute'",
              deduplicate_by="n", deduplicate_within="10 minutes")
    job.run_until(600)
    assert job.numbers() == list(range(600))


@pytest.mark.full
def test_little_memory_slows_but_loses_nothing(bed, tmp_path):
    bed.put(events(range(8000), "z" * 2000))
    job = Job(bed, tmp_path, select="SELECT n FROM s")
    with job.weir("--memory", "64MiB", "--workers", 2) as weir:
        job.await_rows(weir, 8000, 60)
        assert weir.terminate() == 0
    assert job.numbers() == list(range(8000))


@pytest.mark.full
def test_without_a_state_everything_still_arrives(bed, tmp_path):
    bed.put(events(range(1000)))
    job = Job(bed, tmp_path)
    job.arguments[job.arguments.index("--state") + 1] = "none"
    job.run_until(1000)
    assert sorted(set(job.numbers())) == list(range(1000))


@pytest.mark.promises("knows_streams")
def test_a_stream_that_is_not_there_is_named(bed, tmp_path):
    options, word = bed.wrong_stream()
    bed.options = lambda: options
    result = run_weir(*Job(bed, tmp_path).arguments, env=bed.env(), timeout=60)
    assert result.code in (1, 2)
    assert word in result.stderr and "s" in result.stderr


def test_a_server_that_is_not_there_is_told_in_time(bed, tmp_path):
    port = free_port()
    options, env = bed.unreachable(port)
    bed.options = lambda: options
    began = time.monotonic()
    result = run_weir(*Job(bed, tmp_path).arguments, env=env, timeout=90)
    assert result.code == 1 and str(port) in result.stderr
    assert time.monotonic() - began < 60


@pytest.mark.promises("can_freeze")
def test_a_frozen_server_thaws(own_bed, tmp_path):
    own_bed.put(events(range(1000)))
    job = once(own_bed, tmp_path)
    with job.weir() as weir:
        job.await_rows(weir, 1000)
        pause_server(own_bed, 4)
        own_bed.put(events(range(1000, 2000)))
        job.await_rows(weir, 2000)
        assert weir.terminate() == 0
    assert job.numbers() == list(range(2000))


@pytest.mark.promises("survives_kill")
def test_a_server_killed_and_started_again(own_bed, tmp_path):
    own_bed.put(events(range(1000)))
    job = once(own_bed, tmp_path)
    with job.weir() as weir:
        job.await_rows(weir, 1000)
        own_bed.kill_server()
        time.sleep(2)
        own_bed.server.start()
        own_bed.put(events(range(1000, 2000)))
        job.await_rows(weir, 2000, 60)
        assert weir.terminate() == 0
    assert job.numbers() == list(range(2000))


@pytest.fixture(scope="module")
def toxiproxy():
    with Toxiproxy() as server:
        yield server


def behind(bed, toxiproxy):
    return bed.through(toxiproxy.add_proxy(bed.stream, bed.address))


@pytest.mark.promises("takes_proxy")
@pytest.mark.parametrize("direction", ["downstream", "upstream"])
def test_connections_that_are_cut_again_and_again(bed, tmp_path, toxiproxy, direction):
    bed = behind(bed, toxiproxy)
    job = once(bed, tmp_path)
    with job.weir() as weir:
        for at in range(0, 3000, 1000):
            bed.put(events(range(at, at + 1000)))
            toxiproxy.toxic(bed.stream, "reset_peer", direction, timeout=30)
            time.sleep(1)
            toxiproxy.reset()
            job.await_rows(weir, at + 1000)
        assert weir.terminate() == 0
    assert job.numbers() == list(range(3000))


@pytest.mark.full
@pytest.mark.promises("takes_proxy")
def test_a_server_that_refuses_connections_for_a_while(bed, tmp_path, toxiproxy):
    bed = behind(bed, toxiproxy)
    bed.put(events(range(500)))
    job = once(bed, tmp_path)
    with job.weir() as weir:
        job.await_rows(weir, 500)
        toxiproxy.enable(bed.stream, False)
        time.sleep(3)
        toxiproxy.enable(bed.stream)
        bed.put(events(range(500, 1000)))
        job.await_rows(weir, 1000)
        assert weir.terminate() == 0
    assert job.numbers() == list(range(1000))


@pytest.mark.full
@pytest.mark.promises("takes_proxy")
def test_a_slow_server_only_takes_longer(bed, tmp_path, toxiproxy):
    bed = behind(bed, toxiproxy)
    bed.put(events(range(2000)))
    toxiproxy.toxic(bed.stream, "latency", "downstream", latency=300, jitter=100)
    toxiproxy.toxic(bed.stream, "slicer", "downstream", average_size=500, size_variation=200, delay=50)
    job = once(bed, tmp_path)
    with job.weir() as weir:
        job.await_rows(weir, 2000, 60)
        assert weir.terminate() == 0
    toxiproxy.reset()
    assert job.numbers() == list(range(2000))
