"""All kernels compiled ahead of a run, in several processes: Numba compiles one function at a time in each."""

from __future__ import annotations

import hashlib
import importlib
import os
import pkgutil
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numba

from daskgen import config
from daskgen.kernels.compile import Kernel, cache_folder, kernels

__all__ = ["warm"]


def warm(processes: int = 1) -> dict[str, float]:
    """Compile every CPU kernel, or read it from the cache: the seconds that each took here, by module and name.

    processes: how many may compile side by side. Modules whose kernels are not in the cache yet are shared out, and
    what the others compiled is then read. ``daskgen doctor --warm`` calls it once on a new machine, so that no run
    waits for a compiler.
    """
    package = importlib.import_module("daskgen.kernels")
    for found in pkgutil.iter_modules(package.__path__):
        if not found.ispkg:
            importlib.import_module(f"daskgen.kernels.{found.name}")
    by_module: dict[str, list[Kernel[object]]] = {}
    for entry in kernels():
        by_module.setdefault(entry.module, []).append(entry)
    marks = {module: _mark(entries[0]) for module, entries in by_module.items()}
    missing = [module for module, mark in marks.items() if mark is not None and not mark.exists()]
    if processes > 1 and len(missing) > 1:
        _compile_elsewhere(sorted(missing, key=lambda name: -_weight(by_module[name])), processes)
    seconds = {}
    for module, entries in by_module.items():
        for entry in entries:
            start = time.perf_counter()
            entry.compile()
            seconds[entry.name] = time.perf_counter() - start
        mark = marks[module]
        if mark is not None and mark.parent.is_dir():
            mark.touch()
    return seconds


def _mark(entry: Kernel[object]) -> Path | None:
    """The file that says that this source was compiled by this Numba for this Python; None without a cache folder."""
    folder = cache_folder(entry.source)
    if folder is None:
        return None
    identity = f"{entry.source} {entry.source.stat().st_mtime_ns} {numba.__version__} {sys.version}"
    return folder / f"warm-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def _weight(entries: Sequence[Kernel[object]]) -> int:
    """About how long a module takes: the largest come first, so that the processes end together."""
    return entries[0].source.stat().st_size + 4_000 * len(entries)


def _compile_elsewhere(modules: Sequence[str], processes: int) -> None:
    """Have other processes compile the modules' kernels into the cache.

    Each asks for the next module when it is done with one. What fails there is compiled here afterwards, where its
    error is seen.
    """
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for module in modules:
        waiting.put(module)

    environment = dict(os.environ)
    if setting := config.get("cache"):
        environment["DASKGEN_CACHE"] = str(setting)

    def work() -> None:
        command = [sys.executable, "-c", "from daskgen.kernels.warming import _serve; _serve()"]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            try:
                while True:
                    child.stdin.write(waiting.get_nowait() + "\n")
                    child.stdin.flush()
                    if not child.stdout.readline():
                        return
            except (queue.Empty, BrokenPipeError):
                return

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(processes, len(modules)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _serve() -> None:
    """Compile the kernels of the modules whose names come in, a line each; answer each with a line."""
    for line in sys.stdin:
        module = line.strip()
        importlib.import_module(module)
        for entry in kernels():
            if entry.module == module:
                entry.compile()
        sys.stdout.write("done\n")
        sys.stdout.flush()
