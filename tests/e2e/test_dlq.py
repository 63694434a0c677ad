"""weir dlq: records that could not be used are listed, shown and, once the SQL is fixed, replayed: each of them once."""

import base64
import collections
import json
import random
import time

import pytest

from services.harness import Weir, run_weir, wait_until

SIDE = "CREATE SINK bad WITH (connector = 'file', path = '{dir}/bad.ndjson', format = 'json', commit_interval = '50ms');\n"
SOURCE = """CREATE SOURCE s ({columns}) WITH (connector = 'file', path = '{dir}/in.ndjson', format = 'json', on_error = 'bad'{more});
"""
COPY = """CREATE SINK o WITH (connector = 'file', path = '{dir}/out.ndjson', format = 'json', commit_interval = '50ms')
  AS SELECT * FROM s;
"""


class Pipeline:
    """A file of SQL with a state beside it; dlq and run work on both."""

    def __init__(self, directory):
        self.directory = directory
        self.sql = directory / "p.sql"

    def write(self, *parts, columns="id BIGINT, amount BIGINT", more=""):
        text = "".join(parts).replace("{dir}", str(self.directory)).replace("{columns}", columns).replace("{more}", more)
        self.sql.write_text(text)

    def arguments(self, *words):
        return (*words, self.sql, "--state", self.directory / "state")

    def run(self, *more, code=0):
        return run_weir(*self.arguments("run"), *more, code=code, timeout=120)

    def dlq(self, verb, *more, code=0):
        return run_weir(*self.arguments("dlq", verb), *more, code=code, timeout=120)

    def groups(self, *more):
        return json.loads(self.dlq("list", "--json", *more).stdout)["groups"]

    def rows(self, name="out.ndjson"):
        path = self.directory / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def rows_so_far(self):
        """Whole lines of what is still being written."""
        path = self.directory / "out.ndjson"
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def ledger(self):
        manifest = json.loads(run_weir("state", "show", self.sql, "--json", "--set", f"state={self.directory / 'state'}",
                                       code=0).stdout)
        for line in manifest["ledger"]:
            assert line["read"] == (line["landed"] + line["late"] + line["dead_lettered"] + line["filtered"] +
                                    line["in_flight"]), line
        return manifest["ledger"]


@pytest.fixture
def pipeline(tmp_path):
    return Pipeline(tmp_path)


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_after_the_sql_was_fixed_each_record_lands_once(pipeline, tmp_path):
    amounts = [str(i) if i % 10 else (f"{i}.5" if i % 20 else f"x{i}") for i in range(1000)]
    write_rows(tmp_path / "in.ndjson", [{"id": i, "amount": a} for i, a in enumerate(amounts)])
    pipeline.write(SOURCE, SIDE, COPY)
    pipeline.run()
    assert len(pipeline.rows()) == 900
    (group,) = pipeline.groups()
    assert group["source"] == "s" and group["field"] == "amount" and "BIGINT" in group["error"]
    assert (group["letters"], group["replayed"], group["not_replayable"]) == (100, 0, 0)
    shown = pipeline.dlq("show", "--limit", "3", "--error", "10.5").stdout
    assert '{"id": 10, "amount": "10.5"}' in shown and "position" in shown
    assert "100 dead letters would be replayed" in pipeline.dlq("replay", "--dry-run").stdout

    pipeline.write(SOURCE, SIDE, COPY, columns="id BIGINT, amount DOUBLE PRECISION")
    report = pipeline.dlq("replay").stderr
    assert "100 = landed 50 + late 0 + dead again 50 + filtered 0" in report
    landed = sorted(row["id"] for row in pipeline.rows())
    assert landed == [i for i in range(1000) if i % 20]
    old, new = sorted(pipeline.groups(), key=lambda g: "BIGINT" not in g["error"])
    assert (old["letters"], old["replayed"]) == (100, 100)
    assert (new["letters"], new["replayed"]) == (50, 0)
    again = [row for row in pipeline.rows("bad.ndjson") if "DOUBLE" in row["_error"]]
    assert {row["_split"] for row in again} == {str(tmp_path / "in.ndjson")}, "a letter tells where its record was read first"

    # What is replayed again fails again and nothing lands twice; a run in between reads nothing twice either.
    pipeline.run()
    assert "50 = landed 0 + late 0 + dead again 50" in pipeline.dlq("replay").stderr
    pipeline.write(SOURCE, SIDE, COPY, columns="id BIGINT, amount TEXT")
    pipeline.dlq("replay")
    assert "0 dead letters replayed" in pipeline.dlq("replay").stderr
    assert sorted(row["id"] for row in pipeline.rows()) == list(range(1000))
    ledger = {line["split"]: line for line in pipeline.ledger()}
    assert ledger["dlq/bad/bad.ndjson"]["read"] == 200 and ledger["dlq/bad/bad.ndjson"]["landed"] == 100


