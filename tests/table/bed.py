"""What the tests of Delta tables share: the driver, the readers, rows and how they are compared."""

import datetime
import decimal
import fcntl
import json
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import warnings

import polars
import pytest
from deltalake import DeltaTable

from services import harness

ROOT = pathlib.Path(__file__).resolve().parents[2]
DUCKDB = ROOT / "build" / "test-tools" / "duckdb-delta"
NULL = "\\N"


def driver_path():
    """$WEIR_TABLE_DRIVER, else the one of the build that was made last."""
    given = os.environ.get("WEIR_TABLE_DRIVER")
    found = [pathlib.Path(given)] if given else list(ROOT.glob("build/*/tests/table/table_driver"))
    assert found, "no table_driver: run tools/build"
    return str(max(found, key=lambda path: path.stat().st_mtime))


class Failed(Exception):
    """FAIL of the driver: cls (1 user, 2 data, 3 retry, 4 fatal), message, detail, hint."""

    def __init__(self, words):
        self.cls, self.message, self.detail, self.hint = int(words[0]), words[1], words[2], words[3]
        super().__init__("; ".join(words))


class Driver:
    """A table_driver process: the commands of table_driver.c as methods."""

    def __init__(self, url, directory, env=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log = open(self.directory / "driver.log", "ab+")
        self.process = subprocess.Popen([driver_path(), str(url)], env=harness.weir_env(env),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        text=True, bufsize=1)
        self.rows_file = self.directory / f"rows-{self.process.pid}.tsv"
        self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()
        code = self.process.wait(60)
        self.log.seek(0)
        assert code == 0, f"driver exit code {code}: {self.log.read().decode(errors='replace')[-3000:]}"

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise AssertionError(f"the driver died: {self.log.read().decode(errors='replace')[-4000:]}")
        words = line.rstrip("\n").split("\t")
        at = next((i for i, word in enumerate(words) if word in ("OK", "END", "FAIL")), None)
        assert at is not None, line
        if words[at] == "FAIL":
            raise Failed(words[at + 1:])
        return words[:at]

    def send(self, *words):
        self.process.stdin.write("\t".join(str(word) for word in words) + "\n")

    def ask(self, *words):
        self.send(*words)
        return self.answer()

    def open(self, columns, partition="", flags="c"):
        """columns: "id|BIGINT!;name|TEXT" ('!': NOT NULL); flags: c create, e evolve."""
        self.ask("open", columns, partition, flags)
        return self

    def rows(self, rows):
        """One data file; all rows of one partition. Values as SQL's texts."""
        self.rows_file.write_text("".join("\t".join(str(v) for v in row) + "\n" for row in rows))
        self.ask("rows", self.rows_file)

    def append(self, app="", version=0):
        return int(self.ask("append", app, version)[0])

    def txn(self, app):
        return int(self.ask("txn", app)[0])

    def refresh(self):
        return int(self.ask("refresh")[0])

    def compact(self, target=128_000_000, settle=0, flags="a"):
        before, after, more = self.ask("compact", target, settle, flags)
        return int(before), int(after), more == "1"

    def compact_all(self, **how):
        """How many files went into how many."""
        before = after = 0
        while True:
            taken, made, more = self.compact(**how)
            before, after = before + taken, after + made
            if taken == 0 and not more:
                return before, after

    def history(self, count=1000):
        """Newest first: version, operation, engine, adds, removes, rows, bytes."""
        return [tuple(int(w) if w.lstrip("-").isdigit() else w for w in event.split(";"))
                for event in self.ask("history", count)]

    def vacuum(self, retention_ms, dry_run=False):
        return self.ask("vacuum", retention_ms, "d" if dry_run else "")


def log_of(path):
    return pathlib.Path(path) / "_delta_log"


def commit(path, version):
    """The actions of a commit: [(name, body)]."""
    text = (log_of(path) / f"{version:020}.json").read_text()
    return [next(iter(json.loads(line).items())) for line in text.splitlines()]


# --- readers ----------------------------------------------------------------------------------


def plain(value):
    """The same value whatever reader it comes from."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return value


def by_deltalake(path, options=None):
    table = DeltaTable(str(path), storage_options=options).to_pyarrow_table()
    return [{name: plain(value) for name, value in row.items()} for row in table.to_pylist()]


def by_polars(path, options=None):
    frame = polars.scan_delta(str(path), storage_options=options).collect()
    return [{name: plain(value) for name, value in row.items()} for row in frame.to_dicts()]


def duckdb_python():
    """A Python whose DuckDB has the delta extension: it comes as a package for one DuckDB only, so in a venv of its own."""
    python = DUCKDB / "bin" / "python"
    DUCKDB.parent.mkdir(parents=True, exist_ok=True)
    with open(DUCKDB.parent / "duckdb-delta.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = DUCKDB / "ready"
        if not done.exists():
            packages = ["duckdb==1.5.5", "duckdb-extensions", "duckdb-extension-delta==1.5.5", "pytz"]
            try:
                subprocess.run([sys.executable, "-m", "venv", str(DUCKDB)], check=True, capture_output=True)
                subprocess.run([str(python), "-m", "pip", "-q", "install", *packages], check=True,
                               capture_output=True, timeout=240)
            except (subprocess.SubprocessError, OSError) as trouble:
                raise harness.Unavailable(f"DuckDB's delta extension: {trouble}") from None
            done.touch()
    return str(python)


_DUCKDB_READS = """
import sys, pickle, duckdb, datetime
def bare(v):  # without pytz's zones
    if isinstance(v, list):
        return [bare(item) for item in v]
    if isinstance(v, dict):
        return {bare(key): bare(item) for key, item in v.items()}
    return v.astimezone(datetime.timezone.utc) if isinstance(v, datetime.datetime) and v.tzinfo else v
from duckdb_extensions import import_extension
import_extension('delta')
c = duckdb.connect()
c.execute("LOAD delta"); c.execute("SET TimeZone = 'UTC'"); c.execute("SET enable_progress_bar = false")
r = c.execute("SELECT * FROM delta_scan(?)", [sys.argv[1]])
names = [d[0] for d in r.description]
pickle.dump([{n: bare(v) for n, v in zip(names, row)} for row in r.fetchall()], open(sys.argv[2], 'wb'))
"""


def by_duckdb(path):
    with tempfile.NamedTemporaryFile() as into:
        done = subprocess.run([duckdb_python(), "-c", _DUCKDB_READS, str(path), into.name], capture_output=True,
                              check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
        return [{name: plain(value) for name, value in row.items()} for row in pickle.load(into)]


READERS = {"deltalake": by_deltalake, "polars": by_polars, "duckdb": by_duckdb}


def ids(path, reader="deltalake", column="id", options=None):
    """The sorted values of a column."""
    rows = READERS[reader](path, options) if options else READERS[reader](path)
    return sorted(row[column] for row in rows)


@pytest.fixture(params=sorted(READERS))
def reader(request):
    return request.param


warnings.filterwarnings("ignore", category=DeprecationWarning)
D = decimal.Decimal
