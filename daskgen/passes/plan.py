"""What a run will cost, known and printed before it starts, and refused if it is over the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from daskgen.errors import PlanError
from daskgen.limits import format_bytes

__all__ = ["MemoryItem", "Plan"]


@dataclass(frozen=True)
class MemoryItem:
    """One user of memory. `optional` items (caches) shrink before a plan is refused; `lower` says what lowers it."""

    name: str
    bytes: int
    lower: str = ""
    optional: bool = False


@dataclass
class Plan:
    """Passes over the data, bytes, files and memory per worker of a run.

    bytes_per_pass: read from the store by one pass; passes: number of passes, or None where it is decided while
    iterating; bytes_written, files_written: of the result; memory: items per worker, in bytes.
    """

    title: str
    bytes_per_pass: int = 0
    passes: int | None = 1
    bytes_written: int = 0
    files_written: int = 0
    memory: list[MemoryItem] = field(default_factory=list)
    memory_limit: int = 0
    workers: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def needed(self) -> int:
        """Bytes per worker without what may shrink."""
        return sum(item.bytes for item in self.memory if not item.optional)

    @property
    def peak(self) -> int:
        """Bytes per worker in all."""
        return sum(item.bytes for item in self.memory)

    def check(self) -> None:
        """PlanError if a worker would need more than its limit; names the largest items and what lowers them."""
        if self.memory_limit and self.needed > self.memory_limit:
            items = sorted((item for item in self.memory if not item.optional), key=lambda item: -item.bytes)
            largest = items[:3]
            lower = [item.lower for item in items if item.lower and item.bytes > self.memory_limit / 20][:3]
            raise PlanError(
                f"this plan needs {format_bytes(self.needed)} per worker, "
                f"the limit is {format_bytes(self.memory_limit)}.",
                found="; ".join(f"{item.name}: {format_bytes(item.bytes)}" for item in largest),
                do=", or ".join(dict.fromkeys([*lower, "a higher --memory-limit"])),
            )

    def lines(self) -> Sequence[str]:
        """The plan as it is printed."""
        passes = "passes until convergence" if self.passes is None else f"{self.passes} pass{'es' * (self.passes != 1)}"
        lines = [f"Plan       {self.title}"]
        if self.bytes_per_pass:
            lines.append(f"           {passes} x {format_bytes(self.bytes_per_pass)} read")
        if self.bytes_written or self.files_written:
            lines.append(f"           {format_bytes(self.bytes_written)} written in {self.files_written:,} files")
        if self.memory:
            limit = f" (limit {format_bytes(self.memory_limit)})" if self.memory_limit else ""
            where = f", {self.workers}" if self.workers else ""
            lines.append(f"           memory {format_bytes(self.peak)} per worker{limit}{where}")
        lines.extend(f"           {note}" for note in self.notes)
        return lines

    def __str__(self) -> str:
        return "\n".join(self.lines())
