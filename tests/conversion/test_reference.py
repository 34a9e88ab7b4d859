"""Real cohorts and 1000 Genomes files: stores have exactly the counts and frequencies that plink2 reports."""

from __future__ import annotations

import filecmp
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import conversion
from daskgen.stores import open_group, verify
from tests.oracles.plink import packed_codes
from tests.shared_data import shared

TRUTH = {
    "kg_eur378_chr22": "formats/kg_eur378_chr22_hm3/1000G_eur_chr22.bed",
    "plink_sim": "formats/plink1/plink_sim_10s_100v_10pmiss.bed",
    "regenie_bed": "formats/regenie_example/example.bed",
    "regenie_pgen": "formats/regenie_example/example.pgen",
    "kg2504": "formats/kg2504_9867snps/kg2504.pgen",
    "all_ploidy": "formats/pgen/all_ploidy.pgen",
    "kg_eas504_chr7": "formats/vcf/1kg_eas_hg19.chr7_126253550_128253550.vcf.gz",
    "kg_phase3_chr21": "formats/vcf/1kg_phase3_chr21_start.vcf.gz",
    "kg_sample_346x100": "formats/vcf/1kg_sample_346x100.vcf.gz",
    "small_gt": "formats/vcf/small-gt.vcf.gz",
    "small_ds": "formats/vcf/small-ds.vcf.gz",
}
COHORTS = {
    "mice_hs1814": ("mouse", 1_814, 10_346),
    "soynam5590": ("soybean", 5_590, 4_611),
    "rice44k374": ("rice", 374, 36_901),
    "maize_drops246": ("maize", 246, 41_722),
    "pine926": ("plant", 926, 4_853),
    "hapmap3_957": ("human", 957, 14_079),
    "gcta_test3925": ("human", 3_925, 1_000),
}


def split_rows(table: pd.DataFrame) -> pd.DataFrame:
    """plink2's table with a row for each ALT allele: frequency and counts of that allele."""
    several = ["ALT", "ALT_FREQS", "HET_REF_ALT_CTS", "TWO_ALT_GENO_CTS", "HAP_ALT_CTS"]
    rows = []
    for row in table.to_dict("records"):
        n_alt = row["ALT"].count(",") + 1
        parts = {name: str(row[name]).split(",") for name in several}
        for allele in range(n_alt):
            rows.append({**row, **{name: parts[name][allele] for name in several if name != "TWO_ALT_GENO_CTS"}})
            rows[-1]["several"] = n_alt > 1
    return pd.DataFrame(rows)


@pytest.mark.parametrize("name", TRUTH)
def test_counts_and_frequencies_are_those_of_plink2(tmp_path: Path, name: str) -> None:
    source, truth = shared("data", TRUTH[name]), shared("reference", "conversion", f"{name}.variants.tsv.gz")
    if source.suffix == ".pgen":
        pytest.importorskip("pgenlib")
    table = split_rows(pd.read_csv(truth, sep="\t", dtype={"CHROM": str, "ID": str, "REF": str, "ALT": str}))
    conversion.genotypes(source, tmp_path / "c.zarr")
    assert verify(tmp_path / "c.zarr") == []
    group = open_group(tmp_path / "c.zarr")
    stored = {key: group[key][...] for key in group.array_keys()}
    assert stored["contig_id"][stored["variant_contig"]].tolist() == table.CHROM.tolist()
    assert stored["variant_id"].tolist() == table.ID.tolist()
    assert stored["variant_allele"][:, 0].tolist() == table.REF.tolist()
    assert stored["variant_allele"][:, 1].tolist() == table.ALT.tolist()
    frequency = table.ALT_FREQS.astype(float).to_numpy()
    # plink2 prints six significant digits.
    np.testing.assert_allclose(stored["variant_allele_frequency"], frequency, rtol=5e-6, atol=1e-12)

    calls = packed_codes(stored["call_genotype_packed"], group.attrs["n_samples"])
    role = stored["variant_ploidy_class"]
    male = stored["sample_sex"] == 1
    haploid = (role[:, None] == 3) | (np.isin(role, (1, 2))[:, None] & male[None, :])
    counted = ~((role[:, None] == 2) & ~male[None, :])  # only males have a Y

    def n(code: int, of: np.ndarray) -> np.ndarray:
        return ((calls == code) & of & counted).sum(axis=1)

    two = table.several.to_numpy()
    # With several ALT alleles plink2 counts pairs of alleles, of which these are a part, and this version of it writes
    # 0 haploid calls for all but the first ALT; the frequencies above have them right.
    pairs = {"HOM_REF_CT": (0, ~haploid), "HET_REF_ALT_CTS": (1, ~haploid), "HAP_REF_CT": (0, haploid)}
    for column, (code, of) in pairs.items():
        np.testing.assert_array_equal(n(code, of)[~two], table[column].astype(int)[~two], err_msg=column)
    np.testing.assert_array_equal(n(2, haploid)[~two], table.HAP_ALT_CTS.astype(int)[~two])
    np.testing.assert_array_equal(n(2, ~haploid)[~two], table.TWO_ALT_GENO_CTS[~two].astype(int))
    np.testing.assert_array_equal(n(-1, haploid | ~haploid), table.MISSING_CT)
    chromosomes = ((calls >= 0) & counted & ~haploid).sum(axis=1) * 2 + ((calls >= 0) & counted & haploid).sum(axis=1)
    np.testing.assert_array_equal(chromosomes, table.OBS_CT)
    np.testing.assert_array_equal(stored["variant_n_called"], (calls >= 0).sum(axis=1))
    np.testing.assert_array_equal(stored["variant_n_het"], (calls == 1).sum(axis=1))


