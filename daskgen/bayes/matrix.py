"""The genotypes that a sampler works on: all sets one after the other, as codes or as dosages, with their means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskgen.bayes.loading import GenotypeSet
from daskgen.kernels.dosage_dots import dosage_values, find_dosage_gaps
from daskgen.kernels.genotype_dots import find_gaps
from daskgen.kernels.marker_values import marker_values

__all__ = ["MarkerMatrix", "join_sets"]


@dataclass(frozen=True, eq=False)
class MarkerMatrix:
    """packed: uint8 (P, bytes), or (0, bytes) where there are dosages: uint16 (P, 4 bytes) in the order of the planes,
    else (0, 0). shift, missing: float64 (P,): a value is code - shift, or `missing` where the call is.
    """

    packed: np.ndarray
    dosage: np.ndarray
    shift: np.ndarray
    missing: np.ndarray
    n_samples: int

    @property
    def n_markers(self) -> int:
        return len(self.shift)

    @property
    def width(self) -> int:
        """Bytes of a row of packed codes, places of a plane."""
        return int(self.packed.shape[1])

    def gaps(self) -> tuple[np.ndarray, np.ndarray]:
        """Where calls are missing, see `daskgen.kernels.genotype_dots`."""
        return find_dosage_gaps(self.dosage) if self.dosage.size else find_gaps(self.packed, self.n_samples)

    def values(self, start: int, stop: int, first: int = 0, last: int | None = None) -> np.ndarray:
        """Centred values of the markers `start` to `stop` - 1 at the places `first` to `last` - 1 of each plane:
        float64 (stop - start, 4 (last - first)), plane by plane.
        """
        last = self.width if last is None else last
        rows = slice(start, stop)
        out = np.empty((stop - start, 4 * (last - first)))
        if self.dosage.size:
            dosage_values(self.dosage[rows], first, last, self.shift[rows], self.missing[rows], out)
        else:
            marker_values(self.packed[rows], first, last, self.shift[rows], self.missing[rows], out)
        return out

    def covariance(self, start: int, stop: int, observed: np.ndarray) -> np.ndarray:
        """Covariance matrix (n - 1) of some markers over the samples where `observed`, planes, is above 0."""
        values = self.values(start, stop)[:, observed.reshape(-1) > 0]
        values -= values.mean(axis=1, keepdims=True)
        return values @ values.T / (values.shape[1] - 1)


def join_sets(loaded: Sequence[GenotypeSet]) -> MarkerMatrix:
    """The markers of the sets, one set after the other; the arrays of a single set are not copied."""
    packed, dosage, shift, missing = (
        getattr(loaded[0], part) if len(loaded) == 1 else np.concatenate([getattr(one, part) for one in loaded])
        for part in ("packed", "dosage", "shift", "missing")
    )
    return MarkerMatrix(packed, dosage, shift, missing, len(loaded[0].opened.sample_id))
