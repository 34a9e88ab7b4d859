"""From the traits of a call to plans: every header is looked at, and refused, before any file is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from conversion.summary.columns import Columns, resolve_columns
from conversion.summary.effects import EffectColumns
from conversion.summary.fields import canonical
from conversion.summary.frequencies import frequency_column
from conversion.summary.gwas_vcf import GwasVcfTable
from conversion.summary.munged import MungedStatistic
from conversion.summary.scaled import NEEDS_N, NEEDS_SE, SE_OF_ODDS_RATIO, ScaledStatistic, check_scale
from conversion.summary.sizes import sample_size
from conversion.summary.study import TraitArguments
from conversion.summary.tables import Table, open_table
from conversion.summary.trait import Filters, TraitPlan
from daskgen.errors import InputError, UsageError

__all__ = ["is_munged", "munge_plans", "scaled_plans"]


def munge_plans(arguments: Sequence[TraitArguments], filters: Filters, *, has_reference: bool) -> list[TraitPlan]:
    """A plan per trait for z and N. InputError for the first file whose header does not do."""
    plans = []
    for trait, table, columns in _opened(arguments):
        effects = EffectColumns.of(columns)
        columns.check_alleles()
        size = sample_size(columns, trait.n, trait.n_kind)
        if size is None:
            raise _without_size(columns, trait.name)
        plan = TraitPlan(
            trait.name, table, columns, effects, size, frequency_column(columns), MungedStatistic(filters), filters
        )
        if not has_reference and not is_munged(plan):
            raise InputError(
                f"{table.path} is not munged yet, and there is no reference to align it to.",
                found=" ".join(table.names),
                expected="SNP A1 A2 Z N for files that need no reference",
                do="give a reference, for example w_hm3.snplist",
            )
        plan.check()
        plans.append(plan)
    return plans


def scaled_plans(arguments: Sequence[TraitArguments], filters: Filters) -> list[TraitPlan]:
    """A plan per trait for beta and se. InputError for the first file whose header does not do."""
    for trait in arguments:
        if trait.scale is None:
            raise UsageError(
                f"the scale of {trait.name} was not given.",
                expected="linear, standardised, logistic, odds_ratio, odds_ratio_corrected or linear_probability",
                do="scale= (--scale): one for all traits, a list, or a mapping by trait",
            )
        check_scale(trait.scale)
    plans = []
    for trait, table, columns in _opened(arguments):
        scale = check_scale(trait.scale)
        effects = EffectColumns.of(columns)
        columns.check_alleles()
        size = sample_size(columns, trait.n, trait.n_kind)
        if size is None and scale in NEEDS_N:
            raise _without_size(columns, trait.name)
        if scale in NEEDS_SE:
            if not effects.has_se:
                raise columns.missing(
                    f"the scale {scale} needs a standard error, and no column of it was recognised.", "se"
                )
            if effects.beta is None and effects.odds_ratio is None:
                raise columns.missing(f"the scale {scale} needs an effect or odds ratio.", "beta", "odds_ratio")
            effects = EffectColumns(**{**effects.__dict__, "se_of_odds_ratio": scale in SE_OF_ODDS_RATIO})
        if scale == "standardised" and effects.beta is None:
            raise columns.missing("the scale standardised needs an effect.", "beta")
        statistic = ScaledStatistic(scale, filters)
        plan = TraitPlan(trait.name, table, columns, effects, size, frequency_column(columns), statistic, filters)
        plan.check()
        plans.append(plan)
    return plans


def is_munged(plan: TraitPlan) -> bool:
    """Whether the file is what munging leaves: id, alleles, z, N and nothing that z would have to be made of."""
    effects = plan.effects
    return effects.z is not None and all(
        name is None for name in (effects.beta, effects.odds_ratio, effects.p, effects.log10_p)
    )


def _opened(arguments: Sequence[TraitArguments]) -> list[tuple[TraitArguments, Table, Columns]]:
    """Tables with their columns. A column that the caller named for all files is taken where a file has it."""
    tables = [(trait, open_table(trait.file)) for trait in arguments]
    _check_somewhere(arguments, [table for _, table in tables])
    opened = []
    for trait, table in tables:
        columns = resolve_columns(table.path, table.names, _applicable(trait.columns, table, len(tables)))
        if isinstance(table, GwasVcfTable) and table.header_n is not None:
            columns = replace(columns, header_n=table.header_n)
        opened.append((trait, table, columns))
    return opened


def _applicable(overrides: Mapping[str, str | None], table: Table, n_tables: int) -> dict[str, str | None]:
    if n_tables == 1:
        return dict(overrides)
    names = {canonical(name) for name in table.names}
    return {key: column for key, column in overrides.items() if column is None or canonical(column) in names}


def _check_somewhere(arguments: Sequence[TraitArguments], tables: Sequence[Table]) -> None:
    for key, column in {(k, c) for trait in arguments for k, c in trait.columns.items() if c is not None}:
        asked = [table for trait, table in zip(arguments, tables, strict=True) if trait.columns.get(key) == column]
        if not any(canonical(column) in {canonical(name) for name in table.names} for table in asked):
            raise InputError(
                f"no file has a column {column!r}, which should be the {key.replace('_', ' ')}.",
                found="\n".join(f"{table.path}: {' '.join(table.names)}" for table in asked[:5]),
            )


def _without_size(columns: Columns, name: str) -> InputError:
    return InputError(
        f"{columns.path}: no column with the sample size was recognised.",
        found=" ".join(columns.names),
        expected="N, NEFF, N_CASES and N_CONTROLS, ... (full list: daskgen convert munge --columns)",
        do=f"give it: n={{{name!r}: 100000}} (--n 100000), or name its column:  --column n=COLUMN",
    )
