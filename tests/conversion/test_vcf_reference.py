"""Every VCF and BCF file of the reference data converts, with the rows htslib reads, or is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import conversion
from conversion.sources import open_source
from daskgen.errors import InputError
from daskgen.stores import open_group, verify
from tests.oracles.plink import packed_codes
from tests.shared_data import shared

SITES, SUMMARY, PLOIDY = "names no samples", r"summary statistics \(GWAS-VCF\)", "more than two alleles"
OUTCOMES = {
    "23andme/convert.23andme.vcf": (27, 1),
    "bcf/1kg_2020_chr20_annotations.bcf": SITES,
    "bcf/sample.bcf": (13, 3),
    "bgen/complex.vcf": f"record 01:5 M5: .*{PLOIDY}",
    "gen/convert.vcf": (34, 10),
    "gwasvcf/als_opengwas_gwasvcf.vcf.gz": SUMMARY,
    "gwasvcf/gwasvcf_two_studies.vcf.gz": SUMMARY,
    "plink1/example.vcf": (2, 10),
    "plink1/plink_sim_10s_100v_10pmiss.vcf": (100, 10),
    "vcf/1kg_2020_chrM.vcf.gz": (46, 3),
    "vcf/1kg_eas_hg19.chr7_126253550_128253550.vcf.gz": (54_234, 504),
    "vcf/1kg_phase3_chr21_start.vcf.gz": (600, 2_504),
    "vcf/1kg_sample_346x100.vcf.gz": (346, 100),
    "vcf/33alleles.vcf": SITES,
    "vcf/chr22.vcf.gz": (104, 100),
    "vcf/duplicate_ids.vcf": "2 sample ids occur more than once",
    "vcf/empty.vcf": "has a header and no variants",
    "vcf/field_type_combos.vcf.gz": "no genotypes that can be stored",
    "vcf/haploid.vcf": (3, 2),
    "vcf/malformed.vcf.gz": "record 20:10026348 .*: GT names an allele",
    "vcf/mixed_ploidy.vcf.gz": f"record 1:6 .*{PLOIDY}",
    "vcf/out_of_order_contigs.vcf.gz": SITES,
    "vcf/sample.vcf.gz": (13, 3),
    "vcf/sample_all_missing_gts.vcf.gz": (13, 3),
    "vcf/sample_missing_contig.vcf.gz": (13, 3),
    "vcf/sample_no_genotypes.vcf.gz": SITES,
    "vcf/small-ds.vcf.gz": (100, 100),
    "vcf/small-gt.plain_gzip.vcf.gz": (100, 100),
    "vcf/small-gt.vcf.gz": (100, 100),
    "vcf/triploid.vcf.gz": f"record 1:1 .*{PLOIDY}",
    "vcf/x-chromosome.vcf.gz": (7, 54),
}


def test_the_list_names_every_file() -> None:
    folder = shared("data", "formats")
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if ".vcf" in path.name or ".bcf" in path.name}
    assert {name for name in found if not name.endswith((".tbi", ".csi"))} == set(OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_file_converts_or_is_refused(tmp_path: Path, name: str) -> None:
    source, outcome = shared("data", "formats", *name.split("/")), OUTCOMES[name]
    if name.endswith(".bcf"):
        pytest.importorskip("cyvcf2")
    if isinstance(outcome, str):
        with pytest.raises(InputError, match=outcome):
            conversion.genotypes(source, tmp_path / "c.zarr")
        assert list(tmp_path.iterdir()) == []
        return
    result = conversion.genotypes(source, tmp_path / "c.zarr")
    assert (result.n_variants, result.n_samples) == outcome
    assert verify(result.path) == []


@pytest.mark.parametrize("name", [name for name, outcome in OUTCOMES.items() if not isinstance(outcome, str)])
def test_calls_are_those_that_htslib_reads(name: str) -> None:
    cyvcf2 = pytest.importorskip("cyvcf2")
    path = shared("data", "formats", *name.split("/"))
    source = open_source(path)
    (block,) = source.stream([(0, source.n_variants)])
    codes = packed_codes(block.packed, source.n_samples)
    row = 0
    for record in cyvcf2.VCF(str(path)):
        n_alt = max(1, len(record.ALT))
        if "GT" in record.FORMAT:
            alleles = record.genotype.array()[:, :-1].astype(int)
            a, b = alleles[:, 0], alleles[:, -1]
            b = np.where(b == -2, a, b)
            missing = (a < 0) | (b < 0)
            for k in range(n_alt):
                expected = np.where(missing, -1, (a == k + 1) * 1 + (b == k + 1))
                np.testing.assert_array_equal(codes[row + k], expected, err_msg=f"{record.CHROM}:{record.POS}")
        row += n_alt
    assert row == source.n_variants


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("vcf/small-gt.vcf.gz", "vcf/small-gt.plain_gzip.vcf.gz"),
        ("vcf/small-gt.vcf.gz", "vcf/small-ds.vcf.gz"),
        ("vcf/sample.vcf.gz", "bcf/sample.bcf"),
        ("vcf/sample.vcf.gz", "vcf/sample_missing_contig.vcf.gz"),
    ],
)
def test_the_same_data_in_two_forms_give_the_same_calls(tmp_path: Path, one: str, other: str) -> None:
    if other.endswith(".bcf"):
        pytest.importorskip("cyvcf2")
    stored = []
    for i, name in enumerate((one, other)):
        path = conversion.genotypes(shared("data", "formats", *name.split("/")), tmp_path / f"{i}.zarr").path
        group = open_group(path)
        stored.append({key: group[key][...] for key in group.array_keys() if key != "call_dosage"})
    for key, values in stored[0].items():
        np.testing.assert_array_equal(values, stored[1][key], err_msg=key)


def test_the_vcf_of_a_bed_gives_the_same_calls() -> None:
    folder = shared("data", "formats", "plink1")
    for name in ("example", "plink_sim_10s_100v_10pmiss"):
        bed, vcf = open_source(folder / f"{name}.bed"), open_source(folder / f"{name}.vcf")
        m = bed.n_variants
        (ours,) = vcf.variant_tables()
        (theirs,) = bed.variant_tables()
        same = ours.allele[:, 1] == theirs.allele[:, 1]
        copies, counted = packed_codes(vcf.read(0, m), vcf.n_samples), packed_codes(bed.read(0, m), bed.n_samples)
        turned = np.where(counted < 0, -1, 2 - counted)
        np.testing.assert_array_equal(copies, np.where(same[:, None], counted, turned))
