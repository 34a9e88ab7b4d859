"""PLINK 1 binary files: .bed (genotypes), .bim (variants), .fam (samples).

A .bed file is three bytes (6c 1b, and 01 for variant-major) and one row of ``ceil(n / 4)`` bytes per variant, four
samples a byte, low bits first: 00 two copies of A1, 01 missing, 10 one copy, 11 none. A1 is column 5 of the .bim.
Source: https://www.cog-genomics.org/plink/1.9/formats#bed
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from conversion.columns import contig_codes, genetic_positions, parse_phenotype, parse_sex, positions
from conversion.formats import OpenOptions
from conversion.source import GenotypeSource, SampleTable, See, VariantTable
from daskgen.errors import InputError
from daskgen.inputs.files import companion, count_lines, file_id, open_binary, read_bytes_into, size_of
from daskgen.inputs.text import as_text, blocks_of_text, columns_of, open_text
from daskgen.kernels.genotype_codes import bed_to_packed, packed_width

__all__ = ["BedSource", "open_bed", "read_fam"]

_MAGIC, _VARIANT_MAJOR, _SAMPLE_MAJOR = b"\x6c\x1b", b"\x01", b"\x00"
HEADER_BYTES = 3
_BLOCK_BYTES = 512_000
FAM_COLUMNS = "family id, individual id, father, mother, sex, phenotype"
BIM_COLUMNS = "chromosome, id, centimorgan, position, allele 1, allele 2"


@dataclass(frozen=True)
class BedSource(GenotypeSource):
    """A .bed file with its .bim and .fam. Counts A1."""

    path: str
    bim: str
    fam: str
    n_samples: int
    n_variants: int

    format = "plink1"
    counted_allele = "A1"
    reference_is_first = False
    has_dosage = False

    @classmethod
    def of(cls, path: str, sample_file: str | None = None) -> BedSource:
        """The source whose .bed (or whose prefix) is `path`.

        Raises InputError where a file is missing, the .bed does not begin as one, or its size does not fit the
        numbers of samples and variants in the other two.
        """
        stem = path.removesuffix(".bed")
        bed = stem + ".bed"
        check_header(bed)
        fam = sample_file or companion(bed, stem, (".fam",))
        bim = companion(bed, stem, (".bim",))
        n_samples, n_variants = count_lines(fam), count_lines(bim)
        for name, count, what in ((fam, n_samples, "samples"), (bim, n_variants, "variants")):
            if not count:
                raise InputError(f"{name} is empty: it names no {what}.")
        check_size(bed, bim, fam, n_samples, n_variants)
        return cls(bed, bim, fam, n_samples, n_variants)

    @property
    def files(self) -> tuple[str, ...]:
        return (self.path, self.bim, self.fam)

    @property
    def reader_id(self) -> str:
        return " ".join(map(file_id, self.files))

    def samples(self) -> SampleTable:
        return read_fam(self.fam)

    def variant_tables(self) -> Iterator[VariantTable]:
        with open_text(self.bim) as file:
            for first, text in blocks_of_text(self.bim, file):
                yield _bim_table(self.bim, first, text)

    @property
    def rows_in_cache(self) -> int:
        return max(1, _BLOCK_BYTES // packed_width(self.n_samples))

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        out = np.empty((stop - start, packed_width(self.n_samples)), np.uint8) if out is None else out
        self.read_and_show(start, stop, out, lambda path, offset, data: None)
        return out

    def read_and_show(self, start: int, stop: int, out: np.ndarray, see: See) -> None:
        step, offset = self.rows_in_cache, HEADER_BYTES + start * packed_width(self.n_samples)
        with open_binary(self.path) as file:
            file.seek(offset)
            for place in range(0, stop - start, step):
                rows = out[place : place + step]
                read_bytes_into(self.path, file, rows)
                see(self.path, offset, memoryview(rows.reshape(-1)))
                offset += rows.nbytes
                bed_to_packed(rows, self.n_samples, out=rows)

    def read_rows(self, rows: np.ndarray) -> np.ndarray:
        width, step = packed_width(self.n_samples), self.rows_in_cache
        out = np.empty((len(rows), width), np.uint8)
        # What lies between two wanted rows is read with them.
        buffer = np.empty((step, width), np.uint8)
        with open_binary(self.path) as file:
            place = 0
            while place < len(rows):
                first = int(rows[place])
                end = int(np.searchsorted(rows, first + step))
                bed = buffer[: int(rows[end - 1]) + 1 - first]
                file.seek(HEADER_BYTES + first * width)
                read_bytes_into(self.path, file, bed)
                if len(bed) > end - place:
                    bed = bed[rows[place:end] - first]
                bed_to_packed(bed, self.n_samples, out=out[place:end])
                place = end
        return out


def open_bed(path: str, options: OpenOptions) -> BedSource:
    """The source of the .bed (or prefix) `path`."""
    return BedSource.of(path, options.sample_file)


def check_header(path: str) -> None:
    """InputError unless the file begins like a variant-major .bed file."""
    with open_binary(path) as file:
        header = file.read(HEADER_BYTES)
    if header == _MAGIC + _VARIANT_MAJOR:
        return
    if header == _MAGIC + _SAMPLE_MAJOR:
        raise InputError(
            f"{path} is sample-major, an old form of .bed that cannot be read by variants.",
            found="third byte 00",
            expected="01, variant-major",
            do=f"plink2 --bfile {path.removesuffix('.bed')} --make-bed --out NEW rewrites it",
        )
    raise InputError(
        f"{path} is empty." if not header else f"{path} is not a PLINK .bed file.",
        found=f"it begins with {header.hex(' ') or 'nothing'}",
        expected="6c 1b 01",
    )


def check_size(bed: str, bim: str, fam: str, n_samples: int, n_variants: int) -> None:
    """InputError unless the .bed has as many bytes as its samples and variants need; says what would fit."""
    size, width = size_of(bed), packed_width(n_samples)
    expected = HEADER_BYTES + n_variants * width
    if size == expected:
        return
    body, fits = size - HEADER_BYTES, []
    if body > 0 and body % n_variants == 0:
        q = body // n_variants
        fits.append(f"{4 * q - 3:,} to {4 * q:,} samples would fit the {n_variants:,} variants of {bim}")
    if body > 0 and body % width == 0:
        fits.append(f"{body // width:,} variants would fit the {n_samples:,} samples of {fam}")
    if not fits and size < expected:
        fits.append(f"the file was cut within variant {body // width + 1:,} of {n_variants:,}")
    raise InputError(
        f"{bed} has another size than its .bim and .fam say.",
        found=f"{size:,} bytes",
        expected=f"{expected:,} bytes for {n_samples:,} samples x {n_variants:,} variants",
        do="; ".join([*fits, "check that the three files belong together and are complete"]),
    )


def read_fam(path: str) -> SampleTable:
    """The samples of a .fam file. InputError with the line that does not have six columns."""
    with open_text(path) as file:
        parts = [columns_of(path, first, text, 6, names=FAM_COLUMNS) for first, text in blocks_of_text(path, file)]
    if not parts:
        raise InputError(f"{path} is empty: it names no samples.")
    family, individual, father, mother, sex, phenotype = (list(chain(*column)) for column in zip(*parts, strict=True))
    return SampleTable(
        as_text(individual),
        as_text(family),
        as_text(father),
        as_text(mother),
        parse_sex(sex),
        parse_phenotype(phenotype),
    )


def _bim_table(path: str, first: int, text: str) -> VariantTable:
    contig, variant_id, genetic, position, allele_1, allele_2 = columns_of(path, first, text, 6, names=BIM_COLUMNS)
    names, codes = contig_codes(contig)
    allele = np.empty((len(contig), 2), np.dtypes.StringDType())
    allele[:, 0], allele[:, 1] = as_text(allele_2), as_text(allele_1)
    return VariantTable(
        codes,
        names,
        positions(path, first, position),
        genetic_positions(path, first, genetic),
        as_text(variant_id),
        allele,
    )
