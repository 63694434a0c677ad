"""No secret in what weir prints or keeps: every option that is marked as one is planted, for each connector, in pipelines that fail in
all the ways that come first: refused, unreachable, and working."""

import json
import re
import subprocess
import urllib.request

import pytest

from services.harness import Weir, free_port, run_weir

PLANTED = "planted-7c1e"
# What a connector needs to get as far as using its secrets; nobody listens on port 1.
NEEDED = {
    "kafka": {"brokers": "127.0.0.1:1", "topic": "t", "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN",
              "sasl_username": "u"},
    "kinesis": {"stream": "t", "region": "us-east-1", "endpoint": "http://127.0.0.1:1", "access_key_id": "AKIDEXAMPLE"},
    "eventhubs": {"hub": "t", "brokers": "127.0.0.1:1"},
    "mqtt": {"url": "mqtt://127.0.0.1:1", "topic": "t", "username": "u"},
    "pubsub": {"subscription": "t", "topic": "t", "project": "p", "endpoint": "http://127.0.0.1:1"},
    "delta": {"path": "s3://bucket/t", "endpoint": "http://127.0.0.1:1", "region": "us-east-1", "access_key_id": "AKIDEXAMPLE"},
    "parquet": {"path": "s3://bucket/t", "endpoint": "http://127.0.0.1:1", "region": "us-east-1", "access_key_id": "AKIDEXAMPLE"},
}
# Secrets with a form of their own.
FORMS = {
    "connection_string": f"Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey={PLANTED}",
    "account_key": "cGxhbnRlZC03YzFl" + "A" * 40,
    "kafka.*": ("kafka.ssl.key.password", PLANTED),
}
TRACES = (PLANTED, "cGxhbnRlZC03YzFl", "planted%2D7c1e")


def connectors():
    listed = run_weir("connectors", code=0).stdout
    return re.findall(r"^  (source|sink) +(\w+) ", listed, re.M)


def secrets_of(name):
    return sorted(set(re.findall(r"^  ([\w.*]+)  \([^)]*\bsecret\b", run_weir("connectors", name, code=0).stdout, re.M)))


def with_options(options):
    return ", ".join(f"'{name}' = '{value}'" for name, value in options.items())


def pipeline(role, name, options):
    given = with_options({"connector": name, **options})
    if role == "source":
        return f"CREATE SOURCE s (n BIGINT) WITH ({given}, 'format' = 'json');\nCREATE SINK o WITH (connector = 'blackhole') AS SELECT n FROM s;\n"
    return ("CREATE SOURCE s (n BIGINT) WITH (connector = 'datagen', rows = 10, fields.n.kind = 'sequence');\n"
            f"CREATE SINK o WITH ({given}) AS SELECT n FROM s;\n")


def no_trace(*texts):
    for text in texts:
        found = [trace for trace in TRACES if trace in text]
        assert not found, text[max(0, text.index(found[0]) - 300):][:600]


CASES = [(role, name) for role, name in connectors() if secrets_of(name)]


@pytest.mark.parametrize("role, name", CASES, ids=[f"{role}-{name}" for role, name in CASES])
def test_planted_secrets_leave_no_trace(tmp_path, role, name):
    marked = secrets_of(name)
    needed = {k: v for k, v in NEEDED.get(name, {}).items() if k in run_weir("connectors", name, code=0).stdout}
    asked = [needed]
    for option in marked:
        form = FORMS.get(option, PLANTED)
        own = dict([form]) if isinstance(form, tuple) else {option: form}
        asked += [{**needed, **own}, {**needed, **own, "no_such_option": "x"}]
    sql, state = tmp_path / "p.sql", tmp_path / "state"
    for number, options in enumerate(asked):
        literal = pipeline(role, name, options)
        env = {"PLANTED": PLANTED}
        sql.write_text(literal if number % 2 else literal.replace(PLANTED, "${PLANTED}"))
        for words in (("check",), ("explain",)):
            result = run_weir(*words, sql, env=env)
            no_trace(result.stdout, result.stderr)
    sql.write_text(pipeline(role, name, {**needed, **{o: FORMS.get(o, PLANTED) for o in marked
                                                     if o in ("sasl_password", "secret_access_key", "session_token", "password")
                                                     or (name == "eventhubs" and o == "connection_string")}}))
    for form in ("text", "json"):
        with Weir("run", sql, "--state", state, "--log-level", "debug", "--log-format", form, "--stats", tmp_path / "stats") as weir:
            try:
                weir.process.wait(2)
            except subprocess.TimeoutExpired:
                weir.terminate(60)
            no_trace(weir.stdout(), weir.stderr())
    no_trace(*(path.read_text(errors="replace") for path in state.rglob("*") if path.is_file()),
             *(path.read_text(errors="replace") for path in tmp_path.glob("stats*")))


def test_a_run_that_works_tells_no_secret_anywhere(minio, unique, tmp_path):
    """Its state lies on S3 too: manifest, snapshots, log of the table, metrics, statistics."""
    bucket, port = minio.make_bucket(unique("secrets")), free_port()
    sql = tmp_path / "p.sql"
    sql.write_text(f"""
      CREATE SOURCE s (n BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts) WITH (connector = 'datagen', rate = 5000, fields.n.kind = 'sequence');
      CREATE SINK o WITH (connector = 'delta', path = 's3://{bucket}/t', commit_interval = '100ms', endpoint = '{minio.endpoint}',
        access_key_id = '{minio.access_key}', secret_access_key = '${{SECRET}}') AS SELECT n FROM s;""")
    env = {**minio.env(), "SECRET": minio.secret_key}
    with Weir("run", sql, "--state", f"s3://{bucket}/state", "--log-level", "debug", "--stats", tmp_path / "stats", "--listen",
              f"127.0.0.1:{port}", env=env) as weir:
        weir.wait_for(lambda: minio.keys(bucket, "t/_delta_log/"), "a commit")
        pages = [urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10).read().decode()
                 for path in ("/readyz", "/metrics", "/healthz")]
        assert weir.terminate() == 0
        texts = [*pages, weir.stdout(), weir.stderr(), (tmp_path / "stats").read_text()]
    texts.append(run_weir("state", "show", f"s3://{bucket}/state", "--json", env=env).stdout)
    texts.append(run_weir("explain", sql, env=env, code=0).stdout)
    minio.download(bucket, tmp_path / "all")
    texts += [path.read_bytes().decode(errors="replace") for path in (tmp_path / "all").rglob("*") if path.is_file()]
    assert len(texts) > 8 and json.loads((tmp_path / "stats").read_text())
    for text in texts:
        assert minio.secret_key not in text, text[:500]
