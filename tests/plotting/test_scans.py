"""Manhattan and quantile-quantile plots show the result's points, and are the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import daskgen as dg
from daskgen.errors import InputError, StoreError, UsageError
from daskgen.gwas import manhattan_points, qq_points
from tests.gwas.results import result

pytest.importorskip("matplotlib")


def drawn(figure):
    """The coordinates of all points, in order of x."""
    points = np.concatenate([line.get_xydata() for line in figure.axes[0].lines if line.get_marker() == "."])
    return points[np.argsort(points[:, 0], kind="stable")]


def test_manhattan_draws_every_point_once_along_the_genome():
    dataset = result()
    figure = dataset.dg.manhattan("F1~SNP")
    wanted = manhattan_points(dataset, "F1~SNP").points
    xy = drawn(figure)
    assert len(xy) == len(wanted)
    assert np.array_equal(xy[:, 1], wanted["minus_log10_p"])
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "X"]
    assert axes.get_ylim()[1] > wanted["minus_log10_p"].max()
    assert axes.get_title(loc="left") == "F1~SNP"
    assert axes.get_xlabel() == "chromosome"


def test_significant_variants_have_a_colour_of_their_own():
    figure = dg.plotting.manhattan(result(), "F1~SNP", threshold=1e-6, suggestive=None)
    hits = [line for line in figure.axes[0].lines if line.get_marker() == "."][-1]
    assert (hits.get_ydata() >= 6).all()
    assert len(hits.get_ydata()) >= 12
    others = [line for line in figure.axes[0].lines if line.get_marker() == "."][:-1]
    assert max(line.get_ydata().max() for line in others) < 6
    assert {line.get_color() for line in others}.isdisjoint({hits.get_color()})


def test_names_of_contigs_do_not_run_into_each_other():
    dataset = result(4_000)
    dataset["variant_contig"] = ("variant", np.repeat(np.arange(100), 40).astype(np.int32))
    dataset = dataset.drop_vars("contig_id")
    dataset["contig_id"] = ("contig", np.array([f"scaffold_{i}" for i in range(100)], dtype=object))
    figure = dataset.dg.manhattan("T2~SNP")
    shown = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert 2 < len(shown) < 15


def test_a_scan_without_positions_is_drawn_by_the_order_of_variants():
    figure = result(300, positions=False).dg.manhattan("T2~SNP", title="a title")
    assert figure.axes[0].get_xlabel() == "variant"
    assert figure.axes[0].get_title(loc="left") == "a title"


def test_qq_draws_the_points_and_says_lambda():
    dataset = result()
    figure = dataset.dg.qq("T2~SNP")
    found = qq_points(dataset, "T2~SNP")
    xy = drawn(figure)
    assert np.array_equal(np.sort(xy[:, 1]), np.sort(found.points["observed"]))
    text = figure.axes[0].texts[0].get_text()
    assert f"{found.lambda_gc:.3f}" in text
    assert f"{found.n_variants:,} variants" in text


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
@pytest.mark.parametrize("name", ["manhattan", "qq"])
def test_a_figure_is_the_same_every_time_from_the_store_too(name: str, ending: str, tmp_path: Path):
    store = result(1_500).dg.to_store(tmp_path / "r.zarr")
    draw = getattr(dg.plotting, name)
    draw(result(1_500), "F1~SNP", save=tmp_path / f"a{ending}")
    draw(store, "F1~SNP", save=tmp_path / f"b{ending}")
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()
    assert (tmp_path / f"a{ending}").stat().st_size > 3_000


def test_what_cannot_be_drawn_is_refused_before_anything_is_read(tmp_path: Path):
    dataset = result(50)
    (tmp_path / "a.png").write_text("mine")
    for draw in (dataset.dg.manhattan, dataset.dg.qq):
        with pytest.raises(StoreError, match="exists"):
            draw("F1~SNP", save=tmp_path / "a.png")
        with pytest.raises(UsageError, match="kind of figure"):
            draw("F1~SNP", save=tmp_path / "a.bmp")
        with pytest.raises(UsageError, match="no parameter"):
            draw("nothing")
    none = dataset.assign(status=("variant", np.full(50, 5, np.int16), dataset["status"].attrs))
    for draw in (none.dg.manhattan, none.dg.qq):
        with pytest.raises(InputError, match="no variant has a p value"):
            draw("F1~SNP")
