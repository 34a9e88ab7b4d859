"""Writing what `ldsc`, `covstruct` and `ld_scores` return as stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daskgen.errors import UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.stores import RunKey, StoreLike, write_result

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["to_store"]

_OF_THE_RUN = ("kind", "command", "arguments", "inputs", "sources")


@known_arguments()
def to_store(result: xr.Dataset, path: StoreLike, *, force: bool = False) -> str:
    """Write a covariance structure or LD scores as a store of their kind; returns its place.

    result: what `ldsc`, `covstruct` or `ld_scores` returned; path: a path or any URL that fsspec opens; force: replace
    a store that daskgen made. Raises UsageError for another Dataset, StoreError for the destination.
    """
    kind = result.attrs.get("kind")
    if kind not in ("covstruct", "ld_scores"):
        raise UsageError(
            "only results of daskgen.ldsc are written by this function.",
            found=f"kind {kind}",
            expected="covstruct or ld_scores",
        )
    attrs: dict[str, Any] = result.attrs
    run = RunKey(attrs.get("command", kind), attrs.get("arguments", {}), attrs.get("inputs", []))
    provenance = {"sources": attrs.get("sources", []), "arguments": run.as_dict()["arguments"]}
    stored = result.copy(deep=False)
    stored.attrs = {name: value for name, value in attrs.items() if name not in _OF_THE_RUN}
    return write_result(path, stored, kind=kind, run=run, provenance=provenance, force=force).url