@pytest.fixture(params=["delta", "parquet", "delta on s3"])
def table_place(request, tmp_path, unique):
    """(connector, path, environment) of an error sink in columns."""
    connector, _, remote = request.param.partition(" on ")
    if not remote:
        return connector, str(tmp_path / "bad"), {}
    minio = request.getfixturevalue("minio")
    return connector, f"s3://{minio.make_bucket(unique('letters'))}/bad", minio.env()


def test_letters_in_a_table_are_replayed_in_several_goes(pipeline, tmp_path, table_place):
    """Also those that came after the first replay, and those that a replay killed in the middle has had."""
    connector, path, env = table_place
    side = f"CREATE SINK bad WITH (connector = '{connector}', path = '{path}', commit_interval = '50ms');\n"

    def weir(*words, code=0):
        return run_weir(*words, pipeline.sql, "--state", tmp_path / "state", env=env, code=code, timeout=120)

    def replayed():
        return [(g["letters"], g["replayed"]) for g in json.loads(weir("dlq", "list", "--json").stdout)["groups"]]

    write_rows(tmp_path / "in.ndjson", [{"id": i, "amount": f"{i}.5" if i % 2 else i} for i in range(20_000)])
    pipeline.write(SOURCE, side, COPY)
    assert weir("dlq", "list", "--json", code=None).code in (0, 2)
    weir("run")
    assert len(pipeline.rows()) == 10_000 and replayed() == [(10_000, 0)]
    shown = weir("dlq", "show", "--limit", "1").stdout
    assert '{"id": 1, "amount": "1.5"}' in shown
    with open(tmp_path / "in.ndjson", "a") as more:
        more.write("\xff\x00{}\n" + json.dumps({"id": 20_001, "amount": "x"}) + "\n")
    weir("run")
    pipeline.write(SOURCE, side, COPY, columns="id BIGINT, amount DOUBLE PRECISION")
    with Weir("dlq", "replay", pipeline.sql, "--state", tmp_path / "state", env=env) as killed:
        wait_until(lambda: killed.process.poll() is not None or len(pipeline.rows_so_far()) > 10_000, "an epoch", every=0.005)
        killed.kill()
    weir("dlq", "replay")
    assert sorted(row["id"] for row in pipeline.rows()) == list(range(20_000))
    assert "2 dead letters would be replayed" in weir("dlq", "replay", "--dry-run").stdout
    pipeline.write(SOURCE, side, COPY, columns="id BIGINT, amount TEXT")
    weir("dlq", "replay")
    assert sorted(row["id"] for row in pipeline.rows()) == [*range(20_000), 20_001]


