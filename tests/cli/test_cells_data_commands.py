"""Commands that make, describe, check and export stores of cells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

anndata = pytest.importorskip("anndata")
pytest.importorskip("h5py")

from daskgen.cli.app import invoke  # noqa: E402
from tests.conversion.single_cell import files  # noqa: E402

# What anndata asks of pandas 3 by the way.
pytestmark = pytest.mark.filterwarnings("ignore:The .future.infer_string. option is deprecated")

COUNTS = files.small_counts()


def test_from_files_to_a_store_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (files.write_10x_mtx(tmp_path / name, COUNTS) for name in ("one", "two"))
    out = str(tmp_path / "out.zarr")
    assert invoke(["convert", "cells", str(a), str(b), "--out", out, "--batch-key", "donor"]) == 0
    said = capsys.readouterr().out
    assert "46 cells x 11 genes" in said
    assert "next: daskgen info" in said
    summary = json.loads((tmp_path / "out.zarr.json").read_text())
    assert (summary["n_cells"], summary["n_genes"], summary["n_values"]) == (46, 11, 2 * COUNTS.nnz)
    assert invoke(["info", out]) == 0
    said = capsys.readouterr().out
    assert "Cells      46" in said
    assert "X          counts, csr, uint8" in said
    assert "obs        donor" in said
    assert invoke(["verify", out]) == 0
    assert "whole" in capsys.readouterr().out
    assert invoke(["export", "h5ad", out, "--out", str(tmp_path / "out.h5ad")]) == 0
    assert anndata.read_h5ad(tmp_path / "out.h5ad").shape == (46, 11)
    (tmp_path / "out.zarr" / "X" / "data" / "c" / "0").write_bytes(b"damaged")
    assert invoke(["verify", out]) == 3
    assert "X/data/c/0 cannot be read" in capsys.readouterr().out


def test_a_plan_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = files.write_10x_mtx(tmp_path / "one", COUNTS)
    assert invoke(["convert", "cells", str(source), "--out", str(tmp_path / "out.zarr"), "--dry-run"]) == 0
    assert "Nothing was written" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one"]


def test_errors_end_with_their_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["convert", "cells", str(tmp_path / "no.h5ad"), "--out", str(tmp_path / "a.zarr")]) == 3
    two = files.write_10x_h5(tmp_path / "two.h5", {"GRCh38": COUNTS, "mm10": COUNTS})
    assert invoke(["convert", "cells", str(two), "--out", str(tmp_path / "a.zarr")]) == 2
    assert "--genome NAME" in capsys.readouterr().err
    assert invoke(["info", str(tmp_path)]) == 3


def test_simulated_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "sim.zarr")
    assert invoke(["simulate", "cells", "--n-cells", "40", "--n-genes", "200", "--seed", "3", "--out", out]) == 0
    capsys.readouterr()
    assert invoke(["info", out]) == 0
    assert "obs        cell_type, batch" in capsys.readouterr().out
