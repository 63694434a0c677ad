"""Window results equal DuckDB's over the same events, late rows included, whatever the number of workers, the size of batches
or the quality of the hash."""

import json

import pytest

from window_oracle import (assign, check_ledger, compare, make_events, sessions, table, to_us, write_splits)
from services.harness import run_weir

SOURCE = """
CREATE SOURCE events (
  event_id TEXT, user_id BIGINT, type TEXT, amount DOUBLE PRECISION, country TEXT, quantity INTEGER, flag BOOLEAN,
  ts TIMESTAMP,
  WATERMARK FOR ts AS ts - INTERVAL '1 second'
) WITH (connector = 'file', path = '{path}/part-*.ndjson', format = 'json', on_late = 'late'{more});
CREATE SINK late WITH (connector = 'file', path = '{path}/late.ndjson');
"""

CONFIGS = {
    "one worker": [],
    "two workers": ["workers=2"],
    "four workers": ["workers=4"],
    "batches of one row": ["batch_rows=1", "workers=2"],
    "all keys collide": ["test_hash=zero", "workers=2"],
}
DEFAULT_WORKERS = "workers=1"


@pytest.fixture(scope="module")
def events():
    return make_events()


@pytest.fixture(params=CONFIGS, ids=lambda name: name.replace(" ", "-"))
def settings(request):
    chosen = CONFIGS[request.param]
    if not any(s.startswith("workers=") for s in chosen):
        chosen = [DEFAULT_WORKERS, *chosen]
    return [word for s in chosen for word in ("--set", s)]


def run(tmp_path, events, sql, settings, more=""):
    write_splits(tmp_path, events)
    pipeline = tmp_path / "p.sql"
    pipeline.write_text(SOURCE.format(path=tmp_path, more=more) + sql.format(path=tmp_path))
    result = run_weir("run", pipeline, "--quiet", *settings, code=0, stats=True)
    sums = check_ledger(result.stats)
    rows = [json.loads(line) for line in (tmp_path / "out.ndjson").read_text().splitlines()]
    late_file = tmp_path / "late.ndjson"
    late = [json.loads(line) for line in late_file.read_text().splitlines()] if late_file.exists() else []
    return rows, late, sums["out"], result


def check_late(late_rows, expected, sums):
    assert sums["late"] == len(expected)
    assert sorted(r["event_id"] for r in late_rows) == sorted(e["event_id"] for _, _, e in expected)
    assert all(r["_sink"] == "out" and r["_source"] == "events" and r["_lateness_us"] >= 0 for r in late_rows)
    by_id = {e["event_id"]: e for _, _, e in expected}
    for row in late_rows:  # all columns, also those that the query does not read
        event = by_id[row["event_id"]]
        assert row["user_id"] == event["user_id"] and row["flag"] == event["flag"]


AGGREGATES = """count(*) AS n, count(amount) AS na, sum(quantity) AS sq, sum(amount) AS sa, min(amount) AS mina,
  max(amount) AS maxa, avg(amount) AS avga, avg(quantity) AS avgq, stddev_samp(amount) AS sds, stddev_pop(amount) AS sdp,
  var_samp(amount) AS vs, var_pop(amount) AS vp, bool_and(flag) AS ba, bool_or(flag) AS bo,
  count(DISTINCT user_id) AS du, min(country) AS minc, max(country) AS maxc,
  sum(quantity) FILTER (WHERE flag) AS sqf, count(*) FILTER (WHERE amount > 100) AS n100"""
NAMES = ["n", "na", "sq", "sa", "mina", "maxa", "avga", "avgq", "sds", "sdp", "vs", "vp", "ba", "bo", "du", "minc", "maxc",
         "sqf", "n100"]


def reference(rows, keys):
    connection = table(rows)
    listed = ", ".join(keys)
    return connection.execute(f"""
        SELECT ws, we, {listed}, {AGGREGATES},
          first(event_id ORDER BY ts, split, position), last(event_id ORDER BY ts, split, position)
        FROM w GROUP BY ws, we, {listed}""").fetchall()


def ours(rows, keys):
    return [(to_us(r["window_start"]), to_us(r["window_end"]), *(r[k] for k in keys), *(r[n] for n in NAMES), r["fv"], r["lv"])
            for r in rows]


SELECT = ("CREATE SINK out WITH (connector = 'file', path = '{path}/out.ndjson') AS "
          "SELECT window_start, window_end, %s, " + AGGREGATES +
          ", first_value(event_id) AS fv, last_value(event_id) AS lv FROM %s GROUP BY window_start, window_end, %s;")


@pytest.mark.parametrize("keys", [["type", "country"], ["user_id"]], ids=lambda k: "-".join(k))
def test_tumble(tmp_path, events, settings, keys):
    listed = ", ".join(keys)
    sql = SELECT % (listed, "TUMBLE(events, ts, INTERVAL '10 seconds')", listed)
    rows, late, sums, _ = run(tmp_path, events, sql, settings)
    expected, expected_late, _ = assign(events, "tumble", 10_000_000)
    compare(ours(rows, keys), reference(expected, keys), 2 + len(keys))
    check_late(late, expected_late, sums)


def test_tumble_with_allowed_lateness(tmp_path, events, settings):
    sql = SELECT % ("type", "TUMBLE(events, ts, INTERVAL '5 seconds')", "type")
    rows, late, sums, _ = run(tmp_path, events, sql, settings, more=", allowed_lateness = '20s'")
    expected, expected_late, _ = assign(events, "tumble", 5_000_000, lateness_us=20_000_000)
    compare(ours(rows, ["type"]), reference(expected, ["type"]), 3)
    check_late(late, expected_late, sums)


