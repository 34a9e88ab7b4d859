"""VCF Zarr in, as bio2zarr and sgkit write it, and out, as they read it."""

from __future__ import annotations

from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

import conversion
from conversion.formats import OpenOptions
from conversion.sources import open_source
from conversion.vcf_zarr import open_zarr
from daskgen.errors import InputError, StoreError, UsageError
from daskgen.kernels.dosages import DOSAGE_MISSING, DOSAGE_SCALE
from daskgen.stores import open_group, verify
from tests.conversion.cohorts import cohort, random_copies
from tests.oracles.plink import packed_codes
from tests.shared_data import shared
from tests.vcf_files import header

M, N = 53, 23
TEXT = np.dtypes.StringDType()


def write_group(path: Path, arrays: dict, zarr_format: int, chunks: tuple[int, int] = (10, 8)) -> Path:
    """A group of these arrays: name -> (dimensions, values), in chunks of so many variants and samples."""
    group = zarr.create_group(path, zarr_format=zarr_format)
    sizes = {"variants": chunks[0], "samples": chunks[1]}
    for name, (dims, values) in arrays.items():
        values = np.asarray(values)
        text = values.dtype.kind in "TUO"
        array = group.create_array(
            name,
            shape=values.shape,
            chunks=tuple(min(sizes.get(d, n), n) for d, n in zip(dims, values.shape, strict=True)),
            dtype=str if text else values.dtype,
            fill_value=None if zarr_format == 2 else ("" if text else 0),
            **({"dimension_names": dims} if zarr_format == 3 else {"attributes": {"_ARRAY_DIMENSIONS": list(dims)}}),
        )
        array[...] = values.astype(TEXT) if text else values
    return path


def arrays_of(m: int = M, n: int = N, seed: int = 0) -> dict:
    """Calls with up to three ALT alleles, all ploidies up to 2, missing ones, and the columns."""
    rng = np.random.default_rng(seed)
    n_alt = rng.choice([0, 1, 1, 1, 3], m)
    alleles = np.array([["A", *("CGT"[:k]), *[""] * (3 - k)] for k in n_alt])
    calls = rng.integers(0, n_alt[:, None, None] + 1, (m, n, 2)).astype(np.int8)
    calls[rng.random((m, n)) < 0.1, :] = -1
    calls[rng.random((m, n)) < 0.1, 1] = -2
    calls[rng.random((m, n)) < 0.05, 0] = -1
    return {
        "call_genotype": (("variants", "samples", "ploidy"), calls),
        "call_genotype_phased": (("variants", "samples"), np.ones((m, n), bool)),
        "variant_position": (("variants",), np.arange(1, m + 1, dtype=np.int32)),
        "variant_contig": (("variants",), np.sort(rng.integers(0, 2, m)).astype(np.int8)),
        "variant_allele": (("variants", "alleles"), alleles),
        "variant_id": (("variants",), [f"rs{i}" for i in range(m)]),
        "contig_id": (("contigs",), ["7", "X"]),
        "sample_id": (("samples",), [f"S{i}" for i in range(n)]),
    }


def expected_codes(arrays: dict) -> np.ndarray:
    """Codes of all rows, an ALT allele each."""
    rows = []
    for alleles, calls in zip(arrays["variant_allele"][1], arrays["call_genotype"][1].astype(int), strict=True):
        for k in range(1, max(2, sum(alleles != ""))):
            a, b = calls[:, 0], np.where(calls[:, 1] == -2, calls[:, 0], calls[:, 1])
            rows.append(np.where((a < 0) | (b < 0), -1, (a == k) * 1 + (b == k) * 1))
    return np.array(rows)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("chunks", [(10, 8), (7, 5), (M, N), (1, N)])
