"""Signs, effects and z from whatever columns a file has, and what contradicts itself."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from conversion.summary.columns import resolve_columns
from conversion.summary.effects import EffectColumns
from conversion.summary.sizes import sample_size
from daskgen.errors import InputError, UsageError


def frame(**columns):
    return pl.DataFrame({name: [None if v is None else str(v) for v in values] for name, values in columns.items()})


def effects(overrides=None, **columns):
    table = frame(SNP=["x"] * len(next(iter(columns.values()))), **columns)
    of = resolve_columns("gwas.txt", table.columns, overrides)
    found = EffectColumns.of(of).checked(of, table)
    return found, found.read(table)


P05, Z05 = 0.05, 1.959963984540054


def test_z_has_the_sign_of_the_effect_and_the_size_of_p():
    _, rows = effects(BETA=[0.1, -0.1, 0, "NA", 0.1], P=[P05, P05, P05, P05, "."])
    np.testing.assert_allclose(rows.z, [Z05, -Z05, 0, np.nan, np.nan], rtol=1e-14)
    assert not rows.invalid.any()


def test_odds_ratios_are_logged():
    _, rows = effects(OR=[2, 0.5, 1], P=[P05, P05, P05])
    np.testing.assert_allclose(rows.effect, [math.log(2), -math.log(2), 0])
    np.testing.assert_allclose(rows.z, [Z05, -Z05, 0], rtol=1e-14)


def test_a_missing_effect_is_taken_from_the_odds_ratio_or_the_sign_of_z_beside_it():
    _, rows = effects(BETA=[0.1, "NA", "NA"], OR=[1.1, 0.5, "NA"], Z=["NA", "NA", -3], P=[P05] * 3)
    np.testing.assert_allclose(rows.z, [Z05, -Z05, -Z05], rtol=1e-14)


def test_z_alone_is_taken_as_it_is():
    _, rows = effects(Z=[1.5, -0.25, "."])
    np.testing.assert_array_equal(rows.z, [1.5, -0.25, np.nan])


def test_effect_and_standard_error_alone_give_z():
    _, rows = effects(BETA=[0.3, -0.1], SE=[0.1, 0.2])
    np.testing.assert_allclose(rows.z, [3, -0.5])


def test_an_effect_and_a_confidence_interval_give_the_standard_error():
    _, rows = effects(
        OR=[2.0], CI_LOWER=[2 * math.exp(-1.959963984540054 * 0.1)], CI_UPPER=[2 * math.exp(1.959963984540054 * 0.1)]
    )
    np.testing.assert_allclose(rows.se, [0.1])
    np.testing.assert_allclose(rows.z, [math.log(2) / 0.1])


def test_minus_log10_p_of_any_size():
    _, rows = effects(BETA=[1, -1, 1], LOG10P=[1, 320, 0])
    np.testing.assert_allclose(rows.z, [1.6448536269514722, -38.287220876253016, 0], rtol=1e-11)


def test_a_column_of_log10_p_without_minus_is_told_by_its_signs():
    found, rows = effects(BETA=[1, 1], LOG10P=[-1, -0.5])
    assert found.log10_p_is_negated
    np.testing.assert_allclose(rows.z[0], 1.6448536269514722)


@pytest.mark.parametrize("p", ["0", "0.0", "1e-310", "1e-4000"])
def test_a_p_too_small_to_print_is_replaced_by_effect_over_standard_error(p):
    _, rows = effects(BETA=[-5.0], SE=[0.1], P=[p])
    np.testing.assert_allclose(rows.z, [-50])


def test_z_or_log10_p_of_the_file_goes_before_effect_over_standard_error():
    _, rows = effects(BETA=[5.0], SE=[0.1], Z=[51.0], P=["0"])
    assert rows.z.tolist() == [51.0]
    _, rows = effects(BETA=[5.0], SE=[0.1], LOG10P=[1000.0], P=["0"])
    np.testing.assert_allclose(rows.z, [67.79590817078778], rtol=1e-11)


def test_without_a_standard_error_the_text_of_p_is_read():
    _, rows = effects(BETA=[1, -1, 1], P=["1e-300", "1e-320", "1e-1000"])
    np.testing.assert_allclose(rows.z, [37.06578788077213, -38.287220876253016, 67.79590817078778], rtol=1e-11)


def test_p_of_0_without_anything_else_is_out_of_range():
    _, rows = effects(BETA=[1], P=["0"])
    assert np.isnan(rows.z[0])
    assert rows.invalid.tolist() == [True]


def test_values_that_cannot_be_are_out_of_range():
    _, rows = effects(BETA=[1, 1, 1, 1], SE=[1, 0, -1, -9], P=[1.5, 0.5, 0.5, 0.5])
    assert rows.invalid.tolist() == [True, True, True, False]
    _, rows = effects(OR=[0, 1, 1.1], P=[0.5, 0.5, -0.1])
    assert rows.invalid.tolist() == [True, False, True]


def simulated(n=200, scale=1.0):
    rng = np.random.default_rng(3)
    se = rng.uniform(0.05, 0.2, n)
    beta = rng.standard_normal(n) * se * 2
    p = [math.erfc(abs(b / s) / math.sqrt(2)) for b, s in zip(beta, se, strict=True)]
    return beta * scale, se * scale, p


def test_the_standard_error_of_an_odds_ratio_is_told_from_that_of_its_logarithm():
    beta, se, p = simulated()
    found, _ = effects(OR=np.exp(beta), SE=se, P=p)
    assert found.se_of_odds_ratio is False
    found, rows = effects(OR=np.exp(beta), SE=se * np.exp(beta), P=p)
    assert found.se_of_odds_ratio is True
    np.testing.assert_allclose(rows.se, se)


def test_logarithms_under_the_name_of_odds_ratios_are_refused():
    beta, se, p = simulated()
    with pytest.raises(InputError, match="OR should hold odds ratios, which are positive") as error:
        effects(OR=beta, SE=se, P=p)
    assert "--column beta=OR" in str(error.value)


def test_odds_ratios_under_the_name_of_an_effect_are_refused():
    beta, se, p = simulated()
    with pytest.raises(InputError, match="look like odds ratios") as error:
        effects(BETA=np.exp(beta), SE=se, P=p)
    assert "--column odds_ratio=BETA" in str(error.value)


def test_what_the_caller_calls_an_effect_is_one():
    beta, se, p = simulated()
    _, rows = effects({"beta": "BETA"}, BETA=np.exp(beta), SE=se, P=p)
    assert (rows.z > 0).all()


def test_effects_that_all_raise_the_trait_are_no_odds_ratios():
    beta, se, p = simulated()
    _, rows = effects(BETA=np.abs(beta), SE=se, P=p)
    assert (rows.z > 0).all()


def test_odds_ratios_with_a_median_that_rounds_to_something_else_than_1_are_logged_all_the_same():
    beta, _, p = simulated()
    for shift in (-0.9, 0.5):
        _, rows = effects(OR=np.exp(beta + shift), P=p)
        np.testing.assert_allclose(rows.effect, beta + shift, atol=1e-12)


@pytest.mark.parametrize("second", ["OR", "Z"])
def test_effects_that_contradict_each_other_are_refused(second):
    beta, se, p = simulated()
    other = np.exp(-beta) if second == "OR" else -beta / se
    with pytest.raises(InputError, match=f"BETA and {second} contradict each other") as error:
        effects(BETA=beta, P=p, **{second: other})
    assert "--column" in str(error.value)


def test_p_values_alone_have_no_sign():
    with pytest.raises(InputError, match="there is no sign: p values alone cannot be used"):
        effects(P=[0.5], SE=[1])


def test_an_effect_alone_has_no_size():
    with pytest.raises(InputError, match="no column with a p value, z statistic or standard error"):
        effects(BETA=[0.5])


def size_of(header, n=None, n_kind=None, overrides=None):
    return sample_size(resolve_columns("gwas.txt", header.split(), overrides), n, n_kind)


@pytest.mark.parametrize(
    ("header", "kind", "value"),
    [
        ("SNP N", "total", 10),
        ("SNP NEFF", "effective", 10),
        ("SNP NEFF_HALF", "effective", 20),
        ("SNP NEFFDIV2", "effective", 20),
        ("SNP Nca Nco", "total", 20),
        ("SNP N NEFF", "total", 10),
        ("SNP Nca Nco Neff_half", "effective", 20),
        ("SNP FRQ_A_30 FRQ_U_40", "total", 70),
    ],
)
def test_the_kind_of_sample_size_is_told_by_the_column(header, kind, value):
    found = size_of(header)
    assert found.kind == kind
    table = frame(**{name: ["10"] for name in header.split()})
    assert found.read(table).tolist() == [value]


def test_the_caller_decides_between_total_and_effective():
    assert size_of("SNP N NEFF", n_kind="effective").columns == ("NEFF",)
    assert size_of("SNP N NEFF", overrides={"n_effective": "NEFF"}).columns == ("NEFF",)
    found = size_of("SNP N", n_kind="effective")
    assert (found.kind, found.columns) == ("effective", ("N",))


def test_a_number_that_was_given_goes_before_the_column():
    found = size_of("SNP N", n=500)
    assert (found.kind, found.read(frame(N=["10"])).tolist()) == ("given", [500.0])
    assert size_of("SNP N", n=500, n_kind="effective").kind == "effective"


def test_sizes_that_cannot_be_are_missing():
    assert np.isnan(size_of("SNP N").read(frame(N=["0", "-9", "NA", "inf"]))).all()


def test_an_unknown_kind_is_refused():
    with pytest.raises(UsageError, match="n_kind='half'"):
        size_of("SNP N", n_kind="half")
    assert size_of("SNP P") is None
