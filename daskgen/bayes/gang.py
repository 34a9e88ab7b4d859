"""Chains on the workers of a Dask cluster: spread over them, and each chain's samples over several where it helps.

A *gang* of one or more workers has some of the chains; with several members each has the genotypes of its share of the
samples (`daskgen.bayes.exchange`). The workers read the genotypes from their store once and keep them, with the state
of their chains, from stint to stint. The draws are those of one process, to the last bit.

A lost worker ends the stint; the chains go on from the last report with the workers that are there.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskgen import config
from daskgen.bayes.chains import ChainsOfKernel
from daskgen.bayes.exchange import Exchange, share_out
from daskgen.bayes.matrix import MarkerMatrix
from daskgen.bayes.rows import StoredRows, parts_of, stored_gram
from daskgen.errors import InterruptedRunError
from daskgen.kernels.genotype_dots import n_tiles
from daskgen.kernels.gibbs_types import Markers
from daskgen.passes.channel import LostMemberError, Seat
from daskgen.passes.executors import ClusterExecutor
from daskgen.passes.gang import run_stint, seated, tell_workers

__all__ = ["GangRun", "Job", "Layout", "layout_of"]

log = logging.getLogger("daskgen.bayes")

_PART_BYTES = 16_000_000  # bytes of rows that a worker reads at a time


@dataclass(frozen=True, eq=False)
class Job:
    """What every member gets: the problem without its genotypes, where these are, and what makes its chains, `start` of
    their class.
    """

    name: str
    problem: Any
    start: Callable[..., ChainsOfKernel]
    rows: StoredRows
    shift: np.ndarray
    missing: np.ndarray
    n_draws: int
    seed: int
    burn_in: int
    thin: int
    keep_effects: bool

    @property
    def nbytes(self) -> int:
        """Makes an executor send it once to every worker where it is large."""
        records = sum(part.nbytes for part in self.problem.records)
        return int(records + self.shift.nbytes * 3)


@dataclass(frozen=True)
class Layout:
    """Which workers have which chains: for each gang its workers' addresses, and the chains [first, last)."""

    gangs: tuple[tuple[str, ...], ...]
    chains: tuple[tuple[int, int], ...]


