"""What the passes over counts need in memory, said and checked before they begin."""

from __future__ import annotations

from collections.abc import Mapping

from daskgen import limits
from daskgen.cells.leaves import BLOCK_VALUES
from daskgen.cells.opened import Cells
from daskgen.passes import MemoryItem, PassRunner, Plan

__all__ = ["check_plan"]

_LIBRARIES = 330_000_000  # resident memory of a process that has imported what a pass needs


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
    block = min(n_values, BLOCK_VALUES) * (2 * info.dtype.itemsize + 12)
    per_cell = 8 * cells.n_obs * 8
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
