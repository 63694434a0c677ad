"""The parts of the benchmarks that need duckdb; bench/run calls it with a Python that has it.

    with_duckdb.py copy EVENTS.ndjson OUT.parquet THREADS   the reference of P4: NDJSON to Parquet
    with_duckdb.py check DIRECTORY                          what the Parquet files hold, as JSON
"""

import json
import resource
import sys
import time

import duckdb

COLUMNS = {"event_id": "VARCHAR", "user_id": "BIGINT", "type": "VARCHAR", "amount": "DOUBLE",
           "country": "VARCHAR", "page": "VARCHAR", "device": "VARCHAR", "ts": "BIGINT"}

START_MS = 1735689600000  # the producer's first event: 2025-01-01T00:00:00Z


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def copy(source, target, threads):
    """Both given every advantage: no type detection, no insertion order to keep, zstd level 1
    (which is Weir's), and the start of Python and duckdb not counted."""
    database = duckdb.connect(config={"threads": threads, "preserve_insertion_order": False})
    columns = ", ".join(f"{name}: {quoted(kind)}" for name, kind in COLUMNS.items())
    cpu, wall = cpu_s(), time.monotonic()
    database.execute(
        f"COPY (SELECT * FROM read_json({quoted(source)}, format = 'newline_delimited', "
        f"columns = {{{columns}}})) TO {quoted(target)} "
        "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)")
    print(json.dumps({"cpu_s": cpu_s() - cpu, "wall_s": time.monotonic() - wall,
                      "duckdb": duckdb.__version__}))


def check(directory):
    """The sums that weir-bench-produce prints, of every Parquet file below directory."""
    database = duckdb.connect()
    database.execute(f"CREATE VIEW events AS SELECT * FROM read_parquet("
                     f"{quoted(directory + '/**/*.parquet')}, hive_partitioning = false)")
    kind = database.execute("SELECT typeof(ts) FROM events LIMIT 1").fetchone()
    print(json.dumps(sums(database, "ts" if kind and kind[0] == "BIGINT" else "epoch_ms(ts)")))


def sums(database, ts_ms):
    """Of the relation `events`."""
    total = database.execute(
        "SELECT count(*), sum(round(amount * 100)::BIGINT)::BIGINT, sum(user_id)::BIGINT, "
        "sum(split_part(page, '/', 4)::BIGINT)::BIGINT, sum(length(device))::BIGINT, "
        f"sum({ts_ms} - {START_MS})::BIGINT, bit_xor(('0x' || event_id)::UBIGINT), "
        f"min({ts_ms})::BIGINT, max({ts_ms})::BIGINT FROM events").fetchone()
    groups = database.execute(
        "SELECT type, country, count(*), sum(round(amount * 100)::BIGINT)::BIGINT "
        "FROM events GROUP BY ALL").fetchall()
    names = ("events", "amount_cents", "user_id_sum", "page_sum", "device_bytes", "ts_offset_sum",
             "event_id_xor", "ts_ms_min", "ts_ms_max")
    found = dict(zip(names, total))
    found["event_id_xor"] = f"{found['event_id_xor'] or 0:016x}"
    found["groups"] = sorted(groups)
    return found


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "copy":
        copy(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    elif len(sys.argv) == 3 and sys.argv[1] == "check":
        check(sys.argv[2])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
