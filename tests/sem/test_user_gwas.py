"""`user_gwas` from a store to results: what is fitted and reported, and what is refused."""

from __future__ import annotations

import logging
import pickle

import numpy as np
import pytest

import daskgen as dg
from daskgen.errors import InputError, NotConvergedError, UsageError
from daskgen.ldsc import covstruct
from daskgen.sem.gwas_model import gwas_model
from daskgen.sem.gwas_table import gwas_table
from daskgen.sem.moments import read_moments
from daskgen.sem.per_snp import Status
from tests.sem.per_snp_cases import MODELS, ONE, TWO
from tests.sem.small import LOADINGS, TRAITS, sampling_covariance, structure_of, true_covariance
from tests.sem.stand_in import effects, write_sumstats

INTERCEPTS = np.full((6, 6), 0.1) + np.diag(np.linspace(0.88, 1.0, 6))


def covariance(**more):
    return structure_of(I=INTERCEPTS, **more)


@pytest.fixture(scope="module")
def columns():
    generator = np.random.default_rng(8)
    of_variants = effects(700, seed=4)
    variance = 2 * of_variants["maf"] * (1 - of_variants["maf"])
    se = np.sqrt(1 / (variance * generator.uniform(3e4, 2e5, (6, 1))))
    beta = LOADINGS.T @ generator.normal(size=(2, 700)) * 0.03 + se * generator.normal(size=(6, 700))
    return of_variants | {"beta": beta, "se": se}


@pytest.fixture(scope="module")
def store(columns, tmp_path_factory):
    return write_sumstats(tmp_path_factory.mktemp("user_gwas") / "s.zarr", columns, TRAITS, rows=200)


def prepared(text, *, covstruct=None, estimation="DWLS", fix_measurement=True, std_lv=False, twas=False, **options):
    moments = read_moments(covariance() if covstruct is None else covstruct)
    table = gwas_table(
        text,
        moments,
        snp="Gene" if twas else "SNP",
        estimation=estimation,
        fix_measurement=fix_measurement,
        std_lv=std_lv,
    )
    defaults = {"q_snp": False, "gc": "standard", "snp_se": 0.0005, "smooth_check": False, "sub": None}
    return gwas_model(table, estimation=estimation, **(defaults | options))


def data(columns, model):
    rows = [TRAITS.index(name) for name in model.traits]
    return columns["beta"][rows], columns["se"][rows], 2 * columns["maf"] * (1 - columns["maf"])


def test_the_result_has_every_variant_in_order_and_the_fits_of_the_model(store, columns):
    found = dg.sem.user_gwas(covariance(), store, TWO, q_snp=True).compute()
    assert found["parameter"].values.tolist() == ["F1~SNP", "F2~SNP"]
    assert found["factor"].values.tolist() == ["F1", "F2"]
    assert found["variant_id"].values.tolist() == columns["variant_id"].tolist()
    model = prepared(TWO, q_snp=True)
    fits = model.fit(*data(columns, model))
    for name in ("estimate", "se", "chisq", "aic", "q_snp", "status"):
        assert found[name].values.tobytes() == getattr(fits, name).tobytes(), name
    assert int(found["chisq_df"]) == 19
    assert found["q_snp_df"].values.tolist() == [2, 2]


def test_traits_are_matched_by_name_in_any_order(store, tmp_path, columns):
    order = [3, 5, 1, 0, 4, 2]
    turned = columns | {name: columns[name][order] for name in ("beta", "se")}
    other = write_sumstats(tmp_path / "turned.zarr", turned, [TRAITS[i] for i in order])
    structure = covariance()
    moments = read_moments(structure).select([TRAITS[i] for i in order[::-1]])
    permuted = covstruct(moments.s, moments.v, traits=moments.traits, I=moments.intercepts)
    one = dg.sem.user_gwas(structure, store, TWO, q_snp=True, sub="all").compute()
    two = dg.sem.user_gwas(permuted, other, TWO, q_snp=True, sub="all").compute()
    for name in ("estimate", "se", "chisq", "q_snp"):
        np.testing.assert_allclose(one[name].values, two[name].values, rtol=1e-9, atol=1e-12)


