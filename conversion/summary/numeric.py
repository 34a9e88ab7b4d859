"""Columns of text as numbers, and p values too small for a float."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import numpy as np
import numpy.typing as npt
import polars as pl

from daskgen.errors import InputError

__all__ = ["MISSING_TEXT", "check_numeric", "floats", "log10_of_text"]

Float64 = npt.NDArray[np.float64]

MISSING_TEXT = ("", ".", "NA", "N/A", "NaN", "nan", "NAN", "na", "NR", "None", "NULL", "null", "-9", "#N/A", "-")
"""What stands for a missing value; any other text that is not a number counts as missing too (`check_numeric`)."""


def floats(column: pl.Series) -> Float64:
    """The column as float64, NaN where there is no number."""
    if column.dtype != pl.String:
        return column.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    values = column.cast(pl.Float64, strict=False)
    if values.null_count() > column.null_count():
        # Blanks around a number, as in padded columns.
        values = column.str.strip_chars().cast(pl.Float64, strict=False)
    return values.fill_null(np.nan).to_numpy()


def check_numeric(path: str, column: pl.Series) -> None:
    """InputError if most of the values that are there are not numbers: the column is not what it was taken for."""
    if column.dtype != pl.String:
        if column.dtype.is_numeric() or column.dtype == pl.Boolean or column.null_count() == len(column):
            return
        column = column.cast(pl.String, strict=False)
    given = column.filter(column.is_not_null() & ~column.str.strip_chars().is_in(MISSING_TEXT))
    if not len(given):
        return
    readable = given.str.strip_chars().cast(pl.Float64, strict=False)
    if 2 * readable.null_count() > len(given):
        text = given.filter(readable.is_null())[:3].to_list()
        comma = all("," in value for value in text)
        raise InputError(
            f"{path}: the column {column.name} should hold numbers.",
            found=", ".join(text),
            expected="numbers with a decimal point"
            if comma
            else "numbers; " + " ".join(MISSING_TEXT[1:8]) + " if missing",
            do="replace the decimal commas" if comma else "name the right column with --column FIELD=COLUMN",
        )


def log10_of_text(texts: list[str | None]) -> Float64:
    """log10 of numbers written as text, of any size: "3e-412" is -411.52...; -inf for 0, NaN for what is no number."""
    logs = np.full(len(texts), np.nan)
    for i, text in enumerate(texts):
        try:
            value = Decimal((text or "").strip())
        except InvalidOperation:
            continue
        if value == 0:
            logs[i] = -np.inf
        elif value > 0 and value.is_finite():
            logs[i] = float(value.log10())
    return logs
