"""`.dg`: what can be done with a result that has a row per variant, on the Dataset itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

from daskgen.errors import UsageError
from daskgen.gwas import summaries, tables
from daskgen.gwas.storing import to_store
from daskgen.stores import StoreLike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["GwasAccessor"]


@xr.register_dataset_accessor("dg")
class GwasAccessor:
    """Methods of results per variant: SEM fits and association scans, lazy or opened from a store.

    `parameter` is a label such as "F1~SNP" (or the name of a trait of a scan); it may be left out where there is one.
    """

    def __init__(self, dataset: xr.Dataset):
        self._dataset = dataset

    def to_store(self, path: StoreLike, *, force: bool = False, resume: bool = False) -> str:
        """Compute the result and write it as a store, chunk by chunk; returns its place.

        force: replace a store that daskgen made; resume: continue an interrupted run of the same call.
        """
        return to_store(self._dataset, path, force=force, resume=resume)

    def table(self, parameter: str | None = None) -> pd.DataFrame:
        """The result as a DataFrame, with z, p, -log10 p and the p values of chi-squares (`tables.result_table`)."""
        return tables.result_table(self._dataset, parameter)

    def top(self, parameter: str | None = None, p: float = 5e-8) -> pd.DataFrame:
        """The variants with a p value of at most `p`, smallest first; the whole is never in memory."""
        return summaries.top(self._dataset, parameter, p=p)

    def lambda_gc(self, parameter: str | None = None) -> float:
        """Genomic control factor: median of z^2 over that of chi-square with one degree of freedom."""
        return summaries.lambda_gc(self._dataset, parameter)

    def manhattan(
        self,
        parameter: str | None = None,
        *,
        title: str | None = None,
        save: str | os.PathLike[str] | None = None,
        force: bool = False,
    ) -> Figure:
        """Manhattan plot (`daskgen.plotting.manhattan`)."""
        from daskgen.plotting import manhattan

        return manhattan(self._dataset, parameter, title=title, save=save, force=force)

    def qq(
        self,
        parameter: str | None = None,
        *,
        title: str | None = None,
        save: str | os.PathLike[str] | None = None,
        force: bool = False,
    ) -> Figure:
        """Quantile-quantile plot of the p values (`daskgen.plotting.qq`)."""
        from daskgen.plotting import qq

        return qq(self._dataset, parameter, title=title, save=save, force=force)

    def to_tsv(
        self,
        path: str | os.PathLike[str],
        *,
        layout: str | None = None,
        parameter: str | None = None,
        force: bool = False,
    ) -> str:
        """Write the table of another tool, compressed if `path` ends in .gz; returns the path.

        layout: "genomicsem", the columns of R's userGWAS or commonfactorGWAS (default for results of SEM); "plink2",
        those of --glm (default for association scans); "gcta", those of --mlma. parameter: which trait of several, for
        the latter two.
        """
        # polars takes a tenth of a second to import
        from daskgen.gwas.association_tsv import LAYOUTS, write_association
        from daskgen.gwas.genomicsem_tsv import write_genomicsem

        scan = "beta" in self._dataset.variables and "n_called" in self._dataset.variables
        layout = layout or ("plink2" if scan else "genomicsem")
        if layout in LAYOUTS:
            return write_association(self._dataset, path, layout=layout, parameter=parameter, force=force)
        if layout != "genomicsem":
            raise UsageError(f"layout = {layout!r} is not possible.", expected=", ".join(["genomicsem", *LAYOUTS]))
        if scan:
            raise UsageError(
                'layout = "genomicsem" is for results of SEM.', expected=f"{', '.join(LAYOUTS)} for a scan"
            )
        return write_genomicsem(self._dataset, path, force=force)
