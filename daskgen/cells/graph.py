"""The passes over a matrix of counts: what a task does with the rows of a leaf, and how leaves are put together.

Every pass reads the matrix once. What is per cell comes back, or is written, row by row; what is per gene, or per
pair of genes, is added leaf after leaf in the fixed tree of `daskgen.passes`, so that its bits don't depend on who
computed it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from daskgen.buffers import zeros
from daskgen.cells.gene_sets import GeneSets
from daskgen.cells.leaves import Tile, blocks, leaf_rows, tiles
from daskgen.cells.over_representation import SetTargets, write_scores
from daskgen.kernels.cells_rows import GENE_SUMS, LOG_SUMS
from daskgen.kernels.dispatch import cells_enrichment, cells_rows, cells_variance
from daskgen.passes import PassRunner
from daskgen.passes.tree import TreeSum
from daskgen.stores.anndata_rows import CellRows

__all__ = ["Enrichment", "RowSums", "SummaryPass", "clipped_sums", "residual_sums"]


@dataclass(frozen=True, eq=False)
class Enrichment:
    """What the first pass does about gene sets: `n_up` largest values of a cell against `sets` among `population`
    genes."""

    sets: GeneSets
    n_up: int
    population: int
    targets: SetTargets
    adjust: bool


@dataclass(frozen=True, eq=False)
class SummaryPass:
    """The sums of the first pass; see `kernels.cells_rows.summarise_rows`.

    rows: the matrix; roles: uint32 (genes,); groups: int32 (cells,), -1 for cells that do not count; n_groups; factors:
    float64 (cells,) or None, target over the total of each; tops, n_masks, max_fraction, logs: what is summed up.
    """

    rows: CellRows
    roles: np.ndarray
    groups: np.ndarray
    n_groups: int = 1
    factors: np.ndarray | None = None
    target: float = 1.0
    tops: tuple[int, ...] = ()
    n_masks: int = 0
    max_fraction: float = -1.0
    logs: bool = False
    enrichment: Enrichment | None = None
    leaves: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        object.__setattr__(self, "leaves", leaf_rows(self.rows))

    @property
    def nbytes(self) -> int:
        """What the runner of passes goes by when it sends the pass to workers."""
        factors = 0 if self.factors is None else self.factors.nbytes
        return int(self.rows.nbytes + self.roles.nbytes + self.groups.nbytes + factors)

    def run(self, runner: PassRunner, label: str = "counts") -> RowSums:
        """All leaves, on the current scheduler. Nothing of a cell or gene that does not count is in the sums."""
        n_cells, n_genes = self.rows.n_rows, self.rows.n_genes
        cells = np.empty((4 + len(self.tops) + self.n_masks, n_cells)).T  # each column in one piece, see `Summary`
        high = np.zeros(n_genes, bool)
        tree = TreeSum()
        flaws: list[tuple[int, int, int]] = []
        fractions = False
        found = runner.run_map(
            _summarise_leaf,
            range(len(self.leaves)),
            self,
            label=label,
            unit_bytes=self._bytes / max(1, len(self.leaves)),
        )
        for leaf, part in found:
            start, stop = self.leaves[leaf]
            cells[start:stop] = part.cells
            high |= part.high
            tree.add(0, leaf, part.genes)
            flaws += part.flaws
            fractions |= part.fractions
        shape = (self.n_groups, n_genes, self._width)
        genes = tree.total(len(self.leaves)) if self.leaves else np.zeros(shape)
        return RowSums(cells, genes, high, fractions, sorted(flaws)[:1], sum(n for _, _, n in flaws))

    @property
    def _width(self) -> int:
        return LOG_SUMS if self.logs else GENE_SUMS

    @property
    def _bytes(self) -> int:
        return self.rows.n_values * (self.rows.info.dtype.itemsize + 4)


@dataclass
class RowSums:
    """Results of `SummaryPass`: cells (cells, 4 + tops + masks), genes (groups, genes, sums), high bool (genes,).

    fractions: whether a value is not whole; first_flaw: [(cell, gene, how many)] of the first leaf with values that are
    no counts; n_flaws: how many there are in all.
    """

    cells: np.ndarray
    genes: np.ndarray
    high: np.ndarray
    fractions: bool
    first_flaw: list[tuple[int, int, int]]
    n_flaws: int


@dataclass
class _LeafSums:
    cells: np.ndarray
    genes: np.ndarray
    high: np.ndarray
    fractions: bool
    flaws: list[tuple[int, int, int]]


def _summarise_leaf(leaf: int, job: SummaryPass) -> _LeafSums:
    start, stop = job.leaves[leaf]
    n_genes = job.rows.n_genes
    cells = np.empty((stop - start, 4 + len(job.tops) + job.n_masks))
    genes = zeros((job.n_groups, n_genes, job._width))
    high = np.zeros(n_genes, np.uint8)
    tops = np.array(job.tops, np.int64)
    n_largest = job.enrichment.n_up if job.enrichment is not None else 0
    overlaps = np.empty((stop - start, len(job.enrichment.sets)), np.int32) if job.enrichment is not None else None
    flaws: list[tuple[int, int, int]] = []
    fractions = False
    for block in blocks(job.rows, start, stop):
        for tile in tiles(block):
            part = slice(tile.start - start, tile.rows.stop - start)
            factors = None if job.factors is None else job.factors[tile.rows]
            found = cells_rows(tile.values).summarise_rows(
                *(tile.indptr, tile.indices, tile.values, job.roles, factors, job.target, job.groups[tile.rows]),
                *(tops, n_largest, job.max_fraction, cells[part], genes, high),
            )
            if found.n:
                flaws.append((tile.start + found.row, found.gene, found.n))
            fractions |= found.fractions
            if job.enrichment is not None and overlaps is not None:
                _overlaps(tile, job.roles, cells[part], job.enrichment, overlaps[part])
    if job.enrichment is not None and overlaps is not None and not flaws:
        write_scores(
            job.enrichment.targets,
            *(start, overlaps, cells[:, 0], job.groups[start:stop] >= 0),
            *(job.enrichment.sets.sizes, job.enrichment.n_up, job.enrichment.population),
            adjust=job.enrichment.adjust,
        )
    genes[:, job.roles == 0] = 0
    return _LeafSums(cells, genes, high.astype(bool), fractions, flaws)


def _overlaps(tile: Tile, roles: np.ndarray, cells: np.ndarray, wanted: Enrichment, out: np.ndarray) -> None:
    cut, above = np.ascontiguousarray(cells[:, 2]), cells[:, 3]
    ties = np.where(cut > 0, wanted.n_up - above, 0).astype(np.int64)
    cells_enrichment(tile.values).set_overlaps(
        *(tile.indptr, tile.indices, tile.values, roles, cut, ties, wanted.sets.start, wanted.sets.member, out)
    )


# -- sums of one kind per gene ---------------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class _GenePass:
    rows: CellRows
    leaves: list[tuple[int, int]]
    groups: np.ndarray
    n_groups: int
    arrays: tuple[Any, ...]

    @property
    def nbytes(self) -> int:
        return int(self.rows.nbytes + self.groups.nbytes)


def clipped_sums(runner: PassRunner, rows: CellRows, groups: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Sums of min(x, limit) and its square: float64 (groups, genes, 2), for limits float64 (groups, genes)."""
    job = _GenePass(rows, leaf_rows(rows), groups, len(limits), (limits,))
    return runner.run_sum(_clipped_leaf, len(job.leaves), job, label="clipped counts")  # type: ignore[no-any-return]


