"""Munged z and N, and scaled effects, against those of R GenomicSEM on files with every kind of header and defect."""

from __future__ import annotations

import json

import numpy as np
import pytest

import conversion
import daskgen as dg
from tests.conversion.summary.files import exact_table, values
from tests.shared_data import shared

TRAITS = [f"T{i}" for i in range(1, 7)]
# T4 has `allele1 allele2` and nothing that says which of them has the effect.
TOLD = {"T4": {"effect_allele": "allele1"}}
HAS_N = ("ols", "z_linprob", "beta_std", "z_ols")
# "beta_std": R was called with betas as a list, which it silently ignores: what it computed is the linear scale.
SCALE = {
    "ols": "linear",
    "or_selogit": "logistic",
    "z_linprob": "linear_probability",
    "or_seor": "odds_ratio",
    "beta_std": "linear",
    "z_ols": "linear",
}


@pytest.fixture(scope="module")
def study():
    root = shared("reference/sem")
    truth = json.loads((root / "inputs/truth.json").read_text())
    return {
        "root": root,
        "files": [root / f"inputs/raw/{name}.txt.gz" for name in TRAITS],
        "n": [None if kind in HAS_N else n for kind, n in zip(truth["kinds"], truth["N"], strict=True)],
        "scale": [SCALE[kind] for kind in truth["kinds"]],
    }


@pytest.fixture(scope="module")
def munged(study, tmp_path_factory):
    path = tmp_path_factory.mktemp("munged") / "m.zarr"
    conversion.munge(
        study["files"], study["root"] / "inputs/w_hm3.snplist.gz", path, trait_names=TRAITS, n=study["n"], columns=TOLD
    )
    return path


@pytest.mark.parametrize("trait", TRAITS)
def test_munged_variants_n_and_z_are_rs(trait, study, munged):
    r = exact_table(study["root"] / f"expected/munged_unique/{trait}.sumstats.gz").set_index("SNP")
    z, n = values(munged, trait, "z"), values(munged, trait, "n")
    assert set(z) == set(r.index)
    np.testing.assert_allclose([z[name] for name in r.index], r.Z, rtol=1e-9)
    np.testing.assert_array_equal([n[name] for name in r.index], r.N)
    dataset = dg.open_store(munged)
    alleles = dict(zip(dataset["variant_id"].values.tolist(), dataset["variant_allele"].values.tolist(), strict=True))
    assert all(alleles[name] == [a2, a1] for name, a1, a2 in zip(r.index, r.A1, r.A2, strict=True))


@pytest.mark.parametrize("trait", TRAITS)
def test_all_that_r_keeps_besides_are_the_copies_of_repeated_ids(trait, study, munged):
    r = exact_table(study["root"] / f"expected/munged/{trait}.sumstats.gz")
    assert set(r.SNP) - set(values(munged, trait, "z")) == set(r.SNP[r.SNP.duplicated(keep=False)])


def test_scaled_effects_are_rs(study, tmp_path):
    path = tmp_path / "s.zarr"
    reference = study["root"] / "inputs/reference.maf.gz"
    options = {"trait_names": TRAITS, "n": study["n"], "scale": study["scale"], "columns": TOLD}
    conversion.sumstats(study["files"], reference, path, **options)
    r = exact_table(study["root"] / "expected/sumstats.tsv.gz").set_index("SNP")
    dataset = dg.open_store(path).load()
    full = np.isfinite(dataset["beta"].values).all(axis=0)
    assert dataset["variant_id"].values[full].tolist() == r.index.tolist()  # R keeps what all traits have
    for i, trait in enumerate(TRAITS):
        np.testing.assert_allclose(dataset["beta"].values[i, full], r[f"beta.{trait}"], rtol=1e-8)
        np.testing.assert_allclose(dataset["se"].values[i, full], r[f"se.{trait}"], rtol=1e-8)
    np.testing.assert_allclose(dataset["maf"].values[full], r.MAF, rtol=1e-12)
    assert dataset["variant_position"].values[full].tolist() == r.BP.tolist()
    contigs = dataset["contig_id"].values[dataset["variant_contig"].values[full]]
    assert contigs.tolist() == r.CHR.astype(int).astype(str).tolist()
    assert dataset["variant_allele"].values[full, 1].tolist() == r.A1.tolist()


def test_filters_of_ambiguous_variants_cohorts_info_and_frequency_are_rs(study, tmp_path):
    first = slice(0, 5)
    conversion.sumstats(
        study["files"][first],
        study["root"] / "inputs/reference.maf.gz",
        tmp_path / "s.zarr",
        trait_names=TRAITS[first],
        n=study["n"][first],
        scale=study["scale"][first],
        columns=TOLD,
        info_filter=0.95,
        maf_filter=0.05,
        ambig=True,
        direct_filter=True,
    )
    r = exact_table(study["root"] / "expected/sumstats_ambig_rows.tsv.gz")
    sums = json.loads((study["root"] / "expected/sumstats_ambig.json").read_text())["colsums"]
    dataset = dg.open_store(tmp_path / "s.zarr").load()
    full = np.isfinite(dataset["beta"].values).all(axis=0)
    assert dataset["variant_id"].values[full].tolist() == r.SNP.tolist()
    found = np.stack([dataset[name].values[:, full].sum(axis=1) for name in ("beta", "se")], axis=1)
    np.testing.assert_allclose(found.ravel(), sums, rtol=1e-8)


def test_betas_that_are_standardised_are_taken_as_given(study, tmp_path):
    path, raw = tmp_path / "s.zarr", study["files"][4]
    conversion.sumstats(raw, study["root"] / "inputs/reference.maf.gz", path, trait_names="T5", scale="standardised")
    given = exact_table(raw).drop_duplicates("SNP", keep=False).set_index("SNP")
    found = values(path, "T5", "beta")
    assert all(abs(value) == abs(given.B[name]) for name, value in found.items())


def test_merged_tables_of_r_are_read_back_as_they_are(study, tmp_path):
    path = study["root"] / "expected/sumstats.tsv.gz"
    conversion.sumstats(path, None, tmp_path / "s.zarr")
    r = exact_table(path)
    dataset = dg.open_store(tmp_path / "s.zarr")
    assert dataset["trait"].values.tolist() == TRAITS
    assert dataset["variant_id"].values.tolist() == r.SNP.tolist()
    np.testing.assert_array_equal(dataset["beta"].values, r[[f"beta.{t}" for t in TRAITS]].to_numpy().T)
    np.testing.assert_array_equal(dataset["se"].values, r[[f"se.{t}" for t in TRAITS]].to_numpy().T)


def test_munged_files_of_r_need_no_reference_and_give_the_same_store(study, munged, tmp_path):
    files = [study["root"] / f"expected/munged_unique/{name}.sumstats.gz" for name in TRAITS]
    conversion.munge(files, None, tmp_path / "m.zarr")
    for trait in TRAITS:
        ours, r = values(munged, trait, "z"), values(tmp_path / "m.zarr", trait, "z")
        assert set(ours) == set(r)
        np.testing.assert_allclose([ours[name] for name in r], list(r.values()), rtol=1e-9)
