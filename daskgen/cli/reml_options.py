"""Options that the REML commands share: genotypes, phenotypes, covariates, components."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from daskgen.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["for_summary", "genotype_sources", "heritability_lines", "model_options", "table_options", "text_table"]

Command = TypeVar("Command", bound=Callable[..., Any])

_TABLES: Mapping[str, Callable[[Any], Any]] = {
    "genotypes": click.option(
        "--genotypes",
        required=True,
        multiple=True,
        metavar="[NAME=]STORE",
        help="Genotypes; several stores of the same samples (repeat the option) are a component each.",
    ),
    "phenotypes": click.option(
        "--phenotypes",
        "--pheno",
        required=True,
        metavar="FILE",
        help="Table with FID IID (or IID) and phenotypes. Each column is a fit of its own.",
    ),
    "pheno_name": click.option("--pheno-name", metavar="NAME,...", help="Only these phenotypes."),
    "covariates": click.option(
        "--covariates", "--covar", metavar="FILE", help="Table with FID IID (or IID) and covariates."
    ),
    "covar_name": click.option("--covar-name", metavar="NAME,...", help="Only these covariates."),
    "covar_categorical": click.option(
        "--covar-categorical", metavar="NAME,...", help="Covariates that are classes, though they are numbers."
    ),
    "covar_numeric": click.option(
        "--covar-numeric", metavar="NAME,...", help="Covariates that are measurements, though few whole numbers."
    ),
    "missing_value": click.option(
        "--missing-value", metavar="WORD,...", help="Words for missing values. Default: NA, NaN, nan, nothing."
    ),
    "id_style": click.option(
        "--id-style", type=click.Choice(["iid", "fid_iid"]), help="fid_iid where the genotypes' ids are FID_IID."
    ),
    "residual_weights": click.option(
        "--residual-weights", metavar="FILE", help="Table with a weight w per sample: residual variance theta / w."
    ),
}

_MODEL: Mapping[str, Callable[[Any], Any]] = {
    "components": click.option(
        "--components", metavar="SPEC", help="contig: one per contig; or a specification, .json or .npz. Default: one."
    ),
    "scale": click.option(
        "--scale",
        type=click.Choice(["empirical", "hwe"]),
        help="Variance of a SNP: the one observed (default), or 2p(1-p).",
    ),
    "alpha": click.option("--alpha", type=float, metavar="A", help="Scaling (variance)^(A/2). Default: -1."),
    "method": click.option(
        "--method",
        type=click.Choice(["auto", "exact", "stochastic"]),
        help="Dense matrices, or streamed products. Default: auto.",
    ),
    "n_probes": click.option("--n-probes", type=click.IntRange(min=2), metavar="N", help="Probes. Default: auto."),
}


def _adding(options: Mapping[str, Callable[[Any], Any]], argument: str) -> Callable[[Command], Command]:
    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            given = {name: values.pop(name) for name in options}
            return function(**{argument: {k: v for k, v in given.items() if v is not None}}, **values)

        for name in reversed(list(options)):
            options[name](command)
        return command  # type: ignore[return-value]

    return decorate


def table_options(*without: str) -> Callable[[Command], Command]:
    """Genotypes, phenotypes and covariates, but those named; the command receives those given as `tables`."""
    return _adding({name: option for name, option in _TABLES.items() if name not in without}, "tables")


def model_options() -> Callable[[Command], Command]:
    """Components, scaling, method, probes; the command receives those given as `model`."""
    return _adding(_MODEL, "model")


def genotype_sources(given: tuple[str, ...]) -> Any:
    """One store as it is, several as name -> store."""
    if len(given) == 1:
        return given[0]
    named = [text.partition("=") if "=" in text else ("", "", text) for text in given]
    if all(name for name, _, _ in named):
        return {name: path for name, _, path in named}
    if any(name for name, _, _ in named):
        raise UsageError("either all genotypes have a name or none.", found=" ".join(given), do="NAME=STORE for each")
    return list(given)


def heritability_lines(fit: Any) -> list[str]:
    """A line per phenotype and component: variance and h2 with their errors."""
    table = fit.variance_components.copy()
    shares = fit.heritability
    h2 = shares[shares["component"] != "total"]
    rows: list[tuple[str, ...]] = [("phenotype", "component", "variance", "SE", "Monte-Carlo", "h2", "SE", "")]
    several = "phenotype" in table
    for name in fit.phenotypes:
        mine = table[table["phenotype"] == name] if several else table
        parts = h2[h2["phenotype"] == name] if several else h2
        total = shares[(shares["component"] == "total") & ((shares["phenotype"] == name) if several else True)].iloc[0]
        for (_, row), share in zip(mine.iterrows(), [*parts.itertuples(), None], strict=True):
            rows.append(
                (
                    name,
                    row["component"],
                    f"{row['estimate']:.5g}",
                    f"{row['se']:.3g}",
                    f"{row['monte_carlo_se']:.2g}" if row["monte_carlo_se"] else "",
                    "" if share is None else f"{share.h2:.4f}",
                    "" if share is None else f"{share.se:.4f}",
                    "at its bound" if row["at_bound"] else "",
                )
            )
        if len(parts) > 1:
            rows.append((name, "total", "", "", "", f"{total['h2']:.4f}", f"{total['se']:.4f}", ""))
    if not several:
        rows = [row[1:] for row in rows]
    return text_table(rows)


def text_table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows of text in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def for_summary(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table for the JSON summary; NaN is null."""
    return [
        {str(k): (None if isinstance(v, float) and v != v else v) for k, v in row.items()}
        for row in table.to_dict("records")
    ]
