"""From a header to what is read: the column of each field, by the caller's word, by the tool, or by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from conversion.summary.fields import FIELDS, canonical, field_called, field_of
from conversion.summary.signatures import AMBIGUOUS_PAIRS, Signature, partner_of, signature_of
from daskgen.errors import InputError, UsageError

__all__ = ["Columns", "Overrides", "check_overrides", "resolve_columns"]

Overrides = Mapping[str, str | None]
"""Field -> column, or None for a column that is to be left alone."""

FULL_LIST = "(full list: daskgen convert munge --columns)"

_DANER = re.compile(r"FRQ_[AU]_(\d+)$")


@dataclass(frozen=True)
class Columns:
    """Which column of a file is which field.

    path: of the file; names: all its columns; of: field -> column; several: field -> the columns that could all be
    it; given: fields that the caller named; tool: whose columns these are, where that is known.
    """

    path: str
    names: tuple[str, ...]
    of: Mapping[str, str]
    several: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    signature: Signature | None = None
    header_n: tuple[int, int] | None = None  # cases and controls in the header of a daner file

    @property
    def tool(self) -> str | None:
        """The tool that wrote the file, where it is known."""
        return None if self.signature is None else self.signature.tool

    @property
    def test(self) -> str | None:
        """The column that says which model a row is of (plink2 and regenie write several rows per variant)."""
        return next((name for name in self.names if canonical(name) == "TEST"), None)

    @property
    def other_among(self) -> tuple[str, str] | None:
        """The two columns of which one has the other allele, row by row."""
        if self.signature is None or self.signature.other_among is None or "other_allele" in self.of:
            return None
        first, second = (self._named(name) for name in self.signature.other_among)
        return (first, second) if first is not None and second is not None else None

    @property
    def alleles_in_id(self) -> bool:
        """Whether the alleles are to be taken from the ids."""
        return bool(self.signature and self.signature.alleles_in_id) and "effect_allele" not in self.of

    def _named(self, name: str) -> str | None:
        return next((column for column in self.names if canonical(column) == name), None)

    def get(self, field: str) -> str | None:
        """The column of `field`, None where the file has none; InputError where it has several."""
        if field in self.several:
            columns, words = self.several[field], field.replace("_", " ")
            raise InputError(
                f"{self.path}: {len(columns)} columns could be the {words} ({FIELDS[field].meaning}).",
                found=", ".join(columns),
                expected=f"one of them, or one with the exact name {FIELDS[field].synonyms[0]}",
                do=f"say which: --column {field}={columns[0]}",
            )
        return self.of.get(field)

    def require(self, field: str, why: str) -> str:
        """The column of `field`; InputError that says `why` it is needed where there is none."""
        column = self.get(field)
        if column is None:
            raise self.missing(f"no column with the {FIELDS[field].meaning} was recognised{why}.", field)
        return column

    def missing(self, summary: str, *fields: str, do: str | None = None) -> InputError:
        """The error for columns that are not there: what was found, what was looked for, what to do."""
        looked = " or ".join(", ".join(FIELDS[name].synonyms[:6]) for name in fields)
        column = self._suggestion(fields[0])
        return InputError(
            f"{self.path}: {summary}",
            found=" ".join(self.names),
            expected=f"{looked}, ... {FULL_LIST}",
            do=do or f"name it:  --column {fields[0]}={column or 'COLUMN'}",
        )

    def _suggestion(self, field: str) -> str | None:
        """A column whose name begins or ends with one of the field's longer names."""
        taken = set(self.of.values())
        for synonym in (s for s in FIELDS[field].synonyms if len(s) > 2):
            for name in self.names:
                text = canonical(name)
                if name not in taken and (text.startswith(f"{synonym}_") or text.endswith(f"_{synonym}")):
                    return name
        return None

    def check_alleles(self) -> None:
        """InputError unless it is known which column has the effect allele and which the other one."""
        effect, other = self.get("effect_allele"), self.get("other_allele")
        if self.alleles_in_id or (effect and (other or self.other_among)):
            return
        if effect:
            raise self.missing("no column with the other allele was recognised.", "other_allele")
        known = {canonical(name): name for name in self.names}
        pair = next(((known[a], known[b]) for a, b in AMBIGUOUS_PAIRS if a in known and b in known), None)
        summary = "no column with the effect allele was recognised."
        if pair is None:
            raise self.missing(summary, "effect_allele")
        statistic = next((self.of[name] for name in ("beta", "odds_ratio", "z") if name in self.of), "the effect")
        raise self.missing(
            f"{summary[:-1]}: {pair[0]} and {pair[1]} alone don't say which it is.",
            "effect_allele",
            do=f"if {pair[0]} is the allele that {statistic} refers to:  "
            f"--column effect_allele={pair[0]} --column other_allele={pair[1]}",
        )


