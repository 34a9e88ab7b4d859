"""Simulated summary statistics: their moments, their independence of chunks and workers, and bad arguments."""

from __future__ import annotations

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import daskgen as dg
from daskgen.errors import InputError, ResumeError, StoreError, UsageError

S = np.array([[0.4, 0.2], [0.2, 0.3]])
INTERCEPTS = np.array([[1.1, 0.3], [0.3, 0.9]])


def scores(n_variants: int = 50_000, score: np.ndarray | float | None = None) -> xr.Dataset:
    value = np.random.default_rng(0).gamma(1.5, 20, n_variants) - 1 if score is None else np.full(n_variants, score)
    return xr.Dataset(
        {
            "ld_score": (("variants", "annotations"), value[:, None]),
            "variant_id": ("variants", np.array([f"rs{i}" for i in range(n_variants)], dtype=object)),
            "variant_contig": ("variants", np.arange(n_variants) // 30_000),
            "variant_position": ("variants", np.arange(n_variants) % 30_000),
            "contig_id": ("contigs", np.array(["1", "2"], dtype=object)),
            "M_5_50": (("contigs", "annotations"), np.array([[3e4], [2e4]])),
        }
    )


def simulate(path, ld, **arguments):
    defaults = {"S": S, "N": [2e4, 5e4], "intercepts": INTERCEPTS, "seed": 5}
    return dg.open_store(dg.simulate.sumstats(path, ld, **(defaults | arguments)))


def test_moments_are_those_of_the_model(tmp_path):
    ld = scores(score=30.0)
    z = simulate(tmp_path / "s.zarr", ld)["z"].values
    wanted = 30.0 / 5e4 * S * np.sqrt(np.outer([2e4, 5e4], [2e4, 5e4])) + INTERCEPTS
    found = z @ z.T / z.shape[1]
    error = np.sqrt((np.outer(np.diag(wanted), np.diag(wanted)) + wanted**2) / z.shape[1])
    assert (np.abs(found - wanted) < 4 * error).all()
    assert np.abs(z.mean(axis=1)).max() < 4 * np.sqrt(np.diag(wanted) / z.shape[1]).max()
    # Neighbours are independent.
    assert abs(np.corrcoef(z[0, :-1], z[0, 1:])[0, 1]) < 4 / np.sqrt(z.shape[1])


def test_ld_score_regression_gives_the_truth_back(tmp_path):
    ld = scores()
    found = dg.ldsc.ldsc(dg.simulate.sumstats(tmp_path / "s.zarr", ld, S=S, N=[2e4, 5e4], intercepts=INTERCEPTS), ld)
    assert (np.abs(found["S"].values - S) < 4 * found["S_se"].values).all()
    assert (np.abs(found["I"].values - INTERCEPTS) < 4 * found["I_se"].values).all()


def test_the_store_has_the_variants_of_the_scores_and_the_truth(tmp_path):
    ld = scores(1_003)
    opened = simulate(tmp_path / "s.zarr", ld)
    assert opened.attrs["purpose"] == "ldsc"
    assert opened.attrs["simulation"]["S"] == S.tolist()
    assert opened["variant_id"].values.tolist() == ld["variant_id"].values.tolist()
    assert opened["trait"].values.tolist() == ["T1", "T2"]
    assert (opened["n"].values == [[2e4], [5e4]]).all()
    assert opened["n_kind"].values.tolist() == ["total", "total"]
    assert dg.verify(tmp_path / "s.zarr") == []
    named = simulate(tmp_path / "n.zarr", ld, S=pd.DataFrame(S, columns=["height", "bmi"]))
    assert named["trait"].values.tolist() == ["height", "bmi"]


def test_missing_variants_are_a_share_of_each_trait(tmp_path):
    complete = simulate(tmp_path / "c.zarr", scores())["z"].values
    opened = simulate(tmp_path / "m.zarr", scores(), missing_rate=0.2)
    z, n = opened["z"].values, opened["n"].values
    missing = np.isnan(z)
    assert (np.isnan(n) == missing).all()
    np.testing.assert_allclose(missing.mean(axis=1), 0.2, atol=0.01)
    assert (missing[0] != missing[1]).any()
    np.testing.assert_array_equal(z[~missing], complete[~missing])


def test_values_depend_on_the_seed_and_not_on_chunks_or_workers(tmp_path):
    ld = scores(20_001)
    wanted = simulate(tmp_path / "a.zarr", ld)["z"].values
    with dask.config.set({"daskgen.column-rows": 4_096}):
        assert simulate(tmp_path / "b.zarr", ld)["z"].values.tobytes() == wanted.tobytes()
        with dg.cluster.connect("local:2"):
            assert simulate(tmp_path / "c.zarr", ld)["z"].values.tobytes() == wanted.tobytes()
    assert (simulate(tmp_path / "d.zarr", ld, seed=6)["z"].values != wanted).all()


def test_singular_matrices_are_possible(tmp_path):
    z = simulate(tmp_path / "s.zarr", scores(), S=np.full((2, 2), 0.3), intercepts=np.ones((2, 2)), N=1e4)["z"].values
    np.testing.assert_allclose(z[0], z[1], atol=1e-10)


def test_an_existing_store_and_resuming(tmp_path):
    ld = scores(500)
    simulate(tmp_path / "s.zarr", ld)
    with pytest.raises(StoreError, match="--force"):
        simulate(tmp_path / "s.zarr", ld)
    simulate(tmp_path / "s.zarr", ld, resume=True)
    with pytest.raises(ResumeError, match="seed"):
        simulate(tmp_path / "s.zarr", ld, seed=9, resume=True)
    simulate(tmp_path / "s.zarr", ld, seed=9, force=True)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"S": [[0.4, 0.2], [0.1, 0.3]]}, InputError, "symmetric"),
        ({"S": [[0.1, 0.2], [0.2, 0.1]]}, InputError, "negative eigenvalue"),
        ({"S": [[np.nan, 0], [0, 1]]}, InputError, "finite"),
        ({"intercepts": [1.0, 1.0, 1.0]}, InputError, "does not fit 2 traits"),
        ({"intercepts": [[1.0, 2.0], [2.0, 1.0]]}, InputError, "intercepts is no covariance"),
        ({"N": [1e4, 1e4, 1e4]}, InputError, "one for each trait"),
        ({"N": [[1e4, 1e3], [1e3, 1e4]]}, InputError, "belongs into intercepts"),
        ({"N": [1e4, 0]}, InputError, "positive"),
        ({"traits": ["a", "a"]}, UsageError, "different names"),
        ({"traits": ["a"]}, InputError, "does not fit 1 traits"),
        ({"missing_rate": 1.0}, UsageError, "missing_rate"),
        ({"seed": -1}, UsageError, "seed"),
    ],
)
def test_impossible_arguments_are_refused(arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        simulate(tmp_path / "s.zarr", scores(100), **arguments)
    assert not (tmp_path / "s.zarr").exists()


def test_other_datasets_are_refused(tmp_path):
    with pytest.raises(InputError, match="ld_score is not there"):
        simulate(tmp_path / "s.zarr", scores(100).drop_vars("ld_score"))
    two = xr.concat([scores(100)["ld_score"]] * 2, dim="annotations")
    with pytest.raises(InputError, match="univariate"):
        simulate(tmp_path / "s.zarr", scores(100).drop_vars(["ld_score", "M_5_50"]).assign(ld_score=two, M=two))
