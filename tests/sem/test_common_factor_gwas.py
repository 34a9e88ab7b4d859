"""The common factor at every SNP: against R GenomicSEM's commonfactorGWAS, against dense fits, and from end to end."""

from __future__ import annotations

import gzip
from functools import cache
from io import StringIO

import numpy as np
import pandas as pd
import pytest

import daskgen as dg
from daskgen.errors import InputError, UsageError
from daskgen.sem.common_factor_fit import CommonFactorFit
from daskgen.sem.general_fit import GeneralFit
from daskgen.sem.parameters import parameter_table
from daskgen.sem.per_snp import Status
from daskgen.sem.snp_covariance import SnpCovariance
from daskgen.sem.syntax import parse_model
from tests.exact_numbers import EXACT
from tests.oracles import sem_per_snp as oracle
from tests.oracles import sem_snp
from tests.sem import reference
from tests.sem.per_snp_cases import beyond, case
from tests.shared_data import shared

ALL = "F1 =~ 1*T1 + T2 + T3 + T4 + T5 + T6\nF1 ~ SNP\n" + "\n".join(f"T{i} ~ NA*SNP" for i in range(1, 7))


@cache
def expected(name):
    text = gzip.decompress(shared("reference/sem", f"expected/{name}.tsv.gz").read_bytes()).decode()
    return pd.read_csv(StringIO(text), sep="\t", dtype={"warning": str}, **EXACT)


def covariance_of(name, gc="standard"):
    moments = reference.moments(name)
    return SnpCovariance.from_intercepts(moments.traits, moments.s, moments.v, moments.intercepts, gc, 0.0005)


def fitted(name, n, *, gc="standard", estimation="DWLS", twas=False):
    covariance = covariance_of(name, gc)
    model = CommonFactorFit(covariance, estimation=estimation, snp="Gene" if twas else "SNP", smooth_check=True)
    data = reference.snps(covariance.traits, twas=twas)
    return model, model.fit(*(np.ascontiguousarray(x[..., :n]) for x in (data.beta, data.se, data.variance)))


@pytest.mark.parametrize(
    ("name", "options", "q_tolerance"),
    [
        ("commonfactorGWAS", {"name": "first3"}, 1e-5),
        ("commonfactorGWAS_conserv", {"name": "first3", "gc": "conserv"}, 1e-5),
        # One factor fits these six traits badly, and R stops before the optimum: see the test below.
        ("commonfactorGWAS_all", {"name": "ldsc"}, 1e-4),
        ("commonfactorGWAS_nonpd", {"name": "nonpd"}, 1e-5),
        ("commonfactorGWAS_twas", {"name": "first3", "twas": True}, 1e-5),
    ],
)
def test_fits_equal_those_of_r(name, options, q_tolerance):
    rows = expected(name)
    model, fits = fitted(n=len(rows), **options)
    kept = ~rows["warning"].str.contains("gradient").to_numpy()
    assert kept.mean() > 0.9
    estimate, error, q = (rows[column].to_numpy() for column in ("est", "se_c", "Q"))
    assert (np.abs(fits.estimate[0] - estimate) / error)[kept].max() < 1e-4
    np.testing.assert_allclose(fits.se[0][kept], error[kept], rtol=1e-5)
    np.testing.assert_allclose(fits.q_snp[0][kept], q[kept], rtol=q_tolerance)
    assert (rows["Q_df"] == model.q_snp_df[0]).all()
    assert model.parameters == ("F1~Gene" if options.get("twas") else "F1~SNP",)
    if "Z_smooth" in rows:
        np.testing.assert_allclose(fits.z_smooth, rows["Z_smooth"], rtol=1e-9, atol=1e-12)
    wanted = Status.SMOOTHED if options["name"] == "nonpd" else Status.CONVERGED
    assert (fits.status == wanted).all()


