"""VCF and BCF files, plain, bgzip or gzip, with or without an index.

Two passes: the first finds the variants and where their records lie (`vcf_scan`), the second reads the calls. An
index is neither needed nor read: a bgzip file is cut at its own blocks. Every ALT allele is a row of its own that
counts it, as in a .pgen; the other ALT alleles of the record count as REF does. Phase is not kept.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from conversion.compressed_blocks import is_sequential, kind_of
from conversion.formats import OpenOptions
from conversion.half_calls import half_calls_met
from conversion.pieces import Pieces
from conversion.record_source import RecordSource
from conversion.sample_descriptions import described
from conversion.source import CallBlock, SampleTable, VariantTable
from conversion.table_spool import TableSpool
from conversion.vcf_header import VcfHeader, read_header
from conversion.vcf_scan import VcfScan, scan_vcf
from daskgen.errors import InputError, examples
from daskgen.inputs.files import file_id
from daskgen.inputs.text import as_text
from daskgen.kernels.dosages import HARD_CALL_THRESHOLD
from daskgen.kernels.genotype_codes import packed_width
from daskgen.kernels.text import PADDING
from daskgen.kernels.vcf_calls import PROBLEMS, CallProblem, read_calls
from daskgen.kernels.vcf_lines import END, count_rows, split_lines

__all__ = ["VcfSource", "open_vcf"]

_GENOTYPES = ("GT", "DS", "GP")
_last = threading.local()
_NOT_AT_RANDOM = (
    "convert it, which reads it from beginning to end: daskgen convert genotypes; or pack it in blocks that can be "
    "read on their own: gunzip -c FILE | bgzip > NEW.vcf.gz"
)


@dataclass(frozen=True, eq=False)
class VcfSource(RecordSource):
    """A VCF or BCF file. Counts ALT. `sample_file`: a .fam or .psam with the sexes of the samples."""

    path: str
    kind: str
    is_bcf: bool
    n_samples: int
    sample_file: str | None
    pieces: Pieces = field(repr=False)
    tables: TableSpool = field(repr=False)
    has_dosage: bool
    has_multiallelic: bool
    has_info_score: bool
    hard_call_threshold: float = HARD_CALL_THRESHOLD
    refuse_half_calls: bool = False
    remarks: tuple[str, ...] = ()

    format = "vcf"
    passes = 2

    @classmethod
    def of(cls, path: str, options: OpenOptions) -> VcfSource:
        """Scan the file. Raises InputError where it is no VCF, is cut, holds no genotypes, or (with
        `options.split_multiallelic` False) has a record with several ALT alleles.
        """
        kind = kind_of(path)
        if is_sequential(kind) and not options.in_order:
            raise InputError(
                f"{path} is compressed with plain gzip, so it can only be read from its beginning.", do=_NOT_AT_RANDOM
            )
        header = read_header(path, kind)
        _check_header(path, header)
        scan = scan_vcf(path, kind, header)
        _check_scan(path, scan, options)
        source = cls(
            path,
            kind,
            header.is_bcf,
            len(header.samples),
            options.sample_file,
            scan.pieces,
            scan.tables,
            bool({"DS", "GP"} & scan.keys),
            scan.n_multiallelic > 0,
            scan.has_score,
            options.hard_call_threshold,
            options.half_calls == "refuse",
            tuple(_remarks(path, kind, header, scan, options.hard_call_threshold)),
        )
        source.samples()
        return source

    @property
    def n_variants(self) -> int:  # type: ignore[override]
        return int(self.pieces.first_row[-1])

    @property
    def sequential(self) -> bool:  # type: ignore[override]
        return is_sequential(self.kind)

    @property
    def reader_id(self) -> str:
        return " ".join([*map(file_id, self.files), str(self.hard_call_threshold)])

    @property
    def file_row_bytes(self) -> int:
        return max(packed_width(self.n_samples), self.pieces.row_bytes)

    @property
    def nbytes(self) -> int:
        return self.pieces.nbytes

    @property
    def notes(self) -> Sequence[str]:
        return self.remarks

    def samples(self) -> SampleTable:
        ids = as_text(self._header().samples)
        n = len(ids)
        unknown = np.full(n, "0", np.dtypes.StringDType())
        own = SampleTable(ids, unknown, unknown, unknown, np.zeros(n, np.int8), np.full(n, np.nan))
        return own if self.sample_file is None else described(self.path, own, self.sample_file)

    def variant_tables(self) -> Iterator[VariantTable]:
        for table in self.tables:
            yield table if self.has_info_score else replace(table, info_score=None)

    # -- genotypes ---------------------------------------------------------------------------------------------
    def stream(self, ranges: Iterable[tuple[int, int]]) -> Iterator[CallBlock]:
        wanted = list(ranges)
        first_row = self.pieces.first_row
        used = np.zeros(len(self.pieces) + 1, np.int64)
        for start, stop in wanted:
            if start < stop:
                used[np.searchsorted(first_row, start, "right") - 1] += 1
                used[np.searchsorted(first_row, stop, "left")] -= 1
        numbers = np.flatnonzero(np.cumsum(used[:-1]) > 0)
        pieces = zip(numbers.tolist(), self.pieces.stream(numbers.tolist()), strict=True)
        number, data = -1, np.empty(0, np.uint8)
        for start, stop in wanted:
            block, place = self._empty(stop - start, None, True), start
            while place < stop:
                while first_row[number + 1] <= place:
                    number, data = next(pieces)
                end = min(stop, int(first_row[number + 1]))
                self._decode(number, data, np.arange(place, end), block, place - start)
                place = end
            yield block

    def _read(self, rows: np.ndarray, out: np.ndarray | None, with_dosage: bool = True) -> CallBlock:
        block = self._empty(len(rows), out, with_dosage)
        edges = np.searchsorted(rows, self.pieces.first_row)
        for number in np.flatnonzero(np.diff(edges)).tolist():
            place, end = int(edges[number]), int(edges[number + 1])
            self._decode(number, self._piece(number), rows[place:end], block, place)
        return block

    def _header(self) -> VcfHeader:
        """The header, which is kept once per process: it holds all sample ids."""
        return _cached_header(self.path, self.kind, file_id(self.path))

    def _piece(self, number: int) -> np.ndarray:
        """The bytes of a piece. The last one is kept: where few rows are read at a time it is wanted again."""
        key = (self.reader_id, number)
        if getattr(_last, "key", None) != key:
            _last.key, _last.data = None, None
            _last.data = self.pieces.read(number)
            _last.key = key
        data: np.ndarray = _last.data
        return data

    def _decode(self, number: int, data: np.ndarray, rows: np.ndarray, block: CallBlock, place: int) -> None:
        """Fill `block` from `place` on with these rows, all of the piece `number`."""
        first, end = self.pieces.first_row[number : number + 2].tolist()
        target = np.full(end - first, -1, np.int64)
        target[rows - first] = np.arange(place, place + len(rows))
        if self.is_bcf:
            from conversion.bcf import read_records

            records = data[: len(data) - PADDING]
            options = (self.hard_call_threshold, self.refuse_half_calls)
            read_records(self.path, self._header(), records, target, block, *options)
            return
        n_bytes = len(data) - PADDING
        columns = split_lines(data, n_bytes, end - first)
        if count_rows(data, columns).sum() != end - first:
            raise InputError(f"{self.path} was changed while it was read.")
        problem, n_half = read_calls(
            data,
            columns,
            self.n_samples,
            target,
            block.packed,
            block.dosage,
            self.hard_call_threshold,
            refuse_half_calls=self.refuse_half_calls,
        )
        if problem is not None:
            raise self._wrong(data, columns, problem)
        half_calls_met(n_half)

    def _wrong(self, data: np.ndarray, columns: np.ndarray, problem: CallProblem) -> InputError:
        def text(start: int, end: int) -> str:
            return bytes(data[start:end]).decode("utf-8", "replace")

        line = columns[problem.line]
        contig, position, name = (text(line[i], line[i + 1] - 1) for i in range(3))
        found = text(problem.position, min(line[END], problem.position + 60)).split("\t")[0]
        samples = self._header().samples
        who = f"sample {samples[problem.sample]}: {found}" if problem.sample < len(samples) else ""
        return InputError(
            f"{self.path}, record {contig}:{position} {name}: {PROBLEMS[problem.problem]}.",
            found=who or f"text beyond the {len(samples):,} samples of the header: {found}",
            do=f"check how the file was made; bcftools view -t ^{contig}:{position} leaves the record out",
        )


def open_vcf(path: str, options: OpenOptions) -> VcfSource:
    """The source of a VCF or BCF file."""
    return VcfSource.of(path, options)


@functools.lru_cache(maxsize=2)
def _cached_header(path: str, kind: str, file: str) -> VcfHeader:
    return read_header(path, kind)


def _check_header(path: str, header: VcfHeader) -> None:
    if not header.samples:
        raise InputError(
            f"{path} lists variants without genotypes: the header names no samples.",
            expected="FORMAT and one column per sample after INFO",
        )


def _check_scan(path: str, scan: VcfScan, options: OpenOptions) -> None:
    if not scan.keys.intersection(_GENOTYPES):
        summary = {"ES", "SE", "LP"} <= scan.keys
        raise InputError(
            f"{path} holds summary statistics (GWAS-VCF), not genotypes."
            if summary
            else f"{path} holds no genotypes that can be stored.",
            found=f"FORMAT {examples(sorted(scan.keys))}",
            expected=f"FORMAT with {', '.join(_GENOTYPES[:-1])} or {_GENOTYPES[-1]}",
            do="daskgen convert munge or sumstats reads summary statistics" if summary else "",
        )
    if scan.n_multiallelic and not options.split_multiallelic:
        raise InputError(
            f"{path}: {scan.n_multiallelic:,} records have several ALT alleles.",
            found=f"the first is {scan.first_multiallelic}",
            do="split_multiallelic=True makes a row of each ALT allele; bcftools view --max-alleles 2 leaves them out",
        )


def _remarks(path: str, kind: str, header: VcfHeader, scan: VcfScan, threshold: float) -> Iterator[str]:
    if is_sequential(kind):
        yield f"{path} is plain gzip: it is read from beginning to end by one thread; a resumed run reads it again"
    if scan.phased:
        yield f"{path} holds phased calls; phase is not kept"
    if "GT" not in scan.keys:
        yield f"{path} has no GT: calls are dosages within {threshold:g} of a whole number"
    if "DS" not in scan.keys and "GP" in scan.keys:
        yield f"{path} has no DS: dosages are computed from the probabilities GP"
    if scan.n_multiallelic:
        yield f"{scan.n_multiallelic:,} records with several ALT alleles were split into {scan.n_split:,} rows"
    if scan.has_score:
        yield f"variant_info_score is INFO/{header.score}"
    if not scan.ordered:
        yield f"{path} is not sorted by contig and position; variants stay in its order"
