"""Events that a number alone determines, sent to Kafka at a steady rate, and what must come of them.

Event i goes to partition i % 4 and is row i // 4 of it. One in 1000 comes far too late, one in 2000 is no JSON, some are out of
order within the watermark's delay. So whoever knows how many were sent knows every row, whatever happened in between.

As a program it is the producer: sends until its standard input ends, then prints how many it sent. It is idempotent, so that an
outage of the broker neither loses nor doubles an event.
"""

import json
import pathlib
import subprocess
import sys
import time

PARTITIONS = 4
BASE_MS = 1_700_000_000_000
DELAY_MS = 100
LATE_EVERY, LATE_AT = 1000, 7
BROKEN_EVERY, BROKEN_AT = 2000, 11
SECOND_MS = 1000

COLUMNS = """id BIGINT, k INTEGER, v BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '100 milliseconds'"""


def ts_ms(i):
    """Event time advances a millisecond every 50 events, whatever the rate: 20 seconds' windows hold a million."""
    time_ms = BASE_MS + i // 50
    if i % LATE_EVERY == LATE_AT:
        return time_ms - 5000 - i * 31 % 5000
    if i % 16 == 5:
        return time_ms - i * 7919 % 80
    return time_ms


def payload(i):
    if i % BROKEN_EVERY == BROKEN_AT:
        return b'{"id":%d,"k":' % i
    return b'{"id":%d,"k":%d,"v":%d,"ts":%d}' % (i, i * 7919 % 97, i * 31 % 1000 - 500, ts_ms(i))


class Oracle:
    """The right results for the first n events, in DuckDB: tables events(i, k, v, ts) (all that are JSON), good and late."""

    def __init__(self, n):
        import duckdb
        import numpy as np
        import pyarrow as pa

        i = np.arange(n, dtype=np.int64)
        ts = BASE_MS + i // 50
        late = i % LATE_EVERY == LATE_AT
        ts = np.where(late, ts - 5000 - i * 31 % 5000, np.where(i % 16 == 5, ts - i * 7919 % 80, ts))
        sound = i % BROKEN_EVERY != BROKEN_AT
        counts = np.zeros(n, dtype=bool)
        for partition in range(PARTITIONS):  # row by row of its own split, as design says: the watermark before each row
            mine = (i % PARTITIONS == partition) & sound
            before = np.concatenate([[-2**62], np.maximum.accumulate(ts[mine] - DELAY_MS)[:-1]]) if mine.any() else ts[mine]
            end = ts[mine] - ts[mine] % SECOND_MS + SECOND_MS
            counts[mine] = end > before
        self.n, self.broken, self.late = n, int((~sound).sum()), int((sound & ~counts).sum())
        events = pa.table({"id": i[sound], "k": (i * 7919 % 97)[sound], "v": (i * 31 % 1000 - 500)[sound],  # noqa: F841
                           "ts": ts[sound], "on_time": counts[sound]})
        self.connection = duckdb.connect()
        self.connection.execute("CREATE TABLE events AS SELECT * FROM events")
        self.broken_positions = {(int(x) % PARTITIONS, int(x) // PARTITIONS) for x in i[~sound]}

    def windows(self):
        """{(start in ms, k): (count, sum of v, smallest id, largest id)}"""
        rows = self.connection.execute(f"""SELECT ts - ts % {SECOND_MS}, k, count(*), sum(v), min(id), max(id) FROM events
            WHERE on_time GROUP BY ALL""").fetchall()
        return {(r[0], r[1]): (r[2], int(r[3]), r[4], r[5]) for r in rows}

    def late_ids(self):
        return [r[0] for r in self.connection.execute("SELECT id FROM events WHERE NOT on_time ORDER BY id").fetchall()]

    def differences(self, arrow, where="true"):
        """(missing, doubled or altered) rows of arrow(id, k, v, ts in ms) against the events."""
        self.connection.register("theirs", arrow)
        return self.connection.execute(f"""
            WITH ours AS (SELECT id, k, v, ts FROM events WHERE {where})
            SELECT (SELECT count(*) FROM (SELECT * FROM ours EXCEPT ALL SELECT * FROM theirs)),
                   (SELECT count(*) FROM (SELECT * FROM theirs EXCEPT ALL SELECT * FROM ours))""").fetchall()[0]


class Feed:
    """The producer as a process of its own.  with Feed(brokers, topic, rate) as feed: ...; n = feed.end()

    more: properties of librdkafka."""

    def __init__(self, brokers, topic, rate, **more):
        settings = json.dumps({"bootstrap.servers": brokers, **{name.replace("_", "."): value for name, value in more.items()}})
        self.command = [sys.executable, str(pathlib.Path(__file__).resolve()), settings, topic, str(rate)]
        self.process, self.sent = None, None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def end(self):
        """Stops sending; how many events there are."""
        if self.sent is None:
            out, _ = self.process.communicate(timeout=90)
            assert self.process.returncode == 0, f"the producer failed: {self.process.returncode}"
            self.sent = int(out)
        return self.sent

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
        self.process.stdout.close()
        if not self.process.stdin.closed:
            self.process.stdin.close()


def wait_for_end(seconds):
    import select

    return bool(select.select([0], [], [], max(seconds, 0))[0])


def main(settings, topic, rate):
    from confluent_kafka import Producer

    failures = []
    producer = Producer({**json.loads(settings), "enable.idempotence": True, "linger.ms": 5, "compression.type": "lz4",
                         "queue.buffering.max.messages": 2_000_000, "message.timeout.ms": 120_000, "log_level": 0,
                         "on_delivery": lambda error, _: failures.append(error) if error is not None else None})
    started, i, ended = time.monotonic(), 0, False
    while not ended:
        due = int((time.monotonic() - started) * int(rate))
        # After a standstill of this process a tenth of a second's events at once at most: steady, not in heaps.
        upto = min(due, i + int(rate) // 10)
        while i < upto:
            try:
                producer.produce(topic, payload(i), partition=i % PARTITIONS)
                i += 1
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        ended = wait_for_end(0.005)
    left = producer.flush(80)
    if failures or left:
        sys.exit(f"{len(failures)} failed ({failures[:1]}), {left} not sent")
    print(i)


if __name__ == "__main__":
    main(*sys.argv[1:])
