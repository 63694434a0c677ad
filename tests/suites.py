#!/usr/bin/env python3
"""What tools/test runs: the suites, in order, with their builds. Start it through tools/test.

Each suite ends in a Tally of single test cases. A suite that runs no test at all is a failure: an
empty suite is a broken one.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree

TESTS = pathlib.Path(__file__).resolve().parent
ROOT = TESTS.parent
LOGS = ROOT / "build" / "test-logs"
TOOLS = pathlib.Path(os.environ.get("WEIR_TOOLS") or ROOT / "build" / "test-tools")
PYTHON = TOOLS / "venv" / "bin" / "python"
IN_CI = os.environ.get("CI") == "true"

SERVICES = ["python", "kafka", "s3", "s3-versitygw", "azurite", "gcs", "registry", "toxiproxy", "promtool", "mosquitto", "kinesis", "pubsub-pstest"]
SHOWN_LINES = 150  # of a failing suite's output; the log has it all
SUMMARY_LINES = 40  # of what failed, at the failure and once more at the very end


class Tally:
    def __init__(self, passed=0, failed=0, skipped=0, notes=(), summary=()):
        self.passed, self.failed, self.skipped = passed, failed, skipped
        self.notes = list(notes)  # lines to print below the suite's line
        self.summary = list(summary)  # names and assertions of what failed (none: the notes tell it)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        text = f"{self.passed} passed, {self.failed} failed"
        return text + (f", {self.skipped} skipped" if self.skipped else "")


def plain(text):
    """Without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)


def tail(text, lines=SHOWN_LINES):
    kept = plain(text).rstrip().splitlines()
    if len(kept) > lines:
        kept = [f"... {len(kept) - lines} lines before these are in the log"] + kept[-lines:]
    return kept


# --- running commands -------------------------------------------------------------------------

_children = set()


def run(command, log, seconds, env=None):
    """Runs command with its output in the log file; returns (exit code or None if it hung, text).

    A command that hangs is interrupted, so that it can stop what it started, and then killed."""
    with open(log, "wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(env or {})},
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   start_new_session=True)
        _children.add(process)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
            stop(process)
        finally:
            _children.discard(process)
    return code, pathlib.Path(log).read_text(errors="replace")


