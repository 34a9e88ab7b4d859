"""The models themselves through the pass: the same bits for any chunks, groups, order of traits, and written or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import daskgen as dg
from daskgen.sem import graph
from tests.sem.stand_in import effects, write_sumstats
from tests.sem.test_per_snp_results import digest, same

N = 611
FACTOR = "F1 =~ NA*A + B + C\nF1 ~~ 1*F1\nF1 ~ SNP"
DIRECT = FACTOR + "\nB ~ SNP"


def covstruct() -> Any:
    loading = np.array([0.5, 0.4, 0.7])
    s = np.outer(loading, loading) + np.diag([0.1, 0.12, 0.2])
    intercepts = np.array([[1.02, 0.1, 0.05], [0.1, 1.01, 0.08], [0.05, 0.08, 1.03]])
    return dg.ldsc.covstruct(s, np.eye(6) * 1e-4 + 2e-5, traits=["A", "B", "C"], I=intercepts)


CASES = {
    "fixed": lambda store: dg.sem.user_gwas(covstruct(), store, FACTOR, q_snp=True, smooth_check=True),
    "fixed, every row": lambda store: dg.sem.user_gwas(covstruct(), store, FACTOR, sub="all"),
    "fixed, direct effect": lambda store: dg.sem.user_gwas(covstruct(), store, DIRECT),
    "free": lambda store: dg.sem.user_gwas(covstruct(), store, FACTOR, fix_measurement=False, q_snp=True),
    "common factor": lambda store: dg.sem.commonfactor_gwas(covstruct(), store),
}


@pytest.mark.parametrize("case", CASES)
def test_chunks_and_blocks_do_not_change_a_bit(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = effects(N)
    columns["maf"][17], columns["beta"][1, 23] = 0.0, np.inf
    whole = CASES[case](write_sumstats(tmp_path / "whole.zarr", columns, rows=N)).compute()
    assert (whole["status"].values[[17, 23]] == 5).all()
    assert np.delete(whole["status"].values, [17, 23]).max() <= 1
    monkeypatch.setattr(graph, "_CACHE_BYTES", 1)
    store = write_sumstats(tmp_path / "cut.zarr", columns, rows=97)
    lazy = CASES[case](store)
    outputs = [name for name in lazy.data_vars if "variant" in lazy[name].dims and not name.startswith("variant")]
    same(lazy, whole, outputs)
    found = CASES[case](store).dg.to_store(tmp_path / "a.zarr")
    same(dg.open_store(found), whole)
    assert dg.verify(found) == []
    assert digest(CASES[case](store).dg.to_store(tmp_path / "b.zarr")) == digest(found)


@pytest.mark.parametrize("case", ["fixed", "free"])
def test_the_order_of_traits_does_not_matter(case: str, tmp_path: Path) -> None:
    columns = effects(N)
    turned = columns | {name: columns[name][::-1].copy() for name in ("beta", "se")}
    one = CASES[case](write_sumstats(tmp_path / "a.zarr", columns))
    other = CASES[case](write_sumstats(tmp_path / "b.zarr", turned, ("C", "B", "A")))
    same(one, other, ["estimate", "se", "chisq", "q_snp", "status"])
