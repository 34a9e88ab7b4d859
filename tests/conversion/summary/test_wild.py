"""Every file of ../shared/data/sumstats converts with the right signs or is refused with the intended error."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest

import conversion
from daskgen.errors import InputError
from tests.conversion.summary.files import close, values
from tests.conversion.summary.wild import HM3, OUTCOMES
from tests.oracles.munge import Spec, lines_of, munged, reference_of, rows_of
from tests.shared_data import CHECKOUT, shared

VCF = "data/formats/gwasvcf/gwasvcf_two_studies.vcf.gz"


@pytest.fixture(scope="module")
def hm3(tmp_path_factory):
    """The HapMap3 variants that any of the files can have, by id or by position: the list is long."""
    words = set()
    for path in (shared("data/sumstats", outcome.file) for outcome in OUTCOMES):
        if path.suffix == ".parquet":
            words.update(pl.read_parquet(path)["SNP"].to_list())
        elif "truncated" not in path.name:
            for line in lines_of(path):
                words.update(re.split(r"[\s,:_]+", line, maxsplit=12))
    words.update(line.split()[2] for line in lines_of(shared(VCF)) if not line.startswith("#"))
    header, *lines = lines_of(shared(HM3))
    kept = [line for line in lines if not words.isdisjoint(line.split("\t")[:6:5])]
    path = tmp_path_factory.mktemp("hm3") / "hm3.tsv"
    path.write_text("\n".join([header, *kept]) + "\n")
    return path


@pytest.fixture(scope="module")
def hm3_variants(hm3):
    return reference_of(hm3)


def munge(path, hm3, destination, **options):
    return conversion.munge(path, hm3, destination, trait_names="T", n=100_000, force=True, **options)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.file)
def test_the_file_converts_with_the_signs_of_the_oracle_or_is_refused(outcome, hm3, hm3_variants, tmp_path):
    path, store = shared("data/sumstats", outcome.file), tmp_path / "m.zarr"
    options = {}
    if outcome.kept is None:
        with pytest.raises(InputError, match=outcome.refused) as error:
            munge(path, hm3, store)
        assert not store.exists()
        assert "\n  found  " in str(error.value)
        assert "\n  do  " in str(error.value)
        if not outcome.told:
            return
        options = {"columns": dict(outcome.told)}
        if outcome.told_refused:
            with pytest.raises(InputError, match=outcome.told_refused):
                munge(path, hm3, store, **options)
            return
    result = munge(path, hm3, store, **options)
    assert result.reports[0].kept == (outcome.kept if outcome.kept is not None else outcome.told_kept)
    if outcome.spec is not None:
        wanted = munged(path, outcome.spec, hm3_variants)
        close(values(store, "T", "z"), {name: found[0] for name, found in wanted.items()}, 1e-9)


def test_the_outcomes_are_of_all_files():
    folder = shared("data/sumstats")
    there = {f"{kind}/{path.name}" for kind in ("messy", "real") for path in (folder / kind).iterdir()}
    assert there - {"real/zmatrix_6traits_studies.tsv"} == {outcome.file for outcome in OUTCOMES}


def test_where_genomicsem_converts_a_file_rightly_the_sums_are_the_same(hm3, tmp_path):
    """Rows, sum of z and of z squared as R's munge has them; where R is wrong, the table of the docs says so."""
    r = pd.read_csv(shared("reference/conversion/munge_outcomes.tsv"), sep="\t", index_col="file")
    compared = 0
    for outcome in OUTCOMES:
        name = outcome.file.split("/")[1]
        if outcome.kept is None or name not in r.index or not np.isfinite(r.gsem_sum_Z[name]):
            continue
        munge(shared("data/sumstats", outcome.file), hm3, tmp_path / "m.zarr")
        z = np.array(list(values(tmp_path / "m.zarr", "T", "z").values()))
        assert len(z) == r.gsem_rows_kept[name], name
        np.testing.assert_allclose([z.sum(), (z**2).sum()], [r.gsem_sum_Z[name], r.gsem_sum_Z2[name]], rtol=1e-5)
        compared += 1
    assert compared >= 10


