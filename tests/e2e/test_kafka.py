"""Weir between a real Kafka's producers and consumers."""

import json
import os
import random
import signal
import threading
import time

import duckdb
import pytest

from services.harness import Weir, run_weir
from window_oracle import assign, check_ledger, compare, make_events, table, to_us

COLUMNS = """event_id TEXT, user_id BIGINT, type TEXT, amount DOUBLE PRECISION, country TEXT, quantity INTEGER, flag BOOLEAN,
  ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '1 second'"""


def write(tmp_path, text):
    path = tmp_path / "p.sql"
    path.write_text(text.replace("{dir}", str(tmp_path)))
    return path


def source(kafka, topic, name="events", **options):
    given = ", ".join(f"{k if '.' not in k else chr(39) + k + chr(39)} = '{v}'" for k, v in options.items())
    return f"""CREATE SOURCE {name} ({COLUMNS}) WITH (connector='kafka', brokers='{kafka.brokers}', topic='{topic}',
      format='json'{', ' + given if given else ''});\n"""


WINDOW = """CREATE SINK counts WITH ({sink}) AS
  SELECT window_start, window_end, type, count(*) AS n, sum(quantity) AS q, sum(amount) AS a
  FROM TUMBLE(events, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end, type;\n"""


def produce_splits(kafka, topic, splits, **settings):
    for partition, events in enumerate(splits):
        kafka.produce(topic, events, partition=partition, **settings)


def check_counts(rows, splits):
    expected, late, _ = assign(splits, "tumble", 10_000_000)
    theirs = table(expected).execute("SELECT ws, we, type, count(*), sum(quantity), sum(amount) FROM w GROUP BY ws, we, type").fetchall()
    compare([(to_us(r["window_start"]), to_us(r["window_end"]), r["type"], r["n"], r["q"], r["a"]) for r in rows], theirs, 3)
    return late


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_topic_to_windows_and_parquet(kafka, unique, tmp_path, codec, workers):
    if workers != 2 and codec not in ("none", "lz4"):
        codec = "none" if workers == 1 else "lz4"
    topic, results = unique("events"), unique("results")
    splits = make_events(splits=4, rows=2500, seed=workers)
    kafka.create_topic(topic, partitions=4)
    kafka.create_topic(results, partitions=2)
    produce_splits(kafka, topic, splits, compression_type=codec)
    sql = write(tmp_path, source(kafka, topic, start="earliest") +
                WINDOW.format(sink=f"connector='kafka', brokers='{kafka.brokers}', topic='{results}', format='json', key='type'") +
                "CREATE SINK lake WITH (connector='parquet', path='{dir}/lake') AS SELECT * FROM events;")
    sums = check_ledger(run_weir("run", sql, "--quiet", "--bounded", "--workers", workers, code=0, stats=True).stats)
    late = check_counts(kafka.read_json(results), splits)
    assert sums["counts"]["late"] == len(late) and sums["lake"]["landed"] == 10_000
    assert duckdb.sql(f"SELECT count(*), count(DISTINCT event_id), sum(quantity) FROM '{tmp_path}/lake/*.parquet'").fetchall()[0] == (
        10_000, 10_000, sum(e["quantity"] for s in splits for e in s))


def test_metadata_columns_keys_and_headers(kafka, unique, tmp_path):
    topic = kafka.create_topic(unique("meta"), partitions=3)
    for p in range(3):
        kafka.produce(topic, [{"quantity": 10 * p + i} for i in range(5)], keys=[f"k{i}" for i in range(5)], partition=p,
                      headers=[("trace", b"abc"), ("n", b"1")])
    sql = write(tmp_path, source(kafka, topic) + """CREATE SINK out WITH (connector='file', path='{dir}/out.ndjson') AS
      SELECT _topic, _partition, _offset, _timestamp, _key, _headers ->> 'trace' AS trace, quantity FROM events;""")
    run_weir("run", sql, "--quiet", "--bounded", code=0)
    rows = [json.loads(line) for line in (tmp_path / "out.ndjson").read_text().splitlines()]
    assert sorted((r["_partition"], r["_offset"], r["_key"], r["quantity"]) for r in rows) == [
        (p, i, f"k{i}", 10 * p + i) for p in range(3) for i in range(5)]
    assert all(r["_topic"] == topic and r["trace"] == "abc" for r in rows)
    assert all(abs(to_us(r["_timestamp"]) / 1e6 - time.time()) < 300 for r in rows)


