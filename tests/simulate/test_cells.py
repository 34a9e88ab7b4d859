"""Simulated counts: the shape and density that were asked for, structure that analyses find, the same for any run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daskgen import simulate
from daskgen.errors import UsageError
from daskgen.kernels.simulated_counts import alias_table
from daskgen.stores import verify
from daskgen.stores.anndata import AnnDataStore


def dense(path: str) -> np.ndarray:
    store = AnnDataStore.open(path)
    block = store.read_rows(0, store.n_cells)
    matrix = np.zeros((store.n_cells, store.n_genes), np.int64)
    matrix[np.repeat(np.arange(store.n_cells), np.diff(block.indptr)), block.indices] = block.data
    return matrix


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("cells")
    return simulate.cells(folder / "a.zarr", n_cells=600, n_genes=2_000, density=0.1, n_types=4, seed=1)


@pytest.mark.parametrize("density", [0.02, 0.1, 0.4])
def test_density_is_what_was_asked_for(tmp_path: Path, density: float) -> None:
    path = simulate.cells(tmp_path / "a.zarr", n_cells=300, n_genes=1_000, density=density, seed=2)
    assert (dense(path) > 0).mean() == pytest.approx(density, rel=0.1)
    assert verify(path) == []


def test_types_batches_and_programmes_can_be_found(simulated: str) -> None:
    store, x = AnnDataStore.open(simulated), dense(simulated)
    log = np.log1p(1e4 * x / x.sum(axis=1, keepdims=True))
    kind, batch = np.asarray(store.column("obs", "cell_type")), np.asarray(store.column("obs", "batch"))
    assert sorted(set(kind.tolist())) == ["type1", "type2", "type3", "type4"]
    assert sorted(set(batch.tolist())) == ["batch1", "batch2", "batch3"]
    programme, marker = np.asarray(store.column("var", "programme")), np.asarray(store.column("var", "marker_of"))
    for name in ("P1", "P2", "P3"):
        genes = programme == name
        of = marker[genes][0]
        inside, outside = log[kind == of][:, genes].mean(), log[kind != of][:, genes].mean()
        assert inside > 1.5 * outside
    mean = np.array([log[batch == name].mean(axis=0) for name in sorted(set(batch.tolist()))])
    halves = log[::2].mean(axis=0) - log[1::2].mean(axis=0)
    assert (mean[0] - mean[1]).std() > 1.5 * halves.std()
    depth = x.sum(axis=1)
    assert depth.std() / depth.mean() == pytest.approx(0.47, abs=0.1)
    mitochondrial = np.char.startswith(store.var_names.astype(str), "MT-")
    assert mitochondrial.sum() == 13
    share = x[:, mitochondrial].sum(axis=1) / depth
    assert 0.02 < np.median(share) < 0.08
    assert share.max() > 0.1


def test_content_depends_on_the_seed_and_not_on_chunks(
    simulated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daskgen.stores.anndata_new.CHUNK_VALUES", 999)
    monkeypatch.setattr("daskgen.stores.anndata_new.GROUP_VALUES", 1_998)
    monkeypatch.setattr("daskgen.simulate.count_matrix._BLOCK_CELLS", 7)
    again = simulate.cells(tmp_path / "b.zarr", n_cells=600, n_genes=2_000, density=0.1, n_types=4, seed=1)
    np.testing.assert_array_equal(dense(again), dense(simulated))
    other = simulate.cells(tmp_path / "c.zarr", n_cells=600, n_genes=2_000, density=0.1, n_types=4, seed=2)
    assert (dense(other) != dense(simulated)).mean() > 0.05
    fewer = simulate.cells(tmp_path / "d.zarr", n_cells=100, n_genes=2_000, density=0.1, n_types=4, seed=1)
    np.testing.assert_array_equal(dense(fewer), dense(simulated)[:100])


def test_the_alias_table_is_the_distribution() -> None:
    weights = np.random.default_rng(0).gamma(0.3, size=97)
    weights[5] = 0
    threshold, alias = alias_table(weights)
    share = np.zeros(97)
    for gene in range(97):
        keeps = 1.0 if alias[gene] == gene else threshold[gene] / 2.0**32
        share[gene] += keeps / 97
        share[alias[gene]] += (1 - keeps) / 97
    np.testing.assert_allclose(share, weights / weights.sum(), atol=1e-9)


@pytest.mark.parametrize("change", [{"density": 0}, {"density": 0.95}, {"n_cells": 0}, {"n_genes": 3}, {"n_types": 0}])
def test_numbers_out_of_range_are_refused(tmp_path: Path, change: dict[str, float]) -> None:
    arguments = {"n_cells": 10, "n_genes": 100} | change
    with pytest.raises(UsageError):
        simulate.cells(tmp_path / "a.zarr", **arguments)
    assert not (tmp_path / "a.zarr").exists()