def test_killed_again_and_again_in_the_middle_of_a_replay(pipeline, tmp_path):
    count = 200_000
    write_rows(tmp_path / "in.ndjson", [{"id": i, "amount": f"{i}.5" if i % 5 else "x"} for i in range(count)])
    pipeline.write(SOURCE, SIDE, COPY)
    pipeline.run("--quiet")
    assert pipeline.rows() == []
    pipeline.write(SOURCE, SIDE, COPY, columns="id BIGINT, amount DOUBLE PRECISION")
    seed = random.randrange(1 << 30)
    print("seed", seed)
    moments = random.Random(seed)
    interrupted = 0
    for _ in range(8):
        before = len(pipeline.rows_so_far())
        with Weir(*pipeline.arguments("dlq", "replay")) as weir:
            wait_until(lambda: weir.process.poll() is not None or len(pipeline.rows_so_far()) > before, "an epoch", every=0.005)
            time.sleep(moments.uniform(0, 0.05))
            if weir.process.poll() is not None:
                break
            weir.kill()
            interrupted += len(pipeline.rows_so_far()) < count * 4 // 5
    assert interrupted > 0, "too fast for this test: more rows are needed"
    pipeline.dlq("replay")
    landed = [row["id"] for row in pipeline.rows()]
    assert len(landed) == len(set(landed)), "twice"
    assert sorted(landed) == [i for i in range(count) if i % 5]
    again = [row for row in pipeline.rows("bad.ndjson") if "DOUBLE" in row["_error"]]
    by_position = collections.Counter(row["_position"] for row in again)
    # A replay that goes on ends where the killed one would have: letters of its own are read by the next one, all of them or none.
    assert len(by_position) == count // 5 and len(set(by_position.values())) == 1
    pipeline.ledger()


def test_some_errors_first_the_others_later(pipeline, tmp_path):
    write_rows(tmp_path / "in.ndjson", [{"id": "x"}, {"id": 1, "amount": "y"}, {"id": "z"}, {"id": 2, "amount": "y"}, {"id": 3}])
    pipeline.write(SOURCE, SIDE, COPY)
    pipeline.run()
    assert [row["id"] for row in pipeline.rows()] == [3]
    pipeline.write(SOURCE, SIDE, COPY, columns="id TEXT, amount TEXT")
    pipeline.dlq("replay", "--error", '"y"')
    assert sorted(row["id"] for row in pipeline.rows() if row["id"] != 3) == ["1", "2"]
    assert sorted((g["replayed"], g["letters"]) for g in pipeline.groups()) == [(0, 2), (2, 2)]
    pipeline.dlq("replay", "--error", '"y"')
    pipeline.dlq("replay")
    pipeline.dlq("replay")
    assert sorted(str(row["id"]) for row in pipeline.rows()) == ["1", "2", "3", "x", "z"]


def test_only_the_sinks_that_a_record_failed_for_get_it(pipeline, tmp_path):
    """A record may be in one sink while another's query failed; two sinks of one query share a letter."""
    write_rows(tmp_path / "in.ndjson", [{"id": i, "amount": 10 if i % 4 else 0} for i in range(100)])
    other = COPY.replace("SINK o", "SINK {name}").replace("out.ndjson", "{name}.ndjson")
    divided = "CREATE VIEW d AS SELECT id, {divisor} AS share FROM s;\n"
    pair = "".join(other.replace("{name}", name).replace("* FROM s", "* FROM d") for name in ("a", "b"))
    pipeline.write(SOURCE, SIDE, COPY, divided.replace("{divisor}", "100 / amount"), pair)
    pipeline.run()
    assert [len(pipeline.rows(name)) for name in ("out.ndjson", "a.ndjson", "b.ndjson")] == [100, 75, 75]
    named = {name for row in pipeline.rows("bad.ndjson") for name in row["_sinks"]}
    assert named == {"a", "b"}
    pipeline.write(SOURCE, SIDE, COPY, divided.replace("{divisor}", "100 / (amount + 1)"), pair)
    pipeline.dlq("replay")
    for name in ("out.ndjson", "a.ndjson", "b.ndjson"):
        assert sorted(row["id"] for row in pipeline.rows(name)) == list(range(100)), name
    pipeline.ledger()


