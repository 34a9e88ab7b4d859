"""Largest eigenpairs of a symmetric matrix that is known by its products with blocks of vectors.

Block Lanczos with full reorthogonalisation and thick restarts (Golub and Van Loan, Matrix Computations, 10.3; Wu and
Simon 2000, SIAM J. Matrix Anal. Appl. 22:602). Every product is one pass over the data, so all vectors of a block
share a pass, and the subspace of all passes is used, not only the last block as in subspace iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Eigenpairs", "LanczosState", "largest_eigenpairs"]


@dataclass
class LanczosState:
    """What a run needs to go on: orthonormal basis (n, j), projected matrix T (j, j), the next block (n, b)."""

    basis: np.ndarray
    projected: np.ndarray
    block: np.ndarray
    passes: int = 0

    def as_arrays(self) -> dict[str, np.ndarray]:
        """The state as named arrays, for a checkpoint."""
        return {
            "basis": self.basis,
            "projected": self.projected,
            "block": self.block,
            "passes": np.asarray(self.passes),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> LanczosState:
        return cls(arrays["basis"], arrays["projected"], arrays["block"], int(arrays["passes"]))


@dataclass
class Eigenpairs:
    """values (k,) decreasing; vectors (n, k) orthonormal; residuals (k,): ||A u - lambda u||, estimated from the
    recurrence; passes: products made; converged: all residuals within the tolerance."""

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    passes: int
    converged: bool
    history: list[float] = field(default_factory=list)


def largest_eigenpairs(
    apply: Callable[[np.ndarray], np.ndarray],
    n: int,
    k: int,
    *,
    start: np.ndarray,
    tol: float = 1e-5,
    max_passes: int = 100,
    max_basis: int | None = None,
    state: LanczosState | None = None,
    after_pass: Callable[[LanczosState, float], None] | None = None,
) -> Eigenpairs:
    """The `k` largest eigenpairs of a symmetric positive semi-definite matrix of order `n`.

    apply: V (n, b) -> A V, float64; start: (n, b) first block, of full rank, b >= 1; tol: largest residual norm
    relative to the largest eigenvalue; max_basis: columns of the basis before a restart (default 10 blocks and k);
    state: go on from there; after_pass(state, largest residual so far / tolerance) is called after every pass.
    """
    b = start.shape[1]
    limit = max(max_basis or 10 * b + k, k + 2 * b)
    if state is None:
        first = np.linalg.qr(start)[0]
        state = LanczosState(np.empty((n, 0)), np.empty((0, 0)), first)
    history: list[float] = []
    while True:
        product = apply(state.block)
        state.passes += 1
        basis = np.hstack([state.basis, state.block])
        j = basis.shape[1]
        overlap = basis.T @ product
        projected = np.zeros((j, j))
        done = state.projected.shape[0]
        projected[:done, :done] = state.projected
        projected[:, done:] = overlap
        projected[done:, :] = overlap.T
        projected[done:, done:] = (overlap[done:] + overlap[done:].T) / 2
        # Twice is enough (Kahan, Parlett): rounding of the first projection is removed by the second.
        rest = product - basis @ overlap
        rest -= basis @ (basis.T @ rest)
        values, rotation = np.linalg.eigh(projected)
        values, rotation = values[::-1], rotation[:, ::-1]
        wanted = min(k, j)
        scale = max(values[0], np.finfo(float).tiny)
        block, coupling, rank = _orthonormal(rest, scale)
        leak = coupling @ rotation[done:, :wanted]
        residuals = np.linalg.norm(leak, axis=0)
        worst = float(residuals.max() / scale)
        history.append(worst)
        state = LanczosState(basis, projected, block, state.passes)
        exhausted = rank == 0 or j + rank > n
        finished = (wanted == k and worst <= tol) or exhausted or state.passes >= max_passes
        if finished:
            vectors = basis @ rotation[:, :wanted]
            return Eigenpairs(
                values[:wanted].copy(), vectors, residuals, state.passes, bool(worst <= tol or exhausted), history
            )
        if j + rank > limit:
            keep = min(k + b, j)
            state = LanczosState(basis @ rotation[:, :keep], np.diag(values[:keep]), block, state.passes)
        if after_pass is not None:
            after_pass(state, worst / tol)


def _orthonormal(rest: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Orthonormal columns spanning `rest` (n, b), without directions that are rounding noise.

    Returns (Q (n, r), C (r, b) with rest = Q C up to noise, r).
    """
    left, sizes, right = np.linalg.svd(rest, full_matrices=False)
    # Products come in float32: what is below 1e-7 of the largest eigenvalue is noise, not a direction.
    rank = int((sizes > 1e-9 * scale).sum())
    return np.ascontiguousarray(left[:, :rank]), sizes[:rank, None] * right[:rank], rank