def test_where_the_effect_is_on_the_second_allele_genomicsem_has_all_signs_turned(hm3, tmp_path):
    r = pd.read_csv(shared("reference/conversion/munge_outcomes.tsv"), sep="\t", index_col="file")
    munge(
        shared("data/sumstats/messy/covid_hgi_meta.snp.gz"),
        hm3,
        tmp_path / "m.zarr",
        columns={"effect_allele": "allele2"},
    )
    z = sum(values(tmp_path / "m.zarr", "T", "z").values())
    assert z == pytest.approx(-r.gsem_sum_Z["covid_hgi_meta.snp.gz"], rel=1e-6)


# Files without overlap with the HapMap3 list: aligned to a reference made of their own rows, half of it turned.
OWN = (
    (
        "messy/gcst008916_asthma_ukb_chrposid.assoc.gz",
        Spec("A1", "A2", "BETA", place="id", separator=None),
        {},
    ),
    (
        "messy/gcst90077745_migraine_regenie_exome_or_ci.tsv.gz",
        Spec(
            "effect_allele",
            "other_allele",
            "odds_ratio",
            id="Name",
            p="p_value",
            odds_ratio=True,
            frequency="effect_allele_frequency",
            place=("chromosome", "base_pair_location"),
        ),
        {},
    ),
    (
        "messy/gcst90271641_migraine_quoted_header.tsv.gz",
        Spec(
            "effect_allele",
            "other_allele",
            "beta",
            p="p_value",
            frequency="effect_allele_frequency",
            place=("chromosome", "base_pair_location"),
        ),
        {},
    ),
    ("messy/pgc_scz2_beta_sign_upper.txt.gz", Spec("A1", "A2", "BETA", id="SNPID", info="INFO"), {}),
    ("messy/chrX_ref_alt_z.txt", Spec("ALT", "REF", "Z", id="ID", p=None, separator=None), {"effect_allele": "ALT"}),
    (
        "messy/tool_run1_chr2.CASE.glm.logistic.gz",
        Spec("A1", "OTHER", "OR", id="ID", odds_ratio=True, n="OBS_CT"),
        {},
    ),
    ("messy/tool_run2_chr2.PHENO.glm.linear.gz", Spec("A1", "OTHER", "BETA", id="ID", n="OBS_CT"), {}),
    (
        "messy/tool_run1_chr2_CASE.regenie.gz",
        Spec("ALLELE1", "ALLELE0", "BETA", id="ID", p="LOG10P", log10=True, n="N", frequency="A1FREQ", separator=None),
        {},
    ),
)


def own_files(path, spec, folder):
    """(file whose alleles are bases, the same as the oracle reads it, reference of its rows)."""
    letters = {"d": "A", "D": "G"}
    text = [re.sub(r"\b[dD]\b", lambda found: letters[found[0]], line) for line in lines_of(path)]
    read, seen = folder / path.name.removesuffix(".gz"), folder / "seen.txt"
    read.write_text("\n".join(text) + "\n")
    seen.write_text("\n".join(text) + "\n")
    if spec.other_allele == "OTHER":  # plink2: the one of REF and ALT that is not A1
        rows = [row | {"OTHER": row["REF"] if row["A1"] == row["ALT"] else row["ALT"]} for row in rows_of(read, "\t")]
        pd.DataFrame(rows).to_csv(seen, sep="\t", index=False)
    variants = []
    for i, row in enumerate(rows_of(seen, spec.separator)):
        alleles = row[spec.effect_allele].upper(), row[spec.other_allele].upper()
        if spec.place == "id":
            contig, position = re.match(r"(\w+?)[:_](\d+)", row[spec.id]).groups()
        elif spec.place is not None:
            contig, position = (row[name] for name in spec.place)
        else:
            contig, position = 1, i + 1
        name = row[spec.id] if spec.place is None else f"v{i}"
        variants.append((name, *(alleles[::-1] if i % 2 else alleles), 0.2, contig, position))
    unique = {variant[4:]: variant for variant in variants}
    table = pd.DataFrame(list(unique.values()), columns=["SNP", "A1", "A2", "MAF", "CHR", "BP"])
    table.to_csv(folder / "own.tsv", sep="\t", index=False)
    return read, seen, folder / "own.tsv"


