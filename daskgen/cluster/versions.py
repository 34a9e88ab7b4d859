"""Client, scheduler and workers must run the same software, or a task fails in mid-run or gives other numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from daskgen.errors import UsageError

if TYPE_CHECKING:
    import distributed

__all__ = ["CHECKED", "check_versions", "version_differences"]

CHECKED = ("python", "dask", "distributed", "numpy", "numba", "zarr", "daskgen")
"""Packages whose versions must agree; of Python the first two numbers."""

Versions = Mapping[str, Any]


def check_versions(client: distributed.Client) -> None:
    """UsageError with a table unless client, scheduler and every worker have the same versions of `CHECKED`."""
    lines = version_differences(client.get_versions(packages=[name for name in CHECKED if name != "python"]))
    if lines:
        raise UsageError(
            "client, scheduler and workers run different versions.",
            found="\n".join(lines),
            do="install the same lock file on all of them, or start the workers from this environment",
        )


def version_differences(versions: Versions) -> list[str]:
    """The lines of a table of what differs, empty where nothing does.

    `versions` is what `Client.get_versions` gives: mappings "client", "scheduler" and "workers" (by address).
    Workers are summarised: ``2.4.6`` if they agree, else ``2.4.6 (3 workers), 2.3.0 (1: tcp://10.0.0.7:4021)``.
    """
    workers = {address: _packages(found) for address, found in versions["workers"].items()}
    columns = {"client": _packages(versions["client"]), "scheduler": _packages(versions["scheduler"])}
    rows = []
    for name in CHECKED:
        per_worker = {address: found[name] for address, found in workers.items()}
        seen = {found[name] for found in columns.values()} | set(per_worker.values())
        if len(seen) > 1:
            rows.append((name, columns["client"][name], columns["scheduler"][name], _summary(per_worker)))
    if not rows:
        return []
    table = [("package", "client", "scheduler", "workers"), *rows]
    return [f"{name:<12} {client:<14} {scheduler:<14} {on_workers}" for name, client, scheduler, on_workers in table]


def _packages(found: Any) -> dict[str, str]:
    """Versions of one process; "?" for a process that did not answer, "missing" for a package that is not there."""
    packages = found.get("packages") if isinstance(found, Mapping) else None
    if not isinstance(packages, Mapping):
        return dict.fromkeys(CHECKED, "?")
    versions = {name: str(packages.get(name) or "missing") for name in CHECKED}
    return versions | {"python": ".".join(versions["python"].split(".")[:2])}


def _summary(per_worker: Mapping[str, str]) -> str:
    counts = Counter(per_worker.values())
    if len(counts) <= 1:
        return next(iter(counts), "none yet")
    parts = []
    for version, n in counts.most_common():
        example = next(address for address, found in per_worker.items() if found == version)
        parts.append(f"{version} ({n}: {example}{', ...' if n > 1 else ''})")
    return ", ".join(parts)
