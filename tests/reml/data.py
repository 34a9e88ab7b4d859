"""Small cohorts with phenotypes, as stores and as dense matrices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tests.genotypes.cohort import random_calls, store
from tests.oracles.relationship import standardised


@dataclass
class Cohort:
    """A store with its calls (variants, samples) and the ids of its samples."""

    path: str
    calls: np.ndarray

    @property
    def ids(self) -> np.ndarray:
        return np.array([f"s{i}" for i in range(self.calls.shape[1])], dtype=object)

    def z(self, rows=None, variants=None, **options):
        """(Z (samples, variants), c) of the samples `rows` and the variants."""
        calls = self.calls if variants is None else self.calls[variants]
        return standardised(calls if rows is None else calls[:, rows], **options)

    def kernel(self, rows=None, variants=None, **options):
        z, c = self.z(rows, variants, **options)
        return z @ z.T / max(c, 1)

    def phenotype(self, h2=0.5, seed=0, name="trait", missing=0):
        """A normal phenotype of this heritability; `missing` samples at random have none."""
        generator = np.random.default_rng(seed)
        z, c = self.z()
        genetic = z @ generator.standard_normal(z.shape[1]) / np.sqrt(c)
        y = np.sqrt(h2) * genetic + np.sqrt(1 - h2) * generator.standard_normal(len(genetic))
        y[generator.permutation(len(y))[:missing]] = np.nan
        return pd.Series(y * 2 + 10, index=self.ids, name=name)


def cohort(path: Path, n=120, m=300, *, missing=0.03, seed=0, **columns) -> Cohort:
    calls = random_calls(m, n, missing=missing, seed=seed)
    return Cohort(store(path / f"cohort{seed}.zarr", calls, **columns), calls)
