"""The passes of LD-score regression: which task does which traits, and what it hands back.

Traits are read in groups of eight. A first map reads every group once (into the worker's cache, as far as its budget
goes) and says how many variants each trait has; a second one does the pairs of two groups in a task. A pair's sums are
a function of its two traits alone, so results do not depend on groups, workers or threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from daskgen.kernels import ldsc as kernels
from daskgen.ldsc.alignment import Regressors, TraitCounts, align_trait
from daskgen.ldsc.blocks import block_ranks
from daskgen.ldsc.diagnostics import genomic_control
from daskgen.ldsc.moments import PairMoments
from daskgen.ldsc.sources import TraitReader
from daskgen.ldsc.weights import variance_slope
from daskgen.linalg.vech import vech_indices
from daskgen.passes import MemoryItem, PassRunner, Plan, cache_budget, worker_cache

__all__ = ["PairSums", "RegressionPass"]

GROUP = 8
"""Traits that are read together: with 1.2 million variants 150 MB."""

_LIBRARIES = 250_000_000  # resident memory of a process that has imported what a pass needs


class PairSums(NamedTuple):
    """Of all pairs in the order of vech: moments (pairs, 8), block sums (pairs, blocks, 5), as the kernels give them.

    Pairs with at most as many variants as blocks have no block sums (NaN).
    """

    moments: np.ndarray
    blocks: np.ndarray


@dataclass(frozen=True, eq=False)
class RegressionPass:
    """The regressions of some traits of a source.

    traits: their rows in the source; m: number of variants that the LD scores sum over; chisq_max: see `align_trait`.
    """

    reader: TraitReader
    traits: tuple[int, ...]
    regressors: Regressors
    m: float
    n_blocks: int
    chisq_max: float | None
    memory_limit: int

    @property
    def groups(self) -> list[tuple[int, ...]]:
        """Traits in groups, by their positions in `traits`."""
        k = len(self.traits)
        return [tuple(range(start, min(start + GROUP, k))) for start in range(0, k, GROUP)]

    @property
    def trait_bytes(self) -> int:
        """Bytes of an aligned trait, z and N."""
        return 2 * self.reader.dtype.itemsize * len(self.regressors.rows)

    def plan(self, runner: PassRunner) -> Plan:
        """What is read and needed in memory, per process."""
        executor = runner.executor()
        processes = 1 if executor.in_process else max(1, len(executor.workers))
        threads = max(1, executor.n_threads // processes)
        groups = len(self.groups)
        # With room for all of them, threads of a process share the groups in its cache.
        group_bytes = min(GROUP, len(self.traits)) * self.trait_bytes
        memory = [
            MemoryItem("Python and its libraries", _LIBRARIES),
            MemoryItem("LD scores", 2 * self.regressors.nbytes),
            MemoryItem(
                f"two groups of {min(GROUP, len(self.traits))} traits, {threads} threads",
                min(2 * threads, groups) * group_bytes,
                lower="fewer threads",
            ),
            MemoryItem("traits being read", 3 * threads * 16 * self.reader.n_variants, lower="fewer threads"),
            MemoryItem("sums", len(self.traits) ** 2 * self.n_blocks * 40 * 4),
        ]
        plan = Plan(
            f"{len(self.traits)} traits, {len(self.traits) * (len(self.traits) + 1) // 2:,} regressions of up to "
            f"{self.regressors.n_variants:,} variants, {self.n_blocks:,} blocks",
            bytes_per_pass=16 * len(self.traits) * self.reader.n_variants,
            memory=memory,
            memory_limit=self.memory_limit // processes,
            workers=f"{processes} process{'es' * (processes > 1)} of {threads} thread{'s' * (threads > 1)}",
        )
        share = len(self.traits) * self.trait_bytes
        room = cache_budget(plan.memory_limit, plan.needed)
        plan.memory.append(MemoryItem("traits kept in memory", min(share, room), optional=True))
        return plan

    def run(self) -> tuple[list[TraitCounts], np.ndarray, PairSums]:
        """Both maps, on the current scheduler: counts and lambda GC of the traits, and the sums of all pairs."""
        runner = PassRunner()
        plan = self.plan(runner)
        plan.check()
        budget = cache_budget(plan.memory_limit, plan.needed)
        task = _Task(self.reader, self.traits, self.m, self.n_blocks, self.chisq_max, budget)
        groups, k = self.groups, len(self.traits)
        counts: dict[int, TraitCounts] = {}
        lambda_gc = np.empty(k)
        for index, found in runner.run_map(
            _summarise_group,
            range(len(groups)),
            task,
            groups,
            self.regressors,
            label="traits",
            unit_bytes=GROUP * 16.0 * self.reader.n_variants,
        ):
            for trait, (of_trait, factor) in zip(groups[index], found, strict=True):
                counts[trait], lambda_gc[trait] = of_trait, factor
        tiles = [(a, b) for a in range(len(groups)) for b in range(a, len(groups))]
        row, column = vech_indices(k)
        cell = np.zeros((k, k), np.int64)
        cell[row, column] = cell[column, row] = np.arange(len(row))
        sums = PairSums(np.empty((len(row), 8)), np.empty((len(row), self.n_blocks, 5)))
        for _, (first, second, moments, blocks) in runner.run_map(
            _sum_pairs, range(len(tiles)), task, tiles, groups, self.regressors, label="regressions"
        ):
            cells = cell[first, second]
            sums.moments[cells], sums.blocks[cells] = moments, blocks
        return [counts[trait] for trait in range(k)], lambda_gc, sums


@dataclass(frozen=True, eq=False)
class _Task:
    """What tasks need beside the regressors; small unless the source is an array in memory."""

    reader: TraitReader
    traits: tuple[int, ...]
    m: float
    n_blocks: int
    chisq_max: float | None
    budget: int

    @property
    def nbytes(self) -> int:
        return int(getattr(self.reader, "nbytes", 0))

    def load(self, group: tuple[int, ...], regressors: Regressors) -> _Group:
        """Traits of a group in the order of the regressors, from this worker's cache if they are there."""

        def read() -> tuple[_Group, int]:
            z, n = (np.empty((len(group), len(regressors.rows)), self.reader.dtype) for _ in range(2))
            counts = [
                align_trait(*self.reader.read(self.traits[trait]), regressors, self.chisq_max, z[i], n[i])
                for i, trait in enumerate(group)
            ]
            return _Group(z, n, counts), z.nbytes + n.nbytes

        if self.budget <= 0:
            return read()[0]
        owner = ("ldsc", self.reader.reader_id, regressors.key, self.chisq_max)
        return worker_cache().get(owner, tuple(self.traits[i] for i in group), read, budget=self.budget)


