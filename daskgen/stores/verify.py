"""Reading everything again: does the store hold what was written?"""

from __future__ import annotations

import numpy as np
import zarr

from daskgen.errors import StoreError
from daskgen.stores.checksum import block_checksum
from daskgen.stores.location import Location, StoreLike
from daskgen.stores.reader import array_table, open_group
from daskgen.stores.schema import validate
from daskgen.stores.target import MARKS, Grid, write_unit

__all__ = ["verify"]


def verify(path: StoreLike | Location) -> list[str]:
    """Problems of a store, each one line; an empty list if it is whole.

    Checks root attributes, the schema of the kind, that every chunk group has its mark, and the CRC-32C of every
    group against its mark, which reads all data once. A damaged chunk is named by array and object key.
    """
    location = Location.of(path)
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
    checked: set[str] = set()
    for stage, marks in sorted(stages.arrays()):
        grid = Grid.from_attrs(marks.attrs.asdict()["grid"])
        checked.update(grid.dims)
        table = np.asarray(marks[...])
        for index in range(grid.n_groups):
            for column, name in enumerate(grid.dims):
                if table[index, column] < 0:
                    problems.append(f"{name}: group {index} of stage {stage} was never written")
                    continue
                problem = _check(group, name, grid.region(name, index), int(table[index, column]))
                if problem:
                    problems.append(problem)
    problems.extend(f"{name}: no stage of the store wrote it" for name in array_table(group) if name not in checked)
    return problems


def _check(group: zarr.Group, name: str, region: tuple[slice, ...], mark: int) -> str | None:
    try:
        array = group[name]
        assert isinstance(array, zarr.Array)
        block = np.asarray(array[region])
    except KeyError:
        return f"{name}: the array is gone"
    except Exception as error:  # a damaged compressed chunk may fail in any way; the report is the point
        return f"{name}: {_keys(group, name, region)} cannot be read ({type(error).__name__}: {error})"
    found = block_checksum(block)
    if found != mark:
        return f"{name}: {_keys(group, name, region)} is damaged (checksum {found:08x}, written {mark:08x})"
    return None


def _keys(group: zarr.Group, name: str, region: tuple[slice, ...]) -> str:
    """The object keys that the region covers, first and last."""
    array = group[name]
    assert isinstance(array, zarr.Array)
    unit = write_unit(array)
    first = [part.start // step for part, step in zip(region, unit, strict=True)]
    last = [max(part.start, part.stop - 1) // step for part, step in zip(region, unit, strict=True)]

    def key(where: list[int]) -> str:
        return "/".join([name, "c", *map(str, where)])

    return key(first) if first == last else f"{key(first)} to {key(last)}"
