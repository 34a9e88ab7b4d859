"""The table of column names."""

from __future__ import annotations

from collections import Counter

import pytest

from conversion.summary.fields import FIELDS, canonical, field_called, field_of, synonym_table


def test_every_name_belongs_to_one_field_and_is_written_as_it_is_compared():
    names = [name for field in FIELDS.values() for name in (*field.synonyms, *field.weak)]
    assert [name for name, times in Counter(names).items() if times > 1] == []
    assert [name for name in names if canonical(name) != name] == []


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("SNP", "variant_id"),
        ("MarkerName", "variant_id"),
        ("snpid", "variant_id"),
        ("#CHROM", "contig"),
        ("hg18chr", "contig"),
        ("base_pair_location", "position"),
        ("EffectAllele", "effect_allele"),
        ("a1", "effect_allele"),
        ("NON_EFFECT_ALLELE", "other_allele"),
        ("EFFECT_A1", "beta"),
        ("odds_ratio", "odds_ratio"),
        ("Zscore", "z"),
        ("Z-SCORE", "z"),
        ("LOG(OR)_SE", "se"),
        ("P-value", "p"),
        ("p.value", "p"),
        ('"p_value"', "p"),
        ("GC.Pvalue", "p"),
        ("neg_log_10_p_value", "log10_p"),
        ("OBS_CT", "n"),
        ("Weight", "n"),
        ("NeffDiv2", "n_effective_half"),
        ("Nca", "n_cases"),
        ("ControlN", "n_controls"),
        ("Freq.Allele1.HapMapCEU", "frequency"),
        ("CEUaf", "frequency"),
        ("FREQ_EFFECT", "frequency"),
        ("MAF", "minor_frequency"),
        ("impinfo", "info"),
        ("Direction", "direction"),
    ],
)
def test_names_met_in_the_wild_are_recognised(column, field):
    assert field_of(column) == field


@pytest.mark.parametrize(
    "column",
    ["REF", "ALT", "Allele1", "allele2", "AL1", "reference_allele", "r2", "p.value.NA", "P_LINREG", "AF", "GENPOS"],
)
def test_names_that_mean_different_things_are_not(column):
    assert field_of(column) is None


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("effect_allele", "effect_allele"),
        ("SNP", "variant_id"),
        ("A1", "effect_allele"),
        ("effect", "beta"),
        ("OR", "odds_ratio"),
    ],
)
def test_a_caller_may_name_a_field_by_any_of_its_names(key, field):
    assert field_called(key) == field


def test_the_printed_table_has_every_field_and_every_name():
    text = synonym_table()
    words = set(text.split())
    for field in FIELDS.values():
        assert field.name in text
        assert field.meaning in text
        assert set(field.synonyms) <= words
        assert {f"({name})" for name in field.weak} <= words
    assert max(map(len, text.splitlines())) <= 120
