"""From a user's selection arguments to the rows of a source: keep, remove, extract, exclude, contig, region, QC."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgen.errors import InputError, UsageError
from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.source import GenotypeSource
from daskgen.genotypes.view import GenotypeView
from daskgen.inputs.selection import Names, VariantSelection, select_samples

__all__ = ["Selection", "select"]

log = logging.getLogger("daskgen.genotypes")


@dataclass(frozen=True)
class Selection:
    """The arguments with which every genotype function selects; see `daskgen.genotypes.operator`."""

    keep: Names | None = None
    remove: Names | None = None
    extract: Names | None = None
    exclude: Names | None = None
    contig: str | int | Sequence[str | int] | None = None
    region: str | Sequence[str] | None = None
    maf_min: float | None = None
    missing_max: float | None = None

    def __post_init__(self) -> None:
        for name, low, high in (("maf_min", 0.0, 0.5), ("missing_max", 0.0, 1.0)):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name} = {value} is out of range.", expected=f"{low} to {high}")


@dataclass(frozen=True)
class _Samples:
    sample_id: np.ndarray
    family_id: np.ndarray

    def __len__(self) -> int:
        return len(self.sample_id)


@dataclass(frozen=True)
class _Variants:
    variant_id: np.ndarray
    position: np.ndarray
    contig: np.ndarray
    contig_names: Sequence[str]

    def __len__(self) -> int:
        return len(self.variant_id)


def select(
    source: GenotypeSource,
    selection: Selection,
    *,
    dosage: str | bool = "auto",
    scale: str = "empirical",
    alpha: float = -1.0,
    memory_limit: int | str | None = None,
) -> GenotypeView:
    """The view of `source` that `selection` leaves; allele frequency and missingness are of the samples left.

    dosage: "auto" takes dosages where the source has them; True demands them; False takes calls.
    Raises InputError where nothing is left or dosages are demanded of a source without.
    """
    if dosage not in ("auto", True, False):
        raise UsageError(f"dosage = {dosage!r} is not understood.", expected='"auto", True or False')
    if dosage is True and not source.reader.has_dosage:
        raise InputError("the genotypes have no dosages.", do='dosage="auto" takes hard calls where there are none')
    use_dosage = bool(dosage) and source.reader.has_dosage
    view = GenotypeView(
        source.reader,
        _sample_rows(source, selection),
        _variant_rows(source, selection),
        use_dosage,
        scale,
        alpha,
    )
    return _quality(source, view, selection, memory_limit)


def _name(source: GenotypeSource) -> str:
    return str(source.dataset.encoding.get("source", "the genotypes")).rsplit("/", 1)[-1]


def _sample_rows(source: GenotypeSource, selection: Selection) -> np.ndarray | None:
    if selection.keep is None and selection.remove is None:
        return None
    ids = source.sample_id
    family = source.column("sample_family_id", np.full(len(ids), "0", dtype=object))
    assert family is not None
    rows, dropped = select_samples(_Samples(ids, family), ids, _name(source), selection.keep, selection.remove)
    _report(dropped)
    return None if rows is None else rows.astype(np.int64)


def _variant_rows(source: GenotypeSource, selection: Selection) -> np.ndarray | None:
    chosen = VariantSelection.of(selection.extract, selection.exclude, selection.contig, selection.region)
    if chosen.selects_all:
        return None
    m = source.reader.n_variants
    contig, names = source.column("variant_contig"), source.column("contig_id")
    position = source.column("variant_position", np.zeros(m, np.int64))
    assert position is not None
    table = _Variants(
        source.variant_id,
        position,
        np.zeros(m, np.int64) if contig is None else contig,
        ("",) if names is None else tuple(names.tolist()),
    )
    wanted = chosen.mask(table)
    if not wanted.any():
        raise chosen.nothing_left(_name(source), table.variant_id[:4].tolist(), table.contig_names)
    _report(chosen.dropped)
    return None if wanted.all() else np.flatnonzero(wanted).astype(np.int64)


def _quality(
    source: GenotypeSource, view: GenotypeView, selection: Selection, memory_limit: int | str | None
) -> GenotypeView:
    if selection.maf_min is None and selection.missing_max is None:
        return view
    moments = GenotypeOperator(view, memory_limit=memory_limit).moments
    frequency = np.nan_to_num(moments.allele_frequency)
    wanted = np.ones(view.n_variants, dtype=bool)
    dropped: dict[str, int] = {}
    for limit, good, reason in (
        (selection.maf_min, np.minimum(frequency, 1 - frequency) >= (selection.maf_min or 0), "below maf_min"),
        (
            selection.missing_max,
            1 - moments.n_called / view.n_samples <= (1.0 if selection.missing_max is None else selection.missing_max),
            "above missing_max",
        ),
    ):
        if limit is not None:
            dropped[f"variants {reason}"] = int((wanted & ~good).sum())
            wanted &= good
    _report(dropped)
    if not wanted.any():
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in dropped.items())
        raise InputError(f"no variant of {_name(source)} is left: {reasons}.", do="relax maf_min or missing_max")
    rows = np.flatnonzero(wanted).astype(np.int64)
    return GenotypeView(
        view.reader,
        view.samples,
        rows if view.variants is None else view.variants[rows],
        view.use_dosage,
        view.scale,
        view.alpha,
    )


def _report(dropped: dict[str, Any]) -> None:
    for reason, n in dropped.items():
        if n:
            log.info("left out: %s %s", f"{n:,}", reason)
