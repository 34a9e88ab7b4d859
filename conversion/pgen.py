"""PLINK 2 binary files: .pgen (genotypes), .pvar (variants), .psam (samples), read with pgenlib.

Every ALT allele is a row of its own that counts it; the other ALT alleles of the variant count as REF does. Dosages
are the file's own 16-bit numbers. Phase is not kept.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conversion.formats import OpenOptions
from conversion.pgen_header import read_pgen_header
from conversion.pgen_tables import multiallelic, read_psam, stated_score, variant_tables
from conversion.source import GenotypeSource, SampleTable, VariantTable
from conversion.split_variants import SplitVariants
from daskgen.errors import InputError, MissingPackageError
from daskgen.inputs.files import companion, exists, file_id, is_url
from daskgen.kernels.genotype_codes import pack, packed_width, quantise_dosage

__all__ = ["PgenSource", "open_pgen"]

_BLOCK_BYTES = 4_000_000  # of codes that are unpacked between pgenlib and the packed form
_open = threading.local()


@dataclass(frozen=True, eq=False)
class PgenSource(GenotypeSource):
    """A .pgen file with its .pvar and .psam. Counts ALT."""

    path: str
    pvar: str
    psam: str
    n_samples: int
    n_variants: int
    has_dosage: bool
    split: SplitVariants = field(repr=False)
    score: str | None = None

    format = "pgen"
    counted_allele = "ALT"

    @classmethod
    def of(cls, path: str, sample_file: str | None = None, *, split_multiallelic: bool = True) -> PgenSource:
        """The source whose .pgen (or whose prefix) is `path`.

        Raises InputError where a file is missing or cut, the three disagree, or a variant has several ALT alleles
        and `split_multiallelic` is False; MissingPackageError without pgenlib.
        """
        pgenlib()
        stem = path.removesuffix(".pgen")
        pgen = stem + ".pgen"
        if is_url(pgen):
            raise InputError(f"{pgen}: a .pgen is read from local files only.", do="copy the three files here first")
        header = read_pgen_header(pgen)
        psam = sample_file or companion(pgen, stem, (".psam",))
        pvar = companion(pgen, stem, (".pvar", ".pvar.zst"))
        split = SplitVariants(*multiallelic(pvar))
        n_samples = len(read_psam(psam))
        for name, count, stated, what in (
            (pvar, split.n_variants, header.n_variants, "variants"),
            (psam, n_samples, header.n_samples, "samples"),
        ):
            if count != stated:
                raise InputError(
                    f"{pgen} and {name} disagree about the number of {what}.",
                    found=f"{count:,} in {name}",
                    expected=f"{stated:,}, as the .pgen says",
                    do="check that the three files belong together and are complete",
                )
        if len(split.index) and not split_multiallelic:
            raise InputError(
                f"{pvar}: {len(split.index):,} variants have several ALT alleles.",
                found=f"the first is variant {int(split.index[0]) + 1:,}, with {int(split.n_alt[0])}",
                do="split_multiallelic=True makes a row of each ALT allele; plink2 --max-alleles 2 leaves them out",
            )
        return cls(pgen, pvar, psam, header.n_samples, split.n_rows, header.has_dosage, split, stated_score(pvar))

    @property
    def has_multiallelic(self) -> bool:  # type: ignore[override]
        return len(self.split.index) > 0

    @property
    def has_info_score(self) -> bool:  # type: ignore[override]
        return self.score is not None

    @property
    def files(self) -> tuple[str, ...]:
        index = (self.path + ".pgi",) if exists(self.path + ".pgi") else ()
        return (self.path, self.pvar, self.psam, *index)

    @property
    def reader_id(self) -> str:
        return " ".join(map(file_id, self.files))

    @property
    def nbytes(self) -> int:
        return self.split.index.nbytes + self.split.n_alt.nbytes

    @property
    def notes(self) -> Sequence[str]:
        notes = []
        if self._reader().hardcall_phase_present():
            notes.append(f"{self.path} holds phased calls; phase is not kept")
        if n := len(self.split.index):
            rows = int(self.split.n_alt.sum())
            notes.append(f"{n:,} variants with several ALT alleles were split into {rows:,} rows")
        if self.score is not None:
            notes.append(f"variant_info_score is INFO/{self.score}")
        return notes

    def samples(self) -> SampleTable:
        return read_psam(self.psam)

    def variant_tables(self) -> Iterator[VariantTable]:
        return variant_tables(self.pvar, self.score)

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        return self._read(np.arange(start, stop), out)

    def read_rows(self, rows: np.ndarray) -> np.ndarray:
        return self._read(rows, None)

    def _read(self, rows: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        out = np.empty((len(rows), packed_width(self.n_samples)), np.uint8) if out is None else out
        for place, end, codes in self._blocks(rows, np.int8):
            pack(codes, out=out[place:end])
        return out

    def read_dosage_rows(self, rows: np.ndarray) -> np.ndarray:
        if not self.has_dosage:
            return super().read_dosage_rows(rows)
        out = np.empty((len(rows), self.n_samples), np.uint16)
        for place, end, dosages in self._blocks(rows, np.float32):
            out[place:end] = quantise_dosage(dosages)
        return out

    def _blocks(self, rows: np.ndarray, dtype: type[np.generic]) -> Iterator[tuple[int, int, np.ndarray]]:
        """(place in `rows`, end, values): codes as int8 or dosages as float32 of some rows at a time; -9 missing."""
        reader = self._reader()
        variant, allele = self.split.locate(rows)
        further = np.isin(variant, self.split.index)
        step = max(1, _BLOCK_BYTES // (self.n_samples * np.dtype(dtype).itemsize))
        buffer = np.empty((min(step, len(rows)), self.n_samples), dtype)
        dosages = dtype is np.float32
        read_list = reader.read_dosages_list if dosages else reader.read_list
        read_one = reader.read_dosages if dosages else reader.read
        for place in range(0, len(rows), step):
            end = min(place + step, len(rows))
            values = buffer[: end - place]
            try:
                read_list(variant[place:end].astype(np.uint32), values)
                for i in np.flatnonzero(further[place:end]).tolist():
                    read_one(int(variant[place + i]), values[i], int(allele[place + i]))
            except RuntimeError as error:
                raise InputError(f"{self.path} is damaged: pgenlib cannot read it.", found=str(error)) from error
            yield place, end, values

    def _reader(self) -> Any:
        """pgenlib's reader of this file: one per thread, since it is not safe to share, and the last one only."""
        key = self.reader_id
        if getattr(_open, "key", None) != key:
            _open.key, _open.reader = None, None
            try:
                _open.reader = pgenlib().PgenReader(
                    self.path.encode(), raw_sample_ct=self.n_samples, allele_idx_offsets=self.split.allele_offsets()
                )
            except RuntimeError as error:
                raise InputError(f"{self.path} cannot be read.", found=str(error)) from error
            _open.key = key
        return _open.reader


def open_pgen(path: str, options: OpenOptions) -> PgenSource:
    """The source of the .pgen (or prefix) `path`."""
    return PgenSource.of(path, options.sample_file, split_multiallelic=options.split_multiallelic)


def pgenlib() -> Any:
    """The package that reads .pgen files. MissingPackageError without it."""
    try:
        return importlib.import_module("pgenlib")
    except ImportError:
        raise MissingPackageError(
            "reading .pgen needs the package pgenlib, which is not installed.", do='pip install "daskgen[formats]"'
        ) from None
