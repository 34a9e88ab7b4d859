"""Joining schedulers that somebody else started: by scheduler file, by address, with and without encryption."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import daskgen as dg
from daskgen.cluster import running
from daskgen.cluster.certificates import Certificates, write_certificates
from daskgen.errors import InputError, UsageError
from tests.cluster.processes import scheduler, worker


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, files: Certificates) -> Iterator[Path]:
    """The scheduler file of a scheduler and a worker that talk TLS."""
    file = tmp_path_factory.mktemp("secured") / "scheduler.json"
    tls = ["--tls-ca-file", files.authority, "--tls-cert", files.certificate, "--tls-key", files.key]
    options = ["--protocol", "tls", *map(str, tls)]
    with scheduler(file, *options), worker(file, *options):
        yield file


@pytest.fixture
def certificates_set(files: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASKGEN_TLS_CA_FILE", str(files.authority))
    monkeypatch.setenv("DASKGEN_TLS_CERT", str(files.certificate))
    monkeypatch.setenv("DASKGEN_TLS_KEY", str(files.key))


@pytest.mark.usefixtures("certificates_set")
def test_a_scheduler_file_is_joined_and_left_running(secured: Path) -> None:
    for _ in range(2):
        with dg.cluster.connect(f"file:{secured}") as connection:
            assert (connection.scheme, connection.n_workers, connection.n_threads) == ("tls", 1, 1)
            assert connection.memory_limit == 10**9
            assert connection.client is not None
            assert connection.client.submit(sum, [1, 2]).result() == 3


@pytest.mark.usefixtures("certificates_set")
def test_an_address_is_joined(secured: Path) -> None:
    with dg.cluster.connect(json.loads(secured.read_text())["address"], memory_limit="200MB") as connection:
        assert str(connection) == f"1 worker on {connection.address} · 200 MB memory each"


@pytest.mark.usefixtures("certificates_set")
def test_too_few_workers_are_waited_for_and_then_refused(secured: Path) -> None:
    expected = pytest.raises(UsageError, match="too few workers")
    with expected as caught, dg.cluster.connect(f"file:{secured}", min_workers=3, timeout=1):
        pytest.fail("connected")
    assert "1 after 1 s" in str(caught.value)
    assert "at least 3" in str(caught.value)


@pytest.mark.usefixtures("certificates_set")
def test_another_version_on_the_workers_is_refused(secured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import versions

    found = versions.get_package_info
    monkeypatch.setattr(versions, "get_package_info", lambda names: found(names) | {"zarr": "3.0.0"})
    with pytest.raises(UsageError, match="different versions") as caught, dg.cluster.connect(f"file:{secured}"):
        pytest.fail("connected")
    assert "zarr         3.0.0" in str(caught.value)


def test_encrypted_schedulers_need_certificates(secured: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs certificates") as caught, dg.cluster.connect(f"file:{secured}"):
        pytest.fail("connected")
    assert "DASKGEN_TLS_CA_FILE" in str(caught.value)
    monkeypatch.setenv("DASKGEN_TLS_CA_FILE", str(tmp_path / "gone.pem"))
    monkeypatch.setenv("DASKGEN_TLS_CERT", str(tmp_path / "gone.pem"))
    with pytest.raises(InputError, match=r"gone\.pem is not there"), dg.cluster.connect(f"file:{secured}"):
        pytest.fail("connected")


def test_another_runs_certificates_do_not_open_it(
    secured: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = write_certificates(tmp_path)
    monkeypatch.setenv("DASKGEN_TLS_CA_FILE", str(other.authority))
    monkeypatch.setenv("DASKGEN_TLS_CERT", str(other.certificate))
    monkeypatch.setenv("DASKGEN_TLS_KEY", str(other.key))
    with pytest.raises(UsageError, match="no Dask scheduler answers"), dg.cluster.connect(f"file:{secured}", timeout=1):
        pytest.fail("connected")


def test_certificates_may_come_from_dasks_configuration(files: Certificates) -> None:
    import dask.config

    settings = {"ca-file": files.authority, "client.cert": files.certificate, "client.key": files.key}
    with dask.config.set({f"distributed.comm.tls.{name}": str(file) for name, file in settings.items()}):
        security = running.security_of("tls://node:8786", environment={})
    assert security is not None
    assert security.require_encryption
    assert (security.tls_ca_file, security.tls_client_key) == (str(files.authority), str(files.key))


def test_an_unencrypted_scheduler_is_joined_with_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"

    def sum_there() -> tuple[str, int]:
        with dg.cluster.connect(f"file:{file}") as connection:
            assert connection.client is not None
            return connection.scheme, connection.client.submit(sum, [1, 2]).result()

    warned = pytest.warns(UserWarning, match="is not encrypted: whoever reaches it can run code")
    with scheduler(file), worker(file), warned:
        result = sum_there()
    assert result == ("tcp", 3)


def test_where_no_scheduler_is_that_is_said() -> None:
    warned, refused = (
        pytest.warns(UserWarning, match="not encrypted"),
        pytest.raises(UsageError, match="no Dask scheduler"),
    )
    with warned, refused, dg.cluster.connect("tcp://127.0.0.1:1", timeout=0.5):
        pytest.fail("connected")


@pytest.mark.parametrize("content", ["", "{}", "[1]", "not JSON"])
def test_a_file_that_is_no_scheduler_file_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "scheduler.json"
    file.write_text(content)
    with pytest.raises(InputError, match="no scheduler file"), dg.cluster.connect(f"file:{file}", timeout=0.2):
        pytest.fail("connected")


def test_a_missing_folder_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"), dg.cluster.connect(f"file:{tmp_path}/gone/scheduler.json"):
        pytest.fail("connected")


def test_a_scheduler_file_may_appear_while_it_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"

    def write() -> None:
        time.sleep(0.3)
        file.write_text(json.dumps({"address": "tls://node:1"}))

    writer = threading.Thread(target=write)
    writer.start()
    options = dg.cluster.Options(memory_limit=1, memory_limit_given=False, scratch=tmp_path, timeout=10)
    assert running.scheduler_address(str(file), options) == "tls://node:1"
    writer.join()
