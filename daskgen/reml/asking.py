"""Fits that ask for products with relationship matrices, so that several of them share each pass over the genotypes.

A fit is a generator: it yields the products that it needs next and is sent their values. `together` runs several of
them side by side, `answered` runs one to its end. A fit does not see who else is asking.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

__all__ = ["Asking", "Kernels", "Request", "answered", "one_by_one", "together"]

T = TypeVar("T")


class Kernels(Protocol):
    """K_g V by component (G, n, r), and sum_g theta_g K_g V (n, r): one pass each."""

    def products(self, vectors: np.ndarray, *, label: str = ...) -> np.ndarray: ...

    def combined(self, theta: np.ndarray, vectors: np.ndarray, *, label: str = ...) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Request:
    """Products of `kernels` with `vectors` (n, r): by component, or with the factors `theta` (G,) their sum."""

    kernels: Kernels
    vectors: np.ndarray
    theta: np.ndarray | None = None


Asking = Generator[list[Request], list[np.ndarray], T]
"""What needs products before it can return a T."""


def together(parts: Sequence[Asking[T]]) -> Asking[list[T]]:
    """All of them at once: what they ask for next is asked in one list. Results in the order given."""
    found: list[T | None] = [None] * len(parts)
    waiting: dict[int, list[Request]] = {}

    def resume(i: int, values: list[np.ndarray] | None) -> None:
        try:
            waiting[i] = next(parts[i]) if values is None else parts[i].send(values)
        except StopIteration as end:
            waiting.pop(i, None)
            found[i] = end.value

    for i in range(len(parts)):
        resume(i, None)
    while waiting:
        asked = list(waiting.items())
        values = yield [request for _, requests in asked for request in requests]
        first = 0
        for i, requests in asked:
            resume(i, values[first : first + len(requests)])
            first += len(requests)
    return found  # type: ignore[return-value]


def answered(asking: Asking[T], answer: Callable[[Sequence[Request]], list[np.ndarray]]) -> T:
    """The result of what asks, its products computed by `answer`."""
    try:
        requests = next(asking)
        while True:
            requests = asking.send(answer(requests))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def one_by_one(requests: Sequence[Request]) -> list[np.ndarray]:
    """A pass for each request."""
    return [
        request.kernels.products(request.vectors)
        if request.theta is None
        else request.kernels.combined(request.theta, request.vectors)
        for request in requests
    ]
