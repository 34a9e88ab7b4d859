"""daskgen ldsc: heritabilities, genetic covariances and correlations from summary statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from daskgen.cli.describe import aligned
from daskgen.cli.options import Settings, example, pick_given, settings_options
from daskgen.cli.pca import check_store_path
from daskgen.cli.run import Run
from daskgen.cli.summary_options import names_of, per_trait
from daskgen.cli.table import p_text

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

__all__ = ["command"]


@click.command("ldsc", epilog=example("daskgen ldsc munged.zarr eur_ld.zarr --out covstruct.zarr"))
@click.argument("munged")
@click.argument("ld_scores")
@click.option("--traits", multiple=True, metavar="NAME,...", help="Only these traits, in this order.")
@click.option(
    "--sample-prev",
    metavar="P,...",
    help="Share of cases in the sample, with --population-prev: for all traits, a list with commas in their order "
    "(NA for quantitative traits), or NAME=P,... Default: what the store says. With effective sample sizes 0.5.",
)
@click.option("--population-prev", metavar="P,...", help="Prevalence in the population, likewise.")
@click.option("--sep-weights", is_flag=True, help="Use the separate weights of the LD scores.")
@click.option("--n-blocks", type=click.IntRange(min=2), default=200, show_default=True, help="Blocks of the jackknife.")
@click.option(
    "--chisq-max",
    type=click.FloatRange(min=0, min_open=True),
    metavar="X",
    help="Leave out variants of a larger chi-square. Default: max(0.001 N, 80).",
)
@click.option("--select", metavar="CONTIGS", help="odd, even, or a list of contigs with commas.")
@settings_options("out", "force", "cluster", "memory_limit", "scratch")
def command(
    munged: str,
    ld_scores: str,
    traits: tuple[str, ...],
    sample_prev: str | None,
    population_prev: str | None,
    sep_weights: bool,
    n_blocks: int,
    chisq_max: float | None,
    select: str | None,
    settings: Settings,
) -> None:
    """LD-score regression of all traits and all pairs of them, as ldsc() of GenomicSEM.

    MUNGED is a store of daskgen convert munge, LD_SCORES one of daskgen convert ld-scores. --out is a store with S, V,
    intercepts and what is printed, for daskgen sem and daskgen export covstruct.
    """
    from daskgen.ldsc import ldsc, to_store

    with Run("ldsc", settings) as run:
        assert settings.out is not None
        check_store_path(settings.out, force=settings.force)
        result = ldsc(
            munged,
            ld_scores,
            sep_weights=sep_weights,
            n_blocks=n_blocks,
            **pick_given(
                {
                    "traits": names_of(traits) or None,
                    "sample_prev": per_trait("sample_prev", sample_prev, number=True),
                    "population_prev": per_trait("population_prev", population_prev, number=True),
                    "chisq_max": chisq_max,
                    "select": _contigs(select),
                }
            ),
        )
        for line in [*heritability_lines(result), *correlation_lines(result)]:
            run.say(line)
        to_store(result, settings.out, force=settings.force)
        factor, export = f"sem commonfactor {settings.out}", f"export covstruct {settings.out} --out covstruct.rds"
        run.say(f"{settings.out}   next: daskgen {factor if result.sizes['trait'] >= 3 else export}")
        run.summary.update(_summary(result))


def _contigs(select: str | None) -> str | list[str] | None:
    if select is None or select.lower() in ("odd", "even"):
        return select
    return [name.strip() for name in select.split(",") if name.strip()]


def heritability_lines(result: xr.Dataset) -> list[str]:
    """A row per trait: h2, intercept, ratio with standard errors, lambda GC, mean chi-square, variants."""
    liability = result["sample_prev"].notnull().values
    rows: list[tuple[str, ...]] = [("", "h2", "intercept", "ratio", "lambda GC", "mean chi2", "variants")]
    for i, trait in enumerate(result["trait"].values.tolist()):
        one = result.isel(trait=i)
        mean_chisq, ratio = float(one["mean_chisq"]), float(one["ratio"])
        if not mean_chisq > 1:
            shown_ratio = "NA (mean chi2 < 1)"
        elif ratio < 0:
            shown_ratio = "< 0 (usually GC correction)"
        else:
            shown_ratio = _with_error(ratio, one["ratio_se"])
        rows.append(
            (
                f"{trait}{'*' if liability[i] else ''}",
                _with_error(one["h2"], one["h2_se"]),
                _with_error(one["intercept"], one["intercept_se"]),
                shown_ratio,
                f"{float(one['lambda_gc']):.4f}",
                f"{mean_chisq:.4f}",
                f"{int(one['n_variants'].values[i]):,}",
            )
        )
    lines = ["", "Heritability", *aligned(rows, "  ")]
    if liability.any():
        scale = "all traits" if liability.all() else "traits with *, of the others on the observed scale"
        lines.append(f"  h2 on the liability scale: {scale}")
    return lines


def correlation_lines(result: xr.Dataset) -> list[str]:
    """A row per pair: rg with standard error, z and p; genetic covariance and cross-trait intercept."""
    names = result["trait"].values.tolist()
    if len(names) == 1:
        return []
    values = {name: result[name].values for name in ("rg", "rg_se", "p", "S", "S_se", "I", "I_se", "n_variants")}
    rows: list[tuple[str, ...]] = [("", "", "rg", "z", "p", "covariance", "intercept", "variants")]
    for j in range(len(names)):
        for i in range(j + 1, len(names)):
            at = {name: value[i, j] for name, value in values.items()}
            defined = at["rg"] == at["rg"]
            rows.append(
                (
                    names[j],
                    names[i],
                    _with_error(at["rg"], at["rg_se"]) if defined else "NA (h2 not positive)",
                    f"{at['rg'] / at['rg_se']:.3g}" if defined else "NA",
                    p_text(at["p"]),
                    _with_error(at["S"], at["S_se"]),
                    _with_error(at["I"], at["I_se"]),
                    f"{int(at['n_variants']):,}",
                )
            )
    return ["", "Genetic correlation", *aligned(rows, "  "), ""]


def _with_error(value: Any, error: Any) -> str:
    return f"{float(value):.4f} ({float(error):.4f})"


def _summary(result: xr.Dataset) -> dict[str, Any]:
    """Numbers for programs; NaN is null."""
    names = ("S", "S_se", "I", "rg", "rg_se", "p", "h2", "h2_se", "intercept", "ratio", "mean_chisq", "lambda_gc")
    return {
        "traits": result["trait"].values.tolist(),
        "m": float(result["m"]),
        "n_blocks": result.attrs["n_blocks"],
        **{name: _plain(result[name].values) for name in names},
    }


def _plain(values: np.ndarray) -> Any:
    if values.ndim:
        return [_plain(value) for value in values]
    return float(values) if values == values else None
