"""Every format of counts becomes the same store; what holds no counts is refused with the reason."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

anndata = pytest.importorskip("anndata")
h5py = pytest.importorskip("h5py")

from scipy import sparse  # noqa: E402

import conversion  # noqa: E402
from daskgen.errors import InputError, PlanError, StoreError, UsageError  # noqa: E402
from daskgen.stores import verify  # noqa: E402
from daskgen.stores.anndata import TIDY, AnnDataStore  # noqa: E402
from tests.conversion.single_cell import files  # noqa: E402

# What anndata asks of pandas 3 by the way.
pytestmark = pytest.mark.filterwarnings("ignore:The .future.infer_string. option is deprecated")

COUNTS = files.small_counts()


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 16 values, so that cells lie across them."""
    monkeypatch.setattr("daskgen.stores.anndata_new.CHUNK_VALUES", 16)
    monkeypatch.setattr("daskgen.stores.anndata_new.GROUP_VALUES", 32)


def read(path: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anndata.read_zarr(os.fspath(path))


def same(found: Any, expected: Any) -> None:
    assert found.shape == expected.shape
    assert (found != sparse.csr_matrix(expected)).nnz == 0
    assert found.has_sorted_indices
    assert (found.data != 0).all()


def write_h5ad(path: Path, adata: Any, **more: Any) -> Path:
    adata.write_h5ad(path, **more)
    return path


def write_zarr(path: Path, adata: Any, zarr_format: int) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with anndata.settings.override(zarr_write_format=zarr_format):
            adata.write_zarr(path)
    return path


SOURCES: dict[str, Callable[[Path], Path]] = {
    "h5ad-csr": lambda p: write_h5ad(p / "a.h5ad", files.make_anndata(COUNTS)),
    "h5ad-csc": lambda p: write_h5ad(p / "a.h5ad", files.make_anndata(COUNTS.tocsc()), compression="gzip"),
    "h5ad-dense": lambda p: write_h5ad(p / "a.h5ad", files.make_anndata(COUNTS.toarray()), compression="lzf"),
    "h5ad-raw": lambda p: write_h5ad(p / "a.h5ad", with_raw(files.make_anndata(COUNTS))),
    "h5ad-layer": lambda p: write_h5ad(p / "a.h5ad", with_layer(files.make_anndata(COUNTS))),
    "zarr-2": lambda p: write_zarr(p / "a.zarr", files.make_anndata(COUNTS), 2),
    "zarr-3": lambda p: write_zarr(p / "a.zarr", files.make_anndata(COUNTS), 3),
    "zarr-csc": lambda p: write_zarr(p / "a.zarr", files.make_anndata(COUNTS.tocsc()), 3),
    "zarr-dense": lambda p: write_zarr(p / "a.zarr", files.make_anndata(COUNTS.toarray()), 3),
    "10x-mtx-3": lambda p: files.write_10x_mtx(p / "a", COUNTS),
    "10x-mtx-2": lambda p: files.write_10x_mtx(p / "a", COUNTS, version=2, packed=False),
    "10x-h5-3": lambda p: files.write_10x_h5(p / "a.h5", {"matrix": COUNTS}),
    "10x-h5-2": lambda p: files.write_10x_h5(p / "a.h5", {"GRCh38": COUNTS}),
    "loom": lambda p: files.write_loom(p / "a.loom", COUNTS),
}


def with_raw(adata: Any) -> Any:
    adata.raw = adata.copy()
    adata.X = np.log1p(adata.X.toarray()) - 0.5
    adata.uns["log1p"] = {}
    return adata


def with_layer(adata: Any) -> Any:
    adata.layers["counts"] = adata.X.copy()
    adata.X = adata.X.log1p()
    adata.uns["log1p"] = {}
    return adata


@pytest.mark.parametrize("form", SOURCES)
def test_every_format_gives_the_same_counts(tmp_path: Path, form: str) -> None:
    result = conversion.cells(SOURCES[form](tmp_path), tmp_path / "out.zarr")
    store = AnnDataStore.open(result)
    same(read(result).X, COUNTS)
    assert (result.n_cells, result.n_genes, result.n_values) == (*COUNTS.shape, COUNTS.nnz)
    assert store.x_info.dtype == np.uint8
    assert result.dtype == "uint8"
    assert store.group["X"].attrs[TIDY] is True
    assert store.obs_names.tolist() == files.barcodes(COUNTS.shape[0])
    assert verify(result) == []
    where = {"h5ad-raw": "raw.X", "h5ad-layer": "layers/counts"}
    if form in where:
        assert list(result.where.values()) == [where[form]]
        assert any(f"counts taken from {where[form]}" in note for note in result.notes)
        assert "log1p" not in store.members("uns"), "X holds counts"


@pytest.mark.parametrize("form", ["h5ad-csr", "h5ad-csc", "zarr-2", "zarr-3"])
def test_tables_and_what_else_there_is_are_kept(tmp_path: Path, form: str) -> None:
    found = read(conversion.cells(SOURCES[form](tmp_path), tmp_path / "out.zarr"))
    given = files.make_anndata(COUNTS)
    pd.testing.assert_frame_equal(found.obs, given.obs)
    # Text is text, whatever string type a version of pandas makes of it.
    pd.testing.assert_frame_equal(found.var.astype({"symbol": object}), given.var.astype({"symbol": object}))
    np.testing.assert_array_equal(found.obsm["X_umap"], given.obsm["X_umap"])
    np.testing.assert_array_equal(found.varm["loadings"], given.varm["loadings"])
    assert (found.obsp["near"] != given.obsp["near"]).nnz == 0
    assert found.uns["study"]["name"] == "small"
    assert found.uns["study"]["year"] == 2024
    assert found.uns["study"]["deep"] == {"yes": True}
    np.testing.assert_array_equal(found.uns["study"]["weights"], np.arange(3.0))


def test_10x_genes_have_symbols_made_unique_and_their_ids(tmp_path: Path) -> None:
    result = conversion.cells(SOURCES["10x-mtx-3"](tmp_path), tmp_path / "out.zarr")
    var = read(result).var
    assert var.index.tolist() == [
        *("MS4A1", "CD3E", "MT-CO1", "CD3E-2", "LYZ", "GNLY", "CD3E-1", "NKG7", "PF4", "CD8A", "ACTB")
    ]
    assert var["gene_ids"].tolist() == [f"ENSG{k:05d}" for k in range(11)]
    assert var["feature_types"].tolist() == ["Gene Expression"] * 11
    assert any("(1 genes)" in note for note in result.notes)


def test_gene_symbols_come_from_a_column(tmp_path: Path) -> None:
    result = conversion.cells(SOURCES["h5ad-csr"](tmp_path), tmp_path / "out.zarr", gene_symbols="symbol")
    var = read(result).var
    assert var.index.tolist() == [*(f"s{k}" for k in range(10)), "s0-1"]
    assert var["gene_ids"].tolist() == [f"ENSG{k:05d}" for k in range(11)]
    with pytest.raises(UsageError, match="no column 'name'"):
        conversion.cells(tmp_path / "a.h5ad", tmp_path / "b.zarr", gene_symbols="name")


@pytest.mark.parametrize(
    ("factor", "dtype"), [(1, np.uint8), (28, np.uint8), (29, np.uint16), (7281, np.uint16), (7282, np.uint32)]
)
def test_the_smallest_type_that_holds_the_counts_is_taken(tmp_path: Path, factor: int, dtype: type) -> None:
    path = write_h5ad(tmp_path / "a.h5ad", files.make_anndata(COUNTS * factor))
    result = conversion.cells(path, tmp_path / "out.zarr")
    assert result.dtype == np.dtype(dtype)
    same(read(result).X, COUNTS * factor)


def test_numbers_that_are_not_whole_are_kept_and_said(tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "a.h5ad", files.make_anndata(COUNTS * 10.04))
    result = conversion.cells(path, tmp_path / "out.zarr")
    assert result.dtype == "float32"
    assert any("not whole" in note for note in result.notes)
    np.testing.assert_array_equal(read(result).X.toarray(), (COUNTS * 10.04).astype(np.float32).toarray())


def test_explicit_zeros_are_dropped_and_duplicates_added_up(tmp_path: Path) -> None:
    data = np.array([0, 2, 3, 4, 200, 100, 5], np.float32)
    untidy = sparse.csr_matrix((data, np.array([1, 0, 0, 2, 4, 4, 3]), np.array([0, 2, 2, 6, 7])), shape=(4, 5))
    adata = files.make_anndata(sparse.csr_matrix((4, 5)))
    path = tmp_path / "a.h5ad"
    adata.write_h5ad(path)
    with h5py.File(path, "a") as file:
        del file["X"]
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [4, 5]})
        group["data"], group["indices"], group["indptr"] = untidy.data, untidy.indices, untidy.indptr
    result = conversion.cells(path, tmp_path / "out.zarr")
    expected = untidy.toarray()
    np.testing.assert_array_equal(read(result).X.toarray(), expected)
    assert result.n_values == 5
    assert result.dtype == "uint16", "the sum of duplicates counts, not its parts"


