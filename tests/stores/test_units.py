"""Whole chunks and shards written without Zarr: what Zarr writes, and what it reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskgen.errors import StoreError
from daskgen.stores import ArrayPlan, RunKey, StoreWriter, open_group, verify
from daskgen.stores.checksum import SummedBlock, block_checksum
from daskgen.stores.row_parts import GroupParts

RUN = RunKey("test", {}, [])
DTYPES = ("uint8", "uint16", "int32", "float64", "bool")


def values_of(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def written(path: Path, values, rows, plan, write) -> dict[str, bytes]:
    """The files of a store of one array; `write(target, index, block)` writes a group of `rows` rows."""
    with StoreWriter(path, kind="test", arrays=[plan], run=RUN) as writer:
        stage = writer.stage("a", arrays=["a"], blocks={"rows": rows})
        for index in stage.pending:
            write(stage.target, index, values[stage.target.ranges(index)["rows"]])
        writer.finish()
    assert verify(path) == []
    np.testing.assert_array_equal(open_group(path)["a"][...], values)
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != "zarr.json"}


def whole(target, index, block):
    target.write(index, {"a": block})


def by_zarr(target, index, block):
    target.array("a")[target.grid.region("a", index)] = block
    target.mark(index, np.array([block_checksum(np.ascontiguousarray(block))], np.int64))


@settings(max_examples=10, deadline=None)
@given(
    n_rows=st.integers(1, 20),
    n_columns=st.integers(1, 9),
    chunk=st.tuples(st.integers(1, 7), st.integers(1, 9)),
    in_group=st.integers(1, 3),
    dtype=st.sampled_from(DTYPES),
    compression=st.sampled_from([None, "zstd"]),
)
def test_chunks_are_those_that_zarr_writes(tmp_path_factory, n_rows, n_columns, chunk, in_group, dtype, compression):
    values = values_of((n_rows, n_columns), dtype)
    plan = ArrayPlan("a", values.shape, dtype, ("rows", "columns"), chunk, None, 7, compression)
    folder = tmp_path_factory.mktemp("chunks")
    files = [
        written(folder / f"{i}.zarr", values, chunk[0] * in_group, plan, write)
        for i, write in enumerate((whole, by_zarr))
    ]
    assert files[0] == files[1]


@settings(max_examples=10, deadline=None)
@given(
    n_rows=st.integers(1, 20),
    n_columns=st.integers(1, 9),
    chunk=st.tuples(st.integers(1, 4), st.integers(1, 5)),
    in_shard=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dtype=st.sampled_from(DTYPES),
    compression=st.sampled_from([None, "zstd", "lz4"]),
)
def test_shards_are_read_by_zarr_and_alike_in_parts(
    tmp_path_factory, n_rows, n_columns, chunk, in_shard, dtype, compression
):
    values = values_of((n_rows, n_columns), dtype)
    shard = (chunk[0] * in_shard[0], chunk[1] * -(-n_columns // chunk[1]))
    plan = ArrayPlan("a", values.shape, dtype, ("rows", "columns"), chunk, shard, 7, compression)

    def in_parts(target, index, block):
        with GroupParts(target, index) as group:
            for start in range(0, len(block), chunk[0]):
                group.add({"a": block[start : start + chunk[0]]})
            group.finish()

    folder = tmp_path_factory.mktemp("shards")
    files = [written(folder / f"{i}.zarr", values, shard[0], plan, write) for i, write in enumerate((whole, in_parts))]
    assert files[0] == files[1]


def test_a_group_in_parts_that_fails_or_lacks_rows_leaves_nothing(tmp_path):
    values = values_of((8, 4), "uint8")
    plan = ArrayPlan("a", values.shape, "uint8", ("rows", "columns"), (2, 4), (4, 4), 7, None)
    with StoreWriter(tmp_path / "x.zarr", kind="test", arrays=[plan], run=RUN) as writer:
        stage = writer.stage("a", arrays=["a"], blocks={"rows": 4})
        with pytest.raises(RuntimeError, match="stop"), GroupParts(stage.target, 0) as group:
            group.add({"a": values[:2]})
            raise RuntimeError("stop")
        with pytest.raises(StoreError, match="lacks rows"), GroupParts(stage.target, 0) as group:
            group.add({"a": values[:2]})
            group.finish()
        with pytest.raises(StoreError, match="wrong shape or type"), GroupParts(stage.target, 0) as group:
            group.add({"a": values[:2].astype("int32")})
        assert stage.pending == [0, 1]
        assert [p.name for p in (tmp_path / "x.zarr" / "a").rglob("*") if p.is_file()] == ["zarr.json"]


def test_a_checksum_that_is_known_is_not_computed_again(tmp_path):
    values = values_of((8, 4), "uint8")
    rows = [block_checksum(values[:3])]
    rows.append(block_checksum(values[3:], rows[0]))
    assert rows[1] == block_checksum(values)
    plan = ArrayPlan("a", values.shape, "uint8", ("rows", "columns"), (4, 4), None, 7, None)
    with StoreWriter(tmp_path / "x.zarr", kind="test", arrays=[plan], run=RUN) as writer:
        stage = writer.stage("a", arrays=["a"], blocks={"rows": 8})
        stage.target.write(0, {"a": SummedBlock(values, rows[1])})
        assert stage.marks().tolist() == [[rows[1]]]
        stage.target.write(0, {"a": SummedBlock(values, 5)})
        writer.finish()
    assert len(verify(tmp_path / "x.zarr")) == 1


def test_numbers_without_dimensions_are_left_to_zarr(tmp_path):
    plan = ArrayPlan("a", (), "float64", (), (), None, 0, None)
    with StoreWriter(tmp_path / "x.zarr", kind="test", arrays=[plan], run=RUN) as writer:
        writer.write("a", a=np.array(2.5))
        writer.finish()
    assert open_group(tmp_path / "x.zarr")["a"][...] == 2.5
