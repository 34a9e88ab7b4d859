"""What this job may use: cores, memory, scratch space. Never what the machine has.

A job on a shared node owns a part of it: the batch system says so in environment variables, containers and Slurm
enforce it through control groups (cgroups), and pinning shows in the affinity of the process. The smallest of what
is said holds. A cgroup inherits the limits of its ancestors, so each limit is the minimum on the way up to the root.

Every function takes `root` (the folder in which ``/proc`` and ``/sys`` lie) and `environment`, so that a test, or
``daskgen doctor``, can ask about another machine.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from daskgen import config
from daskgen.errors import InputError, PlanError, UsageError

__all__ = ["cores", "format_bytes", "memory", "memory_limit", "parse_bytes", "scratch"]

_UNITS = {"": 1, "B": 1} | {
    prefix + suffix: base**power
    for power, prefix in enumerate("KMGTP", start=1)
    for suffix, base in (("", 1000), ("B", 1000), ("IB", 1024))
}
# Slurm writes plain numbers in its memory variables; they are mebibytes.
_SLURM_UNIT = 2**20
# An interpreter with NumPy alone takes more; a smaller limit is a number whose unit was forgotten.
_LEAST = 50_000_000


def cores(*, root: str | os.PathLike[str] = "/", environment: Mapping[str, str] | None = None) -> int:
    """Cores that this job may use: the least of affinity, cgroup quota and what Slurm gave, at least 1.

    A quota of a part of a core counts as a whole one (1.5 cores are two threads). Slurm's ``SLURM_CPUS_PER_TASK``
    holds; without it (``sbatch -n 8``) ``SLURM_CPUS_ON_NODE`` does.
    """
    environment = os.environ if environment is None else environment
    found = [_affinity(Path(root))]
    for folder in _cgroup_folders(Path(root), "cpu"):
        found.extend(_cpu_quota(folder))
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        given = _positive_integer(environment.get(name))
        if given:
            found.append(given)
            break
    return max(1, min(found))


def memory(*, root: str | os.PathLike[str] = "/", environment: Mapping[str, str] | None = None) -> int:
    """Bytes of memory that this job may use: the least of physical memory, cgroup limits and Slurm's share.

    Slurm states the job's memory per node (``SLURM_MEM_PER_NODE``; 0 means all of it), per core
    (``SLURM_MEM_PER_CPU``, times the cores of the task) or per GPU (``SLURM_MEM_PER_GPU``), in MiB.
    """
    environment = os.environ if environment is None else environment
    found = [_physical_memory(Path(root))]
    for folder in _cgroup_folders(Path(root), "memory"):
        found.extend(_memory_limits(folder))
    per_node = _positive_integer(environment.get("SLURM_MEM_PER_NODE"))
    per_core = _positive_integer(environment.get("SLURM_MEM_PER_CPU"))
    per_gpu = _positive_integer(environment.get("SLURM_MEM_PER_GPU"))
    if per_node:
        found.append(per_node * _SLURM_UNIT)
    elif per_core:
        n_cores = _positive_integer(environment.get("SLURM_CPUS_PER_TASK"))
        n_cores = n_cores or _positive_integer(environment.get("SLURM_CPUS_ON_NODE")) or 1
        found.append(per_core * n_cores * _SLURM_UNIT)
    elif per_gpu:
        n_gpus = _positive_integer(environment.get("SLURM_GPUS_ON_NODE")) or 1
        found.append(per_gpu * n_gpus * _SLURM_UNIT)
    return min(found)


def memory_limit(
    limit: str | int | float | None = None,
    *,
    root: str | os.PathLike[str] = "/",
    environment: Mapping[str, str] | None = None,
) -> int:
    """The memory in bytes that all local processes of this run together may use.

    `limit` is a number of bytes, text such as ``"4GB"`` (10**9), ``"16GiB"`` (2**30) or ``"50%"``, or, up to 1, a
    fraction of the job's memory (``0.5``, ``"0.5"``). None: the limit that ``cluster.connect`` set, else the share
    ``memory-fraction`` (0.8) of the job's memory.

    Raises UsageError for text that says no amount or next to nothing, and PlanError for more than the job has.
    """
    if limit is None:
        limit = config.get("memory-limit")
    available = memory(root=root, environment=environment)
    if limit is None:
        return int(config.get("memory-fraction") * available)
    wanted = _as_bytes(limit, available)
    if wanted > available:
        raise PlanError(
            f"the memory limit {limit} is more than this job has.",
            found=f"{limit} = {wanted:,} bytes",
            expected=f"at most {available:,} bytes ({format_bytes(available)}), from cgroup, batch system and machine",
            do="ask for less, or ask the batch system for more",
        )
    return wanted


def parse_bytes(text: str) -> int:
    """``"4GB"`` -> 4,000,000,000; ``"16GiB"`` -> 16 x 2**30; ``"1.5 g"`` -> 1,500,000,000; ``"1e9"`` -> 10**9.

    Units are powers of 1000, with an i powers of 1024, in any case, the B may be left out.
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?(?:e[0-9]+)?|\.[0-9]+)\s*([a-z]*)\s*", text, re.IGNORECASE)
    if match is None or match[2].upper() not in _UNITS:
        raise UsageError(
            f"{text!r} is no amount of memory.",
            expected="a number with a unit: 4GB, 16GiB, 500MB, 50%, or a fraction: 0.5",
        )
    return int(float(match[1]) * _UNITS[match[2].upper()])


