"""Gene sets: read from gmt files, tables of two columns, mappings or DataFrames, and matched to the genes of a store.

Names are matched as they are written, after spaces around them are cut off. A gene of a set that is listed twice
counts once.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from daskgen.errors import InputError, UsageError, examples

__all__ = ["GeneSets", "match_gene_sets", "read_gene_sets"]

Source: TypeAlias = str | os.PathLike[str] | pd.DataFrame | Mapping[str, Iterable[str]]

# Columns of set and gene in tables of decoupler, OmniPath, PanglaoDB, CellMarker and plain ones.
_SET_COLUMNS = (
    "source",
    "geneset",
    "gene_set",
    "set",
    "pathway",
    "term",
    "cell_type",
    "celltype",
    "cell type",
    "collection",
)
_GENE_COLUMNS = ("target", "genesymbol", "gene_symbol", "gene", "genes", "symbol", "official gene symbol")


@dataclass(frozen=True)
class GeneSets:
    """Sets among the genes of a store: names, sizes int64 (sets,) of the genes found, and which sets a gene is in.

    The sets of gene g are member[start[g]:start[g + 1]], start int64 (genes + 1,), member int32.
    """

    names: tuple[str, ...]
    sizes: np.ndarray
    start: np.ndarray
    member: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


def read_gene_sets(
    source: Source, *, set_column: str | None = None, gene_column: str | None = None
) -> dict[str, list[str]]:
    """Set name -> its genes, in the order of the source.

    source: a .gmt file (name, description, genes, separated by tabs), a table of sets and genes (tab or comma, with or
    without a header, # begins a comment; .gz too), a DataFrame of the same, or a mapping.
    """
    if isinstance(source, Mapping):
        return _cleaned({str(name): [str(gene) for gene in genes] for name, genes in source.items()})
    if isinstance(source, pd.DataFrame):
        return _of_table(source, set_column, gene_column, "the DataFrame")
    path = Path(source)
    if not path.is_file():
        raise InputError(
            f"{path}: there is no such file of gene sets.", expected="a .gmt file or a table of sets and genes"
        )
    if path.name.removesuffix(".gz").lower().endswith(".gmt"):
        return _of_gmt(path)
    return _of_text(path, set_column, gene_column)


def _lines(path: Path) -> list[str]:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return data.decode("utf-8-sig").splitlines()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: it cannot be read as text.", found=str(error)) from error


def _of_gmt(path: Path) -> dict[str, list[str]]:
    sets: dict[str, list[str]] = {}
    for number, line in enumerate(_lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, *rest = line.split("\t")
        if len(rest) < 2:
            raise InputError(
                f"{path}, line {number}: a set has a name, a description and genes, separated by tabs.",
                found=line[:60],
            )
        sets.setdefault(name.strip(), []).extend(rest[1:])
    return _cleaned(sets)


def _of_text(path: Path, set_column: str | None, gene_column: str | None) -> dict[str, list[str]]:
    lines = [line for line in _lines(path) if line.strip() and not line.startswith("#")]
    if not lines:
        raise InputError(f"{path}: it has no gene sets.")
    separator = "\t" if "\t" in lines[0] else ","
    rows = [[field.strip().strip('"') for field in line.split(separator)] for line in lines]
    width = len(rows[0])
    if width < 2 or any(len(row) < 2 for row in rows):
        raise InputError(f"{path}: a table of gene sets has a column of sets and one of genes.", found=lines[0][:60])
    header = {field.lower() for field in rows[0]}
    named = bool(header & set(_SET_COLUMNS) and header & set(_GENE_COLUMNS)) or bool(
        {set_column, gene_column} & set(rows[0])
    )
    columns = rows.pop(0) if named else ["source", "target", *(f"column_{i}" for i in range(3, width + 1))]
    table = pd.DataFrame([row[:width] + [""] * (width - len(row)) for row in rows], columns=columns)
    return _of_table(table, set_column, gene_column, str(path))


def _of_table(table: pd.DataFrame, set_column: str | None, gene_column: str | None, where: str) -> dict[str, list[str]]:
    sets = _column(table, set_column, _SET_COLUMNS, "set_column", where)
    genes = _column(table, gene_column, _GENE_COLUMNS, "gene_column", where)
    found: dict[str, list[str]] = {}
    for name, gene in zip(sets.astype(str), genes.astype(str), strict=True):
        found.setdefault(name, []).append(gene)
    return _cleaned(found)


def _column(table: pd.DataFrame, given: str | None, known: tuple[str, ...], argument: str, where: str) -> pd.Series:
    if given is not None:
        if given not in table.columns:
            raise InputError(f"{where} has no column {given!r}.", found=", ".join(map(str, table.columns)))
        return table[given]
    names = {str(column).lower(): column for column in table.columns}
    for name in known:
        if name in names:
            return table[names[name]]
    raise InputError(
        f"{where}: no column of {argument.split('_')[0]}s was recognised.",
        found=", ".join(map(str, table.columns)),
        expected=", ".join(known),
        do=f'{argument}="..."',
    )


def _cleaned(sets: dict[str, list[str]]) -> dict[str, list[str]]:
    cleaned = {
        name: list(dict.fromkeys(gene.strip() for gene in genes if gene.strip() and gene.strip().lower() != "nan"))
        for name, genes in sets.items()
    }
    return {name: genes for name, genes in cleaned.items() if genes}


def match_gene_sets(
    sets: Mapping[str, list[str]], genes: np.ndarray, counted: np.ndarray, *, tmin: int = 1
) -> GeneSets:
    """The sets with at least `tmin` genes that count.

    genes: names of all genes of the store; counted: bool, those that are analysed. A name that the store has twice
    counts where it comes first. Raises InputError, with examples of both sides, where no set is left.
    """
    if tmin < 1:
        raise UsageError(f"tmin is the least number of genes of a set, it is {tmin}.", expected="1 or more")
    position: dict[str, int] = {}
    for index in np.flatnonzero(counted):
        position.setdefault(str(genes[index]), int(index))
    found = {name: [position[gene] for gene in listed if gene in position] for name, listed in sets.items()}
    kept = [name for name, indices in found.items() if len(indices) >= tmin]
    if not kept:
        raise InputError(
            f"no gene set has {tmin} or more of the {len(position):,} genes."
            if tmin > 1
            else f"none of the genes of {len(sets):,} gene sets is among the {len(position):,} genes.",
            found=examples(position),
            expected=examples(dict.fromkeys(gene for listed in sets.values() for gene in listed)),
            do=_advice(sets, position),
        )
    pairs = sorted((gene, i) for i, name in enumerate(kept) for gene in found[name])
    start = np.zeros(len(genes) + 1, np.int64)
    np.add.at(start, [gene + 1 for gene, _ in pairs], 1)
    return GeneSets(
        tuple(kept),
        np.array([len(found[name]) for name in kept], np.int64),
        np.cumsum(start),
        np.array([i for _, i in pairs], np.int32),
    )


def _advice(sets: Mapping[str, list[str]], position: Mapping[str, int]) -> str:
    capitals = {gene.upper() for gene in position}
    if any(gene.upper() in capitals for listed in sets.values() for gene in listed):
        return "the names differ in capitals: are these sets of another species (human CD3E, mouse Cd3e)?"
    if next(iter(position), "").upper().startswith("ENS"):
        return "the store's genes have Ensembl ids: convert with gene_symbols=, or give sets of Ensembl ids"
    return "give sets in the names that the store has"
