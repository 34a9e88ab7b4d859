"""Recorded transitions, exact posteriors and long chains made by other implementations."""

from __future__ import annotations

import json

import numpy as np
import pytest

from daskgen import bayes
from daskgen.bayes.planes import from_planes, to_planes
from daskgen.bayes.windows import EffectDraws, make_windows, window_table
from daskgen.errors import NotConvergedError
from tests.bayes.problems import Case
from tests.shared_data import shared


@pytest.fixture(scope="module")
def transitions():
    return dict(np.load(shared("reference", "bayes", "transitions", "transitions.npz")))


def start(z, *, weighted, starts, model, **options):
    """The case at the recorded start."""
    variants = {
        "bayesc": {"gamma": (0.0, 1.0), "pi": (float(z["pi"]), 1 - float(z["pi"])), "s2a": float(z["s2a"])},
        "bayesr": {"gamma": tuple(z["bayesr_gamma"]), "pi": tuple(z["bayesr_pi"]), "s2a": float(z["bayesr_s2"])},
    }
    variants["bayesc_markerpi"] = variants["bayesc"] | {
        "log_pi_marker": np.log(np.stack([z["pi_marker"], 1 - z["pi_marker"]]))
    }
    variants["bayesb"] = variants["bayesc"] | {"own": z["var_marker"]}
    w = z["w"] if weighted else None
    case = Case(
        z["X_raw"].astype(np.int8), z["y"], starts=starts, w=w, s2e=float(z["s2e"]), intercept=False,
        **variants[model], **options,
    )  # fmt: skip
    case.state.residual[0] = to_planes(z["ycorr0"])
    case.state.effect[0] = z["alpha0"]
    case.state.slab[0] = z["beta0"]
    return case


def compare(z, name, case):
    np.testing.assert_allclose(case.effect, z[f"{name}__alpha"], atol=1e-10)
    np.testing.assert_allclose(case.residual, z[f"{name}__ycorr"], atol=1e-10)
    assert np.array_equal(case.state.group[0], z[f"{name}__cls"])
    if f"{name}__beta" in z:
        np.testing.assert_allclose(case.state.slab[0], z[f"{name}__beta"], atol=1e-10)


def block_draws(z, kind, starts):
    sizes = np.diff(np.append(starts, 25))
    u, normal = (np.zeros((1, sizes.max(), 25)) for _ in range(2))
    for b, (first, size) in enumerate(zip(starts, sizes, strict=True)):
        u[0, :size, first : first + size] = z[f"uz_{kind}_u_block{b}"]
        normal[0, :size, first : first + size] = z[f"uz_{kind}_z_block{b}"]
    return {"uniform": u, "normal": normal}, sizes


@pytest.mark.parametrize("unit", ["unit", "weighted"])
@pytest.mark.parametrize("model", ["bayesc", "bayesc_markerpi", "bayesb", "bayesr"])
@pytest.mark.parametrize("blocks", ["markers", "starts_equal", "starts_explicit"])
def test_exact_transitions(transitions, model, unit, blocks):
    z = transitions
    starts = np.arange(25) if blocks == "markers" else z[blocks]
    case = start(z, weighted=unit == "weighted", starts=starts, model=model)
    case.run(1, given={"uniform": z["u_single"][None, None], "normal": z["z_single"][None, None]})
    compare(z, f"{model}_{unit}_single", case)


@pytest.mark.parametrize("unit", ["unit", "weighted"])
@pytest.mark.parametrize(("model", "kind"), [("bayesc", "equal"), ("bayesc", "explicit"), ("bayesr", "equal")])
@pytest.mark.parametrize("schedule", ["block", "independent"])
def test_repeated_transitions(transitions, model, unit, kind, schedule):
    z = transitions
    starts = z[f"starts_{kind}"]
    given, sizes = block_draws(z, kind, starts)
    case = start(
        z, weighted=unit == "weighted", starts=starts, model=model, repeats=sizes,
        independent=schedule == "independent",
    )  # fmt: skip
    case.run(1, given=given)
    compare(z, f"{model}_{unit}_{schedule}_{kind}_nrepsB", case)


