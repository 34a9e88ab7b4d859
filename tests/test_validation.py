"""Cross-validation against predictions by hand, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from daskgen import bayes, reml
from daskgen.errors import InputError, UsageError
from daskgen.validation import validate
from tests.reml.data import cohort


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return cohort(tmp_path_factory.mktemp("validation"), n=150, m=200, seed=6)


@pytest.fixture(scope="module")
def traits(people):
    table = pd.DataFrame({"a": people.phenotype(h2=0.8, seed=1), "b": people.phenotype(h2=0.5, seed=2, missing=30)})
    covariates = pd.DataFrame({"age": np.random.default_rng(3).normal(size=150)}, index=people.ids)
    return table + 5 * covariates[["age"]].to_numpy(), covariates


def test_predictions_of_left_out_samples_by_hand(people, traits):
    """BLUP of the left-out samples with dense matrices, and least squares with the fold's own fixed effects."""
    table, covariates = traits
    seen = []

    def fit(training):
        seen.append(training)
        return reml.fit(people.path, training, covariates, method="exact")

    found = validate(fit, table, people.path, covariates, folds=4, seed=7)
    assert found[["phenotype", "fold"]].to_numpy().tolist() == [[p, k] for p in "ab" for k in range(1, 5)]
    assert found["converged"].all()
    for k, training in enumerate(seen):
        left = training["a"].isna().to_numpy()
        for name in table:
            row = found[(found["phenotype"] == name) & (found["fold"] == k + 1)].iloc[0]
            y = table[name].to_numpy()
            used, out = np.flatnonzero(~left & ~np.isnan(y)), np.flatnonzero(left & ~np.isnan(y))
            assert row["n"] == len(out)
            assert row["n_training"] == len(used)
            x = np.column_stack([np.ones(150), covariates.to_numpy()])
            theta = reml.fit(people.path, training[name], covariates, method="exact").dataset["variance_component"]
            u, e = theta.values[0]
            calls = people.calls[:, used]
            mean = np.array([row[row >= 0].mean() if (row >= 0).any() else 0 for row in calls])
            size = np.array([row[row >= 0].std() if (row >= 0).any() else 0 for row in calls])
            varies = size > 0
            z = np.where(people.calls < 0, 0, (people.calls - mean[:, None]) / np.where(varies, size, 1)[:, None])
            k_all = z[varies].T @ z[varies] / varies.sum()
            h = u * k_all[np.ix_(used, used)] + e * np.eye(len(used))
            b = np.linalg.solve(x[used].T @ np.linalg.solve(h, x[used]), x[used].T @ np.linalg.solve(h, y[used]))
            g = u * k_all[np.ix_(out, used)] @ np.linalg.solve(h, y[used] - x[used] @ b)
            solved = np.linalg.lstsq(np.column_stack([x[out], g]), y[out], rcond=None)[0]
            m = np.eye(len(out)) - x[out] @ np.linalg.pinv(x[out])
            assert row["slope"] == pytest.approx(solved[-1], rel=1e-6)
            assert row["accuracy"] == pytest.approx(np.corrcoef(m @ y[out], m @ g)[0, 1], rel=1e-6)
            rest = m @ (y[out] - g)
            assert row["mse"] == pytest.approx(rest @ rest / (len(out) - 2), rel=1e-6)


def test_every_sample_is_left_out_once(people, traits):
    table, _ = traits
    left = []

    def fit(training):
        left.append(training["a"].isna().to_numpy())
        return pd.DataFrame(np.random.default_rng(0).normal(size=(150, 2)), index=people.ids, columns=["a", "b"])

    validate(fit, table, people.path, folds=7, seed=1)
    assert np.sum(left, axis=0).tolist() == [1] * 150
    sizes = np.sum(left, axis=1)
    assert sizes.max() - sizes.min() <= 1


def test_folds_depend_on_ids_and_seed_alone(people, traits):
    table, _ = traits

    def folds_of(phenotypes, genotypes=None, seed=0):
        left = {}

        def fit(training):
            k = len(set(left.values()))
            left.update({i: k for i in training.index[training.iloc[:, 0].isna()] if i not in left})
            return pd.Series(np.arange(len(training)) % 7.0, index=training.index)

        validate(fit, phenotypes, genotypes, seed=seed)
        return pd.Series(left)

    first = folds_of(table["a"])
    shuffled = folds_of(table["a"].sample(frac=1, random_state=3))
    assert (first.sort_index() == shuffled.sort_index()).all()
    assert (folds_of(table["a"], people.path).sort_index() == first.sort_index()).all()
    assert (folds_of(table["a"], seed=1).sort_index() != first.sort_index()).any()


def test_families_are_not_divided(people, traits):
    table, _ = traits
    families = pd.Series(np.arange(150) // 10, index=people.ids)
    parts = []

    def fit(training):
        parts.append(families[training["a"].isna().to_numpy()])
        return pd.DataFrame(np.random.default_rng(0).normal(size=(150, 2)), index=people.ids, columns=["a", "b"])

    validate(fit, table, people.path, families=families)
    assert all((part.value_counts() == 10).all() for part in parts)
    assert sorted(f for part in parts for f in part.unique()) == list(range(15))


def test_bayesian_fits(people, traits):
    table, _ = traits

    def fit(training):
        return bayes.fit(people.path, training, chain_length=200, burn_in=50, chains=1, maf_min=0.0)

    found = validate(fit, table["a"], people.path, folds=3)
    compared = validate(lambda t: reml.fit(people.path, t), table["a"], people.path, folds=3)
    np.testing.assert_allclose(found["accuracy"], compared["accuracy"], atol=0.25)
    assert found["n"].sum() == 150


def test_without_variation_there_is_no_accuracy(people, traits, caplog):
    table, _ = traits
    found = validate(lambda training: pd.Series(3.0, index=training.index), table["a"], people.path)
    assert found["accuracy"].isna().all()
    assert found["slope"].isna().all()
    assert (found["mse"] > 0).all()
    assert "all predictions are the same" in caplog.text


def test_bad_input(people, traits):
    table, covariates = traits

    def nothing(training):
        raise AssertionError("no fit should be made")

    for folds in (1, 0, 2.5, "x"):
        with pytest.raises(UsageError, match="folds"):
            validate(nothing, table, people.path, folds=folds)
    with pytest.raises(InputError, match="too few samples"):
        validate(nothing, table, people.path, folds=60)
    with pytest.raises(InputError, match="too few samples"):
        validate(nothing, table.iloc[:9], people.path, covariates)
    with pytest.raises(UsageError, match="give genotypes"):
        validate(nothing, table.to_numpy())
    with pytest.raises(InputError, match="none of the"):
        validate(nothing, table.rename(index=lambda i: f"x{i}"), people.path)
    with pytest.raises(UsageError, match="no column"):
        validate(nothing, table, people.path, pheno_name="c")
    with pytest.raises(UsageError, match="has no predictions"):
        validate(lambda training: 3, table, people.path)
    with pytest.raises(UsageError, match="does not predict b"):
        validate(lambda training: pd.DataFrame({"a": 0.0}, index=people.ids), table, people.path)
    with pytest.raises(InputError, match="have no prediction"):
        validate(lambda training: training["a"].dropna(), table["a"], people.path)
    with pytest.raises(UsageError, match="folds"):
        validate(nothing, table, people.path, fold=3)
