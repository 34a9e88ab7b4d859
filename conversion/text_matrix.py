"""Text matrices of genotypes, as JWAS and BGLR read them: a line per sample, its id and then a code per marker.

Codes are 0, 1, 2 copies of the counted allele, or missing (9, -9, NA, NaN, ".", nothing). Commas, semicolons, tabs or
blanks stand between them; a line of marker names may come first, with or without a name for the column of ids (R leaves
it out). Places and alleles of the markers come from a map file, if there is one.

The lines are samples and a store is laid out by variants, so the file is read once, some samples at a time, and turned
on its side in a temporary file of two bits a genotype (`SampleTiles`); the variants are then read from that.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from conversion.bgen_tables import UNKNOWN_CONTIG
from conversion.columns import contig_codes
from conversion.formats import OpenOptions
from conversion.marker_map import read_marker_map
from conversion.oxford_samples import samples_of_ids
from conversion.sample_tiles import SampleTiles
from conversion.source import CallBlock, GenotypeSource, SampleTable, VariantTable
from conversion.text_lines import lines_of
from daskgen.errors import InputError
from daskgen.inputs.files import file_id
from daskgen.inputs.text import as_text

__all__ = ["CODES", "TextMatrixSource", "open_text_matrix"]

MISSING_CODE = 3
CODES = {
    **{word: code for code in (0, 1, 2) for word in (str(code), f"{code}.0", f"{code}.")},
    **dict.fromkeys(("9", "9.0", "-9", "NA", "na", "NaN", "nan", "N/A", ".", "", "-"), MISSING_CODE),
}
"""Words of a text matrix -> copies of the counted allele, or 3 for missing."""

_OTHER, _COUNTED = "A", "B"  # where no map tells the alleles
_TILE_BYTES = 16_000_000
_SEPARATORS = (",", ";", "\t")


@dataclass(frozen=True, eq=False)
class TextMatrixSource(GenotypeSource):
    """A text matrix, with its codes in a temporary file. Counts what the file counts."""

    path: str
    variant_file: str | None
    tiles: SampleTiles = field(repr=False)
    ids: tuple[str, ...] = field(repr=False)
    variants: VariantTable = field(repr=False)

    format = "text"
    counted_allele = "allele 2"
    has_dosage = False
    sequential = True

    @classmethod
    def of(cls, path: str, options: OpenOptions) -> TextMatrixSource:
        """Read the file. InputError, with line and column, for what is no code or a line of another length."""
        if not options.in_order:
            raise InputError(
                f"{path} is a text matrix, of which single variants cannot be read.",
                do="convert it: daskgen convert genotypes; or pass the numbers as an array where a function takes one",
            )
        ids: list[str] = []
        layout = _MatrixLayout.of(path)
        n_markers = len(layout.markers)
        tiles = SampleTiles(n_markers)
        step = max(4, _TILE_BYTES // n_markers // 4 * 4)  # whole bytes of packed samples
        block: list[np.ndarray] = []
        for number, line in lines_of(path, skip=layout.n_header_lines):
            sample, codes = layout.parsed(path, number, line)
            ids.append(sample)
            block.append(codes)
            if len(block) == step:
                tiles.add(np.array(block))
                block = []
        if block:
            tiles.add(np.array(block))
        if not ids:
            raise InputError(f"{path} has a line of names and no samples.")
        contig = UNKNOWN_CONTIG if options.default_contig is None else options.default_contig
        table = _variants(path, layout.markers, options.variant_file, contig)
        return cls(path, options.variant_file, tiles, tuple(ids), table)

    @property
    def n_samples(self) -> int:  # type: ignore[override]
        return len(self.ids)

    @property
    def n_variants(self) -> int:  # type: ignore[override]
        return len(self.variants)

    @property
    def files(self) -> tuple[str, ...]:
        return (self.path,) if self.variant_file is None else (self.path, self.variant_file)

    @property
    def reader_id(self) -> str:
        return " ".join(map(file_id, self.files))

    @property
    def notes(self) -> Sequence[str]:
        if self.variant_file is not None:
            return ()
        return (
            f"{self.path} does not say where its markers are: positions are 0 (--variant-file names a map)",
            f"{self.path} does not say what it counts: the counted allele is called {_COUNTED}, the other {_OTHER}",
        )

    def samples(self) -> SampleTable:
        return samples_of_ids(self.ids)

    def variant_tables(self) -> Iterator[VariantTable]:
        yield self.variants

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        packed = self.tiles.read(start, stop)
        if out is None:
            return packed
        out[...] = packed
        return out

    def stream(self, ranges: Iterable[tuple[int, int]]) -> Iterator[CallBlock]:
        for start, stop in ranges:
            yield CallBlock(self.tiles.read(start, stop), None)


@dataclass(frozen=True)
class _MatrixLayout:
    """Names of the markers, what stands between words (None: blanks), and whether a line of names comes first."""

    markers: tuple[str, ...]
    separator: str | None
    n_header_lines: int

    @classmethod
    def of(cls, path: str) -> _MatrixLayout:
        """What the first two lines say. InputError where these are no text matrix."""
        lines = [line for _, line in zip(range(2), (line for _, line in lines_of(path)), strict=False)]
        if not lines:
            raise InputError(f"{path} is empty.")
        separator = next((s for s in _SEPARATORS if s in lines[0]), None)
        first, *rest = (_words(line, separator) for line in lines)
        if len(first) > 1 and all(word in CODES for word in first[1:]):
            return cls(tuple(f"M{i}" for i in range(1, len(first))), separator, 0)
        second = rest[0] if rest else []
        if len(second) == len(first) + 1:  # R's write.table gives the column of row names no name
            first = ["", *first]
        if len(first) < 2 or len(second) != len(first) or not all(word in CODES for word in second[1:]):
            strange = [word for word in second[1:] if word not in CODES]
            raise InputError(
                f"{path} is not a text matrix of genotypes.",
                found=f"{len(first)} words in the first line, {len(second)} in the second"
                + (f", such as {strange[0][:20]!r}" if strange else ""),
                expected="a line per sample: its id, then 0, 1, 2, or 9 or NA for each marker",
                do=_advice(strange),
            )
        return cls(tuple(first[1:]), separator, 1)

    def parsed(self, path: str, number: int, line: str) -> tuple[str, np.ndarray]:
        """(id, codes uint8) of one line."""
        n = len(self.markers)
        separator = self.separator or " "
        sample, _, rest = line.partition(separator)
        # Single digits with one separator between them need no list of words.
        if sample and len(rest) == 2 * n - 1 and rest.isascii() and '"' not in sample:
            characters = np.frombuffer(rest.encode(), np.uint8)
            codes = characters[::2] - np.uint8(ord("0"))
            codes[codes == 9] = MISSING_CODE
            if (codes <= MISSING_CODE).all() and "3" not in rest and (characters[1::2] == ord(separator)).all():
                return sample.strip(), codes
        sample, *words = _words(line, self.separator)
        if len(words) != n:
            raise InputError(
                f"{path}, line {number:,}: wrong number of columns.",
                found=f"{len(words):,} codes after {sample[:40]!r}",
                expected=f"{n:,}",
            )
        try:
            return sample, np.fromiter(map(CODES.__getitem__, words), np.uint8, n)
        except KeyError:
            at = next(i for i, word in enumerate(words) if word not in CODES)
            raise InputError(
                f"{path}, line {number:,}: {self.markers[at]} has no genotype code.",
                found=repr(words[at][:20]),
                expected="0, 1, 2, or 9 or NA for missing",
                do=_advice(words),
            ) from None


def _advice(words: Sequence[str]) -> str:
    if "-1" in words or "-1.0" in words:
        return "codes of -1, 0, 1 are copies minus one: add 1 to all of them"
    if any(re.fullmatch(r"[012]?\.\d+", word) for word in words):
        return "expected numbers of alleles (dosages) are not read from text: bring them as BGEN, PGEN or VCF with DS"
    return ""


def _words(line: str, separator: str | None) -> list[str]:
    if '"' in line:
        if separator is None:
            return [word.strip('"') for word in line.split()]
        return [word.strip() for word in next(csv.reader([line], delimiter=separator))]
    return [word.strip() for word in line.split(separator)] if separator else line.split()


def _variants(path: str, markers: tuple[str, ...], variant_file: str | None, default_contig: str) -> VariantTable:
    n = len(markers)
    if variant_file is not None:
        return read_marker_map(variant_file, path, markers, (_OTHER, _COUNTED))
    names, codes = contig_codes([default_contig] * n)
    allele = np.empty((n, 2), np.dtypes.StringDType())
    allele[:, 0], allele[:, 1] = _OTHER, _COUNTED
    return VariantTable(codes, names, np.zeros(n, np.int32), np.zeros(n), as_text(list(markers)), allele)


def open_text_matrix(path: str, options: OpenOptions) -> TextMatrixSource:
    """The source of the text matrix `path`."""
    return TextMatrixSource.of(path, options)
