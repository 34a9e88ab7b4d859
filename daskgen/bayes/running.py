"""Chains run to their end: in pieces, between which signals are seen, checkpoints written and divergence noticed."""

from __future__ import annotations

import numpy as np

from daskgen.bayes.chains import ChainsOfKernel, KernelProblem
from daskgen.bayes.gang import GangRun
from daskgen.bayes.settings import Settings
from daskgen.errors import NotConvergedError
from daskgen.interrupts import deferred
from daskgen.passes.checkpoint import Checkpoint
from daskgen.passes.progress import Progress

__all__ = ["run_chains"]

_SEGMENT_GENOTYPES = 2e10  # genotypes swept between two looks at signals and checkpoints, some seconds
_GROWTH = 100.0  # times the phenotypic variance: a residual variance above that has diverged


def run_chains(
    chains: ChainsOfKernel,
    iterations: int,
    settings: Settings,
    threads: int,
    keep_effects: bool,
    checkpoint: Checkpoint,
    variance: float | np.ndarray,
    gang: GangRun | None = None,
) -> None:
    """All iterations, in pieces between which signals are seen and checkpoints written.

    variance: of the phenotype, or of each trait; gang: where the chains run on workers. Raises NotConvergedError where
    a residual variance is far above the phenotype's.
    """
    problem: KernelProblem = chains.problem
    sweep = float(problem.n_samples) * problem.n_markers * chains.n_chains
    in_piece = _SEGMENT_GENOTYPES * (threads if gang is None else gang.n_threads)
    piece = int(max(1, min(in_piece // max(sweep, 1.0), 1_000)))
    with Progress("iterations", iterations, sweep / 4) as progress:
        shown = done = chains.iteration
        progress.advance(done)
        try:
            while done < iterations:
                step = min(piece, iterations - done)
                if gang is None:
                    with deferred():  # a piece that is half done could not be gone on with
                        finite = chains.advance(
                            step, settings.burn_in, settings.thin, threads, keep_effects=keep_effects
                        )
                    variances, done = chains.residual_variances(), chains.iteration
                else:
                    finite, variances = gang.advance(step, last=done + step >= iterations)
                    done = gang.iteration
                growth = float((variances / variance).max())
                if not finite or growth > _GROWTH:
                    raise _diverged(problem, done, growth)
                progress.advance(max(0, done - shown))
                shown = max(shown, done)
                checkpoint.save(chains.as_arrays())
        except KeyboardInterrupt:
            checkpoint.save(chains.as_arrays(), force=True)
            raise


def _diverged(problem: KernelProblem, iteration: int, growth: float) -> NotConvergedError:
    found = f"a residual variance of {growth:.3g} times the phenotypic variance at iteration {iteration:,}"
    if problem.independent:
        return NotConvergedError(
            "the chains diverged: independent blocks are not stable on these genotypes.",
            found=found,
            do='schedule="exact", which is exact and as fast a pass',
        )
    return NotConvergedError("the chains diverged.", found=found, do="look for extreme phenotypes, or stronger priors")
