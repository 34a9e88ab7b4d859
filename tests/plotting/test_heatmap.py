"""The heat map of genetic correlations shows the numbers of the structure, and says what it cannot show."""

from __future__ import annotations

import builtins
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import daskgen as dg
from daskgen.cli import app
from daskgen.errors import InputError, MissingPackageError, StoreError, UsageError

pytest.importorskip("matplotlib")

NAMES = ["A", "B", "C", "D"]
RG = np.array([[1, 0.8, -0.4, -0.30], [0.8, 1, 0, -0.01], [-0.4, 0, 1, 0.6], [-0.30, -0.01, 0.6, 1]])
H2 = np.array([0.4, 0.2, 0.3, 0.1])


def structure(h2=H2, rg=RG, names=NAMES, se=0.002):
    scale = np.sqrt(np.abs(h2))
    s = rg * np.outer(scale, scale)
    np.fill_diagonal(s, h2)
    q = len(h2) * (len(h2) + 1) // 2
    return dg.ldsc.covstruct(s, np.eye(q) * se**2, traits=names)


def texts(figure):
    """Text in a cell -> (row, column) of the cell."""
    axes = figure.axes[0]
    return {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in axes.texts if t.get_text()}


def labels(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def hatched(figure):
    return {(int(p.get_y()), int(p.get_x())) for p in figure.axes[0].patches if p.get_hatch()}


def test_cells_hold_correlations_with_errors_and_the_diagonal_heritabilities():
    found = structure()
    cells = texts(dg.plotting.heatmap(found, show="se"))
    assert len(cells) == 10
    error = float(found["S_Stand_se"][1, 0])
    assert cells[1, 0] == f"0.80\n({error:.2f})"
    assert cells[2, 0].startswith("−0.40")
    assert cells[0, 0] == "0.400\n(0.002)"
    assert cells[3, 1].startswith("−0.01")
    assert cells[2, 1].startswith("0.00")


def test_the_colour_of_a_cell_is_its_correlation():
    figure = dg.plotting.heatmap(structure())
    drawn = np.ma.filled(figure.axes[0].collections[0].get_array(), np.nan).reshape(4, 4)
    np.testing.assert_allclose(drawn[np.tril_indices(4, -1)], RG[np.tril_indices(4, -1)], atol=1e-12)
    assert np.isnan(drawn[np.triu_indices(4)]).all()


def test_stars_say_which_pass_and_which_pass_for_all_pairs():
    figure = dg.plotting.heatmap(structure(se=0.037), show="stars")
    cells = texts(figure)
    assert cells[1, 0] == "0.80\n**"
    assert cells[2, 0] == "−0.40\n**"
    assert cells[3, 2] == "0.60\n**"
    assert cells[3, 0] == "−0.30\n"
    assert cells[3, 3] == "0.10"
    assert "6 pairs" in figure.get_supxlabel()
    one = texts(dg.plotting.heatmap(structure(se=0.06), show="stars"))
    assert one[2, 0] == "−0.40\n*"


def test_correlations_of_a_negative_heritability_are_hatched_and_said_to_be_undefined():
    figure = dg.plotting.heatmap(structure(h2=np.array([0.4, -0.02, 0.3, 0.1])))
    assert hatched(figure) == {(1, 0), (2, 1), (3, 1)}
    assert texts(figure)[1, 1].startswith("−0.020")
    assert not {(1, 0), (2, 1), (3, 1)} & set(texts(figure))
    assert "undefined" in figure.get_supxlabel()
    assert not hatched(dg.plotting.heatmap(structure()))


def test_order_is_the_given_one_a_clustered_one_or_by_name():
    assert labels(dg.plotting.heatmap(structure())) == NAMES
    rg = np.eye(4)
    for i, j in ((0, 2), (1, 3)):
        rg[i, j] = rg[j, i] = 0.9
    clustered = dg.plotting.heatmap(structure(rg=rg), order="clustered")
    assert {frozenset(labels(clustered)[:2]), frozenset(labels(clustered)[2:])} == {frozenset("AC"), frozenset("BD")}
    named = dg.plotting.heatmap(structure(), order=["D", "A", "B"], show="values")
    assert labels(named) == ["D", "A", "B"]
    assert texts(named) == {
        (0, 0): "0.10",
        (1, 0): "−0.30",
        (1, 1): "0.40",
        (2, 0): "−0.01",
        (2, 1): "0.80",
        (2, 2): "0.20",
    }


def test_an_undefined_trait_can_be_clustered():
    figure = dg.plotting.heatmap(structure(h2=np.array([0.4, -0.02, 0.3, 0.1])), order="clustered")
    assert sorted(labels(figure)) == NAMES
    assert len(hatched(figure)) == 3


@pytest.mark.parametrize(("k", "lines"), [(12, 2), (13, 1), (31, 0)])
def test_what_is_printed_follows_the_number_of_traits(k, lines):
    found = structure(np.full(k, 0.2), np.eye(k), [f"T{i}" for i in range(k)])
    cells = texts(dg.plotting.heatmap(found))
    assert (len(cells[0, 0].splitlines()) if cells else 0) == lines


def test_files_are_written_by_their_ending_and_the_same_twice(tmp_path):
    for ending, first in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        path = tmp_path / f"rg{ending}"
        dg.plotting.heatmap(structure(), save=path)
        assert path.read_bytes().startswith(first)
        before = path.read_bytes()
        dg.plotting.heatmap(structure(), save=path, force=True)
        assert path.read_bytes() == before
    assert "(standard error)" in (tmp_path / "rg.svg").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rg.pdf", "rg.png", "rg.svg"]


def test_nothing_is_overwritten_without_force(tmp_path):
    path = tmp_path / "rg.png"
    path.write_text("mine")
    with pytest.raises(StoreError, match="exists"):
        dg.plotting.heatmap(structure(), save=path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"show": "p"}, UsageError, "show = 'p'"),
        ({"order": "alphabet"}, UsageError, "order = 'alphabet'"),
        ({"order": ["A", "X"]}, InputError, "'X' is not among the traits"),
        ({"order": ["A", "A"]}, InputError, "different traits"),
        ({"save": "rg.jpg"}, UsageError, "this kind of figure"),
        ({"save": "nowhere/rg.png"}, UsageError, "folder does not exist"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        dg.plotting.heatmap(structure(), **arguments)


def test_a_structure_of_s_and_v_alone_is_drawn_as_a_complete_one():
    found = structure(h2=np.array([0.4, -0.02, 0.3, 0.1]))
    bare = dg.plotting.heatmap(found[["S", "V"]])
    assert texts(bare) == texts(dg.plotting.heatmap(found))
    assert hatched(bare) == {(1, 0), (2, 1), (3, 1)}


def test_other_data_are_refused():
    with pytest.raises(InputError, match="no covariance structure: S is not there"):
        dg.plotting.heatmap(structure().drop_vars("S"))
    with pytest.raises(InputError, match="one trait"):
        dg.plotting.heatmap(structure(H2[:1], RG[:1, :1], ["A"]))


def test_the_command_draws_a_store(tmp_path, capsys):
    path = dg.ldsc.to_store(structure(), tmp_path / "c.zarr")
    out = tmp_path / "rg.svg"
    assert app.invoke(["plot", "heatmap", path, "--order", "D,B,A", "--show", "stars", "--out", str(out)]) == 0
    assert re.findall(r">([ABD])<", out.read_text()) == ["D", "B", "A"] * 2
    assert capsys.readouterr().out == f"{out}\n"
    assert app.invoke(["plot", "heatmap", path, "--out", str(out)]) == 3
    assert "--force" in capsys.readouterr().err
    assert app.invoke(["plot", "heatmap", path, "--order", "clustered", "--out", str(out), "--force"]) == 0


def test_without_matplotlib_the_message_has_the_command_that_installs_it(monkeypatch):
    found, real = structure(), builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError) as caught:
        dg.plotting.heatmap(found)
    assert caught.value.do == 'pip install "daskgen[plots]"'


def test_matplotlib_is_imported_only_when_a_figure_is_drawn():
    code = "import sys, daskgen as dg; dg.plotting.heatmap; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "False"


def test_the_callers_style_is_left_alone():
    import matplotlib

    with matplotlib.rc_context({"font.size": 31}):
        dg.plotting.heatmap(structure())
        assert matplotlib.rcParams["font.size"] == 31
    assert "matplotlib.pyplot" not in sys.modules or matplotlib.pyplot.get_fignums() == []
