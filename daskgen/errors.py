"""The exceptions of daskgen, each with the exit code that the command line returns for it.

A message has up to four parts: one sentence, what was found, what was expected, and what to do.
They are printed under each other so that a reader can act without opening the documentation::

    none of the 1,814 sample ids of bmi.txt is among the 1,814 of mice.zarr.
      found     A048005080, A048006063, A048006555
      expected  A048005080_A048005080, A048006063_A048006063, A048006555_A048006555
      do        the store's ids look like FID_IID: --id-style fid_iid
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "DaskgenError",
    "InputError",
    "InterruptedRunError",
    "LockedStoreError",
    "MissingPackageError",
    "NotConvergedError",
    "PlanError",
    "ResumeError",
    "StoreError",
    "UsageError",
    "examples",
]


class DaskgenError(Exception):
    """Base of all errors that daskgen raises on purpose. `exit_code` is the command's exit status."""

    exit_code = 1

    def __init__(self, summary: str, *, found: object = None, expected: object = None, do: object = None):
        self.summary = summary
        self.found = found
        self.expected = expected
        self.do = do
        super().__init__(self._text())

    def _text(self) -> str:
        lines = [self.summary]
        for label in ("found", "expected", "do"):
            value = getattr(self, label)
            if value is not None and value != "":
                first, *rest = str(value).splitlines() or [""]
                lines.append(f"  {label:<9} {first}")
                lines.extend(f"            {line}" for line in rest)
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only parts survive pickling, so that an error raised on a worker reads the same at the client.
        return (_rebuild, (type(self), self.summary, self.found, self.expected, self.do))


def _rebuild(kind: type[DaskgenError], summary: str, found: object, expected: object, do: object) -> DaskgenError:
    return kind(summary, found=found, expected=expected, do=do)


class UsageError(DaskgenError):
    """The call itself is wrong: an unknown argument, options that exclude each other."""

    exit_code = 2


class MissingPackageError(UsageError):
    """An optional package is needed; `do` says which extra installs it."""


class PlanError(UsageError):
    """A run would need more memory, files or disk than the limit allows. Raised before any work."""


class InputError(DaskgenError):
    """A file, table or array that the user gave cannot be used as it is."""

    exit_code = 3


class StoreError(InputError):
    """A Zarr store is missing, incomplete, damaged, or not of the kind that was asked for."""


class LockedStoreError(StoreError):
    """Another run is writing this store."""


class ResumeError(StoreError):
    """The run that would be resumed was another one (other arguments, inputs or format)."""


class NotConvergedError(DaskgenError):
    """An iterative estimate did not converge. Results were kept and flagged."""

    exit_code = 4


class InterruptedRunError(DaskgenError):
    """The run was stopped (Ctrl-C, SIGTERM, SIGUSR1, a lost scheduler) and can be resumed."""

    exit_code = 5


def examples(values: Iterable[object], n: int = 3) -> str:
    """The first `n` of `values` as text, for messages: ``"a, b, c, ... (10 in all)"``."""
    items = [str(v) for v in values]
    shown = ", ".join(items[:n])
    return shown if len(items) <= n else f"{shown}, ... ({len(items):,} in all)"
