"""How precisely dosages are stored, stores without hard calls, and the sizes that a plan promises."""

from __future__ import annotations

from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr

import conversion
import daskgen as dg
from conversion.store_size import plan_genotypes
from daskgen.errors import InputError, UsageError
from daskgen.passes import Plan
from daskgen.stores import open_group, verify
from daskgen.stores.genotype_layout import genotype_layout, reading_rows
from daskgen.stores.row_parts import GroupParts
from daskgen.stores.schema import SCHEMAS
from tests.conversion.bgen_files import Stopped, bgen
from tests.conversion.cohorts import cohort


def check_same(one: xr.Dataset, other: xr.Dataset) -> None:
    """Text and counts are equal; sums of float32 products depend on how chunks are cut."""
    assert set(one.data_vars) == set(other.data_vars)
    for name in one.data_vars:
        values, expected = one[name].values, other[name].values
        if values.dtype.kind == "f":
            np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(values, expected, err_msg=name)


def test_eight_bits_lose_at_most_half_of_a_step(tmp_path: Path) -> None:
    path, _ = bgen(tmp_path / "c.bgen", bits=16)
    fine = conversion.genotypes(path, tmp_path / "fine.zarr").open()
    coarse = conversion.genotypes(path, tmp_path / "coarse.zarr", dosage_bits=8).open()
    group = open_group(tmp_path / "coarse.zarr")
    stored = group["call_dosage"][...]
    assert (stored[stored != 65535] % 64 == 0).all()
    assert group["call_dosage"].attrs["dosage_bits"] == 8
    assert np.nanmax(np.abs(coarse.call_dosage.values - fine.call_dosage.values)) <= 1 / 512
    np.testing.assert_array_equal(np.isnan(coarse.call_dosage.values), np.isnan(fine.call_dosage.values))
    # Calls and info scores are those of the source.
    np.testing.assert_array_equal(coarse.call_genotype.values, fine.call_genotype.values)
    np.testing.assert_array_equal(coarse.variant_info_score.values, fine.variant_info_score.values)
    np.testing.assert_allclose(
        coarse.variant_allele_frequency.values, np.nanmean(coarse.call_dosage.values, axis=1) / 2, rtol=1e-6
    )


@pytest.mark.parametrize("bits", [16, 8])
def test_a_store_without_hard_calls_has_those_of_its_dosages(tmp_path: Path, bits: int) -> None:
    path, _ = bgen(tmp_path / "c.bgen", m=31, n=40)
    options = {"dosage_bits": bits, "hard_call_threshold": 0.2}
    both = conversion.genotypes(path, tmp_path / "both.zarr", **options).open()
    alone = conversion.genotypes(path, tmp_path / "alone.zarr", hard_calls=False, **options).open()
    assert verify(tmp_path / "alone.zarr") == []
    group = open_group(tmp_path / "alone.zarr")
    assert "call_genotype_packed" not in group
    assert group["call_dosage"].attrs["hard_call_threshold"] == 0.2
    assert not SCHEMAS["genotypes"].arrays["call_genotype_packed"].required
    np.testing.assert_array_equal(alone.call_dosage.values, both.call_dosage.values)
    near = np.abs(alone.call_dosage.values - np.rint(alone.call_dosage.values)) <= 0.2
    expected = np.where(near, np.rint(np.nan_to_num(alone.call_dosage.values)), -1)
    calls = alone.call_genotype.values
    np.testing.assert_array_equal(np.where(calls[..., 0] < 0, -1, calls.sum(axis=2)), expected)
    np.testing.assert_array_equal(alone.variant_n_called.values, (expected >= 0).sum(axis=1))
    np.testing.assert_array_equal(alone.variant_n_het.values, (expected == 1).sum(axis=1))
    if bits == 16:
        np.testing.assert_array_equal(alone.call_genotype.values, both.call_genotype.values)


def test_functions_read_stores_without_hard_calls(tmp_path: Path) -> None:
    path, _ = bgen(tmp_path / "c.bgen", m=200, n=40, bits=8)
    conversion.genotypes(path, tmp_path / "both.zarr")
    conversion.genotypes(path, tmp_path / "alone.zarr", hard_calls=False)
    vectors = np.random.default_rng(0).standard_normal((40, 3))
    for dosage in ("auto", True, False):
        one, other = (dg.genotypes.operator(tmp_path / name, dosage=dosage) for name in ("both.zarr", "alone.zarr"))
        np.testing.assert_allclose(one.kv(vectors), other.kv(vectors), rtol=1e-5, atol=1e-5)
        check_same(
            *(dg.genotypes.variant_stats(tmp_path / name, dosage=dosage) for name in ("both.zarr", "alone.zarr"))
        )
    check_same(*(dg.genotypes.sample_stats(tmp_path / name) for name in ("both.zarr", "alone.zarr")))
    check_same(*(dg.genotypes.pca(tmp_path / name, n=3).drop_vars("residual") for name in ("both.zarr", "alone.zarr")))
    conversion.export_bed(tmp_path / "both.zarr", tmp_path / "both")
    conversion.export_bed(tmp_path / "alone.zarr", tmp_path / "alone")
    assert (tmp_path / "both.bed").read_bytes() == (tmp_path / "alone.bed").read_bytes()