# -- several sources -------------------------------------------------------------------------------------------------
def test_sources_are_joined_by_gene_names(tmp_path: Path) -> None:
    other = [*GENES_B]
    a = files.write_10x_mtx(tmp_path / "donor1" / "filtered_feature_bc_matrix", COUNTS)
    b = files.write_10x_mtx(tmp_path / "donor2" / "filtered_feature_bc_matrix", COUNTS[:7], genes=other)
    outer = read(conversion.cells([a, b], tmp_path / "outer.zarr"))
    assert outer.n_obs == 30
    assert outer.obs["sample"].tolist() == ["donor1"] * 23 + ["donor2"] * 7
    assert outer.obs_names.tolist()[:1] == ["AACG0000-1-donor1"], "barcodes occur in both"
    names = outer.var_names.tolist()
    assert names[:11] == [*files.GENES[:3], "CD3E-2", *files.GENES[4:]]
    np.testing.assert_array_equal(outer.X[:23, :11].toarray(), COUNTS.toarray())
    np.testing.assert_array_equal(outer[23:, other].X.toarray(), COUNTS[:7].toarray())
    inner = read(conversion.cells({"x": a, "y": b}, tmp_path / "inner.zarr", join="inner", batch_key="donor"))
    assert inner.var_names.tolist() == [name for name in names if name in other and name in names[:11]]
    assert inner.obs["donor"].cat.categories.tolist() == ["x", "y"]
    np.testing.assert_array_equal(inner.X.toarray(), outer[:, inner.var_names].X.toarray())


