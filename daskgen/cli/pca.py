"""daskgen pca: principal components of genotypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from daskgen.cli.options import Settings, example, pick_given, selection_options, settings_options
from daskgen.cli.run import Run
from daskgen.errors import InputError, NotConvergedError, StoreError, UsageError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["command"]


@click.command("pca", epilog=example("daskgen pca cohort.zarr --n 10 --out cohort.pca.tsv"))
@click.argument("store")
@click.option("--n", type=click.IntRange(min=1), default=20, show_default=True, help="Number of components.")
@click.option("--project", metavar="STORE", help="Also give the samples of this store scores on the components.")
@click.option(
    "--scale",
    type=click.Choice(["empirical", "hwe"]),
    default="empirical",
    show_default=True,
    help="Variance that SNPs are divided by: the one observed, or 2p(1-p) as in plink2 and GCTA.",
)
@selection_options()
@settings_options("out", "force", "resume", "seed", "cluster", "memory_limit", "scratch")
def command(store: str, n: int, project: str | None, scale: str, selection: dict[str, Any], settings: Settings) -> None:
    """Principal components of genotypes, by passes over the store.

    --out ending in .tsv or .tsv.gz gets a table with one row per sample; any other path a store that also has the
    loadings of the variants. While it runs, OUT.checkpoint keeps the state after each pass for --resume.
    """
    from daskgen.cli.table import check_table_path, component_table, write_table
    from daskgen.genotypes import pca

    with Run("pca", settings, resumable=True) as run:
        assert settings.out is not None
        as_table = settings.out.endswith((".tsv", ".tsv.gz"))
        if as_table:
            if project is not None:
                raise UsageError(
                    "a table has no place for projected scores.", do="give a path ending in .zarr to --out"
                )
            check_table_path(settings.out, force=settings.force)
        else:
            check_store_path(settings.out, force=settings.force)
        checkpoint = checkpoint_path(settings)
        result = pca(
            store,
            n,
            scale=scale,
            seed=settings.seed,
            checkpoint=checkpoint,
            keep_checkpoint=True,
            loadings=not as_table,
            **pick_given({"project": project}),
            **selection,
        )
        for line in variance_lines(result):
            run.say(line)
        if as_table:
            write_table(component_table(result), settings.out)
        else:
            arguments = {"n": n, "scale": scale, "project": project, "seed": settings.seed, **selection}
            write_components(result, store, arguments, settings)
        if result.attrs.get("converged", True):
            remove_checkpoint(checkpoint)
        run.say(settings.out)
        run.summary.update(
            variances=result["variances"].values.tolist(),
            variance_share=result["variance_share"].values.tolist(),
            **{name: value for name, value in result.attrs.items() if isinstance(value, (bool, int, float, str))},
        )
        if not result.attrs.get("converged", True):
            raise NotConvergedError(
                f"{settings.out} holds components that did not converge.", do="see the residuals; try fewer components"
            )


def checkpoint_path(settings: Settings, *more: str) -> str:
    """Where the state is kept between passes; more: endings of further files beside it.

    What lies there from another start is not continued unasked.
    """
    from daskgen.stores.location import Location

    places = [Location.of(f"{settings.out}.checkpoint{ending}") for ending in ("", *more)]
    for place in places:
        if place.exists() and not settings.resume:
            if not settings.force:
                raise InputError(
                    f"{place} is there from an interrupted run.", do="--resume finishes it, --force starts again"
                )
            place.remove_file()
    return places[0].url


def remove_checkpoint(path: str) -> None:
    """When the result is written."""
    from daskgen.stores.location import Location

    Location.of(path).remove_file()


def check_store_path(path: str, *, force: bool) -> None:
    """Refuse, before any work, a store that could not be written because there is one."""
    from daskgen.stores.location import Location

    place = Location.of(path)
    if place.exists() and not place.is_empty_folder() and not force:
        raise StoreError(f"{path} exists.", do="choose another path, or --force to replace it")


def variance_lines(result: xr.Dataset) -> list[str]:
    """Eigenvalues and the share of the trace that they explain."""
    shown = min(5, result.sizes["component"])
    variances, shares = result["variances"].values[:shown], result["variance_share"].values[:shown]
    more = " ..." if result.sizes["component"] > shown else ""
    return [
        "Variances  " + "  ".join(f"{value:.4g}" for value in variances) + more,
        "Share      " + "  ".join(f"{100 * value:.2f} %" for value in shares) + more,
    ]


def write_components(result: xr.Dataset, store: str, arguments: dict[str, Any], settings: Settings) -> None:
    """Write the result as a store of kind "pca"."""
    from daskgen.stores import RunKey, open_group, write_result

    assert settings.out is not None
    run_key = RunKey("pca", arguments, [open_group(store, "genotypes").attrs["store_id"]])
    provenance = {"sources": [{"name": store}], "arguments": run_key.as_dict()["arguments"]}
    write_result(settings.out, result, kind="pca", run=run_key, provenance=provenance, force=settings.force)