class _Group(NamedTuple):
    """z and n: (traits, padded variants), as the kernels take them."""

    z: np.ndarray
    n: np.ndarray
    counts: list[TraitCounts]


# -- tasks ---------------------------------------------------------------------------------------------------
def _summarise_group(
    index: int, task: _Task, groups: list[tuple[int, ...]], regressors: Regressors
) -> list[tuple[TraitCounts, float]]:
    """Counts and lambda GC of the traits of a group, which stays in the worker's cache."""
    group = task.load(groups[index], regressors)
    chisq = [np.square(z[n > 0], dtype=np.float64) for z, n in zip(group.z, group.n, strict=True)]
    return list(zip(group.counts, map(genomic_control, chisq), strict=True))


def _sum_pairs(
    index: int, task: _Task, tiles: list[tuple[int, int]], groups: list[tuple[int, ...]], regressors: Regressors
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(traits of the pairs, first and second, moments, block sums) of all pairs of two groups, or inside one."""
    a, b = tiles[index]
    one = task.load(groups[a], regressors)
    other = one if a == b else task.load(groups[b], regressors)
    first, second = np.triu_indices(len(one.z)) if a == b else np.indices((len(one.z), len(other.z))).reshape(2, -1)
    moments, blocks = pair_sums(
        kernels.Pairs(one.z, one.n, other.z, other.n, first, second),
        regressors.score,
        regressors.weight,
        task.m,
        task.n_blocks,
    )
    return np.array(groups[a])[first], np.array(groups[b])[second], moments, blocks


def pair_sums(
    pairs: kernels.Pairs, score: np.ndarray, weight: np.ndarray, m: float, n_blocks: int
) -> tuple[np.ndarray, np.ndarray]:
    """Moments (pairs, 8) and block sums (pairs, n_blocks, 5) of pairs of traits in memory."""
    sums = kernels.pair_moments(pairs, score)
    moments = PairMoments.of(sums)
    enough = moments.count > n_blocks
    ranks = block_ranks(np.where(enough, moments.count, n_blocks + 1), n_blocks)
    slopes = variance_slope(moments.chisq, moments.ld_n, m)
    blocks = kernels.block_sums(pairs, score, weight, slopes, kernels.edge_rows(pairs, ranks))
    blocks[~enough] = np.nan
    return sums, blocks
