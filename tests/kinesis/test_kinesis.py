"""Kinesis as a source and as a sink, against two emulators: starts, restarts, reshards, throttling, packed records, fan-out."""

import base64
import calendar
import collections
import json
import threading
import time

import pytest

from services.harness import KinesisGate, Weir, run_weir, wait_until
from window_oracle import check_ledger


@pytest.fixture(params=["kinesis_mock", "kinesalite"])
def kinesis(request):
    """Each emulator in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["kinesis_mock", pytest.param("kinesalite", marks=pytest.mark.full)])
def one(request):
    """One emulator; in the long form each."""
    return request.getfixturevalue(request.param)


class Pipeline:
    """A stream, all of whose records land in a file, once; bad ones in another."""

    def __init__(self, server, stream, tmp_path, columns="id BIGINT NOT NULL", select="*", endpoint=None, **options):
        self.tmp_path, self.state = tmp_path, tmp_path / "state"
        self.env = server.env()
        if endpoint:
            self.env["AWS_ENDPOINT_URL_KINESIS"] = endpoint
        given = "".join(f", {name}='{value}'" for name, value in options.items())
        self.sql = tmp_path / "p.sql"
        self.sql.write_text(f"""
          SET default_commit_interval = '100ms';
          CREATE SOURCE events ({columns}) WITH (connector='kinesis', stream='{stream}', format='json', on_error='bad'{given});
          CREATE SINK good WITH (connector='file', path='{tmp_path}/good.ndjson') AS SELECT {select} FROM events;
          CREATE SINK bad WITH (connector='file', path='{tmp_path}/bad.ndjson');""")

    def arguments(self, *more, workers=2):
        return ("run", self.sql, "--quiet", "--state", self.state, "--workers", workers, *more)

    def run(self, *more, code=0, **how):
        return run_weir(*self.arguments("--bounded", *more), env=self.env, code=code, **how)

    def weir(self, *more, workers=2):
        return Weir(*self.arguments(*more, workers=workers), env=self.env)

    def rows(self, name="good"):
        """What is committed; a line that is being written is not."""
        path = self.tmp_path / f"{name}.ndjson"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def ids(self):
        return [row["id"] for row in self.rows()]

    def splits(self):
        """{shard: (position, note)} of the newest manifest."""
        newest = max((self.state / "manifest").glob("*.json"))
        cut = json.loads(newest.read_text())["cuts"][-1]
        return {split["name"].split("/")[1]: (split["position"], split.get("note"))
                for source in cut["sources"] for split in source["splits"]}


def events(first, count):
    return [(f"key-{i % 97}", {"id": i}) for i in range(first, first + count)]


# --- reading ----------------------------------------------------------------------------------


def test_everything_is_read_with_its_metadata(kinesis, unique, tmp_path):
    stream = kinesis.create_stream(unique("s"), 3)
    kinesis.put(stream, events(0, 1200))
    before = time.time()
    p = Pipeline(kinesis, stream, tmp_path, select="id, _key, _topic, _partition, _offset, _timestamp")
    result = p.run(stats=True)
    assert check_ledger(result.stats)["good"]["landed"] == 1200
    rows = p.rows()
    assert sorted(row["id"] for row in rows) == list(range(1200))
    offsets = collections.defaultdict(list)
    for row in rows:
        assert row["_key"] == f"key-{row['id'] % 97}" and row["_topic"] == stream
        offsets[row["_partition"]].append(row["_offset"])
    assert sorted(offsets) == [0, 1, 2] and all(seen == list(range(len(seen))) for seen in offsets.values())
    stamp = calendar.timegm(time.strptime(rows[0]["_timestamp"][:19].replace("T", " "), "%Y-%m-%d %H:%M:%S"))
    assert before - 60 < stamp < before + 5
    kinesis.put(stream, events(1200, 100))
    p.run()
    assert sorted(p.ids()) == list(range(1300)), "a second bounded run goes on where the first one ended"


def test_starts(one, unique, tmp_path):
    stream = one.create_stream(unique("s"), 1)
    one.put(stream, events(0, 10))
    time.sleep(0.05)
    middle_ms = int(time.time() * 1000)
    time.sleep(0.05)
    one.put(stream, events(10, 10))
    sequence = one.read_all(stream)[15]["SequenceNumber"]
    for start, first in (("earliest", 0), ("trim_horizon", 0), (middle_ms, 10), (f"shardId-000000000000={sequence}", 15)):
        place = tmp_path / str(first) / str(start)[:8]
        place.mkdir(parents=True)
        p = Pipeline(one, stream, place, start=start)
        p.run()
        assert p.ids() == list(range(first, 20)), start
        kept = p.splits()
        p.run()
        assert p.ids() == list(range(first, 20)) and p.splits() == kept, "nothing comes again"


def test_latest_begins_now_and_misses_nothing_after_a_restart(one, unique, tmp_path):
    stream = one.create_stream(unique("s"), 2)
    one.put(stream, events(0, 20))
    time.sleep(1.1)  # the note of a shard without records is a time in whole seconds
    p = Pipeline(one, stream, tmp_path, start="latest")
    with p.weir() as weir:
        load = Load(one, stream, per_put=1, key="the first")
        load.count = 20
        with load:
            weir.wait_for(lambda: len(p.rows()) > 0, "a row")
        weir.kill()
    splits = p.splits()
    assert sorted(note.split("=")[0] for _, note in splits.values()) == ["seq", "time"], "one shard has had no record yet"
    first, last = p.ids()[0], load.count
    one.put(stream, events(last, 30))
    p.run()
    assert sorted(p.ids()) == list(range(first, last + 30))


def test_bad_records_are_dead_lettered(one, unique, tmp_path):
    stream = one.create_stream(unique("s"), 1)
    poison = [b"not json", b'{"id":"x"}', b"\xff\x00\xfe", b"", b"\xf3\x89\x9a\xc2 no pack"]
    one.put(stream, [("a", {"id": 1}), *(("b", data) for data in poison if data or one.script == "kinesis"), ("c", {"id": 2})])
    p = Pipeline(one, stream, tmp_path)
    p.run()
    assert p.ids() == [1, 2]
    bad = p.rows("bad")
    values = [base64.b64decode(row["_value"]) if row["_encoding"] == "base64" else row["_value"].encode() for row in bad]
    assert values == [data for data in poison if data or one.script == "kinesis"]
    assert [row["_position"] for row in bad] == list(range(1, len(bad) + 1))
    assert all(row["_split"] == f"{stream}/shardId-000000000000" for row in bad)


class Load(threading.Thread):
    """Puts events at a steady rate until it is told to stop."""

    def __init__(self, server, stream, per_put=50, pause=0.02, key=None):
        super().__init__(daemon=True)
        self.key = key
        self.server, self.stream, self.per_put, self.pause = server, stream, per_put, pause
        self.count, self.error, self.halt = 0, None, threading.Event()

    def run(self):
        client = self.server.client()
        try:
            while not self.halt.is_set():
                records = [{"PartitionKey": self.key or key, "Data": json.dumps(value).encode()}
                           for key, value in events(self.count, self.per_put)]
                while records:
                    answer = client.put_records(StreamName=self.stream, Records=records)
                    records = [r for r, told in zip(records, answer["Records"]) if "ErrorCode" in told]
                self.count += self.per_put
                self.halt.wait(self.pause)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.halt.set()
        self.join(30)
        assert self.error is None, self.error


def reshard(server, stream):
    """A split, and then a merge of two others or of the two halves."""
    first, *_ = server.open_shards(stream)
    server.split(stream, first)
    time.sleep(0.3)
    by_key = sorted(server.open_shards(stream), key=lambda s: int(s["HashKeyRange"]["StartingHashKey"]))
    server.merge(stream, by_key[0], by_key[1])


def test_killed_again_and_again_while_the_stream_is_resharded(kinesis, unique, tmp_path):
    stream = kinesis.create_stream(unique("s"), 2)
    p = Pipeline(kinesis, stream, tmp_path, select="id, _partition, _offset")
    with Load(kinesis, stream) as load:
        for turn in range(2):
            with p.weir() as weir:
                seen = len(p.rows())
                weir.wait_for(lambda: len(p.rows()) > seen + 200, "rows to land")
                if turn % 2:
                    reshard(kinesis, stream)
                    weir.wait_for(lambda: len(p.splits()) == 5, "the children to be read")
                weir.kill()
        with p.weir() as weir:
            load.stop()
            weir.wait_for(lambda: len(p.rows()) >= load.count, "everything to land")
            assert weir.terminate() == 0
    ids = p.ids()
    assert len(ids) == load.count and sorted(ids) == list(range(load.count)), "nothing lost, nothing twice"
    by_shard = collections.defaultdict(list)
    for row in p.rows():
        by_shard[row["_partition"]].append(row["_offset"])
    assert len(by_shard) == 5 and all(seen == list(range(len(seen))) for seen in by_shard.values())
    assert sum(note == "ended" for _, note in p.splits().values()) == 3


def test_children_follow_their_parents_in_order_and_no_row_is_late(kinesis, unique, tmp_path):
    """Per key in order through splits and merges; and a watermark that never passes a child's rows."""
    stream = kinesis.create_stream(unique("s"), 2)
    sent = 0
    for _ in range(2):
        kinesis.put(stream, [(f"key-{i % 10}", {"id": i, "ts": 1_700_000_000_000 + i * 1000}) for i in range(sent, sent + 200)])
        sent += 200
        reshard(kinesis, stream)
    kinesis.put(stream, [(f"key-{i % 10}", {"id": i, "ts": 1_700_000_000_000 + i * 1000}) for i in range(sent, sent + 200)])
    sent += 200
    sql = tmp_path / "p.sql"
    sql.write_text(f"""
      CREATE SOURCE events (id BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '30 seconds')
        WITH (connector='kinesis', stream='{stream}', format='json', on_late='late');
      CREATE SINK rows WITH (connector='file', path='{tmp_path}/rows.ndjson') AS SELECT id, _key FROM events;
      CREATE SINK counts WITH (connector='file', path='{tmp_path}/counts.ndjson') AS
        SELECT window_start, count(*) AS n FROM TUMBLE(events, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end;
      CREATE SINK late WITH (connector='file', path='{tmp_path}/late.ndjson');""")
    run_weir("run", sql, "--quiet", "--bounded", "--workers", "1", env=kinesis.env(), code=0)
    rows = [json.loads(line) for line in (tmp_path / "rows.ndjson").read_text().splitlines()]
    by_key = collections.defaultdict(list)
    for row in rows:
        by_key[row["_key"]].append(row["id"])
    assert sorted(row["id"] for row in rows) == list(range(sent))
    assert all(ids == sorted(ids) for ids in by_key.values())
    counts = [json.loads(line)["n"] for line in (tmp_path / "counts.ndjson").read_text().splitlines()]
    assert counts and sum(counts) == sent and set(counts) == {10}, "each window once, with all of its rows"
    late = tmp_path / "late.ndjson"
    assert not late.exists() or late.read_text() == ""


