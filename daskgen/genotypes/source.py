"""Genotypes as functions take them: a reader, the samples' ids and the variants' columns, and selections of both."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from daskgen.errors import InputError
from daskgen.genotypes.dataset import open_genotypes
from daskgen.genotypes.matching import VariantKeys
from daskgen.genotypes.reader import GenotypeReader, Genotypes, open_reader

__all__ = ["GenotypeSource", "open_source"]

AUTOSOME, X, Y, MT, UNPLACED = range(5)


@dataclass(frozen=True, eq=False)
class GenotypeSource:
    """A reader together with the Dataset that describes its samples and variants."""

    reader: GenotypeReader
    dataset: xr.Dataset

    def column(self, name: str, default: Any = None) -> np.ndarray | None:
        """A column of the Dataset in memory (text as objects); `default` where there is none."""
        if name not in self.dataset:
            return default if default is None else np.asarray(default)
        values = self.dataset[name].values
        return values.astype(object) if values.dtype.kind in "TUS" else values

    @cached_property
    def sample_id(self) -> np.ndarray:
        """Ids of samples (text objects); numbers as text where the source has none."""
        ids = self.column("sample_id")
        if ids is None:
            return np.array([str(i) for i in range(self.reader.n_samples)], dtype=object)
        if len(set(ids.tolist())) != len(ids):
            raise InputError(
                "sample ids are repeated.",
                found=", ".join(_repeated(ids)[:3]),
                do="make them unique; with FID and IID: --id-style fid_iid",
            )
        return ids

    @cached_property
    def variant_id(self) -> np.ndarray:
        ids = self.column("variant_id")
        return np.array([str(i) for i in range(self.reader.n_variants)], dtype=object) if ids is None else ids

    @cached_property
    def ploidy_class(self) -> np.ndarray:
        """uint8 per variant: 0 autosome, 1 X, 2 Y, 3 MT, 4 unplaced; autosomes where the source does not say."""
        found = self.column("variant_ploidy_class")
        return np.zeros(self.reader.n_variants, np.uint8) if found is None else found

    @cached_property
    def contig(self) -> np.ndarray:
        """Contig name of each variant (text objects)."""
        index, names = self.column("variant_contig"), self.column("contig_id")
        if index is None or names is None:
            return np.full(self.reader.n_variants, "", dtype=object)
        return names[index]

    def keys(self) -> VariantKeys:
        """What identifies the variants, for matching with another source."""
        m = self.reader.n_variants
        position = self.column("variant_position")
        allele = self.column("variant_allele")
        if allele is None:
            raise InputError("the genotypes have no alleles (variant_allele), so variants cannot be matched.")
        return VariantKeys(
            self.contig, np.zeros(m, np.int64) if position is None else position, self.variant_id, allele
        )


def _repeated(ids: np.ndarray) -> list[str]:
    values, counts = np.unique(ids.astype(str), return_counts=True)
    return [str(v) for v in values[counts > 1]]


def open_source(genotypes: Genotypes) -> GenotypeSource:
    """The source behind a path or a Dataset."""
    dataset = open_genotypes(genotypes) if isinstance(genotypes, (str, os.PathLike)) else genotypes
    return GenotypeSource(open_reader(dataset), dataset)
