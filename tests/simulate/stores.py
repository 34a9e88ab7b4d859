"""Reading simulated stores for tests: everything that is in one, and its calls one code a number."""

from __future__ import annotations

import numpy as np

from daskgen.kernels.genotype_codes import unpack
from daskgen.stores import open_group


def contents(path: str) -> dict[str, np.ndarray]:
    """Every array of a store."""
    return {name: np.asarray(array[...]) for name, array in open_group(path, "genotypes").arrays()}


def calls(path: str) -> np.ndarray:
    """Copies of the counted allele, int8 (variants, samples), -1 missing."""
    group = open_group(path, "genotypes")
    return unpack(np.asarray(group["call_genotype_packed"][...]), int(group.attrs["n_samples"]))


def standardised(codes: np.ndarray) -> np.ndarray:
    """float64 (variants, samples): centred and scaled by the calls' own mean and standard deviation, missing at 0."""
    x = np.where(codes < 0, np.nan, codes.astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (x - np.nanmean(x, axis=1, keepdims=True)) / np.nanstd(x, axis=1, keepdims=True)
    return np.nan_to_num(z, nan=0.0, posinf=0.0, neginf=0.0)