def test_where_q_differs_from_r_its_second_fit_stopped_early():
    """The misfit is large (r' W r about 350), so R's search, which ends when the objective changes by less than 1e-10
    of itself, may end 2e-4 standard errors from the minimum, and Q follows in proportion to sqrt(Q).

    Shown at the SNPs where Q differs by more than 1e-5: there is a point with R's Q whose objective is higher than
    that of the minimum, which ours is, by less than R notices.
    """
    rows = expected("commonfactorGWAS_all")
    _, fits = fitted("ldsc", len(rows))
    of_r, kept = rows["Q"].to_numpy(), ~rows["warning"].str.contains("gradient").to_numpy()
    differing = np.flatnonzero(kept & (np.abs(fits.q_snp[0] / of_r - 1) > 1e-5))
    assert 0 < len(differing) < 30
    traits, moments = covariance_of("ldsc").traits, reference.moments("ldsc")
    data = reference.snps(traits)
    table = parameter_table(parse_model(ALL), [*traits, "SNP"])
    table_1 = table.held({f"{trait}~SNP": 0.0 for trait in traits})
    for i in differing:
        s_full, v_full = sem_snp.moments(
            data.beta[:, i], data.se[:, i], data.variance[i], moments.s, moments.v, moments.intercepts, "standard", 5e-4
        )
        first = oracle.least_squares_fit(table_1.structure(["SNP", *traits], sample=s_full), s_full, v_full)
        held = {name: value for name, value in zip(table_1.parameters, first, strict=True) if name.startswith("F1")}
        table_2 = table.held(held | {"SNP~~SNP": data.variance[i]})
        second = table_2.structure(["SNP", *traits], sample=s_full)
        direct = [list(table_2.parameters).index(f"{trait}~SNP") for trait in traits]
        weight, residuals = np.diag(1 / np.diag(v_full)), oracle.weighted_residuals(second, s_full, v_full)

        def objective(theta, residuals=residuals):
            return np.sum(residuals(theta) ** 2)

        def omega(theta, second=second, weight=weight, v_full=v_full, direct=direct):
            return oracle.sandwich(second.jacobian(theta), weight, v_full)[np.ix_(direct, direct)]

        def q(theta, omega=omega, direct=direct):
            return theta[direct] @ np.linalg.solve(omega(theta), theta[direct])

        best = oracle.least_squares_fit(second, s_full, v_full)
        np.testing.assert_allclose(fits.q_snp[0, i], q(best), rtol=1e-8)
        # The nearest point, in the metric of the objective, at which Q is R's.
        slope = np.zeros(len(best))
        slope[direct] = 2 * np.linalg.solve(omega(best), best[direct])
        jacobian = second.jacobian(best)
        towards = np.linalg.solve(2 * jacobian.T @ weight @ jacobian, slope)
        point = best + towards * (of_r[i] - q(best)) / (slope @ towards)
        np.testing.assert_allclose(q(point), of_r[i], rtol=1e-6)
        assert objective(best) < objective(point) < objective(best) * (1 + 1e-10)


def test_ml_equals_r_at_the_snp_whose_variance_r_takes_for_all():
    # R's model of the first SNP serves for all of them, its fixed SNP variance included; here each has its own.
    first = expected("commonfactorGWAS_ml").iloc[0]
    _, fits = fitted("first3", 60, estimation="ML")
    assert (fits.status == Status.CONVERGED).all()
    assert abs(fits.estimate[0, 0] - first["est"]) / first["se_c"] < 1e-4
    np.testing.assert_allclose(fits.se[0, 0], first["se_c"], rtol=1e-5)
    np.testing.assert_allclose(fits.q_snp[0, 0], first["Q"], rtol=1e-5)


