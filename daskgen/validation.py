"""`validate`: how well a fitted model predicts samples whose phenotypes it has not seen.

The samples are dealt into folds. For each fold the model is fitted without its phenotypes, and the genetic values that
it predicts for the fold's samples are compared with what they have. With X the fixed effects of the fold's samples (an
intercept at least), y their phenotypes and g the predictions,

    y = X b + slope g + e,      accuracy = correlation of M y and M g,      mse = |M (y - g)|^2 / (n - rank X),

M = I - X (X'X)^-1 X': the fixed effects are those of the fold itself, so that nothing of it is used in fitting. The
slope is 1 where predictions are neither inflated nor deflated. The accuracy is at most the root of the heritability.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from daskgen.errors import InputError, UsageError, examples
from daskgen.genotypes.reader import Genotypes
from daskgen.genotypes.source import open_source
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.covariates import Covariates, read_covariates, read_phenotypes
from daskgen.inputs.sample_table import SampleIds, Table, read_labels

__all__ = ["validate"]

log = logging.getLogger("daskgen.validation")

FitFunction = Callable[[pd.DataFrame], Any]
"""Phenotypes of the training samples (a row per sample, NaN where left out) -> a fit."""


@known_arguments()
def validate(
    fit_function: FitFunction,
    phenotypes: Table,
    genotypes: Genotypes | Sequence[Genotypes] | Mapping[str, Genotypes] | None = None,
    covariates: Table | None = None,
    *,
    folds: int = 5,
    families: Table | None = None,
    pheno_name: str | Sequence[str] | None = None,
    covar_name: str | Sequence[str] | None = None,
    covar_categorical: str | Sequence[str] | None = None,
    covar_numeric: str | Sequence[str] | None = None,
    missing_value: str | Iterable[str] | None = None,
    id_style: str = "iid",
    seed: int = 0,
) -> pd.DataFrame:
    """Cross-validated accuracy of predicted genetic values.

        dg.validate(lambda training: dg.reml.fit("cohort.zarr", training, covariates), y, "cohort.zarr", covariates)

    Parameters
    ----------
    fit_function
        Is called once for each fold with the phenotypes of all samples, NaN for the fold's, as a DataFrame by sample
        id; gives what `dg.reml.fit` or `dg.bayes.fit` return, or predictions of one's own as Series or DataFrame by
        sample id. Covariates and options are the function's own matter; samples of the fold must not be removed from
        the genotypes, since they are to be predicted.
    phenotypes
        As in `dg.reml.fit`.
    genotypes
        What the samples are those of: a store or Dataset (of several, the first). May be left out where phenotypes are
        a DataFrame or Series indexed by sample id.
    covariates
        Fixed effects for which the fold's phenotypes are adjusted; an intercept is always there.
    folds
        Their number, at least 2.
    families
        Label of each sample's family or group (table of one column): a family is never divided between folds, so that
        nobody is predicted from close relatives.
    pheno_name, covar_name, covar_categorical, covar_numeric, missing_value, id_style
        As in `dg.reml.fit`.
    seed
        Of the folds. A sample's fold depends on its id, the seed and the samples of the genotypes, not on phenotypes.

    Returns
    -------
    pandas.DataFrame
        A row per phenotype and fold: phenotype, fold (from 1), n_training, n (left-out samples), accuracy, slope (of
        the phenotype on the prediction), mse (mean squared difference), all adjusted for fixed effects; converged:
        whether the fold's fit did. accuracy and slope are NaN where all predictions are the same.

    Raises
    ------
    UsageError, InputError
        Tables that cannot be used; fewer than 2 folds, or so many that a fold has too few samples for its effects; a
        fit without predictions of the fold's samples.
    """
    if not isinstance(folds, (int, np.integer)) or folds < 2:
        raise UsageError(f"folds = {folds!r} is not understood.", expected="a number from 2")
    samples = _samples(phenotypes, genotypes, id_style)
    values = read_phenotypes(phenotypes, samples, names=pheno_name, missing_value=missing_value)
    fixed = read_covariates(
        covariates,
        samples,
        names=covar_name,
        categorical=covar_categorical,
        numeric=covar_numeric,
        missing_value=missing_value,
    )
    ids = samples.sample_id
    labels = ids if families is None else read_labels(families, samples, "families")
    fold_of = _folds(np.asarray(labels, dtype=object), int(folds), seed)
    table = pd.DataFrame(values, index=pd.Index(ids, name="sample_id"))
    parts = {
        (name, k): np.flatnonzero((fold_of == k) & ~np.isnan(y) & fixed.complete)
        for name, y in values.items()
        for k in range(folds)
    }
    bases = {part: _basis(fixed, rows) for part, rows in parts.items()}
    _check_parts(parts, bases)
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for k in range(folds):
        training = table.copy()
        training.loc[fold_of == k] = np.nan
        fit = fit_function(training)
        predicted = _predictions(fit, list(values), ids)
        for name, y in values.items():
            own = parts[name, k]
            row = {"phenotype": name, "fold": k + 1, "n_training": int(training[name].notna().sum()), "n": len(own)}
            row |= _compared(y[own], predicted[name][own], bases[name, k], f"{name}, fold {k + 1}")
            rows[name, k] = row | {"converged": bool(np.all(getattr(fit, "converged", True)))}
            log.info(
                "Fold %d of %d  %s: %s left out, accuracy %.3f, slope %.3f",
                k + 1,
                folds,
                name,
                f"{len(own):,}",
                row["accuracy"],
                row["slope"],
            )
    return pd.DataFrame([rows[part] for part in parts])


def _samples(phenotypes: Table, genotypes: Any, id_style: str) -> SampleIds:
    if genotypes is None:
        if not isinstance(phenotypes, (pd.DataFrame, pd.Series)):
            raise UsageError("the samples of these phenotypes are not known.", do="give genotypes: a store or Dataset")
        return SampleIds(np.array([str(i) for i in phenotypes.index], dtype=object), "phenotypes", id_style)
    if isinstance(genotypes, Mapping) and not isinstance(genotypes, xr.Dataset):
        genotypes = list(genotypes.values())
    first = genotypes[0] if isinstance(genotypes, (list, tuple)) else genotypes
    return SampleIds(open_source(first).sample_id, "the genotypes", id_style)


def _folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each sample, int64 from 0: labels in the order of their hashes, dealt to the fold that has fewest."""
    known, of_label, sizes = np.unique(labels.astype(str), return_inverse=True, return_counts=True)
    hashes = [hashlib.blake2b(f"{seed} {label}".encode(), digest_size=16).digest() for label in known]
    filled = [0] * folds
    fold = np.empty(len(known), np.int64)
    for label in sorted(range(len(known)), key=hashes.__getitem__):
        fold[label] = filled.index(min(filled))
        filled[fold[label]] += int(sizes[label])
    return fold[of_label]


