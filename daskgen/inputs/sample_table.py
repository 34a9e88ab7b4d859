"""Tables with a row per person, brought into the order of the genotypes' samples: phenotypes and covariates.

A table is a DataFrame or Series indexed by sample id, a file or DataFrame with the columns FID and IID (or IID alone),
or an array in the order of the genotypes. Persons without genotypes are left out, samples without a row are missing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import fsspec
import numpy as np
import pandas as pd

from daskgen.errors import InputError, UsageError, examples
from daskgen.inputs.files import exists

__all__ = ["MISSING", "SampleIds", "Table", "as_names", "numbers", "read_labels", "read_sample_table", "table_ids"]

log = logging.getLogger("daskgen.inputs")

Table: TypeAlias = str | os.PathLike[str] | pd.DataFrame | pd.Series | np.ndarray | Sequence[Any]
"""What functions accept as phenotypes or covariates."""

MISSING = ("NA", "NaN", "nan", "")
"""Words that stand for a missing value."""

_FID, _IID = ("FID", "#FID"), ("IID", "#IID")


@dataclass(frozen=True)
class SampleIds:
    """The samples of the genotypes: their ids in order, and what the genotypes are called in messages."""

    sample_id: np.ndarray
    name: str
    style: str = "iid"

    def __post_init__(self) -> None:
        if self.style not in ("iid", "fid_iid"):
            raise UsageError(f"id_style = {self.style!r} is not understood.", expected='"iid" or "fid_iid"')

    def __len__(self) -> int:
        return len(self.sample_id)


def as_names(value: str | Iterable[str] | None) -> list[str] | None:
    """Column names: one, several (with commas in a text), or None."""
    if value is None:
        return None
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return [str(name) for name in value]


def read_sample_table(
    value: Table,
    samples: SampleIds,
    argument: str,
    *,
    columns: Sequence[str] | None = None,
    missing_value: str | Iterable[str] | None = None,
) -> pd.DataFrame:
    """The chosen `columns` (None: all) of a table, one row per sample of the genotypes, NaN or None where missing.

    argument: its name in messages ("phenotypes"); missing_value: one or more words that are missing values, in place
    of `MISSING`. Raises InputError for a table without rows or columns, repeated persons, ids none of which is among
    the genotypes' (with three examples of both sides), an array of another length; UsageError for unknown columns.
    """
    name, table = _read(value, samples, argument, missing_value)
    if not len(table) or not table.shape[1]:
        raise InputError(f"{name} has no values.", found=f"{len(table)} rows and {table.shape[1]} columns")
    table.columns = pd.Index([str(column) for column in table.columns], dtype=object)
    if table.columns.duplicated().any():
        repeated = table.columns[table.columns.duplicated()]
        raise InputError(f"{name} has columns of the same name.", found=examples(repeated))
    aligned = _aligned(table, samples, name)
    unknown = [column for column in columns or () if column not in aligned.columns]
    if unknown:
        raise UsageError(
            f"{name} has no column {', '.join(unknown)}.", found=examples(aligned.columns, 12), do="choose among these"
        )
    return aligned if columns is None else aligned[list(columns)]


def table_ids(
    value: Table, samples: SampleIds, argument: str, *, missing_value: str | Iterable[str] | None = None
) -> list[str]:
    """The sample id of each row of a table, as the genotypes write it."""
    name, table = _read(value, samples, argument, missing_value)
    return _own_ids(*_ids_and_values(table, name)[:2], samples)


def numbers(column: pd.Series, argument: str) -> np.ndarray:
    """A column as float64 with NaN for missing; InputError where a value is not a finite number."""
    found = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = np.isnan(found) & ~column.isna().to_numpy()
    if wrong.any():
        raise InputError(
            f"{argument}: {column.name} is not numeric.",
            found=examples(column[wrong].unique()),
            do="name the words that stand for missing values: --missing-value",
        )
    infinite = np.isinf(found)
    if infinite.any():
        raise InputError(
            f"{argument}: {column.name} has values that are not finite.", found=f"{infinite.sum()} of them"
        )
    return found


def read_labels(value: Table, samples: SampleIds, argument: str) -> np.ndarray:
    """The label (text) of each sample of the genotypes, of a table of one column; one without a label has its own.

    Raises what `read_sample_table` raises, UsageError for several columns.
    """
    table = read_sample_table(value, samples, argument)
    if table.shape[1] != 1:
        raise UsageError(f"{argument} must have one column beside the ids.", found=examples(table.columns))
    column = table.iloc[:, 0]
    alone = column.isna().to_numpy()
    text = column.astype(object).to_numpy()
    # No label in a table begins with this character.
    return np.array([f"\0{i}" if alone[i] else str(text[i]) for i in range(len(text))], dtype=object)


# -- reading -----------------------------------------------------------------------------------------------
def _read(
    value: Table, samples: SampleIds, argument: str, missing_value: str | Iterable[str] | None
) -> tuple[str, pd.DataFrame]:
    """(name in messages, the table as it is given)."""
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value), _from_file(os.fspath(value), argument, missing_value)
    return argument, _from_memory(value, samples, argument, missing_value)


def _missing_words(missing_value: str | Iterable[str] | None) -> list[str]:
    given = MISSING if missing_value is None else as_names(missing_value)
    return sorted({str(word) for word in given or ()} | {""})


def _from_file(path: str, argument: str, missing_value: str | Iterable[str] | None) -> pd.DataFrame:
    if not exists(path):
        raise InputError(f"{argument}: there is no file {path}.")
    first = _first_line(path)
    words = first.split()
    if not words:
        raise InputError(f"{path} is empty.")
    separator = "\t" if "\t" in first else "," if "," in first and len(words) == 1 else r"\s+"
    start = [word.strip().strip('"') for word in (first.split(separator) if separator in "\t," else words)]
    header = start[0] in _FID + _IID
    if not header and (len(start) < 3 or not all(_is_value(word, missing_value) for word in start[2:])):
        raise InputError(
            f"{path}: its first line is neither a header nor values.",
            found=first.strip()[:80],
            expected="a header that begins with FID IID or with IID, or lines of FID IID value",
        )
    try:
        table = pd.read_csv(
            path,
            sep=separator,
            header=0 if header else None,
            dtype=str,
            keep_default_na=False,
            na_values=_missing_words(missing_value),
            skip_blank_lines=True,
        )
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read as a table.", found=str(error)) from None
    if not header:
        many = table.shape[1] > 3
        table.columns = [
            "FID",
            "IID",
            *(f"{argument}_{i + 1}" if many else argument for i in range(table.shape[1] - 2)),
        ]
    return table


def _first_line(path: str) -> str:
    try:
        with fsspec.open(path, "rt", encoding="utf-8", compression="infer") as file:
            return str(file.readline())
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path} is not a text file.", found=str(error)) from None


def _is_value(word: str, missing_value: str | Iterable[str] | None) -> bool:
    if word in _missing_words(missing_value):
        return True
    try:
        float(word)
    except ValueError:
        return False
    return True


def _from_memory(
    value: Any, samples: SampleIds, argument: str, missing_value: str | Iterable[str] | None
) -> pd.DataFrame:
    if isinstance(value, pd.Series):
        table = value.to_frame(str(value.name) if value.name is not None else argument)
    elif isinstance(value, pd.DataFrame):
        table = value.copy()
    else:
        samples = getattr(samples, "samples", None) or samples  # a row for each sample, whatever the records
        array = np.asarray(value)
        if array.ndim not in (1, 2) or array.shape[0] != len(samples):
            raise InputError(
                f"{argument}: an array needs a row for each sample, in the order of the genotypes.",
                found=f"shape {array.shape}",
                expected=f"({len(samples):,},) or ({len(samples):,}, k)",
            )
        array = array[:, None] if array.ndim == 1 else array
        many = array.shape[1] > 1
        names = [f"{argument}_{i + 1}" if many else argument for i in range(array.shape[1])]
        table = pd.DataFrame(array, index=pd.Index(samples.sample_id, dtype=object), columns=names)
        if array.dtype.kind == "f":
            table.attrs["numeric"] = True
    if missing_value is not None:
        words = set(_missing_words(missing_value))
        attrs = table.attrs
        table = table.mask(table.astype(str).isin(words))
        table.attrs = attrs
    return table


# -- alignment ---------------------------------------------------------------------------------------------
def _aligned(table: pd.DataFrame, samples: SampleIds, name: str) -> pd.DataFrame:
    """The table's rows in the order of the samples; rows of NaN where a sample has none."""
    family, individual, values = _ids_and_values(table, name)
    ids = _own_ids(family, individual, samples)
    own = samples.sample_id.tolist()
    occurrence = getattr(samples, "occurrence", None)
    if len(set(ids)) < len(ids):
        repeated = pd.Index(ids)[pd.Index(ids).duplicated()].unique()
        if occurrence is None:
            raise InputError(
                f"{name} has several rows of one sample.", found=examples(repeated), expected="one row each"
            )
        number = pd.Series(ids).groupby(np.asarray(ids, dtype=object)).cumcount()
        values.index = pd.MultiIndex.from_arrays([ids, number])
        aligned = values.reindex(pd.MultiIndex.from_arrays([own, occurrence]))
        if len(aligned.index.intersection(values.index)) < len(aligned):
            raise InputError(
                f"{name} repeats samples, but not as the phenotypes do.",
                found=examples(repeated),
                expected="a row for each sample, or the same rows as the phenotypes",
            )
        aligned.attrs = dict(table.attrs)
        return aligned.set_axis(pd.Index(own, dtype=object))
    known = set(own)
    overlap = sum(i in known for i in ids)
    if not overlap:
        raise _no_overlap(name, ids, family, individual, samples)
    if overlap < len(ids):
        log.info("%s: %s of %s rows are of samples without genotypes", name, f"{len(ids) - overlap:,}", f"{len(ids):,}")
    values.index = pd.Index(ids, dtype=object)
    aligned = values.reindex(pd.Index(own, dtype=object))
    aligned.attrs = dict(table.attrs)
    return aligned


