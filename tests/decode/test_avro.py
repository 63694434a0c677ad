"""The Avro decoder against fastavro: random schemas and values, also read with another schema than they were written with;
and records that were damaged, of which each must become a row or a fault."""

import base64
import datetime
import decimal
import io
import json
import os
import pathlib
import random
import struct
import subprocess

import fastavro
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOUND = sorted(ROOT.glob("build/*/tests/decode/binary_driver"), key=lambda path: path.stat().st_mtime)
DRIVER = os.environ.get("WEIR_BINARY_DRIVER") or (FOUND[-1] if FOUND else None)
RECODE = pathlib.Path(DRIVER).parent / "avro_c_recode" if DRIVER else None
SCHEMAS = 60
ROWS = 50

WORDS = ["", "a", "exactly12byt", "thirteen byte", "ünï", "日本語のとても長い文字列", "\"quoted\"\n", "x" * 300]
DATE = {"type": "int", "logicalType": "date"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
LOCAL = {"type": "long", "logicalType": "local-timestamp-micros"}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4}
UTC = datetime.timezone.utc


class Maker:
    """Random types, values of them and what they look like in Weir."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.names = 0

    def name(self):
        self.names += 1
        return f"n{self.names}"

    def scalar(self):
        return self.random.choice([
            "boolean", "int", "long", "float", "double", "string", "bytes", DATE, MILLIS, MICROS, LOCAL,
            DECIMAL, {"type": "enum", "name": self.name(), "symbols": ["RED", "A_LONG_SYMBOL_NAME", "B"]},
            {"type": "fixed", "name": self.name(), "size": self.random.choice([0, 1, 12, 20])}])

    def type(self, depth=0):
        draw = self.random.random()
        if draw < 0.5 or depth > 3:
            return self.scalar()
        if draw < 0.7:
            other = self.type(depth + 1)
            if isinstance(other, list):
                return other
            return self.random.choice([["null", other], [other, "null"]])
        if draw < 0.8:
            return {"type": "array", "items": self.type(depth + 1)}
        if draw < 0.88:
            return {"type": "map", "values": self.type(depth + 1)}
        if draw < 0.94:
            return ["null", "string", "boolean", {"type": "array", "items": "long"}]
        return self.record(depth + 1)

    def record(self, depth=0, count=None):
        count = count or self.random.randint(1, 4)
        return {"type": "record", "name": self.name(),
                "fields": [{"name": f"f{i}", "type": self.type(depth)} for i in range(count)]}

    def whole(self, bits):
        return self.random.choice([0, 1, -1, 63, 64, -65, 1 << (bits - 2), -(1 << (bits - 1)), (1 << (bits - 1)) - 1,
                                   self.random.getrandbits(bits - 1), self.random.getrandbits(20)])

    def value(self, kind):
        pick = self.random.choice
        if isinstance(kind, list):
            return self.value(pick(kind))
        if isinstance(kind, dict):
            name = kind["type"]
            if kind.get("logicalType") == "decimal":
                return decimal.Decimal(self.random.randint(-10**19, 10**19)).scaleb(-4)
            if kind is DATE:
                return datetime.date(1970, 1, 1) + datetime.timedelta(self.random.randint(-30000, 60000))
            if kind in (MILLIS, MICROS, LOCAL):
                digits = 1000 if kind is MILLIS else 1
                us = self.random.randint(-10**15, 4 * 10**15) // digits * digits
                at = datetime.datetime(1970, 1, 1, tzinfo=None if kind is LOCAL else UTC)
                return at + datetime.timedelta(microseconds=us)
            if name == "enum":
                return pick(kind["symbols"])
            if name == "fixed":
                return self.random.randbytes(kind["size"])
            if name == "array":
                return [self.value(kind["items"]) for _ in range(self.random.randint(0, 5))]
            if name == "map":
                return {pick(WORDS): self.value(kind["values"]) for _ in range(self.random.randint(0, 4))}
            return {f["name"]: self.value(f["type"]) for f in kind["fields"]}
        return {"null": lambda: None, "boolean": lambda: pick([True, False]), "int": lambda: self.whole(32),
                "long": lambda: self.whole(64), "string": lambda: pick(WORDS),
                "bytes": lambda: self.random.randbytes(self.random.randint(0, 30)),
                "float": lambda: struct.unpack("f", struct.pack("f", self.random.uniform(-1e6, 1e6)))[0],
                "double": lambda: self.random.uniform(-1e100, 1e100)}[kind]()


def column(kind):
    """The type that a field is asked as."""
    if isinstance(kind, list):
        others = [k for k in kind if k != "null"]
        return column(others[0]) if len(others) == 1 else "json"
    if isinstance(kind, dict):
        logical = {"date": "date", "decimal": "numeric", "timestamp-millis": "timestamp",
                   "timestamp-micros": "timestamp", "local-timestamp-micros": "timestamp"}
        if "logicalType" in kind:
            return logical[kind["logicalType"]]
        return {"enum": "text", "fixed": "bytea"}.get(kind["type"], "json")
    return {"boolean": "boolean", "int": "integer", "long": "bigint", "float": "real", "double": "double",
            "string": "text", "bytes": "bytea", "null": "text"}[kind]


def nested_column(maker, kind):
    """Half of the values that have parts as STRUCT, ARRAY and MAP, the others as JSON."""
    asked = column(kind)
    return maker.random.choice(["nested", "json"]) if asked == "json" else asked


def shown(value):
    """A value of fastavro's as the driver prints it, after json.loads."""
    if isinstance(value, datetime.datetime):
        fraction = f".{value.microsecond:06}" if value.microsecond else ""
        fraction = fraction[:4] if value.microsecond % 1000 == 0 else fraction
        return f"{value:%Y-%m-%dT%H:%M:%S}{fraction}Z"
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {k: shown(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shown(v) for v in value]
    return float(value) if isinstance(value, decimal.Decimal) else value


def same(got, wanted):
    if isinstance(got, float) and isinstance(wanted, (int, float)):
        return abs(got - wanted) <= 1e-6 * abs(wanted)  # REAL prints its own shortest digits
    if isinstance(got, dict) and isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(same(got[k], wanted[k]) for k in got)
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(same, got, wanted))
    return got == wanted or (isinstance(wanted, float) and got == int(wanted))