def layout_of(workers: Mapping[str, int], n_chains: int, tiles: int, least_members: int) -> Layout:
    """As many gangs as there are chains, if each can have `least_members` workers, which its share of memory asks for.

    Fewer workers than `least_members` make one gang of all.
    """
    addresses = sorted(workers)
    least = min(max(1, least_members), len(addresses))
    n_gangs = max(1, min(n_chains, len(addresses) // least))
    size = min(len(addresses) // n_gangs, tiles)
    gangs = tuple(tuple(addresses[g * size : (g + 1) * size]) for g in range(n_gangs))
    chains = tuple((g * n_chains // n_gangs, (g + 1) * n_chains // n_gangs) for g in range(n_gangs))
    return Layout(gangs, chains)


# -- on a worker ---------------------------------------------------------------------------------------------
@dataclass(eq=False)
class _Held:
    """What a worker keeps between stints."""

    place: tuple[Any, ...]
    problem: Any
    chains: ChainsOfKernel


_held: dict[str, _Held] = {}
_lock = threading.Lock()


def forget(name: str) -> None:
    """Task: give up what this worker holds of a run."""
    with _lock:
        _held.pop(name, None)


def sample_stint(
    seat: Seat,
    door: str,
    job: Job,
    layout: str,
    chains: tuple[int, int],
    state: Mapping[str, np.ndarray] | None,
    iteration: int,
    iterations: int,
    threads: int,
    report: bool,
) -> dict[str, Any]:
    """Task: `iterations` iterations of the chains [first, last) as one member of their gang.

    layout: the name of the layout, new after a loss: loading is a work of all members, so either all of them hold what
    they need or none does. state: where the chains go on from (None: where this worker left them, at `iteration`, or
    their start). Returns the residual variances and, where a report is asked for, what this member knows: the leader
    everything.
    """
    place = (layout, seat.member, seat.size, chains)
    with seated(seat, door) as channel:
        bounds = share_out(n_tiles(job.rows.width), seat.size)
        exchange = Exchange(channel, bounds, job.rows.width)
        with _lock:
            held = _held.get(job.name)
            _held.clear()  # of an earlier run whose client is gone, say
        if held is None or held.place != place:
            markers = _load(job, exchange, bounds, threads)
            problem = replace(job.problem, markers=markers)
            held = _Held(place, problem, _start(job, problem, chains))
        if state is not None:
            held.chains.restore(state)
        elif iteration == 0 and held.chains.iteration > 0:
            held.chains = _start(job, held.problem, chains)
        if held.chains.iteration != iteration:
            raise LostMemberError(f"{seat.doors[seat.member].worker} does not hold the chains any more")
        held.chains.exchange = exchange
        finite = held.chains.advance(iterations, job.burn_in, job.thin, threads, keep_effects=job.keep_effects)
        exchange.gather(held.chains.state)
    held.chains.exchange = None
    with _lock:
        _held[job.name] = held
    found: dict[str, Any] = {"finite": finite, "residual_variance": held.chains.residual_variances()}
    if report:
        sums = held.chains.sums
        own = exchange.own_bytes
        found["genetic"] = np.stack([sums.genetic[..., own], sums.genetic_square[..., own]])
        if seat.member == 0:
            found["arrays"] = held.chains.as_arrays()
    return found


def _start(job: Job, problem: Any, chains: tuple[int, int]) -> ChainsOfKernel:
    first, last = chains
    return job.start(problem, last - first, job.n_draws, job.seed, first=first)


def _load(job: Job, exchange: Exchange, bounds: np.ndarray, threads: int) -> Markers:
    """This member's share of the genotypes, and the Gram matrices, of which each member makes some."""
    blocks, rows = job.problem.blocks, job.rows
    own, members = exchange.own_bytes, len(bounds) - 1
    values = rows.empty(rows.n_markers, own)
    for part in parts_of(blocks, rows.row_bytes, _PART_BYTES):
        first, last = int(blocks.start[part.start]), int(blocks.start[part.stop])
        rows.read(first, last, values[first:last], own)
    cuts = share_out(len(blocks.owner), members)
    gram = np.empty(int((blocks.sizes**2).sum()), blocks.gram_dtype)
    diagonal = np.empty(rows.n_markers)
    gram_cuts = np.append(blocks.offset, len(gram))[cuts]
    mine = parts_of(blocks, rows.row_bytes, _PART_BYTES, int(cuts[exchange.member]), int(cuts[exchange.member + 1]))
    at = int(gram_cuts[exchange.member])
    done = stored_gram(rows, blocks, mine, job.shift, job.missing, job.problem.records.w, threads)
    for part, (_, some, squares) in zip(mine, done, strict=True):
        gram[at : at + len(some)] = some
        at += len(some)
        diagonal[blocks.start[part.start] : blocks.start[part.stop]] = squares
    exchange.all_parts(gram, gram_cuts)
    exchange.all_parts(diagonal, blocks.start[cuts])
    return _markers(job, values, own, gram, diagonal, int(bounds[exchange.member]))


def _markers(job: Job, values: np.ndarray, own: slice, gram: np.ndarray, diagonal: np.ndarray, origin: int) -> Markers:
    """What the kernel takes: rows of the samples in the places `own`, which begin with the tile `origin`."""
    blocks = job.problem.blocks
    n_samples = min(4 * own.stop, job.rows.n_samples) - 4 * own.start
    codes, dosage = job.rows.codes_and_dosages(values)
    matrix = MarkerMatrix(codes, dosage, job.shift.copy(), job.missing.copy(), n_samples)
    single = gram.dtype == np.float32
    return Markers(
        codes,
        dosage,
        matrix.shift,
        matrix.missing,
        *matrix.gaps(),
        diagonal,
        blocks.start.copy(),
        blocks.owner.copy(),
        blocks.repeats.copy(),
        np.zeros(0) if single else gram,
        gram if single else np.zeros(0, np.float32),
        blocks.offset,
        blocks.start[:-1].copy(),
        blocks.start[:-1] * n_tiles(codes.shape[1]),
        np.array([origin]),
    )


# -- at the client -------------------------------------------------------------------------------------------
class GangRun:
    """Chains that run on a cluster: `advance` as of the chains, which are kept up to date at every report.

    least_members: workers that are needed to hold the genotypes together. layout: which workers have which chains, None
    before the first stint and after a loss.
    """

    def __init__(self, executor: ClusterExecutor, job: Job, chains: ChainsOfKernel, least_members: int):
        self.chains = chains
        self._executor, self._job, self._least = executor, job, least_members
        self.layout: Layout | None = None
        self._name = ""  # of the layout
        self._iteration = chains.iteration  # where the workers are
        self._shared: Any = None
        self._losses = 0
        self._reported = time.monotonic()

    @property
    def iteration(self) -> int:
        """Iterations that are done, on the workers."""
        return self._iteration

    def advance(self, iterations: int, *, last: bool) -> tuple[bool, np.ndarray]:
        """Run some iterations: (whether all residual variances are finite, the residual variances).

        After a loss the chains are where the last report left them, as `iteration` says. last: report in any case.
        """
        report = last or time.monotonic() - self._reported >= config.get("checkpoint-seconds")
        try:
            found = self._stint(iterations, report)
        except LostMemberError as error:
            self._losses += 1
            if self._losses > config.get("retries"):
                raise InterruptedRunError(
                    f"the workers of a gang were lost {self._losses} times.",
                    found=str(error),
                    do="see that workers reach each other and have memory; then run the same command with --resume",
                ) from error
            self.layout, self._iteration = None, self.chains.iteration
            log.warning("%s; going on from iteration %s", error, f"{self._iteration:,}")
            return True, self.chains.residual_variances()
        self._iteration += iterations
        if report:
            self.chains.restore(_merged(found, self.layout))
            self._reported = time.monotonic()
        variances = np.concatenate([members[0]["residual_variance"] for members in found])
        return all(member["finite"] for members in found for member in members), variances

    def _stint(self, iterations: int, report: bool) -> list[list[dict[str, Any]]]:
        states: list[Mapping[str, np.ndarray] | None]
        if self.layout is None:
            self._executor.refresh()
            if not self._executor.workers:
                self._executor.client.wait_for_workers(1, timeout=60)
                self._executor.refresh()
            tiles = n_tiles(self._job.rows.width)
            self.layout = layout_of(self._executor.workers, self.chains.n_chains, tiles, self._least)
            self._name = new_name()
            self._shared = self._executor.share(self._job)
            begun = self.chains.iteration > 0
            states = [_part_of(self.chains, *chains) if begun else None for chains in self.layout.chains]
        else:
            states = [None] * len(self.layout.gangs)
        same = (self._iteration, iterations)
        gangs = [
            [
                (address, (self._shared, self._name, chains, state, *same, self._threads(address), report))
                for address in addresses
            ]
            for addresses, chains, state in zip(self.layout.gangs, self.layout.chains, states, strict=True)
        ]
        return run_stint(self._executor, sample_stint, gangs)

    @property
    def n_threads(self) -> int:
        """Of all workers."""
        return max(1, self._executor.n_threads)

    def _threads(self, address: str) -> int:
        return self._executor.workers.get(address, 1)

    def close(self) -> None:
        """Let the workers give up what they hold."""
        tell_workers(self._executor, forget, self._job.name)


def new_name() -> str:
    """A name for a run that no other has."""
    return secrets.token_hex(8)


def _part_of(chains: ChainsOfKernel, first: int, last: int) -> dict[str, np.ndarray]:
    """The arrays of `as_arrays` for some of the chains."""
    arrays = chains.as_arrays()
    found = {
        name: value[first:last] if name.startswith(("state_", "sums_")) else value for name, value in arrays.items()
    }
    if "draw_place" in arrays:
        here = (arrays["draw_place"][0] >= first) & (arrays["draw_place"][0] < last)
        found["draw_place"] = arrays["draw_place"][:, here] - np.array([[first], [0]], np.int32)
        found["draw_marker"], found["draw_value"] = arrays["draw_marker"][here], arrays["draw_value"][here]
    return found


def _merged(found: list[list[dict[str, Any]]], layout: Layout | None) -> dict[str, np.ndarray]:
    """What all gangs report as one set of arrays."""
    assert layout is not None
    parts = []
    for members, (first, _) in zip(found, layout.chains, strict=True):
        arrays = dict(members[0]["arrays"])
        genetic = np.concatenate([member["genetic"] for member in members], axis=-1)
        arrays["sums_genetic"], arrays["sums_genetic_square"] = genetic
        if "draw_place" in arrays:
            arrays["draw_place"] = arrays["draw_place"] + np.array([[first], [0]], np.int32)
        parts.append(arrays)
    merged = {}
    for name in parts[0].keys() | parts[-1].keys():
        values = [part[name] for part in parts if name in part]
        if name in ("iteration", "saved"):
            merged[name] = values[0]
        else:
            merged[name] = np.concatenate(values, axis=1 if name == "draw_place" else 0)
    return merged