def _own_ids(family: list[str] | None, individual: list[str], samples: SampleIds) -> list[str]:
    """The ids of the rows in the style of the genotypes."""
    if samples.style == "fid_iid" and family is not None:
        return [f"{f}_{i}" for f, i in zip(family, individual, strict=True)]
    return individual


def _ids_and_values(table: pd.DataFrame, name: str) -> tuple[list[str] | None, list[str], pd.DataFrame]:
    """(family ids or None, individual ids, the other columns)."""
    if isinstance(table.index, pd.MultiIndex):
        table = table.reset_index()
    fid = next((column for column in _FID if column in table.columns), None)
    iid = next((column for column in (*_IID, "sample_id") if column in table.columns), None)
    values = table.drop(columns=[column for column in (fid, iid) if column is not None])
    if not values.shape[1]:
        raise InputError(f"{name} has ids, but no other column.")
    individual = [str(i) for i in (table.index if iid is None else table[iid])]
    family = None if fid is None or iid is None else [str(f) for f in table[fid]]
    return family, individual, values


def _no_overlap(
    name: str, ids: list[str], family: list[str] | None, individual: list[str], samples: SampleIds
) -> InputError:
    known = set(samples.sample_id.tolist())
    joined = None if family is None else [f"{f}_{i}" for f, i in zip(family, individual, strict=True)]
    if joined is not None and any(i in known for i in joined):
        advice = f"the ids of {samples.name} look like FID_IID: --id-style fid_iid"
    elif any(i in known for i in individual):
        advice = f"the ids of {samples.name} are individual ids: --id-style iid"
    else:
        advice = "give the ids as the genotypes have them: as index, or in a column IID"
    return InputError(
        f"none of the {len(ids):,} sample ids of {name} is among the {len(samples):,} of {samples.name}.",
        found=f"{examples(ids[:3])} ({name})\n{examples(samples.sample_id[:3].tolist())} ({samples.name})",
        do=advice,
    )
