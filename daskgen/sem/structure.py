"""A structural equation model as cells of two matrices: what every fit, single or one per SNP, starts from.

With v = (observed variables, latent variables), v = A v + e and Cov(e) = P,

    Sigma = F (I - A)^-1 P (I - A)^-T F',

F the rows of the observed variables. A cell of A is a loading or regression (row: what is explained, column: what
explains), a cell of P a (residual) variance or covariance, given once for both triangles.
(McArdle and McDonald 1984, "Some algebraic properties of the Reticular Action Model".)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["DIRECTED", "SYMMETRIC", "Structure"]

DIRECTED, SYMMETRIC = 0, 1
"""Values of `Structure.matrix`: the cell is one of A, or of P."""


@dataclass(frozen=True, eq=False)
class Structure:
    """Which cells of A and P are parameters, and what the others hold; cells that are not listed are zero.

    observed, latent: names, in order of appearance in the model; a variable's number is its place in observed + latent.
    matrix: int8 (cells,), DIRECTED or SYMMETRIC. row, column: int32 (cells,), numbers of variables.
    parameter: int32 (cells,), which free parameter the cell holds, -1 for a fixed one. Cells of equal label share it.
    value: float64 (cells,), of a fixed cell.
    start, lower, upper: float64 (parameters,), -inf and inf where there is no bound.
    """

    observed: tuple[str, ...]
    latent: tuple[str, ...]
    matrix: np.ndarray
    row: np.ndarray
    column: np.ndarray
    parameter: np.ndarray
    value: np.ndarray
    start: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def n_parameters(self) -> int:
        """Free parameters, equal ones counted once."""
        return len(self.start)

    @property
    def n_variables(self) -> int:
        """Observed and latent variables."""
        return len(self.observed) + len(self.latent)

    def matrices(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A and P (variables, variables) at the parameters `theta` (parameters,)."""
        free = self.parameter >= 0
        held = np.where(free, np.asarray(theta, np.float64)[self.parameter], self.value) if len(theta) else self.value
        a, p = (np.zeros((self.n_variables, self.n_variables)) for _ in range(2))
        directed = self.matrix == DIRECTED
        a[self.row[directed], self.column[directed]] = held[directed]
        symmetric = ~directed
        p[self.row[symmetric], self.column[symmetric]] = held[symmetric]
        p[self.column[symmetric], self.row[symmetric]] = held[symmetric]
        return a, p

    def implied(self, theta: np.ndarray) -> np.ndarray:
        """Sigma (observed, observed) at `theta`."""
        a, p = self.matrices(theta)
        total = np.linalg.inv(np.eye(self.n_variables) - a)[: len(self.observed)]
        return total @ p @ total.T

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """d vech(Sigma) / d theta, (observed (observed + 1) / 2, parameters), column-wise lower triangle.

        With E = (I - A)^-1, T = F E and C = E P E' F': d Sigma / d A_ij = T[:, i] C[j, :] + its transpose,
        d Sigma / d P_ij = T[:, i] T[:, j]' + its transpose (once on the diagonal).
        """
        a, p = self.matrices(theta)
        k = len(self.observed)
        everything = np.linalg.inv(np.eye(self.n_variables) - a)
        total = everything[:k]
        covariance = everything @ p @ total.T
        column, row = np.triu_indices(k)
        out = np.zeros((len(row), self.n_parameters))
        for matrix, i, j, parameter in zip(self.matrix, self.row, self.column, self.parameter, strict=True):
            if parameter < 0:
                continue
            outer = np.outer(total[:, i], covariance[j] if matrix == DIRECTED else total[:, j])
            change = outer if matrix == SYMMETRIC and i == j else outer + outer.T
            out[:, parameter] += change[row, column]
        return out
