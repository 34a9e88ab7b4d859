"""The passes of the genetic correlations put together: T and q of every pair of groups of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daskgen.reml.correlation_graph import cross_products, gram_matrices
from daskgen.reml.cross_moments import CrossMoments, ProbeSums, product_of_projections
from daskgen.reml.probes import signs
from daskgen.reml.relationships import Part, Relationships
from daskgen.reml.study import Group

__all__ = ["CrossGroups", "Quadratic"]

_VECTORS = 64  # that the automatic number of probes makes
_TOGETHER = 256  # vectors in one pass
_BATCH_BYTES = 500_000_000  # of what one pass gives


@dataclass(frozen=True)
class Quadratic:
    """q of all phenotypes: table (G, T, B, T, B) of genetic products by phenotype and block; shared (T, T, B): products
    of residuals in samples in common; traces (P, G): tr(M K_g M) of each group."""

    table: np.ndarray
    shared: np.ndarray
    traces: np.ndarray

    def pair(self, s: int, t: int) -> np.ndarray:
        """q of the phenotypes s and t by pairs of blocks (G + 1, B, B)."""
        found = self.table[:, s, :, t]
        return np.concatenate([found, np.diag(self.shared[s, t])[None]])


@dataclass(eq=False)
class CrossGroups:
    """Groups of phenotypes with their relationships; everyone (N,): samples of any group, among the study's; blocks
    (N,): their blocks. Phenotypes are in the order of the groups."""

    groups: Sequence[Group]
    relationships: Sequence[Relationships]
    everyone: np.ndarray
    blocks: np.ndarray

    @cached_property
    def n_blocks(self) -> int:
        return int(self.blocks.max()) + 1

    @cached_property
    def at(self) -> list[np.ndarray]:
        """Of each group, the places of its samples among everyone."""
        return [np.searchsorted(self.everyone, group.rows) for group in self.groups]

    @cached_property
    def used(self) -> np.ndarray:
        """Components that have a variant that varies, in every group."""
        return np.flatnonzero((np.stack([r.counted for r in self.relationships]) > 0).all(axis=0))

    @property
    def n_components(self) -> int:
        return len(self.relationships[0].counted)

    @property
    def sources(self) -> list[tuple[Part, ...]]:
        """By genotype source, the part of each group."""
        return list(zip(*(r.parts for r in self.relationships), strict=True))

    # -- q ---------------------------------------------------------------------------------------------------
    def quadratic(self) -> Quadratic:
        """One pass; phenotypes are cut into the blocks of samples."""
        columns, kept, rest = [], [], []
        first = 0
        for group, at in zip(self.groups, self.at, strict=True):
            y = group.design.residual(group.values)
            member = (self.blocks[at][:, None] == np.arange(self.n_blocks)).astype(np.float64)
            cut = (y[:, :, None] * member[:, None, :]).reshape(len(y), -1)
            columns.append(np.hstack([cut, group.design.basis]))
            kept.append(slice(first, first + cut.shape[1]))
            first += columns[-1].shape[1]
            full = np.zeros((len(self.everyone), y.shape[1]))
            full[at] = y
            rest.append(full)
        gram = np.concatenate([gram_matrices(parts, columns) for parts in self.sources])
        traces = np.empty((len(self.groups), len(gram)))
        for p, (part, own, r) in enumerate(zip(kept, columns, self.relationships, strict=True)):
            fixed = slice(part.stop, part.start + own.shape[1])
            traces[p] = r.diagonals.sum(axis=1) - np.einsum("gcc->g", gram[:, fixed, fixed])
        rows = np.concatenate([np.arange(part.start, part.stop) for part in kept])
        table = gram[:, rows][:, :, rows].reshape(
            len(gram), -1, self.n_blocks, len(rows) // self.n_blocks, self.n_blocks
        )
        values = np.hstack(rest)
        member = (self.blocks == np.arange(self.n_blocks)[:, None]).astype(np.float64)
        shared = np.einsum("bn,ns,nt->stb", member, values, values, optimize=True)
        return Quadratic(table, shared, traces)

    # -- T ---------------------------------------------------------------------------------------------------
    def exact_moments(self) -> dict[tuple[int, int], CrossMoments]:
        """T of every pair of groups s <= t, from all unit vectors."""
        return {pair: sums.exact() for pair, sums in self._sums(None, self.blocks).items()}

    def sampled_moments(
        self, traces: np.ndarray, n_probes: int | None, seed: int
    ) -> dict[tuple[int, int], CrossMoments]:
        """T of every pair of groups s <= t, from random probes (None: 64 vectors); traces as in `Quadratic`."""
        probes = max(1, -(-_VECTORS // self.n_blocks)) if n_probes is None else n_probes
        member = (self.blocks[:, None] == np.arange(self.n_blocks)).astype(np.float64)
        z = signs(self.everyone, 0, probes, seed)
        columns = (z[:, :, None] * member[:, None, :]).reshape(len(z), -1)
        labels = np.tile(np.arange(self.n_blocks), probes)
        size = np.bincount(self.blocks, minlength=self.n_blocks)[labels].astype(np.float64)
        sums = self._sums(columns, labels)
        found = {}
        for (s, t), own in sums.items():
            both = sorted({s, t})
            variates = np.hstack([sums[p, p].shared[:, self.used] for p in both])
            known = np.concatenate([traces[p, self.used] for p in both])
            found[s, t] = own.sampled(1.0 / probes, size, variates, known, traces[s] if s == t else None)
        return found

    def _sums(self, columns: np.ndarray | None, labels: np.ndarray) -> dict[tuple[int, int], ProbeSums]:
        """Sums over the vectors (N, J), None for all unit vectors, each of the block `labels`."""
        p, g, n, count = len(self.groups), self.n_components, len(self.everyone), len(labels)
        pairs = {(s, t): self._empty(s, t, count) for s in range(p) for t in range(s, p)}
        together = int(np.clip(_BATCH_BYTES // (8 * p * p * g * n), 16, _TOGETHER))
        for first in range(0, count, together):
            part = slice(first, min(first + together, count))
            width = part.stop - part.start
            vectors = np.eye(n, width, -first) if columns is None else columns[:, part]
            own = [group.design.residual(vectors[at]) for group, at in zip(self.groups, self.at, strict=True)]
            by_source = [cross_products(parts, own) for parts in self.sources]
            for s, group in enumerate(self.groups):
                products = np.concatenate([of_groups[s] for of_groups in by_source])
                rows = self.blocks[self.at[s]]
                for t in range(s, p):
                    a = [group.design.residual(k[:, t * width : (t + 1) * width]) for k in products]
                    pairs[s, t].add(np.stack(a), own[s], rows, labels[part], part)
        return pairs

    def _empty(self, s: int, t: int, vectors: int) -> ProbeSums:
        """Without vectors, but tr(A_e A_e'), which is known; to the blocks by their samples in common."""
        common, left, right = np.intersect1d(self.at[s], self.at[t], return_indices=True)
        sums = ProbeSums.empty(self.n_components, self.n_blocks, vectors, len(common))
        if len(common):
            bases = self.groups[s].design.basis[left], self.groups[t].design.basis[right]
            share = np.bincount(self.blocks[common], minlength=self.n_blocks) / len(common)
            sums.by_block[-1, -1] = np.diag(share * product_of_projections(*bases))
        return sums
