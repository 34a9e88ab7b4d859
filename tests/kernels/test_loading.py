"""Compiled kernels out of the cache: the same code, without what only a compiler needs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# Compiles or reads a kernel in a folder of its own; prints the counts and what was imported for it.
CODE = """
import json, sys
import numba, numpy as np
from daskgen.kernels import loading
from daskgen.kernels.genotype_counts import count_codes
if sys.argv[1] == "newer":
    loading._KNOWN = ((0, 1), (0, 2))
counts = count_codes(np.array([[0b11_10_01_00]], np.uint8), 4).tolist()
print(json.dumps([counts, "numba.np.linalg" in sys.modules, "scipy.linalg" in sys.modules]))
"""


def run(folder, how):
    done = subprocess.run(
        [sys.executable, "-c", CODE, how],
        env={"PATH": "", "DASKGEN_CACHE": str(folder), "HOME": str(folder)},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


def test_code_from_the_cache_is_read_without_the_compilers_libraries(tmp_path):
    compiled = run(tmp_path, "known")
    read = run(tmp_path, "known")
    assert compiled[0] == read[0] == [[1, 1, 1, 1]]
    assert compiled[1:] == [True, True]
    assert read[1:] == [False, False]


@pytest.mark.parametrize("times", [1, 2])
def test_a_numba_that_was_not_seen_loads_in_its_own_way(tmp_path, times):
    for _ in range(times):
        counts, *_ = run(tmp_path, "newer")
        assert counts == [[1, 1, 1, 1]]
