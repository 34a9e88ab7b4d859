"""Silences, in this one place, two warnings that say nothing to a user of daskgen.

Zarr warns that consolidated metadata and variable-length text are not yet in the written format-3 specification.
daskgen's readers work without consolidated metadata, and text is stored as Zarr's own ``string``.
"""

from __future__ import annotations

import warnings


def silence() -> None:
    """Install the two filters (idempotent)."""
    warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part", category=UserWarning)
    warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification.*")


silence()
