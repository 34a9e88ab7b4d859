"""All files of a call: one after the other in this process, or as tasks of a cluster's workers.

Parsing is parallel inside a file, so files in turn are as fast as files side by side and need the memory of one. On a
cluster a file is a task; a lost worker's files are read again elsewhere, with the same result.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from conversion.summary.reference import Reference, read_reference
from conversion.summary.trait import TraitPlan, TraitRows
from conversion.summary.trait_reader import read_trait
from daskgen.errors import InputError
from daskgen.inputs.files import file_id
from daskgen.passes import run_map
from daskgen.passes.executors import current_executor
from daskgen.passes.progress import Progress

__all__ = ["read_traits"]

log = logging.getLogger("daskgen.conversion")


@dataclass(frozen=True)
class _Job:
    plans: Sequence[TraitPlan]
    reference_path: str
    needs_frequency: bool
    fingerprint: str | None


def read_traits(
    plans: Sequence[TraitPlan], reference: Reference, *, label: str, needs_frequency: bool
) -> Iterator[tuple[int, TraitRows]]:
    """Yields (index of the plan, its rows) as files are read; the order may differ on a cluster.

    A reference without a file is in this process only, and so the files are read here.
    """
    if current_executor().in_process or reference.path is None:
        with Progress(label, len(plans)) as progress:
            for index, plan in enumerate(plans):
                yield index, read_trait(plan, reference)
                progress.advance()
        return
    job = _Job(tuple(plans), reference.path, needs_frequency, reference.fingerprint)
    yield from run_map(_read_task, range(len(plans)), job, label=label)


def _read_task(index: int, job: _Job) -> TraitRows:
    reference = _worker_reference(job.reference_path, file_id(job.reference_path), job.needs_frequency)
    if reference.fingerprint != job.fingerprint:
        raise InputError(
            f"{job.reference_path} is another file on this worker.",
            found=f"fingerprint {reference.fingerprint}",
            expected=str(job.fingerprint),
            do="use a path that the client and every worker see under the same name",
        )
    return read_trait(job.plans[index], reference)


@lru_cache(maxsize=1)
def _worker_reference(path: str, identity: str, needs_frequency: bool) -> Reference:
    """The reference of this process; `identity` changes with the file."""
    return read_reference(path, needs_frequency=needs_frequency)
