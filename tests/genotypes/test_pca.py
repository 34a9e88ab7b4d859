"""Principal components equal those of a dense decomposition, resume, project, and are the same on any scheduler."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time

import dask.config
import numpy as np
import pytest

import daskgen as dg
from daskgen.errors import InputError, ResumeError, UsageError
from daskgen.genotypes.operator import GenotypeOperator
from daskgen.linalg.lanczos import largest_eigenpairs
from tests.genotypes.cohort import random_calls, store, structured_calls
from tests.oracles.relationship import relationship, standardised


def dense(calls, n, scale="empirical"):
    values, vectors = np.linalg.eigh(relationship(calls, scale=scale))
    return values[::-1][:n], vectors[:, ::-1][:, :n]


@pytest.mark.parametrize("scale", ["empirical", "hwe"])
def test_components_equal_the_dense_ones(tmp_path, scale):
    calls = structured_calls(700, 150, populations=4)
    found = dg.genotypes.pca(store(tmp_path / "g.zarr", calls), 3, scale=scale)
    values, vectors = dense(calls, 3, scale)
    np.testing.assert_allclose(found["variances"], values, rtol=1e-6)
    np.testing.assert_allclose(found["variance_share"], values / np.trace(relationship(calls, scale=scale)), rtol=1e-6)
    unit = found["scores"].values / np.sqrt(found["variances"].values)
    np.testing.assert_allclose(np.abs((unit * vectors).sum(axis=0)), 1, atol=1e-8)
    assert found.attrs["converged"]
    assert (found["residual"].values <= 1e-5).all()


def test_scores_are_the_loadings_applied_and_loadings_have_unit_length(tmp_path):
    calls = structured_calls(300, 60)
    calls[np.random.default_rng(0).random(calls.shape) < 0.05] = -1
    found = dg.genotypes.pca(store(tmp_path / "g.zarr", calls), 4)
    z, counted = standardised(calls)
    np.testing.assert_allclose((found["loadings"].values ** 2).sum(axis=0), 1, rtol=1e-4)
    np.testing.assert_allclose(z @ found["loadings"].values / np.sqrt(counted), found["scores"].values, atol=2e-4)
    assert (found["scores"].values.max(axis=0) == np.abs(found["scores"].values).max(axis=0)).all()


@pytest.mark.parametrize(("m", "n", "k"), [(1, 4, 1), (3, 2, 2), (40, 1, 1), (12, 9, 9), (5, 30, 8)])
def test_tiny_data_have_components_too(tmp_path, m, n, k):
    calls = random_calls(m, n, missing=0, seed=4)
    if n == 1:
        with pytest.raises(InputError, match="no variant varies"):
            dg.genotypes.pca(store(tmp_path / "g.zarr", calls), k)
        return
    found = dg.genotypes.pca(store(tmp_path / "g.zarr", calls), k)
    np.testing.assert_allclose(found["variances"], dense(calls, k)[0][: found.sizes["component"]], atol=1e-5)


def test_samples_of_other_genotypes_are_projected_flips_and_order_included(tmp_path):
    calls = structured_calls(400, 90)
    allele = np.array([["A", "G"]] * 400, dtype=object)
    train = store(tmp_path / "train.zarr", calls[:, :60], allele=allele)
    order = np.random.default_rng(0).permutation(400)[:350]
    flipped = np.arange(350) % 3 == 0
    new_calls = np.where(flipped[:, None], 2 - calls[order][:, 60:], calls[order][:, 60:]).astype(np.int8)
    new_allele = np.where(flipped[:, None], allele[order][:, ::-1], allele[order])
    new = store(tmp_path / "new.zarr", new_calls, allele=new_allele, position=order + 1)
    found = dg.genotypes.pca(train, 2, project=new)
    x = calls[:, :60].astype(float)
    z = ((calls[:, 60:].T - x.mean(axis=1)) / x.std(axis=1))[:, order]
    wanted = z @ found["loadings"].values[order] / np.sqrt(400)
    np.testing.assert_allclose(found["projected_scores"].values, wanted, atol=1e-5)
    assert found["projected_sample_id"].values[0] == "s0"


def test_genotypes_with_other_variants_cannot_be_projected(tmp_path):
    calls = structured_calls(100, 30)
    train = store(tmp_path / "train.zarr", calls)
    new = store(tmp_path / "new.zarr", calls, position=np.arange(1000, 1100))
    with pytest.raises(InputError, match=r"0\.0% of the 100 variants"):
        dg.genotypes.pca(train, 2, project=new)


def test_a_killed_run_goes_on_from_its_checkpoint_to_the_same_bits(tmp_path, monkeypatch):
    path = store(tmp_path / "g.zarr", random_calls(400, 150))
    whole = dg.genotypes.pca(path, 3)
    assert whole.attrs["passes"] > 4
    passes = []
    original = GenotypeOperator.kv

    def stopping(self, vectors, **options):
        passes.append(1)
        if len(passes) == 4:
            raise KeyboardInterrupt
        return original(self, vectors, **options)

    with dask.config.set({"daskgen.checkpoint-seconds": 0}):
        monkeypatch.setattr(GenotypeOperator, "kv", stopping)
        with pytest.raises(KeyboardInterrupt):
            dg.genotypes.pca(path, 3, checkpoint=tmp_path / "c.npz")
        monkeypatch.setattr(GenotypeOperator, "kv", original)
        with pytest.raises(ResumeError, match="another run"):
            dg.genotypes.pca(path, 4, checkpoint=tmp_path / "c.npz")
        resumed = dg.genotypes.pca(path, 3, checkpoint=tmp_path / "c.npz")
    assert resumed.attrs["passes"] == whole.attrs["passes"]
    assert resumed["scores"].values.tobytes() == whole["scores"].values.tobytes()
    assert not (tmp_path / "c.npz").exists()


KILLED = """
    import sys, time
    import daskgen as dg
    from daskgen.genotypes.operator import GenotypeOperator
    original = GenotypeOperator.kv
    def slow(self, vectors, **options):
        time.sleep(0.2)
        return original(self, vectors, **options)
    GenotypeOperator.kv = slow
    dg.genotypes.pca(sys.argv[1], 3, checkpoint=sys.argv[2])
