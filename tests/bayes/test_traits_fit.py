"""The joint fit of several traits through the public function: tables, restart, what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import daskgen as dg
from daskgen import bayes
from daskgen.bayes import chains, preparation, running
from daskgen.bayes.trait_priors import trait_prior
from daskgen.errors import InputError, UsageError
from tests.bayes.problems import centred
from tests.bayes.trait_problems import small_traits

SHORT = {"chain_length": 40, "burn_in": 10, "chains": 2, "seed": 5, "maf_min": 0.0}


def equal(one, other):
    xr.testing.assert_identical(one.dataset.drop_attrs(), other.dataset.drop_attrs())


def test_tables_have_an_axis_of_traits(tmp_path):
    path = str(tmp_path / "cohort.zarr")
    dg.simulate.genotypes(path, n_samples=250, n_variants=90, missing_rate=0.01, seed=2)
    ids = dg.open_store(path)["sample_id"].values.tolist()
    x = np.nan_to_num(dg.open_store(path)["call_dosage"].values.T, nan=1.0)
    rng = np.random.default_rng(1)
    effects = np.zeros((90, 2))
    effects[rng.choice(90, 8, replace=False)] = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 8)
    y = x @ effects + rng.standard_normal((250, 2)) * (x @ effects).std()
    table = pd.DataFrame(y, columns=["height", "weight"], index=ids)
    table.iloc[:40, 0] = np.nan
    table.iloc[40:60] = np.nan
    posterior = bayes.fit(path, table, pi=0.9, chain_length=600, burn_in=100, chains=2, keep_effects=True, seed=3)
    assert posterior.marker_effects["mean"].dims == ("variant", "trait")
    assert posterior.breeding_values["mean"].shape == (250, 2)
    assert posterior.breeding_values["phenotyped"].values.sum(axis=0).tolist() == [190, 230]
    truth = (x - x.mean(axis=0)) @ effects
    for k in range(2):
        assert np.corrcoef(posterior.breeding_values["mean"][:, k], truth[:, k])[0, 1] > 0.7
    assert posterior.heritability.index.tolist() == ["height", "weight"]
    assert posterior.heritability["mean"].between(0.2, 0.8).all()
    assert posterior.genetic_covariance.dims == ("trait", "other_trait")
    assert np.linalg.eigvalsh(posterior.residual_covariance.values).min() > 0
    rg = posterior.genetic_correlations
    assert rg[["trait", "other_trait"]].values.tolist() == [["height", "weight"]]
    assert rg["mean"][0] > 0.4
    state = posterior.marker_effects["state_probability"]
    assert state["state"].values.tolist() == ["00", "10", "01", "11"]
    np.testing.assert_allclose(state.sum("state"), 1)
    np.testing.assert_allclose(state.sel(state=["10", "11"]).sum("state"), posterior.marker_effects["pip"][:, 0])
    windows = posterior.windows("10snp")
    assert set(windows["trait"]) == {"height", "weight"}
    local = posterior.window_correlations("10snp")
    assert local["correlation"].dropna().between(-1, 1).all()
    assert local[["trait", "other_trait"]].drop_duplicates().values.tolist() == [["height", "weight"]]
    assert {"intercept:height", "intercept:weight"} <= set(posterior.fixed_effects.index)
    predicted = posterior.predict(path)
    np.testing.assert_allclose(predicted, posterior.breeding_values["mean"], atol=1e-5)
    place = posterior.to_store(tmp_path / "fit.zarr")
    assert dg.verify(place) == []
    again = bayes.Posterior.open(place)
    assert isinstance(again, bayes.TraitPosterior)
    equal(again, posterior)
    np.testing.assert_allclose(again.predict(path), predicted, atol=1e-12)
    assert again.to_datatree()["posterior"]["genetic_correlation_height_weight"].dims == ("chain", "draw")
    assert "2 traits" in repr(again)
    assert again.summary()["traits"] == ["height", "weight"]


def test_breeding_values_and_covariances_are_those_of_the_effects():
    codes, y = small_traits(missing=0.05, missing_traits=0.2, traits=3)
    posterior = bayes.fit(np.where(codes == 3, 9, codes), y, keep_effects=True, **SHORT)
    seen = ~np.isnan(y).all(axis=1)  # genotypes are centred by the samples with any trait
    x = np.where(codes == 3, 0.0, codes - centred(codes[seen])[1])
    np.testing.assert_allclose(
        posterior.breeding_values["mean"], x @ posterior.marker_effects["mean"].values, atol=1e-9
    )
    ds = posterior.dataset
    effects = np.zeros((2, 30, codes.shape[1], 3))
    chain, draw = ds["effect_draw_place"].values
    effects[chain, draw, ds["effect_draw_variant"], ds["effect_draw_trait"]] = ds["effect_draw_value"]
    u = np.einsum("nj,cdjt->cdnt", x[seen], effects)
    trace = ds["trace"]
    for a, b in ((0, 0), (1, 0), (2, 1)):
        left, right = (u[..., k] - u[..., k].mean(axis=2, keepdims=True) for k in (a, b))
        expected = (left * right).sum(axis=2) / (u.shape[2] - 1)
        name = f"genetic_variance_phenotypes_{a + 1}"
        if a != b:
            name = f"genetic_covariance_phenotypes_{b + 1}_phenotypes_{a + 1}"
        np.testing.assert_allclose(trace.sel(quantity=name), expected, rtol=1e-4, atol=1e-6)
    genetic = posterior.genetic_covariance.values
    np.testing.assert_allclose(genetic, genetic.T)
    # A window of all markers has the covariances and correlations of the whole genome.
    whole = posterior.window_correlations(f"{codes.shape[1]}snp")
    pairs = [(0, 1), (0, 2), (1, 2)]
    np.testing.assert_allclose(whole["covariance"], [genetic[pair] for pair in pairs], rtol=1e-4)
    np.testing.assert_allclose(whole["correlation"], posterior.genetic_correlations["mean"], rtol=1e-4)
    assert (whole["both"] == 1).all()
    shares = posterior.windows(f"{codes.shape[1]}snp")
    np.testing.assert_allclose(shares["share"], 1, rtol=1e-4)
    np.testing.assert_allclose(shares["variance"], np.diagonal(genetic), rtol=1e-4)


def test_without_covariances_traits_are_fitted_as_alone():
    """Diagonal G and R and independent states: the joint posterior is the product of those of single traits."""
    codes, y = small_traits(seed=7, n=120, p=12)
    known = {"estimate_pi": False, "pi": 0.5, "chain_length": 6_000, "burn_in": 200, "chains": 2, "maf_min": 0.0}
    joint = bayes.fit(codes, y, constraint=True, seed=1, **known)
    for k in range(2):
        alone = bayes.fit(codes, y[:, k], seed=2, **known)
        own, other = (p.diagnostics() for p in (joint, alone))
        for ours, theirs in ((f"heritability_phenotypes_{k + 1}", "heritability"),
                             (f"residual_variance_phenotypes_{k + 1}", "residual_variance")):  # fmt: skip
            error = np.hypot(own.loc[ours, "mcse"], other.loc[theirs, "mcse"])
            assert abs(own.loc[ours, "mean"] - other.loc[theirs, "mean"]) < 4.5 * error
        assert np.abs(joint.marker_effects["pip"][:, k].values - alone.marker_effects["pip"].values).max() < 0.06
        values = joint.breeding_values["mean"][:, k].values
        assert np.corrcoef(values, alone.breeding_values["mean"].values)[0, 1] > 0.999
    assert joint.diagnostics().loc["residual_covariance_phenotypes_1_phenotypes_2", "sd"] == 0


def test_a_killed_run_goes_on_to_the_same_draws(tmp_path, monkeypatch):
    codes, y = small_traits(missing_traits=0.3)
    whole = bayes.fit(codes, y, keep_effects=True, **SHORT)
    monkeypatch.setattr(running, "_SEGMENT_GENOTYPES", codes.size * 2 * 3)
    advance, calls = chains.ChainsOfKernel.advance, []

    def killed(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return advance(self, *args, **kwargs)

    checkpoint = tmp_path / "state.npz"
    monkeypatch.setattr(chains.ChainsOfKernel, "advance", killed)
    with pytest.raises(KeyboardInterrupt):
        bayes.fit(codes, y, checkpoint=checkpoint, keep_effects=True, **SHORT)
    monkeypatch.setattr(chains.ChainsOfKernel, "advance", advance)
    equal(bayes.fit(codes, y, checkpoint=checkpoint, keep_effects=True, **SHORT), whole)


def test_covariates_random_terms_weights_and_sets():
    rng = np.random.default_rng(0)
    codes, y = small_traits(n=300, p=20, missing_traits=0.2)
    litter, sex = rng.integers(0, 20, 300), rng.integers(0, 2, 300)
    effect = rng.multivariate_normal([0, 0], [[6, 5], [5, 6]], 20)
    y = y + effect[litter] + np.outer(sex, [2.5, -1.5])
    table = pd.DataFrame(
        {"sex": np.where(sex, "m", "f"), "litter": [f"L{i}" for i in litter]}, index=[str(i) for i in range(300)]
    )
    posterior = bayes.fit(
        {"one": codes[:, :8], "two": codes[:, 8:]}, y, table, random="litter", weights=rng.uniform(0.5, 2, 300),
        chain_length=800, burn_in=200, chains=2, maf_min=0.0, method="RR-BLUP",
    )  # fmt: skip
    fixed = posterior.fixed_effects
    for k, expected in enumerate((2.5, -1.5)):
        row = fixed.loc[f"sex=m:phenotypes_{k + 1}"]
        assert row["mean"] == pytest.approx(expected, abs=4 * row["sd"])
        found = [fixed.loc[f"litter=L{i}:phenotypes_{k + 1}", "mean"] for i in range(20)]
        assert np.corrcoef(found, effect[:, k])[0, 1] > 0.85
    quantities = posterior.diagnostics()
    assert quantities.loc["litter_covariance_phenotypes_1_phenotypes_2", "mean"] > 1
    assert {"marker_variance_phenotypes_1_one", "marker_covariance_phenotypes_1_phenotypes_2_two"} <= set(
        quantities.index
    )


def test_the_schedule_of_jwas_and_independent_blocks_run():
    codes, y = small_traits(n=100, p=40)
    posterior = bayes.fit(codes, y, schedule="jwas", blocks=10, chain_length=200, burn_in=5, chains=1)
    assert posterior.dataset.attrs["n_iterations"] == 20
    posterior = bayes.fit(codes, y, schedule="independent", blocks=20, pi=0.9, **SHORT)
    assert np.isfinite(posterior.breeding_values["mean"]).all()


@pytest.mark.parametrize(
    ("pi", "states", "probabilities"),
    [
        (0.0, [0, 1, 2, 3], [0, 0, 0, 1]),
        (0.9, [0, 1, 2, 3], [0.81, 0.09, 0.09, 0.01]),
        ({"00": 0.7, "11": 0.3}, [0, 3], [0.7, 0.3]),
        ({(1, 0): 0.25, (0, 1): 0.75}, [1, 2], [0.25, 0.75]),
        ([0.4, 0.3, 0.2, 0.1], [0, 1, 2, 3], [0.4, 0.3, 0.2, 0.1]),
    ],
)
def test_states(pi, states, probabilities):
    prior = trait_prior("BayesC", 2, genetic_covariance=np.eye(2), heterozygosity=np.full(10, 0.4), pi=pi)
    assert prior.states.tolist() == states
    np.testing.assert_allclose(prior.pi, probabilities)
    assert prior.joint == (len(states) < 4)
    bits = np.array([[s & 1, s >> 1] for s in states])
    both = np.einsum("s,sk,sq->kq", prior.pi, bits, bits)
    np.testing.assert_allclose(np.diagonal(prior.variance), 1 / (4 * np.diagonal(both)))
    np.testing.assert_allclose(prior.scale, prior.variance * (prior.df - 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "BayesR"}, "one trait at a time"),
        ({"pi": {"00": 0.5, "11": 0.4}}, "add up to 1"),
        ({"pi": {"0": 1.0}}, "not understood"),
        ({"pi": {"00": 1.2, "11": -0.2}}, r"pi must lie in \[0, 1\]"),
        ({"pi": [0.5, 0.5]}, "wrong length"),
        ({"pi": {"00": 1.0}}, "without any marker"),
        ({"pi": {"00": 0.5, "10": 0.5}}, "without any marker"),
        ({"multi_trait_sampler": "III"}, "no multi_trait_sampler"),
        ({"multi_trait_sampler": "I", "pi": {"00": 0.5, "11": 0.5}}, "states are excluded"),
        ({"genetic_variance": np.ones((2, 2))}, "not positive definite"),
        ({"genetic_variance": [[1, 0.5], [0.4, 1]]}, "not symmetric"),
        ({"residual_variance": 2.0}, "wrong shape"),
        ({"genetic_variance": [[1, 0.5], [0.5, 1]], "pi": {"10": 0.5, "01": 0.5}}, "both are affected"),
        ({"gamma": [0, 1]}, "gamma belongs to BayesR"),
        ({"weights": np.zeros(57)}, "weights must be above 0"),
        ({"residual_df": 1.0}, "residual_df must be above 2"),
    ],
)
def test_bad_arguments(options, message, monkeypatch):
    """Refused before genotypes are read."""
    codes, y = small_traits()
    monkeypatch.setattr(preparation, "load_sets", lambda *_, **__: pytest.fail("genotypes were read"))
    with pytest.raises(UsageError, match=message):
        bayes.fit(codes, y, **(SHORT | options))


def test_bad_data():
    codes, y = small_traits()
    with pytest.raises(InputError, match="phenotypes_2 is constant"):
        bayes.fit(codes, np.column_stack([y[:, 0], np.ones(57)]), **SHORT)
    with pytest.raises(InputError, match="phenotypes_1: too few samples"):
        bayes.fit(codes, np.column_stack([np.full(57, np.nan), y[:, 1]]), **SHORT)
    with pytest.raises(UsageError, match="too many traits"):
        bayes.fit(codes, np.random.default_rng(0).standard_normal((57, 11)), **SHORT)
    for options in ({"constraint": True}, {"pi": {"0": 0.5, "1": 0.5}}):
        with pytest.raises(UsageError, match="there is one"):
            bayes.fit(codes, y[:, 0], **(SHORT | options))