def test_functions_that_read_once_take_files_as_they_are(tmp_path: Path) -> None:
    pytest.importorskip("pgenlib")
    made = cohort(150, 40)
    dosage = np.clip(np.where(made.copies < 0, np.nan, made.copies) + 0.07, 0, 2).astype(np.float32)
    sources = {
        "bed": made.write_bed(tmp_path / "c"),
        "pgen": made.write_pgen(tmp_path / "d", dosage),
        "bgen": bgen(tmp_path / "e.bgen", m=150, n=40)[0],
    }
    vectors = np.random.default_rng(0).standard_normal((40, 2))
    for name, path in sources.items():
        opened = conversion.open(path)
        store = conversion.genotypes(path, tmp_path / f"{name}.zarr").path
        for function in (dg.genotypes.variant_stats, dg.genotypes.sample_stats):
            check_same(function(opened), function(store))
        products = [dg.genotypes.operator(genotypes).kv(vectors) for genotypes in (opened, store)]
        np.testing.assert_allclose(*products, rtol=1e-5, atol=1e-5)
        one, other = (
            dg.genotypes.pca(genotypes, n=2, keep=[f"I{i}" for i in range(30)]) for genotypes in (opened, store)
        )
        np.testing.assert_allclose(one.scores.values, other.scores.values, atol=1e-6)


def test_the_resumed_run_of_a_store_without_hard_calls(tmp_path: Path, monkeypatch) -> None:
    from conversion.bgen import BgenSource

    path, _ = bgen(tmp_path / "c.bgen", m=60, n=40)
    options = {"chunk_mb": 60e-6, "hard_calls": False, "dosage_bits": 8}
    whole = conversion.genotypes(path, tmp_path / "whole.zarr", **options)
    original, seen = BgenSource.read_block, []

    def interrupted(self, start, stop, out=None):
        seen.append(start)
        if len(seen) > 6:
            raise Stopped
        return original(self, start, stop, out)

    monkeypatch.setattr(BgenSource, "read_block", interrupted)
    with pytest.raises(Stopped):
        conversion.genotypes(path, tmp_path / "c.zarr", **options)
    monkeypatch.setattr(BgenSource, "read_block", original)
    conversion.genotypes(path, tmp_path / "c.zarr", resume=True, **options)
    one, other = open_group(whole.path), open_group(tmp_path / "c.zarr")
    for name in one.array_keys():
        np.testing.assert_array_equal(one[name][...], other[name][...], err_msg=name)


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    bed = cohort(5, 4).write_bed(tmp_path / "c")
    path, _ = bgen(tmp_path / "c.bgen", m=3, n=4)
    with pytest.raises(InputError, match="hard calls only, so they cannot be left out"):
        conversion.genotypes(bed, tmp_path / "c.zarr", hard_calls=False)
    for options, message in (
        ({"hard_calls": False, "dosages": False}, "leave nothing to store"),
        ({"hard_call_threshold": 0.5}, "hard_call_threshold is out of range"),
        ({"dosage_bits": 12}, "dosage_bits=12 is not understood"),
    ):
        with pytest.raises(UsageError, match=message):
            conversion.genotypes(path, tmp_path / "c.zarr", **options)
    assert not (tmp_path / "c.zarr").exists()


@pytest.mark.parametrize("options", [{}, {"dosage_bits": 8}, {"hard_calls": False}, {"compression": "zstd"}])
def test_the_plan_knows_what_dosages_take(tmp_path: Path, options: dict) -> None:
    path, _ = bgen(tmp_path / "c.bgen", m=64, n=1_500)
    plan = conversion.genotypes(path, tmp_path / "c.zarr", dry_run=True, **options)
    assert isinstance(plan, Plan)
    assert not (tmp_path / "c.zarr").exists()
    assert any("call_dosage: 64 x 1,500 x" in line for line in plan.lines())
    conversion.genotypes(path, tmp_path / "c.zarr", **options)
    files = [file for file in (tmp_path / "c.zarr").rglob("*") if file.is_file()]
    assert plan.files_written == len(files)
    stored = sum(file.stat().st_size for file in (tmp_path / "c.zarr").glob("call_*/c/**/*") if file.is_file())
    columns = 64 * (7 * 4 + 8 + 1 + 3 * 16) + 1_500 * (4 * 16 + 9) + 2 * 17
    assert abs(plan.bytes_written - columns - stored) < 0.02 * stored


