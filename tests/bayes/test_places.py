"""Genotypes in memory, in their store and on workers: the draws are the same, to the last bit."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace

import dask
import numpy as np
import pandas as pd
import pytest

import daskgen as dg
from daskgen import bayes
from daskgen.bayes import fitting, holding, preparation, running, streaming
from daskgen.bayes.blocks import make_blocks
from daskgen.bayes.exchange import share_out, subtree_rows
from daskgen.bayes.gang import GangRun, layout_of
from daskgen.errors import InterruptedRunError, PlanError
from tests.genotypes.cohort import store

OPTIONS = {"chain_length": 12, "burn_in": 4, "chains": 2, "seed": 5, "blocks": 32}
N, P = 4_500, 300
KINDS = ("calls", "traits", "dosages", "traits of dosages")
DEMANDING = ("calls", "traits of dosages")


class Cohort:
    """Five tiles of samples in many small chunks, phenotypes, and what `fit` makes of them in memory."""

    def __init__(self, folder, kind):
        rng = np.random.default_rng(2)
        calls = rng.binomial(2, rng.uniform(0.1, 0.5, (P, 1)), (P, N)).astype(np.int8)
        y = calls[:20].T @ rng.standard_normal((20, 2)) + 4 * rng.standard_normal((N, 2))
        calls[rng.random((P, N)) < 0.01] = -1
        self.options = OPTIONS | {"pi": 0.9}
        dosage = np.where(calls < 0, np.nan, np.clip(calls + rng.normal(0, 0.1, (P, N)), 0, 2))
        self.genotypes = store(folder / f"{kind}.zarr", calls, rows=40, dosage=dosage if kind == "dosages" else None)
        if kind == "traits of dosages":
            half = P // 2
            self.genotypes = {
                "soft": store(folder / "soft.zarr", calls[:half], rows=40, dosage=dosage[:half]),
                "hard": store(folder / "hard.zarr", calls[half:], rows=40),
            }
        if "traits" in kind:
            y[rng.random((N, 2)) < 0.1] = np.nan
            self.options |= {"pi": {"00": 0.7, "10": 0.1, "01": 0.1, "11": 0.1}}
        y[:100] = np.nan  # samples without a record
        self.phenotypes = y if "traits" in kind else y[:, 0]
        if kind == "traits":  # with several records of some samples
            rows = np.concatenate([np.arange(N), np.arange(150, 400)])
            self.phenotypes = pd.DataFrame(
                {"IID": [f"s{i}" for i in rows], "a": y[rows, 0] + rows % 3, "b": y[rows, 1]}
            )
        self.expected = self.fit()

    def fit(self, **more):
        return bayes.fit(self.genotypes, self.phenotypes, **(self.options | more))

    def check(self, found):
        """The same bits as in memory."""
        assert found.dataset.data_vars.keys() == self.expected.dataset.data_vars.keys()
        for name in self.expected.dataset:
            expected = self.expected.dataset[name].values
            same = np.array_equal(found.dataset[name].values, expected, equal_nan=expected.dtype.kind == "f")
            assert same, name


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("places"), {}
    return lambda kind: made[kind] if kind in made else made.setdefault(kind, Cohort(folder, kind))


@pytest.fixture
def cohort(request, cohorts):
    """A cohort of the kind that the test is parametrised with, of calls where it is not."""
    return cohorts(getattr(request, "param", "calls"))


def of_kinds(*kinds):
    return pytest.mark.parametrize("cohort", kinds, indirect=True)


@pytest.mark.parametrize(("resident", "gram_in_memory"), [(0, True), (0, False), (3, True), (3, False), (100, False)])
@of_kinds(*KINDS)
def test_blocks_from_the_store(cohort, monkeypatch, resident, gram_in_memory):
    monkeypatch.setattr(preparation, "place_of", lambda *_: "store")
    monkeypatch.setattr(
        holding, "Residence", lambda *_: streaming.Residence(20_000, resident, gram_in_memory), raising=True
    )
    streamed = cohort.fit()
    cohort.check(streamed)
    if cohort.genotypes.__class__ is str:
        windows = streamed.windows("50snp")
        np.testing.assert_allclose(windows["share"], cohort.expected.windows("50snp")["share"])


@pytest.mark.parametrize("schedule", ["jwas", "independent"])
@of_kinds("calls", "traits")
def test_schedules_from_the_store(cohort, monkeypatch, schedule):
    options = {"schedule": schedule, "chain_length": 12 * (32 if schedule == "jwas" else 1)}
    expected = cohort.fit(**options)
    monkeypatch.setattr(preparation, "place_of", lambda *_: "store")
    monkeypatch.setattr(holding, "Residence", lambda *_: streaming.Residence(20_000, 1, False))
    found = cohort.fit(**options)
    for name in ("effect_mean", "trace", "breeding_value"):
        np.testing.assert_array_equal(found.dataset[name], expected.dataset[name])


@pytest.mark.parametrize(("limit", "gram_in_memory"), [(1_600_000_000, True), (620_000_000, False), (0, False)])
def test_what_is_held_of_a_large_cohort(limit, gram_in_memory):
    """200,000 markers of 50,000 samples, 2.5 GB: what is planned stays below the limit as far as it can."""
    blocks = make_blocks(256, np.array([0, 200_000]), 50_000)
    rows = SimpleNamespace(width=12_500, row_bytes=12_500, chunk_bytes=8_000_000)
    held = holding._streamed(200_000 * 12_500, blocks, rows, limit, holding.LIBRARIES)
    assert held.residence.gram_in_memory == gram_in_memory
    assert held.read_bytes > 0
    assert any("read from the store a sweep" in note for note in held.notes)
    if limit:
        assert holding.LIBRARIES + held.work_bytes + held.genotype_bytes + held.gram_bytes <= limit
        assert held.genotype_bytes + held.gram_bytes > 0.5 * (limit - holding.LIBRARIES - held.work_bytes)


@of_kinds("calls", "traits", "dosages")
def test_a_limit_that_no_plan_meets(cohort):
    with pytest.raises(PlanError, match="this plan needs") as refused:
        cohort.fit(memory_limit=holding.LIBRARIES + 500_000)
    assert "reading and work space of the threads: " in str(refused.value)


def test_shares_of_the_samples():
    assert share_out(5, 2).tolist() == [0, 2, 5]
    for count in range(1, 40):
        for members in range(1, min(count, 5) + 1):
            bounds = share_out(count, members)
            rows = [subtree_rows(int(a), int(b), count) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
            assert all(len(own) <= 2 * np.log2(count) + 1 for own in rows)
            for own, first, last in zip(rows, bounds[:-1], bounds[1:], strict=True):
                assert own[0] == first
                assert (own < last).all()
                assert (np.diff(own) > 0).all()
    assert subtree_rows(0, 8, 8).tolist() == [0]
    assert subtree_rows(3, 8, 8).tolist() == [3, 4]
    assert subtree_rows(4, 7, 7).tolist() == [4]


def test_layouts():
    workers = {f"w{i}": 1 for i in range(4)}
    assert layout_of(workers, 4, 10, 1).gangs == (("w0",), ("w1",), ("w2",), ("w3",))
    assert layout_of(workers, 2, 10, 1).gangs == (("w0", "w1"), ("w2", "w3"))
    assert layout_of(workers, 4, 10, 2).chains == ((0, 2), (2, 4))
    assert layout_of(workers, 4, 10, 9).gangs == (("w0", "w1", "w2", "w3"),)
    assert layout_of(workers, 1, 2, 1).gangs == (("w0", "w1"),)


@pytest.fixture
def least_members(monkeypatch):
    """Sets how many workers the genotypes of a chain need, whatever their size; the runs on workers are listed."""
    runs = []

    def demand(least):
        def run(executor, job, chains, _):
            runs.append(GangRun(executor, job, chains, least))
            return runs[-1]

        monkeypatch.setattr(fitting, "GangRun", run)
        return runs

    return demand


def test_chains_and_samples_on_two_workers(cohorts, least_members):
    made = [cohorts(kind) for kind in KINDS]  # fitted in memory
    with dg.cluster.connect("local:2"):
        for cohort in made:
            for least in (1, 2):
                runs = least_members(least)
                cohort.check(cohort.fit())
                assert [len(gang) for gang in runs[-1].layout.gangs] == ([1, 1] if least == 1 else [2])
    assert len(runs) == 2 * len(KINDS)


def test_samples_on_four_workers(cohorts, least_members):
    made = [cohorts(kind) for kind in DEMANDING]
    runs = least_members(4)
    with dg.cluster.connect("local:4"):
        for cohort in made:
            cohort.check(cohort.fit())
            assert len(runs[-1].layout.gangs[0]) == 4


@of_kinds(*DEMANDING)
@pytest.mark.parametrize("replaced", [False, True], ids=["at once", "replaced first"])
def test_a_gang_without_tls_that_loses_a_member(cohort, least_members, monkeypatch, replaced):
    """One of two is killed in the middle: the chains go on from the last report, with the same draws.

    Also where the loss is seen before the next stint begins: the other member then holds its share, the new one not.
    """
    from distributed import Client, LocalCluster

    least_members(2)
    monkeypatch.setattr(running, "_SEGMENT_GENOTYPES", N * P * 2 * 1.6)
    advance, calls = GangRun.advance, []
    with (
        dask.config.set({"daskgen.checkpoint-seconds": 0}),
        LocalCluster(2, threads_per_worker=1, processes=True, dashboard_address=":0") as made,
        Client(made) as client,
    ):
        processes = client.run(os.getpid)

        def losing(self, iterations, *, last):
            calls.append(self.iteration)
            if len(calls) == 3:
                os.kill(max(processes.values()), signal.SIGKILL)
                while replaced and not set(client.scheduler_info()["workers"]) - set(processes):
                    time.sleep(0.1)
            return advance(self, iterations, last=last)

        monkeypatch.setattr(GangRun, "advance", losing)
        cohort.check(cohort.fit())
    assert calls[2] == calls[3] > 0  # the third stint was lost, and done again from its start


@of_kinds(*DEMANDING)
def test_a_run_on_workers_goes_on_from_its_checkpoint(cohort, least_members, monkeypatch, tmp_path):
    least_members(2)
    monkeypatch.setattr(running, "_SEGMENT_GENOTYPES", N * P * 2 * 1.6)
    advance, calls = GangRun.advance, []

    def interrupted(self, iterations, *, last):
        calls.append(self.iteration)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return advance(self, iterations, last=last)

    checkpoint = tmp_path / "state.npz"
    with dg.cluster.connect("local:2"):
        with dask.config.set({"daskgen.checkpoint-seconds": 0}), pytest.raises(KeyboardInterrupt):
            monkeypatch.setattr(GangRun, "advance", interrupted)
            cohort.fit(checkpoint=checkpoint)
        monkeypatch.setattr(GangRun, "advance", advance)
        cohort.check(cohort.fit(checkpoint=checkpoint))


def test_a_gang_whose_members_are_lost_again_and_again(cohort, least_members, monkeypatch):
    from daskgen.passes.channel import LostMemberError

    least_members(2)

    def lost(self, *_):
        raise LostMemberError("member 1 at tcp://there: no answer within 60 s")

    monkeypatch.setattr(GangRun, "_stint", lost)
    with dg.cluster.connect("local:1"), pytest.raises(InterruptedRunError, match="lost 4 times") as caught:
        cohort.fit()
    assert "no answer" in str(caught.value)
