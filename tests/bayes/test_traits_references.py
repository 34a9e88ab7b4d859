"""Recorded transitions, exact posteriors and long chains of two traits made by other implementations."""

from __future__ import annotations

import json

import numpy as np
import pytest

from daskgen import bayes
from tests.bayes.trait_problems import TraitCase
from tests.shared_data import shared


@pytest.fixture(scope="module")
def transitions():
    return dict(np.load(shared("reference", "bayes", "transitions", "transitions.npz")))


def start(z, **options):
    case = TraitCase(
        z["X_raw"].astype(np.int8), z["mt_Y"], g=z["mt_G"], r=z["mt_R"], pi=z["mt_Pi"], intercept=False, **options
    )
    case.set_start(z["mt_ycorr0"], z["mt_beta0"], z["mt_delta0"])
    return case


def compare(z, name, case):
    delta = z[f"{name}__delta"].astype(int)
    np.testing.assert_allclose(case.effect, z[f"{name}__alpha"], atol=1e-10)
    np.testing.assert_allclose(case.chains.state.slab[0], z[f"{name}__beta"], atol=1e-10)
    np.testing.assert_allclose(case.residual, z[f"{name}__ycorr"], atol=1e-10)
    assert np.array_equal(case.chains.state.group[0], delta[:, 0] + 2 * delta[:, 1])


@pytest.mark.parametrize("sampler", ["I", "II"])
@pytest.mark.parametrize("blocks", ["markers", "starts_equal", "starts_explicit"])
def test_exact_transitions(transitions, sampler, blocks):
    z = transitions
    case = start(z, starts=np.arange(25) if blocks == "markers" else z[blocks], joint=sampler == "II")
    case.run(1, given=(z["mt_u"][None], z["mt_z"][None]))
    compare(z, f"mt_{sampler}_single", case)


@pytest.mark.parametrize("sampler", ["I", "II"])
@pytest.mark.parametrize("schedule", ["block", "independent"])
def test_repeated_transitions(transitions, sampler, schedule):
    z = transitions
    starts = z["starts_equal"]
    sizes = np.diff(np.append(starts, 25))
    u, normal = (np.zeros((sizes.max(), 25, 2)) for _ in range(2))
    for b, (first, size) in enumerate(zip(starts, sizes, strict=True)):
        u[:size, first : first + size] = z[f"mt_uz_equal_u_block{b}"]
        normal[:size, first : first + size] = z[f"mt_uz_equal_z_block{b}"]
    case = start(z, starts=starts, repeats=sizes, joint=sampler == "II", independent=schedule == "independent")
    case.run(1, given=(u, normal))
    compare(z, f"mt_{sampler}_{schedule}_equal_nrepsB", case)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("sampler", ["I", "II"])
def test_exact_posteriors(sampler):
    z = np.load(shared("reference", "bayes", "tiny", "tiny_cases.npz"))
    x = z["mt_X"]
    codes = np.rint(x - x.min(axis=0)).astype(np.int8)
    posterior = bayes.fit(
        codes, z["mt_Y"], pi=z["mt_Pi"], estimate_pi=False, marker_variance=z["mt_G"], residual_variance=z["mt_R"],
        estimate_marker_variance=False, estimate_residual_variance=False, multi_trait_sampler=sampler,
        chain_length=101_000, burn_in=1_000, chains=4, maf_min=0.0, keep_effects=True, seed=3,
    )  # fmt: skip
    found = posterior.marker_effects["state_probability"].values
    assert np.abs(found - z["mt_state_prob"]).max() < 0.003
    ds = posterior.dataset
    effects = np.zeros((4 * 100_000, 5, 2), np.float32)
    chain, draw = ds["effect_draw_place"].values.astype(np.int64)
    effects[chain * 100_000 + draw, ds["effect_draw_variant"], ds["effect_draw_trait"]] = ds["effect_draw_value"]

    def z_score(draws, expected):
        batches = draws.reshape(400, -1, *draws.shape[1:]).mean(axis=1)
        return (batches.mean(axis=0) - expected) / (batches.std(axis=0, ddof=1) / 20)

    assert np.abs(z_score(effects.astype(float), z["mt_mean_alpha"])).max() < 4.5
    included = z["mt_state_prob"] @ np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    assert np.abs(z_score((effects != 0).astype(float), included)).max() < 4.5


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("sampler", ["I", "II"])
def test_long_chains(sampler):
    folder = shared("reference", "bayes", "chains")
    data, arrays = np.load(folder / "mt_sim.npz"), np.load(folder / f"mt_sim_sampler{sampler}.npz")
    reference = json.loads((folder / f"mt_sim_sampler{sampler}.json").read_text())
    posterior = bayes.fit(
        data["X"], data["Y"], pi=list(reference["Pi_start"].values()), multi_trait_sampler=sampler, maf_min=0.0,
        chain_length=12_000, burn_in=2_000, chains=4, seed=1,
    )  # fmt: skip
    own = posterior.diagnostics()
    names = ("phenotypes_1", "phenotypes_2")
    ours = {
        f"{matrix}{a + 1}{b + 1}": f"{what}_variance_{names[a]}"
        if a == b
        else f"{what}_covariance_{names[a]}_{names[b]}"
        for matrix, what in (("G", "marker"), ("R", "residual"))
        for a, b in ((0, 0), (0, 1), (1, 1))
    } | {f"Pi{state}": f"pi_{state}" for state in ("00", "10", "01", "11")}
    z = {
        theirs: (own.loc[name, "mean"] - reference["scalars"][theirs]["mean"])
        / np.hypot(own.loc[name, "mcse"], reference["scalars"][theirs]["mcse"])
        for theirs, name in ours.items()
    }
    assert max(map(abs, z.values())) < 4.5, z
    x = data["X"] - data["X"].mean(axis=0)
    for k in range(2):
        values = posterior.breeding_values["mean"][:, k].values
        assert np.corrcoef(values, x @ arrays["alpha_mean"][:, k])[0, 1] > 0.999
    effects = posterior.marker_effects
    spread = effects["sd"].values / np.sqrt(own["ess_bulk"].min())
    z2 = ((effects["mean"].values - arrays["alpha_mean"]) ** 2 / (spread**2 + arrays["alpha_mcse"] ** 2)).mean()
    assert z2 < 1.6
    states = effects["state_probability"].values
    error = np.hypot(arrays["state_mcse"], np.sqrt(states * (1 - states) / own["ess_bulk"].min()))
    assert np.abs((states - arrays["state_mean"]) / np.maximum(error, 1e-4)).max() < 5
