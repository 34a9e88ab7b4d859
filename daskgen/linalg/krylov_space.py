"""A block Krylov space of a symmetric matrix that is kept whole, and what it says of every function of the matrix.

From a block of starting columns B each pass multiplies the newest orthonormal columns by A; with V the basis of all
passes and T = V'AV = S diag(t) S' the Ritz values t and vectors V S give

    b'f(A)b  ~  sum_i (s_i'V'b)^2 f(t_i),          f(A)b  ~  V f(T) V'b

for every function f at once and every column b of the block, more exactly than the column's own Lanczos recurrence
does, because all columns share one space. The basis is orthogonalised against itself fully, so that a large eigenvalue
appears once, and after a few passes with an eigenvector as good as exact (`accurate`): what few large eigenvalues would
cost in passes and in random error is then known.

A column that should not change the space of the others has a `Companion`: its own directions beside it.

The basis is float32, as exact as streamed products are; T and all that is small is float64.
Source: Golub and Underwood (1977), in Mathematical Software III, 361; Saad (2011), Numerical Methods for Large
Eigenvalue Problems, 6; Golub and Meurant (2010), Matrices, Moments and Quadrature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Companion", "Galerkin", "KrylovSpace"]

_NOISE = 1e-6
"""A direction that is this small beside the product it comes from is rounding of float32."""

_BESIDE = 1e-5
"""Squared share of a companion's direction outside of the space below which it is taken to lie in it."""


