"""Raw files of simulated GWAS: `gwas_files` writes what the tools of the field write, with all their differences.

Columns have the names of a tool or a consortium, half of the rows report the other allele as effect allele, and some
files have no sample size. What is in them is known, so what a reader makes of them can be checked.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import erfc, log_ndtr

from daskgen.errors import InputError, StoreError, UsageError, examples
from daskgen.inputs.arguments import known_arguments
from daskgen.kernels.philox import as_uniform, philox_key, philox_words
from daskgen.simulate.architecture import whole
from daskgen.stores import StoreLike, open_dataset

__all__ = ["STYLES", "GwasFiles", "gwas_files"]

_DIGITS = 5  # of what is printed
_FREQUENCY, _TURNED = 0, 1
"""Third counter of Philox: what the words are for."""


@dataclass(frozen=True)
class GwasFiles:
    """Paths of what was written: a file for each trait by name, and the list of all variants with their alleles."""

    files: dict[str, str]
    reference: str


@dataclass(frozen=True)
class _Rows:
    """The rows of one trait: everything by the effect allele that the file reports."""

    contig: np.ndarray
    position: np.ndarray
    variant_id: np.ndarray
    effect: np.ndarray
    other: np.ndarray
    first: np.ndarray
    second: np.ndarray
    frequency: np.ndarray
    z: np.ndarray
    n: np.ndarray

    @property
    def se(self) -> np.ndarray:
        """Standard error of the effect of an allele, in standard deviations of the trait."""
        return 1.0 / np.sqrt(2.0 * self.frequency * (1.0 - self.frequency) * self.n)

    @property
    def beta(self) -> np.ndarray:
        return _rounded(self.z * self.se)

    @property
    def p(self) -> np.ndarray:
        return _rounded(erfc(np.abs(self.z) / np.sqrt(2.0)))

    @property
    def log10_p(self) -> np.ndarray:
        return _rounded(-(np.log(2.0) + log_ndtr(-np.abs(self.z))) / np.log(10.0))


def _giant(rows: _Rows) -> dict[str, Any]:
    return {
        "MarkerName": rows.variant_id,
        "Allele1": rows.effect,
        "Allele2": rows.other,
        "Freq.Allele1.HapMapCEU": rows.frequency,
        "b": rows.beta,
        "se": _rounded(rows.se),
        "p": rows.p,
        "N": rows.n,
    }


def _ssgac(rows: _Rows) -> dict[str, Any]:
    return {
        "MarkerName": rows.variant_id,
        "CHR": rows.contig,
        "POS": rows.position,
        "A1": rows.effect,
        "A2": rows.other,
        "EAF": rows.frequency,
        "Beta": rows.beta,
        "SE": _rounded(rows.se),
        "Pval": rows.p,
    }


def _regenie(rows: _Rows) -> dict[str, Any]:
    return {
        "CHROM": rows.contig,
        "GENPOS": rows.position,
        "ID": rows.variant_id,
        "ALLELE0": rows.other,
        "ALLELE1": rows.effect,
        "A1FREQ": rows.frequency,
        "N": rows.n,
        "TEST": "ADD",
        "BETA": rows.beta,
        "SE": _rounded(rows.se),
        "CHISQ": _rounded(rows.z**2),
        "LOG10P": rows.log10_p,
    }


def _plink2(rows: _Rows) -> dict[str, Any]:
    return {
        "#CHROM": rows.contig,
        "POS": rows.position,
        "ID": rows.variant_id,
        "REF": rows.first,
        "ALT": rows.second,
        "A1": rows.effect,
        "A1_FREQ": rows.frequency,
        "TEST": "ADD",
        "OBS_CT": rows.n,
        "BETA": rows.beta,
        "SE": _rounded(rows.se),
        "T_STAT": _rounded(rows.z),
        "P": rows.p,
    }


def _gwas_ssf(rows: _Rows) -> dict[str, Any]:
    return {
        "chromosome": rows.contig,
        "base_pair_location": rows.position,
        "effect_allele": rows.effect,
        "other_allele": rows.other,
        "beta": rows.beta,
        "standard_error": _rounded(rows.se),
        "effect_allele_frequency": rows.frequency,
        "p_value": rows.p,
        "rsid": rows.variant_id,
        "n": rows.n,
    }


STYLES: Mapping[str, Callable[[_Rows], dict[str, Any]]] = {
    "giant": _giant,
    "ssgac": _ssgac,
    "regenie": _regenie,
    "plink2": _plink2,
    "gwas-ssf": _gwas_ssf,
}
"""Header styles; "ssgac" is the one without sample sizes."""


@known_arguments()
def gwas_files(
    folder: str | os.PathLike[str],
    sumstats: StoreLike | xr.Dataset,
    *,
    styles: Sequence[str] | str | None = None,
    effects: Mapping[str, Sequence[float] | np.ndarray] | None = None,
    seed: int = 0,
    force: bool = False,
) -> GwasFiles:
    """Write the traits of simulated summary statistics as raw GWAS files, TRAIT.txt.gz, and reference.txt.gz.

    Parameters
    ----------
    folder
        Where the files go; made if it is not there.
    sumstats
        What `simulate.sumstats` made, with alleles and positions; path or Dataset.
    styles
        A style for each trait, or one for all, of "giant", "ssgac" (without a column of sample sizes), "regenie",
        "plink2", "gwas-ssf". Default: one after the other.
    effects
        variant id -> effects on the traits of a copy of the variant's effect allele (`variant_allele[:, 1]`), in
        standard deviations; added to what was drawn.
    seed
        Of the frequencies, uniform between 0.05 and 0.5, and of the rows whose effect allele is the other one.
    force
        Replace files that are there.

    Returns
    -------
    GwasFiles
        `files`, trait -> path, and `reference`, the path of a table SNP A1 A2 MAF CHR BP with A1 the effect allele.

    Effects are in standard deviations of the trait per allele, se = 1 / sqrt(2 f (1 - f) N); numbers have five digits.
    A variant that a trait lacks has no row. A trait is in memory at a time.

    Raises InputError for statistics that lack what is needed and effects of unknown variants, UsageError for a style
    that there is not, StoreError for a file that is there.
    """
    dataset = _opened(sumstats)
    names = [str(name) for name in dataset["trait"].values]
    chosen = _styles(styles, len(names))
    target = Path(folder)
    paths = {name: target / f"{name}.txt.gz" for name in names}
    reference = target / "reference.txt.gz"
    there = [str(path) for path in (*paths.values(), reference) if path.exists()]
    if there and not force:
        raise StoreError(f"{there[0]} exists.", do="choose another folder, or force=True to replace the files")
    target.mkdir(parents=True, exist_ok=True)
    m = dataset.sizes["variants"]
    key = philox_key(whole("seed", seed, 0), "gwas files")
    maf = np.round(0.05 + 0.45 * _uniform(key, m, 0, _FREQUENCY), 4)
    contig = dataset["contig_id"].values[dataset["variant_contig"].values].astype(object)
    position, variant_id = dataset["variant_position"].values, dataset["variant_id"].values.astype(object)
    first, second = dataset["variant_allele"].values.astype(object).T
    _write(reference, {"SNP": variant_id, "A1": second, "A2": first, "MAF": maf, "CHR": contig, "BP": position})
    added = _added(effects, variant_id, len(names))
    for t, path in enumerate(paths.values()):
        z, n = (dataset[array].isel(traits=t).values for array in ("z", "n"))
        rows, shift = added
        z[rows] += shift[:, t] * np.sqrt(2.0 * maf[rows] * (1.0 - maf[rows]) * n[rows])
        turned = _uniform(key, m, t, _TURNED) < 0.5
        kept = np.flatnonzero(np.isfinite(z))
        columns = _Rows(
            contig,
            position,
            variant_id,
            np.where(turned, first, second),
            np.where(turned, second, first),
            first,
            second,
            np.where(turned, np.round(1.0 - maf, 4), maf),
            np.where(turned, -z, z),
            np.where(np.isfinite(n), np.round(n), 1).astype(np.int64),
        )
        part = _Rows(**{field: getattr(columns, field)[kept] for field in _Rows.__dataclass_fields__})
        _write(path, chosen[t](part))
    return GwasFiles({name: str(path) for name, path in paths.items()}, str(reference))


def _opened(sumstats: StoreLike | xr.Dataset) -> xr.Dataset:
    opened = sumstats if isinstance(sumstats, xr.Dataset) else open_dataset(sumstats, "sumstats")
    needed = ("z", "n", "trait", "variant_id", "variant_allele", "variant_contig", "variant_position", "contig_id")
    missing = [name for name in needed if name not in opened.variables]
    if missing:
        raise InputError(
            f"these statistics cannot be written as raw files: {missing[0]} is not there.",
            found=", ".join(map(str, opened.variables)),
            expected=", ".join(needed),
        )
    return opened


def _styles(styles: Sequence[str] | str | None, k: int) -> list[Callable[[_Rows], dict[str, Any]]]:
    given = list(STYLES) if styles is None else [styles] if isinstance(styles, str) else list(styles)
    unknown = [name for name in given if name not in STYLES]
    if unknown or (styles is not None and not isinstance(styles, str) and len(given) != k):
        raise UsageError(
            f"there is no style {unknown[0]!r}." if unknown else f"{len(given)} styles do not fit {k} traits.",
            expected=", ".join(STYLES),
        )
    return [STYLES[given[t % len(given)]] for t in range(k)]


def _added(effects: Mapping[str, Any] | None, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (effects,) and effects (effects, traits) of the variants that have one of their own."""
    given = dict(effects or {})
    row = {name: i for i, name in enumerate(ids)} if given else {}
    unknown = [name for name in given if name not in row]
    if unknown:
        raise InputError("effects are of variants that are not there.", found=examples(unknown))
    shift = np.array([np.broadcast_to(np.asarray(value, float), k) for value in given.values()]).reshape(-1, k)
    return np.array([row[name] for name in given], np.intp), shift


