"""`Cells`: what scanpy is handed, what is written on request, and the record of what was done."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

anndata = pytest.importorskip("anndata")

import daskgen.cells as dc  # noqa: E402
from daskgen.cells import materialising  # noqa: E402
from daskgen.cells.opened import KEEP, Cells  # noqa: E402
from daskgen.cells.state import State  # noqa: E402
from daskgen.errors import InputError, PlanError, StoreError, UsageError  # noqa: E402
from daskgen.stores import Location, verify  # noqa: E402
from daskgen.stores.anndata import AnnDataStore  # noqa: E402
from tests.cells.counts import counts, make_store  # noqa: E402

# What anndata asks of pandas 3 by the way.
pytestmark = pytest.mark.filterwarnings("ignore:The .future.infer_string. option is deprecated")

X = counts(97, 60, seed=4)


def reference(*, target: float = 1e3) -> np.ndarray:
    """log1p of normalised counts in float64."""
    totals = X.sum(axis=1, keepdims=True).astype(float)
    return np.log1p(X * np.divide(target, totals, out=np.ones_like(totals), where=totals > 0))


def normalised(path: Path, **more: Any) -> Cells:
    cells = dc.open(make_store(path, X, **more))
    dc.normalize_total(cells, target_sum=1e3)
    dc.log1p(cells)
    return cells


def set_masks(cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    keep, genes = np.arange(97) % 3 != 1, np.arange(60) % 4 != 2
    with cells.store.writing():
        cells.store.write_columns("obs", {KEEP: keep})
        cells.store.write_columns("var", {KEEP: genes})
    return keep, genes


def read(path: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anndata.read_zarr(path)


@pytest.mark.parametrize("layout", ["csr", "dense"])
def test_log_values_are_those_of_the_recorded_steps(tmp_path: Path, layout: str) -> None:
    cells = normalised(tmp_path / "a.zarr", layout=layout)
    made = cells.to_anndata()
    assert made.X.dtype == np.float32
    np.testing.assert_allclose(made.X.toarray(), reference(), rtol=1e-6)
    assert made.uns["log1p"] == {"base": None}
    raw = cells.to_anndata("counts")
    np.testing.assert_array_equal(raw.X.toarray(), X)
    assert "log1p" not in raw.uns
    assert cells.to_anndata(None).X is None
    np.testing.assert_array_equal(read(cells.path).X if layout == "dense" else read(cells.path).X.toarray(), X)


def test_filters_and_genes_are_honoured(tmp_path: Path) -> None:
    cells = normalised(tmp_path / "a.zarr")
    keep, genes = set_masks(cells)
    cells.store.write_matrix("obsm", "X_pca", np.arange(97 * 2, dtype=np.float32).reshape(97, 2))
    cells.store.write_columns("var", {"highly_variable": np.arange(60) % 5 == 0})
    made = cells.to_anndata()
    np.testing.assert_allclose(made.X.toarray(), reference()[keep][:, genes], rtol=1e-6)
    assert KEEP not in made.obs
    np.testing.assert_array_equal(made.obsm["X_pca"][:, 0], 2 * np.flatnonzero(keep))
    variable = np.flatnonzero(genes & (np.arange(60) % 5 == 0))
    np.testing.assert_allclose(
        cells.to_anndata(genes="highly_variable").X.toarray(), reference()[keep][:, variable], rtol=1e-6
    )
    names = [cells.var_names[k] for k in (9, 4, 8)]
    np.testing.assert_allclose(cells.to_anndata(genes=names).X.toarray(), reference()[keep][:, [9, 4, 8]], rtol=1e-6)
    with pytest.raises(UsageError, match="1 genes are not in the store"):
        cells.to_anndata(genes=["nothing"])
    with pytest.raises(UsageError, match="says not which genes"):
        cells.store.write_columns("var", {"n": np.arange(60)})
        cells.to_anndata(genes="n")


def test_lazy_values_are_the_same(tmp_path: Path) -> None:
    cells = normalised(tmp_path / "a.zarr")
    keep, _ = set_masks(cells)
    made = cells.to_anndata(lazy=True)
    assert made.shape[0] == keep.sum()
    np.testing.assert_array_equal(made.X.compute().toarray(), cells.to_anndata().X.toarray())


def test_log_values_need_the_steps(tmp_path: Path) -> None:
    cells = dc.open(make_store(tmp_path / "a.zarr", X))
    with pytest.raises(UsageError, match="normalize_total"):
        cells.to_anndata()
    with pytest.raises(UsageError, match="needs normalize_total first"):
        cells.materialize("normalized")
    with pytest.raises(PlanError, match="the limit is"):
        import dask

        with dask.config.set({"daskgen.memory-limit": 50_000_000}):
            Cells(_Large(cells)).to_anndata("counts")  # type: ignore[arg-type]


class _Large:
    """A store that says that it has many more values than it has."""

    def __init__(self, cells: Cells):
        self._store = cells.store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def rows(self, element: str = "X") -> Any:
        from dataclasses import replace

        rows = self._store.rows(element)
        return replace(rows, info=replace(rows.info, nnz=10**9))


@pytest.mark.parametrize(("layout", "chunk"), [("csr", 64), ("csr", 10**6), ("dense", 10**6)])
def test_materialised_layers_are_log_values(
    tmp_path: Path, layout: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daskgen.stores.anndata.CHUNK_VALUES", chunk)
    cells = normalised(tmp_path / "a.zarr", layout=layout).materialize()
    found = read(cells.path)
    layer = found.layers["log1p"]
    np.testing.assert_array_equal(layer if layout == "dense" else layer.toarray(), cells.to_anndata().X.toarray())
    assert found.uns["log1p"] == {"base": None}
    np.testing.assert_array_equal(found.X if layout == "dense" else found.X.toarray(), X)
    cells.materialize("normalized", into="layers/norm")
    np.testing.assert_allclose(np.log1p(read(cells.path).layers["norm"][:].sum()), np.log1p(96e3), rtol=1e-4)
    assert verify(cells.path) == []


def test_log_values_in_x_leave_the_counts_in_a_layer(tmp_path: Path) -> None:
    cells = normalised(tmp_path / "a.zarr").materialize(into="X")
    found = read(cells.path)
    np.testing.assert_allclose(found.X.toarray(), reference(), rtol=1e-6)
    np.testing.assert_array_equal(found.layers["counts"].toarray(), X)
    again = dc.open(cells.path)
    assert again.state.x_holds == "log1p"
    with pytest.raises(UsageError, match="holds log values"):
        dc.normalize_total(again)


class _Killed(BaseException):
    """What nobody handles: the run is gone."""


@pytest.mark.parametrize("step", range(5))
def test_x_is_what_it_was_where_its_replacement_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    cells = normalised(tmp_path / "a.zarr")
    done = 0

    def until_killed(plain: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal done
            done += 1
            if done > step:
                raise _Killed
            return plain(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        # The renames, the mark of log values, and the record; a killed process undoes nothing.
        patch.setattr(Location, "move_to", until_killed(Location.move_to))
        patch.setattr("daskgen.cells.materialising._record", until_killed(materialising._record))
        patch.setattr(State, "save", until_killed(State.save))
        patch.setattr(AnnDataStore, "_undo_replacement", lambda *_: None)
        if step < 4:
            with pytest.raises(_Killed):
                cells.materialize(into="X")
        else:
            cells.materialize(into="X")
    again = dc.open(cells.path)
    found = read(cells.path)
    if step == 4:
        assert again.state.x_holds == "log1p"
        return
    assert again.state.x_holds == "counts"
    assert "log1p" not in found.uns
    assert not found.layers
    np.testing.assert_array_equal(found.X.toarray(), X)
    np.testing.assert_allclose(again.materialize(into="X").to_anndata("counts").X.toarray(), reference(), rtol=1e-6)


@pytest.mark.parametrize("killed", [True, False])
def test_a_replacement_that_ends_after_its_record_leaves_the_record_of_the_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, killed: bool
) -> None:
    cells = normalised(tmp_path / "a.zarr")
    steps = set(cells.state.steps)
    plain = materialising._record

    def recorded(*arguments: Any) -> None:
        plain(*arguments)
        raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(materialising, "_record", recorded)
        if killed:
            patch.setattr(AnnDataStore, "_undo_replacement", lambda *_: None)
        with pytest.raises(_Killed):
            cells.materialize(into="X")
    for again in [dc.open(cells.path)] if killed else [cells, dc.open(cells.path)]:
        assert again.state.x_holds == "counts"
        assert set(again.state.steps) == steps
        assert not any(step.stale for step in again.state.steps.values())
    assert "was changed" not in caplog.text
    found = read(cells.path)
    assert "log1p" not in found.uns
    np.testing.assert_array_equal(found.X.toarray(), X)
    np.testing.assert_allclose(again.materialize(into="X").to_anndata("counts").X.toarray(), reference(), rtol=1e-6)


def test_x_is_put_back_where_a_record_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = normalised(tmp_path / "a.zarr")
    with monkeypatch.context() as patch:
        patch.setattr("daskgen.cells.materialising._record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            cells.materialize(into="X")
    np.testing.assert_array_equal(read(cells.path).X.toarray(), X)
    assert not read(cells.path).layers


def test_a_file_is_no_store(tmp_path: Path) -> None:
    anndata.AnnData(X).write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(StoreError, match=r"daskgen convert cells a\.h5ad"):
        dc.open(tmp_path / "a.h5ad")


def test_a_filtered_copy_has_what_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskgen.stores.anndata_new.CHUNK_VALUES", 50)
    monkeypatch.setattr("daskgen.stores.anndata_new.GROUP_VALUES", 100)
    cells = normalised(tmp_path / "a.zarr", obs={"batch": pd.Categorical(["x", "y"] * 48 + ["x"])})
    keep, genes = set_masks(cells)
    cells.store.write_matrix("obsm", "X_pca", np.arange(97 * 2, dtype=np.float32).reshape(97, 2))
    cells.store.write_matrix("varm", "PCs", np.arange(60.0)[:, None])
    cells.store.write_uns("pca", {"variance": np.ones(2)})
    cells.materialize()
    copy = cells.write(tmp_path / "b.zarr")
    found = read(copy.path)
    np.testing.assert_array_equal(found.X.toarray(), X[keep][:, genes])
    assert found.X.dtype == X.dtype
    assert found.obs_names.tolist() == cells.obs_names[keep].tolist()
    assert found.obs["batch"].tolist() == cells.obs["batch"][keep].tolist()
    np.testing.assert_array_equal(found.obsm["X_pca"][:, 0], 2 * np.flatnonzero(keep))
    np.testing.assert_array_equal(found.varm["PCs"][:, 0], np.flatnonzero(genes))
    assert found.uns["pca"]["variance"].tolist() == [1, 1]
    assert "log1p" not in found.uns, "the copy holds counts alone"
    assert not found.layers
    np.testing.assert_array_equal(copy.to_anndata().X.toarray(), cells.to_anndata().X.toarray())
    assert verify(copy.path) == []
    with pytest.raises(UsageError, match="over itself"):
        cells.write(cells.path)
    with pytest.raises(InputError, match="kept nothing"):
        cells.store.write_columns("obs", {KEEP: np.zeros(97, bool)})
        cells.write(tmp_path / "c.zarr")


# -- the record ------------------------------------------------------------------------------------------------------
def test_what_relied_on_a_step_is_stale_when_it_is_done_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cells = dc.open(make_store(tmp_path / "a.zarr", X))
    state = cells.state
    state.record("a", parameters={"n": np.int64(3)}, fields=["obs/a"])
    state.record("b", fields=["obsm/b"], depends_on=["a", "never"])
    state.record("c", fields=["var/c"], depends_on=["b"])
    state.record("d")
    state.save()
    state = dc.open(cells.path).state
    assert state.steps["b"].depends_on == ["a"]
    assert not state.stale_fields()
    state.record("a", parameters={"n": 4})
    assert state.stale_fields() == {"obsm/b": "b", "var/c": "c"}
    state.save()
    cells = dc.open(cells.path)
    with caplog.at_level(logging.WARNING, "daskgen.cells"):
        cells.to_anndata("counts")
    assert "stale" in caplog.text
    assert "obsm/b" in caplog.text
    assert "(stale)" in repr(cells)
    cells.state.record("b", fields=["obsm/b"], depends_on=["a"])
    assert cells.state.stale_fields() == {"var/c": "c"}


def test_statistics_of_a_pass_are_kept_under_their_key(tmp_path: Path) -> None:
    state = dc.open(make_store(tmp_path / "a.zarr", X)).state
    assert state.statistics("k1") is None
    state.keep_statistics("k1", {"sum": np.arange(6.0).reshape(2, 3), "n": np.array([5])})
    np.testing.assert_array_equal(state.statistics("k1")["sum"], np.arange(6.0).reshape(2, 3))  # type: ignore[index]
    state.keep_statistics("k2", {"sum": np.ones(2)})
    assert state.statistics("k1") is None
    assert state.statistics("k2") is not None


def test_a_store_that_another_process_changed_has_stale_results(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cells = normalised(tmp_path / "a.zarr")
    changed = read(cells.path)
    changed.X = changed.X.astype(np.float32).log1p()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with anndata.settings.override(zarr_write_format=3):
            changed.write_zarr(tmp_path / "b.zarr")
    with caplog.at_level(logging.WARNING, "daskgen.cells"):
        state = dc.open(tmp_path / "b.zarr").state
    assert "was changed" in caplog.text
    assert all(step.stale for step in state.steps.values())
    assert state.x_holds == "values"


@pytest.mark.parametrize(("matrix", "holds"), [(X, "counts"), (X * 1.5, "values")])
def test_what_x_of_another_s_store_holds_is_seen(tmp_path: Path, matrix: np.ndarray, holds: str) -> None:
    cells = dc.open(make_store(tmp_path / "a.zarr", matrix))
    assert cells.state.x_holds == holds
    cells.store.write_uns("log1p", {"base": None})
    assert State.load(cells.store).x_holds == "log1p"


# -- scanpy ----------------------------------------------------------------------------------------------------------
@pytest.mark.filterwarnings("ignore")
def test_scanpy_ranks_genes_as_in_its_own_pipeline(tmp_path: Path) -> None:
    sc = pytest.importorskip("scanpy")
    groups = pd.Categorical([f"t{k % 3}" for k in range(97)])
    theirs = anndata.AnnData(
        X.astype(np.float32), obs=pd.DataFrame({"g": groups}, index=[f"cell{k}" for k in range(97)])
    )
    cells = dc.open(make_store(tmp_path / "a.zarr", X, obs={"g": groups}))
    theirs.var_names = cells.var_names
    sc.pp.normalize_total(theirs, target_sum=1e3)
    sc.pp.log1p(theirs)
    sc.tl.rank_genes_groups(theirs, "g", method="t-test")
    dc.normalize_total(cells, target_sum=1e3)
    dc.log1p(cells)
    cells.materialize()
    for ours, layer in ((cells.to_anndata(), None), (read(cells.path), "log1p")):
        sc.tl.rank_genes_groups(ours, "g", method="t-test", layer=layer)
        for group in ("t0", "t1", "t2"):
            a = sc.get.rank_genes_groups_df(theirs, group).set_index("names").sort_index()
            b = sc.get.rank_genes_groups_df(ours, group).set_index("names").loc[a.index]
            np.testing.assert_allclose(a["scores"], b["scores"], rtol=2e-3, atol=2e-4)
            np.testing.assert_allclose(a["logfoldchanges"], b["logfoldchanges"], rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(a["pvals"], b["pvals"], rtol=5e-3)


@pytest.mark.filterwarnings("ignore:Some cells have zero counts", "ignore::RuntimeWarning")
@pytest.mark.parametrize("tie_correct", [False, True])
def test_rank_sums_are_those_of_values_rounded_once(tmp_path: Path, tie_correct: bool) -> None:
    """1 of 100 counts and 3 of 300 are the same share. scanpy divides in float32, where the last bits differ and the
    tie is broken; values that are rounded once, from float64, keep it."""
    sc = pytest.importorskip("scanpy")
    groups = pd.Categorical([f"t{k % 3}" for k in range(97)])
    cells = normalised(tmp_path / "a.zarr", obs={"g": groups})
    theirs = anndata.AnnData(X.astype(np.float64), obs=pd.DataFrame({"g": groups}, index=list(cells.obs_names)))
    theirs.var_names = cells.var_names
    sc.pp.normalize_total(theirs, target_sum=1e3)
    sc.pp.log1p(theirs)
    theirs.X = theirs.X.astype(np.float32)
    scores = []
    for data in (theirs, cells.to_anndata()):
        sc.tl.rank_genes_groups(data, "g", method="wilcoxon", tie_correct=tie_correct)
        scores.append(sc.get.rank_genes_groups_df(data, "t0").set_index("names")["scores"].sort_index())
    np.testing.assert_array_equal(scores[0], scores[1])
