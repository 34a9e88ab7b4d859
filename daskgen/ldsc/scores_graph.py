"""The pass that computes LD scores: which task correlates which variants, and how its results are added.

A task has a leaf, a stretch of variants, and correlates each with those behind it in its window. An adjusted squared
correlation l_ij counts for both variants, l_ij a_j for i and l_ij a_i for j, so every pair is computed once; what a
task finds for the variants behind its leaf is added to theirs by the client, in the order of the leaves. Leaves and
blocks are functions of the number of variants, so the bits of the result are too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgen import config, limits
from daskgen.genotypes.view import GenotypeView
from daskgen.kernels.ld_scores import adjusted_squares, cross_products
from daskgen.passes import MemoryItem, PassRunner, Plan

__all__ = ["ScorePass"]

_LIBRARIES = 250_000_000  # resident memory of a process that has imported what a pass needs
_LEAF = 2_048  # least variants of a leaf
_PARTNERS = 512  # variants behind that are decoded together


@dataclass(frozen=True, eq=False)
class ScorePass:
    """LD scores of the variants of a view, all of which vary.

    stops: int64 (variants,), see `windows.window_stops`; annotations: float64 (variants, annotations).
    """

    view: GenotypeView
    stops: np.ndarray
    annotations: np.ndarray
    memory_limit: int

    @property
    def leaves(self) -> list[tuple[int, int]]:
        """First and last-plus-one variant of each leaf: whole blocks, at most ``max-leaves`` leaves."""
        m, block = self.view.n_variants, int(config.get("variant-block"))
        rows = max(_LEAF, -(-m // int(config.get("max-leaves"))))
        rows = -(-rows // block) * block
        return [(start, min(start + rows, m)) for start in range(0, m, rows)]

    def plan(self, runner: PassRunner) -> Plan:
        """What the pass reads and needs in memory, per process."""
        executor = runner.executor()
        processes = 1 if executor.in_process else max(1, len(executor.workers))
        threads = max(1, executor.n_threads // processes)
        view, block = self.view, int(config.get("variant-block"))
        m, a = self.annotations.shape
        reach = int((self.stops - np.arange(m)).max()) + block
        in_flight = min(view.reader.rows_per_chunk, m)
        pairs = int((self.stops - np.arange(m) - 1).sum())
        read = view.row_bytes + (view.source_row_bytes if view.samples is not None else 0)
        return Plan(
            f"{m:,} variants x {view.n_samples:,} samples, {pairs:,} pairs, up to {reach - block:,} variants in half a "
            "window",
            bytes_per_pass=view.reader.n_variants * view.source_row_bytes,
            memory=[
                MemoryItem("Python and its libraries", _LIBRARIES),
                MemoryItem(
                    f"genotypes of a window, {threads} threads",
                    threads * ((reach + 2 * in_flight) * view.row_bytes + in_flight * read),
                    lower="a smaller window",
                ),
                MemoryItem("decoded blocks", threads * (20_000_000 + (block + _PARTNERS) * 8_192)),
                MemoryItem("scores and annotations", 8 * a * (4 * m + threads * (reach + _LEAF))),
            ],
            memory_limit=self.memory_limit // processes,
            workers=f"{processes} process{'es' * (processes > 1)} of {threads} thread{'s' * (threads > 1)}",
        )

    def run(self) -> np.ndarray:
        """float64 (variants, annotations), on the current scheduler."""
        runner = PassRunner()
        self.plan(runner).check()
        leaves, block = self.leaves, int(config.get("variant-block"))
        found = runner.run_map(
            _leaf_scores,
            range(len(leaves)),
            self.view,
            leaves,
            self.stops,
            self.annotations,
            block,
            label="LD scores",
            unit_bytes=self.view.n_variants * self.view.row_bytes / max(1, len(leaves)),
        )
        parts = dict(found)
        total = self.annotations.copy()  # a variant's correlation with itself is 1
        for leaf, (start, _) in enumerate(leaves):
            part = parts.pop(leaf)
            total[start : start + len(part)] += part
        return total

    @classmethod
    def of(
        cls, view: GenotypeView, stops: np.ndarray, annotations: np.ndarray, memory_limit: int | str | None
    ) -> ScorePass:
        return cls(view, stops, np.ascontiguousarray(annotations, np.float64), limits.memory_limit(memory_limit))


class _Rows:
    """Ranges of a view's variants, as codes with tables; chunks stay until what is read begins behind them."""

    def __init__(self, view: GenotypeView):
        self._view = view
        self._first = [rows.start for _, _, rows in view.chunk_rows]
        self._chunks: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def forget(self, before: int) -> None:
        """Drop chunks without a variant from `before` on."""
        for index in [i for i in self._chunks if self._view.chunk_rows[i][2].stop <= before]:
            del self._chunks[index]

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Codes and tables of variants `start` to `stop` - 1."""
        codes, tables = [], []
        index = int(np.searchsorted(self._first, start, side="right")) - 1
        while index < len(self._first) and self._first[index] < stop:
            if index not in self._chunks:
                self._chunks[index] = _standardised(self._view, index)
            rows = self._view.chunk_rows[index][2]
            part = slice(max(start, rows.start) - rows.start, min(stop, rows.stop) - rows.start)
            codes.append(self._chunks[index][0][part])
            tables.append(self._chunks[index][1][part])
            index += 1
        if len(codes) == 1:
            return codes[0], tables[0]
        return np.concatenate(codes), np.concatenate(tables)


def _standardised(view: GenotypeView, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes of a chunk with tables for which the squares of every variant sum to the number of samples."""
    chunk = view.load(index)
    # The view's factor gives the calls variance 1; a missing call, at the mean, adds nothing to the sum of squares.
    scale = np.sqrt(view.n_samples / np.maximum(chunk.moments.n_called, 1)).astype(np.float32)
    table = chunk.table.copy()
    if view.use_dosage:
        table[:, 1] *= scale
    else:
        table *= scale[:, None]
    return chunk.codes, table


def _leaf_scores(
    leaf: int,
    view: GenotypeView,
    leaves: list[tuple[int, int]],
    stops: np.ndarray,
    annotations: np.ndarray,
    block: int,
) -> np.ndarray:
    """Sums of l_ij a_j for the leaf's variants i, and of l_ij a_i for the variants j behind them, j > i."""
    first, last = leaves[leaf]
    rows = _Rows(view)
    scores = np.zeros((int(stops[last - 1]) - first, annotations.shape[1]))
    for start in range(first, last, block):
        stop = min(start + block, last)
        rows.forget(start)
        codes, table = rows.read(start, stop)
        for partner in range(start, int(stops[stop - 1]), _PARTNERS):
            partner_stop = min(partner + _PARTNERS, int(stops[stop - 1]))
            other_codes, other_table = rows.read(partner, partner_stop)
            products = cross_products(codes, table, other_codes, other_table)
            squares = adjusted_squares(products, view.n_samples, start, partner, stops[start:stop], products)
            scores[start - first : stop - first] += np.matmul(squares, annotations[partner:partner_stop])
            scores[partner - first : partner_stop - first] += np.matmul(squares.T, annotations[start:stop])
    return scores
