"""Quadratic forms b'f(A)b of a symmetric matrix that is known by its products: Gauss quadrature from Lanczos.

k steps of the recurrence started at b give a tridiagonal T whose eigenvalues and first eigenvector components are the
nodes and weights of a k-point Gauss rule for the spectral measure of b: b'f(A)b = sum_i w_i f(t_i), exact for
polynomials of degree 2 k - 1, for every f at once. Nothing but the last two vectors is kept; the loss of orthogonality
that this brings does not spoil the rule (Golub and Meurant 2010, Matrices, Moments and Quadrature; Greenbaum 1989).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Recurrences"]

_BREAKDOWN = 1e-7
"""A step that is this much smaller than the first is rounding of float32 products: the space is exhausted."""


@dataclass
class Recurrences:
    """Lanczos recurrences of r columns side by side. vectors, previous (n, r): the last two; alpha, beta (k, r): what
    was found (beta[j] leads from step j to j + 1); squared (r,): squared lengths of the starts."""

    vectors: np.ndarray
    previous: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray
    squared: np.ndarray

    @classmethod
    def start(cls, columns: np.ndarray) -> Recurrences:
        """From the starting vectors (n, r), none of which may be 0."""
        length = np.linalg.norm(columns, axis=0)
        r = columns.shape[1]
        return cls(columns / length, np.zeros_like(columns), np.empty((0, r)), np.empty((0, r)), length**2)

    @property
    def steps(self) -> int:
        """k, the number of products made."""
        return len(self.alpha)

    @property
    def exhausted(self) -> bool:
        """Whether no column has a next vector."""
        return self.steps > 0 and not self.beta[-1].any()

    def step(self, apply: Callable[[np.ndarray], np.ndarray]) -> None:
        """One product A V, and the recurrence with it."""
        self.advance(apply(self.vectors))

    def advance(self, product: np.ndarray) -> None:
        """Take in A times the last vectors: A v_j = beta_{j-1} v_{j-1} + alpha_j v_j + beta_j v_{j+1}."""
        before = self.beta[-1] if self.steps else np.zeros(product.shape[1])
        rest = product - self.previous * before
        alpha = np.einsum("nr,nr->r", rest, self.vectors)
        rest -= self.vectors * alpha
        # Once more against the last vector: what rounding left there grows otherwise.
        alpha_more = np.einsum("nr,nr->r", rest, self.vectors)
        rest -= self.vectors * alpha_more
        alpha += alpha_more
        beta = np.linalg.norm(rest, axis=0)
        size = np.maximum(np.abs(self.alpha[0] if self.steps else alpha), 1e-300)
        ended = beta <= _BREAKDOWN * size
        if self.steps:
            ended |= before == 0
        beta = np.where(ended, 0.0, beta)
        self.previous = self.vectors
        self.vectors = np.divide(rest, beta, out=np.zeros_like(rest), where=beta > 0)
        self.alpha = np.vstack([self.alpha, np.where(before == 0, self.alpha[0], alpha) if self.steps else alpha])
        self.beta = np.vstack([self.beta, beta])

    def rule(self, columns: slice | np.ndarray = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """(nodes (r, k), weights (r, k)) of the columns; weights sum to the squared length of the start."""
        alpha, beta = self.alpha[:, columns].T, self.beta[:-1, columns].T
        k = self.steps
        t = np.zeros((len(alpha), k, k))
        i = np.arange(k)
        t[:, i, i] = alpha
        t[:, i[1:], i[:-1]] = beta
        nodes, vectors = np.linalg.eigh(t, UPLO="L")
        return nodes, vectors[:, 0, :] ** 2 * self.squared[columns][:, None]

    def as_arrays(self) -> dict[str, np.ndarray]:
        """The state as named arrays, for a checkpoint."""
        return {name: getattr(self, name) for name in ("vectors", "previous", "alpha", "beta", "squared")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Recurrences:
        """The state that `as_arrays` gave."""
        return cls(*(arrays[name] for name in ("vectors", "previous", "alpha", "beta", "squared")))
