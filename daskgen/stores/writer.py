"""The one writer of daskgen's stores.

    with StoreWriter(path, kind="genotypes", arrays=[...], run=RunKey(...)) as writer:
        stage = writer.stage("genotypes", arrays=["call_genotype_packed"], blocks={"variants": 1_600})
        for i in stage.pending:                    # or tasks of a pass, in any order, on any worker
            stage.target.write(i, {...})
        writer.finish()

A store is written in stages; a stage is a set of arrays cut along one or more dimensions into groups, and a group
is written whole by one task, which then sets its mark. Until `finish` has seen every mark the store says
``complete: false`` and opens only for resuming. The arrays' bytes depend on the content and the chunking only:
not on the scheduler, the number of workers, kills or resumes.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol, Self

import numpy as np
import zarr
from zarr.codecs import BloscCodec, ZstdCodec
from zarr.errors import GroupNotFoundError

from daskgen.errors import InputError, LockedStoreError, ResumeError, StoreError, UsageError
from daskgen.stores.location import Location, StoreLike
from daskgen.stores.lock import StoreLock
from daskgen.stores.packed_text import PackedText
from daskgen.stores.quiet import quietly
from daskgen.stores.reader import array_table, forget_arrays
from daskgen.stores.run_key import FORMAT, RunKey
from daskgen.stores.schema import validate
from daskgen.stores.target import MARKS, Grid, StageTarget, forget_handles, grid_for, write_unit

__all__ = ["ArrayPlan", "Stage", "StoreWriter"]

log = logging.getLogger("daskgen.stores")

_COMPRESSORS: dict[str, Any] = {
    "zstd": lambda: (ZstdCodec(level=1),),
    "lz4": lambda: (BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"),),
}


@dataclass(frozen=True)
class ArrayPlan:
    """An array to be made.

    dtype: a NumPy type, or "string" for text; dims: names of dimensions; chunks, shards: shapes (`layout` has the
    rules); compression: None (raw), "zstd" (level 1) or "lz4" (blosc with bit shuffle).
    """

    name: str
    shape: tuple[int, ...]
    dtype: Any
    dims: tuple[str, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None
    fill_value: Any = None
    compression: str | None = "zstd"
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def create(self, group: zarr.Group) -> None:
        if self.compression is not None and self.compression not in _COMPRESSORS:
            raise UsageError(
                f"{self.name}: unknown compression {self.compression!r}.",
                expected="None, " + ", ".join(map(repr, _COMPRESSORS)),
            )
        text = self.dtype == "string"
        fill = self.fill_value if self.fill_value is not None else ("" if text else np.zeros((), self.dtype).item())
        group.create_array(
            self.name,
            shape=self.shape,
            # An empty array has no chunk; Zarr wants a positive chunk length all the same.
            chunks=tuple(max(1, c) for c in self.chunks),
            shards=None if self.shards is None else tuple(max(1, s) for s in self.shards),
            dtype="string" if text else np.dtype(self.dtype),
            dimension_names=self.dims,
            fill_value=fill,
            compressors=None if self.compression is None else _COMPRESSORS[self.compression](),
            attributes=dict(self.attrs),
            config={"write_empty_chunks": True},
        )


class PlannedArray(Protocol):
    """What the writer needs of an array to be made: an `ArrayPlan`, or an array made like another one."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dims(self) -> tuple[str, ...]: ...
    def create(self, group: zarr.Group) -> None:
        """Make the array, without content, in `group`."""


class Stage:
    """Groups that are written together: which are pending, and the target for tasks."""

    def __init__(self, target: StageTarget, marks: zarr.Array):
        self.target = target
        self._marks = marks

    def marks(self) -> np.ndarray:
        """The marks now, int64 (groups, arrays); -1 where not written."""
        return np.asarray(self._marks[...])

    @property
    def n_groups(self) -> int:
        return self.target.n_groups

    @property
    def pending(self) -> list[int]:
        """Groups that are not written yet, in order."""
        return np.flatnonzero((self.marks() < 0).any(axis=1)).tolist()

    @property
    def done(self) -> list[int]:
        """Groups that are written, in order."""
        return np.flatnonzero((self.marks() >= 0).all(axis=1)).tolist()