GENES_B = ["ACTB", "NEW1", "CD3E", "LYZ", "NEW2", "MS4A1", "NEW3", "NEW4", "NEW5", "NEW6", "GNLY"]


def test_columns_that_a_source_lacks_are_empty_there(tmp_path: Path) -> None:
    first = files.make_anndata(COUNTS)
    second = files.make_anndata(COUNTS)
    second.obs = second.obs[["age"]].assign(batch="b2")
    second.obs_names = [f"other{k}" for k in range(second.n_obs)]
    write_h5ad(tmp_path / "a.h5ad", first)
    write_h5ad(tmp_path / "b.h5ad", second)
    obs = read(conversion.cells([tmp_path / "a.h5ad", tmp_path / "b.h5ad"], tmp_path / "out.zarr")).obs
    assert obs["type"][:23].tolist() == first.obs["type"].tolist()
    assert obs["type"][23:].isna().all()
    assert obs["score"][23:].isna().all()
    assert obs["good"][23:].isna().all()
    assert obs["age"].tolist() == [*range(23), *range(23)]
    assert obs["batch"].astype(object).fillna("").tolist() == [""] * 23 + ["b2"] * 23
    assert obs.index.tolist() == [*first.obs_names, *second.obs_names]


def test_a_batch_key_that_is_taken_is_refused(tmp_path: Path) -> None:
    path = SOURCES["h5ad-csr"](tmp_path)
    with pytest.raises(UsageError, match="has a column 'type' already"):
        conversion.cells([path, path], tmp_path / "out.zarr", batch_key="type")


def test_sources_without_a_gene_in_common_are_refused(tmp_path: Path) -> None:
    a, b = SOURCES["h5ad-csr"](tmp_path), SOURCES["loom"](tmp_path)
    with pytest.raises(InputError, match="no gene is in all sources"):
        conversion.cells([a, b], tmp_path / "out.zarr", join="inner")


