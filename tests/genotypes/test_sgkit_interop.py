"""sgkit's functions run on an opened store and give the numbers that follow from the calls.

sgkit's pins exclude our Zarr and NumPy, so it is installed without its dependencies (see `.ci/run`); the tests skip
where it is not there.
"""

from __future__ import annotations

import numpy as np
import pytest

import daskgen as dg
from tests.genotypes.cohort import random_calls, store
from tests.oracles.relationship import relationship

pytestmark = [pytest.mark.filterwarnings("ignore")]
sgkit = pytest.importorskip("sgkit", reason="sgkit is not installed", exc_type=ImportError)


@pytest.fixture
def calls():
    found = random_calls(200, 60, missing=0.02)
    return found[(found >= 0).any(axis=1)]


@pytest.fixture
def opened(tmp_path, calls):
    return dg.open_store(store(tmp_path / "g.zarr", calls, rows=32))


def test_variant_and_sample_statistics_equal_ours(opened, calls):
    theirs = sgkit.variant_stats(opened).compute()
    ours = dg.genotypes.variant_stats(opened).compute()
    np.testing.assert_array_equal(theirs["variant_n_het"], ours["variant_n_het"])
    np.testing.assert_array_equal(theirs["variant_n_hom_alt"], ours["variant_n_hom_alt"])
    np.testing.assert_array_equal(theirs["variant_n_called"], ours["variant_n_called"])
    np.testing.assert_allclose(theirs["variant_allele_frequency"][:, 1], ours["variant_allele_frequency"], rtol=1e-6)
    samples = sgkit.sample_stats(opened).compute()
    np.testing.assert_array_equal(samples["sample_n_called"], (calls >= 0).sum(axis=0))


def test_hardy_weinberg_equals_ours(opened):
    theirs = sgkit.hardy_weinberg_test(opened)["variant_hwe_p_value"].values
    ours = dg.genotypes.variant_stats(opened)["variant_hwe_p"].values
    np.testing.assert_allclose(theirs, ours, rtol=1e-6)


def test_relationship_and_regression_take_our_dosages(opened, calls):
    called = calls >= 0
    full = opened.isel(variants=called.all(axis=1) & (calls.std(axis=1) > 0))
    kept = calls[called.all(axis=1) & (calls.std(axis=1) > 0)]
    full = full.assign(p=("variants", kept.mean(axis=1) / 2))
    theirs = sgkit.genomic_relationship(full, call_dosage="call_dosage", ancestral_frequency="p")
    centred = kept - kept.mean(axis=1, keepdims=True)
    p = kept.mean(axis=1) / 2
    np.testing.assert_allclose(
        theirs["stat_genomic_relationship"], centred.T @ centred / (2 * p * (1 - p)).sum(), rtol=1e-4, atol=1e-5
    )
    trait = np.random.default_rng(0).standard_normal(60)
    scan = sgkit.gwas_linear_regression(
        full.assign(y=("samples", trait)), dosage="call_dosage", covariates=[], traits=["y"], add_intercept=True
    )
    slopes = [np.polyfit(x, trait, 1)[0] for x in kept]
    np.testing.assert_allclose(scan["variant_linreg_beta"].values[:, 0], slopes, rtol=1e-4, atol=1e-6)


def test_pca_and_ld_run_and_agree(opened, calls):
    good = (calls >= 0).all(axis=1) & (calls.std(axis=1) > 0)
    full = (
        sgkit.count_call_alternate_alleles(opened.isel(variants=good))
        if hasattr(sgkit, "count_call_alternate_alleles")
        else sgkit.stats.pca.count_call_alternate_alleles(opened.isel(variants=good))
    )
    theirs = sgkit.pca(full, n_components=2)["sample_pca_explained_variance_ratio"].values
    values = np.linalg.eigvalsh(relationship(calls[good], scale="hwe"))[::-1]
    np.testing.assert_allclose(theirs, values[:2] / values.sum(), rtol=1e-3)
    windows = sgkit.window_by_variant(opened.isel(variants=good), size=10)
    ld = sgkit.ld_matrix(windows, dosage="call_dosage").compute()
    pair = ld[(ld["i"] == 0) & (ld["j"] == 1)]["value"].iloc[0]
    np.testing.assert_allclose(pair, np.corrcoef(calls[good][:2])[0, 1] ** 2, rtol=1e-4)