@pytest.mark.parametrize("unit", ["unit", "weighted"])
@pytest.mark.parametrize("model", ["bayesc", "bayesc_markerpi", "bayesb"])
@pytest.mark.parametrize("kind", ["equal", "explicit"])
def test_independent_transitions(transitions, model, unit, kind):
    z = transitions
    case = start(z, weighted=unit == "weighted", starts=z[f"starts_{kind}"], model=model, independent=True)
    case.run(1, given={"uniform": z["u_single"][None, None], "normal": z["z_single"][None, None]})
    compare(z, f"{model}_{unit}_independent_{kind}_nreps1", case)


def test_whole_iterations(transitions):
    z = transitions
    case = Case(
        z["X_raw"].astype(np.int8), z["y"], starts=z["starts_equal"], s2e=float(z["s2e"]), s2a=float(z["s2a"]),
        pi=(float(z["pi"]), 1 - float(z["pi"])), estimate=True, scale_a=float(z["iter_S_a"]),
        scale_e=float(z["iter_S_e"]), draws=5,
    )  # fmt: skip
    case.state.residual[0] = to_planes(z["ycorr0"])
    case.state.effect[0] = z["alpha0"]
    case.state.theta[0] = z["mu0"]
    case.state.location[0] = to_planes(np.full(60, float(z["mu0"])))
    pi = z["iter_pi_draw"]
    given = {
        "location": z["iter_z_mu"][:, None],
        "uniform": z["iter_u"][:, None],
        "normal": z["iter_z"][:, None],
        "pi": np.stack([pi, 1 - pi], axis=1)[:, None],
        "chi_square": np.stack([z["iter_chi2_a"], z["iter_chi2_e"]], axis=1),
    }
    case.run(5, burn_in=0, given=given)
    trace = case.sums.trace[0]
    own = np.column_stack([case.sums.theta[0, :, 0], trace[:, 3], trace[:, 0], trace[:, 5], trace[:, 4]])
    np.testing.assert_allclose(own, z["iter_trace"], rtol=1e-10)
    np.testing.assert_allclose(case.residual, z["iter_ycorr_final"], atol=1e-10)
    np.testing.assert_allclose(case.sums.genetic[0].sum(), 0, atol=1e-8)  # centred genotypes, unit weights
    assert from_planes(case.state.location[0], 60) == pytest.approx(np.full(60, case.state.theta[0, 0]))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("bayesc", {"method": "BayesC", "pi": "pi", "estimate_pi": False}),
        ("bayesc_w", {"method": "BayesC", "pi": "pi", "estimate_pi": False, "weights": "bayesc_w"}),
        ("bayescpi", {"method": "BayesC", "pi": 0.5}),
        ("bayesc_annot", {"method": "BayesC", "pi": "annot", "estimate_pi": False}),
        ("bayesr", {"method": "BayesR", "estimate_pi": False}),
    ],
)
def test_exact_posteriors(case, options):
    z = np.load(shared("reference", "bayes", "tiny", "tiny_cases.npz"))
    data = "bayesr" if case == "bayesr" else "bayesc"
    x = z[f"{data}_X"]
    codes = np.rint(x - x.min(axis=0)).astype(np.int8)
    options = dict(options)
    if options.get("pi") == "pi":
        options["pi"] = float(z["bayesc_pi"])
    if options.get("pi") == "annot":
        options["pi"] = 1 - z["bayesc_annot_incl"]
    if case == "bayesr":
        options |= {"pi": z["bayesr_pi"], "gamma": z["bayesr_gamma"]}
    if "weights" in options:
        options["weights"] = z[options["weights"]]
    posterior = bayes.fit(
        codes, z[f"{data}_y"], **options, marker_variance=float(z[f"{data}_s2a"]),
        residual_variance=float(z[f"{data}_s2e"]), estimate_marker_variance=False, estimate_residual_variance=False,
        chain_length=101_000, burn_in=1_000, chains=4, maf_min=0.0, keep_effects=False, seed=3,
    )  # fmt: skip
    included = 1 - z[f"{case}_class_prob"][:, 0]
    assert np.abs(posterior.marker_effects["pip"].values - included).max() < 0.003
    spread = z[f"{case}_sd_alpha"]
    assert np.abs((posterior.marker_effects["mean"].values - z[f"{case}_mean_alpha"]) / spread).max() < 0.015
    np.testing.assert_allclose(posterior.marker_effects["sd"].values, spread, rtol=0.02)


