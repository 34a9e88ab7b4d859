"""Which column is which field: names, tools, the caller's word."""

from __future__ import annotations

import pytest

from conversion.summary.columns import check_overrides, resolve_columns
from conversion.summary.frequencies import frequency_column
from conversion.summary.signatures import signature_of
from daskgen.errors import InputError, UsageError


def resolved(header: str, overrides=None):
    return resolve_columns("gwas.txt", header.split(), overrides)


@pytest.mark.parametrize(
    ("tool", "header", "effect", "other"),
    [
        ("regenie", "CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ N TEST BETA SE CHISQ LOG10P", "ALLELE1", "ALLELE0"),
        (
            "BOLT-LMM",
            "SNP CHR BP GENPOS ALLELE1 ALLELE0 A1FREQ BETA SE P_BOLT_LMM_INF P_BOLT_LMM",
            "ALLELE1",
            "ALLELE0",
        ),
        ("BOLT-LMM", "SNP CHR BP GENPOS ALLELE1 ALLELE0 A1FREQ BETA SE P_BOLT_LMM_INF", "ALLELE1", "ALLELE0"),
        ("SAIGE", "CHR POS MarkerID Allele1 Allele2 AC_Allele2 AF_Allele2 BETA SE p.value", "Allele2", "Allele1"),
        ("METAL", "MarkerName Allele1 Allele2 Weight Zscore P-value Direction", "Allele1", "Allele2"),
        ("METAL", "MarkerName Allele1 Allele2 Freq1 Effect StdErr P-value Direction", "Allele1", "Allele2"),
        ("GIANT", "MarkerName Allele1 Allele2 Freq.Allele1.HapMapCEU b SE p N", "Allele1", "Allele2"),
        ("FinnGen", "#chrom pos ref alt rsids nearest_genes pval mlogp beta sebeta af_alt", "alt", "ref"),
        (
            "GWAS-SSF",
            "chromosome base_pair_location effect_allele other_allele beta rsid variant_id",
            "effect_allele",
            "other_allele",
        ),
    ],
)
def test_tools_are_known_by_their_columns(tool, header, effect, other):
    columns = resolved(header)
    assert columns.tool == tool
    assert (columns.get("effect_allele"), columns.get("other_allele")) == (effect, other)
    columns.check_alleles()


def test_plink2_has_the_effect_on_a1_and_the_other_allele_in_ref_or_alt():
    columns = resolved("#CHROM POS ID REF ALT A1 TEST OBS_CT OR LOG(OR)_SE Z_STAT P")
    assert columns.tool == "plink2 --glm"
    assert columns.get("effect_allele") == "A1"
    assert columns.other_among == ("REF", "ALT")
    assert columns.test == "TEST"
    assert (columns.get("odds_ratio"), columns.get("se"), columns.get("n")) == ("OR", "LOG(OR)_SE", "OBS_CT")


def test_plink2_that_writes_the_omitted_allele_has_it_there():
    columns = resolved("#CHROM POS ID REF ALT A1 OMITTED TEST OBS_CT BETA SE P")
    assert columns.get("other_allele") == "OMITTED"
    assert columns.other_among is None


def test_harmonised_files_of_the_gwas_catalog_are_read_from_their_harmonised_columns():
    columns = resolved(
        "hm_variant_id hm_rsid hm_chrom hm_pos hm_other_allele hm_effect_allele hm_beta hm_odds_ratio hm_ci_lower "
        "hm_ci_upper hm_effect_allele_frequency variant_id chromosome base_pair_location effect_allele other_allele "
        "beta odds_ratio standard_error p_value"
    )
    of = {
        key: columns.get(key) for key in ("variant_id", "effect_allele", "beta", "odds_ratio", "se", "p", "frequency")
    }
    assert of == {
        "variant_id": "hm_rsid",
        "effect_allele": "hm_effect_allele",
        "beta": "hm_beta",
        "odds_ratio": "hm_odds_ratio",
        "se": "standard_error",
        "p": "p_value",
        "frequency": "hm_effect_allele_frequency",
    }


@pytest.mark.parametrize(
    "header",
    [
        "CHR POS ID REF ALT Z",
        "rsid allele1 allele2 beta se p",
        "SNP AL1 AL2 FREQ1 EFFECT SE PVALUE",
        "MarkerName Allele1 Allele2 b p",
        "SNP reference_allele other_allele beta p",
        "SNP minor_allele major_allele beta p",
    ],
)
def test_two_alleles_whose_names_do_not_say_which_is_the_effect_allele_are_asked_about(header):
    columns = resolved(header)
    assert signature_of(header.split()) is None
    with pytest.raises(InputError, match="no column with the effect allele was recognised.*don't say which") as error:
        columns.check_alleles()
    for part in (header, "EFFECT_ALLELE, A1, EA", "--columns", "--column effect_allele=", "--column other_allele="):
        assert part in str(error.value)


def test_the_message_names_the_columns_and_what_they_refer_to():
    with pytest.raises(InputError) as error:
        resolved("CHR SNP BP AL1 AL2 INFO OR SE P").check_alleles()
    assert "if AL1 is the allele that OR refers to:  --column effect_allele=AL1 --column other_allele=AL2" in str(
        error.value
    )