def _uniform(key: np.ndarray, m: int, trait: int, purpose: int) -> np.ndarray:
    counters = np.zeros((m, 4), np.uint32)
    counters[:, 0], counters[:, 1], counters[:, 2] = np.arange(m), trait, purpose
    return as_uniform(philox_words(key, counters)[:, 0])


def _rounded(values: np.ndarray) -> np.ndarray:
    """To five significant digits; 0 stays 0."""
    with np.errstate(divide="ignore"):
        place = np.floor(np.log10(np.abs(values)))
    unit = 10.0 ** (_DIGITS - 1 - np.where(np.isfinite(place), place, 0.0))
    return np.asarray(np.where(np.isfinite(unit), np.round(values * unit) / unit, values))


def _write(path: Path, columns: Mapping[str, Any]) -> None:
    """A packed table, written beside its place and moved there."""
    import polars as pl

    arrays = {
        name: value.tolist() if value.dtype == object else value
        for name, value in columns.items()
        if not isinstance(value, str)
    }
    order = [pl.lit(value).alias(name) if isinstance(value, str) else name for name, value in columns.items()]
    table = pl.DataFrame(arrays).select(order)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with gzip.GzipFile(partial, "wb", compresslevel=1, mtime=0) as file:
            file.write(table.write_csv(separator="\t").encode())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