def _basis(covariates: Covariates, rows: np.ndarray) -> np.ndarray:
    """Orthonormal basis (n, c) of the intercept and the covariates of the samples `rows`."""
    if not len(rows):
        return np.empty((0, 0))
    columns = [np.ones(len(rows)), *covariates.columns(rows).values()]
    scaled = [c - c.mean() if i else c for i, c in enumerate(columns)]
    scaled = [c / size for c in scaled if (size := np.linalg.norm(c)) > 0]
    basis, sizes, _ = np.linalg.svd(np.column_stack(scaled), full_matrices=False)
    return np.asarray(basis[:, sizes > 1e-7 * sizes[0]])


def _check_parts(parts: Mapping[tuple[str, int], np.ndarray], bases: Mapping[tuple[str, int], np.ndarray]) -> None:
    for (name, k), rows in parts.items():
        rank = bases[name, k].shape[1]
        if len(rows) < rank + 3:
            raise InputError(
                f"fold {k + 1} has too few samples with the phenotype {name}.",
                found=f"{len(rows)} samples, {rank} fixed effects",
                expected=f"{rank + 3} samples or more",
                do="fewer folds, or fewer covariates",
            )


def _predictions(fit: Any, names: Sequence[str], ids: np.ndarray) -> dict[str, np.ndarray]:
    """name -> predicted genetic values of the samples `ids`, NaN where there are none."""
    table = _prediction_table(fit, names)
    lacking = [name for name in names if name not in table.columns]
    if lacking:
        raise UsageError(
            f"the fit does not predict {lacking[0]}.",
            found=examples(table.columns, 8),
            do="one phenotype (pheno_name) for models of one trait",
        )
    aligned = table.reindex(pd.Index(ids, dtype=object))
    return {name: aligned[name].to_numpy(np.float64) for name in names}


def _prediction_table(fit: Any, names: Sequence[str]) -> pd.DataFrame:
    """Rows by sample id, a column per phenotype."""
    if isinstance(fit, pd.DataFrame):
        found = fit.copy()
    elif isinstance(fit, pd.Series):
        found = fit.to_frame(names[0])
    elif hasattr(fit, "random_effects"):
        # All components; a sample that one of several sources lacks has no sum.
        found = _of_array(fit.random_effects(pev=False)["effect"].sum("component", skipna=False), fit.phenotypes)
    elif hasattr(fit, "breeding_values"):
        found = _of_array(fit.breeding_values["mean"], names)
    else:
        raise UsageError(
            "what the function returned has no predictions.",
            found=type(fit).__name__,
            expected="a fit of dg.reml or dg.bayes, or a Series or DataFrame by sample id",
        )
    found.index = pd.Index([str(i) for i in found.index], dtype=object)
    return found


def _of_array(values: xr.DataArray, names: Sequence[str]) -> pd.DataFrame:
    ids = values["sample_id"].values
    others = [str(dim) for dim in values.dims if dim != "sample"]
    if not others:
        return pd.DataFrame({names[0]: values.values}, index=ids)
    (dim,) = others
    columns = [str(name) for name in values[dim].values]
    return pd.DataFrame(values.transpose("sample", dim).values, index=ids, columns=columns)


def _compared(y: np.ndarray, g: np.ndarray, basis: np.ndarray, where: str) -> dict[str, float]:
    """accuracy, slope, mse of predictions g of y, adjusted for the span of `basis`."""
    absent = int(np.isnan(g).sum())
    if absent:
        raise InputError(
            f"{where}: {absent:,} of {len(g):,} left-out samples have no prediction.",
            do="fit with all samples of the genotypes: do not remove those whose phenotype is NaN",
        )
    own, predicted = (v - basis @ (basis.T @ v) for v in (y, g))
    squares = float(predicted @ predicted)
    varies = squares > 1e-20 * max(float(g @ g), np.finfo(float).tiny)
    if not varies:
        log.warning("%s: all predictions are the same", where)
    rest = own - predicted
    return {
        "accuracy": float(own @ predicted / np.sqrt(squares * (own @ own))) if varies else np.nan,
        "slope": float(own @ predicted / squares) if varies else np.nan,
        "mse": float(rest @ rest) / (len(y) - basis.shape[1]),
    }
