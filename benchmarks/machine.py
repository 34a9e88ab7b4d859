"""What every benchmark says about where it ran, and how it counts what a process of its own took."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["measure", "processor", "versions"]


def processor() -> str:
    """The processor's name as the system gives it, and how many cores there are."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores"


def versions(*packages: str) -> dict[str, str]:
    """Of Python, of daskgen and of those packages that are installed; and the machine."""
    found = {"python": platform.python_version(), "machine": processor()}
    for package in ("daskgen", *packages):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def measure(command: list[str], folder: Path) -> dict[str, Any]:
    """CPU and wall seconds and largest resident memory (MB) of a command and its children, and what it printed."""
    # As an installed package, daskgen keeps the byte code of its modules.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    with open(folder / "output.txt", "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    text = (folder / "output.txt").read_text(errors="replace")
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{text[-2000:]}")
    peak = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return {
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "of_which_system_s": round(usage.ru_stime, 3),
        "wall_s": round(wall, 3),
        "peak_mb": round(peak),
        "output": text,
    }
