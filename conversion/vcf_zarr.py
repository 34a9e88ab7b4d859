"""VCF Zarr (of bio2zarr or sgkit, Zarr formats 2 and 3) as a source of genotypes.

Calls come from call_genotype, dosages from call_DS or call_dosage, or from the probabilities call_GP or
call_genotype_probability. Every ALT allele is a row of its own; phase is not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from conversion.allele_rows import dosage_of_probabilities, doubled_if_haploid, fill_rows
from conversion.columns import contig_codes
from conversion.formats import OpenOptions
from conversion.half_calls import is_half
from conversion.info_scores import SCORES
from conversion.record_source import RecordSource
from conversion.sample_descriptions import described
from conversion.source import CallBlock, SampleTable, VariantTable
from conversion.split_variants import SplitVariants
from daskgen.errors import InputError
from daskgen.inputs.files import file_id
from daskgen.kernels.dosages import call_dosages
from daskgen.kernels.genotype_codes import packed_width
from daskgen.kernels.vcf_calls import HALF_CALL, PROBLEMS
from daskgen.stores import Location
from daskgen.stores.vcf_zarr import array_dims, open_vcf_zarr, text

__all__ = ["VcfZarrSource", "open_zarr"]

_DOSAGES = ("call_DS", "call_dosage")
_PROBABILITIES = ("call_GP", "call_genotype_probability")
_TABLE_ROWS = 1 << 14
_TILE_BYTES = 64_000_000  # of alleles that are held of a group at a time
_METADATA = ("zarr.json", ".zattrs", ".zgroup")


@dataclass(frozen=True, eq=False)
class VcfZarrSource(RecordSource):
    """A VCF Zarr group. Counts ALT. `dosage`: the array that dosages are taken from, "" for none."""

    path: str
    n_samples: int
    sample_file: str | None
    split: SplitVariants = field(repr=False)
    dosage: str
    has_calls: bool
    hard_call_threshold: float
    refuse_half_calls: bool
    has_info_score: bool = False

    format = "vcf_zarr"

    @classmethod
    def of(cls, path: str, options: OpenOptions) -> VcfZarrSource:
        """The source at `path`. InputError where the group is no VCF Zarr or holds no genotypes, and (with
        `options.split_multiallelic` False) where a variant has several ALT alleles.
        """
        group = open_vcf_zarr(path)
        n_records, n_samples = group["variant_position"].shape[0], group["sample_id"].shape[0]
        names = set(group.array_keys())
        dosage = next((name for name in (*_DOSAGES, *_PROBABILITIES) if name in names), "")
        if not (n_records and n_samples) or not (dosage or "call_genotype" in names):
            raise InputError(
                f"{path} holds no genotypes.",
                found=f"{n_records:,} variants, {n_samples:,} samples, "
                + (", ".join(sorted(name for name in names if name.startswith("call_"))) or "no call_ arrays"),
                expected="call_genotype, call_DS or call_GP",
            )
        for name in filter(None, ("call_genotype" if "call_genotype" in names else "", dosage)):
            if group[name].shape[:2] != (n_records, n_samples):
                raise InputError(
                    f"{path}: {name} does not fit the variants and samples.",
                    found=f"shape {group[name].shape}, dimensions {', '.join(array_dims(group[name]))}",
                    expected=f"({n_records:,}, {n_samples:,}, ...)",
                )
        n_alt = np.concatenate([np.maximum((alleles[:, 1:] != "").sum(axis=1), 1) for alleles in _alleles(path)])
        several = np.flatnonzero(n_alt > 1)
        if len(several) and not options.split_multiallelic:
            raise InputError(
                f"{path}: {len(several):,} variants have several ALT alleles.",
                found=f"the first is variant {int(several[0]) + 1:,}, with {int(n_alt[several[0]])}",
                do="split_multiallelic=True makes a row of each ALT allele",
            )
        source = cls(
            path,
            n_samples,
            options.sample_file,
            SplitVariants(n_records, several, n_alt[several]),
            dosage,
            "call_genotype" in names,
            options.hard_call_threshold,
            options.half_calls == "refuse",
            _score(path) is not None,
        )
        source.samples()
        return source

    @property
    def n_variants(self) -> int:  # type: ignore[override]
        return self.split.n_rows

    @property
    def has_dosage(self) -> bool:  # type: ignore[override]
        return bool(self.dosage)

    @property
    def has_multiallelic(self) -> bool:  # type: ignore[override]
        return len(self.split.index) > 0

    @property
    def hashed_files(self) -> tuple[str, ...]:
        return ()  # a folder: it is described by the names and sizes of its files

    @property
    def genotype_bytes(self) -> int:
        group = open_vcf_zarr(self.path)
        used = filter(None, ("call_genotype" if self.has_calls else "", self.dosage))
        return sum(Location.of(self.path).join(group[name].path).size() for name in used)

    @property
    def reader_id(self) -> str:
        location = Location.of(self.path)
        metadata = [location.join(name) for name in _METADATA]
        files = [file_id(place.url) for place in metadata if place.exists()]
        return " ".join([*files, *([] if self.sample_file is None else [file_id(self.sample_file)])])

    @property
    def file_row_bytes(self) -> int:
        return 2 * self.n_samples

    @property
    def nbytes(self) -> int:
        return self.split.index.nbytes + self.split.n_alt.nbytes

    @property
    def notes(self) -> Sequence[str]:
        notes = []
        group = open_vcf_zarr(self.path)
        if "call_genotype_phased" in group:
            notes.append(f"{self.path} says which calls are phased; phase is not kept")
        if self.dosage in _PROBABILITIES:
            notes.append(f"dosages are computed from {self.dosage}")
        if not self.has_calls:
            notes.append(f"{self.path} has no call_genotype: calls are dosages within {self.hard_call_threshold:g}")
        if n := len(self.split.index):
            rows = int(self.split.n_alt.sum())
            notes.append(f"{n:,} variants with several ALT alleles were split into {rows:,} rows")
        if self.has_info_score:
            notes.append(f"variant_info_score is {_score(self.path)}")
        return notes

    def samples(self) -> SampleTable:
        group = open_vcf_zarr(self.path)
        n = self.n_samples
        unknown = np.full(n, "0", np.dtypes.StringDType())

        def column(name: str) -> np.ndarray:
            return text(group[name], 0, n) if name in group else unknown

        own = SampleTable(
            text(group["sample_id"], 0, n),
            column("sample_family_id"),
            column("sample_paternal_id"),
            column("sample_maternal_id"),
            group["sample_sex"][...].astype(np.int8) if "sample_sex" in group else np.zeros(n, np.int8),
            group["sample_phenotype"][...].astype(np.float64) if "sample_phenotype" in group else np.full(n, np.nan),
        )
        return own if self.sample_file is None else described(self.path, own, self.sample_file)

    def variant_tables(self) -> Iterator[VariantTable]:
        group = open_vcf_zarr(self.path)
        contigs = tuple(text(group["contig_id"], 0, group["contig_id"].shape[0]).tolist())
        score = _score(self.path)
        start = 0
        for alleles in _alleles(self.path):
            part = slice(start, start + len(alleles))
            start += len(alleles)
            n_alt = np.maximum((alleles[:, 1:] != "").sum(axis=1), 1)
            row = np.repeat(np.arange(len(alleles)), n_alt)
            nth = np.arange(len(row)) - np.repeat(np.cumsum(n_alt) - n_alt, n_alt) + 1
            both = np.empty((len(row), 2), np.dtypes.StringDType())
            both[:, 0] = alleles[row, 0]
            if alleles.shape[1] > 1:
                both[:, 1] = alleles[row, nth]
            both[both[:, 1] == "", 1] = "."
            names, codes = contig_codes([contigs[code] for code in group["variant_contig"][part].tolist()])
            centimorgan = group.get("variant_genetic_position")
            yield VariantTable(
                codes[row],
                names,
                group["variant_position"][part].astype(np.int32)[row],
                np.zeros(len(row)) if centimorgan is None else centimorgan[part].astype(np.float64)[row],
                text(group["variant_id"], part.start, part.stop)[row]
                if "variant_id" in group
                else np.full(len(row), ".", np.dtypes.StringDType()),
                both,
                None if score is None else _of_allele(group[score][part], row, nth, 1).astype(np.float32),
            )

    # -- genotypes ---------------------------------------------------------------------------------------------
    def _read(self, rows: np.ndarray, out: np.ndarray | None, with_dosage: bool = True) -> CallBlock:
        block = self._empty(len(rows), out, with_dosage)
        packed, with_dosage = block.packed, block.dosage is not None
        group = open_vcf_zarr(self.path)
        stored = group["call_genotype" if self.has_calls else self.dosage]
        height, width = stored.chunks[:2]
        # Tiles begin at bytes of packed codes; a chunk is unpacked once for each tile that touches it.
        width = width if width % 4 == 0 else self.n_samples
        item = 4 if with_dosage or not self.has_calls else 1
        height = max(1, min(height, _TILE_BYTES // (2 * item * min(width, self.n_samples))))
        variant, allele = self.split.locate(rows)
        edges = np.searchsorted(variant, np.arange(0, self.split.n_variants + height, height))
        for place, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if place == end:
                continue
            for first in range(0, self.n_samples, width):
                samples = slice(first, min(first + width, self.n_samples))
                tile = self._tile(variant[place:end], allele[place:end], samples, with_dosage)
                packed[place:end, first // 4 : first // 4 + tile.packed.shape[1]] = tile.packed
                if block.dosage is not None:
                    block.dosage[place:end, samples] = tile.dosage
        return block

    def _tile(self, variant: np.ndarray, allele: np.ndarray, samples: slice, with_dosage: bool) -> CallBlock:
        """Some samples of the rows that count allele[i] of variant[i]."""
        records = slice(int(variant[0]), int(variant[-1]) + 1)
        own = variant - records.start
        n = samples.stop - samples.start
        need = with_dosage or not self.has_calls
        tile = CallBlock(
            np.empty((len(own), packed_width(n)), np.uint8), np.empty((len(own), n), np.uint16) if need else None
        )
        alleles = self._alleles_of(records, samples)
        if self.refuse_half_calls and (half := is_half(alleles[own])).any():
            row, sample = np.argwhere(half)[0].tolist()
            raise InputError(
                f"{self.path}: {PROBLEMS[HALF_CALL]}.",
                found=f"variant {records.start + int(own[row]) + 1:,}, sample {samples.start + sample + 1:,}",
            )
        dosage = self._dosage_of(records, own, allele, samples) if need else None
        if dosage is not None and self.dosage in _DOSAGES and not self._counts_haploid_twice():
            dosage = doubled_if_haploid(dosage, alleles[own])
        fill_rows(tile, 0, alleles, own, allele, dosage, self.path)
        if not self.has_calls and tile.dosage is not None:
            call_dosages(tile.dosage, self.hard_call_threshold, out=tile.packed)
        return tile

    def _counts_haploid_twice(self) -> bool:
        """Whether dosages of haploid calls run from 0 to 2 already, as our own export says."""
        return bool(open_vcf_zarr(self.path)[self.dosage].attrs.get("haploid_maximum") == 2)

    def _alleles_of(self, records: slice, samples: slice) -> np.ndarray:
        shape = (records.stop - records.start, samples.stop - samples.start, 2)
        if not self.has_calls:
            return np.full(shape, -1, np.int8)
        alleles = np.asarray(open_vcf_zarr(self.path)["call_genotype"][records, samples])
        if alleles.dtype not in (np.int8, np.int16):
            alleles = alleles.astype(np.int16)
        ploidy = alleles.shape[2]
        if ploidy > 2 and (alleles[:, :, 2:] != -2).any():
            record, sample, _ = np.argwhere(alleles[:, :, 2:] != -2)[0].tolist()
            raise InputError(
                f"{self.path} has calls of more than two alleles, and only haploid and diploid ones can be stored.",
                found=f"variant {records.start + record + 1:,}, sample {samples.start + sample + 1:,}: "
                + "/".join(map(str, alleles[record, sample].tolist())),
            )
        if ploidy == 1:
            alleles = np.concatenate([alleles, np.full((*shape[:2], 1), -2, alleles.dtype)], axis=2)
        return np.ascontiguousarray(alleles[:, :, :2])

    def _dosage_of(self, records: slice, own: np.ndarray, allele: np.ndarray, samples: slice) -> np.ndarray:
        """float32 (rows, samples) in copies of the counted allele, NaN where there is none."""
        values = np.asarray(open_vcf_zarr(self.path)[self.dosage][records, samples], np.float32)
        if self.dosage in _DOSAGES:
            return _of_allele(values, own, allele, 2)
        result = np.empty((len(own), values.shape[1]), np.float32)
        records_n_alt = np.ones(self.split.n_variants, np.int64)
        records_n_alt[self.split.index] = self.split.n_alt
        n_alt = records_n_alt[records][own]
        for n, k in sorted({*zip(n_alt.tolist(), allele.tolist(), strict=True)}):
            these = np.flatnonzero((n_alt == n) & (allele == k))
            try:
                result[these] = dosage_of_probabilities(values[own[these], :, : (n + 1) * (n + 2) // 2], n, k)
            except ValueError as error:
                raise InputError(f"{self.path}: {self.dosage}: {error}.") from None
        return result


def open_zarr(path: str, options: OpenOptions) -> VcfZarrSource:
    """The source of a VCF Zarr group."""
    return VcfZarrSource.of(path, options)


def _alleles(path: str) -> Iterator[np.ndarray]:
    """Blocks of variant_allele, text (records, alleles), filled up with empty text."""
    array = open_vcf_zarr(path)["variant_allele"]
    for start in range(0, array.shape[0], _TABLE_ROWS):
        yield text(array, start, min(start + _TABLE_ROWS, array.shape[0]))


def _of_allele(values: np.ndarray, own: np.ndarray, allele: np.ndarray, axes: int) -> np.ndarray:
    """The values of each row's allele; an array with only `axes` axes has one value for all alleles of a record."""
    return values[own] if values.ndim == axes else values[own, ..., np.minimum(allele, values.shape[-1]) - 1]


def _score(path: str) -> str | None:
    """The array that holds the quality of imputation."""
    group = open_vcf_zarr(path)
    names = ("variant_info_score", *(f"variant_{key}" for key in SCORES))
    return next((name for name in names if name in group and group[name].dtype.kind == "f"), None)
