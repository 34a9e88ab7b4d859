"""The half-vectorisation of symmetric matrices."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.linalg.vech import order_of, unvech, vech, vech_indices, vech_length


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_vech_is_the_lower_triangle_column_by_column(k):
    matrix = np.arange(k * k).reshape(k, k)
    matrix = matrix + matrix.T
    by_hand = [matrix[i, j] for j in range(k) for i in range(j, k)]
    assert vech(matrix).tolist() == by_hand
    np.testing.assert_array_equal(unvech(vech(matrix)), matrix)
    assert order_of(vech_length(k)) == k
    row, column = vech_indices(k)
    assert (row >= column).all()
    stack = np.stack([matrix, matrix + 1])
    np.testing.assert_array_equal(unvech(vech(stack)), stack)


def test_lengths_that_are_no_triangle_are_refused():
    with pytest.raises(ValueError, match="is not k"):
        order_of(4)
