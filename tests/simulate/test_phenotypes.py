"""Simulated phenotypes: the stated model, realised heritability and correlations, truth that survives pandas."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import daskgen as dg
from daskgen.errors import InputError, UsageError
from tests.simulate.stores import calls, contents, standardised

N, M = 1501, 803


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("phenotypes") / "cohort.zarr"
    return dg.simulate.genotypes(path, n_samples=N, n_variants=M, missing_rate=0.02, contigs=3, maf=(0.05, 0.5), seed=7)


@pytest.fixture(scope="module")
def z(store: str) -> np.ndarray:
    """Standardised genotypes, float64 (samples, variants)."""
    return standardised(calls(store)).T


def test_a_table_with_the_ids_of_the_store(store: str) -> None:
    table = dg.simulate.phenotypes(store, h2=0.4)
    assert table.index.name == "sample_id"
    assert table.index.tolist() == contents(store)["sample_id"].tolist()
    assert list(table.columns) == ["trait_1"]
    assert table.dtypes.tolist() == [np.float64]
    pd.testing.assert_frame_equal(table, dg.simulate.phenotypes(dg.open_store(store), h2=0.4))


def test_genetic_values_are_the_products_of_genotypes_and_effects(store: str, z: np.ndarray) -> None:
    traits, components = ["height", "bmi"], {"odd": np.arange(M) % 2 == 1, "few": [3, 800, 17]}
    table = dg.simulate.phenotypes(store, h2=[0.5, 0.2], traits=traits, rg=-0.5, components=components, n_causal=100)
    truth = table.attrs["truth"]
    assert truth.effects["component"].value_counts().to_dict() == {"odd": 99, "few": 1}
    for name, effects in truth.effects.groupby("component"):
        expected = z[:, effects["variant"]] @ effects[traits].to_numpy()
        np.testing.assert_allclose(truth.component_values[name], expected, rtol=1e-4, atol=1e-6)
    total = sum(values for values in truth.component_values.values())
    pd.testing.assert_frame_equal(truth.genetic_values, total)
    ids = contents(store)["variant_id"]
    assert truth.effects["variant_id"].tolist() == ids[truth.effects["variant"]].tolist()
    assert set(truth.effects.loc[truth.effects["component"] == "few", "variant"]) <= {3, 17, 800}


@pytest.mark.parametrize("n_causal", [None, 1, 50])
def test_genetic_variance_is_the_heritability_and_the_rest_is_noise(store: str, n_causal: int | None) -> None:
    table = dg.simulate.phenotypes(store, h2=0.3, n_causal=n_causal, seed=3)
    truth = table.attrs["truth"]
    genetic, noise = truth.genetic_values["trait_1"], table["trait_1"] - truth.genetic_values["trait_1"]
    assert genetic.var() == pytest.approx(0.3, rel=1e-6)
    assert noise.var() == pytest.approx(0.7, abs=5 * 0.7 * np.sqrt(2 / N))
    assert abs(np.corrcoef(genetic, noise)[0, 1]) < 5 / np.sqrt(N)
    assert len(truth.effects) == (n_causal or M)
    assert truth["h2"] == {"genetic": {"trait_1": 0.3}}
    realised = genetic.var(ddof=0) / table["trait_1"].var(ddof=0)
    assert truth["realised_h2"]["total"]["trait_1"] == pytest.approx(realised)


@pytest.mark.parametrize("h2", [0.0, 1.0])
def test_the_ends_of_the_range(store: str, h2: float) -> None:
    table = dg.simulate.phenotypes(store, h2=h2)
    genetic = table.attrs["truth"].genetic_values
    if h2 == 0:
        assert (genetic == 0).all().all()
    else:
        pd.testing.assert_frame_equal(table, genetic)


def test_effects_correlate_as_stated_and_noise_does_not(store: str) -> None:
    rg = np.array([[1, 0.6, -0.3], [0.6, 1, 0], [-0.3, 0, 1]])
    table = dg.simulate.phenotypes(store, h2=[0.5, 0.4, 0.3], traits=3, rg=rg, seed=2)
    truth = table.attrs["truth"]
    effects = truth.effects[["trait_1", "trait_2", "trait_3"]].to_numpy()
    np.testing.assert_allclose(np.corrcoef(effects, rowvar=False), rg, atol=5 / np.sqrt(M))
    noise = (table - truth.genetic_values).to_numpy()
    np.testing.assert_allclose(np.corrcoef(noise, rowvar=False), np.eye(3), atol=5 / np.sqrt(N))
    np.testing.assert_allclose(pd.DataFrame(truth["rg"]), rg)
    np.testing.assert_allclose(
        pd.DataFrame(truth["realised_rg"]), np.corrcoef(truth.genetic_values, rowvar=False), atol=1e-12
    )


def test_traits_that_are_fully_correlated_have_proportional_effects(store: str) -> None:
    truth = dg.simulate.phenotypes(store, h2=[0.5, 0.1], traits=["a", "b"], rg=1.0).attrs["truth"]
    ratio = truth.effects["b"] / truth.effects["a"]
    np.testing.assert_allclose(ratio, np.sqrt(0.2), rtol=1e-6)


def test_components_have_their_own_heritability(store: str) -> None:
    components = {"a": range(100), "b": np.arange(50, 400)}
    table = dg.simulate.phenotypes(
        store, h2={"b": 0.1, "a": [0.4, 0.2]}, components=components, traits=2, n_causal={"a": 10, "b": 20}
    )
    values = table.attrs["truth"].component_values
    np.testing.assert_allclose(values["a"].var(), [0.4, 0.2], rtol=1e-6)
    np.testing.assert_allclose(values["b"].var(), [0.1, 0.1], rtol=1e-6)
    assert table.attrs["truth"].effects["component"].tolist() == ["a"] * 10 + ["b"] * 20


def test_contigs_share_heritability_by_their_numbers_of_variants(store: str) -> None:
    truth = dg.simulate.phenotypes(store, h2=0.6, components="contig").attrs["truth"]
    sizes = np.bincount(contents(store)["variant_contig"])
    expected = {str(c + 1): pytest.approx(0.6 * size / M) for c, size in enumerate(sizes)}
    assert {name: value["trait_1"] for name, value in truth["h2"].items()} == expected


def test_the_seed_decides(store: str) -> None:
    first, again, other = (dg.simulate.phenotypes(store, h2=0.5, n_causal=200, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert abs(np.corrcoef(first["trait_1"], other["trait_1"])[0, 1]) < 5 / np.sqrt(N)
    assert set(first.attrs["truth"].effects["variant"]) != set(other.attrs["truth"].effects["variant"])


def test_the_result_does_not_depend_on_chunks(store: str, tmp_path: Path) -> None:
    arguments = {"n_samples": N, "n_variants": M, "missing_rate": 0.02, "contigs": 3, "maf": (0.05, 0.5), "seed": 7}
    other = dg.simulate.genotypes(tmp_path / "other.zarr", **arguments, chunk_mb=0.01)
    pd.testing.assert_frame_equal(
        dg.simulate.phenotypes(store, h2=0.5, seed=4), dg.simulate.phenotypes(other, h2=0.5, seed=4), atol=1e-5
    )


def test_the_truth_survives_what_is_done_with_the_table(store: str, tmp_path: Path) -> None:
    table = dg.simulate.phenotypes(store, h2=0.5, traits=2)
    truth = table.attrs["truth"]
    assert table[["trait_1"]].copy().attrs["truth"] is truth
    assert copy.deepcopy(truth) is truth
    assert pd.concat([table, table]).shape == (2 * N, 2)
    assert json.loads(json.dumps(table.attrs))["truth"]["h2"] == truth["h2"]
    restored = pickle.loads(pickle.dumps(truth))
    assert restored == truth
    pd.testing.assert_frame_equal(restored.effects, truth.effects)


def test_monomorphic_variants_are_never_causal(tmp_path: Path) -> None:
    path = dg.simulate.genotypes(tmp_path / "rare.zarr", n_samples=30, n_variants=200, maf=(0.001, 0.05))
    varies = standardised(calls(path)).any(axis=1)
    assert not varies.all()
    truth = dg.simulate.phenotypes(path, h2=0.5).attrs["truth"]
    assert truth.effects["variant"].tolist() == np.flatnonzero(varies).tolist()
    with pytest.raises(InputError, match="'nothing' has no polymorphic variant"):
        dg.simulate.phenotypes(path, h2=0.5, components={"nothing": ~varies, "rest": varies})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"h2": 1.1}, UsageError, "h2 is out of range"),
        ({"h2": -0.1}, UsageError, "h2 is out of range"),
        ({"h2": float("nan")}, UsageError, "h2 is out of range"),
        ({"h2": [0.5, 0.5]}, UsageError, "h2 does not fit the traits"),
        ({"h2": {"a": 0.6, "b": 0.6}, "components": {"a": [1], "b": [2]}}, UsageError, "h2 is out of range"),
        ({"h2": {"a": 0.6}, "components": {"a": [1], "b": [2]}}, UsageError, "name different things"),
        ({"h2": 0.5, "n_causal": 0}, UsageError, "n_causal"),
        ({"h2": 0.5, "n_causal": M + 1}, UsageError, "n_causal"),
        ({"h2": 0.5, "n_causal": {"a": 1}}, UsageError, "name different things"),
        ({"h2": 0.5, "traits": 0}, UsageError, "traits"),
        ({"h2": 0.5, "traits": ["a", "a"]}, UsageError, "different names"),
        ({"h2": 0.5, "traits": 2, "rg": 1.5}, UsageError, "not a correlation matrix"),
        ({"h2": 0.5, "traits": 3, "rg": -0.9}, UsageError, "not a correlation matrix"),
        ({"h2": 0.5, "traits": 2, "rg": np.eye(3)}, UsageError, "not a correlation matrix"),
        ({"h2": 0.5, "components": "chromosome"}, UsageError, "unknown components"),
        ({"h2": 0.5, "components": {}}, UsageError, "no set of variants"),
        ({"h2": 0.5, "components": {"a": [M]}}, InputError, "out of range"),
        ({"h2": 0.5, "components": {"a": [True, False]}}, InputError, "mask has the wrong length"),
        ({"h2": 0.5, "components": {"a": [0.5]}}, InputError, "neither indices nor a mask"),
        ({"h2": 0.5, "seed": -1}, UsageError, "seed"),
    ],
)
def test_what_cannot_be_simulated_is_refused(store: str, arguments: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        dg.simulate.phenotypes(store, **arguments)


def test_one_sample_has_no_variance_to_explain(tmp_path: Path) -> None:
    path = dg.simulate.genotypes(tmp_path / "one.zarr", n_samples=1, n_variants=50)
    with pytest.raises(InputError, match="no polymorphic variant"):
        dg.simulate.phenotypes(path, h2=0.5)
