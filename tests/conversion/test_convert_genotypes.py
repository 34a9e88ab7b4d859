"""A converted store has the content of its source, whatever the chunks, the scheduler and the interruptions."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import conversion
from daskgen import config
from daskgen.errors import PlanError, ResumeError, StoreError, UsageError
from daskgen.passes import Plan
from daskgen.stores import open_group, verify
from daskgen.stores.genotype_layout import genotype_layout
from tests.conversion.cohorts import Cohort, cohort
from tests.oracles.plink import allele_frequency, packed_codes

CONTIGS = ["1"] * 40 + ["2"] * 20 + ["X"] * 20 + ["Y"] * 10 + ["MT"] * 7 + ["PAR1"] * 4
SMALL = {"chunk_mb": 0.0001}  # 100 bytes: several groups of a few variants


@pytest.fixture
def made(tmp_path: Path) -> Cohort:
    made = cohort(
        101,
        67,
        contig=CONTIGS,
        sex=[(1, 2, 0, 2, 1)[i % 5] for i in range(67)],
        phenotype=["1.5", "-9", "2"] * 22 + ["NA"],
    )
    made.write_bed(tmp_path / "c")
    return made


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daskgen.stores.genotype_layout._GROUP_BYTES", 200)


def arrays(store: Path) -> dict[str, np.ndarray]:
    """Every array at the root of a store."""
    group = open_group(store)
    return {name: group[name][...] for name in group.array_keys()}


def array_files(store: Path) -> dict[str, str]:
    """Hash of every file that holds data or marks."""
    found = {}
    for path in sorted(store.rglob("*")):
        if path.is_file() and path.name != "zarr.json":
            found[str(path.relative_to(store))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_the_store_holds_what_the_files_hold(tmp_path: Path, made: Cohort) -> None:
    result = conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", **SMALL)
    assert (result.n_samples, result.n_variants, result.dropped) == (67, 101, {})
    assert str(result) == f"{tmp_path / 'c.zarr'}: 67 samples x 101 variants"
    assert verify(tmp_path / "c.zarr") == []
    stored = arrays(tmp_path / "c.zarr")
    np.testing.assert_array_equal(packed_codes(stored["call_genotype_packed"], 67), made.copies)
    assert "call_dosage" not in stored
    assert stored["variant_id"].tolist() == [f"rs{i}" for i in range(101)]
    assert stored["variant_allele"].tolist() == [["T", "C"]] * 101
    assert stored["variant_position"].tolist() == [100 * (i + 1) for i in range(101)]
    assert stored["variant_genetic_position"].tolist() == [i / 8 for i in range(101)]
    assert stored["contig_id"][stored["variant_contig"]].tolist() == CONTIGS
    assert stored["contig_id"].tolist() == ["1", "2", "X", "Y", "MT", "PAR1"]
    assert stored["contig_role"].tolist() == [0, 0, 1, 2, 3, 0]
    assert stored["variant_ploidy_class"].tolist() == stored["contig_role"][stored["variant_contig"]].tolist()
    assert stored["sample_id"].tolist() == [f"I{i}" for i in range(67)]
    assert stored["sample_family_id"].tolist() == [f"F{i}" for i in range(67)]
    assert stored["sample_maternal_id"].tolist() == [f"M{i}" for i in range(67)]
    assert stored["sample_paternal_id"].tolist() == ["0"] * 67
    assert stored["sample_sex"].tolist() == list(made.sex)
    np.testing.assert_array_equal(stored["sample_phenotype"], [1.5, np.nan, 2] * 22 + [np.nan])


def test_counts_and_frequencies_follow_ploidy(tmp_path: Path, made: Cohort) -> None:
    conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", **SMALL)
    stored = arrays(tmp_path / "c.zarr")
    np.testing.assert_array_equal(stored["variant_n_called"], (made.copies >= 0).sum(axis=1))
    np.testing.assert_array_equal(stored["variant_n_het"], (made.copies == 1).sum(axis=1))
    role = {"X": "X", "Y": "Y", "MT": "MT"}
    expected = [
        allele_frequency(copies, made.sex, role.get(contig, "autosome"))
        for copies, contig in zip(made.copies, CONTIGS, strict=True)
    ]
    np.testing.assert_allclose(stored["variant_allele_frequency"], expected, rtol=1e-6)
    male = np.array(made.sex) == 1
    contig = np.array(CONTIGS)
    provenance = open_group(tmp_path / "c.zarr").attrs["provenance"]
    assert provenance["heterozygous_haploid_calls"] == {
        "X outside PAR": (made.copies[np.ix_(contig == "X", male)] == 1).sum(),
        "Y": (made.copies[np.ix_(contig == "Y", male)] == 1).sum(),
        "MT": (made.copies[contig == "MT"] == 1).sum(),
    }


def test_without_known_sexes_everybody_is_diploid_on_x_and_carries_y(tmp_path: Path) -> None:
    made = cohort(6, 9, contig=["X", "X", "X", "Y", "Y", "Y"], sex=[0] * 9)
    made.write_bed(tmp_path / "c")
    conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr")
    expected = [allele_frequency(copies, made.sex, "autosome") for copies in made.copies]
    np.testing.assert_allclose(arrays(tmp_path / "c.zarr")["variant_allele_frequency"], expected, rtol=1e-6)


def test_in_birds_the_females_have_one_z(tmp_path: Path) -> None:
    made = cohort(6, 9, contig=["Z"] * 6)
    made.write_bed(tmp_path / "c")
    conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", genome="chicken")
    stored = arrays(tmp_path / "c.zarr")
    expected = [allele_frequency(copies, made.sex, "X", haploid_sex=2) for copies in made.copies]
    np.testing.assert_allclose(stored["variant_allele_frequency"], expected, rtol=1e-6)
    assert stored["contig_role"].tolist() == [1]
    assert open_group(tmp_path / "c.zarr")["contig_role"].attrs["heterogametic_sex"] == "female"


def test_dosages_are_stored_beside_the_calls(tmp_path: Path) -> None:
    pytest.importorskip("pgenlib")
    rng = np.random.default_rng(3)
    dosage = (rng.integers(0, 32_769, (53, 37)) / 16_384).astype(np.float32)
    dosage[rng.random(dosage.shape) < 0.1] = np.nan
    dosage[7] = np.nan
    contigs = ["1"] * 30 + ["X"] * 15 + ["Y"] * 8
    made = cohort(53, 37, contig=contigs)
    made.write_pgen(tmp_path / "c", dosage)
    conversion.genotypes(tmp_path / "c.pgen", tmp_path / "c.zarr", **SMALL)
    dataset = xr.open_zarr(tmp_path / "c.zarr")  # without daskgen: CF attributes decode it
    np.testing.assert_array_equal(dataset.call_dosage.values, dosage)
    stored = arrays(tmp_path / "c.zarr")
    expected = [
        allele_frequency(copies, made.sex, {"1": "autosome"}.get(contig, contig))
        for copies, contig in zip(dosage.astype(float), contigs, strict=True)
    ]
    np.testing.assert_allclose(stored["variant_allele_frequency"], expected, rtol=1e-6)
    calls = packed_codes(stored["call_genotype_packed"], 37)
    np.testing.assert_array_equal(stored["variant_n_called"], (calls >= 0).sum(axis=1))
    result = conversion.genotypes(tmp_path / "c.pgen", tmp_path / "calls.zarr", dosages=False, **SMALL)
    assert "call_dosage" not in arrays(tmp_path / "calls.zarr")
    np.testing.assert_array_equal(packed_codes(arrays(tmp_path / "calls.zarr")["call_genotype_packed"], 37), calls)
    assert result.open().attrs["counted_allele"] == "ALT"


# -- layout ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "options", [{}, {"chunk_mb": 0.00002}, {"chunk_mb": 0.0009}, {"compression": "zstd"}, {"compression": "lz4"}]
)
def test_content_does_not_depend_on_chunks_and_compression(
    tmp_path: Path, made: Cohort, options: dict[str, Any]
) -> None:
    conversion.genotypes(tmp_path / "c.bed", tmp_path / "a.zarr", **SMALL)
    with dask.config.set({"daskgen.column-rows": 17}):
        conversion.genotypes(tmp_path / "c.bed", tmp_path / "b.zarr", **options)
    a, b = arrays(tmp_path / "a.zarr"), arrays(tmp_path / "b.zarr")
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    assert verify(tmp_path / "b.zarr") == []


def test_many_samples_are_cut_inside_shards(tmp_path: Path, made: Cohort) -> None:
    with dask.config.set({"daskgen.wide-samples": 16}):
        conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", **SMALL)
    packed = open_group(tmp_path / "c.zarr")["call_genotype_packed"]
    assert packed.chunks[1] == 4
    assert packed.shards[1] == 20
    np.testing.assert_array_equal(packed_codes(packed[...], 67), made.copies)
    assert verify(tmp_path / "c.zarr") == []


@pytest.mark.parametrize("has_dosage", [False, True])
@pytest.mark.parametrize("n_samples", [1, 378, 65_536, 65_537, 487_409])
@pytest.mark.parametrize("n_variants", [1, 1_000, 784_256, 93_000_000])
def test_layouts_stay_within_sizes_and_numbers_of_files(n_samples: int, n_variants: int, has_dosage: bool) -> None:
    layout = genotype_layout(n_samples, n_variants, 22, has_dosage=has_dosage)
    by_name = {plan.name: plan for plan in layout.arrays}
    for name in ("call_genotype_packed", "call_dosage"):
        if name not in by_name:
            continue
        plan = by_name[name]
        unit = plan.shards or plan.chunks
        assert all(whole % part == 0 for whole, part in zip(unit, plan.chunks, strict=True))
        assert layout.group_rows % unit[0] == 0 or layout.group_rows >= n_variants
        assert unit[1] >= plan.shape[1], "a task writes all samples of a variant"
        item = np.dtype(plan.dtype).itemsize
        assert plan.chunks[0] * plan.chunks[1] * item <= 128e6
        # Too many objects only where the largest ones that a task may hold are not large enough.
        assert -(-n_variants // unit[0]) <= config.get("max-objects") or 2 * layout.group_bytes > 128e6
    assert layout.n_groups <= config.get("max-objects") or 2 * layout.group_bytes > 128e6
    assert layout.group_bytes <= 150e6
    if n_samples == 378 and n_variants == 784_256:
        assert 7e6 < by_name["call_genotype_packed"].chunks[0] * 95 <= 8e6


def test_the_plan_counts_the_files_that_are_written(tmp_path: Path, made: Cohort) -> None:
    plan = conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", dry_run=True, **SMALL)
    assert isinstance(plan, Plan)
    assert not (tmp_path / "c.zarr").exists()
    assert plan.bytes_per_pass == (tmp_path / "c.bed").stat().st_size
    result = conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", **SMALL)
    files = [path for path in (tmp_path / "c.zarr").rglob("*") if path.is_file()]
    assert plan.files_written == len(files)
    assert result.plan.lines() == plan.lines()


def test_a_plan_over_the_memory_limit_is_refused(tmp_path: Path, made: Cohort) -> None:
    with pytest.raises(PlanError, match="the limit is 265 MB") as error:
        conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", memory_limit="265MB")
    assert "--chunk-mb" in str(error.value)
    assert not (tmp_path / "c.zarr").exists()


@pytest.mark.parametrize(
    ("options", "match"), [({"compression": "best"}, "unknown compression"), ({"chunk_mb": 0}, "must be positive")]
)
def test_layout_options_that_cannot_be_used(tmp_path: Path, made: Cohort, options: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", **options)


# -- what the store says of itself -------------------------------------------------------------------------
def sha(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def test_provenance_has_sources_arguments_and_what_was_left_out(tmp_path: Path, made: Cohort) -> None:
    with dask.config.set({"daskgen.fingerprint-piece": 1_000}):
        conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", remove=["I3", "I4"], **SMALL)
    attrs = open_group(tmp_path / "c.zarr").attrs
    assert attrs["n_samples"] == 65
    assert attrs["counted_allele"] == "A1"
    provenance = attrs["provenance"]
    assert provenance["dropped"] == {"samples in remove": 2}
    assert provenance["arguments"]["chunk_mb"] == SMALL["chunk_mb"]
    assert provenance["genome"] == "human"
    bed, bim, fam = provenance["sources"]
    assert [about["name"] for about in (bed, bim, fam)] == ["c.bed", "c.bim", "c.fam"]
    content = (tmp_path / "c.bed").read_bytes()
    assert len(content) > 1_700
    assert bed["size"] == len(content)
    assert bed["fingerprint"] == sha(content[:1_000], content[1_000:])
    bim_content = (tmp_path / "c.bim").read_bytes()
    assert bim["fingerprint"] == sha(*(bim_content[i : i + 1_000] for i in range(0, len(bim_content), 1_000)))


def test_a_file_of_which_a_part_was_read_has_no_fingerprint(tmp_path: Path, made: Cohort) -> None:
    conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", contig="2")
    provenance = open_group(tmp_path / "c.zarr").attrs["provenance"]
    assert provenance["sources"][0]["fingerprint"] is None
    assert provenance["sources"][0]["sample"]
    assert provenance["sources"][1]["fingerprint"]
    assert provenance["dropped"] == {"variants on other contigs": 81}


def test_the_counted_allele_of_the_first_variants_is_logged(
    tmp_path: Path, made: Cohort, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="daskgen"):
        conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr")
    assert "Counted    A1: rs0 C (not T), rs1 C (not T), rs2 C (not T)" in caplog.messages
    assert any("heterozygous haploid calls were kept" in message for message in caplog.messages)


# -- destinations ------------------------------------------------------------------------------------------
def test_an_existing_store_is_replaced_only_with_force(tmp_path: Path, made: Cohort) -> None:
    conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", contig="1")
    with pytest.raises(StoreError, match="exists"):
        conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr")
    assert len(arrays(tmp_path / "c.zarr")["variant_id"]) == 40
    conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", force=True)
    assert len(arrays(tmp_path / "c.zarr")["variant_id"]) == 101


def test_what_is_no_store_is_never_replaced(tmp_path: Path, made: Cohort) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="was not made by daskgen"):
        conversion.genotypes(tmp_path / "c.bed", tmp_path / "notes.txt", force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


# -- interruptions -----------------------------------------------------------------------------------------
INTERRUPTED = """
import os, signal, sys
import conversion, dask, daskgen.stores.genotype_layout
from daskgen.stores import StageTarget
daskgen.stores.genotype_layout._GROUP_BYTES = 200
limit, written, write = int(sys.argv[3]), [], StageTarget.write
def killed_after(self, index, blocks):
    if self.stage in ("genotypes", "variants"):
        written.append(index)
        if len(written) > limit:
            os.kill(os.getpid(), signal.SIGKILL)
    return write(self, index, blocks)
