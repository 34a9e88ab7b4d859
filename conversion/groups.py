"""The tasks of a conversion: read groups of variants, count, write, and hash the pieces of the file on the way."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from conversion.calls import Calls, SummedCalls
from conversion.half_calls import counting_half_calls
from conversion.prepare import Prepared
from conversion.variant_columns import StatisticsFile
from daskgen import config
from daskgen.inputs.files import size_of
from daskgen.kernels.genotype_codes import packed_width
from daskgen.passes import Progress, run_map
from daskgen.stores import Stage, StageTarget
from daskgen.stores.fingerprint import PieceHasher, combine_pieces, n_pieces
from daskgen.stores.row_parts import GroupParts

__all__ = ["convert_groups"]


@dataclass(frozen=True, eq=False)
class GroupJob:
    """What the task of every group needs.

    pieces: (file, index of the piece) of all pieces to be hashed; piece_groups: int64, the group that begins about
    where each of them does; rows: variants that a task holds at a time; spans: int32, how many groups the task that
    begins with each group converts.
    """

    calls: Calls
    target: StageTarget
    pieces: tuple[tuple[str, int], ...]
    piece_groups: np.ndarray
    rows: int
    spans: np.ndarray

    @property
    def nbytes(self) -> int:
        """Size when pickled, roughly: large jobs are sent to a worker once."""
        return self.calls.nbytes + 100 * len(self.pieces) + self.piece_groups.nbytes + self.spans.nbytes

    @cached_property
    def _work(self) -> threading.local:
        return threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_work"}

    def parts(self, index: int) -> list[tuple[int, int]]:
        """The variants [start, stop) of group `index` in parts that fit."""
        group = self.target.ranges(index)["variants"]
        return [(start, min(start + self.rows, group.stop)) for start in range(group.start, group.stop, self.rows)]

    def packed_buffer(self, start: int, stop: int) -> np.ndarray:
        """Memory for the codes of variants [start, stop) that the thread keeps: fresh pages would cost as much time as
        recoding."""
        n_variants = stop - start
        needed = n_variants * packed_width(self.calls.source.n_samples)
        buffer: np.ndarray | None = getattr(self._work, "buffer", None)
        if buffer is None or buffer.size < needed:
            buffer = self._work.buffer = np.empty(needed, np.uint8)
        return buffer[:needed].reshape(n_variants, -1)

    def own_pieces(self, index: int) -> tuple[tuple[str, int], ...]:
        """The pieces that group `index` hashes: those that begin about where the group does, so that bytes are read
        once."""
        first, end = np.searchsorted(self.piece_groups, [index, index + 1]).tolist()
        return self.pieces[first:end]


class GroupResult(NamedTuple):
    """What is known of a group: its first variant, haploid calls that are heterozygous, on X, Y and MT, and calls with
    one allele of two missing (0 where they were not read again)."""

    start: int
    statistics: np.ndarray
    heterozygous: np.ndarray
    half_calls: int
    digests: list[tuple[str, int, bytes]]


class Converted(NamedTuple):
    """What is known of all groups. half_calls: None where an earlier run wrote some of them, as stores have no half.

    fingerprints: of each genotype file that was read whole.
    """

    heterozygous: np.ndarray
    half_calls: int | None
    fingerprints: dict[str, str]


def convert_groups(stage: Stage, prepared: Prepared, rows: int, statistics: StatisticsFile) -> Converted:
    """Write the pending groups of `stage`, and collect the statistics of all. rows: variants that a task may hold.

    Groups that an earlier run wrote are counted from the store. A sequential source is read in this process, once
    from its beginning, and groups are written as they come; what lies before and between the pending ones is passed
    over.
    """
    files = prepared.source.hashed_files if prepared.all_variants else ()
    pieces = tuple((path, piece) for path in files for piece in range(n_pieces(path)))
    pending = stage.pending
    job = GroupJob(
        prepared.calls,
        stage.target,
        pieces,
        _groups_of_pieces(files, stage.n_groups),
        rows,
        np.zeros(stage.n_groups, np.int32),
    )
    _set_spans(job, pending)
    unit = prepared.source.genotype_bytes / max(1, stage.n_groups)
    heterozygous, half_calls = np.zeros(3, np.int64), 0
    digests: dict[tuple[str, int], bytes] = {}
    if prepared.source.sequential:
        converted = _stream_groups(pending, job, unit)
    else:
        firsts = np.flatnonzero(job.spans).tolist()
        unit_of_span = unit * len(pending) / max(1, len(firsts))
        spans = run_map(convert_span, firsts, job, label="convert", unit_bytes=unit_of_span)
        converted = itertools.chain.from_iterable(results for _, results in spans)
    recounted = (result for _, result in run_map(recount_group, stage.done, job, label="recount", unit_bytes=unit))
    for results in (recounted, converted):
        for result in results:
            statistics.write(result.start, result.statistics)
            heterozygous += result.heterozygous
            half_calls += result.half_calls
            digests.update({(path, piece): digest for path, piece, digest in result.digests})
    fingerprints = {
        path: combine_pieces([digests[path, piece] for piece in range(n_pieces(path))]) for path in dict.fromkeys(files)
    }
    return Converted(heterozygous, half_calls if len(pending) == stage.n_groups else None, fingerprints)


def _groups_of_pieces(files: Sequence[str], n_groups: int) -> np.ndarray:
    """The group that begins about where each piece of the files does, if all groups take as many bytes of them."""
    starts = np.cumsum([0, *map(size_of, files)])
    size = config.get("fingerprint-piece")
    begin = [start + size * np.arange(n_pieces(path)) for path, start in zip(files, starts.tolist(), strict=False)]
    share = np.concatenate(begin) / max(1, starts[-1]) if begin else np.zeros(0)
    return np.minimum(np.rint(share * n_groups).astype(np.int64), n_groups - 1)


def _set_spans(job: GroupJob, pending: list[int]) -> None:
    """Decide which groups are converted by one task: those whose bytes one piece has, where they are its bytes."""
    together = job.calls.source.rows_in_cache is not None and not job.calls.source.has_dosage
    first = previous = -1
    for index in pending:
        if not together or index != previous + 1 or job.own_pieces(index):
            first = index
        job.spans[first] += 1
        previous = index


def convert_span(first: int, job: GroupJob) -> list[GroupResult]:
    """Read the groups of the span that begins with group `first` from the source, write them, and hash its pieces."""
    hasher = PieceHasher(job.own_pieces(first))
    results = []
    for index in range(first, first + int(job.spans[first])):
        blocks = (job.calls.read_and_sum(*part, job.packed_buffer(*part), hasher.see) for part in job.parts(index))
        results.append(_write_group(index, job, blocks, []))
    return [*results[:-1], results[-1]._replace(digests=hasher.digests())]


def _write_group(
    index: int, job: GroupJob, blocks: Iterable[SummedCalls], digests: list[tuple[str, int, bytes]]
) -> GroupResult:
    """Write a group from the blocks of its parts, one after the other."""
    parts, counted = job.parts(index), []
    with contextlib.ExitStack() as stack:
        tally = stack.enter_context(counting_half_calls())
        group = stack.enter_context(GroupParts(job.target, index)) if len(parts) > 1 else None
        for (start, _), block in zip(parts, blocks, strict=True):
            arrays = {name: part for name, part in block.arrays().items() if name in job.target.grid.dims}
            if group is None:
                job.target.write(index, arrays)
            else:
                group.add(arrays)
            counted.append(job.calls.statistics(start, block.calls, block.counts))
        if group is not None:
            group.finish()
    return _result(parts[0][0], counted, digests, tally.n)


def _result(
    start: int,
    counted: list[tuple[np.ndarray, np.ndarray]],
    digests: list[tuple[str, int, bytes]],
    half_calls: int = 0,
) -> GroupResult:
    statistics, heterozygous = zip(*counted, strict=True)
    return GroupResult(start, np.concatenate(statistics), np.sum(heterozygous, axis=0), half_calls, digests)


def _stream_groups(indices: list[int], job: GroupJob, unit_bytes: float) -> Iterator[GroupResult]:
    """The pending groups of a sequential source, in order."""
    with Progress("convert", len(indices), unit_bytes) as progress:
        blocks = job.calls.stream(part for index in indices for part in job.parts(index))
        for index in indices:
            own = map(SummedCalls, itertools.islice(blocks, len(job.parts(index))))
            yield _write_group(index, job, own, _hash_pieces(index, job))
            progress.advance()


def recount_group(index: int, job: GroupJob) -> GroupResult:
    """The same result for a group that is in the store already."""
    counted = []
    for start, stop in job.parts(index):
        arrays = job.target.read(index, slice(start, stop))
        block = job.calls.of_arrays(arrays.get("call_genotype_packed"), arrays.get("call_dosage"))
        counted.append(job.calls.statistics(start, block))
    return _result(job.parts(index)[0][0], counted, _hash_pieces(index, job))


def _hash_pieces(index: int, job: GroupJob) -> list[tuple[str, int, bytes]]:
    return PieceHasher(job.own_pieces(index)).digests()
