"""What a task needs to write one chunk group: a small picklable description, and the write itself.

A group is a block of the stage's grid: the arrays of the stage are cut along the grid's dimensions, in steps that
are whole write units (chunks, or shards where sharded). A group belongs to one task, so writing it twice is
harmless, and its mark (the CRC-32C of each block) is set only after the data are written.
"""

from __future__ import annotations

import errno
import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import zarr

from daskgen.errors import InterruptedRunError, StoreError
from daskgen.stores.checksum import SummedBlock, block_checksum, text_checksum
from daskgen.stores.location import Location
from daskgen.stores.packed_text import PackedText, write_packed
from daskgen.stores.units import write_block

__all__ = ["MARKS", "Grid", "StageTarget"]

MARKS = "_chunks"
"""Name of the subgroup that holds the marks."""

_handles: dict[tuple[str, str], zarr.Group] = {}
_arrays: dict[tuple[str, str, str], zarr.Array] = {}
_handles_lock = threading.Lock()


@dataclass(frozen=True)
class Grid:
    """How the arrays of a stage are cut into groups.

    blocks: dimension -> (length of the dimension, rows per group); dims: array -> its dimensions.
    Groups are numbered in C order over the blocks.
    """

    blocks: Mapping[str, tuple[int, int]]
    dims: Mapping[str, tuple[str, ...]]
    shapes: Mapping[str, tuple[int, ...]]

    @cached_property
    def _counts(self) -> tuple[int, ...]:
        return tuple(-(-length // step) for length, step in self.blocks.values())

    @property
    def n_groups(self) -> int:
        return int(np.prod(self._counts, dtype=np.int64)) if self._counts else 1

    def ranges(self, index: int) -> dict[str, slice]:
        """Dimension -> the rows of group `index`."""
        where = np.unravel_index(index, self._counts) if self._counts else ()
        return {
            dim: slice(int(i) * step, min((int(i) + 1) * step, length))
            for i, (dim, (length, step)) in zip(where, self.blocks.items(), strict=True)
        }

    def region(self, name: str, index: int) -> tuple[slice, ...]:
        """The part of array `name` that group `index` covers."""
        ranges = self.ranges(index)
        return tuple(
            ranges.get(dim, slice(0, length)) for dim, length in zip(self.dims[name], self.shapes[name], strict=True)
        )

    def as_attrs(self) -> dict[str, Any]:
        return {
            "blocks": {dim: list(pair) for dim, pair in self.blocks.items()},
            "arrays": {name: {"dims": list(self.dims[name]), "shape": list(self.shapes[name])} for name in self.dims},
        }

    @classmethod
    def from_attrs(cls, attrs: Mapping[str, Any]) -> Grid:
        return cls(
            {dim: (int(a), int(b)) for dim, (a, b) in attrs["blocks"].items()},
            {name: tuple(entry["dims"]) for name, entry in attrs["arrays"].items()},
            {name: tuple(entry["shape"]) for name, entry in attrs["arrays"].items()},
        )


def group_handle(location: Location, store_id: str) -> zarr.Group:
    """The group opened for writing, once per process; StoreError where another store (or none) lies there."""
    key = (location.url, store_id)
    with _handles_lock:
        handle = _handles.get(key)
        if handle is None:
            try:
                handle = zarr.open_group(location.zarr_store(read_only=False), mode="r+", use_consolidated=False)
            except (FileNotFoundError, KeyError, ValueError) as error:
                raise StoreError(
                    f"{location} cannot be opened by this worker.",
                    found=str(error),
                    do="use a path that the client and every worker see under the same name",
                ) from error
            if handle.attrs.get("store_id") != store_id:
                raise StoreError(
                    f"{location} is not the store of this run.",
                    found=f"store id {handle.attrs.get('store_id')}",
                    expected=store_id,
                    do="the path leads elsewhere on this worker; use one that is shared",
                )
            _handles[key] = handle
        return handle


def forget_handles(location: Location) -> None:
    """Drop cached handles of a store that was moved or removed."""
    with _handles_lock:
        for key in [k for k in _handles if k[0] == location.url]:
            del _handles[key]
        for name in [k for k in _arrays if k[0] == location.url]:
            del _arrays[name]


def writable(array: zarr.Array) -> zarr.Array:
    """The array with empty chunks written: Zarr would else leave out, and delete, chunks of the fill value."""
    return array.with_config({"write_empty_chunks": True})


def write_unit(array: zarr.Array) -> tuple[int, ...]:
    """Shape of the array's unit of writing: a shard where sharded, else a chunk."""
    return tuple(array.shards or array.chunks)


def check_alignment(name: str, region: tuple[slice, ...], unit: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """StoreError unless `region` consists of whole write units: others would lose data without an error."""
    for axis, (part, step, length) in enumerate(zip(region, unit, shape, strict=True)):
        if part.start % step or (part.stop % step and part.stop != length):
            raise StoreError(
                f"{name}: a task must write whole chunks.",
                found=f"rows {part.start} to {part.stop} of axis {axis}",
                expected=f"multiples of {step} (or the end, {length})",
                do="cut the work at multiples of the write unit",
            )


@dataclass(frozen=True)
class StageTarget:
    """Where the groups of one stage are written. Picklable; a task calls `write` once per group."""

    url: str
    store_id: str
    stage: str
    grid: Grid

    @property
    def n_groups(self) -> int:
        return self.grid.n_groups

    def ranges(self, index: int) -> dict[str, slice]:
        """Dimension -> rows of group `index`."""
        return self.grid.ranges(index)

    def write(self, index: int, blocks: Mapping[str, np.ndarray | SummedBlock | PackedText]) -> None:
        """Write group `index`: every array of the stage, whole chunks, then the mark.

        blocks: array -> its block; large columns of text are written faster as `PackedText`, to the same bytes, and
        a `SummedBlock` has its checksum with it.
        Raises StoreError for a wrong set of arrays, shape or type (nothing is written then), and
        InterruptedRunError where the disk is full; the store stays resumable.
        """
        missing, unknown = set(self.grid.dims) - set(blocks), set(blocks) - set(self.grid.dims)
        if missing or unknown:
            raise StoreError(
                f"stage {self.stage}: a group needs all of its arrays.",
                found=", ".join(sorted(blocks)),
                expected=", ".join(self.grid.dims),
            )
        location, known = Location(self.url), {}
        ready: list[tuple[zarr.Array, tuple[slice, ...], np.ndarray | PackedText, list[str] | None]] = []
        for name in self.grid.dims:
            array = _array(location, self.store_id, name)
            region = self.grid.region(name, index)
            given = blocks[name]
            if isinstance(given, SummedBlock):
                given, known[name] = given
            if isinstance(given, PackedText):
                _check_packed(name, given, region, array)
                ready.append((array, region, given, None))
            else:
                ready.append((array, region, *checked_block(name, np.asarray(given), region, array)))
        with self.room(index):
            sums = []
            for name, (array, region, block, texts) in zip(self.grid.dims, ready, strict=True):
                if isinstance(block, PackedText):
                    write_packed(location, array, region, block)
                    sums.append(block.checksum())
                    continue
                write_block(location, array, region, block)
                if name in known:
                    sums.append(known[name])
                else:
                    sums.append(block_checksum(block) if texts is None else text_checksum(texts))
            self.mark(index, np.array(sums, dtype=np.int64))

    @contextmanager
    def room(self, index: int) -> Iterator[None]:
        """Within the block a full disk is an InterruptedRunError: the store stays resumable."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise InterruptedRunError(
                    f"the disk of {self.url} is full.",
                    found=f"stage {self.stage}, group {index:,} of {self.n_groups:,}",
                    do="make room and run the same command with --resume; what was written is kept",
                ) from error
            raise

    def mark(self, index: int, sums: np.ndarray) -> None:
        """Say that group `index` is written: `sums` int64 (arrays,), the CRC-32C of each block."""
        part = (slice(index, index + 1), slice(0, len(sums)))
        write_block(Location(self.url), self.array(f"{MARKS}/{self.stage}"), part, sums.reshape(1, -1))

    def array(self, name: str) -> zarr.Array:
        """An array of the store, opened for writing once per process."""
        return _array(Location(self.url), self.store_id, name)

    def read(self, index: int, rows: slice | None = None) -> dict[str, np.ndarray]:
        """The blocks of group `index` as they are in the store; of each only these rows, if they are given."""
        found = {}
        for name in self.grid.dims:
            first, *others = self.grid.region(name, index)
            found[name] = np.asarray(self.array(name)[(first if rows is None else rows, *others)])
        return found


def _array(location: Location, store_id: str, name: str) -> zarr.Array:
    """An array of the store, opened once per process (opening reads its metadata)."""
    group = group_handle(location, store_id)
    key = (location.url, store_id, name)
    array = _arrays.get(key)
    if array is None:
        member = group[name]
        assert isinstance(member, zarr.Array), f"{name} is not an array"
        array = writable(member)
        with _handles_lock:
            _arrays[key] = array
    return array


def checked_block(
    name: str, block: np.ndarray, region: tuple[slice, ...], array: zarr.Array
) -> tuple[np.ndarray, list[str] | None]:
    """`block` as it may be written to `array[region]`, shape, alignment, type and text checked; and its texts, if any.

    Taking Python strings out of NumPy's string type is dear, so it is done once, for the check and the checksum.
    """
    _check_shape(name, block, region, array)
    shape = block.shape
    if array.dtype.kind in "TOU":
        return _checked_text(name, block)
    if not np.can_cast(block.dtype, array.dtype, casting="same_kind") or block.dtype.kind != array.dtype.kind:
        raise StoreError(f"{name}: a block has the wrong type.", found=block.dtype, expected=array.dtype)
    if block.dtype.kind in "iu" and block.dtype != array.dtype and block.size:
        limits = np.iinfo(array.dtype)
        if block.min() < limits.min or block.max() > limits.max:
            raise StoreError(f"{name}: values do not fit {array.dtype}.", found=f"{block.min()} to {block.max()}")
    # ascontiguousarray makes a number without dimensions one-dimensional.
    return np.ascontiguousarray(block, dtype=array.dtype).reshape(shape), None


def _check_shape(name: str, block: np.ndarray | PackedText, region: tuple[slice, ...], array: zarr.Array) -> None:
    shape = tuple(part.stop - part.start for part in region)
    if block.shape != shape:
        raise StoreError(f"{name}: a block has the wrong shape.", found=block.shape, expected=shape)
    check_alignment(name, region, write_unit(array), array.shape)


def _check_packed(name: str, block: PackedText, region: tuple[slice, ...], array: zarr.Array) -> None:
    _check_shape(name, block, region, array)
    if array.dtype.kind not in "TOU":
        raise StoreError(f"{name}: a block has the wrong type.", found="text", expected=array.dtype)


def _checked_text(name: str, block: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(text as StringDType, the same in a list) in C order.

    StoreError for None, numbers and zero bytes, which would come back as something else.
    """
    texts = block.ravel().tolist()
    text = block
    if block.dtype != np.dtypes.StringDType():
        strange = [v for v in texts if not isinstance(v, str)]
        if strange:
            raise StoreError(f"{name}: text must be str; missing text is the empty string.", found=repr(strange[0]))
        text = np.array(texts, dtype=np.dtypes.StringDType()).reshape(block.shape)
    if "\0".join(texts).count("\0") > max(0, len(texts) - 1):
        raise StoreError(f"{name}: text must be str without zero bytes.")
    return text, texts


def grid_for(
    blocks: Mapping[str, int], dims: Mapping[str, tuple[str, ...]], shapes: Mapping[str, tuple[int, ...]]
) -> Grid:
    """The grid over `blocks` (dimension -> rows per group) for arrays of these dimensions and shapes."""
    lengths: dict[str, int] = {}
    for name, dim in itertools.chain.from_iterable(((n, d) for d in dims[n]) for n in dims):
        length = shapes[name][dims[name].index(dim)]
        if lengths.setdefault(dim, length) != length:
            raise StoreError(f"{name}: dimension {dim} has length {length}, elsewhere {lengths[dim]}.")
    for name in dims:
        lacking = [dim for dim in blocks if dim not in dims[name]]
        if lacking:
            raise StoreError(f"{name} has no dimension {lacking[0]}, along which the stage is cut.")
    return Grid({dim: (lengths[dim], max(1, step)) for dim, step in blocks.items()}, dict(dims), dict(shapes))
