"""The relationship matrices K_g = Z_g W_g Z_g' / c_g of one set of samples, known by their products.

c_g is the number of the component's variants that vary in these samples. The components of one store share its passes;
several stores (common and rare variants, say) are one pass each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.shared import Product, shared_kv
from daskgen.reml.asking import Request
from daskgen.reml.components import Components
from daskgen.reml.graph import relationship_matrices

__all__ = ["Part", "Relationships", "Some", "shared_products"]


@dataclass(frozen=True, eq=False)
class Part:
    """The components of one store: its operator with them, and which variants are in which."""

    operator: GenotypeOperator
    components: Components

    @property
    def counted(self) -> np.ndarray:
        """c_g (G,): variants of each component that vary."""
        return self.operator.counted

    @cached_property
    def weights(self) -> np.ndarray:
        """float64 (variants, G): 1 / c_g for the members of component g that vary, else 0."""
        varies = self.operator.moments.polymorphic[:, None]
        return np.where(self.components.members & varies, 1.0 / np.maximum(self.counted, 1), 0.0)


class Relationships:
    """Products with the K_g of one set of samples; root_weights (n,): K_g is scaled by them on both sides (weights of
    residuals). `passes` counts the passes over the genotypes."""

    def __init__(self, parts: Sequence[Part], root_weights: np.ndarray | None = None):
        self.parts = list(parts)
        self.root_weights = root_weights
        self.passes = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the components."""
        return tuple(name for part in self.parts for name in part.components.names)

    @property
    def n_samples(self) -> int:
        return self.parts[0].operator.n_samples

    @property
    def first_components(self) -> list[int]:
        """Number of the first component of each part."""
        sizes = [len(part.components) for part in self.parts]
        return [sum(sizes[:p]) for p in range(len(sizes))]

    @property
    def n_variants(self) -> int:
        return sum(part.operator.n_variants for part in self.parts)

    @cached_property
    def counted(self) -> np.ndarray:
        """c_g (G,)."""
        return np.concatenate([part.counted for part in self.parts])

    @property
    def used(self) -> np.ndarray:
        """Components that have a variant that varies: int64."""
        return np.flatnonzero(self.counted > 0)

    def mean_diagonals(
        self, diagonals: Sequence[np.ndarray] | np.ndarray, used: np.ndarray, *, weighted: bool = True
    ) -> np.ndarray:
        """tr(A) / n of every component and, last, of the residual (G + 1,), on the scale without weights.

        diagonals: of the components `used`; weighted: they carry the root weights on both sides.
        """
        root = np.ones(self.n_samples) if self.root_weights is None else self.root_weights
        found = np.zeros(len(self.counted) + 1)
        for g, diagonal in zip(used, diagonals, strict=True):
            found[g] = (diagonal / root**2 if weighted else diagonal).mean()
        found[-1] = (1 / root**2).mean()
        return found

    def dense(self) -> np.ndarray:
        """All K_g in float64: (G, n, n)."""
        found = [relationship_matrices(part.operator, part.weights) for part in self.parts]
        self.passes += 1
        matrices = found[0] if len(found) == 1 else np.concatenate(found)
        if self.root_weights is not None:
            matrices *= self.root_weights[:, None] * self.root_weights
        return matrices

    # -- streamed ------------------------------------------------------------------------------------------
    def products(self, vectors: np.ndarray, *, label: str = "K V") -> np.ndarray:
        """K_g V of every component: (G, n, r) for V (n, r). One pass."""
        self.passes += 1
        given = self.scaled(vectors)
        found = [part.operator.kv(given, label=label) for part in self.parts]
        return self.scaled(found[0] if len(found) == 1 else np.concatenate(found))

    def combined(self, theta: np.ndarray, vectors: np.ndarray, *, label: str = "K V") -> np.ndarray:
        """sum_g theta_g K_g V: (n, r). One pass, at the price of one component."""
        self.passes += bool(np.any(theta))
        given = self.scaled(vectors)
        total, first = None, 0
        for part in self.parts:
            own = theta[first : first + len(part.components)]
            first += len(own)
            if not own.any():
                continue
            found = part.operator.kv(given, combination=own, label=label)
            total = found if total is None else total + found
        return np.zeros_like(given) if total is None else self.scaled(total)

    @cached_property
    def diagonals(self) -> np.ndarray:
        """Diagonals of K_g (G, n), without the root weights. One pass."""
        self.passes += 1
        return np.concatenate([part.operator.diagonal() for part in self.parts])

    def scaled(self, vectors: np.ndarray) -> np.ndarray:
        """Rows times the root weights."""
        return vectors if self.root_weights is None else vectors * self.root_weights[:, None]


