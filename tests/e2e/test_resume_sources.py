"""Sources that go on after kill -9: every row is in the file exactly once; what a client was answered for is not lost."""

import collections
import gzip
import http.client
import json
import os
import random
import threading
import time

import pyarrow
import pytest

from services.harness import FULL, Weir, free_port, run_weir

KILLS = 20 if FULL else 5
SINK = """CREATE SINK o WITH (connector = 'file', path = '{dir}/out.ndjson', format = 'json', commit_interval = '100ms',
  guarantee = 'exactly_once') AS SELECT * FROM s;
"""


class Killed:
    """A pipeline with a state of its own that is started, killed, and at last run to its end."""

    def __init__(self, tmp_path, source, name="p", *more):
        self.out, self.more = tmp_path / f"{name}.ndjson", more
        self.sql, self.state = tmp_path / f"{name}.sql", tmp_path / f"{name}.state"
        sink = SINK.replace("{dir}/out.ndjson", str(self.out))
        self.sql.write_text(source.replace("{dir}", str(tmp_path)) + sink)
        self.arguments = ["run", self.sql, "--state", self.state, *more]

    def kill_often(self, shortest, longest):
        seed = random.randrange(1 << 30)
        print("seed", seed)
        moments = random.Random(seed)
        for _ in range(KILLS):
            with Weir(*self.arguments) as weir:
                time.sleep(moments.uniform(shortest, longest))
                if weir.process.poll() is not None:
                    break
                weir.kill()

    def rows(self):
        """Whole lines: the last one may be on its way."""
        return [json.loads(line) for line in self.out.read_text().split("\n")[:-1]]


def test_files_plain_and_packed_go_on_where_they_were_committed(tmp_path):
    count = 300_000
    directory = tmp_path / "in"
    directory.mkdir()
    (directory / "a.csv").write_text("n,t\n" + "".join(f'{i},"x\n{i}"\n' for i in range(count)))
    with gzip.open(directory / "b.csv.gz", "wt", compresslevel=1) as packed:
        packed.write("t,n\n" + "".join(f"y{i},{i}\n" for i in range(count, 2 * count)))
    with pyarrow.output_stream(directory / "c.csv.zst", compression="zstd") as packed:
        packed.write(("n,t\n" + "".join(f"{i},z\n" for i in range(2 * count, 3 * count))).encode())
    run = Killed(tmp_path, """CREATE SOURCE s (n BIGINT, t TEXT)
      WITH (connector = 'file', path = '{dir}/in', format = 'csv');\n""")
    run.kill_often(0.05, 0.25)
    run_weir(*run.arguments, code=0)
    assert sorted(row["n"] for row in run.rows()) == list(range(3 * count))
    with open(directory / "a.csv", "a") as grown:
        grown.write('-1,"more"\n')
    (directory / "d.csv").write_text("t,n\nnew,-2\n")
    run_weir(*run.arguments, code=0)
    assert sorted(row["n"] for row in run.rows()) == [-2, -1, *range(3 * count)]
    (directory / "b.csv.gz").write_bytes(gzip.compress(b"t,n\nother,5\n"))
    refused = run_weir(*run.arguments)
    assert refused.code in (1, 2)
    assert "b.csv.gz is not the file that was read before" in refused.stderr


def test_generated_rows_are_those_of_a_run_that_was_never_stopped(tmp_path):
    source = """CREATE SOURCE s (id BIGINT, amount DOUBLE PRECISION, tag TEXT, ts TIMESTAMP, WATERMARK FOR ts AS ts)
      WITH (connector = 'datagen', rate = 100000, rows = 200000, splits = 2, out_of_order = '1s',
            start_time = '2024-01-31T00:00:00Z', fields.id.kind = 'sequence', fields.tag.kind = 'uuid');\n"""
    killed = Killed(tmp_path, source, "killed")
    killed.kill_often(0.1, 0.5)
    run_weir(*killed.arguments, code=0)
    whole = Killed(tmp_path, source, "whole")
    run_weir(*whole.arguments, code=0)
    assert sorted(killed.out.read_text().splitlines()) == sorted(whole.out.read_text().splitlines())


class Clients:
    """Threads that POST numbers, each once, whatever the answer."""

    def __init__(self, port, count=6):
        self.port, self.stopping, self.next, self.lock = port, False, 0, threading.Lock()
        self.acknowledged = set()
        self.threads = [threading.Thread(target=self.run) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.stopping:
            with self.lock:
                number, self.next = self.next, self.next + 1
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                connection.request("POST", "/ingest/s", body=json.dumps({"n": number}))
                if connection.getresponse().status == 202:
                    self.acknowledged.add(number)
                connection.close()
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize("ack", ["spool", "commit"])
def test_what_a_client_was_answered_for_survives_kills(tmp_path, ack):
    port = free_port()
    run = Killed(tmp_path, f"CREATE SOURCE s (n BIGINT) WITH (connector = 'http', format = 'json', ack = '{ack}');\n",
                 "p", "--listen", f"127.0.0.1:{port}")
    clients = Clients(port)
    try:
        run.kill_often(0.4, 0.9)
        with Weir(*run.arguments) as weir:
            before = len(clients.acknowledged)
            weir.wait_for(lambda: len(clients.acknowledged) > before, "an answer")
            clients.stop()
            weir.wait_for(lambda: clients.acknowledged <= {row["n"] for row in run.rows()}, "the rows")
            assert weir.terminate() == 0
    finally:
        clients.stop()
    seen = collections.Counter(row["n"] for row in run.rows())
    assert clients.acknowledged <= set(seen) and max(seen.values()) == 1
    assert len(clients.acknowledged) >= KILLS
    if ack == "spool":
        left = sum(path.stat().st_size for path in run.state.glob("http-s/*.spool"))
        assert left < 64 << 20


def test_spooling_needs_a_local_state(tmp_path):
    sql = tmp_path / "p.sql"
    sql.write_text("CREATE SOURCE s (n BIGINT) WITH (connector = 'http', format = 'json', ack = 'spool');\n"
                   "CREATE SINK o WITH (connector = 'stdout') AS SELECT n FROM s;\n")
    refused = run_weir("run", sql, "--state", "none", "--listen", f"127.0.0.1:{free_port()}")
    assert refused.code != 0 and "ack = 'spool' needs a state" in refused.stderr and "hint" in refused.stderr
    assert not os.path.exists(tmp_path / ".weir")