def test_calls_are_counted_by_alt_allele(tmp_path: Path, zarr_format: int, chunks: tuple[int, int]) -> None:
    arrays = arrays_of()
    path = write_group(tmp_path / "c.vcz", arrays, zarr_format, chunks)
    codes = expected_codes(arrays)
    source = open_source(path)
    assert source.format == "vcf_zarr"
    np.testing.assert_array_equal(packed_codes(source.read(0, source.n_variants), N), codes)
    some = np.arange(2, len(codes), 3)
    np.testing.assert_array_equal(packed_codes(source.read_rows(some), N), codes[some])
    store = conversion.genotypes(path, tmp_path / "c.zarr", chunk_mb=0.0001)
    assert verify(store.path) == []
    dataset = store.open()
    assert dataset.sample_id.values.tolist() == arrays["sample_id"][1]
    alleles = dataset.variant_allele.values
    assert set(alleles[:, 0].tolist()) == {"A"}
    assert set(alleles[:, 1].tolist()) == {".", "C", "G", "T"}
    assert set(dataset.contig_id.values.tolist()) == {"7", "X"}
    assert any("phase is not kept" in note for note in dataset.attrs["provenance"]["notes"])
    opened = conversion.open(path, keep=["S3", "S7"], region="X")
    stored = conversion.genotypes(path, tmp_path / "d.zarr", keep=["S3", "S7"], region="X").open()
    np.testing.assert_array_equal(opened.call_genotype.values, stored.call_genotype.values)
    with pytest.raises(InputError, match="several ALT alleles"):
        open_zarr(str(path), OpenOptions(split_multiallelic=False))


@pytest.mark.parametrize("name", ["call_DS", "call_dosage", "call_GP"])
@pytest.mark.parametrize("with_calls", [True, False])
def test_dosages(tmp_path: Path, name: str, with_calls: bool) -> None:
    arrays = arrays_of()
    calls = arrays["call_genotype"][1]
    if not with_calls:
        del arrays["call_genotype"], arrays["call_genotype_phased"]
    rng = np.random.default_rng(1)
    n_alt = (arrays["variant_allele"][1] != "").sum(axis=1) - 1
    if name == "call_GP":
        values = np.full((M, N, 10), np.nan, np.float32)
        for v, k in enumerate(np.maximum(n_alt, 1)):
            n_genotypes = (k + 1) * (k + 2) // 2
            values[v, :, :n_genotypes] = rng.dirichlet(np.ones(n_genotypes), N)
        dims = ("variants", "samples", "genotypes")
    else:
        values = rng.dirichlet(np.ones(4), (M, N))[..., :3].astype(np.float32)
        dims = ("variants", "samples", "alt_alleles")
    values[3, :5] = np.nan
    arrays[name] = (dims, values)
    path = write_group(tmp_path / "c.vcz", arrays, 2)
    source = open_zarr(str(path), OpenOptions())
    block = source.read_block(0, source.n_variants)
    found = np.where(block.dosage == DOSAGE_MISSING, np.nan, block.dosage / DOSAGE_SCALE)
    expected = []
    for v in range(M):
        for k in range(1, max(2, n_alt[v] + 1)):
            if name == "call_GP":
                pairs = [(a, b) for b in range(max(1, n_alt[v]) + 1) for a in range(b + 1)]
                copies = np.array([(a == k) + (b == k) for a, b in pairs], float)
                row = values[v, :, : len(pairs)].astype(float) @ copies
            else:
                row = values[v, :, k - 1].astype(float)
                if with_calls:
                    row = np.where((calls[v, :, 0] >= 0) & (calls[v, :, 1] == -2), 2 * row, row)
            expected.append(row)
    expected = np.array(expected)
    codes = packed_codes(block.packed, N)
    missing = np.isnan(expected)
    assert missing.any()
    np.testing.assert_allclose(found[~missing], expected[~missing], atol=1e-4)
    if with_calls:
        np.testing.assert_array_equal(found[missing], np.where(codes[missing] < 0, np.nan, codes[missing]))
    else:
        assert np.isnan(found[missing]).all()
        near = np.abs(found - np.rint(found)) <= 0.1
        np.testing.assert_array_equal(codes >= 0, near)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("name", ["sample.vcf.gz", "chr22.vcf.gz", "1kg_2020_chrM.vcf.gz"])
