"""Schedulers, workers and clients as processes of their own, for the tests of this folder."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

QUIET = ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]


@contextlib.contextmanager
def process(*command: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process with `command`, killed at the end together with what it started."""
    running = subprocess.Popen(
        [sys.executable, *command],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield running
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(running.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        running.kill()
        running.wait(timeout=30)
        assert running.stdout is not None
        running.stdout.close()


@contextlib.contextmanager
def scheduler(file: Path, *options: str) -> Iterator[None]:
    """``dask scheduler`` on the loopback interface, with its scheduler file."""
    command = ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *QUIET]
    with process(*command, "--scheduler-file", str(file), *options):
        yield


@contextlib.contextmanager
def worker(file: Path, *options: str) -> Iterator[None]:
    """``dask worker`` with one thread, without a nanny."""
    command = ["-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", "--memory-limit", "1GB", *QUIET]
    folder = file.parent / "workers"
    folder.mkdir(exist_ok=True)
    with process(*command, "--scheduler-file", str(file), "--local-directory", str(folder), *options):
        yield


def still_running(processes: list[psutil.Process], seconds: float = 10) -> list[psutil.Process]:
    """Those of `processes` that are not gone after so many seconds."""

    def alive(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    deadline = time.monotonic() + seconds
    while (found := [process for process in processes if alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found