def test_the_arithmetic_of_a_store_that_is_not_there() -> None:
    plan = plan_genotypes(1_000, 20_000, dosages=True)
    assert "call_genotype_packed: 20,000 x 1,000 x 1/4 byte = 5 MB" in str(plan)
    assert "call_dosage: 20,000 x 1,000 x 0.8 bytes (compressed) = 16 MB" in str(plan)
    assert 21e6 < plan.bytes_written < 23e6
    assert "call_dosage" not in str(plan_genotypes(1_000, 20_000))
    alone = plan_genotypes(1_000, 20_000, dosages=True, hard_calls=False, bytes_per_dosage=0.5)
    assert "0.5 bytes" in str(alone)
    assert "packed" not in str(alone)
    with pytest.raises(UsageError, match="needs samples"):
        plan_genotypes(0, 1)
    with pytest.raises(UsageError, match="leave nothing"):
        plan_genotypes(1, 1, hard_calls=False)


# -- many variants of many samples ---------------------------------------------------------------------------------
@pytest.mark.parametrize("n_samples", [50_000, 500_000])
@pytest.mark.parametrize("options", [{}, {"hard_calls": False}])
def test_objects_stay_below_twenty_thousand_and_tasks_small(n_samples: int, options: dict) -> None:
    plan = plan_genotypes(n_samples, 10_000_000, dosages=True, **options)
    objects = [
        int(line.split(" in ")[1].split()[0].replace(",", "")) for line in plan.lines() if " objects of " in line
    ]
    assert len(objects) == (1 if options else 2)
    assert max(objects) <= 20_000
    layout = genotype_layout(n_samples, 10_000_000, 22, has_dosage=True)
    assert layout.group_bytes + layout.writing_bytes <= 300e6
    # A smaller chunk is taken at its word, lz4 shards would have to be whole in memory.
    for other in ({"chunk_mb": 8}, {"compression": "lz4"}):
        assert genotype_layout(n_samples, 10_000_000, 22, has_dosage=True, **other).group_rows == layout.held_rows


@pytest.mark.parametrize("options", [{}, {"hard_calls": False}, {"compression": "zstd"}])
@pytest.mark.parametrize("wide", [16, 1_000])
def test_groups_that_are_converted_in_parts_hold_the_same(
    tmp_path: Path, monkeypatch, options: dict, wide: int
) -> None:
    path, _ = bgen(tmp_path / "c.bgen", m=301, n=40)
    whole = conversion.genotypes(path, tmp_path / "whole.zarr", **options).open()
    monkeypatch.setattr("daskgen.stores.genotype_layout._DOSAGE_BYTES", 16 * 80)
    with dask.config.set({"daskgen.max-objects": 7, "daskgen.wide-samples": wide}):
        plan = conversion.genotypes(path, tmp_path / "parts.zarr", dry_run=True, **options)
        conversion.genotypes(path, tmp_path / "parts.zarr", **options)
        group = open_group(tmp_path / "parts.zarr")
        assert group["call_dosage"].shards[0] == 48
        assert group["call_dosage"].chunks[0] == 2
        if "call_genotype_packed" in group:
            assert (group["call_genotype_packed"].shards[0], group["call_genotype_packed"].chunks[0]) == (48, 16)
        assert reading_rows(group) == 16
        assert plan.files_written == sum(1 for file in (tmp_path / "parts.zarr").rglob("*") if file.is_file())
        check_same(dg.open_store(tmp_path / "parts.zarr"), whole)
        assert verify(tmp_path / "parts.zarr") == []
        stats = dg.genotypes.variant_stats(tmp_path / "parts.zarr").variant_allele_frequency.values
        np.testing.assert_allclose(stats, whole.variant_allele_frequency.values, rtol=1e-5)


def test_groups_in_parts_are_resumed(tmp_path: Path, monkeypatch) -> None:
    path, _ = bgen(tmp_path / "c.bgen", m=301, n=40)
    monkeypatch.setattr("daskgen.stores.genotype_layout._DOSAGE_BYTES", 16 * 80)
    with dask.config.set({"daskgen.max-objects": 7}):
        conversion.genotypes(path, tmp_path / "whole.zarr")
        finish, finished = GroupParts.finish, []

        def stopped(self) -> None:
            if len(finished) >= 3:
                raise Stopped
            finished.append(finish(self))

        with monkeypatch.context() as patch, pytest.raises(Stopped):
            patch.setattr(GroupParts, "finish", stopped)
            conversion.genotypes(path, tmp_path / "c.zarr")
        assert not [*(tmp_path / "c.zarr").rglob("*.partial")]
        conversion.genotypes(path, tmp_path / "c.zarr", resume=True)
    assert verify(tmp_path / "c.zarr") == []
    for one in (tmp_path / "whole.zarr").rglob("c/**/*"):
        if one.is_file() and "_chunks" not in one.parts:
            assert (tmp_path / "c.zarr" / one.relative_to(tmp_path / "whole.zarr")).read_bytes() == one.read_bytes()