def test_what_bio2zarr_makes_of_a_vcf_has_the_rows_of_the_vcf(tmp_path: Path, name: str, zarr_format: int) -> None:
    pytest.importorskip("cyvcf2")
    convert = pytest.importorskip("bio2zarr.vcf").convert
    vcf = shared("data", "formats", "vcf", name)
    convert([vcf], tmp_path / "c.vcz", zarr_format=zarr_format)
    ours, theirs = open_source(vcf), open_source(tmp_path / "c.vcz")
    m = ours.n_variants
    np.testing.assert_array_equal(theirs.read(0, m), ours.read(0, m))
    for column in ("position", "variant_id", "allele"):
        one, other = (np.concatenate([getattr(t, column) for t in s.variant_tables()]) for s in (ours, theirs))
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(theirs.samples().sample_id, ours.samples().sample_id)


def test_groups_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    arrays = arrays_of()
    triploid = arrays | {"call_genotype": (("variants", "samples", "ploidy"), np.zeros((M, N, 3), np.int8))}
    cases = {
        "it lacks sample_id": {k: v for k, v in arrays.items() if k != "sample_id"},
        "holds no genotypes": {k: v for k, v in arrays.items() if not k.startswith("call_")},
        "more than two alleles": triploid,
        "does not fit": arrays | {"call_genotype": (("variants", "samples", "ploidy"), np.zeros((M, 2, 2), np.int8))},
        "sample ids occur more": arrays | {"sample_id": (("samples",), ["S"] * N)},
    }
    for i, (match, these) in enumerate(cases.items()):
        path = write_group(tmp_path / f"c{i}.vcz", these, 2)
        with pytest.raises(InputError, match=match):
            conversion.genotypes(path, tmp_path / "c.zarr")
        assert not (tmp_path / "c.zarr").exists()
    store = conversion.genotypes(cohort(4, 3).write_bed(tmp_path / "b"), tmp_path / "b.zarr").path
    with pytest.raises(InputError, match="is a store of daskgen already"):
        conversion.genotypes(store, tmp_path / "c.zarr")


