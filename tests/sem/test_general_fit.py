"""The general fit at every SNP against dense fits of one SNP after the other, and what it does with awkward input."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from daskgen.errors import UsageError
from daskgen.kernels.nearest_pd import positive_definite
from daskgen.linalg.vech import vech
from daskgen.sem.per_snp import Status
from tests.oracles import sem_per_snp as oracle
from tests.oracles.sem_snp import q_snp
from tests.sem.per_snp_cases import MODELS, ONE, TWO, beyond, case, nearly_singular
from tests.sem.small import true_covariance

CONSTRAINED = {"linear constraint"}


def rows_of(made, theta):
    """Values of the free rows, from those of the parameters."""
    free = [row.free for row in made.table.rows]
    return made.table.values(theta)[free]


def assert_solution(made, fits, snp, theta, *, sigmas=1e-6, relative=1e-7, unweighted=(), matrices=None):
    """Estimates, standard errors and chi-square of one SNP are those at `theta`."""
    s_full, v_full = made.moments(snp) if matrices is None else matrices
    by_row = made.table.structure(made.observed, sample=s_full, by_row=True)
    values = rows_of(made, theta)
    sigma, jacobian = by_row.implied(values), by_row.jacobian(values)
    weight = np.diag(1 / np.diag(v_full))
    if made.estimation == "ML":
        weight = oracle.normal_weight(sigma, unweighted)
    se = np.sqrt(np.diag(oracle.sandwich(jacobian, weight, v_full)))
    assert (np.abs(fits.estimate[:, snp] - values) / se).max() < sigmas
    np.testing.assert_allclose(fits.se[:, snp], se, rtol=relative)
    np.testing.assert_allclose(fits.chisq[snp], oracle.chi_square(s_full, sigma, v_full), rtol=relative, atol=1e-9)


@pytest.mark.parametrize("effects", [0.02, 0.3])
@pytest.mark.parametrize("model", [name for name in MODELS if name not in CONSTRAINED])
def test_dwls_fits_are_those_of_a_dense_solver(model, effects):
    made = case(MODELS[model], effects=effects)
    fits = made.fit()
    assert (fits.status == Status.CONVERGED).all()
    structure = made.structure
    start = made.general().dense  # the solver may start where the fit does, or not
    assert start is not None
    for snp in range(len(made.variance)):
        theta = oracle.least_squares_fit(structure, *made.moments(snp))
        assert_solution(made, fits, snp, theta)


@pytest.mark.parametrize("model", ["one factor", "two factors", "regression of factors", "path between traits", "loop"])
def test_ml_fits_are_roots_of_the_dense_gradient(model):
    made = case(MODELS[model], estimation="ML")
    external = [name for name in ("SNP", *made.covariance.traits) if is_exogenous(made, name)]
    fits = made.fit(exogenous=external)
    assert (fits.status == Status.CONVERGED).all()
    at = [made.observed.index(name) for name in external]
    row, column = np.triu_indices(len(made.observed))
    unweighted = [i for i, (r, c) in enumerate(zip(column, row, strict=True)) if r in at and c in at]
    for snp in range(len(made.variance)):
        s_full, _ = made.moments(snp)
        table = made.table.with_sample(s_full, made.observed)
        structure = table.structure(made.observed, sample=s_full)
        theta = oracle.likelihood_fit(structure, s_full, fits.estimate[:, snp] * 1.001)
        better = oracle.likelihood(structure, s_full, theta)
        assert oracle.likelihood(structure, s_full, fits.estimate[:, snp]) <= better + 1e-12
        own = type(made)(**{**made.__dict__, "table": table})
        assert_solution(own, fits, snp, theta, relative=1e-6, unweighted=unweighted)


def is_exogenous(made, name):
    return any(row.exogenous and name in (row.lhs, row.rhs) for row in made.table.rows)


@pytest.mark.parametrize("gc", ["standard", "conserv", "none"])
def test_genomic_control_and_the_error_of_the_snp_variance_enter_as_written_out(gc):
    made = case(TWO, gc=gc, snp_se=0.004)
    fits = made.fit()
    for snp in range(len(made.variance)):
        assert_solution(made, fits, snp, oracle.least_squares_fit(made.structure, *made.moments(snp)))


def test_q_snp_is_the_misfit_of_the_snp_with_the_indicators_of_a_factor():
    made = case(TWO)
    fits = made.fit(indicators=[["T1", "T2", "T3"], ["T6", "T4", "T5"]])
    assert fits.q_snp.shape == (2, 7)
    for snp in range(7):
        s_full, v_full = made.moments(snp)
        sigma = made.structure.implied(oracle.least_squares_fit(made.structure, s_full, v_full))
        wanted = [q_snp(s_full, sigma, v_full, rows) for rows in ([0, 1, 2], [3, 4, 5])]
        np.testing.assert_allclose(fits.q_snp[:, snp], wanted, rtol=1e-7)


def test_a_linear_constraint_holds_and_costs_a_parameter():
    made = case(MODELS["linear constraint"])
    general = made.general()
    assert general.fitted.n_coordinates == len(general.fitted.iterated) - 1
    fits = general.fit(made.beta, made.se, made.variance)
    a, b = (made.table.parameters.index(name) for name in ("F1=~T1", "F1=~T2"))
    np.testing.assert_allclose(fits.estimate[a], 1.1 * fits.estimate[b], rtol=1e-14)
    structure = made.structure
    for snp in range(3):
        s_full, v_full = made.moments(snp)
        theta = oracle.constrained_fit(
            structure, s_full, v_full, [lambda x: x[a] - 1.1 * x[b]], [], fits.estimate[:, snp] * 1.05
        )
        assert_solution(made, fits, snp, theta, sigmas=2e-4, relative=1e-4)


def test_ml_under_a_linear_constraint_is_stationary_along_it():
    made = case(MODELS["linear constraint"], estimation="ML")
    fits = made.fit()
    assert (fits.status == Status.CONVERGED).all()
    a, b = (made.table.parameters.index(name) for name in ("F1=~T1", "F1=~T2"))
    np.testing.assert_allclose(fits.estimate[a], 1.1 * fits.estimate[b], rtol=1e-14)
    s_full, _ = made.moments(0)
    structure = made.table.with_sample(s_full, made.observed).structure(made.observed, sample=s_full)
    here = oracle.likelihood(structure, s_full, fits.estimate[:, 0])
    rng = np.random.default_rng(0)
    for _ in range(50):
        step = 1e-4 * rng.normal(size=structure.n_parameters)
        step[a] = 1.1 * step[b]
        assert oracle.likelihood(structure, s_full, fits.estimate[:, 0] + step) > here


def test_bounds_hold_where_they_bind_and_change_nothing_where_they_do_not():
    free = case(ONE).fit()
    label = ["F1=~T1", "F1=~T2", "F1=~T3", "F1~SNP", "T1~~T1", "T2~~T2", "T3~~T3", "SNP~~SNP"]
    least = float(np.median(free.estimate[label.index("T1~~T1")]))
    model = f"F1 =~ NA*T1 + T2 + l*T3\nl < 10\nF1 ~~ 1*F1\nF1 ~ SNP\nT1 ~~ r*T1\nr > {least:.12f}"
    bounded = case(model)
    fits = bounded.fit()
    assert (fits.status == Status.CONVERGED).all()
    names = [row.name for row in bounded.table.rows if row.free]
    residual = fits.estimate[names.index("T1~~T1")]
    assert (residual >= least - 1e-12).all()
    assert 0 < (residual < least + 1e-12).sum() < 7
    for snp in range(7):
        theta = oracle.least_squares_fit(bounded.structure, *bounded.moments(snp))
        assert_solution(bounded, fits, snp, theta, sigmas=1e-5, relative=1e-5)


@pytest.mark.parametrize(
    ("text", "equality", "inequality"),
    [("a*b == 0.2", [lambda x, a, b: x[a] * x[b] - 0.2], []), ("a < b", [], [lambda x, a, b: x[b] - x[a]])],
)
def test_other_constraints_are_met_one_snp_at_a_time(text, equality, inequality):
    made = case(f"F1 =~ NA*T1 + a*T1 + b*T2 + T3\nF1 ~~ 1*F1\nF1 ~ SNP\n{text}", n=2)
    general = made.general()
    assert any("alone" in note for note in general.notes)
    fits = general.fit(made.beta, made.se, made.variance)
    assert (fits.status == Status.CONVERGED).all()
    a, b = (made.table.parameters.index(name) for name in ("F1=~T1", "F1=~T2"))
    for snp in range(2):
        theta = oracle.constrained_fit(
            made.structure,
            *made.moments(snp),
            [lambda x, f=f: f(x, a, b) for f in equality],
            [lambda x, f=f: f(x, a, b) for f in inequality],
            fits.estimate[:, snp] * 1.02,
        )
        assert_solution(made, fits, snp, theta, sigmas=1e-3, relative=1e-4)


def test_matrices_that_are_not_positive_definite_are_replaced_and_the_fit_says_so():
    made = case(ONE, n=5, s=nearly_singular())
    beyond(made, 2)
    fits = made.fit()
    assert fits.status.tolist() == [0, 0, Status.SMOOTHED, 0, 0]
    assert fits.z_smooth[2] > 0
    assert (fits.z_smooth[[0, 1, 3, 4]] == 0).all()
    s_full, v_full = made.moments(2)
    smooth = positive_definite(s_full)[0]
    z = [matrix[0, 1:] / np.sqrt(np.diag(v_full)[1:4]) for matrix in (s_full, smooth)]
    np.testing.assert_allclose(fits.z_smooth[2], np.abs(z[1] - z[0]).max())
    theta = oracle.least_squares_fit(made.structure, smooth, v_full, start=fits.estimate[:, 2])
    assert_solution(made, fits, 2, theta, relative=1e-6, matrices=(smooth, v_full))


@pytest.mark.parametrize("what", ["S", "V"])
def test_a_covariance_structure_that_is_not_positive_definite_is_smoothed_at_every_snp(what):
    made = case(ONE, n=4)
    matrix = getattr(made.covariance, what)
    values, vectors = np.linalg.eigh(matrix)
    values[0] = -0.01 * values[-1]
    matrix[...] = vectors @ np.diag(values) @ vectors.T
    general = made.general()
    assert len(general.notes) == 1
    fits = general.fit(made.beta, made.se, made.variance)
    assert (fits.status == Status.SMOOTHED).all()
    for snp in range(4):
        s_full, v_full = (positive_definite(m)[0] for m in made.moments(snp))
        theta = oracle.least_squares_fit(made.structure, s_full, v_full, start=fits.estimate[:, snp])
        assert_solution(made, fits, snp, theta, sigmas=1e-5, relative=1e-5, matrices=(s_full, v_full))


@pytest.mark.parametrize("estimation", ["DWLS", "ML"])
def test_bits_of_a_snp_do_not_depend_on_its_block(estimation):
    made = case(TWO, n=53, estimation=estimation, effects=0.1)
    beyond(made, 11)
    general = made.general(indicators=[["T1", "T2", "T3"]])
    whole = general.fit(made.beta, made.se, made.variance)
    for size in (1, 7, 16, 17, 32):
        for first in range(0, 53, size):
            part = slice(first, first + size)
            own = general.fit(made.beta[:, part].copy(), made.se[:, part].copy(), made.variance[part].copy())
            for name in ("estimate", "se", "chisq", "aic", "q_snp", "status"):
                np.testing.assert_array_equal(getattr(own, name), getattr(whole, name)[..., part])


def test_bad_values_have_a_status_and_leave_their_neighbours_alone():
    made = case(ONE, n=8)
    good = made.fit()
    made.beta[0, 0], made.beta[1, 1], made.se[2, 2], made.se[0, 3] = np.nan, np.inf, 0.0, -1.0
    made.se[1, 4], made.variance[5], made.variance[6] = np.nan, 0.0, np.nan
    fits = made.fit()
    assert fits.status.tolist() == [Status.BAD_INPUT] * 7 + [Status.CONVERGED]
    for name in ("estimate", "se", "chisq", "aic", "z_smooth"):
        assert np.isnan(getattr(fits, name)[..., :7]).all()
        np.testing.assert_array_equal(getattr(fits, name)[..., 7], getattr(good, name)[..., 7])


def test_blocks_without_snps_and_without_usable_snps_are_answered():
    made = case(ONE, n=3)
    general = made.general(indicators=[["T1", "T2", "T3"]])
    empty = general.fit(np.empty((3, 0)), np.empty((3, 0)), np.empty(0))
    assert empty.estimate.shape == (8, 0)
    assert empty.q_snp.shape == (1, 0)
    nothing = general.fit(np.full((3, 3), np.nan), made.se, made.variance)
    assert (nothing.status == Status.BAD_INPUT).all()


def test_a_parameter_that_a_snp_does_not_tell_is_said_so():
    # Where the factor explains nothing of the SNP, ML without weight of the SNP's variance does not know it.
    made = case(ONE, n=4, estimation="ML")
    made.beta[:, 1] = 0.0
    free = made.table.rows
    table = type(made.table)(
        tuple(type(r)(**{**r.__dict__, "free": True, "exogenous": False}) if r.name == "SNP~~SNP" else r for r in free),
        made.table.observed,
        made.table.latent,
    )
    own = type(made)(**{**made.__dict__, "table": table})
    fits = own.fit(sampled=False)
    assert fits.status[1] == Status.NOT_IDENTIFIED
    assert np.isnan(fits.estimate[:, 1]).all()


def test_a_model_that_is_not_identified_has_that_status_at_every_snp():
    fits = case("F1 =~ NA*T1 + T2 + T3\nF1 ~ SNP").fit()
    assert (fits.status == Status.NOT_IDENTIFIED).all()
    assert np.isnan(fits.estimate).all()


def test_an_estimation_that_is_not_known_is_refused():
    with pytest.raises(UsageError, match="estimation"):
        case(ONE).general(estimation="ULS")


def test_only_what_is_asked_for_is_reported_with_the_same_bits():
    made = case(TWO)
    whole = made.fit()
    some = made.fit(report=[8, 2, 10])
    np.testing.assert_array_equal(some.estimate, whole.estimate[[8, 2, 10]])
    np.testing.assert_array_equal(some.se, whole.se[[8, 2, 10]])


@pytest.mark.parametrize("model", ["two factors", "residual covariance", "equal residuals"])
def test_the_covariance_of_the_parameters_is_the_dense_sandwich(model):
    made = case(MODELS[model], n=3, s=nearly_singular())
    beyond(made, 2)  # through full matrices
    fits, omega = made.general().fit(made.beta, made.se, made.variance, covariance=True)
    assert fits.status.tolist() == [0, 0, Status.SMOOTHED]
    for snp in range(2):
        s_full, v_full = made.moments(snp)
        by_row = made.table.structure(made.observed, sample=s_full, by_row=True)
        wanted = oracle.sandwich(by_row.jacobian(fits.estimate[:, snp]), np.diag(1 / np.diag(v_full)), v_full)
        scale = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
        np.testing.assert_allclose(omega[:, :, snp] / scale, wanted / scale, atol=1e-9)
    np.testing.assert_allclose(np.sqrt(np.diagonal(omega).T), fits.se, rtol=1e-13)


@pytest.mark.parametrize("estimation", ["DWLS", "ML"])
@pytest.mark.parametrize("model", ["two factors", "residual covariance", "equal residuals", "path between traits"])
def test_results_from_blocks_of_v_are_those_of_the_full_matrix(model, estimation):
    made = case(MODELS[model], n=19, effects=0.2, estimation=estimation)
    general = made.general(indicators=[["T1", "T2"]])
    blocks, omega = general.fit(made.beta, made.se, made.variance, covariance=True)
    general._dense_only = True
    full, omega_full = general.fit(made.beta, made.se, made.variance, covariance=True)
    assert (blocks.status == Status.CONVERGED).all()
    for name in ("estimate", "se", "chisq", "q_snp"):
        np.testing.assert_allclose(getattr(blocks, name), getattr(full, name), rtol=1e-7, atol=1e-9)
    scale = np.sqrt(np.einsum("an,bn->abn", np.einsum("aan->an", omega), np.einsum("aan->an", omega)))
    np.testing.assert_allclose(omega / scale, omega_full / scale, atol=1e-8)


def test_values_may_be_given_per_snp():
    made = case(ONE, n=5)
    free = made.fit()
    names = list(made.table.parameters)
    held = [names.index(name) for name in ("F1=~T1", "F1=~T2", "F1=~T3")]
    rest = [i for i in range(len(names)) if i not in held]
    general = made.general(reported=None, given=held)
    fits = general.fit(made.beta, made.se, made.variance, given=free.estimate[held])
    assert (np.abs(fits.estimate - free.estimate[rest]) / free.se[rest]).max() < 1e-6
    shifted = general.fit(made.beta, made.se, made.variance, given=1.1 * free.estimate[held])
    assert (shifted.chisq > fits.chisq).all()


def test_a_fit_travels_between_processes():
    made = case(TWO, n=20)
    general = made.general()
    first = general.fit(made.beta, made.se, made.variance)
    again = pickle.loads(pickle.dumps(general)).fit(made.beta, made.se, made.variance)
    np.testing.assert_array_equal(first.estimate, again.estimate)
    assert general.bytes_per_snp > 0


def test_the_first_loading_has_the_sign_of_its_start_at_every_snp():
    s = true_covariance(3)
    s[0] *= -1  # the first trait is turned, so that two loadings of three would be positive
    s[:, 0] *= -1
    fits = case(ONE, s=s).fit()
    assert (fits.status == Status.CONVERGED).all()
    assert (fits.estimate[0] > 0).all()
    assert (fits.estimate[1:3] < 0).all()
    other = case(ONE.replace("NA*T1", "NA*T1 + start(-0.4)*T1"), s=s).fit()
    np.testing.assert_allclose(other.estimate[:4], -fits.estimate[:4], rtol=1e-7)


def test_heywood_cases_are_kept():
    s = true_covariance(None)
    s[0, 1] = s[1, 0] = 0.99 * np.sqrt(s[0, 0] * s[1, 1])
    s[0, 2] = s[2, 0] = 0.95 * np.sqrt(s[0, 0] * s[2, 2])
    made = case(ONE, s=s)
    fits = made.fit()
    assert (fits.status <= Status.SMOOTHED).all()
    assert (fits.estimate[list(made.table.parameters).index("T1~~T1")] < 0).any()
    assert vech(s).shape == (21,)
