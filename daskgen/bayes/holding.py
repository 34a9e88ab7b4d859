"""Where the genotypes of a fit are: in this process, in their store with some of them here, or on workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from daskgen import limits
from daskgen.bayes.blocks import Blocks, automatic_size, gram_dtype, gram_work_bytes
from daskgen.bayes.loading import GenotypeSet, OpenedSet
from daskgen.bayes.rows import StoredRows
from daskgen.bayes.settings import Settings
from daskgen.bayes.streaming import RING, Residence
from daskgen.kernels.genotype_layout import packed_width
from daskgen.limits import format_bytes
from daskgen.passes.executors import ClusterExecutor, current_executor

__all__ = [
    "LIBRARIES",
    "Holding",
    "Place",
    "chain_bytes",
    "draw_bytes",
    "holding_of",
    "place_of",
    "stored_rows",
]

Place = Literal["memory", "store", "workers"]

LIBRARIES = 330_000_000
_PART_BYTES = 16_000_000  # bytes of rows that are read at a time, where there is memory for it
_FILE_BUFFER = 110_000_000  # what reading chunks takes beside them


def chain_bytes(p: int, width: int, traits: int, states: int) -> int:
    """Bytes of the state, sums and work space of one chain. states: classes of effects, or states of traits."""
    return traits * (p * 48 + 4 * width * (7 * 8 + 6)) + p * 8 * min(states, 16)


def draw_bytes(draws: int, traits: int, states: int) -> int:
    """Bytes of what is traced of the draws of one chain."""
    return draws * 8 * (12 + traits * (traits + 4) + states)


def place_of(sets: Sequence[OpenedSet], settings: Settings, n_traits: int) -> Place:
    """Where genotypes are to be: on the workers of the current cluster, else here if they fit into memory.

    Arrays are always here.
    """
    if any(one.view is None for one in sets):
        return "memory"
    if isinstance(current_executor(), ClusterExecutor):
        return "workers"
    n = len(sets[0].sample_id)
    width, p = packed_width(n), sum(one.view.n_variants for one in sets if one.view is not None)
    size = min(p, settings.blocks if isinstance(settings.blocks, int) else automatic_size(n))
    copies = 2 if len(sets) > 1 else 1
    rows = p * width * (8 if any(one.has_dosage for one in sets) else 1)
    states, draws = 1 << n_traits, settings.chain_length // settings.thin
    chains = settings.chains * (chain_bytes(p, width, n_traits, states) + draw_bytes(draws, n_traits, states))
    gram = p * size * gram_dtype(p * size).itemsize + gram_work_bytes(size, width, limits.cores())
    needed = LIBRARIES + copies * rows + gram + chains
    return "store" if needed > limits.memory_limit(settings.memory_limit) else "memory"


def stored_rows(loaded: Sequence[GenotypeSet]) -> StoredRows:
    """The rows of sets that stay in their stores."""
    return StoredRows(
        [(one.opened.view, one.kept) for one in loaded if one.opened.view is not None], dosage=loaded[0].as_dosage
    )


@dataclass(frozen=True)
class Holding:
    """What each process has in memory. genotype_bytes, gram_bytes: of genotypes and Gram matrices there; read_bytes:
    what a sweep reads from the store; residence: how blocks are streamed; least_members: workers that together hold the
    genotypes; limit: bytes of a process; work_bytes: what reading and threads work in; notes: for the plan.
    """

    place: Place
    genotype_bytes: int
    gram_bytes: int
    work_bytes: int
    limit: int
    read_bytes: int = 0
    residence: Residence | None = None
    least_members: int = 1
    workers: str = ""
    notes: tuple[str, ...] = ()


def holding_of(place: Place, loaded: Sequence[GenotypeSet], blocks: Blocks, settings: Settings, chains: int) -> Holding:
    """What is held where, by the memory there is. chains: bytes of all chains and what they save."""
    genotypes = sum(one.nbytes for one in loaded)
    limit = limits.memory_limit(settings.memory_limit)
    if place == "memory":
        width = packed_width(len(loaded[0].opened.sample_id))
        work = gram_work_bytes(int(blocks.sizes.max()), width, limits.cores())
        return Holding(place, genotypes * (2 if len(loaded) > 1 else 1), blocks.gram_bytes, work, limit)
    rows = stored_rows(loaded)
    if place == "workers":
        return _on_workers(genotypes, blocks, rows, limit, LIBRARIES + chains)
    return _streamed(genotypes, blocks, rows, limit, LIBRARIES + chains)


def _streamed(genotypes: int, blocks: Blocks, rows: StoredRows, limit: int, others: int) -> Holding:
    work = _work_bytes(rows, blocks)
    free = max(0, limit - others - work)
    largest = int(blocks.sizes.max()) * rows.row_bytes
    in_memory = blocks.gram_bytes <= free // 2
    share = blocks.gram_bytes / max(1, genotypes)  # Gram bytes that come with a byte of rows
    for_rows = free - blocks.gram_bytes if in_memory else int(free / (1 + share))
    part = max(largest, min(_PART_BYTES, for_rows // (2 * RING)))
    resident = max(0, int(for_rows // part) - RING - 1)
    held = min(genotypes, (resident + RING + 1) * part)
    gram = blocks.gram_bytes if in_memory else int(share * (resident + RING) * part)
    read = max(0, genotypes - resident * part)
    notes = [f"{format_bytes(read)} of {format_bytes(genotypes)} of genotypes read from the store a sweep"]
    if not in_memory:
        notes.append(f"{format_bytes(blocks.gram_bytes)} of Gram matrices in one file in {limits.scratch(None)}")
    return Holding(
        "store",
        held,
        gram,
        work,
        limit,
        read,
        Residence(part, resident, in_memory),
        notes=tuple(notes),
    )


def _work_bytes(rows: StoredRows, blocks: Blocks) -> int:
    """What a process needs to read rows, and to make Gram matrices of them."""
    threads = limits.cores()
    gram = gram_work_bytes(int(blocks.sizes.max()), rows.width, threads)
    return _FILE_BUFFER + threads * rows.chunk_bytes + gram + 2 * _PART_BYTES


def _on_workers(genotypes: int, blocks: Blocks, rows: StoredRows, limit: int, others: int) -> Holding:
    executor: Any = current_executor()
    info = executor.client.scheduler_info(n_workers=-1)["workers"]
    given = [int(worker["memory_limit"]) for worker in info.values() if worker["memory_limit"]]
    least = min([limit, *given]) if given else limit
    work = _work_bytes(rows, blocks)
    free = int(0.8 * least) - others - blocks.gram_bytes - work
    members = max(1, -(-genotypes // max(1, free))) if free > 0 else len(info)
    return Holding(
        "workers",
        genotypes // min(members, max(1, len(info))),
        blocks.gram_bytes,
        work,
        int(0.8 * least),
        least_members=int(min(members, np.iinfo(np.int32).max)),
        workers=f"{len(info)} workers",
        notes=(f"a chain's samples are shared by at least {min(members, len(info))} workers",) if members > 1 else (),
    )
