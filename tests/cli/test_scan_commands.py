"""One fit per SNP through the commands: fit, look, draw, export; and what goes wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

import daskgen as dg
from daskgen.cli import app
from daskgen.ldsc import to_store
from tests.gwas.results import result
from tests.sem.stand_in import effects, write_sumstats

MODEL = "F1 =~ NA*A + B + C; F1 ~~ 1*F1; F1 ~ SNP"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A covariance structure of three traits and their summary statistics."""
    folder = tmp_path_factory.mktemp("scan")
    loading = np.array([0.5, 0.4, 0.7])
    s = np.outer(loading, loading) + np.diag([0.1, 0.12, 0.2])
    intercepts = np.array([[1.02, 0.1, 0.05], [0.1, 1.01, 0.08], [0.05, 0.08, 1.03]])
    cov = dg.ldsc.covstruct(s, np.eye(6) * 1e-4, traits=["A", "B", "C"], I=intercepts)
    to_store(cov, folder / "cov.zarr")
    write_sumstats(folder / "s.zarr", effects(2_000), rows=600)
    return folder


def user_gwas(folder: Path, out: Path, *options: str) -> int:
    stores = [str(folder / "cov.zarr"), str(folder / "s.zarr")]
    return app.invoke(["sem", "user-gwas", *stores, "--out", str(out), *options])


def test_user_gwas_says_what_it_does_and_what_came_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "f1.zarr"
    (tmp_path / "model.txt").write_text(MODEL.replace("; ", "\n"))
    assert user_gwas(folder, out, "--model", str(tmp_path / "model.txt"), "--q-snp") == 0
    printed = capsys.readouterr().out
    assert "Variants   s.zarr 2,000: 2,000 used" in printed
    assert "Plan       2,000 variants x 3 traits, 1 parameter, 4 groups of 600" in printed
    found = dg.open_store(out)
    assert dg.verify(out) == []
    assert "Fits       2,000 converged (100 %)" in printed
    inflation, hits = found.dg.lambda_gc("F1~SNP"), len(found.dg.top("F1~SNP"))
    assert f"F1~SNP: lambda GC {inflation:.4f}, {hits:,} variants at p < 5e-8" in printed
    assert hits > 3
    assert f"next: daskgen plot manhattan {out}" in printed
    summary = json.loads((tmp_path / "f1.zarr.json").read_text())
    assert summary["status"]["0"] == {"text": "converged", "variants": 2_000}
    assert summary["effects"]["F1~SNP"]["n_genome_wide"] == hits
    assert summary["store_id"] == found.attrs["store_id"]
    same = dg.sem.user_gwas(folder / "cov.zarr", folder / "s.zarr", MODEL.replace("; ", "\n"), q_snp=True)
    assert np.array_equal(same["estimate"].values, found["estimate"].values)


def test_the_result_is_described_drawn_and_exported(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    out = str(tmp_path / "f1.zarr")
    assert user_gwas(folder, Path(out), "--model", MODEL, "--q-snp", "--sub", "all") == 0
    capsys.readouterr()
    assert app.invoke(["info", out]) == 0
    printed = capsys.readouterr().out
    assert "Model      F1 =~ NA*A + B + C" in printed
    assert "Traits     A, B, C" in printed
    assert "Fits       2,000 converged" in printed
    assert "Q_SNP of F1 on 2" in printed
    for name in ("manhattan", "qq"):
        figure = tmp_path / f"{name}.png"
        assert app.invoke(["plot", name, out, "--parameter", "F1~SNP", "--out", str(figure)]) == 0
        assert figure.read_bytes().startswith(b"\x89PNG")
    assert app.invoke(["export", "tsv", out, "--for", "genomicsem", "--out", str(tmp_path / "f1.tsv.gz")]) == 0
    lines = gzip.decompress((tmp_path / "f1.tsv.gz").read_bytes()).decode().splitlines()
    assert lines[0].startswith("SNP\tCHR\tBP\tMAF\tA1\tA2\tlhs\top\trhs\tfree\tlabel\test\tSE\t")
    rows = {tuple(line.split("\t")[6:9]) for line in lines[1:]}
    assert ("F1", "=~", "A") in rows
    assert ("F1", "~", "SNP") in rows
    assert (len(lines) - 1) % 2_000 == 0


def test_commonfactor_gwas(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "factor.zarr"
    stores = [str(folder / "cov.zarr"), str(folder / "s.zarr")]
    assert app.invoke(["sem", "commonfactor-gwas", *stores, "--out", str(out)]) == 0
    assert "F1~SNP: lambda GC" in capsys.readouterr().out
    found = dg.open_store(out)
    assert found["estimate"].dims == ("variant",)
    assert app.invoke(["export", "tsv", str(out), "--out", str(tmp_path / "factor.tsv")]) == 0
    assert (tmp_path / "factor.tsv").read_text().startswith("SNP\tCHR\tBP\tMAF\tA1\tA2\ti\tlhs\top\trhs\test\tse_c\t")


def test_a_second_run_needs_force_or_resume(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "f1.zarr"
    assert user_gwas(folder, out, "--model", MODEL) == 0
    assert user_gwas(folder, out, "--model", MODEL) == 3
    assert "exists" in capsys.readouterr().err
    assert user_gwas(folder, out, "--model", MODEL, "--resume") == 0
    assert user_gwas(folder, out, "--model", MODEL, "--gc", "none", "--resume") == 3
    assert "gc: standard before, none now" in capsys.readouterr().err
    assert user_gwas(folder, out, "--model", MODEL, "--gc", "none", "--force") == 0


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("F1 =~ NA*A + B + C; F1 ~~ 1*F1", "the model has no SNP"),
        ("F1 =~ NA*A + B + nothing; F1 ~~ 1*F1; F1 ~ SNP", "nothing"),
        ("F1 =~ NA*A + * C; F1 ~ SNP", "line 1"),
    ],
)
def test_a_model_that_cannot_be_fitted_leaves_nothing(
    model: str, message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "f1.zarr"
    assert user_gwas(folder, out, "--model", model) == 3
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_fits_that_failed_are_counted_and_are_no_error(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = effects(300)
    columns["maf"][:30] = 0.0
    write_sumstats(tmp_path / "bad.zarr", columns)
    command = ["sem", "user-gwas", str(folder / "cov.zarr"), str(tmp_path / "bad.zarr"), "--model", MODEL]
    assert app.invoke([*command, "--out", str(tmp_path / "f1.zarr")]) == 0
    printed = capsys.readouterr().out
    assert "270 converged (90 %)" in printed
    assert "30 effect, standard error or frequency missing or out of range (10 %)" in printed


def test_the_parameter_must_be_named_where_there_are_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    store = result(200).dg.to_store(tmp_path / "r.zarr")
    assert app.invoke(["plot", "qq", store, "--out", str(tmp_path / "q.png")]) == 2
    assert "F1~SNP, T2~SNP" in capsys.readouterr().err
    assert not (tmp_path / "q.png").exists()
