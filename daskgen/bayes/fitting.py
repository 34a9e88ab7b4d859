"""What every fit does: genotypes made ready for the kernel after the plan is checked; chains run, with restart."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from daskgen.bayes.blocks import Blocks, make_markers
from daskgen.bayes.chains import ChainsOfKernel
from daskgen.bayes.gang import GangRun, Job, new_name
from daskgen.bayes.holding import Holding, stored_rows
from daskgen.bayes.matrix import MarkerMatrix, join_sets
from daskgen.bayes.planning import announce, keeps_effects, leakage, make_plan
from daskgen.bayes.preparation import Prepared
from daskgen.bayes.records import Design
from daskgen.bayes.rows import StoredMatrix
from daskgen.bayes.running import run_chains
from daskgen.bayes.settings import Settings
from daskgen.bayes.streaming import Feed
from daskgen.passes.checkpoint import Checkpoint
from daskgen.passes.executors import ClusterExecutor, current_executor
from daskgen.stores import RunKey

__all__ = ["Loaded", "finish", "load_markers"]

log = logging.getLogger("daskgen.bayes")

Result = TypeVar("Result")

_NOT_OF_THE_DRAWS = ("memory_limit", "keep_checkpoint")
"""Settings that a run which goes on may change."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """The genotypes of a fit. markers: of the kernel, None where only workers have them; feed: what brings blocks that
    are in the store.
    """

    holding: Holding
    matrix: MarkerMatrix | StoredMatrix
    markers: Any
    feed: Feed | None = None


def load_markers(prepared: Prepared, settings: Settings, priors: Sequence[Any], weights: np.ndarray) -> Loaded:
    """The genotypes as the kernel takes them, after the plan is said and checked. weights: of the samples, planes."""
    plan, holding = make_plan(prepared, settings, len(priors[0].pi))
    announce(prepared, priors, settings, plan)
    plan.check()
    blocks, sets = prepared.blocks, prepared.loaded
    if holding.place == "memory":
        matrix = join_sets(sets)
        _say_leakage(matrix, blocks, settings, weights)
        return Loaded(holding, matrix, make_markers(matrix, blocks, weights, prepared.threads))
    shift, missing = (np.concatenate([getattr(one, part) for one in sets]) for part in ("shift", "missing"))
    stored = StoredMatrix(stored_rows(sets), shift, missing)
    _say_leakage(stored, blocks, settings, weights)
    if holding.residence is None:
        return Loaded(holding, stored, None)
    gaps = np.concatenate([one.gaps for one in sets if one.gaps is not None])
    feed = Feed(stored_rows(sets), blocks, holding.residence, shift, missing, gaps, weights, prepared.threads)
    return Loaded(holding, stored, feed.markers, feed)


def _say_leakage(matrix: MarkerMatrix | StoredMatrix, blocks: Blocks, settings: Settings, weights: np.ndarray) -> None:
    if settings.schedule == "independent":
        log.warning("independent blocks are an approximation; %s", leakage(matrix, blocks, weights))


def finish(
    chains: ChainsOfKernel,
    prepared: Prepared,
    settings: Settings,
    loaded: Loaded,
    share: float,
    data: Sequence[np.ndarray | None],
    checkpoint: Any,
    variance: float | np.ndarray,
    result: Callable[[RunKey], Result],
) -> Result:
    """Run the chains, from their checkpoint where there is one, and make the result of them.

    loaded: the genotypes; share: expected share of effects that are not 0; data: what else than the settings the draws
    depend on; variance: of the phenotypes.
    """
    run = RunKey(
        "bayes",
        {
            "trait": prepared.name,
            "data": _digest(prepared.design, data),
            **{key: value for key, value in vars(settings).items() if key not in _NOT_OF_THE_DRAWS},
        },
        [{"genotypes": one.opened.input_id} for one in prepared.loaded],
    )
    state = Checkpoint(checkpoint, run)
    kept = state.load()
    if kept is not None:
        chains.restore(kept)
        log.info("going on from iteration %s of %s", f"{chains.iteration:,}", f"{prepared.iterations:,}")
    keep = keeps_effects(settings, share * chains.sums.draw.shape[2], prepared.draws)
    gang = _gang(chains, prepared, settings, loaded, keep)
    try:
        run_chains(chains, prepared.iterations, settings, prepared.threads, keep, state, variance, gang)
    finally:
        if loaded.feed is not None:
            loaded.feed.close()
        if gang is not None:
            gang.close()
    found = result(run)
    if settings.keep_checkpoint:
        state.save(chains.as_arrays(), force=True)
    else:
        state.remove()
    return found


def _gang(chains: ChainsOfKernel, prepared: Prepared, settings: Settings, loaded: Loaded, keep: bool) -> GangRun | None:
    """The chains on the workers of the current cluster, where they are to be there."""
    executor = current_executor()
    if loaded.holding.place != "workers" or not isinstance(executor, ClusterExecutor):
        return None
    matrix = loaded.matrix
    job = Job(
        new_name(),
        chains.problem,
        type(chains).start,
        stored_rows(prepared.loaded),
        matrix.shift,
        matrix.missing,
        prepared.draws,
        settings.seed,
        settings.burn_in,
        settings.thin,
        keep,
    )
    return GangRun(executor, job, chains, loaded.holding.least_members)


def _digest(design: Design, data: Sequence[np.ndarray | None]) -> str:
    digest = hashlib.sha256()
    for array in (*data, design.pointer, design.sample, design.value, design.precision):
        digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]
