"""The traits of a call: per-trait arguments as a scalar, a list or a mapping, or a study sheet instead of them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from conversion.summary.columns import check_overrides
from conversion.summary.stored import SEPARATOR, is_store, stored_traits
from daskgen.errors import InputError, UsageError
from daskgen.inputs.files import expand, is_url
from daskgen.inputs.kinds import is_frame

__all__ = ["SHEET_COLUMNS", "TraitArguments", "file_paths", "study", "trait_name_of"]

SHEET_COLUMNS = ("trait", "file", "n", "scale", "sample_prev", "population_prev", "n_kind")

_SUFFIX = re.compile(
    r"(\.(gz|bgz|zip|bz2|xz|zst|txt|tsv|csv|tbl|sumstats|assoc|parquet|vcf|ma|linear|logistic|glm|meta|zarr))+$", re.I
)


@dataclass(frozen=True)
class TraitArguments:
    """What the caller says of one trait; None where it says nothing. columns: field -> column."""

    name: str
    file: str
    n: float | None = None
    n_kind: str | None = None
    scale: str | None = None
    sample_prev: float | None = None
    population_prev: float | None = None
    columns: Mapping[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, value in (("sample_prev", self.sample_prev), ("population_prev", self.population_prev)):
            if value is not None and not 0 < value < 1:
                raise InputError(
                    f"{what} of {self.name} is not a prevalence.", found=value, expected="a number above 0 and below 1"
                )
        if self.n is not None and not self.n > 0:
            raise InputError(f"n of {self.name} is not a sample size.", found=self.n, expected="a positive number")

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for the record."""
        return {**self.__dict__, "columns": dict(self.columns)}


def trait_name_of(path: str) -> str:
    """A file's name without its folder and the usual endings."""
    if SEPARATOR in path:
        return path.rpartition(SEPARATOR)[2]
    name = os.path.basename(path.rstrip("/"))
    return _SUFFIX.sub("", name) or name


def study(
    files: Any,
    *,
    trait_names: Sequence[str] | str | None = None,
    traits: Any = None,
    columns: Any = None,
    **per_trait: Any,
) -> list[TraitArguments]:
    """The traits of a call.

    files: a path, several, or a glob; traits: a study sheet (DataFrame, or path of a TSV) with the columns of
    SHEET_COLUMNS and `column.FIELD`; columns: field -> column for all files that have it, or by trait, or a list of
    such; per_trait: `n`, `n_kind`, `scale`, `sample_prev`, `population_prev`.

    Raises UsageError where arguments contradict each other or don't fit the number of traits.
    """
    if traits is not None:
        given = [name for name, value in (("trait_names", trait_names), *per_trait.items()) if value is not None]
        if files is not None and (not isinstance(files, (list, tuple)) or len(files)):
            given.insert(0, "files")
        if given:
            raise UsageError(
                f"a study sheet (traits=) stands instead of {', '.join(given)}.", do="give one or the other"
            )
        return _from_sheet(traits, columns)
    paths = file_paths(files)
    names = (
        [trait_names] if isinstance(trait_names, str) else None if trait_names is None else list(map(str, trait_names))
    )
    if names is None:
        names = [trait_name_of(path) for path in paths]
    elif len(names) != len(paths):
        raise UsageError(
            "trait_names and files have different lengths.", found=f"{len(names)} names, {len(paths)} files"
        )
    _check_unique(names)
    values = {key: spread(key, value, names) for key, value in per_trait.items()}
    by_trait = _columns_by_trait(columns, names)
    return [
        TraitArguments(
            name,
            path,
            columns=by_trait[i],
            **{key: _convert(key, value[i], name) for key, value in values.items()},
        )
        for i, (name, path) in enumerate(zip(names, paths, strict=True))
    ]


def spread(key: str, value: Any, names: Sequence[str]) -> list[Any]:
    """A per-trait argument as a list in the order of `names`."""
    if isinstance(value, Mapping):
        if unknown := [str(name) for name in value if name not in names]:
            raise UsageError(
                f"{key} names traits that there are not.", found=", ".join(unknown), expected=", ".join(names)
            )
        return [value.get(name) for name in names]
    if isinstance(value, (str, bytes)) or not hasattr(value, "__len__"):
        return [value] * len(names)
    values = list(value)
    if len(values) != len(names):
        raise UsageError(
            f"{key} has {len(values)} values, there are {len(names)} traits.",
            expected="one value for all, a list in the order of the traits, or a mapping by trait",
        )
    return values


