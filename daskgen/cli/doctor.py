"""daskgen doctor: what this installation and this job can do, tried rather than guessed."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from daskgen.cli.describe import labelled
from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.run import Run, format_seconds

__all__ = ["command"]

CORE = ("dask", "distributed", "zarr", "numcodecs", "numpy", "scipy", "numba", "xarray", "pandas")
# Package -> the extra that installs it.
OPTIONAL = {"pgenlib": "formats", "anndata": "cells", "dask-jobqueue": "jobqueue", "bokeh": "dashboard"}


@click.command("doctor", epilog=example("daskgen doctor"))
@click.option("--warm", is_flag=True, help="Compile all kernels now, so that no run waits for it.")
@click.option("--path", metavar="DIR", help="Where the write test is made. Default: the scratch folder.")
@settings_options("scratch", "memory_limit")
def command(warm: bool, path: str | None, settings: Settings) -> None:
    """Report versions and limits, and try scratch space, GPU, TLS and writing.

    The exit code is 1 if anything that was tried failed.
    """
    with Run("doctor", settings, computes=False) as run:
        checks: list[tuple[str, Callable[[], str]]] = [
            ("Versions", versions),
            ("Extras", extras),
            ("Limits", lambda: job_limits(settings.memory_limit)),
            ("Scratch", lambda: scratch_space(settings.scratch)),
            ("Write test", lambda: write_test(path, settings.scratch)),
            ("TLS", encrypted_cluster),
            ("GPU", gpus),
            ("Kernels", warm_kernels if warm else kernel_cache),
        ]
        failed = [name for name, check in checks if not _report(run, name, check)]
        if failed:
            run.say(f"Failed: {', '.join(failed)}")
            raise click.exceptions.Exit(1)


def _report(run: Run, name: str, check: Callable[[], str]) -> bool:
    """Print the outcome of one check; a check that fails must not keep the others from being made."""
    try:
        first, *rest = check().splitlines()
    except Exception as error:
        run.say(labelled(name, f"FAILED: {type(error).__name__}: {error}"))
        return False
    run.say(labelled(name, first))
    for line in rest:
        run.say(labelled("", line))
    return True


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions() -> str:
    """daskgen, Python and the packages that everything needs."""
    packages = ", ".join(f"{package} {_version(package) or 'MISSING'}" for package in CORE)
    mine = (
        f"daskgen {_version('daskgen')}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )
    return f"{mine}\n{packages}"


def extras() -> str:
    """Packages of extras: their version, or how to install them."""
    return ", ".join(
        f"{package} {version}" if (version := _version(package)) else f"{package} not installed ([{extra}])"
        for package, extra in OPTIONAL.items()
    )


def job_limits(memory_limit: str | None) -> str:
    """Cores and memory of this job, from affinity, control group and batch system."""
    from daskgen import limits

    limit = limits.memory_limit(memory_limit)
    return (
        f"{limits.cores()} cores and {limits.format_bytes(limits.memory())} of memory are this job's; "
        f"runs use up to {limits.format_bytes(limit)}"
    )


def scratch_space(folder: str | None) -> str:
    """The folder for temporary files and what is free there."""
    from daskgen import limits

    path = limits.scratch(folder)
    return f"{path}: {limits.format_bytes(shutil.disk_usage(path).free)} free"


def write_test(folder: str | None, scratch: str | None) -> str:
    """Write a store of 64 MB, verify it, remove it."""
    import numpy as np

    from daskgen import limits
    from daskgen.errors import StoreError
    from daskgen.stores import ArrayPlan, RunKey, StoreWriter
    from daskgen.stores.verify import verify

    rows, width = 64, 1_000_000
    plan = ArrayPlan("block", (rows, width), np.uint8, ("rows", "bytes"), chunks=(8, width), compression=None)
    with tempfile.TemporaryDirectory(prefix="daskgen-doctor-", dir=folder or limits.scratch(scratch)) as temporary:
        path = Path(temporary) / "test.zarr"
        block = np.random.default_rng(0).integers(0, 256, (8, width), dtype=np.uint8)
        started = time.monotonic()
        with StoreWriter(path, kind="test", arrays=[plan], run=RunKey("doctor")) as writer:
            stage = writer.stage("blocks", arrays=["block"], blocks={"rows": 8})
            for group in stage.pending:
                stage.target.write(group, {"block": block})
            writer.finish()
        written = time.monotonic() - started
        if problems := verify(path):
            raise StoreError("what was written is not what was read.", found="\n".join(problems))
    return f"64 MB written to {folder or 'the scratch folder'} in {format_seconds(written)} and verified"


def encrypted_cluster() -> str:
    """One worker process on this machine, encrypted, computes something."""
    from daskgen import cluster

    started = time.monotonic()
    with cluster.connect("local:1") as connection:
        assert connection.client is not None
        if connection.client.submit(sum, [20, 22]).result(timeout=60) != 42:
            raise RuntimeError("a worker computed something else than it was asked to")
        where = connection.address.partition("://")[0]
    return f"a worker process answered over {where}:// after {format_seconds(time.monotonic() - started)}"


def gpus() -> str:
    """CUDA devices that the driver knows, and whether CuPy is here to use them."""
    cupy = next(
        (f"{name} {_version(name)}" for name in ("cupy-cuda12x", "cupy-cuda13x", "cupy") if _version(name)), None
    )
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        found = ""
    if not found:
        return f"none; {cupy or 'CuPy is not installed'}"
    return f"{found}\n{cupy or 'CuPy is not installed: pip install daskgen[cuda12] or [cuda13]'}"


def kernel_cache() -> str:
    """Where compiled kernels are kept."""
    from daskgen.kernels.compile import cache_folder

    folder = cache_folder()
    if folder is None:
        return "no cache folder can be written, so each process compiles for itself: set DASKGEN_CACHE"
    return f"compiled ones are kept in {folder}; --warm compiles all ahead of a run"


def warm_kernels() -> str:
    """Compile all kernels into the cache."""
    from daskgen import limits
    from daskgen.kernels.compile import cache_folder
    from daskgen.kernels.warming import warm

    started = time.monotonic()
    found = warm(limits.cores())
    return f"{len(found)} compiled or read in {format_seconds(time.monotonic() - started)}, kept in {cache_folder()}"
