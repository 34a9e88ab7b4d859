"""Genotypes in memory as the sampler takes them: rows of codes or dosages of the markers that vary, and their means."""

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
from daskgen.kernels.dosage_dots import in_planes
from daskgen.kernels.dosages import DOSAGE_MISSING, DOSAGE_SCALE, dosage_moments, quantise_dosage
from daskgen.kernels.genotype_codes import count_codes, sample_mask, unpack
from daskgen.kernels.genotype_layout import packed_width
from daskgen.passes import run_map

__all__ = ["GenotypeSet", "OpenedSet", "dosages_of", "load_sets", "open_sets", "pack_array"]

log = logging.getLogger("daskgen.bayes")

_MOVED = 4_096  # rows that are moved at a time


@dataclass(frozen=True, eq=False)
class OpenedSet:
    """A set of genotypes before its codes are read. array: for genotypes given as an array (samples, variants), codes
    int8 or dosages uint16.
    """

    name: str
    sample_id: np.ndarray
    source: GenotypeSource | None
    view: GenotypeView | None
    array: np.ndarray | None

    @property
    def has_dosage(self) -> bool:
        """Whether its values are dosages."""
        return (
            self.view.use_dosage if self.view is not None else self.array is not None and self.array.dtype == np.uint16
        )

    @property
    def n_variants(self) -> int:
        """Variants before those without variation are left out."""
        if self.view is not None:
            return self.view.n_variants
        return 0 if self.array is None else self.array.shape[1]

    @property
    def input_id(self) -> str:
        """What identifies the genotypes in a run's key."""
        return "array" if self.view is None else "/".join(self.view.key)


@dataclass(frozen=True, eq=False)
class GenotypeSet:
    """Markers of one set: rows that vary in the training samples.

    packed: codes uint8 (P, bytes) of all samples, or (0, bytes) where there are dosages: uint16 (P, 4 bytes) in the
    order of the planes, else (0, 0); kept: int64 (P,), their variants in the source's order; frequency: float64 (P,),
    of the counted allele in the training samples; shift, missing: value = code - shift, or `missing`; dropped: numbers
    by reason. gaps: int64 (P,), missing calls among all samples, where the rows stay in their store and `packed` or
    `dosage` is without any.
    """

    opened: OpenedSet
    packed: np.ndarray
    dosage: np.ndarray
    kept: np.ndarray
    frequency: np.ndarray
    shift: np.ndarray
    missing: np.ndarray
    dropped: dict[str, int]
    gaps: np.ndarray | None = None

    @property
    def n_markers(self) -> int:
        return len(self.kept)

    @property
    def in_store(self) -> bool:
        """Whether the rows stay in their store."""
        return self.gaps is not None

    @property
    def as_dosage(self) -> bool:
        """Whether the rows are dosages: its own, or calls beside a set that has dosages."""
        return self.dosage.shape[1] > 0

    @property
    def nbytes(self) -> int:
        """Bytes of the genotypes, wherever they are."""
        rows = self.dosage if self.as_dosage else self.packed
        return self.n_markers * rows.shape[1] * rows.itemsize


def open_sets(
    genotypes: Genotypes | np.ndarray | Mapping[str, Any], selection: Selection, dosage: Any
) -> list[OpenedSet]:
    """One set, or those of a mapping name -> genotypes; all must have the same samples in the same order.

    dosage: "auto" takes dosages where there are some, True demands them, False takes calls.
    """
    # An xarray Dataset is a mapping too.
    several = isinstance(genotypes, Mapping) and not isinstance(genotypes, xr.Dataset)
    named: Mapping[str, Any] = dict(genotypes) if several else {"markers": genotypes}  # type: ignore[arg-type]
    if not named:
        raise UsageError("the mapping of genotypes is empty.")
    sets = []
    for name, value in named.items():
        if isinstance(value, np.ndarray):
            array = array_values(value, dosage)
            ids = np.array([str(i) for i in range(len(array))], dtype=object)
            sets.append(OpenedSet(str(name), ids, None, None, array))
            continue
        source = open_source(value)
        view = select(source, selection, dosage=dosage)
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


def array_values(array: np.ndarray, dosage: Any) -> np.ndarray:
    """(samples, variants) of copies of the counted allele, 9, -1 or NaN for missing: int8 codes with 3 for missing, or
    where there are fractions or `dosage` is True dosages uint16.
    """
    values = np.asarray(array)
    if values.ndim != 2 or not values.size:
        raise InputError("an array of genotypes must be (samples, variants).", found=f"shape {values.shape}")
    missing = (values == 9) | (values == -1)
    if values.dtype.kind == "f":
        missing |= np.isnan(values)
    called = np.where(missing, 0, values)
    if (called < 0).any() or (called > 2).any():
        raise InputError(
            "an array of genotypes has values other than 0 to 2 and missing (9, -1, NaN).",
            do="give the copies of the counted allele; the sampler centres them itself",
        )
    whole = bool((called == np.rint(called)).all())
    if dosage is True or (dosage == "auto" and not whole):
        return quantise_dosage(np.where(missing, np.nan, called).astype(np.float32))
    if not whole:
        raise InputError("an array of genotypes has fractions.", do='dosage="auto" takes them as dosages')
    return np.where(missing, 3, called).astype(np.int8)


def pack_array(codes: np.ndarray) -> np.ndarray:
    """int8 (samples, variants), 3 for missing -> packed uint8 (variants, bytes)."""
    n, p = codes.shape
    width = packed_width(n)
    padded = np.full((p, 4 * width), 3, np.uint8)
    padded[:, :n] = codes.T
    quads = padded.reshape(p, width, 4)
    return np.ascontiguousarray(quads[:, :, 0] | quads[:, :, 1] << 2 | quads[:, :, 2] << 4 | quads[:, :, 3] << 6)


