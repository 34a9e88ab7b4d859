"""Real cohorts against exact dense REML computed elsewhere (shared data)."""

from __future__ import annotations

import json

import numpy as np
import pytest

import conversion
from daskgen import reml
from tests.shared_data import shared

FAST = [
    "maize_yield_1grm",
    "rice44k_height_1grm",
    "pine_dbh_1grm",
    "hapmap3_sim_h0_1grm",
    "hapmap3_sim_h25_1grm",
    "hapmap3_sim_h50_1grm",
    "hapmap3_sim_h90_1grm",
    "hapmap3_sim_h0_2grm",
    "hapmap3_sim_chr1to11_2grm",
    "hapmap3_sim_h50_5grm",
    "mice_BMI_1grm",
    "mice_BMI_1grm_hwe_alpha-0.5",
    "mice_BodyLength_1grm",
]
SLOW = [
    "mice_BMI_1grm_hwe_alpha-1.0",
    "mice_BMI_1grm_hwe_alpha0.0",
    "mice_BMI_2grm",
    "mice_BMI_3maf",
    "mice_BMI_5grm",
    "gcta_test_1grm",
    "gcta_test_1grm_hwe",
    "soynam_protein_1grm",
]


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """name of a cohort -> path of its store, converted once."""
    folder, made = tmp_path_factory.mktemp("cohorts"), {}

    def path_of(name):
        if name not in made:
            conversion.genotypes(shared(f"data/genotypes/{name}/{name}.bed"), folder / f"{name}.zarr")
            made[name] = str(folder / f"{name}.zarr")
        return made[name]

    return path_of


def arguments(reference, stores):
    """Positional and keyword arguments of `fit` for a case."""
    meta, name = reference["meta"], reference["genotypes"]
    folder = f"data/genotypes/{name}/{name}"
    keywords = {"scale": {"emp": "empirical", "hwe": "hwe"}[reference["scale"]], "alpha": reference["alpha"]}
    if meta["trait"].startswith("test.phen"):
        table = shared(f"{folder}.phen")
        keywords["missing_value"] = ["NA", "-9"]
    else:
        table = shared(f"{folder}.pheno")
        keywords["pheno_name"] = meta["trait"]
    covariates = None
    if "covar" in meta:
        covariates = shared(f"{folder}.covar")
        keywords |= {"covar_name": meta["covar"].split(), "covar_numeric": meta["covar"].split()}
    if "components" in meta:
        keywords["components"] = shared(f"reference/reml/{meta['components']}")
    return (stores(name), table, covariates), keywords


@pytest.mark.parametrize("case", FAST + [pytest.param(c, marks=pytest.mark.slow) for c in SLOW])
def test_the_exact_way_equals_dense_reml(case, stores):
    reference = json.loads(shared(f"reference/reml/{case}.json").read_text())
    arrays = np.load(shared(f"reference/reml/{case}.npz"))
    positional, keywords = arguments(reference, stores)
    fit = reml.fit(*positional, method="exact", **keywords)
    table = fit.variance_components
    free = ~table["at_bound"].to_numpy()
    assert fit.converged
    assert table["at_bound"].tolist() == [*reference["on_boundary"], False]
    assert fit.dataset["n_counted"].values[0].tolist() == reference["m_eff"]
    np.testing.assert_allclose(table["estimate"][free], np.array(reference["theta"])[free], rtol=1e-8)
    np.testing.assert_allclose(table["se"], reference["se_AI"], rtol=1e-6)
    assert fit.log_likelihood == pytest.approx(reference["ll_reml"], abs=1e-8 * abs(reference["ll_reml"]))
    np.testing.assert_allclose(fit.dataset["null_log_likelihood"].values[0], reference["ll_null"], rtol=1e-10)
    h2 = fit.heritability.set_index("component")
    assert h2["h2"]["total"] == pytest.approx(reference["h2_trace"]["total"], rel=1e-8, abs=1e-12)
    np.testing.assert_allclose(h2["se"].iloc[:-1], reference["h2_trace"]["per_se"], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(fit.dataset["mean_diagonal"].values[0], reference["mean_diag"], rtol=1e-10)
    errors = np.array(reference["beta_se"])
    assert np.abs((fit.fixed_effects["estimate"] - reference["beta"]) / errors).max() < 1e-6
    np.testing.assert_allclose(fit.fixed_effects["se"], errors, rtol=1e-6)
    used = fit.dataset["used"].values[0]
    np.testing.assert_array_equal(np.flatnonzero(used), arrays["keep"])
    size = np.abs(arrays["Py"]).max()
    np.testing.assert_allclose(fit.dataset["projected"].values[0][used], arrays["Py"], atol=1e-6 * size)
    effects = fit.random_effects(pev=case in FAST)
    of_variants = fit.snp_effects()["standardised"].values
    for g in range(len(reference["m_eff"])):
        u = arrays[f"u{g}"]
        np.testing.assert_allclose(effects["effect"].values[g, used], u, atol=1e-6 * max(np.abs(u).max(), 1e-12))
        if f"b_std{g}" in arrays and arrays[f"b_std{g}"].any():
            # The reference rounds them to float32 and leaves out variants that do not vary.
            b, found = arrays[f"b_std{g}"], of_variants[g][of_variants[g] != 0]
            np.testing.assert_allclose(np.sort(found), np.sort(b[b != 0]), atol=1e-6 * np.abs(b).max())
        if case in FAST:
            pev = arrays[f"pev{g}"]
            np.testing.assert_allclose(effects["pev"].values[g, used], pev, atol=2e-6 * max(pev.max(), 1e-12))


STREAMED = ["hapmap3_sim_h50_1grm", "mice_BMI_1grm", "pine_dbh_1grm"]
STREAMED_SLOWLY = [case for case in FAST + SLOW if case not in STREAMED]


@pytest.mark.parametrize("case", STREAMED + [pytest.param(c, marks=pytest.mark.slow) for c in STREAMED_SLOWLY])
def test_the_stochastic_way_is_within_its_monte_carlo_error(case, stores):
    reference = json.loads(shared(f"reference/reml/{case}.json").read_text())
    positional, keywords = arguments(reference, stores)
    fit = reml.fit(*positional, method="stochastic", n_probes=60, seed=1, **keywords)
    table = fit.variance_components
    error = table["monte_carlo_se"].to_numpy()
    # The average information is that of the exact fit, but at this theta.
    bound = np.array([*reference["on_boundary"], False])
    np.testing.assert_array_equal(table["at_bound"], bound)
    assert (np.abs(table["estimate"] - reference["theta"]) <= 3 * error + 5e-3 * np.array(reference["se_AI"])).all()
    assert abs(fit.log_likelihood - reference["ll_reml"]) <= 3 * fit.lrt["monte_carlo_se"][0] + 0.01
    np.testing.assert_allclose(table["se"], reference["se_AI"], rtol=0.1)
