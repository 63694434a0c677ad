"""STRUCT, ARRAY and MAP columns from JSON through SQL into files: fields, UNNEST, windows over elements; the same whatever the number of
workers and the size of batches, and after kill -9."""

import collections
import json
import random
import time

import pytest

from services.harness import FULL, Weir, run_weir
from window_oracle import check_ledger

SOURCE = """
CREATE SOURCE orders (id BIGINT, ts TIMESTAMP, tags TEXT[], attributes MAP<TEXT, DOUBLE PRECISION>,
  customer STRUCT<id BIGINT, "homeCity" TEXT>, items STRUCT<sku TEXT, quantity INT, parts BIGINT[]>[],
  WATERMARK FOR ts AS ts - INTERVAL '1 second'
) WITH (connector = 'file', path = '{dir}/part-*.ndjson', format = 'json'{more});
"""
LINES = """
CREATE SINK lines WITH (connector = 'file', path = '{dir}/lines.ndjson', format = 'json'{sink}) AS
SELECT o.id, customer.homecity AS city, attributes['weight'] AS weight, cardinality(tags) AS tags, item.sku, item.quantity AS q, n, part
FROM orders AS o CROSS JOIN UNNEST(o.items) WITH ORDINALITY AS item(sku, quantity, parts, n), UNNEST(item.parts) AS part
WHERE customer.id <> 3 AND item.quantity > 1;
"""
SOLD = """
CREATE SINK sold WITH (connector = 'file', path = '{dir}/sold.ndjson', format = 'json'{sink}) AS
SELECT window_start, item.sku, sum(item.quantity) AS sold, count(*) AS n, count(DISTINCT customer) AS customers,
  max(item.parts[1]) AS part
FROM TUMBLE(orders, ts, INTERVAL '10 seconds') AS o, UNNEST(o.items) AS item
GROUP BY window_start, window_end, item.sku;
"""


