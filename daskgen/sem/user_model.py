"""`usermodel` and `commonfactor`: one model fitted to one covariance structure."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from daskgen.errors import InputError, UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.ldsc.correlation import two_sided_p
from daskgen.sem.fit import ESTIMATES, Fit
from daskgen.sem.fit_indices import INDICES, factor_misfit, fit_indices, latent_correlations
from daskgen.sem.moments import CovarianceSource, Moments, Smoothing, read_moments
from daskgen.sem.parameters import ParameterTable, parameter_table
from daskgen.sem.single_fit import TableFit, fit_table
from daskgen.sem.standardised import fully_standardised
from daskgen.sem.syntax import parse_model

__all__ = ["commonfactor", "usermodel"]

log = logging.getLogger("daskgen.sem")

ESTIMATIONS = ("DWLS", "ML")
LOWEST_RESIDUAL = 1e-4
"""Bound on residual variances where a model does not converge without (GenomicSEM's)."""
_NOTABLE = 0.025
"""Change of S, or of a Z statistic, by smoothing, above which GenomicSEM warns."""


@known_arguments()
def usermodel(
    covstruct: CovarianceSource,
    model: str,
    *,
    estimation: str = "DWLS",
    std_lv: bool = False,
    cfi_calc: bool = True,
    imp_cov: bool = False,
    fix_resid: bool = True,
    q_factor: bool = False,
) -> Fit:
    """Fit a structural equation model to a genetic covariance structure, as usermodel() of GenomicSEM.

    Parameters
    ----------
    covstruct
        Path of a store of `daskgen ldsc` or `daskgen convert covstruct`, or a Dataset such as `dg.ldsc.ldsc` returns.
        Traits that the model does not name are left out; their order does not matter.
    model
        The model in lavaan's language, with the names of the traits.
    estimation
        "DWLS", weights 1 / diag(V), or "ML", normal-theory maximum likelihood. Standard errors are the sandwich's, with
        the full V, for both.
    std_lv
        Factors have variance 1 and all their loadings are free.
    cfi_calc
        Whether the CFI is computed.
    imp_cov
        Whether implied and residual covariances are part of what the command prints; a Fit has them always.
    fix_resid
        Where the model does not converge, fit it again with residual variances of at least 0.0001.
    q_factor
        Add the Q statistics of pairs of factors.

    Returns
    -------
    Fit
        Estimates, fit indices, implied and residual covariances; see there.

    Raises
    ------
    InputError
        A model that cannot be read (with line and column), names that are no traits, a model that is not identified
        (with its rank and the parameters concerned), a covariance structure that is not one.
    UsageError
        Another estimation.
    """
    _check_estimation(estimation)
    moments = read_moments(covstruct)
    parsed = parse_model(_text(model))
    for name in ("SNP", "Gene"):
        if parsed.mentions(name) and name not in moments.traits:
            raise InputError(
                f"the model has effects of {name}.",
                found=f"traits: {', '.join(moments.traits)}",
                do="fit it at every variant with dg.sem.user_gwas(covstruct, sumstats, model)",
            )
    table = parameter_table(parsed, moments.traits, std_lv=std_lv, fixed_x=estimation == "ML")
    arguments = {"std_lv": std_lv, "cfi_calc": cfi_calc, "fix_resid": fix_resid, "imp_cov": imp_cov}
    return _fitted(
        table,
        moments.select([trait for trait in moments.traits if trait in table.observed]),
        command="sem usermodel",
        estimation=estimation,
        fix_resid=fix_resid,
        cfi=cfi_calc,
        q=q_factor,
        arguments=arguments,
    )


@known_arguments()
def commonfactor(covstruct: CovarianceSource, *, estimation: str = "DWLS") -> Fit:
    """Fit one factor to all traits of a genetic covariance structure, as commonfactor() of GenomicSEM.

    The factor F1 has variance 1, which is not a row of the result. Arguments, results and errors as in `usermodel`.
    """
    _check_estimation(estimation)
    moments = read_moments(covstruct)
    if len(moments.traits) < 3:
        raise InputError(
            "a common factor needs three traits or more.",
            found=f"{len(moments.traits)}: {', '.join(moments.traits)}",
            do="with two traits, fix a loading with dg.sem.usermodel",
        )
    name = "F1"
    while name in moments.traits:
        name += "_"
    model = f"{name} =~ NA*{' + '.join(moments.traits)}\n{name} ~~ 1*{name}"
    table = parameter_table(parse_model(model), moments.traits, fixed_x=estimation == "ML")
    return _fitted(
        table,
        moments,
        command="sem commonfactor",
        estimation=estimation,
        fix_resid=True,
        cfi=True,
        q=False,
        arguments={},
    )


def _text(model: object) -> str:
    if not isinstance(model, str):
        raise UsageError("the model is text.", found=type(model).__name__, expected='such as "F1 =~ T1 + T2 + T3"')
    return model


def _check_estimation(estimation: str) -> None:
    if estimation not in ESTIMATIONS:
        raise UsageError("this estimation is not known.", found=estimation, expected=" or ".join(ESTIMATIONS))


def _fitted(
    table: ParameterTable,
    moments: Moments,
    *,
    command: str,
    estimation: str,
    fix_resid: bool,
    cfi: bool,
    q: bool,
    arguments: dict[str, Any],
) -> Fit:
    """Smooth, fit, fit again with bounds where needed, fit to the correlations, and gather."""
    moments, smoothing = moments.smoothed()
    warnings = _smoothing_warnings(smoothing)
    fit = fit_table(table, moments, estimation=estimation)
    if not fit.converged and fix_resid:
        bounded = table.bounded([f"{trait}~~{trait}" for trait in table.observed], LOWEST_RESIDUAL)
        fit = fit_table(bounded, moments, estimation=estimation)
        warnings.append(f"the model did not converge; residual variances were bounded by {LOWEST_RESIDUAL:g}")
    warnings += _solution_warnings(fit)
    correlation = latent_correlations(fit)[np.tril_indices(len(fit.table.latent), -1)]
    proper = bool((np.abs(correlation) <= 1.0).all())
    stand = fit_table(fit.table, moments.standardised(), estimation=estimation) if proper else None
    if not proper:
        warnings.append(
            "correlations between factors are beyond -1 and 1, or factors have negative variances: fit indices and "
            "standardised estimates are left out; bound them, as in F1 ~~ a*F2 with a < 1"
        )
    elif stand is not None and not stand.converged:
        warnings.append("the fit to the correlations did not converge; standardised estimates are left out")
        stand = None
    indices = dict.fromkeys(INDICES, float("nan")) | {"df": float(fit.df)}
    if proper:
        found = fit_indices(fit, cfi=cfi)
        kept = ("cfi", "srmr") if command == "sem commonfactor" else ()
        indices = found if fit.df > 0 else indices | {name: found[name] for name in kept}
        if indices["cfi"] < 0:
            warnings.append("the CFI is negative, often a sign of negative residual variances: do not trust it")
    for text in warnings:
        log.warning("%s", text)
    estimates = _estimates(fit, stand, fixed=command != "sem commonfactor")
    names = (estimates["lhs"] + estimates["op"] + estimates["rhs"]).tolist()
    constrained = dict(zip(fit.table.row_names, fit.constrained_se(), strict=True))
    traits = list(moments.traits)
    return Fit(
        model=fit.table.text,
        estimation=estimation,
        command=command,
        traits=moments.traits,
        estimates=estimates,
        fit_indices=pd.Series(indices, name="fit"),
        npar=fit.n_parameters,
        implied_cov=pd.DataFrame(fit.sigma, traits, traits),
        residual_cov=pd.DataFrame(moments.s - fit.sigma, traits, traits),
        constrained_se=pd.Series([constrained.get(name, np.nan) for name in names], names, dtype=np.float64),
        converged=fit.converged,
        q_factor=factor_misfit(fit) if q else None,
        warnings=tuple(warnings),
        arguments=arguments,
        inputs=(moments.source_id,) if moments.source_id else (),
    )


def _estimates(fit: TableFit, stand: TableFit | None, *, fixed: bool) -> pd.DataFrame:
    """The rows of `ESTIMATES`: free, defined, fixed."""
    rows = [(row.lhs, row.op, row.rhs) for row in fit.table.rows]
    nothing = np.full(len(rows), np.nan)
    columns = [fit.values, fit.se, nothing, nothing, nothing]
    functions = fit.table.defined()
    value, error = fit.defined()
    none = np.full(len(functions), np.nan)
    extra = [value, error if fit.estimation == "DWLS" else none, none, none, none]
    if stand is not None:
        every, defined = fully_standardised(stand)
        columns[2:] = stand.values, stand.se, every
        extra[2], extra[4] = stand.defined()[0], defined
        extra[3] = stand.defined()[1] if fit.estimation == "DWLS" else none
    free = [i for i, row in enumerate(fit.table.rows) if row.free]
    held = [i for i, row in enumerate(fit.table.rows) if not row.free] if fixed else []
    names = [(name, ":=", text) for name, text in zip(functions.names, functions.texts, strict=True)]
    order = [rows[i] for i in free] + names + [rows[i] for i in held]
    numbers = [np.concatenate([c[free], e, c[held]]) for c, e in zip(columns, extra, strict=True)]
    table = pd.DataFrame(order, columns=list(ESTIMATES[:3]))
    for name, column in zip(ESTIMATES[3:8], numbers, strict=True):
        table[name] = column
    table["p"] = two_sided_p(numbers[0], numbers[1])
    return table


def _smoothing_warnings(smoothing: Smoothing) -> list[str]:
    texts = []
    for name, change in (("S", smoothing.s), ("V", smoothing.v)):
        if change > 0:
            texts.append(
                f"{name} was not positive definite and was replaced by the nearest matrix that is: cells changed by up "
                f"to {change:.3g}, Z statistics of genetic covariances by up to {smoothing.z:.3g}"
            )
    if smoothing.s > _NOTABLE or smoothing.z > _NOTABLE:
        texts.append("that is a large change: read the results with care, and consider leaving out traits of low power")
    return texts


def _solution_warnings(fit: TableFit) -> list[str]:
    texts = []
    if not fit.solution.converged:
        texts.append("the model did not converge: the estimates are where the search ended, not a solution")
    if not np.isfinite(fit.omega).all():
        texts.append("the information about the parameters is singular at the solution: there are no standard errors")
    names = np.array(fit.table.row_names, object)
    variance = np.array([row.op == "~~" and row.lhs == row.rhs for row in fit.table.rows], bool)
    if (negative := variance & (fit.values < 0)).any():
        texts.append(f"estimated variances are negative: {', '.join(names[negative])}")
    if fit.ties_identify:
        texts.append("only equal labels or constraints identify the model: standard errors count them")
    elif fit.is_tied:
        texts.append(
            "standard errors do not count that parameters are tied to each other, as in GenomicSEM; those that do "
            "are in constrained_se. The standardised fit has the same constraints"
        )
    return texts
