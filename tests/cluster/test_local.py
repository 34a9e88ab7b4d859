"""Worker processes on this machine: encrypted, limited, and gone afterwards, however the block ends."""

from __future__ import annotations

import multiprocessing.spawn
import os
import signal
import stat
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import psutil
import pytest

import daskgen as dg
from daskgen.cluster.worker_setup import WORKER_ENVIRONMENT
from daskgen.errors import MissingPackageError
from tests.cluster.processes import process, still_running


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def connection(scratch: Path) -> Iterator[dg.cluster.Connection]:
    os.environ["OMP_NUM_THREADS"] = "7"  # as batch scripts set it
    try:
        with dg.cluster.connect("local:2", memory_limit="1GB", scratch=scratch) as connected:
            yield connected
    finally:
        del os.environ["OMP_NUM_THREADS"]


def client_of(connection: dg.cluster.Connection) -> distributed.Client:
    assert connection.client is not None
    return connection.client


def test_it_says_what_it_is(connection: dg.cluster.Connection) -> None:
    assert (connection.scheme, connection.n_workers, connection.n_threads) == ("local", 2, 2)
    assert connection.address.startswith("tls://127.0.0.1:")
    assert str(connection) == f"2 workers on {connection.address} · 500 MB memory each"


def test_the_memory_limit_is_the_total_of_all_processes(connection: dg.cluster.Connection) -> None:
    workers = client_of(connection).scheduler_info(n_workers=-1)["workers"].values()
    assert [worker["memory_limit"] for worker in workers] == [500_000_000, 500_000_000]
    assert (connection.memory_limit, connection.worker_memory_limit) == (10**9, 500_000_000)


def test_tasks_run_in_other_processes_with_what_the_test_module_defines(connection: dg.cluster.Connection) -> None:
    processes = {future.result() for future in client_of(connection).map(lambda _: os.getpid(), range(8), pure=False)}
    assert os.getpid() not in processes


def test_one_thread_in_a_task_whatever_the_shell_says(connection: dg.cluster.Connection) -> None:
    def environment() -> dict[str, str | None]:
        return {name: os.environ.get(name) for name in WORKER_ENVIRONMENT}

    def blas_threads() -> list[int]:
        import threadpoolctl

        np.ones((2, 2)) @ np.ones((2, 2))
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]

    client = client_of(connection)
    assert list(client.run(environment).values()) == [WORKER_ENVIRONMENT] * 2
    assert all(set(threads) <= {1} for threads in client.run(blas_threads).values())


def test_polars_has_as_many_threads_as_its_worker(connection: dg.cluster.Connection) -> None:
    def polars_threads() -> int:
        import polars

        return polars.thread_pool_size()

    assert list(client_of(connection).run(polars_threads).values()) == [1, 1]


def test_workers_leave_ctrl_c_to_the_client(connection: dg.cluster.Connection) -> None:
    def handlers() -> list[bool]:
        return [signal.getsignal(number) == signal.SIG_IGN for number in (signal.SIGINT, signal.SIGUSR1)]

    assert list(client_of(connection).run(handlers).values()) == [[True, True]] * 2


def test_a_client_without_the_certificates_is_refused(connection: dg.cluster.Connection) -> None:
    for address, security in [
        (connection.address.replace("tls://", "tcp://"), None),
        (connection.address, distributed.Security.temporary()),
    ]:
        with pytest.raises(OSError, match=r"certificate|imed out|onnect"):
            distributed.Client(address, security=security, timeout="1s", set_as_default=False)
    assert client_of(connection).submit(sum, [1, 2]).result() == 3


def test_certificates_are_private(connection: dg.cluster.Connection, scratch: Path) -> None:
    (folder,) = scratch.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir() if file.is_file()} == {0o600}


def test_workers_spill_into_the_scratch_folder(connection: dg.cluster.Connection, scratch: Path) -> None:
    folders = client_of(connection).run(lambda dask_worker: dask_worker.local_directory)
    assert all(Path(folder).is_relative_to(scratch) for folder in folders.values())


