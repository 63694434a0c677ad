"""What Weir writes for machines keeps to schemas/."""

import json
import pathlib

import pytest
from jsonschema import Draft202012Validator

from services.harness import run_weir

SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "schemas"


def validator(name):
    schema = json.loads((SCHEMAS / name).read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schemas")
    rows = [json.dumps({"event_id": f"e{i}", "user_id": i, "type": "view", "amount": 0.5, "country": "DE", "page": "/", "device": "tv",
                        "ts": 1_700_000_000_000 + i * 1000}) for i in range(100)]
    rows[50] = "{broken"
    rows.append(json.dumps({"event_id": "late", "user_id": 1, "ts": 1_700_000_000_000}))
    (folder / "in.ndjson").write_text("\n".join(rows) + "\n")
    sql = folder / "p.sql"
    sql.write_text(f"""
      CREATE SOURCE clicks (event_id TEXT, user_id BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts)
        WITH (connector='file', path='{folder}/in.ndjson', format='json', on_late='late', on_error='bad');
      CREATE SINK out WITH (connector='file', path='{folder}/out.ndjson') AS
        SELECT window_start, count(*) AS n FROM TUMBLE(clicks, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end;
      CREATE SINK late WITH (connector='file', path='{folder}/late.ndjson');
      CREATE SINK bad WITH (connector='file', path='{folder}/bad.ndjson');""")
    stats = run_weir("run", sql, "--quiet", code=0, stats=True).stats
    return folder, stats


def test_the_stats_report(output):
    validator("stats.schema.json").validate(output[1])


@pytest.mark.parametrize("schema,file", [("dead-letter.schema.json", "bad.ndjson"), ("late-row.schema.json", "late.ndjson")])
def test_side_rows(output, schema, file):
    rows = [json.loads(line) for line in (output[0] / file).read_text().splitlines()]
    assert rows
    for row in rows:
        validator(schema).validate(row)


def test_the_sample_event(output):
    for line in (output[0] / "in.ndjson").read_text().splitlines()[:10]:
        validator("click.schema.json").validate(json.loads(line))
