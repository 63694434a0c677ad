"""The sink 'kafka' with guarantee = 'exactly_once' against a real Kafka: what readers with read_committed see when processes die
between any two steps of an epoch, when a zombie wakes, and when brokers go away."""

import json
import signal
import time
import uuid

import pytest

from kafka_sink.kafka_sink_client import FATAL, RETRY, Died, Failed, Sink
from services import harness
from services.harness import Kafka

A, B, C = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc"


@pytest.fixture
def place(kafka, unique, tmp_path):
    """A topic and a state; place(owner, ...) is a writer of them."""
    class Place:
        topic = kafka.create_topic(unique("once"), partitions=3)
        state, uuid = tmp_path / "state", str(uuid.uuid4())
        made = []

        def __call__(self, owner, **more):
            sink = Sink(kafka.brokers, self.topic, self.state, self.uuid, owner, **more)
            self.made.append(sink)
            return sink

        def ids(self, isolation="read_committed"):
            return sorted(row["id"] for row in kafka.read_json(self.topic, isolation=isolation))

        def spools(self):
            return sorted(path.name for path in (self.state / "spool").glob("*"))

    found = Place()
    yield found
    for sink in found.made:
        if sink.process.poll() is None:
            sink.kill()


def test_epochs_become_visible_whole_and_in_order(place, kafka):
    with place(A) as sink:
        sink.recover()
        sink.ask("write", 0, 1500)
        receipt = json.loads(sink.ask("prepare", 1))
        assert receipt["rows"] == 1500 and receipt["after"] == 0 and len(receipt["parts"]) == 1
        assert place.ids() == [] and len(place.spools()) == 1
        sink.ask("write", 1500, 10)  # the next epoch's rows do not leave with this one
        sink.ask("publish", 1)
        assert place.ids() == list(range(1500))
        sink.ask("publish", 1)
        receipt = json.loads(sink.ask("prepare", 2))
        assert receipt["after"] == 1
        sink.ask("publish", 2)
        sink.ask("tick")
        assert place.ids() == list(range(1510))
        assert len(place.spools()) == 1, "epoch 1's object goes when epoch 2 is there"
        assert sink.stats()["visible"] == 1510 and sink.stats()["held"] < 1 << 20
        assert kafka.committed(f"{place.uuid}/out-1", place.topic) == {0: 2}
        for message in kafka.read_all(place.topic)[:10]:
            assert json.loads(message.value())["name"].encode() == message.key()


def test_an_epoch_without_rows_leaves_nothing(place):
    with place(A) as sink:
        sink.recover()
        assert sink.ask("prepare", 1) == ""
        sink.ask("publish", 1)
        sink.epoch(2, 0, 3)
        assert sink.ask("prepare", 3) == ""
        sink.ask("publish", 3)
        assert place.ids() == [0, 1, 2]


@pytest.mark.parametrize("fault, there", [("sink.kafka_in_transaction", False), ("sink.kafka_after_transaction", True)])
def test_killed_around_the_transaction_each_row_is_there_once(place, fault, there):
    with place(A) as sink:
        sink.recover()
        sink.epoch(3, 0, 100)
    with place(B, fault=fault) as sink:
        sink.recover(3, [A])
        sink.ask("write", 100, 500)
        receipt = sink.ask("prepare", 4)
        with pytest.raises(Died) as died:
            sink.ask("publish", 4)
        assert died.value.args == (-signal.SIGKILL,)
    with place(C) as sink:
        sink.recover(4, [A, B], receipt)
        assert place.ids() == list(range(600)), there
        sink.recover(4, [A, B], receipt)  # again, as after a crash in recovery
        sink.epoch(5, 600, 10)
    assert place.ids() == list(range(610))


def test_killed_between_manifest_and_transaction_and_in_recovery(place):
    with place(A) as sink:
        sink.recover()
        sink.ask("write", 0, 200)
        receipt = sink.ask("prepare", 1)
        sink.kill()
    with place(B, fault="sink.kafka_before_recovery") as sink, pytest.raises(Died):
        sink.ask("recover", 1, A, receipt)
    with place(C, fault="sink.kafka_in_transaction") as sink, pytest.raises(Died):
        sink.ask("recover", 1, f"{A},{B}", receipt)
    assert place.ids() == []
    with place("d" * 16) as sink:
        sink.recover(1, [A, B, C], receipt)
        assert place.ids() == list(range(200))


