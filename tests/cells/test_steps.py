"""The steps on small stores against dense oracles: layouts and types of counts, masks, what is kept and replaced."""

from __future__ import annotations

import logging
import pickle

import numpy as np
import pytest
import zarr

import daskgen.cells as dc
from daskgen.cells import columns_graph, graph, leaves
from daskgen.cells.graph import SummaryPass
from daskgen.errors import InputError, PlanError, UsageError
from daskgen.stores.anndata_rows import RowReader
from tests.cells.counts import columns_of, counts, gene_sets, make_store, names
from tests.oracles import cells as oracle

pytest.importorskip("anndata")
TOPS = (5, 20, 60)


@pytest.fixture
def small_blocks(monkeypatch):
    """Several leaves, blocks and tiles with a few hundred cells."""
    monkeypatch.setattr(leaves, "ROWS", 64)
    monkeypatch.setattr(leaves, "BLOCK_VALUES", 700)
    monkeypatch.setattr(leaves, "_TILE_VALUES", 150)
    monkeypatch.setattr("daskgen.cells.columns_graph.ROWS", 64)
    monkeypatch.setattr("daskgen.stores.anndata.AnnDataStore.matrix_target", _with_rows(64), raising=True)


def _with_rows(rows):
    from daskgen.stores.anndata import AnnDataStore

    plain = AnnDataStore.matrix_target

    def target(self, part, name, shape, dtype, chunk_rows=rows):
        return plain(self, part, name, shape, dtype, rows)

    return target


def run_all(path, **kept):
    cells = dc.open(path)
    dc.calculate_qc_metrics(cells, percent_top=TOPS)
    dc.normalize_total(cells, target_sum=1e3)
    dc.log1p(cells)
    dc.highly_variable_genes(cells, n_top_genes=40)
    dc.pca(cells, 8)
    dc.ora(cells, gene_sets(120), n_up=15)
    return cells


def check_all(cells, x):
    of_cells, of_genes = oracle.quality(x, TOPS, np.arange(x.shape[1]) % 10 == 9)
    for name, values in of_cells.items():
        np.testing.assert_allclose(cells.obs[name], values, rtol=1e-9, err_msg=name)
    for name, values in of_genes.items():
        np.testing.assert_allclose(cells.var[name], values, rtol=1e-9, atol=1e-12, err_msg=name)
    mean, dispersion = oracle.dispersions(oracle.normalised(x, 1e3))
    np.testing.assert_allclose(cells.var["means"], mean, rtol=1e-9)
    np.testing.assert_allclose(cells.var["dispersions"], dispersion, rtol=1e-8, atol=1e-9)
    variable = cells.var["highly_variable"].to_numpy()
    assert variable.sum() == 40
    y = np.log1p(oracle.normalised(x, 1e3))[:, variable]
    variance, ratio, loadings, scores = oracle.components(y, 8)
    about = cells.uns("pca")
    np.testing.assert_allclose(about["variance"], variance, rtol=1e-5)
    np.testing.assert_allclose(about["variance_ratio"], ratio, rtol=1e-5)
    np.testing.assert_allclose(cells.store.matrix("varm", "PCs")[variable], loadings, atol=2e-4)
    np.testing.assert_allclose(cells.store.matrix("obsm", "X_pca"), scores, atol=2e-3)
    overlap, _, p = oracle.over_representation(x, columns_of(gene_sets(120), 120), 15)
    np.testing.assert_array_equal(cells.store.matrix("obsm", "ora_overlap"), overlap)
    np.testing.assert_allclose(cells.store.matrix("obsm", "ora_pvals"), p, rtol=1e-10)
    np.testing.assert_allclose(cells.store.matrix("obsm", "ora_padj"), oracle.adjusted(p), rtol=1e-10)


@pytest.mark.parametrize(
    ("dtype", "layout", "zarr_format"),
    [
        (np.uint8, "csr", 3),
        (np.int64, "csr", 2),
        (np.float32, "csr", 3),
        (np.float64, "csr", 3),
        (np.float32, "dense", 3),
    ],
)
def test_every_step_against_dense_formulas(tmp_path, small_blocks, dtype, layout, zarr_format):
    x = counts(dtype=dtype)
    if dtype == np.float64:
        x = x * np.random.default_rng(5).choice([1.0, 1.002], x.shape)  # corrected counts, as some protocols give
    cells = run_all(make_store(tmp_path / "c.zarr", x, layout=layout, zarr_format=zarr_format))
    check_all(cells, x.astype(np.float64))


