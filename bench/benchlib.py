"""What bench/run and bench/latency share: programs, measured children, Kafka, figures, verdicts.

Standard library only. CPU is user + system time of a child and its threads, as the kernel counted
it when the child ended (os.wait4): nothing that the child says about itself is believed.
"""

import json
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
