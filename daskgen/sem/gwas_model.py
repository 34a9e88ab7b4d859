"""A model with a SNP, ready to be fitted at every SNP: which way it is fitted, and what of it is reported."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daskgen.errors import InputError, UsageError
from daskgen.kernels.sem_fixed import fit_fixed
from daskgen.sem.constraints import Defined
from daskgen.sem.folding import Folded, fold, not_foldable
from daskgen.sem.general_fit import GeneralFit
from daskgen.sem.gwas_table import GwasTable
from daskgen.sem.identification import check_identified, lacking
from daskgen.sem.per_snp import SnpFits, Status
from daskgen.sem.snp_covariance import SnpCovariance

__all__ = ["GwasModel", "gwas_model"]


@dataclass(frozen=True, eq=False)
class GwasModel:
    """A `PerSnpModel` of a parameter table (see `per_snp`).

    folded: the closed form for the SNPs whose matrices are positive definite, or None; `general` fits the others.
    rows: of each reported parameter that is a free row of the table, its number among the free rows; defined: numbers
    of the := parameters that follow them. why: in words, how the model is fitted.
    """

    table: GwasTable
    covariance: SnpCovariance
    estimation: str
    parameters: tuple[str, ...]
    fixed: dict[str, float]
    factors: tuple[str, ...]
    indicators: tuple[tuple[str, ...], ...]
    rows: tuple[int, ...]
    defined: tuple[int, ...]
    folded: Folded | None
    why: str
    smooth_check: bool

    @property
    def traits(self) -> tuple[str, ...]:
        return self.covariance.traits

    @property
    def chisq_df(self) -> int:
        return self.table.df

    @property
    def q_snp_df(self) -> tuple[int, ...]:
        return tuple(len(names) - 1 for names in self.indicators)

    @property
    def n_parameters(self) -> int:
        return self.table.n_parameters

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know before the run."""
        return () if self.folded is not None else (self.why, *self.general.notes)

    @property
    def bytes_per_snp(self) -> int:
        if self.folded is None:
            return self.general.bytes_per_snp + 16 * (len(self.general.report) ** 2 if self.defined else 0)
        arrays = 2 * len(self.traits) + len(self.factors) + 5
        p, t = self.folded.n_parameters, len(self.folded.effects)
        if self._report == "covariances":
            arrays += 2 * p * p
        else:
            arrays += 2 * len(self.parameters) + (2 * t if self._report == "effects" else 4 * p)
        return 8 * arrays

    @cached_property
    def general(self) -> GeneralFit:
        """The fit of any model and any SNP. It reports `rows`, or all free rows where := parameters need them."""
        table = self.table.table
        observed = [self.table.snp, *self.traits]
        sample = np.eye(len(observed))
        sample[1:, 1:] = self.covariance.S
        return GeneralFit(
            table.structure(observed, sample=sample),
            self.covariance,
            estimation=self.estimation,
            snp=self.table.snp,
            reported=table.structure(observed, sample=sample, by_row=True),
            report=None if self.defined else self.rows,
            indicators=self.indicators,
            constraints=table.constraints(),
            sampled=self.table.sampled,
            exogenous=self.table.exogenous,
            n_parameters=self.table.n_parameters,
        )

    @cached_property
    def _functions(self) -> Defined:
        return self.table.table.defined()

    @cached_property
    def _first_rows(self) -> np.ndarray:
        """Of each parameter, the number of its first row among the free rows."""
        free = [i for i, row in enumerate(self.table.table.rows) if row.free]
        held = self.table.table.parameter_of_row[free]
        return np.array([int(np.flatnonzero(held == p)[0]) for p in range(int(held.max(initial=-1)) + 1)], np.int64)

    @cached_property
    def _report(self) -> str:
        """What the closed form has to report."""
        assert self.folded is not None
        if self.defined:
            return "covariances"
        return "effects" if set(self.rows) <= set(self.folded.effects.tolist()) else "parameters"

    def fit(self, beta: np.ndarray, se: np.ndarray, variance: np.ndarray) -> SnpFits:
        """Fit a block: beta, se float64 (traits, n), variance float64 (n,)."""
        if self.folded is None:
            return self._fit_general(beta, se, variance)
        fits = fit_fixed(beta, se, variance, self.folded.constants, report=self._report)
        if self.defined:
            estimate, errors = self._reported(*self.folded.in_order(fits))
        else:
            order = self.folded.order.tolist()
            at = [order.index(row) for row in self.rows]
            every = at == list(range(len(fits.estimate)))
            estimate, errors = (fits.estimate, fits.se) if every else (fits.estimate[at], fits.se[at])
        z_smooth = None
        if self.smooth_check:
            z_smooth = np.where(fits.status == Status.BAD_INPUT, np.nan, 0.0)
        out = SnpFits(estimate, errors, fits.chisq, fits.aic, fits.q_snp, z_smooth, fits.status)
        left = np.flatnonzero((fits.status == Status.NO_CONVERGENCE) | (fits.status == Status.NOT_POSITIVE_DEFINITE))
        if len(left):
            own = self._fit_general(
                np.ascontiguousarray(beta[:, left]), np.ascontiguousarray(se[:, left]), variance[left]
            )
            for ours, theirs in zip(_arrays(out), _arrays(own), strict=True):
                ours[..., left] = theirs
        return out

    def _fit_general(self, beta: np.ndarray, se: np.ndarray, variance: np.ndarray) -> SnpFits:
        if self.defined:
            fits, omega = self.general.fit(beta, se, variance, covariance=True)
            estimate, errors = self._reported(fits.estimate, omega)
        else:
            fits = self.general.fit(beta, se, variance)
            estimate, errors = fits.estimate, fits.se
        z_smooth = fits.z_smooth if self.smooth_check else None
        return SnpFits(estimate, errors, fits.chisq, fits.aic, fits.q_snp, z_smooth, fits.status)

    def _reported(self, theta: np.ndarray, omega: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Estimates and standard errors of what is reported, from those of the free rows and their covariance.

        theta (free rows, n), omega (free rows, free rows, n). Those of := parameters by the delta method.
        """
        rows, n = list(self.rows), theta.shape[1]
        estimate, variances = theta[rows], omega[rows, rows]
        if self.defined:
            which, first = list(self.defined), self._first_rows
            values = self._functions.value(theta[first])[which]
            slopes = self._functions.jacobian(theta[first])[which]
            spread = np.full((len(which), n), np.nan if self.estimation == "ML" else 0.0)  # R has none under ML
            # Written out, because sums of einsum depend on the shape, and bits must not depend on the block.
            for a, b in itertools.product(sorted(set(self._functions.labels.values())), repeat=2):
                spread += slopes[:, a] * omega[first[a], first[b]] * slopes[:, b]
            known = np.isfinite(theta).all(0)
            estimate = np.concatenate([estimate, np.where(known, values, np.nan)])
            variances = np.concatenate([variances, np.where(known, spread, np.nan)])
        with np.errstate(invalid="ignore"):
            return estimate, np.sqrt(variances)


def gwas_model(
    table: GwasTable,
    *,
    estimation: str,
    q_snp: bool,
    gc: str,
    snp_se: float,
    smooth_check: bool,
    sub: str | Sequence[str] | None,
) -> GwasModel:
    """Prepare a table. `sub`: None for the effects of the SNP and the := parameters, "all", or labels.

    Raises InputError for a covariance structure without intercepts, parameters that are not identified, unknown labels.
    """
    moments = table.moments
    if moments.intercepts is None:
        raise InputError(
            "the covariance structure has no intercepts I, which the sampling errors of a SNP's effects need.",
            do="take the result of ldsc, or give I to dg.ldsc.covstruct",
        )
    covariance = SnpCovariance.from_intercepts(moments.traits, moments.s, moments.v, moments.intercepts, gc, snp_se)
    constraints = table.table.constraints()
    structure = table.table.structure([table.snp, *moments.traits], sample=_with_snp(moments.s))
    check_identified(structure, constraints, table.table.parameters)
    factors = table.factors() if q_snp else {}
    parameters, rows, defined, fixed = _reported_rows(table, sub)
    folded, why = None, _not_folded(table, covariance, estimation, bool(constraints))
    if why is None:
        numbers = tuple(tuple(moments.traits.index(name) for name in names) for names in factors.values())
        folded = fold(structure, table.snp, covariance, numbers, n_parameters=table.n_parameters)
    return GwasModel(
        table=table,
        covariance=covariance,
        estimation=estimation,
        parameters=parameters,
        fixed=fixed,
        factors=tuple(factors),
        indicators=tuple(tuple(names) for names in factors.values()),
        rows=rows,
        defined=defined,
        folded=folded,
        why=f"iterated at every SNP: {why}" if why else "closed form: the measurement part is fixed",
        smooth_check=smooth_check,
    )


def _with_snp(s: np.ndarray) -> np.ndarray:
    sample = np.eye(len(s) + 1)
    sample[1:, 1:] = s
    return sample


def _not_folded(table: GwasTable, covariance: SnpCovariance, estimation: str, constrained: bool) -> str | None:
    """Why the closed form does not hold, or None."""
    if estimation != "DWLS":
        return f"{estimation} has no closed form"
    if constrained:
        return "the model has constraints"
    structure = table.table.structure([table.snp, *covariance.traits])
    why = not_foldable(structure, table.snp)
    if why is not None:
        return why
    for name, matrix in (("S", covariance.S), ("V", covariance.V), ("the matrix of intercepts", covariance.R)):
        if not np.linalg.eigvalsh(matrix)[0] > 0:
            return f"{name} is not positive definite"
    if not table.effects:
        return "the SNP has no path coefficient"
    folded = fold(structure, table.snp, covariance)
    if lacking(folded.constants.effects)[0] < len(folded.effects):
        return "the SNP's paths to the traits are not independent"
    return None


def _reported_rows(
    table: GwasTable, sub: str | Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...], dict[str, float]]:
    """Labels of what is reported, numbers of their free rows and := parameters, and fixed rows with their values."""
    free = [row for row in table.table.rows if row.free]
    number = {row.name: i for i, row in enumerate(free)}
    held = {row.name: row.value for row in table.table.rows if not row.free}
    definitions = {f"{d.name}:={d.text}": i for i, d in enumerate(table.table.definitions)}
    if isinstance(sub, bool):
        raise UsageError("sub is no switch.", found=str(sub), do='every row of the model, R\'s sub=FALSE, is sub="all"')
    if sub is None:
        wanted = [row.name for row in table.effects] + list(definitions)
        if not wanted:
            raise InputError(
                f"the model has no free effect of the {table.snp}.",
                expected=f"a path such as F1 ~ {table.snp}",
                do='sub="all" or a list of labels reports other parameters',
            )
    elif isinstance(sub, str) and sub == "all":
        wanted = [*number, *definitions, *held]
    else:
        wanted = _labels([sub] if isinstance(sub, str) else sub, {**number, **definitions, **held})
    rows = [name for name in wanted if name in number]
    functions = [name for name in wanted if name in definitions]
    return (
        (*rows, *functions),
        tuple(number[name] for name in rows),
        tuple(definitions[name] for name in functions),
        {name: held[name] for name in wanted if name in held},
    )


def _labels(sub: Sequence[str], known: dict[str, object]) -> list[str]:
    """The labels of `sub` as they are in `known`: blanks don't matter, and := parameters may go by their name."""
    by_name = {label.partition(":=")[0]: label for label in known if ":=" in label}
    wanted = ["".join(str(label).split()) for label in sub]
    wanted = [by_name.get(label, label) for label in wanted]
    if unknown := [label for label in wanted if label not in known]:
        raise UsageError(
            "sub names parameters that the model does not have.", found=", ".join(unknown), expected=", ".join(known)
        )
    return list(dict.fromkeys(wanted))


def _arrays(fits: SnpFits) -> list[np.ndarray]:
    arrays = [fits.estimate, fits.se, fits.chisq, fits.aic, fits.q_snp, fits.status]
    return arrays if fits.z_smooth is None else [*arrays, fits.z_smooth]