def file_paths(files: Any) -> list[str]:
    """The paths of a call: globs expanded, stores as one path per trait."""
    if files is None:
        raise UsageError("no files were given.", do="name them, or give a study sheet (traits=, --traits)")
    items = [files] if isinstance(files, (str, os.PathLike)) else list(files)
    paths: list[str] = []
    for given in items:
        item = str(os.fspath(given))
        if not is_url(item):
            item = os.path.expanduser(item)
        if is_store(item):
            paths += stored_traits(item)
        elif re.search(r"[*?\[]", item) and not os.path.exists(item):
            found = expand(item)
            if not found:
                raise InputError(f"no file matches {item}.")
            paths += found
        else:
            paths.append(item)
    if not paths:
        raise UsageError("no files were given.", do="name them, or give a study sheet (traits=, --traits)")
    return paths


def _check_unique(names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated:
        raise UsageError(
            "every trait needs a name of its own.", found=", ".join(repeated), do="give trait_names (--trait-names)"
        )
    if any(not name.strip() for name in names):
        raise UsageError("a trait has an empty name.", do="give trait_names (--trait-names)")


def _columns_by_trait(columns: Any, names: Sequence[str]) -> list[dict[str, str | None]]:
    if columns is None:
        return [{} for _ in names]
    if isinstance(columns, Mapping) and not any(isinstance(value, Mapping) for value in columns.values()):
        return [check_overrides(columns) for _ in names]
    return [check_overrides(value or {}) for value in spread("columns", columns, names)]


def _missing(value: Any) -> bool:
    empty = value is None or (isinstance(value, float) and math.isnan(value))
    return empty or str(value).strip() in ("", "NA", "<NA>", "nan", "None")


def _convert(key: str, value: Any, name: str) -> Any:
    if _missing(value):
        return None
    if key in ("n_kind", "scale"):
        return str(value).strip()
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{key} of {name} is not a number.", found=repr(value)) from None


def _from_sheet(sheet: Any, columns: Any) -> list[TraitArguments]:
    folder = ""
    if is_frame(sheet):
        table, where = sheet, "the study sheet"
        if table.index.name == "trait" and "trait" not in table:
            table = table.reset_index()
    else:
        import pandas as pd

        where = os.fspath(sheet)
        folder = "" if is_url(where) else os.path.dirname(where)
        try:
            table = pd.read_csv(where, sep="\t", dtype=str, keep_default_na=False)
        except FileNotFoundError:
            raise InputError(f"{where}: there is no such file.") from None
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise InputError(f"{where} is not a table separated by tabs.", found=str(error).strip()) from None
    unknown = [
        str(name) for name in table.columns if not re.match(r"column\.", str(name)) and name not in SHEET_COLUMNS
    ]
    if unknown or "trait" not in table or "file" not in table:
        raise InputError(
            f"{where} is not a study sheet." if not unknown else f"{where} has columns that a study sheet has not.",
            found=", ".join(map(str, table.columns)),
            expected=f"trait, file, and any of {', '.join(SHEET_COLUMNS[2:])}, column.FIELD",
        )
    if not len(table):
        raise InputError(f"{where} has no rows.")
    names = [str(name).strip() for name in table["trait"]]
    _check_unique(names)
    extra = _columns_by_trait(columns, names)
    found = []
    for i, row in enumerate(table.to_dict("records")):
        own = {
            str(key).removeprefix("column."): str(value)
            for key, value in row.items()
            if str(key).startswith("column.") and not _missing(value)
        }
        values = {key: _convert(key, row.get(key), names[i]) for key in SHEET_COLUMNS[2:]}
        path = os.fspath(row["file"])
        if folder and not os.path.isabs(path) and not is_url(path) and not os.path.exists(path):
            path = os.path.join(folder, path)
        found.append(TraitArguments(names[i], path, columns={**extra[i], **check_overrides(own)}, **values))
    return found
