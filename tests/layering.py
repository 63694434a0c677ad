#!/usr/bin/env python3
"""Holds the direction of the includes in src/ against the design's table.

Each folder may include the folders named for it, what those may include, and base, batch, obs and
io; public headers (include/weir) anybody may. Prints each include that points the wrong way, and
closes with "N passed, N failed", where N counts folders.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"

COMMON = {"base": [], "batch": ["base"], "io": ["base"], "obs": ["base"]}
FOLDERS = {
    **COMMON,
    "ring": ["batch"],
    "net": ["io"],
    "kafka": ["net", "config"],
    "plan": ["batch"],
    "state": ["batch"],
    "decode": ["batch", "net", "config"],
    "encode": ["batch"],
    "store": ["net", "io", "config"],
    "config": [],
    "sql": ["plan", "config"],
    "exec": ["plan", "ring", "state"],
    "source": ["decode", "net", "kafka", "config", "plan"],
    "table": ["encode", "store"],
    "sink": ["encode", "store", "table", "kafka", "config", "plan"],
    "run": ["sql", "exec", "source", "sink", "table", "state", "ring", "plan", "net"],
    "main": ["run"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def allowed(folder):
    """The folders that files of `folder` may include, itself among them."""
    reached = {folder}
    waiting = list(FOLDERS[folder])
    if folder not in COMMON:
        waiting += COMMON
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += FOLDERS[name]
    return reached


def included_folder(path, text):
    """The folder of src/ that #include "text" in the file at path leads to, or None."""
    for base in (path.parent, SRC):
        target = (base / text).resolve()
        if target.is_file() and SRC in target.parents:
            return target.relative_to(SRC).parts[0]
    # Not there (generated, or not yet written): its first folder's name says where it belongs.
    first = pathlib.PurePosixPath(text).parts[0]
    return first if first in FOLDERS and "/" in text else None


def violations(folder):
    may = allowed(folder)
    for path in sorted((SRC / folder).rglob("*.[ch]")):
        source = path.read_text(encoding="utf-8", errors="replace")
        for match in INCLUDE.finditer(source):
            to = included_folder(path, match.group(1))
            if to is not None and to not in may:
                line = source.count("\n", 0, match.start(1)) + 1
                yield (f"{path.relative_to(ROOT)}:{line}: {folder}/ may not include {to}/ "
                       f'(#include "{match.group(1)}"); it may include {", ".join(sorted(may))}')


def main():
    passed = failed = 0
    for path in sorted(p for p in SRC.iterdir() if p.is_dir()):
        if path.name not in FOLDERS:
            found = [f"src/{path.name}/ is not in the design's table (tests/layering.py)"]
        else:
            found = list(violations(path.name))
        for line in found:
            print(line)
        passed, failed = passed + (not found), failed + bool(found)
    for path in sorted(SRC.glob("*.[ch]")):
        print(f"{path.relative_to(ROOT)}: source files live in a folder of src/")
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
