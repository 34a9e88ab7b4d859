"""Variable genes by dispersion: the flavours seurat (Satija et al. 2015) and cell_ranger (Zheng et al. 2017).

With m and v the mean and the variance (N - 1) of a gene's normalised values and d = v / m, genes are compared with
those of similar mean. seurat: d and m are replaced by ln d and ln(1 + m), n_bins bins of equal width, and
z = (d - mean of the bin) / (standard deviation of the bin), 1 where a bin has one gene. cell_ranger: values are
ln(1 + x), bins end at the percentiles 10, 15, ..., 100 of m, and z = (d - median) / MAD, MAD the median absolute
deviation divided by 0.6745. Everything as scanpy computes it: bins are those of `pandas.cut`, ties at the cut-off are
all taken.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from daskgen.cells.moments import Moments
from daskgen.errors import InputError

__all__ = ["Cutoffs", "dispersion_genes", "dispersion_genes_of_batches"]

log = logging.getLogger("daskgen.cells")

_NORMAL_QUARTILE = 0.6744897501960817


@dataclass(frozen=True)
class Cutoffs:
    """Bounds, all exclusive, of the mean and of the normalised dispersion of a variable gene."""

    min_mean: float = 0.0125
    max_mean: float = 3.0
    min_disp: float = 0.5
    max_disp: float = np.inf

    def holds(self, mean: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
        """Bool (genes,)."""
        return (
            (mean > self.min_mean)
            & (mean < self.max_mean)
            & (dispersion > self.min_disp)
            & (dispersion < self.max_disp)
        )


def dispersion_genes(moments: Moments, flavor: str, select: Cutoffs | int, *, n_bins: int = 20) -> pd.DataFrame:
    """highly_variable, means, dispersions, dispersions_norm (float64) of the genes of one group of cells.

    moments: of the normalised values (seurat), of their logarithms (cell_ranger); select: cut-offs, or how many genes.
    """
    mean, variance = moments.mean.copy(), moments.variance
    mean[mean == 0] = 1e-12
    dispersion = variance / mean
    if flavor == "seurat":
        with np.errstate(divide="ignore", invalid="ignore"):
            dispersion = np.where(dispersion > 0, np.log(dispersion), np.nan)
        mean = np.log1p(mean)
    table = pd.DataFrame({"means": mean, "dispersions": dispersion})
    centre, spread = _of_bins(table, flavor, n_bins)
    with np.errstate(divide="ignore", invalid="ignore"):
        normalised = (dispersion - centre) / spread
    table["dispersions_norm"] = normalised
    table.insert(0, "highly_variable", _chosen(mean, normalised, select))
    return table


def _of_bins(table: pd.DataFrame, flavor: str, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Centre and spread of the dispersions in the bin of each gene."""
    bins: Any = n_bins
    if flavor == "cell_ranger":
        bins = np.r_[-np.inf, np.percentile(table["means"], np.arange(10, 105, 5)), np.inf]
        if len(np.unique(bins)) < len(bins):
            silent = int((table["means"] <= 1e-12).sum())
            raise InputError(
                "cell_ranger cannot make its bins: several percentiles of the mean are equal.",
                found=f"{silent:,} of {len(table):,} genes without a count",
                do="first leave genes without counts out: filter_genes(cells, min_cells=1)",
            )
    groups = pd.cut(table["means"], bins=bins)
    grouped = table["dispersions"].groupby(groups, observed=True)
    if flavor == "seurat":
        stats = grouped.agg(["mean", "std"])
        alone = stats["std"].isna()
        stats.loc[alone, "std"] = stats.loc[alone, "mean"]
        stats.loc[alone, "mean"] = 0
        centre, spread = stats["mean"], stats["std"]
    else:
        centre, spread = grouped.median(), grouped.agg(_median_deviation)
    return centre.reindex(groups).to_numpy(np.float64), spread.reindex(groups).to_numpy(np.float64)


def _median_deviation(values: pd.Series) -> float:
    """Median absolute deviation, as an estimate of a normal distribution's standard deviation."""
    plain = values.to_numpy()
    return float(np.median(np.abs(plain - np.median(plain))) / _NORMAL_QUARTILE)


def _chosen(mean: np.ndarray, normalised: np.ndarray, select: Cutoffs | int) -> np.ndarray:
    if isinstance(select, Cutoffs):
        return select.holds(mean, np.nan_to_num(normalised))
    defined = np.sort(normalised[~np.isnan(normalised)])[::-1]
    if select > len(defined):
        log.warning("only %d of %d genes have a normalised dispersion: all of these are taken", len(defined), select)
        select = len(defined)
    if select == 0:
        return np.zeros(len(normalised), bool)
    return np.nan_to_num(normalised, nan=-np.inf) >= defined[select - 1]


def dispersion_genes_of_batches(
    moments: list[Moments], names: np.ndarray, flavor: str, select: Cutoffs | int, *, n_bins: int = 20
) -> pd.DataFrame:
    """The same from batches: means over batches, highly_variable_nbatches and highly_variable_intersection.

    In each batch the genes without a count are left out and enter the means as 0. With a number of genes, those that
    are variable in most batches come first, then those of larger mean z, then by name.
    """
    tables = []
    for batch in moments:
        counted = batch.counted > 0
        table = pd.DataFrame(0.0, index=range(len(names)), columns=["means", "dispersions", "dispersions_norm"])
        table.insert(0, "highly_variable", False)
        found = dispersion_genes(batch.subset(counted), flavor, select, n_bins=n_bins)
        table.loc[counted, found.columns] = found.to_numpy(object)
        tables.append(table.astype({"highly_variable": bool, **dict.fromkeys(table.columns[1:], np.float64)}))
    result = pd.DataFrame({"highly_variable": False}, index=range(len(names)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a gene without dispersion in any batch: the mean is NaN
        for column in ("means", "dispersions", "dispersions_norm"):
            result[column] = np.nanmean([table[column].to_numpy() for table in tables], axis=0)
    n_batches = np.sum([table["highly_variable"].to_numpy() for table in tables], axis=0)
    result["highly_variable_nbatches"] = n_batches.astype(np.int64)
    result["highly_variable_intersection"] = n_batches == len(tables)
    if isinstance(select, Cutoffs):
        result["dispersions_norm"] = result["dispersions_norm"].fillna(0)
        result["highly_variable"] = select.holds(result["means"].to_numpy(), result["dispersions_norm"].to_numpy())
        return result
    by_name = np.argsort(names.astype(str), kind="stable")
    score = np.nan_to_num(-result["dispersions_norm"].to_numpy()[by_name], nan=np.inf)
    order = by_name[np.lexsort((score, -n_batches[by_name]))]
    result.loc[order[:select], "highly_variable"] = True
    return result
