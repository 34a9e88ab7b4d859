"""daskgen export vcf-zarr: exit codes, what is written, and that nothing is left of what fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from daskgen.cli import app
from tests.cli.cohort import CODES, write_cohort


@pytest.fixture
def store(tmp_path: Path) -> Path:
    bed = write_cohort(tmp_path / "cohort")
    assert app.invoke(["convert", "genotypes", str(bed), "--out", str(tmp_path / "cohort.zarr")]) == 0
    return tmp_path / "cohort.zarr"


def test_the_export_has_the_calls_of_the_selected_samples_and_variants(store: Path, capsys) -> None:
    out = store.parent / "cohort.vcz"
    options = ["--contig", "1", "--variants-chunk-size", "2", "--samples-chunk-size", "4"]
    assert app.invoke(["export", "vcf-zarr", str(store), "--out", str(out), *options]) == 0
    assert str(out) in capsys.readouterr().out
    group = zarr.open_group(out)
    calls = group["call_genotype"][...]
    np.testing.assert_array_equal(np.where((calls < 0).any(axis=2), -1, calls.sum(axis=2)), CODES[:3])
    assert group["call_genotype"].chunks == (2, 4, 2)


def test_what_lies_there_is_replaced_by_force_only(store: Path, capsys) -> None:
    out = store.parent / "cohort.vcz"
    command = ["export", "vcf-zarr", str(store), "--out", str(out)]
    assert app.invoke(command) == 0
    assert app.invoke(command) == 3
    assert "--force" in capsys.readouterr().err
    assert app.invoke([*command, "--force"]) == 0
    assert app.invoke([*command, "--force", "--contig", "none"]) == 3
    assert zarr.open_group(out)["call_genotype"].shape == (7, 5, 2)
    assert not list(store.parent.glob("*.partial"))
