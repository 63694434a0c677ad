"""A store in a process of its own: store_driver, asked in words."""

import os
import pathlib
import subprocess

from services import harness

ROOT = pathlib.Path(__file__).resolve().parents[2]


def driver_path():
    """$WEIR_STORE_DRIVER, else the one of the build that was made last."""
    given = os.environ.get("WEIR_STORE_DRIVER")
    found = [pathlib.Path(given)] if given else list(ROOT.glob("build/*/tests/store/store_driver"))
    assert found, "no store_driver: run tools/build"
    return str(max(found, key=lambda path: path.stat().st_mtime))


class Failed(Exception):
    """FAIL of the driver: cls (1 user, 2 data, 3 retry, 4 fatal), message, detail, hint."""

    def __init__(self, words):
        self.cls, self.message, self.detail, self.hint = int(words[0]), words[1], words[2], words[3]
        super().__init__("; ".join(words))


class Store:
    """A store_driver process. get, put and the like as in store.h; END is returned as None or False."""

    def __init__(self, directory, url, env, *options):
        self.directory = directory
        self.log = open(directory / "driver.log", "ab+")
        self.process = subprocess.Popen(
            [driver_path(), url, *options], env=harness.weir_env(env), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.log, text=True, bufsize=1)
        try:
            self.answer()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.process.stdin.close()
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert code == 0, f"driver exit code {code}: {self.logged()[-3000:]}"

    def logged(self):
        return (self.directory / "driver.log").read_text(errors="replace")

    def answer(self):
        line = self.process.stdout.readline()
        assert line, f"the driver died: {self.logged()[-3000:]}"
        words = line.rstrip("\n").split("\t")
        at = next((i for i, word in enumerate(words) if word in ("OK", "END", "FAIL")), None)
        assert at is not None, line
        if words[at] == "FAIL":
            raise Failed(words[at + 1:])
        return (True if words[at] == "OK" else None), words[:at]

    def send(self, *words):
        self.process.stdin.write("\t".join(str(word) for word in words) + "\n")

    def ask(self, *words):
        self.send(*words)
        return self.answer()

    def _file(self, data):
        path = self.directory / "data"
        path.write_bytes(data)
        return path

    def put(self, key, data, new=False):
        return self.ask("put_new" if new else "put", key, self._file(data))[0]

    def get(self, key):
        path = self.directory / "got"
        return path.read_bytes() if self.ask("get", key, path)[0] else None

    def get_range(self, key, offset, size):
        path = self.directory / "got"
        return path.read_bytes() if self.ask("get_range", key, offset, size, path)[0] else None

    def ticket(self, slot):
        return self.ask("ticket", slot)[1][1]

    def delete(self, key):
        return self.ask("delete", key)[0]

    def list(self, prefix="", start_after=""):
        words = self.ask("list", prefix, start_after)[1][1:]
        return [(words[i], int(words[i + 1])) for i in range(0, len(words) - 1, 2)]

    def upload(self, slot, key):
        return self.ask("upload", slot, key)

    def write(self, slot, data, piece=1 << 20):
        return self.ask("write", slot, self._file(data), piece)
