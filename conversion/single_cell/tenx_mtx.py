"""Counts as a Matrix Market file with barcodes and features beside it, as Cell Ranger and most other tools write them.

Source of the format: https://math.nist.gov/MatrixMarket/formats.html.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from conversion.single_cell.counts import choose_counts
from conversion.single_cell.source import CellSource
from conversion.single_cell.spool import Entries, spool_entries
from conversion.single_cell.tenx_hdf5 import selected_features
from conversion.summary.streams import open_unpacked
from daskgen.errors import InputError, UsageError, examples

__all__ = ["matrix_files", "read_10x_mtx"]

_BLOCK = 1 << 25  # bytes of text that are parsed at a time
_MATRIX = (".mtx", ".mtx.gz")
_BARCODES = ("barcodes.tsv", "barcodes.tsv.gz", "cells.tsv", "cells.tsv.gz")
_FEATURES = ("features.tsv", "features.tsv.gz", "genes.tsv", "genes.tsv.gz")


def matrix_files(path: str) -> list[str]:
    """The Matrix Market files of a folder, or `path` itself where it is one."""
    if os.path.isdir(path):
        return sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(_MATRIX))
    return [path] if path.endswith(_MATRIX) else []


def read_10x_mtx(path: str, genome: str | None, gex_only: bool, scratch: str) -> CellSource:
    """A folder with matrix.mtx, barcodes.tsv and features.tsv (version 3) or genes.tsv, packed or not.

    path: the folder, or the matrix, whose companions have the same beginning of the name ("GSM1_matrix.mtx.gz").
    The matrix is genes x cells, or cells x genes where only that fits the companions.
    """
    found = matrix_files(path)
    if len(found) != 1:
        raise UsageError(
            f"{path} has {len(found) or 'no'} matrices.",
            found=examples(map(os.path.basename, found)) or "no .mtx or .mtx.gz",
            do="give the matrix itself; several of them are converted together as several sources",
        )
    matrix = found[0]
    folder, name = os.path.split(matrix)
    prefix = name.removesuffix(".gz").removesuffix(".mtx").removesuffix("matrix")
    barcodes, features = (_companion(matrix, folder, prefix, names) for names in (_BARCODES, _FEATURES))
    obs, var = _barcodes(barcodes), _features(features)
    entries = _MatrixFile(matrix)
    shape, by_genes = _orientation(entries, len(obs), len(var), barcodes, features)
    spooled = spool_entries(entries.blocks(by_genes), scratch, shape, entries.n_entries)
    keep = selected_features(path, var, genome, gex_only)
    _, _, notes = choose_counts(path, {name: lambda: spooled}, name, False)
    notes = notes if by_genes else [*notes, "the matrix is cells x genes"]
    form = f"10x mtx, {'version 3' if 'features' in os.path.basename(features) else 'version 2'}"
    return CellSource(path, form, name, obs, var, spooled, (matrix, barcodes, features), notes, keep_genes=keep)


def _companion(matrix: str, folder: str, prefix: str, names: tuple[str, ...]) -> str:
    for name in names:
        path = os.path.join(folder, prefix + name)
        if os.path.isfile(path):
            return path
    raise InputError(
        f"{matrix} needs a file beside it that is not there.",
        expected=" or ".join(prefix + name for name in names),
        found=examples(sorted(os.listdir(folder or ".")), 6),
    )


def _lines(path: str) -> list[str]:
    with open_unpacked(path) as file:
        pieces = list(iter(file.read_piece, b""))
    return b"".join(pieces).decode().splitlines()


def _barcodes(path: str) -> pd.DataFrame:
    """Barcodes; more columns, if there are any, are left out."""
    return pd.DataFrame(index=pd.Index([line.split("\t")[0] for line in _lines(path)], dtype=object))


def _features(path: str) -> pd.DataFrame:
    """Accession numbers, symbols and types. A file of one column has names alone."""
    fields = [line.split("\t") for line in _lines(path)]
    width = min((len(row) for row in fields), default=0)
    names = pd.Index([row[min(1, width - 1)] for row in fields], dtype=object)
    columns: dict[str, Any] = {}
    if width > 1:
        columns["gene_ids"] = np.array([row[0] for row in fields], object)
    if width > 2:
        columns["feature_types"] = np.array([row[2] for row in fields], object)
    return pd.DataFrame(columns, index=names)


def _orientation(
    matrix: _MatrixFile, n_cells: int, n_genes: int, barcodes: str, features: str
) -> tuple[tuple[int, int], bool]:
    """(cells, genes) and whether the matrix's rows are genes."""
    if (matrix.n_rows, matrix.n_columns) == (n_genes, n_cells):
        return (n_cells, n_genes), True
    if (matrix.n_rows, matrix.n_columns) == (n_cells, n_genes):
        return (n_cells, n_genes), False
    raise InputError(
        f"{matrix.path} does not fit the files beside it.",
        found=f"{matrix.n_rows:,} x {matrix.n_columns:,}",
        expected=f"{n_genes:,} genes ({os.path.basename(features)}) x {n_cells:,} cells ({os.path.basename(barcodes)})",
    )


