"""How large a genotype store will be: its arithmetic, and what a sample of the source says about compression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from conversion.calls import Calls
from conversion.source import CallBlock
from daskgen.errors import UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.kernels.dosages import DOSAGE_BITS
from daskgen.kernels.genotype_layout import packed_width
from daskgen.limits import format_bytes
from daskgen.passes import Plan
from daskgen.stores.compressed_size import compressed_size
from daskgen.stores.genotype_layout import GenotypeLayout, genotype_layout

__all__ = ["BYTES_PER_DOSAGE", "StoreSize", "measured_size", "plan_genotypes"]

BYTES_PER_DOSAGE = {16: 0.8, 8: 0.65}
"""Compressed bytes of a dosage, by precision, of imputed genotypes whose probabilities have 8 bits, frequencies from
0.001 to 0.5 evenly on a logarithmic scale and an imputation r2 of 0.5 to 1. Rarer variants take less."""

_LARGE = ("call_genotype_packed", "call_dosage")
_SAMPLED_BYTES = 2_000_000  # of dosages or calls that are read at each of three places to see how they compress
_SAMPLED_ROWS = 64


@dataclass(frozen=True)
class StoreSize:
    """Bytes of a store. `shares`: array -> compressed bytes / bytes; `rows`: variants that these were measured on."""

    layout: GenotypeLayout
    shares: Mapping[str, float]
    rows: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of all arrays, compressed; text and small columns as they are."""
        return self.layout.bytes - sum(self.layout.bytes_of(name) - self.bytes_of(name) for name in self.shares)

    def bytes_of(self, name: str) -> int:
        """Bytes of one array, compressed. What fills the last chunks of a shard takes no room then."""
        if name not in self.shares:
            return self.layout.bytes_of(name)
        per_variant = 2 * self.layout.n_samples if name == "call_dosage" else packed_width(self.layout.n_samples)
        return int(self.layout.n_variants * per_variant * self.shares[name])

    def lines(self) -> list[str]:
        """The arithmetic of the two large arrays."""
        layout, lines = self.layout, []
        for plan in layout.arrays:
            if plan.name not in _LARGE:
                continue
            unit, samples = plan.shards or plan.chunks, f"{layout.n_samples:,}"
            if plan.name in self.shares:
                each = self.shares[plan.name] * (2 if plan.name == "call_dosage" else 0.25)
                size = f"{each:.2g} bytes"
                size += f" (compressed, as in {self.rows:,} variants)" if self.rows else " (compressed)"
            else:
                size = "1/4 byte"
                if unit[1] > plan.shape[1]:
                    samples = f"{4 * unit[1]:,} (whole chunks of samples)"
            lines.append(
                f"{plan.name}: {layout.n_variants:,} x {samples} x {size} = {format_bytes(self.bytes_of(plan.name))} "
                f"in {-(-layout.n_variants // unit[0]):,} objects of {unit[0]:,} variants"
            )
        return lines


def measured_size(calls: Calls, layout: GenotypeLayout) -> StoreSize:
    """The size, with what three samples of the source say about compression (of a sequential one, its beginning)."""
    plans = [plan for plan in layout.arrays if plan.name in _LARGE and plan.compression is not None]
    if not plans:
        return StoreSize(layout, {})
    row_bytes = 2 * layout.n_samples
    rows = max(1, min(_SAMPLED_ROWS, _SAMPLED_BYTES // row_bytes, calls.n_variants))
    blocks = _sampled(calls, rows)
    shares = {}
    for plan in plans:
        parts = [block.dosage if plan.name == "call_dosage" else block.packed for block in blocks]
        arrays = [part for part in parts if part is not None]
        # In pieces as large as the chunks, which decides how well they compress.
        pieces = [piece for array in arrays for piece in _pieces(array, *plan.chunks)]
        taken = sum(compressed_size(piece, plan.compression) for piece in pieces)
        shares[plan.name] = taken / max(1, sum(array.nbytes for array in arrays))
    return StoreSize(layout, shares, sum(len(block.packed) for block in blocks))


def _pieces(array: np.ndarray, rows: int, columns: int) -> Iterator[np.ndarray]:
    for row in range(0, array.shape[0], rows):
        for column in range(0, array.shape[1], columns):
            yield np.ascontiguousarray(array[row : row + rows, column : column + columns])


def _sampled(calls: Calls, rows: int) -> list[CallBlock]:
    if calls.source.sequential:
        return [next(iter(calls.stream([(0, rows)])))]
    starts = np.unique(np.linspace(0, calls.n_variants - rows, 3).astype(int)).tolist()
    return [calls.read(start, start + rows) for start in starts]


@known_arguments()
def plan_genotypes(
    n_samples: int,
    n_variants: int,
    *,
    dosages: bool = False,
    hard_calls: bool = True,
    dosage_bits: Literal[16, 8] = 16,
    bytes_per_dosage: float | None = None,
    chunk_mb: float | None = None,
    compression: Literal["auto", "none", "zstd", "lz4"] = "auto",
) -> Plan:
    """What a genotype store of this shape will take, before there is any: bytes and files.

    dosages, hard_calls: what is stored. dosage_bits: 16 or 8, as in `conversion.genotypes`. bytes_per_dosage: of
    compressed dosages; None: 0.8 with 16 bits and 0.65 with 8, as imputed genotypes have it; a dry run of
    `conversion.genotypes` measures it on the source. chunk_mb, compression: as there; hard calls are counted as they
    are without compression.
    Printing the result shows the arithmetic. UsageError for a shape that is not positive or nothing to store.
    """
    if n_samples < 1 or n_variants < 1:
        raise UsageError("a store needs samples and variants.", found=f"{n_samples:,} x {n_variants:,}")
    if not (dosages or hard_calls):
        raise UsageError("hard_calls=False and dosages=False leave nothing to store.")
    if dosage_bits not in DOSAGE_BITS:
        raise UsageError(f"dosage_bits={dosage_bits!r} is not understood.", expected="16 or 8")
    layout = genotype_layout(
        n_samples,
        n_variants,
        1,
        has_dosage=dosages,
        has_hard_calls=hard_calls,
        measures_info=dosages,
        chunk_mb=chunk_mb,
        compression=compression,
    )
    each = BYTES_PER_DOSAGE[dosage_bits] if bytes_per_dosage is None else bytes_per_dosage
    size = StoreSize(layout, {"call_dosage": each / 2} if dosages else {})
    return Plan(
        title=f"{n_variants:,} variants x {n_samples:,} samples, "
        f"{min(layout.group_rows, n_variants):,} variants a task",
        passes=None,
        bytes_written=size.bytes,
        files_written=layout.files,
        notes=size.lines(),
    )
