"""`open_store`: any store of daskgen as a lazy xarray Dataset."""

from __future__ import annotations

import xarray as xr

from daskgen.genotypes.dataset import open_genotypes
from daskgen.gwas import open_gwas
from daskgen.stores import Location, StoreLike, open_dataset, open_group
from daskgen.stores.anndata_dataset import open_cells_dataset
from daskgen.stores.anndata_sight import is_anndata

__all__ = ["open_store"]


def open_store(path: StoreLike) -> xr.Dataset:
    """Open a store of any kind; nothing but metadata is read.

    path: a local path or any URL that fsspec opens. A genotypes store comes with sgkit's names: `call_genotype`
    (variants, samples, ploidy) int8 with -1 for missing, `call_genotype_mask`, `call_dosage` (variants, samples)
    float32 with NaN, and the variant, sample and contig columns. A result per variant (kind gwas) has the accessor
    `.dg`
    (`daskgen.gwas.GwasAccessor`). An AnnData store has dimensions cells and genes, X as lazy dense blocks, and columns
    `obs_NAME` and `var_NAME`.

    Raises StoreError if there is no complete store of daskgen at `path`.
    """
    location = Location.of(path)
    if is_anndata(location):
        return open_cells_dataset(location)
    kind = open_group(location).attrs["kind"]
    if kind == "genotypes":
        return open_genotypes(location)
    return open_gwas(location) if kind == "gwas" else open_dataset(location)
