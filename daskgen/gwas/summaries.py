"""What is read off a whole scan, block by block: inflation, the strongest associations, how the fits ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from daskgen.errors import UsageError
from daskgen.gwas.layout import Result, blocks, effect, usable
from daskgen.gwas.p_values import CHISQ_MEDIAN, normal_scores, z_scores, z_threshold
from daskgen.gwas.quantiles import median

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["lambda_and_hits", "lambda_gc", "n_hits", "status_counts", "top", "z_blocks"]


_KEPT = 1 << 21  # variants whose numbers (16 MB) are kept for a second look


def z_blocks(dataset: Result, parameter: str | None) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows and z of one parameter, block by block; NaN where the fit does not stand.

    Where the statistic has a t distribution, z is the normal score of the same p value.
    """
    found = effect(dataset, parameter)
    for part, (estimate, se, code, df) in blocks(dataset, [found.estimate, found.se, found.status, found.df]):
        z = z_scores(estimate, se)
        if df is not None:
            z = normal_scores(z, df)
        if code is not None:
            z[~usable(code, dataset["status"].attrs)] = np.nan
        yield part, z


def lambda_gc(dataset: Result, parameter: str | None = None) -> float:
    """Genomic control factor: the median of z^2 over all variants, divided by that of chi-square with one df.

    Exact; two passes over the estimates and errors of the parameter. NaN where no variant has a z.
    """
    middle, _ = median(lambda: (np.square(z) for _, z in z_blocks(dataset, parameter)))
    return middle / CHISQ_MEDIAN


def lambda_and_hits(dataset: Result, parameter: str | None = None, *, p: float = 5e-8) -> tuple[float, int]:
    """`lambda_gc` and `n_hits` in the passes that the former takes: two, or one where few variants are kept for it."""
    least, hits = z_threshold(p), 0
    kept: list[np.ndarray] = []

    def squares() -> Iterator[np.ndarray]:
        nonlocal hits
        if kept:
            yield from kept
            return
        hits = 0
        for _, z in z_blocks(dataset, parameter):
            hits += int((np.abs(z) >= least).sum())
            square = np.square(z, out=z)
            if dataset.sizes["variant"] <= _KEPT:
                kept.append(square)
            yield square

    middle, _ = median(squares)
    return middle / CHISQ_MEDIAN, hits


def top(dataset: xr.Dataset, parameter: str | None = None, *, p: float = 5e-8) -> pd.DataFrame:
    """The variants whose two-sided p value is at most `p`, smallest first: the rows of `result_table`.

    One pass; only these rows are held. Raises UsageError for a `p` outside (0, 1].
    """
    if not 0 < p <= 1:
        raise UsageError("p is out of range.", found=p, expected="above 0, at most 1")
    from daskgen.gwas.tables import result_table

    least, label = z_threshold(p), effect(dataset, parameter).label
    rows, strength = [], []
    for part, z in z_blocks(dataset, parameter):
        hits = np.flatnonzero(np.abs(z) >= least)
        rows.append(part.start + hits)
        strength.append(np.abs(z[hits]))
    found = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    table = result_table(dataset.isel(variant=found), label)
    order = np.argsort(-np.concatenate(strength), kind="stable") if len(found) else found
    return table.iloc[order].reset_index(drop=True)


def n_hits(dataset: Result, parameter: str | None = None, *, p: float = 5e-8) -> int:
    """How many variants have a two-sided p value of at most `p`."""
    least = z_threshold(p)
    return sum(int((np.abs(z) >= least).sum()) for _, z in z_blocks(dataset, parameter))


def status_counts(dataset: Result) -> dict[int, int]:
    """How many variants have each status."""
    counts: dict[int, int] = {}
    for _, (status,) in blocks(dataset, [dataset["status"]]):
        codes, numbers = np.unique(status, return_counts=True)
        for code, number in zip(codes.tolist(), numbers.tolist(), strict=True):
            counts[code] = counts.get(code, 0) + number
    return dict(sorted(counts.items()))
