"""Models and SNPs for the tests of fits at every SNP: six traits of known truth, effects of every size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgen.linalg.vech import vech_indices
from daskgen.sem.general_fit import GeneralFit
from daskgen.sem.parameters import ParameterTable, parameter_table
from daskgen.sem.snp_covariance import SnpCovariance
from daskgen.sem.syntax import parse_model
from tests.oracles.sem_snp import moments
from tests.sem.small import LOADINGS, TRAITS, sampling_covariance, true_covariance

ONE = "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1\nF1 ~ SNP"
TWO = "F1 =~ NA*T1 + T2 + T3\nF2 =~ NA*T4 + T5 + T6\nF1 ~~ 1*F1\nF2 ~~ 1*F2\nF1 ~~ F2\nF1 ~ SNP\nF2 ~ SNP"
MODELS = {
    "one factor": ONE,
    "marker": "F1 =~ T1 + T2 + T3\nF1 ~ SNP",
    "two factors": TWO,
    "regression of factors": "F1 =~ T1 + T2 + T3\nF2 =~ T4 + T5 + T6\nF2 ~ F1 + SNP\nF1 ~ SNP",
    "direct effect": ONE + "\nT2 ~ SNP",
    "residual covariance": TWO + "\nT1 ~~ T4",
    "path between traits": "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1\nF1 ~ SNP\nT4 ~ F1 + T1\nT5 ~ T4",
    "second order": "F1 =~ T1 + T2 + T3\nF2 =~ T4 + T5 + T6\nG =~ 1*F1 + 1*F2\nF1 ~~ 0.02*F1\nG ~ SNP",
    "loop": "F1 =~ T1 + T2 + T3\nT2 ~ 0.3*T3\nT3 ~ 0.2*T2\nF1 ~ SNP",
    "equal loadings": "F1 =~ NA*T1 + a*T1 + a*T2 + T3 + T4\nF1 ~~ 1*F1\nF1 ~ SNP",
    "equal residuals": ONE + "\nT1 ~~ r*T1\nT2 ~~ r*T2",
    "linear constraint": "F1 =~ NA*T1 + a*T1 + b*T2 + T3 + T4\nF1 ~~ 1*F1\nF1 ~ SNP\na == 1.1*b",
    "fixed residual": ONE + "\nT1 ~~ 0.2*T1",
    "traits alone": "T1 ~ SNP\nT2 ~ SNP\nT1 ~~ T2",
}


@dataclass(frozen=True, eq=False)
class Case:
    table: ParameterTable
    covariance: SnpCovariance
    beta: np.ndarray
    se: np.ndarray
    variance: np.ndarray
    intercepts: np.ndarray
    gc: str
    estimation: str

    @property
    def observed(self):
        return ["SNP", *self.covariance.traits]

    @property
    def structure(self):
        sample = np.eye(len(self.observed))
        sample[1:, 1:] = self.covariance.S
        return self.table.structure(self.observed, sample=sample)

    def general(self, **more):
        structure = self.structure
        reported = self.table.structure(self.observed, sample=np.eye(len(self.observed)), by_row=True)
        options = {
            "reported": reported,
            "constraints": self.table.constraints(),
            "sampled": self.estimation == "ML",
            "estimation": self.estimation,
        }
        return GeneralFit(structure, self.covariance, **(options | more))

    def fit(self, **more):
        return self.general(**more).fit(self.beta, self.se, self.variance)

    def moments(self, snp):
        """S_full and V_full of one SNP."""
        c = self.covariance
        return moments(
            self.beta[:, snp], self.se[:, snp], self.variance[snp], c.S, c.V, self.intercepts, self.gc, c.snp_se
        )


def case(model, n=7, *, seed=0, effects=0.02, gc="standard", snp_se=0.0005, estimation="DWLS", s=None):
    rng = np.random.default_rng(seed)
    parsed = parse_model(model)
    table = parameter_table(parsed, [*TRAITS, "SNP"], fixed_x=estimation == "ML")
    at = [i for i, name in enumerate(TRAITS) if name in table.observed]
    traits = tuple(TRAITS[i] for i in at)
    row, column = vech_indices(len(TRAITS))
    cells = np.isin(row, at) & np.isin(column, at)
    covariance = (true_covariance(3) if s is None else s)[np.ix_(at, at)]
    v = sampling_covariance(6, size=0.004)[np.ix_(cells, cells)]
    intercepts = (np.eye(6) * rng.uniform(0.97, 1.1, 6) + 0.04 * (1 - np.eye(6)))[np.ix_(at, at)]
    frequency = rng.uniform(0.02, 0.5, n)
    variance = 2 * frequency * (1 - frequency)
    se = rng.uniform(0.8, 1.3, (len(at), 1)) / np.sqrt(1e5 * variance)
    factors = effects * rng.normal(size=(2, n))
    beta = LOADINGS[:, at].T @ factors + se * rng.normal(size=se.shape)
    made = SnpCovariance.from_intercepts(traits, covariance, v, intercepts, gc, snp_se)
    return Case(table, made, beta, se, variance, intercepts, gc, estimation)


def beyond(made, snp):
    """Give a SNP small effects with which S_full is just not positive definite: v b' S^-1 b = 1.02."""
    values, vectors = np.linalg.eigh(made.covariance.S)
    made.beta[:, snp] = vectors[:, 0] * np.sqrt(1.02 * values[0] / made.variance[snp])


def nearly_singular():
    """A covariance of six traits of which the first three have a smallest eigenvalue near zero."""
    s = true_covariance(3)
    scale = np.sqrt(np.diag(s))
    s[0, 1] = s[1, 0] = 0.9 * scale[0] * scale[1]
    s[0, 2] = s[2, 0] = 0.8 * scale[0] * scale[2]
    s[1, 2] = s[2, 1] = 0.5 * scale[1] * scale[2]
    return s
