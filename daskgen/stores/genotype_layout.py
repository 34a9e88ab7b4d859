"""How a genotype store is cut into chunks, and what the conversion will cost.

Hard calls: all samples x as many variants as make about 8 MB, up to 65,536 samples; beyond that, blocks of 65,536
samples inside shards of all samples. Dosages take eight times the bytes, so their chunks hold an eighth of the
variants. A task converts one group: whole chunks of both, about 16 MB of hard calls, and at most 128 MB of dosages.
Where that made more objects than an array may have, chunks stay as they are and shards hold several groups' worth of
them, up to 2 GB of dosages, which a task converts in parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from daskgen import config
from daskgen.errors import UsageError
from daskgen.kernels.genotype_codes import DOSAGE_MISSING, DOSAGE_SCALE, packed_width
from daskgen.stores.layout import ChunkLayout, column_layout, n_objects, row_layout
from daskgen.stores.writer import ArrayPlan

__all__ = ["COLUMNS", "COMPRESSIONS", "INFO_SCORE", "GenotypeLayout", "genotype_layout", "reading_rows"]

_V, _S, _C = ("variants",), ("samples",), ("contigs",)

COLUMNS: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("variant_contig", np.int32, _V),
    ("variant_position", np.int32, _V),
    ("variant_genetic_position", np.float64, _V),
    ("variant_id", "string", _V),
    ("variant_allele", "string", ("variants", "alleles")),
    ("variant_ploidy_class", np.uint8, _V),
    ("variant_allele_frequency", np.float32, _V),
    ("variant_n_called", np.int32, _V),
    ("variant_n_het", np.int32, _V),
    ("sample_id", "string", _S),
    ("sample_family_id", "string", _S),
    ("sample_paternal_id", "string", _S),
    ("sample_maternal_id", "string", _S),
    ("sample_sex", np.int8, _S),
    ("sample_phenotype", np.float64, _S),
    ("contig_id", "string", _C),
    ("contig_role", np.uint8, _C),
)
"""Name, type and dimensions of the columns of a genotype store."""

INFO_SCORE: tuple[str, Any, tuple[str, ...]] = ("variant_info_score", np.float32, _V)
"""The column that only stores of imputed genotypes have."""

COMPRESSIONS = {"none": None, "zstd": "zstd", "lz4": "lz4"}
_GENOTYPES = ("call_genotype_packed", "call_dosage")
_GROUP_BYTES = 16_000_000
_DOSAGE_BYTES = 128_000_000  # that are held at a time by a task that converts or reads
_MOST_DOSAGE_BYTES = 2_000_000_000  # of an object, however many variants there are
_WIDE_SHARD_BYTES = 20_000_000  # of calls; their columns are read in ranges of samples, so larger shards win nothing


@dataclass(frozen=True)
class GenotypeLayout:
    """The arrays of a genotype store of this shape; the variants that one task converts, and holds at a time."""

    n_samples: int
    n_variants: int
    arrays: tuple[ArrayPlan, ...]
    group_rows: int
    held_rows: int
    measures_info: bool = False

    @property
    def column_rows(self) -> int:
        """Variants in a chunk of a per-variant column."""
        return column_layout(self.n_variants).chunks[0]

    @property
    def n_groups(self) -> int:
        return -(-self.n_variants // self.group_rows)

    @property
    def group_bytes(self) -> int:
        """Bytes of calls and dosages that one task holds; calls too where only the dosages are written."""
        rows = min(self.held_rows, self.n_variants)
        return rows * (packed_width(self.n_samples) + (2 * self.n_samples if self.has_dosage else 0))

    @property
    def writing_bytes(self) -> int:
        """Bytes that writing a group takes beside the group itself.

        A shard is written chunk by chunk, unless its codec is left to Zarr, which copies it twice; other compressed
        chunks are there before they are written; plain chunks are written from where they are.
        """
        total = 0
        for plan in self.arrays:
            if plan.name not in _GENOTYPES:
                continue
            item = np.dtype(plan.dtype).itemsize
            if plan.shards is not None:
                left_to_zarr = plan.compression not in (None, "zstd")
                total += 2 * item * int(np.prod(plan.shards if left_to_zarr else plan.chunks))
            elif plan.compression is not None:
                total += item * min(self.held_rows, self.n_variants) * plan.shape[1]
        return total

    @property
    def has_dosage(self) -> bool:
        return any(plan.name == "call_dosage" for plan in self.arrays)

    @property
    def group_arrays(self) -> tuple[str, ...]:
        """The arrays that the tasks write: calls, dosages, and a score that is measured while they are read."""
        measured = (INFO_SCORE[0],) if self.measures_info else ()
        return (*(plan.name for plan in self.arrays if plan.name in _GENOTYPES), *measured)

    @property
    def files(self) -> int:
        """Files of the store: objects of all arrays, marks of the groups of four stages, and the metadata of each."""
        objects = sum(n_objects(plan.shape, ChunkLayout(plan.chunks, plan.shards)) for plan in self.arrays)
        marks = self.n_groups + -(-self.n_variants // self.column_rows) + 2
        return objects + marks + len(self.arrays) + 4 + 2

    @property
    def bytes(self) -> int:
        """Bytes of the store without compression, as far as they can be told: text is taken as 16 bytes."""
        return sum(map(self.bytes_of, (plan.name for plan in self.arrays)))

    def bytes_of(self, name: str) -> int:
        """Bytes of one array without compression; 0 for an array that the store does not have."""
        total = 0
        for plan in self.arrays:
            if plan.name == name:
                item = 16 if plan.dtype == "string" else np.dtype(plan.dtype).itemsize
                # The last chunks of a shard are stored whole.
                width = plan.shape[1:] if plan.shards is None else plan.shards[1:]
                total += item * plan.shape[0] * int(np.prod(width, dtype=np.int64))
        return total


def genotype_layout(
    n_samples: int,
    n_variants: int,
    n_contigs: int,
    *,
    has_dosage: bool,
    has_hard_calls: bool = True,
    has_info_score: bool = False,
    measures_info: bool = False,
    chunk_mb: float | None = None,
    compression: str = "auto",
    most_rows: int | None = None,
    attrs: Mapping[str, Mapping[str, Any]] | None = None,
) -> GenotypeLayout:
    """The layout: a pure function of the arguments. `attrs`: further attributes by array.

    chunk_mb: size of a chunk of hard calls in 10**6 bytes; None: the setting chunk-mb. compression: "auto" (hard calls
    as they are, dosages zstd level 1), "none", "zstd" or "lz4"; dosages are always compressed. most_rows: variants
    that a task may convert where reading one costs far more than its size here (few samples of a large file).
    has_info_score: whether the source's tables have info scores; measures_info: whether its genotypes tell them, so
    that each task writes those of its variants.
    Raises UsageError for another compression or a chunk size that is not positive.
    """
    if compression not in ("auto", *COMPRESSIONS):
        raise UsageError(f"unknown compression {compression!r}.", expected=f"auto, {', '.join(COMPRESSIONS)}")
    if chunk_mb is not None and not chunk_mb > 0:
        raise UsageError("chunk_mb must be positive.", found=chunk_mb)
    width = packed_width(n_samples)
    wide = config.get("wide-samples")
    mb = chunk_mb or config.get("chunk-mb")
    if n_samples > wide:
        shard_bytes = _WIDE_SHARD_BYTES if not has_dosage else mb * 10**6
        mb = min(mb, wide // 4 * max(1, shard_bytes // width) / 10**6)
    if most_rows is not None:
        mb = min(mb, most_rows * min(width, wide // 4) / 10**6)
    packed = row_layout(n_variants, width, chunk_mb=mb, inner_bytes=wide // 4)
    held = rows = packed.unit[0]
    dosage = None
    if has_dosage:
        rows = min(rows, max(1, _DOSAGE_BYTES // (2 * n_samples)))
        eighth = max(1, rows // 8)
        rows = 8 * eighth if rows >= 8 else rows
        # Shards packed by lz4 are made by Zarr, which needs several times their size in memory.
        grows = chunk_mb is None and compression != "lz4"
        each = _rows_of_objects(n_samples, n_variants, rows) if grows else rows
        packed = _with_shards(packed, rows, each)
        dosage = _dosage_layout(n_samples, n_variants, eighth if rows >= 8 else rows, each, in_shards=each > rows)
        held, rows = rows, each
    specific = attrs or {}
    lengths = {"variants": n_variants, "samples": n_samples, "contigs": n_contigs}
    arrays = [
        ArrayPlan(
            "call_genotype_packed",
            (n_variants, width),
            np.uint8,
            ("variants", "packed_samples"),
            packed.chunks,
            packed.shards,
            fill_value=255,
            compression=None if compression == "auto" else COMPRESSIONS[compression],
            attrs={"n_samples": n_samples, **specific.get("call_genotype_packed", {})},
        )
    ]
    if dosage is not None:
        arrays.append(
            ArrayPlan(
                "call_dosage",
                (n_variants, n_samples),
                np.uint16,
                ("variants", "samples"),
                dosage.chunks,
                dosage.shards,
                fill_value=DOSAGE_MISSING,
                compression="lz4" if compression == "lz4" else "zstd",
                # CF attributes, so that plain xarray decodes it.
                attrs={
                    "scale_factor": 1 / DOSAGE_SCALE,
                    "_FillValue": DOSAGE_MISSING,
                    **specific.get("call_dosage", {}),
                },
            )
        )
    chunks_per_group = max(1, min(_GROUP_BYTES // width, most_rows or n_variants) // rows) if dosage is None else 1
    group_rows = rows * chunks_per_group
    for name, dtype, dims in (*COLUMNS, *([INFO_SCORE] if has_info_score or measures_info else [])):
        shape = (lengths[dims[0]], *(2 for _ in dims[1:]))
        chunks = (*column_layout(shape[0]).chunks, *shape[1:])
        if name == INFO_SCORE[0] and measures_info:
            chunks = (min(group_rows, n_variants),)
        arrays.append(ArrayPlan(name, shape, dtype, dims, chunks, attrs=specific.get(name, {})))
    # Chunks are cut in the same way with and without hard calls, so that a store of both has them side by side.
    if not has_hard_calls:
        del arrays[0]
    held_rows = group_rows if dosage is None else held
    return GenotypeLayout(n_samples, n_variants, tuple(arrays), group_rows, held_rows, measures_info)


def _rows_of_objects(n_samples: int, n_variants: int, rows: int) -> int:
    """Variants of an object: as many times `rows` as leave at most ``max-objects``, up to 2 GB of dosages."""
    wanted = -(-n_variants // (rows * config.get("max-objects")))
    return int(rows * min(wanted, max(1, _MOST_DOSAGE_BYTES // (2 * n_samples * rows))))


def _with_shards(packed: ChunkLayout, rows: int, each: int) -> ChunkLayout:
    """The layout of the calls beside dosages: chunks of `rows` variants, in objects of `each`."""
    chunks = (rows, *packed.chunks[1:])
    if packed.shards is None:
        return ChunkLayout(chunks, (each, *chunks[1:]) if each > rows else None)
    return ChunkLayout(chunks, (each, *packed.shards[1:]))


def _dosage_layout(n_samples: int, n_variants: int, eighth: int, each: int, *, in_shards: bool) -> ChunkLayout:
    """Chunks of `eighth` variants; inside shards of `each` if told so, where they would be too many, or very wide."""
    wide, limit = config.get("wide-samples"), config.get("max-objects")
    if n_samples > wide:
        return ChunkLayout((eighth, wide), (each, -(-n_samples // wide) * wide))
    if in_shards or -(-n_variants // eighth) > limit:
        return ChunkLayout((eighth, n_samples), (each, n_samples))
    return ChunkLayout((eighth, n_samples))


def reading_rows(group: zarr.Group) -> int:
    """Variants of a genotype store to read at a time: an object, or whole chunks of one that holds many dosages."""
    calls, dosage = group.get("call_genotype_packed"), group.get("call_dosage")
    stored = dosage if calls is None else calls
    assert isinstance(stored, zarr.Array)
    each, rows = (stored.shards or stored.chunks)[0], stored.chunks[0]
    if dosage is None:
        return each
    return min(each, max(rows, _DOSAGE_BYTES // (2 * dosage.shape[1]) // rows * rows))  # type: ignore[union-attr]
