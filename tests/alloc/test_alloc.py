"""In the steady state no event costs an allocation. Each pipeline runs over few and over many events; what the second run
allocates more than the first, per event, is the steady state's share. Everything is counted, of all threads and libraries."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from services.harness import run_weir, weir_bin

HERE = pathlib.Path(__file__).resolve().parent
LIMIT = 0.001  # allocations per event: what a batch of a thousand or a closed window may cost


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    linked = subprocess.run(["ldd", weir_bin()], capture_output=True, text=True, check=False).stdout
    if "libasan" in linked or "libtsan" in linked:
        pytest.skip("sanitizers have an allocator of their own")
    compiler = os.environ.get("CC") or shutil.which("cc")
    library = tmp_path_factory.mktemp("shim") / "count_allocations.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-fno-builtin", "-o", library, HERE / "count_allocations.c", "-ldl"], check=True)
    return library


def allocations(shim, directory, sql, rows):
    path = directory / "p.sql"
    path.write_text(sql)
    out = directory / "count"
    out.unlink(missing_ok=True)
    result = run_weir("run", path, "--quiet", "--workers", "1", "--state", "none", code=0, stats=True, env={"LD_PRELOAD": str(shim), "COUNT_ALLOCATIONS": str(out)})
    assert result.stats["events_read"] == rows
    calls, _ = map(int, out.read_text().split())
    assert calls > 100, "the shim counted nothing"
    return calls


DATAGEN = """CREATE SOURCE events (id BIGINT, user_id BIGINT, type TEXT, amount DOUBLE PRECISION, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '1 second')
  WITH (connector='datagen', rows='{rows}', rate='0', seed='7');
"""
FILE = """CREATE SOURCE events (id BIGINT, user_id BIGINT, type TEXT, amount DOUBLE PRECISION, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '1 second')
  WITH (connector='file', path='{path}', format='json');
"""
WINDOW = """CREATE SINK counts WITH (connector='blackhole') AS
  SELECT window_start, window_end, type, count(*) AS n, sum(amount) AS total, max(id) AS newest
  FROM TUMBLE(events, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end, type;
"""
HOP = """CREATE SINK counts WITH (connector='blackhole') AS SELECT window_start, window_end, type, count(*) AS n
  FROM HOP(events, ts, INTERVAL '1 second', INTERVAL '10 seconds') GROUP BY window_start, window_end, type;
"""
ROWS = "CREATE SINK rows WITH (connector='blackhole') AS SELECT id, upper(type) AS type, amount * 2 AS twice FROM events WHERE id % 3 <> 0;\n"


def write_events(path, rows):
    kinds = ["view", "click", "purchase", "a type of more than twelve bytes"]
    with open(path, "w", encoding="utf-8") as out:
        for i in range(rows):
            out.write(json.dumps({"id": i, "user_id": i * 7919 % 1000, "type": kinds[i % 4], "amount": i / 8, "ts": 1700000000000 + i}) + "\n")


@pytest.mark.parametrize("name, query", [("tumble", WINDOW), ("hop", HOP), ("rows", ROWS), ("both", WINDOW + ROWS)])
@pytest.mark.parametrize("source", ["datagen", "file"])
def test_no_allocation_per_event(shim, tmp_path, source, name, query):
    few, many = 200_000, 1_000_000 if source == "datagen" else 800_000
    counted = []
    for rows in (few, many):
        if source == "file":
            write_events(tmp_path / "in.ndjson", rows)
            head = FILE.format(path=tmp_path / "in.ndjson")
        else:
            head = DATAGEN.format(rows=rows)
        counted.append(allocations(shim, tmp_path, head + query, rows))
    per_event = (counted[1] - counted[0]) / (many - few)
    print(f"{source} to {name}: {counted[0]} and {counted[1]} allocations: {per_event:.6f} per event")
    assert per_event < LIMIT