class StoreWriter:
    """Makes, resumes or replaces a store; a context manager that holds the store's lock.

    path: where; kind: of `schema.SCHEMAS` (others are not checked); arrays: what will be in it; run: identity for
    resuming; provenance, attrs: root attributes (`provenance` may be filled until `finish`).
    force: replace a store that daskgen made, by writing beside it and swapping at the end.
    resume: go on where the same run stopped; starts if there is nothing; does nothing if it had finished.

    Raises StoreError (something lies there), LockedStoreError (another run writes it), ResumeError (another run's
    unfinished store). An InputError inside a fresh run removes the unfinished store again.
    """

    def __init__(
        self,
        path: StoreLike | Location,
        *,
        kind: str,
        arrays: Sequence[PlannedArray],
        run: RunKey,
        provenance: Mapping[str, Any] | None = None,
        attrs: Mapping[str, Any] | None = None,
        force: bool = False,
        resume: bool = False,
    ):
        self.final = Location.of(path)
        self.kind = kind
        self.arrays = {plan.name: plan for plan in arrays}
        self.run = run
        self.provenance = dict(provenance or {})
        self._attrs = dict(attrs or {})
        self._force = force
        self._resume = resume
        self._lock = StoreLock(self.final)
        self._group: zarr.Group | None = None
        self._stages: dict[str, Stage] = {}
        self.location = self.final
        self.resumed = False
        self.already_complete = False

    # -- life ----------------------------------------------------------------------------------------------
    def __enter__(self) -> Self:
        if self._force and self._resume:
            raise UsageError("force and resume exclude each other.", do="choose one")
        self._lock.acquire()
        try:
            self._finish_swap()
            self._begin()
        except BaseException:
            self._lock.release()
            raise
        return self

    def _begin(self) -> None:
        beside = self.final.sibling(".new")
        existing = _own_attrs(self.final)
        if existing is None and self.final.exists() and not self.final.is_empty_folder():
            raise StoreError(
                f"{self.final} exists and was not made by daskgen.",
                do="choose another path, or remove it yourself; --force replaces daskgen's own stores only",
            )
        unfinished = _own_attrs(beside)
        if self._resume:
            # A run that was replacing a store (--force) is continued beside it.
            for place, attrs in ((beside, unfinished), (self.final, existing)):
                if attrs is not None:
                    self._continue(place, attrs)
                    return
        elif existing is not None and not self._force:
            if existing.get("complete"):
                raise StoreError(f"{self.final} exists.", do="choose another path, or --force to replace it")
            raise StoreError(
                f"{self.final} is there from an interrupted run.", do="--resume finishes it, --force starts again"
            )
        if unfinished is not None:
            beside.remove_tree()
        self.location = beside if existing is not None else self.final
        self._create()

    def _continue(self, place: Location, attrs: dict[str, Any]) -> None:
        if attrs.get("run_key") != self.run.digest:
            raise ResumeError(
                f"{place} belongs to another run, so it cannot be resumed.",
                found="\n".join(self.run.differences(attrs.get("run", {}))) or f"run key {attrs.get('run_key')}",
                do="repeat the command as it was, or --force to start again",
            )
        self.location = place
        self.resumed = True
        self.already_complete = bool(attrs.get("complete"))
        for leftover in place.partial_files():
            os.unlink(leftover)
        self._group = zarr.open_group(place.zarr_store(read_only=False), mode="r+", use_consolidated=False)
        self.store_id = str(attrs["store_id"])
        self.provenance = {**self.provenance, **attrs.get("provenance", {})}
        log.info("resuming %s", place)

    def _create(self) -> None:
        self.store_id = uuid.uuid4().hex
        self._group = zarr.create_group(
            self.location.zarr_store(read_only=False),
            zarr_format=3,
            attributes={
                **self._attrs,
                "kind": self.kind,
                "daskgen_format": FORMAT,
                "store_id": self.store_id,
                "created_by": f"daskgen {daskgen_version()}",
                "run_key": self.run.digest,
                "run": self.run.as_dict(),
                "complete": False,
                "provenance": self.provenance,
            },
        )
        for plan in self.arrays.values():
            plan.create(self._group)
        self._group.require_group(MARKS)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if isinstance(error, InputError) and not isinstance(error, StoreError) and not self.resumed:
                forget_handles(self.location)
                if _own_attrs(self.location, self.store_id) is not None:
                    self.location.remove_tree()
        finally:
            self._lock.release()

    # -- writing -------------------------------------------------------------------------------------------
    @property
    def group(self) -> zarr.Group:
        assert self._group is not None, "the writer is used outside its with-block"
        return self._group

    def stage(self, name: str, *, arrays: Sequence[str], blocks: Mapping[str, int] | None = None) -> Stage:
        """Declare (or, on resume, take up) the stage `name` that writes `arrays`.

        blocks: dimension -> rows per group; every array of the stage has these dimensions, and the rows are
        whole write units of each. Without blocks the stage is one group. A dimension of length 0 has no group.
        """
        blocks = dict(blocks or {})
        dims = {a: self.arrays[a].dims for a in arrays}
        shapes = {a: self.arrays[a].shape for a in arrays}
        grid = grid_for(blocks, dims, shapes)
        for a in arrays:
            unit = write_unit(self._array(a))
            for dim, step in blocks.items():
                axis = dims[a].index(dim)
                if step % unit[axis] and step < shapes[a][axis]:
                    raise StoreError(
                        f"{a}: groups of {step} along {dim} are not whole write units.",
                        expected=f"a multiple of {unit[axis]}",
                    )
        marks_group = self.group.require_group(MARKS)
        n_groups = grid.n_groups
        if name in marks_group:
            marks = marks_group[name]
            assert isinstance(marks, zarr.Array)
            if Grid.from_attrs(marks.attrs.asdict()["grid"]) != grid:
                raise ResumeError(
                    f"{self.location}: stage {name} was cut differently before.",
                    do="use the same chunk sizes, or --force to start again",
                )
        else:
            marks = marks_group.create_array(
                name,
                shape=(n_groups, len(arrays)),
                chunks=(1, max(1, len(arrays))),  # one object a mark: marks that share one are lost
                dtype="int64",
                fill_value=-1,
                compressors=None,
                attributes={"grid": grid.as_attrs()},
                config={"write_empty_chunks": True},
            )
        stage = Stage(StageTarget(self.location.url, self.store_id, name, grid), marks)
        self._stages[name] = stage
        return stage

    def write(self, name: str, /, **blocks: np.ndarray | PackedText) -> None:
        """Write small arrays in one group (a stage `name` of its own), unless they are there already."""
        stage = self.stage(name, arrays=list(blocks))
        if stage.pending:
            stage.target.write(0, blocks)

    def _array(self, name: str) -> zarr.Array:
        member = self.group[name]
        assert isinstance(member, zarr.Array)
        return member

    # -- the end -------------------------------------------------------------------------------------------
    def finish(self) -> Location:
        """Check every mark and the schema, consolidate, set `complete`, swap into place. Returns the final place."""
        if self.already_complete:
            return self._swap()
        covered = {a for stage in self._stages.values() for a in stage.target.grid.dims}
        if missing := sorted(set(self.arrays) - covered):
            raise StoreError(f"{self.location}: no stage writes {', '.join(missing)}.")
        for name, stage in self._stages.items():
            if pending := stage.pending:
                raise StoreError(
                    f"{self.location} is not complete: "
                    f"stage {name} lacks {len(pending):,} of {stage.n_groups:,} groups.",
                    do="run the same command with --resume",
                )
        if problems := validate(self.kind, array_table(self.group)):
            raise StoreError(
                f"{self.location} does not have the layout of a {self.kind} store.", found="\n".join(problems)
            )
        if not self._lock.held():
            raise LockedStoreError(
                f"another run took over {self.final} while this one was silent.", do="look at that run"
            )
        store = self.location.zarr_store(read_only=False)
        self.group.attrs["provenance"] = self.provenance
        self.before_consolidation()
        with quietly():
            zarr.consolidate_metadata(store)
        # Opened normally: a handle that ignores consolidated metadata would drop it when it writes an attribute.
        zarr.open_group(store, mode="r+").attrs["complete"] = True
        return self._swap()

    def before_consolidation(self) -> None:
        """For stores that are more than their arrays: called once all of those are there."""

    def _swap(self) -> Location:
        forget_handles(self.location)
        if self.location != self.final:
            old = self.final.sibling(".old")
            if _own_attrs(self.final) is not None:
                self.final.move_to(old)
            self.location.move_to(self.final)
            if _own_attrs(old) is not None:
                old.remove_tree()
            forget_handles(self.final)
            forget_arrays(self.final.url)
            self.location = self.final
        return self.final

    def _finish_swap(self) -> None:
        """Complete a swap that was cut between its two renames."""
        old, new = self.final.sibling(".old"), self.final.sibling(".new")
        old_attrs = _own_attrs(old)
        if old_attrs is None:
            return
        if not self.final.exists():
            new_attrs = _own_attrs(new)
            (new if new_attrs is not None and new_attrs.get("complete") else old).move_to(self.final)
        if _own_attrs(old) is not None:
            old.remove_tree()


def _own_attrs(location: Location, store_id: str | None = None) -> dict[str, Any] | None:
    """Root attributes if a store of daskgen (with this id) lies at `location`, else None."""
    if not location.exists():
        return None
    try:
        group = zarr.open_group(location.zarr_store(read_only=True), mode="r", use_consolidated=False)
    except (GroupNotFoundError, FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None
    attrs = group.attrs.asdict()
    if "daskgen_format" not in attrs or (store_id is not None and attrs.get("store_id") != store_id):
        return None
    return attrs


def daskgen_version() -> str:
    try:
        return version("daskgen")
    except PackageNotFoundError:
        return "unknown"
