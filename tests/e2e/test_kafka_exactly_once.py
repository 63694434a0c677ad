"""Exactly once with Kafka on both sides: processes that are killed, retention, rebalances, brokers that go away."""

import json
import random
import signal
import time

import pytest

from services.harness import Kafka, Weir, run_weir, wait_until, weir_debug_bin
from window_oracle import assign, make_events, table, to_us

COLUMNS = """event_id TEXT, user_id BIGINT, type TEXT, amount DOUBLE PRECISION, country TEXT, quantity INTEGER, flag BOOLEAN,
  ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '1 second'"""
ONCE = "guarantee='exactly_once', commit_interval='100ms'"


def source(kafka, topic, **options):
    given = "".join(f", {k if '.' not in k else chr(39) + k + chr(39)} = '{v}'" for k, v in options.items())
    return f"CREATE SOURCE events ({COLUMNS}) WITH (connector='kafka', brokers='{kafka.brokers}', topic='{topic}', format='json'{given});\n"


def sink(kafka, topic, select, name="out", more=ONCE):
    return f"CREATE SINK {name} WITH (connector='kafka', brokers='{kafka.brokers}', topic='{topic}', {more}) AS {select};\n"


WINDOW = """SELECT window_start, window_end, type, count(*) AS n, sum(quantity) AS q
  FROM TUMBLE(events, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end, type"""


@pytest.fixture
def pipeline(tmp_path):
    """pipeline(sql) writes it; its runs share one state."""
    class Pipeline:
        path = tmp_path / "p.sql"
        state = tmp_path / "state"

        def __call__(self, text):
            self.path.write_text(text)
            return self

        @property
        def arguments(self):
            return ("run", self.path, "--quiet", "--state", self.state)

        def start(self, *more):
            return Weir(*self.arguments, *more)

        def run(self, *more, code=0):
            return run_weir(*self.arguments, "--bounded", *more, code=code, timeout=120)

    return Pipeline()


@pytest.mark.parametrize("group", [False, True])
def test_killed_again_and_again_each_result_is_there_once(kafka, unique, pipeline, group):
    topic, rows_out, windows_out = (kafka.create_topic(unique(stem), partitions=4) for stem in ("in", "rows", "windows"))
    splits = make_events(splits=4, rows=4000, seed=11, late=0, out_of_order=0)
    parts = 8
    options = {"group_id": unique("group")} if group else {}
    pipeline(source(kafka, topic, **options) + sink(kafka, rows_out, "SELECT event_id, quantity FROM events", "rows") +
             sink(kafka, windows_out, WINDOW, "windows"))
    rng = random.Random(3)
    for part in range(parts):
        for partition, events in enumerate(splits):
            step = len(events) // parts
            kafka.produce(topic, events[part * step:(part + 1) * step], partition=partition)
        with pipeline.start("--workers", "2") as weir:
            time.sleep(0.3 + rng.random() * 1.2)
            weir.kill()
    pipeline.run("--workers", "2")
    ids = [row["event_id"] for row in kafka.read_json(rows_out)]
    assert len(ids) == 16_000 and len(set(ids)) == 16_000
    expected, _, _ = assign(splits, "tumble", 10_000_000)
    theirs = table(expected).execute("SELECT ws, type, count(*), sum(quantity) FROM w GROUP BY ws, type").fetchall()
    ours = [(to_us(r["window_start"]), r["type"], r["n"], r["q"]) for r in kafka.read_json(windows_out)]
    assert sorted(ours, key=str) == sorted(theirs, key=str)
    if group:
        assert sum(kafka.committed(options["group_id"], topic).values()) == 16_000


@pytest.mark.parametrize("fault", ["sink.kafka_in_transaction", "sink.kafka_after_transaction"])
def test_a_crash_between_manifest_and_next_epoch(kafka, unique, pipeline, fault):
    topic, out = kafka.create_topic(unique("in"), partitions=2), kafka.create_topic(unique("out"), partitions=2)
    pipeline(source(kafka, topic) + sink(kafka, out, "SELECT event_id FROM events"))
    for round_ in range(3):
        kafka.produce(topic, [{"event_id": f"{round_}-{i}"} for i in range(1000)])
        with Weir(*pipeline.arguments, env={"WEIR_FAULT": fault}, program=weir_debug_bin()) as weir:
            assert weir.wait() == -signal.SIGKILL
    pipeline.run()
    ids = [row["event_id"] for row in kafka.read_json(out)]
    assert sorted(ids) == sorted({f"{r}-{i}" for r in range(3) for i in range(1000)})


def test_new_partitions_are_read_from_their_beginning_and_start_loses(kafka, unique, pipeline):
    from confluent_kafka.admin import NewPartitions
    topic, out = kafka.create_topic(unique("in"), partitions=2), kafka.create_topic(unique("out"))
    pipeline(source(kafka, topic, start="latest") + sink(kafka, out, "SELECT quantity FROM events"))
    with pipeline.start() as weir:
        wait_until(lambda: list((pipeline.state / "manifest").glob("*")), "a manifest")
        time.sleep(1)
        kafka.produce(topic, [{"quantity": i} for i in range(10)], partition=0)
        weir.wait_for(lambda: len(kafka.read_json(out)) == 10, "ten rows")
        weir.signal(signal.SIGTERM)
        assert weir.wait() == 0
    list(kafka.admin().create_partitions([NewPartitions(topic, 3)]).values())[0].result(30)
    wait_until(lambda: len(kafka.admin().list_topics(topic, timeout=5).topics[topic].partitions) == 3, "three partitions")
    time.sleep(1)
    kafka.produce(topic, [{"quantity": 100 + i} for i in range(10)], partition=2)
    kafka.produce(topic, [{"quantity": 10 + i} for i in range(10)], partition=0)
    pipeline.run()
    assert sorted(row["quantity"] for row in kafka.read_json(out)) == [*range(20), *range(100, 110)]


