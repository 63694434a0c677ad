"""Measures the Avro decoder on records of 8 fields and about 60 bytes: nanoseconds of CPU per record.

    build/test-tools/venv/bin/python tests/decode/avro_bench.py BUILD_DIR
"""

import io
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import fastavro

FIELDS = [
    ("event_id", "string", "text"), ("user_id", "long", "bigint"), ("type", "string", "text"),
    ("amount", ["null", "double"], "double"), ("country", "string", "text"),
    ("ts", {"type": "long", "logicalType": "timestamp-millis"}, "timestamp"),
    ("mobile", "boolean", "boolean"), ("page", "int", "integer"),
]
SCHEMA = {"type": "record", "name": "Click",
          "fields": [{"name": name, "type": kind} for name, kind, _ in FIELDS]}
# As a bare long: the timestamp's bytes are the same, and fastavro need not make a date of it.
PLAIN = {"type": "record", "name": "Click",
         "fields": [{"name": name, "type": "long" if name == "ts" else kind}
                    for name, kind, _ in FIELDS]}


def records(count):
    schema = fastavro.parse_schema(PLAIN)
    for i in range(count):
        into = io.BytesIO()
        fastavro.schemaless_writer(into, schema, {
            "event_id": f"ev-{i:020}", "user_id": 100000 + i * 7919 % 900000,
            "type": ("view", "click", "purchase")[i % 3], "amount": None if i % 4 == 0 else i / 7,
            "country": ("DE", "FR", "US", "JP")[i % 4], "ts": 1700000000000 + i, "mobile": i % 2 == 0,
            "page": i % 500})
        yield into.getvalue()


def main():
    driver = pathlib.Path(sys.argv[1]) / "tests" / "decode" / "binary_driver"
    all_records = list(records(20000))
    data = b"".join(struct.pack("<I", len(r)) + r for r in all_records)
    with tempfile.NamedTemporaryFile("w", suffix=".avsc") as schema:
        json.dump(SCHEMA, schema)
        schema.flush()
        columns = [f"{name}:{kind}" for name, _, kind in FIELDS]
        for what, asked in (("all 8 columns", columns), ("3 columns", columns[1:6:2])):
            out = subprocess.run([driver, "avro", schema.name, "-", "--bench", "50", *asked], input=data,
                                 capture_output=True, check=True)
            size = sum(map(len, all_records)) / len(all_records)
            print(f"{what} of records of {size:.0f} bytes: {float(out.stdout):.1f} ns per record")


if __name__ == "__main__":
    main()
