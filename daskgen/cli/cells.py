"""daskgen cells: single-cell counts from quality control to components and gene sets, in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from daskgen.cli.options import Settings, example, pick_given, settings_options
from daskgen.cli.run import Run

if TYPE_CHECKING:
    from daskgen.cells import Cells

__all__ = ["command"]


@click.command("cells", epilog=example("daskgen cells pbmc.zarr --min-genes 200 --min-cells 3 --gene-sets markers.gmt"))
@click.argument("store")
@click.option("--min-genes", type=click.IntRange(min=0), metavar="N", help="Least genes with a count of a cell.")
@click.option("--max-genes", type=click.IntRange(min=0), metavar="N", help="Most genes with a count of a cell.")
@click.option("--min-counts", type=float, metavar="X", help="Least counts of a cell.")
@click.option("--max-counts", type=float, metavar="X", help="Most counts of a cell.")
@click.option("--max-pct-mt", type=click.FloatRange(0, 100), metavar="P", help="Most mitochondrial counts, per cent.")
@click.option("--min-cells", type=click.IntRange(min=0), metavar="N", help="Least cells that have a gene.")
@click.option("--qc-vars", default="mt", show_default=True, metavar="NAME,...", help="Gene masks: columns of var.")
@click.option(
    "--percent-top",
    default="50,100,200,500",
    show_default=True,
    metavar="N,...",
    help="Shares of the N largest counts.",
)
@click.option(
    "--target-sum",
    default="10000",
    show_default=True,
    metavar="X",
    help="Counts of a cell after normalisation, or median.",
)
@click.option("--exclude-highly-expressed", is_flag=True, help="Leave genes above 5 % of a cell out of its total.")
@click.option("--n-top-genes", default="2000", show_default=True, metavar="N", help="Variable genes, or cutoffs.")
@click.option(
    "--flavor",
    type=click.Choice(["seurat", "cell_ranger", "seurat_v3", "seurat_v3_paper", "pearson_residuals"]),
    default="seurat",
    show_default=True,
    help="How variable genes are found.",
)
@click.option("--batch-key", metavar="COLUMN", help="Column of obs within whose groups genes are compared.")
@click.option("--scale", is_flag=True, help="Give all genes variance 1 before components are taken.")
@click.option("--max-value", type=float, metavar="X", help="With --scale: clip at it.")
@click.option("--n-comps", type=click.IntRange(min=1), default=50, show_default=True, help="Components.")
@click.option("--svd-solver", type=click.Choice(["covariance_eigh", "randomized"]), help="Default: by number of genes.")
@click.option("--gene-sets", metavar="FILE", help="A .gmt file or a table of sets and genes: scored in every cell.")
@click.option(
    "--n-up", type=click.IntRange(min=1), metavar="N", help="Largest counts that are drawn. Default: 5 % of genes."
)
@click.option("--tmin", type=click.IntRange(min=1), default=1, show_default=True, help="Least genes of a set here.")
@click.option("--random-state", type=int, default=0, show_default=True, help="Seed of the randomized solver.")
@settings_options("resume", "cluster", "memory_limit", "scratch")
def command(
    store: str,
    qc_vars: str,
    percent_top: str,
    target_sum: str,
    n_top_genes: str,
    settings: Settings,
    **options: Any,
) -> None:
    """Quality control, filters, normalisation, variable genes, components and gene sets of the cells in STORE.

    STORE is an AnnData Zarr store, of daskgen convert cells or of scanpy. Results go into it under scanpy's names; X
    keeps its counts. The counts are read twice, and once more for filters of cells and of genes each.
    """
    from daskgen.cells import pipeline

    with Run("cells", settings, resumable=True) as run:
        cells = pipeline(
            store,
            qc_vars=[name.strip() for name in qc_vars.split(",") if name.strip()],
            percent_top=_whole_numbers("--percent-top", percent_top),
            target_sum=None if target_sum == "median" else _number("--target-sum", target_sum),
            n_top_genes=None if n_top_genes == "cutoffs" else int(_number("--n-top-genes", n_top_genes)),
            resume=settings.resume,
            memory_limit=settings.memory_limit,
            **pick_given(options),
        )
        for line in _lines(cells, store):
            run.say(line)
        run.summary.update(_summary(cells))


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number.", param_hint=option) from None


def _whole_numbers(option: str, text: str) -> list[int]:
    return [int(_number(option, part)) for part in text.split(",") if part.strip()]


def _lines(cells: Cells, store: str) -> list[str]:
    """What was found, on one screen."""
    about, genes = cells.uns("pca"), cells.store.column("var", "highly_variable")
    ratio = about["variance_ratio"]
    lines = [
        f"Used       {int(cells.cell_mask.sum()):,} of {cells.n_obs:,} cells, "
        f"{int(cells.gene_mask.sum()):,} of {cells.n_vars:,} genes",
        f"Components {len(ratio)} of {int(genes.sum()):,} genes: {100 * ratio.sum():.1f} % of their variance; "
        f"the first {', '.join(f'{100 * share:.1f}' for share in ratio[:5])} %",
    ]
    sets = cells.uns("ora")
    if sets is not None and "ora" in cells.state.steps and not cells.state.steps["ora"].stale:
        names = sets["set_names"]
        lines.append(f"Gene sets  {len(names):,}: obsm/ora_estimate, ora_pvals, ora_padj, ora_overlap")
    lines.append(f"{store}   next: daskgen plot cell-quality {store} --out quality.png, or anndata.read_zarr")
    return lines


def _summary(cells: Cells) -> dict[str, Any]:
    about = cells.uns("pca")
    return {
        "store": cells.path,
        "n_cells": int(cells.cell_mask.sum()),
        "n_genes": int(cells.gene_mask.sum()),
        "n_variable": int(cells.store.column("var", "highly_variable").sum()),
        "variance": about["variance"].tolist(),
        "variance_ratio": about["variance_ratio"].tolist(),
        "steps": list(cells.state.steps),
    }
