"""Workers that talk to each other directly: an exchange of numbers in tens of microseconds.

A task per step costs milliseconds, so an iteration of many small sums runs as a *gang*: one long task on each worker,
every two of them joined by a socket. A worker first opens a door (`open_door`), a listening socket at the address at
which Dask reaches it; once all addresses are known each member goes to those before it and waits for those after it
(`join`). Where the cluster has TLS the sockets use the workers' certificates. Both sides of a connection prove that
they hold the gang's secret (HMAC-SHA256 of fresh random numbers), which came to them with their task.

Nothing waits for ever: a member that does not come or answer in time, closes its sockets or is given up by the
scheduler ends the others with `LostMemberError`.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Channel", "Door", "LostMemberError", "Seat", "close_door", "join", "open_door"]

_PIECE = 32_768  # bytes that are sent before as many are received: what the system buffers at the least
_SPIN_SECONDS = 0.002  # of looking again and again before sleeping
_TICK = 0.5  # seconds between two looks whether a wait still makes sense
_PATIENCE = 10  # times the seat's timeout: a member that is there may have more to read than the others
_HANDSHAKE_SECONDS = 5.0  # for proving oneself at a door
_WELCOME = b"\x01"
_NONCE = 32
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class LostMemberError(Exception):
    """A member of a gang is gone, does not come or does not answer."""


@dataclass(frozen=True)
class Door:
    """Where a member listens: its worker's address, and host and port of the socket."""

    worker: str
    host: str
    port: int


@dataclass(frozen=True)
class Seat:
    """One member's place in a gang: its number, everybody's doors, the secret, and how many seconds to wait for
    others to come.
    """

    member: int
    doors: tuple[Door, ...]
    secret: bytes
    timeout: float

    @property
    def size(self) -> int:
        return len(self.doors)


_open: dict[str, socket.socket] = {}
_lock = threading.Lock()


def open_door(name: str) -> Door:
    """Task: listen at this worker's address; the socket is kept under `name` until `join` or `close_door`."""
    from distributed import get_worker
    from distributed.comm.addressing import get_address_host

    worker = get_worker()
    host = "127.0.0.1" if worker.address.startswith("inproc") else get_address_host(worker.address)
    listening = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    with _lock:
        _open[name] = listening
    return Door(worker.address, host, listening.getsockname()[1])


def close_door(name: str) -> None:
    """Task: give up the door `name`, if it is still there."""
    with _lock:
        listening = _open.pop(name, None)
    if listening is not None:
        listening.close()


class Channel:
    """The sockets of one member to the others."""

    def __init__(self, seat: Seat, sockets: Mapping[int, socket.socket], abandoned: Callable[[], bool]):
        self.member, self.size = seat.member, seat.size
        self._seat = seat
        self._sockets = dict(sorted(sockets.items()))
        self._abandoned = abandoned
        self._looked = time.monotonic()

    def exchange(self, mine: Any, theirs: Mapping[int, Any]) -> None:
        """Send the bytes `mine` to every member and fill the buffers `theirs`, by member, with what they send.

        Every member knows the lengths. Long messages go in pieces, by turns, so that nobody waits with full buffers
        for somebody who does the same.
        """
        outgoing = memoryview(mine).cast("B")
        incoming = {member: memoryview(buffer).cast("B") for member, buffer in theirs.items()}
        longest = max([len(outgoing), *(len(buffer) for buffer in incoming.values())])
        for start in range(0, longest, _PIECE):
            piece = outgoing[start : start + _PIECE]
            for member, connection in self._sockets.items():
                self._send(member, connection, piece)
            for member, connection in self._sockets.items():
                self._receive(member, connection, incoming[member][start : start + _PIECE])

    def check(self) -> None:
        """LostMemberError where nobody waits for this task any more; looks twice a second."""
        now = time.monotonic()
        if now - self._looked >= _TICK:
            self._looked = now
            if self._abandoned():
                raise LostMemberError("the task was given up")

    def close(self) -> None:
        """Close all sockets, on which the others see that this member has gone."""
        for connection in self._sockets.values():
            with contextlib.suppress(OSError):
                connection.close()

    def _send(self, member: int, connection: socket.socket, data: memoryview) -> None:
        begun = time.monotonic()
        while data:
            try:
                data = data[connection.send(data) :]
            except _NOT_NOW:
                self._wait(member, connection, select.POLLIN | select.POLLOUT, begun)
            except OSError as error:
                raise self._lost(member, error) from error

    def _receive(self, member: int, connection: socket.socket, buffer: memoryview) -> None:
        begun = time.monotonic()
        while buffer:
            try:
                count = connection.recv_into(buffer)
            except _NOT_NOW:
                self._wait(member, connection, select.POLLIN, begun)
                continue
            except OSError as error:
                raise self._lost(member, error) from error
            if not count:
                raise self._lost(member, "the connection was closed")
            buffer = buffer[count:]

    def _wait(self, member: int, connection: socket.socket, events: int, begun: float) -> None:
        """Return when it may be worth another look: at once in the first milliseconds since `begun`, because a process
        that sleeps takes longer to wake up than most answers take to come.
        """
        waited = time.monotonic() - begun
        if waited < _SPIN_SECONDS:
            os.sched_yield()
            return
        if waited > _PATIENCE * self._seat.timeout:
            raise self._lost(member, f"no answer within {_PATIENCE * self._seat.timeout:g} s")
        self.check()
        poll = select.poll()
        poll.register(connection, events)
        poll.poll(_TICK * 1_000)

    def _lost(self, member: int, why: object) -> LostMemberError:
        return LostMemberError(f"member {member} at {self._seat.doors[member].worker}: {why}")