# -- 10x: genomes and kinds of features ------------------------------------------------------------------------------
def test_a_genome_is_chosen_where_there_are_several(tmp_path: Path) -> None:
    path = files.write_10x_h5(tmp_path / "two.h5", {"GRCh38": COUNTS, "mm10": COUNTS * 2})
    with pytest.raises(UsageError, match="several genomes") as error:
        conversion.cells(path, tmp_path / "out.zarr")
    assert "GRCh38, mm10" in str(error.value)
    same(read(conversion.cells(path, tmp_path / "out.zarr", genome="mm10")).X, COUNTS * 2)
    with pytest.raises(UsageError, match="no genome 'hg19'"):
        conversion.cells(path, tmp_path / "b.zarr", genome="hg19")
    new = files.write_10x_h5(tmp_path / "new.h5", {"matrix": COUNTS})
    same(read(conversion.cells(new, tmp_path / "c.zarr", genome="mm10")).X, COUNTS[:, ::2])


def test_features_that_are_not_genes_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    types = ["Gene Expression"] * 9 + ["Antibody Capture"] * 2
    path = files.write_10x_h5(tmp_path / "a.h5", {"matrix": COUNTS}, types=types)
    result = conversion.cells(path, tmp_path / "genes.zarr")
    same(read(result).X, COUNTS[:, :9])
    assert any("9 of 11 features" in note for note in result.notes)
    same(read(conversion.cells(path, tmp_path / "all.zarr", gex_only=False)).X, COUNTS)


def test_a_matrix_of_cells_by_genes_is_recognised(tmp_path: Path) -> None:
    folder = files.write_10x_mtx(tmp_path / "a", COUNTS, packed=False)
    lines = (folder / "matrix.mtx").read_text().splitlines()
    turned = [" ".join([line.split()[1], line.split()[0], line.split()[2]]) for line in lines[2:]]
    random = np.random.default_rng(0)
    turned[1:] = random.permutation(turned[1:]).tolist()  # and in no order
    (folder / "matrix.mtx").write_text("\n".join([*lines[:2], *turned]) + "\n")
    same(read(conversion.cells(folder, tmp_path / "out.zarr")).X, COUNTS)


# -- bad input -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "found"), [(np.nan, "nan for gene ENSG00004 in cell AACG0003-1"), (-2.0, "-2 for gene ENSG00004")]
)
def test_values_that_are_no_counts_are_named(tmp_path: Path, value: float, found: str) -> None:
    dense = COUNTS.toarray()
    dense[3, 4] = value
    path = write_h5ad(tmp_path / "a.h5ad", files.make_anndata(sparse.csr_matrix(dense)))
    with pytest.raises(InputError, match="not counts") as error:
        conversion.cells(path, tmp_path / "out.zarr", counts="X")
    assert found in str(error.value)
    assert not (tmp_path / "out.zarr").exists()
    with pytest.raises(InputError, match="no matrix holds counts"):
        conversion.cells(path, tmp_path / "out.zarr")


def test_logarithms_are_not_taken_for_counts(tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "a.h5ad", files.make_anndata(COUNTS.log1p()))
    with pytest.raises(InputError, match="no matrix holds counts") as error:
        conversion.cells(path, tmp_path / "out.zarr")
    assert "probably logarithms" in str(error.value)
    with pytest.raises(UsageError, match="has no layers/counts"):
        conversion.cells(path, tmp_path / "out.zarr", counts="layers/counts")


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "a.h5ad", files.make_anndata(COUNTS))
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match="cut: it is shorter than it says"):
        conversion.cells(path, tmp_path / "out.zarr")
    folder = files.write_10x_mtx(tmp_path / "mtx", COUNTS, packed=False)
    lines = (folder / "matrix.mtx").read_text().splitlines()
    (folder / "matrix.mtx").write_text("\n".join(lines[:-4]) + "\n")
    with pytest.raises(InputError, match="is cut") as error:
        conversion.cells(folder, tmp_path / "out.zarr")
    assert f"{COUNTS.nnz - 4} entries" in str(error.value)
    packed = files.write_10x_mtx(tmp_path / "packed", COUNTS)
    whole = (packed / "matrix.mtx.gz").read_bytes()
    (packed / "matrix.mtx.gz").write_bytes(whole[:-40])
    with pytest.raises(InputError):
        conversion.cells(packed, tmp_path / "out.zarr")
    assert not (tmp_path / "out.zarr").exists()


