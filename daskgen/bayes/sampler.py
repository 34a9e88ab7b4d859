"""Chains of one problem: their state, and running them for some iterations on threads.

Chains are spread over threads where there are enough of them; otherwise all threads work on one chain after the
other, each on its samples. Either way the bits are the same.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from daskgen.bayes.blocks import Blocks
from daskgen.bayes.methods import MarkerPrior
from daskgen.bayes.records import Design
from daskgen.kernels import gibbs
from daskgen.kernels.genotype_dots import n_tiles
from daskgen.kernels.philox import philox_key
from daskgen.kernels.teams import new_barrier

__all__ = ["Chains", "Problem", "trace_columns"]

log = logging.getLogger("daskgen.bayes")

_NONE = np.zeros((0, 0, 0))
_NO_DRAWS = gibbs.GivenDraws(np.zeros((0, 0)), _NONE, _NONE, _NONE, np.zeros((0, 0)))


@dataclass(frozen=True, eq=False)
class Problem:
    """Data and priors of one trait, shared by its chains.

    genotypes: the `Markers` of the kernel; set_start: int64 (sets + 1,), the markers of each set; residual: (start
    value, df, 1 if estimated).
    """

    markers: gibbs.Markers
    records: gibbs.Records
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

    @property
    def n_markers(self) -> int:
        return int(self.set_start[-1])

    @property
    def n_records(self) -> int:
        return int((self.records.w > 0).sum())

    def kernel_priors(self) -> gibbs.Priors:
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
        return gibbs.Priors(
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
class Chains:
    """State and sums of several chains, and how far they are."""

    problem: Problem
    keys: np.ndarray
    state: gibbs.State
    sums: gibbs.Sums
    iteration: int = 0
    saved: int = 0
    draws: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)

    @classmethod
    def start(cls, problem: Problem, n_chains: int, n_draws: int, seed: int, *, purpose: str = "bayes") -> Chains:
        """Chains at their start values: no marker has an effect, variances as the priors say."""
        p, q = problem.n_markers, len(problem.design.term)
        width = problem.markers.packed.shape[1]
        priors = problem.priors
        classes = max(len(prior.gamma) for prior in priors)
        pi = np.zeros((len(priors), classes))
        for s, prior in enumerate(priors):
            pi[s, : len(prior.pi)] = prior.pi
        own = np.zeros(0)
        if any(prior.kind != gibbs.COMMON for prior in priors):
            own = np.concatenate(
                [
                    np.full(int(b - a), prior.variance * (8.0 if prior.kind == gibbs.LASSO else 1.0))
                    for prior, a, b in zip(priors, problem.set_start[:-1], problem.set_start[1:], strict=True)
                ]
            )

        def each(values: Any, dtype: Any = np.float64) -> np.ndarray:
            values = np.asarray(values, dtype)
            return np.repeat(values[None], n_chains, axis=0).copy()

        state = gibbs.State(
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
        sums = gibbs.Sums(
            np.zeros((n_chains, p)),
            np.zeros((n_chains, p)),
            np.zeros((n_chains, p)),
            np.zeros((n_chains, 4, width)),
            np.zeros((n_chains, 4, width)),
            np.zeros((n_chains, n_draws, len(trace_columns(problem)))),
            np.zeros((n_chains, n_draws, q)),
            np.zeros((n_chains, 0, p), np.float32),
        )
        keys = np.stack([philox_key(seed, purpose, chain) for chain in range(n_chains)])
        return cls(problem, keys, state, sums)

    @property
    def n_chains(self) -> int:
        return len(self.keys)

    def advance(self, iterations: int, burn_in: int, thin: int, threads: int, *, keep_effects: bool) -> bool:
        """Run some iterations; False where a residual variance is no longer finite.

        keep_effects: keep the effects of saved draws too, as (chain, draw, marker, value) of those that are not zero.
        """
        before = self.saved
        now = max(0, (self.iteration + iterations - burn_in) // thin)
        draws = now - before
        sums = self.sums._replace(
            trace=np.zeros((self.n_chains, draws, self.sums.trace.shape[2])),
            theta=np.zeros((self.n_chains, draws, self.state.theta.shape[1])),
            draw=np.zeros((self.n_chains, draws if keep_effects else 0, self.problem.n_markers), np.float32),
        )
        done = self._run(iterations, burn_in, thin, threads, sums)
        self.sums.trace[:, before:now] = sums.trace
        self.sums.theta[:, before:now] = sums.theta
        if keep_effects and draws:
            for c in range(self.n_chains):
                draw, marker = np.nonzero(sums.draw[c])
                place = np.stack([np.full(len(draw), c), draw + before])
                self.draws.append((place.astype(np.int32), marker.astype(np.int32), sums.draw[c, draw, marker]))
        self.iteration += iterations
        self.saved = now
        return done

    def _run(self, iterations: int, burn_in: int, thin: int, threads: int, sums: gibbs.Sums) -> bool:
        """Groups of chains side by side, or all chains one after the other with a team of threads."""
        problem = self.problem
        width = problem.markers.packed.shape[1]
        tiles = n_tiles(width)
        groups = min(threads, self.n_chains)
        team = max(1, min(threads // groups, tiles))
        if groups < threads and tiles >= threads > self.n_chains:
            groups, team = 1, min(threads, tiles)
        priors, set_start = problem.kernel_priors(), problem.set_start.astype(np.int64)
        longest = max(4, int(problem.blocks.sizes.max()))
        jobs: list[tuple[Any, ...]] = []
        for group in range(groups):
            chains = slice(group * self.n_chains // groups, (group + 1) * self.n_chains // groups)
            shared = (
                new_barrier(),
                np.zeros((tiles, longest)),
                np.zeros((4, width)),
                np.zeros(longest),
                np.zeros((chains.stop - chains.start, problem.n_markers)),
            )
            state = gibbs.State(*(part[chains] for part in self.state))
            own_sums = gibbs.Sums(*(part[chains] for part in sums))
            for member in range(team):
                jobs.append(
                    (
                        *(problem.markers, problem.records, priors, state, own_sums, _NO_DRAWS),
                        *(self.keys[chains], set_start, problem.n_samples, self.iteration + 1, iterations),
                        *(burn_in, thin, int(problem.independent), member, team, *shared),
                    )
                )
        if len(jobs) == 1:
            return bool(gibbs.run(*jobs[0]) == iterations) and self._finite()
        # A member that waits at the barrier needs the others to run: as many threads as jobs, all at once.
        with ThreadPoolExecutor(len(jobs)) as pool:
            done = list(pool.map(lambda job: gibbs.run(*job), jobs))
        return all(n == iterations for n in done) and self._finite()

    def _finite(self) -> bool:
        return bool(np.isfinite(self.state.residual_variance).all())

    # -- checkpoints ---------------------------------------------------------------------------------------
    def as_arrays(self) -> dict[str, np.ndarray]:
        """Everything that a restart needs."""
        found = {f"state_{name}": value for name, value in self.state._asdict().items()}
        found |= {f"sums_{name}": value for name, value in self.sums._asdict().items() if name != "draw"}
        found |= {"iteration": np.asarray(self.iteration), "saved": np.asarray(self.saved)}
        if self.draws:
            found["draw_place"] = np.concatenate([place for place, _, _ in self.draws], axis=1)
            found["draw_marker"] = np.concatenate([marker for _, marker, _ in self.draws])
            found["draw_value"] = np.concatenate([value for _, _, value in self.draws])
        return found

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `as_arrays` gave."""
        self.state = gibbs.State(*(np.ascontiguousarray(arrays[f"state_{name}"]) for name in gibbs.State._fields))
        self.sums = gibbs.Sums(
            *(
                self.sums.draw if name == "draw" else np.ascontiguousarray(arrays[f"sums_{name}"])
                for name in gibbs.Sums._fields
            )
        )
        self.iteration, self.saved = int(arrays["iteration"]), int(arrays["saved"])
        self.draws = []
        if "draw_place" in arrays:
            self.draws = [(arrays["draw_place"], arrays["draw_marker"], arrays["draw_value"])]