def test_an_idle_shard_holds_nothing_up(one, unique, tmp_path):
    stream = one.create_stream(unique("s"), 2)
    sql = tmp_path / "p.sql"
    sql.write_text(f"""
      CREATE SOURCE events (id BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts)
        WITH (connector='kinesis', stream='{stream}', format='json', idle_timeout='500ms');
      CREATE SINK counts WITH (connector='file', path='{tmp_path}/counts.ndjson', commit_interval='100ms') AS
        SELECT window_start, count(*) AS n FROM TUMBLE(events, ts, INTERVAL '1 second') GROUP BY window_start, window_end;""")
    counts = tmp_path / "counts.ndjson"
    with Weir("run", sql, "--quiet", env=one.env()) as weir:
        one.put(stream, [("one key", {"id": i, "ts": 1_700_000_000_000 + i * 100}) for i in range(41)])
        weir.wait_for(lambda: counts.exists() and len(counts.read_text().splitlines()) == 4, "the windows before the last row")
        assert weir.terminate() == 0


# --- what the service does to its clients ------------------------------------------------------


def test_throttled_expired_and_cut_calls_lose_nothing_and_are_all_signed(kinesis, unique, tmp_path):
    stream = kinesis.create_stream(unique("s"), 2)
    with KinesisGate(kinesis, GATE_TOKEN="session") as gate:
        gate.fail("ProvisionedThroughputExceededException", "GetRecords", count=3)
        gate.fail("LimitExceededException", "ListShards", count=1)
        gate.fail("KMSThrottlingException", "GetShardIterator", count=1)
        gate.fail("ExpiredIteratorException", "GetRecords", count=2, skip=4)
        gate.fail("InternalFailure", "GetRecords", count=3, status=500, skip=3)
        gate.fail(target="GetRecords", count=2, skip=2, cut=True)
        p = Pipeline(kinesis, stream, tmp_path, endpoint=gate.endpoint)
        p.env["AWS_SESSION_TOKEN"] = "session"
        with Load(kinesis, stream) as load, p.weir() as weir:
            weir.wait_for(lambda: gate.told()["left"] == 0, "all faults to have happened")
            load.stop()
            weir.wait_for(lambda: len(p.rows()) >= load.count, "everything to land")
            assert weir.terminate() == 0
        told = gate.told()
        assert told["refused"] == {"GetRecords": 10, "ListShards": 1, "GetShardIterator": 1}
        assert told["calls"]["GetShardIterator"] >= 2 + 1 + 2, "expired iterators are asked for anew"
    assert sorted(p.ids()) == list(range(load.count))


