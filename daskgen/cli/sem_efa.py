"""daskgen sem efa: exploratory factor analysis of a genetic covariance structure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.run import Run
from daskgen.cli.sem_fit_output import with_out
from daskgen.cli.table import check_table_path, write_table

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["command"]


@click.command("efa", epilog=example("daskgen sem efa covstruct.zarr --n-factors 2 --cutoff 0.3 --out loadings.tsv"))
@click.argument("covstruct")
@click.option("--n-factors", type=click.IntRange(min=1), required=True, metavar="Q", help="Number of factors.")
@click.option(
    "--rotation",
    type=click.Choice(["promax", "varimax", "none"]),
    default="promax",
    show_default=True,
    help="promax lets the factors correlate.",
)
@click.option(
    "--cutoff",
    type=click.FloatRange(min=0),
    metavar="X",
    help="Also print the model of the loadings above X, for daskgen sem usermodel.",
)
@click.option("--out", metavar="FILE.tsv", help="Write loadings and uniquenesses.")
@settings_options("force")
def command(
    covstruct: str, n_factors: int, rotation: str, cutoff: float | None, out: str | None, settings: Settings
) -> None:
    """Exploratory factor analysis of the genetic correlations of all traits, by maximum likelihood.

    COVSTRUCT is a store of daskgen ldsc or daskgen convert covstruct. Best done on other chromosomes than those that
    the model is fitted to: daskgen ldsc --select odd, and --select even.
    """
    from daskgen.sem import efa, write_model

    with Run("sem efa", with_out(settings, out), computes=False) as run:
        if out is not None:
            check_table_path(out, force=settings.force)
        result = efa(covstruct, n_factors, rotation=rotation)
        table = _table(result)
        for line in ["", *_indented(table), "", *_indented(_between(result)), ""]:
            run.say(line)
        run.summary.update(
            traits=table["trait"].tolist(),
            loadings=result["loadings"].values.tolist(),
            uniqueness=result["uniqueness"].values.tolist(),
            factor_correlation=result["factor_correlation"].values.tolist(),
            df=result.attrs["df"],
        )
        if cutoff is not None:
            run.say(write_model(result, cutoff=cutoff, fix_resid=False))
        if out is not None:
            write_table(table, out)
            run.say(out)


def _table(result: xr.Dataset) -> pd.DataFrame:
    """trait, a column of loadings per factor, uniqueness."""
    table: pd.DataFrame = result["loadings"].to_pandas().rename_axis(columns=None).reset_index()
    table["uniqueness"] = result["uniqueness"].values
    return table


def _between(result: xr.Dataset) -> pd.DataFrame:
    """Correlations of the factors, and what each explains."""
    table: pd.DataFrame = result["factor_correlation"].to_pandas().rename_axis(columns=None).reset_index()
    table["ss_loadings"], table["proportion"] = result["ss_loadings"].values, result["proportion"].values
    return table


def _indented(table: pd.DataFrame) -> list[str]:
    text = table.to_string(index=False, float_format=lambda value: f"{value:.3f}")
    return [f"  {line}" for line in text.splitlines()]
