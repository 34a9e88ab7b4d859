"""The public function: data in, posterior out; what it refuses; restart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import daskgen as dg
from daskgen import bayes, limits
from daskgen.bayes import preparation, running, sampler
from daskgen.bayes.blocks import automatic_size, make_blocks
from daskgen.errors import InputError, NotConvergedError, ResumeError, UsageError
from tests.bayes.problems import centred, small_cohort

SHORT = {"chain_length": 60, "burn_in": 20, "chains": 2, "seed": 5}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A store and phenotypes with known effects."""
    path = str(tmp_path_factory.mktemp("bayes") / "cohort.zarr")
    dg.simulate.genotypes(path, n_samples=300, n_variants=120, missing_rate=0.01, seed=2)
    table = dg.simulate.phenotypes(path, h2=0.6, n_causal=10, seed=2)
    return path, table


def equal(one, other):
    xr.testing.assert_identical(one.dataset.drop_attrs(), other.dataset.drop_attrs())


def test_a_store_and_a_table(cohort):
    path, table = cohort
    posterior = bayes.fit(path, table, method="BayesC", pi=0.9, chain_length=1_500, burn_in=300, seed=1)
    ds = dg.open_store(path)
    assert posterior.breeding_values["mean"].shape == (300,)
    truth = np.asarray(table.attrs["breeding_value"] if "breeding_value" in table.attrs else table.iloc[:, 0])
    assert np.corrcoef(posterior.breeding_values["mean"], truth)[0, 1] > 0.6
    assert posterior.heritability["mean"] == pytest.approx(0.6, abs=0.2)
    assert set(posterior.marker_effects["variant_id"].values.tolist()) <= set(ds["variant_id"].values.tolist())
    table_of = posterior.diagnostics()
    assert {"mean", "sd", "mcse", "ess_bulk", "ess_tail", "r_hat"} == set(table_of.columns)
    assert posterior.windows("20snp")["share"].sum() > 0.5


def test_breeding_values_are_the_effects_times_the_genotypes():
    codes, y = small_cohort(missing=0.05)
    posterior = bayes.fit(np.where(codes == 3, 9, codes), y, maf_min=0.0, **SHORT)
    expected = centred(codes)[0] @ posterior.marker_effects["mean"].values
    np.testing.assert_allclose(posterior.breeding_values["mean"], expected, atol=1e-9)


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    codes, y = small_cohort(n=4_100, p=30)
    runs = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(limits, "cores", lambda threads=threads: threads)
        runs.append([bayes.fit(codes, y, **(SHORT | {"chains": chains})) for chains in (1, 2)])
    for other in runs[1:]:
        for one, again in zip(runs[0], other, strict=True):
            equal(one, again)


