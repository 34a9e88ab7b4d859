"""Input that cannot be analysed, through the function and the command: what is said, and that nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from daskgen import reml
from daskgen.cli import app
from daskgen.errors import DaskgenError
from tests.genotypes.cohort import store
from tests.reml.data import cohort

N = 60


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return cohort(tmp_path_factory.mktemp("reml"), n=N, m=80, seed=4)


@pytest.fixture(scope="module")
def still(tmp_path_factory, people):
    """The cohort with no variant that varies, and one that some variants of vary."""
    folder = tmp_path_factory.mktemp("still")
    calls = people.calls.copy()
    calls[40:60], calls[60:] = 1, -1
    return store(folder / "none.zarr", np.ones_like(calls)), store(folder / "some.zarr", calls)


def frame(people, **columns):
    return pd.DataFrame(columns, index=people.ids)


def both(people, folder, phenotypes, covariates=None, *, match, code=3, components=None, genotypes=None, options=()):
    """The same mistake through `reml.fit` and `daskgen reml`; returns what the command printed."""
    path = genotypes or people.path
    with pytest.raises(DaskgenError, match=match) as caught:
        reml.fit(path, phenotypes, covariates, components=components)
    assert caught.value.exit_code == code
    command = ["reml", "--genotypes", path, "--out", str(folder / "fit"), *options]
    for name, table in (("--pheno", phenotypes), ("--covar", covariates)):
        if table is not None:
            file = folder / f"{name[2:]}.tsv"
            table.rename_axis("IID").reset_index().to_csv(file, sep="\t", index=False, na_rep="NA")
            command += [name, str(file)]
    if components is not None:
        file = folder / "components.json"
        sets = [{"name": k, "variant_indices": np.asarray(v).tolist()} for k, v in components.items()]
        file.write_text(json.dumps({"components": sets}))
        command += ["--components", str(file)]
    assert app.invoke(command) == code
    assert not [p for p in Path(folder).glob("fit*") if p.suffix != ".log"]
    return caught.value


def test_no_sample_in_common_shows_examples(people, tmp_path, capsys):
    other = pd.DataFrame({"y": np.arange(5.0)}, index=[f"z{i}" for i in range(5)])
    both(people, tmp_path, other, match="none of the 5 sample ids")
    printed = capsys.readouterr().err
    assert "z0, z1, z2" in printed
    assert "s0, s1, s2" in printed


def test_a_sample_twice(people, tmp_path):
    y = people.phenotype(seed=1).to_frame()
    both(people, tmp_path, pd.concat([y, y.iloc[:2]]), match="s0")


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda y: y * 0 + 2, "constant"),
        (lambda y: y.where(y.index == "s3"), "more than one sample"),
        (lambda y: y.where(y.index.isin(["s3", "s4", "s5"])), "more samples than fixed effects"),
        (lambda y: y.where(y.index != "s7", np.inf), "finite|inf"),
    ],
)
def test_phenotypes(people, tmp_path, make, match):
    y = make(people.phenotype(seed=1)).to_frame("y")
    covariates = frame(people, a=np.linspace(0, 1, N) ** 2 + 0.1, b=np.sin(np.arange(N) * 1.7))
    both(people, tmp_path, y, covariates, match=match)


def test_covariates_that_are_all_missing_or_infinite(people, tmp_path):
    y = people.phenotype(seed=1).to_frame("y")
    for value, match in ((np.nan, "no sample is left|no value|missing|empty"), (np.inf, "finite|inf")):
        covariate = np.linspace(0.5, 1, N)
        covariate[:] = value if np.isnan(value) else covariate
        covariate[3] = value
        both(people, tmp_path, y, frame(people, a=covariate), match=match)


def test_collinear_covariates_are_dropped_and_named(people, tmp_path, capsys):
    y = people.phenotype(seed=1).to_frame("y")
    age = np.linspace(20, 61.5, N)
    covariates = frame(people, age=age, twice=2 * age)
    found = reml.fit(people.path, y, covariates)
    assert found.fixed_effects["name"].tolist() == ["intercept", "age"]
    y.rename_axis("IID").reset_index().to_csv(tmp_path / "y.tsv", sep="\t", index=False)
    covariates.rename_axis("IID").reset_index().to_csv(tmp_path / "x.tsv", sep="\t", index=False)
    command = ["reml", "--genotypes", people.path, "--pheno", str(tmp_path / "y.tsv"), "--covar"]
    assert app.invoke([*command, str(tmp_path / "x.tsv"), "--out", str(tmp_path / "fit")]) == 0
    printed = "".join(capsys.readouterr())
    assert "twice is left out: it is determined by age" in printed
    alone = reml.fit(people.path, y, covariates[["age"]])
    np.testing.assert_allclose(found.variance_components["estimate"], alone.variance_components["estimate"], rtol=1e-9)


def test_samples_with_missing_covariates_are_left_out(people):
    y = people.phenotype(seed=1).to_frame("y")
    age = np.linspace(20, 61.5, N)
    age[[3, 40]] = np.nan
    assert reml.fit(people.path, y, frame(people, age=age)).dataset["n_samples"].item() == N - 2


def test_variants_that_do_not_vary(people, still, tmp_path, caplog):
    y = people.phenotype(seed=1).to_frame("y")
    none, some = still
    both(people, tmp_path, y, match="no variant varies", genotypes=none)
    with caplog.at_level("INFO", "daskgen"):
        found = reml.fit(some, y)
    still_ones = int((np.ptp(people.calls[:40], axis=1) == 0).sum()) + 40
    assert f"{still_ones} that do not vary in these samples left out" in caplog.text
    assert found.dataset["n_counted"].item() == 80 - still_ones
    first = reml.fit(people.path, y, components={"first": np.arange(40)})
    np.testing.assert_allclose(found.variance_components["estimate"], first.variance_components["estimate"], rtol=1e-9)


def test_components(people, tmp_path, caplog):
    y = people.phenotype(seed=1).to_frame("y")
    for indices, match in (([0, 80], "out of range"), ([-1, 2], "out of range"), ([3, 3], "names a variant twice")):
        both(people, tmp_path, y, match=match, components={"a": [1, 2], "b": indices})
    # Empty and overlapping components are allowed, and the empty one is named.
    for method in ("exact", "stochastic"):
        with caplog.at_level("WARNING", "daskgen"):
            found = reml.fit(
                people.path, y, components={"a": np.arange(50), "b": np.arange(30, 80), "none": []}, method=method
            )
        assert "component none has no variant that varies" in caplog.text
        assert found.variance_components.set_index("component")["at_bound"]["none"]
        caplog.clear()