CHAINS = {
    "wheat1_BayesC": {"method": "BayesC", "pi": 0.95, "estimate_pi": False},
    "wheat1_BayesCpi": {"method": "BayesC", "pi": 0.95},
    "wheat1_BayesR": {"method": "BayesR"},
    "wheat1_BayesA": {"method": "BayesA"},
    "wheat1_BayesB": {"method": "BayesB", "pi": 0.95, "estimate_pi": False},
    "wheat1_RR-BLUP": {"method": "RR-BLUP"},
    "wheat1_BayesL": {"method": "BayesL"},
    "wheat1_BayesC_weighted": {"method": "BayesC", "pi": 0.95, "estimate_pi": False},
    "mice10_bmi_BayesCpi": {"method": "BayesC", "pi": 0.95},
    "mice10_bmi_BayesR": {"method": "BayesR"},
}


def reference_chain(name):
    """(codes, phenotype, weights, scalars, arrays) of a reference chain."""
    folder = shared("reference", "bayes")
    weights = None
    if name.startswith("wheat"):
        data = np.load(folder / "data" / "wheat.npz")
        codes, y = data["X"], data["Y"][:, 0]
        if name.endswith("weighted"):
            weights = np.load(folder / "chains" / "wheat1_weights.npy")
    else:
        data = np.load(folder / "data" / "mice.npz")
        codes, y = data["X"][:, np.load(folder / "chains" / "mice10_cols.npy")], data["bmi"]
    scalars = json.loads((folder / "chains" / f"{name}.json").read_text())["scalars"]
    return codes, y, weights, scalars, np.load(folder / "chains" / f"{name}.npz")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", list(CHAINS))
def test_long_chains(name):
    codes, y, weights, scalars, arrays = reference_chain(name)
    posterior = bayes.fit(
        codes, y, **CHAINS[name], weights=weights, chain_length=12_000, burn_in=2_000, chains=4, maf_min=0.0,
        keep_effects=False, seed=1,
    )  # fmt: skip
    own = posterior.diagnostics()
    z = []
    for ours, theirs in (("residual_variance", "residual_variance"), ("heritability", "h2")):
        reference = scalars[theirs]
        z.append((own.loc[ours, "mean"] - reference["mean"]) / np.hypot(own.loc[ours, "mcse"], reference["mcse"]))
    assert np.abs(z).max() < 4.5
    ebv = posterior.breeding_values["mean"].values
    assert np.corrcoef(ebv, arrays["ebv_mean"])[0, 1] > 0.999


@pytest.mark.parametrize(("name", "size"), [("wheat1_BayesC", 24), ("mice10_bmi_BayesCpi", 42)])
def test_independent_blocks_of_related_samples_are_stopped(name, size):
    codes, y, _, _, _ = reference_chain(name)
    with pytest.raises(NotConvergedError, match="independent blocks are not stable"):
        bayes.fit(codes, y, **CHAINS[name], schedule="independent", blocks=size, chains=1, maf_min=0.0)


def test_windows_and_moments_of_stored_draws(transitions):
    z = transitions
    x = z["X_raw"] - z["X_raw"].mean(axis=0)
    alpha = z["post_alpha"]
    draw, marker = np.nonzero(alpha)
    genetic = (alpha @ x.T).var(axis=1, ddof=1)
    np.testing.assert_allclose(genetic, z["post_genvar"], rtol=1e-10)
    covariance = np.cov(x, rowvar=False)
    draws = EffectDraws(draw, marker, alpha[draw, marker], genetic)
    windows = make_windows(z["post_chr"].astype(str).astype(object), z["post_pos"], "1Mb")
    table = window_table(windows, draws, lambda a, b: covariance[a:b, a:b], threshold=0.01)
    assert table["contig"].tolist() == z["post_win_chr"].astype(str).tolist()
    assert np.array_equal(table["n_markers"], z["post_win_n"])
    np.testing.assert_allclose(table["share"], z["post_win_prop"], atol=1e-10)
    np.testing.assert_allclose(table["wppa"], z["post_wppa_1pct"], atol=1e-12)
    again = window_table(windows, draws, lambda a, b: covariance[a:b, a:b], threshold=0.1)
    np.testing.assert_allclose(again["wppa"], z["post_wppa_10pct"], atol=1e-12)
