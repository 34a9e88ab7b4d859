"""Products with the relationship matrices of a group against dense ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from daskgen.errors import InputError
from daskgen.genotypes import operator
from daskgen.reml.effects import fixed_operator, group_effects
from daskgen.reml.graph import relationship_matrices, standardised_squares
from daskgen.reml.study import open_study
from tests.reml.data import cohort

SETS = {"a": np.arange(120), "b": np.arange(80, 200), "none": []}


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return cohort(tmp_path_factory.mktemp("reml"), n=70, m=200, seed=3)


def opened(people, **tables):
    study = open_study(people.path, people.phenotype(missing=6), None, components=SETS, **tables)
    (group,) = study.groups
    return study.relationships(group), group


@pytest.mark.parametrize("weighted", [False, True])
def test_products_dense_matrices_and_diagonals_agree(people, weighted):
    generator = np.random.default_rng(0)
    weights = pd.Series(generator.uniform(0.5, 2, 70), index=people.ids) if weighted else None
    relationships, group = opened(people, residual_weights=weights)
    root = np.ones(group.n) if weights is None else np.sqrt(weights.to_numpy()[group.rows])
    plain = np.stack([people.kernel(group.rows, np.asarray(s, int)) for s in SETS.values()])
    expected = plain * np.outer(root, root)
    np.testing.assert_allclose(relationships.dense(), expected, atol=1e-13)
    np.testing.assert_allclose(relationships.diagonals, [np.diag(k) for k in plain], rtol=1e-5)
    v = generator.normal(size=(group.n, 3))
    np.testing.assert_allclose(relationships.products(v), expected @ v, atol=1e-4)
    theta = np.array([0.4, 1.7, 3.0])
    combined = np.tensordot(theta, expected, 1) @ v
    np.testing.assert_allclose(relationships.combined(theta, v), combined, atol=1e-4)
    np.testing.assert_array_equal(relationships.combined(np.zeros(3), v), 0)
    assert relationships.used.tolist() == [0, 1]
    assert relationships.passes == 4


def test_other_samples_are_standardised_as_the_analysed_ones(people):
    relationships, group = opened(people)
    (part,) = relationships.parts
    effects = group_effects(part, np.ones((group.n, 1)))
    everyone = fixed_operator(part, effects, np.arange(70))
    matrices = relationship_matrices(everyone, effects.weights)
    inside = np.ix_(range(3), group.rows, group.rows)
    np.testing.assert_allclose(matrices[inside], relationships.dense(), atol=1e-13)
    squares = standardised_squares(everyone, effects.weights)
    np.testing.assert_allclose(squares.T, [np.diag(k) for k in matrices], rtol=1e-12)
    z, _ = people.z(group.rows)
    np.testing.assert_allclose(effects.products[:, 0], z.sum(axis=0), atol=1e-10)


def test_a_combination_needs_a_factor_for_each_component(people):
    products = operator(people.path, components={"a": range(10), "b": range(20)})
    with pytest.raises(InputError, match="a factor for each"):
        products.kv(np.ones((70, 1)), combination=np.ones(3))
    with pytest.raises(InputError, match="a factor for each"):
        operator(people.path).kv(np.ones((70, 1)), combination=np.ones(1))
