"""The first of the two passes over a VCF or BCF: which variants it has, and where in the file they lie.

Only the first nine columns of a record are looked at. A plain or bgzip file is cut into spans of bytes that tasks scan
side by side, with or without an index beside it; a gzip stream, and a BCF file, whose records do not show where they
begin, are scanned from beginning to end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from conversion.columns import contig_codes
from conversion.compressed_blocks import ends_properly, first_block, is_sequential
from conversion.info_scores import score_of_rows, scores_in
from conversion.pieces import Piece, Pieces, lines_of_span, records_of_bcf
from conversion.source import VariantTable
from conversion.table_spool import TableSpool
from conversion.vcf_header import VcfHeader
from daskgen.errors import InputError
from daskgen.inputs.files import size_of
from daskgen.inputs.text import as_text
from daskgen.kernels.text import PADDING
from daskgen.kernels.vcf_lines import split_lines
from daskgen.passes import run_map

__all__ = ["Found", "VcfScan", "found_in", "scan_vcf"]

SPAN_BYTES = {"plain": 32 << 20, "bgzip": 4 << 20}
"""Bytes of the file that a task scans."""

_PIECES = 1 << 20  # more than a span has


class Found(NamedTuple):
    """What the scan of a piece found.

    keys: of FORMAT, in all its records; n_alt: int64, ALT alleles of each record; contigs: as runs, in order;
    ordered: whether the positions of each run increase.
    """

    offset: int
    skip: int
    n_bytes: int
    table: VariantTable
    keys: frozenset[str]
    phased: bool
    n_alt: np.ndarray
    contigs: tuple[str, ...]
    ordered: bool


@dataclass(frozen=True)
class VcfScan:
    """The whole file: its pieces, its variants (put aside), and what is said in its records.

    keys: of FORMAT; phased: whether a call is; n_multiallelic, n_split: records with several ALT alleles, and their
    rows; first_multiallelic: the first of them; has_score: whether a quality of imputation was found; ordered: whether
    each contig comes once, with increasing positions.
    """

    pieces: Pieces
    tables: TableSpool
    keys: frozenset[str]
    phased: bool
    n_multiallelic: int
    n_split: int
    first_multiallelic: str
    has_score: bool
    ordered: bool

    @property
    def n_rows(self) -> int:
        return int(self.pieces.first_row[-1])


@dataclass(frozen=True)
class _Spans:
    """What the tasks of a scan need. edges: of the spans, in bytes of the file; skip: of the header."""

    path: str
    kind: str
    edges: tuple[int, ...]
    skip: int
    score: str | None


def scan_vcf(path: str, kind: str, header: VcfHeader) -> VcfScan:
    """Scan the records of the file. InputError for what is malformed, and where there are none."""
    collected = _Collected(path, kind)
    for number, found in _scanned(path, kind, header):
        collected.add(number, found)
    return collected.scan()


def _scanned(path: str, kind: str, header: VcfHeader) -> Iterator[tuple[int, Found]]:
    """(number that gives the order, what was found) of all pieces, in any order."""
    if header.is_bcf:
        from conversion.bcf import table_of_records

        for number, piece in enumerate(records_of_bcf(path, kind, header.offset, header.skip)):
            yield number, table_of_records(path, piece, header)
    elif is_sequential(kind):
        for number, piece in enumerate(lines_of_span(path, kind, 0, 1 << 62, header.skip)):
            yield number, table_of_lines(path, piece, header.score)
    else:
        size = size_of(path)
        edges = (*range(header.offset, size, SPAN_BYTES[kind]), size)
        spans = _Spans(path, kind, edges, header.skip, header.score)
        numbers = range(len(edges) - 1)
        for number, several in run_map(_scan_span, numbers, spans, label="scan", unit_bytes=SPAN_BYTES[kind]):
            for i, found in enumerate(several):
                yield number * _PIECES + i, found


def _scan_span(index: int, spans: _Spans) -> list[Found]:
    start = first_block(spans.path, spans.kind, spans.edges[index])
    stop, skip = spans.edges[index + 1], spans.skip if index == 0 else None
    if start >= stop:
        return []
    pieces = lines_of_span(spans.path, spans.kind, start, stop, skip)
    return [table_of_lines(spans.path, piece, spans.score) for piece in pieces]


class _Collected:
    """Adds up what is found in the pieces of a file."""

    def __init__(self, path: str, kind: str):
        self.path, self.kind = path, kind
        self.tables = TableSpool()
        self.keys: frozenset[str] = frozenset()
        self.phased = self.has_score = False
        self.n_multiallelic = self.n_split = 0
        self._places: dict[int, tuple[int, int, int, int]] = {}
        self._runs: dict[int, tuple[tuple[str, ...], bool, int, int]] = {}
        self._multiallelic: dict[int, str] = {}

    def add(self, number: int, found: Found) -> None:
        """Take in a piece. `number` gives its place among the others."""
        table = found.table
        if not len(table):
            return
        self.tables.add(number, table)
        self.keys |= found.keys
        self.phased |= found.phased
        self.has_score |= table.info_score is not None and not np.isnan(table.info_score).all()
        self._places[number] = (found.offset, found.skip, found.n_bytes, len(table))
        self._runs[number] = (found.contigs, found.ordered, int(table.position[0]), int(table.position[-1]))
        several = found.n_alt > 1
        if several.any():
            first = int(found.n_alt[: np.argmax(several)].sum())
            contig = table.contig_names[table.contig[first]]
            about = f"{contig}:{table.position[first]} {table.variant_id[first]}, with {found.n_alt[several][0]}"
            self._multiallelic[number] = about
            self.n_multiallelic += int(several.sum())
            self.n_split += int(found.n_alt[several].sum())

    def scan(self) -> VcfScan:
        """The whole. InputError where nothing was found, or the end of the file is not there."""
        if not self._places:
            raise InputError(f"{self.path} has a header and no variants.")
        if not ends_properly(self.path, self.kind):
            raise InputError(
                f"{self.path} is cut: the empty block at the end of every bgzip file is missing.",
                do="fetch or make the file again; if it is known to be whole, gunzip -c FILE | bgzip > NEW.vcf.gz",
            )
        order = sorted(self._places)
        places = np.array([self._places[number] for number in order], np.int64)
        offset, skip, n_bytes, n_rows = (np.ascontiguousarray(column) for column in places.T)
        first_row = np.concatenate([np.zeros(1, np.int64), np.cumsum(n_rows)])
        return VcfScan(
            Pieces(self.path, self.kind, offset, skip, n_bytes, first_row),
            self.tables,
            self.keys,
            self.phased,
            self.n_multiallelic,
            self.n_split,
            self._multiallelic[min(self._multiallelic)] if self._multiallelic else "",
            self.has_score,
            self._ordered([self._runs[number] for number in order]),
        )

    @staticmethod
    def _ordered(runs: list[tuple[tuple[str, ...], bool, int, int]]) -> bool:
        seen: set[str] = set()
        current, last = "", -1
        for contigs, ordered, first_position, last_position in runs:
            continues = contigs[0] == current
            new = contigs[1:] if continues else contigs
            if not ordered or (continues and first_position < last) or not seen.isdisjoint(new):
                return False
            if len(set(new)) < len(new):
                return False
            seen.update(new)
            current, last = contigs[-1], last_position
        return True


# -- records of text -----------------------------------------------------------------------------------------------
def table_of_lines(path: str, piece: Piece, score: str | None) -> Found:
    """The variants of a piece of VCF text. InputError that names the record that is malformed."""
    text = piece.data
    padded = np.zeros(len(text) + PADDING, np.uint8)
    padded[: len(text)] = np.frombuffer(text, np.uint8)
    columns = split_lines(padded, len(text), text.count(b"\n") + 1)
    if len(short := np.flatnonzero(columns[:, 9] < 0)):
        start, end = columns[short[0], [0, 10]].tolist()
        raise InputError(
            f"{path}: a record has fewer than 10 columns, or the file is cut within it.",
            found=text[start:end][:80].decode("utf-8", "replace") + ("..." if end - start > 80 else ""),
            expected="CHROM POS ID REF ALT QUAL FILTER INFO FORMAT and the samples, separated by tabs",
        )
    contig, position, names, ref, alt = (_column(path, text, columns, number) for number in range(5))
    scores = None if score is None else scores_in(_info(text, columns), score)
    formats = {text[a:b] for a, b in zip(columns[:, 8].tolist(), (columns[:, 9] - 1).tolist(), strict=True)}
    keys = frozenset(key for one in formats for key in one.decode("utf-8", "replace").split(":"))
    # The bar stands between alleles that are phased; INFO may hold it too.
    phased = any(text.find(b"|", a, b) >= 0 for a, b in columns[:, 9:11].tolist())
    return found_in(path, piece, (contig, position, names, ref, alt), scores, keys, phased)


def _column(path: str, text: bytes, columns: np.ndarray, number: int) -> list[str]:
    edges = zip(columns[:, number].tolist(), (columns[:, number + 1] - 1).tolist(), strict=True)
    joined = b"\n".join([text[a:b] for a, b in edges])
    try:
        return joined.decode().split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} has a record that is not UTF-8 text.", found=str(error)) from None


def _info(text: bytes, columns: np.ndarray) -> list[str]:
    edges = zip(columns[:, 7].tolist(), (columns[:, 8] - 1).tolist(), strict=True)
    return [text[a:b].decode("utf-8", "replace") for a, b in edges]


# -- what all records have -----------------------------------------------------------------------------------------
def found_in(
    path: str,
    piece: Piece,
    columns: tuple[list[str], list[str], list[str], list[str], list[str]],
    scores: list[str] | None,
    keys: frozenset[str],
    phased: bool,
) -> Found:
    """What was found, from the columns CHROM POS ID REF ALT of the records; ALT alleles are separated by commas."""
    contig, _, names, ref, alt = columns
    n_alt = np.fromiter((text.count(",") + 1 for text in alt), np.int64, len(alt))
    row = np.repeat(np.arange(len(alt)), n_alt)
    contigs, codes = contig_codes(contig)
    positions = _positions(path, columns)
    allele = np.empty((len(row), 2), np.dtypes.StringDType())
    allele[:, 0] = as_text(ref)[row]
    allele[:, 1] = as_text(",".join(alt).split(",")) if alt else []
    change = np.flatnonzero(np.diff(codes)) + 1
    runs = tuple(contigs[code] for code in codes[np.concatenate([np.zeros(1, np.int64), change])]) if len(codes) else ()
    decreasing = np.flatnonzero(np.diff(positions) < 0) + 1
    return Found(
        piece.offset,
        piece.skip,
        len(piece.data),
        VariantTable(
            codes[row],
            contigs,
            positions[row],
            np.zeros(len(row)),
            as_text(names)[row],
            allele,
            None if scores is None else score_of_rows(scores, n_alt),
        ),
        keys,
        phased,
        n_alt,
        runs,
        bool(np.isin(decreasing, change).all()),
    )


def _positions(path: str, columns: tuple[list[str], ...]) -> np.ndarray:
    contig, position, names, *_ = columns
    try:
        values = np.fromiter(map(int, position), np.int64, len(position))
    except (ValueError, OverflowError):
        values = np.array([int(text) if text.isdecimal() and len(text) < 10 else -1 for text in position])
    wrong = np.flatnonzero((values < 0) | (values > np.iinfo(np.int32).max))
    if len(wrong):
        at = int(wrong[0])
        raise InputError(
            f"{path}: POS of a record is no position.",
            found=f"{contig[at]} {position[at]} {names[at]}"[:80],
            expected=f"a whole number from 0 to {np.iinfo(np.int32).max:,}",
        )
    return values.astype(np.int32)