def test_wrong_keys_and_streams_are_told_apart(one, unique, tmp_path):
    stream = one.create_stream(unique("s"), 1)
    with KinesisGate(one) as gate:
        p = Pipeline(one, stream, tmp_path, endpoint=gate.endpoint)
        p.env["AWS_SECRET_ACCESS_KEY"] = "a-secret-nobody-may-see"
        told = p.run(code=1).stderr
        assert "InvalidSignature" in told and "the environment" in told and "nobody-may-see" not in told
    p = Pipeline(one, "nowhere", tmp_path)
    told = p.run(code=1).stderr
    assert "stream nowhere" in told and "ResourceNotFound" in told and "list-streams" in told
    p = Pipeline(one, stream, tmp_path, start="yesterday")
    told = p.run(code=2).stderr
    assert "start = 'yesterday'" in told and "^" in told
    p = Pipeline(one, stream, tmp_path)
    p.run()
    other = one.create_stream(unique("other"), 1)
    assert f"no shard of stream {other}" in Pipeline(one, other, tmp_path).run(code=1).stderr


def test_records_that_are_gone_are_a_gap_that_is_told(one, unique, tmp_path):
    """The stream is made anew with fewer shards: what the state knows of the old ones is not there."""
    stream = one.create_stream(unique("s"), 2)
    one.put(stream, events(0, 100))
    p = Pipeline(one, stream, tmp_path)
    p.run()
    one.client().delete_stream(StreamName=stream)
    wait_until(lambda: stream not in one.client().list_streams()["StreamNames"], "the stream to be gone")
    one.create_stream(stream, 1)
    one.put(stream, events(100, 50))
    told = p.run(code=1).stderr
    assert "shardId-000000000001 is not there any more" in told and "on_gap = 'skip'" in told
    p = Pipeline(one, stream, tmp_path, on_gap="skip")
    assert "is skipped" in p.run().stderr
    assert sorted(p.ids()) == list(range(150))