"""


def test_a_killed_client_is_resumed_from_its_file(tmp_path):
    path = store(tmp_path / "g.zarr", random_calls(400, 150))
    whole = dg.genotypes.pca(path, 3)
    saved = tmp_path / "c.npz"
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), path, str(saved)],
        env={**os.environ, "DASKGEN_CHECKPOINT_SECONDS": "0"},
    )
    while not saved.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert dg.genotypes.pca(path, 3, checkpoint=saved)["scores"].values.tobytes() == whole["scores"].values.tobytes()


def test_processes_give_the_bits_of_threads(tmp_path):
    path = store(tmp_path / "g.zarr", structured_calls(300, 80), rows=16)
    threads = dg.genotypes.pca(path, 3)
    with dg.cluster.connect("local:2"):
        processes = dg.genotypes.pca(path, 3)
    assert threads["scores"].values.tobytes() == processes["scores"].values.tobytes()
    assert threads["loadings"].values.tobytes() == processes["loadings"].values.tobytes()


def test_too_few_passes_are_said_and_the_result_is_flagged(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="daskgen"):
        found = dg.genotypes.pca(store(tmp_path / "g.zarr", random_calls(500, 200)), 3, max_passes=2)
    assert not found.attrs["converged"]
    assert "did not converge in 2 passes" in caplog.text


@pytest.mark.parametrize("n", [0, 31])
def test_impossible_numbers_of_components_are_refused(tmp_path, n):
    with pytest.raises(UsageError, match="1 to 30"):
        dg.genotypes.pca(store(tmp_path / "g.zarr", random_calls(50, 30)), n)


def test_restarts_keep_what_was_found():
    generator = np.random.default_rng(0)
    a = generator.standard_normal((200, 400))
    k = a @ a.T
    found = largest_eigenpairs(
        lambda v: k @ v, 200, 4, start=generator.standard_normal((200, 3)), tol=1e-9, max_basis=12, max_passes=500
    )
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(k)[::-1][:4], rtol=1e-12)
    assert found.converged
    true = np.linalg.norm(k @ found.vectors - found.vectors * found.values, axis=0)
    np.testing.assert_allclose(true, found.residuals, rtol=1e-2, atol=1e-12 * found.values[0])