class _MatrixFile:
    """The header of a Matrix Market file, and its entries block by block."""

    def __init__(self, path: str):
        self.path = path
        with open_unpacked(path) as file:
            start = b""
            while piece := file.read_piece():
                start += piece
                lines = start.split(b"\n")
                sizes = [k for k, line in enumerate(lines[:-1]) if k and line.strip() and not line.startswith(b"%")]
                if sizes:
                    break
            else:
                raise InputError(f"{path} has no line with its size.", found=start[:80].decode(errors="replace"))
        banner = lines[0].decode(errors="replace").lower().split()
        if banner[:3] != ["%%matrixmarket", "matrix", "coordinate"]:
            raise InputError(
                f"{path} is no sparse Matrix Market file.",
                found=lines[0][:80].decode(errors="replace"),
                expected="%%MatrixMarket matrix coordinate integer general",
            )
        self.pattern = "pattern" in banner
        if "general" not in banner or "complex" in banner:
            raise InputError(f"{path}: a matrix of this kind holds no counts.", found=" ".join(banner[3:]))
        try:
            self.n_rows, self.n_columns, self.n_entries = (int(word) for word in lines[sizes[0]].split())
        except ValueError:
            raise InputError(f"{path}: the line with the size has not three numbers.", found=lines[sizes[0]]) from None
        self._skip = len(b"\n".join(lines[: sizes[0] + 1])) + 1

    def blocks(self, by_genes: bool) -> Iterator[Entries]:
        """(cells, genes, values) of the entries, counted from 0. InputError where they are not as many as announced."""
        seen = 0
        for text in self._texts():
            table = self._parsed(text)
            seen += len(table)
            first, second = (table[:, k].to_numpy().astype(np.int64) - 1 for k in (0, 1))
            for numbers, n, which in ((first, self.n_rows, "row"), (second, self.n_columns, "column")):
                if len(numbers) and (numbers.min() < 0 or numbers.max() >= n):
                    wrong = numbers.min() if numbers.min() < 0 else numbers.max()
                    raise InputError(f"{self.path}: {which} {wrong + 1} is out of range.", expected=f"1 to {n}")
            values = np.ones(len(table)) if self.pattern else table[:, 2].to_numpy()
            yield (second, first, values) if by_genes else (first, second, values)
        if seen != self.n_entries:
            raise InputError(
                f"{self.path} is {'cut' if seen < self.n_entries else 'damaged'}.",
                found=f"{seen:,} entries",
                expected=f"{self.n_entries:,}, as its header says",
                do="fetch the file again",
            )

    def _texts(self) -> Iterator[bytes]:
        """The lines of entries, in blocks that end with a line."""
        skip, kept = self._skip, b""
        with open_unpacked(self.path) as file:
            pieces: list[bytes] = []
            size = 0
            for piece in iter(file.read_piece, b""):
                if skip:
                    dropped = min(skip, len(piece))
                    piece, skip = piece[dropped:], skip - dropped
                pieces.append(piece)
                size += len(piece)
                if size >= _BLOCK:
                    text = kept + b"".join(pieces)
                    end = text.rfind(b"\n") + 1
                    yield text[:end]
                    kept, pieces, size = text[end:], [], 0
            if rest := (kept + b"".join(pieces)).strip(b"\r\n"):
                yield rest + b"\n"

    def _parsed(self, text: bytes) -> pl.DataFrame:
        types: dict[str, Any] = {"row": pl.Int64, "column": pl.Int64}
        if not self.pattern:
            types["value"] = pl.Float64
        separator = "\t" if b"\t" in text[: text.find(b"\n")] else " "
        try:
            table = pl.read_csv(
                io.BytesIO(text.replace(b"\r", b"")),
                separator=separator,
                has_header=False,
                schema=types,
                quote_char=None,
            )
        except pl.exceptions.PolarsError as error:
            reason = str(error).splitlines()[0][:160]
            raise InputError(
                f"{self.path}: an entry cannot be read.", found=reason, expected="row column value"
            ) from None
        if table.null_count().sum_horizontal().item():
            raise InputError(f"{self.path}: an entry lacks a number.", expected="row column value")
        return table