def test_a_service_that_is_away_is_waited_for(one, unique, tmp_path):
    stream = one.create_stream(unique("s"), 1)
    gate = KinesisGate(one).start()
    try:
        p = Pipeline(one, stream, tmp_path, endpoint=gate.endpoint)
        with p.weir() as weir:
            one.put(stream, events(0, 10))
            weir.wait_for(lambda: len(p.rows()) == 10, "the first rows")
            gate.stop()
            one.put(stream, events(10, 10))
            weir.wait_for(lambda: "no answer" in weir.stderr(), "a word about it", seconds=20)
            gate.start()
            weir.wait_for(lambda: len(p.rows()) == 20, "the other rows", seconds=30)
            assert weir.terminate() == 0
        assert p.ids() == list(range(20))
    finally:
        gate.close()


# --- packed records ----------------------------------------------------------------------------


def packs(rows, per_pack):
    """Rows as (key, value), packed by Amazon's own library."""
    from aws_kinesis_agg.aggregator import RecordAggregator

    found = []
    for at in range(0, len(rows), per_pack):
        packer = RecordAggregator()
        for key, value in rows[at:at + per_pack]:
            assert packer.add_user_record(key, json.dumps(value).encode()) is None
        key, _hash_key, data = packer.clear_and_get().get_contents()
        found.append((key, data))
    return found