def stop(process):
    for number, patience in ((signal.SIGINT, 30), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
            return
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


# --- builds -----------------------------------------------------------------------------------

_builds = {}
_setup_lock = threading.RLock()  # builds and installs are done once, by the suite that comes first


def build(kind):
    """tools/build --kind, once; returns whether it worked. Reported as a suite line of its own."""
    with _setup_lock:
        return build_once(kind)


def build_once(kind):
    if kind not in _builds:
        arguments = {"release": [], "clang": ["--debug", "--clang"]}.get(kind, [f"--{kind}"])
        started = time.monotonic()
        log = LOGS / f"build-{kind}.log"
        code, text = run([str(ROOT / "tools" / "build"), "--no-install", *arguments], log, 1200)
        _builds[kind] = code == 0
        why = "hung for 20 minutes" if code is None else f"exit code {code}"
        tally = Tally(1) if code == 0 else Tally(0, 1, 0, [f"building failed ({why}):", *tail(text)])
        report(f"build {kind}", tally, started)
    return _builds[kind]


def needs_builds(*kinds):
    broken = [kind for kind in kinds if not build(kind)]
    if broken:
        return Tally(0, 1, 0, [f"not run: the {' and '.join(broken)} build failed"])
    return None


# --- suites of meson --------------------------------------------------------------------------


def meson_suite(kind, name, selection, seconds):
    broken = needs_builds(kind)
    if broken:
        return broken
    directory = ROOT / "build" / kind
    results = directory / "meson-logs" / f"weir-{name}.json"
    results.unlink(missing_ok=True)
    env = {"ASAN_OPTIONS": "detect_stack_use_after_return=1", "UBSAN_OPTIONS": "print_stacktrace=1",
           "LSAN_OPTIONS": f"suppressions={TESTS / 'lsan-suppressions.txt'}:print_suppressions=0",
           "TSAN_OPTIONS": "second_deadlock_stack=1", "WEIR_TEST_ROOT": str(ROOT)}
    suppressions = TESTS / "tsan" / "suppressions.txt"
    if suppressions.exists():
        env["TSAN_OPTIONS"] += f":suppressions={suppressions}"
    code, text = run([*without_aslr(kind), "meson", "test", "-C", str(directory), "--no-rebuild", "--logbase", f"weir-{name}",
                      "--timeout-multiplier", "3", "--num-processes", str(os.cpu_count()), *selection],
                     LOGS / f"{name}.log", seconds, env)
    tally = meson_results(results)
    if code is None:
        tally.failed += 1
        tally.notes.append(f"hung for {seconds} s")
    elif code != 0 and tally.failed == 0:
        tally.failed += 1
        tally.notes += [f"meson test: exit code {code}", *tail(text)]
    return tally


def without_aslr(kind):
    """ThreadSanitizer of gcc 12 does not start where the kernel randomises addresses very widely."""
    command = ["setarch", os.uname().machine, "-R"]
    if kind == "tsan" and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
        return command
    return []


def meson_results(path):
    tally = Tally()
    if not path.exists():
        return tally
    for line in path.read_text(errors="replace").splitlines():
        test = json.loads(line)
        output = plain((test.get("stdout") or "") + (test.get("stderr") or ""))
        add_meson_test(tally, test["name"], test["result"], output)
    return tally


def add_meson_test(tally, name, result, output):
    # Criterion counts its cases itself; any other program is one test.
    summary = re.findall(r"Synthesis: Tested: (\d+) \| Passing: (\d+) \|", output)
    passed = sum(int(s[1]) for s in summary)
    failed = sum(int(s[0]) - int(s[1]) for s in summary)
    if result in ("OK", "EXPECTEDFAIL"):
        if summary and passed == 0:
            failed += 1
            tally.notes.append(f"{name}: ran no test")
        tally.passed += passed if summary else 1
    elif result == "SKIP" and not IN_CI:
        tally.skipped += 1
        tally.notes.append(f"SKIPPED {name}: {(output.strip().splitlines() or ['no reason given'])[-1]}")
    else:
        tally.passed += passed
        failed = max(failed, 1)
        tally.notes += [f"{name}: {result}", *("    " + text for text in tail(output, 60))]
        told = [line for line in output.splitlines() if re.search(r"\[FAIL\]|\[----\]|ERROR: |SUMMARY: |WARNING: Thread", line)]
        tally.summary += [f"{name}: {result}", *("    " + line[:300] for line in (told or output.splitlines())[-8:])]
    tally.failed += failed


# --- suites of Python -------------------------------------------------------------------------


def python_suite(name, folder, seconds, env=None, builds=("release",), chosen=(), launcher=()):
    """chosen: pytest's words for some of the folder's tests (none: all). launcher: put before python."""
    broken = needs_builds(*builds) if builds else None
    if broken:
        return broken
    trouble = wait_for_services()
    if trouble:
        return trouble
    junit = LOGS / f"{name}.xml"
    junit.unlink(missing_ok=True)
    what = [str(folder / word) if word.endswith(".py") else word for word in chosen] or [str(folder)]
    code, text = run([*launcher, str(PYTHON), "-m", "pytest", *what, f"--junitxml={junit}"],
                     LOGS / f"{name}.log", seconds, env)
    tally = junit_results(junit)
    if code is None:
        tally.failed += 1
        tally.notes.append(f"hung for {seconds} s")
    if tally.failed == 0 and code not in (0, 5, None):
        tally.failed += 1
    if tally.failed:
        tally.summary = pytest_summary(text)
        tally.notes += [*tail(text.rpartition(SUMMARY_TITLE)[0].rstrip(" =") or text), *tally.summary]
    elif tally.skipped:
        tally.notes += [line for line in text.splitlines() if line.startswith("SKIPPED")]
    return tally


SUMMARY_TITLE = "short test summary info"


def pytest_summary(text):
    """pytest's last words, from the title of its summary on: names of what failed, each with its assertion."""
    lines = plain(text).rstrip().splitlines()
    titles = [at for at, line in enumerate(lines) if SUMMARY_TITLE in line]
    kept = [line[:400] for line in lines[titles[-1] + 1:] if not line.startswith("SKIPPED")] if titles else lines
    return kept[-SUMMARY_LINES:]


def junit_results(path):
    if not path.exists():
        return Tally()
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
    except xml.etree.ElementTree.ParseError:
        return Tally(0, 1, 0, [f"{path.name} is cut off"])
    tally = Tally()
    for case in root.iter("testcase"):
        children = {child.tag for child in case}
        if children & {"failure", "error"}:
            tally.failed += 1
        elif "skipped" in children:
            tally.skipped += 1
        else:
            tally.passed += 1
    return tally


_services = None
_services_log = LOGS / "install-services.log"


def start_services_install():
    """In the background: the Go builds take minutes, and compiling Weir comes first anyway."""
    global _services
    with open(_services_log, "wb") as output:
        _services = subprocess.Popen([str(TESTS / "services" / "install"), *SERVICES], cwd=ROOT,
                                     stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                     start_new_session=True)
    _children.add(_services)


def wait_for_services():
    """Waits until the installs are through; reports them once, as a suite. Not None: no Python."""
    with _setup_lock:
        return wait_for_installs()


def wait_for_installs():
    global _services
    if _services is not None:
        started = time.monotonic()
        try:
            _services.wait(1500)
        except subprocess.TimeoutExpired:
            stop(_services)
        _children.discard(_services)
        _services = None
        lines = _services_log.read_text(errors="replace").splitlines()
        tally = Tally()
        for name in SERVICES:
            line = next((text for text in lines if text.startswith(name + " ")), f"{name} failed: not installed")
            if line.startswith(f"{name} ready"):
                tally.passed += 1
            elif line.startswith(f"{name} skipped") and not IN_CI:
                tally.skipped += 1
                tally.notes.append(f"SKIPPED {line}")
            else:
                tally.failed += 1
                tally.notes += [line, *lines[-20:]]
        report("install services", tally, started)
    if not PYTHON.exists():
        return Tally(0, 1, 0, [f"not run: no {PYTHON} (see {_services_log})"])
    return None


# --- suites without a build -------------------------------------------------------------------


def layering():
    code, text = run([sys.executable, str(TESTS / "layering.py")], LOGS / "layering.log", 60)
    found = re.search(r"^(\d+) passed, (\d+) failed$", text, re.MULTILINE)
    if not found:
        return Tally(0, 1, 0, [f"exit code {code}", *tail(text)])
    return Tally(int(found[1]), int(found[2]), 0, tail(text) if code else [])


def simulation(full):
    """Crash histories, each from its seed; then the bugs that are built in on purpose, each of which must be found."""
    broken = needs_builds("debug")
    if broken:
        return broken
    program = ROOT / "build" / "debug" / "tests" / "sim" / "weir-sim"
    tally = Tally()
    wanted = {"histories": ["--count", "200000" if full else "10000"], "bugs": ["--hunt", "--count", "5000"]}
    for what, words in wanted.items():
        code, text = run([str(program), *words], LOGS / f"sim-{what}.log", 7200 if full else 900)
        found = re.search(r"^(\d+) passed, (\d+) failed$", text, re.MULTILINE)
        tally.add(Tally(int(found[1]), int(found[2])) if found else Tally(0, 1))
        if code != 0:
            tally.failed = max(tally.failed, 1)
            tally.notes += [f"weir-sim {what}: " + ("hung" if code is None else f"exit code {code}"), *tail(text)]
    return tally


def scripts():
    """Every shell and Python script of the tree at least parses."""
    tally = Tally()
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True,
                            capture_output=True, check=True).stdout.split("\n")
    for path in (ROOT / name for name in listed if name):
        if not path.is_file():
            continue
        with open(path, "rb") as file:
            first = file.readline(200)
        if path.suffix == ".sh" or re.match(rb"#!.*\b(ba)?sh\b", first):
            check = ["bash", "-n", str(path)]
        elif path.suffix == ".py" or re.match(rb"#!.*\bpython", first):
            check = [sys.executable, "-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())", str(path)]
        else:
            continue
        done = subprocess.run(check, capture_output=True, text=True, check=False)
        tally.add(Tally(1) if done.returncode == 0 else Tally(0, 1))
        if done.returncode:
            tally.notes += [f"{path.relative_to(ROOT)} does not parse:", *tail(done.stderr, 5)]
    return tally