def test_split_variants_count_their_own_allele(tmp_path: Path) -> None:
    pytest.importorskip("pgenlib")
    source = shared("data", TRUTH["all_ploidy"])
    truth = pd.read_csv(shared("reference", "conversion", "all_ploidy.variants.tsv.gz"), sep="\t")
    dataset = conversion.genotypes(source, tmp_path / "c.zarr", genome="human").open()
    several = truth[truth.ALT.str.contains(",")]
    assert len(several) == 2
    for row in several.itertuples():
        mine = np.flatnonzero(dataset.variant_id.values == row.ID)
        assert len(mine) == 2
        female = dataset.sample_sex.values == 2
        copies = dataset.call_dosage.values[np.ix_(mine, female)]
        # Pairs among females in plink2's order: 1/1, 1/2, 2/2; and 0/1, 0/2.
        het_ref = [int(text) for text in row.HET_REF_ALT_CTS.split(",")]
        hom_1, mixed, hom_2 = (int(text) for text in row.TWO_ALT_GENO_CTS.split(","))
        assert [(copies[i] == 2).sum() for i in (0, 1)] == [hom_1, hom_2]
        assert [(copies[i] == 1).sum() for i in (0, 1)] == [het_ref[0] + mixed, het_ref[1] + mixed]
    provenance = dataset.attrs["provenance"]
    assert any("phase is not kept" in note for note in provenance["notes"])
    assert any("2 variants with several ALT alleles were split into 4 rows" in note for note in provenance["notes"])


@pytest.mark.parametrize("name", COHORTS)
def test_every_cohort_converts_and_comes_back_unchanged(tmp_path: Path, name: str) -> None:
    genome, n_samples, n_variants = COHORTS[name]
    bed = shared("data", "genotypes", name, f"{name}.bed")
    result = conversion.genotypes(bed, tmp_path / "c.zarr", genome=genome)
    assert (result.n_samples, result.n_variants, result.dropped) == (n_samples, n_variants, {})
    conversion.export_bed(tmp_path / "c.zarr", tmp_path / "c")
    assert filecmp.cmp(bed, tmp_path / "c.bed", shallow=False)
    for ending, numeric in ((".bim", 2), (".fam", 5)):
        ours = [line.split() for line in (tmp_path / f"c{ending}").read_text().splitlines()]
        theirs = [line.split() for line in bed.with_suffix(ending).read_text().splitlines()]
        assert [float(row.pop(numeric)) for row in ours] == [float(row.pop(numeric)) for row in theirs]
        assert ours == theirs


@pytest.mark.parametrize("name", ["mice_hs1814", "soynam5590"])
def test_bed_reader_reads_the_same_from_real_cohorts(name: str) -> None:
    bed_reader = pytest.importorskip("bed_reader")
    bed = shared("data", "genotypes", name, f"{name}.bed")
    dataset = conversion.open(bed, genome=COHORTS[name][0])
    with bed_reader.open_bed(bed, count_A1=True) as peer:
        theirs = peer.read(dtype="float32").T
    np.testing.assert_array_equal(dataset.call_dosage.values, theirs)


def test_pgenlib_and_the_bed_of_the_same_data_agree() -> None:
    pytest.importorskip("pgenlib")
    folder = shared("data", "formats", "regenie_example")
    bed, pgen = conversion.open(folder / "example.bed"), conversion.open(folder / "example.pgen")
    np.testing.assert_array_equal(bed.call_genotype.values, pgen.call_genotype.values)
    for column in ("variant_id", "variant_position", "variant_allele", "sample_id", "sample_family_id"):
        np.testing.assert_array_equal(bed[column].values, pgen[column].values, err_msg=column)


def test_a_genome_with_fewer_chromosomes_is_refused(tmp_path: Path) -> None:
    from daskgen.errors import InputError

    bed = shared("data", "genotypes", "soynam5590", "soynam5590.bed")
    with pytest.raises(InputError, match="genome rice has no chromosome"):
        conversion.genotypes(bed, tmp_path / "c.zarr", genome="rice")
    assert not (tmp_path / "c.zarr").exists()
