"""Reading everything again: does the store hold what was written?"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product

import numpy as np
import zarr

from daskgen import limits
from daskgen.errors import StoreError
from daskgen.stores.anndata_sight import is_anndata
from daskgen.stores.checksum import block_checksum
from daskgen.stores.location import Location, StoreLike
from daskgen.stores.reader import array_table, open_group
from daskgen.stores.schema import validate
from daskgen.stores.target import MARKS, Grid, write_unit
from daskgen.stores.text_chunks import is_plain_text, text_contents

__all__ = ["marked_problems", "verify"]

_HELD_BYTES = 64_000_000  # of a group, by each thread


def verify(path: StoreLike | Location) -> list[str]:
    """Problems of a store, each one line; an empty list if it is whole.

    Checks root attributes, the schema of the kind, that every chunk group has its mark, and the CRC-32C of every
    group against its mark, which reads all data once. A damaged chunk is named by array and object key.
    """
    location = Location.of(path)
    if is_anndata(location):
        from daskgen.stores.anndata_verify import verify_anndata  # pandas comes with it, which others can do without

        return verify_anndata(location)
    try:
        group = open_group(location, allow_incomplete=True)
    except StoreError as error:
        return [str(error)]
    attrs = group.attrs.asdict()
    problems = []
    if not attrs.get("complete"):
        problems.append("complete is false: the run that writes this store has not finished")
    problems.extend(validate(str(attrs.get("kind")), array_table(group)))
    if MARKS not in group:
        return [*problems, f"{MARKS}: missing, so nothing can be checked"]
    stages = group[MARKS]
    assert isinstance(stages, zarr.Group)
    damaged, checked = marked_problems(location, group, stages)
    problems.extend(damaged)
    problems.extend(f"{name}: no stage of the store wrote it" for name in array_table(group) if name not in checked)
    return problems


def marked_problems(location: Location, group: zarr.Group, stages: zarr.Group) -> tuple[list[str], set[str]]:
    """(problems, names of the arrays that have marks): every group of every stage against its mark."""
    problems: list[str] = []
    checked: set[str] = set()
    with ThreadPoolExecutor(limits.cores()) as pool:
        for stage, marks in sorted(stages.arrays()):
            grid = Grid.from_attrs(marks.attrs.asdict()["grid"])
            checked.update(grid.dims)
            table = np.asarray(marks[...])
            arrays = {name: _array(group, name) for name in grid.dims}
            task = partial(_problem, location, stage, grid, table, arrays)
            found = pool.map(task, product(range(grid.n_groups), range(len(grid.dims))))
            problems.extend(problem for problem in found if problem)
    return problems, checked


def _problem(
    location: Location,
    stage: str,
    grid: Grid,
    marks: np.ndarray,
    arrays: Mapping[str, zarr.Array | None],
    where: tuple[int, int],
) -> str | None:
    """What is wrong with one array's block of one group: `where` = (group, column of the marks)."""
    index, column = where
    name = list(grid.dims)[column]
    array = arrays[name]
    if marks[where] < 0:
        return f"{name}: group {index} of stage {stage} was never written"
    if array is None:
        return f"{name}: the array is gone"
    return _check(location, name, array, grid.region(name, index), int(marks[where]))


def _array(group: zarr.Group, name: str) -> zarr.Array | None:
    array = group.get(name)
    return array if isinstance(array, zarr.Array) else None


def _check(location: Location, name: str, array: zarr.Array, region: tuple[slice, ...], mark: int) -> str | None:
    try:
        found = _checksum(location, array, region)
    except Exception as error:  # a damaged compressed chunk may fail in any way; the report is the point
        return f"{name}: {_keys(array, name, region)} cannot be read ({type(error).__name__}: {error})"
    if found != mark:
        return f"{name}: {_keys(array, name, region)} is damaged (checksum {found:08x}, written {mark:08x})"
    return None


def _checksum(location: Location, array: zarr.Array, region: tuple[slice, ...]) -> int:
    checksum = 0
    if not array.ndim:
        return block_checksum(np.asarray(array[region]))
    if array.dtype.kind in "TOU" and is_plain_text(array):
        for content in text_contents(location, array, region):
            checksum = block_checksum(content, checksum)
        return checksum
    # Some chunks at a time: a group may be larger than what should be in memory.
    first, *others = region
    row_bytes = array.dtype.itemsize * int(np.prod(array.shape[1:], dtype=np.int64))
    step = array.chunks[0] * max(1, _HELD_BYTES // max(1, row_bytes * array.chunks[0]))
    for start in range(first.start, first.stop, step):
        part = (slice(start, min(start + step, first.stop)), *others)
        checksum = block_checksum(np.asarray(array[part]), checksum)
    return checksum


def _keys(array: zarr.Array, name: str, region: tuple[slice, ...]) -> str:
    """The object keys that the region covers, first and last."""
    unit = write_unit(array)
    first = [part.start // step for part, step in zip(region, unit, strict=True)]
    last = [max(part.start, part.stop - 1) // step for part, step in zip(region, unit, strict=True)]

    def key(where: list[int]) -> str:
        return "/".join([name, "c", *map(str, where)])

    return key(first) if first == last else f"{key(first)} to {key(last)}"
