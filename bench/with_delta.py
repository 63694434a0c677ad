"""The parts of the benchmarks that need a reader of Delta tables or an S3 client; the drivers call it with
a Python that has deltalake, duckdb and boto3.

    with_delta.py bucket NAME             makes a bucket
    with_delta.py count TABLE             {"events", "event_ids"}: rows, and different ids among them
    with_delta.py check TABLE             the sums that weir-bench-produce prints, as delta-rs reads the table
    with_delta.py files TABLE             bytes of each file, by partition, and the table's version
    with_delta.py watch TABLE SEEN        until standard input ends: writes to SEEN when delta-rs first read
                                          each version: version, microseconds of wall time
    with_delta.py probe TABLE SEEN PUTS   the same by asking for the log's next file over plain HTTP, every few
                                          milliseconds; meanwhile puts objects as big as the newest data file and
                                          writes to PUTS how long each took: microseconds, bytes
    with_delta.py ages TABLE SEEN FROM_MS quantiles of (seen - ts) over every row with ts >= FROM_MS, and the slowest versions

TABLE is a directory or s3://bucket/prefix (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL_S3).
"""

import http.client
import json
import os
import pathlib
import select
import sys
import threading
import time
import urllib.parse

WATCH_S = 0.05    # between two looks of delta-rs
PROBE_S = 0.005   # between two questions for the next file of the log
PUTS_A_SECOND = 10


def options():
    env = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
           if name in os.environ}
    if "AWS_ENDPOINT_URL_S3" in os.environ:
        env.update({"AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL_S3"], "AWS_ALLOW_HTTP": "true"})
    return env


def open_table(path):
    import deltalake

    return deltalake.DeltaTable(path, storage_options=options())


def s3():
    import boto3
    from botocore.config import Config

    return boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"],
                        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))


def now_us():
    return time.time_ns() // 1000


def events_of(path):
    import duckdb

    database = duckdb.connect()
    database.register("events", open_table(path).to_pyarrow_dataset())
    return database


def count(path):
    rows, ids = events_of(path).execute("SELECT count(*), count(DISTINCT event_id) FROM events").fetchone()
    print(json.dumps({"events": rows, "event_ids": ids}))


def check(path):
    import with_duckdb

    print(json.dumps(with_duckdb.sums(events_of(path), "epoch_ms(ts)")))


def files(path):
    table = open_table(path)
    adds = table.get_add_actions(flatten=True)
    columns = {name: adds.column(name).to_pylist() for name in adds.column_names}
    partitions = {}
    for i, size in enumerate(columns["size_bytes"]):
        name = json.dumps({k: str(v[i]) for k, v in columns.items() if k.startswith("partition.")})
        partitions.setdefault(name, []).append(size)
    print(json.dumps({"version": table.version(), "rows": sum(columns["num_records"]),
                      "partitions": {k: sorted(v) for k, v in partitions.items()}}))


# --- when is a version seen ---------------------------------------------------------------------


def stopped():
    return bool(select.select([0], [], [], 0)[0])


def watch(path, seen_path):
    table, last = None, -1
    with open(seen_path, "w", encoding="ascii", buffering=1) as seen:
        while not stopped():
            began = time.monotonic()
            try:
                if table is None:
                    table = open_table(path)
                else:
                    table.update_incremental()
            except Exception:  # pylint: disable=broad-except
                if table is not None:
                    raise
                time.sleep(WATCH_S)  # there is no table yet
                continue
            at = now_us()
            for version in range(last + 1, table.version() + 1):
                seen.write(f"{version} {at}\n")
            last = table.version()
            time.sleep(max(0.0, WATCH_S - (time.monotonic() - began)))


