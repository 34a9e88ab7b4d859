"""Several sources as one matrix: cells one source after the other, genes joined by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import union_categoricals

from conversion.single_cell.names import make_unique, with_symbols
from conversion.single_cell.source import CellSource, RowReading, Rows
from daskgen.errors import InputError, UsageError, examples
from daskgen.stores.anndata_rows import CsrBlock, tidy

__all__ = ["JoinedCells", "join_sources"]


@dataclass
class JoinedCells:
    """All sources together: tables of cells and genes, rows, and what the user should know."""

    obs: pd.DataFrame
    var: pd.DataFrame
    rows: JoinedRows
    notes: list[str]


def join_sources(
    sources: Sequence[CellSource],
    labels: Sequence[str],
    *,
    join: Literal["outer", "inner"],
    batch_key: str,
    gene_symbols: str | None,
) -> JoinedCells:
    """Put the sources together. labels: their names in the column `batch_key`, which several sources get.

    join: "outer" keeps the genes of any source (a gene that a source lacks has no counts there), "inner" those that
    all have. Gene names are made unique within a source before they are joined.
    """
    notes: list[str] = []
    tables = [_genes(source, gene_symbols, notes) for source in sources]
    names = _joined_names([table.index for table in tables], join)
    if not names:
        raise InputError(
            "no gene is in all sources.",
            found="\n".join(f"{s.path}: {examples(t.index)}" for s, t in zip(sources, tables, strict=True)),
            do="join='outer', or gene_symbols=... where some sources have accession numbers for names",
        )
    position = {name: k for k, name in enumerate(names)}
    shared = sum(all(name in table.index for table in tables) for name in names) if len(tables) > 1 else len(names)
    if len(sources) > 1:
        notes.append(f"{len(names):,} genes, {shared:,} of them in all sources ({join} join)")
    maps = []
    for source, table in zip(sources, tables, strict=True):
        into = np.full(source.rows.n_genes, -1, np.int32)
        taken = np.arange(source.rows.n_genes) if source.keep_genes is None else np.flatnonzero(source.keep_genes)
        into[taken] = [position.get(name, -1) for name in table.index]
        maps.append(into)
    var = _joined_genes(tables, names) if len(tables) > 1 else tables[0]
    obs = _cells(sources, labels, batch_key, notes)
    return JoinedCells(obs, var, JoinedRows(tuple(s.rows for s in sources), tuple(maps), len(names)), notes)


def _genes(source: CellSource, gene_symbols: str | None, notes: list[str]) -> pd.DataFrame:
    """The genes of a source that are taken, by unique names."""
    var = source.var
    if source.keep_genes is not None:
        var = var.loc[source.keep_genes]
        notes.append(f"{source.path}: {len(var):,} of {len(source.var):,} features are taken")
    if gene_symbols is not None:
        var = with_symbols(var, gene_symbols, source.path)
    unique, changed = make_unique(var.index.to_numpy())
    if changed:
        notes.append(f"{source.path}: gene names that occur twice got -1, -2, ... ({changed:,} genes)")
    result = var.copy()
    result.index = pd.Index(unique, dtype=object, name=None)
    return result


def _joined_names(indexes: Sequence[pd.Index], join: str) -> list[str]:
    if join not in ("outer", "inner"):
        raise UsageError("join must be 'outer' or 'inner'.", found=repr(join))
    if join == "outer":
        return list(dict.fromkeys(name for index in indexes for name in index))
    others = [set(index) for index in indexes[1:]]
    return [name for name in indexes[0] if all(name in other for other in others)]


def _joined_genes(tables: Sequence[pd.DataFrame], names: list[str]) -> pd.DataFrame:
    """Columns of all sources; where several have a value for a gene the first is taken."""
    result = pd.DataFrame(index=pd.Index(names, dtype=object))
    for table in tables:
        aligned = table.reindex(names)
        for column in aligned:
            values = aligned[column]
            if isinstance(values.dtype, pd.CategoricalDtype):
                values = values.astype(object)
            result[column] = values if column not in result else result[column].where(result[column].notna(), values)
    return result


def _cells(sources: Sequence[CellSource], labels: Sequence[str], batch_key: str, notes: list[str]) -> pd.DataFrame:
    if len(sources) == 1:
        obs = sources[0].obs
        unique, changed = make_unique(obs.index.to_numpy())
        if changed:
            notes.append(f"{sources[0].path}: names of cells that occur twice got -1, -2, ... ({changed:,} cells)")
            obs = obs.copy()
            obs.index = pd.Index(unique, dtype=object)
        return obs
    clash = [source.path for source in sources if batch_key in source.obs]
    if clash:
        raise UsageError(
            f"{clash[0]} has a column {batch_key!r} already.",
            do="name another for the sources: batch_key=... (--batch-key)",
        )
    names = np.concatenate([source.obs.index.to_numpy(dtype=object) for source in sources])
    if len(set(names.tolist())) < len(names):
        names = np.concatenate(
            [s.obs.index.to_numpy(dtype=object) + f"-{label}" for s, label in zip(sources, labels, strict=True)]
        )
        unique, _ = make_unique(names)
        names = np.array(unique, object)
        notes.append("cells of several sources have the same name, so that the source was added to each")
    columns: dict[str, Any] = {}
    for column in dict.fromkeys(str(c) for source in sources for c in source.obs):
        columns[column] = _stacked([(s.obs.get(column), len(s.obs)) for s in sources])
    sizes = [len(source.obs) for source in sources]
    columns[batch_key] = pd.Categorical.from_codes(np.repeat(np.arange(len(sources)), sizes), list(labels))
    return pd.DataFrame(columns, index=pd.Index(names, dtype=object))


def _stacked(parts: Sequence[tuple[pd.Series | None, int]]) -> Any:
    """A column of all sources; missing (NaN, an empty text, no category) where a source lacks it."""
    given = [part for part, _ in parts if part is not None]
    if all(isinstance(part.dtype, pd.CategoricalDtype) for part in given):
        filled = [
            pd.Categorical(part)
            if part is not None
            else pd.Categorical([None] * n, categories=given[0].cat.categories[:0])
            for part, n in parts
        ]
        kinds = {str(part.categories.dtype) for part in filled if len(part.categories)}
        if len(kinds) <= 1:
            kind = next((part.categories.dtype for part in filled if len(part.categories)), object)
            filled = [part.set_categories(part.categories.astype(kind)) for part in filled]
            return union_categoricals(filled, ignore_order=True)
    if all(pd.api.types.is_bool_dtype(part.dtype) for part in given) and len(given) < len(parts):
        return pd.concat(
            [pd.Series([pd.NA] * n if part is None else part.to_numpy(), dtype="boolean") for part, n in parts]
        ).array
    whole = [pd.Series([np.nan] * n) if part is None else part for part, n in parts]
    if any(part.dtype == object for part in given):
        return np.concatenate([part.astype(object).where(part.notna(), "").to_numpy() for part in whole])
    return np.concatenate(
        [part.astype(object).to_numpy() if part.dtype.name == "category" else part.to_numpy() for part in whole]
    )


@dataclass(frozen=True, eq=False)
class JoinedRows:
    """The rows of all sources, one after the other. maps: of each source, gene -> gene of the result, -1: left out."""

    sources: tuple[Rows, ...]
    maps: tuple[npt.NDArray[np.int32], ...]
    n_genes: int

    @property
    def n_rows(self) -> int:
        return int(self.offsets[-1])

    @property
    def nbytes(self) -> int:
        return sum(int(getattr(rows, "nbytes", 0)) for rows in self.sources) + sum(m.nbytes for m in self.maps)

    @cached_property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Where each source's rows begin, int64 (sources + 1,)."""
        return np.concatenate([[0], np.cumsum([rows.n_rows for rows in self.sources])]).astype(np.int64)

    def blocks(self, values: int = 1 << 22) -> list[tuple[int, int]]:
        """Ranges of rows; none reaches from one source into the next."""
        return [
            (int(offset) + a, int(offset) + b)
            for offset, rows in zip(self.offsets[:-1], self.sources, strict=True)
            for a, b in rows.blocks(values)
        ]

    def reader(self) -> JoinedReader:
        return JoinedReader(self)


