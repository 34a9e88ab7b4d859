"""daskgen reml: variance components and heritability."""

from __future__ import annotations

from typing import Any

import click

from daskgen.cli.options import Settings, example, selection_options, settings_options
from daskgen.cli.pca import check_store_path, checkpoint_path, remove_checkpoint
from daskgen.cli.reml_options import (
    for_summary,
    genotype_sources,
    heritability_lines,
    model_options,
    table_options,
)
from daskgen.cli.run import Run
from daskgen.cli.table import p_text
from daskgen.errors import NotConvergedError

__all__ = ["command"]


@click.command("reml", epilog=example("daskgen reml --genotypes mice.zarr --pheno bmi.txt --covar covar.txt --out bmi"))
@table_options()
@model_options()
@click.option("--tol", type=click.FloatRange(0, 1), metavar="X", help="Change in standard errors at the end.")
@click.option("--no-effects", is_flag=True, help="Leave SNP effects and random effects out of the store.")
@selection_options()
@settings_options("out", "force", "resume", "seed", "cluster", "memory_limit", "scratch")
def command(
    tables: dict[str, Any],
    model: dict[str, Any],
    tol: float | None,
    no_effects: bool,
    selection: dict[str, Any],
    settings: Settings,
) -> None:
    """Variance components and heritability by restricted maximum likelihood, one or many components, at any size.

    Writes OUT.reml.zarr (a store with estimates, random effects and SNP effects) and OUT.hsq for each phenotype, as
    GCTA does. While it runs, OUT.checkpoint keeps the state after passes for --resume.
    """
    from daskgen.reml import fit

    with Run("reml", settings, resumable=True, suffixes=(".reml.zarr",)) as run:
        assert settings.out is not None
        store = f"{settings.out}.reml.zarr"
        check_store_path(store, force=settings.force)
        sources = genotype_sources(tables.pop("genotypes"))
        checkpoint = checkpoint_path(settings)
        options = {**tables, **model, **selection} | ({} if tol is None else {"tol": tol})
        result = fit(
            sources,
            seed=settings.seed,
            checkpoint=checkpoint,
            keep_checkpoint=True,  # effects and files are still to be written
            memory_limit=settings.memory_limit,
            **options,
        )
        for line in ["", *heritability_lines(result), ""]:
            run.say(line)
        for name in result.phenotypes:
            one = result[name]
            lrt = one.lrt.iloc[0]
            before = f"{name}: " if len(result.phenotypes) > 1 else ""
            run.say(
                f"{before}logL {one.log_likelihood:.3f}   LRT {lrt['statistic']:,.2f} on {int(lrt['components'])}, "
                f"p {p_text(lrt['p'])}   {one.reason}"
            )
        result.to_store(store, effects=not no_effects, force=settings.force)
        run.say("   ".join([store, *write_hsq(result, settings.out)]))
        if result.dataset["converged"].values.all():
            remove_checkpoint(checkpoint)
        run.summary.update(
            variance_components=for_summary(result.variance_components),
            heritability=for_summary(result.heritability),
            fixed_effects=for_summary(result.fixed_effects),
            lrt=for_summary(result.lrt),
            converged=bool(result.dataset["converged"].values.all()),
        )
        if not run.summary["converged"]:
            raise NotConvergedError(f"{store} holds estimates that did not converge.", do="more --n-probes, or exact")


def write_hsq(result: Any, out: str) -> list[str]:
    """Write OUT.hsq, or OUT.PHENOTYPE.hsq where there are several; returns their paths."""
    paths = []
    for name in result.phenotypes:
        path = f"{out}.hsq" if len(result.phenotypes) == 1 else f"{out}.{name}.hsq"
        with open(path, "w", encoding="utf-8") as file:
            file.write(result.hsq(name))
        paths.append(path)
    return paths
