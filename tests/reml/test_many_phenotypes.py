"""Many phenotypes at once, each with its own missing samples, are single fits that share what is read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from daskgen import reml
from daskgen.genotypes.reader import StoreReader
from tests.reml.data import cohort

SETS = {"a": np.arange(100), "b": np.arange(80, 240)}


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return cohort(tmp_path_factory.mktemp("reml"), n=90, m=240, seed=7)


def phenotypes(people, count, patterns):
    """Traits with different heritabilities, in groups of the same missing samples."""
    return pd.DataFrame(
        {
            f"t{i}": people.phenotype(h2=0.1 + 0.2 * (i % 5), seed=i).mask(
                pd.Series(np.arange(len(people.ids)) % 11 == i % patterns, index=people.ids)
            )
            for i in range(count)
        }
    )


@pytest.mark.parametrize("components", [None, SETS])
def test_fifty_phenotypes_equal_fifty_fits(people, components):
    table = phenotypes(people, 50, 7)
    together = reml.fit(people.path, table, components=components, method="exact")
    assert together.phenotypes == list(table)
    assert len(set(together.dataset["group"].values.tolist())) == 7
    for name in table if components is None else list(table)[::7]:
        alone = reml.fit(people.path, table[name], components=components, method="exact")
        mine = together[name]
        for column in ("estimate", "se"):
            np.testing.assert_allclose(
                mine.variance_components[column], alone.variance_components[column], rtol=1e-10, atol=1e-14
            )
        assert mine.log_likelihood == pytest.approx(alone.log_likelihood, rel=1e-12)
        np.testing.assert_allclose(mine.fixed_effects["estimate"], alone.fixed_effects["estimate"], rtol=1e-10)


@pytest.mark.parametrize("components", [None, SETS])
def test_streamed_phenotypes_do_not_depend_on_each_other(people, components):
    table = phenotypes(people, 6, 3)
    options = {"components": components, "method": "stochastic", "n_probes": 12}
    together = reml.fit(people.path, table, **options)
    for name in table:
        alone = reml.fit(people.path, table[name], **options)
        mine, other = together[name].variance_components, alone.variance_components
        assert (np.abs(mine["estimate"] - other["estimate"]) <= 1e-3 * other["se"] + 1e-9).all()
        assert together[name].dataset["n_probes"].item() == alone.dataset["n_probes"].item()


def test_groups_share_what_is_read(people, monkeypatch):
    table = phenotypes(people, 6, 6)
    options = {"method": "stochastic", "n_probes": 4, "cache": False}
    reads = [0]
    read = StoreReader.read

    def counting(self, start, stop):
        reads[0] += 1
        return read(self, start, stop)

    monkeypatch.setattr(StoreReader, "read", counting)
    alone = []
    for name in table:
        reads[0] = 0
        reml.fit(people.path, table[name], **options)
        alone.append(reads[0])
    reads[0] = 0
    reml.fit(people.path, table, **options)
    assert reads[0] <= max(alone) + 2


def test_what_is_cut_for_every_group_is_cached_or_the_rows_are(people):
    table = phenotypes(people, 4, 4)
    options = {"method": "stochastic", "n_probes": 4}
    cached, read = (reml.fit(people.path, table, cache=cache, **options) for cache in (True, False))
    np.testing.assert_array_equal(cached.dataset["variance_component"], read.dataset["variance_component"])