def test_aborted_transactions_are_not_read_and_markers_do_not_hang(kafka, unique, tmp_path):
    from confluent_kafka import Producer
    topic = kafka.create_topic(unique("tx"), partitions=1)
    producer = Producer({**kafka.config(), "transactional.id": unique("tx-id")})
    producer.init_transactions(30)
    for round_ in range(4):
        producer.begin_transaction()
        for i in range(10):
            producer.produce(topic, json.dumps({"quantity": round_ * 10 + i}))
        producer.flush(30)
        (producer.abort_transaction if round_ % 2 else producer.commit_transaction)(30)
    sql = write(tmp_path, source(kafka, topic) +
                "CREATE SINK out WITH (connector='file', path='{dir}/out.ndjson') AS SELECT quantity FROM events;")
    sums = check_ledger(run_weir("run", sql, "--quiet", "--bounded", code=0, stats=True).stats)
    assert sums["out"]["landed"] == 20


def test_several_topics_and_a_pattern(kafka, unique, tmp_path):
    base = unique("multi")
    for i in range(3):
        kafka.create_topic(f"{base}-{i}", partitions=2)
        kafka.produce(f"{base}-{i}", [{"quantity": i}] * 10)
    for topics, expected in ((f"{base}-0,{base}-2", 20), (f"^{base}-.*", 30)):
        sql = write(tmp_path, source(kafka, topics) + "CREATE SINK out WITH (connector='blackhole') AS SELECT quantity FROM events;")
        assert check_ledger(run_weir("run", sql, "--quiet", "--bounded", code=0, stats=True).stats)["out"]["landed"] == expected


def test_start_positions(kafka, unique, tmp_path):
    topic = kafka.create_topic(unique("start"), partitions=2)
    kafka.produce(topic, [{"quantity": 1}] * 50)
    time.sleep(1.1)
    middle_ms = int(time.time() * 1000)
    time.sleep(0.2)
    kafka.produce(topic, [{"quantity": 2}] * 30)
    for start, expected in (("earliest", 80), ("latest", 0), (str(middle_ms), 30)):
        sql = write(tmp_path, source(kafka, topic, start=start) + "CREATE SINK out WITH (connector='blackhole') AS SELECT quantity FROM events;")
        sums = check_ledger(run_weir("run", sql, "--quiet", "--bounded", code=0, stats=True).stats)
        assert sums.get("out", {"landed": 0})["landed"] == expected, start


def test_a_group_goes_on_where_it_was(kafka, unique, tmp_path):
    topic, group = kafka.create_topic(unique("group"), partitions=4), unique("group-id")
    sql = write(tmp_path, source(kafka, topic, group_id=group, start="committed") +
                "CREATE SINK lake WITH (connector='parquet', path='{dir}/lake', commit_interval='200ms') AS SELECT * FROM events;")
    for round_ in range(3):
        kafka.produce(topic, [{"event_id": f"{round_}-{i}"} for i in range(1000)])
        # Without a state: it is the group alone that remembers. (States make static members, each waits for the one before.)
        run_weir("run", sql, "--quiet", "--bounded", "--workers", "2", "--state", "none", code=0)
    assert sum(kafka.committed(group, topic).values()) == 3000
    assert duckdb.sql(f"SELECT count(*), count(DISTINCT event_id) FROM '{tmp_path}/lake/*.parquet'").fetchall()[0] == (3000, 3000)


