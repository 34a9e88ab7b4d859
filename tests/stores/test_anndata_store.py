"""AnnData stores in place, whoever wrote them: rows, columns, and what an interruption leaves."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr

anndata = pytest.importorskip("anndata")

from scipy import sparse  # noqa: E402

from daskgen.errors import LockedStoreError, StoreError, UsageError  # noqa: E402
from daskgen.opening import open_store  # noqa: E402
from daskgen.stores import verify  # noqa: E402
from daskgen.stores.anndata import AnnDataStore  # noqa: E402
from daskgen.stores.anndata_rows import CsrBlock, SequentialValues, row_cuts, tidy  # noqa: E402
from daskgen.stores.anndata_sight import is_anndata  # noqa: E402
from daskgen.stores.anndata_targets import rows_of_values  # noqa: E402
from daskgen.stores.location import Location  # noqa: E402

# What anndata asks of pandas 3 by the way.
pytestmark = pytest.mark.filterwarnings("ignore:The .future.infer_string. option is deprecated")

N, M = 41, 13


def counts(seed: int = 2) -> np.ndarray:
    random = np.random.default_rng(seed)
    dense = random.integers(1, 9, (N, M)) * (random.random((N, M)) < 0.3)
    dense[[0, 7, 8, N - 1]] = 0
    return dense.astype(np.float32)


def write(path: Path, matrix: Any, zarr_format: int = 3, chunk: int | None = None) -> Path:
    adata = anndata.AnnData(matrix, obs=pd.DataFrame(index=[f"c{k}" for k in range(N)]))
    adata.obs["kind"] = pd.Categorical(["a", "b"] * (N // 2) + ["a"])
    adata.var_names = [f"g{k}" for k in range(M)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with anndata.settings.override(zarr_write_format=zarr_format):
            adata.write_zarr(path)
    if chunk is not None:
        rechunk(path, chunk)
    return path


def rechunk(path: Path, chunk: int) -> None:
    """Cut the values of X into chunks of another size."""
    group = zarr.open_group(path / "X", mode="r+")
    for name in ("data", "indices"):
        values = group[name][...]
        del group[name]
        group.create_array(name, shape=values.shape, chunks=(chunk,), dtype=values.dtype)[...] = values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(path)


def read(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anndata.read_zarr(path)


@pytest.fixture(params=[2, 3])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / "a.zarr", sparse.csr_matrix(counts()), request.param)


def dense(block: CsrBlock) -> np.ndarray:
    return sparse.csr_matrix((block.data, block.indices, block.indptr), shape=(block.n_rows, block.n_genes)).toarray()


# -- rows ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("layout", ["csr", "dense"])
@pytest.mark.parametrize("values", [1, 7, 40, 10**6])
@pytest.mark.parametrize("chunk", [5, 1000])
def test_blocks_of_any_size_are_the_whole_matrix(tmp_path: Path, layout: str, values: int, chunk: int) -> None:
    matrix = sparse.csr_matrix(counts()) if layout == "csr" else counts()
    store = AnnDataStore.open(write(tmp_path / "a.zarr", matrix, chunk=chunk if layout == "csr" else None))
    rows = pickle.loads(pickle.dumps(store.rows()))
    blocks = rows.blocks(values)
    assert [a for a, _ in blocks] == [0, *(b for _, b in blocks[:-1])]
    assert blocks[-1][1] == N
    reader = rows.reader()
    np.testing.assert_array_equal(np.concatenate([dense(reader.read(a, b)) for a, b in blocks]), counts())
    np.testing.assert_array_equal(dense(reader.read(5, 9)), counts()[5:9])  # and back again
    assert reader.read(3, 3).n_rows == 0
    assert reader.read(1, 5, np.float64).data.dtype == np.float64


def test_a_block_begins_with_the_first_row_of_a_chunk() -> None:
    indptr = np.array([0, 3, 3, 9, 10, 25, 30])
    assert row_cuts(indptr, 10) == [(0, 4), (4, 5), (5, 6)]
    assert row_cuts(indptr, 100) == [(0, 6)]
    assert row_cuts(np.zeros(1, np.int64), 10) == []
    assert row_cuts(np.zeros(4, np.int64), 10) == [(0, 3)]


def test_untidy_rows_are_put_in_order() -> None:
    data, indices = np.array([1, 0, 5, 200, 100, 7], np.uint8), np.array([3, 1, 0, 2, 2, 1], np.int32)
    block = tidy(CsrBlock(data, indices, np.array([0, 2, 2, 6]), 4, 0), "X")
    np.testing.assert_array_equal(dense(block), [[0, 0, 0, 1], [0, 0, 0, 0], [5, 7, 300, 0]])
    assert block.indices.tolist() == [3, 0, 1, 2]
    whole = CsrBlock(block.data, block.indices, block.indptr, 4, 0)
    assert tidy(whole, "X") is whole
    with pytest.raises(StoreError, match="out of range"):
        tidy(CsrBlock(data, indices, np.array([0, 2, 2, 6]), 3, 0), "X")


def test_the_rows_of_values() -> None:
    indptr = np.array([0, 3, 3, 3, 5, 9])
    everything = np.repeat(np.arange(5), np.diff(indptr))
    for start in range(10):
        for stop in range(start, 10):
            np.testing.assert_array_equal(rows_of_values(indptr, start, stop), everything[start:stop])


def test_what_is_no_store_of_cells_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing at this path"):
        AnnDataStore.open(tmp_path / "no.zarr")
    (tmp_path / "a.h5ad").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(StoreError, match="convert the file: daskgen convert cells"):
        AnnDataStore.open(tmp_path / "a.h5ad")
    zarr.open_group(tmp_path / "b.zarr", mode="w").create_group("other")
    with pytest.raises(StoreError, match="no AnnData store"):
        AnnDataStore.open(tmp_path / "b.zarr")
    assert not is_anndata(tmp_path / "b.zarr")
    by_genes = AnnDataStore.open(write(tmp_path / "c.zarr", sparse.csc_matrix(counts())))
    with pytest.raises(StoreError, match="stored by genes"):
        by_genes.rows()


# -- writing ---------------------------------------------------------------------------------------------------------
def test_what_is_written_is_what_anndata_reads(path: Path) -> None:
    before = read(path)
    store = AnnDataStore.open(path, "a")
    numbers = np.arange(N) / 3
    with store.writing():
        store.write_columns(
            "obs",
            {
                "total": numbers,
                "good": np.arange(N) % 2 == 0,
                "text": np.array([f"é{k}" for k in range(N)]),
                "kind": pd.Categorical(["x"] * N, categories=["x", "y"], ordered=True),
            },
        )
        store.write_columns("var", {"n": np.arange(M, dtype=np.int32)})
        store.write_matrix("obsm", "X_pca", np.ones((N, 3), np.float32))
        store.write_uns("pca", {"params": {"n": 3, "mask": None, "name": "é", "flag": True}, "variance": numbers[:3]})
    found = read(path)
    np.testing.assert_array_equal(found.obs["total"], numbers)
    assert found.obs["good"].dtype == bool
    assert found.obs["text"].tolist() == [f"é{k}" for k in range(N)]
    assert found.obs["kind"].tolist() == ["x"] * N
    assert found.obs["kind"].cat.ordered
    assert found.obs.columns.tolist() == ["kind", "total", "good", "text"]
    assert found.var["n"].tolist() == list(range(M))
    assert found.obsm["X_pca"].shape == (N, 3)
    assert found.uns["pca"]["params"] == {"n": 3, "mask": None, "name": "é", "flag": True}
    assert (found.X != before.X).nnz == 0
    assert store.column("obs", "total").tolist() == numbers.tolist()
    assert store.uns("pca")["params"]["name"] == "é"
    store.write_columns("obs", {"total": np.arange(N)})  # another type
    assert read(path).obs["total"].dtype == np.int64
    store.remove("obs/total", "obsm/X_pca", "uns/pca", "uns/never")
    found = read(path)
    assert "total" not in found.obs
    assert not found.obsm
    assert "pca" not in found.uns
    assert verify(path) == []


def test_columns_of_the_wrong_length_are_refused(path: Path) -> None:
    store = AnnDataStore.open(path, "a")
    with pytest.raises(StoreError, match="wrong length"):
        store.write_columns("obs", {"x": np.ones(M)})
    with pytest.raises(StoreError, match="wrong number of rows"):
        store.write_matrix("varm", "x", np.ones((N, 2)))
    with pytest.raises(UsageError, match="opened for reading"):
        AnnDataStore.open(path).write_columns("obs", {"x": np.ones(N)})
    with pytest.raises(StoreError, match="has no column 'nothing'"):
        store.column("obs", "nothing")


def test_what_tasks_write_appears_when_it_is_published(path: Path) -> None:
    store = AnnDataStore.open(path, "a")
    with store.writing():
        target = store.matrix_target("obsm", "scores", (N, 4), np.float32, chunk_rows=16)
        for start in range(0, N, 16):
            pickle.loads(pickle.dumps(target)).write(start, np.full((min(16, N - start), 4), start, np.float32))
        assert "scores" not in read(path).obsm
        with pytest.raises(StoreError, match="whole chunks"):
            target.write(8, np.zeros((16, 4), np.float32))
        store.publish(target)
    np.testing.assert_array_equal(read(path).obsm["scores"][:, 0], np.arange(N) // 16 * 16)


@pytest.mark.parametrize("chunk", [1, 6, 1000])
def test_sparse_layers_are_written_by_values(path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskgen.stores.anndata.CHUNK_VALUES", chunk)
    store = AnnDataStore.open(path, "a")
    rows = store.rows()
    with store.writing():
        target = store.csr_target("layers/by_row", rows.indptr, np.float32)
        for group in reversed(range(target.n_groups)):
            data, genes = rows.reader().values(*target.values(group))
            target.write(group, data * (1 + target.rows(group)), genes)
        store.publish(target)
    expected = counts() * (1 + np.arange(N))[:, None]
    np.testing.assert_array_equal(read(path).layers["by_row"].toarray(), expected)


STOPPED = """
import os, sys
import numpy as np
from daskgen.stores.anndata import AnnDataStore
store = AnnDataStore.open(sys.argv[1], "a")
with store.writing():
    store.write_columns("obs", {"new": np.ones(store.n_cells)})
    target = store.matrix_target("obsm", "half", (store.n_cells, 2), np.float32, chunk_rows=16)
    target.write(0, np.ones((16, 2), np.float32))
    os._exit(9)
