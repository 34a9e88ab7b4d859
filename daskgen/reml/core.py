"""A preconditioner for several relationship matrices: their leading eigenspace, where H is known exactly.

With U (n, k) an orthonormal basis of large eigenvectors of sum K_g, and C_g = U'K_gU,

    M(theta) = U (sum theta_g C_g + theta_e I) U' + d (I - U U'),      d the mean of H outside of U,

which costs products of n x k and an inverse of order k for each theta. Its trace with K_g is known exactly, so M^-1 is
also a control variate: tr(H^-1 K_g) = tr(M^-1 K_g) + what probes say of the (small) difference.
Source: Halko, Martinsson and Tropp (2011), SIAM Review 53:217; Frangella, Tropp and Udell (2023), SIAM J. Matrix Anal.
Appl. 44:718.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Core", "CoreAt", "CoreProbes"]


@dataclass(frozen=True, eq=False)
class CoreProbes:
    """What the core is to probes Z. inside: U'Z (k, R); once: U'K_gZ (G, k, R); twice: U'K_gK_iZ (G, G, k, R)."""

    inside: np.ndarray
    once: np.ndarray
    twice: np.ndarray


@dataclass(frozen=True, eq=False)
class Core:
    """vectors: U, float32 (n, k); products: K_gU, float32 (G, n, k); squares: C_g (G, k, k); traces (G,): tr K_g on the
    `dimension` of the model."""

    vectors: np.ndarray
    products: np.ndarray
    squares: np.ndarray
    traces: np.ndarray
    dimension: int

    @classmethod
    def of(cls, vectors: np.ndarray, products: np.ndarray, traces: np.ndarray, dimension: int) -> Core:
        """From U and K_gU."""
        squares = np.stack([vectors.T @ k for k in products]).astype(np.float64)
        return cls(vectors, products, (squares + squares.transpose(0, 2, 1)) / 2, traces, dimension)

    def with_probes(self, z: np.ndarray, kz: np.ndarray) -> CoreProbes:
        """For the probes Z (n, R) and K_gZ (G, n, R)."""
        once = np.stack([self.vectors.T @ k for k in kz]).astype(np.float64)
        twice = np.stack([[ku.T @ k for k in kz] for ku in self.products]).astype(np.float64)
        return CoreProbes(self.vectors.T @ z, once, twice)

    def at(self, theta: np.ndarray) -> CoreAt:
        """M(theta)."""
        inside = np.tensordot(theta[:-1], self.squares, 1) + theta[-1] * np.eye(self.squares.shape[1])
        values, rotation = np.linalg.eigh(inside)
        values = np.maximum(values, theta[-1])
        total = float(theta[:-1] @ self.traces) + theta[-1] * self.dimension
        rest = max((total - values.sum()) / max(self.dimension - len(values), 1), theta[-1])
        return CoreAt(self, values, rotation, float(rest))


@dataclass(frozen=True, eq=False)
class CoreAt:
    """M at one theta. values (k,), rotation (k, k): of its part on U; rest: d."""

    core: Core
    values: np.ndarray
    rotation: np.ndarray
    rest: float

    @property
    def log_determinant(self) -> float:
        """log|M| on the dimensions of the model."""
        return float(np.log(self.values).sum() + (self.core.dimension - len(self.values)) * np.log(self.rest))

    def power(self, exponent: float, vectors: np.ndarray) -> np.ndarray:
        """M^exponent V for V (n, r)."""
        outside = self.rest**exponent
        inside = self.rotation.T @ (self.core.vectors.T @ vectors.astype(np.float32))
        inside = self.rotation @ ((self.values**exponent - outside)[:, None] * inside)
        return np.asarray(outside * vectors + self.core.vectors @ inside.astype(np.float32))

    @property
    def difference(self) -> np.ndarray:
        """(sum theta_g C_g + theta_e I)^-1 - I / d (k, k)."""
        return np.asarray((self.rotation * (1 / self.values - 1 / self.rest)) @ self.rotation.T)

    def traces(self) -> np.ndarray:
        """tr(M^-1 K_g) (G,), exactly."""
        return np.asarray(self.core.traces / self.rest + np.tensordot(self.core.squares, self.difference, 2))

    def inverse_trace(self) -> float:
        """tr M^-1."""
        return float((1 / self.values).sum() + (self.core.dimension - len(self.values)) / self.rest)

    def of_probes(self, quadratic: np.ndarray, probes: CoreProbes) -> np.ndarray:
        """z'M^-1 K_g z by probe (R, G), from z'K_g z (R, G)."""
        of_core = np.einsum("kr,gkr->rg", self.difference @ probes.inside, probes.once)
        return np.asarray(quadratic / self.rest + of_core)

    def products(self, normal: np.ndarray, probes: CoreProbes) -> np.ndarray:
        """Means over probes of z'M^-1 K_g A_i z (G + 1, G), by A_i (the identity last) and K_g; normal (G + 1, G + 1):
        of z'A_i A_g z."""
        g, r = len(self.core.squares), probes.inside.shape[1]
        left = self.difference @ probes.inside
        found = np.empty((g + 1, g))
        found[:g] = np.einsum("kr,gikr->ig", left, probes.twice) / r
        found[g] = np.einsum("kr,gkr->g", left, probes.once) / r
        return np.asarray(found + normal[:, :g] / self.rest)
