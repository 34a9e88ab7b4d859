"""Every default of daskgen in one place, registered with :mod:`dask.config` under ``daskgen``.

A value can be changed in code (``dask.config.set({"daskgen.chunk-mb": 16})``), in a Dask YAML file, or by an
environment variable (``DASKGEN_CHUNK_MB`` is read here; ``DASK_DASKGEN__CHUNK_MB`` is Dask's own form).
What changes numbers (tile sizes, blocks, groups) is stored with a result, so that a resumed run uses the same.

Dask is imported for its settings only where there are some: it takes a tenth of a second, which a pass on the threads
of this process does not need.
"""

from __future__ import annotations

import contextlib
import os
import site
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
    "gang-seconds": 120.0,  # how long members of a gang wait for each other to come
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
            import yaml

            found[key] = yaml.safe_load(os.environ[name])
    return found


def _dask_is_configured() -> bool:
    """Whether somebody gave Dask settings: a variable of the environment, or a file with more than comments."""
    if any(name.startswith("DASK_") for name in os.environ):
        return True
    folders = [Path("/etc/dask"), Path(os.path.expanduser("~"), ".config", "dask")]
    folders += [Path(prefix, "etc", "dask") for prefix in {sys.prefix, *site.PREFIXES}]
    return any(_says_something(file) for folder in folders for file in folder.glob("*.[yj]*"))


def _says_something(file: Path) -> bool:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


_ENVIRONMENT = _from_environment()
_registered = False
_until_dask: dict[str, Any] = {}
"""Settings of `using` blocks that began before Dask was imported."""


def _dask_config(*, configured: bool = False) -> Any:
    """``dask.config`` where Dask is in use (or was given settings), with daskgen's defaults in it; else None."""
    global _registered
    if not configured and "dask.config" not in sys.modules:
        return None
    import dask.config

    if not _registered:
        _registered = True
        # What somebody set in code, since this module was imported, holds.
        dask.config.update(dask.config.config, {"daskgen": _ENVIRONMENT}, priority="new" if configured else "old")
        dask.config.update_defaults({"daskgen": DEFAULTS})
    return dask.config


if "dask.config" in sys.modules or _dask_is_configured():
    _dask_config(configured=True)


def get(key: str) -> Any:
    """The current value of the default `key` (for example ``get("chunk-mb")``)."""
    if key not in DEFAULTS:
        raise KeyError(f"{key!r} is not a setting of daskgen; they are: {', '.join(sorted(DEFAULTS))}")
    return lookup(f"daskgen.{key}", _ENVIRONMENT.get(key, DEFAULTS[key]))


def lookup(name: str, default: Any = None) -> Any:
    """The current value of a setting of Dask, as ``num_workers``."""
    dask_config = _dask_config()
    return _until_dask.get(name, default) if dask_config is None else dask_config.get(name, default)


@contextlib.contextmanager
def using(settings: Mapping[str, Any]) -> Iterator[None]:
    """Within the block, settings of Dask and daskgen by full name have these values, as with ``dask.config.set``."""
    global _until_dask
    dask_config = _dask_config()
    if dask_config is not None:
        with dask_config.set(settings):
            yield
        return
    before, _until_dask = _until_dask, {**_until_dask, **settings}
    # Dask, if it is imported within the block, finds them in the environment.
    variables = {_variable(name): repr(value) for name, value in settings.items()}
    outer = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        _until_dask = before
        for name in variables:
            del os.environ[name]
        os.environ.update(outer)
        if (dask_config := _dask_config()) is not None:  # imported within the block
            for name in settings:
                dask_config.pop(name, None)
            for defaults in dask_config.defaults:
                dask_config.update(dask_config.config, defaults, priority="old")


def _variable(name: str) -> str:
    """The environment variable in which Dask looks for a setting: DASK_DASKGEN__MEMORY_LIMIT."""
    return "DASK_" + name.replace(".", "__").replace("-", "_").upper()
