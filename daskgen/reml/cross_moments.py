"""Haseman-Elston regression of pairs of phenotypes: (co)variances from cross products, and what pairs of blocks add.

Phenotypes s and t have the samples S and T, fixed effects X_s and X_t, and genotypes Z_s and Z_t that are standardised
in S and in T. With M the projections off the fixed effects, and J (S x T) 1 where the sample is the same,

    cov(M y_s, M y_t) = sum_i theta_i A_i,    A_g = M_s Z_s W_g Z_t' M_t / sqrt(c_sg c_tg),    A_e = M_s J M_t,
    T theta = q,    T_ij = tr(A_i A_j'),    q_i = (M y_s)' A_i (M y_t).

theta_g / sqrt(theta_g of s, theta_g of t) is the correlation of the effects of standardised genotypes. Without samples
in common there is no residual covariance. s = t is the regression of one phenotype.

T is summed over vectors z: all unit vectors (exact), or random signs on the samples of one block after the other, which
is less variable than signs on all of them. Pure NumPy; tables by pairs of sample blocks are those of `block_jackknife`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["CrossMoments", "PairEstimate", "ProbeSums", "by_blocks", "product_of_projections", "solve_pair"]

_PROBES_PER_VARIATE = 5


@dataclass(frozen=True)
class CrossMoments:
    """What the genotypes say about two groups of samples.

    normal: T (G + 1, G + 1), the residual last; by_block: its parts (G + 1, G + 1, B, B) by the blocks of S and of T;
    deviations: of random vectors (J, G + 1, G + 1), whose sum is the Monte-Carlo error of T (J = 0: exact);
    overlap: samples in common.
    """

    normal: np.ndarray
    by_block: np.ndarray
    deviations: np.ndarray
    overlap: int


@dataclass(frozen=True)
class PairEstimate:
    """theta (G + 1,), NaN where there is none; influence (G + 1, B, B): parts of its deviation from its expectation;
    monte_carlo (J, G + 1): the same for random vectors."""

    theta: np.ndarray
    influence: np.ndarray
    monte_carlo: np.ndarray


@dataclass(frozen=True)
class ProbeSums:
    """Sums over the vectors z of one pair of groups.

    by_block (G + 1, G + 1, B, B): T by the blocks of samples and of vectors; squares (J, G, G): (A_g z)'(A_h z) of each
    vector; shared (J, G): (M_s z)'A_g z; overlap: samples in common.
    """

    by_block: np.ndarray
    squares: np.ndarray
    shared: np.ndarray
    overlap: int

    @classmethod
    def empty(cls, components: int, blocks: int, vectors: int, overlap: int) -> ProbeSums:
        g = components
        tables = np.zeros((g + 1, g + 1, blocks, blocks))
        return cls(tables, np.zeros((vectors, g, g)), np.zeros((vectors, g)), overlap)

    def add(self, products: np.ndarray, own: np.ndarray, rows: np.ndarray, labels: np.ndarray, part: slice) -> None:
        """Vectors `part`: products (G, n, k) = A_g z; own (n, k) = M_s z; rows (n,), labels (k,): their blocks."""
        blocks = self.by_block.shape[-1]
        of_vector = np.zeros((len(labels), blocks))
        of_vector[np.arange(len(labels)), labels] = 1.0
        for g, left in enumerate(products):
            for h, right in enumerate([*products[: g + 1], own]):
                found = by_blocks(left * right, rows, blocks)
                i, j = (g, h) if h <= g else (g, -1)
                self.by_block[i, j] += found @ of_vector
                self.by_block[j, i] = self.by_block[i, j]
                if j == -1:
                    self.shared[part, g] = found.sum(axis=0)
                else:
                    self.squares[part, g, h] = self.squares[part, h, g] = found.sum(axis=0)

    def exact(self) -> CrossMoments:
        """T where the vectors are all unit vectors."""
        size = len(self.by_block)
        return CrossMoments(self.by_block.sum(axis=(2, 3)), self.by_block, np.zeros((0, size, size)), self.overlap)

    def sampled(
        self, scale: float, size: np.ndarray, variates: np.ndarray, known: np.ndarray, traces: np.ndarray | None
    ) -> CrossMoments:
        """T from random vectors, times `scale`; size (J,): samples of each vector's block.

        variates (J, k): sums of the vectors whose totals `known` (k,) are known, as control variates;
        traces (G,): tr(A_g A_e') where it is known (one group with itself).
        """
        g = self.squares.shape[1]
        if len(variates) < _PROBES_PER_VARIATE * variates.shape[1]:
            variates, known = variates[:, :0], known[:0]
        # Per sample, so that blocks of different sizes are alike.
        basis = variates / size[:, None] - variates.sum(axis=0) / size.sum()
        excess = variates.sum(axis=0) * scale - known
        by_block = self.by_block * scale
        by_block[-1, -1] = self.by_block[-1, -1]
        normal = by_block.sum(axis=(2, 3))
        deviations = np.zeros((len(size), g + 1, g + 1))
        for i in range(g):
            for j in [*range(i + 1), g]:
                if j == g and traces is not None:
                    value, spread = traces[i], np.zeros(len(size))
                else:
                    values = self.shared[:, i] if j == g else self.squares[:, i, j]
                    rest = values / size - values.sum() / size.sum()
                    slope = np.linalg.lstsq(basis, rest, rcond=1e-10)[0] if len(excess) else np.zeros(0)
                    value = normal[i, j] - slope @ excess
                    spread = (rest - basis @ slope) * size * scale
                if normal[i, j]:
                    by_block[i, j] *= value / normal[i, j]
                    by_block[j, i] = by_block[i, j]
                normal[i, j] = normal[j, i] = value
                deviations[:, i, j] = deviations[:, j, i] = spread
        return CrossMoments(normal, by_block, deviations, self.overlap)


def by_blocks(products: np.ndarray, blocks: np.ndarray, n_blocks: int) -> np.ndarray:
    """Sums over the rows of each block: (n, k) -> (B, k)."""
    member = np.zeros((n_blocks, len(blocks)))
    member[blocks, np.arange(len(blocks))] = 1.0
    return np.asarray(np.matmul(member, products))


def product_of_projections(left: np.ndarray, right: np.ndarray) -> float:
    """tr(M_s J M_t J') of n common samples; left (n, c_s), right (n, c_t): their rows of both bases."""
    return float(len(left) - (left**2).sum() - (right**2).sum() + ((left.T @ right) ** 2).sum())


def solve_pair(moments: CrossMoments, quadratic: np.ndarray, used: np.ndarray) -> PairEstimate:
    """Estimates of one pair of phenotypes; quadratic (G + 1, B, B): q by pairs of blocks; used: those with variants.

    Components that have the same relationships share what they explain equally.
    """
    size = len(moments.normal)
    rows = np.append(used, size - 1) if moments.overlap else used
    square = np.ix_(rows, rows)
    inverse = np.linalg.pinv(moments.normal[square], rcond=1e-10, hermitian=True)
    theta = np.full(size, np.nan)
    theta[rows] = inverse @ quadratic[rows].sum(axis=(1, 2))
    expected = np.einsum("ijab,j->iab", moments.by_block[square], theta[rows])
    influence = np.zeros_like(quadratic)
    influence[rows] = np.einsum("ij,jab->iab", inverse, quadratic[rows] - expected)
    monte_carlo = np.zeros((len(moments.deviations), size))
    if len(moments.deviations):
        monte_carlo[:, rows] = -np.einsum("rij,j->ri", moments.deviations[:, rows][:, :, rows], theta[rows]) @ inverse
    return PairEstimate(theta, influence, monte_carlo)