def load_sets(
    sets: list[OpenedSet], training: np.ndarray, *, center: bool, maf_min: float, in_store: bool = False
) -> list[GenotypeSet]:
    """The markers of each set that vary in the `training` samples (bool), more frequent than maf_min.

    Where one set has dosages, the calls of the others become dosages too. in_store: leave the rows in their stores.
    """
    dosage = any(opened.has_dosage for opened in sets)
    return [_load(opened, training, center, maf_min, dosage, in_store) for opened in sets]


def _load(
    opened: OpenedSet, training: np.ndarray, center: bool, maf_min: float, dosage: bool, in_store: bool
) -> GenotypeSet:
    width = packed_width(len(training))
    if in_store:
        mean, varies, gaps = _survey(opened, np.flatnonzero(training), dosage)
        rows = np.empty((0, 4 * width), np.uint16) if dosage else np.empty((0, width), np.uint8)
    else:
        rows, mean, varies = _read_set(opened, np.flatnonzero(training), dosage)
        gaps = np.empty(0, np.int64)
    frequency = mean / 2
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
    if len(kept) < len(mean) and not in_store:
        for place in range(0, len(kept), _MOVED):  # in place: a second copy would double the memory
            moved = kept[place : place + _MOVED]
            rows[place : place + len(moved)] = rows[moved]
    rows = rows[: len(kept)]
    mean = mean[kept]
    return GenotypeSet(
        opened,
        np.empty((0, width), np.uint8) if dosage else rows,
        rows if dosage else np.empty((0, 0), np.uint16),
        kept,
        frequency[kept],
        mean if center else np.zeros(len(kept)),
        np.zeros(len(kept)) if center else mean,
        {reason: number for reason, number in dropped.items() if number},
        gaps[kept] if in_store else None,
    )


def _survey(opened: OpenedSet, training: np.ndarray, dosage: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(means of all variants in the training samples, whether they vary there, missing calls among all samples)."""
    assert opened.view is not None
    view = opened.view
    mean, varies, gaps = np.empty(view.n_variants), np.empty(view.n_variants, bool), np.empty(view.n_variants, np.int64)
    chunks = range(view.n_chunks)
    for index, found in run_map(_survey_chunk, chunks, view, training, dosage, label=f"count {opened.name}"):
        at = view.chunk_rows[index][2]
        mean[at], varies[at], gaps[at] = found
    return mean, varies, gaps


def _mean_and_variation(values: np.ndarray, training: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(mean in the training samples, whether they vary there) of variants: packed codes, or dosages uint16."""
    if values.dtype == np.uint16:
        called, sums, squares = dosage_moments(values, training)
        varies = squares * called > sums * sums * (1 + 1e-12)  # exact sums of steps; off by rounding at most
    else:
        counts = count_codes(values, n, mask=sample_mask(training, n))
        called, sums = counts[:, :3].sum(axis=1), counts[:, 1] + 2.0 * counts[:, 2]
        varies = (counts[:, :3] > 0).sum(axis=1) > 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / called, varies


def _read_set(opened: OpenedSet, training: np.ndarray, dosage: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows of all variants as codes or dosages, their means and whether they vary in the training samples)."""
    n = len(opened.sample_id)
    width = packed_width(n)
    if opened.view is None:
        assert opened.array is not None
        blocks: Any = [(slice(0, opened.array.shape[1]), opened.array)]
        total = opened.array.shape[1]
    else:
        view = opened.view
        chunks = run_map(_read_chunk, range(view.n_chunks), view, label=f"read {opened.name}")
        blocks = ((view.chunk_rows[index][2], block) for index, block in chunks)
        total = view.n_variants
    rows = np.empty((total, 4 * width), np.uint16) if dosage else np.empty((total, width), np.uint8)
    mean, varies = np.empty(total), np.empty(total, bool)
    for at, block in blocks:
        values = _as_rows(opened, block)
        if dosage:
            values = dosages_of(values, n)
        mean[at], varies[at] = _mean_and_variation(values, training, n)
        if dosage:
            in_planes(values, out=rows[at])
        else:
            rows[at] = values
    return rows, mean, varies


def _as_rows(opened: OpenedSet, block: np.ndarray) -> np.ndarray:
    """A block of a view as it is; an array (samples, variants) as packed codes or dosages (variants, samples)."""
    if opened.view is not None:
        return block
    return np.ascontiguousarray(block.T) if block.dtype == np.uint16 else pack_array(block)


def dosages_of(values: np.ndarray, n: int) -> np.ndarray:
    """Dosages uint16 (variants, samples) as they are, packed codes as such."""
    if values.dtype == np.uint16:
        return values
    steps = np.array([0, DOSAGE_SCALE, 2 * DOSAGE_SCALE, DOSAGE_MISSING], np.uint16)
    return steps[unpack(values, n)]


def _read_chunk(index: int, view: GenotypeView) -> np.ndarray:
    return view.read_codes(index)


def _survey_chunk(
    index: int, view: GenotypeView, training: np.ndarray, dosage: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `_survey` finds of the variants of a chunk."""
    n = view.n_samples
    block = view.read_codes(index)
    missing = (block == DOSAGE_MISSING).sum(axis=1) if block.dtype == np.uint16 else count_codes(block, n)[:, 3]
    return (*_mean_and_variation(dosages_of(block, n) if dosage else block, training, n), missing.astype(np.int64))
