"""Covariance structures as text: one file with a part for each matrix, a folder with a file for each, or JSON.

The one file has parts that begin with a line with a name alone (S, V, I, N, m, S_Stand, V_Stand), followed by a table
with a header of names and, if the first header is "trait" or empty, names of rows; a blank line ends a part. A folder
holds S.tsv, V.csv and so on, as R's write.table and write.csv make them.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from daskgen.errors import InputError, examples
from daskgen.inputs.covariance import DIMENSIONS
from daskgen.inputs.files import open_binary

__all__ = ["read_folder", "read_json", "read_text", "write_json", "write_text"]

_TABLES = (".tsv", ".csv", ".txt")


# Tables -------------------------------------------------------------------------------------------------------------


def _words(line: str) -> list[str]:
    if "\t" in line:
        return [word.strip().strip('"') for word in line.split("\t")]
    if "," in line:
        return [word.strip() for word in next(csv.reader([line]))]
    return next(csv.reader([" ".join(line.split())], delimiter=" "), [])


def _number(word: str) -> float:
    return float("nan") if word in ("NA", "NaN", "") else float(word)


def _is_number(word: str) -> bool:
    try:
        _number(word)
    except ValueError:
        return False
    return word != ""


def _matrix(lines: Sequence[str], where: str) -> pd.DataFrame | np.ndarray:
    """A table of numbers; a DataFrame where it has a header of names (R's V1, V2, ... are none)."""
    rows = [_words(line) for line in lines if line.strip()]
    if not rows:
        raise InputError(f"{where} is empty.")
    header = None if all(map(_is_number, rows[0])) else rows.pop(0)
    if not rows:
        raise InputError(f"{where} has a header and no rows.", found=" ".join(header or []))
    width = max(map(len, rows))
    named_rows = header is not None and (
        len(header) == width - 1 or (len(header) == width and header[0] in ("", "trait", "vech"))
    )
    body = [row[1:] for row in rows] if named_rows else rows
    try:
        values = np.array([[_number(word) for word in row] for row in body], np.float64)
    except ValueError as error:
        raise InputError(f"{where} must hold numbers.", found=str(error).splitlines()[0]) from None
    if header is None:
        return values
    names = header[1:] if named_rows and len(header) == width else header
    if len(names) != values.shape[1]:
        raise InputError(
            f"{where}: header and rows have different numbers of columns.",
            found=f"{len(names)} names, {values.shape[1]} values",
        )
    if all(name.startswith("V") and name[1:].isdecimal() for name in names):
        return values
    labels = [row[0] for row in rows] if named_rows else None
    return pd.DataFrame(values, columns=names, index=labels if labels and set(labels) == set(names) else None)


def _lines(path: str) -> list[str]:
    with open_binary(path) as file:
        try:
            return file.read().decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not a text file.", found=str(error)) from None


def read_text(path: str) -> dict[str, Any]:
    """The parts of one file."""
    parts: dict[str, list[str]] = {}
    name = None
    for line in _lines(path):
        if line.strip() in DIMENSIONS:
            name = line.strip()
            parts[name] = []
        elif name is not None:
            parts[name].append(line)
        elif line.strip() and not line.startswith("#"):
            raise InputError(
                f"{path} does not begin with the name of a matrix.",
                found=line.strip()[:60],
                expected=f"a line with one of {', '.join(DIMENSIONS)}",
                do="give a folder with S and V as files of their own, or the JSON, .rds or .RData file",
            )
    return {name: _matrix(lines, f"{path}, {name}") for name, lines in parts.items()}


def read_folder(path: str) -> dict[str, Any]:
    """S.tsv, V.tsv, ... of a folder."""
    parts = {}
    for name in sorted(os.listdir(path)):
        stem, end = os.path.splitext(name)
        if stem in DIMENSIONS and end.lower() in _TABLES:
            if stem in parts:
                raise InputError(f"{path} holds {stem} twice.", do="keep one of the files")
            parts[stem] = _matrix(_lines(os.path.join(path, name)), os.path.join(path, name))
    return parts


def write_text(path: str, traits: Sequence[str], cells: Sequence[str], parts: Mapping[str, np.ndarray]) -> None:
    """One file with all parts, numbers with 17 digits."""
    blocks = []
    for name, values in parts.items():
        dims = DIMENSIONS[name]
        labels = {"trait": list(traits), "vech": list(cells)}.get(dims[0] if dims else "", [])
        table = np.atleast_2d(values)
        head = ["", *labels] if len(table) == len(labels) and len(dims) == 2 else list(labels)
        lines = ["\t".join(head)] if head else []
        for i, row in enumerate(table):
            words = ["NA" if np.isnan(value) else f"{value:.17g}" for value in row]
            lines.append("\t".join([labels[i], *words] if len(dims) == 2 else words))
        blocks.append("\n".join([name, *lines]))
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n\n".join(blocks) + "\n")


# JSON ---------------------------------------------------------------------------------------------------------------


def read_json(path: str) -> dict[str, Any]:
    """The parts of a JSON object: nested lists, or {"columns": [...], "rows": [[...], ...]}; "traits": names."""
    try:
        content = json.loads("\n".join(_lines(path)))
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is no JSON.", found=str(error)) from None
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold one JSON object.", found=type(content).__name__, expected="S, V, ...")
    parts: dict[str, Any] = {}
    for name, value in content.items():
        if name == "traits":
            parts[name] = [str(trait) for trait in value]
        elif name in DIMENSIONS and value is not None:
            parts[name] = _json_matrix(path, name, value)
    return parts


def _json_matrix(path: str, name: str, value: Any) -> Any:
    columns = None
    if isinstance(value, dict):
        if "rows" not in value:
            raise InputError(f"{path}: {name} has no rows.", found=examples(value), expected="columns, rows")
        columns, value = value.get("columns"), value["rows"]
    try:
        values = np.array(value, np.float64)  # null becomes NaN
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {name} is no matrix of numbers.", found=str(error).splitlines()[0]) from None
    return values if columns is None else pd.DataFrame(values, columns=[str(c) for c in columns])


def write_json(path: str, traits: Sequence[str], parts: Mapping[str, np.ndarray]) -> None:
    """{"traits": [...], "S": [[...], ...], ...}; NaN as null, so that every parser takes it."""
    content: dict[str, Any] = {"traits": list(traits)}
    for name, values in parts.items():
        content[name] = json.loads(json.dumps(np.asarray(values).tolist()), parse_constant=lambda _: None)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, allow_nan=False)
        file.write("\n")