@pytest.mark.parametrize("effects", [0.02, 0.2])
def test_effect_and_q_are_those_of_dense_fits(effects):
    made = case(ALL, n=6, effects=effects)
    model = CommonFactorFit(made.covariance, smooth_check=True)
    fits = model.fit(made.beta, made.se, made.variance)
    names = list(made.table.parameters)
    direct = [names.index(f"T{i}~SNP") for i in range(1, 7)]
    gamma, snp_variance = names.index("F1~SNP"), names.index("SNP~~SNP")
    table = made.table.held({f"T{i}~SNP": 0.0 for i in range(1, 7)})
    for snp in range(6):
        s_full, v_full = made.moments(snp)
        alone = table.structure(made.observed, sample=s_full)
        theta = oracle.least_squares_fit(alone, s_full, v_full)
        weight = np.diag(1 / np.diag(v_full))
        se = np.sqrt(np.diag(oracle.sandwich(alone.jacobian(theta), weight, v_full)))
        at = list(table.parameters).index("F1~SNP")
        assert abs(fits.estimate[0, snp] - theta[at]) < 1e-6 * se[at]
        np.testing.assert_allclose(fits.se[0, snp], se[at], rtol=1e-7)
        held = {names.index(n): v for n, v in zip(table.parameters, theta, strict=True) if n.startswith("F1")}
        held[snp_variance] = made.variance[snp]
        assert gamma in held
        structure = made.table.structure(made.observed, sample=s_full)
        structure.start[direct] = 0.0
        q = oracle.quadratic_of_direct_effects(structure, s_full, v_full, held, direct)
        np.testing.assert_allclose(fits.q_snp[0, snp], q, rtol=1e-6)


def test_the_model_is_the_one_that_user_gwas_would_fit():
    made = case(ALL, n=9)
    traits = made.covariance.traits
    text = f"F1 =~ 1*{' + '.join(traits)}\nF1 ~ SNP"
    table = parameter_table(parse_model(text), [*traits, "SNP"])
    general = GeneralFit(table.structure(made.observed, sample=made.moments(0)[0]), made.covariance)
    ours = CommonFactorFit(made.covariance).fit(made.beta, made.se, made.variance)
    theirs = general.fit(made.beta, made.se, made.variance)
    at = list(table.parameters).index("F1~SNP")
    assert (np.abs(ours.estimate[0] - theirs.estimate[at]) / theirs.se[at]).max() < 1e-6
    np.testing.assert_allclose(ours.chisq, theirs.chisq, rtol=1e-9)
    np.testing.assert_allclose(ours.aic, theirs.aic, rtol=1e-9)


def test_names_of_traits_need_not_be_names_of_the_model_language():
    made = case(ALL, n=4)
    renamed = SnpCovariance(("a-b", "c d", "e*f", "x", "y", "z"), *list(vars(made.covariance).values())[1:])
    ours = CommonFactorFit(renamed).fit(made.beta, made.se, made.variance)
    theirs = CommonFactorFit(made.covariance).fit(made.beta, made.se, made.variance)
    np.testing.assert_array_equal(ours.estimate, theirs.estimate)


def test_bits_do_not_depend_on_the_block_and_bad_snps_have_a_status():
    made = case(ALL, n=37)
    beyond(made, 5)
    made.beta[2, 7] = np.nan
    model = CommonFactorFit(made.covariance)
    whole = model.fit(made.beta, made.se, made.variance)
    assert whole.status[7] == Status.BAD_INPUT
    assert np.isnan(whole.q_snp[0, 7])
    for size in (1, 5, 16):
        for first in range(0, 37, size):
            part = slice(first, first + size)
            own = model.fit(made.beta[:, part].copy(), made.se[:, part].copy(), made.variance[part].copy())
            for name in ("estimate", "se", "q_snp", "status"):
                np.testing.assert_array_equal(getattr(own, name), getattr(whole, name)[..., part])


