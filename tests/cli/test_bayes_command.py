"""daskgen bayes: its files, its messages, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import daskgen as dg
from daskgen import bayes
from daskgen.bayes import chains
from daskgen.cli import app
from daskgen.errors import InputError, UsageError

SHORT = ["--chain-length", "30", "--burn-in", "10", "--chains", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, phenotypes of two traits, covariates and weights."""
    folder = tmp_path_factory.mktemp("bayes")
    dg.simulate.genotypes(str(folder / "g.zarr"), n_samples=80, n_variants=40, seed=1)
    ids = dg.open_store(str(folder / "g.zarr"))["sample_id"].values.tolist()
    rng = np.random.default_rng(0)
    pheno = pd.DataFrame({"FID": "f", "IID": ids, "a": rng.standard_normal(80), "b": rng.standard_normal(80)})
    rare = dg.open_store(str(folder / "g.zarr"))["variant_allele_frequency"].values.argmin()
    (folder / "rare.txt").write_text(f"{dg.open_store(str(folder / 'g.zarr'))['variant_id'].values[rare]}\n")
    pheno["none"], pheno["flat"] = np.nan, 1.0
    pheno.to_csv(folder / "y.txt", sep="\t", index=False, na_rep="NA")
    pd.concat([pheno, pheno.iloc[:30]]).to_csv(folder / "twice.txt", sep="\t", index=False, na_rep="NA")
    pheno.assign(IID=[f"x{i}" for i in range(80)]).to_csv(folder / "others.txt", sep="\t", index=False, na_rep="NA")
    covariates = pd.DataFrame({"IID": ids, "age": rng.standard_normal(80), "litter": [f"L{i % 9}" for i in range(80)]})
    covariates.assign(double=2 * covariates["age"] + 1).to_csv(folder / "x.txt", sep="\t", index=False)
    pd.DataFrame({"IID": ids, "w": np.linspace(0, 1, 80)}).to_csv(folder / "w.txt", sep="\t", index=False)
    return folder


def call(folder: Path, out: Path, *options: str, pheno: str = "y.txt", name: str = "a") -> int:
    return app.invoke(
        ["bayes", "--genotypes", str(folder / "g.zarr"), "--pheno", str(folder / pheno), "--pheno-name", name,
         *SHORT, *options, "--out", str(out)]
    )  # fmt: skip


