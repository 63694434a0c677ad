"""Azure Blob and Google Cloud Storage under whole pipelines: state, Delta tables and Parquet directories there, also crossed, and a
process that is killed in the middle. Readers get a copy of what lies there."""

import json
import time

import deltalake
import duckdb
import pytest

from services.harness import Weir, run_weir
from window_oracle import check_ledger

ROWS = 60_000
RATE = 15_000


class Scene:
    """A pipeline of numbered rows into a Delta table and a Parquet directory; `lake` and `state` name services."""

    def __init__(self, request, tmp_path, unique, lake, state):
        self.tmp_path, self.env = tmp_path, {}
        self.services = {name: request.getfixturevalue(name) for name in {lake, state}}
        self.buckets = {name: service.make_bucket(unique("clouds")) for name, service in self.services.items()}
        for service in self.services.values():
            self.env.update(service.env())
        self.lake = lake
        self.state, self.place = self.url(state, "some/state"), self.url(lake, "some")
        self.sql = tmp_path / "p.sql"
        self.sql.write_text(f"""
          SET default_commit_interval = '200ms';
          CREATE SOURCE rows (id BIGINT, k INTEGER, name TEXT, ts TIMESTAMP, WATERMARK FOR ts AS ts) WITH (connector='datagen',
            rate='{RATE}', rows='{ROWS}', "fields.id.kind"='sequence', "fields.k.min"='0', "fields.k.max"='5', "fields.k.kind"='random');
          CREATE SINK lake WITH (connector='delta', path='{self.place}/lake', commit_interval='200ms') AS SELECT * FROM rows;
          CREATE SINK files WITH (connector='parquet', path='{self.place}/files', partition_by='k', commit_interval='600ms')
            AS SELECT id, k FROM rows;""")

    def url(self, name, path):
        scheme = {"azurite": "az", "gcs": "gs"}.get(name, "s3")
        return f"{scheme}://{self.buckets[name]}/{path}"

    def keys(self, prefix):
        return self.services[self.lake].keys(self.buckets[self.lake], prefix)

    def check(self, stats):
        self.services[self.lake].download(self.buckets[self.lake], self.tmp_path / "got", "some/")
        got = self.tmp_path / "got" / "some"
        ids = deltalake.DeltaTable(str(got / "lake")).to_pyarrow_table().column("id").to_pylist()
        first = min(ids)
        assert sorted(ids) == list(range(first, first + ROWS)), f"{len(ids)} rows in the table, {len(set(ids))} of them different"
        count, different, low, high = duckdb.sql(
            f"SELECT count(*), count(DISTINCT id), min(id), max(id) FROM read_parquet('{got}/files/**/*.parquet')").fetchall()[0]
        assert (count, different, low, high) == (ROWS, ROWS, first, first + ROWS - 1)
        assert not [key for key in self.keys("some/") if "_staging" in key]
        sums = check_ledger(stats)
        assert sums["lake"]["landed"] == sums["files"]["landed"] == ROWS


@pytest.mark.parametrize(("lake", "state"), [("azurite", "azurite"), ("gcs", "gcs"), ("azurite", "gcs"), ("gcs", "minio")])
def test_killed_once_all_comes_exactly_once(request, tmp_path, unique, lake, state):
    scene = Scene(request, tmp_path, unique, lake, state)
    with Weir("run", scene.sql, "--quiet", "--state", scene.state, "--workers", "2", env=scene.env) as weir:
        weir.wait_for(lambda: len(scene.keys("some/lake/_delta_log/")) >= 4 and scene.keys("some/files/k="), "a few commits")
        time.sleep(0.3)
        assert weir.process.poll() is None, weir.result()
        weir.kill()
    result = run_weir("run", scene.sql, "--quiet", "--bounded", "--state", scene.state, "--workers", "2", env=scene.env, code=0,
                      stats=True)
    scene.check(result.stats)


@pytest.mark.parametrize("cloud", ["azurite", "gcs"])
def test_tables_are_shown_and_merged_there(request, tmp_path, unique, cloud):
    scene = Scene(request, tmp_path, unique, cloud, cloud)
    run_weir("run", scene.sql, "--quiet", "--bounded", "--state", scene.state, env=scene.env, code=0)
    run_weir("table", "compact", f"{scene.place}/lake", "--all", env=scene.env, code=0)
    shown = run_weir("state", "show", scene.state, "--json", env=scene.env, code=0)
    assert json.loads(shown.stdout)
    scene.services[cloud].download(scene.buckets[cloud], tmp_path / "got", "some/lake/")
    table = deltalake.DeltaTable(str(tmp_path / "got" / "some" / "lake"))
    assert len(table.file_uris()) < 3
    assert len(set(table.to_pyarrow_table().column("id").to_pylist())) == ROWS


@pytest.mark.parametrize(("url", "env", "words"), [
    ("az://lake/x", {}, ["which storage account", "AZURE_STORAGE_ACCOUNT"]),
    ("az://UPPER/x", {}, ["names no container", "abfss://"]),
    ("abfss://lake/x", {}, ["names no container"]),
    ("az://lake/x", {"AZURE_STORAGE_ACCOUNT": "acc", "AZURE_STORAGE_KEY": "planted=secret"}, ["not base64"]),
    ("az://lake/x", {"AZURE_STORAGE_ACCOUNT": "acc", "AZURE_STORAGE_SAS_TOKEN": "planted"}, ["sig="]),
    ("az://lake/x", {"AZURE_STORAGE_ACCOUNT": "acc", "AZURE_CLIENT_SECRET": "planted"}, ["half set", "AZURE_TENANT_ID"]),
    ("gs://B/x", {}, ["names no bucket"]),
    ("gs://bucket/x", {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/key.json"}, ["/nowhere/key.json"]),
])
def test_mistakes_are_told_before_anything_runs(tmp_path, url, env, words):
    sql = tmp_path / "p.sql"
    sql.write_text(f"""
      CREATE SOURCE rows (id BIGINT) WITH (connector='datagen', rows='10');
      CREATE SINK lake WITH (connector='parquet', path='{url}') AS SELECT * FROM rows;""")
    result = run_weir("run", sql, "--quiet", "--bounded", env={**env, "HOME": str(tmp_path)}, code=2)
    for word in words:
        assert word in result.stderr, result
    assert "planted" not in result.stderr
