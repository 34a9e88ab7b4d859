"""The quality of imputation that a VCF or a .pvar states in its INFO column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["SCORES", "declared", "score_key", "score_of_rows", "scores_in"]

SCORES = ("INFO", "R2", "DR2", "RSQ", "Rsq", "IMP", "AR2")
"""Keys of INFO that hold the quality of imputation, the first one that the header declares being taken: IMPUTE and
GLIMPSE (INFO), Minimac (R2, Rsq), Beagle (DR2, AR2: the second is of the best guess)."""

_DECLARED = re.compile(r"##(INFO|FORMAT)=<(.*)>")
_ID, _TYPE = (re.compile(rf"(?:^|,){name}=([^,]+)") for name in ("ID", "Type"))


def declared(lines: Iterable[str]) -> dict[str, dict[str, str]]:
    """Keys of "INFO" and of "FORMAT" that the ## lines of a header declare, with their types."""
    found: dict[str, dict[str, str]] = {"INFO": {}, "FORMAT": {}}
    for line in lines:
        match = _DECLARED.match(line)
        if match and (key := _ID.search(match[2])) and (type_ := _TYPE.search(match[2])):
            found[match[1]].setdefault(key[1], type_[1])
    return found


def score_key(info: dict[str, str]) -> str | None:
    """The key among the declared ones that holds the quality of imputation; None if there is none."""
    return next((key for key in SCORES if info.get(key) == "Float"), None)


def scores_in(column: Sequence[str], key: str) -> list[str]:
    """The value of `key` in each text of an INFO column, "" where it is not there."""
    value = re.compile(rf"(?:^|;){re.escape(key)}=([^;]*)")
    found = map(value.search, column)
    return ["" if match is None else match[1] for match in found]


def score_of_rows(scores: Sequence[str], n_alt: np.ndarray) -> np.ndarray:
    """float32 score of each row: a record has one, or one for each of its `n_alt` ALT alleles, or none: NaN."""
    result = np.empty(int(n_alt.sum()), np.float32)
    row = 0
    for text, n in zip(scores, n_alt.tolist(), strict=True):
        values = text.split(",")
        result[row : row + n] = [_number(value) for value in values] if len(values) == n else _number(values[0])
        row += n
    return result


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
