"""Files as LDSC names them: `<prefix><chromosome>.l2.ldscore.gz` and what lies beside them, found and read.

A prefix may be a folder ("eur_w_ld_chr" or "eur_w_ld_chr/"), the beginning of the names ("dir/baselineLD." or
"dir/baselineLD"), a pattern with @ in the place of the chromosome ("dir/weights.@"), the common part of the names of
one set for all chromosomes ("UKBB.EUR"), or the path of one file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from daskgen.errors import InputError
from daskgen.inputs.files import exists, expand, is_url, natural_order, open_binary
from daskgen.inputs.selection import plain_contig

__all__ = ["ChromosomeFile", "chromosome_files", "read_numbers", "read_table", "table_blocks"]

_COMPRESSION = {"": None, ".gz": "gzip", ".bgz": "gzip", ".bz2": "bz2"}
_CHROMOSOME = r"(?:chr)?(?:\d{1,3}|X|Y|XY|M|MT)"
_MISSING = ["NA", "NaN", "nan", ".", ""]


@dataclass(frozen=True)
class ChromosomeFile:
    """A file of one chromosome ("" where it holds all of them); stem: its path without the suffix and compression."""

    chromosome: str
    path: str
    stem: str

    def beside(self, suffix: str) -> str | None:
        """The file of the same stem with this suffix, compressed or not; None if there is none."""
        return next((path for end in _COMPRESSION if exists(path := self.stem + suffix + end)), None)


def chromosome_files(prefix: str | os.PathLike[str], suffix: str, what: str) -> list[ChromosomeFile]:
    """The files `prefix` + chromosome + `suffix` (for example ".l2.ldscore"), in the order 1, 2, ..., 22, X, Y, MT.

    Raises InputError where none is there, a chromosome is there twice, or a folder holds several sets.
    what: the name of these files in messages.
    """
    text = os.path.expanduser(os.fspath(prefix))
    if "@" in text:
        before, after = text.split("@", 1)
        found = _matching(before, after, suffix)
    elif text.endswith("/") or (not is_url(text) and os.path.isdir(text)):
        found = _in_folder(text.rstrip("/") + "/", suffix, what)
    else:
        found = _matching(text, "", suffix) or _matching(text + ".", "", suffix) or _single(text, suffix)
    if not found:
        raise InputError(
            f"no {what} were found for {text}.",
            expected=f"files such as {_example(text, suffix)}",
            do='give a folder, the beginning of the names ("dir/name."), or a pattern with @ for the chromosome',
        )
    found.sort(key=lambda file: natural_order(plain_contig(file.chromosome)))
    for one, next_one in zip(found[:-1], found[1:], strict=True):
        if plain_contig(one.chromosome) == plain_contig(next_one.chromosome):
            raise InputError(
                f"there are two files with the {what} of chromosome {one.chromosome}.",
                found=f"{one.path}\n{next_one.path}",
                do="move one of them elsewhere",
            )
    return found


def _files(pattern: str, suffix: str) -> Iterator[tuple[str, str]]:
    """(path, path without suffix and compression) of the files that match pattern + suffix + compression."""
    for path in expand(pattern + suffix + "*"):
        for end in sorted(_COMPRESSION, key=len, reverse=True):
            if path.endswith(suffix + end):
                yield path, path[: len(path) - len(suffix + end)]
                break


def _matching(before: str, after: str, suffix: str) -> list[ChromosomeFile]:
    """Files whose names are `before`, a chromosome, `after` and the suffix."""
    found = []
    for path, stem in _files(_literal(before) + "*" + _literal(after), suffix):
        name = os.path.basename(stem)
        middle = name[len(os.path.basename(before)) : len(name) - len(after)]
        if re.fullmatch(_CHROMOSOME, middle, re.IGNORECASE):
            found.append(ChromosomeFile(middle, path, stem))
    return found


def _literal(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)


def _in_folder(folder: str, suffix: str, what: str) -> list[ChromosomeFile]:
    sets: dict[str, list[ChromosomeFile]] = {}
    for path, stem in _files(_literal(folder) + "*", suffix):
        match = re.fullmatch(rf"(.*?)({_CHROMOSOME})", os.path.basename(stem), re.IGNORECASE)
        if match is not None:
            sets.setdefault(match[1], []).append(ChromosomeFile(match[2], path, stem))
    if "" in sets or len(sets) <= 1:
        return sets.get("", next(iter(sets.values()), []))
    raise InputError(
        f"{folder} holds several sets of {what}.",
        found=", ".join(f"{folder}{name}" for name in sorted(sets)),
        do="give the beginning of the names of one of them",
    )


def _single(text: str, suffix: str) -> list[ChromosomeFile]:
    for end in _COMPRESSION:
        if text.endswith(suffix + end) and exists(text):
            return [ChromosomeFile("", text, text[: len(text) - len(suffix + end)])]
    return [ChromosomeFile("", path, text) for end in _COMPRESSION if exists(path := text + suffix + end)][:1]


def _example(text: str, suffix: str) -> str:
    if "@" in text:
        return text.replace("@", "1") + suffix + ".gz"
    joint = "" if text.endswith((".", "/")) else "/" if os.path.isdir(text) else "."
    return f"{text}{joint}1{suffix}.gz"


# Content ------------------------------------------------------------------------------------------------------------


def read_table(path: str, required: Sequence[str], *, only_required: bool = False) -> pd.DataFrame:
    """A table with a header, columns set apart by blanks or tabs; every column but CHR, SNP, A1, A2 must be numbers.

    Raises InputError for a file without one of the `required` columns, with rows of another length, or cut short.
    only_required: leave other columns unread.
    """
    tables = list(table_blocks(path, required, only_required=only_required, rows=None))
    return tables[0]


def table_blocks(
    path: str, required: Sequence[str] = (), *, only_required: bool = False, rows: int | None = 1 << 17
) -> Iterator[pd.DataFrame]:
    """The same table in blocks of `rows` rows (None: at once)."""
    options: dict[str, Any] = {
        "sep": r"\s+",
        "compression": _compression(path),
        "dtype": dict.fromkeys(("CHR", "SNP", "A1", "A2"), str),
        "na_values": _MISSING,
        "keep_default_na": False,
    }
    try:
        with open_binary(path) as file:
            header = pd.read_csv(file, nrows=0, **options)
        if missing := [name for name in required if name not in header.columns]:
            raise InputError(
                f"{path} has no column {missing[0]}.",
                found=" ".join(map(str, header.columns)),
                expected=" ".join(required),
            )
        if only_required:
            options["usecols"] = list(required)
        with open_binary(path) as file:
            read = pd.read_csv(file, chunksize=rows, **options)
            for block in [read] if rows is None else read:
                yield _checked(path, block)
    except InputError:
        raise
    except (EOFError, OSError) as error:
        raise InputError(
            f"{path} cannot be read to its end.", found=str(error), do="it may have been cut; fetch it again"
        ) from error
    except (ValueError, UnicodeDecodeError) as error:  # pandas' ParserError and EmptyDataError are ValueErrors
        raise InputError(f"{path} cannot be read as a table.", found=str(error).strip()) from error


def _compression(path: str) -> str | None:
    """By content and not by name: files are unpacked and packed without being renamed."""
    with open_binary(path) as file:
        start = file.read(3)
    return "gzip" if start[:2] == b"\x1f\x8b" else "bz2" if start == b"BZh" else None


def _checked(path: str, table: pd.DataFrame) -> pd.DataFrame:
    for name in table.columns:
        if name in ("CHR", "SNP", "A1", "A2"):
            continue
        if table[name].dtype.kind not in "iufb":
            number = pd.to_numeric(table[name], errors="coerce")
            row = int(np.flatnonzero((number.isna() & table[name].notna()).to_numpy())[0])
            raise InputError(
                f"{path}, line {table.index[row] + 2:,}: {name} is not a number.", found=str(table[name].iloc[row])
            )
    return table


def read_numbers(path: str) -> np.ndarray:
    """The numbers of a .l2.M or .l2.M_5_50 file: float64 (annotations,)."""
    with open_binary(path) as file:
        words = file.read().decode("utf-8", "replace").split()
    try:
        return np.array([float(word) for word in words])
    except ValueError as error:
        raise InputError(f"{path} must hold numbers only.", found=str(error)) from None
