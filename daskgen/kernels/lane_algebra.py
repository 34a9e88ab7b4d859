"""Small symmetric matrices, one per lane: Cholesky factor, solution, inverse and B M B.

A packed matrix of order p has slot `first + i (i + 1) / 2 + j` for its element (i, j), j <= i; a full one `first + i p
+ j`.
"""

from __future__ import annotations

from daskgen.kernels.compile import helper
from daskgen.kernels.lanes import divide, fill, load, multiply, multiply_add, root, select, store, subtract

__all__ = ["factorise", "invert", "sandwich", "solve"]

_SMALLEST_PIVOT = 1e-13
"""A pivot below this part of its diagonal element is zero but for rounding: the matrix is singular."""


@helper
def factorise(memory, matrix, order, factor, damping):
    """Packed `matrix` = L L', its diagonal first multiplied by 1 + `damping`; L at `factor`, 1 / l_ii on the diagonal.

    Returns 1.0 in lanes in which the matrix is not positive definite; L means nothing there.
    """
    one = fill(1.0)
    singular = fill(0.0)
    scale = multiply_add(damping, one, one)
    for i in range(order):
        row = i * (i + 1) // 2
        for j in range(i + 1):
            other = j * (j + 1) // 2
            total = fill(0.0)
            for t in range(j):
                total = multiply_add(load(memory, factor + row + t), load(memory, factor + other + t), total)
            element = load(memory, matrix + row + j)
            if j < i:
                value = multiply(subtract(element, total), load(memory, factor + other + j))
            else:
                diagonal = multiply(element, scale)
                pivot = subtract(diagonal, total)
                limit = multiply(diagonal, fill(_SMALLEST_PIVOT))
                positive = multiply(select(limit, pivot, fill(0.0), one), select(pivot, fill(0.0), one, fill(0.0)))
                singular = select(one, positive, one, singular)
                value = divide(one, root(select(one, positive, one, pivot)))
            store(memory, factor + row + j, value)
    return singular


@helper
def solve(memory, factor, order, right, result):
    """x = (L L')^-1 b: b at `right`, x at `result`, which may be the same."""
    for i in range(order):
        row = factor + i * (i + 1) // 2
        total = fill(0.0)
        for t in range(i):
            total = multiply_add(load(memory, row + t), load(memory, result + t), total)
        store(memory, result + i, multiply(subtract(load(memory, right + i), total), load(memory, row + i)))
    for i in range(order - 1, -1, -1):
        total = fill(0.0)
        for t in range(i + 1, order):
            total = multiply_add(load(memory, factor + t * (t + 1) // 2 + i), load(memory, result + t), total)
        value = subtract(load(memory, result + i), total)
        store(memory, result + i, multiply(value, load(memory, factor + i * (i + 1) // 2 + i)))


@helper
def invert(memory, factor, order, inverse):
    """(L L')^-1, full, at `inverse`. `factor` is overwritten with L^-1."""
    for j in range(order):
        for i in range(j + 1, order):
            row = factor + i * (i + 1) // 2
            total = fill(0.0)
            for t in range(j, i):
                total = multiply_add(load(memory, row + t), load(memory, factor + t * (t + 1) // 2 + j), total)
            store(memory, row + j, subtract(fill(0.0), multiply(total, load(memory, row + i))))
    for i in range(order):
        for j in range(i + 1):
            total = fill(0.0)
            for t in range(i, order):
                row = factor + t * (t + 1) // 2
                total = multiply_add(load(memory, row + i), load(memory, row + j), total)
            store(memory, inverse + i * order + j, total)
            store(memory, inverse + j * order + i, total)


@helper
def sandwich(memory, bread, filling, order, work, result):
    """B M B, packed, at `result`: B at `bread` and M at `filling` are full, `work` is as large as they are."""
    for i in range(order):
        for j in range(order):
            total = fill(0.0)
            for t in range(order):
                total = multiply_add(load(memory, bread + i * order + t), load(memory, filling + t * order + j), total)
            store(memory, work + i * order + j, total)
    for i in range(order):
        for j in range(i + 1):
            total = fill(0.0)
            for t in range(order):
                total = multiply_add(load(memory, work + i * order + t), load(memory, bread + t * order + j), total)
            store(memory, result + i * (i + 1) // 2 + j, total)