def test_fewer_than_three_traits_are_refused():
    made = case("T1 ~ SNP\nT2 ~ SNP\nT1 ~~ T2")
    with pytest.raises(InputError, match="three traits"):
        CommonFactorFit(made.covariance)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A covariance structure of three traits, and sumstats with them in another order, from simulation."""
    from tests.sem.small import sampling_covariance

    folder = tmp_path_factory.mktemp("common_factor")
    s = np.array([[0.30, 0.12, 0.10], [0.12, 0.25, 0.08], [0.10, 0.08, 0.20]])
    intercepts = np.array([[1.02, 0.05, 0.03], [0.05, 1.01, 0.02], [0.03, 0.02, 1.0]])
    structure = dg.ldsc.covstruct(s, sampling_covariance(3), traits=["A", "B", "C"], I=intercepts)
    rng = np.random.default_rng(4)
    n = 400
    maf = rng.uniform(0.05, 0.5, n)
    se = 1 / np.sqrt(2 * maf * (1 - maf) * 5e4)
    table = pd.DataFrame({"SNP": [f"rs{i}" for i in range(n)], "CHR": 1, "BP": np.arange(n) * 100 + 1, "MAF": maf})
    table["A1"], table["A2"] = "A", "C"
    for trait in "CAB":
        table[f"beta.{trait}"], table[f"se.{trait}"] = rng.normal(size=n) * se, se
    table.to_csv(folder / "merged.tsv", sep="\t", index=False)
    dg.convert.sumstats(folder / "merged.tsv", None, folder / "sumstats.zarr", scale=None)
    return structure, str(folder / "sumstats.zarr"), table


def test_the_function_gives_a_lazy_dataset_of_all_variants(stores, tmp_path):
    structure, path, table = stores
    result = dg.sem.commonfactor_gwas(structure, path, smooth_check=True)
    assert result["estimate"].chunks is not None
    assert int(result["q_df"]) == 2
    moments = {trait: (table[f"beta.{trait}"].to_numpy(), table[f"se.{trait}"].to_numpy()) for trait in "ABC"}
    covariance = SnpCovariance.from_intercepts(
        ("A", "B", "C"), structure["S"].values, structure["V"].values, structure["I"].values, "standard", 0.0005
    )
    wanted = CommonFactorFit(covariance).fit(
        np.array([moments[t][0] for t in "ABC"]),
        np.array([moments[t][1] for t in "ABC"]),
        (2 * table["MAF"] * (1 - table["MAF"])).to_numpy(),
    )
    for name, values in (("estimate", wanted.estimate[0]), ("se", wanted.se[0]), ("q", wanted.q_snp[0])):
        np.testing.assert_allclose(result[name].values, values, rtol=1e-12)
    np.testing.assert_array_equal(result["status"].values, wanted.status)
    stored = result.dg.to_store(tmp_path / "factor.zarr")
    again = dg.open_store(stored)
    np.testing.assert_array_equal(again["q"].values, result["q"].values)
    n = dg.sem.effective_n(again, maf=(0.1, 0.4))
    assert n == dg.sem.effective_n(str(tmp_path / "factor.zarr"))
    common = (table["MAF"] >= 0.1) & (table["MAF"] <= 0.4)
    f, error = table["MAF"][common], wanted.se[0][common]
    np.testing.assert_allclose(n, np.mean(1 / (2 * f * (1 - f) * error**2)), rtol=1e-12)


def test_wrong_arguments_are_answered(stores):
    structure, path, _ = stores
    with pytest.raises(UsageError, match="estimation"):
        dg.sem.commonfactor_gwas(structure, path, estimation="WLS")
    with pytest.raises(UsageError, match="genomic control"):
        dg.sem.commonfactor_gwas(structure, path, gc="no")
    with pytest.raises(UsageError, match="snp_se"):
        dg.sem.commonfactor_gwas(structure, path, snp_se=0)
    with pytest.raises(InputError, match="intercepts"):
        dg.sem.commonfactor_gwas(structure.drop_vars("I"), path)
    with pytest.raises(UsageError, match="sumstats"):
        dg.sem.commonfactor_gwas(structure, SNPs=path)
    with pytest.raises(UsageError, match="two frequencies"):
        dg.sem.effective_n(path, maf=(0.4, 0.1))
