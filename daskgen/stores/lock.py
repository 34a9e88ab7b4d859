"""The lock of a store that is being written: a small file beside it with the run, the host and a heartbeat.

A second writer is refused. A lock whose process is gone (same host), or whose heartbeat is older than
``lock-stale`` seconds (another host), is taken over. On file systems without an atomic "create only if absent"
two writers that start within the same instant are not told apart; local disks, NFS and S3 have one.
"""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from typing import Any

import psutil

from daskgen import config
from daskgen.errors import LockedStoreError
from daskgen.stores.location import Location

__all__ = ["StoreLock"]


class StoreLock:
    """Held while a store is written; a daemon thread renews the heartbeat."""

    def __init__(self, store: Location):
        self.store = store
        self.file = store.sibling(".lock")
        self.run_id = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def _content(self) -> bytes:
        process = psutil.Process()
        return json.dumps(
            {
                "run": self.run_id,
                "host": socket.gethostname(),
                "process": process.pid,
                "started": process.create_time(),
                "heartbeat": time.time(),
            }
        ).encode()

    def _read(self) -> dict[str, Any] | None:
        try:
            return dict(json.loads(self.file.read_bytes()))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}

    @staticmethod
    def _alive(holder: dict[str, Any]) -> bool:
        if holder.get("host") == socket.gethostname():
            try:
                process = psutil.Process(int(holder["process"]))
                # A process number is given out again: the start time tells whether it is the same process.
                running = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
                return running and abs(process.create_time() - float(holder["started"])) < 1.0
            except (psutil.NoSuchProcess, KeyError, TypeError, ValueError):
                return False
        return time.time() - float(holder.get("heartbeat", 0.0)) < config.get("lock-stale")

    def acquire(self) -> None:
        """Take the lock, or LockedStoreError that names the holder."""
        for _ in range(5):
            if self.file.create_exclusive(self._content()):
                break
            holder = self._read()
            if holder is None:
                continue
            if self._alive(holder):
                age = time.time() - float(holder.get("heartbeat", 0.0))
                raise LockedStoreError(
                    f"{self.store.name} is being written by another run.",
                    found=f"process {holder.get('process')} on {holder.get('host')}, last heard of {age:.0f} s ago",
                    do=f"wait for it, stop it, or write to another path (the lock is {self.file})",
                )
            self.file.remove_file()
        else:
            raise LockedStoreError(f"{self.file} could not be taken.", do="look who writes there, then try again")
        self._stop.clear()
        self._thread = threading.Thread(target=self._beat, name="daskgen-lock", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._stop.wait(config.get("lock-heartbeat")):
            holder = self._read()
            if holder is None or holder.get("run") != self.run_id:
                return  # taken over; the writer finds out when it finishes
            try:
                self.file.write_bytes(self._content())
            except OSError:
                continue  # a full disk must not end the heartbeat

    def held(self) -> bool:
        """Whether the lock still is this run's."""
        holder = self._read()
        return holder is not None and holder.get("run") == self.run_id

    def release(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None
        if self.held():
            self.file.remove_file()

    def __enter__(self) -> StoreLock:
        self.acquire()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()
