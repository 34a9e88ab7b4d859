"""Association on real cohorts against plink2's least squares and exact mixed models (shared data)."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

import conversion
from daskgen import reml
from tests.shared_data import shared


def cohort_tables(name, trait, covariates=()):
    """(genotypes opened in place, positional phenotype and covariate tables, keywords)."""
    folder = f"data/genotypes/{name}/{name}"
    genotypes = conversion.open(shared(f"{folder}.bed"))
    keywords = {"pheno_name": trait, "min_mac": 0}
    if not covariates:
        return (genotypes, shared(f"{folder}.pheno")), keywords
    keywords |= {"covar_name": list(covariates), "covar_numeric": list(covariates)}
    return (genotypes, shared(f"{folder}.pheno"), shared(f"{folder}.covar")), keywords


MICE = ("sex", "CageDensity", "Litter", "year", "month")


@pytest.mark.parametrize(
    ("case", "name", "trait", "covariates"),
    [("mice_BMI", "mice_hs1814", "BMI", MICE), ("rice44k_height", "rice44k374", None, ())],
)
def test_least_squares_equals_plink2(case, name, trait, covariates):
    meta = json.loads(shared(f"reference/reml/{case}_1grm.json").read_text())["meta"]
    covariates = tuple(meta["covar"].split()) if "covar" in meta else ()
    expected = pd.read_csv(shared(f"reference/reml/{case}_ols.tsv.gz"), sep="\t")
    positional, keywords = cohort_tables(name, meta["trait"], covariates)
    for handling, suffix in (("exclude", ""), ("mean", "_MEANIMP")):
        found = reml.gwas(*positional, missing_calls=handling, **keywords).compute()
        table = found.dg.table().set_index("variant_id").loc[expected["ID"]]
        both = expected["BETA" + suffix].notna().to_numpy()
        assert (np.isfinite(table["estimate"].to_numpy()) >= both).all()
        wanted = {column: expected[column + suffix].to_numpy()[both] for column in ("BETA", "SE", "P")}
        # The reference has eight digits of what it was computed in: rounding of 1e-7 SE.
        distance = np.abs(table["estimate"].to_numpy()[both] - wanted["BETA"])
        assert (distance <= 2e-7 * (np.abs(wanted["BETA"]) + wanted["SE"])).all()
        np.testing.assert_allclose(table["se"].to_numpy()[both], wanted["SE"], rtol=2e-7)
        np.testing.assert_allclose(table["p"].to_numpy()[both], wanted["P"], rtol=3e-6)
        if handling == "exclude":
            np.testing.assert_array_equal(table["n_called"], expected["N"])
            np.testing.assert_allclose(table["allele_frequency"], expected["A1_FREQ"], atol=1e-8)


@pytest.mark.skipif(shutil.which("plink2") is None, reason="plink2 is not installed")
def test_every_digit_that_plink2_prints(tmp_path):
    """Rice: 4 % of calls are missing, and of the covariate, which is another trait, some values too."""
    folder = shared("data/genotypes/rice44k374")
    prefix, table = folder / "rice44k374", folder / "rice44k374.pheno"
    names = ["Plant.height", "Panicle.number.per.plant"]
    command = ["plink2", "--bfile", prefix, "--chr-set", "12", "--threads", "1", "--glm", "hide-covar"]
    command += ["--pheno", table, "--pheno-name", names[0], "--covar", table, "--covar-name", names[1]]
    subprocess.run([*map(str, command), "--out", str(tmp_path / "peer")], check=True, capture_output=True)
    peer = pd.read_csv(tmp_path / f"peer.{names[0]}.glm.linear", sep="\t").set_index("ID")
    covariates = pd.read_csv(table, sep=r"\s+")[["FID", "IID", names[1]]]
    result = reml.gwas(
        conversion.open(prefix.with_suffix(".bed")),
        table,
        covariates,
        pheno_name=names[0],
        min_mac=0,
        covar_numeric=names[1],
    )
    ours = pd.read_csv(result.dg.to_tsv(tmp_path / "ours.tsv"), sep="\t").set_index("ID").loc[peer.index]
    tested = peer["ERRCODE"] == "."
    assert tested.mean() > 0.9
    assert (ours["OBS_CT"] == peer["OBS_CT"]).all()
    sign = np.where(ours["A1"] == peer["A1"], 1, -1)
    for column in ("BETA", "SE", "T_STAT", "P"):
        mine = ours[column] * (sign if column in ("BETA", "T_STAT") else 1)
        # Six digits are half a unit of the sixth off: at most 5e-6.
        np.testing.assert_allclose(mine[tested], peer[column][tested], rtol=5.1e-6, err_msg=column)


@pytest.mark.parametrize(
    "chromosome", ["19", pytest.param("1", marks=pytest.mark.slow), pytest.param("X", marks=pytest.mark.slow)]
)
def test_mixed_models_of_mice(chromosome):
    """Body mass index of mice: the reference estimates the variances again for each left-out chromosome."""
    expected = pd.read_csv(shared("reference/reml/mice_BMI_loco.tsv.gz"), sep="\t")
    meta = json.loads(shared("reference/reml/mice_BMI_1grm.json").read_text())["meta"]
    null_fits = json.loads(shared("reference/reml/mice_BMI_loco.json").read_text())["null_fits"]
    positional, keywords = cohort_tables("mice_hs1814", meta["trait"], tuple(meta["covar"].split()))
    fit = reml.fit(*positional, method="exact", **{k: v for k, v in keywords.items() if k != "min_mac"})
    chosen = expected[expected["CHROM"].astype(str) == chromosome]
    options = {"model": "mixed-loco", "fit": fit, "contig": chromosome, **keywords}
    refitted = reml.gwas(*positional, refit=True, method="exact", **options)
    k = refitted.attrs["loco_groups"].index(chromosome)
    np.testing.assert_allclose(refitted.attrs["left_out"][0]["variances"][k], null_fits[chromosome]["theta"], rtol=1e-6)
    table = refitted.dg.table().set_index("variant_id").loc[chosen["ID"]]
    assert (np.abs(table["estimate"] - chosen["BETA"].to_numpy()) <= 1e-6 * table["se"]).all()
    np.testing.assert_allclose(table["se"], chosen["SE"], rtol=1e-6)
    np.testing.assert_allclose(table["p"], chosen["P"], rtol=2e-6)
    # One fit for all chromosomes: variances differ from those without one by up to a tenth, z by a tenth at most.
    once = reml.gwas(*positional, method="exact", **options).dg.table().set_index("variant_id").loc[chosen["ID"]]
    z = (chosen["BETA"] / chosen["SE"]).to_numpy()
    assert np.abs(once["z"] - z).max() < 0.1
    assert np.corrcoef(once["z"], z)[0, 1] > 0.999
    # Calibrated denominators: mice are close relatives, so single variants differ by some per cent.
    streamed = reml.gwas(*positional, method="streamed", **options).dg.table().set_index("variant_id").loc[chosen["ID"]]
    assert np.median(np.abs(streamed["minus_log10_p"] + np.log10(chosen["P"].to_numpy()))) < 0.04
    assert np.corrcoef(streamed["z"], chosen["BETA"] / chosen["SE"])[0, 1] > 0.995
