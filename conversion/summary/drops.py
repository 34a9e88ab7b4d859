"""Why rows of a file are not in the store: one reason a row, the first that applies, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["KEPT", "REASONS", "DropReport", "reason_code"]

REASONS: Mapping[str, str] = {
    "other_test": "of another test than the additive one",
    "not_in_reference": "not in the reference",
    "duplicated": "with a repeated id (every copy)",
    "no_alleles": "without alleles",
    "indel": "indel, or alleles that are not A, C, G, T",
    "alleles_differ": "alleles differ from the reference's",
    "ambiguous": "A/T or C/G (strand unknown)",
    "missing_values": "without p value or effect",
    "out_of_range": "p value, standard error, frequency or odds ratio out of range",
    "few_cohorts": "absent from half of the cohorts or more",
    "no_effect": "effect of exactly 0, which has no standard error",
    "low_info": "imputation quality missing or too low",
    "low_frequency": "minor allele missing or too rare",
    "low_n": "sample size missing or too small",
}
"""Names of the reasons, as the store has them, and what they mean."""

KEPT = -1

_CODE = {name: code for code, name in enumerate(REASONS)}


def reason_code(name: str) -> int:
    """The number of a reason."""
    return _CODE[name]


@dataclass
class DropReport:
    """What became of the rows of one file: read = kept + sum of dropped.

    flipped: kept rows whose effect allele is the reference's other one; ambiguous: kept rows of A/T or C/G.
    """

    trait: str
    path: str
    read: int
    kept: int
    flipped: int
    ambiguous: int
    dropped: dict[str, int]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Rows dropped, in the order of REASONS."""
        return np.array([self.dropped.get(name, 0) for name in REASONS], np.int64)

    def lines(self) -> list[str]:
        """The report as it is printed."""
        head = f"{self.trait}: {self.read:,} rows read, {self.kept:,} kept ({self.flipped:,} with alleles turned"
        head += f", {self.ambiguous:,} A/T or C/G)" if self.ambiguous else ")"
        return [head, *(f"  {n:>12,}  {REASONS[name]}" for name, n in self.dropped.items() if n)]

    def __str__(self) -> str:
        return "\n".join(self.lines())
