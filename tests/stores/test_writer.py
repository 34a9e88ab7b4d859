"""The one writer: what is written is what was given, whatever the chunking, the order, kills and resumes."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from daskgen.errors import (
    InputError,
    InterruptedRunError,
    LockedStoreError,
    ResumeError,
    StoreError,
    UsageError,
)
from daskgen.stores import ArrayPlan, RunKey, StoreWriter, open_dataset, open_group, verify
from daskgen.stores.quiet import quietly

RUN = RunKey("test", {"x": 1}, ["source"])


def plans(values, rows, *, shards=None, compression=None):
    n, width = values.shape
    chunks = (min(rows, n), width) if shards is None else (min(rows, n), max(1, width // 2))
    return [
        ArrayPlan("a", values.shape, values.dtype, ("rows", "columns"), chunks, shards, 255, compression),
        ArrayPlan("name", (n,), "string", ("rows",), (max(1, n),)),
    ]


def names(n):
    return np.array([f"rs{i}é" if i % 7 else "" for i in range(n)], dtype=np.dtypes.StringDType())


def write(path, values, rows, *, order=None, stop_after=None, run=RUN, **options):
    with StoreWriter(path, kind="test", arrays=plans(values, rows), run=run, **options) as writer:
        stage = writer.stage("a", arrays=["a"], blocks={"rows": rows})
        pending = stage.pending if order is None else [i for i in order if i in stage.pending]
        for done, i in enumerate(pending):
            if stop_after is not None and done == stop_after:
                raise KeyboardInterrupt
            stage.target.write(i, {"a": values[stage.target.ranges(i)["rows"]]})
        writer.write("names", name=names(len(values)))
        writer.finish()


def values_of(n, width=5, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, width), dtype=np.uint8)


def data_files(path, array="a"):
    found = {}
    for folder, _, files in os.walk(path / array / "c"):
        for file in files:
            name = os.path.join(folder, file)
            with open(name, "rb") as handle:
                found[os.path.relpath(name, path)] = handle.read()
    return found


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 40), rows=st.integers(1, 45), seed=st.integers(0, 3))
def test_content_is_the_same_for_any_chunking(tmp_path_factory, n, rows, seed):
    path = tmp_path_factory.mktemp("chunking") / "x.zarr"
    values = values_of(n, seed=seed)
    write(path, values, rows)
    dataset = open_dataset(path)
    np.testing.assert_array_equal(dataset["a"].values, values)
    assert dataset["name"].values.tolist() == names(n).tolist()
    assert verify(path) == []


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_bytes_are_the_same_for_any_order_kill_and_resume(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("resume")
    values = values_of(33)
    write(folder / "once.zarr", values, 4)
    order = data.draw(st.permutations(range(9)))
    stops = data.draw(st.lists(st.integers(0, 8), max_size=3))
    for stop in stops:
        try:
            write(folder / "x.zarr", values, 4, order=order, stop_after=stop, resume=True)
        except KeyboardInterrupt:
            pass
    write(folder / "x.zarr", values, 4, order=order, resume=True)
    assert data_files(folder / "x.zarr") == data_files(folder / "once.zarr")


def test_bytes_are_the_same_from_many_threads(tmp_path):
    values = values_of(1000)
    write(tmp_path / "one.zarr", values, 1)
    with StoreWriter(tmp_path / "many.zarr", kind="test", arrays=plans(values, 1), run=RUN) as writer:
        stage = writer.stage("a", arrays=["a"], blocks={"rows": 1})
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: stage.target.write(i, {"a": values[i : i + 1]}), stage.pending))
        assert stage.pending == []  # no mark is lost, though 1,000 were set by 8 threads
        writer.write("names", name=names(1000))
        writer.finish()
    assert data_files(tmp_path / "many.zarr") == data_files(tmp_path / "one.zarr")


def test_a_chunk_of_fill_values_is_written_and_its_absence_noticed(tmp_path):
    values = np.full((8, 5), 255, dtype=np.uint8)
    write(tmp_path / "x.zarr", values, 4)
    assert len(data_files(tmp_path / "x.zarr")) == 2


KILLED = """
    import sys, time
    import numpy as np
    from tests.stores.test_writer import RUN, plans, values_of
    from daskgen.stores import StoreWriter
    values = values_of(64)
    with StoreWriter(sys.argv[1], kind="test", arrays=plans(values, 4), run=RUN) as writer:
        stage = writer.stage("a", arrays=["a"], blocks={"rows": 4})
        for i in stage.pending[:7]:
            stage.target.write(i, {"a": values[stage.target.ranges(i)["rows"]]})
        print("seven", flush=True)
        time.sleep(60)
