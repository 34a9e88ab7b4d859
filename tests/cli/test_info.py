"""daskgen info says what matters in each kind of store of summary statistics."""

from __future__ import annotations

import numpy as np
import pytest

import conversion
import daskgen as dg
from daskgen.cli import app
from tests.conversion.summary.files import gwas, reference


def lines_of(capsys, *arguments):
    assert app.invoke(["info", *map(str, arguments)]) == 0
    return capsys.readouterr().out.splitlines()


def cells(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


@pytest.fixture
def munged(tmp_path):
    one = gwas(tmp_path, "one.tsv")
    two = gwas(
        tmp_path,
        "two.tsv",
        header="SNP A1 A2 BETA SE P",
        rows=[("rs1", "A", "G", 0.1, 0.05, 0.0455), ("rs9", "A", "G", 0.1, 0.05, 0.0455)],
    )
    path = tmp_path / "m.zarr"
    prevalences = {"sample_prev": {"two": 0.5}, "population_prev": {"two": 0.01}}
    n = {"n": {"two": 5000}, "n_kind": {"two": "effective"}}
    conversion.munge([one, two], reference(tmp_path), path, **n, **prevalences)
    return path


def test_a_munged_store_shows_sample_sizes_with_their_kind_and_the_fate_of_rows(munged, capsys):
    lines = lines_of(capsys, munged)
    assert lines[0].startswith("m.zarr: sumstats")
    assert "Purpose    ldsc: z and n, for LD-score regression" in lines
    assert "Variants   5 on 2 contigs: 1 (3), 2 (2)" in lines
    head = next(i for i, line in enumerate(lines) if line.startswith("  trait"))
    assert cells(lines[head + 1])[:2] == ["one", "1,000 total"]
    assert "two.tsv" in lines[head + 2]
    assert "5,000 effective" in lines[head + 2]
    assert "0.5 in 0.01" in lines[head + 2]
    assert "Left out   two: 1 not_in_reference" in lines


def test_a_gwas_store_shows_scales(tmp_path, capsys):
    path = tmp_path / "g.zarr"
    conversion.sumstats([gwas(tmp_path)], reference(tmp_path), path, scale="linear")
    lines = lines_of(capsys, path)
    assert "Purpose    gwas: beta and se, for models with SNPs" in lines
    assert any("linear" in line and line.startswith("  gwas") for line in lines)


def test_a_store_of_many_traits_stays_on_a_screen(tmp_path, capsys):
    ld = dg.simulate.ld_scores(tmp_path / "ld.zarr", n_variants=200, contigs=1)
    path = dg.simulate.sumstats(tmp_path / "s.zarr", ld, S=np.eye(30) * 0.2, N=1000)
    lines = lines_of(capsys, path)
    assert "  ... 30 traits in all" in lines
    assert len([line for line in lines if "1,000 total" in line]) == 12
    assert any(line.startswith("Simulated  with seed 0") for line in lines)


def test_ld_scores_show_their_range_m_and_weights(tmp_path, capsys):
    path = dg.simulate.ld_scores(tmp_path / "ld.zarr", n_variants=2000, contigs=2)
    lines = lines_of(capsys, path)
    score = dg.open_store(path)["ld_score"].values
    row = cells(next(line for line in lines if line.startswith("  L2")))
    assert row == ["L2", f"{score.mean():.4g}", f"{score.min():.4g}", f"{score.max():.4g}", "10,000"]
    assert "Weights    none of their own: the scores serve" in lines


def structure(tmp_path, h2):
    s = np.full((3, 3), 0.05)
    np.fill_diagonal(s, h2)
    result = dg.ldsc.covstruct(s, np.eye(6) * 1e-4, traits=["A", "B", "C"], I=np.eye(3), m=1000.0)
    return dg.ldsc.to_store(result, tmp_path / "c.zarr")


def test_a_covariance_structure_shows_heritabilities_and_correlations(tmp_path, capsys):
    lines = lines_of(capsys, structure(tmp_path, [0.2, 0.3, 0.4]))
    assert any("3 traits; V 6 x 6, positive definite" in line and "M 1,000" in line for line in lines)
    assert cells(next(line for line in lines if line.startswith("  A ")))[:2] == ["A", "0.2000 (0.0100)"]
    at = next(i for i, line in enumerate(lines) if line.startswith("  rg"))
    assert cells(lines[at + 2]) == ["C", f"{0.05 / np.sqrt(0.08):.3f}", f"{0.05 / np.sqrt(0.12):.3f}"]


def test_a_structure_from_elsewhere_is_shown_as_a_complete_one(tmp_path, capsys):
    path = structure(tmp_path, [0.2, 0.3, 0.4])
    text = conversion.export_covstruct(path, tmp_path / "c.json")
    imported = conversion.covstruct(text, tmp_path / "i.zarr").path
    ours, theirs = ([line for line in lines_of(capsys, store) if line.startswith("  ")] for store in (path, imported))
    assert "  rg  A      B" in ours
    at = ours.index("  rg  A      B") + 3
    assert theirs[:at] == ours[:at]


def test_undefined_correlations_are_na_and_the_heritability_is_shown(tmp_path, capsys):
    lines = lines_of(capsys, structure(tmp_path, [0.2, -0.01, 0.4]))
    assert any("-0.0100 (0.0100)" in line for line in lines)
    at = next(i for i, line in enumerate(lines) if line.startswith("  rg"))
    assert cells(lines[at + 1]) == ["B", "NA"]


def test_many_arrays_are_named_and_shown_whole_with_v(tmp_path, capsys):
    ld = dg.simulate.ld_scores(tmp_path / "ld.zarr", n_variants=2000, contigs=1)
    munged = dg.simulate.sumstats(tmp_path / "s.zarr", ld, S=np.eye(2) * 0.4, N=50_000, seed=1)
    path = dg.ldsc.to_store(dg.ldsc.ldsc(munged, ld, n_blocks=20), tmp_path / "c.zarr")
    short, long = lines_of(capsys, path), lines_of(capsys, path, "-v")
    assert len(short) < 30
    assert any(line.startswith("Arrays     I, I_se, N, S") for line in short)
    assert any(line.startswith("lambda_gc") and "float64" in line for line in long)
    assert "; 20 blocks" in "\n".join(short)
