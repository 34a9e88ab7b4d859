"""All steps on three sets of cells against scanpy 1.11 and a float64 eigendecomposition."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import pytest

import daskgen.cells as dc
from daskgen.errors import InputError
from tests.shared_data import shared

SETS = ["hao_pbmc1k", "raceid_intestine", "sim20k"]
GENE_SETS = {
    "hao_pbmc1k": "markers/immune_markers.tsv",
    "raceid_intestine": "gene_sets/h.all.mouse.gmt",
    "sim20k": "markers/immune_markers.tsv",
}


@pytest.fixture(scope="module", params=SETS)
def reference(request, tmp_path_factory):
    """(name, an opened store of the counts, what scanpy gave)."""
    anndata = pytest.importorskip("anndata")
    source = shared("data/cells", request.param, "counts.h5ad")
    folder = shared("reference/cells", request.param)
    path = tmp_path_factory.mktemp("reference") / "cells.zarr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        anndata.read_h5ad(source).write_zarr(path)
    return request.param, dc.open(path), {file.stem: np.load(file) for file in folder.glob("*.npz")}


def n_top(name):
    return 1000 if name == "sim20k" else 2000


def test_quality(reference):
    name, cells, expected = reference
    dc.calculate_qc_metrics(cells)
    tables = {"obs": cells.obs, "var": cells.var}
    # scanpy adds float32: 1e-6 for whole numbers. The shares of the largest of fractional counts are its least exact.
    for key in expected["qc"].files:
        frame, column = key.split("/")
        whole = name != "raceid_intestine"
        rtol = 1e-6 if whole else 5e-5 if "in_top" in column else 1e-5
        np.testing.assert_allclose(
            tables[frame][column].to_numpy(float), expected["qc"][key].astype(float), rtol=rtol, atol=1e-12, err_msg=key
        )


@pytest.mark.parametrize("run", ["t1e4", "median", "excl", "excl_median"])
def test_size_factors(reference, run):
    name, cells, expected = reference
    known = expected["normalize"]
    target = None if "median" in run else 1e4
    dc.normalize_total(cells, target_sum=target, exclude_highly_expressed="excl" in run, key_added="factor")
    factors, theirs = cells.obs["factor"].to_numpy(), known[f"{run}/norm_factor"].astype(float)
    if name == "raceid_intestine" and target is None:
        # One cell is empty, and scanpy 1.11 counts it in the median; we follow its later version, which does not.
        counts = factors * cells.state.steps["normalize_total"].parameters["target"]
        assert (counts == 0).any()
        theirs = theirs * np.median(counts) / np.median(counts[counts > 0])
    np.testing.assert_allclose(factors, theirs, rtol=1e-6 if name != "raceid_intestine" else 1e-5)


def test_normalised_sums(reference):
    _, cells, expected = reference
    known = expected["normalize"]
    dc.normalize_total(cells, target_sum=1e4)
    dc.log1p(cells)
    values = cells.to_anndata(X="log1p").X.astype(np.float64)
    for name, found in (
        ("log1p_row_sum", values.sum(axis=1)),
        ("log1p_col_sum", values.sum(axis=0)),
        ("log1p_col_sumsq", values.multiply(values).sum(axis=0)),
    ):
        np.testing.assert_allclose(np.ravel(found), known[f"t1e4/{name}"], rtol=2e-6, atol=1e-9, err_msg=name)


RUNS = {
    "seurat_top": {},
    "seurat_cutoffs": {"n_top_genes": None},
    "seurat_bins10": {"n_bins": 10, "n_top_genes": 500},
    "seurat_v3": {"flavor": "seurat_v3"},
    "seurat_batch": {"batch_key": "batch"},
    "seurat_v3_batch": {"flavor": "seurat_v3", "batch_key": "batch"},
    "seurat_v3_paper_batch": {"flavor": "seurat_v3_paper", "batch_key": "batch"},
    "pearson": {"flavor": "pearson_residuals"},
    "cell_ranger_allgenes": {"flavor": "cell_ranger"},
}


@pytest.mark.parametrize("run", RUNS)
def test_variable_genes(reference, run):
    name, cells, expected = reference
    known = expected["hvg"]
    if "v3" in run:
        pytest.importorskip("skmisc")
    arguments = {"n_top_genes": n_top(name), **RUNS[run]}
    if f"{run}/highly_variable" not in known.files:
        if run == "cell_ranger_allgenes":
            prepare(cells)
            with pytest.raises(InputError, match="percentiles"):
                dc.highly_variable_genes(cells, **arguments)
        else:
            assert "batch" not in cells.obs
        return
    prepare(cells)
    dc.highly_variable_genes(cells, **arguments)
    found = cells.var
    if name == "raceid_intestine" and run == "pearson":
        # The empty cell makes all of scanpy's residuals NaN; ours are tested against their formula.
        assert np.isnan(known["pearson/residual_variances"]).all()
        return
    compare_genes(found, known, run)


def compare_genes(found, known, run):
    there = ~np.isnan(known[f"{run}/means"].astype(float))
    assert not (found["highly_variable"].to_numpy() != known[f"{run}/highly_variable"])[there].any()
    for key in known.files:
        group, column = key.split("/")
        if group != run or column not in found or column == "highly_variable":
            continue
        ours, theirs = found[column].to_numpy(float)[there], known[key].astype(float)[there]
        # Dispersions cross 0, so theirs, of float32 values, are compared on their own scale.
        rtol, atol = (1e-5, 1e-5) if "dispersions" in column else (1e-6, 1e-12)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=key)


def test_cell_ranger_on_expressed_genes(reference, tmp_path):
    name, cells, expected = reference
    run = "cell_ranger_expressed"
    if f"{run}/highly_variable" not in expected["hvg"].files:
        pytest.skip("scanpy had no result")
    copy = copied(cells, tmp_path)
    dc.filter_genes(copy, min_cells=1)
    prepare(copy)
    dc.highly_variable_genes(copy, flavor="cell_ranger", n_top_genes=n_top(name))
    compare_genes(copy.var, expected["hvg"], run)


def test_components(reference):
    name, cells, expected = reference
    known = expected["pca"]
    prepare(cells)
    dc.highly_variable_genes(cells, n_top_genes=n_top(name))
    np.testing.assert_array_equal(cells.var["highly_variable"], known["mask"])
    dc.pca(cells, 50)
    about = cells.uns("pca")
    np.testing.assert_allclose(about["variance"], known["variance"], rtol=1e-5)
    np.testing.assert_allclose(about["variance_ratio"], known["variance_ratio"], rtol=1e-5)
    loadings = cells.store.matrix("varm", "PCs")
    assert not loadings[~known["mask"]].any()
    cosine = (loadings[known["mask"]] * known["PCs"]).sum(axis=0)  # signs included
    assert cosine.min() >= 0.99999
    scores = cells.store.matrix("obsm", "X_pca")
    assert scores.dtype == np.float32
    head = known["X_pca_head"]
    scale = np.sqrt(known["variance"])
    np.testing.assert_allclose(scores[: len(head)] / scale, head / scale, atol=5e-3)
    np.testing.assert_allclose(np.linalg.norm(scores.astype(float), axis=0), known["X_pca_norm"], rtol=1e-5)


def test_randomised_components(reference):
    name, cells, expected = reference
    if name != "hao_pbmc1k":
        pytest.skip("one set is enough")
    known = expected["pca"]
    prepare(cells)
    dc.highly_variable_genes(cells, n_top_genes=n_top(name))
    dc.pca(cells, 30, svd_solver="randomized", key_added="other")
    np.testing.assert_allclose(cells.uns("other")["variance"], known["variance"][:30], rtol=1e-5)
    loadings = cells.store.matrix("varm", "other")[known["mask"]]
    assert np.abs((loadings * known["PCs"][:, :30]).sum(axis=0)).min() >= 0.99999


def test_over_representation(reference):
    name, cells, expected = reference
    known = expected["ora"]
    for run in sorted({key.split("/")[0] for key in known.files if "/" in key}):
        dc.ora(cells, shared("data/cells", GENE_SETS[name]), n_up=int(run.removeprefix("top")))
        about = cells.uns("ora")
        assert list(about["set_names"]) == list(known["set_names"])
        np.testing.assert_array_equal(about["set_sizes"], known["set_size"])
        rows = slice(0, len(known[f"{run}/overlap"]))
        np.testing.assert_array_equal(cells.store.matrix("obsm", "ora_overlap")[rows], known[f"{run}/overlap"])
        p_values = cells.store.matrix("obsm", "ora_pvals")
        np.testing.assert_allclose(p_values[rows], known[f"{run}/pvals"], rtol=1e-10)
        padj = known[f"{run}/padj_bh_per_cell"]
        np.testing.assert_allclose(cells.store.matrix("obsm", "ora_padj")[rows], padj, rtol=1e-6, atol=1e-37)
        estimate = cells.store.matrix("obsm", "ora_estimate")
        np.testing.assert_allclose(estimate.mean(axis=0, dtype=float), known[f"{run}/estimate_colmean"], rtol=1e-6)


def prepare(cells):
    done = cells.state.steps.get("normalize_total")
    if done is None or done.parameters["target_sum"] != 1e4 or done.parameters["exclude_highly_expressed"]:
        dc.normalize_total(cells, target_sum=1e4)
    if "log1p" not in cells.state.steps or cells.state.steps["log1p"].stale:
        dc.log1p(cells)


def copied(cells, folder):
    target = folder / "copy.zarr"
    shutil.copytree(cells.path.removeprefix("file://"), target)
    return dc.open(target)
