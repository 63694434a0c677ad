"""JSON Schema as a check of events: against Python's jsonschema over random schemas and values; columns out of a schema."""

import json
import random

import jsonschema
import pytest

from services.harness import run_weir

SCHEMAS = 25
VALUES = 150


class Maker:
    """Random schemas of the subset that weir checks, and values that often comply."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def schema(self, depth=0):
        pick = self.random.random()
        if depth > 3 or pick < 0.5:
            return self.scalar()
        if pick < 0.62:
            return {"type": "array", "items": self.schema(depth + 1), "maxItems": self.random.randint(1, 4)}
        if pick < 0.7:
            return {self.random.choice(["anyOf", "oneOf", "allOf"]): [self.schema(depth + 1) for _ in range(self.random.randint(1, 3))]}
        if pick < 0.75:
            return {"not": self.schema(depth + 1)}
        if pick < 0.8:
            return {"$ref": "#/definitions/shared"}
        return self.object(depth + 1)

    def object(self, depth):
        names = self.random.sample("abcdef", self.random.randint(1, 4))
        schema = {"type": "object", "properties": {name: self.schema(depth) for name in names}}
        if self.random.random() < 0.5:
            schema["required"] = self.random.sample("abcdef", self.random.randint(1, 2))
        if self.random.random() < 0.5:
            schema["additionalProperties"] = self.random.choice([False, True, {"type": "integer"}])
        return schema

    def scalar(self):
        r = self.random
        return r.choice([
            {"type": "integer", "minimum": r.randint(-5, 5)}, {"type": "number", "exclusiveMaximum": r.randint(-5, 5)},
            {"type": "string", "minLength": r.randint(0, 3), "maxLength": r.randint(2, 6)}, {"type": "boolean"},
            {"type": ["null", "string"]}, {"enum": [1, "a", None, [1, {"b": 2}], 2.5]}, {"const": r.choice([1, "ü", {"a": []}])},
            {"type": "string", "pattern": "^[a-c]+$"}, {"maximum": 3}, {}, {"type": "number"}])

    def value(self, depth=0):
        r = self.random
        pick = r.random()
        if depth > 3 or pick < 0.6:
            return r.choice([None, True, 0, 1, -3, 5, 2.5, 5.0, 1e3, "", "a", "abc", "ü", "日本語", "xyz 1", "\n\"\\"])
        if pick < 0.75:
            return r.choice([[1, {"b": 2}], [self.value(depth + 1) for _ in range(r.randint(0, 5))]])
        return {name: self.value(depth + 1) for name in r.sample("abcdef", r.randint(0, 4))}


def write(tmp_path, schema, lines, columns="(n BIGINT)", select="n"):
    (tmp_path / "s.json").write_text(json.dumps(schema))
    (tmp_path / "in.ndjson").write_text("".join(line + "\n" for line in lines))
    (tmp_path / "p.sql").write_text(f"""
      CREATE SOURCE s {columns} WITH (connector='file', path='{tmp_path}/in.ndjson', schema='{tmp_path}/s.json', on_error='bad');
      CREATE SINK out WITH (connector='file', path='{tmp_path}/out.ndjson') AS SELECT {select} FROM s;
      CREATE SINK bad WITH (connector='file', path='{tmp_path}/bad.ndjson');""")
    return str(tmp_path / "p.sql")


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("seed", range(SCHEMAS))
def test_what_complies_is_what_jsonschema_says(tmp_path, seed):
    maker = Maker(seed)
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"v": maker.schema()},
              "definitions": {"shared": maker.object(2)}}
    validator = jsonschema.Draft7Validator(schema)
    values = [{"n": n, "v": maker.value()} for n in range(VALUES)]
    spaced = [json.dumps(v, ensure_ascii=n % 2 == 0, indent=None, separators=(" , ", " : ") if n % 3 == 0 else None)
              for n, v in enumerate(values)]
    wanted = [v["n"] for v in values if validator.is_valid(v)]
    run_weir("run", write(tmp_path, schema, spaced), code=0)
    assert [r["n"] for r in rows(tmp_path / "out.ndjson")] == wanted
    bad = rows(tmp_path / "bad.ndjson")
    assert len(bad) == VALUES - len(wanted)
    assert all(b["_error"].startswith('JSON Schema, at "/v') for b in bad)


def test_the_pointer_and_the_rule_are_told_and_other_faults_too(tmp_path):
    schema = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}, "items": {
        "type": "array", "items": {"properties": {"price": {"minimum": 0}}}}}}
    lines = ['{"id":1,"items":[{"price":2}]}', '{"id":2,"items":[{},{"price":-1}]}', "{broken", '{"id":"x"}', '{"items":[]}', '{"id":6}']
    run_weir("run", write(tmp_path, schema, lines, columns="(id BIGINT, items JSON)", select="id"), code=0)
    assert [r["id"] for r in rows(tmp_path / "out.ndjson")] == [1, 6]
    errors = [(b["_field"], b["_error"]) for b in rows(tmp_path / "bad.ndjson")]
    assert errors[0] == ("/items/1/price", 'JSON Schema, at "/items/1/price": minimum 0: -1')
    assert "malformed JSON" in errors[1][1] and errors[2][0] == "id"
    assert errors[3] == (None, 'JSON Schema, at "": required "id": {"items":[]}') or errors[3][1].startswith('JSON Schema, at "": required "id"')


def test_columns_come_out_of_the_schema(tmp_path):
    schema = {"type": "object", "properties": {"id": {"type": "integer"}, "at": {"type": "string", "format": "date-time"},
                                               "tags": {"type": "array", "items": {"type": "string"}},
                                               "geo": {"type": ["object", "null"], "properties": {"lat": {"type": "number"}}}}}
    lines = ['{"id":1,"at":"2024-05-01T10:00:00Z","tags":["a","b"],"geo":{"lat":1.5,"more":1}}', '{"id":2,"geo":null}']
    run_weir("run", write(tmp_path, schema, lines, columns="", select="*"), code=0)
    assert rows(tmp_path / "out.ndjson") == [
        {"id": 1, "at": "2024-05-01T10:00:00Z", "tags": ["a", "b"], "geo": {"lat": 1.5}},
        {"id": 2, "at": None, "tags": None, "geo": None}]


def test_keywords_that_are_not_checked_refuse_to_start(tmp_path):
    result = run_weir("check", write(tmp_path, {"properties": {"a": {"patternProperties": {}}}}, []), code=2)
    assert '"patternProperties" is not checked by weir' in result.stderr
