"""Columns of a finished store taken over into a new one as they are on disk, neither decoded nor encoded again.

    columns = CopiedColumns.of("cohort.zarr", {"variant_id": ("variant",)}, rows=262_144)
    with StoreWriter(path, ..., arrays=[*plans, *columns.plans()]) as writer:
        stage = writer.stage("variants", arrays=columns.names, blocks={"variant": columns.rows})
        copy = columns.to(stage.target)            # a small description, for tasks
        for i in stage.pending:
            copy.copy(i)

The new array has the codecs, chunks and type of the old one and may have other names of dimensions. A chunk's bytes
are copied, and its mark (the CRC-32C of what the bytes decode to) is that of the source: so the new store is as good
as the old one was when it was written, and `verify` says if either was damaged since.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import zarr

from daskgen.errors import StoreError
from daskgen.stores.location import Location, StoreLike
from daskgen.stores.reader import open_group, reopen_array
from daskgen.stores.target import MARKS, Grid, StageTarget, write_unit

__all__ = ["ArrayCopy", "CopiedColumns", "StageCopy"]


@dataclass(frozen=True, eq=False)
class ArrayCopy:
    """An array to be made like one that is there (`StoreWriter` takes it as it takes an `ArrayPlan`)."""

    source: zarr.Array
    name: str
    dims: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """As the source's."""
        return self.source.shape

    def create(self, group: zarr.Group) -> None:
        """Make the array in `group`, with the layout, codecs and attributes of the source and no content."""
        zarr.from_array(
            group.store,
            data=self.source,
            name=f"{group.path}/{self.name}".lstrip("/"),
            write_data=False,
            attributes=self.source.attrs.asdict(),
            dimension_names=self.dims,
            config={"write_empty_chunks": True},
        )


@dataclass(frozen=True, eq=False)
class CopiedColumns:
    """Columns that can be copied in groups of `rows` rows.

    url, store_id: of the source; arrays: new arrays and what they are made like; marks: int64 (groups, arrays), those
    of the source.
    """

    url: str
    store_id: str
    rows: int
    arrays: tuple[ArrayCopy, ...]
    marks: np.ndarray

    @classmethod
    def of(cls, path: StoreLike | Location, columns: Mapping[str, Sequence[str]], *, rows: int) -> CopiedColumns | None:
        """Columns (name -> new names of its dimensions) of a finished store, whole, in groups of `rows` rows.

        None where chunks cannot be copied: the store has no marks for such groups, as when its writer cut them
        differently.
        """
        location = Location.of(path)
        source = open_group(location)
        stages = _stages(source)
        arrays, marks = [], []
        for name, dims in columns.items():
            array = source[name]
            assert isinstance(array, zarr.Array)
            column = _marks_of(stages, name, rows)
            unit = write_unit(array)[0]
            if column is None or (rows % unit and rows < array.shape[0]):
                return None
            arrays.append(ArrayCopy(array, name, tuple(dims)))
            marks.append(column)
        if not arrays:
            return None
        return cls(location.url, str(source.attrs["store_id"]), rows, tuple(arrays), np.stack(marks, axis=1))

    @property
    def names(self) -> list[str]:
        """Of the arrays, as `StoreWriter.stage` wants them."""
        return [array.name for array in self.arrays]

    def to(self, target: StageTarget) -> StageCopy:
        """The copy into the stage `target`, for tasks."""
        return StageCopy(self.url, self.store_id, target, self.marks)


def _stages(source: zarr.Group) -> list[tuple[Grid, np.ndarray]]:
    """How the source was written: the grid of each stage, and its marks int64 (groups, arrays)."""
    stages = source.get(MARKS)
    if not isinstance(stages, zarr.Group):
        return []
    arrays = [marks for _, marks in stages.arrays()]
    return [(Grid.from_attrs(marks.attrs.asdict()["grid"]), np.asarray(marks[...])) for marks in arrays]


def _marks_of(stages: Sequence[tuple[Grid, np.ndarray]], name: str, rows: int) -> np.ndarray | None:
    """Marks of array `name` in groups of `rows` along its first dimension; None where it was not written so."""
    for grid, marks in stages:
        if name not in grid.dims:
            continue
        if list(grid.blocks.items()) != [(grid.dims[name][0], (grid.shapes[name][0], rows))]:
            return None
        column = marks[:, list(grid.dims).index(name)]
        return None if (column < 0).any() else column
    return None


@dataclass(frozen=True, eq=False)
class StageCopy:
    """Copies groups of a stage from a store whose arrays have the same names. Picklable; a task calls `copy`."""

    url: str
    store_id: str
    target: StageTarget
    marks: np.ndarray

    def copy(self, index: int) -> None:
        """Copy the chunks of group `index` of every array of the stage, then set its mark.

        Raises StoreError where the source is another store by now or lacks a chunk.
        """
        grid = self.target.grid
        source, destination = Location(self.url), Location(self.target.url)
        with self.target.room(index):
            for name in grid.dims:
                array = reopen_array(self.url, self.store_id, name)
                for key in _chunk_keys(array, grid.region(name, index)):
                    try:
                        source.join(name, key).copy_file_to(destination.join(name, key))
                    except FileNotFoundError:
                        raise StoreError(
                            f"{source} is damaged: {name}/{key} is not there.", do=f"daskgen verify {source}"
                        ) from None
            self.target.mark(index, self.marks[index])


def _chunk_keys(array: zarr.Array, region: tuple[slice, ...]) -> list[str]:
    """Keys, below the array, of the objects that `region` consists of."""
    unit = write_unit(array)
    ranges = [
        range(part.start // step, max(part.start, part.stop - 1) // step + 1)
        for part, step in zip(region, unit, strict=True)
    ]
    return [array.metadata.encode_chunk_key(where) for where in itertools.product(*ranges)]
