"""Names of contigs as small integers: "chr7", "7" and "07" are one; 23 and X are, where the reference has either."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from conversion.summary.coding import codes_of
from conversion.summary.numeric import MISSING_TEXT
from daskgen.inputs.selection import plain_contig

__all__ = ["Contigs"]

_ALIASES = (("X", "23"), ("Y", "24"), ("XY", "25"), ("MT", "26"), ("MT", "M"))


def contig_name(text: str) -> str:
    """The contig's name without "chr" and leading zeros, in capitals; "" where it is missing."""
    name = plain_contig(text.strip()).upper().lstrip("0").removesuffix(".0")
    return "" if name in MISSING_TEXT else name


class Contigs:
    """Codes of contigs in order of first appearance in the reference; -1 for unknown ones."""

    def __init__(self, names: list[str] | None = None) -> None:
        self.names: list[str] = []
        self._code: dict[str, int] = {}
        for name in names or []:
            self._add(name)

    def _add(self, name: str) -> None:
        if name and name not in self._code:
            self._code[name] = len(self.names)
            self.names.append(name)

    def learn(self, column: pl.Series) -> npt.NDArray[np.int32]:
        """Codes of a column of the reference; new contigs get new codes."""
        texts = column.cast(pl.String)
        unique = texts.unique(maintain_order=True).drop_nulls().to_list()
        for text in unique:
            self._add(contig_name(text))
        return self._encode(texts, unique)

    def encode(self, column: pl.Series) -> npt.NDArray[np.int32]:
        """Codes of a column of any file."""
        texts = column.cast(pl.String)
        return self._encode(texts, texts.unique().drop_nulls().to_list())

    def _encode(self, texts: pl.Series, unique: list[str]) -> npt.NDArray[np.int32]:
        code = {text: self._find(contig_name(text)) for text in unique}
        return codes_of(texts, code, missing=-1, unknown=-1)

    def _find(self, name: str) -> int:
        if name in self._code:
            return self._code[name]
        for pair in _ALIASES:
            if name in pair:
                other = pair[1 - pair.index(name)]
                if other in self._code:
                    return self._code[other]
        return -1