def check_overrides(columns: Mapping[str, str | None]) -> dict[str, str | None]:
    """The caller's words with fields by their names here. UsageError for a field that there is not."""
    checked: dict[str, str | None] = {}
    for key, column in columns.items():
        found = field_called(str(key))
        if canonical(str(key)) == "EFFECT" and column is not None:
            found = _kind_of_effect(str(column))
        if found is None:
            raise UsageError(
                f"columns: {key!r} is not a field of summary statistics.",
                expected=", ".join(FIELDS),
                do="daskgen convert munge --columns prints them with their meaning",
            )
        text = None if column is None else str(column).strip()
        checked[found] = None if text is None or text.lower() in ("", "none") else text
    return checked


def _kind_of_effect(column: str) -> str:
    """The field of a column that is called "effect", as R calls effects of any kind: told by its name."""
    found = field_of(column)
    if found not in ("beta", "odds_ratio", "z"):
        raise UsageError(
            f"columns: it is not known what kind of effect {column} has.",
            expected="beta, odds_ratio or z instead of effect",
            do=f"--column beta={column} (also for logarithms of odds ratios), or --column odds_ratio={column}",
        )
    return found


def resolve_columns(path: str, names: Sequence[str], overrides: Overrides | None = None) -> Columns:
    """Which column is which field.

    The caller's word goes first (InputError where there is no such column), then what the tool's signature says, then
    the name. Of several columns with a field's names the one with the exact name is taken; without one they are
    kept as `several`, which is an error once the field is needed.
    """
    overrides = overrides or {}
    names = tuple(names)
    of: dict[str, str] = {}
    several: dict[str, tuple[str, ...]] = {}
    for key, wanted in overrides.items():
        if wanted is not None:
            of[key] = _column_named(path, names, key, wanted)
    signature = signature_of(names)
    if signature is not None:
        if any(_contradicts(overrides, signature, key) for key in ("effect_allele", "other_allele")):
            signature = signature.without_alleles()
        by_name = {canonical(name): name for name in reversed(names)}
        for key, column in signature.columns.items():
            if key not in overrides and column in by_name:
                of[key] = by_name[column]
    for key in FIELDS:
        if key in of or key in overrides:
            continue
        found = _by_name(key, names, taken=set(of.values()))
        if len(found) == 1:
            of[key] = found[0]
        elif found:
            several[key] = found
    if overrides.get("effect_allele") and "other_allele" not in overrides:
        partner = partner_of(of["effect_allele"], names)
        if partner is not None:
            of["other_allele"] = partner
            several.pop("other_allele", None)
    header_n = _daner(names, of, overrides)
    return Columns(path, names, of, several, frozenset(overrides), signature, header_n)


def _contradicts(overrides: Overrides, signature: Signature, key: str) -> bool:
    """Whether the caller names another column for `key` than the tool has."""
    wanted = overrides.get(key)
    return wanted is not None and canonical(wanted) != signature.columns.get(key)


def _column_named(path: str, names: Sequence[str], key: str, wanted: str) -> str:
    exact = [name for name in names if name == wanted]
    found = exact or [name for name in names if canonical(name) == canonical(wanted)]
    if len(found) != 1:
        raise InputError(
            f"{path} has {'no' if not found else 'more than one'} column {wanted!r}, which should be the "
            f"{key.replace('_', ' ')}.",
            found=" ".join(names),
        )
    return found[0]


def _by_name(key: str, names: Sequence[str], taken: set[str]) -> tuple[str, ...]:
    """The columns that have one of the field's names: the exact one alone, else all, else all with a weak name."""
    free = [name for name in names if name not in taken]
    for candidates in (FIELDS[key].synonyms[:1], FIELDS[key].synonyms, FIELDS[key].weak):
        if found := tuple(name for name in free if canonical(name) in candidates):
            return found
    return ()


def _daner(names: Sequence[str], of: dict[str, str], overrides: Overrides) -> tuple[int, int] | None:
    """Cases and controls from FRQ_A_<cases> and FRQ_U_<controls>; the latter is taken as the frequency of A1."""
    found = {canonical(name)[4]: (name, int(match[1])) for name in names if (match := _DANER.match(canonical(name)))}
    if set(found) != {"A", "U"}:
        return None
    if "frequency" not in of and "frequency" not in overrides:
        of["frequency"] = found["U"][0]
    return found["A"][1], found["U"][1]
