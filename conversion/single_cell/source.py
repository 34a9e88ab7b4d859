"""What a source of counts is to the conversion: two tables, and rows that can be read block by block in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from daskgen.stores.anndata_rows import CsrBlock

__all__ = ["CellSource", "RowReading", "Rows"]


class RowReading(Protocol):
    """Reads blocks of rows, in one thread; blocks that follow each other are read fastest."""

    def read(self, start: int, stop: int) -> CsrBlock:
        """Rows `start` to `stop` - 1, without explicit zeros, columns ascending."""
        ...


class Rows(Protocol):
    """A matrix of cells x genes that tasks read by rows. Picklable."""

    @property
    def n_rows(self) -> int: ...
    @property
    def n_genes(self) -> int: ...
    def blocks(self, values: int = ...) -> list[tuple[int, int]]:
        """Ranges of rows that cover all of them, each of about that many values."""
        ...

    def reader(self) -> RowReading:
        """A reader for one thread."""
        ...


@dataclass
class CellSource:
    """Counts of one source.

    path: as the user gave it; format: in words; where: in which part of it the counts were found; obs, var: tables
    whose index has the names; rows: the counts; files: those whose content the result depends on; notes: what the user
    should know; left_out: other matrices of the source; others: copies uns, obsm and so on, called with the root group
    of the store and a list for notes; keep_genes: bool (genes,), which of them are taken, None for all.
    """

    path: str
    format: str
    where: str
    obs: pd.DataFrame
    var: pd.DataFrame
    rows: Rows
    files: tuple[str, ...]
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    others: Callable[[Any, list[str]], None] | None = None
    keep_genes: npt.NDArray[np.bool_] | None = None

    def __str__(self) -> str:
        return f"{self.path} ({self.format}, counts from {self.where})"
