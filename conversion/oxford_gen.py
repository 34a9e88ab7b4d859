"""Oxford GEN files: a line per variant with three probabilities per sample, plain or packed.

A line has, perhaps, the chromosome, then two ids, the position, two alleles, and the probabilities of AA, AB and BB of
each sample, divided by their sum. A missing genotype is 0 0 0, or what bcftools writes: 0.33 0.33 0.33, and 0.5 0 0.5
for a haploid one. The file is text, so it is read from its beginning, once for the variants and once for the calls.
Source: https://www.cog-genomics.org/plink/2.0/formats#gen
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from conversion.bgen_tables import NO_ID, UNKNOWN_CONTIG, Names, tables_of
from conversion.formats import OpenOptions
from conversion.oxford_samples import find_sample_file, oxford_samples
from conversion.source import CallBlock, GenotypeSource, SampleTable, VariantTable
from conversion.table_spool import TableSpool
from conversion.text_lines import lines_of
from daskgen.errors import InputError
from daskgen.inputs.files import file_id
from daskgen.kernels.genotype_codes import DOSAGE_MISSING, DOSAGE_SCALE, call_dosages, packed_width

__all__ = ["GenSource", "open_gen"]

_NAMES = {
    5: "id, rs number, position, allele A, allele B",
    6: "chromosome, id, rs number, position, allele A, allele B",
}


@dataclass(frozen=True, eq=False)
class GenSource(GenotypeSource):
    """A .gen file with its .sample, if there is one. Counts allele B. `n_names`: columns before the probabilities."""

    path: str
    n_samples: int
    n_variants: int
    n_names: int
    sample_file: str | None
    hard_call_threshold: float
    tables: TableSpool = field(repr=False)

    format = "gen"
    counted_allele = "allele 2"
    has_dosage = True
    measures_info = True
    sequential = True
    passes = 2

    @classmethod
    def of(cls, path: str, options: OpenOptions) -> GenSource:
        """Read the names of all variants. InputError for a line that is not as the first one, or not a .gen line."""
        if not options.in_order:
            raise InputError(
                f"{path} is text, which can only be read from its beginning.",
                do="convert it, which reads it from beginning to end: daskgen convert genotypes",
            )
        n_columns = next((len(line.split()) for _, line in lines_of(path)), 0)
        n_names = next((n for n in _NAMES if n_columns > n and (n_columns - n) % 3 == 0), 0)
        if not n_names:
            raise InputError(
                f"{path} is empty." if not n_columns else f"{path} is not a .gen file.",
                found=f"{n_columns} columns",
                expected=f"5 or 6 ({_NAMES[6]}) and three for each sample",
            )
        contig = UNKNOWN_CONTIG if options.default_contig is None else options.default_contig
        spool, n_variants = TableSpool(), 0
        names = (_names(path, number, line, n_names, n_columns) for number, line in lines_of(path))
        for number, table in enumerate(tables_of(path, names, contig)):
            spool.add(number, table)
            n_variants += len(table)
        n_samples = (n_columns - n_names) // 3
        samples = options.sample_file or find_sample_file(path, ".gen")
        return cls(path, n_samples, n_variants, n_names, samples, options.hard_call_threshold, spool)

    @property
    def files(self) -> tuple[str, ...]:
        return (self.path,) if self.sample_file is None else (self.path, self.sample_file)

    @property
    def reader_id(self) -> str:
        return " ".join([*map(file_id, self.files), str(self.hard_call_threshold)])

    @property
    def notes(self) -> Sequence[str]:
        how = f"it is read from beginning to end by one thread; calls are dosages within {self.hard_call_threshold:g}"
        notes = [f"{self.path} is text: {how}"]
        if self.sample_file is None:
            notes.append(f"{self.path} has no .sample beside it: samples are numbered from 0")
        return notes

    def samples(self) -> SampleTable:
        return oxford_samples(self.path, self.n_samples, None, self.sample_file)

    def variant_tables(self) -> Iterator[VariantTable]:
        return iter(self.tables)

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        block = next(self.stream([(start, stop)]))
        if out is None:
            return block.packed
        out[...] = block.packed
        return out

    def stream(self, ranges: Iterable[tuple[int, int]]) -> Iterator[CallBlock]:
        lines = enumerate(lines_of(self.path))
        for start, stop in ranges:
            dosage = np.empty((stop - start, self.n_samples), np.uint16)
            info = np.empty(stop - start, np.float32)
            for row, (number, line) in lines:
                if row < start:
                    continue
                dosage[row - start], info[row - start] = self._decoded(number, line)
                if row == stop - 1:
                    break
            packed = np.empty((stop - start, packed_width(self.n_samples)), np.uint8)
            yield CallBlock(call_dosages(dosage, self.hard_call_threshold, out=packed), dosage, info)

    def _decoded(self, number: int, line: str) -> tuple[np.ndarray, float]:
        """(dosage of allele B in steps, info score) of one line."""
        text = line.split(None, self.n_names)[self.n_names]
        try:
            values = np.array(text.split(), np.float64).reshape(-1, 3)
        except ValueError as error:
            raise InputError(
                f"{self.path}, line {number:,}: a probability is not a number.", found=str(error)
            ) from None
        if not (values >= 0).all() or (values > 1).any():
            raise InputError(f"{self.path}, line {number:,}: a probability is not between 0 and 1.")
        total = values.sum(axis=1)
        called = (values[:, 0] != values[:, 2]) | ((values[:, 1] != values[:, 0]) & (values[:, 1] != 0))
        mixed, both = values[called, 1] / total[called], values[called, 2] / total[called]
        expected = mixed + 2 * both
        steps = np.full(len(values), DOSAGE_MISSING, np.uint16)
        steps[called] = np.rint(expected * DOSAGE_SCALE)
        if not called.any():
            return steps, np.nan
        theta = expected.mean() / 2
        most = 2 * len(expected) * theta * (1 - theta)
        spread = (mixed + 4 * both - expected**2).sum()
        return steps, float(1 - spread / most) if most > 0 else 1.0


def _names(path: str, number: int, line: str, n_names: int, n_columns: int) -> Names:
    if len(line.split()) != n_columns:
        raise InputError(
            f"{path}, line {number:,}: wrong number of columns.",
            found=f"{len(line.split()):,}",
            expected=f"{n_columns:,}, as in the first line",
        )
    words = line.split(None, n_names)[:n_names]
    contig = words[0] if n_names == 6 else ""
    snpid, rsid, position, first, second = words[-5:]
    if not position.isdecimal():
        raise InputError(
            f"{path}, line {number:,}: the position is not a number.", found=position, expected=_NAMES[n_names]
        )
    return Names(snpid if rsid in NO_ID else rsid, contig, int(position), (first, second))


def open_gen(path: str, options: OpenOptions) -> GenSource:
    """The source of the .gen file `path`."""
    return GenSource.of(path, options)
