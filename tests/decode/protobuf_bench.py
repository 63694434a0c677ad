"""Measures the Protobuf decoder on messages of 8 fields and about 60 bytes: nanoseconds of CPU per message.

    build/test-tools/venv/bin/python tests/decode/protobuf_bench.py BUILD_DIR
"""

import pathlib
import struct
import subprocess
import sys
import tempfile

SCHEMA = """syntax = "proto3";
import "google/protobuf/timestamp.proto";
message Click {
  string event_id = 1; int64 user_id = 2; string type = 3; optional double amount = 4; string country = 5;
  google.protobuf.Timestamp ts = 6; bool mobile = 7; int32 page = 8;
}
"""
COLUMNS = ["event_id:text", "user_id:bigint", "type:text", "amount:double", "country:text", "ts:timestamp",
           "mobile:boolean", "page:integer"]


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def text(number, value):
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def messages(count):
    for i in range(count):
        moment = 1700000000000 + i
        ts = b"\x08" + varint(moment // 1000) + (b"\x10" + varint(moment % 1000 * 1000000) if moment % 1000 else b"")
        yield b"".join([
            text(1, b"ev-%020d" % i), b"\x10" + varint(100000 + i * 7919 % 900000),
            text(3, (b"view", b"click", b"purchase")[i % 3]),
            b"" if i % 4 == 0 else b"\x21" + struct.pack("<d", i / 7),
            text(5, (b"DE", b"FR", b"US", b"JP")[i % 4]), text(6, ts),
            b"\x38\x01" if i % 2 == 0 else b"", b"\x40" + varint(i % 500) if i % 500 else b""])


def main():
    driver = pathlib.Path(sys.argv[1]) / "tests" / "decode" / "binary_driver"
    everything = list(messages(20000))
    data = b"".join(struct.pack("<I", len(m)) + m for m in everything)
    with tempfile.NamedTemporaryFile("w", suffix=".proto") as schema:
        schema.write(SCHEMA)
        schema.flush()
        for what, asked in (("all 8 columns", COLUMNS), ("3 columns", COLUMNS[1:6:2])):
            out = subprocess.run([driver, "protobuf", schema.name, "Click", "--bench", "50", *asked], input=data,
                                 capture_output=True, check=True)
            size = sum(map(len, everything)) / len(everything)
            print(f"{what} of messages of {size:.0f} bytes: {float(out.stdout):.1f} ns per message")


if __name__ == "__main__":
    main()