def only_builds(kind):
    build(kind)
    return None


# --- the list ---------------------------------------------------------------------------------


# Folders whose tests are about what weir makes of odd input: they run under ASan + UBSan as well.
UNDER_ASAN = {"golden", "hostile", "sql"}

# Folders whose tests run programs of their own, which only the builds with tests have.
USING_TEST_PROGRAMS = {"alloc", "decode", "e2e", "kafka_sink", "parquet", "sql", "store", "table"}


def sanitized_e2e(kind, folder, seconds):
    """Whole pipelines with several workers under a sanitizer; a report of one is an exit code that no test expects."""
    env = {"WEIR_BIN": str(ROOT / "build" / f"weir-{kind}"), "UBSAN_OPTIONS": "print_stacktrace=1",
           "TSAN_OPTIONS": "exitcode=66 second_deadlock_stack=1"}
    chosen = ("test_windows_oracle.py", "test_sources_and_sinks.py", "-k", "two-workers or sources_and_sinks")
    return (f"e2e-{kind}", lambda: python_suite(f"e2e-{kind}", folder, seconds, env, (kind,), chosen, without_aslr(kind)))


def python_suites(folder, seconds, full):
    name = folder.name
    if name == "services":
        return [(name, lambda: python_suite(name, folder, 300, builds=()))]
    builds = ("release", "debug") if name in USING_TEST_PROGRAMS else ("release",)
    found = [(name, lambda: python_suite(name, folder, seconds, builds=builds))]
    if name == "e2e":
        # The same tests on the loop that is used where io_uring is not permitted; in the short form those that the loop carries:
        # files, object stores, a broker, and one of the configurations of windows.
        chosen = () if full else (str(folder), "-k", "sources_and_sinks or (s3 and not kills) or (windows_oracle and two-workers) or topic_to")
        found.append(("e2e-epoll", lambda: python_suite("e2e-epoll", folder, seconds, {"WEIR_IO": "epoll"}, ("release", "debug"), chosen)))
        found += [sanitized_e2e(kind, folder, seconds) for kind in ("asan", "tsan")]
    if name in UNDER_ASAN:
        env = {"WEIR_BIN": str(ROOT / "build" / "weir-asan"), "UBSAN_OPTIONS": "print_stacktrace=1"}
        found.append((f"{name}-asan", lambda: python_suite(f"{name}-asan", folder, seconds, env, ("asan",))))
    return found


