"""The sink 'kafka' in a process of its own: kafka_sink_driver, asked in words."""

import os
import pathlib
import subprocess

from services import harness

ROOT = pathlib.Path(__file__).resolve().parents[2]
RETRY, FATAL = 3, 4


def driver_path():
    """$WEIR_KAFKA_SINK_DRIVER, else the one of the debug build (it has the named crash points)."""
    given = os.environ.get("WEIR_KAFKA_SINK_DRIVER")
    path = pathlib.Path(given) if given else ROOT / "build" / "debug" / "tests" / "kafka_sink" / "kafka_sink_driver"
    assert path.exists(), "no kafka_sink_driver: run tools/build --debug"
    return str(path)


class Failed(Exception):
    def __init__(self, words):
        self.cls, self.message, self.detail, self.hint = int(words[0]), words[1], words[2], words[3]
        super().__init__("; ".join(words))


class Died(Exception):
    """The driver is gone: killed at the crash point that it was told."""


class Sink:
    """One writer in one process; commands as the driver lists them."""

    def __init__(self, brokers, topic, state, uuid, owner, fault=None, memory=64 << 20, **options):
        given = {"connector": "kafka", "brokers": brokers, "topic": topic, "key": "name", "guarantee": "exactly_once", **options}
        env = {"WEIR_FAULT": fault} if fault else {}
        self.owner = owner
        self.process = subprocess.Popen(
            [driver_path(), owner, uuid, str(state), str(memory), *(f"{k}={v}" for k, v in given.items())],
            env=harness.weir_env(env), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(30)
            raise Died(self.process.returncode)
        words = line.rstrip("\n").split("\t")
        if words[0] == "FAIL":
            raise Failed(words[1:])
        assert words[0] == "OK", line
        return words[1]

    def ask(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        return self.answer()

    def insist(self, *words, seconds=60):
        """As run does: repeated while the failure is one to try again."""
        def attempt():
            try:
                return (self.ask(*words),)
            except Failed as failed:
                if failed.cls != RETRY:
                    raise AssertionError(str(failed)) from failed
                return None
        return harness.wait_until(attempt, " ".join(map(str, words)), seconds)[0]

    def recover(self, epoch=0, owners=(), receipt=None):
        return self.insist("recover", epoch, ",".join(owners) or "-", *([receipt] if receipt else []))

    def epoch(self, number, first, count):
        """A whole epoch, as run does it."""
        self.ask("write", first, count)
        receipt = self.insist("prepare", number)
        self.insist("publish", number)
        return receipt

    def stats(self):
        return dict(zip(("rows", "visible", "rejects", "held"), map(int, self.ask("stats").split())))

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(60)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.kill()