def test_any_size_of_blocks_is_one_block(tmp_path, monkeypatch, small_blocks):
    x = counts(seed=3)
    in_blocks = run_all(make_store(tmp_path / "a.zarr", x))
    monkeypatch.undo()
    at_once = run_all(make_store(tmp_path / "b.zarr", x))
    for frame in ("obs", "var"):
        ours, theirs = getattr(in_blocks, frame), getattr(at_once, frame)
        for name in ours:
            np.testing.assert_allclose(ours[name].to_numpy(float), theirs[name].to_numpy(float), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(in_blocks.uns("pca")["variance"], at_once.uns("pca")["variance"], rtol=1e-6)


FUSED = [
    {},
    {"min_genes": 12, "max_pct_mt": 40.0, "min_cells": 4},
    {"flavor": "cell_ranger", "min_cells": 1, "batch_key": "batch"},
    {"flavor": "pearson_residuals", "batch_key": "batch"},
    {"scale": True, "max_value": 3.0, "target_sum": None, "exclude_highly_expressed": True},
]


@pytest.mark.parametrize("arguments", FUSED, ids=str)
def test_the_pipeline_gives_what_the_steps_give(tmp_path, arguments):
    x = counts(seed=4)
    batch = np.array(["b1", "b2", "b3"])[np.arange(len(x)) % 3]
    paths = [make_store(tmp_path / f"{name}.zarr", x, obs={"batch": batch}) for name in ("fused", "steps")]
    fused = dc.pipeline(
        paths[0], percent_top=TOPS, n_top_genes=30, n_comps=6, gene_sets=gene_sets(120), n_up=9, **arguments
    )
    steps = dc.open(paths[1])
    dc.calculate_qc_metrics(steps, percent_top=TOPS)
    if "min_genes" in arguments:
        dc.filter_cells(steps, min_genes=12)
        dc.filter_cells(steps, max_pct_mt=40.0)
    if "min_cells" in arguments:
        dc.filter_genes(steps, min_cells=arguments["min_cells"])
    dc.ora(steps, gene_sets(120), n_up=9)
    dc.normalize_total(
        steps,
        target_sum=arguments.get("target_sum", 1e4),
        exclude_highly_expressed=arguments.get("exclude_highly_expressed", False),
    )
    dc.log1p(steps)
    flavor, batch_key = arguments.get("flavor", "seurat"), arguments.get("batch_key")
    dc.highly_variable_genes(steps, n_top_genes=30, flavor=flavor, batch_key=batch_key)
    if arguments.get("scale"):
        dc.scale(steps, max_value=3.0)
    dc.pca(steps, 6)
    for frame in ("obs", "var"):
        ours, theirs = getattr(fused, frame), getattr(steps, frame)
        assert set(ours) - {"n_genes", "n_cells"} == set(theirs) - {"n_genes", "n_cells"}
        for name in ours.columns.difference(["batch"]):
            np.testing.assert_allclose(
                ours[name].to_numpy(float), theirs[name].to_numpy(float), rtol=1e-10, atol=1e-12, err_msg=name
            )
    for part, name in (("obsm", "X_pca"), ("varm", "PCs"), ("obsm", "ora_pvals"), ("obsm", "ora_overlap")):
        np.testing.assert_allclose(fused.store.matrix(part, name), steps.store.matrix(part, name), rtol=1e-6, atol=1e-6)


def test_scaled_components(tmp_path):
    x = counts(seed=6, silent_genes=0)
    for centre, largest in ((True, None), (True, 2.0), (False, 2.0)):
        cells = dc.open(make_store(tmp_path / f"{centre}{largest}.zarr", x))
        dc.normalize_total(cells, target_sum=1e3)
        dc.log1p(cells)
        dc.scale(cells, zero_center=centre, max_value=largest)
        dc.pca(cells, 5, mask_var=None)
        y = np.log1p(oracle.normalised(x.astype(float), 1e3))
        np.testing.assert_allclose(cells.var["mean"], y.mean(axis=0), rtol=1e-9)
        variance, ratio, *_ = oracle.components(oracle.scaled(y, largest, centre), 5)
        np.testing.assert_allclose(cells.uns("pca")["variance"], variance, rtol=1e-5)
        np.testing.assert_allclose(cells.uns("pca")["variance_ratio"], ratio, rtol=1e-5)


def test_truncated_svd(tmp_path):
    x = counts(seed=7)
    cells = dc.open(make_store(tmp_path / "c.zarr", x))
    dc.normalize_total(cells, target_sum=1e3)
    dc.log1p(cells)
    dc.pca(cells, 4, zero_center=False, mask_var=None)
    y = np.log1p(oracle.normalised(x.astype(float), 1e3))
    right = np.linalg.svd(y)[2][:4].T
    np.testing.assert_allclose(np.abs((cells.store.matrix("varm", "PCs") * right).sum(axis=0)), 1, rtol=1e-6)
    np.testing.assert_allclose(cells.uns("pca")["variance"], (y @ right).var(axis=0), rtol=1e-4)


def test_filters_hold_for_all_steps(tmp_path):
    x = counts(seed=8)
    cells = dc.open(make_store(tmp_path / "c.zarr", x))
    dc.filter_cells(cells, min_genes=10)
    dc.filter_genes(cells, min_cells=5)
    keep, genes = (x > 0).sum(axis=1) >= 10, ((x > 0)[(x > 0).sum(axis=1) >= 10]).sum(axis=0) >= 5
    np.testing.assert_array_equal(cells.cell_mask, keep)
    np.testing.assert_array_equal(cells.gene_mask, genes)
    assert 0 < genes.sum() < 120
    assert 0 < keep.sum() < 300
    dc.normalize_total(cells, target_sum=1e3)
    dc.log1p(cells)
    dc.highly_variable_genes(cells, n_top_genes=20)
    dc.pca(cells, 4)
    part = x[keep][:, genes].astype(float)
    mean, _ = oracle.dispersions(oracle.normalised(part, 1e3))
    np.testing.assert_allclose(cells.var["means"].to_numpy()[genes], mean, rtol=1e-9)
    assert cells.var["means"].isna().to_numpy()[~genes].all()
    variable = cells.var["highly_variable"].to_numpy()
    assert not variable[~genes].any()
    variance, *_ = oracle.components(np.log1p(oracle.normalised(part, 1e3))[:, variable[genes]], 4)
    np.testing.assert_allclose(cells.uns("pca")["variance"], variance, rtol=1e-5)
    scores = cells.store.matrix("obsm", "X_pca")
    np.testing.assert_array_equal(np.isnan(scores).any(axis=1), ~keep)


def test_bounds_are_replaced_and_added(tmp_path):
    x = counts(seed=8)
    cells = dc.open(make_store(tmp_path / "c.zarr", x))
    dc.filter_cells(cells, min_genes=25)
    few = cells.cell_mask.sum()
    dc.filter_cells(cells, min_genes=5)
    assert cells.cell_mask.sum() > few
    dc.filter_cells(cells, max_counts=100)
    np.testing.assert_array_equal(cells.cell_mask, ((x > 0).sum(axis=1) >= 5) & (x.sum(axis=1) <= 100))
    given = np.arange(len(x)) % 2 == 0
    dc.filter_cells(cells, keep=given)
    assert not cells.cell_mask[~given].any()


def test_a_later_step_does_not_read_the_counts_again(tmp_path, monkeypatch):
    x = counts()
    cells = dc.open(make_store(tmp_path / "c.zarr", x))
    dc.calculate_qc_metrics(cells, percent_top=TOPS)

    def read(*_, **__):
        raise AssertionError("the counts were read")

    monkeypatch.setattr(SummaryPass, "run", read)
    again = dc.open(cells.path)
    dc.normalize_total(again)
    dc.log1p(again)
    dc.highly_variable_genes(again, n_top_genes=30)
    with pytest.raises(AssertionError):
        dc.calculate_qc_metrics(again, percent_top=(7,))


def test_a_step_that_is_run_again_replaces_its_fields_and_makes_others_stale(tmp_path):
    cells = run_all(make_store(tmp_path / "c.zarr", counts()))
    assert "pct_counts_in_top_20_genes" in cells.obs
    dc.calculate_qc_metrics(cells, percent_top=(30,), qc_vars=())
    assert "pct_counts_in_top_20_genes" not in cells.obs
    assert "total_counts_mt" not in cells.obs
    dc.highly_variable_genes(cells, flavor="pearson_residuals", n_top_genes=20)
    assert "dispersions" not in cells.var
    assert cells.state.steps["pca"].stale
    assert not cells.state.steps["ora"].stale
    dc.pca(cells, 4)
    assert not dc.open(cells.path).state.steps["pca"].stale


def test_an_interrupted_step_leaves_what_was_there(tmp_path, monkeypatch):
    cells = run_all(make_store(tmp_path / "c.zarr", counts()))
    before = cells.uns("pca")["variance"]

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("daskgen.cells.columns_graph.ColumnPasses.scores", stop)
    with pytest.raises(KeyboardInterrupt):
        dc.pca(cells, 3)
    monkeypatch.undo()
    import anndata

    again = dc.open(cells.path)
    np.testing.assert_array_equal(again.uns("pca")["variance"], before)
    assert anndata.read_zarr(str(tmp_path / "c.zarr")).n_obs == 300
    dc.pca(again, 3)
    assert again.store.matrix("obsm", "X_pca").shape == (300, 3)


def test_the_pipeline_resumes(tmp_path, monkeypatch):
    path = make_store(tmp_path / "c.zarr", counts())
    arguments = {"percent_top": TOPS, "n_top_genes": 30, "n_comps": 4, "gene_sets": gene_sets(120)}

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("daskgen.cells.fused.pca", stop)
    with pytest.raises(KeyboardInterrupt):
        dc.pipeline(path, **arguments)
    monkeypatch.undo()
    monkeypatch.setattr(SummaryPass, "run", stop)  # no need to read for the first pass again
    resumed = dc.pipeline(path, resume=True, **arguments)
    monkeypatch.undo()
    whole = dc.pipeline(make_store(tmp_path / "d.zarr", counts()), **arguments)
    np.testing.assert_array_equal(resumed.uns("pca")["variance"], whole.uns("pca")["variance"])


def test_over_representation_of_groups_and_lists(tmp_path):
    x = counts(seed=9)
    kind = np.array(["x", "y"])[np.arange(300) % 2]
    cells = dc.open(make_store(tmp_path / "c.zarr", x, obs={"kind": kind}))
    table = dc.ora(cells, gene_sets(120), n_up=12, groupby="kind")
    share = oracle.normalised(x.astype(float), 1.0)
    lists = {}
    for group in ("x", "y"):
        mean = share[kind == group].sum(axis=0)
        lists[group] = list(names(120)[np.argsort(-mean, kind="stable")[:12]])
    expected = dc.ora_lists(lists, gene_sets(120), names(120))
    np.testing.assert_array_equal(table["overlap"], expected["overlap"])
    np.testing.assert_allclose(table["p"], expected["p"])
    assert list(table.columns[:2]) == ["kind", "set"]
    kept = cells.uns("ora_kind")
    np.testing.assert_allclose(kept["padj"], table["padj"])


def test_scanpys_ranking_of_genes_runs_on_the_result(tmp_path):
    anndata, scanpy = pytest.importorskip("anndata"), pytest.importorskip("scanpy")
    x = counts(dtype=np.float32, empty_cells=0)
    kind = np.array(["x", "y"])[np.arange(300) % 2]
    cells = run_all(make_store(tmp_path / "c.zarr", x, obs={"kind": kind}))
    ours = cells.to_anndata(X="log1p")
    ours.obs["kind"] = ours.obs["kind"].astype("category")
    theirs = anndata.read_zarr(str(tmp_path / "c.zarr"))
    scanpy.pp.normalize_total(theirs, target_sum=1e3)
    scanpy.pp.log1p(theirs)
    theirs.obs["kind"] = theirs.obs["kind"].astype("category")
    for data in (ours, theirs):
        scanpy.tl.rank_genes_groups(data, "kind", method="t-test")
    one, other = (data.uns["rank_genes_groups"]["scores"]["x"] for data in (ours, theirs))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_tasks_are_small_to_send(tmp_path):
    cells = dc.open(make_store(tmp_path / "c.zarr", counts()))
    job = SummaryPass(cells.store.rows(), np.ones(120, np.uint32), np.zeros(300, np.int32))
    assert len(pickle.dumps(job)) < 20_000


@pytest.mark.parametrize("most", [0, 4_000, 10**9])  # all in the scratch folder, some in memory, all
def test_where_the_variable_genes_are_kept_makes_no_difference(tmp_path, monkeypatch, small_blocks, most):
    monkeypatch.setattr("daskgen.cells.taken_out.IN_MEMORY", most)
    check_all(run_all(make_store(tmp_path / "c.zarr", counts())), counts().astype(float))


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_stores_at_a_url(tmp_path, kind):
    fsspec = pytest.importorskip("fsspec")
    local = make_store(tmp_path / "c.zarr", counts())
    url = f"file://{local}"
    if kind == "memory":
        url = "memory://cells-at-a-url/c.zarr"
        fsspec.filesystem("memory").put(local, "/cells-at-a-url/c.zarr", recursive=True)
    try:
        check_all(run_all(url), counts().astype(float))
        cells = dc.pipeline(url, percent_top=TOPS, n_top_genes=40, n_comps=8, target_sum=1e3)
        assert cells.state.steps["pca"].parameters["n_comps"] == 8
        assert dc.open(url).materialize().store.layers == ("log1p",)
        assert len(dc.open(url).to_anndata().obs) == 300
        if kind == "memory":
            with pytest.raises(UsageError, match="object store"):
                cells.materialize(into="X")
    finally:
        if kind == "memory":
            fsspec.filesystem("memory").rm("/cells-at-a-url", recursive=True)


def test_cells_that_were_left_out_have_no_scores_of_gene_sets(tmp_path):
    x = counts(seed=8)
    x[40] = 0
    cells = dc.open(make_store(tmp_path / "c.zarr", x))
    keep = np.arange(300) % 4 != 1
    dc.filter_cells(cells, keep=keep)
    dc.ora(cells, gene_sets(120), n_up=15)
    overlap, _, p = oracle.over_representation(x.astype(float), columns_of(gene_sets(120), 120), 15)
    found = {name: cells.store.matrix("obsm", f"ora_{name}") for name in ("estimate", "pvals", "padj", "overlap")}
    for name in ("estimate", "pvals", "padj"):
        np.testing.assert_array_equal(np.isnan(found[name]).any(axis=1), ~keep)
        np.testing.assert_array_equal(np.isnan(found[name]).all(axis=1), ~keep)
    np.testing.assert_allclose(found["pvals"][keep], p[keep], rtol=1e-10)
    np.testing.assert_allclose(found["padj"][keep], oracle.adjusted(p)[keep], rtol=1e-10)
    np.testing.assert_array_equal(found["overlap"], np.where(keep[:, None], overlap, 0))
    assert keep[40]
    np.testing.assert_array_equal(found["estimate"][40], 0)  # an empty cell draws nothing: p = 1


def test_what_a_task_holds_does_not_grow_with_the_cells(tmp_path, small_blocks, monkeypatch):
    """Four times the cells: more tasks, but the rows of a read and the sums of a task have the size that they had."""
    largest, tasks = [], []
    for n_cells in (300, 1200):
        cells = dc.open(make_store(tmp_path / f"{n_cells}.zarr", counts(n_cells), chunk=500))
        seen = {"values": 0, "sums": 0, "gram": 0, "tasks": 0}

        def watch(plain, seen=seen):
            def leaf(number, job, *more):
                found = plain(number, job, *more)
                kind = "gram" if isinstance(found, tuple) else "sums"
                seen[kind] = max(seen[kind], found[0].nbytes if kind == "gram" else found.genes.nbytes)
                seen["tasks"] += 1
                return found

            return leaf

        def read(self, start, stop, dtype=None, plain=RowReader.read, seen=seen):
            block = plain(self, start, stop, dtype)
            seen["values"] = max(seen["values"], len(block.data))
            return block

        with monkeypatch.context() as patch:
            patch.setattr("daskgen.cells.graph._summarise_leaf", watch(graph._summarise_leaf))
            patch.setattr("daskgen.cells.columns_graph._gram_leaf", watch(columns_graph._gram_leaf))
            patch.setattr(RowReader, "read", read)
            dc.calculate_qc_metrics(cells, percent_top=TOPS)
            dc.normalize_total(cells, target_sum=1e3)
            dc.log1p(cells)
            dc.highly_variable_genes(cells, n_top_genes=40)
            dc.pca(cells, 8)
        tasks.append(seen.pop("tasks"))
        largest.append(seen)
    assert tasks[1] > tasks[0]
    assert largest[0]["sums"] == largest[1]["sums"] > 0
    assert largest[0]["gram"] == largest[1]["gram"] == 8 * 40 * 41 // 2
    assert 0 < min(found["values"] for found in largest) <= max(found["values"] for found in largest) <= 700 + 120


# -- bad input -------------------------------------------------------------------------------------------------------
def test_values_that_are_no_counts_are_refused_with_cell_and_gene(tmp_path):
    for bad in (np.nan, -2.0):
        x = counts(dtype=np.float32)
        x[17, 23] = bad
        cells = dc.open(make_store(tmp_path / f"{bad}.zarr", x))
        with pytest.raises(InputError, match="cell17") as caught:
            dc.calculate_qc_metrics(cells, percent_top=TOPS)
        assert names(120)[23] in str(caught.value)
        assert "total_counts" not in cells.obs


def test_counts_that_are_not_whole_are_warned_of(tmp_path, caplog):
    cells = dc.open(make_store(tmp_path / "c.zarr", counts(dtype=np.float32) * np.float32(1.5)))
    with caplog.at_level(logging.WARNING, "daskgen"):
        dc.highly_variable_genes(cells, flavor="pearson_residuals", n_top_genes=10)
    assert "not whole" in caplog.text


def test_empty_cells_and_genes(tmp_path):
    x = counts(empty_cells=5, silent_genes=20)
    cells = run_all(make_store(tmp_path / "c.zarr", x))
    assert cells.obs["pct_counts_mt"].isna().to_numpy()[:5].all()
    assert not cells.obs["pct_counts_mt"].isna().to_numpy()[5:].any()
    assert not cells.var["highly_variable"].to_numpy()[:20].any()
    assert np.isfinite(cells.store.matrix("obsm", "X_pca")).all()
    assert (cells.store.matrix("obsm", "ora_pvals")[:5] == 1).all()


def test_all_cells_empty(tmp_path):
    cells = dc.open(make_store(tmp_path / "c.zarr", np.zeros((20, 120), np.float32)))
    dc.calculate_qc_metrics(cells, percent_top=None)
    with pytest.raises(InputError, match="no cell has a count"):
        dc.normalize_total(cells)


def test_gene_sets_without_overlap_show_both_sides(tmp_path):
    cells = dc.open(make_store(tmp_path / "c.zarr", counts()))
    with pytest.raises(InputError, match="none of the genes") as caught:
        dc.ora(cells, {"a": ["TP53", "BRCA1"]})
    assert "TP53" in str(caught.value)
    assert "G0" in str(caught.value)
    with pytest.raises(InputError, match="capitals"):
        dc.ora(cells, {"a": ["g1", "g2"]})


def test_a_batch_column_that_is_not_there_or_has_gaps(tmp_path):
    import pandas as pd

    batch = pd.Categorical(["a", None] * 150)
    cells = dc.open(make_store(tmp_path / "c.zarr", counts(), obs={"batch": batch}))
    with pytest.raises(InputError, match="no column 'sample'"):
        dc.highly_variable_genes(cells, flavor="pearson_residuals", batch_key="sample")
    with pytest.raises(InputError, match="no value for 150 cells"):
        dc.highly_variable_genes(cells, flavor="pearson_residuals", batch_key="batch")


def test_more_genes_wanted_than_there_are(tmp_path, caplog):
    cells = dc.open(make_store(tmp_path / "c.zarr", counts()))
    dc.normalize_total(cells)
    dc.log1p(cells)
    with caplog.at_level(logging.WARNING, "daskgen"):
        dc.highly_variable_genes(cells, n_top_genes=5_000)
    assert "more than the 120 genes" in caplog.text
    assert "all of these are taken" in caplog.text


def test_a_store_that_another_process_changed(tmp_path, caplog):
    path = make_store(tmp_path / "c.zarr", counts(dtype=np.float32))
    cells = run_all(path)
    data = zarr.open_group(path, mode="r+", use_consolidated=False)["X/data"]
    data[:10] = data[:10] + 1
    with caplog.at_level(logging.WARNING, "daskgen"):
        again = dc.open(path)
    assert "changed" in caplog.text
    assert all(step.stale for step in again.state.steps.values())
    before = cells.obs["total_counts"].sum()
    dc.calculate_qc_metrics(again, percent_top=TOPS)
    assert again.obs["total_counts"].sum() == before + 10


def test_what_is_refused_before_any_work(tmp_path, monkeypatch):
    cells = dc.open(make_store(tmp_path / "c.zarr", counts()))
    monkeypatch.setattr(SummaryPass, "run", lambda *_: pytest.fail("read"))
    for call, match in (
        (lambda: dc.calculate_qc_metrics(cells, percent_top=(50, 500)), "500 largest"),
        (lambda: dc.calculate_qc_metrics(cells, qc_vars=("ribo",), percent_top=TOPS), "no column 'ribo'"),
        (lambda: dc.highly_variable_genes(cells), "needs logarithms"),
        (lambda: dc.highly_variable_genes(cells, flavor="scran"), "no flavor"),
        (lambda: dc.normalize_total(cells, target_sum=-1), "positive"),
        (lambda: dc.log1p(cells, base=1), "no base"),
        (lambda: dc.filter_cells(cells), "needs a bound"),
        (lambda: dc.filter_cells(cells, max_pct_mt=5), "calculate_qc_metrics"),
        (lambda: dc.pca(cells, 500, mask_var=None), "cannot be had"),
        (lambda: dc.pca(cells, svd_solver="lobpcg"), "no svd_solver"),
        (lambda: dc.ora(cells, gene_sets(120), n_up=0), "cannot be drawn"),
        (lambda: dc.ora(cells, gene_sets(120), n_background=50), "less than"),
        (lambda: dc.scale(cells), "needs logarithms"),
        (lambda: dc.pca(cells, n_pcs=3), "n_comps"),
    ):
        with pytest.raises((UsageError, InputError), match=match):
            call()


def test_a_plan_over_the_limit_is_refused(tmp_path):
    path = make_store(tmp_path / "c.zarr", counts())
    with pytest.raises(PlanError, match="this plan needs"):
        dc.pipeline(path, percent_top=TOPS, memory_limit="100MB")


def test_log_values_are_refused_where_counts_are_needed(tmp_path):
    path = make_store(tmp_path / "c.zarr", np.log1p(counts(dtype=np.float32)))
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    made = group["uns"].create_group("log1p")
    made.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
    with pytest.raises(UsageError, match="holds log values"):
        dc.normalize_total(path)


ELSEWHERE = {
    dc.calculate_qc_metrics: ("expr_type", "var_type", "layer", "use_raw", "inplace", "parallel"),
    dc.filter_cells: ("data", "inplace", "copy"),
    dc.filter_genes: ("data", "inplace", "copy"),
    dc.normalize_total: ("adata", "layer", "layers", "layer_norm", "inplace", "copy"),
    dc.log1p: ("data", "copy", "chunked", "chunk_size", "layer", "obsm"),
    dc.highly_variable_genes: ("layer", "subset", "inplace", "filter_unexpressed_genes", "chunksize"),
    dc.scale: ("copy", "layer", "obsm", "mask_obs"),
    dc.pca: ("layer", "obsm", "return_info", "use_highly_variable", "chunked", "chunk_size", "copy"),
    dc.ora: ("adata", "net", "layer", "raw", "bsize"),
}


@pytest.mark.parametrize(("step", "names"), ELSEWHERE.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_arguments_of_scanpy_that_are_not_there_say_what_to_do(step, names):
    for name in names:
        with pytest.raises(UsageError, match=f"has no argument '{name}'") as raised:
            step(**{name: 1})
        assert raised.value.do, name


def test_a_small_panel_of_genes_takes_the_default_shares_that_it_has(tmp_path):
    path = make_store(tmp_path / "a.zarr", counts(60, 120))
    cells = dc.calculate_qc_metrics(path)
    assert "pct_counts_in_top_100_genes" in cells.obs
    assert "pct_counts_in_top_200_genes" not in cells.obs
    with pytest.raises(UsageError, match="no 200 largest"):
        dc.calculate_qc_metrics(path, percent_top=(50, 200))


def test_the_pipeline_refuses_too_many_components_before_it_reads(tmp_path, caplog):
    path = make_store(tmp_path / "a.zarr", counts(60, 120))
    with pytest.raises(UsageError, match="n_comps = 40") as caught:
        dc.pipeline(path, n_top_genes=40, n_comps=40)
    assert "1 to 39" in str(caught.value)
    assert not dc.open(path).state.steps
    no_mitochondria = make_store(tmp_path / "b.zarr", counts(60, 9))
    with caplog.at_level(logging.WARNING, "daskgen"):
        dc.pipeline(no_mitochondria, n_top_genes=6, n_comps=2, min_genes=1)
    assert sum("begins with MT-" in record.message for record in caplog.records) == 1