# Suites that run alone and in order, before the others; and what of the others begins first, being longest.
WITH_ALL_CORES = {"layering", "scripts", "unit-debug", "unit-asan", "tsan", "fuzz", "clang", "services"}
LONGEST = {"e2e", "e2e-epoll"}


def suites(full):
    """[(name, function)], cheapest and most telling first."""
    long = 3 if full else 1
    found = [
        ("layering", layering),
        ("scripts", scripts),
        # In the short form under the sanitizers alone: the same assertions, and more.
        *([("unit-debug", lambda: meson_suite("debug", "unit-debug", ["--no-suite", "tsan", "--no-suite", "fuzz"], 600 * long))]
          if full else []),
        ("unit-asan", lambda: meson_suite("asan", "unit-asan", ["--no-suite", "tsan", "--no-suite", "fuzz"],
                                          900 * long)),
        ("tsan", lambda: meson_suite("tsan", "tsan", ["--suite", "tsan"], 600 * long)),
        ("fuzz", lambda: meson_suite("asan", "fuzz", ["--suite", "fuzz"], 600 * long)),
        ("sim", lambda: simulation(full)),
        ("clang", lambda: only_builds("clang")),
    ]
    for folder in sorted({path.parent for path in TESTS.glob("*/test_*.py")},
                         key=lambda path: (path.name != "services", path.name)):
        found += python_suites(folder, 900 * 4 if full else 900, full)
    return found


