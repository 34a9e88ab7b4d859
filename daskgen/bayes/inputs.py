"""The tables of `fit` by record: a row for each sample of the genotypes, or where samples repeat for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgen.errors import UsageError
from daskgen.inputs.covariates import Covariates, read_covariates, read_phenotypes
from daskgen.inputs.records import find_records
from daskgen.inputs.sample_table import SampleIds, as_names, numbers, read_sample_table

__all__ = ["Inputs", "read_inputs"]


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the tables say, a row for each record.

    sample: int64 (records,), the sample of a record; n_samples: of the genotypes; traits: name -> float64 (records,),
    NaN where missing; fixed: covariates without the random ones; levels: name of a random term -> text objects
    (records,), None where missing; precisions: name -> (matrix, names of its rows); weights: float64 (records,) or
    None.
    """

    sample: np.ndarray
    n_samples: int
    traits: dict[str, np.ndarray]
    fixed: Covariates
    levels: dict[str, np.ndarray]
    precisions: dict[str, Any]
    weights: np.ndarray | None

    @property
    def complete(self) -> np.ndarray:
        """bool (records,): every covariate, level and weight is there."""
        found = self.fixed.complete
        for levels in self.levels.values():
            found &= np.array([level is not None for level in levels], bool)
        if self.weights is not None:
            found &= ~np.isnan(self.weights)
        return found


def read_inputs(
    phenotypes: Any,
    covariates: Any,
    samples: SampleIds,
    *,
    pheno_name: Any,
    covar_name: Any,
    covar_categorical: Any,
    covar_numeric: Any,
    missing_value: Any,
    random: str | Sequence[str] | Mapping[str, Any] | None,
    weights: Any,
) -> Inputs:
    """Phenotypes, covariates, levels of random terms and weights by record.

    Where the phenotypes repeat a sample, covariates and weights have a row for each sample, or the same rows as the
    phenotypes. Raises UsageError and InputError for tables that cannot be used.
    """
    records = find_records(phenotypes, samples, "phenotypes", missing_value=missing_value)
    rows = samples if records is None else records
    traits = read_phenotypes(phenotypes, rows, names=pheno_name, missing_value=missing_value)
    terms: dict[str, Any] = (
        dict(random)
        if isinstance(random, Mapping)
        else dict.fromkeys([random] if isinstance(random, str) else random or [])
    )
    levels: dict[str, np.ndarray] = {}
    names = covar_name
    if terms:
        if covariates is None:
            raise UsageError("random names columns of covariates, but no covariates are given.")
        table = read_sample_table(covariates, rows, "covariates", columns=list(terms), missing_value=missing_value)
        for term in terms:
            column = table[term]
            gone = column.isna().to_numpy()
            levels[term] = np.array([None if g else str(v) for g, v in zip(gone, column, strict=True)], dtype=object)
        everything = read_sample_table(covariates, rows, "covariates", missing_value=missing_value)
        names = [c for c in (as_names(covar_name) or list(everything.columns)) if c not in terms]
    fixed = (
        Covariates.none(len(rows))
        if terms and not names
        else read_covariates(
            covariates,
            rows,
            names=names,
            categorical=covar_categorical,
            numeric=covar_numeric,
            missing_value=missing_value,
        )
    )
    weight = None
    if weights is not None:
        column = read_sample_table(weights, rows, "weights", missing_value=missing_value)
        if column.shape[1] != 1:
            raise UsageError("weights must be one column.", found=f"{column.shape[1]} columns")
        weight = numbers(column.iloc[:, 0], "weights")
    precisions = {term: value for term, value in terms.items() if value is not None and not isinstance(value, str)}
    sample = np.arange(len(samples)) if records is None else records.sample
    return Inputs(sample, len(samples), traits, fixed, levels, precisions, weight)