@pytest.mark.parametrize("slide_ms,size_ms", [(2000, 10000), (3000, 10000), (10000, 10000)])
def test_hop(tmp_path, events, settings, slide_ms, size_ms):
    window = f"HOP(events, ts, INTERVAL '{slide_ms} milliseconds', INTERVAL '{size_ms} milliseconds')"
    sql = SELECT % ("type", window, "type")
    rows, late, sums, _ = run(tmp_path, events, sql, settings)
    expected, expected_late, partly = assign(events, "hop", size_ms * 1000, slide_ms * 1000)
    compare(ours(rows, ["type"]), reference(expected, ["type"]), 3)
    check_late(late, expected_late, sums)
    assert sums["partly_late"] == len(partly)


@pytest.mark.parametrize("key,gap_ms", [("user_id", 1500), ("country", 40)])
def test_session(tmp_path, events, settings, key, gap_ms):
    sql = SELECT % (key, f"SESSION(events, ts, INTERVAL '{gap_ms} milliseconds')", key)
    rows, late, sums, _ = run(tmp_path, events, sql, settings)
    expected, expected_late = sessions(events, gap_ms * 1000, key)
    compare(ours(rows, [key]), reference(expected, [key]), 3)
    check_late(late, expected_late, sums)


def test_window_over_a_window(tmp_path, events, settings):
    sql = """CREATE SINK out WITH (connector = 'file', path = '{path}/out.ndjson') AS
      SELECT window_start, window_end, country, count(*) AS windows, sum(n) AS n, max(sa) AS top
      FROM TUMBLE((SELECT window_end AS inner_end, country, type, count(*) AS n, sum(amount) AS sa, window_time
                   FROM TUMBLE(events, ts, INTERVAL '2 seconds') GROUP BY window_start, window_end, window_time, country, type),
                  window_time, INTERVAL '10 seconds')
      GROUP BY window_start, window_end, country;"""
    rows, late, sums, _ = run(tmp_path, events, sql, settings)
    expected, expected_late, _ = assign(events, "tumble", 2_000_000)
    connection = table(expected)
    theirs = connection.execute("""
        WITH i AS (SELECT we, country, type, count(*) n, sum(amount) sa FROM w GROUP BY we, country, type)
        SELECT ((we - 1) // 10000000) * 10000000 AS s, ((we - 1) // 10000000) * 10000000 + 10000000, country, count(*), sum(n), max(sa)
        FROM i GROUP BY ALL""").fetchall()
    mine = [(to_us(r["window_start"]), to_us(r["window_end"]), r["country"], r["windows"], r["n"], r["top"]) for r in rows]
    compare(mine, theirs, 3)
    check_late(late, expected_late, sums)


def test_same_window_again(tmp_path, events, settings):
    """GROUP BY the window_start and window_end of an inner window (Nexmark's query 5 does so)."""
    sql = """CREATE SINK out WITH (connector = 'file', path = '{path}/out.ndjson') AS
      SELECT window_start, window_end, max(n) AS top, count(*) AS groups
      FROM (SELECT window_start, window_end, user_id, count(*) AS n
            FROM HOP(events, ts, INTERVAL '2 seconds', INTERVAL '10 seconds') GROUP BY window_start, window_end, user_id)
      GROUP BY window_start, window_end;"""
    rows, late, sums, _ = run(tmp_path, events, sql, settings)
    expected, expected_late, _ = assign(events, "hop", 10_000_000, 2_000_000)
    theirs = table(expected).execute("""
        WITH i AS (SELECT ws, we, user_id, count(*) n FROM w GROUP BY ALL)
        SELECT ws, we, max(n), count(*) FROM i GROUP BY ws, we""").fetchall()
    mine = [(to_us(r["window_start"]), to_us(r["window_end"]), r["top"], r["groups"]) for r in rows]
    compare(mine, theirs, 2)
    check_late(late, expected_late, sums)


def test_approximate_aggregates_stay_within_their_error(tmp_path, events, settings):
    sql = """CREATE SINK out WITH (connector = 'file', path = '{path}/out.ndjson') AS
      SELECT window_start, window_end, approx_count_distinct(event_id) AS d, count(*) AS n,
             approx_percentile(quantity + 10, 0.5) AS p50, approx_percentile(quantity + 10, 0.99) AS p99
      FROM TUMBLE(events, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end;"""
    rows, _, _, _ = run(tmp_path, events, sql, settings)
    expected, _, _ = assign(events, "tumble", 10_000_000)
    theirs = {r[0]: r[1:] for r in table(expected).execute("""
        SELECT ws, count(DISTINCT event_id), count(*), list(quantity + 10) FROM w GROUP BY ws""").fetchall()}
    assert {to_us(r["window_start"]) for r in rows} == set(theirs)
    for row in rows:
        distinct, n, values = theirs[to_us(row["window_start"])]
        assert row["n"] == n
        assert abs(row["d"] - distinct) <= max(3, 0.08 * distinct)
        values.sort()
        for q, name in ((0.5, "p50"), (0.99, "p99")):
            rank = q * (len(values) - 1)
            low, high = values[int(rank)], values[min(len(values) - 1, int(rank) + 1)]
            assert low * 0.985 - 1e-9 <= row[name] <= high * 1.015 + 1e-9, (row, low, high)
