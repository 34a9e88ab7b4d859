"""Chains of any kernel: what they hold, running them on threads, and what a restart needs.

Chains are spread over threads where there are enough of them; otherwise all threads work on one chain after the
other, each on its samples. Either way the bits are the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from daskgen.bayes.blocks import Blocks
from daskgen.bayes.exchange import Exchange
from daskgen.bayes.streaming import Feed
from daskgen.kernels.genotype_dots import n_tiles
from daskgen.kernels.gibbs import BLOCK, ITERATION, SUMS
from daskgen.kernels.hooks import Hook
from daskgen.kernels.teams import new_barrier

__all__ = ["ChainsOfKernel", "KernelProblem", "for_each_chain"]


class KernelProblem(Protocol):
    """Data and priors that the chains of one fit share.

    markers, records: of the kernel, markers being None where only workers have them; feed: what brings those that are
    in the store; set_start: int64 (sets + 1,), the markers of each set.
    """

    markers: Any
    records: Any
    set_start: np.ndarray
    blocks: Blocks
    n_samples: int
    independent: bool
    feed: Feed | None

    @property
    def n_markers(self) -> int:
        """Markers of all sets."""

    def kernel_priors(self) -> Any:
        """The priors as the kernel takes them."""


def for_each_chain(values: Any, n_chains: int, dtype: Any = np.float64) -> np.ndarray:
    """The same start values for every chain: (chains, ...)."""
    values = np.asarray(values, dtype)
    return np.repeat(values[None], n_chains, axis=0).copy()


@dataclass(eq=False)
class ChainsOfKernel(ABC):
    """State and sums of several chains, and how far they are.

    state, sums: named tuples of arrays whose first axis is the chain; sums has trace (C, draws, columns), theta
    (C, draws, Q) and draw (C, draws, P), of no draws where effects are not kept. exchange: of the gang that has the
    samples together.
    """

    problem: Any
    keys: np.ndarray
    state: Any
    sums: Any
    iteration: int = 0
    saved: int = 0
    draws: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    exchange: Exchange | None = None

    @classmethod
    @abstractmethod
    def start(cls, problem: Any, n_chains: int, n_draws: int, seed: int, *, first: int = 0) -> ChainsOfKernel:
        """Chains at their start values. first: number of the first chain, which its draws depend on."""

    @property
    @abstractmethod
    def _kernel(self) -> Callable[..., int]:
        """What runs the chains: see `daskgen.kernels.gibbs.run` for its arguments."""

    @property
    @abstractmethod
    def _no_draws(self) -> Any:
        """The kernel's tuple of given random numbers, without any."""

    @abstractmethod
    def _work_space(self, chains: int, tiles: int, longest: int) -> tuple[np.ndarray, ...]:
        """The kernel's last arguments, for a team with so many chains, tiles of samples, and longest block: first of
        them the sums by tile.
        """

    @property
    def helped(self) -> bool:
        """Whether the kernel asks for something while it runs, and so takes all chains together."""
        return self.problem.feed is not None or self.exchange is not None

    def _hook(self, partial_sums: np.ndarray) -> Hook | None:
        """What the kernel may ask for: blocks that are in the store, and what the other members of the gang have."""
        if not self.helped:
            return None
        feed: Feed | None = self.problem.feed
        exchange = self.exchange

        def asked(what: int, number: int) -> None:
            if what == BLOCK and feed is not None:
                feed.bring(number)
            elif what == SUMS and exchange is not None:
                exchange.add(partial_sums)
            elif what == ITERATION and exchange is not None:
                exchange.gather(self.state)

        if feed is not None:
            feed.begin()
        return Hook(asked)

    def _part(self, tiles: int, hook: Hook | None) -> tuple[Any, ...]:
        """The kernel's arguments that say which of `tiles` this process has and whom it asks."""
        address = 0 if hook is None else hook.address
        if self.exchange is None:
            return np.array([0, tiles]), 0, address
        return self.exchange.bounds, self.exchange.member, address

    @abstractmethod
    def residual_variances(self) -> np.ndarray:
        """As they are now, of all chains."""

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
            theta=np.zeros((self.n_chains, draws, self.sums.theta.shape[2])),
            draw=np.zeros((self.n_chains, draws if keep_effects else 0, self.sums.draw.shape[2]), np.float32),
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

    def _run(self, iterations: int, burn_in: int, thin: int, threads: int, sums: Any) -> bool:
        """Groups of chains side by side, or all chains one after the other with a team of threads."""
        problem: KernelProblem = self.problem
        width = problem.records.w.shape[1]
        tiles = n_tiles(width)
        groups = min(threads, self.n_chains)
        team = max(1, min(threads // groups, tiles))
        if self.helped or (groups < threads and tiles >= threads > self.n_chains):
            groups, team = 1, min(threads, tiles)  # all chains in one pass over the genotypes
        priors, set_start = problem.kernel_priors(), problem.set_start.astype(np.int64)
        longest = max(4, int(problem.blocks.sizes.max()))
        jobs: list[tuple[Any, ...]] = []
        for group in range(groups):
            chains = slice(group * self.n_chains // groups, (group + 1) * self.n_chains // groups)
            meeting, space = new_barrier(), self._work_space(chains.stop - chains.start, tiles, longest)
            state = self.state._make(part[chains] for part in self.state)
            hook = self._hook(space[0])
            own_sums = sums._make(part[chains] for part in sums)
            for member in range(team):
                jobs.append(
                    (
                        *(problem.markers, problem.records, priors, state, own_sums, self._no_draws),
                        *(self.keys[chains], set_start, problem.n_samples, self.iteration + 1, iterations),
                        *(
                            burn_in,
                            thin,
                            int(problem.independent),
                            *self._part(tiles, hook),
                            member,
                            team,
                            meeting,
                            *space,
                        ),
                    )
                )
        if len(jobs) == 1:
            done = [self._kernel(*jobs[0])]
        else:
            # A member that waits at the barrier needs the others to run: as many threads as jobs, all at once.
            with ThreadPoolExecutor(len(jobs)) as pool:
                done = list(pool.map(lambda job: self._kernel(*job), jobs))
        if hook is not None and hook.error is not None:
            raise hook.error
        return all(n == iterations for n in done) and self._finite()

    def _finite(self) -> bool:
        return bool(np.isfinite(self.residual_variances()).all())

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
        self.state = self.state._make(np.ascontiguousarray(arrays[f"state_{name}"]) for name in self.state._fields)
        self.sums = self.sums._make(
            self.sums.draw if name == "draw" else np.ascontiguousarray(arrays[f"sums_{name}"])
            for name in self.sums._fields
        )
        self.iteration, self.saved = int(arrays["iteration"]), int(arrays["saved"])
        self.draws = []
        if "draw_place" in arrays:
            self.draws = [(arrays["draw_place"], arrays["draw_marker"], arrays["draw_value"])]
