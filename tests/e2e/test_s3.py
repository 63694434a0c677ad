"""The whole job onto real S3 servers: Parquet directories there, and the sample pipeline of deploy/pipelines."""

import json
import pathlib
import signal

import duckdb
import pytest

from services.harness import Weir, run_weir, wait_until
from window_oracle import check_ledger

ROOT = pathlib.Path(__file__).resolve().parents[2]


def count(folder):
    return duckdb.sql(f"SELECT count(*), sum(id) FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true)").fetchall()[0]


@pytest.mark.parametrize("partitions", ["", ", partition_by = 'name'"], ids=["plain", "partitioned"])
def test_parquet_directory(s3, unique, tmp_path, partitions):
    bucket = unique("lake")
    s3.make_bucket(bucket)
    (tmp_path / "in.ndjson").write_text("".join(json.dumps({"id": i, "name": "aé=/"[i % 4:]}) + "\n" for i in range(40_000)))
    sql = tmp_path / "p.sql"
    sql.write_text(f"""
      CREATE SOURCE rows (id BIGINT, name TEXT) WITH (connector='file', path='{tmp_path}/in.ndjson', format='json');
      CREATE SINK lake WITH (connector='parquet', path='s3://{bucket}/some/rows'{partitions}) AS SELECT * FROM rows;""")
    result = run_weir("run", sql, "--quiet", "--workers", "2", env=s3.env(), code=0, stats=True)
    assert check_ledger(result.stats)["lake"]["landed"] == 40_000
    s3.download(bucket, tmp_path / "got", "some/rows")
    assert count(tmp_path / "got") == (40_000, sum(range(40_000)))
    assert s3.open_uploads(bucket) == []
    if partitions:
        assert len({key.split("/")[2] for key in s3.keys(bucket, "some/rows/")}) == 4


def test_nothing_is_visible_before_its_epoch_and_a_stop_leaves_nothing_open(s3, unique, tmp_path):
    bucket = unique("epochs")
    s3.make_bucket(bucket)
    sql = tmp_path / "p.sql"
    sql.write_text(f"""
      CREATE SOURCE rows (id BIGINT, name TEXT, ts TIMESTAMP) WITH (connector='datagen', rate='20000');
      CREATE SINK lake WITH (connector='parquet', path='s3://{bucket}/rows', commit_interval='500ms') AS SELECT * FROM rows;""")
    stats = tmp_path / "stats.json"
    with Weir("run", sql, "--quiet", "--stats", stats, env=s3.env()) as weir:
        weir.wait_for(lambda: len(s3.keys(bucket, "rows/")) >= 2, "two files")
        weir.signal(signal.SIGTERM)
        assert weir.wait() == 0
    landed = check_ledger(json.loads(stats.read_text()))["lake"]["landed"]
    s3.download(bucket, tmp_path / "got", "rows")
    assert count(tmp_path / "got")[0] == landed > 0
    assert s3.open_uploads(bucket) == []


def test_the_sample_pipeline_from_kafka_to_s3(kafka, minio, unique, tmp_path):
    bucket = unique("sample")
    minio.make_bucket(bucket)
    if "clicks" not in kafka.admin().list_topics(timeout=10).topics:
        kafka.create_topic("clicks", partitions=2)
        kafka.create_topic("per-country", partitions=1)
    now = 1_700_000_000_000
    events = [{"event_id": f"e{i}", "user_id": i % 7, "type": "view", "amount": i / 2, "country": "DE" if i % 3 else "FR",
               "ts": now + i * 100} for i in range(1000)]
    # One partition has it all in order; the other ends early, and being idle it would hold the windows for 30 s.
    kafka.produce("clicks", events, partition=0)
    kafka.produce("clicks", ["not json"], partition=0)
    kafka.produce("clicks", [{"user_id": 1, "country": "DE", "type": "view", "ts": now - 60_000}], partition=0)
    env = {**minio.env(), "KAFKA_BROKERS": kafka.brokers, "BUCKET": bucket}
    result = run_weir("run", ROOT / "deploy/pipelines/kafka-to-s3.sql", "--bounded", env=env, cwd=tmp_path, code=0, stats=True)
    sums = check_ledger(result.stats)
    assert sums["lake"]["landed"] == 1001 and sums["lake"]["dead_lettered"] == 1
    assert sums["per_country"]["late"] == 1
    minio.download(bucket, tmp_path / "got", "clicks")
    rows = duckdb.sql(f"""SELECT country, count(*) FROM read_parquet('{tmp_path}/got/**/*.parquet', hive_partitioning = true)
      GROUP BY country ORDER BY country""").fetchall()
    assert rows == [("DE", 667), ("FR", 334)]
    windows = kafka.read_json("per-country")
    assert sum(w["events"] for w in windows) == 1000
    assert len(json.loads((tmp_path / "clicks-late.ndjson").read_text().splitlines()[0])) == 6 + 5
    assert json.loads((tmp_path / "clicks-bad.ndjson").read_text())["_value"] == "not json"
    assert "duckdb -c" in result.stderr and "read 1,002 = landed 1,001" in result.stderr


def test_a_server_that_restarts_only_delays(unique, tmp_path):
    from services.harness import S3Minio
    with S3Minio() as server:
        bucket = unique("restart")
        server.make_bucket(bucket)
        sql = tmp_path / "p.sql"
        sql.write_text(f"""
          CREATE SOURCE rows (id BIGINT, name TEXT, ts TIMESTAMP) WITH (connector='datagen', rate='5000');
          CREATE SINK lake WITH (connector='parquet', path='s3://{bucket}/rows', commit_interval='300ms') AS SELECT * FROM rows;""")
        stats = tmp_path / "stats.json"
        with Weir("run", sql, "--quiet", "--stats", stats, env=server.env()) as weir:
            weir.wait_for(lambda: server.keys(bucket, "rows/"), "a file")
            server.kill()
            server.start()
            before = len(server.keys(bucket, "rows/"))
            wait_until(lambda: len(server.keys(bucket, "rows/")) > before + 1, "more files", seconds=30)
            weir.signal(signal.SIGTERM)
            assert weir.wait() == 0
        landed = check_ledger(json.loads(stats.read_text()))["lake"]["landed"]
        server.download(bucket, tmp_path / "got", "rows")
        assert count(tmp_path / "got")[0] == landed
