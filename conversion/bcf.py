"""The records of BCF files, read with cyvcf2 (htslib).

A piece of a file, whole records behind the file's own header, is itself a BCF file: it is handed over as one, so that
reading may begin in any piece, without an index.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from conversion.allele_rows import dosage_of_probabilities, doubled_if_haploid, fill_rows
from conversion.half_calls import is_half
from conversion.pieces import Piece
from conversion.source import CallBlock
from conversion.vcf_header import VcfHeader
from conversion.vcf_scan import Found, found_in
from daskgen.errors import InputError, MissingPackageError
from daskgen.kernels.dosages import call_dosages
from daskgen.kernels.vcf_calls import HALF_CALL, PROBLEMS

__all__ = ["read_records", "table_of_records"]

_BATCH_BYTES = 8_000_000  # of alleles that are held between cyvcf2 and the packed form
_PLOIDY, _NUMBERS = 4, 6


def _cyvcf2() -> Any:
    """The package that reads BCF. MissingPackageError without it."""
    try:
        return importlib.import_module("cyvcf2")
    except ImportError:
        raise MissingPackageError(
            "reading BCF needs the package cyvcf2, which is not installed.",
            do='pip install "daskgen[formats]"; or bcftools view -O z FILE makes a VCF of it',
        ) from None


@contextmanager
def _records(path: str, header: VcfHeader, data: bytes | np.ndarray) -> Iterator[Any]:
    """cyvcf2's reader of these records."""
    with _temporary() as descriptor:
        for part in (header.raw, data):
            view = memoryview(part)
            while view:
                view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            reader = _cyvcf2().VCF(descriptor)
        except OSError as error:
            raise InputError(f"{path} cannot be read as BCF.", found=str(error)) from error
        try:
            yield reader
        finally:
            reader.close()


