"""BGEN files, versions 1.1 to 1.3 (layouts 1 and 2): imputed genotypes as compressed probabilities.

Every allele after the first is a row of its own that counts it. Its dosage is the expected number of copies; a hard
call is the whole number that is near enough. Blocks are unpacked by isal or zlib and zstandard, and decoded by
`daskgen.kernels.bgen_probabilities`; where variants lie is known from the .bgi index, or from one scan of the file.
Phase is not kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from conversion.bgen_index import find_index, index_places, indexed_variants
from conversion.bgen_records import BgenHeader, BgenRecord, parse_record, read_bgen_header, read_sample_ids, records
from conversion.bgen_tables import NO_ID, UNKNOWN_CONTIG, Names, names_of, tables_of
from conversion.bgen_unpack import Unpack, bgen_unpacker, unpacking_errors
from conversion.formats import OpenOptions
from conversion.oxford_samples import find_sample_file, oxford_samples
from conversion.source import CallBlock, GenotypeSource, SampleTable, VariantTable, runs_of
from conversion.split_variants import SplitVariants
from conversion.table_spool import TableSpool
from daskgen.errors import InputError
from daskgen.inputs.files import file_id, open_binary, read_bytes_into
from daskgen.kernels import bgen_probabilities as blocks
from daskgen.kernels.genotype_codes import call_dosages, packed_width

__all__ = ["BgenSource", "open_bgen"]

_BLOCK_BYTES = 4_000_000  # of dosages that are decoded for their calls only
_UNPACKED_BYTES = 200_000  # at a time, so that they stay in the processor's cache; a variant may be larger


@dataclass(frozen=True, eq=False)
class BgenSource(GenotypeSource):
    """A .bgen file. Counts the second allele.

    `starts`: int64, first byte of each variant and the end of the last; `split`: rows of variants with several
    alleles; `tables`: the variants, as the scan found them, where there is no index; `hard_call_threshold`: how far
    from a whole number a dosage may be and still be a call.
    """

    path: str
    header: BgenHeader
    index: str | None
    sample_file: str | None
    sample_file_is_named: bool
    default_contig: str
    hard_call_threshold: float
    starts: np.ndarray = field(repr=False)
    split: SplitVariants = field(repr=False)
    tables: TableSpool | None = field(repr=False)

    format = "bgen"
    counted_allele = "allele 2"
    has_dosage = True
    measures_info = True

    @classmethod
    def of(
        cls,
        path: str,
        sample_file: str | None = None,
        *,
        split_multiallelic: bool = True,
        hard_call_threshold: float = 0.1,
        default_contig: str | None = None,
    ) -> BgenSource:
        """The source at `path`.

        Raises InputError where the file is cut or damaged, its index is of another file, or a variant has several
        alternate alleles and `split_multiallelic` is False; MissingPackageError without what unpacks it.
        """
        header = read_bgen_header(path)
        bgen_unpacker(header.compression)
        index = find_index(path)
        contig = UNKNOWN_CONTIG if default_contig is None else default_contig
        if index is None:
            starts, n_alleles, tables = _scan(path, header, contig)
        else:
            (starts, n_alleles), tables = index_places(index, path, header), None
        few = np.flatnonzero(n_alleles < 2)
        if len(few):
            raise InputError(
                f"{path}: {len(few):,} variants have one allele only.",
                found=f"the first is variant {int(few[0]) + 1:,}",
            )
        several = np.flatnonzero(n_alleles > 2)
        if len(several) and not split_multiallelic:
            raise InputError(
                f"{path}: {len(several):,} variants have more than two alleles.",
                found=f"the first is variant {int(several[0]) + 1:,}, with {int(n_alleles[several[0]])}",
                do="split_multiallelic=True makes a row of each allele after the first",
            )
        split = SplitVariants(header.n_variants, several, n_alleles[several] - 1)
        samples = sample_file or find_sample_file(path, ".bgen")
        named = sample_file is not None
        return cls(path, header, index, samples, named, contig, hard_call_threshold, starts, split, tables)

    @property
    def n_samples(self) -> int:  # type: ignore[override]
        return self.header.n_samples

    @property
    def n_variants(self) -> int:  # type: ignore[override]
        return self.split.n_rows

    @property
    def has_multiallelic(self) -> bool:  # type: ignore[override]
        return len(self.split.index) > 0

    @property
    def files(self) -> tuple[str, ...]:
        return (self.path, *(name for name in (self.sample_file, self.index) if name is not None))

    @property
    def reader_id(self) -> str:
        return " ".join([*map(file_id, self.files), str(self.hard_call_threshold)])

    @property
    def nbytes(self) -> int:
        return self.starts.nbytes + self.split.index.nbytes + self.split.n_alt.nbytes

    @property
    def file_row_bytes(self) -> int:
        mean = int(self.starts[-1] - self.starts[0]) // self.header.n_variants
        return max(packed_width(self.n_samples), mean)

    @property
    def notes(self) -> Sequence[str]:
        notes = [f"{self.path}: phase is not kept; calls are dosages within {self.hard_call_threshold:g} of 0, 1 or 2"]
        if self.header.ids is None and self.sample_file is None:
            notes.append(f"{self.path} names no samples and has no .sample beside it: they are numbered from 0")
        if n := len(self.split.index):
            rows = int(self.split.n_alt.sum())
            notes.append(f"{n:,} variants with more than two alleles were split into {rows:,} rows")
        return notes

    def samples(self) -> SampleTable:
        ids = read_sample_ids(self.path, self.header)
        return oxford_samples(self.path, self.n_samples, ids, self.sample_file, self.sample_file_is_named)

    def variant_tables(self) -> Iterator[VariantTable]:
        if self.tables is not None:
            return iter(self.tables)
        assert self.index is not None
        return tables_of(self.path, self._names_of_index(self.index), self.default_contig)

    def _names_of_index(self, index: str) -> Iterator[Names]:
        with open_binary(self.path) as file:
            for number, row in enumerate(indexed_variants(index)):
                if row.n_alleles == 2 and row.rsid not in NO_ID:
                    yield Names(row.rsid, row.contig, row.position, (row.allele_1, row.allele_2))
                    continue
                # The index has neither further alleles nor the other id.
                file.seek(row.start)
                record = self._parsed(file.read(int(self.starts[number + 1]) - row.start), 0, number)
                yield names_of(self.path, number, record)

    # -- probabilities -----------------------------------------------------------------------------------------
    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        return self._calls(np.arange(start, stop), out)

    def read_rows(self, rows: np.ndarray) -> np.ndarray:
        return self._calls(rows, None)

    def _calls(self, rows: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        packed = np.empty((len(rows), packed_width(self.n_samples)), np.uint8) if out is None else out
        step = max(1, _BLOCK_BYTES // (2 * self.n_samples))
        for place in range(0, len(rows), step):
            dosage, _ = self._decode(rows[place : place + step])
            call_dosages(dosage, self.hard_call_threshold, out=packed[place : place + step])
        return packed

    def read_dosage_rows(self, rows: np.ndarray) -> np.ndarray:
        return self._decode(rows)[0]

    def read_calls(self, rows: np.ndarray, out: np.ndarray | None = None) -> CallBlock:
        dosage, info = self._decode(rows)
        return CallBlock(call_dosages(dosage, self.hard_call_threshold, out=out), dosage, info)

    def read_block(self, start: int, stop: int, out: np.ndarray | None = None) -> CallBlock:
        return self.read_calls(np.arange(start, stop), out)

    def _decode(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(dosages uint16 (rows, samples), info score float32 (rows,)) of the variants at `rows`."""
        dosage = np.empty((len(rows), self.n_samples), np.uint16)
        info = np.empty(len(rows), np.float32)
        variant, allele = self.split.locate(rows)
        step = max(1, _UNPACKED_BYTES // (3 * self.n_samples))
        unpack = bgen_unpacker(self.header.compression)
        with open_binary(self.path) as file:
            for place in range(0, len(rows), step):
                part = slice(place, place + step)
                unpacked = self._unpacked(file, variant[part], unpack)
                edges = np.cumsum([0, *map(len, unpacked)])
                data = np.frombuffer(b"".join([*unpacked, bytes(blocks.PADDING)]), np.uint8)
                found = blocks.decode_blocks(
                    data, edges, allele[part], self.n_samples, self.header.layout, out=dosage[part]
                )
                info[part] = found.info
                bad = np.flatnonzero(found.status)
                if len(bad):
                    at = int(bad[0])
                    raise self._damaged(int(variant[place + at]), _REASONS[int(found.status[at])])
        return dosage, info

    def _unpacked(self, file: BinaryIO, variants: np.ndarray, unpack: Unpack) -> list[bytes]:
        """The probability blocks of `variants` (increasing, repeated where several of their alleles are wanted)."""
        found: dict[int, bytes] = {}
        for _, first, end in runs_of(np.unique(variants)):
            begin = int(self.starts[first])
            buffer = np.empty(int(self.starts[end]) - begin, np.uint8)
            file.seek(begin)
            read_bytes_into(self.path, file, buffer)
            view = memoryview(buffer)
            for variant in range(first, end):
                record = self._parsed(view, int(self.starts[variant]) - begin, variant)
                if record.end != self.starts[variant + 1]:
                    raise self._damaged(variant, "its length is not what it was")
                data = view[record.data - begin : record.end - begin]
                try:
                    found[variant] = unpack(data, self.header.layout, self.n_samples)
                except unpacking_errors() as error:
                    raise self._damaged(variant, str(error)) from error
        return [found[variant] for variant in variants.tolist()]

    def _parsed(self, buffer: bytes | memoryview, at: int, variant: int) -> BgenRecord:
        try:
            return parse_record(buffer, at, int(self.starts[variant]), self.header)
        except struct.error:
            raise self._damaged(variant, "its names do not lie within it") from None

    def _damaged(self, variant: int, reason: str) -> InputError:
        return InputError(
            f"{self.path}, variant {variant + 1:,}: its probabilities cannot be used.",
            found=reason,
            do="copy or download the file again; --exclude with the variant's id leaves it out",
        )


_REASONS = {
    blocks.CUT: "they end before the last sample",
    blocks.WRONG_SAMPLES: "they are of another number of samples than the header says",
    blocks.WRONG_ALLELES: "they are of another number of alleles than its header says",
    blocks.WRONG_PLOIDY: "samples with more than two chromosomes, which a store of one and two copies cannot hold",
    blocks.WRONG_BITS: "a number of bits that is not 1 to 32",
    blocks.WRONG_SUM: "probabilities whose sum is above one",
}


def open_bgen(path: str, options: OpenOptions) -> BgenSource:
    """The source of the .bgen file `path`."""
    return BgenSource.of(
        path,
        options.sample_file,
        split_multiallelic=options.split_multiallelic,
        hard_call_threshold=options.hard_call_threshold,
        default_contig=options.default_contig,
    )


def _scan(path: str, header: BgenHeader, default_contig: str) -> tuple[np.ndarray, np.ndarray, TableSpool]:
    """(first byte of each variant and the end of the last, number of alleles), int64, and the tables: one scan."""
    starts = np.empty(header.n_variants + 1, np.int64)
    n_alleles = np.empty(header.n_variants, np.int64)
    starts[0] = header.first

    def names() -> Iterator[Names]:
        for i, record in enumerate(records(path, header)):
            starts[i + 1], n_alleles[i] = record.end, len(record.alleles)
            yield names_of(path, i, record)

    spool = TableSpool()
    for number, table in enumerate(tables_of(path, names(), default_contig)):
        spool.add(number, table)
    return starts, n_alleles, spool
