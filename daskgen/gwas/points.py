"""The points of Manhattan and quantile-quantile plots, thinned to what can be seen, in one or two passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import betaincinv

from daskgen.gwas.layout import blocks, computed, effect
from daskgen.gwas.p_values import minus_log10_p
from daskgen.gwas.summaries import lambda_gc, z_blocks

__all__ = ["ManhattanPoints", "QQPoints", "manhattan_points", "qq_points"]

_COLUMNS = 3_000  # cells across the genome: finer than a printed page
_HEIGHT = 0.05  # of a cell, in -log10 p
_EXACT = 8.0  # -log10 p from which on every variant is a point
_QQ_STEP = 0.005  # of -log10 p within which variants share a point of the QQ plot
_QQ_EXACT = 5.0


@dataclass(frozen=True, eq=False)
class ManhattanPoints:
    """points: DataFrame of row (of the result), contig (number), position and minus_log10_p, by contig and position.

    label: of the parameter; contigs: names of those that have points, in order; first: position at which each begins;
    offset, length: of each along the axis, in base pairs (in variants where positions are unknown); n_variants: with a
    p value, of which the points are those that can be seen.
    """

    label: str
    points: pd.DataFrame
    contigs: list[str]
    first: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    n_variants: int
    has_positions: bool

    def axis(self, contig: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Place along the axis."""
        return self.offset[contig] + (position - self.first[contig])


@dataclass(frozen=True, eq=False)
class QQPoints:
    """points: DataFrame of expected and observed -log10 p, and the 95 % band of the expectation (lower, upper).

    label: of the parameter; n_variants: with a p value.
    """

    label: str
    points: pd.DataFrame
    lambda_gc: float
    n_variants: int


def manhattan_points(dataset: xr.Dataset, parameter: str | None = None) -> ManhattanPoints:
    """The points of a Manhattan plot of one parameter.

    The plane is cut into cells (1/3,000 of the genome wide, 0.05 of -log10 p high). The first variant of each cell is a
    point, and so is every variant of p below 10^-8. Two passes, over positions and over estimates; what is held depends
    on the number of cells and of strong associations, not of variants.
    """
    label = effect(dataset, parameter).label  # an unknown parameter is refused before anything is read
    genome = _Genome.of(dataset)
    width = max(1.0, float(genome.offset[-1] + genome.length[-1]) / _COLUMNS) if len(genome.length) else 1.0
    top_cell = int(_EXACT / _HEIGHT)
    taken = np.zeros((_COLUMNS + 1, top_cell), bool)
    parts, n = [], 0
    for part, z in z_blocks(dataset, label):
        contig, position = genome.rows(part)
        strength = minus_log10_p(z)
        seen = np.flatnonzero(np.isfinite(strength))
        n += len(seen)
        contig, position, strength = contig[seen], position[seen], strength[seen]
        column = ((genome.offset[contig] + position - genome.first[contig]) / width).astype(np.int64)
        height = np.minimum(strength / _HEIGHT, top_cell).astype(np.int64)
        strong = height >= top_cell
        cell = column * top_cell + np.minimum(height, top_cell - 1)
        # The first of each cell in this block whose cell is still free; strong ones are all kept.
        _, first = np.unique(cell, return_index=True)
        chosen = np.zeros(len(seen), bool)
        chosen[first] = ~taken.ravel()[cell[first]]
        chosen &= ~strong
        taken.ravel()[cell[chosen]] = True
        chosen |= strong
        parts.append(
            pd.DataFrame(
                {
                    "row": part.start + seen[chosen],
                    "contig": contig[chosen],
                    "position": position[chosen],
                    "minus_log10_p": strength[chosen],
                }
            )
        )
    points = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["row", "contig", "position"])
    points = points.sort_values(["contig", "position", "row"], kind="stable", ignore_index=True)
    return ManhattanPoints(
        label, points, genome.names, genome.first, genome.offset, genome.length, n, genome.has_positions
    )