def test_packed_records_are_unpacked(kinesis, unique, tmp_path):
    stream = kinesis.create_stream(unique("s"), 1)
    rows = [(f"user {i}", {"id": i}) for i in range(3000)]
    kinesis.put(stream, [*packs(rows[:1500], 1500), *rows[1500:1510], *packs(rows[1510:], 200)])
    p = Pipeline(kinesis, stream, tmp_path, select="id, _key, _offset")
    p.run()
    found = p.rows()
    assert [row["id"] for row in found] == list(range(3000)) == [row["_offset"] for row in found]
    assert all(row["_key"] == f"user {row['id']}" for row in found)


def test_a_restart_goes_on_within_a_pack(kinesalite, unique, tmp_path):
    stream, count = kinesalite.create_stream(unique("s"), 1), 40_000
    kinesalite.put(stream, packs([("k", {"id": i}) for i in range(count)], count))
    for attempt in range(20):
        place = tmp_path / str(attempt)
        place.mkdir()
        p = Pipeline(kinesalite, stream, place)
        p.sql.write_text("SET batch_rows = 16;" + p.sql.read_text().replace("'100ms'", "'1ms'"))
        with p.weir(workers=1) as weir:
            while not p.rows():
                assert weir.process.poll() is None
            weir.kill()
        (_position, note), = p.splits().values()
        if "/" in note:
            break
    assert "/" in note, "a kill within the pack"
    p.run()
    assert p.ids() == list(range(count)), "nothing lost, nothing twice"


def test_a_pack_that_a_reshard_sent_to_both_children_counts_each_record_once(kinesis, unique, tmp_path):
    """A producer that has not heard of a split packs for both halves; each child's reader takes its own."""
    stream = kinesis.create_stream(unique("s"), 1)
    kinesis.split(stream, kinesis.open_shards(stream)[0])
    rows = [(f"user {i}", {"id": i}) for i in range(500)]
    (key, data), = packs(rows, 500)
    client = kinesis.client()
    for shard in kinesis.open_shards(stream):
        client.put_record(StreamName=stream, PartitionKey=key, Data=data, ExplicitHashKey=shard["HashKeyRange"]["StartingHashKey"])
    p = Pipeline(kinesis, stream, tmp_path)
    p.run()
    assert sorted(p.ids()) == list(range(500))


# --- enhanced fan-out --------------------------------------------------------------------------


