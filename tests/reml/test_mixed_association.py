"""Mixed models without the tested variant's contigs, against generalised least squares with dense matrices."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from daskgen import open_store, reml
from daskgen.errors import InputError, UsageError
from daskgen.genotypes.source import UNPLACED
from daskgen.reml.left_out import ContigGroups
from tests.genotypes.cohort import store, structured_calls
from tests.oracles import association as oracle
from tests.oracles.relationship import standardised
from tests.reml.data import Cohort

contig_of = np.repeat([0, 1, 2], [70, 90, 80])


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    calls = structured_calls(len(contig_of), 150, seed=3)
    calls[np.random.default_rng(0).random(calls.shape) < 0.02] = -1
    path = store(tmp_path_factory.mktemp("mixed") / "people.zarr", calls, contig=contig_of)
    return Cohort(path, calls)


@pytest.fixture(scope="module")
def tables(people):
    generator = np.random.default_rng(5)
    covariates = pd.DataFrame({"age": generator.normal(size=len(people.ids))}, index=people.ids)
    return people.phenotype(h2=0.6, seed=4), covariates


def dense(people, y, covariates, theta_of):
    """(beta, se) of every variant by generalised least squares without its contig."""
    design = np.column_stack([np.ones(len(y)), covariates])
    out = np.empty((2, len(contig_of)))
    for k in range(3):
        z, c = standardised(people.calls[contig_of != k])
        theta = theta_of(k)
        h = theta[0] * z @ z.T / c + theta[1] * np.eye(len(y))
        for v in np.flatnonzero(contig_of == k):
            row = people.calls[v].astype(float)
            x = np.where(row < 0, row[row >= 0].mean(), row)
            out[:, v] = oracle.mixed(x, y.to_numpy(), design, h)
    return out


def test_the_exact_way(people, tables):
    y, covariates = tables
    fit = reml.fit(people.path, y, covariates, method="exact")
    theta = fit.dataset["variance_component"].values[0]
    found = reml.gwas(people.path, y, covariates, model="mixed-loco", fit=fit, min_mac=5)
    beta, se = dense(people, y, covariates, lambda k: theta)
    good = (found["status"] == 0).values
    assert good.sum() > 200
    np.testing.assert_allclose(found["beta"].values[good], beta[good], rtol=1e-8)
    np.testing.assert_allclose(found["se"].values[good], se[good], rtol=1e-8)
    np.testing.assert_allclose(found["t"].values[good], (beta / se)[good], rtol=1e-7)
    # Without the fit it is made.
    again = reml.gwas(people.path, y, covariates, model="mixed-loco", min_mac=5)
    np.testing.assert_allclose(again["beta"], found["beta"], rtol=1e-8)


def test_refitted_variances(people, tables):
    y, covariates = tables
    found = reml.gwas(people.path, y, covariates, model="mixed-loco", refit=True, min_mac=5)

    def theta_of(k):
        chosen = {"rest": np.flatnonzero(contig_of != k)}
        fit = reml.fit(people.path, y, covariates, components=chosen, method="exact")
        return fit.dataset["variance_component"].values[0]

    beta, se = dense(people, y, covariates, theta_of)
    good = (found["status"] == 0).values
    np.testing.assert_allclose(found["beta"].values[good], beta[good], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found["se"].values[good], se[good], rtol=1e-6)


def test_the_streamed_way(people, tables):
    y, covariates = tables
    both = pd.DataFrame({"a": y, "b": people.phenotype(h2=0.3, seed=9)})
    fit = reml.fit(people.path, both, covariates, method="exact")
    exact = reml.gwas(people.path, both, covariates, model="mixed-loco", fit=fit, method="exact").compute()
    found = reml.gwas(people.path, both, covariates, model="mixed-loco", fit=fit, method="streamed").compute()
    for name in ("a", "b"):
        e, f = exact.sel(trait=name), found.sel(trait=name)
        good = (e["status"] == 0).values
        # The score is solved to 1e-5; its scale is that of the mean variant.
        score_e, score_f = ((r["beta"] / r["se"] ** 2).values[good] for r in (e, f))
        np.testing.assert_allclose(score_f, score_e, atol=1e-4 * np.abs(score_e).max())
        ratio = (f["se"] / e["se"]).values[good]
        assert abs(np.median(ratio) - 1) < 0.1
        assert np.corrcoef(e["t"].values[good], f["t"].values[good])[0, 1] > 0.99


def test_several_components_and_groups_of_contigs(people, tables):
    y, covariates = tables
    fit = reml.fit(people.path, y, covariates, components="contig", method="exact")
    contigs = [str(c) for c in reml.gwas(people.path, y)["contig_id"].values]
    groups = {contigs[0]: "first", contigs[1]: "first"}
    options = {"model": "mixed-loco", "fit": fit, "loco_groups": groups}
    exact = reml.gwas(people.path, y, covariates, method="exact", **options).compute()
    streamed = reml.gwas(people.path, y, covariates, method="streamed", **options).compute()
    theta = fit.dataset["variance_component"].values[0]
    z, c = standardised(people.calls[contig_of == 2])
    h = theta[2] * z @ z.T / c + theta[3] * np.eye(len(y))
    design = np.column_stack([np.ones(len(y)), covariates])
    row = people.calls[20].astype(float)
    beta, se = oracle.mixed(np.where(row < 0, row[row >= 0].mean(), row), y.to_numpy(), design, h)
    np.testing.assert_allclose([exact["beta"][20], exact["se"][20]], [beta, se], rtol=1e-7)
    good = (exact["status"] == 0).values
    score_e, score_f = ((r["beta"] / r["se"] ** 2).values[good] for r in (exact, streamed))
    np.testing.assert_allclose(score_f, score_e, atol=1e-4 * np.abs(score_e).max())


def test_other_genotypes_are_tested(people, tables, tmp_path):
    """The tested variants in another store, with the samples in another order."""
    y, covariates = tables
    order = np.random.default_rng(2).permutation(len(people.ids))
    calls = people.calls[60:100][:, order]
    other = store(tmp_path / "other.zarr", calls, contig=contig_of[60:100])
    dataset = open_store(other)
    dataset["sample_id"] = ("samples", people.ids[order])
    fit = reml.fit(people.path, y, covariates, method="exact")
    options = {"model": "mixed-loco", "fit": fit, "min_mac": 5}
    found = reml.gwas(dataset, y, covariates, model_genotypes=people.path, **options)
    expected = reml.gwas(people.path, y, covariates, **options)
    np.testing.assert_allclose(found["beta"], expected["beta"][60:100], rtol=1e-7)
    stored = fit.to_store(tmp_path / "fit.zarr", effects=False)
    options["fit"] = reml.RemlFit.open(stored)
    again = reml.gwas(dataset, y, covariates, model_genotypes=people.path, **options)
    np.testing.assert_allclose(again["beta"], found["beta"], rtol=1e-9)


def test_a_contig_that_the_model_has_not(people, tables):
    y, covariates = tables
    fit = reml.fit(people.path, y, covariates, method="exact")
    dataset = open_store(people.path)
    contigs = [str(name) for name in dataset["contig_id"].values]
    dataset["contig_id"] = ("contigs", np.array([contigs[0], "elsewhere", *contigs[2:]], object))
    options = {"model": "mixed-loco", "fit": fit, "model_genotypes": people.path, "min_mac": 5}
    exact = reml.gwas(dataset, y, covariates, method="exact", **options).compute()
    streamed = reml.gwas(dataset, y, covariates, method="streamed", **options).compute()
    theta = fit.dataset["variance_component"].values[0]
    z, c = standardised(people.calls)
    h = theta[0] * z @ z.T / c + theta[1] * np.eye(len(y))
    v = int(np.flatnonzero(contig_of == 1)[9])
    row = people.calls[v].astype(float)
    x = np.where(row < 0, row[row >= 0].mean(), row)
    design = np.column_stack([np.ones(len(y)), covariates])
    beta, se = oracle.mixed(x, y.to_numpy(), design, h)
    np.testing.assert_allclose([exact["beta"][v], exact["se"][v]], [beta, se], rtol=1e-8)
    score_e, score_f = ((r["beta"] / r["se"] ** 2).values for r in (exact, streamed))
    np.testing.assert_allclose(score_f, score_e, atol=1e-4 * np.nanmax(np.abs(score_e)))


def test_contigs_that_are_not_placed_are_one_group():
    contig = np.array(["1", "1", "scaffold_3", "scaffold_9", "X"], object)
    source = SimpleNamespace(contig=contig, ploidy_class=np.array([0, 0, UNPLACED, UNPLACED, 1], np.uint8))
    groups = ContigGroups.of([source], "contig")
    assert groups.names == ("1", "unplaced", "X")
    assert groups.of_variants(source, None).tolist() == [0, 0, 1, 1, 2]
    joined = ContigGroups.of([source], {"X": "1"})
    assert joined.of_variants(source, np.array([0, 2, 4])).tolist() == [0, 1, 0]


def test_bad_input(people, tables):
    y, covariates = tables
    fit = reml.fit(people.path, y, covariates, method="exact")
    with pytest.raises(UsageError, match="only mixed models"):
        reml.gwas(people.path, y, fit=fit)
    with pytest.raises(InputError, match="other samples or values"):
        reml.gwas(people.path, y + 1, covariates, model="mixed-loco", fit=fit)
    with pytest.raises(UsageError, match="loco_groups"):
        reml.gwas(people.path, y, covariates, model="mixed-loco", fit=fit, loco_groups={"none": "x"})
    with pytest.raises(UsageError, match="refit"):
        reml.gwas(people.path, y, covariates, model="mixed-loco", fit=fit, refit=True, method="streamed")
    case = (y > y.median()).astype(float).rename("case")
    with pytest.raises(InputError, match="two values"):
        reml.gwas(people.path, case, covariates, model="mixed-loco")
