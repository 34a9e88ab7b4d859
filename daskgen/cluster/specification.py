"""Where a run computes, in one word: the text that ``--cluster`` and ``connect`` take."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from daskgen.errors import UsageError

__all__ = ["ACCEPTED", "Specification"]

ACCEPTED = {
    "threads[:N]": "N threads in this process (N: the cores of this job)",
    "local[:N]": "N processes on this machine, one thread each, encrypted",
    "cuda[:N]": "one process for each of N GPUs of this machine, encrypted (needs daskgen[cuda12] or [cuda13])",
    "tls://host:port": "a running scheduler; certificates from Dask's configuration or DASKGEN_TLS_*",
    "tcp://host:port": "a running scheduler without encryption, joined with a warning",
    "file:scheduler.json": "a running scheduler by its scheduler file",
    "slurm:config.yaml": "jobs of a Slurm cluster, described in a YAML file (needs daskgen[jobqueue])",
}
_COUNTED = ("threads", "local", "cuda")


@dataclass(frozen=True)
class Specification:
    """`scheme` is the part before the colon; `count` its number, `target` an address or a path."""

    scheme: str
    count: int | None = None
    target: str = ""

    @classmethod
    def parse(cls, text: str) -> Specification:
        """Read one of `ACCEPTED`; UsageError that lists them for anything else."""
        scheme, colon, rest = text.strip().partition(":")
        scheme = scheme.lower()
        if scheme in _COUNTED:
            if not colon:
                return cls(scheme)
            if re.fullmatch(r"[1-9][0-9]*", rest):
                return cls(scheme, count=int(rest))
        elif scheme in ("tls", "tcp"):
            if re.fullmatch(r"//(\[[0-9A-Fa-f:.]+\]|[^\s:/]+):[0-9]+", rest):
                return cls(scheme, target=f"{scheme}:{rest}")
        elif scheme in ("file", "slurm") and rest:
            return cls(scheme, target=rest)
        near = difflib.get_close_matches(scheme, ["threads", "local", "cuda", "tls", "tcp", "file", "slurm"], n=1)
        raise UsageError(
            f"{text!r} is no place to compute.",
            expected="\n".join(f"{spec:<20} {meaning}" for spec, meaning in ACCEPTED.items()),
            do=f"did you mean {near[0]}?" if near and near[0] != scheme else None,
        )
