"""Genotypes in memory as the sampler takes them: packed rows of the markers that vary, and their means."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from daskgen.errors import InputError, UsageError
from daskgen.genotypes.reader import Genotypes
from daskgen.genotypes.selection import Selection, select
from daskgen.genotypes.source import GenotypeSource, open_source
from daskgen.genotypes.view import GenotypeView
from daskgen.kernels.genotype_codes import count_codes, sample_mask
from daskgen.kernels.genotype_layout import packed_width
from daskgen.passes import run_map

__all__ = ["GenotypeSet", "OpenedSet", "load_sets", "open_sets", "pack_array"]

log = logging.getLogger("daskgen.bayes")

_MOVED = 4_096  # rows that are moved at a time


@dataclass(frozen=True, eq=False)
class OpenedSet:
    """A set of genotypes before its codes are read. array: int8 (samples, variants) for genotypes given as an array."""

    name: str
    sample_id: np.ndarray
    source: GenotypeSource | None
    view: GenotypeView | None
    array: np.ndarray | None

    @property
    def input_id(self) -> str:
        """What identifies the genotypes in a run's key."""
        return "array" if self.view is None else "/".join(self.view.key)


@dataclass(frozen=True, eq=False)
class GenotypeSet:
    """Markers of one set: rows of `packed` that vary in the training samples.

    packed: uint8 (P, bytes) of all samples; kept: int64 (P,), their variants in the source's order; frequency:
    float64 (P,), of the counted allele in the training samples; shift, missing: value = code - shift, or `missing`;
    dropped: numbers by reason.
    """

    opened: OpenedSet
    packed: np.ndarray
    kept: np.ndarray
    frequency: np.ndarray
    shift: np.ndarray
    missing: np.ndarray
    dropped: dict[str, int]


def open_sets(
    genotypes: Genotypes | np.ndarray | Mapping[str, Any], selection: Selection, dosage: Any
) -> list[OpenedSet]:
    """One set, or those of a mapping name -> genotypes; all must have the same samples in the same order."""
    if dosage not in ("auto", False):
        raise UsageError(
            "the samplers take hard calls, not dosages.", found=f"dosage = {dosage!r}", do='dosage="auto" or False'
        )
    # An xarray Dataset is a mapping too.
    several = isinstance(genotypes, Mapping) and not isinstance(genotypes, xr.Dataset)
    named: Mapping[str, Any] = dict(genotypes) if several else {"markers": genotypes}  # type: ignore[arg-type]
    if not named:
        raise UsageError("the mapping of genotypes is empty.")
    sets = []
    for name, value in named.items():
        if isinstance(value, np.ndarray):
            array = pack_values(value)
            ids = np.array([str(i) for i in range(len(array))], dtype=object)
            sets.append(OpenedSet(str(name), ids, None, None, array))
            continue
        source = open_source(value)
        view = select(source, selection, dosage=False)
        ids = source.sample_id if view.samples is None else source.sample_id[view.samples]
        sets.append(OpenedSet(str(name), ids, source, view, None))
    first = sets[0]
    for other in sets[1:]:
        if len(other.sample_id) != len(first.sample_id) or (
            other.array is None and first.array is None and (other.sample_id != first.sample_id).any()
        ):
            raise InputError(
                f"the genotype sets {first.name} and {other.name} have different samples.",
                found=f"{len(first.sample_id):,} and {len(other.sample_id):,} samples",
                expected="the same samples in the same order",
            )
    return sets


def pack_values(array: np.ndarray) -> np.ndarray:
    """(samples, variants) of 0, 1, 2 and 9, -1 or NaN for missing, as int8 with 3 for missing."""
    values = np.asarray(array)
    if values.ndim != 2 or not values.size:
        raise InputError("an array of genotypes must be (samples, variants).", found=f"shape {values.shape}")
    missing = (values == 9) | (values == -1)
    if values.dtype.kind == "f":
        missing |= np.isnan(values)
    codes = np.where(missing, 3, np.where(missing, 0, values))
    if not np.isin(codes, (0, 1, 2, 3)).all() or (codes == 3)[~missing].any():
        raise InputError(
            "an array of genotypes has values other than 0, 1, 2 and missing (9, -1, NaN).",
            do="give the copies of the counted allele; the sampler centres them itself",
        )
    return codes.astype(np.int8)


def pack_array(codes: np.ndarray) -> np.ndarray:
    """int8 (samples, variants), 3 for missing -> packed uint8 (variants, bytes)."""
    n, p = codes.shape
    width = packed_width(n)
    padded = np.full((p, 4 * width), 3, np.uint8)
    padded[:, :n] = codes.T
    quads = padded.reshape(p, width, 4)
    return np.ascontiguousarray(quads[:, :, 0] | quads[:, :, 1] << 2 | quads[:, :, 2] << 4 | quads[:, :, 3] << 6)


def load_sets(sets: list[OpenedSet], training: np.ndarray, *, center: bool, maf_min: float) -> list[GenotypeSet]:
    """The markers of each set that vary in the `training` samples (bool), more frequent than maf_min."""
    return [_load(opened, training, center, maf_min) for opened in sets]


def _load(opened: OpenedSet, training: np.ndarray, center: bool, maf_min: float) -> GenotypeSet:
    n = len(opened.sample_id)
    mask = sample_mask(np.flatnonzero(training), n)
    if opened.array is not None:
        packed = pack_array(opened.array)
        counts = count_codes(packed, n, mask=mask)
    else:
        assert opened.view is not None
        view = opened.view
        packed = np.empty((view.n_variants, packed_width(n)), np.uint8)
        counts = np.empty((view.n_variants, 4), np.int32)
        for index, block in run_map(_read_chunk, range(view.n_chunks), view, label=f"read {opened.name}"):
            rows = view.chunk_rows[index][2]
            packed[rows] = block
            counts[rows] = count_codes(block, n, mask=mask)
    called = counts[:, :3].sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean = (counts[:, 1] + 2.0 * counts[:, 2]) / called
    frequency = mean / 2
    varies = (counts[:, :3] > 0).sum(axis=1) > 1
    frequent = np.minimum(frequency, 1 - frequency) > maf_min
    keep = varies & frequent
    dropped = {
        "without variation in the training samples": int((~varies).sum()),
        f"with a minor allele frequency of at most {maf_min:g}": int((varies & ~frequent).sum()),
    }
    for reason, number in dropped.items():
        if number:
            log.info("left out: %s markers %s", f"{number:,}", reason)
    if not keep.any():
        raise InputError(
            f"no marker of {opened.name} is left.",
            found=", ".join(f"{number:,} {reason}" for reason, number in dropped.items() if number),
        )
    kept = np.flatnonzero(keep)
    if len(kept) < len(packed):
        for place in range(0, len(kept), _MOVED):  # in place: a second copy would double the memory
            moved = kept[place : place + _MOVED]
            packed[place : place + len(moved)] = packed[moved]
    mean = mean[kept]
    return GenotypeSet(
        opened,
        packed[: len(kept)],
        kept,
        frequency[kept],
        mean if center else np.zeros(len(kept)),
        np.zeros(len(kept)) if center else mean,
        {reason: number for reason, number in dropped.items() if number},
    )


def _read_chunk(index: int, view: GenotypeView) -> np.ndarray:
    return view.read_codes(index)