@contextlib.contextmanager
def join(seat: Seat, door: str, abandoned: Callable[[], bool]) -> Iterator[Channel]:
    """The channel of this member while the block runs. door: the name under which `open_door` was called here.

    abandoned: whether this task was given up. Raises LostMemberError where a member does not come in time.
    """
    sockets: dict[int, socket.socket] = {}
    deadline = time.monotonic() + seat.timeout
    with _lock:
        listening = _open.pop(door, None)
    try:
        if seat.size > 1:
            if listening is None:
                raise LostMemberError("the door of this member is gone: the worker was started again")
            outgoing, incoming = _security()
            for member in range(seat.member):
                sockets[member] = _go_to(seat, member, outgoing, deadline, abandoned)
            while len(sockets) < seat.size - 1:
                member, connection = _wait_at(seat, listening, incoming, deadline, abandoned, sockets)
                sockets[member] = connection
        if listening is not None:
            listening.close()
        channel = Channel(seat, sockets, abandoned)
        yield channel
    finally:
        if listening is not None:
            listening.close()
        for connection in sockets.values():
            with contextlib.suppress(OSError):
                connection.close()


def _security() -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """The TLS contexts of this worker for going to others and for letting them in; None on a cluster without TLS."""
    from distributed import get_worker

    worker = get_worker()
    if not worker.address.startswith("tls://"):
        return None, None
    security = worker.security
    return (
        security.get_connection_args("worker")["ssl_context"],
        security.get_listen_args("worker")["ssl_context"],
    )


def _go_to(
    seat: Seat, member: int, tls: ssl.SSLContext | None, deadline: float, abandoned: Callable[[], bool]
) -> socket.socket:
    door = seat.doors[member]
    try:
        connection = socket.create_connection((door.host, door.port), max(0.1, deadline - time.monotonic()))
    except OSError as error:
        raise LostMemberError(f"member {member} at {door.worker}: {error}") from error
    try:
        # The system holds the connection until the other's task runs and says so; before that no TLS is spoken.
        connection.settimeout(_TICK)
        while True:
            try:
                _exactly(connection, len(_WELCOME))
                break
            except TimeoutError:
                if abandoned() or time.monotonic() > deadline:
                    raise
        connection.settimeout(_HANDSHAKE_SECONDS)
        if tls is not None:
            connection = tls.wrap_socket(connection)
        challenge = _exactly(connection, _NONCE)
        own = secrets.token_bytes(_NONCE)
        name = seat.member.to_bytes(4, "big")
        connection.sendall(name + own + _proof(seat.secret, b"go", challenge, own, name))
        answer = _exactly(connection, _NONCE)
        if not hmac.compare_digest(answer, _proof(seat.secret, b"in", own, challenge, member.to_bytes(4, "big"))):
            raise LostMemberError(f"member {member} at {door.worker}: it does not hold the gang's secret")
    except (OSError, EOFError) as error:
        connection.close()
        raise LostMemberError(_not_there(seat, [member], error)) from error
    except BaseException:
        connection.close()
        raise
    return _ready(connection)


def _wait_at(
    seat: Seat,
    listening: socket.socket,
    tls: ssl.SSLContext | None,
    deadline: float,
    abandoned: Callable[[], bool],
    there: Mapping[int, socket.socket],
) -> tuple[int, socket.socket]:
    """The next member that comes and proves itself; whoever does not is shown out."""
    listening.settimeout(_TICK)
    while True:
        if abandoned():
            raise LostMemberError("the task was given up")
        if time.monotonic() > deadline:
            missing = [m for m in range(seat.member + 1, seat.size) if m not in there]
            raise LostMemberError(_not_there(seat, missing, f"not here within {seat.timeout:g} s"))
        try:
            connection, _ = listening.accept()
        except TimeoutError:
            continue
        try:
            connection.settimeout(_HANDSHAKE_SECONDS)
            connection.sendall(_WELCOME)
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            own = secrets.token_bytes(_NONCE)
            connection.sendall(own)
            said = _exactly(connection, 4 + 2 * _NONCE)
            name, challenge, proof = said[:4], said[4 : 4 + _NONCE], said[4 + _NONCE :]
            member = int.from_bytes(name, "big")
            if (
                hmac.compare_digest(proof, _proof(seat.secret, b"go", own, challenge, name))
                and seat.member < member < seat.size
                and member not in there
            ):
                connection.sendall(_proof(seat.secret, b"in", challenge, own, seat.member.to_bytes(4, "big")))
                return member, _ready(connection)
        except (OSError, EOFError):
            pass
        connection.close()


def _not_there(seat: Seat, members: list[int], why: object) -> str:
    places = ", ".join(seat.doors[member].worker for member in members)
    return f"{len(members)} of {seat.size} members did not come ({places}): {why}"


def _proof(secret: bytes, *parts: bytes) -> bytes:
    return hmac.new(secret, b"".join(parts), hashlib.sha256).digest()


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError("the connection was closed")
        data += part
    return data


def _ready(connection: socket.socket) -> socket.socket:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * _PIECE)
    connection.setblocking(False)
    return connection
