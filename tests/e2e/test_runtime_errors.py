"""What goes wrong when a pipeline starts or runs: exactly one error that says what, where and what to do next, the right
exit code, and nothing half-written. The texts are in tests/golden/runtime/*.expected, without what changes from run to run
(ports, directories); WEIR_GOLDEN_REFRESH=1 writes them anew: read the difference before it is committed.
"""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

from services.harness import TESTS, Weir, free_port, run_weir, weir_bin, weir_env

GOLDEN = TESTS / "golden" / "runtime"
REFRESH = os.environ.get("WEIR_GOLDEN_REFRESH") == "1"
SECRET = "hunter2-is-secret"

FROM_FILE = "CREATE SOURCE events (id BIGINT, name TEXT, ts TIMESTAMP) WITH (connector='file', path='{dir}/in.ndjson', format='json');\n"
FROM_GENERATOR = "CREATE SOURCE events (id BIGINT, name TEXT, ts TIMESTAMP) WITH (connector='datagen', rows='200000', rate='0', seed='1');\n"
TO_FILE = "CREATE SINK out WITH (connector='file', path='{dir}/out.ndjson') AS SELECT id FROM events;\n"


def plain(text, tmp_path, **values):
    """Without what differs from run to run."""
    for name, value in values.items():
        text = text.replace(str(value), name.upper())
    text = text.replace(str(tmp_path), "DIR")
    text = re.sub(r"after \d+ms in state \w+(, \d+ identical error\(s\) suppressed)?", "after N ms", text)
    text = re.sub(r"\b\d+ (of \d+ )?bytes\b", "N bytes", text)
    return text


def check(name, result, tmp_path, code, **values):
    """One error, the exit code, a next step, no secret, the text of the golden file."""
    assert result.code == code, result
    text = plain(result.stderr, tmp_path, **values)
    errors = [line for line in text.splitlines() if line.startswith("weir: ") and not line.startswith(("weir: warning", "weir: info"))]
    assert len(errors) == 1, text
    assert re.search(r"^(  hint: |try: )\S", text, re.MULTILINE), text
    assert SECRET not in result.stderr
    # Warnings go before the error, each with its indented lines.
    told = re.sub(r"^weir: (warning|info): .*\n(  .*\n)*", "", text, flags=re.MULTILINE)
    golden = GOLDEN / f"{name}.expected"
    if REFRESH:
        golden.write_text(told)
    assert told == golden.read_text()


def write(tmp_path, *parts):
    path = tmp_path / "p.sql"
    path.write_text("".join(parts).replace("{dir}", str(tmp_path)))
    return path


def feed(tmp_path, rows=100):
    (tmp_path / "in.ndjson").write_text("".join(json.dumps({"id": i, "name": f"n{i}"}) + "\n" for i in range(rows)))