@contextmanager
def _temporary() -> Iterator[int]:
    """The descriptor of a file without a name, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("daskgen")
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryFile() as file:
            yield file.fileno()


def table_of_records(path: str, piece: Piece, header: VcfHeader) -> Found:
    """The variants of a piece of a BCF file."""
    contig, position, names, ref, alt, scores = [], [], [], [], [], []
    keys: set[str] = set()
    phased = False
    with _records(path, header, piece.data) as records:
        for record in records:
            contig.append(record.CHROM)
            position.append(str(record.POS))
            names.append(record.ID or ".")
            ref.append(record.REF)
            alt.append(",".join(record.ALT) or ".")
            if header.score is not None:
                score = record.INFO.get(header.score)
                scores.append("" if score is None else ",".join(map(str, np.atleast_1d(score))))
            keys.update(record.FORMAT)
            # Every 64th record is looked at: phase is a property of a file.
            if not phased and "GT" in record.FORMAT and len(contig) % 64 == 1:
                phased = bool(record.genotype.array()[:, -1].any())
    columns = (contig, position, names, ref, alt)
    return found_in(path, piece, columns, scores if header.score is not None else None, frozenset(keys), phased)


def read_records(
    path: str,
    header: VcfHeader,
    data: np.ndarray,
    target: np.ndarray,
    block: CallBlock,
    threshold: float,
    refuse_half_calls: bool,
) -> None:
    """Fill rows of `block` from a piece of a BCF file; `target` says for each of its rows which (-1: none).

    threshold: how far from a whole number the dosage of a record without GT may be and still be a call.
    refuse_half_calls: InputError for the first call with one allele of two missing.
    """
    n_samples = len(header.samples)
    step = max(1, _BATCH_BYTES // (4 * n_samples))
    batch = _Batch(path, n_samples, step, block, threshold, refuse_half_calls)
    row = 0
    with _records(path, header, data) as records:
        for record in records:
            n_alt = max(1, len(record.ALT))
            wanted = target[row : row + n_alt]
            row += n_alt
            if (wanted >= 0).any():
                batch.add(record, n_alt, wanted)
    batch.write()


class _Batch:
    """Records that are turned into rows together."""

    def __init__(
        self, path: str, n_samples: int, step: int, block: CallBlock, threshold: float, refuse_half_calls: bool
    ):
        self.path, self.n_samples, self.step, self.block = path, n_samples, step, block
        self.threshold, self.refuse_half_calls = threshold, refuse_half_calls
        self.alleles = np.full((step, n_samples, 2), -1, np.int16)
        self.n = 0
        self.rows: list[tuple[int, int, int]] = []  # (record of the batch, allele, row of the block)
        self.dosages: list[np.ndarray] = []

    def add(self, record: Any, n_alt: int, wanted: np.ndarray) -> None:
        """One record; `wanted`: rows of the block for its alleles."""
        keys = record.FORMAT
        here = self.alleles[self.n]
        here[...] = -1
        if "GT" in keys:
            found = record.genotype.array()[:, :-1]
            if found.shape[1] > 2 and (found[:, 2:] != -2).any():
                raise self._wrong(record, PROBLEMS[_PLOIDY])
            here[:, 0] = found[:, 0]
            here[:, 1] = found[:, 1] if found.shape[1] > 1 else -2
            if self.refuse_half_calls and (half := is_half(here)).any():
                raise self._wrong(record, f"{PROBLEMS[HALF_CALL]}, sample {int(np.argmax(half)) + 1:,}")
        want_dosage = self.block.dosage is not None
        for allele, row in enumerate(wanted.tolist(), 1):
            if row < 0:
                continue
            dosage = self._dosage(record, keys, n_alt, allele) if want_dosage or "GT" not in keys else None
            if "GT" not in keys and dosage is not None:
                self._without_calls(dosage, row)
                continue
            self.rows.append((self.n, allele, row))
            if want_dosage:
                self.dosages.append(np.full(self.n_samples, np.nan, np.float32) if dosage is None else dosage)
        self.n += 1
        if self.n == self.step:
            self.write()

    def _dosage(self, record: Any, keys: list[str], n_alt: int, allele: int) -> np.ndarray | None:
        """float32 (samples,) in copies of the allele, 0 to 2, NaN where there is none; None if there is none at all."""
        if "DS" in keys:
            found = np.asarray(record.format("DS"), np.float32)
            if found.shape[1] < n_alt:
                raise self._wrong(record, PROBLEMS[_NUMBERS])
            return doubled_if_haploid(found[:, allele - 1], self.alleles[self.n])
        if "GP" in keys:
            try:
                return dosage_of_probabilities(np.asarray(record.format("GP"), np.float32), n_alt, allele)
            except ValueError as error:
                raise self._wrong(record, str(error)) from None
        return None

    def _without_calls(self, dosage: np.ndarray, row: int) -> None:
        """A record that has dosages and no GT: the call is the whole number that the dosage is near to."""
        own = CallBlock(self.block.packed[row : row + 1], np.empty((1, self.n_samples), np.uint16))
        nobody = np.full((1, self.n_samples, 2), -1, np.int16)
        zero = np.zeros(1, np.int64)
        fill_rows(own, 0, nobody, zero, zero + 1, dosage[None], self.path)
        assert own.dosage is not None
        call_dosages(own.dosage, self.threshold, out=own.packed)
        if self.block.dosage is not None:
            self.block.dosage[row] = own.dosage[0]

    def write(self) -> None:
        """Turn what is held into rows."""
        if self.rows:
            variant, allele, row = np.array(self.rows, np.int64).T
            want_dosage = self.block.dosage is not None
            n = len(row)
            own = CallBlock(
                np.empty((n, self.block.packed.shape[1]), np.uint8),
                np.empty((n, self.n_samples), np.uint16) if want_dosage else None,
            )
            dosage = np.stack(self.dosages) if want_dosage else None
            fill_rows(
                own, 0, self.alleles, np.ascontiguousarray(variant), np.ascontiguousarray(allele), dosage, self.path
            )
            self.block.packed[row] = own.packed
            if self.block.dosage is not None:
                self.block.dosage[row] = own.dosage
        self.n, self.rows, self.dosages = 0, [], []

    def _wrong(self, record: Any, what: str) -> InputError:
        return InputError(f"{self.path}, record {record.CHROM}:{record.POS} {record.ID or '.'}: {what}.")
