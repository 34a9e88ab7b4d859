"""The steps `scale` and `pca`."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from daskgen import config
from daskgen.cells.columns_graph import ColumnPasses
from daskgen.cells.components import Components, components_by_products, components_of_gram
from daskgen.cells.first_pass import first_pass
from daskgen.cells.memory import check_plan
from daskgen.cells.opened import Cells, as_cells
from daskgen.cells.state import LOG_VALUES
from daskgen.cells.steps_variable import Groups, moments_request
from daskgen.cells.taken_out import IN_MEMORY
from daskgen.cells.transform import Scaling, Transform
from daskgen.cells.view import View, current_view, require_counts, require_logs
from daskgen.errors import InputError, UsageError, examples
from daskgen.inputs.arguments import known_arguments
from daskgen.passes import PassRunner
from daskgen.stores import StoreLike

__all__ = ["check_components", "pca", "scale"]

log = logging.getLogger("daskgen.cells")

_EXACT = (None, "auto", "arpack", "covariance_eigh", "full")
_MOST_EXACT = 5000  # genes whose Gram matrix is made: 100 MB a leaf and four times as much at the end


@known_arguments()
def scale(cells: StoreLike | Cells, *, zero_center: bool = True, max_value: float | None = None) -> Cells:
    """Subtract the mean of each gene and divide by its standard deviation, as `scanpy.pp.scale`.

    zero_center: whether the mean is subtracted; max_value: scaled values are clipped at it (and at its negative,
    where they are centred). var: mean and std (N - 1) of the logarithms over the cells that count; 1 where a gene
    does not vary. The step is recorded: nothing is made dense, `pca` scales the values that it reads.
    """
    opened = as_cells(cells)
    require_counts(opened, "scale")
    view = current_view(opened)
    require_logs(opened, view, "scale")
    if max_value is not None and not max_value > 0:
        raise UsageError(f"max_value must be positive, it is {max_value}.")
    summary = first_pass(opened, moments_request(view, Groups(None), "cell_ranger", opened.n_obs))
    moments = summary.moments_of("cell_ranger", view)[0]
    deviation = np.sqrt(moments.variance)
    deviation[deviation == 0] = 1.0
    with opened.store.writing():
        opened.store.write_columns("var", {"mean": moments.mean, "std": deviation})
        opened.state.record(
            "scale",
            parameters={"zero_center": zero_center, "max_value": max_value},
            fields=["var/mean", "var/std"],
            depends_on=["filter_cells", "filter_genes", "normalize_total", "log1p"],
        )
        opened.state.save()
    return opened


@known_arguments()
def pca(
    cells: StoreLike | Cells,
    n_comps: int | None = None,
    *,
    zero_center: bool = True,
    svd_solver: str | None = None,
    mask_var: npt.ArrayLike | str | None = "auto",
    random_state: int = 0,
    dtype: str = "float32",
    key_added: str | None = None,
    memory_limit: int | str | None = None,
) -> Cells:
    """Principal components of the cells, as `scanpy.pp.pca`.

    n_comps: None for 50, or one less than cells or genes where that is less. zero_center: False for a truncated SVD.
    svd_solver: None or "covariance_eigh" is exact: the covariance matrix over the cells, in two passes ("arpack" and
    "full" mean the same here); "randomized" is a block Krylov iteration, a pass a step, for so many genes that the
    matrix does not fit; None takes it above 5,000 genes. mask_var: a boolean column of var, a mask of genes, None for
    all genes, "auto": highly_variable where that is there. random_state: of "randomized". key_added: name in obsm, varm
    and uns; None for X_pca, PCs and pca.

    obsm['X_pca'] (NaN for cells that filters left out), varm['PCs'] (0 outside the mask), uns['pca'] with params,
    variance (N - 1) and variance_ratio. The loading of largest size of each component is positive. Values are those
    that normalize_total, log1p and scale have recorded; they are centred without being made dense.
    """
    opened = as_cells(cells)
    if svd_solver not in (*_EXACT, "randomized"):
        raise UsageError(f"there is no svd_solver {svd_solver!r}.", expected="covariance_eigh, randomized, or None")
    mask, name = _chosen_genes(opened, mask_var)
    chosen = np.flatnonzero(mask)
    kept = opened.cell_mask
    n_cells = int(kept.sum())
    n_comps = min(50, len(chosen) - 1, n_cells - 1) if n_comps is None else int(n_comps)
    check_components(n_comps, n_cells, len(chosen))
    exact = svd_solver != "randomized" and not (svd_solver in (None, "auto") and len(chosen) > _MOST_EXACT)
    view = current_view(opened)
    transform = _transform(opened, view, chosen)
    runner = PassRunner()
    width = n_comps + 10
    per_thread = (
        {f"Gram matrix of {len(chosen):,} genes": 16 * len(chosen) ** 2}
        if exact
        else {f"products of {len(chosen):,} genes": 40 * len(chosen) * width}
    )
    once = {"values of the chosen genes": IN_MEMORY}
    once |= {"their sum": 24 * len(chosen) ** 2} if exact else {"basis": 16 * 10 * width * len(chosen)}
    check_plan(opened, runner, per_thread, memory_limit, once=once)
    keys = ("X_pca", "PCs", "pca") if key_added is None else (key_added,) * 3
    with tempfile.TemporaryDirectory(prefix="daskgen-cells-", dir=config.get("scratch")) as scratch:
        in_process = runner.executor().in_process
        passes = ColumnPasses(opened.store.rows(), chosen, transform, kept, scratch, in_process=in_process)
        found = _components(passes, runner, n_cells, n_comps, exact=exact, centre=zero_center, seed=random_state)
        with opened.store.writing():
            target = opened.store.matrix_target("obsm", keys[0], (opened.n_obs, n_comps), np.dtype(dtype))
            passes.scores(runner, found.loadings, found.shift, target)
            opened.store.publish(target)
            loadings = np.zeros((opened.n_vars, n_comps))
            loadings[chosen] = found.loadings
            opened.store.write_matrix("varm", keys[1], loadings)
            about = {"zero_center": zero_center, "use_highly_variable": name == "highly_variable", "mask_var": name}
            opened.store.write_uns(
                keys[2], {"params": about, "variance": found.variance, "variance_ratio": found.variance_ratio}
            )
            step = "pca" if key_added is None else f"pca:{key_added}"
            opened.state.record(
                step,
                parameters={**about, "n_comps": n_comps, "svd_solver": "covariance_eigh" if exact else "randomized"},
                fields=[f"obsm/{keys[0]}", f"varm/{keys[1]}", f"uns/{keys[2]}"],
                depends_on=[
                    "filter_cells",
                    "filter_genes",
                    "normalize_total",
                    "log1p",
                    "scale",
                    "highly_variable_genes",
                ],
            )
            opened.state.save()
    return opened


def _components(
    passes: ColumnPasses, runner: PassRunner, n_cells: int, k: int, *, exact: bool, centre: bool, seed: int
) -> Components:
    if exact:
        gram, total = passes.gram(runner)
        found = components_of_gram(gram, total, n_cells, k, centre=centre)
    else:
        total, squares = passes.sums(runner)
        found = components_by_products(
            lambda vectors: passes.products(runner, vectors), squares, total, n_cells, k, centre=centre, seed=seed
        )
    if not np.isfinite(found.variance_ratio).all():
        raise InputError("the chosen genes do not vary over the cells, so there are no components.")
    return found


def check_components(n_comps: int, n_cells: int, n_genes: int) -> None:
    """UsageError for more components than so many cells and genes have."""
    most = min(n_cells, n_genes) - 1
    if not 1 <= n_comps <= most:
        raise UsageError(
            f"n_comps = {n_comps} components cannot be had.",
            found=f"{n_cells:,} cells, {n_genes:,} genes",
            expected=f"1 to {most}",
        )


def _chosen_genes(cells: Cells, mask_var: npt.ArrayLike | str | None) -> tuple[np.ndarray, str | None]:
    """Bool (genes,) and what uns says about it."""
    counted = cells.gene_mask
    have = cells.store.columns("var")
    if isinstance(mask_var, str):
        if mask_var == "auto":
            mask_var = "highly_variable" if "highly_variable" in have else None
        elif mask_var not in have:
            raise InputError(f"mask_var: var has no column {mask_var!r}.", found=examples(have, 10))
    if mask_var is None:
        return counted, None
    name = mask_var if isinstance(mask_var, str) else "mask"
    mask = np.asarray(cells.store.column("var", mask_var) if isinstance(mask_var, str) else mask_var)
    if mask.dtype != bool or mask.shape != counted.shape:
        raise UsageError("mask_var is not a mask of genes.", found=f"{mask.dtype} of shape {mask.shape}")
    if not (mask & counted).any():
        raise UsageError("mask_var leaves no gene.", found=f"{int(mask.sum())} genes, of which no filter kept any")
    return mask & counted, name


def _transform(cells: Cells, view: View, chosen: np.ndarray) -> Transform:
    transform = view.transform
    if cells.state.x_holds != LOG_VALUES and not view.log:
        log.warning("components of counts that are not in logarithms: normalize_total and log1p were not run")
    scaled = cells.state.steps.get("scale")
    if scaled is None:
        return transform
    if scaled.stale:
        log.warning("scale was done before the steps before it were changed: run it again")
    mean, deviation = (np.asarray(cells.store.column("var", name), np.float64)[chosen] for name in ("mean", "std"))
    about: dict[str, Any] = scaled.parameters
    return replace(transform, scaling=Scaling(mean, deviation, about["max_value"], about["zero_center"]))