def test_what_failed_behind_the_deduplication_is_no_duplicate_of_itself(pipeline, tmp_path):
    """Copies of a record that was never decoded are duplicates of each other; one that a query refused was the first already."""
    rows = [{"id": i, "amount": 1 if i % 3 else 0, "ts": "2024-01-01T00:00:00Z"} for i in range(30)]
    undecodable = [{"id": 100, "amount": "x", "ts": "2024-01-01T00:00:00Z"}] * 2
    write_rows(tmp_path / "in.ndjson", rows + rows + undecodable)
    divided = COPY.replace("SELECT *", "SELECT id, {share} AS share")
    columns = "id BIGINT, amount BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts"
    more = ", deduplicate_by = 'id', deduplicate_within = '10 minutes'"
    pipeline.write(SOURCE, SIDE, divided.replace("{share}", "6 / amount"), columns=columns, more=more)
    pipeline.run()
    assert len(pipeline.rows()) == 20
    pipeline.write(SOURCE, SIDE, divided.replace("{share}", "6 / (CASE WHEN amount = '0' THEN 1 ELSE 2 END)"),
                   columns=columns.replace("amount BIGINT", "amount TEXT"), more=more)
    pipeline.dlq("replay")
    assert sorted(row["id"] for row in pipeline.rows()) == [*range(30), 100]
    pipeline.ledger()


def test_windows_take_what_is_not_late_and_on_late_the_rest(pipeline, tmp_path):
    """The first run has closed its windows: letters of those are late; a newer one opens a window for the next run."""
    rows = [{"ts": f"2024-01-01T00:00:{s:02}Z", "amount": "1"} for s in range(0, 40)]
    bad = [{"ts": "2024-01-01T00:00:05Z", "amount": "x"}, {"ts": "2024-01-01T00:01:05Z", "amount": "x"}]
    write_rows(tmp_path / "in.ndjson", rows[:20] + bad + rows[20:])
    window = """CREATE SINK w WITH (connector = 'file', path = '{dir}/w.ndjson', format = 'json') AS
      SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start;
    CREATE SINK late WITH (connector = 'file', path = '{dir}/late.ndjson', format = 'json');\n"""
    columns = "ts TIMESTAMP, amount BIGINT, WATERMARK FOR ts AS ts"
    pipeline.write(SOURCE, SIDE, COPY, window, columns=columns, more=", on_late = 'late'")
    pipeline.run()
    assert [row["n"] for row in pipeline.rows("w.ndjson")] == [10, 10, 10, 10]
    pipeline.write(SOURCE, SIDE, COPY, window, columns=columns.replace("amount BIGINT", "amount TEXT"), more=", on_late = 'late'")
    report = pipeline.dlq("replay").stderr
    print(report)
    assert "2 = landed 2 + late 0" in report and "2 = landed 1 + late 1 + dead again 0" in report
    assert len(pipeline.rows()) == 42
    assert [row["ts"] for row in pipeline.rows("late.ndjson")] == ["2024-01-01T00:00:05Z"]
    assert len(pipeline.rows("w.ndjson")) == 4, "a replay closes no windows"
    pipeline.run()
    assert [(row["window_start"], row["n"]) for row in pipeline.rows("w.ndjson")[4:]] == [("2024-01-01T00:01:00Z", 1)]
    pipeline.ledger()


def test_binary_payloads_and_csv_headers_come_back_as_they_were(pipeline, tmp_path):
    """The files of one source order their columns differently: a letter's line is read with its own file's header."""
    (tmp_path / "a.csv").write_bytes(b"n,t\n1,one\nx,\xff\xfe\nz,four\n")
    (tmp_path / "b.csv").write_bytes(b"t,n\ntwo,2\nthree,y\n")
    source = "CREATE SOURCE s ({columns}) WITH (connector = 'file', path = '{dir}/*.csv', format = 'csv', on_error = 'bad');\n"
    pipeline.write(source, SIDE, COPY, columns="n BIGINT, t TEXT")
    pipeline.run()
    assert collections.Counter(letter["_encoding"] for letter in pipeline.rows("bad.ndjson")) == {"base64": 1, "utf-8": 2}
    pipeline.write(source, SIDE, COPY, columns="n TEXT, t TEXT")
    assert "3 = landed 2 + late 0 + dead again 1" in pipeline.dlq("replay").stderr
    assert {str(row["n"]): row["t"] for row in pipeline.rows()} == {"1": "one", "2": "two", "y": "three", "z": "four"}
    binary = [letter for letter in pipeline.rows("bad.ndjson") if letter["_encoding"] == "base64"]
    assert {base64.b64decode(letter["_value"]) for letter in binary} == {b"x,\xff\xfe"} and len(binary) == 2
    assert "eCz//g==" in pipeline.dlq("show", "--limit", "9").stdout


