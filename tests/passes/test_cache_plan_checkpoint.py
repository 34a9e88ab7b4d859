"""The honest cache, the plan that refuses, the checkpoint that knows its run."""

from __future__ import annotations

import dask.config
import numpy as np
import pytest

from daskgen.errors import PlanError, ResumeError
from daskgen.passes import Checkpoint, ChunkCache, MemoryItem, Plan, cache_budget
from daskgen.passes.progress import Progress
from daskgen.stores import RunKey


def load_of(size, log, name):
    def load():
        log.append(name)
        return name, size

    return load


def test_a_cache_keeps_what_fits_and_reads_the_rest_again():
    cache, log = ChunkCache(), []
    for _ in range(2):
        for chunk in range(4):
            assert cache.get("a", chunk, load_of(40, log, chunk), budget=100) == chunk
    assert log == [0, 1, 2, 3, 2, 3]
    assert cache.bytes == 80


def test_another_owner_makes_room_the_one_used_longest_ago_first():
    cache, log = ChunkCache(), []
    for owner in ("a", "b", "a"):
        cache.get(owner, 0, load_of(40, log, owner), budget=100)
    cache.get("c", 0, load_of(40, log, "c"), budget=100)  # b goes, a stays
    cache.get("a", 0, load_of(40, log, "a again"), budget=100)
    cache.get("b", 0, load_of(40, log, "b again"), budget=100)
    assert log == ["a", "b", "c", "b again"]
    cache.drop("a")
    cache.clear()
    assert cache.bytes == 0


def test_the_budget_leaves_workspace_and_reserve_below_three_quarters():
    assert cache_budget(4_000_000_000, 1_000_000_000) == 4_000_000_000 * 0.75 - 1_000_000_000 - 150_000_000
    assert cache_budget(1_000_000_000, 10**12) == 0


def test_a_plan_over_the_limit_names_the_largest_items_and_what_lowers_them():
    plan = Plan(
        "22 components",
        bytes_per_pass=95_000_000_000,
        passes=None,
        memory=[
            MemoryItem("probes", 1_300_000_000, lower="--n-probes 16"),
            MemoryItem("blocks", 10_000_000),
            MemoryItem("packed chunks", 9_100_000_000, optional=True),
        ],
        memory_limit=1_000_000_000,
    )
    with pytest.raises(PlanError) as caught:
        plan.check()
    message = str(caught.value)
    assert "needs 1.31 GB per worker, the limit is 1 GB" in message
    assert "probes: 1.3 GB" in message
    assert "--n-probes 16, or a higher --memory-limit" in message
    assert caught.value.exit_code == 2
    plan.memory_limit = 2_000_000_000
    plan.check()  # what is optional does not refuse a plan
    assert "passes until convergence x 95 GB read" in str(plan)


def test_a_checkpoint_comes_back_for_the_same_run_only(tmp_path):
    run = RunKey("pca", {"n": 3}, ["store"])
    saved = Checkpoint(tmp_path / "c.npz", run)
    assert saved.load() is None
    assert not saved.save({"basis": np.eye(2)})  # 60 s have not passed
    assert saved.save({"basis": np.eye(2), "passes": 4}, force=True)
    state = Checkpoint(tmp_path / "c.npz", run).load()
    assert state is not None
    np.testing.assert_array_equal(state["basis"], np.eye(2))
    assert int(state["passes"]) == 4
    with pytest.raises(ResumeError, match="n: 3 before, 5 now"):
        Checkpoint(tmp_path / "c.npz", RunKey("pca", {"n": 5}, ["store"])).load()
    (tmp_path / "c.npz").write_bytes(b"damaged")
    with pytest.raises(ResumeError, match="damaged"):
        saved.load()
    saved.remove()
    assert saved.load() is None


def test_a_checkpoint_is_written_as_often_as_allowed(tmp_path):
    with dask.config.set({"daskgen.checkpoint-seconds": 0.0}):
        saved = Checkpoint(tmp_path / "c.npz", RunKey("x"))
        assert saved.save({"a": 1.0})
    assert Checkpoint(None, RunKey("x")).save({"a": 1.0}, force=True) is False


def test_objects_do_not_enter_a_checkpoint(tmp_path):
    with pytest.raises(TypeError):
        Checkpoint(tmp_path / "c.npz", RunKey("x")).save({"a": np.array([{}], dtype=object)}, force=True)


def test_progress_counts_and_estimates():
    progress = Progress("x", 10, unit_bytes=1e6)
    assert np.isnan(progress.eta)
    assert progress.rate == ""
    progress.advance(5)
    assert progress.eta >= 0
    assert progress.rate.endswith("/s")
