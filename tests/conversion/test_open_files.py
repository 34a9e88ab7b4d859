"""An opened file is the Dataset that its converted store opens as, and is read packed by daskgen's functions."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import conversion
from conversion.source import GenotypeSource
from tests.conversion.cohorts import cohort
from tests.oracles.plink import packed_codes


def assert_same(opened: xr.Dataset, stored: xr.Dataset) -> None:
    assert set(opened.variables) == set(stored.variables)
    for name in stored.variables:
        assert opened[name].dims == stored[name].dims
        assert opened[name].dtype == stored[name].dtype
        np.testing.assert_array_equal(opened[name].values, stored[name].values, err_msg=str(name))


@pytest.mark.parametrize("selection", [{}, {"keep": ["I2", "I5", "I9"], "exclude": ["rs4", "rs5"]}, {"ref": "first"}])
def test_a_bed_opens_as_its_store_does(tmp_path: Path, selection: dict) -> None:
    bed = cohort(43, 29, contig=["1"] * 30 + ["X"] * 13).write_bed(tmp_path / "c")
    stored = conversion.genotypes(bed, tmp_path / "c.zarr", **selection).open()
    assert_same(conversion.open(bed, **selection), stored)


def test_a_pgen_with_dosages_opens_as_its_store_does(tmp_path: Path) -> None:
    pytest.importorskip("pgenlib")
    dosage = np.random.default_rng(0).uniform(0, 2, (43, 29)).astype(np.float32)
    pgen = cohort(43, 29).write_pgen(tmp_path / "c", dosage)
    assert_same(conversion.open(pgen), conversion.genotypes(pgen, tmp_path / "c.zarr").open())
    assert_same(
        conversion.open(pgen, dosages=False), conversion.genotypes(pgen, tmp_path / "d.zarr", dosages=False).open()
    )


def test_blocks_are_cut_to_the_size_of_what_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bed = cohort(43, 29).write_bed(tmp_path / "c")
    whole = conversion.open(bed)
    monkeypatch.setattr("daskgen.stores.decoded._DECODED_BYTES", 500)
    small = conversion.open(bed)
    assert small.call_genotype.chunks[0][0] == 8
    assert small.call_dosage.chunks[0][0] == 4
    assert_same(small, whole)
    np.testing.assert_array_equal(small.call_genotype[3:40:7, ::2].values, whole.call_genotype.values[3:40:7, ::2])
    np.testing.assert_array_equal(small.call_dosage[::-1, 5].values, whole.call_dosage.values[::-1, 5])


def test_nothing_is_read_until_it_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bed = cohort(43, 29).write_bed(tmp_path / "c")
    reads = []
    read = type(conversion.open(bed).encoding["daskgen_reader"][1]).read

    def counted(self: GenotypeSource, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        reads.append((start, stop))
        return read(self, start, stop, out)

    monkeypatch.setattr("conversion.plink1.BedSource.read", counted)
    monkeypatch.setattr("daskgen.stores.decoded._DECODED_BYTES", 29 * 2 * 10)
    dataset = conversion.open(bed)
    assert reads == []
    dataset.call_genotype[12:15].compute()
    assert reads == [(10, 20)]


def test_the_attached_reader_gives_packed_rows(tmp_path: Path) -> None:
    made = cohort(43, 29)
    dataset = conversion.open(made.write_bed(tmp_path / "c"))
    token, reader = dataset.encoding["daskgen_reader"]
    assert token == dataset.call_genotype.data.name
    reader = pickle.loads(pickle.dumps(reader))
    assert (reader.n_variants, reader.n_samples, reader.has_dosage) == (43, 29, False)
    assert reader.rows_per_chunk >= 43
    np.testing.assert_array_equal(packed_codes(reader.read(5, 20), 29), made.copies[5:20])


def test_ids_of_readers_and_arrays_follow_the_content(tmp_path: Path) -> None:
    bed = cohort(43, 29).write_bed(tmp_path / "c")

    def names(**selection: object) -> tuple[str, str]:
        token, reader = conversion.open(bed, **selection).encoding["daskgen_reader"]
        return token, reader.reader_id

    assert names() == names()
    different = [names(), names(keep=["I1", "I2"]), names(keep=["I1", "I3"]), names(contig="1"), names(ref="first")]
    assert len({token for token, _ in different}) == 5
    assert len({reader_id for _, reader_id in different}) == 5


def test_public_names_are_functions_whatever_was_imported_first() -> None:
    import conversion.bed_export
    import conversion.convert_genotypes
    import conversion.open_files

    assert all(callable(getattr(conversion, name)) for name in conversion.__all__)
    assert dir(conversion) == sorted(conversion.__all__)
    with pytest.raises(AttributeError, match="its names are"):
        conversion.nothing  # noqa: B018
