"""Tables with several rows of a sample: the records of a model with repeated measurements."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from daskgen.inputs.sample_table import SampleIds, Table, table_ids

__all__ = ["RecordIds", "find_records"]


@dataclass(frozen=True)
class RecordIds(SampleIds):
    """The rows of a table that repeats samples, in the order of the samples; takes the place of `SampleIds`.

    sample_id: of each row; occurrence: int64, its number among the rows of its sample; sample: int64, the position of
    its sample among `samples`.
    """

    occurrence: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    sample: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    samples: SampleIds | None = None


def find_records(
    value: Table, samples: SampleIds, argument: str, *, missing_value: str | Iterable[str] | None = None
) -> RecordIds | None:
    """The rows of a table whose samples have genotypes, or None where no sample has two rows."""
    ids = pd.Index(table_ids(value, samples, argument, missing_value=missing_value), dtype=object)
    if not ids.duplicated().any():
        return None
    place = pd.Index(samples.sample_id, dtype=object).get_indexer(ids)
    occurrence = pd.Series(ids).groupby(ids.to_numpy()).cumcount().to_numpy(np.int64)
    order = np.argsort(place, kind="stable")
    order = order[place[order] >= 0]
    return RecordIds(
        ids.to_numpy()[order], samples.name, samples.style, occurrence[order], place[order].astype(np.int64), samples
    )
