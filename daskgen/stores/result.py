"""Writing a result that is in memory, an xarray Dataset of moderate size, as a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from daskgen.stores.layout import ChunkLayout, row_layout
from daskgen.stores.location import Location, StoreLike
from daskgen.stores.run_key import RunKey
from daskgen.stores.writer import ArrayPlan, StoreWriter

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["write_result"]


def write_result(
    path: StoreLike | Location,
    dataset: xr.Dataset,
    *,
    kind: str,
    run: RunKey,
    provenance: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Location:
    """Write every variable and coordinate of `dataset`; its attributes become root attributes.

    Raises what `StoreWriter` raises; nothing is left behind if a variable cannot be written.
    """
    values = {str(name): _plain(np.asarray(variable.values)) for name, variable in dataset.variables.items()}
    plans = {
        name: ArrayPlan(
            name,
            array.shape,
            "string" if array.dtype.kind == "T" else array.dtype,
            tuple(map(str, dataset.variables[name].dims)),
            _layout(array).chunks,
            attrs=dict(dataset.variables[name].attrs),
        )
        for name, array in values.items()
    }
    with StoreWriter(
        path, kind=kind, arrays=list(plans.values()), run=run, provenance=provenance, attrs=dataset.attrs, force=force
    ) as writer:
        for name, array in values.items():
            plan = plans[name]
            stage = writer.stage(name, arrays=[name], blocks={plan.dims[0]: plan.chunks[0]} if array.ndim else None)
            for index in stage.pending:
                rows = stage.target.ranges(index).get(plan.dims[0]) if array.ndim else ...
                stage.target.write(index, {name: array[rows]})
        return writer.finish()


def _plain(array: np.ndarray) -> np.ndarray:
    return array.astype(np.dtypes.StringDType()) if array.dtype.kind in "OUT" else array


def _layout(array: np.ndarray) -> ChunkLayout:
    if array.ndim == 0:
        return ChunkLayout(())
    row = int(np.prod(array.shape[1:], dtype=np.int64)) * max(1, array.dtype.itemsize)
    rows = row_layout(array.shape[0], row).chunks[0]
    return ChunkLayout((rows, *array.shape[1:]))
