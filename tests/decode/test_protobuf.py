"""The Protobuf decoder against Google's own: random types and messages, written in pieces that must be merged, as columns of the
types that the schema gives and as JSON; and messages that were damaged, of which each must become a row or a fault."""

import base64
import json
import math
import os
import pathlib
import random
import re
import struct
import subprocess

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import DecodeError
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOUND = sorted(ROOT.glob("build/*/tests/decode/binary_driver"), key=lambda path: path.stat().st_mtime)
DRIVER = os.environ.get("WEIR_BINARY_DRIVER") or (FOUND[-1] if FOUND else None)
SCHEMAS = 30
ROWS = 40

SCALARS = ["double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32",
           "sfixed64", "bool", "string", "bytes"]
KEYS = [t for t in SCALARS if t not in ("double", "float", "bytes")]
KNOWN = ["google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.Int64Value",
         "google.protobuf.StringValue", "google.protobuf.DoubleValue", "google.protobuf.BytesValue",
         "google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue", "google.protobuf.Any",
         "google.protobuf.Empty"]
IMPORTS = "".join(f'import "google/protobuf/{name}.proto";\n'
                  for name in ("timestamp", "duration", "wrappers", "struct", "any", "empty"))
WORDS = ["", "a", "exactly12byt", "thirteen byte", "ünï", "日本語のとても長い文字列", "\"quoted\"\n", "x" * 300]