def test_killed_before_the_manifest_the_rows_come_again_and_the_spool_goes(place):
    with place(A, memory=0) as sink:
        sink.recover()
        sink.ask("write", 0, 5000)  # more than a part: some is in the store before prepare
        assert len(place.spools()) > 1
        sink.ask("prepare", 1)
        sink.kill()
    with place(B) as sink:
        sink.recover(0, [A])
        sink.ask("tick")
        assert place.spools() == []
        sink.epoch(1, 0, 5000)
    assert place.ids() == list(range(5000))


def test_a_zombie_cannot_publish(place):
    zombie = place(A)
    zombie.recover()
    zombie.ask("write", 0, 100)
    receipt = zombie.ask("prepare", 1)
    with place(B) as sink:  # it claimed the manifest after A had put epoch 1
        sink.recover(1, [A], receipt)
        with pytest.raises(Failed) as failed:
            zombie.ask("publish", 1)
        assert failed.value.cls == FATAL and "another process has taken over" in failed.value.message
        assert failed.value.hint
        sink.epoch(2, 100, 10)
    assert place.ids() == list(range(110))


def test_large_epochs_go_through_bounded_memory(place):
    memory = 1 << 20
    with place(A, memory=memory) as sink:
        sink.recover()
        sink.ask("write", 0, 60_000, 200)  # 14 MB
        assert sink.stats()["held"] < memory + (1 << 19)
        receipt = sink.ask("prepare", 1)
        assert len(json.loads(receipt)["parts"]) > 40
        sink.ask("publish", 1)
        assert sink.stats()["held"] < memory
        assert place.ids() == list(range(60_000))


def test_large_epochs_are_read_back_by_recovery(place):
    with place(A, memory=1 << 20) as sink:
        sink.recover()
        sink.ask("write", 0, 20_000, 200)
        receipt = sink.ask("prepare", 1)
        sink.kill()
    with place(B, memory=1 << 20) as sink:
        sink.recover(1, [A], receipt)
        assert sink.stats()["held"] < 1 << 20
    assert place.ids() == list(range(20_000))


def test_a_damaged_spool_is_told_and_nothing_is_sent(place):
    with place(A) as sink:
        sink.recover()
        sink.ask("write", 0, 100)
        receipt = sink.ask("prepare", 1)
        sink.kill()
    path = place.state / json.loads(receipt)["parts"][0]["key"]
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with place(B) as sink, pytest.raises(Failed) as failed:
        sink.ask("recover", 1, A, receipt)
    assert failed.value.cls == FATAL and path.name in failed.value.message
    path.unlink()
    with place(B) as sink, pytest.raises(Failed) as failed:
        sink.ask("recover", 1, A, receipt)
    assert "is not there" in failed.value.message
    assert place.ids() == []
    for bad in ("{}", receipt[:-3], receipt.replace('"rows":100', '"rows":101', 1)):
        with place(B) as sink, pytest.raises(Failed) as failed:
            sink.ask("recover", 1, A, bad)
        assert failed.value.cls == FATAL and "receipt" in failed.value.message


@pytest.mark.parametrize("then, rows", [("fail", 10), ("repeat", 20), ("skip", 10)])
def test_a_marker_that_kafka_forgot(place, kafka, then, rows):
    with place(A) as sink:
        sink.recover()
        sink.epoch(1, 0, 5)
        sink.ask("write", 5, 5)
        receipt = sink.ask("prepare", 2)
        sink.insist("publish", 2)
        sink.kill()
    assert json.loads(receipt)["after"] == 1
    group = f"{place.uuid}/out-1"
    list(kafka.admin().delete_consumer_groups([group]).values())[0].result(30)
    with place(B, on_unknown_commit=then) as sink:
        if then == "fail":
            with pytest.raises(Failed) as failed:
                sink.ask("recover", 2, A, receipt)
            assert failed.value.cls == FATAL and group in failed.value.detail and "on_unknown_commit" in failed.value.hint
            return
        sink.recover(2, [A], receipt)
        sink.epoch(3, 10, 0)
    assert len(place.ids()) == rows - (5 if then == "repeat" else 0)


