"""What the documentation says to type works.

In every README.md of the tree: a ```sql block is a whole pipeline, which `weir check` must accept;
a ```sh block is run as it stands, from a directory that looks like the checkout, with weir on the
PATH. What cannot be run here (docker, a server of the user's own) stands in a ```console block,
which is not run. Sample pipelines under deploy/pipelines are checked too.
"""

import os
import re
import subprocess

import pytest

from services import harness

ROOT = harness.ROOT
READMES = sorted(path for path in [ROOT / "README.md", *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")]
                 if path.is_file() and "build" not in path.relative_to(ROOT).parts)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Commands that the suite they would start is itself part of, or that take a machine of their own.
NOT_FROM_HERE = re.compile(r"^\s*(\.ci/run|tools/test|bench/)")


def blocks(language):
    """The blocks of that language as test parameters; of commands, those that can run from here."""
    return [pytest.param(text, id=where) for where, text in all_blocks(language) if text.strip()]


def all_blocks(language):
    for readme in READMES:
        text = readme.read_text()
        for match in BLOCK.finditer(text):
            if match.group(1) == language:
                line = text.count("\n", 0, match.start()) + 1
                block = match.group(2)
                if language == "sh":
                    block = "".join(kept for kept in block.splitlines(True)
                                    if not NOT_FROM_HERE.match(kept) and not kept.lstrip().startswith("#"))
                yield f"{readme.relative_to(ROOT)}:{line}", block


def secrets_for(sql):
    """A value for each ${NAME} of a pipeline, so that it can be checked."""
    return {name: "bucket" if "BUCKET" in name else "127.0.0.1:9092" for name in re.findall(r"\$\{(\w+)\}", sql)}


def test_the_readme_shows_a_pipeline_and_commands():
    text = (ROOT / "README.md").read_text()
    assert {"sql", "sh"} <= {match.group(1) for match in BLOCK.finditer(text)}


@pytest.mark.parametrize("sql", blocks("sql"))
def test_pipeline_in_the_documentation_is_accepted(sql, run_weir, tmp_path):
    (tmp_path / "pipeline.sql").write_text(sql)
    run_weir("check", "pipeline.sql", env=secrets_for(sql), code=0)


@pytest.mark.parametrize("path", [pytest.param(p, id=p.name) for p in
                                  sorted((ROOT / "deploy" / "pipelines").glob("*.sql"))])
def test_sample_pipeline_is_accepted(path, run_weir):
    run_weir("check", path, env=secrets_for(path.read_text()), code=0)


@pytest.mark.parametrize("commands", blocks("sh"))
def test_commands_in_the_documentation_work(commands, tmp_path):
    for name in ("tools", "deploy", "src", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "weir").symlink_to(harness.weir_bin())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "weir").symlink_to(harness.weir_bin())
    path = f"{tmp_path}/bin:{harness.TOOLS}/venv/bin:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, timeout=240,
                          env=harness.weir_env({"PATH": path}), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{commands}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
