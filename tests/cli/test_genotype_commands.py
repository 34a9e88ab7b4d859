"""Genotypes through the commands: convert, info, verify, export, statistics, components."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from daskgen.cli import app
from daskgen.stores import open_group
from tests.cli.cohort import CODES, write_cohort
from tests.conversion.bgen_files import bgen


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    bed = write_cohort(folder / "cohort")
    assert app.invoke(["convert", "genotypes", str(bed), "--out", str(folder / "cohort.zarr")]) == 0
    return folder


@pytest.fixture
def folder(converted: Path, tmp_path: Path) -> Path:
    """A copy of the converted cohort that the test may spoil."""
    return shutil.copytree(converted, tmp_path / "copy")


def test_convert_prints_what_it_made_and_leaves_log_and_summary(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "again.zarr"
    assert app.invoke(["convert", "genotypes", str(folder / "cohort.bed"), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("daskgen ")
    assert "7 on 4 contigs" in printed
    assert "rs0 A (not G)" in printed
    assert "1 variants monomorphic, 1 never called" in printed
    assert printed.splitlines()[0] in Path(f"{out}.log").read_text()
    summary = json.loads(Path(f"{out}.json").read_text())
    assert (summary["n_samples"], summary["n_variants"], summary["exit_code"]) == (5, 7, 0)


def test_convert_does_not_overwrite_without_force(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["convert", "genotypes", str(folder / "cohort.bed"), "--out", str(folder / "cohort.zarr")]
    before = (folder / "cohort.zarr" / "zarr.json").read_bytes()
    assert app.invoke(command) == 3
    assert "--force" in capsys.readouterr().err
    assert (folder / "cohort.zarr" / "zarr.json").read_bytes() == before
    assert app.invoke([*command, "--force"]) == 0
    assert (folder / "cohort.zarr" / "zarr.json").read_bytes() != before


def test_a_source_that_is_not_there_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["convert", "genotypes", str(tmp_path / "no.bed"), "--out", str(tmp_path / "x.zarr")]) == 3
    assert capsys.readouterr().err.endswith("(exit 3; nothing written)\n")
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_source_leaves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bed = folder / "cohort.bed"
    bed.write_bytes(bed.read_bytes()[:-1])
    assert app.invoke(["convert", "genotypes", str(bed), "--out", str(folder / "x.zarr")]) == 3
    assert "(exit 3; nothing written)" in capsys.readouterr().err
    assert not list(folder.glob("x.zarr*"))


def test_a_dry_run_prints_the_plan_and_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.rglob("*"))
    out = str(folder / "x.zarr")
    assert app.invoke(["convert", "genotypes", str(folder / "cohort.bed"), "--out", out, "--dry-run"]) == 0
    assert "Plan " in capsys.readouterr().out
    assert sorted(folder.rglob("*")) == before


def test_options_for_imputed_genotypes_reach_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = bgen(tmp_path / "c.bgen", m=9, n=6, contigs=("",), ids=False)
    (tmp_path / "named.sample").write_text("ID_1 ID_2 missing\n0 0 0\n" + "".join(f"F{i} S{i} 0\n" for i in range(6)))
    options = ["--sample-file", str(tmp_path / "named.sample"), "--hard-call-threshold", "0.2", "--dosage-bits", "8"]
    options += ["--no-hard-calls", "--default-contig", "7", "--ref", "last"]
    out = tmp_path / "c.zarr"
    assert app.invoke(["convert", "genotypes", str(path), "--out", str(out), *options]) == 0
    assert "Counted    allele 1: rs0 A (not G)" in capsys.readouterr().out
    group = open_group(out)
    assert "call_genotype_packed" not in group
    assert dict(group["call_dosage"].attrs)["hard_call_threshold"] == 0.2
    assert dict(group["call_dosage"].attrs)["dosage_bits"] == 8
    assert group["contig_id"][...].tolist() == ["7"]
    assert group["sample_id"][...].tolist() == [f"S{i}" for i in range(6)]
    assert app.invoke(["info", str(out)]) == 0
    assert "Dosages    without hard calls" in capsys.readouterr().out
    for wrong in (["--dosage-bits", "12"], ["--hard-call-threshold", "0.5"], ["--no-hard-calls", "--dosages", "no"]):
        assert app.invoke(["convert", "genotypes", str(path), "--out", str(tmp_path / "d.zarr"), *wrong]) == 2


def test_a_text_matrix_takes_a_map(tmp_path: Path) -> None:
    (tmp_path / "markers.csv").write_text("ID,a,b\nx,0,1\ny,2,9\n")
    (tmp_path / "map.csv").write_text("marker,chromosome,position\na,1,10\nb,2,20\n")
    command = ["convert", "genotypes", str(tmp_path / "markers.csv"), "--out", str(tmp_path / "c.zarr")]
    assert app.invoke([*command, "--variant-file", str(tmp_path / "map.csv")]) == 0
    group = open_group(tmp_path / "c.zarr")
    assert group["contig_id"][...].tolist() == ["1", "2"]
    assert group["variant_position"][...].tolist() == [10, 20]


def test_samples_are_selected_by_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "keep.txt").write_text("I4\nI1\n")
    out = str(folder / "two.zarr")
    command = ["convert", "genotypes", str(folder / "cohort.bed"), "--keep", str(folder / "keep.txt"), "--contig", "1"]
    assert app.invoke([*command, "--out", out]) == 0
    summary = json.loads(Path(out + ".json").read_text())
    assert (summary["n_samples"], summary["n_variants"]) == (2, 3)


def test_info_shows_kind_sizes_and_arrays(converted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["info", str(converted / "cohort.zarr")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("cohort.zarr: genotypes, format 1, daskgen ")
    assert "5 (2 male, 2 female, 1 unknown)" in printed
    assert "7 on 4 contigs: 1 (3), 2 (2), 22 (1), X (1)" in printed
    assert "cohort.bed" in printed
    assert "call_genotype_packed" in printed
    assert "7 x 2" in printed


def test_info_of_what_is_no_store_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["info", str(tmp_path)]) == 3
    assert capsys.readouterr().err.endswith("(exit 3)\n")


def test_verify_ends_with_0_for_a_whole_store(converted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["verify", str(converted / "cohort.zarr")]) == 0
    assert "cohort.zarr: whole" in capsys.readouterr().out


def test_verify_names_a_damaged_array_and_ends_with_3(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chunk = next(path for path in (folder / "cohort.zarr" / "sample_sex" / "c").rglob("*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-1] + bytes([chunk.read_bytes()[-1] ^ 1]))
    assert app.invoke(["verify", str(folder / "cohort.zarr")]) == 3
    assert "sample_sex" in capsys.readouterr().out


def test_export_gives_the_same_bed_again(folder: Path) -> None:
    assert app.invoke(["export", "bed", str(folder / "cohort.zarr"), "--out", str(folder / "back")]) == 0
    assert (folder / "back.bed").read_bytes() == (folder / "cohort.bed").read_bytes()
    for suffix in ("bim", "fam"):
        written = (folder / f"back.{suffix}").read_text().split()
        assert written == (folder / f"cohort.{suffix}").read_text().split()


def test_export_does_not_overwrite_without_force(folder: Path) -> None:
    command = ["export", "bed", str(folder / "cohort.zarr"), "--out", str(folder / "cohort")]
    before = (folder / "cohort.bed").stat().st_mtime_ns
    assert app.invoke(command) == 3
    assert (folder / "cohort.bed").stat().st_mtime_ns == before
    assert app.invoke([*command, "--force"]) == 0


def test_variant_stats_are_a_table_with_a_row_per_variant(folder: Path) -> None:
    out = folder / "variants.tsv"
    assert app.invoke(["variant-stats", str(folder / "cohort.zarr"), "--out", str(out)]) == 0
    table = pd.read_csv(out, sep="\t", dtype={"contig": str})
    assert table["variant_id"].tolist() == [f"rs{i}" for i in range(7)]
    called = (CODES >= 0).sum(axis=1)
    assert table["n_called"].tolist() == called.tolist()
    frequency = np.where(CODES >= 0, CODES, 0).sum(axis=1) / np.where(called > 0, 2 * called, np.nan)
    # The last variant is on X, where males have one copy.
    np.testing.assert_allclose(table["allele_frequency"][:6], frequency[:6], rtol=1e-6)


def test_sample_stats_are_a_table_with_a_row_per_sample(folder: Path) -> None:
    out = folder / "samples.tsv.gz"
    assert app.invoke(["sample-stats", str(folder / "cohort.zarr"), "--out", str(out)]) == 0
    table = pd.read_csv(out, sep="\t")
    assert table["sample_id"].tolist() == [f"I{i}" for i in range(5)]
    assert table["n_called"].tolist() == (CODES >= 0).sum(axis=0).tolist()


def test_a_table_is_not_overwritten_without_force(folder: Path) -> None:
    out = folder / "variants.tsv"
    out.write_text("mine\n")
    command = ["variant-stats", str(folder / "cohort.zarr"), "--out", str(out)]
    assert app.invoke(command) == 3
    assert out.read_text() == "mine\n"
    assert app.invoke([*command, "--force"]) == 0
    assert out.read_text() != "mine\n"


def test_pca_writes_a_table_or_a_store(folder: Path) -> None:
    cohort = str(folder / "cohort.zarr")
    assert app.invoke(["pca", cohort, "--n", "2", "--out", str(folder / "pca.tsv")]) == 0
    table = pd.read_csv(folder / "pca.tsv", sep="\t")
    assert list(table.columns) == ["sample_id", "PC1", "PC2"]
    assert app.invoke(["pca", cohort, "--n", "2", "--out", str(folder / "pca.zarr")]) == 0
    assert app.invoke(["verify", str(folder / "pca.zarr")]) == 0
    import daskgen as dg

    stored = dg.open_store(folder / "pca.zarr")
    np.testing.assert_allclose(table[["PC1", "PC2"]], stored["scores"], atol=1e-6)


def test_simulated_cohorts_depend_on_the_seed_alone(tmp_path: Path) -> None:
    import daskgen as dg

    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        sizes = ["--n-samples", "17", "--n-variants", "41", "--seed", seed]
        assert app.invoke(["simulate", "genotypes", *sizes, "--out", str(tmp_path / f"{name}.zarr")]) == 0
    a, b, c = (dg.open_store(tmp_path / f"{name}.zarr").call_genotype.values for name in "abc")
    assert (a == b).all()
    assert (a != c).any()


def test_a_plan_over_the_memory_limit_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "pca.tsv"
    assert app.invoke(["pca", str(folder / "cohort.zarr"), "--memory-limit", "1kB", "--out", str(out)]) == 2
    assert "(exit 2; nothing written)" in capsys.readouterr().err
    assert not list(folder.glob("pca*"))
