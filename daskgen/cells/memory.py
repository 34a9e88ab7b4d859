"""What the passes over counts need in memory, said and checked before they begin."""

from __future__ import annotations

from collections.abc import Mapping

from daskgen import limits
from daskgen.cells.leaves import BLOCK_VALUES
from daskgen.cells.opened import Cells
from daskgen.passes import MemoryItem, PassRunner, Plan

__all__ = ["check_plan"]

_LIBRARIES = 310_000_000  # resident memory of a process that has imported what a pass needs
_TILE_BYTES = 4_000_000  # what is cast and taken out of a block at a time
_CELL_BYTES = 250  # sums, columns of quality control and where its values begin


def check_plan(
    cells: Cells,
    runner: PassRunner,
    per_thread: Mapping[str, int],
    memory_limit: int | str | None = None,
    *,
    once: Mapping[str, int] | None = None,
) -> Plan:
    """The plan of a pass; PlanError where a process would need more than its limit.

    per_thread: what a thread holds, in bytes, besides the rows that it reads; once: what a process holds.
    """
    executor = runner.executor()
    processes = 1 if executor.in_process else max(1, len(executor.workers))
    threads = max(1, executor.n_threads // processes)
    info = cells.store.x_info
    n_values = cells.store.rows().n_values
    # Whole chunks are decoded, and where a block begins within one, its rest is held meanwhile.
    chunk = info.chunk if info.layout == "csr" else info.chunk * cells.n_vars
    block = min(2 * n_values, BLOCK_VALUES + chunk) * (info.dtype.itemsize + 4) + _TILE_BYTES
    per_cell = _CELL_BYTES * cells.n_obs
    plan = Plan(
        f"{cells.n_obs:,} cells x {cells.n_vars:,} genes",
        bytes_per_pass=n_values * (info.dtype.itemsize + 4),
        memory=[
            MemoryItem("Python and its libraries", _LIBRARIES),
            MemoryItem(f"rows that are read, {threads} threads", threads * block),
            MemoryItem("what is known of each cell", per_cell),
            *(MemoryItem(f"{name}, {threads} threads", threads * size) for name, size in per_thread.items()),
            *(MemoryItem(name, size) for name, size in (once or {}).items()),
        ],
        memory_limit=limits.memory_limit(memory_limit) // processes,
        workers=f"{processes} process{'es' * (processes > 1)} of {threads} thread{'s' * (threads > 1)}",
    )
    plan.check()
    return plan
