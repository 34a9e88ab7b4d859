"""One run of a command: its first line, where it computes, its log and summary, and how it ends."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import click

from daskgen import __version__
from daskgen.cli import failures
from daskgen.cli.journal import Journal, now
from daskgen.cli.options import Settings
from daskgen.errors import DaskgenError, NotConvergedError
from daskgen.interrupts import interruptible

__all__ = ["Run", "format_seconds"]


class Run:
    """Context of a command's work.

    On entry the settings take effect (scratch folder, memory limit, cluster) and the first line is printed. On exit
    the log and the summary are finished; an error is printed with what it leaves behind and ends the command with
    its exit code.

        with Run("pca", settings) as run:
            run.say("Samples    1,814")
            run.summary["samples"] = 1814
    """

    def __init__(
        self,
        command: str,
        settings: Settings,
        *,
        resumable: bool = False,
        computes: bool = True,
        suffixes: tuple[str, ...] = ("",),
        relays: bool = True,
    ):
        self.command = command
        self.settings = settings
        self.resumable = resumable
        self.computes = computes
        # Whether what the functions that it calls report is printed; it is kept in the log in any case.
        self.relays = relays or settings.verbose > 0
        self.summary: dict[str, Any] = {}
        self.keeps_log = True
        self.journal = Journal(None)
        self._arguments = sys.argv[1:]
        self._cleanup = contextlib.ExitStack()
        # What the command makes: the path --out itself, or files whose names begin with it.
        self._products = [settings.out + suffix for suffix in suffixes] if settings.out is not None else []
        self._before = [_stamp(path) for path in self._products]

    def __enter__(self) -> Run:
        self._started, self._clock = now(), time.monotonic()
        try:
            self.journal = Journal(self.settings.out)
            self.journal.write(f"# {self._started}  {shlex.join(['daskgen', *self._arguments])}")
            self._cleanup.enter_context(interruptible())
            self._cleanup.enter_context(_messages(self))
            if self.computes:
                self._connect()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def _connect(self) -> None:
        from daskgen import cluster
        from daskgen.passes import show_progress

        settings = self.settings
        connection = cluster.connect(settings.cluster, memory_limit=settings.memory_limit, scratch=settings.scratch)
        where = self._cleanup.enter_context(connection)
        self._cleanup.enter_context(show_progress(not settings.quiet))
        self.say(f"daskgen {__version__} · {where}")

    def say(self, text: str = "") -> None:
        """Print a line to standard output and to the log."""
        if not self.settings.quiet:
            click.echo(text)
        self.journal.write(text)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._cleanup.close()
        except Exception as failure:  # a cluster that does not close must not hide the result of the run
            click.echo(f"warning: while closing: {failure}", err=True)
        if isinstance(error, click.exceptions.Exit) or error is None:
            self._finish(0 if error is None else error.exit_code)
            return
        if isinstance(error, (click.ClickException, BrokenPipeError, SystemExit)):
            self._finish(None)
            return
        raise click.exceptions.Exit(self._failed(error)) from error

    def _failed(self, error: BaseException) -> int:
        interrupted = failures.exit_code(error) == failures.INTERRUPTED
        after = [_stamp(path) for path in self._products]
        written = any(stamp is not None and stamp != then for stamp, then in zip(after, self._before, strict=True))
        if interrupted:
            code = failures.INTERRUPTED if self.resumable else failures.UNEXPECTED
            text = "Stopped."
            if self.resumable:
                text += f" Nothing is lost: {failures.resume_command(self._arguments)} continues."
            if isinstance(error, DaskgenError):
                text = f"{error.summary} {text}"
            click.echo(text, err=True)
            click.echo(f"(exit {code})", err=True)
        else:
            code = failures.show(error, verbose=bool(self.settings.verbose), note=self._left_behind(error, written))
            text = failures.describe(error)
        self.journal.write(text)
        nothing_done = not written and not interrupted and code in (failures.USAGE, failures.INPUT)
        self._finish(None if nothing_done else code)
        return code

    def _left_behind(self, error: BaseException, written: bool) -> str | None:
        if self.settings.out is None:
            return None
        if written and isinstance(error, NotConvergedError):
            return f"the results so far are in {self.settings.out}"
        if written:
            again = " or finish it with --resume" if self.resumable else ""
            return f"{self.settings.out} is incomplete: replace it with --force{again}"
        return f"{self.settings.out} is as it was" if any(self._before) else "nothing written"

    def _finish(self, code: int | None) -> None:
        if code is None or not self.keeps_log:
            self.journal.close(None)
            return
        self.journal.close(
            {
                "command": self.command,
                "arguments": self._arguments,
                "daskgen": __version__,
                "started": self._started,
                "seconds": round(time.monotonic() - self._clock, 3),
                "peak_memory_bytes": _peak_memory(),
                "exit_code": code,
                **self.summary,
            }
        )


@contextlib.contextmanager
def _messages(run: Run) -> Iterator[None]:
    """What the package `daskgen` logs is printed and kept in the log.

    Facts (INFO) are part of what the command prints; the progress of passes, warnings and, with -v, details go to
    standard error.
    """
    import logging

    class Printed(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if record.levelno == logging.INFO and not run.relays:
                run.journal.write(text)
                return
            if record.levelno == logging.INFO and not record.name.startswith("daskgen.passes"):
                run.say(text)
                return
            prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
            run.journal.write(prefix + text)
            if not run.settings.quiet or record.levelno >= logging.ERROR:
                click.echo(prefix + text, err=True)

    logger = logging.getLogger("daskgen")
    handler = Printed(logging.DEBUG if run.settings.verbose else logging.INFO)
    before = logger.level, logger.propagate
    logger.setLevel(handler.level)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def _stamp(path: str) -> tuple[int, int] | None:
    """What changes when a file or store is written anew; None where there is nothing."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def format_seconds(seconds: float) -> str:
    """A duration: 0.4 s, 12 s, 3 min 05 s."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"