def test_traits_that_the_model_does_not_name_make_no_difference(store):
    whole = dg.sem.user_gwas(covariance(), store, ONE, sub="all").compute()
    moments = read_moments(covariance()).select(["T1", "T2", "T3"])
    part = dg.sem.user_gwas(
        covstruct(moments.s, moments.v, traits=moments.traits, I=moments.intercepts), store, ONE, sub="all"
    ).compute()
    np.testing.assert_array_equal(whole["estimate"].values, part["estimate"].values)
    np.testing.assert_array_equal(whole["chisq"].values, part["chisq"].values)


@pytest.mark.parametrize("text", [ONE, MODELS["marker"], MODELS["regression of factors"], MODELS["direct effect"]])
@pytest.mark.parametrize("gc", ["standard", "conserv", "none"])
def test_the_closed_form_and_the_iterated_fit_agree(columns, text, gc):
    model = prepared(text, gc=gc, sub="all", q_snp=True)
    assert model.folded is not None
    beta, se, variance = (values[..., :60] for values in data(columns, model))
    closed, iterated = model.fit(beta, se, variance), model.general.fit(beta, se, variance)
    assert (closed.status == 0).all()
    assert np.abs((closed.estimate - iterated.estimate) / closed.se).max() < 1e-6
    np.testing.assert_allclose(closed.se, iterated.se, rtol=1e-7)
    np.testing.assert_allclose(closed.chisq, iterated.chisq, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(closed.q_snp, iterated.q_snp, rtol=1e-6)
    assert np.array_equal(closed.aic, closed.chisq + 2 * model.n_parameters)


def test_what_has_no_closed_form_is_iterated_and_the_reason_given(columns):
    for text, why in [
        (MODELS["equal residuals"], "label"),
        (ONE + "\nT1 ~~ r*T1\nr > 0.001", "bounds"),
        (ONE.replace("F1 ~ SNP", "F1 ~ SNP\nT2 ~ 0.01*SNP"), "fixed at a value"),
        (ONE.replace("F1 ~ SNP", "F1 ~ SNP\nSNP ~~ 0.3*SNP"), "variance of the SNP is fixed"),
    ]:
        model = prepared(text)
        assert model.folded is None
        assert why in model.why
        beta, se, variance = (values[..., :5] for values in data(columns, model))
        assert (model.fit(beta, se, variance).status == 0).all()
    assert "ML" in prepared(ONE, estimation="ML").why
    assert "free" in prepared(ONE, fix_measurement=False).why


def test_intercepts_that_are_no_correlations_are_smoothed_at_every_snp_and_said_so(columns):
    moments = read_moments(covariance())
    odd = np.full((6, 6), -0.9) + np.diag(np.full(6, 1.95))
    model = prepared(ONE, covstruct=covstruct(moments.s, moments.v, traits=TRAITS, I=odd), smooth_check=True)
    assert model.folded is None
    assert "intercepts is not positive definite" in model.why
    assert any("slow" in note for note in model.notes)
    fits = model.fit(*(values[..., :3] for values in data(columns, model)))
    assert (fits.status == Status.SMOOTHED).all()
    assert (fits.z_smooth > 0).all()


def test_sub_chooses_what_is_reported(store):
    defined = ONE.replace("F1 ~ SNP", "F1 ~ a*SNP\nT3 ~ b*SNP\nab := a*b")

    def labels(sub):
        found = dg.sem.user_gwas(covariance(), store, defined, sub=sub)
        fixed = found["fixed_parameter"].values.tolist() if "fixed_parameter" in found else []
        return found["parameter"].values.tolist(), fixed

    assert labels(None) == (["F1~SNP", "T3~SNP", "ab:=a*b"], [])
    residual = [f"T{i}~~T{i}" for i in (1, 2, 3)]
    everything = [*residual, "F1~SNP", "T3~SNP", "SNP~~SNP", "ab:=a*b"]
    assert labels("all") == (everything, ["F1=~T1", "F1=~T2", "F1=~T3", "F1~~F1"])
    assert labels(["T3 ~ SNP", "ab", "F1=~T2"]) == (["T3~SNP", "ab:=a*b"], ["F1=~T2"])
    assert labels("F1~SNP") == (["F1~SNP"], [])
    with pytest.raises(UsageError, match=r"F2~SNP[\s\S]*T1~~T1"):
        labels(["F2~SNP"])


def test_values_of_a_choice_are_those_of_the_whole(store):
    defined = ONE.replace("F1 ~ SNP", "F1 ~ a*SNP\nT3 ~ b*SNP\nab := a*b")
    whole = dg.sem.user_gwas(covariance(), store, defined, sub="all").compute()
    some = dg.sem.user_gwas(covariance(), store, defined, sub=["T3~SNP", "ab"]).compute()
    plain = dg.sem.user_gwas(covariance(), store, defined, sub=["T3~SNP"]).compute()
    at = whole["parameter"].values.tolist().index
    for name in ("estimate", "se"):
        picked = whole[name].values[[at("T3~SNP"), at("ab:=a*b")]]
        np.testing.assert_array_equal(some[name].values, picked)
        np.testing.assert_allclose(plain[name].values, picked[:1], rtol=1e-9, atol=1e-15)
    a, b, ab = (whole["estimate"].values[at(name)] for name in ("F1~SNP", "T3~SNP", "ab:=a*b"))
    np.testing.assert_allclose(ab, a * b, rtol=1e-14)


def test_a_second_order_factor_has_no_q_snp(store):
    text = "F1 =~ T1 + T2 + T3\nF2 =~ T4 + T5 + T6\nG =~ 1*F1 + 1*F2\nF1 ~~ 0.02*F1\nG ~ SNP\nF2 ~ SNP"
    found = dg.sem.user_gwas(covariance(), store, text, q_snp=True)
    assert found["factor"].values.tolist() == ["F2"]
    assert found["q_snp_df"].values.tolist() == [2]


def test_without_q_snp_there_is_none(store):
    assert "q_snp" not in dg.sem.user_gwas(covariance(), store, ONE)


def test_snps_with_bad_values_have_a_status_and_their_neighbours_are_as_before(tmp_path, columns):
    bad = {name: values.copy() for name, values in columns.items()}
    bad["maf"][3] = 0.0
    bad["beta"][1, 5] = np.inf
    bad["se"][0, 8] = 0.0
    bad["beta"][:3, 11] = 40.0
    good = dg.sem.user_gwas(covariance(), write_sumstats(tmp_path / "good.zarr", columns, TRAITS), ONE).compute()
    found = dg.sem.user_gwas(covariance(), write_sumstats(tmp_path / "bad.zarr", bad, TRAITS), ONE).compute()
    named = dict(zip(found["variant_id"].values.tolist(), found["status"].values.tolist(), strict=True))
    assert named["rs3"] == Status.BAD_INPUT
    assert named["rs8"] == Status.BAD_INPUT
    assert named.get("rs5", Status.BAD_INPUT) == Status.BAD_INPUT  # left out, or said so
    assert named["rs11"] in (Status.SMOOTHED, Status.NO_CONVERGENCE, Status.NOT_POSITIVE_DEFINITE)
    others = [name for name in good["variant_id"].values.tolist() if name not in ("rs3", "rs5", "rs8", "rs11")]
    here = found["variant_id"].values.tolist()
    rows = [here.index(name) for name in others]
    there = [good["variant_id"].values.tolist().index(name) for name in others]
    np.testing.assert_array_equal(found["estimate"].values[:, rows], good["estimate"].values[:, there])


@pytest.mark.parametrize("fix_measurement", [True, False])
def test_a_snp_has_the_same_bits_in_any_block(columns, fix_measurement):
    defined = ONE.replace("F1 ~ SNP", "F1 ~ a*SNP\nT3 ~ b*SNP\nab := a*b + a^2")
    model = prepared(defined, sub="all", fix_measurement=fix_measurement, smooth_check=True, q_snp=True)
    beta, se, variance = (values[..., :40].copy() for values in data(columns, model))
    beta[:, 7] = 20.0
    beta[0, 9] = np.nan
    whole = model.fit(beta, se, variance)
    assert whole.status[7] in (Status.SMOOTHED, Status.NO_CONVERGENCE)
    for size in (1, 7, 16):
        for start in range(0, 40, size):
            rows = slice(start, start + size)
            part = model.fit(*(np.ascontiguousarray(values[..., rows]) for values in (beta, se, variance)))
            for name in ("estimate", "se", "chisq", "q_snp", "z_smooth", "status"):
                expected = getattr(whole, name)[..., rows]
                assert np.array_equal(getattr(part, name), expected, equal_nan=True), name


def test_a_model_travels_to_workers(columns):
    model = prepared(TWO, q_snp=True, sub="all")
    values = [part[..., :40] for part in data(columns, model)]
    before = model.fit(*values)
    after = pickle.loads(pickle.dumps(model)).fit(*values)
    assert before.estimate.tobytes() == after.estimate.tobytes()
    assert len(pickle.dumps(prepared(TWO))) < 100_000


def test_how_the_model_is_fitted_is_logged(store, caplog):
    with caplog.at_level(logging.INFO, "daskgen.sem"):
        dg.sem.user_gwas(covariance(), store, ONE)
    assert "5 parameters, df 5; closed form" in caplog.text


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"model": "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1"}, InputError, "no SNP"),
        ({"model": ONE.replace("SNP", "Gene")}, InputError, "twas=True"),
        ({"model": ONE, "twas": True}, InputError, "twas=False"),
        ({"model": ONE.replace("T3", "T9")}, InputError, r"T9[\s\S]*T1, T2, T3, T4, T5, T6"),
        ({"model": ONE.replace("+ T3", "+ T3 + T3")}, InputError, "T3"),
        ({"model": "F1 =~ NA*T1 + T2 + T3\nF1 ~ SNP"}, InputError, "identified"),
        ({"model": ONE + "\nT1 ~ SNP\nT2 ~ SNP\nT3 ~ SNP"}, InputError, r"rank[\s\S]*SNP"),
        ({"model": "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1\nF1 ~ 0*SNP"}, InputError, "no free effect"),
        ({"estimation": "WLS"}, UsageError, "DWLS, ML"),
        ({"gc": "double"}, UsageError, "standard, conserv, none"),
        ({"snp_se": 0}, UsageError, "snp_se"),
        ({"Q_SNP": True}, UsageError, "q_snp"),
        ({"SNPSE": 0.1}, UsageError, "snp_se"),
        ({"GC": "none"}, UsageError, "gc"),
        ({"sub": False}, UsageError, 'sub="all"'),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_the_work(store, change, error, says):
    call = {"covstruct": covariance(), "sumstats": store, "model": ONE} | change
    with pytest.raises(error, match=says):
        dg.sem.user_gwas(**call)


def test_traits_that_the_summary_statistics_lack_are_named_beside_those_they_have(tmp_path, columns):
    fewer = columns | {name: columns[name][:2] for name in ("beta", "se")}
    with pytest.raises(InputError, match=r"T3[\s\S]*T1, T2"):
        dg.sem.user_gwas(covariance(), write_sumstats(tmp_path / "s.zarr", fewer, TRAITS[:2]), ONE)


def test_intercepts_are_needed(store):
    bare = covstruct(true_covariance(1), sampling_covariance(6), traits=TRAITS)
    with pytest.raises(InputError, match="intercepts I"):
        dg.sem.user_gwas(bare, store, ONE)


def test_a_measurement_part_without_a_solution_is_refused(store, monkeypatch):
    from daskgen.sem import gwas_table as module

    fitted = module.fit_table

    class NotConverged:
        def __init__(self, fit):
            self.values, self.converged = fit.values, False

    monkeypatch.setattr(module, "fit_table", lambda *args, **options: NotConverged(fitted(*args, **options)))
    with pytest.raises(NotConvergedError, match=r"did not converge[\s\S]*fix_measurement=False"):
        dg.sem.user_gwas(covariance(), store, ONE)
