"""A group that is larger than what a task may hold: written in parts of consecutive rows."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

import numpy as np

from daskgen.errors import StoreError
from daskgen.stores.checksum import SummedBlock, block_checksum
from daskgen.stores.location import Location
from daskgen.stores.shards import ShardFile
from daskgen.stores.target import StageTarget, checked_block
from daskgen.stores.units import write_block

__all__ = ["GroupParts"]


class GroupParts:
    """Group `index` of a stage, row by row; a context manager. Its mark is set by `finish`.

        with GroupParts(target, index) as group:
            for start in ...:
                group.add({"call_genotype_packed": ..., "call_dosage": ...})
            group.finish()

    An array that has one shard in the group gets its rows as they come; of others (columns) all rows are kept until the
    end. What is not finished leaves nothing behind but marks of -1.
    """

    def __init__(self, target: StageTarget, index: int):
        self._target, self._index = target, index
        self._shards: dict[str, ShardFile] = {}
        self._sums: dict[str, int] = {}
        self._kept: dict[str, list[np.ndarray]] = {}
        location = Location(target.url)
        with target.room(index):
            for name in target.grid.dims:
                array, region = target.array(name), target.grid.region(name, index)
                if ShardFile.can_write(array, region):
                    self._shards[name] = ShardFile(location, array, region)
                    self._sums[name] = 0
                else:
                    self._kept[name] = []

    def add(self, blocks: Mapping[str, np.ndarray | SummedBlock]) -> None:
        """The next rows of every array: as many of each, and whole chunks but at the end of the group."""
        with self._target.room(self._index):
            for name, given in blocks.items():
                values = given.values if isinstance(given, SummedBlock) else given
                if name in self._kept:
                    self._kept[name].append(values)
                    continue
                array = self._target.array(name)
                if values.dtype != array.dtype or values.shape[1:] != array.shape[1:]:
                    raise StoreError(
                        f"{name}: a block has the wrong shape or type.",
                        found=f"{values.shape} {values.dtype}",
                        expected=f"rows of {array.shape[1:]} {array.dtype}",
                    )
                self._sums[name] = block_checksum(values, self._sums[name])
                self._shards[name].add(np.ascontiguousarray(values))

    def finish(self) -> None:
        """Write what was kept, give the shards their names, set the mark."""
        grid = self._target.grid
        with self._target.room(self._index):
            for name, parts in self._kept.items():
                array, region = self._target.array(name), grid.region(name, self._index)
                block, _ = checked_block(name, np.concatenate(parts), region, array)
                write_block(Location(self._target.url), array, region, block)
                self._sums[name] = block_checksum(block)
            for name, shard in self._shards.items():
                rows = grid.region(name, self._index)[0]
                if shard.n_rows != rows.stop - rows.start:
                    raise StoreError(
                        f"{name}: a group lacks rows.",
                        found=f"{shard.n_rows:,}",
                        expected=f"{rows.stop - rows.start:,}",
                    )
                shard.finish()
            self._target.mark(self._index, np.array([self._sums[name] for name in grid.dims], np.int64))

    def __enter__(self) -> GroupParts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for shard in self._shards.values():
                shard.discard()
