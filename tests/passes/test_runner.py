"""Passes on threads and on processes: same bits; lost, hung and interrupted workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from daskgen.errors import InterruptedRunError
from daskgen.passes import PassRunner, TreeSum, run_map, show_progress
from daskgen.passes.executors import ThreadExecutor
from tests.cluster.lost_workers import struck, two_processes
from tests.passes import tasks

LEAVES = 13
CHECKOUT = Path(__file__).resolve().parents[2]


def expected(scale=1.0, leaves=LEAVES):
    tree = TreeSum()
    for leaf in range(leaves):
        tree.add(0, leaf, tasks.piece(leaf, scale))
    return tree.total(leaves)


@pytest.fixture(scope="module")
def cluster():
    with two_processes() as client:
        yield client


@pytest.fixture
def fragile():
    """A cluster of one test's own: a worker that was lost is not always started again by its nanny."""
    with two_processes() as client:
        yield client


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("bundles", [1, 3])
def test_a_sum_has_the_same_bits_for_any_number_of_threads(threads, bundles):
    runner = PassRunner(ThreadExecutor(threads), bundles_per_thread=bundles)
    assert runner.run_sum(tasks.piece, LEAVES, 1.0).tobytes() == expected().tobytes()


def test_a_sum_on_processes_has_the_bits_of_threads(cluster):
    runner = PassRunner()
    for _ in range(2):
        assert runner.run_sum(tasks.piece, LEAVES, 2.5).tobytes() == expected(2.5).tobytes()


def test_large_arguments_are_sent_once_and_arrive(cluster):
    large = np.arange(300_000.0)
    found = PassRunner().run_sum(tasks.with_large, 5, large)
    np.testing.assert_array_equal(found, large * 15)


def test_a_map_yields_every_index_once(cluster):
    assert sorted(run_map(tasks.square, range(50))) == [(i, i * i) for i in range(50)]
    assert sorted(PassRunner(ThreadExecutor(3)).run_map(tasks.square, [4, 2, 9])) == [(2, 4), (4, 16), (9, 81)]
    assert list(run_map(tasks.square, [])) == []


@pytest.mark.parametrize("where", ["threads", "processes"])
def test_an_error_of_a_task_is_raised_as_it_is(where, request):
    if where == "processes":
        request.getfixturevalue("cluster")
    runner = PassRunner(ThreadExecutor(2)) if where == "threads" else PassRunner()
    with pytest.raises(ValueError, match="index 3 is bad"):
        list(runner.run_map(tasks.fails, range(6)))


def test_chunks_stay_with_their_worker_from_pass_to_pass(cluster):
    runner = PassRunner()
    cluster.run(lambda: __import__("daskgen.passes", fromlist=["x"]).worker_cache().clear())
    first = runner.run_sum(tasks.cached_sum, 8, 10**6)
    second = runner.run_sum(tasks.cached_sum, 8, 10**6)
    assert first["leaves"] == second["leaves"] == 8
    misses = sum(cluster.run(lambda: __import__("daskgen.passes", fromlist=["x"]).worker_cache().misses).values())
    hits = sum(cluster.run(lambda: __import__("daskgen.passes", fromlist=["x"]).worker_cache().hits).values())
    assert (misses, hits) == (8, 8)


def test_work_is_spread_over_the_workers(cluster):
    assert len({pid for _, pid in run_map(tasks.process, range(16))}) == 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_killed_or_hung_worker_is_replaced_and_the_bits_are_the_same(fragile, tmp_path, how):
    victim = next(iter(fragile.run(os.getpid).values()))
    # In the middle: the victim has begun one of its leaves.
    with struck(lambda: victim if list(tmp_path.glob(f"*-{victim}")) else None, how) as hit:
        found = PassRunner().run_sum(tasks.marked, LEAVES, str(tmp_path), 0.2)
    assert found.tobytes() == expected().tobytes()
    assert hit == [victim]


def test_a_task_that_keeps_losing_its_worker_ends_the_run_resumably(fragile):
    with pytest.raises(InterruptedRunError, match=r"lost .* times"):
        PassRunner().run_sum(_die, 2)


def _die(leaf: int) -> np.ndarray:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


INTERRUPTED = """
    import sys
    from daskgen.passes import PassRunner
    from daskgen.passes.executors import ThreadExecutor
    from tests.passes import tasks
    try:
        PassRunner(ThreadExecutor(2)).run_sum(tasks.marked, 200, sys.argv[1], 0.05)
    except KeyboardInterrupt:
        print("stopped")
"""


def test_ctrl_c_stops_between_leaves(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    )
    while len(list(tmp_path.iterdir())) < 4:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert output == "stopped\n"
    assert len(list(tmp_path.iterdir())) < 100


def test_progress_is_silent_unless_shown(capfd, caplog):
    PassRunner(ThreadExecutor(1)).run_sum(tasks.piece, 3, 1.0)
    with show_progress():  # stderr is no terminal here: log lines, at most one in 30 s
        PassRunner(ThreadExecutor(1)).run_sum(tasks.piece, 3, 1.0)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
