"""The step `highly_variable_genes`."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from daskgen.cells.batches import groups_of
from daskgen.cells.dispersion import Cutoffs, dispersion_genes, dispersion_genes_of_batches
from daskgen.cells.first_pass import Request, Summary, first_pass
from daskgen.cells.graph import clipped_sums, residual_sums
from daskgen.cells.moments import Moments
from daskgen.cells.opened import Cells, as_cells
from daskgen.cells.ranked_variance import clipped_variance, rank_genes, residual_variance
from daskgen.cells.trend import expected_deviation
from daskgen.cells.view import View, current_view, require_counts, require_logs
from daskgen.errors import UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.kernels.cells_variance import residuals_of_zeros
from daskgen.passes import PassRunner
from daskgen.stores import StoreLike

__all__ = ["FLAVORS", "Groups", "check_flavor", "highly_variable_genes", "moments_request"]

log = logging.getLogger("daskgen.cells")

FLAVORS = ("seurat", "cell_ranger", "seurat_v3", "seurat_v3_paper", "pearson_residuals")
_OF_LOGS = ("seurat", "cell_ranger")
_COLUMNS = (
    "means",
    "dispersions",
    "dispersions_norm",
    "variances",
    "variances_norm",
    "residual_variances",
    "highly_variable",
    "highly_variable_rank",
    "highly_variable_nbatches",
    "highly_variable_intersection",
)


@dataclass(frozen=True, eq=False)
class Groups:
    """Batches of the cells: codes int32 (cells,) or None for one batch of all, and their names."""

    codes: np.ndarray | None
    names: tuple[str, ...] = ("all",)

    @classmethod
    def of(cls, cells: Cells, batch_key: str | None) -> Groups:
        """InputError for a column that is not there or has no value for a cell."""
        if batch_key is None:
            return cls(None)
        codes, names = groups_of(cells, batch_key, "batch_key")
        return cls(codes, tuple(names))


@known_arguments()
def highly_variable_genes(
    cells: StoreLike | Cells,
    *,
    n_top_genes: int | None = None,
    min_disp: float = 0.5,
    max_disp: float = np.inf,
    min_mean: float = 0.0125,
    max_mean: float = 3.0,
    span: float = 0.3,
    n_bins: int = 20,
    flavor: str = "seurat",
    batch_key: str | None = None,
    check_values: bool = True,
    theta: float = 100.0,
    clip: float | None = None,
) -> Cells:
    """Genes that vary more than others of their mean, as `scanpy.pp.highly_variable_genes`, written to var.

    flavor: "seurat" (dispersion of normalised counts; cut-offs, or the first n_top_genes), "cell_ranger" (of their
    logarithms), "seurat_v3" and "seurat_v3_paper" (clipped standardised variance of counts; n_top_genes 2000 unless
    given; span of the loess), "pearson_residuals" (theta; clip, None for sqrt(cells); n_top_genes 1000 unless given).
    min_mean, max_mean, min_disp, max_disp, n_bins: of the first two. batch_key: a column of obs; genes are compared
    within each batch, then over batches. check_values: warn of counts that are not whole where counts are needed.

    var: highly_variable, means, and per flavour dispersions, dispersions_norm (float32) or variances, variances_norm,
    highly_variable_rank, or residual_variances; with batch_key highly_variable_nbatches and (not seurat_v3)
    highly_variable_intersection; uns['hvg']. Genes that filters left out are False and NaN. The sums of an earlier step
    are used where they are kept; seurat_v3 and pearson_residuals read X once more.
    """
    opened = as_cells(cells)
    check_flavor(flavor, n_top_genes)
    cutoffs = Cutoffs(min_mean, max_mean, min_disp, max_disp)
    groups = Groups.of(opened, batch_key)
    view = current_view(opened)
    if flavor in _OF_LOGS:
        require_counts(opened, f"flavor {flavor!r}")
        require_logs(opened, view, f"flavor {flavor!r}")
        if n_top_genes is not None and cutoffs != Cutoffs():
            log.warning("n_top_genes is given, so the cut-offs of mean and dispersion are not used")
        summary = first_pass(opened, moments_request(view, groups, flavor, opened.n_obs))
        moments = summary.moments_of(flavor, view)
        found = _by_dispersion(opened, moments, flavor, n_top_genes, cutoffs, n_bins, batched=batch_key is not None)
    else:
        require_counts(opened, f"flavor {flavor!r}")
        summary = first_pass(opened, Request(groups=groups.codes, n_groups=len(groups.names)))
        if check_values and summary.fractions:
            log.warning("flavor %s expects counts, but X has values that are not whole", flavor)
        if flavor == "pearson_residuals":
            found = _by_residuals(opened, summary, groups, n_top_genes or 1000, theta, clip)
        else:
            found = _by_clipped_variance(opened, summary, groups, n_top_genes or 2000, span, flavor)
    _write(
        opened, found, flavor, batch_key, {"n_top_genes": n_top_genes, "n_bins": n_bins, "span": span, "theta": theta}
    )
    return opened


def check_flavor(flavor: str, n_top_genes: int | None) -> None:
    """UsageError for a flavour that there is not, or a number of genes below 1."""
    if flavor not in FLAVORS:
        raise UsageError(f"there is no flavor {flavor!r}.", expected=", ".join(FLAVORS))
    if n_top_genes is not None and n_top_genes < 1:
        raise UsageError(f"n_top_genes must be 1 or more, it is {n_top_genes}.")


def moments_request(view: View, groups: Groups, flavor: str, n_cells: int) -> Request:
    """The sums that a dispersion needs: of counts times target over total, or divided by given divisors."""
    factors, target = None, 1.0
    if view.divisors is not None and view.target is None:
        factors = 1 / view.divisors
    elif view.divisors is None and flavor == "cell_ranger":
        factors = np.ones(n_cells)
    if flavor == "cell_ranger" and view.target is not None:
        target = view.target
    return Request(
        groups=groups.codes,
        n_groups=len(groups.names),
        scaled=True,
        factors=factors,
        target=target,
        logs=flavor == "cell_ranger",
    )


def _by_dispersion(
    cells: Cells,
    moments: list[Moments],
    flavor: str,
    n_top_genes: int | None,
    cutoffs: Cutoffs,
    n_bins: int,
    *,
    batched: bool,
) -> pd.DataFrame:
    mask = cells.gene_mask
    select: Cutoffs | int = cutoffs
    if n_top_genes is not None:
        select = min(n_top_genes, int(mask.sum()))
        if select < n_top_genes:
            log.warning("n_top_genes = %d is more than the %d genes that count: all may be taken", n_top_genes, select)
    kept = [batch.subset(mask) for batch in moments]
    if batched:
        found = dispersion_genes_of_batches(kept, cells.var_names[mask], flavor, select, n_bins=n_bins)
    else:
        found = dispersion_genes(kept[0], flavor, select, n_bins=n_bins)
    found["dispersions_norm"] = found["dispersions_norm"].astype(np.float32)
    return found


def _by_clipped_variance(
    cells: Cells, summary: Summary, groups: Groups, n_top: int, span: float, flavor: str
) -> pd.DataFrame:
    mask = cells.gene_mask
    batches = summary.moments("counts")
    expected = np.ones((len(batches), cells.n_vars))
    for i, (batch, name) in enumerate(zip(batches, groups.names, strict=True)):
        label = f"batch {name}: " if groups.codes is not None else ""
        expected[i, mask] = expected_deviation(batch.mean[mask], batch.variance[mask], span, label)
    limits = np.stack([b.mean + e * np.sqrt(b.n_cells) for b, e in zip(batches, expected, strict=True)])
    clipped = clipped_sums(PassRunner(), cells.store.rows(), _codes(cells, groups), limits)
    variances = np.stack(
        [clipped_variance(b.n_cells, b.mean, e, c)[mask] for b, e, c in zip(batches, expected, clipped, strict=True)]
    )
    found = rank_genes(variances, _at_most(n_top, int(mask.sum())), batches_first=flavor == "seurat_v3_paper")
    del found["highly_variable_intersection"]
    whole = _all_cells(summary)
    found.insert(1, "means", whole.mean[mask])
    found.insert(2, "variances", whole.variance[mask])
    found["variances_norm"] = variances.mean(axis=0)
    return found


def _by_residuals(
    cells: Cells, summary: Summary, groups: Groups, n_top: int, theta: float, clip: float | None
) -> pd.DataFrame:
    if not theta > 0:
        raise UsageError(f"theta must be positive, it is {theta}.")
    if clip is not None and clip < 0:
        raise UsageError(f"clip must not be negative, it is {clip}.")
    mask = cells.gene_mask
    totals = summary.genes[:, :, 1]
    shares = totals / np.maximum(totals.sum(axis=1, keepdims=True), 1)
    sizes = summary.group_sizes
    clips = np.sqrt(sizes) if clip is None else np.full(len(sizes), float(clip))
    codes = _codes(cells, groups)
    sums = residual_sums(PassRunner(), cells.store.rows(), codes, summary.totals, shares, theta, clips)
    variances = np.zeros((len(sizes), int(mask.sum())))
    for group in range(len(sizes)):
        values, numbers = np.unique(summary.totals[codes == group], return_counts=True)
        sums[group] += residuals_of_zeros(values, numbers.astype(np.float64), shares[group], theta, clips[group])
        variances[group] = residual_variance(int(sizes[group]), sums[group])[mask]
    found = rank_genes(variances, _at_most(n_top, int(mask.sum())), batches_first=True)
    whole = _all_cells(summary)
    found.insert(1, "means", whole.mean[mask])
    found.insert(2, "variances", whole.variance[mask])
    found["residual_variances"] = variances.mean(axis=0)
    return found


def _all_cells(summary: Summary) -> Moments:
    total = summary.genes.sum(axis=0)
    return Moments.of_sums(int(summary.group_sizes.sum()), total[:, 0], total[:, 1], total[:, 2])


def _codes(cells: Cells, groups: Groups) -> np.ndarray:
    mask = cells.cell_mask
    return np.where(mask, 0 if groups.codes is None else groups.codes, -1).astype(np.int32)


def _at_most(n_top: int, n_genes: int) -> int:
    if n_top > n_genes:
        log.warning("n_top_genes = %d is more than the %d genes that count: all are taken", n_top, n_genes)
    return min(n_top, n_genes)


def _write(
    cells: Cells, found: pd.DataFrame, flavor: str, batch_key: str | None, parameters: dict[str, object]
) -> None:
    mask = cells.gene_mask
    columns: dict[str, np.ndarray] = {}
    for name in found.columns:
        if batch_key is None and name in ("highly_variable_nbatches", "highly_variable_intersection"):
            continue
        values = found[name].to_numpy()
        full = (
            np.zeros(len(mask), values.dtype) if values.dtype.kind in "bi" else np.full(len(mask), np.nan, values.dtype)
        )
        full[mask] = values
        columns[name] = full
    log.info("Genes      %s variable (%s)", f"{int(columns['highly_variable'].sum()):,}", flavor)
    with cells.store.writing():
        cells.store.remove(*(f"var/{name}" for name in _COLUMNS if name not in columns))
        cells.store.write_columns("var", columns)
        cells.store.write_uns("hvg", {"flavor": flavor})
        cells.state.record(
            "highly_variable_genes",
            parameters={"flavor": flavor, "batch_key": batch_key, **parameters},
            fields=[*(f"var/{name}" for name in columns), "uns/hvg"],
            depends_on=["filter_cells", "filter_genes", *(("normalize_total", "log1p") if flavor in _OF_LOGS else ())],
        )
        cells.state.save()
