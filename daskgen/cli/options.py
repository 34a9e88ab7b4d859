"""Options that several commands share, so that they look and mean the same everywhere."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

__all__ = ["Settings", "example", "pick_given", "selection_options", "settings_options"]

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Settings:
    """The values of the common options; what a command does not have keeps its default."""

    out: str | None = None
    cluster: str | None = None
    force: bool = False
    resume: bool = False
    memory_limit: str | None = None
    scratch: str | None = None
    seed: int = 0
    verbose: int = 0
    quiet: bool = False


_COMMON: dict[str, Callable[[Any], Any]] = {
    "out": click.option("--out", required=True, metavar="PATH", help="Where the result goes."),
    "cluster": click.option(
        "--cluster",
        metavar="SPEC",
        help="Where it runs: threads[:N], local[:N] processes, cuda[:N], tls://host:port, file:scheduler.json, "
        "slurm:jobs.yaml. Default: threads in this process.",
    ),
    "force": click.option("--force", is_flag=True, help="Replace the result of an earlier run."),
    "resume": click.option("--resume", is_flag=True, help="Continue an interrupted run of the same command."),
    "memory_limit": click.option(
        "--memory-limit",
        metavar="SIZE",
        help="Memory of all local processes together, as 16GB, 16GiB or 50%. Default: 80 % of what the job has.",
    ),
    "scratch": click.option(
        "--scratch", metavar="DIR", help="Folder for temporary files. Default: $SLURM_TMPDIR, else $TMPDIR."
    ),
    "seed": click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random numbers."),
    "verbose": click.option(
        "-v", "--verbose", count=True, help="Say more; with an error, show where it arose. -vv for everything."
    ),
    "quiet": click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors."),
}


def settings_options(*names: str) -> Callable[[Command], Command]:
    """Add the common options `names` (and -v, -q) to a command, which receives them as `settings`."""
    wanted = [*names, "verbose", "quiet"]

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            common = {name: values.pop(name) for name in wanted}
            return function(settings=Settings(**common), **values)

        for name in reversed(wanted):
            _COMMON[name](command)
        # click collects the options that the function itself already carries behind those added here.
        return command  # type: ignore[return-value]

    return decorate


_SELECTION: dict[str, Callable[[Any], Any]] = {
    "keep": click.option("--keep", metavar="FILE", help="Only these samples: IID, or FID IID, one a line."),
    "remove": click.option("--remove", metavar="FILE", help="Without these samples."),
    "extract": click.option("--extract", metavar="FILE", help="Only these variants: one id a line."),
    "exclude": click.option("--exclude", metavar="FILE", help="Without these variants."),
    "contig": click.option("--contig", multiple=True, metavar="NAME", help="Only this contig; may be repeated."),
    "region": click.option(
        "--region", multiple=True, metavar="CONTIG:FROM-TO", help="Only these base pairs; may be repeated."
    ),
    "maf_min": click.option(
        "--maf-min", type=click.FloatRange(0, 0.5), metavar="F", help="Least minor allele frequency."
    ),
    "missing_max": click.option(
        "--missing-max", type=click.FloatRange(0, 1), metavar="F", help="Largest share of missing calls."
    ),
}


def selection_options(*without: str) -> Callable[[Command], Command]:
    """Add the options that select samples and variants, which the command receives as `selection`.

    `selection` holds only what was given, by the argument names of the Python interface.
    """
    wanted = [name for name in _SELECTION if name not in without]

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            selection = pick_given({name: values.pop(name) for name in wanted})
            return function(selection=selection, **values)

        for name in reversed(wanted):
            _SELECTION[name](command)
        return command  # type: ignore[return-value]

    return decorate


def pick_given(values: dict[str, Any]) -> dict[str, Any]:
    """The options that were given on the command line: the Python defaults hold for the others."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if value is not None and value != ()
    }


def example(text: str) -> str:
    """The end of a command's help: an example that runs."""
    return f"\b\nExample:\n  {text}"
