"""Columns of covariates as columns of a design matrix: numbers as they are, text as treatment contrasts.

A column of text becomes one column of 0 and 1 for each level but the first, which is the reference (R's
contr.treatment). A column with 3 to 50 different whole numbers may be either, so it has to be declared.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from daskgen.errors import UsageError, examples
from daskgen.inputs.sample_table import SampleIds, Table, as_names, numbers, read_sample_table

__all__ = ["Covariates", "read_covariates", "read_phenotypes"]

log = logging.getLogger("daskgen.inputs")

AMBIGUOUS = range(3, 51)
"""Numbers of different whole numbers with which a column could be a measurement or a class."""


@dataclass(frozen=True)
class Covariates:
    """Columns of covariates for all samples of the genotypes; a sample with a missing value has NaN in `missing`.

    numeric: name -> float64 (samples,); categorical: name -> text objects (samples,), None where missing;
    order: names in the order given.
    """

    numeric: dict[str, np.ndarray]
    categorical: dict[str, np.ndarray]
    order: tuple[str, ...]
    n_samples: int

    @classmethod
    def none(cls, n_samples: int) -> Covariates:
        """No covariates."""
        return cls({}, {}, (), n_samples)

    @property
    def complete(self) -> np.ndarray:
        """bool (samples,): every covariate is there."""
        found = np.ones(self.n_samples, bool)
        for column in self.numeric.values():
            found &= ~np.isnan(column)
        for text in self.categorical.values():
            found &= np.array([value is not None for value in text], bool)
        return found

    def columns(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Design columns (float64) of the samples `rows`, by name; levels are those that occur among them."""
        found: dict[str, np.ndarray] = {}
        for name in self.order:
            if name in self.numeric:
                found[name] = self.numeric[name][rows]
                continue
            levels, code = self.levels(name, rows)
            for number, level in enumerate(levels[1:], start=1):
                found[f"{name}={level}"] = (code == number).astype(np.float64)
        return found

    def levels(self, name: str, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
        """(levels of a categorical covariate that occur in the samples `rows`, in order; int64 (rows,), which one)."""
        text = self.categorical[name][rows].tolist()
        levels = sorted(set(text), key=_level_order)
        place = {level: number for number, level in enumerate(levels)}
        return levels, np.array([place[level] for level in text], np.int64)


def _level_order(level: str) -> tuple[int, float, str]:
    """Levels that are numbers in their order, before words in theirs."""
    try:
        return 0, float(level), level
    except ValueError:
        return 1, 0.0, level


def read_phenotypes(
    value: Table,
    samples: SampleIds,
    *,
    names: str | Sequence[str] | None = None,
    missing_value: str | Iterable[str] | None = None,
) -> dict[str, np.ndarray]:
    """name -> float64 (samples,) with NaN where missing. Raises what `read_sample_table` and `numbers` raise."""
    table = read_sample_table(value, samples, "phenotypes", columns=as_names(names), missing_value=missing_value)
    found = {str(name): numbers(table[name], "phenotypes") for name in table.columns}
    for name, column in found.items():
        nines = int((column == -9).sum())
        if nines:
            log.warning(
                "%s: %s samples have the value -9, which is taken as a number; with missing_value="
                '["NA", "-9"] (--missing-value NA,-9) they count as missing',
                name,
                f"{nines:,}",
            )
    return found


def read_covariates(
    value: Table | None,
    samples: SampleIds,
    *,
    names: str | Sequence[str] | None = None,
    categorical: str | Sequence[str] | None = None,
    numeric: str | Sequence[str] | None = None,
    missing_value: str | Iterable[str] | None = None,
) -> Covariates:
    """The covariates of all samples; `categorical` and `numeric` declare columns whose kind cannot be seen.

    Raises UsageError for a column of 3 to 50 different whole numbers that is not declared, and for declared columns
    that are not there; otherwise as `read_phenotypes`. The log says what each column was taken for.
    """
    classes, measures = as_names(categorical) or [], as_names(numeric) or []
    if value is None:
        if classes or measures or names:
            raise UsageError("columns of covariates are named, but no covariates are given.")
        return Covariates.none(len(samples))
    table = read_sample_table(value, samples, "covariates", columns=as_names(names), missing_value=missing_value)
    both = sorted(set(classes) & set(measures))
    if both:
        raise UsageError(f"{', '.join(both)}: declared as categorical and as numeric.")
    unknown = [name for name in [*classes, *measures] if name not in table.columns]
    if unknown:
        raise UsageError(f"the covariates have no column {', '.join(unknown)}.", found=examples(table.columns, 12))
    declared_numeric = set(table.columns) if table.attrs.get("numeric") else set(measures)
    found = Covariates({}, {}, tuple(map(str, table.columns)), len(samples))
    for name in found.order:
        column = table[name]
        if name in classes or (name not in declared_numeric and _is_text(column)):
            text = _as_levels(column)
            found.categorical[name] = text
            levels = sorted({value for value in text.tolist() if value is not None}, key=_level_order)
            log.info("covariate %s: categorical, %d levels (%s)", name, len(levels), examples(levels, 5))
            continue
        found.numeric[name] = numbers(column, "covariates")
        if name not in declared_numeric:
            _check_declared(name, found.numeric[name])
        log.info("covariate %s: numeric", name)
    return found


def _is_text(column: pd.Series) -> bool:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return True
    if column.dtype.kind in "biufc":
        return False
    values = column[~column.isna()]
    return bool(pd.to_numeric(values, errors="coerce").isna().any())


def _as_levels(column: pd.Series) -> np.ndarray:
    """Text objects, None where missing; whole numbers without a decimal point."""
    missing = column.isna().to_numpy()
    values = column.to_numpy()
    levels = np.empty(len(column), object)
    for i, value in enumerate(values):
        if missing[i]:
            continue
        whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
        levels[i] = str(int(value)) if whole else str(value)
    return levels


def _check_declared(name: str, values: np.ndarray) -> None:
    different = np.unique(values[~np.isnan(values)])
    if len(different) in AMBIGUOUS and (different == np.rint(different)).all():
        raise UsageError(
            f"the covariate {name} has {len(different)} different whole numbers: a measurement or classes?",
            found=examples([int(v) for v in different], 6),
            do=f'covar_numeric=["{name}"] (--covar-numeric {name}) for one slope,\n'
            f'covar_categorical=["{name}"] (--covar-categorical {name}) for one effect per value',
        )