class KrylovSpace:
    """basis: float32 (n, k + b), orthonormal, its last b columns (`pending`) not multiplied yet; projected: T (k, k);
    leak (b, k): pending'A V, what A V has outside of V."""

    _ARRAYS = ("basis", "coordinates", "projected", "leak")

    def __init__(self, columns: np.ndarray):
        """From the starting columns (n, r); `coordinates` (b, r) are theirs in the basis."""
        length = np.linalg.norm(columns, axis=0)
        scaled = columns / np.where(length > 0, length, 1.0)
        left, sizes, right = np.linalg.svd(scaled, full_matrices=False)
        rank = int((sizes > _NOISE * sizes[0]).sum())
        self.basis = np.ascontiguousarray(left[:, :rank], np.float32)
        self.coordinates = sizes[:rank, None] * right[:rank] * length
        self.projected = np.empty((0, 0))
        self.leak = np.empty((rank, 0))

    @property
    def size(self) -> int:
        """k, the columns that have been multiplied."""
        return len(self.projected)

    @property
    def pending(self) -> np.ndarray:
        """float32 (n, b): what the next pass multiplies; no column where the space is invariant."""
        return self.basis[:, self.size :]

    def advance(self, product: np.ndarray) -> None:
        """Take in A times the pending columns, (n, b)."""
        k = self.basis.shape[1]
        overlap, rest = self.split(product)
        projected = np.empty((k, k))
        projected[: self.size, : self.size] = self.projected
        projected[:, self.size :] = overlap
        projected[self.size :] = overlap.T
        corner = overlap[self.size :]
        projected[self.size :, self.size :] = (corner + corner.T) / 2
        left, sizes, right = np.linalg.svd(rest, full_matrices=False)
        size = max(float(np.abs(projected).max()), np.finfo(float).tiny)
        rank = int((sizes > _NOISE * size).sum())
        rank = min(rank, self.basis.shape[0] - k)
        leak = np.zeros((rank, k))
        leak[:, self.size :] = sizes[:rank, None] * right[:rank]
        self.basis = np.hstack([self.basis, left[:, :rank].astype(np.float32)])
        self.projected, self.leak = projected, leak

    def split(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(coordinates in the basis, what is left outside of it). Twice, so that rounding is removed too."""
        rest = np.asarray(vectors, np.float64)
        overlap = np.zeros((self.basis.shape[1], rest.shape[1]))
        for _ in range(2):
            part = self.basis.T @ rest.astype(np.float32)
            rest = rest - self.basis @ part
            overlap += part
        return overlap, rest

    def galerkin(self) -> Galerkin:
        """The eigenproblem of the space."""
        values, vectors = np.linalg.eigh(self.projected)
        start = np.zeros((self.size, self.coordinates.shape[1]))
        start[: len(self.coordinates)] = self.coordinates
        return Galerkin(values, vectors, np.linalg.norm(self.leak @ vectors, axis=0), vectors.T @ start)

    def as_arrays(self) -> dict[str, np.ndarray]:
        """The state as named arrays, for a checkpoint."""
        return {name: getattr(self, name) for name in self._ARRAYS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> KrylovSpace:
        """The state that `as_arrays` gave."""
        self = cls.__new__(cls)
        for name in cls._ARRAYS:
            setattr(self, name, np.asarray(arrays[name]))
        return self


@dataclass(frozen=True)
class Galerkin:
    """values (k,): Ritz values t; vectors (k, k): S; residuals (k,): ||A u - t u|| of the Ritz vectors u = V S;
    coordinates (k, r): S'V'B of the starting columns."""

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    coordinates: np.ndarray

    def accurate(self, tolerance: float) -> np.ndarray:
        """bool (k,): Ritz pairs whose residual is below `tolerance` times their value."""
        return self.residuals <= tolerance * self.values


class Companion:
    """The own directions W of one column y beside a space V that does not know it.

    span[V, W] is the block Krylov space of the starting columns and y together. W is not orthogonal to columns that V
    gets later; what both are to each other is kept: across V'W, gram W'W, and A W_j = V from_space_j + W from_own_j.
    `pending` (n, 1) is what the next pass multiplies, None where nothing of y is left outside.
    """

    def __init__(self, space: KrylovSpace, column: np.ndarray):
        """column y (n,), for a space that was not multiplied yet."""
        overlap, rest = space.split(column[:, None])
        length = float(np.linalg.norm(rest))
        self.ended = length <= _NOISE * float(np.linalg.norm(column))
        length = 0.0 if self.ended else length
        self.directions = (rest / (length or 1.0)).astype(np.float32)
        self.across = space.basis.T @ self.directions.astype(np.float64)
        self.gram = np.ones((1, 1))
        self.start = np.append(overlap[:, 0], length)  # of y: in the space's first columns, then on the first direction
        self.from_space: list[np.ndarray] = []
        self.from_own: list[np.ndarray] = []

    @property
    def size(self) -> int:
        """Directions that have been multiplied."""
        return len(self.from_space)

    @property
    def pending(self) -> np.ndarray | None:
        return None if self.ended else self.directions[:, self.size :]

    def advance(self, space: KrylovSpace, product: np.ndarray | None) -> None:
        """Take in A times the pending direction (n, 1), after the space took in its part of the pass."""
        known = len(self.across)
        fresh = space.basis[:, known:].T @ self.directions
        self.across = np.vstack([self.across, fresh])
        if product is None or self.ended:
            return
        overlap, rest = space.split(product)
        outside = self.gram - self.across.T @ self.across
        values, vectors = np.linalg.eigh(outside)
        kept = values > _BESIDE
        inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
        own = np.zeros((len(self.gram), 1))
        for _ in range(2):
            part = inverse @ (self.directions.T @ rest.astype(np.float32))
            rest = (
                rest - self.directions @ part.astype(np.float32) + space.basis @ (self.across @ part).astype(np.float32)
            )
            overlap, own = overlap - self.across @ part, own + part
        length = float(np.linalg.norm(rest))
        self.from_space.append(overlap[:, 0])
        if length <= _NOISE * np.linalg.norm(product):
            self.from_own.append(own[:, 0])
            self.ended = True
            return
        self.from_own.append(np.append(own[:, 0], length))
        fresh_direction = (rest / length).astype(np.float32)
        column = self.directions.T @ fresh_direction
        self.gram = np.block([[self.gram, column], [column.T, np.ones((1, 1))]])
        self.directions = np.hstack([self.directions, fresh_direction])
        self.across = np.hstack([self.across, space.basis.T @ fresh_direction])

    def joined(self, space: KrylovSpace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(M, y, L): the matrix A and y on span[V, W] in an orthonormal basis [V, (W - V V'W) L']."""
        k, s = space.size, self.size
        across, gram = self.across[:, :s], self.gram[:, :s]
        h = np.zeros((len(self.across), s))
        b = np.zeros((len(self.gram), s))
        for j, (of_space, of_own) in enumerate(zip(self.from_space, self.from_own, strict=True)):
            h[: len(of_space), j] = of_space
            b[: len(of_own), j] = of_own
        v_kw = h[:k] + self.across[:k] @ b
        w_kw = across.T @ h + gram.T @ b
        w_kw = (w_kw + w_kw.T) / 2
        inner = across[:k]
        values, vectors = np.linalg.eigh(gram[:s] - inner.T @ inner)
        kept = values > _BESIDE
        to_basis = (vectors[:, kept] / np.sqrt(values[kept])).T
        t = space.projected
        crossed = inner.T @ v_kw
        corner = to_basis @ (w_kw - crossed - crossed.T + inner.T @ (t @ inner)) @ to_basis.T
        side = to_basis @ (v_kw.T - inner.T @ t)
        matrix = np.block([[t, side.T], [side, (corner + corner.T) / 2]])
        first = np.zeros(k)
        first[: len(self.start) - 1] = self.start[:-1]
        of_space = first + self.across[:k, 0] * self.start[-1]
        of_own = inner.T @ first + gram[0] * self.start[-1]
        return matrix, np.append(of_space, to_basis @ (of_own - inner.T @ of_space)), to_basis

    def expand(self, space: KrylovSpace, coordinates: np.ndarray, to_basis: np.ndarray) -> np.ndarray:
        """The vector (n,) of coordinates in the orthonormal basis that `joined` speaks of."""
        k, s = space.size, self.size
        own = to_basis.T @ coordinates[k:]
        inside = coordinates[:k] - self.across[:k, :s] @ own
        found = space.basis[:, :k] @ inside.astype(np.float32) + self.directions[:, :s] @ own.astype(np.float32)
        return np.asarray(found, np.float64)

    _ARRAYS = ("directions", "across", "gram", "start")

    def as_arrays(self) -> dict[str, np.ndarray]:
        """The state as named arrays, for a checkpoint."""
        arrays = {name: getattr(self, name) for name in self._ARRAYS}
        for name in ("from_space", "from_own"):
            parts = getattr(self, name)
            arrays[name] = np.concatenate([np.empty(0), *parts])
            arrays[f"{name}_sizes"] = np.array([len(part) for part in parts], np.int64)
        return arrays | {"ended": np.asarray(self.ended)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Companion:
        """The state that `as_arrays` gave."""
        self = cls.__new__(cls)
        for name in cls._ARRAYS:
            setattr(self, name, np.asarray(arrays[name]))
        for name in ("from_space", "from_own"):
            sizes = np.asarray(arrays[f"{name}_sizes"])
            setattr(self, name, np.split(arrays[name], np.cumsum(sizes)[:-1]) if len(sizes) else [])
        self.ended = bool(arrays["ended"])
        return self
