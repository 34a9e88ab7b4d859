"""Results of R GenomicSEM's userGWAS, and the covariance structures and SNPs that they were made from."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from io import StringIO

import numpy as np
import pandas as pd

from daskgen.sem.moments import Moments
from tests.exact_numbers import EXACT, as_text
from tests.shared_data import shared

ONE = "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1\nF1 ~ SNP"
TWO = "F1 =~ NA*T1 + T2 + T3\nF2 =~ NA*T4 + T5 + T6\nF1 ~~ 1*F1\nF2 ~~ 1*F2\nF1 ~~ F2\nF1 ~ SNP\nF2 ~ SNP"
STD_LV = "F1 =~ T1 + T2 + T3\nF2 =~ T4 + T5 + T6\nF1 ~ SNP\nF2 ~ SNP"
DIRECT = "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1\nF1 ~ SNP\nT2 ~ SNP"
SUBTRACTION = (
    "C =~ NA*T2 + start(.2)*T2 + start(.5)*T1\nNC =~ NA*T1 + start(.2)*T1\nNC ~ SNP\nC ~ SNP\nNC ~~ 1*NC\n"
    "C ~~ 1*C\nC ~~ 0*NC\nT1 ~~ 0*T2\nT1 ~~ 0*T1\nT2 ~~ 0*T2\nSNP ~~ SNP"
)
DEFINED = "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1\nF1 ~ a*SNP\nT3 ~ b*SNP\nab := a*b"
TWAS = "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1\nF1 ~ Gene"


@dataclass(frozen=True)
class Snps:
    """Effects and standard errors (traits, n) and variances (n,) in the order of `traits`."""

    traits: tuple[str, ...]
    beta: np.ndarray
    se: np.ndarray
    variance: np.ndarray


@cache
def moments(name: str) -> Moments:
    """ "ldsc" (six traits), "first3", "heywood" or "nonpd" (three)."""
    folder = "expected/ldsc.json" if name == "ldsc" else f"inputs/covstruc_{name}.json"
    values = json.loads(shared("reference/sem", folder).read_text())
    s, v, i = (np.array(values[part]["rows"], float) for part in "SVI")
    return Moments(tuple(values["S"]["columns"]), s, v, i)


@cache
def snps(traits: tuple[str, ...], *, twas: bool = False) -> Snps:
    """The SNPs, or the genes, of the reference."""
    file = shared("reference/sem", "expected/read_fusion.tsv.gz" if twas else "inputs/gwas_snps.tsv.gz")
    table = pd.read_csv(file, sep="\t", **EXACT)
    beta, se = (table[[f"{part}.{trait}" for trait in traits]].to_numpy(float).T.copy() for part in ("beta", "se"))
    maf = None if twas else table["MAF"].to_numpy(float)
    variance = table["HSQ"].to_numpy(float) if maf is None else 2 * maf * (1 - maf)
    return Snps(traits, beta, se, variance)


@cache
def expected(case: str) -> pd.DataFrame:
    """R's table, with the number of the SNP as `snp` and lhs op rhs as `label`."""
    text = gzip.decompress(shared("reference/sem", f"expected/userGWAS_{case}.tsv.gz").read_bytes()).decode()
    table = pd.read_csv(StringIO(text), sep="\t", dtype={"warning": str}, **EXACT)
    table["label_given"] = as_text(table["label"])
    table["label"] = table["lhs"] + table["op"] + table["rhs"]
    name = table["Gene" if "Gene" in table else "SNP"]
    table["snp"] = pd.factorize(name)[0]
    return table
