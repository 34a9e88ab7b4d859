"""The tasks of a conversion: read a group of variants, count, write, and hash the pieces of the file on the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from conversion.calls import Calls
from conversion.prepare import Prepared
from conversion.source import CallBlock
from conversion.variant_columns import StatisticsFile
from daskgen.kernels.genotype_codes import packed_width
from daskgen.passes import Progress, run_map
from daskgen.stores import Stage, StageTarget
from daskgen.stores.fingerprint import combine_pieces, hash_piece, n_pieces

__all__ = ["convert_groups"]


@dataclass(frozen=True, eq=False)
class GroupJob:
    """What the task of every group needs. `pieces`: (file, index of the piece) of all pieces to be hashed."""

    calls: Calls
    target: StageTarget
    pieces: tuple[tuple[str, int], ...]

    @property
    def nbytes(self) -> int:
        """Size when pickled, roughly: large jobs are sent to a worker once."""
        return self.calls.nbytes + 100 * len(self.pieces)

    @cached_property
    def _work(self) -> threading.local:
        return threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_work"}

    def packed_buffer(self, n_variants: int) -> np.ndarray:
        """Memory for a group's codes that the thread keeps: fresh pages for each would cost as much as recoding."""
        needed = n_variants * packed_width(self.calls.source.n_samples)
        buffer: np.ndarray | None = getattr(self._work, "buffer", None)
        if buffer is None or buffer.size < needed:
            buffer = self._work.buffer = np.empty(needed, np.uint8)
        return buffer[:needed].reshape(n_variants, -1)

    def own_pieces(self, index: int) -> tuple[tuple[str, int], ...]:
        """The pieces that group `index` hashes: those that begin where the group does, so that they are read once."""
        n, n_groups = len(self.pieces), self.target.n_groups
        return self.pieces[-(-index * n // n_groups) : -(-(index + 1) * n // n_groups)]


class GroupResult(NamedTuple):
    """What a group's task returns. `start`: its first variant; `heterozygous`: haploid calls on X, Y and MT."""

    start: int
    statistics: np.ndarray
    heterozygous: np.ndarray
    digests: list[tuple[str, int, bytes]]


def convert_groups(stage: Stage, prepared: Prepared, statistics: StatisticsFile) -> tuple[np.ndarray, dict[str, str]]:
    """Write the pending groups of `stage`, and collect the statistics of all.

    Returns heterozygous haploid calls on X, Y and MT, and the fingerprint of each genotype file that was read whole.
    Groups that an earlier run wrote are counted from the store. A sequential source is read in this process, once
    from its beginning, and groups are written as they come; what lies before and between the pending ones is passed
    over.
    """
    files = prepared.source.hashed_files if prepared.all_variants else ()
    pieces = tuple((path, piece) for path in files for piece in range(n_pieces(path)))
    job = GroupJob(prepared.calls, stage.target, pieces)
    unit = prepared.source.genotype_bytes / max(1, stage.n_groups)
    heterozygous = np.zeros(3, np.int64)
    digests: dict[tuple[str, int], bytes] = {}
    pending = stage.pending
    if prepared.source.sequential:
        converted = _stream_groups(pending, job, unit)
    else:
        converted = run_map(convert_group, pending, job, label="convert", unit_bytes=unit)
    recounted = run_map(recount_group, stage.done, job, label="recount", unit_bytes=unit)
    for results in (recounted, converted):
        for _, result in results:
            statistics.write(result.start, result.statistics)
            heterozygous += result.heterozygous
            digests.update({(path, piece): digest for path, piece, digest in result.digests})
    fingerprints = {
        path: combine_pieces([digests[path, piece] for piece in range(n_pieces(path))]) for path in dict.fromkeys(files)
    }
    return heterozygous, fingerprints


def convert_group(index: int, job: GroupJob) -> GroupResult:
    """Read group `index` from the source and write it."""
    # Hashed first: what is read for it is then in the page cache when the genotypes are read.
    digests = _hash_pieces(index, job)
    rows = job.target.ranges(index)["variants"]
    block = job.calls.read(rows.start, rows.stop, out=job.packed_buffer(rows.stop - rows.start))
    return _write_group(index, job, block, digests)


def _write_group(index: int, job: GroupJob, block: CallBlock, digests: list[tuple[str, int, bytes]]) -> GroupResult:
    found = {"call_genotype_packed": block.packed, "call_dosage": block.dosage, "variant_info_score": block.info}
    wanted = job.target.grid.dims
    job.target.write(index, {name: part for name, part in found.items() if part is not None and name in wanted})
    start = job.target.ranges(index)["variants"].start
    return GroupResult(start, *job.calls.statistics(start, block), digests)


def _stream_groups(indices: list[int], job: GroupJob, unit_bytes: float) -> Iterator[tuple[int, GroupResult]]:
    """The pending groups of a sequential source, in order."""
    rows = [job.target.ranges(index)["variants"] for index in indices]
    with Progress("convert", len(indices), unit_bytes) as progress:
        blocks = job.calls.stream((part.start, part.stop) for part in rows)
        for index, block in zip(indices, blocks, strict=True):
            yield index, _write_group(index, job, block, _hash_pieces(index, job))
            progress.advance()


def recount_group(index: int, job: GroupJob) -> GroupResult:
    """The same result for a group that is in the store already."""
    arrays = job.target.read(index)
    block = job.calls.of_arrays(arrays.get("call_genotype_packed"), arrays.get("call_dosage"))
    start = job.target.ranges(index)["variants"].start
    return GroupResult(start, *job.calls.statistics(start, block), _hash_pieces(index, job))


def _hash_pieces(index: int, job: GroupJob) -> list[tuple[str, int, bytes]]:
    return [(path, piece, hash_piece(path, piece)) for path, piece in job.own_pieces(index)]
