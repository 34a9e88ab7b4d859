"""daskgen predict: genetic values from a fit, of its own samples or of other genotypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.reml_options import genotype_sources
from daskgen.cli.run import Run
from daskgen.cli.table import check_table_path, write_table
from daskgen.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["command"]


@click.command("predict", epilog=example("daskgen predict bmi.reml.zarr --genotypes new.zarr --out new.values.tsv"))
@click.argument("result")
@click.option(
    "--genotypes",
    multiple=True,
    metavar="STORE",
    help="Genotypes of other samples; as many stores as the fit had. Default: the samples of the fit's genotypes.",
)
@click.option(
    "--least-share",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    metavar="F",
    help="Share of the variants with an effect that the other genotypes must have.",
)
@settings_options("out", "force", "cluster", "memory_limit", "scratch")
def command(result: str, genotypes: tuple[str, ...], least_share: float, settings: Settings) -> None:
    """Genetic values from a result of daskgen reml or daskgen bayes, as a table.

    Without --genotypes every sample of the fit's genotypes is listed, phenotyped or not, with the error variance of its
    value and the reliability. With --genotypes variants are matched by contig, position and alleles, and the means and
    scale factors are those of the fit's samples; what is not there counts as the mean.
    """
    from daskgen.stores import open_group

    with Run("predict", settings) as run:
        assert settings.out is not None
        check_table_path(settings.out, force=settings.force)
        kind = str(open_group(result).attrs.asdict().get("kind"))
        if kind not in ("reml", "posterior"):
            raise StoreError(f"{result} predicts nothing.", found=kind, expected="a result of daskgen reml or bayes")
        sources = genotype_sources(genotypes) if genotypes else None
        table = (_of_reml if kind == "reml" else _of_posterior)(result, sources, least_share)
        run.say(f"Values     {table['sample_id'].nunique():,} samples")
        write_table(table, settings.out)
        run.say(settings.out)
        run.summary["samples"] = int(table["sample_id"].nunique())


def _of_reml(result: str, sources: Any, least_share: float) -> pd.DataFrame:
    from daskgen.reml import RemlFit

    fit = RemlFit.open(result)
    if sources is not None:
        return _long(fit.predict(sources, least_share=least_share).to_dataset(name="value"))
    effects = fit.random_effects()
    kept = [
        "effect",
        "pev",
        "reliability",
        *(["pev_monte_carlo_se"] if (effects["pev_monte_carlo_se"] > 0).any() else []),
    ]
    found = effects[kept].rename(effect="value")
    if len(fit.components) == 1:
        found = found.isel(component=0, drop=True)
    else:
        import xarray as xr

        # The error variance of a sum is not the sum of the parts'.
        total = found[["value"]].sum("component", skipna=False).expand_dims(component=["total"])
        found = xr.concat([found, total], dim="component")
    return _long(found.assign(phenotyped=effects["phenotyped"].astype(int)))


def _of_posterior(result: str, sources: Any, least_share: float) -> pd.DataFrame:
    from daskgen.bayes import Posterior

    posterior = Posterior.open(result)
    if sources is not None:
        return _long(posterior.predict(sources, min_matched=least_share).to_dataset(name="value"))
    found = posterior.breeding_values.rename(mean="value")
    return _long(found.assign(phenotyped=found["phenotyped"].astype(int)))


def _long(dataset: xr.Dataset) -> pd.DataFrame:
    """A row per sample, after phenotype (trait) and component where there are several."""
    order = [str(dim) for dim in ("phenotype", "trait", "component", "sample") if dim in dataset.dims]
    table = dataset.to_dataframe(dim_order=order).reset_index()
    first = ["sample_id", *order[:-1]]
    return table[first + list(map(str, dataset.data_vars))]
