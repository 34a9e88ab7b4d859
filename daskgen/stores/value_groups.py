"""X of a new AnnData store, written group by group of stored values by tasks that find the rows of their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from daskgen.errors import InputError
from daskgen.stores.anndata_rows import CsrBlock, rows_between
from daskgen.stores.target import StageTarget

__all__ = ["GroupsOfValues", "RowReading", "RowSource", "write_values"]


class RowReading(Protocol):
    """What reads rows, in one thread."""

    def read(self, start: int, stop: int) -> CsrBlock:
        """The rows [start, stop)."""


class RowSource(Protocol):
    """Rows for tasks: picklable; `reader` is called in each."""

    @property
    def nbytes(self) -> int:
        """Size when pickled, roughly."""

    def reader(self) -> RowReading:
        """A reader of them."""


@dataclass(frozen=True, eq=False)
class GroupsOfValues:
    """What the task of every group needs: the rows of which X is made, its `indptr`, and the type of its values."""

    rows: RowSource
    target: StageTarget
    indptr: npt.NDArray[np.int64]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Size when pickled, roughly: large ones are sent to a worker once."""
        return self.rows.nbytes + int(self.indptr.nbytes)


def write_values(group: int, task: GroupsOfValues) -> None:
    """Task: write the values of a group and their genes. InputError where the rows are no longer those of `indptr`."""
    part = task.target.ranges(group)["values"]
    first, last = rows_between(task.indptr, part.start, part.stop)
    block = task.rows.reader().read(first, last)
    begin = int(task.indptr[first])
    if len(block.data) != task.indptr[last] - begin:
        raise InputError("a source changed while it was read.", found=f"cells {first} to {last - 1}")
    inside = slice(part.start - begin, part.stop - begin)
    width = np.int32 if task.indptr[-1] < 2**31 else np.int64
    data, indices = block.data[inside].astype(task.dtype, copy=False), block.indices[inside].astype(width, copy=False)
    task.target.write(group, {"X/data": data, "X/indices": indices})