@pytest.mark.parametrize("group", [False, True])
def test_messages_that_retention_deleted_are_told_and_counted(kafka, unique, pipeline, group):
    from confluent_kafka import TopicPartition
    topic, out = kafka.create_topic(unique("in"), partitions=2), kafka.create_topic(unique("out"))
    options = {"group_id": unique("group")} if group else {}
    text = source(kafka, topic, **options) + sink(kafka, out, "SELECT quantity FROM events")
    pipeline(text)
    kafka.produce(topic, [{"quantity": i} for i in range(20)], partition=0)
    pipeline.run()
    kafka.produce(topic, [{"quantity": 20 + i} for i in range(50)], partition=0)
    list(kafka.admin().delete_records([TopicPartition(topic, 0, 45)]).values())[0].result(30)
    result = pipeline.run(code=1)
    assert f"topic {topic}, partition 0: up to 25 messages are lost: offset 20 is to be read next, the oldest that is left is 45" in result.stderr
    assert "on_gap = 'skip'" in result.stderr
    pipeline(text.replace("format='json'", "format='json', on_gap='skip'"))
    result = pipeline.run()
    assert sorted(row["quantity"] for row in kafka.read_json(out)) == [*range(20), *range(45, 70)]


def test_a_topic_made_anew_is_told(kafka, unique, pipeline):
    topic, out = kafka.create_topic(unique("in")), kafka.create_topic(unique("out"))
    pipeline(source(kafka, topic) + sink(kafka, out, "SELECT quantity FROM events"))
    kafka.produce(topic, [{"quantity": i} for i in range(20)])
    pipeline.run()
    list(kafka.admin().delete_topics([topic]).values())[0].result(30)
    wait_until(lambda: topic not in kafka.admin().list_topics(timeout=5).topics, "the topic to be gone")
    kafka.create_topic(topic)
    result = pipeline.run(code=1)
    assert "ends at offset 0, before the position 20" in result.stderr and "weir state reset" in result.stderr


def test_a_killed_group_member_goes_on_at_once(kafka, unique, pipeline):
    """A static member: without it the group would wait for the session's time-out (45 s here) before it deals partitions again."""
    topic, out = kafka.create_topic(unique("in"), partitions=4), kafka.create_topic(unique("out"))
    pipeline(source(kafka, topic, group_id=unique("group")) + sink(kafka, out, "SELECT quantity FROM events"))
    seen = 0
    for round_ in range(4):
        with pipeline.start() as weir:
            began = time.monotonic()
            kafka.produce(topic, [{"quantity": i} for i in range(100)], partition=lambda i: i % 4)
            seen += 100
            weir.wait_for(lambda: len(kafka.read_json(out)) >= seen, f"{seen} rows")
            if round_ > 0:
                assert time.monotonic() - began < 10
            weir.kill()
    assert len(kafka.read_json(out)) == seen


@pytest.mark.parametrize("how", ["kill", pytest.param("pause", marks=pytest.mark.full)])
def test_an_outage_makes_no_split_idle(unique, pipeline, how):
    """Partition 1 is quiet when the broker goes away for much longer than idle_timeout: had it become idle meanwhile, the
    watermark of partition 0 would have passed the rows that it gets afterwards."""
    with Kafka() as broker:
        topic, out = broker.create_topic(unique("in"), partitions=2), broker.create_topic(unique("out"))
        pipeline(source(broker, topic, idle_timeout="3s") + sink(broker, out, WINDOW))
        start = 1_700_000_000_000
        with pipeline.start() as weir:
            broker.produce(topic, [{"type": "a", "quantity": 1, "ts": start + i} for i in range(100)], partition=0)
            broker.produce(topic, [{"type": "b", "quantity": 1, "ts": start + i} for i in range(100)], partition=1)
            time.sleep(1)
            broker.kill() if how == "kill" else broker.pause()
            time.sleep(9)
            broker.start() if how == "kill" else broker.resume()
            broker.produce(topic, [{"type": "a", "quantity": 1, "ts": start + 60_000 + i} for i in range(100)], partition=0)
            time.sleep(1)
            broker.produce(topic, [{"type": "b", "quantity": 1, "ts": start + 1000 + i} for i in range(100)], partition=1)
            # Idle only now, with the broker there and silent, while partition 0 goes on.
            more = iter(range(1000))

            def results():
                broker.produce(topic, [{"type": "a", "quantity": 1, "ts": start + 61_000 + next(more)}], partition=0)
                return broker.read_json(out)
            weir.wait_for(results, "the first window", seconds=30)
            weir.wait_for(lambda: {(r["type"], r["n"]) for r in broker.read_json(out)} >= {("a", 100), ("b", 200)}, "both")
            weir.signal(signal.SIGTERM)
            assert weir.wait() == 0
