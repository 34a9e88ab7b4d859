"""S, V, I, N and m as R GenomicSEM gives them, on its own inputs."""

from __future__ import annotations

import json

import numpy as np
import pytest

import daskgen as dg
from tests.ldsc.data import (
    POPULATION_PREV,
    SAMPLE_PREV,
    TRAITS,
    munged_dataset,
    read_munged,
    read_scores,
    scores_dataset,
    write,
)
from tests.shared_data import shared

CASES = {
    "ldsc_unique": {},
    "ldsc_unique_sepweights": {"sep_weights": True, "n_blocks": 100, "chisq_max": 40},
    "ldsc_unique_observed_odd": {"sample_prev": None, "population_prev": None, "select": "odd"},
    "ldsc_unique_select": {"traits": TRAITS[:3], "select": [1, 2, 5, 9]},
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    munged = shared("reference/sem/expected/munged_unique")
    inputs = shared("reference/sem/inputs")
    traits = {name: read_munged(munged / f"{name}.sumstats.gz") for name in TRAITS}
    scores = read_scores(inputs / "ld", inputs / "wld")
    return (
        write(folder / "munged.zarr", munged_dataset(traits), "sumstats"),
        write(folder / "ld.zarr", scores_dataset(scores), "ld_scores"),
    )


def expected(name):
    found = json.loads(shared("reference/sem/expected", f"{name}.json").read_text())
    return {key: np.array(value["rows"] if isinstance(value, dict) else value, float) for key, value in found.items()}


def relative(found, wanted):
    return np.abs(np.asarray(found) - wanted).max() / np.abs(wanted).max()


@pytest.mark.parametrize("case", CASES)
def test_results_are_those_of_genomicsem(case, stores):
    munged, scores = stores
    arguments = CASES[case]
    wanted = expected(case)
    k = len(wanted["S"])
    prevalence = {"sample_prev": SAMPLE_PREV[:k], "population_prev": POPULATION_PREV[:k]}
    found = dg.ldsc.ldsc(munged, scores, **(prevalence | arguments))
    for name in ("S", "I", "V"):
        np.testing.assert_allclose(
            found[name].values, wanted[name], rtol=1e-10, atol=1e-10 * np.abs(wanted[name]).max()
        )
    np.testing.assert_allclose(found["S"].values, wanted["S"], rtol=1e-10)
    np.testing.assert_allclose(found["N"].values, wanted["N"].reshape(-1), rtol=1e-12)
    assert float(found["m"]) == wanted["m"]
    if "S_Stand" in wanted:
        np.testing.assert_allclose(found["S_Stand"].values, wanted["S_Stand"], rtol=1e-10)
        assert relative(found["V_Stand"].values, wanted["V_Stand"]) < 1e-10
        np.testing.assert_allclose(np.diag(found["V_Stand"].values), np.diag(wanted["V_Stand"]), rtol=1e-10)
    np.testing.assert_allclose(np.diag(found["V"].values), np.diag(wanted["V"]), rtol=1e-10)
