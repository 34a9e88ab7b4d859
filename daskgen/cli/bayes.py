"""daskgen bayes: posterior of marker effects, breeding values and variances of one trait or several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from daskgen.cli.options import Settings, example, pick_given, selection_options, settings_options
from daskgen.cli.pca import check_store_path, checkpoint_path, remove_checkpoint
from daskgen.cli.reml_options import genotype_sources
from daskgen.cli.run import Run
from daskgen.errors import NotConvergedError, UsageError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from daskgen.bayes import Posterior

__all__ = ["command"]

_METHODS = ["BayesA", "BayesB", "BayesC", "BayesR", "BayesL", "RR-BLUP"]


@click.command("bayes", epilog=example("daskgen bayes --genotypes mice.zarr --pheno bmi.txt --pi 0.95 --out bmi.zarr"))
@click.option(
    "--genotypes",
    required=True,
    multiple=True,
    metavar="[NAME=]STORE",
    help="Genotypes; several stores of the same samples (repeat the option) have a prior each.",
)
@click.option(
    "--phenotypes",
    "--pheno",
    required=True,
    metavar="FILE",
    help="Table with FID IID or IID, and phenotypes; a sample may have several rows.",
)
@click.option("--pheno-name", metavar="NAME,...", help="Column of the phenotype; several are fitted jointly (BayesC).")
@click.option("--covariates", "--covar", metavar="FILE", help="Table of covariates.")
@click.option("--covar-name", metavar="NAME,...", help="Only these columns.")
@click.option("--covar-categorical", metavar="NAME,...", help="Columns that are classes.")
@click.option("--covar-numeric", metavar="NAME,...", help="Columns that are measurements.")
@click.option("--random", metavar="NAME,...", help="Columns that are random effects with independent levels.")
@click.option("--weights", metavar="FILE", help="Table of weights: the residual variance is s2e / weight.")
@click.option("--missing-value", metavar="WORD,...", help="Words that are missing values. Default: NA, NaN, empty.")
@click.option("--id-style", type=click.Choice(["iid", "fid_iid"]), help="fid_iid where the genotypes' ids are FID_IID.")
@click.option(
    "--method",
    type=click.Choice(_METHODS, case_sensitive=False),
    default="BayesC",
    show_default=True,
    help="Prior of the marker effects.",
)
@click.option(
    "--pi",
    metavar="P[,...]",
    default="0",
    show_default=True,
    help="P(effect = 0); BayesR: of each class, with commas; several traits: also of states, 00=0.8,11=0.2.",
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
@click.option(
    "--multi-trait-sampler",
    type=click.Choice(["auto", "I", "II"]),
    default="auto",
    show_default=True,
    help="Several traits: one after the other, or jointly, which excluded states need.",
)
@click.option("--constraint", is_flag=True, help="Several traits: covariances of effects and residuals are zero.")
@click.option(
    "--dosage",
    type=click.Choice(["auto", "yes", "no"]),
    default="auto",
    show_default=True,
    help="Dosages where there are any, required, or hard calls.",
)
@click.option(
    "--blocks", metavar="SIZE", default="auto", show_default=True, help="auto, none, markers of a block, or starts."
)
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
    genotypes: tuple[str, ...],
    phenotypes: str,
    pi: str,
    fixed_pi: bool,
    gamma: str | None,
    blocks: str,
    dosage: str,
    random: str | None,
    window_size: str | None,
    tsv: bool,
    selection: dict[str, Any],
    settings: Settings,
    **options: Any,
) -> None:
    """Sample marker effects: BayesA, BayesB, BayesC, BayesR, BayesL or RR-BLUP; several traits jointly with BayesC.

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
        checkpoint = checkpoint_path(settings)
        posterior = fit(
            genotype_sources(genotypes),
            phenotypes,
            pi=_proportions(pi),
            estimate_pi=not fixed_pi,
            blocks=_blocks(blocks),
            dosage="auto" if dosage == "auto" else dosage == "yes",
            random=None if random is None else random.split(","),
            keep_effects=True if window_size else None,
            seed=settings.seed,
            checkpoint=checkpoint,
            keep_checkpoint=True,  # the store is still to be written
            memory_limit=settings.memory_limit,
            **pick_given({**options, "gamma": None if gamma is None else tuple(_numbers("--gamma", gamma))}),
            **selection,
        )
        for line in result_lines(posterior):
            run.say(line)
        posterior.to_store(settings.out, force=settings.force)
        if tsv:
            write_table(_table(posterior.breeding_values, "sample"), tables["breeding_values"])
            write_table(_table(posterior.marker_effects, "variant"), tables["effects"])
        if window_size:
            write_table(posterior.windows(window_size), tables["windows"])
        remove_checkpoint(checkpoint)
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


def _proportions(text: str) -> Any:
    """A number, a list of them, or a mapping of states."""
    if "=" in text:
        states = [word.partition("=") for word in text.split(",")]
        return {state.strip(): _numbers("--pi", value)[0] for state, _, value in states}
    found = _numbers("--pi", text)
    return found[0] if len(found) == 1 else found


def _table(values: xr.Dataset, dim: str) -> pd.DataFrame:
    """A row per sample or marker; with several traits a column for each, mean_height."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for name in [*values.coords, *values.data_vars]:
        array = values[name]
        if array.dims == (dim,):
            columns[str(name)] = array.values
        elif array.dims == (dim, "trait"):
            columns |= {f"{name}_{t}": array.sel(trait=t).values for t in values["trait"].values.tolist()}
        elif array.dims == (dim, "state"):
            columns |= {f"state_{s}": array.sel(state=s).values for s in values["state"].values.tolist()}
    return pd.DataFrame(columns)


def _blocks(text: str) -> Any:
    if text == "auto":
        return text
    if text.lower() == "none":
        return None
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise UsageError(
            f"--blocks {text!r} is not understood.",
            expected="auto, none, a number of markers, or 0-based starts 0,100,...",
        )
    return int(text) if len(words) == 1 else [int(word) for word in words]


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