def test_an_indptr_that_overflowed_is_refused(tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "a.h5ad", files.make_anndata(COUNTS))
    with h5py.File(path, "a") as file:
        indptr = file["X/indptr"][...].astype(np.int32)
        indptr[-5:] -= np.int32(2**31 - 1)  # what 32 bits make of numbers beyond 2^31
        file["X/indptr"][...] = indptr
    with pytest.raises(StoreError, match="overflowed"):
        conversion.cells(path, tmp_path / "out.zarr")


def test_genes_out_of_range_are_refused(tmp_path: Path) -> None:
    path = write_h5ad(tmp_path / "a.h5ad", files.make_anndata(COUNTS))
    with h5py.File(path, "a") as file:
        file["X/indices"][3] = 11
    with pytest.raises(InputError, match="out of range"):
        conversion.cells(path, tmp_path / "out.zarr", counts="X")


def test_companions_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = files.write_10x_mtx(tmp_path / "a", COUNTS, packed=False)
    (folder / "barcodes.tsv").write_text("one\ntwo\n")
    with pytest.raises(InputError, match="does not fit the files beside it"):
        conversion.cells(folder, tmp_path / "out.zarr")
    (folder / "barcodes.tsv").unlink()
    with pytest.raises(InputError, match="needs a file beside it"):
        conversion.cells(folder, tmp_path / "out.zarr")


@pytest.mark.parametrize("content", [b"", b"gene,c1,c2\nA,1,2\n", b"\x89HDF\r\n\x1a\n" + bytes(64)])
def test_other_files_are_refused_with_what_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError) as error:
        conversion.cells(tmp_path / "a.csv", tmp_path / "out.zarr")
    assert "a.csv" in str(error.value)


# -- the destination -------------------------------------------------------------------------------------------------
def test_a_plan_without_writing(tmp_path: Path) -> None:
    plan = conversion.cells(SOURCES["h5ad-csr"](tmp_path), tmp_path / "out.zarr", dry_run=True)
    assert "23 cells x 11 genes" in str(plan)
    assert not (tmp_path / "out.zarr").exists()
    with pytest.raises(PlanError, match="the limit is"):
        conversion.cells(tmp_path / "a.h5ad", tmp_path / "out.zarr", memory_limit="100MB")


def test_nothing_is_replaced_unless_asked_for(tmp_path: Path) -> None:
    path = SOURCES["h5ad-csr"](tmp_path)
    conversion.cells(path, tmp_path / "out.zarr")
    with pytest.raises(StoreError, match="exists"):
        conversion.cells(path, tmp_path / "out.zarr")
    conversion.cells(path, tmp_path / "out.zarr", force=True)
    foreign = write_zarr(tmp_path / "theirs.zarr", files.make_anndata(COUNTS), 3)
    with pytest.raises(StoreError, match="was not made by daskgen"):
        conversion.cells(path, foreign, force=True)


def test_a_store_of_daskgen_is_a_source_too(tmp_path: Path) -> None:
    first = conversion.cells(SOURCES["10x-mtx-3"](tmp_path), tmp_path / "one.zarr")
    second = conversion.cells(first, tmp_path / "two.zarr")
    same(read(second).X, COUNTS)


# -- compression -----------------------------------------------------------------------------------------------------
def test_blosc_is_read_where_the_plugin_is_installed(tmp_path: Path) -> None:
    plugin = pytest.importorskip("hdf5plugin")
    path = write_h5ad(tmp_path / "a.h5ad", files.make_anndata(COUNTS))
    csr = sparse.csr_matrix(COUNTS)
    with h5py.File(path, "a") as file:
        for name, values in (("data", csr.data), ("indices", csr.indices)):
            del file[f"X/{name}"]
            file.create_dataset(f"X/{name}", data=values, **plugin.Blosc(cname="zstd"))
    same(read(conversion.cells(path, tmp_path / "out.zarr")).X, COUNTS)
