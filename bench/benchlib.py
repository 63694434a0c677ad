"""What the drivers share: programs, measured children, Kafka, figures, verdicts.

Standard library only. CPU is user + system time of a child and its threads, as the kernel counted
it when the child ended (os.wait4): nothing that the child says about itself is believed.
"""

import json
import math
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PIPELINES = ROOT / "bench" / "pipelines"

sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests"))


class Failed(Exception):
    """The benchmark cannot say anything: a program failed or an output is wrong."""


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- programs ---------------------------------------------------------------------------------


class Programs:
    """Where weir and the tools are. Asking for one that is not built says how to build it."""

    def __init__(self, build_dir):
        self.build = pathlib.Path(build_dir)

    def tool(self, name):
        path = self.build / "bench" / name
        if not path.exists():
            raise Failed(f"no {path}: run tools/build, or give --build-dir")
        return str(path)

    @property
    def weir(self):
        path = pathlib.Path(os.environ.get("WEIR_BIN") or self.build / "weir")
        if not path.exists() and "WEIR_BIN" not in os.environ:
            path = ROOT / "build" / "weir"
        if not path.exists():
            raise Failed(f"no weir at {path}: run tools/build, or set WEIR_BIN")
        return str(path)

    @property
    def python(self):
        """A Python that has duckdb."""
        path = ROOT / "build" / "test-tools" / "venv" / "bin" / "python"
        if not path.exists():
            raise Failed(f"no {path}: run tests/services/install python")
        return str(path)


# --- children ---------------------------------------------------------------------------------


class Usage:
    """What a child used."""

    def __init__(self, rusage, wall_s):
        self.cpu_s = rusage.ru_utime + rusage.ru_stime
        self.rss_bytes = rusage.ru_maxrss * 1024
        self.wall_s = wall_s


def child_env(extra=None):
    """This environment without proxies, which no loopback service wants, plus extra."""
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    env.update({"LC_ALL": "C.UTF-8", "TZ": "UTC"})
    env.update(extra or {})
    return env


def _tail(path, lines=15):
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def wait_measured(child, started, timeout_s):
    """Waits for a Popen that nobody else waits for; returns (exit code, Usage)."""
    deadline = time.monotonic() + timeout_s
    asked_to_stop = False
    while True:
        pid, status, rusage = os.wait4(child.pid, os.WNOHANG)
        now = time.monotonic()
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            if asked_to_stop:
                raise Failed(f"{child.args[0]} did not end within {timeout_s} s")
            return child.returncode, Usage(rusage, now - started)
        if now > deadline:
            child.send_signal(signal.SIGKILL if asked_to_stop else signal.SIGTERM)
            asked_to_stop, deadline = True, now + 10
        time.sleep(0.005)


def run_measured(command, work, env=None, timeout_s=600):
    """Runs a command to its end; returns (its standard output, Usage). Its failure is ours."""
    command = [str(part) for part in command]
    out, err = work / "child.out", work / "child.err"
    with open(out, "wb") as out_file, open(err, "wb") as err_file:
        started = time.monotonic()
        child = subprocess.Popen(command, env=child_env(env), stdin=subprocess.DEVNULL,
                                 stdout=out_file, stderr=err_file)
        try:
            code, usage = wait_measured(child, started, timeout_s)
        except BaseException:
            if child.returncode is None:
                child.kill()
                child.wait()
            raise
    if code != 0:
        raise Failed(f"{' '.join(command)}\nended with {code}:\n{_tail(err) or _tail(out)}")
    return out.read_text(errors="replace"), usage


def fresh_dir(path):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


# --- Kafka ------------------------------------------------------------------------------------


class Broker:
    """A Kafka broker for the run: one of our own from tests/services, or one that is there."""

    def __init__(self, brokers, work):
        self.brokers = brokers
        self.work = work
        self.service = None

    def __enter__(self):
        if self.brokers:
            return self
        try:
            from services import harness
        except ImportError as error:
            raise Failed(f"cannot start Kafka: {error}; give --brokers") from error

        class Kafka(harness.Kafka):
            # The harness asks a Python client, which this driver does without; whoever comes first
            # after the port is open waits for the rest.
            def ready(self):
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return True

        say("starting Kafka")
        self.service = Kafka(HEAP="512m")
        try:
            self.service.start()
        except (harness.Unavailable, AssertionError) as error:
            raise Failed(str(error)) from error
        self.brokers = self.service.brokers
        return self

    def __exit__(self, *exception):
        if self.service:
            self.service.close()


def create_topic(programs, brokers, topic, partitions, work):
    run_measured([programs.tool("weir-bench-produce"), "--create", "--brokers", brokers, "--topic",
                  topic, "--partitions", partitions], work)


# --- an object store --------------------------------------------------------------------------


class ObjectStore:
    """A MinIO of our own from tests/services, with a bucket `bench`."""

    def __init__(self, programs, work):
        self.programs, self.work = programs, work
        self.service, self.env = None, {}

    def __enter__(self):
        try:
            from services import harness
        except ImportError as error:
            raise Failed(f"cannot start MinIO: {error}") from error
        say("starting MinIO")
        self.service = harness.S3Minio()
        try:
            self.service.start()
        except (harness.Unavailable, AssertionError) as error:
            raise Failed(str(error)) from error
        self.env = self.service.env()
        with_delta(self.programs, self.work, self.env, "bucket", "bench")
        return self

    def __exit__(self, *exception):
        self.service.close()


