"""Is what lies here an AnnData store? Apart from the rest about them, which needs pandas."""

from __future__ import annotations

import zarr
from zarr.errors import GroupNotFoundError

from daskgen.stores.location import Location, StoreLike
from daskgen.stores.quiet import quietly

__all__ = ["is_anndata"]


def is_anndata(path: StoreLike | Location) -> bool:
    """Whether an AnnData store lies at `path`, whoever made it; False for one of daskgen's that is not complete."""
    location = Location.of(path)
    try:
        with quietly():
            group = zarr.open_group(location.zarr_store(read_only=True), mode="r")
    except (GroupNotFoundError, FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return False
    attrs = group.attrs
    if "daskgen_format" in attrs:
        return attrs.get("kind") == "cells" and bool(attrs.get("complete"))
    return {"obs", "var"} <= set(group)
