"""The problem of one trait as the kernel takes it, and its chains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from daskgen.bayes.blocks import Blocks
from daskgen.bayes.chains import ChainsOfKernel, for_each_chain
from daskgen.bayes.methods import MarkerPrior
from daskgen.bayes.records import Design
from daskgen.bayes.streaming import Feed
from daskgen.kernels.gibbs import run, work_space
from daskgen.kernels.gibbs_types import COMMON, LASSO, GivenDraws, Markers, Priors, Records, State, Sums
from daskgen.kernels.philox import philox_key

__all__ = ["Chains", "Problem", "trace_columns"]

_NONE = np.zeros((0, 0, 0))
_NO_DRAWS = GivenDraws(np.zeros((0, 0)), _NONE, _NONE, _NONE, np.zeros((0, 0)))


@dataclass(frozen=True, eq=False)
class Problem:
    """Data and priors of one trait: see `chains.KernelProblem`."""

    markers: Markers | None
    records: Records
    design: Design
    priors: Sequence[MarkerPrior]
    set_names: Sequence[str]
    set_start: np.ndarray
    blocks: Blocks
    n_samples: int
    residual_variance: float
    residual_df: float
    estimate_residual_variance: bool
    independent: bool = False
    repeated_records: int = 0
    feed: Feed | None = None

    @property
    def n_markers(self) -> int:
        return int(self.set_start[-1])

    @property
    def n_records(self) -> int:
        """Records with a weight, among them `repeated_records` beside the first of their sample."""
        return int((self.records.w > 0).sum()) + self.repeated_records

    def kernel_priors(self) -> Priors:
        """The priors as arrays over sets."""
        classes = max(len(prior.gamma) for prior in self.priors)
        gamma = np.zeros((len(self.priors), classes))
        for s, prior in enumerate(self.priors):
            gamma[s, : len(prior.gamma)] = prior.gamma
        by_marker = np.zeros((classes, 0))
        if any(prior.pi_marker is not None for prior in self.priors):
            zero = np.concatenate(
                [
                    prior.pi_marker if prior.pi_marker is not None else np.full(int(b - a), prior.pi[0])
                    for prior, a, b in zip(self.priors, self.set_start[:-1], self.set_start[1:], strict=True)
                ]
            )
            with np.errstate(divide="ignore"):
                by_marker = np.log(np.stack([zero, 1 - zero]))
        random = self.design.random
        df = self.residual_df
        return Priors(
            np.array([len(prior.gamma) for prior in self.priors], np.int64),
            gamma,
            np.array([prior.kind for prior in self.priors], np.int64),
            np.array([prior.df for prior in self.priors]),
            np.array([prior.scale for prior in self.priors]),
            np.array([prior.estimate_pi for prior in self.priors], np.int64),
            np.array([prior.estimate_variance for prior in self.priors], np.int64),
            np.ascontiguousarray(by_marker),
            np.array([term.df for term in random]),
            np.array([term.variance * (term.df - 2) / term.df for term in random]),
            np.array(
                [
                    df,
                    self.residual_variance * (df - 2) / df,
                    float(self.estimate_residual_variance),
                    float(self.n_records),
                ]
            ),
        )


def trace_columns(problem: Problem) -> list[str]:
    """Names of the numbers that are kept of every saved draw, in order."""
    several = len(problem.priors) > 1
    names = ["residual_variance", "genetic_variance", "heritability"]
    for prior, label in zip(problem.priors, problem.set_names, strict=True):
        end = f"_{label}" if several else ""
        names += [f"marker_variance{end}", f"n_included{end}"]
        names += [f"pi{end}" if k == 0 else f"pi{end}_{k}" for k in range(len(prior.gamma))]
    return names + [f"variance_{term.name}" for term in problem.design.random]


@dataclass(eq=False)
class Chains(ChainsOfKernel):
    """Chains of one trait."""

    problem: Problem
    state: State
    sums: Sums

    @classmethod
    def start(
        cls, problem: Problem, n_chains: int, n_draws: int, seed: int, *, first: int = 0, purpose: str = "bayes"
    ) -> Chains:
        """Chains at their start values: no marker has an effect, variances as the priors say. first: number of the
        first chain, which its draws depend on.
        """
        p, q = problem.n_markers, len(problem.design.term)
        width = problem.records.w.shape[1]
        priors = problem.priors
        classes = max(len(prior.gamma) for prior in priors)
        pi = np.zeros((len(priors), classes))
        for s, prior in enumerate(priors):
            pi[s, : len(prior.pi)] = prior.pi
        own = np.zeros(0)
        if any(prior.kind != COMMON for prior in priors):
            own = np.concatenate(
                [
                    np.full(int(b - a), prior.variance * (8.0 if prior.kind == LASSO else 1.0))
                    for prior, a, b in zip(priors, problem.set_start[:-1], problem.set_start[1:], strict=True)
                ]
            )

        each = partial(for_each_chain, n_chains=n_chains)
        state = State(
            each(problem.records.y),
            np.zeros((n_chains, 4, width)),
            np.zeros((n_chains, p)),
            np.zeros((n_chains, p)),
            np.zeros((n_chains, p), np.int8),
            each(own),
            each([prior.variance for prior in priors]),
            each(pi),
            np.zeros((n_chains, q)),
            each([term.variance for term in problem.design.random]).reshape(n_chains, -1),
            np.full(n_chains, problem.residual_variance),
        )
        sums = Sums(
            np.zeros((n_chains, p)),
            np.zeros((n_chains, p)),
            np.zeros((n_chains, p)),
            np.zeros((n_chains, 4, width)),
            np.zeros((n_chains, 4, width)),
            np.zeros((n_chains, n_draws, len(trace_columns(problem)))),
            np.zeros((n_chains, n_draws, q)),
            np.zeros((n_chains, 0, p), np.float32),
        )
        keys = np.stack([philox_key(seed, purpose, chain) for chain in range(first, first + n_chains)])
        return cls(problem, keys, state, sums)

    @property
    def _kernel(self) -> Callable[..., int]:
        return run

    @property
    def _no_draws(self) -> GivenDraws:
        return _NO_DRAWS

    def _work_space(self, chains: int, tiles: int, longest: int) -> tuple[np.ndarray, ...]:
        return work_space(chains, self.problem.n_markers, self.problem.records.w.shape[1], longest)

    def residual_variances(self) -> np.ndarray:
        """As they are now, of all chains."""
        return self.state.residual_variance
