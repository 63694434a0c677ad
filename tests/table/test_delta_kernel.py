"""Tables as Delta Kernel reads them, the JVM library of the Delta project itself (Flink, Trino and others build on it)."""

import fcntl
import pathlib
import shutil
import subprocess

import pytest

from services import harness
from table.bed import NULL, ROOT, Driver, log_of

HERE = pathlib.Path(__file__).resolve().parent / "delta-kernel"
JARS = ROOT / "build" / "test-tools" / "delta-kernel"


@pytest.fixture(scope="module")
def kernel():
    """kernel(path): the version, and the rows as lists of texts, sorted by the first column as a number."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise harness.Unavailable(f"Delta Kernel: no {program}")
    JARS.mkdir(parents=True, exist_ok=True)
    with open(JARS / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = JARS / "pom.xml"
        if not stamp.exists() or stamp.read_bytes() != (HERE / "pom.xml").read_bytes():
            done = subprocess.run(["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies",
                                   f"-DoutputDirectory={JARS}"], capture_output=True, text=True, check=False, timeout=240)
            if done.returncode != 0:
                raise harness.Unavailable(f"Delta Kernel: Maven: {(done.stdout.strip().splitlines() or ['?'])[0]}")
            shutil.copy(HERE / "pom.xml", stamp)
        classes = JARS / "classes"
        done = subprocess.run(["java", "-cp", f"{JARS}/*", "org.eclipse.jdt.internal.compiler.batch.Main", "-11",
                               "-nowarn", "-d", str(classes), "-cp", ":".join(map(str, sorted(JARS.glob("*.jar")))),
                               str(HERE / "ReadDelta.java")], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]

    def read(path):
        done = subprocess.run(["java", "-Xmx512m", "-cp", f"{classes}:{JARS}/*", "ReadDelta", str(path)],
                              capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]
        lines = done.stdout.splitlines()
        return int(lines[0]), sorted((line.split("\t") for line in lines[1:]), key=lambda row: int(row[0]))

    return read


def test_types_partitions_checkpoints_and_merged_files(tmp_path, kernel):
    path = tmp_path / "t"
    columns = ("id|BIGINT!;p|TEXT;b|BOOLEAN;i2|SMALLINT;i4|INTEGER;f4|REAL;f8|DOUBLE PRECISION;d9|NUMERIC(9,2);"
               "d38|NUMERIC(38,10);s|TEXT;x|BYTEA;d|DATE;ts|TIMESTAMP;j|JSON")
    values = ["true", "-5", "7", "1.5", "2.25", "1234567.89", "-1234567890123456789012345678.0123456789", "äöü",
              "\\x00ff", "1970-01-11", "1969-12-31T23:59:59.999999Z", '{"a":1}']
    wanted = ["true", "-5", "7", "1.5", "2.25", "1234567.89", "-1234567890123456789012345678.0123456789", "äöü",
              "AP8=", "10", "-1", '{"a":1}']
    with Driver(path, tmp_path) as driver:
        driver.open(columns, "p")
        for number in range(12):
            partition = ["a b/%c", NULL, "日本"][number % 3]
            driver.rows([[number, partition, *(values if number % 2 else [NULL] * len(values))]])
            driver.append("u/lake", number)
            if number == 5:
                driver.ask("checkpoint", 0)
        expected = [[str(n), ["a b/%c", NULL, "日本"][n % 3], *(wanted if n % 2 else [NULL] * len(wanted))]
                    for n in range(12)]
        assert kernel(path) == (12, expected)
        driver.compact_all()
        driver.ask("checkpoint", 0)
        version = driver.refresh()
    for name in log_of(path).glob("*.json"):  # nothing but the checkpoint is left
        name.unlink()
    (log_of(path) / f"{version:020}.json").write_text("")
    assert kernel(path) == (version, expected)


def test_nested_columns(tmp_path, kernel):
    path = tmp_path / "t"
    rows = [["0", '[5, ["x", null], [["k", [1.5, "1970-01-11"]], ["n", null]]]', "[[3, 1], [], null, [null]]"],
            ["1", NULL, "[]"], ["2", "[null, null, null]", NULL], ["3", "[-7, [], []]", "[[2]]"]]
    wanted = [["0", "{5,[x,\\N],<k:{1.5,10},n:\\N>}", "[[3,1],[],\\N,[\\N]]"], ["1", NULL, "[]"], ["2", "{\\N,\\N,\\N}", NULL],
              ["3", "{-7,[],<>}", "[[2]]"]]
    with Driver(path, tmp_path) as driver:
        driver.open("id|BIGINT!;s|STRUCT<a BIGINT, b TEXT[], m MAP<TEXT, STRUCT<x DOUBLE PRECISION, d DATE>>>;l|BIGINT[][]")
        for epoch, row in enumerate(rows):
            driver.rows([row])
            driver.append("u/lake", epoch + 1)
        assert kernel(path) == (4, wanted)
        assert driver.compact_all() == (4, 1)
        driver.ask("checkpoint", 0)
    assert kernel(path) == (5, wanted)
