"""The fixed tree: the same bits whoever adds what, in whatever order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgen.passes import TreeSum, leaf_bounds, n_leaves
from daskgen.passes.tree import add_all, split


def values(leaves, seed=0):
    return list(np.random.default_rng(seed).standard_normal((leaves, 50)) * 10.0 ** np.arange(50))


def in_order(leaves):
    tree = TreeSum()
    for i, value in enumerate(values(leaves)):
        tree.add(0, i, value.copy())
    return tree.total(leaves)


@given(st.integers(1, 40), st.data())
def test_any_order_gives_the_same_bits(leaves, data):
    order = data.draw(st.permutations(range(leaves)))
    tree = TreeSum()
    for i in order:
        tree.add(0, i, values(leaves)[i].copy())
    assert tree.total(leaves).tobytes() == in_order(leaves).tobytes()


@given(st.integers(1, 40), st.integers(1, 45), st.randoms())
def test_any_bundling_gives_the_same_bits(leaves, parts, random):
    bundles = []
    for start, stop in split(leaves, parts):
        part = TreeSum()
        for i in range(start, stop):
            part.add(0, i, values(leaves)[i].copy())
        bundles.append(part.nodes())
    random.shuffle(bundles)
    tree = TreeSum()
    for nodes in bundles:
        add_all(nodes, tree)
    assert tree.total(leaves).tobytes() == in_order(leaves).tobytes()


def test_the_sum_is_the_sum():
    np.testing.assert_allclose(in_order(13), np.sum(values(13), axis=0), rtol=1e-12)


def test_values_may_be_tuples_dicts_and_numbers():
    tree = TreeSum()
    for i in range(5):
        tree.add(0, i, {"a": np.full(2, float(i)), "b": (i, [np.ones(1) * i])})
    total = tree.total(5)
    assert total["a"].tolist() == [10.0, 10.0]
    assert total["b"][0] == 10
    assert total["b"][1][0].tolist() == [10.0]


def test_a_missing_leaf_and_a_leaf_added_twice_are_errors():
    tree = TreeSum()
    tree.add(0, 0, np.ones(1))
    tree.add(0, 2, np.ones(1))
    with pytest.raises(ValueError, match="leaf 1 of 3 is missing"):
        tree.total(3)
    with pytest.raises(ValueError, match="twice"):
        tree.add(0, 2, np.ones(1))


@given(st.integers(1, 30_000), st.integers(1, 10**12), st.integers(0, 600_000))
def test_leaves_cover_all_chunks_once_and_are_a_function_of_the_shape(chunks, size, rows):
    leaves = n_leaves(chunks, size, rows)
    bounds = leaf_bounds(chunks, leaves)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == chunks
    assert all(a < b for a, b in bounds)
    assert all(first[1] == second[0] for first, second in zip(bounds[:-1], bounds[1:], strict=True))
    assert leaves <= 1024
    assert n_leaves(chunks, size, rows) == leaves
