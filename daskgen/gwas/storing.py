"""Writing a result per variant as a store: the whole of a lazy one by its own pass, any other block by block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from daskgen.errors import UsageError
from daskgen.gwas.layout import array_plans, computed, run_of
from daskgen.stores import RunKey, StoreLike, StoreWriter, column_layout

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["run_key", "small_arrays", "store_attributes", "to_store"]

_OF_THE_RUN = ("kind", "command", "inputs", "run", "run_key", "store_id", "created_by", "complete", "provenance")


def to_store(dataset: xr.Dataset, path: StoreLike, *, force: bool = False, resume: bool = False) -> str:
    """Write a result per variant as a store of kind gwas; returns its place.

    What `dg.sem.user_gwas` and its like return is fitted, and written, chunk by chunk, on the current scheduler, with
    resume. A Dataset that was cut or changed, or read from a store, is written block by block.

    Raises UsageError for a Dataset of another kind, StoreError for the destination, ResumeError.
    """
    run = run_of(dataset)
    if run is not None:
        return run.to_store(dataset, path, force=force, resume=resume)
    if "variant" not in dataset.dims or dataset.attrs.get("kind", "gwas") != "gwas":
        raise UsageError("only results per variant are written here.", found=f"kind {dataset.attrs.get('kind')}")
    plans = array_plans(dataset)
    whole = {plan.name for plan in plans if "variant" not in plan.dims}
    names = [plan.name for plan in plans if plan.name not in whole]
    rows = column_layout(dataset.sizes["variant"]).chunks[0]
    with StoreWriter(
        path,
        kind="gwas",
        arrays=plans,
        run=run_key(dataset),
        provenance=dataset.attrs.get("provenance", {"arguments": dict(dataset.attrs.get("arguments", {}))}),
        attrs=store_attributes(dataset.attrs),
        force=force,
        resume=resume,
    ) as writer:
        if not writer.already_complete:
            writer.write("labels", **small_arrays(dataset))
            stage = writer.stage("results", arrays=names, blocks={"variant": rows})
            for index in stage.pending:
                part = dataset.isel(variant=stage.target.ranges(index)["variant"])
                values = computed([part[name].data for name in names])
                stage.target.write(index, {n: plain(np.asarray(v)) for n, v in zip(names, values, strict=True)})
        return writer.finish().url


def run_key(dataset: xr.Dataset) -> RunKey:
    """Identity of the run that made, or makes, the Dataset."""
    attrs = dataset.attrs
    inputs = list(attrs.get("inputs", []))
    if run_of(dataset) is None:
        from dask.tokenize import tokenize

        inputs.append(tokenize(dataset))
    return RunKey(attrs.get("command", "gwas"), attrs.get("arguments", {}), inputs)


def store_attributes(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes of a result that become root attributes of its store; what the writer itself sets is left out."""
    return {str(name): value for name, value in attrs.items() if name not in _OF_THE_RUN or name == "command"}


def small_arrays(dataset: xr.Dataset) -> dict[str, np.ndarray]:
    """The variables without a value per variant, in memory."""
    return {
        str(name): plain(np.asarray(variable.values))
        for name, variable in dataset.variables.items()
        if "variant" not in variable.dims
    }


def plain(array: np.ndarray) -> np.ndarray:
    """Text as StringDType."""
    return array.astype(np.dtypes.StringDType()) if array.dtype.kind in "OUT" else array
