"""sgkit's functions run on an opened store and give the numbers that follow from the calls, and those that sgkit gives
in an environment of its own pins on the VCF Zarr that daskgen exports.

sgkit's pins exclude our Zarr and NumPy, so here it is installed without its dependencies (see `.ci/run`); the tests
skip where it is not there. $DASKGEN_SGKIT_PYTHON is the interpreter of the environment in which it has them.
"""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest

import conversion
import daskgen as dg
from tests.genotypes import sgkit_numbers
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


@pytest.mark.parametrize("with_dosage", [False, True])
def test_sgkit_computes_the_same_from_the_export_where_it_has_its_own_pins(tmp_path, with_dosage):
    python = os.environ.get("DASKGEN_SGKIT_PYTHON")
    if not python:
        pytest.skip("DASKGEN_SGKIT_PYTHON names no interpreter that has sgkit with its own pins")
    calls = random_calls(300, 60, missing=0.005)
    noise = np.random.default_rng(0).normal(0, 0.05, calls.shape)
    dosage = np.clip(np.where(calls < 0, np.nan, calls + noise), 0, 2) if with_dosage else None
    path = store(tmp_path / "g.zarr", calls, rows=64, dosage=dosage)
    group = conversion.export_vcf_zarr(path, tmp_path / "g.vcz", variants_chunk_size=100, samples_chunk_size=32)
    opened = dg.open_store(path)
    name = "call_DS" if with_dosage else "call_dosage"
    theirs = subprocess.run(
        [python, sgkit_numbers.__file__, group, tmp_path / "theirs.npz", name],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        timeout=200,
    )
    assert theirs.returncode == 0, theirs.stderr
    found = np.load(tmp_path / "theirs.npz")
    ours = sgkit_numbers.numbers(opened, "call_dosage")
    assert set(found) == {"sgkit", *ours}
    assert str(found["sgkit"]) == "0.10.0"
    for key, value in ours.items():
        assert value.size
        np.testing.assert_allclose(value, found[key], rtol=1e-12, atol=1e-12, err_msg=key)
