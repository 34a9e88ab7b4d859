"""LD scores and LD-score regression through the commands: convert, simulate, ldsc, ld-scores, export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import daskgen as dg
from daskgen.cli import app
from tests.cli.cohort import write_cohort


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LD scores of two chromosomes as LDSC writes them, converted; simulated statistics of three traits."""
    folder = tmp_path_factory.mktemp("ldsc")
    generator = np.random.default_rng(0)
    (folder / "ld").mkdir()
    for chromosome in (1, 2):
        m = 6_000
        table = pd.DataFrame(
            {"CHR": chromosome, "SNP": [f"rs{chromosome}_{i}" for i in range(m)], "BP": range(1, m + 1)}
        )
        table["L2"] = generator.gamma(1.5, 20, m).round(3)
        table.to_csv(folder / "ld" / f"{chromosome}.l2.ldscore.gz", sep="\t", index=False)
        (folder / "ld" / f"{chromosome}.l2.M_5_50").write_text("20000\n")
    assert app.invoke(["convert", "ld-scores", str(folder / "ld"), "--out", str(folder / "ld.zarr")]) == 0
    (folder / "s.tsv").write_text("mdd\tbmi\tnoise\n.4\t.2\t0\n.2\t.3\t0\n0\t0\t1e-6\n")
    command = ["simulate", "sumstats", str(folder / "ld.zarr"), "--s", str(folder / "s.tsv"), "--n", "20000,50000,9000"]
    assert app.invoke([*command, "--seed", "1", "--out", str(folder / "munged.zarr")]) == 0
    return folder


def ldsc(folder: Path, out: Path, *options: str) -> int:
    stores = [str(folder / "munged.zarr"), str(folder / "ld.zarr")]
    return app.invoke(["ldsc", *stores, "--n-blocks", "50", "--out", str(out), *options])


def test_conversion_says_what_it_found(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["convert", "ld-scores", f"{folder}/ld/@", "--out", str(tmp_path / "l.zarr")]) == 0
    assert "12,000 variants on 2 contigs, 1 annotation" in capsys.readouterr().out
    summary = json.loads((tmp_path / "l.zarr.json").read_text())
    assert summary["variants"] == {"1": 6000, "2": 6000}


def test_ldsc_prints_tables_and_leaves_a_store_a_log_and_a_summary(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cov.zarr"
    assert ldsc(folder, out, "--traits", "bmi,mdd", "--sample-prev", "mdd=0.5", "--population-prev", "mdd=0.1") == 0
    printed = capsys.readouterr().out
    assert "M          40,000 (M_5_50)" in printed
    assert "Trait      bmi: 12,000 variants, 12,000 with LD scores" in printed
    assert "h2 on the liability scale: traits with *" in printed
    found = dg.open_store(out)
    assert found["trait"].values.tolist() == ["bmi", "mdd"]
    row = next(line for line in printed.splitlines() if line.startswith("  mdd*"))
    h2 = found.sel(trait="mdd")
    assert f"{float(h2['h2']):.4f} ({float(h2['h2_se']):.4f})" in row
    pair = next(line for line in printed.splitlines() if line.startswith("  bmi  mdd"))
    assert f"{found['rg'].values[1, 0]:.4f} ({found['rg_se'].values[1, 0]:.4f})" in pair
    assert pair in (tmp_path / "cov.zarr.log").read_text()
    summary = json.loads((tmp_path / "cov.zarr.json").read_text())
    np.testing.assert_allclose(summary["S"], found["S"].values, rtol=1e-12)
    assert dg.verify(out) == []


def test_a_negative_heritability_is_printed_and_its_correlations_are_not(folder: Path) -> None:
    from daskgen.cli.ldsc import correlation_lines, heritability_lines

    munged = dg.open_store(folder / "munged.zarr").compute()
    score = dg.open_store(folder / "ld.zarr")["ld_score"].values[:, 0]
    z = munged["z"].values.copy()
    # The higher the LD score, the smaller the statistic.
    z[2] = np.random.default_rng(2).normal(size=len(score)) * (1.0 - 0.4 * score / score.max())
    result = dg.ldsc.ldsc(munged.assign(z=(munged["z"].dims, z)), folder / "ld.zarr", n_blocks=50)
    assert float(result["h2"][2]) < 0
    assert sum("NA (h2 not positive)" in line for line in correlation_lines(result)) == 2
    assert sum("NA (mean chi2 < 1)" in line for line in heritability_lines(result)) == 1


def test_one_trait_has_no_table_of_correlations(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ldsc(folder, tmp_path / "one.zarr", "--traits", "mdd", "--select", "odd") == 0
    printed = capsys.readouterr().out
    assert "M          20,000 (M_5_50)" in printed
    assert "Genetic correlation" not in printed


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--traits", "nobody"], 3, "no trait nobody"),
        (["--sample-prev", "2", "--population-prev", "0.1"], 3, "between 0 and 1"),
        (["--sample-prev", "x", "--population-prev", "0.1"], 2, "is not a number"),
        (["--select", "9"], 3, "no contig 9"),
        (["--sep-weights"], 3, "no separate weights"),
        (["--n-blocks", "20000"], 3, "fewer variants than the jackknife needs"),
    ],
)
def test_bad_input_leaves_nothing(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, message: str
) -> None:
    assert ldsc(folder, tmp_path / "cov.zarr", *options) == code
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_existing_result_is_replaced_only_with_force(tmp_path: Path, folder: Path) -> None:
    assert ldsc(folder, tmp_path / "cov.zarr") == 0
    assert ldsc(folder, tmp_path / "cov.zarr") == 3
    assert ldsc(folder, tmp_path / "cov.zarr", "--force") == 0


def test_a_result_goes_to_r_and_back(tmp_path: Path, folder: Path) -> None:
    assert ldsc(folder, tmp_path / "cov.zarr", "--traits", "mdd,bmi") == 0
    assert app.invoke(["export", "covstruct", str(tmp_path / "cov.zarr"), "--out", str(tmp_path / "c.json")]) == 0
    assert app.invoke(["convert", "covstruct", str(tmp_path / "c.json"), "--out", str(tmp_path / "back.zarr")]) == 0
    one, two = dg.open_store(tmp_path / "cov.zarr"), dg.open_store(tmp_path / "back.zarr")
    np.testing.assert_array_equal(one["V"], two["V"])
    assert app.invoke(["export", "covstruct", str(tmp_path / "cov.zarr"), "--out", str(tmp_path / "c.xlsx")]) == 2


def test_ld_scores_of_a_genotype_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bed = write_cohort(tmp_path / "cohort")
    assert app.invoke(["convert", "genotypes", str(bed), "--out", str(tmp_path / "g.zarr")]) == 0
    capsys.readouterr()
    out = str(tmp_path / "l.zarr")
    assert app.invoke(["ld-scores", str(tmp_path / "g.zarr"), "--window", "1000kb", "--out", out]) == 0
    printed = capsys.readouterr().out
    assert "variants that do not vary" in printed
    stored = dg.open_store(out)
    summary = json.loads(Path(f"{out}.json").read_text())
    assert summary["M"] == [stored.sizes["variants"]]
    assert (summary["n_samples"], summary["annotations"]) == (5, ["L2"])
    assert app.invoke(["ld-scores", str(tmp_path / "g.zarr"), "--out", str(tmp_path / "cm.zarr")]) == 3
    assert "no genetic positions" in capsys.readouterr().err
