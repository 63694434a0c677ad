"""The reference that results are compared with: lateness judged row by row in Python exactly as design says, the aggregation
of what remains done by DuckDB."""

import json
import math
import random

import duckdb

US = 1_000_000


def make_events(splits=3, rows=4000, seed=7, out_of_order=0.05, late=0.01, start_ms=1_700_000_000_000):
    """Lists of events, one per split: time advances about 20 ms a row, some rows are out of order by up to 900 ms (within the
    watermark's delay of 1 s), some come 2 to 90 s late."""
    rng = random.Random(seed)
    types = ["view", "click", "cart", "purchase", None]
    countries = ["DE", "FR", "US", "a country with a long name", "JP", ""]
    result = []
    for split in range(splits):
        now = start_ms + split * 137
        events = []
        for i in range(rows):
            now += rng.randrange(0, 41)
            ts = now
            chance = rng.random()
            if chance < late:
                ts = now - rng.randrange(2_000, 90_000)
            elif chance < late + out_of_order:
                ts = now - rng.randrange(0, 900)
            events.append({
                "event_id": f"{split}-{i}",
                "user_id": rng.randrange(0, 200) if rng.random() > 0.02 else None,
                "type": rng.choice(types),
                "amount": round(rng.uniform(-50, 500), 2) if rng.random() > 0.05 else None,
                "country": rng.choice(countries),
                "quantity": rng.randrange(-5, 100),
                "flag": rng.random() > 0.3,
                "ts": ts,
            })
        result.append(events)
    return result


def write_splits(directory, splits, name="part"):
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, events in enumerate(splits):
        path = directory / f"{name}-{index:02}.ndjson"
        with open(path, "w") as file:
            for event in events:
                file.write(json.dumps({k: v for k, v in event.items() if v is not None}) + "\n")
        paths.append(path)
    return paths


def _walk(splits, delay_us):
    """(split, position, event, time, watermark before the row)"""
    for index, events in enumerate(splits):
        watermark = -math.inf
        for position, event in enumerate(events):
            time = event["ts"] * 1000
            yield index, position, event, time, watermark
            watermark = max(watermark, time - delay_us)


def assign(splits, kind, size_us, slide_us=None, delay_us=US, lateness_us=0):
    """Rows with the windows that they count in: [(start, end, split, position, event)], late events, partly late events."""
    rows, late, partly = [], [], []
    slide = slide_us or size_us
    for split, position, event, time, watermark in _walk(splits, delay_us):
        if kind == "session":
            if time + lateness_us < watermark:
                late.append((split, position, event))
            else:
                rows.append((None, None, split, position, event))
            continue
        last = time - time % slide
        starts = [s for s in range(last, time - size_us, -slide)]
        eligible = [s for s in starts if s + size_us + lateness_us > watermark]
        if not eligible:
            late.append((split, position, event))
            continue
        if len(eligible) < len(starts):
            partly.append((split, position, event))
        for s in eligible:
            rows.append((s, s + size_us, split, position, event))
    if kind == "session":
        rows = None  # keys matter: see sessions()
    return rows, late, partly


def sessions(splits, gap_us, key, delay_us=US, lateness_us=0):
    """Rows with their session's (start, end) per key value; rows join when closer than the gap."""
    by_key, late = {}, []
    for split, position, event, time, watermark in _walk(splits, delay_us):
        if time + lateness_us < watermark:
            late.append((split, position, event))
        else:
            by_key.setdefault(event.get(key), []).append((time, split, position, event))
    rows = []
    for items in by_key.values():
        items.sort(key=lambda item: item[:3])
        current = []
        for item in items:
            if current and item[0] - current[-1][0] >= gap_us:
                rows += _close(current, gap_us)
                current = []
            current.append(item)
        rows += _close(current, gap_us)
    return rows, late


def _close(items, gap_us):
    start, end = items[0][0], items[-1][0] + gap_us
    return [(start, end, split, position, event) for _, split, position, event in items]


def table(rows):
    """A DuckDB connection with table w(ws, we, split, position, + event columns)."""
    connection = duckdb.connect()
    connection.execute("""CREATE TABLE w (ws BIGINT, we BIGINT, split INTEGER, position INTEGER, event_id TEXT, user_id BIGINT,
        type TEXT, amount DOUBLE, country TEXT, quantity INTEGER, flag BOOLEAN, ts BIGINT)""")
    import pyarrow as pa
    columns = {
        "ws": pa.array([r[0] for r in rows], pa.int64()), "we": pa.array([r[1] for r in rows], pa.int64()),
        "split": pa.array([r[2] for r in rows], pa.int32()), "position": pa.array([r[3] for r in rows], pa.int32()),
        "event_id": pa.array([r[4]["event_id"] for r in rows]),
        "user_id": pa.array([r[4]["user_id"] for r in rows], pa.int64()),
        "type": pa.array([r[4]["type"] for r in rows], pa.string()),
        "amount": pa.array([r[4]["amount"] for r in rows], pa.float64()),
        "country": pa.array([r[4]["country"] for r in rows], pa.string()),
        "quantity": pa.array([r[4]["quantity"] for r in rows], pa.int32()),
        "flag": pa.array([r[4]["flag"] for r in rows], pa.bool_()),
        "ts": pa.array([r[4]["ts"] * 1000 for r in rows], pa.int64()),
    }
    arrow = pa.table(columns)  # noqa: F841  (DuckDB finds it by name)
    connection.execute("INSERT INTO w SELECT * FROM arrow")
    return connection


def to_us(text):
    """RFC 3339 text of a result to microseconds."""
    import datetime
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (moment - epoch) // datetime.timedelta(microseconds=1)


def same(a, b):
    if isinstance(a, float) or isinstance(b, float):
        if a is None or b is None:
            return a is b
        return math.isclose(float(a), float(b), rel_tol=1e-9, abs_tol=1e-9)
    return a == b


def compare(ours, theirs, keys):
    """Both: lists of tuples; the first `keys` values identify a row. Raises with the first differences."""
    def index(rows):
        table = {}
        for row in rows:
            assert row[:keys] not in table, f"twice: {row}"
            table[row[:keys]] = row
        return table
    mine, reference = index(ours), index(theirs)
    missing = [r for k, r in reference.items() if k not in mine]
    extra = [r for k, r in mine.items() if k not in reference]
    assert not missing and not extra, f"{len(missing)} missing, e.g. {missing[:3]}; {len(extra)} extra, e.g. {extra[:3]}"
    wrong = [(mine[k], r) for k, r in reference.items()
             if len(mine[k]) != len(r) or not all(same(a, b) for a, b in zip(mine[k], r))]
    assert not wrong, f"{len(wrong)} of {len(reference)} rows differ, e.g. ours {wrong[0][0]} reference {wrong[0][1]}"


def check_ledger(stats):
    """Every line balances; returns sums per sink."""
    sums = {}
    for line in stats["ledger"]:
        assert line["read"] == (line["landed"] + line["late"] + line["dead_lettered"] + line["filtered"] +
                                line["in_flight"]), line
        total = sums.setdefault(line["sink"], {})
        for name, value in line.items():
            if isinstance(value, int):
                total[name] = total.get(name, 0) + value
    return sums