def _clipped_leaf(leaf: int, job: _GenePass) -> np.ndarray:
    (limits,) = job.arrays
    out = np.zeros((job.n_groups, job.rows.n_genes, 2))
    for block in blocks(job.rows, *job.leaves[leaf]):
        for tile in tiles(block):
            cells_variance(tile.values).add_clipped(
                tile.indptr, tile.indices, tile.values, job.groups[tile.rows], limits, out
            )
    return out


def residual_sums(
    runner: PassRunner,
    rows: CellRows,
    groups: np.ndarray,
    cell_totals: np.ndarray,
    gene_shares: np.ndarray,
    theta: float,
    clips: np.ndarray,
) -> np.ndarray:
    """What stored values add to the sums of Pearson residuals and their squares: float64 (groups, genes, 2)."""
    job = _GenePass(rows, leaf_rows(rows), groups, len(gene_shares), (cell_totals, gene_shares, theta, clips))
    return runner.run_sum(_residual_leaf, len(job.leaves), job, label="Pearson residuals")  # type: ignore[no-any-return]


def _residual_leaf(leaf: int, job: _GenePass) -> np.ndarray:
    totals, shares, theta, clips = job.arrays
    out = np.zeros((job.n_groups, job.rows.n_genes, 2))
    for block in blocks(job.rows, *job.leaves[leaf]):
        for tile in tiles(block):
            groups = job.groups[tile.rows]
            cells_variance(tile.values).add_residuals(
                *(tile.indptr, tile.indices, tile.values, groups, totals[tile.rows], shares, theta, clips, out)
            )
    return out
