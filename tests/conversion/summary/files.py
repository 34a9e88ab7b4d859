"""Small files of summary statistics and references, written for a test, and what a store holds as plain mappings."""

from __future__ import annotations

import gzip
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

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


def simulated(folder, name, n_rows, seed, header="SNP A1 A2 BETA SE P N INFO EAF"):
    """A file with every defect, and its reference: values that the oracle reads row by row."""
    rng = np.random.default_rng(seed)
    bases = np.array(list("ACGT"))
    a = rng.integers(0, 4, n_rows)
    b = (a + rng.integers(1, 4, n_rows)) % 4
    maf = rng.uniform(0.001, 0.5, n_rows).round(4)
    variants = [(f"rs{i}", bases[a[i]], bases[b[i]], maf[i], 1 + i % 22, 100 + i) for i in range(n_rows)]
    path = reference(folder, variants, f"{name}.reference.tsv")
    rows = []
    for i in rng.permutation(n_rows + 20):
        i = int(i) % (n_rows + 7)
        first, second = (a[i], b[i]) if i < n_rows else (0, 1)
        turned = rng.random() < 0.4
        alleles = [bases[second], bases[first]] if turned else [bases[first], bases[second]]
        if rng.random() < 0.05:
            alleles[0] = rng.choice(["AT", "NA", "T", "<DEL>", "."])
        if rng.random() < 0.3:
            alleles = [allele.lower() for allele in alleles]
        size = float(rng.normal())
        p = math.erfc(abs(size) / math.sqrt(2)) ** rng.choice([1, 1, 1, 40])
        f = maf[i] if i < n_rows else 0.3
        rows.append(
            [
                f"rs{i}",
                *alleles,
                f"{size * 0.1:.6g}",
                "0.1",
                rng.choice([f"{max(p, 1e-300):.5g}", "NA", "1.2"], p=[0.94, 0.03, 0.03]),
                int(rng.integers(100, 200)),
                rng.choice(["0.95", "0.85", "NA"], p=[0.8, 0.1, 0.1]),
                rng.choice([f"{1 - f if turned else f:.4f}", "NA"], p=[0.97, 0.03]),
            ]
        )
    return gwas(folder, f"{name}.tsv.gz", header, rows), path


def exact_table(path: Path) -> pd.DataFrame:
    """A table with its numbers as Python reads them: what pandas reads is off by a digit in some releases."""
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    for name in table.columns:
        try:
            table[name] = [math.nan if text == "NA" else float(text) for text in table[name]]
        except ValueError:
            continue
    return table


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
