"""From p values to z, and numbers as text."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion.summary.numeric import check_numeric, floats, log10_of_text
from conversion.summary.quantiles import z_of_log10_p, z_of_p
from daskgen.errors import InputError

# |z| of P = 10^x to 17 digits, from 60-digit arithmetic (root of log(erfc(z / sqrt 2)) = log P).
EXACT = {
    -0.1: 0.260694335430481,
    -1: 1.6448536269514726,
    -8: 5.73072886823629,
    -20: 9.33604484923406,
    -100: 21.30594006935153,
    -300: 37.06578788077213,
    -307: 37.49780899620377,
    -320: 38.287220876253016,
    -1000: 67.79590817078778,
    -5000: 151.70812550239464,
    -100000: 678.604101767715,
}


@pytest.mark.parametrize(("log10_p", "z"), EXACT.items())
def test_the_tail_is_exact_however_small_p_is(log10_p, z):
    assert z_of_log10_p(np.array([float(log10_p)]))[0] == pytest.approx(z, rel=1e-11)
    if log10_p >= -300:
        assert z_of_p(np.array([10.0**log10_p]))[0] == pytest.approx(z, rel=1e-13)


@given(st.floats(1e-300, 1.0))
def test_z_is_the_upper_tail_quantile_of_half_of_p(p):
    assert z_of_p(np.array([p]))[0] == pytest.approx(
        -NormalDist().inv_cdf(p / 2) if p < 1 else 0.0, rel=1e-12, abs=1e-15
    )


@given(st.floats(-300, 0))
def test_both_forms_agree(log10_p):
    assert z_of_log10_p(np.array([log10_p]))[0] == pytest.approx(
        z_of_p(np.array([10.0**log10_p]))[0], rel=1e-9, abs=1e-9
    )


def test_ends_and_missing_values():
    assert z_of_p(np.array([1.0, 0.0, np.nan])).tolist()[:2] == [0.0, math.inf]
    assert np.isnan(z_of_p(np.array([np.nan]))[0])
    assert z_of_log10_p(np.array([0.0, -np.inf])).tolist() == [0.0, math.inf]
    assert not np.signbit(z_of_p(np.array([1.0])))[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7.81e-01", 0.781),
        (" 0.5 ", 0.5),
        ("1E-5", 1e-5),
        ("+.3", 0.3),
        ("5.", 5.0),
        ("-0.17637416478086130998992414082749746739864349365234375", -0.17637416478086131),
        ("1e-320", 1e-320),
    ],
)
def test_numbers_as_they_are_written_in_files(text, value):
    assert floats(pl.Series([text])).tolist() == [value]


@pytest.mark.parametrize("text", [".", "NA", "", "NaN", "NR", "x", None, "nan", "-", "1,5"])
def test_everything_else_is_missing(text):
    assert np.isnan(floats(pl.Series(["1", text], dtype=pl.String))).tolist() == [False, True]


def test_columns_that_are_numbers_already_are_taken_as_they_are():
    assert floats(pl.Series([1, None, 3])).tolist()[::2] == [1.0, 3.0]
    assert floats(pl.Series([0.5], dtype=pl.Float32)).tolist() == [0.5]


@pytest.mark.parametrize(
    ("text", "log10"),
    [
        ("3e-412", -411.52287874528034),
        ("1e-400", -400.0),
        ("0.001", -3.0),
        ("1E-1000000", -1e6),
        ("0", -math.inf),
        ("0e0", -math.inf),
    ],
)
def test_logarithms_of_numbers_too_small_for_a_float(text, log10):
    assert log10_of_text([text])[0] == pytest.approx(log10, rel=1e-15)


def test_what_is_no_number_has_no_logarithm():
    assert np.isnan(log10_of_text(["NA", "", None, "-1", "inf", "x"])).all()


def test_a_column_of_words_is_refused_with_examples():
    with pytest.raises(InputError, match="the column P should hold numbers") as error:
        check_numeric("gwas.txt", pl.Series("P", ["yes", "no", "NA", "0.5"]))
    assert "yes, no" in str(error.value)


def test_decimal_commas_are_named_as_such():
    with pytest.raises(InputError, match="decimal point"):
        check_numeric("gwas.txt", pl.Series("P", ["0,5", "0,25", "0,125"]))


def test_a_column_with_a_few_strange_values_is_taken():
    check_numeric("gwas.txt", pl.Series("P", ["0.5", "0.1", "?", "NA"]))
    check_numeric("gwas.txt", pl.Series("P", [None, "NA"], dtype=pl.String))
    check_numeric("gwas.txt", pl.Series("P", [0.1, 0.2]))