class JoinedReader:
    """Reads rows of several sources, for one thread."""

    def __init__(self, rows: JoinedRows):
        self._rows = rows
        self._readers: dict[int, RowReading] = {}
        self._plain = [bool((m == np.arange(len(m))).all()) for m in rows.maps]

    def read(self, start: int, stop: int) -> CsrBlock:
        """Rows `start` to `stop` - 1, genes of the result."""
        offsets = self._rows.offsets
        parts = []
        for k in range(len(self._rows.sources)):
            a, b = max(start, int(offsets[k])), min(stop, int(offsets[k + 1]))
            if a < b:
                if k not in self._readers:
                    self._readers[k] = self._rows.sources[k].reader()
                parts.append(self._mapped(k, self._readers[k].read(a - int(offsets[k]), b - int(offsets[k]))))
        if len(parts) == 1:
            return CsrBlock(parts[0].data, parts[0].indices, parts[0].indptr, self._rows.n_genes, start)
        before = np.cumsum([0, *(len(part.data) for part in parts)])
        indptr = np.concatenate([[0], *(part.indptr[1:] + n for part, n in zip(parts, before[:-1], strict=True))])
        return CsrBlock(
            np.concatenate([part.data for part in parts]) if parts else np.empty(0, np.float32),
            np.concatenate([part.indices for part in parts]) if parts else np.empty(0, np.int32),
            indptr.astype(np.int64),
            self._rows.n_genes,
            start,
        )

    def _mapped(self, k: int, block: CsrBlock) -> CsrBlock:
        if self._plain[k]:
            return block
        columns = self._rows.maps[k][block.indices]
        data, indptr = block.data, block.indptr
        kept = columns >= 0
        if not kept.all():
            before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
            data, columns, indptr = data[kept], columns[kept], before[indptr]
        return tidy(CsrBlock(data, columns, indptr, self._rows.n_genes, block.start), "counts")