"""


def test_an_interrupted_writer_leaves_the_store_as_it_was(path: Path) -> None:
    before = read(path)
    assert subprocess.run([sys.executable, "-c", STOPPED, str(path)], check=False).returncode == 9
    found = read(path)
    assert found.obs.columns.tolist() == before.obs.columns.tolist()
    assert not found.obsm
    store = AnnDataStore.open(path, "a")  # its lock is taken over: the process is gone
    store.write_columns("obs", {"other": np.zeros(N)})
    found = read(path)
    assert "half" not in found.obsm
    assert "half" not in store.members("obsm")
    assert not (path / "obsm" / "half").exists()


def test_a_second_writer_is_refused(path: Path) -> None:
    store, other = AnnDataStore.open(path, "a"), AnnDataStore.open(path, "a")
    with store.writing(), pytest.raises(LockedStoreError, match="being written by another run"):
        other.write_columns("obs", {"x": np.zeros(N)})


def test_a_changed_x_is_noticed(path: Path, tmp_path: Path) -> None:
    store = AnnDataStore.open(path, "a")
    store.keep_fingerprint()
    assert not AnnDataStore.open(path).x_changed()
    os.system(f"cp -r {path} {tmp_path / 'copy.zarr'}")
    assert not AnnDataStore.open(tmp_path / "copy.zarr").x_changed(), "a copy has other times and the same content"
    data = zarr.open_group(path / "X", mode="r+")["data"]
    data[0] = data[0] + 1
    assert AnnDataStore.open(path).x_changed()
    with pytest.raises(StoreError, match="changed by another process"):
        store.write_columns("obs", {"x": np.zeros(N)})


# -- as a whole ------------------------------------------------------------------------------------------------------
def test_damage_is_found(path: Path) -> None:
    assert verify(path) == []
    group = zarr.open_group(path, mode="r+")
    group["X/indices"][3] = M
    problems = verify(path)
    assert len(problems) == 1
    assert problems[0].startswith("X: cells")
    assert "out of range" in problems[0]


def test_a_store_opens_as_a_dataset(path: Path) -> None:
    dataset = open_store(path)
    np.testing.assert_array_equal(dataset["X"].values, counts())
    assert dataset["obs_kind"].values.tolist() == ["a", "b"] * (N // 2) + ["a"]
    assert dataset["gene"].values.tolist() == [f"g{k}" for k in range(M)]
    assert dict(dataset.sizes) == {"cells": N, "genes": M}


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("chunk", [1, 7, 50, 400])
def test_slices_of_an_array_are_its_values_whatever_was_read_before(
    tmp_path: Path, chunk: int, direct: bool, reuse: bool
) -> None:
    values = np.random.default_rng(chunk).integers(0, 1000, 301).astype(np.int32)
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    array = group.create_array("values", shape=values.shape, chunks=(chunk,), dtype=values.dtype)
    array[...] = values
    location = Location.of(tmp_path / "a.zarr") if direct else None
    ascending = np.minimum(np.arange(0, 360, 23), 301)
    random = np.sort(np.random.default_rng(1).integers(0, 302, (40, 2)), axis=1)
    for slices in (list(zip(ascending[:-1], ascending[1:], strict=True)), random.tolist()):
        reader = SequentialValues(array, location, reuse=reuse)
        read = [reader.read(int(start), int(stop)) for start, stop in slices] if not reuse else None
        for i, (start, stop) in enumerate(slices):
            found = reader.read(int(start), int(stop)) if read is None else read[i]
            np.testing.assert_array_equal(found, values[start:stop])
        reader.close()


def test_the_number_of_cells_is_known_without_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = AnnDataStore.open(write(tmp_path / "a.zarr", counts()), "a")
    monkeypatch.setattr(AnnDataStore, "names", None)
    assert (store.n_cells, store.n_genes) == (N, M)
    store.write_columns("obs", {"score": np.arange(N)})
    with pytest.raises(StoreError, match="wrong length"):
        store.write_columns("var", {"score": np.arange(N)})