class Prober:
    """Asks for the log's next file, with signed addresses over one connection: next to no work per question."""

    def __init__(self, path):
        self.bucket, self.prefix = path.removeprefix("s3://").split("/", 1)
        self.client = s3()
        self.connection = self.connect()
        self.newest_bytes = 0  # of the newest data file

    @staticmethod
    def connect():
        return http.client.HTTPConnection(urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL_S3"]).netloc, timeout=30)

    def address(self, what, key):
        url = urllib.parse.urlsplit(self.client.generate_presigned_url(
            what, Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=86400))
        return f"{url.path}?{url.query}"

    def follow(self, seen):
        version = 0
        target = self.address("get_object", f"{self.prefix}/_delta_log/{version:020d}.json")
        while not stopped():
            self.connection.request("GET", target)
            answer = self.connection.getresponse()
            body, at = answer.read(), now_us()
            if answer.status != 200:
                time.sleep(PROBE_S)
                continue
            seen.write(f"{version} {at}\n")
            for line in body.splitlines():
                add = json.loads(line).get("add")
                if add and add["dataChange"]:
                    self.newest_bytes = add["size"]
            version += 1
            target = self.address("get_object", f"{self.prefix}/_delta_log/{version:020d}.json")

    def put(self, puts, stop):
        connection, number = self.connect(), 0
        payload = os.urandom(1 << 20)
        while not stop.wait(1 / PUTS_A_SECOND):
            size = self.newest_bytes
            if size == 0:
                continue
            body = (payload * (size // len(payload) + 1))[:size]
            target = self.address("put_object", f"bench-puts/{number}")
            began = time.monotonic_ns()
            connection.request("PUT", target, body=body)
            answer = connection.getresponse()
            answer.read()
            took_us = (time.monotonic_ns() - began) // 1000
            if answer.status != 200:
                sys.exit(f"PUT was answered with {answer.status}")
            puts.write(f"{took_us} {size}\n")
            number += 1


def probe(path, seen_path, puts_path):
    prober, stop = Prober(path), threading.Event()
    with (open(seen_path, "w", encoding="ascii", buffering=1) as seen,
          open(puts_path, "w", encoding="ascii", buffering=1) as puts):
        putter = threading.Thread(target=prober.put, args=(puts, stop))
        putter.start()
        try:
            prober.follow(seen)
        finally:
            stop.set()
            putter.join()


# --- how old was every row when it was seen -----------------------------------------------------


def log_of(path):
    """{version: keys of the data files that it added}, without those that only hold what was there before."""
    if path.startswith("s3://"):
        bucket, prefix = path.removeprefix("s3://").split("/", 1)
        client = s3()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/_delta_log/")
        keys = [o["Key"] for page in pages for o in page.get("Contents", [])]
        texts = ((key, lambda key=key: client.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys)
    else:
        texts = ((str(p), p.read_bytes) for p in pathlib.Path(path, "_delta_log").iterdir())
    adds = {}
    for key, read in texts:
        name = key.rsplit("/", 1)[-1]
        if len(name) != 25 or not name.endswith(".json"):
            continue
        found = [json.loads(line).get("add") for line in read().splitlines()]
        adds[int(name[:20])] = [urllib.parse.unquote(add["path"]) for add in found if add and add["dataChange"]]
    return adds


def ages(path, seen_path, from_ms):
    import numpy as np
    import pyarrow.fs
    import pyarrow.parquet as pq

    seen = dict(map(int, line.split()) for line in open(seen_path, encoding="ascii"))
    if path.startswith("s3://"):
        endpoint = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL_S3"])
        system = pyarrow.fs.S3FileSystem(endpoint_override=endpoint.netloc, scheme=endpoint.scheme,
                                         access_key=os.environ["AWS_ACCESS_KEY_ID"],
                                         secret_key=os.environ["AWS_SECRET_ACCESS_KEY"], region="us-east-1")
        root = path.removeprefix("s3://")
    else:
        system, root = pyarrow.fs.LocalFileSystem(), path
    found, commits, unseen, sizes, slowest = [], 0, 0, [], []
    for version, keys in log_of(path).items():
        for key in keys:
            with system.open_input_file(f"{root}/{key}") as file:
                sizes.append(file.size())
                ts = pq.read_table(file, columns=["ts"]).column("ts").cast("timestamp[us]").cast("int64").to_numpy()
            ts = ts[ts >= int(from_ms) * 1000]
            if len(ts) == 0:
                continue
            commits += 1
            if version not in seen:
                unseen += len(ts)
                continue
            found.append((seen[version] - ts) / 1000)
            slowest.append((float(found[-1].max()), version, len(ts), (seen[version] - min(seen.values())) / 1e6))
    ages_ms = np.concatenate(found) if found else np.array([])
    told = {"rows": len(ages_ms), "rows_unseen": unseen, "files": commits,
            "file_bytes_median": float(np.median(sizes)) if sizes else 0}
    if len(ages_ms):
        told.update({"p50_ms": float(np.quantile(ages_ms, 0.5)), "p99_ms": float(np.quantile(ages_ms, 0.99)),
                     "p999_ms": float(np.quantile(ages_ms, 0.999)), "max_ms": float(ages_ms.max()),
                     "min_ms": float(ages_ms.min()),
                     "slowest": [{"version": v, "max_ms": ms, "rows": n, "seen_s": round(at, 3)}
                                 for ms, v, n, at in sorted(slowest, reverse=True)[:8]]})
    print(json.dumps(told))


def bucket(name):
    s3().create_bucket(Bucket=name)


COMMANDS = {"bucket": bucket, "count": count, "check": check, "files": files, "watch": watch, "probe": probe,
            "ages": ages}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