def test_members_that_come_and_go_lose_nothing_of_what_stays(kafka, unique, tmp_path):
    """Partitions that stay with a member while others move stand at their end: librdkafka's own position then lies behind a message
    that is still to come, so they go on at ours."""
    topic, group, sent = kafka.create_topic(unique("stay"), partitions=8), unique("stay-id"), []
    quick = {"kafka.heartbeat.interval.ms": "200", "kafka.session.timeout.ms": "6000"}

    def member(name):
        path = tmp_path / f"{name}.sql"
        path.write_text(source(kafka, topic, group_id=group, **quick) + f"""CREATE SINK out WITH (connector='file',
          path='{tmp_path}/{name}.ndjson', commit_interval='100ms') AS SELECT event_id FROM events;""")
        return Weir("run", path, "--workers", "2", "--state", "none")

    def produce():
        ids = [str(len(sent) + i) for i in range(8)]
        kafka.produce(topic, [{"event_id": name} for name in ids], partition=lambda i: i)
        sent.extend(ids)

    def seen():
        return [json.loads(line)["event_id"] for path in tmp_path.glob("*.ndjson") for line in path.read_text().splitlines()]

    def dealt(weir):
        return weir.stderr().count("partitions assigned") + weir.stderr().count("partitions revoked")

    with member("first") as first:
        for round_ in range(3):
            produce()
            first.wait_for(lambda: set(seen()) == set(sent), f"all of round {round_}, alone")
            time.sleep(0.3)  # the ends are told too
            before = dealt(first)
            with member(f"other-{round_}") as other:
                other.wait_for(lambda: "4 partitions assigned" in other.stderr(), "a share")
                first.wait_for(lambda: dealt(first) > before, "the first to hear of it")
                produce()
                other.wait_for(lambda: set(seen()) == set(sent), f"all of round {round_}, with another")
                before = dealt(first)
                assert other.terminate() == 0
            first.wait_for(lambda: dealt(first) > before, "what the other had")
        produce()
        first.wait_for(lambda: set(seen()) == set(sent), "all at last")
        assert first.terminate() == 0


