"""The problem of several traits as the kernel takes it, and its chains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from daskgen.bayes.blocks import Blocks
from daskgen.bayes.chains import ChainsOfKernel, for_each_chain
from daskgen.bayes.planes import to_planes
from daskgen.bayes.records import Design
from daskgen.bayes.streaming import Feed
from daskgen.bayes.trait_priors import TraitPrior, covariance_scale, state_name
from daskgen.kernels.genotype_layout import packed_width
from daskgen.kernels.gibbs_types import Markers
from daskgen.kernels.limbs import LIMBS, TILE
from daskgen.kernels.multi_trait import run_traits
from daskgen.kernels.multi_trait_types import GivenTraitDraws, TraitPriors, TraitRecords, TraitState, TraitSums
from daskgen.kernels.philox import philox_key

__all__ = ["TraitChains", "TraitProblem", "make_trait_records", "trait_trace_columns"]

_NONE = np.zeros((0, 0, 0, 0))
_NO_DRAWS = GivenTraitDraws(_NONE, _NONE)
_MOST_STATES = 16  # states up to which how often a marker is in each is counted


@dataclass(frozen=True, eq=False)
class TraitProblem:
    """Data and priors of several traits: see `chains.KernelProblem`. residual: R at the start, (T, T)."""

    markers: Markers | None
    records: TraitRecords
    design: Design
    priors: Sequence[TraitPrior]
    set_names: Sequence[str]
    set_start: np.ndarray
    blocks: Blocks
    n_samples: int
    traits: Sequence[str]
    residual: np.ndarray
    residual_df: float
    random_start: Sequence[np.ndarray]
    estimate_residual_variance: bool
    constraint: bool
    independent: bool = False
    feed: Feed | None = None

    @property
    def n_markers(self) -> int:
        return int(self.set_start[-1])

    @property
    def n_records(self) -> int:
        return int((self.records.w > 0).sum())

    @property
    def n_traits(self) -> int:
        return len(self.traits)

    def kernel_priors(self) -> TraitPriors:
        """The priors as arrays over sets."""
        df, scale = covariance_scale(self.residual, self.residual_df, diagonal=self.constraint)
        random = [
            covariance_scale(start, term.df - (0.0 if self.constraint else 1.0), diagonal=self.constraint)
            for start, term in zip(self.random_start, self.design.random, strict=True)
        ]
        t = self.n_traits
        return TraitPriors(
            np.array([prior.df for prior in self.priors]),
            np.stack([prior.scale for prior in self.priors]),
            np.array([prior.estimate_pi for prior in self.priors], np.int64),
            np.array([prior.estimate_variance for prior in self.priors], np.int64),
            np.array([prior.joint for prior in self.priors], np.int64),
            self.priors[0].states,
            np.array([df for df, _ in random], np.float64),
            np.array([scale for _, scale in random]).reshape(-1, t, t),
            np.array([df, float(self.n_records), float(self.estimate_residual_variance)]),
            np.ascontiguousarray(scale),
            int(self.constraint),
        )


def make_trait_records(
    phenotypes: np.ndarray, used: np.ndarray, weights: np.ndarray | None, design: Design, observed: np.ndarray
) -> TraitRecords:
    """Planes and compressed columns.

    phenotypes: float64 (T, samples), NaN where missing; used: bool (samples,); weights: (samples,); observed: bool
    (samples,), which count for the genetic variance. With several records of a sample, samples are its copies.
    """
    traits, n = phenotypes.shape
    seen = ~np.isnan(phenotypes) & used
    weight = np.where(used, 1.0 if weights is None else weights, 0.0)
    codes = (seen * (1 << np.arange(traits))[:, None]).sum(axis=0)
    patterns = np.unique(codes[used])
    index = np.full(4 * packed_width(n), -1, np.int32)
    index[:n] = np.where(used, np.searchsorted(patterns, codes), -1)
    diagonal = [
        float(weight[design.sample[a:b]] @ design.value[a:b] ** 2)
        for a, b in zip(design.pointer[:-1], design.pointer[1:], strict=True)
    ]
    return TraitRecords(
        to_planes(np.where(seen, phenotypes, 0.0)),
        to_planes(weight),
        to_planes(observed.astype(np.float64)),
        np.ascontiguousarray(index.reshape(-1, 4).T),
        patterns.astype(np.int64),
        design.pointer,
        design.sample,
        design.value,
        np.asarray(diagonal, np.float64).reshape(-1),
        design.term,
        design.precision_pointer,
        design.precision_column,
        design.precision,
    )


def trait_trace_columns(problem: TraitProblem) -> list[str]:
    """Names of the numbers that are kept of every saved draw, in order."""
    names = list(problem.traits)
    triangle = [(a, b) for a in range(len(names)) for b in range(a + 1)]

    def matrix(what: str) -> list[str]:
        variance, covariance = f"{what}_variance", f"{what}_covariance"
        return [f"{variance}_{names[a]}" if a == b else f"{covariance}_{names[b]}_{names[a]}" for a, b in triangle]

    columns = matrix("residual") + matrix("genetic")
    columns += [f"heritability_{name}" for name in names]
    columns += [f"genetic_correlation_{names[b]}_{names[a]}" for a, b in triangle if a != b]
    several = len(problem.priors) > 1
    for prior, label in zip(problem.priors, problem.set_names, strict=True):
        end = f"_{label}" if several else ""
        columns += [column + end for column in matrix("marker")]
        columns += [f"n_included_{name}{end}" for name in names]
        columns += [f"pi_{state_name(int(state), len(names))}{end}" for state in prior.states]
    for term in problem.design.random:
        columns += [column.replace("random", f"{term.name}", 1) for column in matrix("random")]
    return columns


@dataclass(eq=False)
class TraitChains(ChainsOfKernel):
    """Chains of several traits."""

    problem: TraitProblem
    state: TraitState
    sums: TraitSums

    @classmethod
    def start(
        cls,
        problem: TraitProblem,
        n_chains: int,
        n_draws: int,
        seed: int,
        *,
        purpose: str = "bayes-traits",
        first: int = 0,
    ) -> TraitChains:
        """Chains at their start values: no marker has an effect, covariances as the priors say. first: number of the
        first chain, which its draws depend on.
        """
        p, q, t = problem.n_markers, len(problem.design.term), problem.n_traits
        shape = (n_chains, t, 4, problem.records.w.shape[1])
        each = partial(for_each_chain, n_chains=n_chains)
        likely = np.concatenate(
            [
                np.full(int(b - a), prior.states[np.argmax(prior.pi)])
                for prior, a, b in zip(problem.priors, problem.set_start[:-1], problem.set_start[1:], strict=True)
            ]
        )
        listed = len(problem.priors[0].states)
        state = TraitState(
            each(problem.records.y),
            each(problem.records.y),
            np.zeros(shape),
            np.zeros((n_chains, p, t)),
            np.zeros((n_chains, p, t)),
            each(likely, dtype=np.int16),
            each(np.stack([prior.variance for prior in problem.priors])),
            each(np.stack([prior.pi for prior in problem.priors])),
            np.zeros((n_chains, q, t)),
            each(np.asarray(problem.random_start).reshape(-1, t, t)),
            each(problem.residual),
        )
        counted = (p, listed) if listed <= _MOST_STATES else (0, 0)
        sums = TraitSums(
            np.zeros((n_chains, p, t)),
            np.zeros((n_chains, p, t)),
            np.zeros((n_chains, p, t)),
            np.zeros((n_chains, *counted)),
            np.zeros(shape),
            np.zeros(shape),
            np.zeros((n_chains, n_draws, len(trait_trace_columns(problem)))),
            np.zeros((n_chains, n_draws, q * t)),
            np.zeros((n_chains, 0, p * t), np.float32),
        )
        keys = np.stack([philox_key(seed, purpose, chain) for chain in range(first, first + n_chains)])
        return cls(problem, keys, state, sums)

    @property
    def _kernel(self) -> Callable[..., int]:
        return run_traits

    @property
    def _no_draws(self) -> GivenTraitDraws:
        return _NO_DRAWS

    def _work_space(self, chains: int, tiles: int, longest: int) -> tuple[np.ndarray, ...]:
        t = self.problem.n_traits
        vectors, longest = chains * t, max(longest, t * (t + 2) + 1)
        return (
            np.zeros((tiles, vectors, longest)),
            np.zeros((vectors, *self.problem.records.w.shape)),
            np.zeros((vectors, tiles, LIMBS, 4, TILE), np.int16),
            np.zeros((vectors, tiles)),
            np.zeros((vectors, tiles)),
            np.zeros((chains, t, self.problem.n_markers)),
            np.zeros((chains, 2, longest, t)),
            np.zeros((chains, len(self.problem.records.patterns), 2, t, t)),
        )

    def residual_variances(self) -> np.ndarray:
        """As they are now, (chains, T)."""
        return np.diagonal(self.state.residual_variance, axis1=1, axis2=2)
