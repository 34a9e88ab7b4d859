"""Mixed models that leave contigs out: the same bits anywhere, and after a stop."""

from __future__ import annotations

import dask
import numpy as np
import pandas as pd
import pytest

import conversion
import daskgen as dg
from daskgen import open_store, reml
from daskgen.errors import InputError, ResumeError
from daskgen.reml import left_out, scanning
from tests.genotypes.cohort import store, structured_calls
from tests.reml.data import Cohort

RESULTS = ("beta", "se", "t", "p", "status")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    calls = structured_calls(180, 140, seed=8)
    calls[np.random.default_rng(1).random(calls.shape) < 0.02] = -1
    path = store(tmp_path_factory.mktemp("resume") / "people.zarr", calls, contig=np.repeat([0, 1, 2], 60))
    return Cohort(path, calls)


@pytest.fixture(scope="module")
def traits(people):
    return pd.DataFrame({"a": people.phenotype(h2=0.6, seed=1), "b": people.phenotype(h2=0.4, seed=2, missing=11)})


class Stopped(Exception):
    pass


@pytest.mark.parametrize("method", ["exact", "streamed"])
def test_a_stopped_run_goes_on(people, traits, tmp_path, monkeypatch, method):
    options = {"model": "mixed-loco", "method": method, "seed": 3}
    whole = open_store(reml.gwas(people.path, traits, **options).dg.to_store(tmp_path / "whole.zarr"))
    place = tmp_path / "run.checkpoint"
    calls = {"n": 0}
    name = "left_out_products" if method == "streamed" else "_centred_blocks"
    work = getattr(left_out, name)

    def stops(*args, **keywords):
        calls["n"] += 1
        if calls["n"] == 5:
            raise Stopped
        return work(*args, **keywords)

    with dask.config.set({"daskgen.checkpoint-seconds": 0}), monkeypatch.context() as patch:
        patch.setattr(left_out, name, stops)
        with pytest.raises(Stopped):
            reml.gwas(people.path, traits, checkpoint=place, **options)
    assert place.exists()
    with monkeypatch.context() as patch:
        # The variances are known and the fit is not made again; nor are the groups that were done.
        patch.setattr(scanning, "fit_model", lambda *_, **__: pytest.fail("the fit was made again"))
        counted = {"n": 0}

        def counts(*args, **keywords):
            counted["n"] += 1
            return work(*args, **keywords)

        patch.setattr(left_out, name, counts)
        result = reml.gwas(people.path, traits, checkpoint=place, **options)
    again = open_store(result.dg.to_store(tmp_path / "again.zarr"))
    for array in RESULTS:
        np.testing.assert_array_equal(again[array], whole[array], err_msg=array)
    assert not place.exists()
    total = {"n": 0}

    def counts_all(*args, **keywords):
        total["n"] += 1
        return work(*args, **keywords)

    monkeypatch.setattr(left_out, name, counts_all)
    reml.gwas(people.path, traits, **options)
    assert counted["n"] < total["n"]


def test_the_checkpoint_of_another_run_is_refused(people, traits, tmp_path):
    place = tmp_path / "other.checkpoint"
    reml.gwas(people.path, traits, model="mixed-loco", checkpoint=place)
    assert place.exists()  # the result has not been written
    with pytest.raises(ResumeError, match="another run"):
        reml.gwas(people.path, traits + 1, model="mixed-loco", checkpoint=place)
    with pytest.raises(ResumeError, match="another run"):
        reml.gwas(people.path, traits, model="mixed-loco", checkpoint=place, refit=True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("method", ["exact", "streamed"])
def test_processes_give_the_same_bits(people, traits, tmp_path, method):
    fit = reml.fit(people.path, traits, method="exact")
    options = {"model": "mixed-loco", "method": method, "fit": fit}
    threads = open_store(reml.gwas(people.path, traits, **options).dg.to_store(tmp_path / "threads.zarr"))
    with dg.cluster.connect("local:2"):
        path = reml.gwas(people.path, traits, **options).dg.to_store(tmp_path / "processes.zarr")
    for array in RESULTS:
        np.testing.assert_array_equal(open_store(path)[array], threads[array], err_msg=array)


def test_files_are_tested_in_place(people, traits, tmp_path):
    """A .bed is scanned with a model of a store: the same as after conversion."""
    conversion.export_bed(people.path, tmp_path / "cohort")
    file = conversion.open(tmp_path / "cohort.bed")
    fit = reml.fit(people.path, traits, method="exact")
    options = {"model": "mixed-loco", "fit": fit, "model_genotypes": people.path}
    found = reml.gwas(file, traits, **options).compute()
    expected = reml.gwas(people.path, traits, **options).compute()
    for array in RESULTS:
        np.testing.assert_allclose(found[array], expected[array], rtol=1e-12, err_msg=array)


def test_analysed_samples_that_are_not_scanned(people, traits, tmp_path):
    fewer = store(tmp_path / "fewer.zarr", people.calls[:, :100])
    fit = reml.fit(people.path, traits, method="exact")
    with pytest.raises(InputError, match="analysed samples are not in|other samples or values"):
        reml.gwas(fewer, traits, model="mixed-loco", fit=fit, model_genotypes=people.path)


def test_variants_that_cannot_be_tested_do_not_stop_a_mixed_model(tmp_path):
    calls = structured_calls(120, 100, seed=1)
    calls[5], calls[6], calls[7], calls[8, :] = 0, -1, 1, np.where(np.arange(100) < 2, 1, 0)
    path = store(tmp_path / "status.zarr", calls, contig=np.repeat([0, 1], 60))
    y = Cohort(path, calls).phenotype(seed=1)
    for method in ("exact", "streamed"):
        found = reml.gwas(path, y, model="mixed-loco", method=method).compute()
        status = found["status"].values
        assert status[[5, 6, 7, 8]].tolist() == [2, 1, 2, 3]
        assert np.isnan(found["beta"].values[[5, 6, 7, 8]]).all()
        assert np.isfinite(found["p"].values[status == 0]).all()
