"""What a run is about to do, said before it does it: memory, markers, chains."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from daskgen.bayes.blocks import Blocks
from daskgen.bayes.holding import LIBRARIES, Holding, Place, chain_bytes, draw_bytes, holding_of
from daskgen.bayes.matrix import MarkerMatrix
from daskgen.bayes.preparation import Prepared
from daskgen.bayes.rows import StoredMatrix
from daskgen.bayes.settings import Settings
from daskgen.kernels.genotype_layout import packed_width
from daskgen.passes import MemoryItem, Plan

__all__ = ["announce", "keeps_effects", "leakage", "make_plan"]

log = logging.getLogger("daskgen.bayes")

_LOWER: Mapping[Place, str] = {"memory": "fewer variants", "store": "", "workers": "more workers"}
_NEIGHBOURS = 64  # markers at each side of a block's end whose correlations are looked at
_LARGE_EFFECT_DRAWS = 200_000_000  # entries of kept effects, 12 bytes each


def keeps_effects(settings: Settings, expected: float, draws: int) -> bool:
    """Whether the effects of every draw are kept: as asked, or where their number, `expected` a draw, is moderate."""
    if settings.keep_effects is not None:
        return settings.keep_effects
    return expected * draws * settings.chains <= _LARGE_EFFECT_DRAWS / 10


def leakage(matrix: MarkerMatrix | StoredMatrix, blocks: Blocks, weights: np.ndarray) -> str:
    """Mean squared correlation of markers at both sides of blocks' ends, against 1 / n, what unrelated samples would
    give. weights: planes (4, bytes).
    """
    found = []
    root = np.sqrt(weights).reshape(-1)
    for b in range(min(8, len(blocks.owner) - 1)):
        first, middle, last = (int(blocks.start[b + i]) for i in range(3))
        first, last = max(first, middle - _NEIGHBOURS), min(last, middle + _NEIGHBOURS)
        values = matrix.values(first, last) * root
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        found.append(float(((values[: middle - first] @ values[middle - first :].T) ** 2).mean()))
    mean = float(np.mean(found)) if found else 0.0
    return (
        f"the mean squared correlation between markers of neighbouring blocks is {mean:.4f}, "
        f"{mean * int((weights > 0).sum()):.1f} times that of independent markers"
    )


def make_plan(prepared: Prepared, settings: Settings, states: int) -> tuple[Plan, Holding]:
    """Bytes of the genotypes and of what else is in memory at once. states: classes of effects, or states of traits."""
    chains, width = settings.chains, packed_width(prepared.n_samples)
    loaded, blocks, p = prepared.loaded, prepared.blocks, int(prepared.set_start[-1])
    traits = prepared.n_traits
    state = chains * chain_bytes(p, width, traits, states)
    draws = chains * draw_bytes(prepared.draws, traits, states)
    holding = holding_of(prepared.place, loaded, blocks, settings, state + draws)
    copies = f" as {prepared.n_samples:,} copies" if prepared.n_samples > prepared.n_given else ""
    plan = Plan(
        f"{prepared.name}: {chains} chains, {p:,} markers in {len(blocks.owner):,} blocks, "
        f"{prepared.n_given:,} samples{copies}",
        bytes_per_pass=holding.read_bytes or sum(one.nbytes for one in loaded),
        passes=prepared.iterations if holding.read_bytes else None,
        memory=[
            MemoryItem("Python and its libraries", LIBRARIES),
            MemoryItem("genotypes", holding.genotype_bytes, lower=_LOWER[holding.place]),
            MemoryItem("Gram matrices of the blocks", holding.gram_bytes, lower="smaller blocks (--blocks)"),
            MemoryItem("state and sums of the chains", state, lower="fewer chains"),
            MemoryItem("draws", draws),
            MemoryItem("reading and work space of the threads", holding.work_bytes),
        ],
        memory_limit=holding.limit,
        workers=holding.workers,
        notes=list(holding.notes),
    )
    return plan, holding


def announce(prepared: Prepared, priors: Sequence[Any], settings: Settings, plan: Plan) -> None:
    """Samples, markers, chains and the plan, to the log."""
    n = f"{prepared.n_given:,}"
    log.info("Samples    %s in the genotypes, %s with a record of %s", n, _count(prepared), prepared.name)
    for one, prior in zip(prepared.loaded, priors, strict=True):
        said = prior.description()
        log.info("Markers    %s: %s, %s; %s", one.opened.name, f"{one.n_markers:,}", prior.method, said)
    log.info(
        "Chains     %d of %s iterations, %s burn-in, every %d. saved; blocks of up to %d markers, schedule %s",
        settings.chains,
        f"{prepared.iterations:,}",
        f"{settings.burn_in:,}",
        settings.thin,
        int(prepared.blocks.sizes.max()),
        settings.schedule,
    )
    for line in plan.lines():
        log.info("%s", line)


def _count(prepared: Prepared) -> str:
    samples, records = int(prepared.with_records.sum()), int(prepared.used.sum())
    return f"{samples:,}" + (f" ({records:,} records)" if records > samples else "")
