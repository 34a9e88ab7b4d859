"""Genetic correlations by Haseman-Elston regression against dense algebra, and whether their errors are honest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import daskgen as dg
from daskgen import reml
from daskgen.errors import InputError, UsageError
from daskgen.reml.block_jackknife import block_variances, sample_blocks
from tests.genotypes.cohort import store
from tests.oracles import genetic_correlation as oracle
from tests.reml.data import cohort


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return cohort(tmp_path_factory.mktemp("rg"), n=160, m=400, seed=4)


@pytest.fixture(scope="module")
def tables(people):
    """Three phenotypes that share effects, with other missing samples each, and two covariates."""
    generator = np.random.default_rng(1)
    z, c = people.z()
    effects = (
        generator.standard_normal((z.shape[1], 3))
        @ np.linalg.cholesky([[1, 0.6, -0.3], [0.6, 1, 0.1], [-0.3, 0.1, 1]]).T
    )
    values = z @ effects / np.sqrt(c) * 0.8 + 0.6 * generator.standard_normal((len(z), 3)) + [3, -1, 100]
    values[generator.permutation(160)[:25], 1] = np.nan
    values[generator.permutation(160)[:60], 2] = np.nan
    covariates = pd.DataFrame(generator.standard_normal((160, 2)), columns=["age", "dose"], index=people.ids)
    return pd.DataFrame(values, columns=["a", "b", "c"], index=people.ids), covariates


def dense(people, y, covariates, names, components):
    rows = [np.flatnonzero(y[name].notna()) for name in names]
    designs = [np.column_stack([np.ones(len(r)), covariates.to_numpy()[r]]) for r in rows]
    values = [y[name].to_numpy()[r] for name, r in zip(names, rows, strict=True)]
    return oracle.pair(people.calls, values, designs, rows, components)


def test_pairs_with_other_missing_samples(people, tables):
    y, covariates = tables
    table = reml.rg(people.path, y, covariates, method="exact")
    assert table[["trait_1", "trait_2"]].to_numpy().tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
    everything = [np.arange(400)]
    for _, row in table.iterrows():
        names = [row["trait_1"], row["trait_2"]]
        cross = dense(people, y, covariates, names, everything)
        own = [dense(people, y, covariates, [name, name], everything) for name in names]
        assert row["rg"] == pytest.approx(cross[0] / np.sqrt(own[0][0] * own[1][0]), rel=1e-4)
        assert row["cov_e"] == pytest.approx(cross[1], rel=1e-4)
        assert row["n_1"] == y[names[0]].notna().sum()
        assert row["n_both"] == y[names].notna().all(axis=1).sum()
    assert (table["monte_carlo_se"] == 0).all()


def test_one_phenotype_is_haseman_elston_regression(people, tables):
    y, covariates = tables
    found = reml.rg(people.path, y[["a", "b"]], covariates, method="exact").iloc[0]
    for k, name in (("1", "a"), ("2", "b")):
        alone = reml.he_regression(people.path, y[name], covariates, method="exact").heritability
        assert found[f"h2_{k}"] == pytest.approx(alone["h2"].iloc[-1], rel=1e-5)


def test_several_components(people, tables):
    y, covariates = tables
    sets = {"first": np.arange(150), "empty": [], "last": np.arange(100, 400)}
    table = reml.rg(people.path, y[["a", "c"]], covariates, components=sets, method="exact")
    assert table["component"].tolist() == ["first", "empty", "last", "total"]
    sides = [sets["first"], sets["last"]]
    cross = dense(people, y, covariates, ["a", "c"], sides)
    own = [dense(people, y, covariates, [name, name], sides) for name in ("a", "c")]
    rows = table.set_index("component")
    for i, name in enumerate(["first", "last"]):
        product = own[0][i] * own[1][i]
        expected = cross[i] / np.sqrt(product) if own[0][i] > 0 and own[1][i] > 0 else np.nan
        np.testing.assert_allclose(rows["rg"][name], expected, rtol=1e-4)
    assert np.isnan(rows["rg"]["empty"])
    assert np.isnan(rows["cov_e"]["first"])
    assert rows["cov_e"]["total"] == pytest.approx(cross[-1], rel=1e-4)


def test_several_stores(people, tables, tmp_path):
    y, covariates = tables
    two = [store(tmp_path / "x.zarr", people.calls[:150]), store(tmp_path / "y.zarr", people.calls[150:])]
    found = reml.rg(two, y, covariates, method="exact")
    sets = {"x": range(150), "y": range(150, 400)}
    expected = reml.rg(people.path, y, covariates, components=sets, method="exact")
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5, check_exact=False)


def test_no_samples_in_common(people, tables):
    y, covariates = tables
    y = y[["a", "c"]].copy()
    y.loc[people.ids[:80], "a"] = np.nan
    y.loc[people.ids[80:], "c"] = np.nan
    found = reml.rg(people.path, y, covariates, method="exact", n_blocks=16).iloc[0]
    cross = dense(people, y, covariates, ["a", "c"], [np.arange(400)])
    rows = [np.flatnonzero(y[name].notna()) for name in ("a", "c")]
    shares = [(z**2).sum() / c / len(r) for r in rows for z, c in [people.z(r)]]
    assert found["cov_g"] == pytest.approx(cross[0] * np.sqrt(np.prod(shares)), rel=1e-4)
    assert np.isnan(found["cov_e"])
    assert found["n_both"] == 0
    assert np.isfinite(found["cov_g_se"])


def test_a_pair_does_not_depend_on_the_others(people, tables):
    y, covariates = tables
    three = reml.rg(people.path, y, covariates, method="exact").iloc[0]
    two = reml.rg(people.path, y[["a", "b"]], covariates, method="exact").iloc[0]
    for name in ("rg", "cov_g", "cov_e", "h2_1", "h2_2"):
        assert three[name] == pytest.approx(two[name], rel=1e-6)


def test_probes(people, tables):
    y, covariates = tables
    exact = reml.rg(people.path, y, covariates, method="exact")
    errors = []
    for seed in range(12):
        found = reml.rg(people.path, y, covariates, method="stochastic", seed=seed)
        errors.append(((found["rg"] - exact["rg"]) / found["monte_carlo_se"]).to_numpy())
        np.testing.assert_allclose(found["se"], exact["se"], rtol=0.35)
    assert 0.4 < np.sqrt(np.mean(np.square(errors))) < 1.6


def test_the_unit_of_the_phenotype_does_not_matter(people, tables):
    y, covariates = tables
    one = reml.rg(people.path, y, covariates)
    other = reml.rg(people.path, y * [1e5, -2, 1e-4] + 7, covariates)
    sign = np.array([-1, 1, -1])
    np.testing.assert_allclose(other["rg"], sign * one["rg"], rtol=1e-5)
    np.testing.assert_allclose(other["se"], one["se"], rtol=1e-4)
    np.testing.assert_allclose(other["cov_g"], one["cov_g"] * [-2e5, 10, -2e-4], rtol=1e-5)


def test_structure_for_models(people, tables):
    y, covariates = tables
    table = reml.rg(people.path, y, covariates, method="exact")
    structure = dg.ldsc.covstruct(table.attrs["S"], table.attrs["V"], traits=table.attrs["traits"])
    s = structure["S"].values
    np.testing.assert_allclose(np.diag(s)[:2], table.iloc[0][["h2_1", "h2_2"]].astype(float), rtol=1e-9)
    assert s[1, 0] / np.sqrt(s[0, 0] * s[1, 1]) == pytest.approx(table["rg"][0], rel=1e-9)
    assert np.sqrt(np.asarray(table.attrs["V"])[0, 0]) == pytest.approx(table["h2_1_se"][0], rel=0.3)


# -- the jackknife -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(("single", "pairs"), [(0.0, 1.0), (1.0, 0.0), (0.5, 1.0), (2.0, 0.3)])
def test_each_part_of_the_variance_counts_once(single, pairs):
    generator = np.random.default_rng(3)
    b, totals, found = 48, [], []
    for _ in range(1_000):
        g = single * generator.standard_normal(b)
        s = np.triu(pairs * generator.standard_normal((b, b)), 1)
        f = g[:, None] + g + s + s.T
        f[np.diag_indices(b)] = generator.standard_normal(b)
        totals.append(f.sum())
        found.append(block_variances(f[None])[0])
    # Where the first part is 0, cutting off what is negative adds a little.
    assert 0.93 < np.mean(found) / np.var(totals) < (1.25 if single == 0 else 1.08)


def test_blocks_are_runs_or_whole_families():
    blocks = sample_blocks(103, 10)
    assert (np.diff(blocks) >= 0).all()
    assert set(np.bincount(blocks)) == {10, 11}
    families = np.tile([f"f{i}" for i in range(20)], 5).astype(object)
    whole = sample_blocks(100, 8, families)
    assert all(len(set(whole[families == f])) == 1 for f in set(families))
    assert np.bincount(whole).tolist() == [15, 15, 15, 15, 10, 10, 10, 10]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ["unrelated", "families"])
def test_coverage(tmp_path, kind):
    """Errors of simulated correlations are as large as reported, in unrelated people and in families."""
    options = {} if kind == "unrelated" else {"families": 4}
    dg.simulate.genotypes(tmp_path / "g.zarr", n_samples=1_200, n_variants=4_000, seed=2, **options)
    z, ses, differences = [], [], []
    for seed in range(60):
        y = dg.simulate.phenotypes(tmp_path / "g.zarr", h2=[0.6, 0.5], traits=2, rg=0.5, seed=seed)
        y.iloc[seed::7, 1] = np.nan
        row = reml.rg(tmp_path / "g.zarr", y, method="stochastic", seed=seed).iloc[0]
        truth = y.attrs["truth"]["realised_rg"]["trait_1"]["trait_2"]
        z.append((row["rg"] - truth) / row["se"])
        ses.append(row["se"])
        differences.append(row["rg"] - truth)
    assert 0.75 < np.std(differences) / np.sqrt(np.mean(np.square(ses))) < 1.25
    assert abs(np.mean(differences)) < 3 * np.std(differences) / np.sqrt(len(z))
    assert np.mean(np.abs(z) < 1.96) > 0.85


# -- input that cannot be used -----------------------------------------------------------------------------
def test_bad_input(people, tables):
    y, _ = tables
    with pytest.raises(UsageError, match="two phenotypes"):
        reml.rg(people.path, y["a"])
    for options in ({"method": "fast"}, {"n_probes": 0}, {"n_blocks": 3}, {"n_blocks": 6.5}):
        with pytest.raises(UsageError):
            reml.rg(people.path, y, **options)
    with pytest.raises(UsageError, match="components"):
        reml.rg(people.path, y, component="contig")
    with pytest.raises(InputError, match="too few"):
        reml.rg(people.path, y.iloc[:19])
    with pytest.raises(InputError, match="too few"):
        reml.rg(people.path, y, n_blocks=80)
    families = pd.Series(["x", "y"] * 80, index=people.ids)
    with pytest.raises(InputError, match="2 families"):
        reml.rg(people.path, y, families=families)
    with pytest.raises(UsageError, match="one column"):
        reml.rg(people.path, y, families=y)
    with pytest.raises(InputError, match="none of the"):
        reml.rg(people.path, y, families=pd.Series(["x"], index=["nobody"]))
    with pytest.raises(InputError, match="constant"):
        reml.rg(people.path, y.assign(b=1.0))
    with pytest.raises(InputError, match="several rows"):
        reml.rg(people.path, pd.concat([y, y.iloc[:1]]))
    with pytest.raises(InputError, match="no sample is left"):
        reml.rg(people.path, y.assign(b=np.nan))
