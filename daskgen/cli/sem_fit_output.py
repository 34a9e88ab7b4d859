"""What `daskgen sem usermodel` and `commonfactor` print and write."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import TYPE_CHECKING, Any

import click

from daskgen.cli.options import Settings
from daskgen.cli.pca import check_store_path
from daskgen.cli.run import Run
from daskgen.cli.table import check_table_path, write_table
from daskgen.errors import NotConvergedError

if TYPE_CHECKING:
    import pandas as pd

    from daskgen.sem import Fit

__all__ = ["check_destinations", "diagram_option", "model_text", "out_option", "show_fit", "with_out"]

_TABLES = (".tsv", ".txt", ".tsv.gz", ".txt.gz")

diagram_option = click.option("--diagram", metavar="FILE.svg", help="Draw the model with its standardised estimates.")
out_option = click.option(
    "--out", metavar="PATH", help="Write the estimates: .tsv (.gz) a table as R's, any other name a store."
)


def with_out(settings: Settings, out: str | None) -> Settings:
    """The settings with the place of the result, which these commands can do without."""
    return dataclasses.replace(settings, out=out)


def check_destinations(settings: Settings, diagram: str | None) -> None:
    """Refuse, before any work, what could not be written."""
    if settings.out is not None:
        (check_table_path if settings.out.endswith(_TABLES) else check_store_path)(settings.out, force=settings.force)
    if diagram is not None:
        check_table_path(diagram, force=settings.force)


def show_fit(run: Run, fit: Fit, *, diagram: str | None, matrices: bool = False) -> None:
    """Print the fit as GenomicSEM prints it, write --out (a table by its ending, else a store) and the diagram.

    Ends the command with the exit code of NotConvergedError, after everything is written, if the fit did not converge.
    """
    for line in _lines(fit, matrices=matrices):
        run.say(line)
    run.summary.update(_summary(fit))
    out, force = run.settings.out, run.settings.force
    if out is not None:
        if out.endswith(_TABLES):
            write_table(fit.to_genomicsem(), out)
        else:
            fit.to_store(out, force=force)
        run.say(out)
    if diagram is not None:
        fit.path_diagram().save(diagram)
        run.say(diagram)
    if not fit.converged:
        raise click.exceptions.Exit(NotConvergedError.exit_code)


def _lines(fit: Fit, *, matrices: bool) -> list[str]:
    lines = ["", fit.head(), fit.index_line(), "", *_indented(fit.to_genomicsem())]
    if fit.q_factor is not None:
        lines += ["", "Q of pairs of factors", *_indented(fit.q_factor)]
    if matrices:
        for title, matrix in (("Implied covariance", fit.implied_cov), ("Residual covariance", fit.residual_cov)):
            lines += ["", title, *_indented(matrix.round(12).reset_index(names=""))]
    return [*lines, ""]


def _indented(table: pd.DataFrame) -> list[str]:
    text = table.to_string(index=False, float_format=lambda value: f"{value:.4g}", na_rep="NA")
    return [f"  {line}" for line in text.splitlines()]


def _summary(fit: Fit) -> dict[str, Any]:
    """Numbers for programs; NaN is null."""
    parts: dict[str, Any] = {
        "model": fit.model,
        "estimation": fit.estimation,
        "traits": list(fit.traits),
        "converged": fit.converged,
        "npar": fit.npar,
        "fit_indices": {str(name): _plain(value) for name, value in fit.fit_indices.items()},
        "estimates": _records(fit.estimates),
        "implied_cov": fit.implied_cov.to_numpy().tolist(),
        "residual_cov": fit.residual_cov.to_numpy().tolist(),
        "warnings": list(fit.warnings),
    }
    if fit.q_factor is not None:
        parts["q_factor"] = _records(fit.q_factor)
    return parts


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _plain(value) for name, value in row.items()} for row in table.to_dict(orient="records")]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def model_text(model: str) -> str:
    """The model: what the file of that name holds, or the text itself."""
    if os.path.isfile(model):
        with open(model, encoding="utf-8") as file:
            return file.read()
    return model
