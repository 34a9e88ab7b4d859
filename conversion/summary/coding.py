"""Columns of few different texts as integers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["codes_of"]


def codes_of(texts: pl.Series, code: Mapping[str, int], *, missing: int, unknown: int) -> npt.NDArray[np.int32]:
    """The code of each text; `missing` where there is none, `unknown` for a text without a code."""
    # An enumeration is looked up in half the time of replacing texts by numbers.
    found = texts.cast(pl.Enum(list(code)), strict=False).to_physical()
    if not found.null_count():
        return np.array(list(code.values()), np.int32)[found.to_numpy()]
    table = np.array([*code.values(), unknown], np.int32)
    codes = table[found.cast(pl.Int64).fill_null(len(code)).to_numpy()]
    codes[texts.is_null().to_numpy()] = missing
    return codes
