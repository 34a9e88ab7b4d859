"""Sums whose bits do not depend on who computed them.

Floating-point addition is not associative, so a sum over chunks must be bracketed in a way that depends on the
data's shape only. Here the chunks are cut into *leaves* (a pure function of the shape); a leaf adds its chunks one
after the other, and leaves are added in a fixed binary tree: leaf 2i with leaf 2i + 1, and so on. Any contiguous
range of leaves can be summed by any worker into a few complete nodes of that tree, and nodes meet later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from daskgen import config
from daskgen.buffers import give_back

__all__ = ["TreeSum", "leaf_bounds", "n_leaves"]

Node = tuple[int, int, Any]
"""(level, index, value): the sum of leaves index * 2**level to (index + 1) * 2**level - 1."""


def n_leaves(n_chunks: int, total_bytes: int, result_rows: int) -> int:
    """Number of leaves for a pass over `total_bytes` in `n_chunks`, whose result has `result_rows` rows.

    A leaf holds at least ``group-mb`` megabytes and 1,000 bytes for each row of the result, so that adding leaf
    results (about 4 ns an element) stays below 3 % of a product pass (0.18 ns a byte and vector); the number is a
    power of two so that work divides evenly, at most ``max-leaves`` and at most the number of chunks.
    """
    if n_chunks <= 1:
        return max(1, n_chunks)
    size = max(int(config.get("group-mb") * 10**6), 1_000 * result_rows)
    wanted = max(1, -(-total_bytes // size))
    power = 1 << (int(wanted) - 1).bit_length()
    return int(min(power, config.get("max-leaves"), n_chunks))


def leaf_bounds(n_chunks: int, leaves: int) -> list[tuple[int, int]]:
    """First and last-plus-one chunk of each leaf, as even as whole chunks allow."""
    edges = [i * n_chunks // leaves for i in range(leaves + 1)]
    return list(zip(edges[:-1], edges[1:], strict=True))


def _add(left: Any, right: Any) -> Any:
    """left + right, in place in `left`; arrays, or tuples, lists and dicts of them."""
    if isinstance(left, np.ndarray) and left.ndim:
        left += right
        return left
    if isinstance(left, dict):
        return {key: _add(value, right[key]) for key, value in left.items()}
    if isinstance(left, (tuple, list)):
        return type(left)(_add(a, b) for a, b in zip(left, right, strict=True))
    return left + right


class TreeSum:
    """Collects leaves or nodes in any order and adds them in the fixed tree.

    Values are arrays, numbers, or tuples, lists, dicts of these. The sum takes them over: the left one is changed in
    place, the right one is given back to be used again (`buffers`).
    """

    def __init__(self) -> None:
        self._nodes: dict[tuple[int, int], Any] = {}

    def add(self, level: int, index: int, value: Any) -> None:
        """Add a node; it joins with its sibling as soon as both are there, the left one first."""
        if (level, index) in self._nodes:
            raise ValueError(f"node {index} of level {level} was added twice")
        sibling = self._nodes.pop((level, index ^ 1), None)
        while sibling is not None:
            left, right = (value, sibling) if index % 2 == 0 else (sibling, value)
            value = _add(left, right)
            give_back(right)
            level, index = level + 1, index // 2
            sibling = self._nodes.pop((level, index ^ 1), None)
        self._nodes[level, index] = value

    def nodes(self) -> list[Node]:
        """What is there so far, left to right."""
        order = sorted(self._nodes, key=lambda node: node[1] << node[0])
        return [(level, index, self._nodes[level, index]) for level, index in order]

    def total(self, leaves: int) -> Any:
        """The sum of all leaves; ValueError unless leaves 0 to `leaves` - 1 are all there."""
        nodes = self.nodes()
        covered = 0
        for level, index, _ in nodes:
            if index << level != covered:
                raise ValueError(f"leaf {covered} of {leaves} is missing")
            covered += 1 << level
        if covered != leaves:
            raise ValueError(f"leaf {covered} of {leaves} is missing")
        # The nodes left over are the binary digits of `leaves`, largest first: again a function of it alone.
        result = nodes[0][2]
        for _, _, value in nodes[1:]:
            result = _add(result, value)
            give_back(value)
        return result


def split(n_items: int, parts: int) -> Iterator[tuple[int, int]]:
    """Contiguous, even, non-empty ranges."""
    parts = max(1, min(parts, n_items))
    edges = [i * n_items // parts for i in range(parts + 1)]
    return ((a, b) for a, b in zip(edges[:-1], edges[1:], strict=True) if b > a)


def add_all(nodes: Iterable[Node], into: TreeSum) -> None:
    for level, index, value in nodes:
        into.add(level, index, value)
