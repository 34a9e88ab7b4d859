"""Schedulers that somebody else started: joined by address, by scheduler file, or because a client is there already."""

from __future__ import annotations

import contextlib
import json
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dask.config
import distributed
from distributed.security import Security

from daskgen.cluster.connection import Connection
from daskgen.cluster.options import Options
from daskgen.cluster.quiet import quiet_shutdown
from daskgen.cluster.versions import check_versions
from daskgen.errors import InputError, UsageError
from daskgen.interrupts import deferred

__all__ = ["client_of", "connection_of", "join", "scheduler_address", "security_of"]

_TIMEOUT = 60.0
_TLS_VARIABLES = ("DASKGEN_TLS_CA_FILE", "DASKGEN_TLS_CERT", "DASKGEN_TLS_KEY")


@contextlib.contextmanager
def join(address: str, options: Options) -> Iterator[Connection]:
    """A client of the scheduler at `address`; its workers run the same versions, and there is at least one of them."""
    scheme = address.partition("://")[0]
    security = security_of(address)
    if scheme == "tcp":
        warnings.warn(
            f"{address} is not encrypted: whoever reaches it can run code as its owner and read what is sent.",
            stacklevel=2,
        )
    quiet_shutdown()
    with client_of(address, options, security=security) as client:
        wait_for_workers(client, options, f"the scheduler at {address}")
        check_versions(client)
        yield connection_of(client, scheme, options)


@contextlib.contextmanager
def client_of(target: Any, options: Options, **arguments: Any) -> Iterator[distributed.Client]:
    """The current client of `target` (a cluster or an address) within the block, closed at its end."""
    timeout = options.timeout or _TIMEOUT
    with dask.config.set(scheduler="dask.distributed"):
        try:
            with warnings.catch_warnings():
                # `check_versions` says it in full, and refuses.
                warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
                client = distributed.Client(target, timeout=timeout, **arguments)
        except OSError as error:
            raise UsageError(
                f"no Dask scheduler answers at {target}.",
                found=f"{str(error).splitlines()[0]}",
                expected=f"an answer within {timeout:g} s",
                do="look whether it runs, is reached from here, and uses these certificates",
            ) from error
        try:
            with client.as_current():
                yield client
        finally:
            with deferred():
                client.close()


def wait_for_workers(
    client: distributed.Client, options: Options, where: str, *, timeout: float | None = _TIMEOUT
) -> None:
    """Wait for `options.min_workers` workers; UsageError once `options.timeout` (or `timeout`) has passed."""
    limit = options.timeout or timeout
    try:
        client.wait_for_workers(options.min_workers, timeout=limit)
    except TimeoutError:
        there = len(client.scheduler_info(n_workers=-1)["workers"])
        raise UsageError(
            f"{where} has too few workers.",
            found=f"{there:,} after {limit:g} s",
            expected=f"at least {options.min_workers:,}",
            do="start workers, or wait longer: timeout=",
        ) from None


def connection_of(client: distributed.Client, scheme: str, options: Options) -> Connection:
    """What the workers of `client` have. A memory limit that was given lowers what they may use together."""
    workers: Mapping[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    memory = [int(worker["memory_limit"]) for worker in workers.values()]
    least, total = min(memory, default=0), sum(memory)
    if options.memory_limit_given and memory and options.memory_limit < total:
        least, total = min(least, options.memory_limit // len(memory)), options.memory_limit
    return Connection(
        scheme=scheme,
        n_workers=len(workers),
        n_threads=sum(int(worker["nthreads"]) for worker in workers.values()),
        memory_limit=total,
        worker_memory_limit=least,
        address=client.scheduler.address,
        client=client,
    )


def scheduler_address(path: str, options: Options) -> str:
    """The address in a scheduler file. One that is not there yet is waited for: the scheduler may just be starting."""
    file = Path(path).expanduser()
    deadline = time.monotonic() + (options.timeout or _TIMEOUT)
    while True:
        try:
            text = file.read_text()
        except FileNotFoundError:
            text = ""
        except OSError as error:
            raise InputError(f"{file} cannot be read.", found=error.strerror) from error
        with contextlib.suppress(ValueError, TypeError, KeyError):
            return str(json.loads(text)["address"])
        if time.monotonic() > deadline or not file.parent.is_dir():
            raise InputError(
                f"{file} is no scheduler file.",
                found="no such file" if not file.exists() else "no JSON with an address",
                expected=f"what dask scheduler --scheduler-file {file} writes",
                do="start the scheduler; the file must be on storage that both machines see",
            )
        time.sleep(0.1)


def security_of(address: str, environment: Mapping[str, str] | None = None) -> Security | None:
    """The certificates for `address`: from ``DASKGEN_TLS_CA_FILE``, ``_CERT``, ``_KEY``, else Dask's configuration.

    Raises UsageError where a tls:// address has none and InputError where a file is not there.
    """
    if not address.startswith("tls://"):
        return None
    environment = os.environ if environment is None else environment
    given = [environment.get(name) for name in _TLS_VARIABLES]
    if any(given):
        files = dict(zip(("tls_ca_file", "tls_client_cert", "tls_client_key"), given, strict=True))
    else:
        configured = Security()
        files = {name: getattr(configured, name) for name in ("tls_ca_file", "tls_client_cert", "tls_client_key")}
    if not (files["tls_ca_file"] and files["tls_client_cert"]):
        raise UsageError(
            f"{address} needs certificates and none are set.",
            expected=f"{', '.join(_TLS_VARIABLES)} in the environment, or distributed.comm.tls in Dask's configuration",
        )
    for name, file in files.items():
        if file and "\n" not in file and not Path(file).expanduser().is_file():
            raise InputError(f"the certificate file {file} is not there.", found=f"{name} names it")
    return Security(require_encryption=True, **{name: file for name, file in files.items() if file})
