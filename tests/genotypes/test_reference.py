"""Statistics of converted real files against plink2's tables (shared data)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import conversion
import daskgen as dg
from tests.shared_data import shared

CASES = {
    "kg_eur378_chr22": "data/formats/kg_eur378_chr22_hm3/1000G_eur_chr22.bed",
    "plink_sim": "data/formats/plink1/plink_sim_10s_100v_10pmiss.bed",
    "regenie_bed": "data/formats/regenie_example/example.bed",
    "regenie_pgen": "data/formats/regenie_example/example.pgen",
    "kg2504": "data/formats/kg2504_9867snps/kg2504.pgen",
    "all_ploidy": "data/formats/pgen/all_ploidy.pgen",
}


def table_of(name):
    """plink2's table, one row per variant that has two alleles only."""
    table = pd.read_csv(shared(f"reference/conversion/{name}.variants.tsv.gz"), sep="\t", dtype={"ALT_FREQS": str})
    return table


@pytest.mark.parametrize("name", CASES)
def test_variant_statistics_equal_plink2s(tmp_path, name):
    table = table_of(name)
    source = shared(CASES[name])
    # plink2's ALT of a .bed is A1, which is what a store of a .bed counts.
    conversion.genotypes(source, tmp_path / "g.zarr")
    found = dg.genotypes.variant_stats(tmp_path / "g.zarr").compute()
    single = ~table["ALT"].astype(str).str.contains(",").to_numpy()
    ids = found["variant_id"].values.astype(object)
    rows = (
        np.flatnonzero(~pd.Series(ids).duplicated(keep=False).to_numpy()) if not single.all() else np.arange(len(ids))
    )
    assert ids[rows].tolist() == table["ID"][single].astype(str).tolist()
    wanted = table[single].reset_index(drop=True)
    got = found.isel(variants=rows)
    for ours, theirs in (
        ("n_hom_ref", "HOM_REF_CT"),
        ("n_het", "HET_REF_ALT_CTS"),
        ("n_hom_alt", "TWO_ALT_GENO_CTS"),
        ("n_hap_ref", "HAP_REF_CT"),
        ("n_hap_alt", "HAP_ALT_CTS"),
        ("n_missing", "MISSING_CT"),
        ("allele_number", "OBS_CT"),
    ):
        np.testing.assert_array_equal(got[f"variant_{ours}"], wanted[theirs].astype(int), err_msg=f"{name} {ours}")
    np.testing.assert_allclose(
        got["variant_allele_frequency"], wanted["ALT_FREQS"].astype(float), rtol=5.1e-6, atol=1e-12
    )
    if "HWE_P" in wanted:
        np.testing.assert_allclose(got["variant_hwe_p"], wanted["HWE_P"], rtol=6e-6)


def test_the_alleles_of_a_split_variant_have_plink2s_frequencies(tmp_path):
    table = table_of("all_ploidy")
    conversion.genotypes(shared(CASES["all_ploidy"]), tmp_path / "g.zarr")
    found = dg.genotypes.variant_stats(tmp_path / "g.zarr").compute()
    ids = found["variant_id"].values.astype(object)
    for _, row in table[table["ALT"].str.contains(",")].iterrows():
        mine = found["variant_allele_frequency"].values[ids == row["ID"]]
        np.testing.assert_allclose(mine, [float(f) for f in row["ALT_FREQS"].split(",")], rtol=5.1e-6)


@pytest.mark.parametrize("cohort", ["mice_hs1814", "hapmap3_957", "pine926"])
def test_components_of_real_cohorts_equal_the_dense_ones(tmp_path, cohort):
    source = shared(f"data/genotypes/{cohort}/{cohort}.bed")
    genome = "mouse" if cohort.startswith("mice") else "human"
    conversion.genotypes(source, tmp_path / "g.zarr", genome=genome)
    found = dg.genotypes.pca(tmp_path / "g.zarr", 5)
    operator = dg.genotypes.operator(tmp_path / "g.zarr")
    opened = dg.open_store(tmp_path / "g.zarr")
    x = opened["call_dosage"].values.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.nan_to_num((x - np.nanmean(x, axis=1, keepdims=True)) / np.nanstd(x, axis=1, keepdims=True), posinf=0)
    values, vectors = np.linalg.eigh(z.T @ z / int(operator.counted))
    values, vectors = values[::-1][:5], vectors[:, ::-1][:, :5]
    np.testing.assert_allclose(found["variances"], values, rtol=1e-5)
    unit = found["scores"].values / np.sqrt(found["variances"].values)
    np.testing.assert_allclose(np.abs((unit * vectors).sum(axis=0)), 1, atol=1e-6)
