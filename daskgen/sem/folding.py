"""The model with a fixed measurement part, folded into the constants of one small problem per SNP.

Where every path but those of the SNP is fixed, the observed covariances of SNP and traits are modelled by

    Cov(SNP) = p,    Cov(y, SNP) = p m,    Cov(y) = C_0 + sum_j nu_j N_j + p m m',    m = L theta,

theta the path coefficients of the SNP, L their total effects on the traits (columns of F (I - A)^-1), nu the free
variances and covariances of traits and factors, N_j and C_0 constant. The weights of DWLS are diagonal, so that

- the SNP's own variance drops out of the weights of Cov(y, SNP): with b = Cov(y, SNP) / phi they are 1 / (se g)^2;
- nu is linear and its weights W = diag(V)^-1 are the same at every SNP: it is projected out once, K = (N'W N)^-1 N'W.
  With q the products theta_a theta_b, a <= b, what is left is
  r = (I - N K) vech(S - C_0) and C = (I - N K) [d vech(m m') / dq].

The problem that remains has h = C'W r, G = C'W C and, for the sandwich and the chi-square, M = C'W V W C and the forms
of r and C in V^-1; `daskgen.kernels.sem_fixed` solves it. With v = p q and D = dv / d(theta, p), what was projected out
comes back as

    nu = K vech(S - C_0) - H v,    H = K [d vech(m m') / dq],
    d nu = K ds - H D d(theta, p),

from which its sampling covariance follows, with that of (theta, p), Omega, and their inverse information B:

    Cov(nu) = K V K' - H D B D'Z - (H D B D'Z)' + H D Omega D'H',    Z = C'W V K',
    Cov((theta, p), nu) = B D'Z - Omega D'H'.

It is the model of R GenomicSEM's userGWAS(fix_measurement = TRUE): Grotzinger et al. (2019), Nature Human Behaviour 3,
513-525. The folding is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgen.kernels.sem_fixed import FixedConstants, FixedFits
from daskgen.linalg.vech import vech
from daskgen.sem.snp_covariance import SnpCovariance
from daskgen.sem.structure import DIRECTED, SYMMETRIC, Structure

__all__ = ["Folded", "fold", "not_foldable"]


@dataclass(frozen=True, eq=False)
class Folded:
    """A folded model. effects, variance, others: which parameters of the structure are theta, p and nu."""

    constants: FixedConstants
    effects: np.ndarray
    variance: int
    others: np.ndarray

    @property
    def n_parameters(self) -> int:
        return len(self.order)

    @property
    def order(self) -> np.ndarray:
        """Numbers of the parameters in the order of the kernel: theta, p, nu."""
        return np.concatenate([self.effects, [self.variance], self.others])

    def in_order(self, fits: FixedFits) -> tuple[np.ndarray, np.ndarray]:
        """Estimates (parameters, n) and sampling covariances (parameters, parameters, n) in the structure's order.

        `fits` are those of the kernel with covariances.
        """
        place = np.argsort(self.order)
        row, column = np.triu_indices(self.n_parameters)
        number = np.empty((self.n_parameters, self.n_parameters), np.int64)
        number[row, column] = number[column, row] = np.arange(len(row))
        return fits.estimate[place], fits.covariance[number[np.ix_(place, place)]]


def not_foldable(structure: Structure, snp: str) -> str | None:
    """Why a structure cannot be folded, or None where it can."""
    x = structure.observed.index(snp)
    free, directed = structure.parameter >= 0, structure.matrix == DIRECTED
    from_snp = directed & (structure.column == x)
    if (directed & free & ~from_snp).any():
        return "paths other than those of the SNP are free"
    if (directed & (structure.row == x) & (free | (structure.value != 0))).any():
        return "the SNP itself is explained"
    if (from_snp & ~free & (structure.value != 0)).any():
        return "an effect of the SNP is fixed at a value other than zero"
    symmetric = structure.matrix == SYMMETRIC
    crossed = symmetric & ((structure.row == x) != (structure.column == x))
    if (crossed & (free | (structure.value != 0))).any():
        return "the SNP has a covariance with something"
    if np.bincount(structure.parameter[free], minlength=1).max(initial=0) > 1:
        return "parameters share a label"
    if not (symmetric & free & (structure.row == x) & (structure.column == x)).any():
        return "the variance of the SNP is fixed"
    if np.isfinite(structure.lower).any() or np.isfinite(structure.upper).any():
        return "parameters have bounds"
    return None


def fold(
    structure: Structure,
    snp: str,
    moments: SnpCovariance,
    indicators: tuple[tuple[int, ...], ...] = (),
    *,
    n_parameters: int | None = None,
) -> Folded:
    """Fold a structure that `not_foldable` has nothing against; its observed variables: `snp`, the traits of `moments`.

    indicators: numbers of the traits that measure each factor with a Q_SNP. n_parameters: of the AIC, default those of
    the structure. S, V and R must be positive definite. Raises numpy.linalg.LinAlgError where free variances or
    covariances are not identified.
    """
    names = structure.observed + structure.latent
    place = [structure.observed.index(name) for name in moments.traits]
    x = structure.observed.index(snp)
    a, p = structure.matrices(np.zeros(structure.n_parameters))
    total = np.linalg.inv(np.eye(len(names)) - a)[place]  # a has no free paths but those from the SNP, which are zero
    effects, others, columns, designs = [], [], [], []
    variance = -1
    for matrix, i, j, parameter in zip(
        structure.matrix, structure.row, structure.column, structure.parameter, strict=True
    ):
        if parameter < 0:
            continue
        if matrix == DIRECTED:
            effects.append(int(parameter))
            columns.append(total[:, i])
        elif i == x:
            variance = int(parameter)
        else:
            outer = np.outer(total[:, i], total[:, j])
            others.append(int(parameter))
            designs.append(vech(outer if i == j else outer + outer.T))
    p[x, x] = 0.0
    k, w = len(place), 1.0 / np.diag(moments.V)
    effect = np.array(columns).T.reshape(k, len(columns))
    nuisance = np.array(designs).T.reshape(len(w), len(designs))
    first, second = np.triu_indices(effect.shape[1])
    # vech(m m') by q: x_a x_a' for theta_a^2, x_a x_b' + x_b x_a' for theta_a theta_b
    outer = np.einsum("ip,jp->pij", effect[:, first], effect[:, second])
    outer = np.where((first == second)[:, None, None], outer, outer + outer.transpose(0, 2, 1))
    quadratic = vech(outer).T
    target = vech(moments.S - total @ p @ total.T)
    project = np.linalg.solve(nuisance.T @ (w[:, None] * nuisance), nuisance.T * w)
    residual, left = target - nuisance @ (project @ target), quadratic - nuisance @ (project @ quadratic)
    weighted = w[:, None] * left
    values, vectors = np.linalg.eigh(moments.V)
    root = vectors.T / np.sqrt(values)[:, None]
    residual_root, left_root = root @ residual, root @ left
    constants = FixedConstants(
        gc=moments.g,
        effects=effect,
        correlation=moments.R,
        s=moments.S,
        h=weighted.T @ residual,
        g=weighted.T @ left,
        m=weighted.T @ moments.V @ weighted,
        fit_0=float(residual_root @ residual_root),
        fit_1=left_root.T @ residual_root,
        fit_2=left_root.T @ left_root,
        others_start=project @ target,
        others_slope=project @ quadratic,
        others_covariance=project @ moments.V @ project.T,
        others_cross=weighted.T @ moments.V @ project.T,
        indicators=indicators,
        snp_se=moments.snp_se,
        n_parameters=structure.n_parameters if n_parameters is None else n_parameters,
    )
    return Folded(
        constants=constants,
        effects=np.array(effects, np.int64),
        variance=variance,
        others=np.array(others, np.int64),
    )
