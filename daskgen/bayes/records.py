"""Phenotypes, location effects and weights as the sampler takes them: by record, and summed up by sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from daskgen.bayes.columns import column_products, summed
from daskgen.bayes.planes import to_planes
from daskgen.bayes.random_terms import RandomTerm
from daskgen.errors import InputError, UsageError
from daskgen.inputs.covariates import Covariates
from daskgen.kernels.gibbs_types import Records

__all__ = ["Design", "check_weights", "make_design", "make_records"]

_DEPENDENT = 1e-11  # share of a column's squared length that is not in the columns before it

Column = tuple[str, np.ndarray, np.ndarray]  # name, records (increasing), values


@dataclass(frozen=True, eq=False)
class Design:
    """The columns of location effects by record, compressed: pointer (Q + 1,), sample (which record), value; term (Q,),
    -1 for fixed effects, else the random term; prior precision by rows.
    """

    names: list[str]
    pointer: np.ndarray
    sample: np.ndarray
    value: np.ndarray
    term: np.ndarray
    precision_pointer: np.ndarray
    precision_column: np.ndarray
    precision: np.ndarray
    random: list[RandomTerm] = field(default_factory=list)

    @property
    def n_fixed(self) -> int:
        return int((self.term < 0).sum())


def make_design(fixed: Covariates, random: list[RandomTerm], used: np.ndarray, *, intercept: bool) -> Design:
    """The design of covariates and random terms at the records where `used`, bool (records,).

    Measurements are centred over the used records where there is an intercept, which changes the intercept alone and
    lets single-site updates mix. Of a factor only the ones are stored, so it may have thousands of levels. Raises
    InputError for fixed columns that are constant or depend on each other linearly.
    """
    columns = list(_fixed_columns(fixed, used, intercept))
    _check_rank(columns)
    names = [name for name, _, _ in columns]
    records = [index for _, index, _ in columns]
    values = [value for _, _, value in columns]
    term = [-1] * len(columns)
    precision_pointer = [np.zeros(len(columns) + 1, np.int64)]
    precision_column: list[np.ndarray] = []
    precision: list[np.ndarray] = []
    for number, effect in enumerate(random):
        base, entries = len(term), precision_pointer[-1][-1]
        order = np.flatnonzero(used & (effect.level >= 0))
        order = order[np.argsort(effect.level[order], kind="stable")]
        edges = np.searchsorted(effect.level[order], np.arange(len(effect.levels) + 1))
        for level, label in enumerate(effect.levels):
            index = order[edges[level] : edges[level + 1]]
            records.append(index)
            values.append(np.ones(len(index)))
            term.append(number)
            names.append(f"{effect.name}={label}")
        precision_pointer.append(effect.pointer[1:] + entries)
        precision_column.append(effect.column + base)
        precision.append(effect.value)
    empty = np.zeros(0)
    return Design(
        names,
        np.concatenate([[0], np.cumsum([len(index) for index in records])]).astype(np.int64),
        np.concatenate([*records, empty]).astype(np.int64),
        np.concatenate([*values, empty]).astype(np.float64),
        np.asarray(term, np.int64),
        np.concatenate(precision_pointer).astype(np.int64),
        np.concatenate([*precision_column, empty]).astype(np.int64),
        np.concatenate([*precision, empty]).astype(np.float64),
        random,
    )


def _fixed_columns(fixed: Covariates, used: np.ndarray, intercept: bool) -> Iterator[Column]:
    """Intercept, measurements, and the levels of factors but the first."""
    rows = np.flatnonzero(used)
    if intercept:
        yield "intercept", rows, np.ones(len(rows))
    for name in fixed.order:
        if name in fixed.numeric:
            values = fixed.numeric[name][rows]
            if intercept and len(np.unique(values)) > 2:
                values = values - values.mean()
            there = values != 0
            yield name, rows[there], values[there]
            continue
        levels, code = fixed.levels(name, rows)
        order = np.argsort(code, kind="stable")
        edges = np.searchsorted(code[order], np.arange(len(levels) + 1))
        if len(levels) < 2:
            yield name, rows[:0], np.zeros(0)  # constant: the check of the rank says so
        for number in range(1, len(levels)):
            index = rows[order[edges[number] : edges[number + 1]]]
            yield f"{name}={levels[number]}", index, np.ones(len(index))


def _check_rank(columns: list[Column]) -> None:
    """InputError where a column is a combination of those before it: Cholesky steps on the columns' products."""
    lengths = [float(np.linalg.norm(value)) for _, _, value in columns]
    for (name, _, _), length in zip(columns, lengths, strict=True):
        if length == 0.0:
            raise _dependent(name)
    if not columns:
        return
    products = np.zeros((len(columns), len(columns)))
    record = np.concatenate([index for _, index, _ in columns])
    column = np.repeat(np.arange(len(columns)), [len(index) for _, index, _ in columns])
    value = np.concatenate([value / length for (_, _, value), length in zip(columns, lengths, strict=True)])
    one, other, product = column_products(record, column, value, len(columns))
    products[one, other] = product
    lower = np.zeros_like(products)
    for j, (name, _, _) in enumerate(columns):
        left = products[j, j] - lower[j, :j] @ lower[j, :j]
        if left <= _DEPENDENT:
            raise _dependent(name)
        lower[j, j] = np.sqrt(left)
        lower[j + 1 :, j] = (products[j + 1 :, j] - lower[j + 1 :, :j] @ lower[j, :j]) / lower[j, j]


