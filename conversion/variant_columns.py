"""The columns of the variants, written after the genotypes: text streamed from the source, statistics from the tasks.

Neither is ever held for all variants: the tables come in blocks, and the statistics that tasks return, in any order,
wait in a temporary file.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator

import numpy as np

from conversion.allele_statistics import STATISTICS
from conversion.calls import Calls
from conversion.source import GenotypeSource, VariantTable
from daskgen import config
from daskgen.stores import Stage
from daskgen.stores.genotype_layout import COLUMNS, INFO_SCORE

__all__ = ["StatisticsFile", "variant_columns", "write_variant_columns"]


def variant_columns(source: GenotypeSource) -> tuple[str, ...]:
    """The columns of the variants that a store of this source has."""
    always = tuple(name for name, _, dims in COLUMNS if dims[0] == "variants")
    return (*always, INFO_SCORE[0]) if source.has_info_score else always


class StatisticsFile:
    """Records of dtype STATISTICS for all variants, in a temporary file (12 bytes a variant)."""

    def __init__(self) -> None:
        folder = config.get("scratch") or os.environ.get("SLURM_TMPDIR") or None
        self._file = tempfile.TemporaryFile(prefix="daskgen-", dir=folder, buffering=0)  # noqa: SIM115

    def write(self, start: int, records: np.ndarray) -> None:
        """Keep the records of the variants from `start` on."""
        self._file.seek(start * STATISTICS.itemsize)
        data = memoryview(records.view(np.uint8))
        while data:
            data = data[self._file.write(data) :]

    def read(self, start: int, stop: int) -> np.ndarray:
        """The records of the variants [start, stop)."""
        self._file.seek(start * STATISTICS.itemsize)
        return np.frombuffer(self._file.read((stop - start) * STATISTICS.itemsize), STATISTICS)

    def __enter__(self) -> StatisticsFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


def write_variant_columns(stage: Stage, calls: Calls, statistics: StatisticsFile) -> None:
    """Write the groups of `stage` (`variant_columns`, cut along the variants) that are not there yet."""
    if not (pending := set(stage.pending)):
        return
    edges = [stage.target.ranges(index)["variants"] for index in range(stage.n_groups)]
    tables = regrouped(calls.source.variant_tables(), [edge.stop - edge.start for edge in edges])
    for index, (rows, table) in enumerate(zip(edges, tables, strict=True)):
        if index not in pending:
            continue
        records = statistics.read(rows.start, rows.stop)
        columns = {
            "variant_contig": calls.contigs.codes_of(rows.start, rows.stop),
            "variant_position": table.position,
            "variant_genetic_position": table.genetic_position,
            "variant_id": table.variant_id,
            "variant_allele": table.allele,
            "variant_ploidy_class": calls.ploidy_class(rows.start, rows.stop),
            **{f"variant_{name}": records[name] for name in STATISTICS.names or ()},
        }
        if table.info_score is not None:
            columns[INFO_SCORE[0]] = table.info_score
        stage.target.write(index, columns)


def regrouped(tables: Iterable[VariantTable], sizes: Iterable[int]) -> Iterator[VariantTable]:
    """The same variants in tables of the given sizes. The contigs of the result are those of its first part only."""
    remaining = iter(tables)
    rest: list[VariantTable] = []
    held = 0
    for size in sizes:
        while held < size:
            rest.append(next(remaining))
            held += len(rest[-1])
        whole = joined(rest)
        yield whole.take(slice(0, size))
        rest, held = [whole.take(slice(size, None))], held - size


def joined(tables: list[VariantTable]) -> VariantTable:
    """Consecutive tables as one, without their contigs (which `ContigRuns` has for all variants)."""
    if len(tables) == 1:
        return tables[0]
    names = ["position", "genetic_position", "variant_id", "allele"]
    if tables[0].info_score is not None:
        names.append("info_score")
    columns = {name: np.concatenate([getattr(table, name) for table in tables]) for name in names}
    return VariantTable(contig=np.zeros(len(columns["position"]), np.int32), contig_names=("",), **columns)
