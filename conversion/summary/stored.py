"""Stores of daskgen as sources: the effects of one trait, or of one parameter of an SEM scan, as a table of z."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import zarr

from daskgen.errors import InputError, StoreError
from daskgen.inputs.files import is_url
from daskgen.stores import open_group

__all__ = ["SEPARATOR", "StoredTable", "is_store", "stored_traits"]

SEPARATOR = "::"
"""Between a store's path and the name of one of its traits: "gwas.zarr::F1~SNP"."""

_ROWS = 1 << 18


def is_store(path: str) -> bool:
    """Whether `path` (without a trait's name) is a Zarr group rather than a file."""
    path = path.partition(SEPARATOR)[0]
    return not is_url(path) and os.path.isfile(os.path.join(path, "zarr.json"))


def stored_traits(path: str) -> list[str]:
    """The traits (of a sumstats store) or parameters (of a gwas store) as paths of their own; one of them as it is."""
    if SEPARATOR in path:
        return [path]
    group = open_group(path)
    name = {"sumstats": "trait", "gwas": "parameter"}.get(str(group.attrs.get("kind")))
    if name is None or name not in group:
        raise StoreError(
            f"{path} has no effects that could be read.",
            found=f"kind {group.attrs.get('kind')}",
            expected="kind sumstats or gwas",
        )
    return [f"{path}{SEPARATOR}{trait}" for trait in np.asarray(group[name][...]).tolist()]  # type: ignore[index]


class StoredTable:
    """One trait of a store: SNP, A1 (effect), A2, Z and, where it is known, N, CHR and BP."""

    def __init__(self, path: str):
        self.path, _, self.trait = path.partition(SEPARATOR)
        group = self._group()
        self.store_id = str(group.attrs["store_id"])
        self._row = self._find(group)
        if "variant_allele" not in group:
            raise StoreError(f"{self.path} has no alleles (variant_allele), so its signs mean nothing elsewhere.")
        names = ["SNP", "A1", "A2", "Z"]
        if self._n(group, slice(0, 1)) is not None:
            names.append("N")
        if "variant_position" in group and "variant_contig" in group and "contig_id" in group:
            names += ["CHR", "BP"]
        self.names = tuple(names)

    def _group(self) -> zarr.Group:
        return open_group(self.path)

    def _find(self, group: zarr.Group) -> int:
        kind = group.attrs.get("kind")
        name = "trait" if kind == "sumstats" else "parameter"
        here = np.asarray(group[name][...]).tolist()  # type: ignore[index]
        if self.trait not in here:
            raise InputError(f"{self.path} has no {name} {self.trait!r}.", found=", ".join(here))
        return here.index(self.trait)

    def _z(self, group: zarr.Group, rows: slice) -> np.ndarray:
        if "z" in group:
            return np.asarray(group["z"][self._row, rows])  # type: ignore[index]
        effect = "beta" if "beta" in group else "estimate"
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.asarray(group[effect][self._row, rows]) / np.asarray(group["se"][self._row, rows])  # type: ignore[index]
        if "status" in group:
            z[np.asarray(group["status"][rows]) != 0] = np.nan  # type: ignore[index]
        return np.where(np.isfinite(z), z, np.nan)

    def _n(self, group: zarr.Group, rows: slice) -> np.ndarray | None:
        if "n" in group:
            return np.asarray(group["n"][self._row, rows])  # type: ignore[index]
        if "trait_n" in group:
            n = float(np.asarray(group["trait_n"][...])[self._row])  # type: ignore[index]
            return np.full(rows.stop - rows.start, n) if np.isfinite(n) else None
        return None

    def head(self) -> pl.DataFrame:
        """The first rows, all columns as text."""
        return next(self.blocks(self.names)).head(1_000).cast(pl.String)

    def blocks(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """All rows of `columns`."""
        group = self._group()
        contigs = np.asarray(group["contig_id"][...]) if "CHR" in self.names else None  # type: ignore[index]
        n_rows = group["variant_id"].shape[0]  # type: ignore[union-attr]
        for start in range(0, n_rows, _ROWS):
            rows = slice(start, min(start + _ROWS, n_rows))
            alleles = np.asarray(group["variant_allele"][rows])  # type: ignore[index]
            frame = {
                "SNP": np.asarray(group["variant_id"][rows]).tolist(),  # type: ignore[index]
                "A1": alleles[:, 1].tolist(),
                "A2": alleles[:, 0].tolist(),
                "Z": self._z(group, rows),
            }
            if "N" in self.names:
                frame["N"] = self._n(group, rows)
            if contigs is not None:
                frame["CHR"] = contigs[np.asarray(group["variant_contig"][rows])].tolist()  # type: ignore[index]
                frame["BP"] = np.asarray(group["variant_position"][rows])  # type: ignore[index]
            table = pl.DataFrame(frame)
            yield table.with_columns(pl.col(pl.Float64).fill_nan(None)).select(columns)
