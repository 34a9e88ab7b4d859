"""daskgen bayes: posterior of marker effects, breeding values and variances of one trait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from daskgen.cli.options import Settings, example, pick_given, selection_options, settings_options
from daskgen.cli.pca import check_store_path, checkpoint_path
from daskgen.cli.run import Run
from daskgen.errors import NotConvergedError, UsageError

if TYPE_CHECKING:
    from daskgen.bayes import Posterior

__all__ = ["command"]

_METHODS = ["BayesA", "BayesB", "BayesC", "BayesR", "BayesL", "RR-BLUP"]


@click.command("bayes", epilog=example("daskgen bayes --genotypes mice.zarr --pheno bmi.txt --pi 0.95 --out bmi.zarr"))
@click.option("--genotypes", required=True, metavar="STORE", help="Genotypes, a store or files opened in place.")
@click.option("--pheno", "phenotypes", required=True, metavar="FILE", help="Table with FID IID or IID, and phenotypes.")
@click.option("--pheno-name", metavar="NAME", help="Column of the phenotype.")
@click.option("--covar", "covariates", metavar="FILE", help="Table of covariates.")
@click.option("--covar-name", metavar="NAME,...", help="Only these columns.")
@click.option("--covar-categorical", metavar="NAME,...", help="Columns that are classes.")
@click.option("--covar-numeric", metavar="NAME,...", help="Columns that are measurements.")
@click.option("--random", metavar="NAME,...", help="Columns that are random effects with independent levels.")
@click.option("--weights", metavar="FILE", help="Table of weights: the residual variance is s2e / weight.")
@click.option("--missing-value", metavar="WORD,...", help="Words that are missing values. Default: NA, NaN, empty.")
@click.option(
    "--method",
    type=click.Choice(_METHODS, case_sensitive=False),
    default="BayesC",
    show_default=True,
    help="Prior of the marker effects.",
)
@click.option(
    "--pi", metavar="P[,...]", default="0", show_default=True, help="P(effect = 0); BayesR: of each class, with commas."
)
@click.option("--fixed-pi", is_flag=True, help="Hold pi at what --pi says.")
@click.option("--gamma", metavar="G,...", help="Variances of the classes of BayesR. Default: 0,0.01,0.1,1.")
@click.option(
    "--chain-length", type=click.IntRange(min=1), default=2_000, show_default=True, help="Iterations of each chain."
)
@click.option(
    "--burn-in", type=click.IntRange(min=0), default=500, show_default=True, help="First iterations that are left out."
)
@click.option("--thin", type=click.IntRange(min=1), default=1, show_default=True, help="Keep every which iteration.")
@click.option("--chains", type=click.IntRange(min=1), default=4, show_default=True, help="Number of chains.")
@click.option("--blocks", metavar="SIZE", default="auto", show_default=True, help="auto, none, or markers of a block.")
@click.option(
    "--schedule",
    type=click.Choice(["exact", "jwas", "independent"]),
    default="exact",
    show_default=True,
    help="Full sweeps; repeats inside blocks as JWAS has them; blocks on a frozen residual (an approximation).",
)
@click.option("--windows", "window_size", metavar="SIZE", help="Also the variance of windows: 1Mb, 500kb, 20snp.")
@click.option("--tsv", is_flag=True, help="Also OUT.breeding_values.tsv and OUT.effects.tsv.")
@selection_options()
@settings_options("out", "force", "resume", "seed", "memory_limit", "scratch")
def command(
    genotypes: str,
    phenotypes: str,
    pi: str,
    fixed_pi: bool,
    gamma: str | None,
    blocks: str,
    random: str | None,
    window_size: str | None,
    tsv: bool,
    selection: dict[str, Any],
    settings: Settings,
    **options: Any,
) -> None:
    """Sample marker effects: BayesA, BayesB, BayesC, BayesR, BayesL or RR-BLUP.

    --out is a store with effects, breeding values of every sample of the genotypes, and draws. While it runs,
    OUT.checkpoint keeps the chains for --resume. Quantities that did not converge are named, and the exit code is 4.
    """
    from daskgen.bayes import fit
    from daskgen.cli.table import check_table_path, write_table

    with Run("bayes", settings, resumable=True) as run:
        assert settings.out is not None
        check_store_path(settings.out, force=settings.force)
        tables = {
            name: f"{settings.out}.{name}.tsv"
            for name, wanted in (("breeding_values", tsv), ("effects", tsv), ("windows", bool(window_size)))
            if wanted
        }
        for path in tables.values():
            check_table_path(path, force=settings.force)
        proportions = _numbers("--pi", pi)
        posterior = fit(
            genotypes,
            phenotypes,
            pi=proportions[0] if len(proportions) == 1 else proportions,
            estimate_pi=not fixed_pi,
            blocks=_blocks(blocks),
            random=None if random is None else random.split(","),
            keep_effects=True if window_size else None,
            seed=settings.seed,
            checkpoint=checkpoint_path(settings),
            memory_limit=settings.memory_limit,
            **pick_given({**options, "gamma": None if gamma is None else tuple(_numbers("--gamma", gamma))}),
            **selection,
        )
        for line in result_lines(posterior):
            run.say(line)
        posterior.to_store(settings.out, force=settings.force)
        if tsv:
            write_table(posterior.breeding_values.to_dataframe().reset_index(drop=True), tables["breeding_values"])
            effects = posterior.marker_effects
            columns = [name for name in effects if effects[name].dims == ("variant",)]
            write_table(effects[columns].to_dataframe().reset_index(drop=True), tables["effects"])
        if window_size:
            write_table(posterior.windows(window_size), tables["windows"])
        run.say("   ".join([settings.out, *tables.values()]))
        run.summary.update(posterior.summary())
        if not posterior.converged:
            raise NotConvergedError(
                f"{settings.out} holds quantities that did not converge: {', '.join(posterior.not_converged())}.",
                do="a larger --chain-length; breeding values converge before the proportions do",
            )


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a number, or numbers with commas.") from None


def _blocks(text: str) -> Any:
    if text == "auto":
        return text
    if text.lower() == "none":
        return None
    if not text.isdecimal():
        raise UsageError(f"--blocks {text!r} is not understood.", expected="auto, none, or a number of markers")
    return int(text)


def result_lines(posterior: Posterior) -> list[str]:
    """A row per traced quantity."""
    table = posterior.diagnostics()
    rows = [("", "mean", "SD", "MC error", "ESS bulk", "ESS tail", "R-hat")]
    for name, row in table.iterrows():
        if not row["sd"] > 0:
            continue
        rows.append(
            (
                str(name),
                f"{row['mean']:.4g}",
                f"{row['sd']:.3g}",
                f"{row['mcse']:.2g}",
                f"{row['ess_bulk']:,.0f}",
                f"{row['ess_tail']:,.0f}",
                f"{row['r_hat']:.3f}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["", *("  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows), ""]
