"""Gangs: members that find each other, exchange, and end together."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time

import numpy as np
import pytest

import daskgen as dg
from daskgen import config
from daskgen.errors import InterruptedRunError
from daskgen.passes.channel import Channel, Door, LostMemberError, Seat, join
from daskgen.passes.executors import ClusterExecutor
from daskgen.passes.gang import run_stint
from tests.passes import tasks


def seats(n, secret=b"s" * 32, timeout=5.0):
    """Doors of this process, and the seats of a gang that meets at them."""
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    doors = tuple(Door(f"member-{m}", "127.0.0.1", one.getsockname()[1]) for m, one in enumerate(listening))
    return listening, [Seat(m, doors, secret, timeout) for m in range(n)]


@pytest.fixture
def met(monkeypatch):
    """Runs a function of a channel as every member of a gang of threads; the results, or their exceptions."""
    monkeypatch.setattr("daskgen.passes.channel._security", lambda: (None, None))

    def meet(work, n, given=None, abandoned=lambda: False, **options):
        listening, places = seats(n, **options)
        monkeypatch.setattr("daskgen.passes.channel._open", {f"door-{m}": one for m, one in enumerate(listening)})
        results = [None] * n

        def member(m):
            try:
                with join((given or {}).get(m, places[m]), f"door-{m}", abandoned) as channel:
                    results[m] = work(channel)
            except Exception as error:
                results[m] = error

        threads = [threading.Thread(target=member, args=(m,)) for m in range(n) if m not in options.get("absent", ())]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
        return results

    return meet


@pytest.mark.parametrize("size", [3, 300_000])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_everybody_gets_what_everybody_sends(met, n, size):
    def work(channel: Channel):
        found = {m: np.empty(size + m) for m in range(n) if m != channel.member}
        for _ in range(2):
            channel.exchange(np.full(size + channel.member, float(channel.member)), found)
        return found

    for m, found in enumerate(met(work, n)):
        assert sorted(found) == [other for other in range(n) if other != m]
        assert all((values == other).all() for other, values in found.items())


def test_a_member_that_leaves_ends_the_others(met):
    def work(channel: Channel):
        if channel.member == 1:
            raise ValueError("gone")
        channel.exchange(b"12345678", {m: bytearray(8) for m in range(3) if m != channel.member})

    results = met(work, 3)
    assert isinstance(results[1], ValueError)
    assert all(isinstance(results[m], LostMemberError) for m in (0, 2))


def test_who_does_not_hold_the_secret_is_not_let_in(met):
    listening, places = seats(2)
    stranger = Seat(1, places[0].doors, b"x" * 32, 1.0)
    results = met(lambda channel: None, 2, given={1: stranger}, timeout=1.0)
    for one in listening:
        one.close()
    assert all(isinstance(result, LostMemberError) for result in results)


def test_a_task_that_is_given_up_waits_no_longer(met):
    started = time.monotonic()
    _, places = seats(2, timeout=60.0)
    results = met(lambda channel: None, 1, given={0: places[0]}, abandoned=lambda: True)
    assert isinstance(results[0], LostMemberError)
    assert time.monotonic() - started < 10


@contextlib.contextmanager
def workers(tls, n=2):
    """An executor of n processes with one thread each."""
    if tls:
        with dg.cluster.connect(f"local:{n}") as connection:
            yield ClusterExecutor(connection.client)
        return
    from distributed import Client, LocalCluster

    with LocalCluster(n, threads_per_worker=1, processes=True, dashboard_address=":0") as made, Client(made) as client:
        yield ClusterExecutor(client)


@pytest.mark.parametrize("tls", [True, False])
def test_gangs_of_processes(tls, tmp_path):
    with workers(tls) as executor:
        addresses = sorted(executor.workers)
        assert all(address.startswith("tls" if tls else "tcp") for address in addresses)
        ((one, other),) = run_stint(executor, tasks.add_up, [[(a, (5,)) for a in addresses]])
        assert one == other == [3.0] * 5
        alone = run_stint(executor, tasks.add_up, [[(a, (2,))] for a in addresses])
        assert alone == [[[1.0] * 2], [[1.0] * 2]]
        # One of them dies in the middle: the other ends at once, and the next stint has who is there.
        started = time.monotonic()
        with pytest.raises(LostMemberError):
            run_stint(executor, tasks.dies, [[(a, (str(tmp_path),)) for a in addresses]])
        assert time.monotonic() - started < 30
        executor.refresh()
        left = [address for address in executor.workers if address in addresses]
        assert run_stint(executor, tasks.add_up, [[(left[0], (1,))]]) == [[[1.0]]]


def test_a_member_that_never_arrives(tmp_path):
    with config.using({"daskgen.gang-seconds": 2.0}), workers(tls=False) as executor:
        addresses = sorted(executor.workers)
        busy = executor.submit(tasks.marked, 0, str(tmp_path), 8.0, worker=addresses[1])
        while not list(tmp_path.iterdir()):
            time.sleep(0.05)
        with pytest.raises(LostMemberError, match=r"did not (take up a task|come)"):
            run_stint(executor, tasks.add_up, [[(a, (1,)) for a in addresses]])
        executor.cancel([busy])


def test_ctrl_c_ends_all_members(tmp_path):
    with workers(tls=False) as executor:
        addresses = sorted(executor.workers)

        def strike():
            while len(list(tmp_path.glob("began-*"))) < 2:
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=strike, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            run_stint(executor, tasks.for_ever, [[(a, (str(tmp_path),)) for a in addresses]])
        deadline = time.monotonic() + 20
        while len(list(tmp_path.glob("ended-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(list(tmp_path.glob("ended-*"))) == 2


def test_errors_of_a_member_come_as_they_are():
    with workers(tls=False) as executor:
        with pytest.raises(InterruptedRunError, match="as it is"):
            run_stint(executor, tasks.refuses, [[(a, ()) for a in sorted(executor.workers)]])
