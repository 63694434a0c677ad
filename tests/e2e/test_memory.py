"""--memory bounds everything: at the limit writers flush, then sources wait; nothing is lost, nothing is killed, and state that
cannot fit ends the run with all committed and a message that names the sink."""

import json
import os
import pathlib
import re
import resource
import subprocess
import threading
import time

import duckdb
import pytest
from deltalake import DeltaTable

from services.harness import FULL, Weir, own_state, weir_bin, weir_env
from window_oracle import check_ledger

MIB = 1 << 20
# Beyond --memory: the allocator's slack and what libraries keep.
SLACK = 16 * MIB

SOURCE = """CREATE SOURCE events (id BIGINT, user_id BIGINT, name TEXT, amount DOUBLE PRECISION, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '1 second')
  WITH (connector='{connector}', {options});
"""


def write(tmp_path, *parts):
    path = tmp_path / "p.sql"
    path.write_text("".join(parts))
    return path


def generator(rows):
    return SOURCE.format(connector="datagen", options=f"rows='{rows}', rate='0', seed='3'")


def big_file(tmp_path, rows, keys=300):
    path = tmp_path / "in.ndjson"
    pad = "x" * 150
    with open(path, "w", encoding="utf-8") as out:
        for i in range(rows):
            out.write(f'{{"id":{i},"user_id":{i * 7919 % keys},"name":"{pad}{i}","amount":{i / 4},"ts":{1700000000000 + i}}}\n')
    return SOURCE.format(connector="file", options=f"path='{path}', format='json'")


def run_limited(sql, tmp_path, memory, timeout=120):
    """(exit code, messages, statistics)"""
    stats = tmp_path / "stats.json"
    done = subprocess.run([weir_bin(), "run", str(sql), "--quiet", "--memory", f"{memory}MiB", "--stats", str(stats)], env=weir_env(),
                          capture_output=True, text=True, timeout=timeout, check=False)
    return done.returncode, done.stderr, json.loads(stats.read_text())


def is_sanitized():
    return "libasan" in subprocess.run(["ldd", weir_bin()], capture_output=True, text=True, check=False).stdout


def check_peak(stats, memory):
    if not is_sanitized():
        peak = stats["peak_rss_bytes"]
        print(f"peak {peak / MIB:.0f} MiB of {memory} MiB")
        assert peak <= memory * MIB + SLACK, f"peak {peak / MIB:.0f} MiB with --memory {memory}MiB"


