"""Conversions that are stopped, repeated and run on other schedulers; real sets; and the way back to a file."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

anndata = pytest.importorskip("anndata")
h5py = pytest.importorskip("h5py")

import conversion  # noqa: E402
from daskgen import cluster, simulate  # noqa: E402
from daskgen.errors import InputError, ResumeError, StoreError, UsageError  # noqa: E402
from daskgen.stores import verify  # noqa: E402
from daskgen.stores.anndata import AnnDataStore  # noqa: E402
from tests.conversion.single_cell import files  # noqa: E402
from tests.shared_data import shared  # noqa: E402

# What anndata asks of pandas 3 by the way.
pytestmark = pytest.mark.filterwarnings("ignore:The .future.infer_string. option is deprecated")

COUNTS = files.small_counts(60)

INTERRUPTED = """
import os, signal, sys
import conversion, daskgen.stores.anndata_new as new
from daskgen.stores import StageTarget
new.CHUNK_VALUES, new.GROUP_VALUES = 16, 32
limit, written, write = int(sys.argv[3]), [], StageTarget.write
def killed_after(self, index, blocks):
    if self.stage == "X values":
        written.append(index)
        if len(written) > limit:
            os.kill(os.getpid(), signal.SIGKILL)
    return write(self, index, blocks)