@pytest.mark.parametrize(("file", "spec", "told"), OWN, ids=[file for file, _, _ in OWN])
def test_signs_are_right_against_a_reference_of_the_files_own_rows(file, spec, told, tmp_path):
    read, seen, reference = own_files(shared("data/sumstats", file), spec, tmp_path)
    n = None if isinstance(spec.n, str) else spec.n
    options = {
        "columns": {**told, **({"minor_frequency": spec.frequency} if spec.frequency else {})},
        "info_filter": 0.5,
    }
    result = conversion.munge(read, reference, tmp_path / "m.zarr", trait_names="T", n=n, **options)
    wanted = munged(seen, spec, reference_of(reference), info=0.5)
    found = values(tmp_path / "m.zarr", "T", "z")
    close(found, {name: value[0] for name, value in wanted.items()}, 1e-8)
    assert result.reports[0].flipped > 0.2 * len(found) > 0
    if file == "messy/pgc_scz2_beta_sign_upper.txt.gz":
        signs = {row["SNPID"]: row["BETA_SIGN"] for row in rows_of(seen, "\t")}
        variants = reference_of(reference)
        rows = {row["SNPID"]: row["A1"] for row in rows_of(seen, "\t")}
        for name, z in found.items():
            assert (z > 0) == ((signs[name] == "+") == (rows[name] == variants[name].effect))


def test_epacts_has_its_alleles_in_the_ids_and_counts_the_second(hm3, hm3_variants, tmp_path):
    path = shared("data/sumstats/messy/tool_epacts.gz")
    munge(path, hm3, tmp_path / "m.zarr")
    places = {variant.place: (name, variant) for name, variant in hm3_variants.items()}
    wanted = {}
    for row in rows_of(path, "\t"):
        contig, position, other, effect = re.match(r"(\w+):(\d+)_([ACGT]+)/([ACGT]+)_", row["MARKER_ID"]).groups()
        name, variant = places.get((contig, position), (None, None))
        if name is None or row["PVALUE"] == "NA" or float(row["MAF"]) < 0.01:
            continue
        assert {effect, other} == {variant.effect, variant.other}
        wanted[name] = (1 if effect == variant.effect else -1) * (1 if float(row["BETA"]) > 0 else -1)
    assert {name: np.sign(z) for name, z in values(tmp_path / "m.zarr", "T", "z").items()} == wanted


def test_gwas_vcf_of_a_real_study_whose_frequencies_are_of_the_other_allele(hm3, hm3_variants, tmp_path):
    path = shared(VCF)
    with pytest.raises(InputError, match="frequencies run against those of the reference"):
        conversion.munge(path, hm3, tmp_path / "m.zarr")
    conversion.munge(path, hm3, tmp_path / "m.zarr", trait_names="T", columns={"minor_frequency": "EAF"})
    found = values(tmp_path / "m.zarr", "T", "z")
    checked = 0
    with gzip.open(path, "rt") as file:
        for fields in (line.split() for line in file if not line.startswith("#")):
            value = dict(zip(fields[8].split(":"), fields[9].split(":"), strict=True))
            if fields[2] in found:
                turned = hm3_variants[fields[2]].effect != fields[4]
                assert np.sign(found[fields[2]]) == np.sign(float(value["ES"])) * (-1 if turned else 1)
                checked += 1
    assert checked == len(found) > 10


def test_the_documentation_has_the_same_outcomes():
    text = (CHECKOUT / "docs/methods/summary-statistics.md").read_text(encoding="utf-8")
    rows = {cells[0]: cells for line in text.splitlines() if (cells := [c.strip() for c in line.split("|")[1:-1]])}
    for outcome in OUTCOMES:
        cells = rows[f"`{outcome.file.split('/')[1]}`"]
        first = f"{outcome.kept:,} rows" if outcome.kept is not None else "refused"
        assert cells[1].startswith(first), outcome.file
        if outcome.told:
            second = f"{outcome.told_kept:,} rows" if outcome.told_kept is not None else "refused"
            told = ", ".join(f"`{key}={column}`" for key, column in outcome.told.items())
            assert f"with {told}: {second}" in cells[1], outcome.file
