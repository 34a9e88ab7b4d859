"""The pass over the variants: one task per group of output chunks, which reads, fits and writes its rows.

A group is read once, fitted in blocks that stay in the processor's cache, and written by the task that fitted it. What
a task needs beside its number is small: the model, where the data are, and where the result goes. So memory does not
depend on the number of variants, and a group that a lost worker did not finish is done again elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from daskgen.gwas.lazy import stacked
from daskgen.passes import MemoryItem, PassRunner, Plan, give_back, zeros
from daskgen.sem.effects import Effects
from daskgen.sem.per_snp import PerSnpModel, SnpFits
from daskgen.stores import StageCopy, StageTarget

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["Output", "Scan", "plan_scan", "write_groups"]

_CACHE_BYTES = 512_000  # of a block's work space: half of what a core has for itself
_LIBRARIES = 350_000_000  # resident memory of a process with everything that a pass needs, compiled kernels included
_TEXT_BYTES = 70  # of a text in memory, when columns are decoded


@dataclass(frozen=True)
class Output:
    """An array of the result. field: of `SnpFits`; row: which of the field's rows, None for all; dims, dtype."""

    field: str
    dims: tuple[str, ...]
    dtype: str = "float64"
    row: int | None = None


@dataclass(frozen=True, eq=False)
class Scan:
    """One fit per SNP: the model, its data, and what is kept of the fits. Picklable.

    outputs: by name in the result; rows: SNPs of a group.
    """

    model: PerSnpModel
    effects: Effects
    outputs: Mapping[str, Output]
    rows: int

    @property
    def nbytes(self) -> int:
        """Bytes that go to a worker."""
        return self.effects.nbytes

    @property
    def n_groups(self) -> int:
        """Groups of `rows` SNPs."""
        return -(-self.effects.n_variants // self.rows)

    def part(self, index: int) -> slice:
        """The SNPs of group `index`."""
        return slice(index * self.rows, min((index + 1) * self.rows, self.effects.n_variants))

    def shape(self, name: str, n: int) -> tuple[int, ...]:
        """Of the output `name` for n SNPs."""
        lengths = {"parameter": len(self.model.parameters), "factor": len(self.model.factors), "variant": n}
        return tuple(lengths[dim] for dim in self.outputs[name].dims)

    @cached_property
    def block(self) -> int:
        """SNPs that are fitted together."""
        wanted = _CACHE_BYTES // max(1, self.model.bytes_per_snp)
        return int(min(max(wanted // 64 * 64, 64), 1 << 16))

    def fit(self, part: slice) -> dict[str, np.ndarray]:
        """The outputs of the SNPs `part`, in arrays that `passes.give_back` takes."""
        n, k = part.stop - part.start, len(self.model.traits)
        beta, se = zeros((k, n)), zeros((k, n))
        variance = self.effects.read(part, beta, se)
        kept = {name: zeros(self.shape(name, n), np.dtype(out.dtype)) for name, out in self.outputs.items()}
        for start in range(0, n, self.block):
            rows = slice(start, min(start + self.block, n))
            # The model takes contiguous arrays; these are a block's, so they are copied inside the cache.
            fits = self.model.fit(
                np.ascontiguousarray(beta[:, rows]),
                np.ascontiguousarray(se[:, rows]),
                np.ascontiguousarray(variance[rows]),
            )
            for name, out in self.outputs.items():
                kept[name][..., rows] = _field(fits, out)
        give_back([beta, se])
        return kept

    def lazy(self) -> dict[str, da.Array]:
        """The outputs as Dask arrays, a block a group. Outputs that are computed together share the fits."""
        import dask

        whole = dask.delayed(self, pure=True, traverse=False)
        groups = [
            dask.delayed(_fit_group, pure=True)(whole, index, dask_key_name=f"fit-{whole.key}-{index}")
            for index in range(self.n_groups)
        ]
        parts = map(self.part, range(self.n_groups))
        arrays = {name: (self.shape(name, 1)[:-1], out.dtype) for name, out in self.outputs.items()}
        return stacked(groups, [part.stop - part.start for part in parts], arrays)


def _field(fits: SnpFits, out: Output) -> np.ndarray:
    values: Any = getattr(fits, out.field)
    assert values is not None, f"the model gives no {out.field}"
    return values if out.row is None else values[out.row]


def _fit_group(scan: Scan, index: int) -> dict[str, np.ndarray]:
    return scan.fit(scan.part(index))


def plan_scan(scan: Scan, *, decoded_columns: bool, bytes_per_row: float, files: int, memory_limit: int) -> Plan:
    """What the pass reads, writes and needs in memory, per process.

    decoded_columns: columns of variants are decoded and written again; bytes_per_row, files: of the result.
    """
    executor = PassRunner().executor()
    processes = 1 if executor.in_process else max(1, len(executor.workers))
    threads = max(1, executor.n_threads // processes)
    k, model, effects = len(scan.model.traits), scan.model, scan.effects
    rows = min(scan.rows, effects.n_variants)
    of_outputs = sum(
        int(np.prod(scan.shape(name, 1))) * np.dtype(out.dtype).itemsize for name, out in scan.outputs.items()
    )
    # What is read, what comes out, and both once more: as codecs and the allocator hold it.
    group = 2 * rows * (8 * (2 * k + 4) + 2 * of_outputs)
    fewer = "fewer threads"
    memory = [
        MemoryItem("Python and its libraries", _LIBRARIES),
        MemoryItem(f"a group of {rows:,} variants, {threads} threads", threads * group, lower=fewer),
        MemoryItem("blocks being fitted", threads * scan.block * model.bytes_per_snp, lower=fewer),
    ]
    if effects.nbytes:
        memory.append(MemoryItem("which rows of the stores are used", effects.nbytes))
    if decoded_columns:
        memory.append(MemoryItem("columns of variants", threads * rows * (3 * _TEXT_BYTES + 16), lower=fewer))
    return Plan(
        f"{effects.n_variants:,} variants x {k} traits, {len(model.parameters)} parameter"
        f"{'s' * (len(model.parameters) != 1)}, {scan.n_groups} group{'s' * (scan.n_groups != 1)} of {rows:,}",
        bytes_per_pass=8 * (2 * k + 1) * effects.n_variants,
        bytes_written=int(bytes_per_row * effects.n_variants),
        files_written=files,
        memory=memory,
        memory_limit=memory_limit // processes,
        workers=f"{processes} process{'es' * (processes > 1)} of {threads} thread{'s' * (threads > 1)}",
        notes=list(getattr(model, "notes", ())),
    )


def write_groups(
    scan: Scan, indices: list[int], results: StageTarget, columns: StageTarget, copy: StageCopy | None
) -> None:
    """Run the pass for the groups `indices`, on the current scheduler.

    results, columns: stages of the outputs and of the columns of variants; copy: copies the latter from the source,
    None where they are decoded and written again.
    """
    unit = 8.0 * (2 * len(scan.model.traits) + 1) * scan.rows
    for _ in PassRunner().run_map(
        _write_group, indices, scan, results, columns, copy, label="variants", unit_bytes=unit
    ):
        pass


def _write_group(index: int, scan: Scan, results: StageTarget, columns: StageTarget, copy: StageCopy | None) -> None:
    part = scan.part(index)
    kept = scan.fit(part)
    results.write(index, kept)
    give_back(kept)
    if copy is not None:
        copy.copy(index)
    else:
        columns.write(index, {name: scan.effects.column(name, part) for name in columns.grid.dims})