def test_what_the_caller_says_goes_before_tool_and_name():
    columns = resolved(
        "MarkerName Allele1 Allele2 Weight Zscore P-value Direction",
        {"effect_allele": "Allele2", "other_allele": "Allele1"},
    )
    assert (columns.get("effect_allele"), columns.get("other_allele")) == ("Allele2", "Allele1")
    assert resolved("SNP A1 A2 BETA P P2", {"p": "P2"}).get("p") == "P2"


@pytest.mark.parametrize(("effect", "other"), [("REF", "ALT"), ("ALT", "REF")])
def test_the_other_allele_is_told_by_the_pair(effect, other):
    assert resolved("SNP REF ALT BETA P", {"effect_allele": effect}).get("other_allele") == other


def test_a_column_may_be_left_alone():
    columns = resolved("SNP A1 A2 BETA OR P EAF", {"odds_ratio": None, "frequency": None})
    assert columns.get("odds_ratio") is None
    assert columns.get("frequency") is None


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="no column 'AL1', which should be the effect allele"):
        resolved("SNP A1 A2 BETA P", {"effect_allele": "AL1"})


@pytest.mark.parametrize(("column", "field"), [("OR", "odds_ratio"), ("log_odds", "beta"), ("Zscore", "z")])
def test_what_r_calls_effect_is_told_by_the_columns_own_name(column, field):
    assert check_overrides({"effect": column}) == {field: column}
    with pytest.raises(UsageError, match="not known what kind of effect X1 has"):
        check_overrides({"effect": "X1"})


def test_the_same_column_said_again_keeps_what_is_known_of_the_tool():
    columns = resolved("#CHROM POS ID REF ALT A1 TEST OBS_CT BETA SE P", {"effect_allele": "A1"})
    assert columns.other_among == ("REF", "ALT")
    bolt = resolved(
        "SNP CHR BP GENPOS ALLELE1 ALLELE0 A1FREQ BETA SE P_BOLT_LMM_INF P_LINREG", {"effect_allele": "ALLELE0"}
    )
    assert (bolt.get("other_allele"), bolt.get("p")) == ("ALLELE1", "P_BOLT_LMM_INF")


def test_two_columns_for_one_field_are_an_error_that_names_both_once_the_field_is_needed():
    columns = resolved("ID RSID A1 A2 BETA PVAL P_VALUE INFO")
    assert columns.get("info") == "INFO"
    with pytest.raises(InputError, match="2 columns could be the p") as error:
        columns.get("p")
    assert "PVAL, P_VALUE" in str(error.value)
    assert "--column p=PVAL" in str(error.value)


def test_of_two_columns_the_one_with_the_exact_name_is_taken():
    columns = resolved("rsID SNP A1 A2 effect beta P GC_PVALUE NEFF N")
    assert [columns.get(key) for key in ("variant_id", "beta", "p", "n", "n_effective")] == [
        "SNP",
        "beta",
        "P",
        "N",
        "NEFF",
    ]


def test_a_column_that_is_there_twice_is_an_error():
    with pytest.raises(InputError, match="2 columns could be"):
        resolved("SNP A1 A2 BETA P P").get("p")


def test_names_with_other_uses_are_taken_where_nothing_better_is_there():
    assert resolved("NAME A1 A2 BETA P").get("variant_id") == "NAME"
    assert resolved("NAME SNP A1 A2 BETA P").get("variant_id") == "SNP"
    assert resolved("SNP WEIGHT N").get("n") == "N"


def test_a_daner_header_has_cases_and_controls_and_the_frequency_in_controls():
    columns = resolved("CHR SNP BP A1 A2 FRQ_A_59851 FRQ_U_113154 INFO OR SE P ngt Direction")
    assert columns.header_n == (59851, 113154)
    assert columns.get("frequency") == "FRQ_U_113154"


@pytest.mark.parametrize(
    ("header", "overrides", "counts"),
    [
        ("SNP A1 A2 BETA P EAF", {}, "effect"),
        ("SNP A1 A2 BETA P MAF", {}, None),
        ("SNP Allele1 Allele2 BETA P Freq1", {"effect_allele": "Allele2"}, "other"),
        ("SNP Allele1 Allele2 BETA P Freq1", {"effect_allele": "Allele1"}, "effect"),
        ("SNP REF ALT BETA P AF_ALT", {"effect_allele": "REF"}, "other"),
        ("SNP REF ALT BETA P AF_ALT", {"effect_allele": "ALT"}, "effect"),
        ("SNP Allele1 Allele2 BETA P Freq1", {"effect_allele": "Allele2", "frequency": "Freq1"}, "effect"),
    ],
)
def test_a_frequency_counts_the_allele_that_its_name_says(header, overrides, counts):
    found = frequency_column(resolved(header, overrides))
    assert found is not None
    assert found.counts == counts


def test_fields_that_there_are_not_are_refused():
    with pytest.raises(UsageError, match="'colour' is not a field") as error:
        check_overrides({"colour": "BLUE"})
    assert "effect_allele" in str(error.value)
    assert check_overrides({"A1": "AL1", "effect": "b", "info": "none", "P": None}) == {
        "effect_allele": "AL1",
        "beta": "b",
        "info": None,
        "p": None,
    }
