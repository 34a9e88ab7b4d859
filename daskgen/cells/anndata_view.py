"""An AnnData object of a store, for what is done in memory: counts or log values, all genes or some, kept cells."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from daskgen import limits
from daskgen.cells.opened import KEEP, Cells
from daskgen.cells.transform import Transform
from daskgen.cells.view import current_view, require_logs
from daskgen.errors import MissingPackageError, UsageError, examples
from daskgen.passes import MemoryItem, Plan
from daskgen.stores.anndata_rows import CellRows
from daskgen.stores.scipy_matrices import empty_matrix, scipy_block, stacked, with_matrices

if TYPE_CHECKING:
    import anndata

__all__ = ["selected_genes", "to_anndata"]

log = logging.getLogger("daskgen.cells")

Genes = str | Sequence[str] | npt.NDArray[np.bool_] | None


def to_anndata(
    cells: Cells, X: Literal["log1p", "counts"] | None = "log1p", genes: Genes = None, lazy: bool = False
) -> anndata.AnnData:
    """See `Cells.to_anndata`."""
    package = _anndata()
    if X not in ("log1p", "counts", None):
        raise UsageError(f"unknown X {X!r}.", expected="'log1p', 'counts' or None")
    view = current_view(cells)
    if X == "log1p":
        require_logs(cells, view, "to_anndata(X='log1p')")
    stale = cells.state.stale_fields()
    if stale:
        log.warning("stale, because a step they relied on was done again: %s", examples(stale, 8))
    kept_cells, kept_genes = np.flatnonzero(cells.cell_mask), selected_genes(cells, genes)
    obs = cells.obs.drop(columns=KEEP, errors="ignore").iloc[kept_cells]
    var = cells.var.drop(columns=KEEP, errors="ignore").iloc[kept_genes]
    transform = view.transform if X == "log1p" else Transform(log=False)
    values = None
    if X is not None:
        rows = _Selected(cells.store.rows(), kept_cells, kept_genes, transform)
        values = rows.lazy() if lazy else rows.matrix()
    store = cells.store
    uns = {name: with_matrices(store.uns(name)) for name in store.members("uns") if name not in ("daskgen", "log1p")}
    if X == "log1p":
        uns["log1p"] = {"base": view.base}
    return package.AnnData(
        X=values,
        obs=obs,
        var=var,
        uns=uns,
        obsm={name: _rows(store.matrix("obsm", name), kept_cells) for name in store.members("obsm")},
        varm={name: _rows(store.matrix("varm", name), kept_genes) for name in store.members("varm")},
        obsp={name: _rows(store.matrix("obsp", name), kept_cells)[:, kept_cells] for name in store.members("obsp")},
        shape=None if values is not None else (len(obs), len(var)),
    )


def _anndata() -> Any:
    try:
        import anndata
    except ImportError:
        raise MissingPackageError(
            "an AnnData object needs the package anndata, which is not installed.", do='pip install "daskgen[cells]"'
        ) from None
    return anndata


def selected_genes(cells: Cells, genes: Genes) -> npt.NDArray[np.int64]:
    """Positions of the genes that are asked for, of those that the filters kept.

    genes: None (all), "highly_variable" or another bool column of var, names, or a mask over all genes of the store.
    """
    kept = cells.gene_mask
    if genes is None:
        return np.flatnonzero(kept)
    if isinstance(genes, str):
        column = pd.Series(cells.store.column("var", genes))
        if not pd.api.types.is_bool_dtype(column.dtype):
            raise UsageError(
                f"var/{genes} says not which genes: it is no column of True and False.", found=column.dtype
            )
        return np.flatnonzero(kept & column.to_numpy(dtype=bool, na_value=False))
    wanted = np.asarray(genes)
    if wanted.dtype == bool:
        if wanted.shape != kept.shape:
            raise UsageError("a mask of genes has the wrong length.", found=wanted.shape, expected=kept.shape)
        return np.flatnonzero(kept & wanted)
    position = {name: k for k, name in enumerate(cells.var_names.tolist())}
    missing = [name for name in map(str, wanted.tolist()) if name not in position]
    if missing:
        raise UsageError(
            f"{len(missing):,} genes are not in the store.", found=examples(missing), expected=examples(position)
        )
    chosen = np.array([position[str(name)] for name in wanted.tolist()], np.int64)
    return chosen[kept[chosen]]


@dataclass(frozen=True, eq=False)
class _Selected:
    """Rows and columns of X, and what is made of the values."""

    rows: CellRows
    cells: npt.NDArray[np.int64]
    genes: npt.NDArray[np.int64]
    transform: Transform

    def matrix(self) -> Any:
        """All of it, a SciPy CSR matrix of float32. PlanError where it would not fit into memory."""
        share = len(self.cells) / max(1, self.rows.n_rows)
        expected = int(8 * self.rows.n_values * share * (len(self.genes) / max(1, self.rows.n_genes)))
        Plan(
            "X in memory",
            memory=[MemoryItem("X, before it is put together", 2 * expected, "genes='highly_variable', or lazy=True")],
            memory_limit=limits.memory_limit(),
        ).check()
        parts = [self.block(first, last) for first, last in self.cuts()]
        if not parts:
            return empty_matrix(len(self.cells), len(self.genes))
        return stacked(parts)

    def lazy(self) -> Any:
        """A Dask array whose blocks are CSR matrices, read when they are computed."""
        import dask.array as da
        from dask import delayed

        block = delayed(_block, pure=True)
        parts = [
            da.from_delayed(block(self, a, b), (b - a, len(self.genes)), dtype=np.float32, meta=empty_matrix(0, 0))
            for a, b in self.cuts()
        ]
        return da.concatenate(parts, axis=0)

    def cuts(self) -> list[tuple[int, int]]:
        """Ranges of the selected cells, those of one block of rows together."""
        edges = [a for a, _ in self.rows.blocks()] + [self.rows.n_rows]
        bounds = np.unique(np.searchsorted(self.cells, edges))
        return [(int(a), int(b)) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]

    def block(self, first: int, last: int) -> Any:
        """Selected cells `first` to `last` - 1 as a SciPy CSR matrix."""
        start, stop = int(self.cells[first]), int(self.cells[last - 1]) + 1
        block = self.rows.reader().read(start, stop)
        values = self.transform.apply(block.data, block.indptr, block.indices, start)
        return scipy_block(block, values, self.cells[first:last] - start, self.genes)


def _block(selected: _Selected, first: int, last: int) -> Any:
    return selected.block(first, last)


def _rows(value: Any, kept: npt.NDArray[np.int64]) -> Any:
    """The kept rows of an array, a data frame or a sparse matrix."""
    if isinstance(value, pd.DataFrame):
        return value.iloc[kept]
    value = with_matrices(value)
    return value[kept] if isinstance(value, np.ndarray) else value.tocsr()[kept]