def make_orders(count, late=0.0):
    rng = random.Random(5)
    orders = []
    for i in range(count):
        second = i / 40 - (rng.uniform(20, 60) if rng.random() < late else 0)
        items = [{"sku": f"sku {rng.randrange(9)} " + "x" * rng.randrange(12), "quantity": rng.randrange(5),
                  "parts": rng.choice([None, [], [rng.randrange(100)], [1, None, 3]])} for _ in range(rng.randrange(5))]
        orders.append({"id": i, "ts": time.strftime("%Y-%m-%dT%H:%M:", time.gmtime(1704067200 + second // 60 * 60))
                       + f"{second % 60:06.3f}Z", "tags": rng.choice([None, [], ["a"], ["a", "b"]]),
                       "attributes": rng.choice([None, {}, {"weight": 2.5}, {"other": 1, "weight": None}]),
                       "customer": rng.choice([None, {"id": rng.randrange(6), "homeCity": "Ulm"}, {"id": rng.randrange(6)}]),
                       "items": rng.choice([items, items, items, None])})
    return orders


def write_parts(directory, orders):
    for part in range(3):
        text = "".join(json.dumps(order) + "\n" for order in orders[part::3])
        (directory / f"part-{part}.ndjson").write_text(text)


def lines_of(orders):
    return sorted(json.dumps([o["id"], o["customer"].get("homeCity"), (o["attributes"] or {}).get("weight"),
                              None if o["tags"] is None else len(o["tags"]), item["sku"], item["quantity"], n + 1, part])
                  for o in orders if o["customer"] and o["customer"]["id"] != 3
                  for n, item in enumerate(o["items"] or []) if item["quantity"] > 1 for part in item["parts"] or [])


def sold_of(orders):
    groups = collections.defaultdict(list)
    for order in orders:
        for item in order["items"] or []:
            groups[order["ts"][:18] + "0Z", item["sku"]].append((order["customer"], item))
    return sorted(json.dumps([*key, sum(item["quantity"] for _, item in group), len(group),
                              len({json.dumps(customer) for customer, _ in group if customer}),
                              max((item["parts"][0] for _, item in group if item["parts"]), default=None)])
                  for key, group in groups.items())


def rows(path, *names):
    return sorted(json.dumps([row[name] for name in names]) for row in map(json.loads, path.read_text().splitlines()))


def lines_written(directory):
    return rows(directory / "lines.ndjson", "id", "city", "weight", "tags", "sku", "q", "n", "part")


def check(directory, orders):
    assert lines_written(directory) == lines_of(orders)
    assert rows(directory / "sold.ndjson", "window_start", "sku", "sold", "n", "customers", "part") == sold_of(orders)


def pipeline(directory, more="", sink=""):
    sql = directory / "p.sql"
    sql.write_text((SOURCE + LINES + SOLD).format(dir=directory, more=more, sink=sink))
    return sql


@pytest.mark.parametrize("settings", [["workers=1"], ["workers=4"], ["workers=2", "batch_rows=1"],
                                      ["workers=2", "test_hash=zero"]], ids="-".join)
def test_elements_become_rows_and_windows_count_them(tmp_path, settings):
    orders = make_orders(1500)
    write_parts(tmp_path, orders)
    chosen = [word for setting in settings for word in ("--set", setting)]
    result = run_weir("run", pipeline(tmp_path), "--quiet", "--state", "none", *chosen, code=0, stats=True)
    sums = check_ledger(result.stats)
    check(tmp_path, orders)
    kept = {json.loads(line)[0] for line in lines_of(orders)}
    assert (sums["lines"]["landed"], sums["lines"]["filtered"]) == (len(kept), len(orders) - len(kept))
    assert sums["sold"]["filtered"] == sum(not order["items"] for order in orders)


def test_a_late_or_failing_row_is_shown_once_however_many_elements_it_has(tmp_path):
    orders = make_orders(3000, late=0.05)
    write_parts(tmp_path, orders)
    sql = tmp_path / "p.sql"
    more = ", on_late = 'late', on_error = 'bad'"
    sql.write_text((SOURCE + SOLD).format(dir=tmp_path, more=more, sink="") + f"""
      CREATE SINK late WITH (connector = 'file', path = '{tmp_path}/late.ndjson');
      CREATE SINK bad WITH (connector = 'file', path = '{tmp_path}/bad.ndjson');
      CREATE SINK shares WITH (connector = 'file', path = '{tmp_path}/shares.ndjson', format = 'json') AS
      SELECT id, 100 / item.quantity AS share FROM orders, UNNEST(items) AS item;""")
    result = run_weir("run", sql, "--quiet", "--state", "none", code=0, stats=True)
    sums = check_ledger(result.stats)
    late = [json.loads(line)["id"] for line in (tmp_path / "late.ndjson").read_text().splitlines()]
    assert len(late) == len(set(late)) == sums["sold"]["late"] > 20
    assert all(orders[i]["items"] for i in late), "a row without elements is no late one"
    bad = [json.loads(line) for line in (tmp_path / "bad.ndjson").read_text().splitlines()]
    failing = [order for order in orders if any(item["quantity"] == 0 for item in order["items"] or [])]
    assert len(bad) == len(failing)
    assert all("division by zero" in json.dumps(letter) for letter in bad)
    shares = rows(tmp_path / "shares.ndjson", "id", "share")
    assert shares == sorted(json.dumps([order["id"], 100 // item["quantity"]]) for order in orders
                            for item in order["items"] or [] if item["quantity"] > 0)


def test_killed_and_started_again_every_element_counts_once(tmp_path):
    orders = make_orders(20_000)
    write_parts(tmp_path, orders)
    sql = tmp_path / "p.sql"
    sql.write_text((SOURCE + LINES).format(dir=tmp_path, more="", sink=", commit_interval = '100ms', guarantee = 'exactly_once'"))
    arguments = ["run", sql, "--state", tmp_path / "state", "--set", "workers=2"]
    seed = random.randrange(1 << 30)
    print("seed", seed)
    moments = random.Random(seed)
    for _ in range(10 if FULL else 3):
        with Weir(*arguments) as weir:
            time.sleep(moments.uniform(0.05, 0.3))
            if weir.process.poll() is not None:
                break
            weir.kill()
    run_weir(*arguments, code=0)
    assert lines_written(tmp_path) == lines_of(orders)
