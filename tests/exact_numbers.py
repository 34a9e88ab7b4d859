"""Reading tables alike with every pandas: numbers as they were written, and a column without text as text."""

from __future__ import annotations

import pandas as pd

# Before pandas 3 the default parser may be off in the last digit; after it the option is deprecated and not needed.
EXACT: dict[str, str] = {"float_precision": "round_trip"} if int(pd.__version__.split(".")[0]) < 3 else {}


def as_text(column: pd.Series) -> pd.Series:
    """A column of text, "" where it is missing; one that is missing throughout is read as numbers."""
    return column.map(lambda value: value if isinstance(value, str) else "").astype(object)