def test_one_trait(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "fit.zarr"
    code = call(folder, out, "--covar", str(folder / "x.txt"), "--covar-name", "age", "--random", "litter", "--tsv",
                "--windows", "10snp")  # fmt: skip
    assert code == 4  # 40 draws are not enough
    assert "heritability" in capsys.readouterr().out
    posterior = bayes.Posterior.open(out)
    table = pd.read_csv(f"{out}.breeding_values.tsv", sep="\t")
    np.testing.assert_allclose(table["mean"], posterior.breeding_values["mean"], rtol=1e-6, atol=1e-12)
    assert {"mean", "sd", "pip", "variant_id"} <= set(pd.read_csv(f"{out}.effects.tsv", sep="\t").columns)
    assert {"share", "wppa"} <= set(pd.read_csv(f"{out}.windows.tsv", sep="\t").columns)
    assert "heritability" in {row["quantity"] for row in json.loads(Path(f"{out}.json").read_text())["diagnostics"]}
    assert "variance_litter" in posterior.diagnostics().index


def test_a_run_stopped_while_it_writes_its_result_samples_no_more(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(bayes.Posterior, "to_store", stopped)
        assert call(folder, tmp_path / "fit.zarr") != 0
    saved = tmp_path / "fit.zarr.checkpoint"
    assert saved.exists()
    with monkeypatch.context() as patched:
        patched.setattr(chains.ChainsOfKernel, "advance", stopped)
        assert call(folder, tmp_path / "fit.zarr", "--resume") == 4  # 40 draws are not enough
    assert not saved.exists()
    assert call(folder, tmp_path / "whole.zarr") == 4
    one, two = (bayes.Posterior.open(tmp_path / f"{name}.zarr").breeding_values for name in ("fit", "whole"))
    np.testing.assert_array_equal(one["mean"], two["mean"])


def test_two_traits(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "fit.zarr"
    assert call(folder, out, "--pi", "00=0.8,11=0.2", "--tsv", name="a,b") in (0, 4)
    assert "genetic_correlation_a_b" in capsys.readouterr().out
    posterior = bayes.Posterior.open(out)
    assert posterior.marker_effects["state_probability"]["state"].values.tolist() == ["00", "11"]
    assert {"mean_a", "mean_b", "reliability_b"} <= set(pd.read_csv(f"{out}.breeding_values.tsv", sep="\t").columns)
    assert {"pip_a", "state_11"} <= set(pd.read_csv(f"{out}.effects.tsv", sep="\t").columns)


def test_repeated_records_and_sets(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "fit.zarr"
    store = str(folder / "g.zarr")
    code = app.invoke(
        ["bayes", "--genotypes", f"one={store}", "--genotypes", f"two={store}", "--pheno", str(folder / "twice.txt"),
         "--pheno-name", "a", "--method", "RR-BLUP", *SHORT, "--out", str(out)]
    )  # fmt: skip
    assert code in (0, 4)
    assert {"marker_variance_one", "marker_variance_two"} <= set(bayes.Posterior.open(out).diagnostics().index)


BAD = {
    "ids": (["others.txt"], {}, "none of the 80 sample ids"),
    "all missing": (["y.txt", "none"], {}, "too few samples"),
    "constant": (["y.txt", "flat"], {}, "constant"),
    "pi": (["y.txt"], {"pi": 1.5}, "pi must lie in"),
    "weights": (["y.txt"], {"weights": "w.txt"}, "weights must be above 0"),
    "burn-in": (["y.txt"], {"burn_in": 30}, "not longer than its burn-in"),
    "collinear": (["y.txt"], {"covariates": "x.txt", "covar_name": "age,double"}, "combination of the others"),
    "monomorphic": (["y.txt"], {"maf_min": 0.45, "extract": "rare.txt"}, "no marker of markers is left"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_alike_from_python_and_the_command(
    case: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, options, message = BAD[case]
    name = table[1] if len(table) > 1 else "a"
    options = {key: str(folder / value) if str(value).endswith(".txt") else value for key, value in options.items()}
    python = {"chain_length": 30, "burn_in": 10, "chains": 2, "pheno_name": name, **options}
    with pytest.raises((InputError, UsageError), match=message):
        bayes.fit(str(folder / "g.zarr"), str(folder / table[0]), **python)
    words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    words = ["--covar" if word == "--covariates" else word for word in words]
    assert call(folder, tmp_path / "fit.zarr", *words, pheno=table[0], name=name) in (2, 3)
    assert message.split("(")[0] in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "fit.zarr").exists()


@pytest.mark.parametrize("blocks", [[0, 5, 3], [0, 5, 5], [0, 500], [1, 5]])
def test_bad_block_starts(blocks: list[int], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="start") as caught:
        bayes.fit(
            str(folder / "g.zarr"), str(folder / "y.txt"), pheno_name="a", blocks=blocks, burn_in=1, chain_length=5
        )
    assert call(folder, tmp_path / "fit.zarr", "--blocks", ",".join(map(str, blocks))) == 2
    assert str(caught.value).split("\n")[0] in capsys.readouterr().err


def test_a_store_that_changed_since_the_checkpoint(folder: Path, tmp_path: Path) -> None:
    state, path = tmp_path / "state.npz", str(tmp_path / "g.zarr")
    dg.simulate.genotypes(path, n_samples=80, n_variants=40, seed=1)
    arguments = {"pheno_name": "a", "chain_length": 30, "burn_in": 10, "chains": 1, "checkpoint": state}

    def advance(self, *_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chains.ChainsOfKernel, "advance", advance)
        with pytest.raises(KeyboardInterrupt):
            bayes.fit(path, str(folder / "y.txt"), **arguments)
    dg.simulate.genotypes(path, n_samples=80, n_variants=40, seed=2, force=True)
    with pytest.raises(dg.errors.ResumeError, match="another run"):
        bayes.fit(path, str(folder / "y.txt"), **arguments)


def test_monomorphic_markers_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    codes = np.random.default_rng(0).binomial(2, 0.4, (50, 10))
    codes[:, 3] = 1
    with caplog.at_level("INFO"):
        posterior = bayes.fit(codes, codes[:, 0] + np.arange(50.0), chain_length=20, burn_in=5, chains=1)
    assert "1 markers without variation in the training samples" in caplog.text
    assert posterior.dataset.sizes["variant"] == 9


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("burnIn", "burn_in"), ("nIter", "chain_length"), ("Pi", "pi"), ("probIn", "1 - probIn"),
        ("fast_blocks", "jwas"), ("heterogeneous_residuals", "weights"), ("output_samples_frequency", "thin"),
        ("G", "genetic_variance"), ("ETA", "arguments of their own"), ("annotations", "no such model yet"),
        ("single_step_analysis", "no such model"),
    ],
)  # fmt: skip
def test_arguments_of_jwas_and_bglr_are_answered_with_ours(theirs: str, ours: str) -> None:
    with pytest.raises(UsageError, match=ours):
        bayes.fit(np.zeros((3, 2)), np.zeros(3), **{theirs: 1})
