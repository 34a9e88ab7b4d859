"""The parameter table of a model with a SNP: as it is written, or with the measurement part held.

With fix_measurement, as R GenomicSEM's userGWAS: the model without the statements that name the SNP is fitted once;
every row with lhs != rhs (loadings, covariances, regressions) is fixed at its estimate, variances stay free, and the
rows of the SNP, := and constraints are added to it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from daskgen.errors import InputError, NotConvergedError
from daskgen.linalg.vech import vech_length
from daskgen.sem.expressions import symbols
from daskgen.sem.identification import lacking
from daskgen.sem.moments import Moments
from daskgen.sem.parameters import ParameterTable, Row, parameter_table
from daskgen.sem.single_fit import fit_table
from daskgen.sem.syntax import parse_model

__all__ = ["GwasTable", "gwas_table"]

log = logging.getLogger("daskgen.sem")


@dataclass(frozen=True, eq=False)
class GwasTable:
    """table: of the model, its observed variables `snp` and the traits of `moments`, which are smoothed where the
    measurement part is held. n_parameters: R's npar. sampled: the variance of the SNP is not estimated (ML). exogenous:
    observed variables whose moments lavaan takes as given under ML.
    """

    table: ParameterTable
    snp: str
    moments: Moments
    n_parameters: int
    exogenous: tuple[str, ...]
    sampled: bool = False

    @property
    def df(self) -> int:
        """Variances and covariances of SNP and traits, less parameters."""
        return vech_length(len(self.moments.traits) + 1) - self.n_parameters

    @property
    def effects(self) -> tuple[Row, ...]:
        """The free path coefficients of the SNP."""
        return tuple(row for row in self.table.rows if row.free and row.op == "~" and row.rhs == self.snp)

    def factors(self) -> dict[str, list[str]]:
        """Indicators of the factors that the SNP has an effect on; only factors whose indicators are all traits."""
        affected = {row.lhs for row in self.table.rows if row.op == "~" and row.rhs == self.snp}
        out: dict[str, list[str]] = {}
        for name in self.table.latent:
            indicators = [row.rhs for row in self.table.rows if row.op == "=~" and row.lhs == name]
            if name in affected and set(indicators) <= set(self.moments.traits):
                out[name] = indicators
        return out


def gwas_table(
    text: str, moments: Moments, *, snp: str, estimation: str, fix_measurement: bool, std_lv: bool
) -> GwasTable:
    """Read a model, and hold its measurement part where asked for.

    Raises InputError for a text that is no model, traits that are not in `moments`, a model without the SNP, a model
    that is not identified; NotConvergedError where the measurement part cannot be fitted.
    """
    model = parse_model(text)
    other = "SNP" if snp == "Gene" else "Gene"
    if not model.mentions(snp):
        instead = f"twas={snp == 'SNP'} is for models with {other}" if model.mentions(other) else None
        raise InputError(
            f"the model has no {snp}.",
            found=", ".join(model.names()),
            expected=f"an effect such as F1 ~ {snp}",
            do=instead or "a model without it is fitted by usermodel",
        )
    available = [*moments.traits, snp]
    full = parameter_table(model, available, std_lv=std_lv)
    traits = [name for name in full.observed if name != snp]
    n_parameters = _n_parameters(full)
    used = moments.select(traits)
    if not fix_measurement:
        if estimation == "ML":
            full = parameter_table(model, available, std_lv=std_lv, fixed_x=True)
        return GwasTable(full, snp, used, n_parameters, _exogenous(full, snp), sampled=estimation == "ML")
    used, smoothing = used.smoothed()
    if smoothing.s or smoothing.v:
        log.info("Smoothed   S by up to %.3g, V by up to %.3g: not positive definite", smoothing.s, smoothing.v)
    base = parameter_table(model.without([snp]), moments.traits, std_lv=std_lv, fixed_x=estimation == "ML")
    held = _held(base, full, used, snp=snp, estimation=estimation)
    return GwasTable(held, snp, used, _n_parameters(held), _exogenous(base, snp))


def _exogenous(table: ParameterTable, snp: str) -> tuple[str, ...]:
    names = dict.fromkeys(row.lhs for row in table.rows if row.exogenous and row.lhs == row.rhs)
    return tuple({**names, snp: None})


def _held(base: ParameterTable, full: ParameterTable, moments: Moments, *, snp: str, estimation: str) -> ParameterTable:
    rows: list[Row] = []
    if base.rows:
        own = moments.select(base.observed)
        fit = fit_table(base, own, estimation=estimation)
        if not fit.converged:
            raise NotConvergedError(
                f"the model without {snp} did not converge, so its loadings cannot be held.",
                do="give starting values, start(0.5)*T1, or fit with fix_measurement=False",
            )
        for row, value in zip(base.with_sample(own.s, own.traits).rows, fit.values.tolist(), strict=True):
            if not row.free:
                rows.append(replace(row, exogenous=False))
            else:
                rows.append(replace(row, free=False, value=value) if row.lhs != row.rhs else row)
    known = {*base.observed, *base.latent}
    # A trait or factor that only statements with the SNP name has no rows yet.
    rows += [row for row in full.rows if snp in (row.lhs, row.rhs) or not {row.lhs, row.rhs} <= known]
    table = replace(full, rows=tuple(rows))
    free = {label for label, what in table.labels().items() if isinstance(what, int)}
    relations = tuple(r for r in full.relations if free.intersection([*symbols(r.left), *symbols(r.right)]))
    return replace(table, relations=relations)


def _n_parameters(table: ParameterTable) -> int:
    constraints = table.constraints().equality
    count = len(table.parameters)
    tied = lacking(constraints.jacobian(np.linspace(0.3, 0.7, count)))[0] if len(constraints) else 0
    return count - tied
