"""What cannot be used is refused by functions and commands alike, before any work; bad rows have a status."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import daskgen as dg
from daskgen.cli import app
from daskgen.errors import DaskgenError
from daskgen.sem.per_snp import Status
from daskgen.stores import RunKey, write_result
from tests.sem.small import TRAITS, structure_of
from tests.sem.stand_in import effects, write_sumstats

N, ROWS = 500, 100
ONE = "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1\nF1 ~ SNP"


def covariance() -> xr.Dataset:
    return structure_of(I=np.eye(6), N=np.full(21, 1e5))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    dg.ldsc.to_store(covariance(), folder / "covstruct.zarr")
    write_sumstats(folder / "sumstats.zarr", effects(N), TRAITS[:3], rows=ROWS)
    return folder


def changed(folder, name, change):
    """The covariance structure with an array of it changed, as a store that no function of daskgen would write."""
    path = folder / f"{name}.zarr"
    if not path.exists():
        write_result(path, change(covariance()), kind="covstruct", run=RunKey("test", {"name": name}))
    return path


COVARIANCES = {
    "V of fewer traits": (
        lambda d: d.drop_vars(["V", "V_Stand", "vech_2", "vech", "N"]).assign(V=(("vech", "vech_2"), np.eye(10))),
        "V does not fit S of 6 traits",
    ),
    "negative N": (lambda d: d.assign(N=d["N"] * -1), "N has a sample size that is not positive"),
    "negative variance": (lambda d: d.assign(V=-d["V"]), "V has a sampling variance that is not positive"),
    "infinite S": (lambda d: d.assign(S=d["S"] * np.inf), "S has values that are not finite"),
}


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize("what", ["usermodel", "user-gwas", "commonfactor", "commonfactor-gwas"])
def test_a_covariance_structure_that_cannot_be_one(folder, name, what, tmp_path, capsys):
    change, says = COVARIANCES[name]
    path, model = str(changed(folder, name, change)), ONE if what.endswith("gwas") else ONE.replace("\nF1 ~ SNP", "")
    function = getattr(dg.sem, what.replace("-", "_"))
    sumstats = [str(folder / "sumstats.zarr")] if what.endswith("gwas") else []
    with pytest.raises(DaskgenError, match=says):
        function(path, *sumstats, *([model] if what.startswith("user") else []))
    model_given = {"usermodel": [model], "user-gwas": ["--model", model]}.get(what, [])
    out = tmp_path / "out.zarr"
    assert app.invoke(["sem", what, path, *sumstats, *model_given, "--out", str(out)]) == 3
    assert says in capsys.readouterr().err
    assert not out.exists()


MODELS = {
    "a trait that covstruct lacks": (ONE.replace("T3", "T9"), r"T9"),
    "a trait that sumstats lack": (ONE.replace("T3", "T4"), "no trait T4"),
    "no SNP": (ONE.replace("\nF1 ~ SNP", ""), "the model has no SNP"),
    "a trait twice": (ONE.replace("+ T3", "+ T3 + T3"), "T3"),
    "not identified": (ONE.replace("\nF1 ~~ 1*F1", ""), "not identified"),
    "more effects than moments": (ONE + "\nT1 + T2 + T3 ~ SNP", "rank"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_cannot_be_fitted(folder, name, tmp_path, capsys):
    model, says = MODELS[name]
    stores = [str(folder / "covstruct.zarr"), str(folder / "sumstats.zarr")]
    with pytest.raises(DaskgenError) as caught:
        dg.sem.user_gwas(*stores, model)
    assert says in str(caught.value)
    assert app.invoke(["sem", "user-gwas", *stores, "--model", model, "--out", str(tmp_path / "out.zarr")]) == 3
    assert str(caught.value).splitlines()[0] in capsys.readouterr().err
    assert not (tmp_path / "out.zarr").exists()


def test_models_without_a_snp_are_refused_alike(folder, capsys):
    store = str(folder / "covstruct.zarr")
    for model, says in (
        ("F1 =~ NA*T1 + T2 + T9\nF1 ~~ 1*F1", "T1, T2, T3, T4, T5, T6"),
        ("F1 =~ NA*T1 + T2 + T3", "not identified"),
        ("F1 =~ NA*T1 + T2 + T3 + T3\nF1 ~~ 1*F1", "T3"),
    ):
        with pytest.raises(DaskgenError) as caught:
            dg.sem.usermodel(store, model)
        assert says in str(caught.value)
        assert app.invoke(["sem", "usermodel", store, model]) == 3
        assert says in capsys.readouterr().err


@pytest.mark.parametrize("what", ["user-gwas", "commonfactor-gwas"])
def test_bad_rows_have_a_status_and_stop_nothing(what, tmp_path):
    """MAF 0, infinite effects, errors of 0, and a chunk in which nothing is there."""
    covstruct = structure_of(I=np.eye(6)).sel(trait=list(TRAITS[:3]), trait_2=list(TRAITS[:3]))
    covstruct = dg.ldsc.covstruct(covstruct["S"].values, np.diag(np.full(6, 1e-4)), traits=TRAITS[:3], I=np.eye(3))
    dg.ldsc.to_store(covstruct, tmp_path / "covstruct.zarr")
    bad = effects(N)
    bad["maf"][3], bad["beta"][1, 5], bad["se"][0, 8] = 0.0, np.inf, 0.0
    for name in ("beta", "se"):
        bad[name][:, ROWS : 2 * ROWS] = np.nan
    write_sumstats(tmp_path / "sumstats.zarr", bad, TRAITS[:3], rows=ROWS)
    call = ["sem", what, str(tmp_path / "covstruct.zarr"), str(tmp_path / "sumstats.zarr")]
    model = ["--model", ONE] if what == "user-gwas" else []
    assert app.invoke([*call, *model, "--out", str(tmp_path / "out.zarr")]) == 0
    found = dg.open_store(tmp_path / "out.zarr")
    status = dict(zip(found["variant_id"].values.tolist(), found["status"].values.tolist(), strict=True))
    assert all(status[f"rs{i}"] == Status.BAD_INPUT for i in (3, 5, 8))
    assert not {f"rs{i}" for i in range(ROWS, 2 * ROWS)} & set(status)  # no trait has them
    assert len(status) == N - ROWS
    assert sum(code == Status.CONVERGED for code in status.values()) >= N - ROWS - 10
    assert dg.verify(tmp_path / "out.zarr") == []
