"""Options of the commands that read GWAS files: values per trait, columns, the study sheet."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from daskgen.errors import UsageError

__all__ = ["describe_sumstats", "names_of", "per_trait", "summary_options"]

Command = TypeVar("Command", bound=Callable[..., Any])


def _print_columns(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from conversion.summary.fields import synonym_table

        click.echo(synonym_table())
        ctx.exit()


_OPTIONS = (
    click.argument("source", nargs=-1),
    click.option("--reference", metavar="FILE", help="The list of variants: SNP A1 A2, and MAF CHR BP where known."),
    click.option(
        "--trait-names", multiple=True, metavar="NAME,...", help="Names of the traits. Default: by the files."
    ),
    click.option(
        "--traits",
        metavar="TSV",
        help="A study sheet instead of sources and values per trait: columns trait, file, n, scale, sample_prev, "
        "population_prev, n_kind, column.FIELD.",
    ),
    click.option("--n", metavar="N,...", help="Sample size, where a file has no column of it (see values per trait)."),
    click.option("--n-kind", metavar="KIND,...", help="total or effective, where it is not what the column says."),
    click.option("--sample-prev", metavar="P,...", help="Share of cases in the sample of case-control traits."),
    click.option("--population-prev", metavar="P,...", help="Prevalence of case-control traits."),
    click.option(
        "--column",
        multiple=True,
        metavar="FIELD=COLUMN",
        help="Which column a field is, as effect_allele=AL1; TRAIT:FIELD=COLUMN for one trait, FIELD=none for a column "
        "to be left alone. May be repeated.",
    ),
    click.option(
        "--columns",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_columns,
        help="Print the fields and the column names that are recognised, and exit.",
    ),
    click.option("--append", is_flag=True, help="Add the traits to the store that is there (same reference)."),
)


def summary_options(function: Command) -> Command:
    """Add the options that munge and sumstats share; the command receives what they say as `call`."""

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        names = names_of(values.pop("trait_names"))
        call: dict[str, Any] = {"trait_names": names or None, "traits": values.pop("traits")}
        for key in ("n", "n_kind", "sample_prev", "population_prev"):
            call[key] = per_trait(key, values.pop(key), number=key != "n_kind")
        call["columns"] = _columns(values.pop("column"))
        call["append"] = values.pop("append")
        return function(call=call, **values)

    for option in reversed(_OPTIONS):
        option(command)
    return command  # type: ignore[return-value]


def names_of(values: tuple[str, ...]) -> list[str]:
    """Names given by repeating the option, or with commas between them."""
    return [name.strip() for value in values for name in value.split(",") if name.strip()]


def per_trait(key: str, text: str | None, *, number: bool) -> Any:
    """A value for all traits ("0.5"), a list in their order ("0.5,,0.3"), or by name ("mdd=0.5,scz=0.3")."""
    if text is None:
        return None

    def value(word: str) -> Any:
        word = word.strip()
        if word in ("", "NA"):
            return None
        if not number:
            return word
        try:
            return float(word)
        except ValueError:
            option = f"--{key.replace('_', '-')}"
            raise UsageError(f"{option}: {word!r} is not a number.", expected="N, or N,N,..., or TRAIT=N,...") from None

    words = text.split(",")
    if any("=" in word for word in words):
        pairs = (word.rpartition("=") for word in words)
        return {name.strip(): value(word) for name, _, word in pairs}
    return value(words[0]) if len(words) == 1 else [value(word) for word in words]


def _columns(given: tuple[str, ...]) -> Any:
    """FIELD=COLUMN for all traits; with TRAIT:FIELD=COLUMN among them, a mapping by trait."""
    for_all: dict[str, str] = {}
    by_trait: dict[str, dict[str, str]] = {}
    for text in given:
        key, equals, column = text.partition("=")
        if not equals or not key.strip() or not column.strip():
            raise UsageError(f"--column {text!r} is not understood.", expected="FIELD=COLUMN, as effect_allele=AL1")
        trait, _, field = key.strip().rpartition(":")
        (by_trait.setdefault(trait, {}) if trait else for_all)[field] = column.strip()
    if by_trait and for_all:
        raise UsageError(
            "--column for all traits and for one of them cannot be mixed.",
            found=" ".join(given),
            do="name the trait in each of them: TRAIT:FIELD=COLUMN",
        )
    return by_trait or for_all or None


def describe_sumstats(run: Any, path: str, result: Any, seconds: float, following: str) -> None:
    """What was made: size and time on the terminal; traits, rows and provenance in the summary."""
    from daskgen.cli.run import format_seconds
    from daskgen.limits import format_bytes
    from daskgen.stores import open_group
    from daskgen.stores.location import Location

    group = open_group(path, "sumstats")
    size = Location.of(path).size()
    traits = f"{len(result.traits)} trait{'s' * (len(result.traits) != 1)}"
    run.say(f"{path}   {traits} x {result.n_variants:,} variants, {format_bytes(size)} in {format_seconds(seconds)}")
    run.say(f"next: {following}")
    run.summary.update(
        store=path,
        store_id=group.attrs["store_id"],
        bytes=size,
        traits=list(result.traits),
        n_variants=result.n_variants,
        rows={
            report.trait: {
                "read": report.read,
                "kept": report.kept,
                "turned": report.flipped,
                "dropped": report.dropped,
            }
            for report in result.reports
        },
        provenance=group.attrs["provenance"],
    )