def test_a_killed_run_goes_on_to_the_same_draws(tmp_path, monkeypatch):
    codes, y = small_cohort()
    whole = bayes.fit(codes, y, **SHORT)
    monkeypatch.setattr(running, "_SEGMENT_GENOTYPES", codes.size * 2 * 7)
    calls = []

    def killed(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return advance(self, *args, **kwargs)

    advance = sampler.Chains.advance
    checkpoint = tmp_path / "state.npz"
    monkeypatch.setattr(sampler.Chains, "advance", killed)
    with pytest.raises(KeyboardInterrupt):
        bayes.fit(codes, y, checkpoint=checkpoint, **SHORT)
    monkeypatch.setattr(sampler.Chains, "advance", advance)
    with pytest.raises(ResumeError):
        bayes.fit(codes, y + 1, checkpoint=checkpoint, **SHORT)
    equal(bayes.fit(codes, y, checkpoint=checkpoint, **SHORT), whole)
    assert not checkpoint.exists()


def test_unphenotyped_samples_change_nothing_and_get_values():
    codes, y = small_cohort(n=80)
    keep = np.arange(80) % 5 > 0
    gaps = np.where(keep, y, np.nan)
    alone = bayes.fit(codes[keep], y[keep], maf_min=0.0, **SHORT)
    among = bayes.fit(codes, gaps, maf_min=0.0, blocks=16, **SHORT)
    same = bayes.fit(codes[keep], y[keep], maf_min=0.0, blocks=16, **SHORT)
    np.testing.assert_allclose(among.marker_effects["mean"], same.marker_effects["mean"], atol=1e-8)
    np.testing.assert_allclose(among.breeding_values["mean"][keep], same.breeding_values["mean"], atol=1e-8)
    assert np.isfinite(among.breeding_values["mean"]).all()
    assert np.array_equal(among.breeding_values["phenotyped"], keep)
    assert alone.dataset.sizes["sample"] == keep.sum()


def test_store_prediction_and_reopening(cohort, tmp_path):
    path, table = cohort
    posterior = bayes.fit(path, table, keep=dg.open_store(path)["sample_id"].values[:200].tolist(), **SHORT)
    predicted = posterior.predict(path)
    np.testing.assert_allclose(predicted[:200], posterior.breeding_values["mean"], atol=1e-5)
    place = posterior.to_store(tmp_path / "fit.zarr")
    assert dg.verify(place) == []
    again = bayes.Posterior.open(place)
    equal(again, posterior)
    np.testing.assert_allclose(again.predict(path), predicted, atol=1e-12)
    tree = again.to_datatree()
    assert tree["posterior"]["heritability"].dims == ("chain", "draw")


def test_covariates_random_effects_and_weights():
    rng = np.random.default_rng(0)
    codes, y = small_cohort(n=400, p=20)
    litter = rng.integers(0, 25, 400)
    sex = rng.integers(0, 2, 400)
    effect = rng.standard_normal(25) * 3
    y = y + effect[litter] + 2.5 * sex
    covariates = pd.DataFrame(
        {"sex": np.where(sex, "m", "f"), "litter": [f"L{i}" for i in litter]}, index=[str(i) for i in range(400)]
    )
    posterior = bayes.fit(
        codes, y, covariates, random="litter", weights=np.full(400, 2.0), chain_length=1_200, burn_in=200, chains=2
    )
    fixed = posterior.fixed_effects
    assert fixed.loc["sex=m", "mean"] == pytest.approx(2.5, abs=4 * fixed.loc["sex=m", "sd"])
    found = [fixed.loc[f"litter=L{i}", "mean"] for i in range(25)]
    assert np.corrcoef(found, effect)[0, 1] > 0.9
    assert posterior.variances.loc["variance_litter", "mean"] == pytest.approx(effect.var(), rel=0.7)
    precision = (np.eye(25), [f"L{i}" for i in range(25)])
    identity = bayes.fit(codes, y, covariates, random={"litter": precision}, **SHORT)
    assert identity.diagnostics().loc["variance_litter", "mean"] > 0


def test_several_sets_have_priors_of_their_own():
    codes, y = small_cohort(n=200, p=30)
    posterior = bayes.fit({"one": codes[:, :10], "two": codes[:, 10:]}, y, pi=0.5, **SHORT)
    names = posterior.diagnostics().index
    assert {"marker_variance_one", "pi_two"} <= set(names)
    assert posterior.marker_effects["variant_set"].values.tolist().count("one") == 10


@pytest.mark.parametrize("method", ["BayesA", "BayesB", "BayesC", "BayesR", "BayesL", "RR-BLUP"])
def test_every_method_finds_a_strong_effect(method):
    codes, _ = small_cohort(n=400, p=30)
    y = 2.0 * codes[:, 4] + np.random.default_rng(1).standard_normal(400)
    posterior = bayes.fit(codes, y, method=method, chain_length=400, burn_in=100, chains=2)
    effects = posterior.marker_effects["mean"].values
    assert np.argmax(np.abs(effects)) == 4
    assert effects[4] == pytest.approx(2.0, abs=0.3)


def test_jwas_schedule_counts_as_jwas_does():
    codes, y = small_cohort(n=100, p=40)
    posterior = bayes.fit(codes, y, schedule="jwas", blocks=10, chain_length=200, burn_in=5, chains=1)
    assert posterior.dataset.attrs["n_iterations"] == 20
    with pytest.raises(UsageError, match="would save nothing") as caught:
        bayes.fit(codes, y, schedule="jwas", blocks=10, chain_length=200, burn_in=50)
    assert "20 outer iterations" in str(caught.value)
    blocks = make_blocks(10, np.array([0, 25]), 100, "jwas")
    assert blocks.repeats.tolist() == [10, 10, 5]


def test_independent_blocks_that_diverge_are_stopped():
    rng = np.random.default_rng(3)
    base = rng.binomial(2, 0.5, (60, 5))
    codes = np.repeat(base, 40, axis=1).astype(np.int8)  # markers that are copies of each other, in other blocks
    order = np.argsort(np.tile(np.arange(40), 5), kind="stable")
    y = base @ np.ones(5) + rng.standard_normal(60)
    with pytest.raises(NotConvergedError, match="independent blocks"):
        bayes.fit(
            codes[:, order], y, schedule="independent", blocks=5, chain_length=2_000, burn_in=10, method="RR-BLUP"
        )


def test_block_sizes():
    assert [automatic_size(n) for n in (1, 599, 1_814, 10_000, 10**6)] == [16, 32, 128, 256, 256]
    assert make_blocks(None, np.array([0, 3]), 10).sizes.tolist() == [1, 1, 1]
    assert make_blocks([0, 2], np.array([0, 3, 5]), 10).start.tolist() == [0, 2, 3, 5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "BayesX"}, "no method"),
        ({"pi": 1.2}, "pi must lie"),
        ({"pi": [0.1, 0.2]}, "wrong length"),
        ({"method": "BayesR", "pi": [0.5, 0.2, 0.1, 0.1]}, "add up to 1"),
        ({"method": "BayesR", "gamma": [0, 1]}, "proportion for each class"),
        ({"blocks": [0, 5, 3]}, "not sorted"),
        ({"blocks": [0, 5, 5]}, "given twice"),
        ({"blocks": [1, 5]}, "start at marker 0"),
        ({"blocks": [0, 500]}, "out of range"),
        ({"blocks": 0}, "out of range"),
        ({"chain_length": 10, "burn_in": 10}, "not longer than its burn-in"),
        ({"chains": 0}, "chains must be"),
        ({"schedule": "fast"}, "no schedule"),
        ({"weights": np.zeros(57)}, "weights must be above 0"),
        ({"df": 2.0}, "df must be above 2"),
        ({"genetic_variance": 0.0}, "genetic_variance must be a number above 0"),
        ({"residual_variance": [1.0, 2.0]}, "residual_variance must be a number"),
        ({"pi": 1.0, "method": "BayesC"}, "no marker with an effect"),
    ],
)
def test_bad_arguments(options, message, monkeypatch):
    """Refused before genotypes are read, but for what depends on how many markers vary."""
    codes, y = small_cohort()
    if message != "wrong length":
        monkeypatch.setattr(preparation, "load_sets", lambda *_, **__: pytest.fail("genotypes were read"))
    with pytest.raises(UsageError, match=message):
        bayes.fit(codes, y, **(SHORT | options))


def test_bad_data():
    codes, y = small_cohort()
    with pytest.raises(InputError, match="constant"):
        bayes.fit(codes, np.ones(57), **SHORT)
    with pytest.raises(InputError, match="too few samples"):
        bayes.fit(codes, np.full(57, np.nan), **SHORT)
    with pytest.raises(InputError, match="no marker of markers is left"):
        bayes.fit(np.ones((57, 3), np.int8), y, **SHORT)
    with pytest.raises(InputError, match="other than 0 to 2"):
        bayes.fit(codes + 0.5, y, **SHORT)
    with pytest.raises(InputError, match="none of the"):
        bayes.fit(codes, pd.Series(y, index=[f"other{i}" for i in range(57)]), **SHORT)
    column = np.arange(57.0)
    with pytest.raises(InputError, match="combination of the others"):
        bayes.fit(codes, y, np.column_stack([column, 2 * column + 1]), **SHORT)