@dataclass(frozen=True)
class Some:
    """Some of the components, as solvers see them."""

    relationships: Relationships
    used: np.ndarray

    def products(self, vectors: np.ndarray, *, label: str = "K V") -> np.ndarray:
        """K_g V (G, n, r). One pass."""
        found = self.relationships.products(vectors, label=label)
        return found if len(found) == len(self.used) else found[self.used]

    def combined(self, theta: np.ndarray, vectors: np.ndarray, *, label: str = "K V") -> np.ndarray:
        """sum_g theta_g K_g V (n, r). One pass."""
        return self.relationships.combined(self.of_all(theta), vectors, label=label)

    def of_all(self, theta: np.ndarray) -> np.ndarray:
        """Factors of all components from those of the used ones."""
        full = np.zeros(len(self.relationships.counted))
        full[self.used] = theta
        return full


@dataclass
class _Joined:
    """Requests for the same products: vectors side by side."""

    kernels: Some
    factors: np.ndarray | None
    positions: list[int]
    vectors: np.ndarray


def shared_products(requests: Sequence[Request]) -> list[np.ndarray]:
    """What is asked of the relationship matrices of any groups of samples, all in one pass (if memory allows)."""
    joined = _joined(requests)
    for relationships in {id(j.kernels.relationships): j.kernels.relationships for j in joined}.values():
        relationships.passes += 1
    totals: list[list[np.ndarray]] = [[] for _ in joined]
    for p in range(len(joined[0].kernels.relationships.parts)):
        wanted, at = [], []
        for i, j in enumerate(joined):
            relationships = j.kernels.relationships
            part, first = relationships.parts[p], relationships.first_components[p]
            own = None if j.factors is None else j.factors[first : first + len(part.components)]
            if own is None or own.any():
                wanted.append(Product(part.operator, relationships.scaled(j.vectors), own))
                at.append(i)
        for i, found in zip(at, shared_kv(wanted, label="REML") if wanted else [], strict=True):
            totals[i].append(found)
    values: list[np.ndarray] = [np.empty(0)] * len(requests)
    for j, parts in zip(joined, totals, strict=True):
        if not parts:
            found = np.zeros_like(j.vectors, dtype=np.float64)
        elif j.factors is not None:
            found = j.kernels.relationships.scaled(sum(parts[1:], parts[0]))
        else:
            whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
            found = j.kernels.relationships.scaled(whole)
            found = found if len(found) == len(j.kernels.used) else found[j.kernels.used]
        first = 0
        for position in j.positions:
            last = first + requests[position].vectors.shape[1]
            values[position] = found[..., first:last]
            first = last
    return values


def _joined(requests: Sequence[Request]) -> list[_Joined]:
    places: dict[tuple[int, bytes | None], list[int]] = {}
    for position, request in enumerate(requests):
        assert isinstance(request.kernels, Some)
        factors = None if request.theta is None else np.asarray(request.theta, np.float64).tobytes()
        places.setdefault((id(request.kernels), factors), []).append(position)
    found = []
    for positions in places.values():
        one = requests[positions[0]]
        assert isinstance(one.kernels, Some)
        vectors = np.hstack([requests[i].vectors for i in positions]) if len(positions) > 1 else one.vectors
        theta = None if one.theta is None else one.kernels.of_all(one.theta)
        found.append(_Joined(one.kernels, theta, positions, vectors))
    return found
