"""Silences, in this one place, two warnings that say nothing to a user of daskgen.

Zarr warns that consolidated metadata is not part of the format-3 specification; xarray warns where it is absent.
daskgen writes it and its readers work without it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quietly"]


@contextmanager
def quietly() -> Iterator[None]:
    """Within the block the two warnings are not shown. For the calling thread's own short calls, not for tasks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        warnings.filterwarnings("ignore", message="Failed to open Zarr store with consolidated metadata")
        yield
