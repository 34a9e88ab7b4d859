"""VCF Zarr groups: opening those of any tool (Zarr formats 2 and 3), and writing them in format 2.

Source: the VCF Zarr specification, version 0.4, https://github.com/sgkit-dev/vcf-zarr-spec.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import zarr
from numcodecs import Blosc

from daskgen.errors import InputError, StoreError
from daskgen.stores.location import Location, StoreLike
from daskgen.stores.quiet import quietly
from daskgen.stores.target import writable
from daskgen.stores.writer import daskgen_version

__all__ = ["VcfZarrArray", "array_dims", "new_vcf_zarr", "open_vcf_zarr", "text", "write_vcf_zarr"]


def open_vcf_zarr(path: StoreLike | Location) -> zarr.Group:
    """The group, read-only. InputError where it is none, is a store of daskgen, or lacks what VCF Zarr must have."""
    return _open(Location.of(path).url)


@functools.lru_cache(maxsize=8)
def _open(url: str) -> zarr.Group:
    location = Location(url)
    try:
        with quietly():
            group = zarr.open_group(location.zarr_store(read_only=True), mode="r")
    except Exception as error:  # whatever zarr and file systems raise about metadata
        raise InputError(f"{location} is not a Zarr group that can be read.", found=str(error)[:200]) from error
    if "daskgen_format" in group.attrs:
        raise InputError(
            f"{location} is a store of daskgen already.",
            found=f"kind {group.attrs.get('kind')}",
            do="open it with daskgen.open_store, or give it to any command",
        )
    names = set(group.array_keys())
    needed = ("variant_position", "variant_contig", "variant_allele", "contig_id", "sample_id")
    if absent := [name for name in needed if name not in names]:
        raise InputError(
            f"{location} is not VCF Zarr: it lacks {', '.join(absent)}.",
            found=", ".join(sorted(names)[:12]) or "no arrays",
            expected="arrays as bio2zarr's vcf2zarr and plink2zarr or sgkit write them",
        )
    return group


def array_dims(array: zarr.Array[Any]) -> tuple[str, ...]:
    """Names of the dimensions, of either format; empty where there are none."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    return tuple(names) if isinstance(names, (list, tuple)) else ()


def text(array: zarr.Array[Any], start: int, stop: int) -> np.ndarray:
    """Rows of a text array as NumPy StringDType, whatever text type it has on disk."""
    values = np.asarray(array[start:stop])
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    return values.astype(np.dtypes.StringDType())


# -- writing -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class VcfZarrArray:
    """An array of a VCF Zarr group that is going to be written. dtype: of NumPy, or "string"; attrs: further ones."""

    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dims: tuple[str, ...]
    dtype: Any
    description: str
    attrs: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def new_vcf_zarr(
    path: StoreLike | Location, arrays: Sequence[VcfZarrArray], attrs: Mapping[str, Any], *, force: bool
) -> Iterator[Location]:
    """Make a VCF Zarr group in Zarr format 2, which is under its name when the block ends, and not there if it fails.

    Yields where it is being written, for `write_vcf_zarr`. force: replace a group that daskgen wrote. Raises
    StoreError where something else lies at `path`.
    """
    final = Location.of(path)
    _check_free(final, force)
    beside = final.sibling(f".{os.getpid()}.partial")
    try:
        group = zarr.create_group(
            beside.zarr_store(read_only=False),
            zarr_format=2,
            attributes={**attrs, "vcf_zarr_version": "0.4", "source": f"daskgen {daskgen_version()}"},
        )
        for array in arrays:
            bits = array.name.startswith("call_genotype")
            group.create_array(
                array.name,
                shape=array.shape,
                chunks=array.chunks,
                dtype=str if array.dtype == "string" else array.dtype,
                compressors=Blosc(cname="zstd", clevel=1, shuffle=Blosc.BITSHUFFLE if bits else Blosc.SHUFFLE),
                # xarray takes a fill value of format 2 for missing data, and makes floats of whole numbers to mask it.
                fill_value=None,
                attributes={"_ARRAY_DIMENSIONS": list(array.dims), "description": array.description, **array.attrs},
            )
        yield beside
        with quietly():
            zarr.consolidate_metadata(beside.zarr_store(read_only=False))
        if final.exists():
            final.remove_tree()
        beside.move_to(final)
    except BaseException:
        if beside.exists():
            beside.remove_tree()
        raise
    finally:
        _writable.cache_clear()


def write_vcf_zarr(place: Location, name: str, start: int, values: np.ndarray, column: int = 0) -> None:
    """Write values from row `start` and `column` on: whole chunks, so that no two tasks ever touch the same one."""
    array = _writable(place.url)[name]
    assert isinstance(array, zarr.Array)
    ends = (start + len(values), *(column + width for width in values.shape[1:2]))
    for first, end, length, size in zip((start, column), ends, array.shape, array.chunks, strict=False):
        if first % size or (end % size and end != length):
            raise ValueError(f"{first} to {end} of {name} are not whole chunks of {size}")
    writable(array)[tuple(slice(first, end) for first, end in zip((start, column), ends, strict=False))] = values


@functools.lru_cache(maxsize=2)
def _writable(url: str) -> zarr.Group:
    return zarr.open_group(Location(url).zarr_store(read_only=False), mode="r+", use_consolidated=False)


def _check_free(final: Location, force: bool) -> None:
    if not final.exists() or final.is_empty_folder():
        return
    try:
        ours = str(_open.__wrapped__(final.url).attrs.get("source", "")).startswith("daskgen")
    except InputError:
        ours = False
    if not ours:
        raise StoreError(f"{final} exists and is no VCF Zarr that daskgen wrote.", do="choose another path")
    if not force:
        raise StoreError(f"{final} exists.", do="choose another path, or --force to replace it")
