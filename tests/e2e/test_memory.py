"""--memory bounds everything: at the limit writers flush, then sources wait; nothing is lost, nothing is killed, and state that
cannot fit ends the run with all committed and a message that names the sink."""

import json
import os
import re
import resource
import subprocess
import threading
import time

import duckdb
import pytest

from services.harness import FULL, Weir, weir_bin, weir_env
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
