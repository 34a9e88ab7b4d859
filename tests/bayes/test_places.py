"""Genotypes in memory, in their store and on workers: the draws are the same, to the last bit."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace

import dask
import numpy as np
import pytest

import daskgen as dg
from daskgen import bayes
from daskgen.bayes import fitting, holding, preparation, running, streaming
from daskgen.bayes.blocks import make_blocks
from daskgen.bayes.exchange import share_out, subtree_rows
from daskgen.bayes.gang import GangRun, layout_of
from daskgen.errors import InterruptedRunError, PlanError

OPTIONS = {"chain_length": 12, "burn_in": 4, "chains": 2, "seed": 5, "pi": 0.9, "blocks": 32}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A store of three tiles of samples in many small chunks, its phenotypes, and their posterior from memory."""
    path = str(tmp_path_factory.mktemp("places") / "cohort.zarr")
    with dask.config.set({"daskgen.chunk-mb": 0.05}):
        dg.simulate.genotypes(path, n_samples=4_500, n_variants=300, missing_rate=0.01, seed=2)
    table = dg.simulate.phenotypes(path, h2=0.5, n_causal=20, seed=2)
    return path, table, bayes.fit(path, table, **OPTIONS)


def assert_same(one, other):
    for name in one.dataset:
        assert np.array_equal(one.dataset[name].values, other.dataset[name].values), name


@pytest.mark.parametrize("gram_in_memory", [True, False])
@pytest.mark.parametrize("resident", [0, 3, 100])
def test_blocks_from_the_store(cohort, monkeypatch, resident, gram_in_memory):
    path, table, expected = cohort
    monkeypatch.setattr(preparation, "place_of", lambda *_: "store")
    monkeypatch.setattr(
        holding, "Residence", lambda *_: streaming.Residence(20_000, resident, gram_in_memory), raising=True
    )
    streamed = bayes.fit(path, table, **OPTIONS)
    assert_same(streamed, expected)
    windows = streamed.windows("50snp")
    np.testing.assert_allclose(windows["share"], expected.windows("50snp")["share"])


@pytest.mark.parametrize(("limit", "gram_in_memory"), [(1_600_000_000, True), (620_000_000, False), (0, False)])
def test_what_is_held_of_a_large_cohort(limit, gram_in_memory):
    """200,000 markers of 50,000 samples, 2.5 GB: what is planned stays below the limit as far as it can."""
    blocks = make_blocks(256, np.array([0, 200_000]), 50_000)
    rows = SimpleNamespace(width=12_500, chunk_bytes=8_000_000)
    held = holding._streamed(200_000 * 12_500, blocks, rows, limit, holding.LIBRARIES)
    assert held.residence.gram_in_memory == gram_in_memory
    assert held.read_bytes > 0
    assert any("read from the store a sweep" in note for note in held.notes)
    if limit:
        assert holding.LIBRARIES + held.genotype_bytes + held.gram_bytes <= limit
        assert held.genotype_bytes + held.gram_bytes > 0.5 * (limit - holding.LIBRARIES)


def test_a_limit_that_no_plan_meets(cohort):
    path, table, _ = cohort
    with pytest.raises(PlanError, match="this plan needs") as refused:
        bayes.fit(path, table, memory_limit=holding.LIBRARIES + 500_000, **OPTIONS)
    assert "genotypes: " in str(refused.value)


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
    """Sets how many workers the genotypes of a chain need, whatever their size."""

    def demand(least):
        monkeypatch.setattr(fitting, "GangRun", lambda executor, job, chains, _: GangRun(executor, job, chains, least))

    return demand


def test_chains_and_samples_on_two_workers(cohort, least_members):
    path, table, expected = cohort
    with dg.cluster.connect("local:2"):
        for least in (1, 2):
            least_members(least)
            assert_same(bayes.fit(path, table, **OPTIONS), expected)


def test_samples_on_four_workers(cohort, least_members):
    path, table, expected = cohort
    least_members(4)
    with dg.cluster.connect("local:4"):
        assert_same(bayes.fit(path, table, **OPTIONS), expected)


@pytest.mark.parametrize("replaced", [False, True], ids=["at once", "replaced first"])
def test_a_gang_without_tls_that_loses_a_member(cohort, least_members, monkeypatch, replaced):
    """One of two is killed in the middle: the chains go on from the last report, with the same draws.

    Also where the loss is seen before the next stint begins: the other member then holds its share, the new one not.
    """
    from distributed import Client, LocalCluster

    path, table, expected = cohort
    least_members(2)
    monkeypatch.setattr(running, "_SEGMENT_GENOTYPES", 4_500 * 300 * 2 * 1.6)
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
        assert_same(bayes.fit(path, table, **OPTIONS), expected)
    assert calls[2] == calls[3] > 0  # the third stint was lost, and done again from its start


def test_a_run_on_workers_goes_on_from_its_checkpoint(cohort, least_members, monkeypatch, tmp_path):
    path, table, expected = cohort
    least_members(2)
    monkeypatch.setattr(running, "_SEGMENT_GENOTYPES", 4_500 * 300 * 2 * 1.6)
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
            bayes.fit(path, table, checkpoint=checkpoint, **OPTIONS)
        monkeypatch.setattr(GangRun, "advance", advance)
        assert_same(bayes.fit(path, table, checkpoint=checkpoint, **OPTIONS), expected)


def test_a_gang_whose_members_are_lost_again_and_again(cohort, least_members, monkeypatch):
    from daskgen.passes.channel import LostMemberError

    path, table, _ = cohort
    least_members(2)

    def lost(self, *_):
        raise LostMemberError("member 1 at tcp://there: no answer within 60 s")

    monkeypatch.setattr(GangRun, "_stint", lost)
    with dg.cluster.connect("local:1"), pytest.raises(InterruptedRunError, match="lost 4 times") as caught:
        bayes.fit(path, table, **OPTIONS)
    assert "no answer" in str(caught.value)