def _dependent(name: str) -> InputError:
    return InputError(
        f"the covariate {name} is constant or a combination of the others in the analysed samples.",
        do="leave it out",
    )


def check_weights(weights: np.ndarray | None, used: np.ndarray) -> np.ndarray:
    """Weights by record, 0 where not `used`, 1 where there are none; UsageError where one is not above 0."""
    if weights is None:
        return used.astype(np.float64)
    if weights.shape != used.shape or not np.isfinite(weights[used]).all() or (weights[used] <= 0).any():
        raise UsageError("weights must be above 0 for every sample with a phenotype.")
    return np.where(used, weights, 0.0)


def make_records(
    phenotype: np.ndarray, weights: np.ndarray | None, design: Design, sample: np.ndarray, n_samples: int
) -> Records:
    """Planes and compressed columns of one trait.

    phenotype: float64 (records,), NaN where missing; sample: int64 (records,), the sample of each record. The genotypes
    see the weighted mean of a sample's records with the sum of their weights. What the records of a sample differ by
    concerns location effects and the residual variance alone; it is kept as moments around the means.
    """
    observed = ~np.isnan(phenotype)
    w = check_weights(weights, observed)
    y = np.where(observed, phenotype, 0.0)
    total = np.bincount(sample, weights=w, minlength=n_samples)
    share = w / np.where(total > 0, total, 1.0)[sample]
    mean = np.bincount(sample, weights=share * y, minlength=n_samples)
    count, n_columns = np.bincount(sample[observed], minlength=n_samples), len(design.term)
    column = np.repeat(np.arange(n_columns), np.diff(design.pointer))
    record, value = design.sample, design.value
    key, means = summed(column * n_samples + sample[record], share[record] * value)
    columns_of, samples_of = key // n_samples, key % n_samples
    # Within: X'WX over records less that of the means, where a sample has several records.
    several = (count > 1)[sample[record]]
    inside = (count > 1)[samples_of]
    weighted = np.sqrt(w[record[several]]) * value[several]
    of_records = column_products(record[several], column[several], weighted, n_columns)
    of_means = column_products(
        samples_of[inside], columns_of[inside], np.sqrt(total[samples_of[inside]]) * means[inside], n_columns
    )
    pair, within = summed(
        np.concatenate([of_records[0] * n_columns + of_records[1], of_means[0] * n_columns + of_means[1]]),
        np.concatenate([of_records[2], -of_means[2]]),
    )
    row, other = pair // n_columns, pair % n_columns
    rest = w * (y - mean[sample]) * (count[sample] > 1)
    diagonal = np.bincount(columns_of, weights=total[samples_of] * means**2, minlength=n_columns)
    np.add.at(diagonal, row[row == other], within[row == other])
    return Records(
        to_planes(mean),
        to_planes(total),
        to_planes((total > 0).astype(np.float64)),
        np.searchsorted(columns_of, np.arange(n_columns + 1)),
        samples_of,
        means,
        diagonal,
        design.term,
        design.precision_pointer,
        design.precision_column,
        design.precision,
        np.searchsorted(row, np.arange(n_columns + 1)),
        other,
        within,
        np.bincount(column, weights=value * rest[record], minlength=n_columns),
        np.array([float(rest @ (y - mean[sample]))]),
    )