def test_killed_again_and_again_nothing_is_lost(kafka, unique, tmp_path):
    """Rows may repeat (until manifests), but none may be missing; windows see all of their rows at least once.

    Each run is the same static member of the group, so it has all partitions at once. As a new member it would share them with
    its killed predecessors until the broker forgets these, and two members' windows are two halves."""
    topic, results, group = kafka.create_topic(unique("kill"), partitions=4), kafka.create_topic(unique("kill-out")), unique("kill-id")
    splits = make_events(splits=4, rows=5000, seed=3, late=0, out_of_order=0)
    sql = write(tmp_path, source(kafka, topic, group_id=group, **{"kafka.group.instance.id": "the-only-one"}) +
                "CREATE SINK lake WITH (connector='parquet', path='{dir}/lake', commit_interval='50ms') AS SELECT * FROM events;" +
                WINDOW.format(sink=f"connector='kafka', brokers='{kafka.brokers}', topic='{results}'"))

    def produce_thousand(number):
        produce_splits(kafka, topic, [split[number * 1000:(number + 1) * 1000] for split in splits])

    def landed():
        return duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/lake/*.parquet'").fetchall()[0][0] if files() else 0

    def files():
        return list((tmp_path / "lake").glob("*.parquet"))

    # Some 20 s of events each: the second thousand closes the windows of most of the first, whose offsets are then committed.
    with Weir("run", sql, "--quiet", "--workers", "2", "--state", tmp_path / "state") as weir:
        produce_thousand(0)
        weir.wait_for(lambda: landed() == 4000, "the first rows")
        produce_thousand(1)
        weir.wait_for(lambda: sum(kafka.committed(group, topic).values()) >= 4000, "offsets behind closed windows")
        weir.kill()
    rng = random.Random(5)
    for number in (2, 3, 4):
        before = len(files())
        with Weir("run", sql, "--quiet", "--workers", "2", "--state", tmp_path / "state") as weir:
            feeder = threading.Thread(target=produce_thousand, args=(number,))
            feeder.start()
            weir.wait_for(lambda: len(files()) > before, "rows read anew")
            time.sleep(rng.random())
            weir.kill()
            feeder.join()
    run_weir("run", sql, "--quiet", "--bounded", "--workers", "2", "--state", tmp_path / "state", code=0, timeout=120)
    assert duckdb.sql(f"SELECT count(DISTINCT event_id) FROM '{tmp_path}/lake/*.parquet'").fetchall()[0] == (20_000,)
    expected, _, _ = assign(splits, "tumble", 10_000_000)
    most = {}
    for row in kafka.read_json(results):
        key = (to_us(row["window_start"]), row["type"])
        most[key] = max(most.get(key, 0), row["n"])
    for ws, type_, n in table(expected).execute("SELECT ws, type, count(*) FROM w GROUP BY ws, type").fetchall():
        assert most.get((ws, type_)) == n


def test_results_leave_while_the_stream_goes_on(kafka, unique, tmp_path):
    topic, results = kafka.create_topic(unique("live"), partitions=2), kafka.create_topic(unique("live-out"))
    sql = write(tmp_path, source(kafka, topic, idle_timeout="500ms") + WINDOW.format(
        sink=f"connector='kafka', brokers='{kafka.brokers}', topic='{results}'"))
    start = 1_700_000_000_000
    with Weir("run", sql, "--quiet") as weir:
        kafka.produce(topic, [{"type": "a", "quantity": 1, "ts": start + i * 100} for i in range(200)], partition=0)
        # The other partition is empty: idle after its timeout, it no longer holds the windows back.
        weir.wait_for(lambda: len(kafka.read_json(results)) >= 1, "the first window")
        assert kafka.read_json(results)[0]["n"] == 100
        weir.signal(signal.SIGTERM)
        assert weir.wait() == 0


def test_the_broker_goes_away_and_comes_back(unique, tmp_path):
    from services.harness import Kafka
    with Kafka() as broker:
        topic = broker.create_topic(unique("away"), partitions=2)
        sql = write(tmp_path, source(broker, topic) +
                    "CREATE SINK out WITH (connector='file', path='{dir}/out.ndjson', commit_interval='100ms') AS SELECT quantity FROM events;")
        out = tmp_path / "out.ndjson"

        def rows():
            return len(out.read_text().splitlines()) if out.exists() else 0
        with Weir("run", sql, "--quiet") as weir:
            broker.produce(topic, [{"quantity": i} for i in range(100)])
            weir.wait_for(lambda: rows() == 100, "100 rows")
            broker.kill()
            time.sleep(2)
            broker.start()
            broker.produce(topic, [{"quantity": i} for i in range(50)])
            weir.wait_for(lambda: rows() == 150, "150 rows", seconds=60)
            weir.signal(signal.SIGTERM)
            assert weir.wait() == 0


def test_errors_name_the_topic_and_the_broker(kafka, unique, tmp_path):
    out = "CREATE SINK out WITH (connector='blackhole') AS SELECT quantity FROM events;"
    missing = unique("no-such-topic")
    result = run_weir("run", write(tmp_path, source(kafka, missing) + out), "--quiet", timeout=60)
    assert result.code in (1, 2) and missing in result.stderr and "hint:" in result.stderr
    text = (source(kafka, "t") + out).replace(kafka.brokers, "127.0.0.1:1")
    result = run_weir("run", write(tmp_path, text), "--quiet", timeout=60)
    assert result.code in (1, 2) and "127.0.0.1:1" in result.stderr and "hint:" in result.stderr
    result = run_weir("run", write(tmp_path, source(kafka, missing, **{"kafka.fetch.wait.max.mss": "1"}) + out), "--quiet", timeout=60)
    assert result.code == 2 and "fetch.wait.max.mss" in result.stderr


def test_rows_refused_at_the_very_end_become_dead_letters(kafka, unique, tmp_path):
    """All rows leave with the last epoch of a run that ends by itself: what the broker refuses then must not be forgotten."""
    topic = kafka.create_topic(unique("small"), max_message_bytes=2000)
    rows = [{"id": i, "text": os.urandom(3000).hex() if i % 10 == 0 else "short"} for i in range(50)]
    (tmp_path / "in.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "p.sql").write_text(f"""
      CREATE SOURCE s (id BIGINT, text TEXT) WITH (connector='file', path='{tmp_path}/in.ndjson', format='json', on_error='bad');
      CREATE SINK out WITH (connector='kafka', brokers='{kafka.brokers}', topic='{topic}') AS SELECT * FROM s;
      CREATE SINK bad WITH (connector='file', path='{tmp_path}/bad.ndjson');""")
    run_weir("run", tmp_path / "p.sql", "--quiet", code=0)
    sent = [row["id"] for row in kafka.read_json(topic)]
    letters = [json.loads(line) for line in (tmp_path / "bad.ndjson").read_text().splitlines()]
    refused = [json.loads(letter["_value"])["id"] for letter in letters]
    assert sorted(sent + refused) == list(range(50)) and set(range(0, 50, 10)) <= set(refused), "a broker refuses whole batches"