def report(name, tally, started):
    with _report_lock:
        print_report(name, tally, started)


def print_report(name, tally, started):
    _total.add(tally)
    state = "FAIL" if tally.failed else "ok"
    if tally.failed:
        _failures.append((name, tally.summary or tally.notes[-SUMMARY_LINES:]))
    print(f"{state:4}  {name:20} {str(tally):40} {time.monotonic() - started:6.1f} s", flush=True)
    for line in tally.notes:
        print(f"        {line}")
    sys.stdout.flush()


_report_lock = threading.Lock()
_total = Tally()
_failures = []  # (suite, lines), told again at the end: what shows of CI's output is its tail


def report_failures():
    lines = [f"{name}: {line}" for name, told in _failures for line in told]
    if len(lines) > SUMMARY_LINES:  # each suite keeps its own end
        each = max(3, SUMMARY_LINES // len(_failures))
        lines = [f"{name}: {line}" for name, told in _failures for line in told[-each:]]
    for line in lines:
        print(f"FAILED  {line}")


def run_suite(name, suite):
    begun = time.monotonic()
    tally = suite()
    if tally is None:
        return
    if tally.passed + tally.failed + tally.skipped == 0:
        tally = Tally(0, 1, 0, ["ran no test"])
    report(name, tally, begun)


def run_suites(chosen):
    """Suites of meson use all cores. Those of Python mostly wait for servers and for each other's timeouts: two at a time."""
    for name, suite in chosen:
        if name in WITH_ALL_CORES:
            run_suite(name, suite)
    waiting = sorted((item for item in chosen if item[0] not in WITH_ALL_CORES), key=lambda item: item[0] not in LONGEST)
    pool = concurrent.futures.ThreadPoolExecutor(2)
    try:
        for done in [pool.submit(run_suite, *item) for item in waiting]:
            done.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        clean_up()
        raise
    pool.shutdown()


def main():
    parser = argparse.ArgumentParser(prog="tools/test", add_help=False)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", nargs="+", action="extend", metavar="SUITE")
    options = parser.parse_args()
    if options.full:
        os.environ["WEIR_TEST_FULL"] = "1"
    LOGS.mkdir(parents=True, exist_ok=True)

    chosen = suites(options.full)
    if options.only:
        wanted = {name for text in options.only for name in text.split(",")}
        unknown = wanted - {name for name, _ in chosen}
        if unknown:
            sys.exit(f"tools/test: no suite {', '.join(sorted(unknown))}; "
                     f"there are: {', '.join(name for name, _ in chosen)}")
        chosen = [(name, suite) for name, suite in chosen if name in wanted]

    started = time.monotonic()
    start_services_install()
    run_suites(chosen)
    wait_for_services()
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    print(f"took {minutes} min {seconds} s; logs are in build/test-logs")
    report_failures()
    print(_total, flush=True)
    return 1 if _total.failed or not _total.passed else 0


def clean_up():
    for process in list(_children):
        if process.poll() is None:
            stop(process)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        clean_up()
