"""Conjugate gradients for several right-hand sides at once, each with its own step lengths.

All columns share the product with the matrix, which is a pass over the data; a column that has converged is left out
of it. The matrix may differ between columns, as long as it does not change while they are solved.
Source: Hestenes and Stiefel (1952), J. Res. Nat. Bur. Standards 49:409; Saad (2003), Iterative Methods, 9.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Solution", "conjugate_gradient"]

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


def conjugate_gradient(
    apply: Apply,
    right: np.ndarray,
    *,
    tol: float | np.ndarray,
    max_iterations: int = 400,
    start: np.ndarray | None = None,
    product_of_start: np.ndarray | None = None,
    precondition: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Solution:
    """Solve A X = B for a symmetric positive definite A, column by column to the relative residual `tol`.

    right: B (n, r), float64; start: first X (default 0), with product_of_start = A X where it is known already;
    precondition: V -> M^-1 V.
    """
    b = np.asarray(right, np.float64)
    n, r = b.shape
    length = np.linalg.norm(b, axis=0)
    limit = np.broadcast_to(np.asarray(tol, np.float64), (r,)) * length
    x = np.zeros((n, r)) if start is None else np.array(start, np.float64)
    products = 0
    everything = np.arange(r)
    if start is None:
        rest = b.copy()
    else:
        if product_of_start is None:
            product_of_start, products = apply(x, everything), 1
        rest = b - product_of_start
    size = np.linalg.norm(rest, axis=0)
    active = np.flatnonzero(size > limit)
    z = rest[:, active] if precondition is None else precondition(rest[:, active])
    direction = z.copy()
    inner = np.einsum("nr,nr->r", rest[:, active], z)
    iteration = 0
    while active.size and iteration < max_iterations:
        iteration += 1
        product = apply(direction, active)
        products += 1
        step = inner / np.einsum("nr,nr->r", direction, product)
        x[:, active] += direction * step
        if iteration % _REFRESH:
            rest[:, active] -= product * step
        else:
            rest[:, active] = b[:, active] - apply(x[:, active], active)
            products += 1
        size[active] = np.linalg.norm(rest[:, active], axis=0)
        stays = size[active] > limit[active]
        kept = active[stays]
        if not kept.size:
            break
        z = rest[:, kept] if precondition is None else precondition(rest[:, kept])
        fresh = np.einsum("nr,nr->r", rest[:, kept], z)
        direction = z + direction[:, stays] * (fresh / inner[stays])
        inner, active = fresh, kept
    return Solution(x, np.divide(size, length, out=np.zeros(r), where=length > 0), products)
