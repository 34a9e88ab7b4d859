"""A trait on its way from a file to the store: its plan, the rows of a block, what is kept of them.

What is computed of a kept row is the business of a `Statistic`: z and N for LD-score regression (`munged`), beta and se
for SEM of SNPs (`scaled`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from conversion.summary.columns import Columns
from conversion.summary.drops import KEPT, DropReport, reason_code
from conversion.summary.effects import EffectColumns, Effects
from conversion.summary.frequencies import FrequencyColumn
from conversion.summary.sizes import SampleSize
from conversion.summary.tables import Table

__all__ = ["Filters", "Rows", "Statistic", "TraitPlan", "TraitRows"]

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Filters:
    """What is left out: by quality of imputation, frequency, sample size, kind of variant, and share of cohorts."""

    info: float
    maf: float
    n_min: float | None = None
    keep_indel: bool = False
    ambig: bool = False
    direct_filter: bool = False


@dataclass(eq=False)
class Rows:
    """Rows of a block that are in the reference, with what is known of them; `reason` is filled as rows are dropped.

    row: of the reference; frequency: of the effect allele (or of the rarer one), NaN where missing; None without one;
    turned: rows whose effect allele is the reference's other one.
    """

    row: npt.NDArray[np.int64]
    effects: Effects
    n: Float64
    frequency: Float64 | None
    reference_frequency: Float64 | None
    turned: Mask
    reason: npt.NDArray[np.int8]

    def drop(self, which: Mask, reason: str) -> None:
        """Rows that go for this reason, unless they went for another one before."""
        self.reason[which & (self.reason == KEPT)] = reason_code(reason)

    @property
    def minor_frequency(self) -> Float64 | None:
        """The file's frequency, folded to at most one half."""
        return None if self.frequency is None else np.minimum(self.frequency, 1 - self.frequency)


class Statistic(Protocol):
    """What is kept of a row: named float64 values of the effect allele; `signed` are turned with the alleles."""

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def signed(self) -> tuple[str, ...]: ...

    def values(self, rows: Rows) -> Mapping[str, Float64]:
        """The values; drops rows that have none or that a filter leaves out."""
        ...

    def look_at(self, result: TraitRows) -> None:
        """Adds notes and warnings about the values of a whole file."""
        ...


@dataclass(frozen=True, eq=False)
class TraitPlan:
    """A trait's file with everything that its header decides. `size` may be None where N is not needed."""

    name: str
    table: Table
    columns: Columns
    effects: EffectColumns
    size: SampleSize | None
    frequency: FrequencyColumn | None
    statistic: Statistic
    filters: Filters

    @property
    def info(self) -> str | None:
        """The column of imputation quality."""
        return self.columns.get("info")

    @property
    def direction(self) -> str | None:
        """The column of signs in cohorts, where it is filtered on."""
        return self.columns.get("direction") if self.filters.direct_filter else None

    def check(self) -> None:
        """InputError where a column that is going to be read could be one of several."""
        for name in ("variant_id", "info", *(("direction",) if self.filters.direct_filter else ())):
            self.columns.get(name)

    def describe(self) -> str:
        """Which columns were taken for what, in one line."""
        of = self.columns.of
        parts = [f"effect allele {of.get('effect_allele', 'in the id')}"]
        if self.columns.tool:
            parts[0] += f" ({self.columns.tool})"
        effect = self.effects.beta or self.effects.odds_ratio or self.effects.z
        kind = "odds ratio" if effect == self.effects.odds_ratio else "z" if effect == self.effects.z else "effect"
        parts.append(f"{kind} {effect}")
        size = self.effects.p or self.effects.log10_p or self.effects.z or f"{effect} / {self.effects.se}"
        parts.append(f"p from {size}" if size != effect else "p from z")
        if self.size is not None:
            parts.append(f"N {self.size.source} ({self.size.kind})")
        parts.append(f"frequency {self.frequency.name}" if self.frequency else "no frequency: not filtered on")
        parts.append(f"info {self.info}" if self.info else "no info: not filtered on")
        return ", ".join(parts)


@dataclass(eq=False)
class TraitRows:
    """The rows kept of one trait, in the order of the reference. row: int32; values: float64 by name."""

    name: str
    row: npt.NDArray[np.int32]
    values: dict[str, Float64]
    report: DropReport
    n_kind: str
    n_source: str
    trait_n: float
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
