"""Reading packed genotypes by ranges of variants, from a store, from files opened in place, or from a Dataset.

A reader is a small picklable object; a task opens what it needs once per process. Rows come as packed codes
(uint8, four samples a byte) and, where the source has dosages, as uint16 (see `daskgen.kernels.genotype_codes`).
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
import zarr
from dask.tokenize import tokenize

from daskgen.errors import InputError, StoreError
from daskgen.kernels import genotype_codes as codes
from daskgen.stores import Location, StoreLike, open_group
from daskgen.stores.decoded import GenotypeReader
from daskgen.stores.genotype_layout import reading_rows

__all__ = ["DatasetReader", "GenotypeReader", "Genotypes", "StoreReader", "open_reader"]

Genotypes = StoreLike | xr.Dataset
"""What functions on genotypes accept: a store's path, or a Dataset (opened store, opened file, or any other)."""


_groups: dict[tuple[str, str], zarr.Group] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class StoreReader:
    """Reads a genotypes store. Workers open it themselves and compare its id.

    `call_threshold`: None where the store has hard calls; else calls are the dosages that are so near to 0, 1 or 2.
    """

    url: str
    store_id: str
    n_variants: int
    n_samples: int
    has_dosage: bool
    rows_per_chunk: int
    call_threshold: float | None = None

    @classmethod
    def open(cls, path: StoreLike | Location) -> StoreReader:
        location = Location.of(path)
        group = open_group(location, "genotypes")
        has_calls = "call_genotype_packed" in group
        stored = group["call_genotype_packed" if has_calls else "call_dosage"]
        assert isinstance(stored, zarr.Array)
        threshold = stored.attrs.get("hard_call_threshold", codes.HARD_CALL_THRESHOLD)
        return cls(
            location.url,
            str(group.attrs["store_id"]),
            stored.shape[0],
            int(group.attrs["n_samples"]),  # type: ignore[call-overload]
            "call_dosage" in group,
            reading_rows(group),
            None if has_calls else float(threshold),  # type: ignore[arg-type]
        )

    @property
    def reader_id(self) -> str:
        return self.store_id

    def _array(self, name: str) -> zarr.Array:
        key = (self.url, self.store_id)
        with _lock:
            group = _groups.get(key)
            if group is None:
                group = open_group(self.url, "genotypes")
                if group.attrs.get("store_id") != self.store_id:
                    raise StoreError(
                        f"{self.url} is not the store that the run was started with.",
                        found=f"store id {group.attrs.get('store_id')}",
                        expected=self.store_id,
                        do="use a path that the client and every worker see under the same name; do not replace a "
                        "store while it is read",
                    )
                _groups[key] = group
        array = group[name]
        assert isinstance(array, zarr.Array)
        return array

    def read(self, start: int, stop: int) -> np.ndarray:
        if self.call_threshold is not None:
            return codes.call_dosages(self.read_dosage(start, stop), self.call_threshold)
        return np.asarray(self._array("call_genotype_packed")[start:stop])

    def read_dosage(self, start: int, stop: int) -> np.ndarray:
        return np.asarray(self._array("call_dosage")[start:stop])


@dataclass(frozen=True)
class DatasetReader:
    """Reads any Dataset with `call_genotype` (variants, samples, ploidy) or `call_dosage` (variants, samples).

    The general way, for Datasets that were cut, filtered or made elsewhere; each range is computed in the task.
    """

    genotype: Any | None
    dosage: Any | None
    rows_per_chunk: int
    reader_id: str

    @property
    def _any(self) -> Any:
        return self.genotype if self.genotype is not None else self.dosage

    @property
    def n_variants(self) -> int:
        return int(self._any.shape[0])

    @property
    def n_samples(self) -> int:
        return int(self._any.shape[1])

    @property
    def has_dosage(self) -> bool:
        return self.dosage is not None

    def read(self, start: int, stop: int) -> np.ndarray:
        if self.genotype is None:
            dosage = self._dosage(start, stop)
            called = np.where(np.isnan(dosage), codes.MISSING, np.rint(dosage)).astype(np.int8)
            return codes.pack(called)
        calls = _computed(self.genotype[start:stop])
        missing = (calls < 0).any(axis=2)
        return codes.pack(np.where(missing, codes.MISSING, (calls == 1).sum(axis=2)).astype(np.int8))

    def read_dosage(self, start: int, stop: int) -> np.ndarray:
        return codes.quantise_dosage(self._dosage(start, stop).astype(np.float32))

    def _dosage(self, start: int, stop: int) -> np.ndarray:
        if self.dosage is None:
            raise InputError("the Dataset has no dosages.", do="dosage=False takes its calls")
        return _computed(self.dosage[start:stop])


def _computed(array: Any) -> np.ndarray:
    return np.asarray(array.compute(scheduler="synchronous") if isinstance(array, da.Array) else array)


def open_reader(genotypes: Genotypes) -> GenotypeReader:
    """The fastest reader for `genotypes`: a path, an opened store or file, or any Dataset with sgkit's names.

    A Dataset that daskgen opened is read packed as long as its calls are the ones it was opened with; after a
    selection (``isel`` and the like) it is read through its Dask arrays. Raises InputError for anything else.
    """
    if isinstance(genotypes, (str, os.PathLike)):
        return StoreReader.open(genotypes)
    if not isinstance(genotypes, xr.Dataset):
        raise InputError("genotypes must be the path of a store or an xarray Dataset.", found=type(genotypes).__name__)
    attached = genotypes.encoding.get("daskgen_reader")
    call = genotypes.get("call_genotype")
    dosage = genotypes.get("call_dosage")
    if attached is not None and call is not None and getattr(call.data, "name", None) == attached[0]:
        return attached[1]  # type: ignore[no-any-return]
    if call is None and dosage is None:
        raise InputError(
            "the Dataset has no genotypes.",
            found=", ".join(map(str, genotypes.data_vars)),
            expected="call_genotype (variants, samples, ploidy) or call_dosage (variants, samples)",
        )
    if call is not None:
        if call.dims != ("variants", "samples", "ploidy") or call.shape[2] != 2:
            raise InputError(
                "call_genotype does not have the expected form.",
                found=f"{call.dims} {call.shape}",
                expected="(variants, samples, ploidy) with two copies",
            )
    if dosage is not None and dosage.dims != ("variants", "samples"):
        raise InputError("call_dosage has other dimensions.", found=dosage.dims, expected="(variants, samples)")
    # A dosage view that daskgen derived from calls adds nothing to the calls.
    if call is not None and dosage is not None and dosage.attrs.get("derived_from_calls"):
        dosage = None
    genotype_data, dosage_data = (None if a is None else a.data for a in (call, dosage))
    n_samples = genotypes.sizes["samples"]
    return DatasetReader(
        genotype_data,
        dosage_data,
        max(1, 8_000_000 // codes.packed_width(n_samples)),
        f"dataset-{tokenize(genotype_data, dosage_data)}",
    )
