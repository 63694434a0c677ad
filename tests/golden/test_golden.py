"""Each wrong pipeline gives one message that says what, where and what to do next: cases/*.sql are checked with
`weir check`, and what it prints is compared with *.expected beside them.

Refresh after a change of wording with WEIR_GOLDEN_REFRESH=1, and read the difference before it is committed.
"""

import os
import pathlib
import re
import subprocess

import pytest

CASES = pathlib.Path(__file__).resolve().parent / "cases"
ROOT = CASES.parent.parent.parent
WEIR = pathlib.Path(os.environ.get("WEIR_BIN") or ROOT / "build" / "weir").resolve()
REFRESH = os.environ.get("WEIR_GOLDEN_REFRESH") == "1"
SECRET = "hunter2"
SQL = sorted(CASES.glob("*.sql"))
DETAIL = "  detail: "


def printable(text):
    """Bytes that a terminal must not get are shown as a blank or as a question mark."""
    return re.sub(r"[^ -~]", "?", text).replace("\0", " ").replace(" ", "?")


def check(case):
    env = {"PATH": os.environ["PATH"], "WEIR_TEST_SECRET": SECRET}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    done = subprocess.run([WEIR, "check", case.name], cwd=CASES, env=env, capture_output=True,
                          timeout=60, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("case", SQL, ids=lambda path: path.stem)
def test_message(case):
    code, out, err = check(case)
    expected = case.with_suffix(".expected")
    if REFRESH:
        expected.write_text(err)
    assert code == 2, f"exit {code}: {err}"
    assert out == ""
    assert SECRET not in err
    assert err == expected.read_text()


def test_there_are_enough():
    assert len(SQL) >= 60
    assert not [path for path in CASES.glob("*.expected") if not path.with_suffix(".sql").exists()]


@pytest.mark.parametrize("case", SQL, ids=lambda path: path.stem)
def test_caret_points_into_the_line(case):
    """A message with a place shows that line, and the caret stands under the column that it names."""
    text = case.with_suffix(".expected").read_text()
    place = re.search(rf"{re.escape(case.name)}:(\d+):(\d+): ", text)
    if place is None:
        return
    lines = text.splitlines()
    row = next(i for i, line in enumerate(lines) if line.strip() == "^")
    assert lines[row - 1].startswith(DETAIL)
    shown, caret = lines[row - 1][len(DETAIL):], lines[row].index("^") - len(DETAIL)
    assert 0 <= caret <= len(shown)
    if not shown.startswith("…") and "***" not in shown:
        assert caret == int(place.group(2)) - 1
        source = case.read_bytes().decode(errors="replace").split("\n")[int(place.group(1)) - 1]
        assert printable(source).startswith(printable(shown.rstrip("…")))


@pytest.mark.parametrize("case", SQL, ids=lambda path: path.stem)
def test_every_message_has_a_next_step(case):
    assert re.search(r"^  hint: \S", case.with_suffix(".expected").read_text(), re.MULTILINE)
