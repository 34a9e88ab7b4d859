"""A genotype store as VCF Zarr in Zarr format 2, which sgkit 0.10 and others of its generation read."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from conversion.genomes import MT, X, Y
from conversion.scan import ContigRuns, scan_variants
from conversion.source import GenotypeSource, SampleTable
from conversion.store_source import StoreSource
from conversion.variant_columns import regrouped
from conversion.view import SourceView
from daskgen.errors import UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.selection import Names, VariantSelection, select_samples
from daskgen.inputs.text import as_text
from daskgen.kernels.genotype_codes import dequantise_dosage, packed_width, unpack
from daskgen.passes import run_map
from daskgen.stores import Location, StoreLike, open_group
from daskgen.stores.vcf_zarr import VcfZarrArray, new_vcf_zarr, write_vcf_zarr

__all__ = ["export_vcf_zarr"]

log = logging.getLogger("daskgen.conversion")

_CHUNK_ROWS = 1_000
_TASK_BYTES = 128_000_000  # of the store that a task holds
_COLUMN_ROWS = 1 << 16  # of columns that are written at a time
# Code 0, 1, 2 or -1 -> the two alleles; in a haploid call the second is -2, none. A heterozygous call has two anywhere.
_DIPLOID = np.array([[0, 0], [0, 1], [1, 1], [-1, -1]], np.int8)
_HAPLOID = np.array([[0, -2], [0, 1], [1, -2], [-1, -2]], np.int8)


@known_arguments()
def export_vcf_zarr(
    store: StoreLike,
    destination: str | os.PathLike[str],
    *,
    keep: Names | None = None,
    remove: Names | None = None,
    extract: Names | None = None,
    exclude: Names | None = None,
    contig: str | int | Sequence[str | int] | None = None,
    region: str | Sequence[str] | None = None,
    variants_chunk_size: int | None = None,
    samples_chunk_size: int = 10_000,
    haploid_calls: Literal["haploid", "homozygous"] = "haploid",
    force: bool = False,
) -> str:
    """Write a store of genotypes as VCF Zarr (version 0.4, in Zarr format 2).

    destination: path or URL of the group. The selection is that of `conversion.genotypes`. Allele 1 is the allele that
    the store counts, allele 0 stands for all others; calls are not phased. Dosages are written as call_DS (variants,
    samples), in copies from 0 to 2 for haploid calls too, info scores as variant_info_score.
    variants_chunk_size, samples_chunk_size: shape of a chunk; None: 1,000 variants, as bio2zarr has it, and fewer where
        those of all samples take more than 128 MB.
    haploid_calls: "haploid": calls on MT, on Y, and on X outside the pseudo-autosomal regions in the sex with one copy
        have one allele, and -2 for the second; heterozygous ones among them keep their two. "homozygous": two equal
        alleles, as `daskgen.open_store` shows them.

    The group appears under its name when it is complete. Returns its path. Raises StoreError where something lies
    there (unless it is a VCF Zarr that daskgen wrote, and `force`), InputError where nothing is selected.
    """
    if (variants_chunk_size is not None and variants_chunk_size < 1) or samples_chunk_size < 1:
        raise UsageError("chunk sizes must be positive.", found=f"{variants_chunk_size} x {samples_chunk_size}")
    if haploid_calls not in ("haploid", "homozygous"):
        raise UsageError(f"haploid_calls={haploid_calls!r} is not understood.", expected="'haploid', 'homozygous'")
    source = StoreSource.of(store)
    samples = source.samples()
    index, _ = select_samples(samples, samples.sample_id, source.path, keep, remove)
    scan = scan_variants(source, VariantSelection.of(extract, exclude, contig, region))
    view = SourceView(source, index, scan.rows)
    samples = samples if index is None else samples.take(index)
    row_bytes = 2 * view.n_samples if view.has_dosage else packed_width(view.n_samples)
    height = variants_chunk_size or max(1, min(_CHUNK_ROWS, _TASK_BYTES // row_bytes))
    chunks = (min(height, view.n_variants), min(samples_chunk_size, view.n_samples))
    attrs = {"counted_allele": f"{source.counted_allele} is allele 1"}
    with new_vcf_zarr(destination, _arrays(view, len(scan.contigs.names), chunks), attrs, force=force) as place:
        _write_samples(place, samples)
        write_vcf_zarr(place, "contig_id", 0, as_text(scan.contigs.names))
        write_vcf_zarr(place, "filter_id", 0, as_text(["PASS"]))
        _write_columns(place, view, scan.contigs.codes_of, chunks[0])
        # A task reads a chunk of the store, or as much of it as fits.
        rows = chunks[0] * max(1, min(source.chunk_rows, _TASK_BYTES // row_bytes) // chunks[0])
        groups = range(-(-view.n_variants // rows))
        haploid = _Haploid.of(source.path, scan.contigs, samples) if haploid_calls == "haploid" else None
        for _ in run_map(_write_group, groups, _Export(view, place, rows, chunks, haploid), label="export"):
            pass
    path = Location.of(destination).url
    log.info("%s: %s samples x %s variants", path, f"{view.n_samples:,}", f"{view.n_variants:,}")
    return path


@dataclass(frozen=True, eq=False)
class _Haploid:
    """Which calls are haploid. roles: of each contig of `contigs`; samples: bool, those with one X and a Y.

    Where no sample's sex makes it haploid, X is taken as diploid in all and Y as carried by all, as in frequencies.
    """

    contigs: ContigRuns
    roles: np.ndarray
    samples: np.ndarray

    @classmethod
    def of(cls, store: str, contigs: ContigRuns, samples: SampleTable) -> _Haploid:
        group = open_group(store, "genotypes")
        role_of = dict(zip(group["contig_id"][...].tolist(), group["contig_role"][...].tolist(), strict=True))  # type: ignore[index, union-attr]
        female = group["variant_ploidy_class"].attrs.get("heterogametic_sex") == "female"
        return cls(contigs, np.array([role_of[name] for name in contigs.names], np.uint8), samples.sex == 1 + female)

    def pairs(self, codes: np.ndarray, start: int, first_sample: int) -> np.ndarray:
        """Alleles, int8 (variants, samples, 2), of codes whose first variant is `start`."""
        pairs = _DIPLOID[codes]
        role = self.roles[self.contigs.codes_of(start, start + len(codes))]
        some = self.samples[first_sample : first_sample + codes.shape[1]]
        for which, one_copy in ((X, some), (Y, some if self.samples.any() else ~some), (MT, np.ones_like(some))):
            rows = np.flatnonzero(role == which)
            if len(rows) and one_copy.any():
                here = np.ix_(rows, np.flatnonzero(one_copy))
                pairs[here] = _HAPLOID[codes[here]]
        return pairs


@dataclass(frozen=True)
class _Export:
    """What the task of every group of `rows` variants needs."""

    source: GenotypeSource
    place: Location
    rows: int
    chunks: tuple[int, int]
    haploid: _Haploid | None

    @property
    def nbytes(self) -> int:
        runs = 0 if self.haploid is None else self.haploid.contigs.starts.nbytes + self.haploid.samples.nbytes
        return self.source.nbytes + runs


def _write_group(index: int, export: _Export) -> None:
    """Write the calls and dosages of one group, a chunk of variants at a time."""
    source, (height, width), n = export.source, export.chunks, export.source.n_samples
    start, stop = index * export.rows, min((index + 1) * export.rows, export.source.n_variants)
    block = source.read_block(start, stop)
    for first in range(start, stop, height):
        part = slice(first - start, min(first + height, stop) - start)
        for column in range(0, n, width):
            samples = np.arange(column, min(column + width, n))
            codes = unpack(np.ascontiguousarray(block.packed[part]), n, samples=None if len(samples) == n else samples)
            pairs = _DIPLOID[codes] if export.haploid is None else export.haploid.pairs(codes, first, column)
            write_vcf_zarr(export.place, "call_genotype", first, pairs, column)
            write_vcf_zarr(export.place, "call_genotype_mask", first, pairs < 0, column)
            if block.dosage is not None:
                dosage = np.ascontiguousarray(block.dosage[part, column : column + width])
                write_vcf_zarr(export.place, "call_DS", first, dequantise_dosage(dosage), column)


def _arrays(source: GenotypeSource, n_contigs: int, chunks: tuple[int, int]) -> list[VcfZarrArray]:
    m, n = source.n_variants, source.n_samples
    calls, diploid = ("variants", "samples"), ("variants", "samples", "ploidy")
    contig = next(t for t in (np.int8, np.int16, np.int32) if n_contigs <= np.iinfo(t).max)
    per_variant = [
        ("variant_contig", contig, "index into contig_id"),
        ("variant_position", np.int32, "base pair, 1-based"),
        ("variant_genetic_position", np.float64, "centimorgan; 0 = unknown"),
        ("variant_length", np.int32, "bases of the reference allele"),
        ("variant_id", "string", "identifiers"),
        ("variant_id_mask", np.bool_, "whether there is none"),
        ("variant_quality", np.float32, "unknown"),
    ]
    if source.has_info_score:
        per_variant.append(("variant_info_score", np.float32, "quality of imputation, INFO or r2"))
    per_sample = [
        ("sample_id", "string", "identifiers"),
        ("sample_family_id", "string", "0 = none"),
        ("sample_paternal_id", "string", "0 = unknown"),
        ("sample_maternal_id", "string", "0 = unknown"),
        ("sample_sex", np.int8, "1 male, 2 female, 0 unknown"),
        ("sample_phenotype", np.float64, "NaN = missing"),
    ]
    made = [
        VcfZarrArray(
            "call_genotype", (m, n, 2), (*chunks, 2), diploid, np.int8, "Genotype; -1 missing, -2 no second allele"
        ),
        VcfZarrArray("call_genotype_mask", (m, n, 2), (*chunks, 2), diploid, np.bool_, "whether an allele is missing"),
        VcfZarrArray("variant_allele", (m, 2), (chunks[0], 2), ("variants", "alleles"), "string", "REF and ALT"),
        VcfZarrArray("variant_filter", (m, 1), (chunks[0], 1), ("variants", "filters"), np.bool_, "none was applied"),
        VcfZarrArray("contig_id", (n_contigs,), (n_contigs,), ("contigs",), "string", "names of contigs"),
        VcfZarrArray("filter_id", (1,), (1,), ("filters",), "string", "names of filters"),
        *(VcfZarrArray(name, (m,), chunks[:1], ("variants",), dtype, text) for name, dtype, text in per_variant),
        *(VcfZarrArray(name, (n,), chunks[1:], ("samples",), dtype, text) for name, dtype, text in per_sample),
    ]
    if source.has_dosage:
        about = "expected copies of the ALT allele, 0 to 2 in haploid calls too"
        made.append(VcfZarrArray("call_DS", (m, n), chunks, calls, np.float32, about, {"haploid_maximum": 2}))
    return made


def _write_samples(place: Location, samples: SampleTable) -> None:
    for name, column in samples.stored().items():
        write_vcf_zarr(place, name, 0, column)


def _write_columns(
    place: Location, source: GenotypeSource, contig_of: Callable[[int, int], np.ndarray], height: int
) -> None:
    """Write what is known of the variants, some chunks at a time."""
    m, step = source.n_variants, height * max(1, _COLUMN_ROWS // height)
    sizes = [min(step, m - start) for start in range(0, m, step)]
    start = 0
    for table in regrouped(source.variant_tables(), sizes):
        rows = len(table)
        columns = {
            "variant_contig": contig_of(start, start + rows),
            "variant_position": table.position,
            "variant_genetic_position": table.genetic_position,
            "variant_length": np.strings.str_len(table.allele[:, 0]),
            "variant_id": table.variant_id,
            "variant_id_mask": (table.variant_id == ".") | (table.variant_id == ""),
            "variant_quality": np.full(rows, np.nan, np.float32),
            "variant_allele": table.allele,
            "variant_filter": np.zeros((rows, 1), bool),
        }
        if table.info_score is not None:
            columns["variant_info_score"] = table.info_score
        for name, values in columns.items():
            write_vcf_zarr(place, name, start, values)
        start += rows