StageTarget.write = killed_after
conversion.cells(sys.argv[1], sys.argv[2])
"""


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskgen.stores.anndata_new.CHUNK_VALUES", 16)
    monkeypatch.setattr("daskgen.stores.anndata_new.GROUP_VALUES", 32)


def content(path: Path) -> dict[str, bytes]:
    """The bytes of X, by object."""
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in (path / "X").rglob("*") if p.is_file()}


def read(path: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anndata.read_zarr(os.fspath(path))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("after", [0, 3])
def test_a_killed_conversion_is_finished_with_the_same_bytes(tmp_path: Path, after: int) -> None:
    source = files.write_10x_mtx(tmp_path / "a", COUNTS)
    conversion.cells(source, tmp_path / "whole.zarr")
    command = [sys.executable, "-c", INTERRUPTED, str(source), str(tmp_path / "c.zarr"), str(after)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -9
    with pytest.raises(StoreError, match="not complete"):
        AnnDataStore.open(tmp_path / "c.zarr")
    with pytest.raises(TypeError):  # nor does AnnData take it for a store
        read(tmp_path / "c.zarr")
    with pytest.raises(ResumeError, match="another run"):
        conversion.cells(source, tmp_path / "c.zarr", resume=True, gex_only=False)
    conversion.cells(source, tmp_path / "c.zarr", resume=True)
    assert content(tmp_path / "c.zarr") == content(tmp_path / "whole.zarr")
    assert verify(tmp_path / "c.zarr") == []
    assert (read(tmp_path / "c.zarr").X != COUNTS).nnz == 0


@pytest.mark.usefixtures("small_chunks")
def test_processes_write_the_same_bytes(tmp_path: Path) -> None:
    files.make_anndata(COUNTS.tocsc()).write_h5ad(tmp_path / "a.h5ad")
    conversion.cells(tmp_path / "a.h5ad", tmp_path / "threads.zarr")
    simulate.cells(tmp_path / "sim1.zarr", n_cells=50, n_genes=200, seed=3)
    with cluster.connect("local:2"):
        conversion.cells(tmp_path / "a.h5ad", tmp_path / "processes.zarr")
        simulate.cells(tmp_path / "sim2.zarr", n_cells=50, n_genes=200, seed=3)
    assert content(tmp_path / "threads.zarr")["X/indptr/c/0"] == content(tmp_path / "processes.zarr")["X/indptr/c/0"]
    np.testing.assert_array_equal(
        read(tmp_path / "threads.zarr").X.toarray(), read(tmp_path / "processes.zarr").X.toarray()
    )
    assert (read(tmp_path / "sim1.zarr").X != read(tmp_path / "sim2.zarr").X).nnz == 0


def test_widths_follow_the_number_of_values(tmp_path: Path) -> None:
    """Values beyond 2^31 get 64-bit starts and genes: by construction, since nobody writes so many in a test."""
    import zarr

    from daskgen.stores.anndata_writing import new_csr

    root = zarr.open_group(tmp_path / "a.zarr", mode="w")
    for name, nnz, width in (("small", 2**31 - 1, np.int32), ("large", 2**31, np.int64)):
        group = new_csr(root, name, (900_000, 35_000), nnz, np.uint8, 1 << 20)
        assert group["indices"].dtype == group["indptr"].dtype == width
        assert group["data"].shape == (nnz,)


# -- the way back ----------------------------------------------------------------------------------------------------
def test_a_store_goes_back_to_h5ad(tmp_path: Path) -> None:
    given = files.make_anndata(COUNTS)
    given.write_h5ad(tmp_path / "a.h5ad")
    store = conversion.cells(tmp_path / "a.h5ad", tmp_path / "a.zarr")
    path = conversion.export_h5ad(store, tmp_path / "b.h5ad")
    found = anndata.read_h5ad(path)
    assert (found.X != COUNTS).nnz == 0
    assert found.obs_names.tolist() == given.obs_names.tolist()
    assert found.obs["type"].tolist() == given.obs["type"].tolist()
    assert found.obs["plates"].isna().tolist() == given.obs["plates"].isna().tolist()
    np.testing.assert_array_equal(found.obsm["X_umap"], given.obsm["X_umap"])
    assert (found.obsp["near"] != given.obsp["near"]).nnz == 0
    assert found.uns["study"]["deep"]["yes"]
    assert "daskgen" not in found.uns
    with pytest.raises(StoreError, match="exists"):
        conversion.export_h5ad(store, tmp_path / "b.h5ad")
    again = conversion.cells(conversion.export_h5ad(store, tmp_path / "b.h5ad", force=True), tmp_path / "b.zarr")
    assert content(tmp_path / "b.zarr") == content(tmp_path / "a.zarr")
    assert again.n_values == COUNTS.nnz


# -- real sets -------------------------------------------------------------------------------------------------------
SETS = {  # path -> cells, genes, sum of all counts, type
    "cr1_mtx": (12, 343, 12, "uint8"),
    "cr3_mtx": (1_107, 507, 41_549, "uint8"),
    "seurat_small_mtx": (80, 240, 23_110, "uint8"),
    "soupx_toy_raw": (1_289, 226, 112_078, "uint8"),
    "soupx_toy_filtered": (62, 226, 18_209, "uint8"),
    "cr3_filtered_feature_bc_matrix.h5": (1_107, 507, 41_549, "uint8"),
    "filtered_gene_bc_matrices_h5.h5": (12, 343, 12, "uint8"),
    "visium_filtered_feature_bc_matrix.h5": (2_695, 100, 132_231, "uint8"),
}


@pytest.mark.parametrize("name", SETS)
def test_real_10x_files_have_the_sums_that_scanpy_reads(tmp_path: Path, name: str) -> None:
    result = conversion.cells(shared("data/cells/formats_10x", name), tmp_path / "out.zarr")
    n_cells, n_genes, total, dtype = SETS[name]
    assert (result.n_cells, result.n_genes, result.dtype) == (n_cells, n_genes, dtype)
    assert int(read(result).X.sum(dtype=np.int64)) == total


def test_real_files_that_need_a_choice_or_hold_no_counts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several genomes"):
        conversion.cells(shared("data/cells/formats_10x/multiple_genomes.h5"), tmp_path / "out.zarr")
    two = conversion.cells(
        shared("data/cells/formats_10x/multiple_genomes.h5"), tmp_path / "two.zarr", genome="another_genome"
    )
    assert two.n_cells == 12
    old = shared("data/cells/formats_10x/10x_pbmc68k_reduced.h5ad")
    with pytest.raises(InputError, match="no matrix holds counts"):
        conversion.cells(old, tmp_path / "out.zarr")
    found = read(conversion.cells(old, tmp_path / "old.zarr", counts="raw.X"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = anndata.read_h5ad(old)
    assert abs(found.X - given.raw.X).max() == 0
    assert found.obs["louvain"].tolist() == given.obs["louvain"].tolist()
    np.testing.assert_array_equal(found.obsm["X_pca"], given.obsm["X_pca"])


@pytest.mark.parametrize(
    ("name", "dtype"), [("hao_pbmc1k", "uint16"), ("raceid_intestine", "float32"), ("sim20k", "uint16")]
)
def test_real_sets_are_the_same_cell_by_cell(tmp_path: Path, name: str, dtype: str) -> None:
    path = shared("data/cells", name, "counts.h5ad")
    result = conversion.cells(path, tmp_path / "out.zarr")
    given = anndata.read_h5ad(path)
    found = read(result)
    assert result.dtype == dtype
    assert (found.X != given.X).nnz == 0
    assert found.obs.equals(given.obs)


def test_a_dense_store_of_an_old_format_becomes_sparse(tmp_path: Path) -> None:
    path = shared("data/cells/scanpy_10k_subset/store.zarr")
    result = conversion.cells(path, tmp_path / "out.zarr")
    assert (result.n_cells, result.n_genes, result.n_values) == (10_000, 1_000, 691_914)
    with pytest.raises(StoreError, match=r"before 0\.7"):
        AnnDataStore.open(path)
