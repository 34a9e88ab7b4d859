"""How large chunks are, and how many objects an array makes: pure functions of its shape."""

from __future__ import annotations

from dataclasses import dataclass

from daskgen import config

__all__ = ["ChunkLayout", "column_layout", "n_objects", "row_layout"]


@dataclass(frozen=True)
class ChunkLayout:
    """Chunk shape and, where chunks are gathered into one object, shard shape."""

    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None

    @property
    def unit(self) -> tuple[int, ...]:
        """The shape of one object: what a task writes whole."""
        return self.shards or self.chunks


def n_objects(shape: tuple[int, ...], layout: ChunkLayout) -> int:
    """Objects (files) of an array of this shape and layout."""
    total = 1
    for length, unit in zip(shape, layout.unit, strict=True):
        total *= max(1, -(-length // unit))
    return total


def row_layout(
    n_rows: int, row_bytes: int, *, chunk_mb: float | None = None, inner_bytes: int | None = None, itemsize: int = 1
) -> ChunkLayout:
    """Layout of a (rows, columns) array that is read by row ranges.

    A chunk holds all columns of as many rows as make `chunk_mb` megabytes; rows double until there are at most
    ``max-objects`` objects, up to ``max-chunk-mb``. With `inner_bytes` (bytes of a row after which a row is cut),
    inner chunks of that width lie inside shards of whole rows, so that a reader of some columns reads only those.

    `n_rows`, `row_bytes`: shape of the array in rows and bytes per row; `itemsize`: bytes per element.
    """
    target = (chunk_mb or config.get("chunk-mb")) * 10**6
    limit = config.get("max-chunk-mb") * 10**6
    width = row_bytes // itemsize
    if inner_bytes is None or row_bytes <= inner_bytes:
        rows = max(1, int(target // max(1, row_bytes)))
        while -(-n_rows // rows) > config.get("max-objects") and 2 * rows * row_bytes <= limit:
            rows *= 2
        return ChunkLayout((max(1, min(rows, n_rows)), max(1, width)))
    rows = max(1, int(target // inner_bytes))
    while rows > 1 and rows * row_bytes > limit:
        rows //= 2
    while -(-n_rows // rows) > config.get("max-objects") and 2 * rows * row_bytes <= limit:
        rows *= 2
    rows = max(1, min(rows, n_rows))
    inner = inner_bytes // itemsize
    return ChunkLayout((rows, inner), (rows, -(-width // inner) * inner))


def column_layout(n_rows: int) -> ChunkLayout:
    """Layout of a per-variant column: chunks of ``column-rows`` rows."""
    rows = int(config.get("column-rows"))
    while -(-n_rows // rows) > config.get("max-objects"):
        rows *= 2
    return ChunkLayout((max(1, min(rows, n_rows)),))
