"""Design matrices of full rank, and the way back to the raw scale."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.errors import InputError
from daskgen.reml.design import make_design


def columns(n=60, seed=0):
    generator = np.random.default_rng(seed)
    return {"age": generator.normal(50, 9, n), "year": 2000.0 + np.arange(n) % 17}


def test_the_basis_spans_the_raw_columns():
    given = columns()
    design = make_design(given, 60)
    x = np.column_stack([np.ones(60), given["age"], given["year"]])
    assert design.names == ("intercept", "age", "year")
    np.testing.assert_allclose(design.basis @ design.upper, x, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(design.basis.T @ design.basis, np.eye(3), atol=1e-14)
    assert design.log_determinant == pytest.approx(np.linalg.slogdet(x.T @ x)[1], abs=1e-7)
    y = np.random.default_rng(1).normal(size=60)
    b, *_ = np.linalg.lstsq(x, y)
    found, covariance = design.raw_scale(design.basis.T @ y, np.eye(3))
    np.testing.assert_allclose(found, b, rtol=1e-8)
    np.testing.assert_allclose(covariance, np.linalg.inv(x.T @ x), rtol=1e-6)


def test_dependent_columns_are_named():
    given = columns()
    given |= {"sum": given["age"] - 3 * given["year"], "constant": np.full(60, 4.0), "zero": np.zeros(60)}
    design = make_design(given, 60)
    assert "intercept" not in design.names  # the constant column stands for it
    assert set(design.dropped) == {"sum", "zero"}
    assert design.dropped["sum"] == "it is a combination of age, year"
    given = columns() | {"copy": 2 * columns()["age"]}
    assert make_design(given, 60).dropped["copy"] == "it is determined by age"


def test_an_intercept_is_not_added_to_columns_that_span_it():
    women = (np.arange(60) % 2).astype(float)
    assert make_design({"women": women, "men": 1 - women}, 60).names == ("women", "men")
    assert make_design({}, 60).names == ("intercept",)


@pytest.mark.parametrize("n", [1, 3])
def test_too_few_samples(n):
    generator = np.random.default_rng(0)
    with pytest.raises(InputError, match="more"):
        make_design({f"x{i}": generator.normal(size=n) for i in range(3)}, n)


def test_values_that_are_not_finite():
    with pytest.raises(InputError, match="x has values"):
        make_design({"x": np.array([1.0, np.inf, 2.0])}, 3)
