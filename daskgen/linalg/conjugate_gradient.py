"""Conjugate gradients for several right-hand sides at once, each with its own step lengths.

All columns share the product with the matrix, which is a pass over the data; a column that has converged is left out
of it. The matrix may differ between columns, as long as it does not change while they are solved. `ConjugateGradients`
asks for one product after the other, so that its caller can share a pass with others, and save the state between two.
Source: Hestenes and Stiefel (1952), J. Res. Nat. Bur. Standards 49:409; Saad (2003), Iterative Methods, 9.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ConjugateGradients", "Solution", "conjugate_gradient"]

Apply = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(vectors (n, k), which columns they belong to (k,)) -> products (n, k)."""

_REFRESH = 25  # iterations after which the residual is computed again instead of updated


@dataclass
class Solution:
    """solution (n, r); residual (r,): relative norms ||b - A x|| / ||b||; products: calls of `apply`."""

    solution: np.ndarray
    residual: np.ndarray
    products: int

    def converged(self, tol: float) -> bool:
        """Whether every column is within `tol`."""
        return bool((self.residual <= tol).all())


class ConjugateGradients:
    """Solves A X = B for a symmetric positive definite A, column by column to the relative residual `tol`.

    right: B (n, r), float64; start: first X (default 0), with product_of_start = A X where it is known already;
    precondition: M^-1 V, for the columns that V belongs to. While `wanted` is not None, its product with A goes to
    `advance`.
    """

    _ARRAYS = ("x", "rest", "direction", "inner", "size", "active", "iteration", "products", "stage")

    def __init__(
        self,
        right: np.ndarray,
        *,
        tol: float | np.ndarray,
        max_iterations: int = 400,
        start: np.ndarray | None = None,
        product_of_start: np.ndarray | None = None,
        precondition: Apply | None = None,
    ):
        self.b = np.asarray(right, np.float64)
        self.length = np.linalg.norm(self.b, axis=0)
        self.limit = np.broadcast_to(np.asarray(tol, np.float64), self.length.shape) * self.length
        self.max_iterations, self.precondition = max_iterations, precondition
        self.x = np.zeros_like(self.b) if start is None else np.array(start, np.float64)
        self.active = np.arange(len(self.length))
        self.products = self.iteration = 0
        self.rest = self.direction = self.b
        self.inner = self.size = self.length
        self.stage = "start"
        if start is None:
            self._begin(self.b.copy())
        elif product_of_start is not None:
            self._begin(self.b - product_of_start)

    @property
    def wanted(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(vectors (n, k) to be multiplied, which columns they belong to (k,)), None at the end."""
        if self.stage == "direction":
            ended = not self.active.size or self.iteration >= self.max_iterations
            return None if ended else (self.direction, self.active)
        return self.x[:, self.active], self.active

    def advance(self, product: np.ndarray) -> None:
        """Take in A times what was wanted."""
        self.products += 1
        if self.stage == "start":
            self._begin(self.b - product)
            return
        if self.stage == "direction":
            self.iteration += 1
            step = self.inner / np.einsum("nr,nr->r", self.direction, product)
            self.x[:, self.active] += self.direction * step
            if self.iteration % _REFRESH == 0:
                self.stage = "refresh"
                return
            self.rest[:, self.active] -= product * step
        else:
            self.rest[:, self.active] = self.b[:, self.active] - product
            self.stage = "direction"
        self._turn()

    def _begin(self, rest: np.ndarray) -> None:
        self.rest, self.stage = rest, "direction"
        self.size = np.linalg.norm(rest, axis=0)
        self.active = np.flatnonzero(self.size > self.limit)
        z = self._preconditioned(rest[:, self.active], self.active)
        self.direction = z.copy()
        self.inner = np.einsum("nr,nr->r", rest[:, self.active], z)

    def _turn(self) -> None:
        """The next directions; columns that have converged are left out."""
        self.size[self.active] = np.linalg.norm(self.rest[:, self.active], axis=0)
        stays = self.size[self.active] > self.limit[self.active]
        kept = self.active[stays]
        z = self._preconditioned(self.rest[:, kept], kept)
        fresh = np.einsum("nr,nr->r", self.rest[:, kept], z)
        self.direction = z + self.direction[:, stays] * (fresh / self.inner[stays])
        self.inner, self.active = fresh, kept

    def _preconditioned(self, vectors: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return vectors if self.precondition is None or not vectors.size else self.precondition(vectors, columns)

    @property
    def solution(self) -> Solution:
        """What is known so far."""
        residual = np.divide(self.size, self.length, out=np.zeros_like(self.length), where=self.length > 0)
        return Solution(self.x, residual, self.products)

    def as_arrays(self) -> dict[str, np.ndarray]:
        """The state as named arrays, for a checkpoint; right-hand sides and options are the caller's."""
        return {name: np.asarray(getattr(self, name)) for name in self._ARRAYS}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from the state that `as_arrays` gave, of the same system."""
        for name in self._ARRAYS:
            value = arrays[name]
            setattr(self, name, value.item() if value.ndim == 0 else np.array(value))


def conjugate_gradient(apply: Apply, right: np.ndarray, **options: Any) -> Solution:
    """Solve A X = B with the products of `apply`; the options of `ConjugateGradients`."""
    run = ConjugateGradients(right, **options)
    while (wanted := run.wanted) is not None:
        run.advance(apply(*wanted))
    return run.solution