def test_no_port_is_open_to_other_machines_and_no_web_page_is_served(connection: dg.cluster.Connection) -> None:
    def listening(dask_scheduler: Any = None, dask_worker: Any = None) -> list[str]:
        sockets = psutil.Process().net_connections("inet")
        return [socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN]

    def web_port(dask_scheduler: Any = None, dask_worker: Any = None) -> int:
        return int((dask_scheduler or dask_worker).http_server.port)

    client = client_of(connection)
    found = [client.run_on_scheduler(listening), *client.run(listening).values()]
    assert {address for addresses in found for address in addresses} == {"127.0.0.1"}
    for port in [client.run_on_scheduler(web_port), *client.run(web_port).values()]:
        for page in ("", "status", "info/main/workers.html", "json/counts.json", "metrics"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5)


def test_a_silent_worker_is_given_up_after_the_set_time(connection: dg.cluster.Connection) -> None:
    def settings(dask_scheduler: Any) -> tuple[float, int]:
        return dask_scheduler.worker_ttl, dask_scheduler.allowed_failures

    assert client_of(connection).run_on_scheduler(settings) == (60.0, 3)


def test_a_lost_worker_is_started_again_in_the_same_environment(connection: dg.cluster.Connection) -> None:
    client = client_of(connection)
    victim = next(iter(client.run(os.getpid).values()))
    os.kill(victim, signal.SIGKILL)
    assert not still_running([psutil.Process(victim)] if psutil.pid_exists(victim) else [])
    for future in client.map(lambda x: x + 1, range(20), pure=False):
        future.result(timeout=30)
    client.wait_for_workers(2, timeout=30)
    found = client.run(lambda: (os.getpid(), os.environ["OMP_NUM_THREADS"]))
    assert len(found) == 2
    assert all(pid != victim and threads == "1" for pid, threads in found.values())


@pytest.mark.parametrize("failure", [None, ValueError, KeyboardInterrupt])
def test_nothing_is_left_however_the_block_ends(tmp_path: Path, failure: type[BaseException] | None) -> None:
    environment, client_before = dict(os.environ), dg.cluster.current_client()
    prepare = multiprocessing.spawn.get_preparation_data
    workers: list[psutil.Process] = []

    def block() -> None:
        with dg.cluster.connect("local:1", scratch=tmp_path) as connection:
            client = client_of(connection)
            workers.extend(psutil.Process(pid) for pid in client.run(os.getpid).values())
            sleeping = client.submit(__import__("time").sleep, 60)
            if failure is not None:
                raise failure("ends the block")
            sleeping.cancel()

    if failure is None:
        block()
    else:
        with pytest.raises(failure, match="ends the block"):
            block()
    assert workers
    assert not still_running(workers, seconds=0.5)
    assert list(tmp_path.iterdir()) == []
    assert dg.cluster.current_client() is client_before
    assert dict(os.environ) == environment
    assert multiprocessing.spawn.get_preparation_data is prepare


SCRIPT = """
    import sys, time
    import daskgen as dg

    def work(seconds):
        time.sleep(seconds)
        return "done"

    with dg.cluster.connect("local:2", scratch=sys.argv[1]) as connection:
        print("connected", flush=True)
        print(connection.client.submit(work, float(sys.argv[2])).result())
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A user's script, which does not guard its lines by ``if __name__ == "__main__"``."""
    path = tmp_path / "analysis.py"
    path.write_text(textwrap.dedent(SCRIPT))
    return path


def test_a_script_needs_no_main_guard(script: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    with process(str(script), str(tmp_path / "scratch"), "0") as running:
        out, _ = running.communicate(timeout=60)
    assert out.split() == ["connected", "done"]


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups")
@pytest.mark.parametrize(
    ("name", "to_group"), [("SIGTERM", False), ("SIGINT", True), ("SIGTERM", True), ("SIGUSR1", True)]
)
def test_a_signal_ends_the_run_without_noise(script: Path, tmp_path: Path, name: str, to_group: bool) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    with process(str(script), str(folder), "60") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "connected\n"
        started = psutil.Process(running.pid).children(recursive=True)
        (os.killpg if to_group else os.kill)(running.pid, getattr(signal, name))
        out, _ = running.communicate(timeout=30)
    assert running.returncode in (130, -signal.SIGINT)
    assert out.splitlines()[-1].startswith("KeyboardInterrupt")
    assert out.count("Traceback") == 1
    assert len(started) >= 2
    assert not still_running(started, seconds=3)
    assert list(folder.iterdir()) == []


def test_a_dashboard_that_cannot_be_served_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused = pytest.raises(MissingPackageError, match=r"daskgen\[dashboard\]")
    with refused, dg.cluster.connect("local:1", dashboard=True):
        pytest.fail("connected")
