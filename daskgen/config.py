"""Every default of daskgen in one place, registered with :mod:`dask.config` under ``daskgen``.

A value can be changed in code (``dask.config.set({"daskgen.chunk-mb": 16})``), in a Dask YAML file, or by an
environment variable (``DASKGEN_CHUNK_MB`` is read here; ``DASK_DASKGEN__CHUNK_MB`` is Dask's own form).
What changes numbers (tile sizes, blocks, groups) is stored with a result, so that a resumed run uses the same.
"""

from __future__ import annotations

import os
from typing import Any

import dask.config
import yaml

DEFAULTS: dict[str, Any] = {
    # Stores -------------------------------------------------------------------------------------------------
    "chunk-mb": 8,  # target size of a packed genotype chunk, in units of 10**6 bytes
    "max-chunk-mb": 128,  # chunks grow up to this size so that no array has more objects than the next number
    "max-objects": 20_000,
    "column-rows": 2**18,  # rows of a chunk of a per-variant column
    "wide-samples": 65_536,  # more samples than this: inner chunks of so many samples inside shards of all
    "fingerprint-piece": 64_000_000,  # bytes of a source that are hashed together
    "lock-heartbeat": 15.0,  # seconds between heartbeats of a store's lock
    "lock-stale": 600.0,  # seconds without a heartbeat after which another host's lock counts as dead
    # Passes -------------------------------------------------------------------------------------------------
    "sample-tile": 16_384,  # samples whose products are summed in float32 before they are added in float64
    "variant-block": 256,  # variants that are decoded together
    "group-mb": 16,  # least packed megabytes of a leaf: chunks whose results are accumulated one after the other
    "max-leaves": 1_024,
    "memory-fraction": 0.8,  # share of the job's memory that is used when no limit is given
    "cache-fraction": 0.75,  # cached + workspace + reserve stay below this share of a worker's memory
    "cache-reserve": 150_000_000,  # bytes of a worker that are neither cache nor workspace
    "checkpoint-seconds": 60.0,  # least time between two checkpoints
    "retries": 3,  # how often a task of a pass is tried again after its worker was lost
    "worker-ttl": "60s",  # a worker that has not answered for so long is given up and its work redone
    "memory-limit": None,  # of all local processes together; None: memory-fraction of what the job has
    # Files --------------------------------------------------------------------------------------------------
    "scratch": None,  # None: $SLURM_TMPDIR, else $TMPDIR, else the system's
    "cache": None,  # compiled kernels; None: the user's cache folder
}


def _from_environment() -> dict[str, Any]:
    found = {}
    for key in DEFAULTS:
        name = "DASKGEN_" + key.upper().replace("-", "_")
        if name in os.environ:
            found[key] = yaml.safe_load(os.environ[name])
    return found


dask.config.update_defaults({"daskgen": DEFAULTS})
if _set := _from_environment():
    dask.config.update(dask.config.config, {"daskgen": _set}, priority="new")


def get(key: str) -> Any:
    """The current value of the default `key` (for example ``get("chunk-mb")``)."""
    if key not in DEFAULTS:
        raise KeyError(f"{key!r} is not a setting of daskgen; they are: {', '.join(sorted(DEFAULTS))}")
    return dask.config.get(f"daskgen.{key}")