def test_what_cannot_be_replayed_is_refused_by_name(pipeline, tmp_path):
    write_rows(tmp_path / "in.ndjson", [{"id": "x"}] * 3)
    pipeline.write(SOURCE, SIDE, COPY)
    assert "there is no state" in pipeline.dlq("replay", code=2).stderr
    assert "no source" in pipeline.dlq("list", "--source", "nobody", code=2).stderr
    pipeline.run()
    # Another file under the same name is not taken for the one that was replayed.
    pipeline.dlq("replay")
    (tmp_path / "bad.ndjson").write_text((tmp_path / "bad.ndjson").read_text().replace("BIGINT", "BIGXXX", 1))
    assert "--from-start" in pipeline.dlq("replay", code=2).stderr
    pipeline.write(SOURCE, SIDE.replace("'file', path = '{dir}/bad.ndjson', format = 'json'", "'blackhole'"), COPY)
    assert "cannot be read back from connector 'blackhole'" in pipeline.dlq("list", code=2).stderr


def test_a_running_pipeline_owns_its_state(kafka, unique, pipeline):
    topic = kafka.create_topic(unique("in"), partitions=2)
    kafka.produce(topic, [json.dumps({"id": i if i % 2 else f"x{i}"}) for i in range(100)],
                  keys=[f"k{i}" for i in range(100)])
    source = f"""CREATE SOURCE s ({{columns}}) WITH (connector = 'kafka', brokers = '{kafka.brokers}', topic = '{topic}', format = 'json',
      on_error = 'bad');\n"""
    copy = COPY.replace("SELECT *", "SELECT id, _key, _topic, _partition, _offset, _timestamp")
    pipeline.write(source, SIDE, copy, columns="id BIGINT")
    with Weir(*pipeline.arguments("run")) as weir:
        weir.wait_for(lambda: len(pipeline.rows_so_far()) == 50, "rows")
        weir.wait_for(lambda: sum(g["letters"] for g in pipeline.groups()) == 50, "letters")
        refused = pipeline.dlq("replay", code=None)
        assert refused.code != 0 and str(weir.pid) in refused.stderr
        weir.terminate()
    pipeline.write(source, SIDE, copy, columns="id TEXT")
    assert "50 = landed 50 + late 0" in pipeline.dlq("replay", "--source", "s").stderr
    assert "0 dead letters replayed" in pipeline.dlq("replay").stderr
    rows = pipeline.rows()
    assert len(rows) == 100 and {row["_topic"] for row in rows} == {topic}
    assert len({(row["_partition"], row["_offset"]) for row in rows}) == 100, "each record tells its own offset"
    assert all(row["_key"] == "k" + str(row["id"]).lstrip("x") and row["_timestamp"] for row in rows)
    kafka.produce(topic, [json.dumps({"id": "more"})])
    pipeline.run("--bounded")
    assert len(pipeline.rows()) == 101, "the topic goes on where the run had ended"
    pipeline.ledger()


def test_dead_letters_in_a_topic(kafka, unique, pipeline, tmp_path):
    letters = kafka.create_topic(unique("bad"), partitions=2)
    side = f"CREATE SINK bad WITH (connector = 'kafka', brokers = '{kafka.brokers}', topic = '{letters}', format = 'json');\n"
    write_rows(tmp_path / "in.ndjson", [{"id": f"x{i}"} for i in range(300)])
    pipeline.write(SOURCE, side, COPY)
    pipeline.run()
    assert [(g["letters"], g["replayed"]) for g in pipeline.groups()] == [(300, 0)]
    pipeline.write(SOURCE, side, COPY, columns="id TEXT")
    pipeline.dlq("replay")
    pipeline.dlq("replay")
    assert sorted(row["id"] for row in pipeline.rows()) == sorted(f"x{i}" for i in range(300))
    assert [(g["letters"], g["replayed"]) for g in pipeline.groups()] == [(300, 300)]