def with_delta(programs, work, environment, *words, timeout_s=600):
    """What with_delta.py prints (no command of it prints nothing but `bucket`)."""
    out, _ = run_measured([programs.python, ROOT / "bench" / "with_delta.py", *words], work, environment,
                          timeout_s)
    return json.loads(out) if out else None


def check_table(programs, work, environment, table, oracle):
    """The table, as delta-rs reads it, against the producer's sums."""
    found = with_delta(programs, work, environment, "check", table)
    for name, value in found.items():
        if name != "groups" and value != oracle[name]:
            raise Failed(f"wrong output: {name} of the table is {value}, the producer made {oracle[name]}")
    if [tuple(group) for group in found["groups"]] != sorted(map(tuple, oracle["groups"])):
        raise Failed("wrong output: counts or sums by (type, country) differ from the producer's")


class Watcher:
    """with_delta.py watch or probe, until it is told to stop."""

    def __init__(self, programs, work, environment, *words):
        self.log = work / "watcher.err"
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                [programs.python, str(ROOT / "bench" / "with_delta.py"), *map(str, words)],
                env=child_env(environment), stdin=subprocess.PIPE, stdout=log, stderr=log)

    def stop(self):
        self.child.stdin.close()
        if self.child.wait(60) != 0:
            raise Failed(f"with_delta.py ended with {self.child.returncode}:\n{_tail(self.log)}")

    def abandon(self):
        if self.child.returncode is None:
            self.child.kill()
            self.child.wait()


# --- weir, left running -----------------------------------------------------------------------


class Pipeline:
    """A weir that runs until it is stopped or killed; may be started again."""

    def __init__(self, programs, sql, work, environment, *arguments):
        self.stats = work / "stats.json"
        self.log = work / "weir.err"
        self.command = [str(part) for part in (programs.weir, "run", sql, "--stats", self.stats,
                                               "--quiet", *arguments)]
        self.environment = child_env(environment)
        self.child = None
        self.started = 0.0

    def start(self):
        """Starts it; self.exec_us: the wall clock before that, microseconds."""
        with open(self.log, "ab") as log:
            self.exec_us = time.time_ns() // 1000
            self.started = time.monotonic()
            self.child = subprocess.Popen(self.command, env=self.environment,
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def check_alive(self):
        if self.child.poll() is not None:
            raise Failed(f"weir ended with {self.child.returncode}:\n{self.log_text()}")

    def log_text(self):
        return self.log.read_text(errors="replace")[-2000:]

    def kill(self):
        """SIGKILL: what a crash is. Returns when the kernel has taken everything from it."""
        self.check_alive()
        self.child.kill()
        self.child.wait()

    def stop(self):
        """Stops it; returns (what it used, its own statistics)."""
        self.check_alive()
        self.child.send_signal(signal.SIGTERM)
        code, usage = wait_measured(self.child, self.started, 60)
        if code != 0:
            raise Failed(f"weir ended with {code} after SIGTERM:\n{self.log_text()}")
        return usage, json.loads(self.stats.read_text(encoding="utf-8"))

    def abandon(self):
        if self.child is not None and self.child.returncode is None:
            self.child.kill()
            self.child.wait()


# --- the machine ------------------------------------------------------------------------------


def _cpu_ticks():
    with open("/proc/stat", encoding="ascii") as stat:
        return [int(field) for field in stat.readline().split()[1:9]]


class Machine:
    """What is recorded with every figure, and how busy the machine was meanwhile."""

    def __init__(self):
        self._ticks = _cpu_ticks()

    def describe(self):
        model = "unknown"
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as info:
            for line in info:
                if line.startswith("model name"):
                    model = line.split(":", 1)[1].strip()
                    break
        delta = [now - then for now, then in zip(_cpu_ticks(), self._ticks)]
        total = sum(delta) or 1
        return {
            "cpu_model": model,
            "cpus": os.cpu_count(),
            "kernel": os.uname().release,
            "busy_percent": round(100 * (total - delta[3] - delta[4]) / total, 1),
            "steal_percent": round(100 * delta[7] / total, 2),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }


# --- figures and verdicts ---------------------------------------------------------------------


def spread(values):
    """Median with minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def percentile(ordered, share):
    """The smallest value that this share of the sorted values does not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def show(figure, digits=2, unit=""):
    return (f"{figure['median']:.{digits}f}{unit} "
            f"({figure['min']:.{digits}f} to {figure['max']:.{digits}f})")


class Report:
    """The figures of a run: a table for people, JSON for machines."""

    def __init__(self, arguments, heading="median (min to max)"):
        self.heading = heading
        self.machine = Machine()
        self.arguments = arguments
        self.rows = []
        self.figures = {}

    def note(self, name, figure):
        self.figures[name] = figure

    def row(self, what, figure, bar="", verdict=""):
        """verdict: True, False, or "" where there is no bar."""
        word = {True: "PASS", False: "MISS", "": ""}[verdict]
        self.rows.append((what, figure, bar, word))

    @property
    def misses(self):
        return sum(1 for row in self.rows if row[3] == "MISS")

    def print(self):
        rows = [("what", self.heading, "bar", ""), *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        machine = self.machine.describe()
        print(f"{machine['cpu_model']}, {machine['cpus']} CPUs, Linux {machine['kernel']}, "
              f"{machine['busy_percent']} % busy, {machine['steal_percent']} % stolen")
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())

    def write(self, path):
        verdicts = [{"what": what, "figure": figure, "bar": bar, "verdict": verdict}
                    for what, figure, bar, verdict in self.rows]
        document = {"machine": self.machine.describe(), "arguments": self.arguments,
                    "figures": self.figures, "table": verdicts}
        pathlib.Path(path).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
