"""The trend of the variance, and its neighbourhoods where few means are distinct."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest

from daskgen.cells.trend import expected_deviation
from daskgen.errors import InputError, MissingPackageError


def test_a_smooth_trend_is_followed():
    pytest.importorskip("skmisc")
    generator = np.random.default_rng(0)
    mean = np.exp(generator.normal(-1, 2, 2_000))
    variance = (mean + 0.3 * mean**2) * np.exp(0.1 * generator.normal(size=2_000))
    variance[:5] = 0
    found = expected_deviation(mean, variance)
    assert (found[:5] == 1).all()
    np.testing.assert_allclose(found[5:] ** 2, (mean + 0.3 * mean**2)[5:], rtol=0.15)


def test_batches_of_few_cells_widen_the_span(caplog):
    pytest.importorskip("skmisc")
    generator = np.random.default_rng(1)
    x = generator.poisson(0.05, (13, 3_000)).astype(float)
    x[:, :40] = generator.poisson(3, (13, 40))
    with caplog.at_level(logging.WARNING, "daskgen"):
        found = expected_deviation(x.mean(axis=0), x.var(axis=0, ddof=1), 0.3, "batch b: ")
    assert np.isfinite(found).all()
    assert "batch b: loess failed with span 0.3" in caplog.text


def test_no_gene_varies():
    pytest.importorskip("skmisc")
    with pytest.raises(InputError, match="no gene varies"):
        expected_deviation(np.ones(5), np.zeros(5))


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "skmisc", None)
    monkeypatch.setitem(sys.modules, "skmisc.loess", None)
    with pytest.raises(MissingPackageError, match="scikit-misc"):
        expected_deviation(np.ones(5), np.ones(5))
