"""Small files of summary statistics and references, written for a test, and what a store holds as plain mappings."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import daskgen as dg

REFERENCE = [
    # id, A1, A2, MAF, contig, position
    ("rs1", "A", "G", 0.10, 1, 1000),
    ("rs2", "C", "T", 0.20, 1, 2000),
    ("rs3", "G", "A", 0.30, 1, 3000),
    ("rs4", "T", "C", 0.40, 2, 1000),
    ("rs5", "A", "T", 0.25, 2, 2000),
    ("rs6", "C", "A", 0.005, "X", 500),
]


def write(path: Path, header: str, rows: Sequence[Any], separator: str = "\t", end: str = "\n") -> Path:
    """A table; rows are sequences of values, or whole lines. Packed if the name ends in .gz."""
    lines = [header if "\t" in header else separator.join(header.split())]
    lines += [row if isinstance(row, str) else separator.join(map(str, row)) for row in rows]
    data = (end.join(lines) + end).encode()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def reference(folder: Path, rows: Sequence[Any] = REFERENCE, name: str = "reference.tsv") -> Path:
    return write(folder / name, "SNP A1 A2 MAF CHR BP", rows)


def gwas(folder: Path, name: str = "gwas.tsv", header: str = "SNP A1 A2 BETA SE P N", rows: Any = None) -> Path:
    """Five rows that are all in REFERENCE; rs2 and rs4 with the alleles turned."""
    rows = rows or [
        ("rs1", "A", "G", 0.1, 0.05, 0.0455, 1000),
        ("rs2", "T", "C", 0.2, 0.05, 6.3e-5, 1000),
        ("rs3", "G", "A", -0.1, 0.05, 0.0455, 900),
        ("rs4", "C", "T", -0.05, 0.05, 0.3173, 1000),
        ("rs5", "A", "T", 0.01, 0.05, 0.8415, 1000),
    ]
    return write(folder / name, header, rows)


def values(store: Any, trait: str, name: str) -> dict[str, float]:
    """id -> value of the variants that the trait has."""
    dataset = dg.open_store(store)
    row = dataset["trait"].values.tolist().index(trait)
    column = dataset[name].values[row]
    ids = dataset["variant_id"].values
    return {str(ids[i]): float(column[i]) for i in np.flatnonzero(~np.isnan(column))}


def dropped(store: Any, trait: str) -> dict[str, int]:
    """reason -> rows, where there are any."""
    dataset = dg.open_store(store)
    row = dataset["trait"].values.tolist().index(trait)
    counts = zip(dataset["reason"].values.tolist(), dataset["dropped"].values[row].tolist(), strict=True)
    return {str(name): n for name, n in counts if n}


def close(found: Mapping[str, float], wanted: Mapping[str, float], relative: float = 1e-12) -> None:
    """Asserts that two mappings have the same keys and nearly the same values."""
    assert list(found) == list(wanted) or set(found) == set(wanted)
    for key, value in wanted.items():
        assert abs(found[key] - value) <= relative * max(abs(value), 1e-300), (key, found[key], value)