def drive(tmp_path, writer, reader, columns, records):
    (tmp_path / "writer.avsc").write_text(json.dumps(writer))
    (tmp_path / "reader.avsc").write_text(json.dumps(reader or ""))
    data = b"".join(struct.pack("<I", len(r)) + r for r in records)
    done = subprocess.run([DRIVER, "avro", tmp_path / "writer.avsc", tmp_path / "reader.avsc" if reader else "-", *columns],
                          input=data, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    rows = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert len(rows) == len(records)
    return rows


def written(schema, value):
    into = io.BytesIO()
    fastavro.schemaless_writer(into, fastavro.parse_schema(schema), value)
    return into.getvalue()


def recoded(tmp_path, schema, records):
    """The records as Avro C writes them; None when it does not take the schema."""
    data = b"".join(struct.pack("<I", len(r)) + r for r in records)
    (tmp_path / "c.avsc").write_text(json.dumps(schema))
    if '"size": 0' in json.dumps(schema):
        return None  # Avro C reads no fixed of no bytes
    done = subprocess.run([RECODE, tmp_path / "c.avsc"], input=data, capture_output=True, timeout=60, check=False)
    if done.returncode == 3:
        return None
    assert done.returncode == 0, done.stderr.decode()
    cut, out = done.stdout, []
    while cut:
        size = struct.unpack("<I", cut[:4])[0]
        out.append(cut[4:4 + size])
        cut = cut[4 + size:]
    assert len(out) == len(records)
    return out


def check(rows, expected):
    for row, wanted in zip(rows, expected):
        assert "fault" not in row, (row, wanted)
        for name, value in row.items():
            assert same(value, shown(wanted[name])), (name, value, wanted[name])


@pytest.fixture(autouse=True)
def driver():
    assert DRIVER, "no binary_driver: run tools/build"


@pytest.mark.parametrize("seed", range(SCHEMAS))
def test_values_are_fastavros(tmp_path, seed):
    maker = Maker(seed)
    schema = maker.record(count=maker.random.randint(1, 12))
    values = [maker.value(schema) for _ in range(ROWS)]
    records = [written(schema, v) for v in values]
    parsed = fastavro.parse_schema(schema)
    expected = [fastavro.schemaless_reader(io.BytesIO(r), parsed, None) for r in records]
    asked = [f for f in schema["fields"] if maker.random.random() < 0.8] or schema["fields"]
    columns = [f"{f['name']}:{nested_column(maker, f['type'])}" for f in asked]
    check(drive(tmp_path, schema, None, columns, records), expected)
    again = recoded(tmp_path, schema, records)
    assert again is not None or '"size": 0' in json.dumps(schema)
    if again is not None:
        check(drive(tmp_path, schema, None, columns, again), expected)


PROMOTIONS = {"int": ["long", "float", "double"], "long": ["float", "double"], "float": ["double"],
              "string": ["bytes"], "bytes": ["string"]}


@pytest.mark.parametrize("seed", range(SCHEMAS))
def test_resolution_is_fastavros(tmp_path, seed):
    maker = Maker(1000 + seed)
    writer = maker.record(count=8)
    reader = json.loads(json.dumps(writer))
    for field in reader["fields"]:
        draw = maker.random.random()
        if draw < 0.3 and isinstance(field["type"], str) and field["type"] != "bytes":
            field["type"] = maker.random.choice(PROMOTIONS.get(field["type"], [field["type"]]))
        elif draw < 0.5:
            field["aliases"] = ["other", field["name"]]
            field["name"] = "new_" + field["name"]
        elif draw < 0.6 and not isinstance(field["type"], list):
            field["type"] = ["null", field["type"]]
    reader["fields"] = [f for f in reader["fields"] if maker.random.random() < 0.8]
    reader["fields"] += [{"name": "d1", "type": "long", "default": 42},
                         {"name": "d2", "type": ["null", "string"], "default": None},
                         {"name": "d3", "type": "bytes", "default": "\u00ff\u0001"},
                         {"name": "d4", "type": {"type": "array", "items": "int"}, "default": [1, 2]},
                         {"name": "d5", "type": "string", "default": "a default that is long"}]
    maker.random.shuffle(reader["fields"])
    values = [maker.value(writer) for _ in range(ROWS)]
    records = [written(writer, v) for v in values]
    parsed = fastavro.parse_schema(writer), fastavro.parse_schema(json.loads(json.dumps(reader)))
    expected = [fastavro.schemaless_reader(io.BytesIO(r), *parsed) for r in records]
    for row in expected:
        row["d3"] = row["d3"].encode("latin-1") if isinstance(row["d3"], str) else row["d3"]
    columns = [f"{f['name']}:{nested_column(maker, f['type'])}" for f in reader["fields"]]
    check(drive(tmp_path, writer, reader, columns, records), expected)


def test_damaged_records_are_rows_or_faults(tmp_path):
    maker = Maker(7)
    schema = maker.record(count=12)
    records = []
    for _ in range(3000):
        record = bytearray(written(schema, maker.value(schema)))
        for _ in range(maker.random.randint(1, 4)):
            if record and maker.random.random() < 0.7:
                record[maker.random.randrange(len(record))] = maker.random.getrandbits(8)
            else:
                del record[maker.random.randint(0, len(record)):]
        records.append(bytes(record))
    columns = [f"{f['name']}:{nested_column(maker, f['type'])}" for f in schema["fields"]]
    rows = drive(tmp_path, schema, None, columns, records)
    faults = [row["fault"] for row in rows if "fault" in row]
    assert faults and all(faults)


def test_nested_paths(tmp_path):
    geo = {"type": "record", "name": "Geo", "fields": [
        {"name": "country", "type": "string"}, {"name": "at", "type": ["null", {
            "type": "record", "name": "At", "fields": [{"name": "lat", "type": "float"}]}]}]}
    schema = {"type": "record", "name": "Click", "fields": [{"name": "geo", "type": ["null", geo]},
                                                            {"name": "n", "type": "int"}]}
    values = [{"geo": {"country": "DE", "at": {"lat": 1.5}}, "n": 1}, {"geo": None, "n": 2},
              {"geo": {"country": "FR", "at": None}, "n": 3}]
    rows = drive(tmp_path, schema, None, ["geo.at.lat:real", "geo.country:text", "n:bigint", "geo:json"],
                 [written(schema, v) for v in values])
    assert rows == [{"geo.at.lat": 1.5, "geo.country": "DE", "n": 1, "geo": {"country": "DE", "at": {"lat": 1.5}}},
                    {"geo.at.lat": None, "geo.country": None, "n": 2, "geo": None},
                    {"geo.at.lat": None, "geo.country": "FR", "n": 3, "geo": {"country": "FR", "at": None}}]