StageTarget.write = killed_after
with dask.config.set({"daskgen.column-rows": 17}):
    conversion.genotypes(sys.argv[1], sys.argv[2], chunk_mb=0.0001)
"""


@pytest.mark.parametrize("after", [0, 3, 13])
def test_a_killed_run_is_finished_with_the_same_bytes(tmp_path: Path, made: Cohort, after: int) -> None:
    with dask.config.set({"daskgen.column-rows": 17}):
        conversion.genotypes(tmp_path / "c.bed", tmp_path / "whole.zarr", **SMALL)
        command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "c.bed"), str(tmp_path / "c.zarr"), str(after)]
        assert subprocess.run(command, check=False, capture_output=True).returncode == -9
        with pytest.raises(StoreError, match="not complete"):
            open_group(tmp_path / "c.zarr")
        conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", resume=True, **SMALL)
    assert array_files(tmp_path / "c.zarr") == array_files(tmp_path / "whole.zarr")
    provenance = [open_group(tmp_path / name).attrs["provenance"] for name in ("c.zarr", "whole.zarr")]
    assert provenance[0] == provenance[1]
    assert verify(tmp_path / "c.zarr") == []


def test_resume_of_nothing_starts_and_of_a_finished_store_does_nothing(tmp_path: Path, made: Cohort) -> None:
    conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", resume=True, **SMALL)
    before = open_group(tmp_path / "c.zarr").attrs["store_id"]
    result = conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", resume=True, **SMALL)
    assert result.n_variants == 101
    assert open_group(tmp_path / "c.zarr").attrs["store_id"] == before


@pytest.mark.parametrize("change", ["argument", "source", "list", "roles"])
def test_another_run_is_not_resumed(tmp_path: Path, made: Cohort, change: str) -> None:
    keep = tmp_path / "keep.txt"
    keep.write_text("\n".join(f"I{i}" for i in range(60)))
    roles = tmp_path / "roles.txt"
    roles.write_text("".join(f"{contig} autosome\n" for contig in dict.fromkeys(CONTIGS)))
    options: dict[str, Any] = {"keep": keep, "genome": roles, **SMALL}
    conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", **options)
    options["resume"] = True
    if change == "argument":
        options["missing_max"] = 0.5
    elif change == "source":
        cohort(101, 67, seed=9, contig=CONTIGS).write_bed(tmp_path / "c")
    elif change == "list":
        keep.write_text("\n".join(f"I{i}" for i in range(1, 61)))
    else:
        roles.write_text(roles.read_text().replace("X autosome", "X X"))
    with pytest.raises(ResumeError, match="another run"):
        conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", **options)


def test_a_touched_source_is_the_same_source(tmp_path: Path, made: Cohort) -> None:
    conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", **SMALL)
    (tmp_path / "c.bed").touch()
    conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr", resume=True, **SMALL)


# -- schedulers --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("threads", [1, 5])
def test_the_bytes_do_not_depend_on_the_number_of_threads(tmp_path: Path, made: Cohort, threads: int) -> None:
    conversion.genotypes(tmp_path / "c.bed", tmp_path / "a.zarr", **SMALL)
    with dask.config.set(num_workers=threads):
        conversion.genotypes(tmp_path / "c.bed", tmp_path / "b.zarr", **SMALL)
    assert array_files(tmp_path / "a.zarr") == array_files(tmp_path / "b.zarr")


def test_the_bytes_do_not_depend_on_the_scheduler(
    tmp_path: Path, made: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client, LocalCluster

    conversion.genotypes(tmp_path / "c.bed", tmp_path / "a.zarr", **SMALL)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        conversion.genotypes(tmp_path / "c.bed", tmp_path / "b.zarr", **SMALL)
        lazy = conversion.open(tmp_path / "c.bed").call_dosage.mean().compute()
    assert array_files(tmp_path / "a.zarr") == array_files(tmp_path / "b.zarr")
    called = made.copies[made.copies >= 0]
    np.testing.assert_allclose(lazy, called.mean(), rtol=1e-5)
