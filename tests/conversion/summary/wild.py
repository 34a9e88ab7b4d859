"""What becomes of every file of ../shared/data/sumstats, munged with the HapMap3 list and n = 100,000.

`told` is what the caller says in a second attempt, after the first was refused, and `spec` says to the oracle where
things are in the file. The table of docs/methods/summary-statistics.md has the same outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.oracles.munge import Spec

HM3 = "data/hm3/hm3_eur_alleles_maf.tsv.gz"


@dataclass(frozen=True)
class Outcome:
    """kept: rows, None where the file is refused for `refused`; told_kept, told_refused: the same once told."""

    file: str
    kept: int | None = None
    refused: str = ""
    told: Mapping[str, str] = field(default_factory=dict)
    told_kept: int | None = None
    told_refused: str = ""
    spec: Spec | None = None


REF_ALT = "ALT and REF alone don't say"
ALLELE_1_2 = "llele1 and .llele2 alone don't say"
NO_SIGN = "there is no sign"
NO_OVERLAP = "is in the reference"
NOT_BASES = "not letters of bases"

OUTCOMES = (
    Outcome(
        "messy/chrX_ref_alt_z.txt",
        refused="ALT and REF alone don't say",
        told={"effect_allele": "ALT"},
        told_refused=NO_OVERLAP,
    ),
    Outcome(
        "messy/covid_hgi_meta.snp.gz",
        refused=ALLELE_1_2,
        told={"effect_allele": "allele2"},
        told_kept=8,
        spec=Spec("allele2", "allele1", "beta", id="rsid", p="p", frequency="maf"),
    ),
    Outcome("messy/eduAttainOkbay.txt", 14, spec=Spec("A1", "A2", "Beta", id="MarkerName", p="Pval", frequency="EAF")),
    Outcome("messy/edu_rietveld2013_subset.gz", 1362, spec=Spec("A1", "A2", "EFFECT_A1", frequency="FREQ_A1")),
    Outcome("messy/gcst008916_asthma_ukb_chrposid.assoc.gz", refused=NO_OVERLAP),
    Outcome(
        "messy/gcst90018575_asthma_bbj_na_variant_id.tsv.gz",
        171,
        spec=Spec(
            "effect_allele",
            "other_allele",
            "beta",
            p="p_value",
            frequency="effect_allele_frequency",
            place=("chromosome", "base_pair_location"),
        ),
    ),
    Outcome(
        "messy/gcst90038646_migraine_bolt.tsv.gz",
        86,
        spec=Spec(
            "effect_allele",
            "other_allele",
            "beta",
            id="variant_id",
            p="p_value",
            frequency="effect_allele_frequency",
            info="INFO",
        ),
    ),
    Outcome("messy/gcst90077745_migraine_regenie_exome_or_ci.tsv.gz", refused=NO_OVERLAP),
    Outcome("messy/gcst90271641_migraine_quoted_header.tsv.gz", refused=NO_OVERLAP),
    Outcome(
        "messy/giant_height2014_native.txt.gz",
        301,
        spec=Spec("Allele1", "Allele2", "b", id="MarkerName", p="p", frequency="Freq.Allele1.HapMapCEU"),
    ),
    Outcome(
        "messy/giant_height_b_p_only.txt",
        refused=ALLELE_1_2,
        told={"effect_allele": "Allele1"},
        told_kept=29,
        spec=Spec("Allele1", "Allele2", "b", id="MarkerName", p="p", separator=None),
    ),
    Outcome(
        "messy/giant_height_na_rsid_chrpos.txt",
        28,
        spec=Spec(
            "Allele1", "Allele2", "b", p="p", frequency="Freq.Allele1.HapMapCEU", place=("CHR", "POS"), separator=None
        ),
    ),
    Outcome(
        "messy/giant_height_z_no_p.txt",
        refused=ALLELE_1_2,
        told={"effect_allele": "Allele1"},
        told_kept=29,
        spec=Spec("Allele1", "Allele2", "Z", id="MarkerName", p=None, separator=None),
    ),
    Outcome(
        "messy/giant_height_z_only_52digit.tsv.gz",
        refused=ALLELE_1_2,
        told={"effect_allele": "Allele1"},
        told_kept=789,
        spec=Spec("Allele1", "Allele2", "z", id="ID", p=None),
    ),
    Outcome("messy/gwaslab_dirty.tsv", refused=NO_OVERLAP),
    Outcome(
        "messy/gwaslab_duplicate.tsv",
        refused=REF_ALT,
        told={"effect_allele": "ALT"},
        told_kept=1,
        spec=Spec("ALT", "REF", "BETA", frequency="Frq", place=("CHR", "POS"), separator=None),
    ),
    Outcome(
        "messy/magic_fusion_strand_column.txt.gz",
        681,
        spec=Spec("EFFECT_ALLELE", "NON_EFFECT_ALLELE", "BETA", p="PVALUE", frequency="FREQ_EFFECT", separator=None),
    ),
    Outcome(
        "messy/magic_sardinia.tbl",
        refused="AL1 and AL2 alone don't say",
        told={"effect_allele": "AL1"},
        told_kept=485,
        spec=Spec("AL1", "AL2", "EFFECT", p="PVALUE", frequency="FREQ1", info="Rsq"),
    ),
    Outcome(
        "messy/metal_output_direction.tbl.gz",
        687,
        spec=Spec("Allele1", "Allele2", "Zscore", id="MarkerName", p="P-value"),
    ),
    Outcome("messy/pgc_scz2_beta_sign_upper.txt.gz", refused=NO_OVERLAP),
    Outcome(
        "messy/pgc2013_or_space_header_tab_rows.gz",
        1251,
        spec=Spec("a1", "a2", "or", id="snpid", p="pval", odds_ratio=True, frequency="CEUaf", info="info"),
    ),
    Outcome("messy/prscs_beta_p.txt.gz", 953, spec=Spec("A1", "A2", "BETA")),
    Outcome(
        "messy/ssgac2016_okbay.gz", 1362, spec=Spec("A1", "A2", "Beta", id="MarkerName", p="Pval", frequency="EAF")
    ),
    Outcome("messy/t1d_ra_pvalue_only.tsv.gz", refused=NO_SIGN),
    Outcome("messy/tool_epacts.gz", 19),
    Outcome("messy/tool_run1_chr2.CASE.glm.logistic.gz", refused=NOT_BASES),
    Outcome("messy/tool_run1_chr2_CASE.regenie.gz", refused=NOT_BASES),
    Outcome("messy/tool_run2_chr2.PHENO.glm.linear.gz", refused=NOT_BASES),
    Outcome("messy/tool_saige.txt", refused=NO_SIGN),
    Outcome("messy/truncated_download.tsv.gz", refused="cut off"),
    Outcome("real/bmi_giant2015_50k.txt.gz", 12943, spec=Spec("A1", "A2", "b", p="p")),
    Outcome("real/height_ukb_chr22_hm3.fastGWA.gz", 15809, spec=Spec("A1", "A2", "BETA", frequency="AF1")),
    Outcome(
        "real/lipids_cad_12k.tsv.gz",
        refused=NO_SIGN,
        told={"beta": "beta.outcome", "p": "pval.outcome"},
        told_kept=215,
        spec=Spec("effect_allele", "other_allele", "beta.outcome", p="pval.outcome"),
    ),
    Outcome("real/rbc_ukb_chr22region.parquet", 434),
    Outcome(
        "real/scz_pgc3_eur_100k.tsv.gz",
        16128,
        spec=Spec("EffectAllele", "OtherAllele", "B", id="RSID", frequency="EAF", info="INFO"),
    ),
    Outcome(
        "real/t1d_2021_grch38_27k.tsv.gz",
        297,
        spec=Spec("EffectAllele", "OtherAllele", "B", id="RSID", frequency="EAF"),
    ),
    Outcome(
        "real/zmatrix_6traits_8813snps.csv.gz",
        refused=NO_SIGN,
        told={"z": "SBP", "effect_allele": "alt"},
        told_kept=1167,
        spec=Spec("alt", "ref", "SBP", id="rs", p=None, separator=","),
    ),
)