def test_rows_that_are_too_large_are_rejected_and_the_rest_arrives(place, kafka, unique, tmp_path):
    topic = kafka.create_topic(unique("small"), max_message_bytes=2000)
    with Sink(kafka.brokers, topic, tmp_path / "s", str(uuid.uuid4()), A, compression="none", **{"kafka.message.max.bytes": "100000", "kafka.batch.num.messages": "1"}) as sink:
        sink.recover()
        sink.ask("write", 0, 10)
        sink.ask("write", 10, 1, 200_000)  # refused here
        sink.ask("write", 11, 2, 3000)     # refused by the broker
        sink.ask("prepare", 1)
        sink.insist("publish", 1)
        assert sink.stats() == {"rows": 10, "visible": 12, "rejects": 3, "held": sink.stats()["held"]}
        assert sorted(row["id"] for row in kafka.read_json(topic)) == list(range(10))


def test_a_broker_that_dies_and_comes_back(unique, tmp_path):
    with Kafka() as broker:
        topic = broker.create_topic(unique("away"), partitions=2)
        with Sink(broker.brokers, topic, tmp_path / "s", str(uuid.uuid4()), A) as sink:
            sink.recover()
            sink.epoch(1, 0, 100)
            sink.ask("write", 100, 100)
            sink.ask("prepare", 2)
            broker.kill()
            with pytest.raises(Failed) as failed:
                sink.ask("publish", 2)
            assert failed.value.cls == RETRY and topic in failed.value.message
            broker.start()
            sink.insist("publish", 2)
            sink.ask("write", 200, 100)
            sink.ask("prepare", 3)
            broker.pause()
            with pytest.raises(Failed) as failed:
                sink.ask("publish", 3)
            assert failed.value.cls == RETRY
            broker.resume()
            sink.insist("publish", 3)
            assert sorted(row["id"] for row in broker.read_json(topic)) == list(range(300))


def test_a_transaction_that_the_brokers_ended_is_sent_again(unique, tmp_path):
    """Paused for longer than the transaction's time-out: the coordinator aborts it and fences its producer."""
    with Kafka() as broker:
        topic = broker.create_topic(unique("slow"))
        with Sink(broker.brokers, topic, tmp_path / "s", str(uuid.uuid4()), A, **{"kafka.transaction.timeout.ms": "2000"}) as sink:
            sink.recover()
            sink.epoch(1, 0, 100)
            for epoch in range(2, 6):
                sink.ask("write", 100 * epoch - 100, 100)
                sink.ask("prepare", epoch)
                broker.pause()
                with pytest.raises(Failed) as failed:
                    sink.ask("publish", epoch)
                assert failed.value.cls == RETRY
                broker.resume()
                time.sleep(3)
                sink.insist("publish", epoch)
            assert sorted(row["id"] for row in broker.read_json(topic)) == list(range(500))


def test_without_a_state_it_is_refused(kafka, place):
    with pytest.raises(Failed) as failed:
        Sink(kafka.brokers, place.topic, place.state, "", A)
    assert failed.value.cls == 1 and "needs a state" in failed.value.message


def test_killed_at_random_moments(place):
    """50 epochs through processes that are killed at any time; `manifest` plays the state's last manifest."""
    import random
    rng = random.Random(7)
    manifest = {"epoch": 0, "receipt": None, "owners": [], "next": 0}
    deadline = time.monotonic() + 120
    generation = 0
    while manifest["epoch"] < 50:
        assert time.monotonic() < deadline
        generation += 1
        owner = f"{generation:016x}"
        with place(owner) as sink:
            try:
                stop = time.monotonic() + rng.random() * 0.6
                killer = __import__("threading").Timer(stop - time.monotonic(), sink.process.kill)
                killer.start()
                sink.ask("recover", manifest["epoch"], ",".join(manifest["owners"]) or "-",
                         *([manifest["receipt"]] if manifest["receipt"] else []))
                while manifest["epoch"] < 50:
                    count = rng.randrange(0, 300)
                    epoch = manifest["epoch"] + 1
                    if count:
                        sink.ask("write", manifest["next"], count)
                    receipt = sink.ask("prepare", epoch)
                    manifest = {"epoch": epoch, "receipt": receipt, "owners": manifest["owners"], "next": manifest["next"] + count}
                    sink.ask("publish", epoch)
                    sink.ask("tick")
            except (Died, BrokenPipeError):
                pass
            except Failed as failed:
                assert failed.cls == RETRY, failed
            finally:
                killer.cancel()
        manifest["owners"] = (manifest["owners"] + [owner])[-15:]
    with place("f" * 16) as sink:
        sink.recover(manifest["epoch"], manifest["owners"], manifest["receipt"] or None)
    assert place.ids() == list(range(manifest["next"])), generation
    assert generation > 5
