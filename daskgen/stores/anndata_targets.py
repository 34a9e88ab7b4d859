"""Large elements of an AnnData store that tasks write: dense matrices by rows, sparse ones by stored values.

A task owns whole chunks. Chunks of a sparse matrix are cut by values and not by rows: a task is given the values
[a, b) and finds the rows that they belong to by bisection in `indptr`. Tasks that own rows would share chunks and lose
each other's values without an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from daskgen.errors import StoreError
from daskgen.stores.anndata_rows import rows_between
from daskgen.stores.location import Location
from daskgen.stores.plain_arrays import PlainArray
from daskgen.stores.target import check_alignment, write_unit

__all__ = ["PENDING", "CsrTarget", "MatrixTarget", "is_pending", "rows_of_values"]

PENDING = "daskgen_pending"
"""Attribute of an element that is being written; the next writer removes what still carries it."""


def is_pending(node: Any) -> bool:
    """Whether the element is still being written."""
    return bool(node.attrs.get(PENDING, False))


def rows_of_values(indptr: npt.NDArray[np.int64], start: int, stop: int) -> npt.NDArray[np.int64]:
    """The row of each of the stored values `start` to `stop` - 1."""
    if stop <= start:
        return np.empty(0, np.int64)
    first, last = rows_between(indptr, start, stop)
    ends = np.minimum(indptr[first + 1 : last + 1], stop)
    return np.repeat(np.arange(first, last), np.diff(np.concatenate([[start], ends])))


def _open(url: str, element: str) -> Any:
    return zarr.open_group(Location(url).zarr_store(read_only=False), mode="r+", use_consolidated=False)[element]


def _check(
    name: str, start: int, values: npt.NDArray[Any], shape: tuple[int, ...], unit: tuple[int, ...]
) -> tuple[slice, ...]:
    """The region that `values` are; StoreError where they are not whole chunks of the array."""
    region = (slice(start, start + len(values)), *(slice(0, n) for n in shape[1:]))
    if values.shape[1:] != shape[1:]:
        raise StoreError(f"{name}: a block has the wrong shape.", found=values.shape, expected=shape)
    check_alignment(name, region, unit, shape)
    return region


def _write(array: Any, name: str, start: int, values: npt.NDArray[Any]) -> None:
    region = _check(name, start, values, array.shape, write_unit(array))
    array.with_config({"write_empty_chunks": True})[region] = values.astype(array.dtype, copy=False)


@dataclass(frozen=True)
class MatrixTarget:
    """A dense matrix that tasks write by whole chunks of rows. Picklable. plain: its place where Zarr is not needed."""

    url: str
    element: str
    shape: tuple[int, ...]
    chunk_rows: int
    plain: PlainArray | None = None

    def write(self, start: int, block: npt.NDArray[Any]) -> None:
        """Rows from `start` on: whole chunks (multiples of `chunk_rows`, or up to the end). StoreError otherwise."""
        if self.plain is None:
            _write(_open(self.url, self.element), self.element, start, block)
            return
        _check(self.element, start, block, self.shape, (self.chunk_rows, *self.shape[1:]))
        self.plain.write(start, block)


@dataclass(frozen=True, eq=False)
class CsrTarget:
    """A sparse matrix that tasks write by groups of whole chunks of values. Picklable.

    indptr: int64 (rows + 1,); group_values: values of a group.
    """

    url: str
    element: str
    indptr: npt.NDArray[np.int64]
    group_values: int

    @property
    def nbytes(self) -> int:
        return int(self.indptr.nbytes)

    @property
    def n_groups(self) -> int:
        return -(-int(self.indptr[-1]) // self.group_values)

    def values(self, group: int) -> tuple[int, int]:
        """The range of stored values that group `group` is."""
        start = group * self.group_values
        return start, min(start + self.group_values, int(self.indptr[-1]))

    def rows(self, group: int) -> npt.NDArray[np.int64]:
        """The row of each value of the group, int64 (values,)."""
        return rows_of_values(self.indptr, *self.values(group))

    def write(self, group: int, data: npt.NDArray[Any], indices: npt.NDArray[Any]) -> None:
        """The values of one group and their columns."""
        start, stop = self.values(group)
        if len(data) != stop - start or len(indices) != stop - start:
            raise StoreError(
                f"{self.element}: a group has the wrong number of values.",
                found=f"{len(data)} and {len(indices)} columns",
                expected=stop - start,
            )
        node = _open(self.url, self.element)
        _write(node["data"], f"{self.element}/data", start, data)
        _write(node["indices"], f"{self.element}/indices", start, indices)
