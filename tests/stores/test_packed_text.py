"""Text written as bytes: the chunks and the marks are those of the same text written by Zarr."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskgen.errors import StoreError
from daskgen.stores import ArrayPlan, PackedText, RunKey, StoreWriter, open_group, verify

RUN = RunKey("test", {}, [])
TEXT = np.dtypes.StringDType()
texts = st.lists(st.sampled_from(["", "A", "C", "rs1234", "é", "x" * 300, "chr1:5_A/T", "漢字"]), max_size=24)


def write(path, values, rows, *, packed, in_group=1, **options):
    dims = ("rows", "pairs")[: values.ndim]
    chunks = (rows, *values.shape[1:])
    plan = ArrayPlan("name", values.shape, "string", dims, chunks, **options)
    with StoreWriter(path, kind="test", arrays=[plan], run=RUN) as writer:
        stage = writer.stage("name", arrays=["name"], blocks={"rows": rows * in_group})
        for index in stage.pending:
            part = values[stage.target.ranges(index)["rows"]]
            block = PackedText.of("\0".join(part.ravel().tolist()), part.shape) if packed else part
            stage.target.write(index, {"name": block})
        writer.finish()


def content(path):
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != "zarr.json"}


@settings(max_examples=30, deadline=None)
@given(
    values=texts,
    width=st.sampled_from([None, 1, 2]),
    rows=st.integers(1, 9),
    in_group=st.integers(1, 3),
    compression=st.sampled_from(["zstd", None]),
)
def test_the_bytes_are_those_of_the_same_text(tmp_path_factory, values, width, rows, in_group, compression):
    if width is not None:
        values = values[: len(values) // width * width]
    array = np.array(values, dtype=TEXT).reshape(-1 if width is None else (len(values) // width, width))
    folder = tmp_path_factory.mktemp("text")
    for packed in (False, True):
        path = folder / f"{packed}.zarr"
        write(path, array, rows, packed=packed, in_group=in_group, compression=compression)
    assert content(folder / "True.zarr") == content(folder / "False.zarr")
    assert verify(folder / "True.zarr") == []
    assert np.array_equal(np.asarray(open_group(folder / "True.zarr")["name"][...]), array)


@pytest.mark.parametrize("options", [{"shards": (4, 2)}, {"compression": "lz4"}], ids=["shards", "another codec"])
def test_other_layouts_are_written_too(tmp_path, options):
    array = np.array([["A", "C"]] * 4, dtype=TEXT)
    write(tmp_path / "x.zarr", array, 4, packed=True, **options)
    assert verify(tmp_path / "x.zarr") == []
    assert np.array_equal(np.asarray(open_group(tmp_path / "x.zarr")["name"][...]), array)


def test_a_url_is_written_like_a_folder():
    url = "memory://packed-text/x.zarr"
    array = np.array(["rs1", "", "é"], dtype=TEXT)
    write(url, array, 2, packed=True)
    assert verify(url) == []
    assert np.array_equal(np.asarray(open_group(url)["name"][...]), array)


@pytest.mark.parametrize("joined", ["a", "a\0b\0c", "a\0b\0"])
def test_another_number_of_texts_is_refused(joined):
    with pytest.raises(StoreError, match="without zero bytes"):
        PackedText.of(joined, (2,))


def test_a_block_of_another_shape_or_for_numbers_is_refused(tmp_path):
    plans = [ArrayPlan("name", (3,), "string", ("rows",), (3,)), ArrayPlan("n", (3,), "int32", ("rows",), (3,))]
    with StoreWriter(tmp_path / "x.zarr", kind="test", arrays=plans, run=RUN) as writer:
        of_two = PackedText.of("a\0b", (2,))
        of_three = PackedText.of("a\0b\0c", (3,))
        with pytest.raises(StoreError, match="wrong shape"):
            writer.write("names", name=of_two)
        with pytest.raises(StoreError, match="wrong type"):
            writer.write("numbers", n=of_three)
