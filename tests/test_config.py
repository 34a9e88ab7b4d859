"""Settings hold whether Dask is imported before, within or after the block, and Dask is not imported for defaults."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LATER = """
import os, sys
from daskgen import config
with config.using({"num_workers": 3, "daskgen.chunk-mb": 16, "daskgen.scratch": "/tmp/12"}):
    assert (config.lookup("num_workers"), config.get("chunk-mb"), config.get("max-chunk-mb")) == (3, 16, 128)
    assert "dask" not in sys.modules
    with config.using({"num_workers": 1}):
        assert config.lookup("num_workers") == 1
    assert os.environ["DASK_NUM_WORKERS"] == "3"
    import dask
    assert dask.config.get("num_workers") == 3
    assert (config.lookup("num_workers"), config.get("chunk-mb"), config.get("scratch")) == (3, 16, "/tmp/12")
    with config.using({"num_workers": 2}):
        assert dask.config.get("num_workers") == config.lookup("num_workers") == 2
assert not [name for name in os.environ if name.startswith("DASK_")]
assert dask.config.get("num_workers", None) is None
assert (config.lookup("num_workers"), config.get("chunk-mb"), config.get("scratch")) == (None, 8, None)
with dask.config.set({"daskgen.chunk-mb": 5}):
    assert config.get("chunk-mb") == 5
"""
VARIABLE = """
import sys
from daskgen import config
assert config.get("chunk-mb") == 4
assert "dask" not in sys.modules
import dask
with dask.config.set({"daskgen.chunk-mb": 5}):
    assert config.get("chunk-mb") == 5
assert config.get("chunk-mb") == 4
"""


def run(code: str, **environment: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DASK_", "DASKGEN_"))}
    done = subprocess.run([sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_block_that_began_before_dask_was_imported(tmp_path):
    run(LATER, HOME=str(tmp_path))


def test_a_variable_of_the_environment(tmp_path):
    run(VARIABLE, HOME=str(tmp_path), DASKGEN_CHUNK_MB="4")


@pytest.mark.parametrize(
    ("text", "chunk", "imported"), [("daskgen:\n  chunk-mb: 6\n", 6, True), ("# x: 1\n", 8, False)]
)
def test_a_file_of_dask(tmp_path, text, chunk, imported):
    folder = tmp_path / ".config" / "dask"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(text)
    code = f"import sys\nfrom daskgen import config\nassert config.get('chunk-mb') == {chunk}\n"
    run(f"{code}assert ('dask' in sys.modules) is {imported}", HOME=str(tmp_path))
