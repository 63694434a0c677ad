"""What operators see: /metrics as Prometheus wants it, /healthz and /readyz, logs as JSON, and no secret anywhere."""

import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from services.harness import TOOLS, Unavailable, Weir, free_port, run_weir
from window_oracle import check_ledger

SECRET = "hunter2-never-to-be-seen"

PIPELINE = '''
  CREATE SOURCE "click\\s of ""ours""" (id BIGINT, kind TEXT, amount DOUBLE PRECISION, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '100 milliseconds')
    WITH (connector='datagen', rate='20000', seed='1');
  CREATE SINK "rows ""quoted""\\" WITH (connector='parquet', path='{dir}/lake', commit_interval='100ms') AS SELECT * FROM "click\\s of ""ours""";
  CREATE SINK "größe" WITH (connector='file', path='{dir}/counts.ndjson', commit_interval='100ms') AS
    SELECT window_start, count(*) AS n FROM TUMBLE("click\\s of ""ours""", ts, INTERVAL '200 milliseconds') GROUP BY window_start, window_end;
'''


def write(tmp_path, text):
    path = tmp_path / "p.sql"
    path.write_text(text.replace("{dir}", str(tmp_path)))
    return path


def get(port, path, method="GET", timeout=5):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()
    except OSError:
        return 0, {}, ""


SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([-+]?(?:\d+(?:\.\d+)?(?:e[-+]?\d+)?|NaN|\+?Inf))$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def parse(text):
    """{(name, ((label, value), ...)): number}, checking the grammar of every line; also {name: type}."""
    samples, types, helps = {}, {}, {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, helps[name] = line.split(" ", 3)
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and name in helps, f"{name}: TYPE twice, or without HELP"
            types[name] = kind
            continue
        match = SAMPLE.match(line)
        assert match, f"no sample: {line!r}"
        name, labels, value = match.groups()
        found = LABEL.findall(labels or "")
        assert "".join(f'{k}="{v}",' for k, v in found).rstrip(",") == (labels or "").rstrip(","), f"labels: {line!r}"
        unescape = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
        key = name, tuple((k, re.sub(r'\\[\\"n]', lambda m: unescape[m[0]], v)) for k, v in found)
        assert key not in samples, f"twice: {line!r}"
        samples[key] = float(value)
        base = re.sub(r"_(sum|count|bucket)$", "", name) if name not in types else name
        assert base in types, f"no TYPE for {name}"
    return samples, types


@pytest.fixture
def running(tmp_path):
    port, started = free_port(), time.monotonic()
    with Weir("run", write(tmp_path, PIPELINE), "--quiet", "--listen", f"127.0.0.1:{port}", "--stats", tmp_path / "stats.json") as weir:
        weir.wait_for(lambda: get(port, "/readyz")[0] == 200, "/readyz")
        weir.port, weir.started = port, started
        yield weir


def find_promtool():
    own = TOOLS / "bin" / "promtool"
    tool = str(own) if own.exists() else shutil.which("promtool")
    if tool is None:
        raise Unavailable("promtool is not installed (tests/services/install promtool)")
    return tool


def test_promtool_accepts_the_metrics(running):
    tool = find_promtool()
    time.sleep(0.5)
    _, _, text = get(running.port, "/metrics")
    done = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0 and not (done.stdout + done.stderr).strip(), done.stdout + done.stderr


def grown_by(count, first, key, text):
    """The samples of text when that counter is so much above first's."""
    samples, _ = parse(text)
    return samples if samples[key] >= first[key] + count else None


def test_metrics_have_prometheus_names_and_grow(running, tmp_path):
    running.wait_for(lambda: (tmp_path / "counts.ndjson").exists() and (tmp_path / "counts.ndjson").read_text(), "results")
    status, headers, text = get(running.port, "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    first, types = parse(text)
    events = "weir_source_events_total", (("source", 'click\\s of "ours"'),)
    second = running.wait_for(lambda: grown_by(10_000, first, events, get(running.port, "/metrics")[2]), "10,000 more events")
    assert second[events] <= 20_000 * (1 + time.monotonic() - running.started), "faster than 20,000 a second"
    assert first[events] > 0
    sinks = {dict(labels).get("sink") for name, labels in first if name == "weir_sink_rows_total"}
    assert sinks == {'rows "quoted"\\', "größe"}
    for key, value in first.items():
        if types.get(key[0]) == "counter":
            assert key[0].endswith("_total"), key
            assert second[key] >= value, f"{key} fell from {value} to {second[key]}"
        assert key in second
    assert all(re.search(r"_(total|seconds|bytes|records|windows|ratio|info|events|rows|splits|count|sum)$", name) for name, _ in first)
    marks = [value for (name, _), value in second.items() if name == "weir_watermark_seconds"]
    assert marks and all(abs(mark - time.time()) < 60 for mark in marks)
    assert 10e6 < second[("process_max_resident_memory_bytes", ())] < 4e9


def test_pages_that_are_not_there(running):
    assert get(running.port, "/nothing")[0] == 404
    assert get(running.port, "/../../etc/passwd")[0] in (400, 404)
    assert get(running.port, "/ingest/nobody", "POST")[0] in (404, 405)
    assert get(running.port, "/healthz")[0] == 200


def test_health_before_and_after_a_failure(tmp_path):
    """Live at once and ready only when the connectors are open."""
    port, broker = free_port(), free_port()
    sql = write(tmp_path, f"""CREATE SOURCE events (id BIGINT) WITH (connector='kafka', brokers='127.0.0.1:{broker}', topic='t', format='json');
      CREATE SINK out WITH (connector='blackhole') AS SELECT id FROM events;""")
    with Weir("run", sql, "--quiet", "--listen", f"127.0.0.1:{port}") as weir:
        weir.wait_for(lambda: get(port, "/healthz")[0] == 200, "/healthz")
        status, _, text = get(port, "/readyz")
        assert status == 503 and "starting" in text
        assert get(port, "/metrics")[0] in (200, 503)
        assert weir.wait(60) == 1
        assert get(port, "/healthz")[0] == 0


def test_port_zero_is_told(tmp_path):
    with Weir("run", write(tmp_path, PIPELINE), "--quiet", "--listen", "127.0.0.1:0") as weir:
        found = weir.wait_for(lambda: re.search(r"listening on http://127\.0\.0\.1:(\d+)", weir.stderr()), "the port")
        weir.wait_for(lambda: get(int(found[1]), "/readyz")[0] == 200, "/readyz")
        assert weir.terminate() == 0


def test_logs_as_json(tmp_path):
    (tmp_path / "in.ndjson").write_text('{"id":1}\n')
    port = free_port()
    sql = write(tmp_path, PIPELINE)
    with Weir("run", sql, "--log-format", "json", "--log-level", "debug", "--quiet", "--listen", f"127.0.0.1:{port}") as weir:
        weir.wait_for(lambda: get(port, "/readyz")[0] == 200, "/readyz")
        assert weir.terminate() == 0
        lines = weir.stderr().splitlines()
    assert lines
    for line in lines:
        entry = json.loads(line)
        assert entry["level"] in ("debug", "info", "warn", "error") and isinstance(entry, dict), line
    failed = run_weir("run", tmp_path / "p.sql", "--log-format", "json", "--quiet", "--set", "wrokers=1", code=2)
    entries = [json.loads(line) for line in failed.stderr.splitlines()]
    assert len(entries) == 1 and entries[0]["level"] == "error" and "wrokers" in failed.stderr and entries[0].get("hint")


def test_a_quiet_run_says_nothing_and_the_summary_balances(tmp_path):
    text = PIPELINE.replace("rate='20000'", "rows='50000', rate='0'")
    assert run_weir("run", write(tmp_path, text), "--quiet", code=0).stderr == ""
    loud = run_weir("run", write(tmp_path, text), code=0, stats=True)
    check_ledger(loud.stats)
    assert "50,000" in loud.stderr and "landed" in loud.stderr and "hint" not in loud.stderr


SECRETIVE = """
  CREATE SOURCE events (id BIGINT) WITH (connector='kafka', brokers='127.0.0.1:{port}', topic='t', format='json', group_id='g',
    'kafka.security.protocol'='SASL_PLAINTEXT', 'kafka.sasl.mechanisms'='PLAIN', 'kafka.sasl.username'='user', 'kafka.sasl.password'='${PLANTED}');
  CREATE SINK lake WITH (connector='parquet', path='s3://bucket/x', access_key_id='key', secret_access_key='${PLANTED}', region='us-east-1',
    endpoint='http://127.0.0.1:{port}') AS SELECT id FROM events;
"""


def test_secrets_never_appear(tmp_path):
    """Planted in the environment and in options; run, check, explain, preview, logs at debug, metrics and statistics are searched."""
    port = free_port()
    sql = write(tmp_path, SECRETIVE.replace("{port}", str(port)))
    env = {"PLANTED": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ACCESS_KEY_ID": "key", "AWS_SESSION_TOKEN": SECRET}
    stats = tmp_path / "stats.json"
    seen = []
    for words in (["check", sql], ["explain", sql]):
        result = run_weir(*words, env=env)
        assert result.code == 0, result
        seen.append(result)
    runs = (["run", sql, "--bounded", "--stats", stats, "--log-level", "debug"], ["run", sql, "--bounded", "--log-format", "json", "--log-level", "debug"],
            ["preview", sql, "--bounded"])
    with concurrent.futures.ThreadPoolExecutor() as pool:  # each waits ten seconds for a broker
        # Processes die with the thread that started them, so each thread waits for its own.
        seen += pool.map(lambda words: run_weir(*words, env=env, timeout=90), runs)
    assert all(result.code in (1, 2) for result in seen[2:])
    # A mistake right beside the secret shows the line, without it.
    broken = tmp_path / "broken.sql"
    for text in (sql.read_text().replace("region=", "regoin="), sql.read_text().replace("'${PLANTED}', region", "'${PLANTED}' region"),
                 sql.read_text().replace("${PLANTED}", SECRET).replace("'kafka.sasl.username'", "'kafka.sasl.usrname'"),
                 sql.read_text().replace("'kafka.sasl.mechanisms'='PLAIN'", "'kafka.sasl.mechanisms'='${PLANTED}'")):
        broken.write_text(text)
        seen.append(run_weir("check", broken, env=env))
        seen.append(run_weir("explain", broken, env=env))
    assert len(seen) >= 13
    for result in seen:
        assert SECRET not in result.stdout + result.stderr, result
    if stats.exists():
        assert SECRET not in stats.read_text()


def test_secrets_are_not_in_metrics_or_statistics(tmp_path):
    port = free_port()
    stats = tmp_path / "stats.json"
    (tmp_path / SECRET).mkdir()  # a secret in a path is no secret; one in ${...} of an option is
    sql = write(tmp_path, """CREATE SOURCE events (id BIGINT, ts TIMESTAMP) WITH (connector='datagen', rate='1000', seed='1');
      CREATE SINK out WITH (connector='file', path='{dir}/${PLANTED}/out.ndjson', commit_interval='100ms') AS SELECT id FROM events;""")
    with Weir("run", sql, "--listen", f"127.0.0.1:{port}", "--stats", stats, "--log-level", "debug", env={"PLANTED": SECRET}) as weir:
        weir.wait_for(lambda: get(port, "/readyz")[0] == 200, "/readyz")
        metrics = get(port, "/metrics")[2]
        weir.signal(signal.SIGUSR1)
        weir.wait_for(stats.exists, "the statistics")
        assert weir.terminate() == 0
    assert SECRET not in metrics and SECRET not in stats.read_text()
    assert os.listdir(tmp_path / SECRET) == ["out.ndjson"]
