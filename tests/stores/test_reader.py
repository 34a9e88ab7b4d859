"""Opening checks what a store is before anything uses it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
import zarr

from daskgen.errors import StoreError
from daskgen.stores import ArrayPlan, RunKey, StoreWriter, open_dataset, open_group, row_layout, verify, write_result
from daskgen.stores.layout import column_layout, n_objects
from daskgen.stores.schema import SCHEMAS, validate

PCA = xr.Dataset(
    {
        "scores": (("sample", "component"), np.arange(6.0).reshape(3, 2)),
        "variances": ("component", np.array([2.0, 1.0])),
        "variance_share": ("component", np.array([0.5, 0.25])),
        "residual": ("component", np.zeros(2)),
    },
    coords={"sample_id": ("sample", np.array(["a", "b", "c"], dtype=object)), "component": np.arange(1, 3)},
    attrs={"scale": "empirical"},
)


def test_a_result_is_written_and_read_back(tmp_path):
    write_result(tmp_path / "p.zarr", PCA, kind="pca", run=RunKey("pca"))
    found = open_dataset(tmp_path / "p.zarr", "pca")
    np.testing.assert_array_equal(found["scores"].values, PCA["scores"].values)
    assert found["sample_id"].values.tolist() == ["a", "b", "c"]
    assert found.attrs["scale"] == "empirical"
    assert verify(tmp_path / "p.zarr") == []


def test_a_result_that_lacks_an_array_of_its_kind_is_refused(tmp_path):
    with pytest.raises(StoreError, match="variances: missing"):
        write_result(tmp_path / "p.zarr", PCA.drop_vars("variances"), kind="pca", run=RunKey("pca"))


def test_another_kind_is_refused(tmp_path):
    write_result(tmp_path / "p.zarr", PCA, kind="pca", run=RunKey("pca"))
    with pytest.raises(StoreError, match="another kind"):
        open_group(tmp_path / "p.zarr", "genotypes")


def test_a_foreign_group_a_plain_folder_and_a_newer_format_are_told_apart(tmp_path):
    zarr.create_group(tmp_path / "g.zarr", attributes={"x": 1})
    with pytest.raises(StoreError, match="did not make"):
        open_group(tmp_path / "g.zarr")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="not a Zarr group"):
        open_group(tmp_path / "folder")
    (tmp_path / "file.bed").write_bytes(b"l")
    with pytest.raises(StoreError, match="not a Zarr group"):
        open_group(tmp_path / "file.bed", "genotypes")
    zarr.create_group(tmp_path / "new.zarr", attributes={"daskgen_format": 99, "kind": "pca", "complete": True})
    with pytest.raises(StoreError, match="newer daskgen"):
        open_group(tmp_path / "new.zarr")


def test_a_store_without_consolidated_metadata_opens(tmp_path):
    write_result(tmp_path / "p.zarr", PCA, kind="pca", run=RunKey("pca"))
    group = zarr.open_group(tmp_path / "p.zarr", mode="r+", use_consolidated=False)
    group.attrs["note"] = "a handle that ignores consolidated metadata drops it"
    assert zarr.open_group(tmp_path / "p.zarr", mode="r").metadata.consolidated_metadata is None
    assert open_dataset(tmp_path / "p.zarr")["variances"].values.tolist() == [2.0, 1.0]


def test_the_consolidated_part_survives_the_end_of_a_write(tmp_path):
    write_result(tmp_path / "p.zarr", PCA, kind="pca", run=RunKey("pca"))
    assert zarr.open_group(tmp_path / "p.zarr", mode="r").metadata.consolidated_metadata is not None


def test_schema_problems_name_array_dimension_and_type():
    good = {name: (spec.dims, spec.dtype, (3,) * len(spec.dims)) for name, spec in SCHEMAS["ld_scores"].arrays.items()}
    assert validate("ld_scores", good) == []
    bad = {**good, "M": (("contigs",), "float32", (3,)), "weight": (("variants",), "float64", (4,))}
    del bad["ld_score"]
    text = "\n".join(validate("ld_scores", bad))
    assert "ld_score: missing" in text
    assert "M: dimensions" in text
    assert "M: type float32 found, float64 expected" in text
    assert "dimension variants has length" in text


def test_empty_arrays_can_be_written(tmp_path):
    plan = [ArrayPlan("a", (0, 4), "float64", ("rows", "columns"), (1, 4))]
    with StoreWriter(tmp_path / "x.zarr", kind="test", arrays=plan, run=RunKey("t")) as writer:
        assert writer.stage("a", arrays=["a"], blocks={"rows": 1}).pending == []
        writer.finish()
    assert verify(tmp_path / "x.zarr") == []


@pytest.mark.parametrize(
    ("n_variants", "n_samples"),
    [(10, 3), (100_000, 20_000), (1_000_000, 65_536), (10_000_000, 500_000), (90_000_000, 2_000)],
)
def test_packed_layout_keeps_within_objects_and_memory(n_variants, n_samples):
    width = -(-n_samples // 4)
    layout = row_layout(n_variants, width, inner_bytes=65_536 // 4)
    assert n_objects((n_variants, width), layout) <= 20_000
    assert np.prod(layout.unit) <= 128e6
    if n_samples > 65_536:
        assert layout.shards is not None
        assert layout.chunks[1] == 16_384
        assert layout.shards[1] % layout.chunks[1] == 0
        assert layout.shards[1] >= width
    else:
        assert layout.chunks[1] == width


def test_columns_have_chunks_of_their_own():
    assert column_layout(10_000_000).chunks == (2**18,)
    assert column_layout(5).chunks == (5,)
