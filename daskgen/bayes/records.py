"""Phenotypes, location effects and weights as the sampler takes them, and the default variances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from daskgen.bayes.planes import to_planes
from daskgen.errors import InputError, UsageError
from daskgen.kernels.gibbs import Records

__all__ = ["Design", "RandomTerm", "make_design", "make_records"]


@dataclass(frozen=True, eq=False)
class RandomTerm:
    """A random effect: the level of each sample (-1: none), names of levels, precision by rows (pointer, column, value;
    identity for independent levels), prior of the variance.
    """

    name: str
    level: np.ndarray
    levels: list[str]
    pointer: np.ndarray
    column: np.ndarray
    value: np.ndarray
    variance: float = 1.0
    df: float = 5.0


@dataclass(frozen=True, eq=False)
class Design:
    """The columns of location effects, compressed: pointer (Q + 1,), sample, value; term (Q,), -1 for fixed."""

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


def make_design(
    columns: Mapping[str, np.ndarray], random: list[RandomTerm], used: np.ndarray, *, intercept: bool
) -> Design:
    """The design of fixed columns (name -> float64 (samples,)) and random terms, at the samples where `used`.

    Columns are centred over the used samples where there is an intercept, which changes the intercept alone and lets
    single-site updates mix. Zeros of factors are not stored: those columns stay as they are. Raises InputError for
    fixed columns that are constant or depend on each other linearly.
    """
    rows = np.flatnonzero(used)
    names: list[str] = []
    vectors: list[np.ndarray] = []
    if intercept:
        names.append("intercept")
        vectors.append(np.ones(len(used)))
    for name, column in columns.items():
        names.append(name)
        numbers = np.array(column, np.float64)
        if intercept and len(np.unique(numbers[rows])) > 2:
            numbers = numbers - numbers[rows].mean()
        vectors.append(np.where(used, numbers, 0.0))
    _check_rank(names, vectors, rows)
    parts = [(np.flatnonzero(used & (v != 0)), v) for v in vectors]
    pointer = [0]
    samples: list[np.ndarray] = []
    values: list[np.ndarray] = []
    term: list[int] = []
    for index, vector in parts:
        samples.append(index)
        values.append(vector[index])
        pointer.append(pointer[-1] + len(index))
        term.append(-1)
    precision_pointer = [0] * (len(parts) + 1)
    precision_column: list[np.ndarray] = []
    precision: list[np.ndarray] = []
    for number, effect in enumerate(random):
        base = len(term)
        for level, label in enumerate(effect.levels):
            index = np.flatnonzero(used & (effect.level == level))
            samples.append(index)
            values.append(np.ones(len(index)))
            pointer.append(pointer[-1] + len(index))
            term.append(number)
            names.append(f"{effect.name}={label}")
            first, last = effect.pointer[level], effect.pointer[level + 1]
            precision_column.append(effect.column[first:last] + base)
            precision.append(effect.value[first:last])
            precision_pointer.append(precision_pointer[-1] + int(last - first))
    empty = np.zeros(0)
    return Design(
        names,
        np.asarray(pointer, np.int64),
        np.concatenate(samples or [empty]).astype(np.int64),
        np.concatenate(values or [empty]).astype(np.float64),
        np.asarray(term, np.int64),
        np.asarray(precision_pointer, np.int64),
        np.concatenate(precision_column or [empty]).astype(np.int64),
        np.concatenate(precision or [empty]).astype(np.float64),
        random,
    )


def _check_rank(names: list[str], vectors: list[np.ndarray], rows: np.ndarray) -> None:
    if not vectors:
        return
    basis: list[np.ndarray] = []
    for name, vector in zip(names, vectors, strict=True):
        v = vector[rows]
        left = v.copy()
        for _ in range(2):  # twice is enough (Kahan)
            for b in basis:
                left -= (b @ left) * b
        length = float(np.linalg.norm(left))
        if length <= 1e-8 * max(float(np.linalg.norm(v)), 1e-300) or length == 0.0:
            raise InputError(
                f"the covariate {name} is constant or a combination of the others in the analysed samples.",
                do="leave it out",
            )
        basis.append(left / length)


def make_records(phenotype: np.ndarray, weights: np.ndarray | None, design: Design) -> Records:
    """Planes and compressed columns of one trait. phenotype: float64 (samples,), NaN where missing."""
    observed = ~np.isnan(phenotype)
    weight = observed.astype(np.float64)
    if weights is not None:
        if (
            weights.shape != phenotype.shape
            or not np.isfinite(weights[observed]).all()
            or (weights[observed] <= 0).any()
        ):
            raise UsageError("weights must be above 0 for every sample with a phenotype.")
        weight = np.where(observed, weights, 0.0)
    diagonal = np.array(
        [
            float(weight[design.sample[a:b]] @ design.value[a:b] ** 2)
            for a, b in zip(design.pointer[:-1], design.pointer[1:], strict=True)
        ]
    )
    return Records(
        to_planes(np.where(observed, phenotype, 0.0)),
        to_planes(weight),
        to_planes(observed.astype(np.float64)),
        design.pointer,
        design.sample,
        design.value,
        diagonal.reshape(-1),
        design.term,
        design.precision_pointer,
        design.precision_column,
        design.precision,
    )