def format_bytes(size: float) -> str:
    """A size with three digits and a decimal unit: ``950 kB``, ``12.1 GB``."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if abs(size) < 999.5 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if abs(size) >= 99.5 or unit == "bytes" else f"{size:.3g} {unit}"


def scratch(folder: str | os.PathLike[str] | None = None, *, environment: Mapping[str, str] | None = None) -> Path:
    """Where temporary files go: `folder`, the setting ``scratch``, ``$SLURM_TMPDIR``, ``$TMPDIR``, the system's.

    Raises InputError if the folder that was named is not there or cannot be written; a variable of the batch system
    that points nowhere is passed over.
    """
    environment = os.environ if environment is None else environment
    named = folder if folder is not None else config.get("scratch")
    if named is not None:
        path = Path(named).expanduser()
        if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
            raise InputError(
                f"{path} cannot hold temporary files.",
                found="no such folder" if not path.is_dir() else "a folder that this user may not write",
                do="make it, or name another with --scratch",
            )
        return path
    for name in ("SLURM_TMPDIR", "TMPDIR"):
        path = Path(environment.get(name) or "")
        if environment.get(name) and path.is_dir() and os.access(path, os.W_OK | os.X_OK):
            return path
    return Path(tempfile.gettempdir())


def _as_bytes(limit: str | int | float, available: int) -> int:
    """Bytes of an amount, a percentage, or a fraction (up to 1) of `available`."""
    if isinstance(limit, str):
        percent = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*%\s*", limit)
        fraction = re.fullmatch(r"\s*(0?\.[0-9]+|1(?:\.0*)?)\s*", limit)
        if percent or fraction:
            wanted = available * (float(percent[1]) / 100 if percent else float(limit))
        else:
            wanted = parse_bytes(limit)
    else:
        wanted = limit * available if limit <= 1 else limit
    if not wanted >= _LEAST:
        raise UsageError(
            f"the memory limit {limit} leaves next to nothing.",
            found=f"{wanted:,.0f} bytes",
            expected="an amount with a unit, such as 4GB, or a share of the job's memory, such as 50% or 0.5",
        )
    return int(wanted)


def _affinity(root: Path) -> int:
    """Cores that this process may run on: ``Cpus_allowed_list: 0-3,8`` is five; all cores where it is not said."""
    for line in _lines(root / "proc/self/status"):
        if line.startswith("Cpus_allowed_list:"):
            ranges = [part.partition("-") for part in line.split(":")[1].strip().split(",")]
            return sum(int(last or first) - int(first) + 1 for first, _, last in ranges)
    return os.cpu_count() or 1


def _physical_memory(root: Path) -> int:
    """Bytes of the machine; ``MemTotal`` of another root where it has one."""
    if root != Path("/"):
        for line in _lines(root / "proc/meminfo"):
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """Folders of this process's cgroup and of all its ancestors, for version 1, version 2 and the mixture of both.

    ``/proc/self/cgroup`` has the path inside the hierarchy (``0::/a/b`` for version 2, ``4:memory:/a/b`` for version
    1), ``/proc/self/mountinfo`` where the hierarchy is mounted and which part of it. In a container the path may lie
    outside what is mounted; then the mount itself is the container's group.
    """
    mounts = list(_cgroup_mounts(root))
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        version_2 = controllers == ""
        if not version_2 and controller not in controllers.split(","):
            continue
        for fstype, options, mounted_part, mount_point in mounts:
            if version_2 != (fstype == "cgroup2") or not (version_2 or controller in options):
                continue
            top = root / mount_point.lstrip("/")
            yield from _ancestors(top, _inside(path, mounted_part))
            break


def _cgroup_mounts(root: Path) -> Iterator[tuple[str, list[str], str, str]]:
    """(type, controllers, part of the hierarchy that is mounted, where) of each cgroup mount."""
    for line in _lines(root / "proc/self/mountinfo"):
        left, _, right = line.partition(" - ")
        fields, tail = left.split(), right.split()
        if len(fields) >= 5 and len(tail) >= 3 and tail[0] in ("cgroup", "cgroup2"):
            yield tail[0], tail[2].split(","), _unescaped(fields[3]), _unescaped(fields[4])


def _inside(path: str, mounted_part: str) -> PurePosixPath:
    """`path` relative to the part of the hierarchy that is mounted; empty where it lies outside."""
    try:
        return PurePosixPath(path).relative_to(mounted_part)
    except ValueError:
        return PurePosixPath()


def _ancestors(top: Path, below: PurePosixPath) -> Iterable[Path]:
    """``top/a/b``, ``top/a``, ``top`` for `below` = ``a/b``."""
    parts = [part for part in below.parts if part not in ("/", "..")]
    return [top.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]


def _cpu_quota(folder: Path) -> Iterator[int]:
    """Cores of the quota set in one cgroup, if one is."""
    for line in _lines(folder / "cpu.max"):
        quota, _, period = line.partition(" ")
        if quota != "max":
            yield max(1, math.ceil(int(quota) / int(period or 100_000)))
    quotas, periods = _lines(folder / "cpu.cfs_quota_us"), _lines(folder / "cpu.cfs_period_us")
    if quotas and periods and int(quotas[0]) > 0:
        yield max(1, math.ceil(int(quotas[0]) / int(periods[0])))


def _memory_limits(folder: Path) -> Iterator[int]:
    """Bytes of the limits set in one cgroup; version 1 writes "no limit" as a number near 2**63."""
    for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
        for line in _lines(folder / name):
            if line != "max" and 0 < int(line) < 2**60:
                yield int(line)


def _positive_integer(text: str | None) -> int:
    """The number, or 0 for anything that is none (Slurm leaves some variables empty)."""
    text = (text or "").strip()
    return int(text) if text.isdigit() else 0


def _unescaped(path: str) -> str:
    """mountinfo writes blanks as ``\\040``."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def _lines(path: Path) -> list[str]:
    """The lines of a small file; none where it cannot be read (no cgroup, another system)."""
    try:
        return [line for line in path.read_text().splitlines() if line.strip()]
    except OSError:
        return []