def test_fan_out_with_kills_and_reshards(kinesis_mock, unique, tmp_path):
    """The reshards are over when weir starts: the emulator never ends a subscription to a closed shard."""
    stream = kinesis_mock.create_stream(unique("s"), 2)
    load = Load(kinesis_mock, stream)
    load.count = kinesis_mock.put(stream, events(0, 1000))
    reshard(kinesis_mock, stream)
    p = Pipeline(kinesis_mock, stream, tmp_path, consumer="weir", select="id, _partition, _offset")
    with load:
        with p.weir() as weir:
            weir.wait_for(lambda: len(p.rows()) > 1200, "rows to land")
            weir.kill()
        with p.weir() as weir:
            seen = len(p.rows())
            weir.wait_for(lambda: len(p.rows()) > seen + 200, "rows to land")
            load.stop()
            weir.wait_for(lambda: len(p.rows()) >= load.count, "everything to land")
            assert weir.terminate() == 0
    assert sorted(p.ids()) == list(range(load.count)), "nothing lost, nothing twice"
    assert sorted(note == "ended" for _, note in p.splits().values()) == [False, False, True, True, True]
    arn = kinesis_mock.client().describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    consumers = kinesis_mock.client().list_stream_consumers(StreamARN=arn)["Consumers"]
    assert [consumer["ConsumerName"] for consumer in consumers] == ["weir"]


def test_fan_out_is_bounded_and_signed_and_survives_cut_streams(kinesis_mock, unique, tmp_path):
    stream = kinesis_mock.create_stream(unique("s"), 1)
    kinesis_mock.put(stream, events(0, 1000))
    with KinesisGate(kinesis_mock) as gate:
        gate.fail(target="SubscribeToShard", count=1, cut=True)
        p = Pipeline(kinesis_mock, stream, tmp_path, endpoint=gate.endpoint, consumer="weir")
        p.run()
        assert gate.told()["calls"]["SubscribeToShard"] == 2
    assert p.ids() == list(range(1000))


@pytest.mark.parametrize("server, how", [("kinesalite", {}), pytest.param("kinesis_mock", {"consumer": "weir"}, marks=pytest.mark.full)],
                         ids=["polled", "fan-out"])
def test_more_than_fits_into_memory(request, server, how, unique, tmp_path):
    """The source's share of 64 MiB is smaller than one answer."""
    server, count = request.getfixturevalue(server), 80
    stream = server.create_stream(unique("s"), 2)
    for at in range(0, count, 20):
        server.put(stream, [(str(i), {"id": i, "v": "x" * 150_000}) for i in range(at, at + 20)])
    p = Pipeline(server, stream, tmp_path, columns="id BIGINT NOT NULL, v TEXT", select="id, length(v) AS n", **how)
    p.run("--memory", "64MiB")
    assert sorted(p.ids()) == list(range(count)) and {row["n"] for row in p.rows()} == {150_000}


# --- writing -----------------------------------------------------------------------------------


def sink(tmp_path, stream, rows, more="", source="id BIGINT, name TEXT"):
    (tmp_path / "in.ndjson").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sql = tmp_path / "sink.sql"
    sql.write_text(f"""
      CREATE SOURCE rows ({source}) WITH (connector='file', path='{tmp_path}/in.ndjson', format='json', on_error='bad');
      CREATE SINK results WITH (connector='kinesis', stream='{stream}'{more}) AS SELECT * FROM rows;
      CREATE SINK bad WITH (connector='file', path='{tmp_path}/bad.ndjson');""")
    return sql


def test_rows_are_written_with_their_keys(kinesis, unique, tmp_path):
    stream = kinesis.create_stream(unique("s"), 2)
    rows = [{"id": i, "name": f"n{i % 7} ü\"" if i % 10 else None} for i in range(3000)]
    result = run_weir("run", sink(tmp_path, stream, rows, ", key='name'"), "--quiet", env=kinesis.env(), code=0, stats=True)
    assert check_ledger(result.stats)["results"]["landed"] == 3000
    found = kinesis.read_all(stream)
    assert sorted((json.loads(r["Data"]) for r in found), key=lambda row: row["id"]) == rows
    for record in found:
        row = json.loads(record["Data"])
        assert record["PartitionKey"] == row["name"] if row["name"] else len(record["PartitionKey"]) == 16