class Maker:
    """Random files and messages."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.proto3 = self.random.random() < 0.7
        self.names = 0

    def scalar(self):
        return self.random.choice(SCALARS)

    def field(self, number, inside, depth):
        """A field's text, and the declarations that it needs."""
        pick = self.random.random()
        self.names += 1
        kind, own = self.scalar(), ""
        if 0.45 <= pick < 0.55:
            kind = "Color"
        elif pick < 0.65 and pick >= 0.55:
            kind = self.random.choice(KNOWN)
        elif pick >= 0.65 and pick < 0.85 and depth < 3:
            kind = f"M{self.names}"
            own = self.message(kind, depth + 1)
        elif pick >= 0.85 and pick < 0.9:
            kind = inside  # in itself
        label = self.random.choice(["", "repeated ", "repeated ", "optional "])
        options = ""
        if pick > 0.93:
            label, kind = "", f"map<{self.random.choice(KEYS)}, {kind}>"
        elif not self.proto3 and not label:
            label = "optional "
        if label == "repeated " and kind in SCALARS and kind not in ("string", "bytes") and self.random.random() < 0.3:
            options = f" [packed = {'false' if self.proto3 else 'true'}]"
        return f"{own}  {label}{kind} f{number} = {number}{options}; // {kind}\n"

    def message(self, name, depth=0):
        body, numbers = "", list(range(1, self.random.randint(2, 9 if depth == 0 else 5)))
        if self.random.random() < 0.3:
            numbers += [15, 16, 700, 536870911]
        if self.random.random() < 0.4:
            body += f"  oneof kind {{\n    {self.scalar()} o1 = 101; {self.scalar()} o2 = 102; Color o3 = 103;\n" \
                    f"    {name} o4 = 104; google.protobuf.Timestamp o5 = 105; }}\n"
        self.random.shuffle(numbers)
        return f"message {name} {{\n{body}{''.join(self.field(n, name, depth) for n in numbers)}}}\n"

    def file(self):
        return (f'syntax = "{"proto3" if self.proto3 else "proto2"}"; /* made */\n{IMPORTS}package t.seed;\n'
                'option java_package = "x.y"; enum Color { RED = 0; A_LONG_COLOR_NAME = 1; BLUE = -5; BIG = 1000; }\n'
                + self.message("Top"))

    def number(self, kind):
        if kind in (Field.TYPE_DOUBLE, Field.TYPE_FLOAT):
            value = self.random.choice([0, 1.5, -2.25, 1e30, math.inf, math.nan, self.random.uniform(-1e6, 1e6)])
            return value
        bits = 32 if kind in (Field.TYPE_INT32, Field.TYPE_UINT32, Field.TYPE_SINT32, Field.TYPE_FIXED32,
                              Field.TYPE_SFIXED32) else 64
        signed = kind in (Field.TYPE_INT32, Field.TYPE_INT64, Field.TYPE_SINT32, Field.TYPE_SINT64, Field.TYPE_SFIXED32,
                          Field.TYPE_SFIXED64)
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        return self.random.choice([0, 1, 127, 128, low, high, self.random.randint(low, high), self.random.randint(0, 9999)])

    def scalar_value(self, field):
        if field.type == Field.TYPE_STRING:
            return self.random.choice(WORDS)
        if field.type == Field.TYPE_BYTES:
            return self.random.randbytes(self.random.randint(0, 30))
        if field.type == Field.TYPE_BOOL:
            return self.random.random() < 0.5
        if field.type == Field.TYPE_ENUM:
            return self.random.choice([0, 1, -5, 1000] + [77, -12345678] * self.proto3)
        return self.number(field.type)

    def fill(self, message, depth=0):
        name = message.DESCRIPTOR.full_name
        if name == "google.protobuf.Timestamp":
            message.seconds = self.random.randint(-10**9, 4 * 10**9)
            message.nanos = self.random.choice([0, 123000000, 123456000, 999999999])
            return
        if name == "google.protobuf.Duration":
            sign = self.random.choice([1, -1])
            message.seconds, message.nanos = sign * self.random.randint(0, 10**6), sign * self.random.choice([0, 5000])
            return
        if name == "google.protobuf.Value" and depth > 4:
            message.number_value = 1.25
            return
        for field in message.DESCRIPTOR.fields:
            if self.random.random() < (0.3 if depth < 3 else 0.8):
                continue
            if field.type == Field.TYPE_MESSAGE and depth > 4:
                continue
            if field.message_type and field.message_type.GetOptions().map_entry:
                self.fill_map(getattr(message, field.name), field.message_type, depth)
            elif field.is_repeated:
                for _ in range(self.random.randint(0, 4)):
                    if field.type == Field.TYPE_MESSAGE:
                        self.fill(getattr(message, field.name).add(), depth + 1)
                    else:
                        getattr(message, field.name).append(self.scalar_value(field))
            elif field.type == Field.TYPE_MESSAGE:
                getattr(message, field.name).SetInParent()
                self.fill(getattr(message, field.name), depth + 1)
            else:
                value = self.scalar_value(field)
                if name == "google.protobuf.Value" and isinstance(value, float) and not math.isfinite(value):
                    value = 2.5
                setattr(message, field.name, value)
        if name == "google.protobuf.Value" and message.WhichOneof("kind") is None:
            message.bool_value = True

    def fill_map(self, into, entry, depth):
        for _ in range(self.random.randint(0, 4)):
            key = self.scalar_value(entry.fields_by_number[1])
            if entry.fields_by_number[2].type == Field.TYPE_MESSAGE:
                self.fill(into[key], depth + 1)
            else:
                into[key] = self.scalar_value(entry.fields_by_number[2])


def compile_file(folder, text):
    """protoc's descriptor set of a file, and the class of its message Top."""
    (folder / "t.proto").write_text(text)
    out = folder / "t.desc"
    assert protoc.main(["protoc", f"-I{folder}", f"-I{pathlib.Path(protoc.__file__).parent / '_proto'}",
                        "--include_imports", f"-o{out}", "t.proto"]) == 0, text
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    for file in files.file:
        pool.Add(file)
    return out, message_factory.GetMessageClass(pool.FindMessageTypeByName("t.seed.Top"))


def moment(message):
    us = message.seconds * 1000000 + message.nanos // 1000
    days, rest = divmod(us, 86400 * 10**6)
    seconds, fraction = divmod(rest, 10**6)
    import datetime
    day = (datetime.date(1970, 1, 1) + datetime.timedelta(days)).isoformat()
    shown = "" if fraction == 0 else f".{fraction // 1000:03}" if fraction % 1000 == 0 else f".{fraction:06}"
    return f"{day}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{shown}Z"


