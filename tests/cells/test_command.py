"""daskgen cells, and the figures of what it wrote."""

from __future__ import annotations

import json

import numpy as np
import pytest

import daskgen.cells as dc
from daskgen import plotting
from daskgen.cli.app import invoke
from daskgen.errors import InputError
from tests.cells.counts import counts, gene_sets, make_store

pytest.importorskip("anndata")


def run(arguments, capsys):
    code = invoke(arguments)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "c.zarr", counts(), obs={"kind": np.array(["x", "y"])[np.arange(300) % 2]})


OPTIONS = ["--percent-top", "5,20", "--n-top-genes", "30", "--n-comps", "5"]


def test_the_command_is_the_pipeline(store, tmp_path, capsys):
    (tmp_path / "sets.gmt").write_text("".join("\t".join([n, "", *g]) + "\n" for n, g in gene_sets(120).items()))
    given = [
        "--min-genes",
        "10",
        "--min-cells",
        "3",
        "--target-sum",
        "median",
        "--gene-sets",
        str(tmp_path / "sets.gmt"),
    ]
    code, out, err = run(["cells", store, *OPTIONS, *given], capsys)
    assert code == 0, err
    assert "Gene sets  6" in out
    assert "5 of 30 genes" in out
    other = make_store(tmp_path / "d.zarr", counts())
    expected = dc.pipeline(
        other, percent_top=(5, 20), n_top_genes=30, n_comps=5, min_genes=10, min_cells=3, target_sum=None,
        gene_sets=gene_sets(120),
    )  # fmt: skip
    found = dc.open(store)
    np.testing.assert_array_equal(found.uns("pca")["variance"], expected.uns("pca")["variance"])
    np.testing.assert_array_equal(found.store.matrix("obsm", "ora_pvals"), expected.store.matrix("obsm", "ora_pvals"))


def test_processes_give_the_same_bits(store, tmp_path, capsys):
    other = make_store(tmp_path / "d.zarr", counts())
    for path, cluster in ((store, "threads:2"), (other, "local:2")):
        code, _, err = run(["cells", path, *OPTIONS, "--cluster", cluster], capsys)
        assert code == 0, err
    one, two = dc.open(store), dc.open(other)
    np.testing.assert_array_equal(one.uns("pca")["variance"], two.uns("pca")["variance"])
    np.testing.assert_array_equal(one.store.matrix("obsm", "X_pca"), two.store.matrix("obsm", "X_pca"))


def test_what_is_refused(store, tmp_path, capsys):
    for arguments, code, text in (
        (["--n-top-genes", "many"], 2, "is not a number"),
        (["--batch-key", "sample"], 3, "no column 'sample'"),
        (["--gene-sets", str(tmp_path / "none.gmt")], 3, "no such file"),
        (["--memory-limit", "50MB"], 2, "this plan needs"),
    ):
        found, _, err = run(["cells", store, *OPTIONS, *arguments], capsys)
        assert found == code, err
        assert text in err
    assert json.dumps(list(dc.open(store).state.steps)) == "[]"


def test_figures(store, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    with pytest.raises(InputError, match="no columns of quality"):
        plotting.cell_quality(store)
    with pytest.raises(InputError, match="no scores"):
        plotting.gene_sets(store)
    dc.pipeline(store, percent_top=(5,), n_top_genes=30, n_comps=3, gene_sets=gene_sets(120), min_genes=10)
    for kind, more in (("cell-quality", []), ("gene-sets", ["--groupby", "kind"]), ("gene-sets", ["--n-sets", "3"])):
        target = tmp_path / f"{kind}{len(more)}{more[:1]}.png"
        code, _, err = run(["plot", kind, store, "--out", str(target), *more], capsys)
        assert code == 0, err
        assert target.stat().st_size > 5_000
    axes = plotting.gene_sets(store, groupby="kind").axes
    assert [label.get_text() for label in axes[0].get_xticklabels()] == ["x", "y"]
    assert len(plotting.cell_quality(store).axes) == 3
    with pytest.raises(InputError, match="no column 'leiden'"):
        plotting.gene_sets(store, groupby="leiden")
