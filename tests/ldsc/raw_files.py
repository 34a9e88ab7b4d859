"""Raw GWAS files in the styles of their consortia: written from simulated statistics, and read back for comparison.

Only what the tests need; `conversion.munge` reads any of them, and far more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import norm

COMPLEMENT = {"A": "T", "T": "A", "C": "G", "G": "C"}


@dataclass(frozen=True)
class Style:
    """How a file names its columns; effect: "or" or "beta"; n: a number where the file has no column with N."""

    separator: str
    snp: str
    a1: str
    a2: str
    effect: str
    p: str
    kind: str
    frequency: str | None = None
    info: str | None = None
    n: str | None = None


STYLES = {
    "pgc": Style(" ", "snpid", "a1", "a2", "or", "pval", "or", "CEUaf", "info"),
    "daner": Style("\t", "SNP", "A1", "A2", "OR", "P", "or", "FRQ_U_113154", "INFO"),
    "giant": Style("\t", "MarkerName", "Allele1", "Allele2", "b", "p", "beta", "Freq.Allele1.HapMapCEU", None, "N"),
    "ssgac": Style("\t", "MarkerName", "A1", "A2", "Beta", "Pval", "beta", "EAF"),
}


def write_raw(path: Path, style: str, table: pd.DataFrame, *, seed: int = 0) -> Path:
    """A raw file of the columns SNP A1 A2 FRQ Z N (A1 the effect allele): half of the rows with alleles swapped."""
    names = STYLES[style]
    generator = np.random.default_rng(seed)
    swapped = generator.random(len(table)) < 0.5
    frequency = np.where(swapped, 1 - table["FRQ"], table["FRQ"])
    z = np.where(swapped, -table["Z"], table["Z"])
    se = 1 / np.sqrt(2 * frequency * (1 - frequency) * table["N"])
    columns = {
        names.snp: table["SNP"].to_numpy(),
        names.a1: np.where(swapped, table["A2"], table["A1"]),
        names.a2: np.where(swapped, table["A1"], table["A2"]),
        names.effect: np.exp(z * se) if names.kind == "or" else z * se,
        "se": se,
        names.p: 2 * norm.sf(np.abs(z)),
    }
    if names.frequency:
        columns[names.frequency] = frequency
    if names.info:
        columns[names.info] = 0.95
    if names.n:
        columns[names.n] = table["N"].to_numpy()
    pd.DataFrame(columns).to_csv(path, sep=names.separator, index=False, float_format="%.10g")
    return path


def read_raw(path: Path, style: str, n: float | None = None) -> pd.DataFrame:
    """SNP A1 A2 FRQ INFO Z N, by the rule Z = sign(effect) |Phi^-1(P / 2)|; alleles in upper case, "." missing."""
    names = STYLES[style]
    raw = pd.read_csv(path, sep=r"\s+", na_values=["."])
    effect = np.log(raw[names.effect]) if names.kind == "or" else raw[names.effect]
    return pd.DataFrame(
        {
            "SNP": raw[names.snp],
            "A1": raw[names.a1].str.upper(),
            "A2": raw[names.a2].str.upper(),
            "FRQ": raw[names.frequency] if names.frequency else np.nan,
            "INFO": raw[names.info] if names.info else np.nan,
            "Z": np.sign(effect) * -ndtri(raw[names.p] / 2),
            "N": raw[names.n] if names.n else float("nan") if n is None else n,
        }
    )


def munge_like_ldsc(table: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """The rows that munge_sumstats.py --merge-alleles keeps, with z of the reference's A1.

    Columns FRQ and INFO of NaN are those that the file does not have, or that LDSC does not know.
    """
    kept = table
    if kept["INFO"].notna().any():
        kept = kept[kept["INFO"] >= 0.9]
    if kept["FRQ"].notna().any():
        kept = kept[np.minimum(kept["FRQ"], 1 - kept["FRQ"]) > 0.01]
    kept = kept[kept["A1"].map(COMPLEMENT) != kept["A2"]]
    joined = kept.merge(reference[["SNP", "A1", "A2"]], on="SNP", suffixes=("", "_ref"))
    same = (joined["A1"] == joined["A1_ref"]) & (joined["A2"] == joined["A2_ref"])
    swapped = (joined["A1"] == joined["A2_ref"]) & (joined["A2"] == joined["A1_ref"])
    joined["Z"] = np.where(swapped, -joined["Z"], joined["Z"])
    return joined.loc[same | swapped, ["SNP", "A1_ref", "Z", "N"]].rename(columns={"A1_ref": "A1"})
