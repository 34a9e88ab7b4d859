"""A genotypes store as an xarray Dataset with sgkit's and VCF Zarr's names, decoded lazily."""

from __future__ import annotations

import xarray as xr

from daskgen.genotypes.reader import StoreReader
from daskgen.stores import Location, StoreLike, open_dataset
from daskgen.stores.decoded import call_arrays

__all__ = ["open_genotypes"]


def open_genotypes(path: StoreLike | Location) -> xr.Dataset:
    """The Dataset of a genotypes store; everything in it is lazy."""
    reader = StoreReader.open(path)
    stored = open_dataset(path, "genotypes")
    views = call_arrays(reader)
    dataset = stored.drop_vars(["call_genotype_packed", "call_dosage"], errors="ignore").assign(
        {name: xr.Variable(dims, array, attrs) for name, (dims, array, attrs) in views.items()}
    )
    dataset.attrs = stored.attrs
    dataset.encoding["source"] = Location.of(path).url
    dataset.encoding["daskgen_reader"] = (dataset["call_genotype"].data.name, reader)
    return dataset
