"""`Cells`: an AnnData store that is analysed in place."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from daskgen.cells.describing import cells_lines
from daskgen.cells.state import State
from daskgen.inputs.arguments import known_arguments
from daskgen.stores.anndata import AnnDataStore
from daskgen.stores.location import StoreLike

if TYPE_CHECKING:
    import anndata

__all__ = ["Cells", "as_cells", "open"]

KEEP = "daskgen_keep"
"""Column of obs and var that says which cells and genes the filters kept."""


class Cells:
    """An AnnData store and the record of what was done with it; made by `daskgen.cells.open`.

    Nothing of X is in memory. Steps (`daskgen.cells.normalize_total` and the others) take it or the path of the store
    and write their results into the store. obs, var: data frames as they are on disk now.
    """

    def __init__(self, store: AnnDataStore):
        self.store = store
        self.state = State.load(store)

    @property
    def path(self) -> str:
        return self.store.url

    def __fspath__(self) -> str:
        return self.store.url

    @property
    def n_obs(self) -> int:
        """Cells in the store, those that filters left out included."""
        return self.store.n_cells

    @property
    def n_vars(self) -> int:
        """Genes in the store, those that filters left out included."""
        return self.store.n_genes

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_obs, self.n_vars

    @property
    def obs_names(self) -> np.ndarray:
        return self.store.obs_names

    @property
    def var_names(self) -> np.ndarray:
        return self.store.var_names

    @property
    def obs(self) -> pd.DataFrame:
        """Table of the cells."""
        return self.store.frame("obs")

    @property
    def var(self) -> pd.DataFrame:
        """Table of the genes."""
        return self.store.frame("var")

    @property
    def cell_mask(self) -> npt.NDArray[np.bool_]:
        """Which cells the filters kept, bool (cells,)."""
        return self._mask("obs", self.n_obs)

    @property
    def gene_mask(self) -> npt.NDArray[np.bool_]:
        """Which genes the filters kept, bool (genes,)."""
        return self._mask("var", self.n_vars)

    def _mask(self, frame: str, n: int) -> npt.NDArray[np.bool_]:
        if KEEP not in self.store.columns(frame):
            return np.ones(n, bool)
        return np.asarray(self.store.column(frame, KEEP)).astype(bool)

    def to_anndata(
        self,
        X: Literal["log1p", "counts"] | None = "log1p",
        genes: str | Sequence[str] | npt.NDArray[np.bool_] | None = None,
        lazy: bool = False,
    ) -> anndata.AnnData:
        """The kept cells and genes as an AnnData object, for scanpy and others.

        X: "log1p", log values of normalised counts as the steps recorded them (`uns['log1p']` is set); "counts"; None:
        tables and embeddings alone. genes: None (all that are kept), "highly_variable" or another column of var with
        True and False, names, or a mask over the genes of the store. lazy: X as a Dask array of sparse blocks instead
        of in memory. X is float32, sparse by cells. obs, var, obsm, varm, obsp and uns come along; layers don't.

        Raises UsageError where log values are asked for and the steps are not done, PlanError where X would not fit
        into memory, MissingPackageError without the package anndata. Stale results are named in a warning.
        """
        from daskgen.cells.anndata_view import to_anndata

        return to_anndata(self, X, genes, lazy)

    def materialize(self, layer: Literal["log1p", "normalized"] = "log1p", into: str | None = None) -> Cells:
        """Write values that are so far only recorded into the store, for tools that read them from there.

        layer: "log1p" (then `uns['log1p']` is set) or "normalized"; into: "layers/NAME", by default the layer of the
        same name, or "X": then the counts become the layer "counts". All cells and genes are written, whether the
        filters kept them or not; float32. A run that is cut is done again from the beginning; the store stays valid.

        Raises UsageError where the steps that make the values are not done.
        """
        from daskgen.cells.materialising import materialize

        return materialize(self, layer, into)

    def write(self, path: StoreLike, *, force: bool = False, resume: bool = False) -> Cells:
        """Write the kept cells and genes to a new store and open it: X, obs, var, obsm, varm and uns, with the
        record of the steps. Layers and obsp are left out.

        force: replace a store that daskgen made; resume: go on with an interrupted copy. Raises StoreError for what
        lies at `path`, InputError where the filters kept nothing.
        """
        from daskgen.cells.filtered_copy import write_filtered

        return write_filtered(self, path, force, resume)

    def __repr__(self) -> str:
        return "\n".join(cells_lines(self.store))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"

    def uns(self, name: str) -> Any:
        """An unstructured element; None where there is none."""
        return self.store.uns(name)


@known_arguments()
def open(path: StoreLike | Cells) -> Cells:
    """Open an AnnData store (Zarr format 2 or 3, made by daskgen, scanpy or anndata) to work on it in place.

    Raises StoreError where none lies at `path`; an .h5ad file is converted first (`daskgen.convert.cells`).
    """
    return path if isinstance(path, Cells) else Cells(AnnDataStore.open(os.fspath(path), "a"))


def as_cells(cells: StoreLike | Cells) -> Cells:
    """The argument of a step, opened where it is a path."""
    return open(cells)
