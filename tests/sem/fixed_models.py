"""Models with a fixed measurement part, moments that they fit up to noise, and SNPs with effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgen.linalg.vech import vech_length
from daskgen.sem.folding import Folded, fold
from daskgen.sem.parameters import parameter_table
from daskgen.sem.snp_covariance import SnpCovariance
from daskgen.sem.structure import Structure
from daskgen.sem.syntax import parse_model
from tests.oracles import sem_snp as oracle

ONE = "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1\nF1 ~ SNP"
TWO = "F1 =~ NA*T1 + T2 + T3\nF2 =~ NA*T4 + T5 + T6\nF1 ~~ 1*F1\nF2 ~~ 1*F2\n"

MODELS = {
    "one factor": ONE,
    "one factor with a free variance": "F1 =~ T1 + T2 + T3\nF1 ~ SNP",
    "one factor, two of its traits": "F1 =~ NA*T1 + T3\nF1 ~~ 1*F1\nT2 ~~ T1\nF1 ~ SNP",
    "a direct effect": ONE + "\nT2 ~ SNP",
    "only direct effects": "T1 ~~ T2 + T3\nT2 ~~ T3\nT1 ~ SNP\nT2 ~ SNP\nT3 ~ SNP",
    "two factors": TWO + "F1 ~~ F2\nF1 ~ SNP\nF2 ~ SNP",
    "a factor without an effect": TWO + "F1 ~~ F2\nF1 ~ SNP\nF2 ~ 0*SNP",
    "a factor that explains another": TWO + "F2 ~ F1 + SNP\nF1 ~ SNP\nT5 ~ SNP",
    "subtraction": (
        "C =~ NA*T2 + start(.2)*T2 + start(.5)*T1\nNC =~ NA*T1 + start(.2)*T1\nNC ~ SNP\nC ~ SNP\nNC ~~ 1*NC\n"
        "C ~~ 1*C\nC ~~ 0*NC\nT1 ~~ 0*T2\nT1 ~~ 0*T1\nT2 ~~ 0*T2\nSNP ~~ SNP"
    ),
}

LOADINGS = {f"T{i + 1}": value for i, value in enumerate((0.5, 0.4, 0.45, 0.35, 0.5, 0.3))}


@dataclass
class Problem:
    structure: Structure
    covariance: SnpCovariance
    folded: Folded
    intercepts: np.ndarray
    gc: str
    beta: np.ndarray
    se: np.ndarray
    variance: np.ndarray

    def moments(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """S_full and V_full of SNP i, by the oracle."""
        c = self.covariance
        return oracle.moments(
            self.beta[:, i], self.se[:, i], self.variance[i], c.S, c.V, self.intercepts, self.gc, c.snp_se
        )


def problem(name: str, *, n: int, gc: str = "standard", snp_se: float = 0.0005, seed: int = 5) -> Problem:
    """A folded model and n SNPs, a third of them with strong effects."""
    text = MODELS[name]
    generator = np.random.default_rng(seed)
    names = [t for t in LOADINGS if t in text]
    k = len(names)
    table = parameter_table(parse_model(text), [*names, "SNP"])
    paths = {
        row.name: LOADINGS.get(row.rhs, 0.3) if row.op == "=~" else 0.1
        for row in table.rows
        if row.free and row.lhs != row.rhs and row.rhs != "SNP"
    }
    held = table.held(paths)
    structure = held.structure(["SNP", *names])
    theta = np.array([0.15 if p.split("~~")[0] in names else 1.0 for p in held.parameters])
    theta[["~SNP" in p and "~~" not in p for p in held.parameters]] = 0.0
    if name == "subtraction":
        theta[:] = 0.0
    implied = structure.implied(theta)[1:, 1:]
    noise = generator.normal(size=(k, k)) * 0.004
    root = generator.normal(size=(vech_length(k), 2 * vech_length(k))) * 0.003
    intercepts = np.full((k, k), 0.1) + np.diag(generator.uniform(0.85, 1.0, k))
    covariance = SnpCovariance.from_intercepts(
        tuple(names), implied + noise + noise.T, root @ root.T / vech_length(k), intercepts, gc, snp_se
    )
    factors = [
        tuple(names.index(row.rhs) for row in held.rows if row.op == "=~" and row.lhs == factor)
        for factor in held.latent
    ]
    maf = generator.uniform(0.02, 0.5, n)
    variance = 2 * maf * (1 - maf)
    se = np.sqrt(1 / (variance * generator.uniform(3e4, 3e5, (k, 1))))
    beta = generator.normal(size=(k, n)) * se
    beta[:, ::3] += 0.08 * np.array([LOADINGS[t] for t in names])[:, None]
    return Problem(
        structure, covariance, fold(structure, "SNP", covariance, tuple(factors)), intercepts, gc, beta, se, variance
    )
