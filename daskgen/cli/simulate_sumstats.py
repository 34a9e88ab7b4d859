"""daskgen simulate sumstats: summary statistics with known truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.run import Run
from daskgen.errors import InputError, UsageError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["command"]


@click.command("sumstats", epilog=example("daskgen simulate sumstats ld.zarr --s s.tsv --n 50000 --out simulated.zarr"))
@click.argument("ld_scores")
@click.option("--s", "covariance", required=True, metavar="FILE", help="Genetic covariance: a table with a header.")
@click.option("--n", "sizes", required=True, metavar="N,...", help="Sample size of all traits, or of each.")
@click.option("--intercepts", metavar="FILE", help="Matrix of intercepts, likewise. Default: 1, without overlap.")
@click.option(
    "--missing-rate", type=click.FloatRange(0, 1, max_open=True), default=0.0, show_default=True, help="Share missing."
)
@settings_options("out", "force", "resume", "seed", "cluster", "memory_limit", "scratch")
def command(
    ld_scores: str, covariance: str, sizes: str, intercepts: str | None, missing_rate: float, settings: Settings
) -> None:
    """Simulate munged summary statistics with known heritabilities, genetic correlations and intercepts.

    Statistics follow the model of LD-score regression on the variants of LD_SCORES. Tables have the names of the traits
    as header and a row per trait.
    """
    from daskgen import simulate

    with Run("simulate sumstats", settings, resumable=True) as run:
        assert settings.out is not None
        s = _matrix(covariance)
        path = simulate.sumstats(
            settings.out,
            ld_scores,
            S=s,
            N=_numbers(sizes),
            intercepts=None if intercepts is None else _matrix(intercepts),
            missing_rate=missing_rate,
            seed=settings.seed,
            force=settings.force,
            resume=settings.resume,
        )
        run.say(f"{path}   {len(s)} traits: {', '.join(map(str, s.columns))}")
        run.summary.update(store=path, traits=[str(name) for name in s.columns])


def _matrix(path: str) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(path, sep=r"[\t, ]+", engine="python")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a table.", found=str(error)) from error
    if table.shape[1] == table.shape[0] + 1:  # names of rows
        table = table.set_index(table.columns[0])
    return table


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError as error:
        raise UsageError("--n must be numbers.", found=str(error), expected="50000, or 50000,80000,...") from None