"""


def test_a_killed_process_leaves_a_store_that_resumes(tmp_path):
    path = tmp_path / "x.zarr"
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=os.path.dirname(os.path.dirname(os.path.dirname(__file__))),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "seven\n"
    with pytest.raises(LockedStoreError, match="being written"):
        write(path, values_of(64), 4, resume=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with pytest.raises(StoreError, match="not complete"):
        open_group(path)
    with pytest.raises(StoreError, match="--resume"):
        write(path, values_of(64), 4)
    (path / "a" / "c" / "0" / "0.partial").write_bytes(b"half")
    with StoreWriter(path, kind="test", arrays=plans(values_of(64), 4), run=RUN, resume=True) as writer:
        assert len(writer.stage("a", arrays=["a"], blocks={"rows": 4}).pending) == 9
    write(path, values_of(64), 4, resume=True)
    assert not list(path.rglob("*.partial"))
    write(tmp_path / "once.zarr", values_of(64), 4)
    assert data_files(path) == data_files(tmp_path / "once.zarr")
    assert not path.with_name("x.zarr.lock").exists()


def test_resume_with_other_arguments_is_refused_and_says_what_differs(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "x.zarr", values_of(16), 4, stop_after=2)
    other = RunKey("test", {"x": 2}, ["source"])
    with pytest.raises(ResumeError, match="x: 1 before, 2 now"):
        write(tmp_path / "x.zarr", values_of(16), 4, run=other, resume=True)


def test_resume_of_a_finished_run_does_nothing_and_of_nothing_starts(tmp_path):
    write(tmp_path / "x.zarr", values_of(16), 4, resume=True)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "x.zarr").rglob("*") if p.is_file()}
    write(tmp_path / "x.zarr", values_of(16), 4, resume=True)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "x.zarr").rglob("*") if p.is_file()} == before


def test_force_replaces_only_a_daskgen_store_and_only_at_the_end(tmp_path):
    path = tmp_path / "x.zarr"
    write(path, values_of(16), 4)
    with pytest.raises(StoreError, match="--force"):
        write(path, values_of(16, seed=1), 4)
    with pytest.raises(KeyboardInterrupt):
        write(path, values_of(16, seed=1), 4, stop_after=2, force=True)
    np.testing.assert_array_equal(open_dataset(path)["a"].values, values_of(16))  # the old one is whole
    write(path, values_of(16, seed=1), 4, resume=True)  # goes on beside it, then swaps
    np.testing.assert_array_equal(open_dataset(path)["a"].values, values_of(16, seed=1))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.zarr"]
    with pytest.raises(UsageError):
        write(path, values_of(16), 4, force=True, resume=True)


@pytest.mark.parametrize("foreign", ["folder", "file", "zarr"])
def test_what_daskgen_did_not_make_is_never_replaced(tmp_path, foreign):
    path = tmp_path / "x.zarr"
    if foreign == "folder":
        path.mkdir()
        (path / "thesis.txt").write_text("years of work")
    elif foreign == "file":
        path.write_text("years of work")
    else:
        zarr.create_group(path)
    with pytest.raises(StoreError, match="not made by daskgen"):
        write(path, values_of(4), 4, force=True)
    assert path.exists()


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "x.zarr").mkdir()
    write(tmp_path / "x.zarr", values_of(4), 4)
    assert verify(tmp_path / "x.zarr") == []


def test_bad_input_inside_a_fresh_run_leaves_nothing(tmp_path):
    def run(**options):
        with StoreWriter(tmp_path / "x.zarr", kind="test", arrays=plans(values_of(8), 4), run=RUN, **options) as writer:
            stage = writer.stage("a", arrays=["a"], blocks={"rows": 4})
            stage.target.write(0, {"a": values_of(8)[:4]})
            raise InputError("line 7 of the source is broken.")

    with pytest.raises(InputError):
        run()
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "x.zarr", values_of(8), 4)
    with pytest.raises(InputError):
        run(force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["x.zarr"]
    assert verify(tmp_path / "x.zarr") == []


def test_an_interrupted_swap_is_finished(tmp_path):
    write(tmp_path / "x.zarr", values_of(8), 4)
    write(tmp_path / "y.zarr", values_of(8, seed=1), 4)
    # As if the process died between the two renames of a --force run.
    (tmp_path / "x.zarr").rename(tmp_path / "x.zarr.old")
    (tmp_path / "y.zarr").rename(tmp_path / "x.zarr.new")
    write(tmp_path / "x.zarr", values_of(8, seed=1), 4, resume=True)
    np.testing.assert_array_equal(open_dataset(tmp_path / "x.zarr")["a"].values, values_of(8, seed=1))
    assert [p.name for p in tmp_path.iterdir()] == ["x.zarr"]


def test_an_unfinished_store_cannot_be_finished(tmp_path):
    with pytest.raises(StoreError, match="lacks 4 of 4 groups"):
        with StoreWriter(tmp_path / "x.zarr", kind="test", arrays=plans(values_of(16), 4), run=RUN) as writer:
            writer.stage("a", arrays=["a"], blocks={"rows": 4})
            writer.write("names", name=names(16))
            writer.finish()
    with pytest.raises(StoreError, match="no stage writes a, name"):
        with StoreWriter(tmp_path / "y.zarr", kind="test", arrays=plans(values_of(16), 4), run=RUN) as writer:
            writer.finish()


def test_misaligned_groups_are_refused(tmp_path):
    """The first silent data loss: blocks that are not whole chunks."""
    values = values_of(16)
    with StoreWriter(tmp_path / "x.zarr", kind="test", arrays=plans(values, 4), run=RUN) as writer:
        with pytest.raises(StoreError, match="whole write units"):
            writer.stage("a", arrays=["a"], blocks={"rows": 6})


def test_blocks_below_the_shard_are_refused(tmp_path):
    """The second silent data loss: the shard, not the chunk inside it, is the unit of writing."""
    values = values_of(16, width=4)
    arrays = plans(values, 2, shards=(8, 4))
    with StoreWriter(tmp_path / "x.zarr", kind="test", arrays=arrays, run=RUN) as writer:
        with pytest.raises(StoreError, match="whole write units"):
            writer.stage("a", arrays=["a"], blocks={"rows": 2})
        stage = writer.stage("a", arrays=["a"], blocks={"rows": 8})
        for i in stage.pending:
            stage.target.write(i, {"a": values[stage.target.ranges(i)["rows"]]})
        writer.write("names", name=names(16))
        writer.finish()
    np.testing.assert_array_equal(open_dataset(tmp_path / "x.zarr")["a"].values, values)
    assert verify(tmp_path / "x.zarr") == []


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (np.zeros((3, 5), np.uint8), "wrong shape"),
        (np.zeros((4, 5), np.float64), "wrong type"),
        (np.full((4, 5), 300, np.int64), "wrong type"),
        (np.full((4, 5), 300, np.uint16), "do not fit"),
    ],
)
def test_a_block_that_does_not_fit_is_refused_before_anything_is_written(tmp_path, block, message):
    with StoreWriter(tmp_path / "x.zarr", kind="test", arrays=plans(values_of(8), 4), run=RUN) as writer:
        stage = writer.stage("a", arrays=["a"], blocks={"rows": 4})
        with pytest.raises(StoreError, match=message):
            stage.target.write(0, {"a": block})
        assert stage.pending == [0, 1]
        with pytest.raises(StoreError, match="all of its arrays"):
            stage.target.write(0, {"b": block})


@pytest.mark.parametrize("bad", [None, 3, "a\0b"])
def test_text_without_value_or_with_zero_bytes_is_refused(tmp_path, bad):
    with StoreWriter(tmp_path / "x.zarr", kind="test", arrays=plans(values_of(3), 4), run=RUN) as writer:
        with pytest.raises(StoreError, match="text must be str"):
            writer.write("names", name=np.array(["a", bad, "c"], dtype=object))


def test_a_flipped_byte_is_named(tmp_path):
    path = tmp_path / "x.zarr"
    write(path, values_of(16), 4)
    chunk = path / "a" / "c" / "2" / "0"
    content = bytearray(chunk.read_bytes())
    content[7] ^= 1
    chunk.write_bytes(content)
    problems = verify(path)
    assert len(problems) == 1
    assert problems[0].startswith("a: a/c/2/0 is damaged")


def test_damaged_text_a_lost_chunk_and_lost_metadata_are_named(tmp_path):
    path = tmp_path / "x.zarr"
    write(path, values_of(16), 4)
    text = next(p for p in (path / "name" / "c").rglob("*") if p.is_file())
    text.write_bytes(text.read_bytes()[:-3])
    (path / "a" / "c" / "1" / "0").unlink()
    problems = verify(path)
    assert [p.split(" ")[0] for p in problems] == ["a:", "name:"]
    (path / "zarr.json").write_text("{")
    assert "metadata" in verify(path)[0]
    assert verify(tmp_path / "nothing.zarr") == [
        f"{tmp_path}/nothing.zarr: there is nothing at this path.\n"
        "  do        check the path; workers must see it under the same name"
    ]


def test_an_incomplete_store_is_a_problem(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "x.zarr", values_of(16), 4, stop_after=2)
    problems = verify(tmp_path / "x.zarr")
    assert problems[0].startswith("complete is false")
    assert "a: group 2 of stage a was never written" in problems


def test_a_lock_of_a_dead_process_is_taken_over(tmp_path):
    dead = {"run": "r", "host": os.uname().nodename, "process": 999_999_999, "started": 0, "heartbeat": time.time()}
    (tmp_path / "x.zarr.lock").write_text(json.dumps(dead))
    write(tmp_path / "x.zarr", values_of(4), 4)
    (tmp_path / "y.zarr.lock").write_text('{"run": "r", "host": "elsewhere", "process": 1, "heartbeat": 0}')
    write(tmp_path / "y.zarr", values_of(4), 4)


def test_a_live_lock_of_another_host_is_respected(tmp_path):
    lock = tmp_path / "x.zarr.lock"
    lock.write_text(f'{{"run": "r", "host": "elsewhere", "process": 1, "heartbeat": {time.time()}}}')
    with pytest.raises(LockedStoreError, match="process 1 on elsewhere"):
        write(tmp_path / "x.zarr", values_of(4), 4)
    assert not (tmp_path / "x.zarr").exists()


def test_another_store_at_the_same_path_is_refused_by_a_task(tmp_path):
    with StoreWriter(tmp_path / "x.zarr", kind="test", arrays=plans(values_of(4), 4), run=RUN) as writer:
        target = writer.stage("a", arrays=["a"], blocks={"rows": 4}).target
    elsewhere = type(target)(str(tmp_path / "only_on_the_client.zarr"), target.store_id, target.stage, target.grid)
    with pytest.raises(StoreError, match="client and every worker"):
        elsewhere.write(0, {"a": values_of(4)})
    impostor = type(target)(target.url, "another-id", target.stage, target.grid)
    with pytest.raises(StoreError, match="not the store of this run"):
        impostor.write(0, {"a": values_of(4)})


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_urls_work_like_paths(tmp_path, scheme):
    path = f"memory://store-{os.getpid()}.zarr" if scheme == "memory" else f"file://{tmp_path}/x.zarr"
    write(path, values_of(9), 4)
    np.testing.assert_array_equal(open_dataset(path)["a"].values, values_of(9))
    assert verify(path) == []
    write(path, values_of(9, seed=1), 4, force=True)
    np.testing.assert_array_equal(open_dataset(path)["a"].values, values_of(9, seed=1))


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounting a small tmpfs needs root on Linux")
def test_a_full_disk_leaves_a_store_that_resumes(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        values = values_of(64, width=32_768)
        with pytest.raises(InterruptedRunError, match="disk of .* is full"):
            write(small / "x.zarr", values, 4)
        assert not verify(small / "x.zarr")[0].startswith("a:")
        subprocess.run(["mount", "-o", "remount,size=8m", str(small)], check=True)
        write(small / "x.zarr", values, 4, resume=True)
        np.testing.assert_array_equal(open_dataset(small / "x.zarr")["a"].values, values)
        assert verify(small / "x.zarr") == []
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_xarray_reads_a_store_without_daskgen(tmp_path):
    import xarray as xr

    write(tmp_path / "x.zarr", values_of(9), 4)
    with quietly(), xr.open_zarr(tmp_path / "x.zarr", chunks=None) as dataset:
        assert dataset["a"].dims == ("rows", "columns")
        assert dataset.attrs["complete"] is True
        np.testing.assert_array_equal(dataset["a"].values, values_of(9))
