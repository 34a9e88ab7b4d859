"""Several records of a sample with several traits: the sample is taken once for each of them.

What a record lacks of the traits is drawn for each record, so that their mean is not enough, as it is for one trait
(`daskgen.bayes.records`). Each record meets a copy of its sample's genotypes; the work grows with the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from daskgen.bayes.inputs import Inputs
from daskgen.bayes.loading import OpenedSet

__all__ = ["Copies", "copies_of"]


@dataclass(frozen=True, eq=False)
class Copies:
    """sample: int64 (copies,), the samples: those of the records in their order, then those without a record. first:
    int64 (samples,), the copy that stands for a sample in results.
    """

    sample: np.ndarray
    first: np.ndarray

    @property
    def own(self) -> bool:
        """Whether every sample has one copy, itself."""
        return len(self.first) == len(self.sample) and bool((self.sample == np.arange(len(self.first))).all())

    def sets(self, sets: Sequence[OpenedSet]) -> list[OpenedSet]:
        """The genotypes of the copies."""
        if self.own:
            return list(sets)
        found = []
        for one in sets:
            view, array = one.view, one.array
            if view is not None:
                rows = self.sample if view.samples is None else view.samples[self.sample]
                view = replace(view, samples=rows)
            if array is not None:
                array = array[self.sample]
            found.append(replace(one, sample_id=one.sample_id[self.sample], view=view, array=array))
        return found

    def spread(self, values: np.ndarray, missing: float) -> np.ndarray:
        """Values of the records, (..., records), as those of the copies: `missing` without a record."""
        without = len(self.sample) - values.shape[-1]
        return np.concatenate([values, np.full((*values.shape[:-1], without), missing, values.dtype)], axis=-1)


def copies_of(inputs: Inputs, used: np.ndarray) -> Copies:
    """One copy of a sample for each of its records, one where it has none. used: bool (records,); the copy that stands
    for a sample is that of its first used record, where there is one.
    """
    without = np.setdiff1d(np.arange(inputs.n_samples), inputs.sample)
    sample = np.concatenate([inputs.sample, without]).astype(np.int64)
    rank = np.concatenate([~used, np.zeros(len(without), bool)])  # used ones first
    order = np.lexsort([np.arange(len(sample)), rank, sample])
    first = order[np.searchsorted(sample[order], np.arange(inputs.n_samples))]
    return Copies(sample, first.astype(np.int64))