def test_three_hundred_partitions_in_little_memory(tmp_path):
    rows = 600_000 if FULL else 200_000
    sql = write(tmp_path, big_file(tmp_path, rows), f"""
      CREATE SINK lake WITH (connector='parquet', path='{tmp_path}/lake', partition_by='user_id', commit_interval='30s') AS SELECT * FROM events;""")
    code, stderr, stats = run_limited(sql, tmp_path, 128)
    assert code == 0, stderr
    sums = check_ledger(stats)
    assert sums["lake"]["landed"] == rows and sums["lake"]["in_flight"] == 0
    check_peak(stats, 128)
    count, total, partitions = duckdb.sql(f"""SELECT count(*), sum(id), count(DISTINCT user_id)
        FROM read_parquet('{tmp_path}/lake/**/*.parquet', hive_partitioning = true)""").fetchall()[0]
    assert (count, total, partitions) == (rows, rows * (rows - 1) // 2, 300)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_fast_source_waits_for_a_slow_reader(tmp_path, workers):
    """Standard output into a pipe that is read slowly: backpressure reaches the source, memory stays, all rows come."""
    rows = 400_000
    sql = write(tmp_path, generator(rows), "CREATE SINK out WITH (connector='stdout') AS SELECT id, user_id, name, amount FROM events;")
    stats = tmp_path / "stats.json"
    process = subprocess.Popen([weir_bin(), "run", str(sql), "--quiet", "--memory", "64MiB", "--workers", str(workers), "--stats", str(stats)],
                               env=weir_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        lines, tail = 0, b""
        started = time.monotonic()
        while chunk := os.read(process.stdout.fileno(), 1 << 16):
            tail += chunk
            *whole, tail = tail.split(b"\n")
            lines += len(whole)
            if time.monotonic() - started < 5:
                time.sleep(0.01)  # 6 MB a second at most
        assert process.wait(60) == 0, process.stderr.read()
    finally:
        process.kill()
    report = json.loads(stats.read_text())
    assert lines == rows and tail == b""
    assert check_ledger(report)["out"]["landed"] == rows
    check_peak(report, 64)


def test_a_pipe_that_nobody_reads_for_a_while(tmp_path):
    """A FIFO whose reader sleeps: the run stands still without growing, and goes on when it is read."""
    fifo = tmp_path / "out.fifo"
    os.mkfifo(fifo)
    rows = 300_000
    sql = write(tmp_path, generator(rows), f"CREATE SINK out WITH (connector='file', path='{fifo}') AS SELECT id, name FROM events;",
                "CREATE SINK other WITH (connector='blackhole') AS SELECT id FROM events;")
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    seen = []

    def read_all():
        time.sleep(3)
        with os.fdopen(reader, "rb") as pipe:
            seen.extend(line for line in pipe)

    thread = threading.Thread(target=read_all)
    thread.start()
    code, stderr, stats = run_limited(sql, tmp_path, 64)
    thread.join(60)
    assert code == 0, stderr
    assert len(seen) == rows and {json.loads(line)["id"] for line in seen[:10] + seen[-10:]}
    sums = check_ledger(stats)
    assert sums["out"]["landed"] == sums["other"]["landed"] == rows
    check_peak(stats, 64)


def test_sigterm_is_heard_under_backpressure(tmp_path):
    sql = write(tmp_path, SOURCE.format(connector="datagen", options="rate='0', seed='3'"),
                f"CREATE SINK lake WITH (connector='parquet', path='{tmp_path}/lake', commit_interval='200ms') AS SELECT * FROM events;")
    stats = tmp_path / "stats.json"
    with Weir("run", sql, "--quiet", "--memory", "64MiB", "--stats", stats) as weir:
        weir.wait_for(lambda: len(list((tmp_path / "lake").glob("*.parquet"))) > 2, "some files")
        assert weir.terminate() == 0
    report = json.loads(stats.read_text())
    landed = check_ledger(report)["lake"]["landed"]
    assert duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/lake/*.parquet'").fetchall()[0][0] == landed > 0
    check_peak(report, 64)


def test_state_that_does_not_fit_ends_with_the_sinks_name(tmp_path):
    """Millions of keys in one window: exit 1, a message that names the sink, all before it committed, and no kill."""
    rows = 10_000_000
    sql = write(tmp_path, generator(rows), f"""
      CREATE SINK per_id WITH (connector='file', path='{tmp_path}/out.ndjson') AS
        SELECT window_start, id, count(*) AS n FROM TUMBLE(events, ts, INTERVAL '1 day') GROUP BY window_start, window_end, id;
      CREATE SINK lake WITH (connector='parquet', path='{tmp_path}/lake', commit_interval='200ms') AS SELECT id, ts FROM events;""")
    code, stderr, stats = run_limited(sql, tmp_path, 96, timeout=200)
    assert code == 1, stderr
    errors = [line for line in stderr.splitlines() if line.startswith("weir: ") and "warning" not in line]
    assert len(errors) == 1 and '"per_id"' in errors[0] and "memory" in errors[0], stderr
    assert re.search(r"^  hint: .*--memory", stderr, re.MULTILINE)
    landed = check_ledger(stats)["lake"]["landed"]
    assert duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/lake/*.parquet'").fetchall()[0][0] == landed > 0
    assert (tmp_path / "out.ndjson").read_text() == ""
    check_peak(stats, 96)


def test_a_small_address_space_is_seen(tmp_path):
    """Without --memory, a limit of the process (ulimit -v, as a container's) decides; the run stays within it."""
    if is_sanitized():
        pytest.skip("sanitizers need an address space of their own")
    sql = write(tmp_path, generator(500_000), f"CREATE SINK lake WITH (connector='parquet', path='{tmp_path}/lake') AS SELECT * FROM events;")
    limit = 1024 * MIB
    done = subprocess.run([weir_bin(), "run", str(sql), "--quiet", "--stats", str(tmp_path / "stats.json")], env=weir_env(), capture_output=True, text=True,
                          timeout=60, check=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert done.returncode == 0, done.stderr
    assert check_ledger(json.loads((tmp_path / "stats.json").read_text()))["lake"]["landed"] == 500_000


def test_records_of_megabytes_in_little_memory(tmp_path):
    """Each record takes a good part of what a block may be: batches end early instead of growing."""
    rows, size = 60, 2_000_000
    with open(tmp_path / "in.ndjson", "w", encoding="utf-8") as out:
        for i in range(rows):
            out.write(json.dumps({"id": i, "name": "y" * size, "ts": 1700000000000 + i}) + "\n")
    sql = write(tmp_path, SOURCE.format(connector="file", options=f"path='{tmp_path}/in.ndjson', format='json'"), f"""
      CREATE SINK lake WITH (connector='parquet', path='{tmp_path}/lake') AS SELECT id, name FROM events;
      CREATE SINK out WITH (connector='file', path='{tmp_path}/out.ndjson') AS SELECT id, length(name) AS n FROM events;""")
    code, stderr, stats = run_limited(sql, tmp_path, 128)
    assert code == 0, stderr
    assert check_ledger(stats)["lake"]["landed"] == rows
    assert duckdb.sql(f"SELECT count(*), min(length(name)), max(length(name)) FROM '{tmp_path}/lake/*.parquet'").fetchall()[0] == (rows, size, size)
    assert {json.loads(line)["n"] for line in (tmp_path / "out.ndjson").read_text().splitlines()} == {size}
    check_peak(stats, 128)


# --- memory as a promise: pressure that only waiting can relieve ---

HOUR_MS = 3_600_000
FAR_SPLITS, FAR_ROWS = 4, 300_000
FAR_START_MS = 1_700_000_000_000
FAR_BEHIND_MS = 2 * HOUR_MS
USER_PAD = "u" * 400
FAR_USERS = 150_000
FAR_TABLES = 2_000


def far_times(split):
    """(first event time, span): split 0 begins two hours before the others, and ends where they begin."""
    return (FAR_START_MS - FAR_BEHIND_MS, FAR_BEHIND_MS) if split == 0 else (FAR_START_MS, HOUR_MS)


def far_payloads(split):
    begin, span = far_times(split)
    for i in range(FAR_ROWS):
        user, shop = (i * 7919 + split * 37_501) % FAR_USERS, (i * FAR_SPLITS + split) % FAR_TABLES
        yield f'{{"user":"{user:06}{USER_PAD}","shop":{shop},"ts":{begin + i * span // FAR_ROWS}}}'


@pytest.fixture(scope="module")
def far_topic(kafka):
    topic = kafka.create_topic("memory-far-behind", FAR_SPLITS)
    for split in range(FAR_SPLITS):
        kafka.produce(topic, far_payloads(split), partition=split, compression_type="lz4", enable_idempotence=True)  # in order
    return topic


def far_sql(tmp_path, kafka, topic, tables=True):
    source = f"""CREATE SOURCE events ("user" TEXT NOT NULL, shop BIGINT NOT NULL, ts TIMESTAMP NOT NULL, WATERMARK FOR ts AS ts - INTERVAL '1 second')
      WITH (connector='kafka', brokers='{kafka.brokers}', topic='{topic}', format='json');
    """
    window = f"""CREATE SINK per_user WITH (connector='parquet', path='{tmp_path}/per_user', commit_interval='2s') AS
      SELECT window_start, "user", count(*) AS n, sum(shop) AS shops
      FROM TUMBLE(events, ts, INTERVAL '10 minutes') GROUP BY window_start, window_end, "user";
    """
    rows = f"""CREATE SINK lake WITH (connector='delta', path='{tmp_path}/lake', partition_by='shop', commit_interval='20s') AS SELECT shop, ts FROM events;
      CREATE SINK files WITH (connector='parquet', path='{tmp_path}/files', partition_by='shop', commit_interval='20s') AS SELECT shop, ts FROM events;
    """
    return write(tmp_path, source, window, rows if tables else "")


def far_oracle():
    """(split, user, shop, ts) of every row, as DuckDB's own arithmetic."""
    parts = []
    for split in range(FAR_SPLITS):
        begin, span = far_times(split)
        parts.append(f"SELECT (i * 7919 + {split * 37_501}) % {FAR_USERS} AS u, (i * {FAR_SPLITS} + {split}) % {FAR_TABLES} AS shop, "
                     f"{begin} + i * {span} // {FAR_ROWS} AS ts FROM range({FAR_ROWS}) AS r(i)")
    return " UNION ALL ".join(parts)


def check_far_windows(tmp_path):
    wrong = duckdb.sql(f"""
      WITH got AS (SELECT epoch_ms(window_start) AS w, left("user", 6)::BIGINT AS u, n, shops FROM '{tmp_path}/per_user/*.parquet'),
           want AS (SELECT ts // 600000 * 600000 AS w, u, count(*) AS n, sum(shop) AS shops FROM ({far_oracle()}) GROUP BY ALL)
      SELECT count(*), count(got.w), count(want.w), count(*) FILTER (got.n IS DISTINCT FROM want.n OR got.shops IS DISTINCT FROM want.shops)
      FROM got FULL JOIN want USING (w, u)""").fetchall()[0]
    assert wrong[0] == wrong[1] == wrong[2] > 0 and wrong[3] == 0, wrong


class Jail:
    """A memory limit that the kernel keeps by killing: a cgroup where this user may make one (version 2 or 1), else
    RLIMIT_AS, which also counts what is mapped and never touched: the threads' stacks and arenas, code, and what jemalloc reserves,
    about 600 MiB at start-up."""

    AS_MARGIN = 768 * MIB

    def __init__(self, limit):
        self.limit, self.directory = limit, None

    def __enter__(self):
        roots = [(pathlib.Path("/sys/fs/cgroup"), "memory.max"), (pathlib.Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes")]
        for root, limit in roots:
            directory = root / f"weir-test-{os.getpid()}"
            if not (root / "cgroup.procs").exists():
                continue
            try:
                directory.mkdir()
            except OSError:
                continue
            if (directory / limit).exists():
                (directory / limit).write_text(str(self.limit))
                self.directory = directory
                break
            directory.rmdir()
        return self

    def __exit__(self, *_error):
        if self.directory is not None:
            self.directory.rmdir()

    def enter(self):
        """In the child, before exec."""
        if self.directory is not None:
            (self.directory / "cgroup.procs").write_text(str(os.getpid()))
        else:
            resource.setrlimit(resource.RLIMIT_AS, (self.limit + self.AS_MARGIN, self.limit + self.AS_MARGIN))


def run_jailed(sql, tmp_path, memory, limit, *more, timeout=300):
    stats = tmp_path / "stats.json"
    with Jail(limit) as jail, own_state(["run", str(sql), "--quiet", "--bounded", "--memory", memory, "--stats", str(stats), *more]) as arguments:
        done = subprocess.run([weir_bin(), *arguments], env=weir_env(), capture_output=True, text=True, timeout=timeout, check=False,
                              preexec_fn=jail.enter)
    return done.returncode, done.stderr, json.loads(stats.read_text()) if stats.exists() else None


def test_without_waiting_the_state_would_not_fit(tmp_path, kafka, far_topic):
    """The control: with memory enough nothing waits, and the windows held open by the partition far behind need more than a run of
    512 MiB allows them (half of it)."""
    code, stderr, stats = run_jailed(far_sql(tmp_path, kafka, far_topic, tables=False), tmp_path, "8GiB", 9 << 30)
    assert code == 0, stderr
    assert stats["split_pauses"] == 0
    assert stats["state_peak_bytes"] > 256 * MIB
    check_far_windows(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_partition_far_behind_holds_the_others_back(tmp_path, kafka, far_topic, workers):
    """512 MiB in a cgroup of 640 MiB, 2,000 partitions of two tables open, a topic that comes as fast as it can, one partition two hours behind:
    the splits ahead wait, the run is not killed and ends, and all results are right."""
    code, stderr, stats = run_jailed(far_sql(tmp_path, kafka, far_topic), tmp_path, "512MiB", 640 * MIB, "--workers", str(workers))
    assert code == 0, f"{code}: {stderr}"
    print(f"peak {stats['peak_rss_bytes'] / MIB:.0f} MiB, state {stats['state_peak_bytes'] / MIB:.0f} MiB, {stats['split_pauses']} pauses, {stats['wall_s']:.1f} s")
    assert stats["split_pauses"] > 0
    assert stats["state_peak_bytes"] <= 256 * MIB
    rows = FAR_SPLITS * FAR_ROWS
    sums = check_ledger(stats)
    assert sums["lake"]["landed"] == sums["files"]["landed"] == sums["per_user"]["landed"] == rows
    check_far_windows(tmp_path)
    want = duckdb.sql(f"SELECT count(*), sum(ts), count(DISTINCT shop) FROM ({far_oracle()})").fetchall()[0]
    lake = ", ".join(f"'{path}'" for path in DeltaTable(str(tmp_path / "lake")).file_uris())
    for files in (f"[{lake}]", f"'{tmp_path}/files/**/*.parquet'"):
        assert duckdb.sql(f"SELECT count(*), sum(epoch_ms(ts)), count(DISTINCT shop) FROM read_parquet({files}, hive_partitioning = true)").fetchall()[0] == want
    if not is_sanitized():
        assert stats["peak_rss_bytes"] <= 640 * MIB
