"""A genotype store as PLINK 1 files. A store that was made from a .bed gives the same .bed bytes again."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conversion.source import SampleTable, VariantTable
from daskgen import config
from daskgen.errors import InputError
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.selection import Names, VariantSelection, select_samples
from daskgen.kernels.genotype_codes import call_dosages, packed_to_bed, subset_samples
from daskgen.stores import StoreLike, open_group
from daskgen.stores.genotype_layout import reading_rows

__all__ = ["export_bed"]

log = logging.getLogger("daskgen.conversion")

_HEADER = b"\x6c\x1b\x01"


@known_arguments()
def export_bed(
    store: StoreLike,
    destination: str | os.PathLike[str],
    *,
    keep: Names | None = None,
    remove: Names | None = None,
    extract: Names | None = None,
    exclude: Names | None = None,
    contig: str | int | Sequence[str | int] | None = None,
    region: str | Sequence[str] | None = None,
    force: bool = False,
) -> tuple[str, str, str]:
    """Write a store of genotypes as .bed, .bim and .fam.

    destination: the prefix that the three files share (an ending .bed is left out). The selection is that of
    `conversion.genotypes`. A1 is the allele that the store counts; missing phenotypes are written as -9. Dosages have
    no place in a .bed: only hard calls are written, and the log says so.

    Files appear under their names when they are complete. Returns the three paths. Raises InputError where one of
    them exists (unless `force`), where nothing is selected, or where an id has a blank in it.
    """
    group = open_group(store, "genotypes")
    prefix = os.fspath(destination).removesuffix(".bed")
    paths = tuple(prefix + ending for ending in (".bed", ".bim", ".fam"))
    if not force and (there := [path for path in paths if os.path.exists(path)]):
        raise InputError(f"{', '.join(there)} exists.", do="choose another name, or --force to replace it")
    if "call_dosage" in group:
        log.warning("%s has dosages; a .bed holds hard calls only, so they are left out", store)
    samples = _samples(group)
    index, _ = select_samples(samples, samples.sample_id, str(store), keep, remove)
    selection = VariantSelection.of(extract, exclude, contig, region)
    with _temporary_names(paths) as temporary:
        n_variants = _write_variants(group, str(store), selection, index, temporary[0], temporary[1])
        _write_fam(temporary[2], samples if index is None else samples.take(index))
    log.info("%s: %d samples x %d variants", paths[0], len(samples if index is None else index), n_variants)
    return paths  # type: ignore[return-value]


@contextlib.contextmanager
def _temporary_names(paths: Sequence[str]) -> Iterator[list[str]]:
    """Names to write under; renamed to `paths` at the end of the block, removed if it fails."""
    Path(paths[0]).absolute().parent.mkdir(parents=True, exist_ok=True)
    temporary = [f"{path}.{os.getpid()}.partial" for path in paths]
    try:
        yield temporary
        for name, path in zip(temporary, paths, strict=True):
            os.replace(name, path)
    finally:
        for name in temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def _samples(group: Any) -> SampleTable:
    names = ("sample_id", "family_id", "paternal_id", "maternal_id", "sex", "phenotype")
    return SampleTable(*(group[f"sample_{name.removeprefix('sample_')}"][...] for name in names))


def _write_variants(
    group: Any, store: str, selection: VariantSelection, samples: np.ndarray | None, bed: str, bim: str
) -> int:
    """Write .bed and .bim together, by chunks of the store; returns the number of variants."""
    has_calls = "call_genotype_packed" in group
    stored = group["call_genotype_packed" if has_calls else "call_dosage"]
    n_variants, n_samples = stored.shape[0], int(group.attrs["n_samples"])
    rows = reading_rows(group)
    contigs = tuple(group["contig_id"][...].tolist())
    written = 0
    ids: list[str] = []
    with open(bed, "wb", buffering=0) as bed_file, open(bim, "w", encoding="utf-8", newline="\n") as bim_file:
        bed_file.write(_HEADER)
        for first in range(0, n_variants, config.get("column-rows")):
            last = min(first + config.get("column-rows"), n_variants)
            table = _variants(group, contigs, first, last)
            wanted = selection.mask(table)
            ids = ids or table.variant_id[:4].tolist()
            if not wanted.any():
                continue
            bim_file.writelines(_bim_lines(table.take(wanted)))
            written += int(wanted.sum())
            for start in range(first - first % rows, last, rows):
                low, high = max(start, first), min(start + rows, last)
                mine = wanted[low - first : high - first]
                if mine.any():
                    block = stored[low:high]
                    codes = block if has_calls else call_dosages(block, stored.attrs["hard_call_threshold"])
                    bed_file.write(_bed_rows(codes, mine, n_samples, samples))
    if not written:
        raise selection.nothing_left(store, ids, contigs)
    return written


def _bed_rows(codes: np.ndarray, wanted: np.ndarray, n_samples: int, samples: np.ndarray | None) -> memoryview:
    if not wanted.all():
        codes = np.ascontiguousarray(codes[wanted])
    if samples is not None:
        codes, n_samples = subset_samples(codes, samples), len(samples)
    return memoryview(packed_to_bed(codes, n_samples, out=codes if codes.flags.writeable else None).reshape(-1))


def _variants(group: Any, contigs: tuple[str, ...], first: int, last: int) -> VariantTable:
    return VariantTable(
        group["variant_contig"][first:last],
        contigs,
        group["variant_position"][first:last],
        group["variant_genetic_position"][first:last],
        group["variant_id"][first:last],
        group["variant_allele"][first:last],
    )


def _bim_lines(table: VariantTable) -> Iterator[str]:
    names = table.contig_names
    columns = (table.contig, table.variant_id, table.genetic_position, table.position, table.allele)
    for contig, name, centimorgan, position, (other, counted) in zip(*(c.tolist() for c in columns), strict=True):
        alleles = (_word(counted), _word(other))
        yield "\t".join((_word(names[contig]), _word(name), _number(centimorgan), str(position), *alleles)) + "\n"


def _write_fam(path: str, samples: SampleTable) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        text = (samples.family_id, samples.sample_id, samples.paternal_id, samples.maternal_id)
        numbers = (samples.sex, samples.phenotype)
        for *words, sex, phenotype in zip(*(column.tolist() for column in (*text, *numbers)), strict=True):
            value = "-9" if math.isnan(phenotype) else _number(phenotype)
            file.write(" ".join([*map(_word, words), str(sex), value]) + "\n")


def _word(text: str) -> str:
    """The text, if it is one word. PLINK separates columns by blanks and has no quotes."""
    if not text or text.split() != [text]:
        raise InputError(f"{text!r} cannot stand in a PLINK file.", expected="one word without blanks")
    return text


def _number(value: float) -> str:
    """The shortest text that reads back as the same number; whole numbers without a point."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
