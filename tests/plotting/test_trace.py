"""Trace plots show every draw of every chain."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from daskgen import plotting
from daskgen.bayes import Posterior
from daskgen.cli import app
from daskgen.errors import StoreError, UsageError

pytest.importorskip("matplotlib")


@pytest.fixture
def posterior():
    """Draws of three quantities by two chains, the last of them always the same."""
    rng = np.random.default_rng(0)
    trace = rng.standard_normal((2, 50, 3))
    trace[:, :, 2] = 0.5
    text = np.dtypes.StringDType()
    names = np.array(["heritability", "residual_variance", "pi"], text)
    dataset = xr.Dataset(
        {
            "trace": (("chain", "draw", "quantity"), trace),
            "phenotyped": ("sample", np.ones(3, bool)),
            "effect_mean": ("variant", np.zeros(2)),
        },
        coords={"quantity": names, "sample_id": ("sample", np.array(["a", "b", "c"], text))},
        attrs={"trait": "bmi", "method": "BayesC"},
    )
    return Posterior(dataset)


def test_every_draw_is_there(posterior):
    figure = plotting.trace(posterior)
    left = figure.axes[::2]
    assert [axes.get_title(loc="left").split()[0] for axes in left] == ["heritability", "residual_variance"]
    for number, axes in enumerate(left):
        assert "R-hat" in axes.get_title(loc="left")
        for chain, line in enumerate(axes.lines):
            assert np.array_equal(line.get_ydata(), posterior.dataset["trace"].values[chain, :, number])


def test_chosen_quantities_and_files(posterior, tmp_path):
    place = tmp_path / "trace.svg"
    figure = plotting.trace(posterior, "pi", title="a title", save=place)
    assert len(figure.axes) == 2
    assert "a title" in place.read_text()
    with pytest.raises(StoreError):
        plotting.trace(posterior, save=place)
    with pytest.raises(UsageError, match="no quantity 'h2'") as caught:
        plotting.trace(posterior, ["h2"])
    assert "heritability" in str(caught.value)


def test_the_command(posterior, tmp_path, monkeypatch):
    monkeypatch.setattr(Posterior, "open", classmethod(lambda cls, path: posterior))
    place = tmp_path / "trace.png"
    assert app.invoke(["plot", "trace", "bmi.zarr", "--quantity", "heritability", "--out", str(place)]) == 0
    assert place.stat().st_size > 1_000
