"""Calls with one allele of two missing: made missing and counted, or refused, in every format that has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import conversion
from conversion.half_calls import counting_half_calls, half_calls_met
from daskgen.cli import app
from daskgen.errors import InputError, UsageError
from daskgen.stores import open_group
from tests.oracles.plink import packed_codes
from tests.vcf_files import header, write_vcf

# Rows of the store: r0; r1 twice; r2; r3. Half-calls: I1 at r0, I0 at both rows of r1, I2 at r3, whose dosage stays.
LINES = """1 1 r0 A G . . . GT 0/1 ./1 0|0 .
1 2 r1 A C,G . . . GT 2/. 1/2 ./. 0/0
1 3 r2 A G . . . GT 1 . 0/0 1/1
1 4 r3 A G . . . GT:DS 0/0:0 1/1:2 0/.:0.5 ./.:1
"""
CODES = [[1, -1, 0, -1], [-1, 1, -1, 0], [-1, 1, -1, 0], [2, -1, 0, 2], [0, 2, -1, -1]]
N_HALF = 4
KINDS = ["plain", "bgzip", "gzip", "bcf", "vcf_zarr"]


def written(folder: Path, kind: str) -> Path:
    text = header(4) + LINES.replace(" ", "\t")
    if kind != "vcf_zarr":
        if kind == "bcf":
            pytest.importorskip("cyvcf2")
        return write_vcf(folder / "c", text, kind)
    pytest.importorskip("zarr")
    from tests.conversion.test_vcf_zarr import write_group

    calls = [
        [[0, 1], [-1, 1], [0, 0], [-1, -1]],
        [[2, -1], [1, 2], [-1, -1], [0, 0]],
        [[1, -2], [-1, -2], [0, 0], [1, 1]],
        [[0, 0], [1, 1], [0, -1], [-1, -1]],
    ]
    arrays = {
        "call_genotype": (("variants", "samples", "ploidy"), np.array(calls, np.int8)),
        "variant_position": (("variants",), np.arange(1, 5, dtype=np.int32)),
        "variant_contig": (("variants",), np.zeros(4, np.int8)),
        "variant_allele": (("variants", "alleles"), [["A", "G", ""], ["A", "C", "G"], ["A", "G", ""], ["A", "G", ""]]),
        "variant_id": (("variants",), [f"r{i}" for i in range(4)]),
        "contig_id": (("contigs",), ["1"]),
        "sample_id": (("samples",), [f"I{i}" for i in range(4)]),
    }
    return write_group(folder / "c.vcz", arrays, 3, chunks=(2, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_half_calls_become_missing_and_are_counted(tmp_path: Path, kind: str) -> None:
    result = conversion.genotypes(written(tmp_path, kind), tmp_path / "c.zarr")
    group = open_group(tmp_path / "c.zarr")
    np.testing.assert_array_equal(packed_codes(group["call_genotype_packed"][...], 4), CODES)
    assert result.half_calls == N_HALF
    assert group.attrs["provenance"]["half_calls"] == N_HALF
    if kind != "vcf_zarr":
        np.testing.assert_array_equal(result.open().call_dosage.values[4], [0, 2, 0.5, 1])


@pytest.mark.parametrize(
    "options", [{"extract": ["r1", "r2"]}, {"dosages": False, "contig": "1"}, {"missing_max": 0.5}]
)
def test_the_count_is_of_the_variants_that_are_kept(tmp_path: Path, options: dict) -> None:
    result = conversion.genotypes(written(tmp_path, "plain"), tmp_path / "c.zarr", **options)
    kept = open_group(tmp_path / "c.zarr")["variant_id"][...].tolist()
    assert result.half_calls == sum({"r0": 1, "r1": 1, "r3": 1}.get(name, 0) for name in kept)


@pytest.mark.parametrize("kind", KINDS)
def test_half_calls_can_be_refused(tmp_path: Path, kind: str) -> None:
    source = written(tmp_path, kind)
    with pytest.raises(InputError, match="half-call") as error:
        conversion.genotypes(source, tmp_path / "c.zarr", half_calls="refuse")
    assert not (tmp_path / "c.zarr").exists()
    assert "I1" in str(error.value) or "sample 2" in str(error.value)
    if kind != "gzip":
        opened = conversion.open(source, half_calls="refuse")
        with pytest.raises(InputError, match="half-call"):
            opened.call_genotype.values  # noqa: B018
    with pytest.raises(UsageError, match="half_calls"):
        conversion.genotypes(source, tmp_path / "c.zarr", half_calls="haploid")


def test_the_commands_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = str(written(tmp_path, "plain")), str(tmp_path / "c.zarr")
    assert app.invoke(["convert", "genotypes", source, "--out", out]) == 0
    assert "4 half-calls (one allele of two missing) became missing" in capsys.readouterr().err
    assert app.invoke(["info", out]) == 0
    assert "Half-calls 4 with one allele of two missing, made missing" in capsys.readouterr().out
    assert app.invoke(["convert", "genotypes", source, "--out", f"{out}2", "--half-calls", "refuse"]) == 3
    assert "record 1:1 r0: GT has one allele of two missing (a half-call)" in capsys.readouterr().err


def test_a_tally_counts_what_its_thread_met_within_it() -> None:
    half_calls_met(5)
    with counting_half_calls() as outer:
        half_calls_met(1)
        with counting_half_calls() as inner:
            half_calls_met(2)
        half_calls_met(4)
    assert (outer.n, inner.n) == (5, 2)
