"""Which variants enter the regressions, and in which order: LD scores joined with summary statistics by id.

Variants come in the order of the LD scores' contigs and positions, because the jackknife's blocks must be stretches of
the genome. Of an id that the summary statistics hold twice no copy is used; of one that the LD scores hold twice the
first.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl

from daskgen.kernels.ldsc import padded_length

__all__ = ["Regressors", "TraitCounts", "align", "align_trait", "matching_rows"]


@dataclass(frozen=True, eq=False)
class Regressors:
    """What all regressions have in common; arrays (padded variants,), see `daskgen.kernels.ldsc.padded_length`.

    rows: int64, the variant's row in the summary statistics, -1 at padding; score, weight: float64, LD scores of the
    regression and of its weights; n_variants: without padding.
    """

    rows: np.ndarray
    score: np.ndarray
    weight: np.ndarray
    n_variants: int

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.score.nbytes + self.weight.nbytes

    @cached_property
    def key(self) -> str:
        """A hash of the content."""
        digest = hashlib.sha256()
        for array in (self.rows, self.score, self.weight):
            digest.update(array.tobytes())
        return digest.hexdigest()


def matching_rows(ids: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, int]:
    """(row of each `wanted` id among `ids`, int64, -1 where it is not there; number of ids that are there repeatedly).

    Ids that `ids` holds more than once are not there; of a `wanted` id that comes again, only the first counts.
    """
    table = pl.DataFrame({"id": ids}, schema={"id": pl.String}).with_row_index("row")
    once = table.filter(pl.col("id").is_unique())
    asked = pl.DataFrame({"id": wanted}, schema={"id": pl.String}).with_columns(first=pl.col("id").is_first_distinct())
    found = asked.join(once, on="id", how="left", maintain_order="left").select(
        pl.when("first").then(pl.col("row").cast(pl.Int64)).otherwise(None).fill_null(-1)
    )
    repeated = table.filter(pl.col("id").is_duplicated())["id"].n_unique()
    return found.to_series().to_numpy().astype(np.int64), repeated


def align(
    rows: np.ndarray, contig: np.ndarray, position: np.ndarray, score: np.ndarray, weight: np.ndarray
) -> Regressors:
    """The variants of the LD scores that have a row >= 0 and finite scores, in genome order; arrays (variants,)."""
    used = np.flatnonzero((rows >= 0) & np.isfinite(score) & np.isfinite(weight))
    used = used[np.lexsort((position[used], contig[used]))]  # stable: variants of one position stay as they are
    padding = (0, padded_length(len(used)) - len(used))
    return Regressors(
        np.pad(rows[used].astype(np.int64), padding, constant_values=-1),
        np.pad(score[used].astype(np.float64), padding),
        np.pad(weight[used].astype(np.float64), padding),
        n_variants=len(used),
    )


class TraitCounts(NamedTuple):
    """What became of a trait's variants.

    n_given: in the source; n_merged: of those with LD scores; n_removed: of those because z^2 is above `chisq_max`.
    """

    n_given: int
    n_merged: int
    n_removed: int
    chisq_max: float


def align_trait(
    z: np.ndarray,
    n: np.ndarray,
    regressors: Regressors,
    chisq_max: float | None,
    aligned_z: np.ndarray,
    aligned_n: np.ndarray,
) -> TraitCounts:
    """Write a trait's z and N, as the source has them, into two rows in the order of the regressors.

    aligned_z, aligned_n: (padded variants,), set to 0 where the trait lacks the variant. chisq_max: None for
    max(0.001 max N, 80), N of the variants with LD scores. Variants with a missing z or N, or without samples, are
    missing.
    """
    rows = regressors.rows[: regressors.n_variants]
    aligned_z[: len(rows)], aligned_n[: len(rows)] = z[rows], n[rows]
    aligned_z[len(rows) :] = aligned_n[len(rows) :] = 0
    present = _present(aligned_z, aligned_n)
    merged = int(present.sum())
    largest = float(aligned_n[present].max()) if merged else 0.0
    limit = max(0.001 * largest, 80.0) if chisq_max is None else float(chisq_max)
    with np.errstate(invalid="ignore"):
        present &= np.square(aligned_z, dtype=np.float64) <= limit
    aligned_z[~present] = aligned_n[~present] = 0
    return TraitCounts(int(_present(z, n).sum()), merged, merged - int(present.sum()), limit)


def _present(z: np.ndarray, n: np.ndarray) -> np.ndarray:
    return np.asarray(np.isfinite(z) & np.isfinite(n) & (n > 0))