def scalar(field, value):
    if field.type == Field.TYPE_BYTES:
        return base64.b64encode(value).decode()
    if field.type == Field.TYPE_ENUM:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else str(value)
    if field.type in (Field.TYPE_FLOAT, Field.TYPE_DOUBLE) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def single(field, value):
    if field.type != Field.TYPE_MESSAGE:
        return scalar(field, value)
    name = value.DESCRIPTOR.full_name
    if name == "google.protobuf.Timestamp":
        return moment(value)
    if name == "google.protobuf.Duration":
        return ("duration", value.seconds * 10**6 + value.nanos // 1000)
    if name in ("google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"):
        return as_maps(json_format.MessageToDict(value))
    if name.startswith("google.protobuf.") and name.endswith("Value"):
        return scalar(value.DESCRIPTOR.fields_by_number[1], value.value)
    return wanted(value)


class Map(dict):
    """What a map became, unlike a message."""


def as_maps(value):
    if isinstance(value, dict):
        return Map({k: as_maps(v) for k, v in value.items()})
    return [as_maps(v) for v in value] if isinstance(value, list) else value


def wanted(message):
    """What a message is as JSON in Weir."""
    out = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type and field.message_type.GetOptions().map_entry:
            inner = field.message_type.fields_by_number[2]
            out[field.name] = Map({str(k).lower() if isinstance(k, bool) else str(k): single(inner, value[k]) for k in value})
        elif field.is_repeated:
            out[field.name] = [single(field, one) for one in value]
        elif field.has_presence and not message.HasField(field.name):
            out[field.name] = None
        else:
            out[field.name] = single(field, value)
    return out


def as_us(text):
    found = re.fullmatch(r"(?:(-?\d+) days? ?)?(?:(-?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?)?", text)
    assert found, text
    days, sign, h, m, s, fraction = found.groups()
    us = (int(h or 0) * 3600 + int(m or 0) * 60 + int(s or 0)) * 10**6 + int((fraction or "0").ljust(6, "0"))
    return int(days or 0) * 86400 * 10**6 + (-us if sign else us)


def same(got, want, maps=True):
    """maps=False: of those it is enough that they are there."""
    if isinstance(want, tuple):
        return isinstance(got, str) and as_us(got) == want[1]
    if isinstance(want, Map) and not maps:
        return isinstance(got, dict)
    if isinstance(want, dict):
        return isinstance(got, dict) and sorted(got) == sorted(want) and all(same(got[k], want[k], maps) for k in want)
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and all(same(g, w, maps) for g, w in zip(got, want))
    if isinstance(want, float) and isinstance(got, (int, float)) and not isinstance(got, bool):
        return got == want or struct.pack("f", got) == struct.pack("f", want)
    return got == want and isinstance(got, bool) == isinstance(want, bool)


def decode(schema, message, records, columns):
    data = b"".join(struct.pack("<I", len(r)) + r for r in records)
    columns = [c if ":" in c else f"{c}:nested" for c in columns]
    done = subprocess.run([DRIVER, "protobuf", schema, message, *columns], input=data, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


UNKNOWN = [varint(999 << 3) + b"\x05", varint(998 << 3 | 2) + b"\x03abc", varint(997 << 3 | 5) + b"abcd",
           varint(996 << 3 | 1) + b"abcdefgh",
           varint(995 << 3 | 3) + b"\x08\x01" + varint(994 << 3 | 3) + varint(994 << 3 | 4) + varint(995 << 3 | 4)]


@pytest.fixture(scope="module", autouse=True)
def driver():
    assert DRIVER, "no binary_driver: run tools/build"


@pytest.mark.parametrize("seed", range(SCHEMAS))
def test_random_messages(tmp_path, seed):
    maker = Maker(seed)
    text = maker.file()
    schema, top = compile_file(tmp_path, text)
    records, expected = [], []
    for _ in range(ROWS):
        pieces = []
        for _ in range(maker.random.choice([1, 1, 2, 3])):
            message = top()
            maker.fill(message)
            pieces += [message.SerializeToString(deterministic=True), maker.random.choice(UNKNOWN + [b""])]
        records.append(b"".join(pieces))
        expected.append(wanted(top.FromString(records[-1])))
    names = list(expected[0])
    rows = decode(schema, "t.seed.Top", records, names)
    for got, want, record in zip(rows, expected, records, strict=True):
        for name in names:
            assert "fault" not in got and same(got[name], want[name]), (text, record.hex(), name, got, want)
    assert decode(tmp_path / "t.proto", "Top", records, names) == rows
    as_json = decode(schema, "Top", records, [f"{name}:json" for name in names])
    for got, want in zip(as_json, expected, strict=True):
        for name in names:
            assert same(got[name], want[name]), (text, name, got, want)


@pytest.mark.parametrize("seed", range(8))
def test_damaged_messages_are_rows_or_faults(tmp_path, seed):
    maker = Maker(1000 + seed)
    maker.proto3 = True
    schema, top = compile_file(tmp_path, maker.file())
    names = [field.name for field in top.DESCRIPTOR.fields]
    records = []
    for _ in range(400):
        message = top()
        maker.fill(message)
        record = bytearray(message.SerializeToString(deterministic=True))
        for _ in range(maker.random.randint(1, 3)):
            if record and maker.random.random() < 0.7:
                record[maker.random.randrange(len(record))] = maker.random.getrandbits(8)
            else:
                del record[maker.random.randint(0, len(record)):]
        records.append(bytes(record))
    agreed = 0
    for record, row in zip(records, decode(schema, "Top", records, names), strict=True):
        try:
            parsed = top.FromString(record)
            want = wanted(parsed)
        except (DecodeError, OverflowError, json_format.SerializeToJsonError):
            continue
        if "fault" in row:
            # What Google's parser takes and a column cannot: times beyond a TIMESTAMP.
            assert "out of range" in row["fault"], (record.hex(), row)
            continue
        agreed += all(same(row[name], want[name]) for name in names)
        # Google's parser for Python puts a map's entry aside when it has an unknown field; here it stays.
        assert all(same(row[name], want[name], maps=False) for name in names), (record.hex(), row, want)
    assert agreed > 20


def test_paths_and_declared_types(tmp_path):
    (tmp_path / "t.proto").write_text("""
      syntax = "proto3"; package t.seed; import "google/protobuf/timestamp.proto";
      message Top { Inner a = 1; int64 ms = 2; oneof which { Inner b = 3; string c = 4; } uint32 u = 5;
        message Inner { int32 n = 1; Inner deep = 2; optional string s = 3; google.protobuf.Timestamp at = 4; } }""")
    _, top = compile_file(tmp_path, (tmp_path / "t.proto").read_text())
    full = top(ms=1700000000123, u=7)
    full.a.deep.n = 5
    full.a.at.seconds = 86400
    full.b.n = 6
    replaced = top.FromString(full.SerializeToString(deterministic=True) + top(c="x").SerializeToString())
    rows = decode(tmp_path / "t.proto", "Top",
                  [full.SerializeToString(deterministic=True), full.SerializeToString() + top(c="x").SerializeToString(), b""],
                  ["a.n:bigint", "a.deep.n:numeric", "a.s:text", "a.at:date", "ms:timestamp", "b.n:integer", "c:text",
                   "u:double", "a.deep.deep.n:integer", "missing.x:text"])
    first = {"a.n": 0, "a.deep.n": 5, "a.s": None, "a.at": "1970-01-02", "ms": "2023-11-14T22:13:20.123Z", "b.n": 6,
             "c": None, "u": 7, "a.deep.deep.n": None, "missing.x": None}
    assert rows[0] == first
    assert replaced.WhichOneof("which") == "c" and rows[1] == {**first, "b.n": None, "c": "x"}
    assert rows[2] == {**dict.fromkeys(first), "ms": "1970-01-01T00:00:00Z", "u": 0}