def test_a_group_that_changed_is_not_resumed(tmp_path: Path, monkeypatch) -> None:
    from conversion import groups
    from daskgen.errors import ResumeError

    path = write_group(tmp_path / "c.vcz", arrays_of(), 2)
    with monkeypatch.context() as patch:
        patch.setattr(groups, "_write_group", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            conversion.genotypes(path, tmp_path / "c.zarr")
    write_group(tmp_path / "other.vcz", arrays_of(seed=5), 2)
    (tmp_path / "other.vcz" / "call_genotype" / "0.0.0").replace(path / "call_genotype" / "0.0.0")
    with pytest.raises(ResumeError):
        conversion.genotypes(path, tmp_path / "c.zarr", resume=True)


# -- out ---------------------------------------------------------------------------------------------------------------
def exported(path: str) -> xr.Dataset:
    return xr.open_zarr(path, chunks=None, consolidated=True)


@pytest.mark.parametrize("scheduler", ["threads", "one"])
@pytest.mark.parametrize("chunks", [(None, 10_000), (10, 8), (M, 4), (1, N)])
def test_the_export_holds_what_the_store_holds(tmp_path: Path, chunks, scheduler: str) -> None:
    made = cohort(M, N, contig=["7"] * 30 + ["X"] * 23)
    store = conversion.genotypes(made.write_bed(tmp_path / "c"), tmp_path / "c.zarr", chunk_mb=0.0001).path
    sizes = {"variants_chunk_size": chunks[0], "samples_chunk_size": chunks[1]}
    with dask.config.set(num_workers=1 if scheduler == "one" else 3):
        path = conversion.export_vcf_zarr(store, tmp_path / "c.vcz", **sizes)
    assert zarr.open_group(path).metadata.zarr_format == 2
    dataset = exported(path)
    assert dataset.attrs["vcf_zarr_version"] == "0.4"
    assert dataset.call_genotype.dtype == np.int8
    calls = dataset.call_genotype.values
    on_x, male = np.array(made.contig) == "X", np.array(made.sex) == 1
    haploid = on_x[:, None] & male & (made.copies != 1)
    np.testing.assert_array_equal(calls[..., 1] == -2, haploid)
    np.testing.assert_array_equal(calls[..., 0][haploid], np.sign(made.copies)[haploid])
    np.testing.assert_array_equal(
        np.where((calls < 0).any(axis=2), -1, calls.sum(axis=2))[~haploid], made.copies[~haploid]
    )
    np.testing.assert_array_equal(dataset.call_genotype_mask.values, calls < 0)
    assert "call_DS" not in dataset
    assert dataset.variant_id.values.tolist() == list(made.variant_id)
    assert dataset.variant_allele.values.tolist() == [["T", "C"]] * M
    assert dataset.variant_position.values.tolist() == list(made.position)
    assert dataset.contig_id.values[dataset.variant_contig.values].tolist() == list(made.contig)
    assert dataset.sample_id.values.tolist() == list(made.sample_id)
    assert dataset.sample_sex.values.tolist() == list(made.sex)
    group = zarr.open_group(path)
    assert group["call_genotype"].chunks == (min(chunks[0] or 1000, M), min(chunks[1], N), 2)
    assert group["call_genotype"].fill_value is None
    # And back again, to the same store.
    again = conversion.genotypes(path, tmp_path / "again.zarr").open()
    first = conversion.genotypes(tmp_path / "c.bed", tmp_path / "first.zarr").open()
    for name in first.variables:
        np.testing.assert_array_equal(again[name].values, first[name].values, err_msg=str(name))


@pytest.mark.parametrize("sexes_known", [True, False])
def test_haploid_calls_have_one_allele_where_sex_and_contig_say_so(tmp_path: Path, sexes_known: bool) -> None:
    made = cohort(
        8, 6, contig=["7", "7", "X", "X", "Y", "Y", "MT", "MT"], sex=[1, 2, 1, 2, 0, 1] if sexes_known else [0] * 6
    )
    store = conversion.genotypes(made.write_bed(tmp_path / "c"), tmp_path / "c.zarr").path
    dataset = exported(
        conversion.export_vcf_zarr(store, tmp_path / "c.vcz", samples_chunk_size=4, contig=["X", "Y", "MT"])
    )
    male = np.array(made.sex) == 1
    one_copy = np.stack([*[male] * 4, *[np.ones(6, bool)] * 2]) if sexes_known else np.zeros((6, 6), bool)
    if not sexes_known:
        one_copy[2:] = True
    copies = made.copies[2:]
    for calls, n, haploid in zip(
        dataset.call_genotype.values.reshape(-1, 2).tolist(), copies.ravel(), one_copy.ravel(), strict=True
    ):
        if n == -1:
            assert calls == ([-1, -2] if haploid else [-1, -1])
        elif haploid and n != 1:
            assert calls == [n // 2, -2]
        else:
            assert calls == [[0, 0], [0, 1], [1, 1]][n]
    equal = exported(conversion.export_vcf_zarr(store, tmp_path / "e.vcz", haploid_calls="homozygous"))
    assert (equal.call_genotype.values != -2).all()
    for path in ("c.vcz", "e.vcz"):
        again = conversion.genotypes(tmp_path / path, tmp_path / "again.zarr", force=True, contig=["X", "Y", "MT"])
        np.testing.assert_array_equal(packed_codes(open_group(again.path)["call_genotype_packed"][...], 6), copies)
    with pytest.raises(UsageError, match="haploid_calls"):
        conversion.export_vcf_zarr(store, tmp_path / "x.vcz", haploid_calls="diploid")


def test_dosages_of_haploid_calls_come_back_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "c.vcf").write_text(header(3) + "X\t1\tv\tA\tC\t.\t.\t.\tGT:DS\t1:0.97\t0/1:1.1\t.:0.4\n")
    (tmp_path / "c.fam").write_text("".join(f"F I{i} 0 0 {sex} -9\n" for i, sex in enumerate((1, 2, 1))))
    first = conversion.genotypes(tmp_path / "c.vcf", tmp_path / "c.zarr", sample_file=tmp_path / "c.fam")
    path = conversion.export_vcf_zarr(first, tmp_path / "c.vcz")
    np.testing.assert_array_equal(exported(path).call_genotype.values, [[[1, -2], [0, 1], [-1, -2]]])
    again = conversion.genotypes(path, tmp_path / "again.zarr")
    np.testing.assert_array_equal(again.open().call_dosage.values, first.open().call_dosage.values)


def test_dosages_scores_and_selections_are_exported(tmp_path: Path) -> None:
    calls = "GT:DS\t0/1:1.25\t1/1:2\t./.:.\t./.:0.5\n"
    lines = "".join(f"{1 + i // 6}\t{i}\tv{i}\tA\tC\t.\t.\tDR2=0.{i}\t{calls}" for i in range(1, 10))
    source = tmp_path / "c.vcf"
    source.write_text(header(4) + lines)
    for i, options in enumerate(({}, {"hard_calls": False})):
        store = conversion.genotypes(source, tmp_path / f"c{i}.zarr", **options).path
        dataset = exported(conversion.export_vcf_zarr(store, tmp_path / f"c{i}.vcz"))
        np.testing.assert_array_equal(dataset.call_DS.values, [[1.25, 2, np.nan, 0.5]] * 9)
        np.testing.assert_allclose(dataset.variant_info_score.values, np.arange(1, 10) / 10, rtol=1e-6)
    some = conversion.export_vcf_zarr(
        tmp_path / "c0.zarr", tmp_path / "some.vcz", keep=["I0", "I3"], region="1:2-5", exclude=["v3"]
    )
    dataset = exported(some)
    assert dataset.variant_id.values.tolist() == ["v2", "v4", "v5"]
    assert dataset.contig_id.values.tolist() == ["1"]
    np.testing.assert_array_equal(dataset.call_DS.values, [[1.25, 0.5]] * 3)
    with pytest.raises(InputError, match="no variant"):
        conversion.export_vcf_zarr(tmp_path / "c0.zarr", tmp_path / "none.vcz", contig="9")
    assert not (tmp_path / "none.vcz").exists()


def test_an_export_replaces_only_exports_and_leaves_nothing_half_written(tmp_path: Path, monkeypatch) -> None:
    store = conversion.genotypes(cohort(M, N).write_bed(tmp_path / "c"), tmp_path / "c.zarr").path
    path = tmp_path / "c.vcz"
    conversion.export_vcf_zarr(store, path)
    with pytest.raises(StoreError, match="exists") as error:
        conversion.export_vcf_zarr(store, path)
    assert "--force" in str(error.value)
    conversion.export_vcf_zarr(store, path, keep=["I1"], force=True)
    assert exported(str(path)).sizes["samples"] == 1
    foreign = write_group(tmp_path / "foreign.vcz", arrays_of(), 2)
    for other in (foreign, Path(store)):
        with pytest.raises(StoreError, match="no VCF Zarr that daskgen wrote"):
            conversion.export_vcf_zarr(store, other, force=True)
    monkeypatch.setattr("conversion.vcf_zarr_export._write_group", lambda *_: 1 / 0)
    before = sorted(tmp_path.iterdir())
    for target in (path, tmp_path / "new.vcz"):
        with pytest.raises(ZeroDivisionError):
            conversion.export_vcf_zarr(store, target, force=True)
    assert sorted(tmp_path.iterdir()) == before
    assert exported(str(path)).sizes["samples"] == 1
    with pytest.raises(UsageError, match="positive"):
        conversion.export_vcf_zarr(store, tmp_path / "x.vcz", variants_chunk_size=0)


def test_wide_stores_get_fewer_variants_a_chunk(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("conversion.vcf_zarr_export._TASK_BYTES", 60)
    made = cohort(M, N)
    made.copies[...] = random_copies(M, N, seed=4)
    store = conversion.genotypes(made.write_bed(tmp_path / "c"), tmp_path / "c.zarr").path
    path = conversion.export_vcf_zarr(store, tmp_path / "c.vcz")
    assert zarr.open_group(path)["call_genotype"].chunks[0] == 10
    calls = exported(path).call_genotype.values
    np.testing.assert_array_equal(np.where((calls < 0).any(axis=2), -1, calls.sum(axis=2)), made.copies)