def test_records_that_fail_are_written_again_and_refused_ones_are_dead_lettered(kinesis, unique, tmp_path):
    source, results = kinesis.create_stream(unique("s"), 1), kinesis.create_stream(unique("r"), 1)
    kinesis.put(source, [("k", {"id": i, "k": "x" * (300 if i == 800 else 5), "v": "y" * (600_000 if i == 700 else 1)})
                         for i in range(1500)])
    with KinesisGate(kinesis) as gate:
        gate.fail(target="PutRecords", count=3, records=True)
        gate.fail("ProvisionedThroughputExceededException", "PutRecords", count=1, skip=1)
        gate.fail("InternalFailure", "PutRecords", count=1, status=500, skip=1)
        sql = tmp_path / "p.sql"
        sql.write_text(f"""
          CREATE SOURCE rows (id BIGINT, k TEXT, v TEXT) WITH (connector='kinesis', stream='{source}', format='json', on_error='bad');
          CREATE SINK results WITH (connector='kinesis', stream='{results}', endpoint='{gate.endpoint}', key='k') AS
            SELECT id, k, v || v AS v FROM rows;
          CREATE SINK bad WITH (connector='file', path='{tmp_path}/bad.ndjson', commit_interval='100ms');""")
        bad = tmp_path / "bad.ndjson"
        with Weir("run", sql, "--quiet", env=kinesis.env()) as weir:
            weir.wait_for(lambda: bad.exists() and len(bad.read_text().splitlines()) == 2, "both dead letters")
            assert weir.terminate() == 0
        assert gate.told()["left"] == 0
    found = sorted(json.loads(r["Data"])["id"] for r in kinesis.read_all(results))
    assert found == [i for i in range(1500) if i not in (700, 800)]
    why = sorted(json.loads(line)["_error"] for line in bad.read_text().splitlines())
    assert "the record has 1200" in why[1] and "256 characters" in why[0], why


def test_results_of_a_stream_go_to_another(one, unique, tmp_path):
    source, results = one.create_stream(unique("s"), 2), one.create_stream(unique("r"), 1)
    one.put(source, [(str(i), {"id": i, "ts": 1_700_000_000_000 + i * 10}) for i in range(1000)])
    sql = tmp_path / "p.sql"
    sql.write_text(f"""
      CREATE SOURCE events (id BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '1 minute')
        WITH (connector='kinesis', stream='{source}', format='json');
      CREATE SINK counts WITH (connector='kinesis', stream='{results}') AS
        SELECT window_start, count(*) AS n FROM TUMBLE(events, ts, INTERVAL '1 second') GROUP BY window_start, window_end;""")
    run_weir("run", sql, "--quiet", "--bounded", env=one.env(), code=0)
    found = [json.loads(r["Data"]) for r in one.read_all(results)]
    assert sorted(row["n"] for row in found) == [100] * 10


# --- speed -------------------------------------------------------------------------------------


def test_events_a_second_from_the_emulator(kinesalite, unique, tmp_path, capsys):
    """Printed, not judged: it is the emulator that is slow."""
    stream, count = kinesalite.create_stream(unique("s"), 4), 20000
    kinesalite.put(stream, events(0, count))
    p = Pipeline(kinesalite, stream, tmp_path)
    begun = time.monotonic()
    result = p.run(stats=True)
    seconds = time.monotonic() - begun
    assert len(p.rows()) == count
    with capsys.disabled():
        print(f"\nkinesalite, 4 shards: {count / seconds:.0f} events/s, {seconds:.2f} s")
    assert check_ledger(result.stats)["good"]["landed"] == count
