"""What every genotype format offers: who the samples are, what the variants are, and blocks of packed calls.

A source knows the shape of the data when it is made; it opens its files only in the task that reads them. It is
small when pickled, and the same for the same files, so tasks can be run again anywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from daskgen import config
from daskgen.errors import InputError, examples
from daskgen.inputs.files import size_of
from daskgen.kernels.genotype_codes import packed_width

__all__ = ["CallBlock", "GenotypeSource", "SampleTable", "See", "VariantTable", "runs_of"]


@dataclass(frozen=True, eq=False)
class SampleTable:
    """The samples of a source, one array element each; the columns of a .fam file.

    Text is NumPy StringDType; an unknown parent or family is "0". `sex`: int8, 1 male, 2 female, 0 unknown.
    `phenotype`: float64, NaN where missing (-9, NA).
    """

    sample_id: np.ndarray
    family_id: np.ndarray
    paternal_id: np.ndarray
    maternal_id: np.ndarray
    sex: np.ndarray
    phenotype: np.ndarray

    def __len__(self) -> int:
        return len(self.sample_id)

    def columns(self) -> dict[str, np.ndarray]:
        """The columns by name."""
        return {column.name: getattr(self, column.name) for column in fields(self)}

    def stored(self) -> dict[str, np.ndarray]:
        """The columns by their names in a store: sample_id, sample_family_id, ..."""
        return {f"sample_{name.removeprefix('sample_')}": column for name, column in self.columns().items()}

    def take(self, index: np.ndarray) -> SampleTable:
        """The samples at `index`, in that order."""
        return SampleTable(**{name: column[index] for name, column in self.columns().items()})

    def with_joined_ids(self) -> SampleTable:
        """The same samples with ids FID_IID."""
        return replace(self, sample_id=np.strings.add(np.strings.add(self.family_id, "_"), self.sample_id))

    def check_unique(self, path: str) -> None:
        """InputError if two samples have the same id."""
        ids = Counter(self.sample_id.tolist())
        if len(ids) == len(self):
            return
        twice = [name for name, n in ids.items() if n > 1]
        distinct = len(set(self.with_joined_ids().sample_id.tolist())) == len(self)
        raise InputError(
            f"{path}: {len(twice):,} sample ids occur more than once.",
            found=examples(twice),
            expected="each sample id once",
            do='id_style="fid_iid" (--id-style fid_iid) makes them unique'
            if distinct
            else "rename or leave out the repeated samples; family and individual id together repeat too",
        )


@dataclass(frozen=True, eq=False)
class VariantTable:
    """Consecutive variants of a source, in file order.

    `contig`: int32 index into `contig_names` (of this table only); `position`: int32 base pair;
    `genetic_position`: float64 centimorgan, 0 = unknown; `variant_id`: text; `allele`: text (rows, 2), the second
    one is counted; `info_score`: float32 quality of imputation (INFO or r2), NaN = unknown, None where the source has
    none of any variant.
    """

    contig: np.ndarray
    contig_names: tuple[str, ...]
    position: np.ndarray
    genetic_position: np.ndarray
    variant_id: np.ndarray
    allele: np.ndarray
    info_score: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.position)

    def take(self, index: np.ndarray | slice) -> VariantTable:
        """The variants at `index` (positions or a boolean mask)."""
        return replace(
            self,
            contig=self.contig[index],
            position=self.position[index],
            genetic_position=self.genetic_position[index],
            variant_id=self.variant_id[index],
            allele=self.allele[index],
            info_score=None if self.info_score is None else self.info_score[index],
        )

    def with_alleles_swapped(self) -> VariantTable:
        """The same variants, counting the other allele."""
        return replace(self, allele=self.allele[:, ::-1])


See = Callable[[str, int, memoryview], None]
"""Takes bytes of a file as they are in it: path, offset, bytes."""


class CallBlock(NamedTuple):
    """Some variants: packed codes uint8, dosages uint16 or None, and the measured info score float32 or None."""

    packed: np.ndarray
    dosage: np.ndarray | None
    info: np.ndarray | None = None


class GenotypeSource(ABC):
    """Diploid-coded genotypes of `n_samples` at `n_variants`, readable by ranges of variants.

    Each row counts one allele of one variant (`VariantTable.allele[:, 1]`); the others of the variant, whatever
    their number, are what it is not. `counted_allele` says which allele of the source that is; `has_multiallelic`
    whether some rows share a variant; `has_info_score` whether its tables hold scores, `measures_info` whether
    `read_calls` measures them, in all samples of the file; `reference_is_first` whether the other allele comes first in
    the file's order; `may_have_half_calls` whether there may be calls with one allele of two missing (`half_calls`);
    `passes` how often the genotype files are read, their variants included, until all calls are read once.

    A source is *sequential* where its file can only be read from its beginning (a gzip stream). Then tasks must not
    call `read...`: `stream` yields the wanted ranges in one pass, in the process that plans the work.
    """

    format: str
    counted_allele: str
    path: str
    n_samples: int
    n_variants: int
    has_dosage: bool
    has_multiallelic = False
    has_info_score = False
    measures_info = False
    reference_is_first = True
    sequential = False
    may_have_half_calls = False
    passes = 1

    @property
    @abstractmethod
    def files(self) -> tuple[str, ...]:
        """The files of the source; the first holds the genotypes."""

    @property
    def genotype_files(self) -> tuple[str, ...]:
        """Those of `files` that hold genotypes."""
        return self.files[:1]

    @property
    def hashed_files(self) -> tuple[str, ...]:
        """Those of `genotype_files` whose content the tasks hash when they convert all variants."""
        return self.genotype_files

    @property
    def genotype_bytes(self) -> int:
        """Bytes of the files that hold genotypes."""
        return sum(map(size_of, self.genotype_files))

    @property
    def selection_id(self) -> bytes:
        """Which samples and variants of the files these are, and which allele is counted; empty for all of them."""
        return b""

    @property
    @abstractmethod
    def reader_id(self) -> str:
        """The same text for the same content: files with sizes and times, and the selection made of them."""

    @abstractmethod
    def samples(self) -> SampleTable:
        """The samples, in the order of the calls (read from the file at each call)."""

    @abstractmethod
    def variant_tables(self) -> Iterator[VariantTable]:
        """The variants in order, some ten thousand at a time (read from the file at each call)."""

    @abstractmethod
    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Packed codes (stop - start, packed width) uint8 of variants [start, stop); into `out` if it is given."""

    def read_and_show(self, start: int, stop: int, out: np.ndarray, see: See) -> None:
        """`read`, and hand bytes of a file on as they are read, so that nobody has to read them again to hash them.

        A source may hand on all, some or none of them.
        """
        self.read(start, stop, out=out)

    def read_rows(self, rows: np.ndarray) -> np.ndarray:
        """Packed codes of the variants at `rows` (int64, increasing)."""
        out = np.empty((len(rows), packed_width(self.n_samples)), np.uint8)
        for place, start, stop in runs_of(rows):
            self.read(start, stop, out=out[place : place + stop - start])
        return out

    def read_dosage(self, start: int, stop: int) -> np.ndarray:
        """Dosages (stop - start, n_samples) uint16 of variants [start, stop), in units of 1/16384; 65535 missing."""
        return self.read_dosage_rows(np.arange(start, stop))

    def read_dosage_rows(self, rows: np.ndarray) -> np.ndarray:
        """Dosages of the variants at `rows`."""
        raise InputError(f"{self.path} holds hard calls only, no dosages.")

    def read_calls(self, rows: np.ndarray, out: np.ndarray | None = None) -> CallBlock:
        """Codes, and dosages where there are any, of the variants at `rows`; the codes in `out` if it is given.

        A format whose codes and dosages come from the same bytes decodes them once here.
        """
        packed = self.read_rows(rows)
        if out is not None:
            out[...] = packed
            packed = out
        return CallBlock(packed, self.read_dosage_rows(rows) if self.has_dosage else None)

    def read_block(self, start: int, stop: int, out: np.ndarray | None = None) -> CallBlock:
        """The variants [start, stop) as `read_calls` gives them."""
        return CallBlock(self.read(start, stop, out=out), self.read_dosage(start, stop) if self.has_dosage else None)

    def stream(self, ranges: Iterable[tuple[int, int]]) -> Iterator[CallBlock]:
        """The blocks of increasing ranges [start, stop) that do not overlap, in one pass through the file."""
        for start, stop in ranges:
            yield self.read_block(start, stop)

    @property
    def file_row_bytes(self) -> int:
        """Bytes of packed codes that are read for a variant, of all samples of the file."""
        return packed_width(self.n_samples)

    @property
    def most_rows_per_task(self) -> int:
        """Variants for which a task reads a gigabyte of the files, where few samples of many are selected."""
        return max(1, 10**9 // self.file_row_bytes)

    @property
    def rows_in_cache(self) -> int | None:
        """Variants to read at a time, so that their calls are counted while they are in the processor's cache.

        None where a task had better read all of its variants at once, because beginning to read costs too much.
        """
        return None

    @property
    def rows_per_chunk(self) -> int:
        """Variants that make a chunk of the usual size: how many to read at a time."""
        usual = int(config.get("chunk-mb") * 10**6) // packed_width(self.n_samples)
        return max(1, min(usual, self.most_rows_per_task))

    @property
    def nbytes(self) -> int:
        """Size when pickled, roughly, where it may be large."""
        return 0

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the result should know about the source (for example that phase is not kept)."""
        return ()


def runs_of(rows: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """(place in `rows`, first row, end) of each stretch of consecutive rows."""
    if not len(rows):
        return
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    for place, end in zip([0, *breaks.tolist()], [*breaks.tolist(), len(rows)], strict=True):
        yield place, int(rows[place]), int(rows[end - 1]) + 1