def drop_root():
    """Permissions mean nothing to root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def run_as_nobody(tmp_path, *arguments):
    for path in [tmp_path, *tmp_path.parents]:
        if path.owner() == "root" and path != pathlib.Path("/") and str(path).startswith("/tmp/"):
            path.chmod(path.stat().st_mode | 0o055)
    env = weir_env()
    try:
        done = subprocess.run([weir_bin(), *map(str, arguments), "--state", "none"], env=env, cwd="/", preexec_fn=drop_root, capture_output=True, text=True,
                              timeout=60, check=False)
    except PermissionError:
        pytest.skip("the program lies where another user may not read it")

    class Seen:
        code, stdout, stderr = done.returncode, done.stdout, done.stderr
    return Seen


# --- files and directories ----------------------------------------------------------------------


def test_missing_file(tmp_path):
    check("missing_file", run_weir("run", write(tmp_path, FROM_FILE, TO_FILE), "--quiet"), tmp_path, 2)
    assert not (tmp_path / "out.ndjson").exists() or (tmp_path / "out.ndjson").stat().st_size == 0


def test_unreadable_file(tmp_path):
    feed(tmp_path)
    (tmp_path / "in.ndjson").chmod(0)
    tmp_path.chmod(0o777)
    result = run_as_nobody(tmp_path, "run", write(tmp_path, FROM_FILE, TO_FILE), "--quiet")
    check("unreadable_file", result, tmp_path, 1 if result.code == 1 else 2)


def test_directory_not_writable(tmp_path):
    feed(tmp_path)
    tmp_path.chmod(0o555)
    (tmp_path / "in.ndjson").chmod(0o444)
    tmp_path.chmod(0o755)
    sql = write(tmp_path, FROM_FILE, "CREATE SINK lake WITH (connector='parquet', path='{dir}/lake') AS SELECT * FROM events;")
    sql.chmod(0o644)
    result = run_as_nobody(tmp_path, "run", sql, "--quiet")
    check("directory_not_writable", result, tmp_path, 1)
    assert not (tmp_path / "lake").exists()


def test_a_file_where_a_directory_should_be(tmp_path):
    feed(tmp_path)
    sql = write(tmp_path, FROM_FILE, "CREATE SINK lake WITH (connector='parquet', path='{dir}/in.ndjson/lake') AS SELECT * FROM events;")
    check("file_as_directory", run_weir("run", sql, "--quiet"), tmp_path, 1)


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


ENDLESS = "CREATE SOURCE events (id BIGINT, name TEXT, ts TIMESTAMP) WITH (connector='datagen', rate='100000', seed='1');\n"


@pytest.mark.parametrize("connector", ["file", pytest.param("parquet", marks=pytest.mark.full)])
def test_full_disk(tmp_path, small_disk, connector):
    """A disk that fills up is waited for and told; stopped then, the run fails, and what is there is whole."""
    path = small_disk / ("out.ndjson" if connector == "file" else "lake")
    sql = write(tmp_path, ENDLESS, f"CREATE SINK out WITH (connector='{connector}', path='{path}', commit_interval='100ms') AS SELECT * FROM events;")
    with Weir("run", sql, "--quiet", "--stats", tmp_path / "stats.json") as weir:
        weir.wait_for(lambda: "No space left" in weir.stderr(), "the warning of a full disk", 40)
        assert re.search(r"^weir: warning: .*No space left on device.*\n(  detail: .*\n)?  hint: .*df -h", weir.stderr(), re.MULTILINE), weir.stderr()
        assert weir.terminate(60) == 1
        told = re.sub(r"/[^/ ']*\.(parquet|weir)[^/ ':]*", "/FILE", weir.stderr())
    result = weir.process

    class Seen:
        code, stderr = result.returncode, told
    check(f"full_disk_{connector}", Seen, tmp_path, 1)
    if connector == "file":
        text = path.read_text()
        assert not text or text.endswith("\n")
        rows = len([json.loads(line) for line in text.splitlines()])
    else:
        import duckdb
        rows = sum(duckdb.sql(f"SELECT count(*) FROM '{file}'").fetchall()[0][0] for file in path.glob("*.parquet"))
    ledger = json.loads((tmp_path / "stats.json").read_text())["ledger"]
    assert rows == sum(line["landed"] for line in ledger) > 0


def test_a_disk_with_room_again_loses_nothing(tmp_path, small_disk):
    """A full disk is waited for: once there is room, the run ends with everything written."""
    (small_disk / "ballast").write_bytes(b"x" * (5 << 19))
    sql = write(tmp_path, "CREATE SOURCE events (id BIGINT, ts TIMESTAMP) WITH (connector='datagen', rate='20000', seed='1');\n",
                f"CREATE SINK out WITH (connector='file', path='{small_disk}/out.ndjson', commit_interval='100ms') AS SELECT id FROM events;")
    stats = tmp_path / "stats.json"
    with Weir("run", sql, "--quiet", "--stats", stats) as weir:
        weir.wait_for(lambda: "No space left" in weir.stderr(), "the warning of a full disk", 30)
        (small_disk / "ballast").unlink()
        weir.wait_for(lambda: "works again" in weir.stderr(), "the end of the trouble", 30)
        assert weir.terminate() == 0
    lines = (small_disk / "out.ndjson").read_text().splitlines()
    landed = sum(line["landed"] for line in json.loads(stats.read_text())["ledger"])
    assert len(lines) == landed > 0 and all(json.loads(line) for line in lines)


# --- Kafka and S3 -------------------------------------------------------------------------------


def test_unreachable_broker_of_a_source(tmp_path):
    port = free_port()
    sql = write(tmp_path, f"CREATE SOURCE events (id BIGINT) WITH (connector='kafka', brokers='127.0.0.1:{port}', topic='t', format='json');", TO_FILE)
    check("unreachable_broker_source", run_weir("run", sql, "--quiet", "--bounded"), tmp_path, 1, port=port)


def test_unreachable_broker_of_a_sink(tmp_path):
    feed(tmp_path)
    port = free_port()
    sql = write(tmp_path, FROM_FILE, f"CREATE SINK out WITH (connector='kafka', brokers='127.0.0.1:{port}', topic='t') AS SELECT id FROM events;")
    check("unreachable_broker_sink", run_weir("run", sql, "--quiet"), tmp_path, 1, port=port)


def test_signal_while_a_broker_is_not_there(tmp_path):
    """Ctrl-C is heard while connectors still wait for their servers."""
    port = free_port()
    sql = write(tmp_path, f"CREATE SOURCE events (id BIGINT) WITH (connector='kafka', brokers='127.0.0.1:{port}', topic='t', format='json');", TO_FILE)
    with Weir("run", sql, "--quiet") as weir:
        time.sleep(0.5)
        weir.signal(signal.SIGINT)
        weir.signal(signal.SIGTERM)
        assert weir.wait(20) in (0, 1, -signal.SIGINT, -signal.SIGTERM)


def test_missing_topic_of_a_source(tmp_path, kafka, unique):
    topic = unique("nowhere")
    sql = write(tmp_path, f"CREATE SOURCE events (id BIGINT) WITH (connector='kafka', brokers='{kafka.address}', topic='{topic}', format='json');", TO_FILE)
    check("missing_topic_source", run_weir("run", sql, "--quiet", "--bounded"), tmp_path, 1, brokers=kafka.address, topic=topic)


S3_SINK = "CREATE SINK lake WITH (connector='parquet', path='s3://{bucket}/lake') AS SELECT * FROM events;"


def test_wrong_s3_secret(tmp_path, minio, unique):
    feed(tmp_path)
    bucket = minio.make_bucket(unique("b"))
    sql = write(tmp_path, FROM_FILE, S3_SINK.replace("{bucket}", bucket))
    result = run_weir("run", sql, "--quiet", env={**minio.env(), "AWS_SECRET_ACCESS_KEY": SECRET})
    check("wrong_s3_secret", result, tmp_path, 2, bucket=bucket, endpoint=minio.endpoint, address=minio.endpoint.split("//")[1])
    assert minio.keys(bucket) == [] and minio.open_uploads(bucket) == []


def test_missing_bucket(tmp_path, minio, unique):
    feed(tmp_path)
    bucket = unique("missing")
    sql = write(tmp_path, FROM_FILE, S3_SINK.replace("{bucket}", bucket))
    check("missing_bucket", run_weir("run", sql, "--quiet", env=minio.env()), tmp_path, 2, bucket=bucket, endpoint=minio.endpoint)


def test_no_s3_credentials(tmp_path):
    feed(tmp_path)
    sql = write(tmp_path, FROM_FILE, S3_SINK.replace("{bucket}", "bucket"))
    env = {"AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path), "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}
    check("no_s3_credentials", run_weir("run", sql, "--quiet", env=env), tmp_path, 2)


# --- the command line ---------------------------------------------------------------------------


def test_port_in_use(tmp_path):
    feed(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run_weir("run", write(tmp_path, FROM_FILE, TO_FILE), "--quiet", "--listen", f"127.0.0.1:{port}")
    assert result.code in (1, 2)
    check("port_in_use", result, tmp_path, result.code, port=port)
    assert not (tmp_path / "out.ndjson").exists()


@pytest.mark.parametrize("name, words", [
    ("no_pipeline", []), ("two_pipelines", ["{sql}", "{sql}"]), ("unknown_option", ["{sql}", "--frob"]), ("option_without_value", ["{sql}", "--stats"]),
    ("workers_not_a_number", ["{sql}", "--workers", "many"]), ("workers_out_of_range", ["{sql}", "--workers", "0"]),
    ("memory_too_small", ["{sql}", "--memory", "1KB"]), ("memory_not_a_size", ["{sql}", "--memory", "lots"]),
    ("set_without_value", ["{sql}", "--set", "x"]), ("set_unknown", ["{sql}", "--set", "wrokers=2"]),
    ("set_out_of_range", ["{sql}", "--set", "batch_rows=1000000"]), ("listen_without_port", ["{sql}", "--listen", "nowhere"]),
    ("listen_port_too_big", ["{sql}", "--listen", "127.0.0.1:99999"]), ("log_level_unknown", ["{sql}", "--log-level", "loud"]),
    ("stats_directory_missing", ["{sql}", "--stats", "{dir}/missing/stats.json"]), ("pipeline_missing", ["{dir}/missing.sql"]),
    ("pipeline_is_a_directory", ["{dir}"]),
])
def test_command_line(tmp_path, name, words):
    feed(tmp_path)
    sql = write(tmp_path, FROM_FILE, TO_FILE)
    words = [word.replace("{sql}", str(sql)).replace("{dir}", str(tmp_path)) for word in words]
    check(f"cli_{name}", run_weir("run", *words, "--quiet") if name != "option_without_value" else run_weir("run", "--quiet", *words), tmp_path, 2)
    assert not (tmp_path / "out.ndjson").exists()


@pytest.mark.parametrize("name, words", [("no_command", ["frobnicate"]), ("connector_unknown", ["connectors", "kafak"]), ("preview_rows", ["preview", "p.sql", "--rows", "0"])])
def test_other_commands(tmp_path, name, words):
    feed(tmp_path)
    write(tmp_path, FROM_FILE, TO_FILE)
    check(f"cli_{name}", run_weir(*words, cwd=tmp_path), tmp_path, 2)


# --- standard output that goes away -------------------------------------------------------------


def test_closed_stdout(tmp_path):
    """weir run ... | head -1"""
    sql = write(tmp_path, FROM_GENERATOR, "CREATE SINK out WITH (connector='stdout') AS SELECT * FROM events;")
    process = subprocess.Popen([weir_bin(), "run", sql, "--quiet"], env=weir_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert json.loads(process.stdout.readline())
    process.stdout.close()
    try:
        code = process.wait(30)
    finally:
        if process.poll() is None:
            process.kill()

    class Seen:
        stderr = process.stderr.read().decode()
    Seen.code = code
    check("closed_stdout", Seen, tmp_path, 1)


def test_full_stdout(tmp_path):
    sql = write(tmp_path, FROM_GENERATOR, "CREATE SINK out WITH (connector='stdout') AS SELECT * FROM events;")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([weir_bin(), "run", sql, "--quiet"], env=weir_env(), stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)

    class Seen:
        code, stderr = done.returncode, done.stderr
    check("full_stdout", Seen, tmp_path, 1)
