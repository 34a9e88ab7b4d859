"""Models fitted at every SNP against R GenomicSEM's userGWAS."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.sem.gwas import parameter_rows
from daskgen.sem.gwas_model import gwas_model
from daskgen.sem.gwas_table import gwas_table
from daskgen.sem.per_snp import Status
from tests.sem import reference

FIXED = {
    "one_fix": {"model": reference.ONE, "q_snp": True, "smooth_check": True},
    "one_conserv": {"model": reference.ONE, "gc": "conserv", "q_snp": True},
    "one_none": {"model": reference.ONE, "gc": "none", "q_snp": True},
    "one_snpse": {"model": reference.ONE, "snp_se": 0.002, "q_snp": True},
    "two_fix": {"model": reference.TWO, "covstruct": "ldsc", "q_snp": True},
    "two_stdlv": {"model": reference.STD_LV, "covstruct": "ldsc", "q_snp": True, "std_lv": True},
    "direct": {"model": reference.DIRECT},
    "subtraction": {"model": reference.SUBTRACTION},
    "defined": {"model": reference.DEFINED},
    "heywood": {"model": reference.ONE, "covstruct": "heywood", "q_snp": True},
    "nonpd": {"model": reference.ONE, "covstruct": "nonpd", "q_snp": True, "smooth_check": True},
    "twas": {"model": reference.TWAS, "q_snp": True, "twas": True},
    "one_ml": {"model": reference.ONE, "estimation": "ML", "q_snp": True},
}
FREE = {
    "one_free": {"model": reference.ONE, "q_snp": True},
    "two_free": {"model": reference.TWO, "covstruct": "ldsc", "q_snp": True},
    "subtraction_free": {"model": reference.SUBTRACTION},
    "nonpd_free": {"model": reference.ONE, "covstruct": "nonpd", "smooth_check": True},
}


def prepared(
    model,
    *,
    covstruct="first3",
    estimation="DWLS",
    fix_measurement=True,
    q_snp=False,
    gc="standard",
    snp_se=0.0005,
    std_lv=False,
    smooth_check=False,
    sub="all",
    twas=False,
):
    table = gwas_table(
        model,
        reference.moments(covstruct),
        snp="Gene" if twas else "SNP",
        estimation=estimation,
        fix_measurement=fix_measurement,
        std_lv=std_lv,
    )
    return gwas_model(
        table, estimation=estimation, q_snp=q_snp, gc=gc, snp_se=snp_se, smooth_check=smooth_check, sub=sub
    )


def compare(case, options):
    model = prepared(**options)
    rows = reference.expected(case)
    n = rows["snp"].max() + 1
    data = reference.snps(model.traits, twas=options.get("twas", False))
    fits = model.fit(*(np.ascontiguousarray(values[..., :n]) for values in (data.beta, data.se, data.variance)))
    flagged = set(rows.loc[rows["warning"].str.contains("gradient"), "snp"])
    at_optimum = ~np.isin(np.arange(n), list(flagged))
    assert at_optimum.mean() > 0.5
    first = rows.drop_duplicates("snp").sort_values("snp")
    assert (first["chisq_df"] == model.chisq_df).all()
    np.testing.assert_allclose(first["AIC"] - first["chisq"], 2 * model.n_parameters, rtol=1e-9)
    worst = {"rows": int(at_optimum.sum())}
    for label in rows["label"].unique():
        of_label = rows[rows["label"] == label].sort_values("snp")
        if label in model.fixed:
            assert (
                abs(of_label["est"] / model.fixed[label] - 1).max() < 1e-5
                or model.fixed[label] == of_label["est"].max()
            )
            continue
        place = model.parameters.index(label)
        ours, theirs = fits.estimate[place][at_optimum], of_label["est"].to_numpy()[at_optimum]
        errors = of_label["SE"].to_numpy()[at_optimum]
        if options.get("estimation") == "ML":
            errors = errors * moved_with_the_effect(label, model, fits, rows)[at_optimum]
        known = np.isfinite(errors)
        assert known.mean() > 0.9 or options.get("estimation") == "ML"
        worst[f"est {label}"] = (abs(ours - theirs) / errors)[known].max(initial=0)
        worst[f"se {label}"] = abs(fits.se[place][at_optimum] / errors - 1)[known].max(initial=0)
    # A chi-square far below 1 is the difference of almost equal numbers.
    worst["chisq"] = (abs(fits.chisq - first["chisq"]) / (first["chisq"] + 1e-4))[at_optimum].max()
    for i, factor in enumerate(model.factors):
        of_factor = rows[(rows["lhs"] == factor) & rows["Q_SNP"].notna()].sort_values("snp")
        assert (of_factor["Q_SNP_df"] == model.q_snp_df[i]).all()
        worst[f"q {factor}"] = abs(fits.q_snp[i] / of_factor["Q_SNP"].to_numpy() - 1)[at_optimum].max()
    if options.get("smooth_check"):
        worst["z_smooth"] = abs(fits.z_smooth - first["Z_smooth"].to_numpy())[at_optimum].max()
    return worst, fits.status[at_optimum]


def moved_with_the_effect(label, model, fits, rows):
    """What R's errors under ML become at our effects rather than at the points where R stopped, SNP by SNP.

    Without a weight of its own the SNP's variance is known through the effect b alone: its error goes as 1 / b^2, that
    of the effect as 1 / b. One SNP has an effect of 3e-6 errors, on which R and we differ by 2e-11 errors.
    """
    power = {"F1~SNP": 1, "SNP~~SNP": 2}.get(label, 0)
    effects = rows[rows["label"] == "F1~SNP"].sort_values("snp")["est"].to_numpy()
    return (effects / fits.estimate[model.parameters.index("F1~SNP")]) ** power


def check(case, options):
    worst, status = compare(case, options)
    assert all(value < 1e-4 for name, value in worst.items() if name.startswith("est")), worst
    assert all(value < 1e-5 for name, value in worst.items() if not name.startswith(("est", "rows"))), worst
    return worst, status


@pytest.mark.parametrize("case", list(FIXED))
def test_fits_with_fixed_measurement_equal_those_of_r(case):
    _, status = check(case, FIXED[case])
    assert np.isin(status, [Status.CONVERGED, Status.SMOOTHED]).all()


@pytest.mark.parametrize("case", list(FREE))
def test_fits_of_all_parameters_equal_those_of_r(case):
    _, status = check(case, {**FREE[case], "fix_measurement": False})
    assert np.isin(status, [Status.CONVERGED, Status.SMOOTHED]).all()


@pytest.mark.parametrize("case", ["one_fix", "two_stdlv", "direct", "subtraction", "defined", "one_free", "two_free"])
def test_the_table_lists_parameters_as_r_does(case):
    options = {**FIXED, **FREE}[case]
    model = prepared(**options, fix_measurement=case in FIXED)
    rows = reference.expected(case)
    theirs = rows[rows["snp"] == 0]
    ours = parameter_rows(model.table)
    assert [row.label for row in ours] == theirs["label"].tolist()
    assert [row.free for row in ours] == theirs["free"].tolist()
    assert [row.name for row in ours] == theirs["label_given"].tolist()