@dataclass(frozen=True, eq=False)
class _Genome:
    """Contigs by their number among those that have variants: names, first position, length, offset on the axis."""

    dataset: xr.Dataset
    names: list[str]
    number: np.ndarray
    first: np.ndarray
    length: np.ndarray
    offset: np.ndarray
    has_positions: bool

    @classmethod
    def of(cls, dataset: xr.Dataset) -> _Genome:
        n = int(dataset.sizes["variant"])
        if not {"variant_contig", "variant_position", "contig_id"} <= set(dataset.variables):
            zero = np.zeros(1, np.int64)
            return cls(dataset, [""], zero, zero, np.array([max(1, n)]), zero, False)
        known = [str(name) for name in dataset["contig_id"].values]
        first, last = np.full(len(known), np.iinfo(np.int64).max), np.full(len(known), -1, np.int64)
        for _, (contig, position) in blocks(dataset, [dataset["variant_contig"], dataset["variant_position"]]):
            np.minimum.at(first, contig, position)
            np.maximum.at(last, contig, position)
        there = np.flatnonzero(last >= 0)
        number = np.full(len(known), -1, np.int64)
        number[there] = np.arange(len(there))
        length = last[there] - first[there] + 1
        gap = int(0.01 * length.sum())  # contigs stand apart
        offset = np.concatenate([[0], np.cumsum(length + gap)[:-1]]) if len(there) else np.zeros(0, np.int64)
        return cls(dataset, [known[i] for i in there], number, first[there], length, offset, True)

    def rows(self, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """Contig number and position of the rows `part`."""
        if not self.has_positions:
            return np.zeros(part.stop - part.start, np.int64), np.arange(part.start, part.stop)
        rows = self.dataset.isel(variant=part)
        contig, position = computed([rows["variant_contig"].data, rows["variant_position"].data])
        return self.number[np.asarray(contig)], np.asarray(position, np.int64)


def qq_points(dataset: xr.Dataset, parameter: str | None = None) -> QQPoints:
    """The points of a quantile-quantile plot of one parameter, with the genomic control factor.

    Below 10^-5 every variant is a point, above it those within 0.005 of -log10 p share one. The i-th smallest of n
    p values is expected at i / (n + 1); its band is that of the Beta(i, n - i + 1) distribution.
    """
    label = effect(dataset, parameter).label
    bins = int(_QQ_EXACT / _QQ_STEP)
    counts, sums = np.zeros(bins, np.int64), np.zeros(bins)
    strong = []
    for _, z in z_blocks(dataset, label):
        strength = minus_log10_p(z[np.isfinite(z)])
        strength = np.maximum(strength, 0.0)
        weak = strength < _QQ_EXACT
        where = np.minimum((strength[weak] / _QQ_STEP).astype(np.int64), bins - 1)
        counts += np.bincount(where, minlength=bins)
        sums += np.bincount(where, weights=strength[weak], minlength=bins)
        strong.append(strength[~weak])
    exact = np.sort(np.concatenate(strong))[::-1] if strong else np.zeros(0)
    n = int(counts.sum()) + len(exact)
    # Ranks from the strongest on; a bin's point stands at its mean and at its middle rank.
    filled = np.flatnonzero(counts)[::-1]
    behind = np.cumsum(counts[filled]) - counts[filled]
    rank = np.concatenate([np.arange(1, len(exact) + 1), len(exact) + behind + 0.5 * (counts[filled] + 1)])
    observed = np.concatenate([exact, sums[filled] / counts[filled]])
    points = pd.DataFrame({"expected": -np.log10(rank / (n + 1.0)), "observed": observed})
    for name, level in (("lower", 0.975), ("upper", 0.025)):
        points[name] = -np.log10(betaincinv(rank, n - rank + 1.0, level))
    return QQPoints(label, points, lambda_gc(dataset, label), n)
