"""Columns copied as encoded chunks: the same content, marks that hold, nothing where chunks do not fit."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from daskgen.errors import StoreError
from daskgen.stores import ArrayPlan, CopiedColumns, RunKey, StoreWriter, open_dataset, open_group, verify

N, ROWS = 23, 8
DIMS = {"variant_id": ("variant",), "variant_allele": ("variant", "allele"), "maf": ("variant",)}


def write_source(path: Path, *, rows: int = ROWS, compression: str | None = "zstd") -> str:
    text = np.dtypes.StringDType()
    columns = {
        "variant_id": np.array([f"rs{i}é" if i % 5 != 2 else "" for i in range(N)], dtype=text),
        "variant_allele": np.array([["A", "CG"]] * N, dtype=text),
        "maf": np.where(np.arange(N) < ROWS, 0.0, np.linspace(0, 0.5, N)),  # a chunk of the fill value
    }
    plans = [
        ArrayPlan(
            name,
            values.shape,
            "string" if values.dtype == text else values.dtype,
            ("variants", "alleles")[: values.ndim],
            (rows, 2)[: values.ndim],
            compression=compression,
            attrs={"of": name},
        )
        for name, values in columns.items()
    ]
    with StoreWriter(path, kind="test", arrays=plans, run=RunKey("source")) as writer:
        stage = writer.stage("columns", arrays=list(columns), blocks={"variants": rows})
        for i in stage.pending:
            part = stage.target.ranges(i)["variants"]
            stage.target.write(i, {name: values[part] for name, values in columns.items()})
        return writer.finish().url


def copy(source: str, path: Path, *, stop_after: int | None = None, resume: bool = False) -> None:
    columns = CopiedColumns.of(source, DIMS, rows=ROWS)
    assert columns is not None
    own = ArrayPlan("z", (N,), np.float64, ("variant",), (ROWS,))
    with StoreWriter(path, kind="test", arrays=[own, *columns.arrays], run=RunKey("copy"), resume=resume) as writer:
        results = writer.stage("z", arrays=["z"], blocks={"variant": ROWS})
        stage = writer.stage("columns", arrays=columns.names, blocks={"variant": ROWS})
        task = pickle.loads(pickle.dumps(columns.to(stage.target)))
        for done, i in enumerate(stage.pending):
            if done == stop_after:
                raise KeyboardInterrupt
            task.copy(i)
        for i in results.pending:
            part = results.target.ranges(i)["variant"]
            results.target.write(i, {"z": np.arange(part.start, part.stop, dtype=float)})
        writer.finish()


@pytest.mark.parametrize("compression", ["zstd", "lz4", None])
def test_a_copy_holds_what_the_source_holds_byte_for_byte(tmp_path: Path, compression: str | None) -> None:
    source = write_source(tmp_path / "a.zarr", compression=compression)
    copy(source, tmp_path / "b.zarr")
    assert verify(tmp_path / "b.zarr") == []
    one, other = open_dataset(source), open_dataset(tmp_path / "b.zarr")

    def files_of(store: str, name: str) -> dict[str, bytes]:
        folder = tmp_path / store / name / "c"
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    for name, dims in DIMS.items():
        assert other[name].dims == dims
        assert other[name].attrs == {"of": name}
        assert one[name].values.tolist() == other[name].values.tolist()
        assert files_of("a.zarr", name) == files_of("b.zarr", name) != {}
    assert other["z"].values.tolist() == list(range(N))


def test_an_interrupted_copy_is_resumed(tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.zarr")
    with pytest.raises(KeyboardInterrupt):
        copy(source, tmp_path / "b.zarr", stop_after=1)
    assert verify(tmp_path / "b.zarr") != []
    (tmp_path / "b.zarr" / "maf" / "c" / "1.abc.partial").write_bytes(b"left behind")
    copy(source, tmp_path / "b.zarr", resume=True)
    assert verify(tmp_path / "b.zarr") == []
    assert not list((tmp_path / "b.zarr").rglob("*.partial"))


def test_damage_of_the_source_is_found_in_the_copy(tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.zarr", compression=None)
    chunk = tmp_path / "a.zarr" / "maf" / "c" / "2"
    chunk.write_bytes(bytes(len(chunk.read_bytes())))
    copy(source, tmp_path / "b.zarr")
    assert [line.split(" ")[1] for line in verify(tmp_path / "b.zarr")] == ["maf/c/2"]


def test_a_chunk_that_is_gone_is_an_error(tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "variant_id" / "c" / "1").unlink()
    with pytest.raises(StoreError, match="variant_id/c/1 is not there"):
        copy(source, tmp_path / "b.zarr")


def test_another_store_at_the_same_place_is_refused(tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.zarr")
    columns = CopiedColumns.of(source, DIMS, rows=ROWS)
    assert columns is not None
    shutil.rmtree(source)
    write_source(tmp_path / "a.zarr")
    with StoreWriter(tmp_path / "b.zarr", kind="test", arrays=columns.arrays, run=RunKey("copy")) as writer:
        stage = writer.stage("columns", arrays=columns.names, blocks={"variant": ROWS})
        with pytest.raises(StoreError, match="not the store that the run was started with"):
            columns.to(stage.target).copy(0)


def test_groups_that_the_source_was_not_written_in_are_not_copied(tmp_path: Path) -> None:
    source = write_source(tmp_path / "a.zarr")
    assert CopiedColumns.of(source, DIMS, rows=2 * ROWS) is None
    assert CopiedColumns.of(source, {}, rows=ROWS) is None
    shutil.rmtree(tmp_path / "a.zarr" / "_chunks")
    assert open_group(source) is not None
    assert CopiedColumns.of(source, DIMS, rows=ROWS) is None


@pytest.mark.parametrize("compression", ["zstd", "lz4", None])
@pytest.mark.parametrize("rows", [1, 7, 8, N, N + 3])
def test_damaged_text_is_found_however_it_is_stored(tmp_path: Path, compression: str | None, rows: int) -> None:
    """Text is checked by a way of its own where chunks are what the writer makes, by Zarr's where they are not."""
    source = Path(write_source(tmp_path / "a.zarr", rows=min(rows, N), compression=compression))
    assert verify(source) == []
    for name in ("variant_id/c/0", "variant_allele/c/0/0"):
        content = (source / name).read_bytes()
        other = (source / ("variant_allele/c/0/0" if "id" in name else "variant_id/c/0")).read_bytes()
        (source / name).write_bytes(other)
        assert [name in line for line in verify(source)] == [True]
        (source / name).write_bytes(content[: len(content) // 2])
        assert [name in line for line in verify(source)] == [True]
        (source / name).unlink()
        assert [name in line for line in verify(source)] == [True]
        (source / name).write_bytes(content)
    assert verify(source) == []
