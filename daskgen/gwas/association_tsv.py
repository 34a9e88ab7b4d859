"""An association scan as the tables that other tools write, column for column, block by block.

plink2: #CHROM POS ID REF ALT A1 A1_FREQ TEST OBS_CT BETA SE T_STAT P ERRCODE, as --glm of a measurement with the column
of frequencies. gcta: Chr SNP bp A1 A2 Freq b se p, as --mlma. The effect is that of A1, allele 1. A p value too small
for a floating-point number is written out all the same, as 1.7e-412.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import xarray as xr

from daskgen.errors import UsageError
from daskgen.gwas.layout import Effect, Values, blocks, effect
from daskgen.gwas.p_values import minus_log10_p, normal_scores, two_sided_p, z_scores
from daskgen.gwas.tsv import write_frames

__all__ = ["LAYOUTS", "write_association"]

LAYOUTS = ("plink2", "gcta")

_ROWS = 1 << 16  # variants of a block
_SMALLEST = 1e-300
_ERRORS = {
    "no_calls": "CONST_ALLELE",
    "monomorphic": "CONST_ALLELE",
    "collinear": "VIF_INFINITE",
    "too_few": "SAMPLE_CT<=PREDICTOR_CT",
}
"""What plink2 says of a variant that our status says that of; other statuses are written as they are named."""


def write_association(
    dataset: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    layout: str = "plink2",
    parameter: str | None = None,
    force: bool = False,
) -> str:
    """Write one phenotype's tests as a table, compressed if `path` ends in .gz; returns the path.

    Raises UsageError for a result of another kind, for several phenotypes without `parameter`, and as `write_frames`.
    """
    if "beta" not in dataset.variables or "allele_frequency" not in dataset.variables:
        raise UsageError(f"layout = {layout!r} is for association scans.", do='layout="genomicsem" for results of SEM')
    frame = _plink2 if layout == "plink2" else _gcta
    return write_frames(path, _frames(dataset, effect(dataset, parameter), frame), force=force)


def _frames(dataset: xr.Dataset, found: Effect, frame: Any) -> Iterator[pl.DataFrame]:
    names = ("variant_id", "variant_allele", "variant_contig", "variant_position")
    arrays: dict[str, Values | None] = {name: dataset[name] if name in dataset.variables else None for name in names}
    arrays |= {name: found.of(dataset[name]) for name in ("n_called", "allele_frequency")}
    arrays |= {"beta": found.estimate, "se": found.se, "status": found.status, "df": found.df}
    contigs = [str(name) for name in dataset["contig_id"].values] if "contig_id" in dataset.variables else []
    meanings = _meanings(dataset)
    for _, values in blocks(dataset, list(arrays.values()), rows=_ROWS):
        yield frame(dict(zip(arrays, values, strict=True)), contigs, meanings)


def _meanings(dataset: xr.Dataset) -> dict[int, str]:
    attrs = dataset["status"].attrs
    names = str(attrs.get("flag_meanings", "")).split()
    return dict(zip(attrs.get("flag_values", []), names, strict=True))


def _plink2(block: dict[str, Any], contigs: list[str], meanings: dict[int, str]) -> pl.DataFrame:
    n = len(block["beta"])
    other, counted = _alleles(block)
    errors = {code: "." if code == 0 else _ERRORS.get(name, name.upper()) for code, name in meanings.items()}
    return pl.DataFrame(
        {
            "#CHROM": _contig(block, contigs),
            "POS": _position(block),
            "ID": _texts(block["variant_id"]),
            "REF": other,
            "ALT": counted,
            "A1": counted,
            "A1_FREQ": _numbers(block["allele_frequency"]),
            "TEST": pl.Series(["ADD"] * n, dtype=pl.String),
            "OBS_CT": pl.Series(block["n_called"]),
            "BETA": _numbers(block["beta"]),
            "SE": _numbers(block["se"]),
            "T_STAT": _numbers(z_scores(block["beta"], block["se"])),
            "P": _p_values(block),
            "ERRCODE": pl.Series([errors.get(int(code), str(code)) for code in block["status"]], dtype=pl.String),
        }
    )


def _gcta(block: dict[str, Any], contigs: list[str], meanings: dict[int, str]) -> pl.DataFrame:
    other, counted = _alleles(block)
    return pl.DataFrame(
        {
            "Chr": _contig(block, contigs),
            "SNP": _texts(block["variant_id"]),
            "bp": _position(block),
            "A1": counted,
            "A2": other,
            "Freq": _numbers(block["allele_frequency"]),
            "b": _numbers(block["beta"]),
            "se": _numbers(block["se"]),
            "p": _p_values(block),
        }
    )


def _p_values(block: dict[str, Any]) -> pl.Series:
    z = z_scores(block["beta"], block["se"])
    if block["df"] is not None:
        z = normal_scores(z, block["df"])
    p = two_sided_p(z)
    tiny = np.flatnonzero(p < _SMALLEST)
    series = _numbers(p)
    if not len(tiny):
        return series
    text = series.cast(pl.String).to_list()
    for row, strength in zip(tiny.tolist(), minus_log10_p(z[tiny]).tolist(), strict=True):
        exponent = int(np.ceil(strength))
        text[row] = f"{10 ** (exponent - strength):.6g}e-{exponent}"
    return pl.Series(text, dtype=pl.String)


def _alleles(block: dict[str, Any]) -> tuple[pl.Series, pl.Series]:
    """(allele 0, allele 1)."""
    allele = block["variant_allele"]
    if allele is None:
        nothing = pl.Series(["."] * len(block["beta"]), dtype=pl.String)
        return nothing, nothing
    return _texts(allele[:, 0]), _texts(allele[:, 1])


def _contig(block: dict[str, Any], contigs: list[str]) -> pl.Series:
    index = block["variant_contig"]
    if index is None or not contigs:
        return pl.Series(["0"] * len(block["beta"]), dtype=pl.String)
    return pl.Series(contigs, dtype=pl.String).gather(index)


def _position(block: dict[str, Any]) -> pl.Series:
    position = block["variant_position"]
    return pl.Series(np.zeros(len(block["beta"]), np.int32) if position is None else position)


def _numbers(values: np.ndarray) -> pl.Series:
    return pl.Series(np.ascontiguousarray(values, np.float64), nan_to_null=True)


def _texts(values: np.ndarray) -> pl.Series:
    return pl.Series(values.tolist(), dtype=pl.String)
