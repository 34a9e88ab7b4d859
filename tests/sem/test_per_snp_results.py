"""Results of one fit per SNP: lazy or written, whatever the chunks, the sources, the order of traits, interruptions."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import daskgen as dg
from daskgen.errors import InputError, PlanError, ResumeError, StoreError
from daskgen.sem import graph
from daskgen.sem.per_snp import Status
from daskgen.sem.results import ParameterRow, scan_result
from tests.sem.stand_in import TEXT, WeightedLeastSquares, effects, write_sumstats

N = 2_503
MODEL = WeightedLeastSquares()


def scan(sumstats: Any, model: WeightedLeastSquares = MODEL, **options: Any) -> xr.Dataset:
    call = {"command": "sem user-gwas", "arguments": {"model": "F1 =~ A + B + C"}, "inputs": ["covstruct"]}
    return scan_result(model, sumstats, **(call | options)).dataset()


def same(found: xr.Dataset, wanted: xr.Dataset, names: Any = None) -> None:
    for name in sorted(set(wanted.variables)) if names is None else names:
        a, b = found[name].values, wanted[name].values
        assert a.shape == b.shape, name
        if a.dtype.kind in "OTU":
            assert a.tolist() == b.tolist(), name
        else:
            assert a.tobytes() == b.tobytes(), name


def digest(path: str | Path) -> str:
    """Of every chunk and every array's metadata; the root has times and ids of its own."""
    total = hashlib.sha256()
    for file in sorted(Path(path).rglob("*")):
        if file.is_file() and file.parent != Path(path):
            total.update(f"{file.relative_to(path)} ".encode() + file.read_bytes())
    return total.hexdigest()


@pytest.fixture(scope="module")
def columns() -> dict[str, np.ndarray]:
    return effects(N)


@pytest.fixture(scope="module")
def store(columns: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_sumstats(tmp_path_factory.mktemp("scan") / "s.zarr", columns, rows=500)


@pytest.fixture(scope="module")
def expected(columns: dict[str, np.ndarray]) -> Any:
    return MODEL.fit(columns["beta"], columns["se"], 2 * columns["maf"] * (1 - columns["maf"]))


def test_the_lazy_result_has_the_fits_of_all_snps_at_once(store: str, expected: Any) -> None:
    found = scan(store)
    assert found["estimate"].dims == ("parameter", "variant")
    assert found["parameter"].values.tolist() == ["F1~SNP"]
    assert "variant_id" in found.coords
    computed = found.compute()
    for name in ("estimate", "se", "chisq", "aic", "q_snp", "status"):
        assert computed[name].values.tobytes() == getattr(expected, name).tobytes(), name
    assert int(found["chisq_df"]) == 2
    assert found["q_snp_df"].values.tolist() == [2]
    assert found["fixed_estimate"].values.tolist() == [0.5, 0.4, 0.7]
    assert found["status"].attrs["table"]["0"] == "converged"


@pytest.mark.parametrize("rows", [1, 64, 500, N - 1, N, N + 1])
def test_chunks_do_not_change_a_bit(
    rows: int, columns: dict[str, np.ndarray], expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if rows == 1:  # as many groups as SNPs: a part is enough
        columns = {name: values[..., :7] if name in ("beta", "se") else values[:7] for name, values in columns.items()}
    monkeypatch.setattr(graph, "_CACHE_BYTES", MODEL.bytes_per_snp * 128)
    path = write_sumstats(tmp_path / "s.zarr", columns, rows=rows)
    found = dg.open_store(scan(path).dg.to_store(tmp_path / "r.zarr"))
    n = len(columns["maf"])
    assert found["estimate"].values.tobytes() == expected.estimate[:, :n].tobytes()
    assert found["chisq"].values.tobytes() == expected.chisq[:n].tobytes()
    assert dg.verify(tmp_path / "r.zarr") == []


def test_the_store_is_the_lazy_result_and_its_columns_are_copied(store: str, tmp_path: Path) -> None:
    lazy = scan(store)
    path = lazy.dg.to_store(tmp_path / "r.zarr")
    assert dg.verify(path) == []
    found = dg.open_store(path)
    same(found, lazy)
    assert set(found.coords) == set(lazy.coords)
    for name in ("model", "arguments", "traits", "command", "n_parameters"):
        assert found.attrs[name] == lazy.attrs[name]
    assert found.attrs["run"]["inputs"] == lazy.attrs["inputs"]
    assert found.attrs["provenance"]["sources"] == [{"name": "s.zarr", "store_id": lazy.attrs["inputs"][-1]}]
    for name in ("variant_id", "variant_allele", "maf"):
        for file in Path(store, name, "c").rglob("*"):
            if file.is_file():
                assert Path(path, file.relative_to(store)).read_bytes() == file.read_bytes()


def test_outputs_that_are_computed_together_share_the_fits(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    fit = WeightedLeastSquares.fit
    monkeypatch.setattr(WeightedLeastSquares, "fit", lambda *args: calls.append(1) or fit(*args))
    found = scan(store)
    assert not calls
    dask.compute(found["estimate"].data, found["se"].data, found["chisq"].data, found["status"].data)
    assert len(calls) == 6


def test_a_parameter_can_be_read_without_the_others(store: str, tmp_path: Path) -> None:
    model = WeightedLeastSquares(parameters=("F1~SNP", "F2~SNP", "A~~A"))
    found = dg.open_store(scan(store, model).dg.to_store(tmp_path / "r.zarr"))
    assert found["estimate"].data.chunksize == (1, 500)
    one = found["estimate"].sel(parameter="F2~SNP").values
    assert np.array_equal(one, 2 * found["estimate"].sel(parameter="F1~SNP").values)


def test_a_failed_snp_stops_nothing(store: str, tmp_path: Path) -> None:
    model = WeightedLeastSquares(fail_above=0.4, singular_above=0.45)
    found = dg.open_store(scan(store, model).dg.to_store(tmp_path / "r.zarr")).compute()
    variance = 2 * found["maf"].values * (1 - found["maf"].values)
    status = found["status"].values
    assert (status[variance > 0.45] == Status.NOT_IDENTIFIED).all()
    assert (status[(variance > 0.4) & (variance <= 0.45)] == Status.NO_CONVERGENCE).all()
    estimate = found["estimate"].values[0]
    assert np.isnan(estimate[variance > 0.45]).all()
    assert np.isfinite(estimate[variance <= 0.45]).all()


def test_bad_values_are_a_status(columns: dict[str, np.ndarray], tmp_path: Path) -> None:
    bad = {name: values.copy() for name, values in columns.items()}
    bad["beta"][0, 3], bad["se"][1, 4], bad["maf"][5], bad["maf"][6] = np.inf, 0.0, 0.0, np.nan
    found = scan(write_sumstats(tmp_path / "s.zarr", bad)).compute()
    assert found["status"].values[:8].tolist() == [0, 0, 0, 5, 5, 5, 5, 0]
    assert np.isnan(found["estimate"].values[0, 3:7]).all()


# Which variants -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counted", [True, False])
def test_variants_that_a_trait_lacks_are_left_out(counted: bool, tmp_path: Path, caplog: Any) -> None:
    columns = effects(N, missing=0.1)
    path = write_sumstats(tmp_path / "s.zarr", columns, rows=400, counted=counted)
    with caplog.at_level("INFO", "daskgen.sem"):
        lazy = scan(path)
    keep = np.flatnonzero(~np.isnan(columns["beta"]).any(axis=0))
    assert f"s.zarr {N:,}: {len(keep):,} used" in caplog.text
    variance = 2 * columns["maf"] * (1 - columns["maf"])
    wanted = MODEL.fit(*(np.ascontiguousarray(columns[v][:, keep]) for v in ("beta", "se")), variance[keep])
    found = dg.open_store(lazy.dg.to_store(tmp_path / "r.zarr"))
    same(found, lazy)
    assert dg.verify(tmp_path / "r.zarr") == []
    assert found["variant_id"].values.tolist() == columns["variant_id"][keep].tolist()
    assert found["variant_allele"].values.tolist() == columns["variant_allele"][keep].tolist()
    assert found["estimate"].values.tobytes() == wanted.estimate.tobytes()


def test_a_lazy_result_of_some_variants_is_summarised_as_its_store(tmp_path: Path) -> None:
    lazy = scan(write_sumstats(tmp_path / "s.zarr", effects(N, missing=0.1), rows=400))
    stored = dg.open_store(lazy.dg.to_store(tmp_path / "r.zarr"))
    assert lazy.dg.lambda_gc() == stored.dg.lambda_gc()
    assert lazy.dg.top(p=0.01).equals(stored.dg.top(p=0.01))
    assert lazy.dg.table().equals(stored.dg.table())
    one, other = (Path(d.dg.to_tsv(tmp_path / f"{i}.tsv")).read_bytes() for i, d in enumerate((lazy, stored)))
    assert one == other


def test_a_trait_that_the_model_has_not_leaves_nothing_out(tmp_path: Path) -> None:
    columns = effects(N, 4)
    columns["beta"][3, :100] = columns["se"][3, :100] = np.nan
    for counted in (True, False):
        path = write_sumstats(tmp_path / f"{counted}.zarr", columns, ("A", "B", "C", "D"), counted=counted)
        assert scan(path).sizes["variant"] == N


def test_traits_are_matched_by_name(columns: dict[str, np.ndarray], store: str, tmp_path: Path) -> None:
    order = [2, 0, 1]
    turned = columns | {name: columns[name][order] for name in ("beta", "se")}
    other = write_sumstats(tmp_path / "s.zarr", turned, ("C", "A", "B"), rows=500)
    same(scan(other), scan(store))


def split(columns: dict[str, np.ndarray], traits: list[int], rows: np.ndarray, swap: np.ndarray) -> dict[str, Any]:
    """Some traits at some variants; alleles swapped where `swap` says so."""
    part = {name: values[rows] for name, values in columns.items() if name not in ("beta", "se")}
    part["variant_allele"] = np.where(swap[:, None], part["variant_allele"][:, ::-1], part["variant_allele"])
    part["variant_allele"] = part["variant_allele"].astype(TEXT)
    part["beta"] = columns["beta"][np.ix_(traits, rows)] * np.where(swap, -1.0, 1.0)
    part["se"] = columns["se"][np.ix_(traits, rows)]
    return part


def test_several_stores_are_joined_by_id_and_alleles(
    columns: dict[str, np.ndarray], store: str, tmp_path: Path, caplog: Any
) -> None:
    generator = np.random.default_rng(5)
    one = np.flatnonzero(generator.random(N) < 0.9)
    other = generator.permutation(N)[:2_000]
    swap = generator.random(len(other)) < 0.3
    a = write_sumstats(tmp_path / "a.zarr", split(columns, [2, 0], one, np.zeros(len(one), bool)), ("C", "A"), rows=300)
    b = write_sumstats(tmp_path / "b.zarr", split(columns, [1], other, swap), ("B",), rows=700)
    with caplog.at_level("INFO", "daskgen.sem"):
        lazy = scan([a, b])
    shared = np.intersect1d(one, other)
    assert f"a.zarr {len(one):,}, b.zarr 2,000: {len(shared):,} used" in caplog.text
    turned = np.isin(shared, other[swap]).sum()
    assert f"b.zarr: swapped at {turned:,} variants" in caplog.text
    wanted = scan(store).isel(variant=shared)
    same(lazy, wanted)
    found = dg.open_store(lazy.dg.to_store(tmp_path / "r.zarr"))
    same(found, wanted)
    assert dg.verify(tmp_path / "r.zarr") == []


def test_stores_of_the_same_variants_are_used_whole(columns: dict[str, np.ndarray], store: str, tmp_path: Path) -> None:
    every, none = np.arange(N), np.zeros(N, bool)
    paths = [
        write_sumstats(tmp_path / f"{name}.zarr", split(columns, [i], every, none), (name,), rows=500)
        for i, name in enumerate("ABC")
    ]
    unused = write_sumstats(tmp_path / "D.zarr", split(columns, [0], every[:10], none[:10]), ("D",))
    path = scan([unused, *paths]).dg.to_store(tmp_path / "r.zarr")
    same(dg.open_store(path), scan(store), ["estimate", "se", "chisq", "variant_id", "variant_allele", "maf"])


def test_other_alleles_and_repeated_variants_do_not_match(
    columns: dict[str, np.ndarray], store: str, tmp_path: Path, caplog: Any
) -> None:
    every, none = np.arange(N), np.zeros(N, bool)
    left = split(columns, [0, 1], every, none)
    right = split(columns, [2], every, none)
    right["variant_allele"][7] = ["A", "T"]
    right["variant_id"][9], right["variant_allele"][9] = right["variant_id"][8], right["variant_allele"][8]
    a = write_sumstats(tmp_path / "a.zarr", left, ("A", "B"))
    b = write_sumstats(tmp_path / "b.zarr", right, ("C",))
    with caplog.at_level("INFO", "daskgen.sem"):
        found = scan([a, b])
    assert "b.zarr: 2 rows of variants that it has twice" in caplog.text
    same(found, scan(store).isel(variant=np.delete(every, [7, 8, 9])))


@pytest.mark.parametrize("lazy", [True, False])
def test_an_opened_store_is_as_good_as_its_path(lazy: bool, store: str, tmp_path: Path) -> None:
    opened = dg.open_store(store)
    given = opened if lazy else opened.compute()
    found = scan(given)
    same(found, scan(store))
    # Without changes the store itself is read, and its id is what the run is known by.
    assert (found.attrs["inputs"] == scan(store).attrs["inputs"]) is lazy
    same(dg.open_store(found.dg.to_store(tmp_path / "r.zarr")), found)


def test_a_cut_dataset_is_read_as_it_is(store: str) -> None:
    part = dg.open_store(store).isel(variants=slice(100, 300))
    same(scan(part), scan(store).isel(variant=slice(100, 300)))
    reversed_signs = dg.open_store(store)
    reversed_signs["beta"] = -reversed_signs["beta"]
    assert np.array_equal(scan(reversed_signs)["estimate"].values, -scan(store)["estimate"].values)


def test_predicted_expression_has_its_own_variance(columns: dict[str, np.ndarray], tmp_path: Path) -> None:
    genes = {name: values for name, values in columns.items() if name in ("variant_id", "beta", "se")}
    genes["variant_allele"] = np.full((N, 2), "", dtype=TEXT)
    genes["hsq"] = np.linspace(0.01, 0.5, N)
    path = write_sumstats(tmp_path / "s.zarr", genes)
    model = WeightedLeastSquares(parameters=("F1~Gene",), singular_above=0.3)
    found = scan(path, model, twas=True).compute()
    assert ((found["status"].values == Status.NOT_IDENTIFIED) == (genes["hsq"] > 0.3)).all()
    with pytest.raises(InputError, match="has no maf"):
        scan(path)


def test_a_source_that_was_replaced_is_not_read_by_mistake(columns: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = write_sumstats(tmp_path / "s.zarr", columns)
    lazy = scan(path)
    lazy["estimate"].isel(variant=slice(0, 10)).compute()
    write_sumstats(path, effects(N, seed=9), force=True)
    with pytest.raises(StoreError, match="not the store that the run was started with"):
        lazy["estimate"].compute()


# Bad input ------------------------------------------------------------------------------------------------------------


def test_missing_traits_are_named_with_those_that_there_are(store: str, tmp_path: Path) -> None:
    model = WeightedLeastSquares(traits=("A", "B", "X"))
    with pytest.raises(InputError, match=r"no trait X\.(.|\n)*s\.zarr: A, B, C(.|\n)*A, B, X"):
        scan(store, model)


def test_a_trait_in_two_stores_is_refused(store: str, columns: dict[str, np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="trait A is in several"):
        scan([store, write_sumstats(tmp_path / "t.zarr", columns)])


def test_munged_statistics_are_refused(columns: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = write_sumstats(tmp_path / "s.zarr", columns, purpose="ldsc")
    with pytest.raises(InputError, match="munged statistics(.|\n)*convert sumstats"):
        scan(path)


def test_nothing_in_common_is_an_error(columns: dict[str, np.ndarray], tmp_path: Path) -> None:
    none = np.zeros(10, bool)
    a = write_sumstats(tmp_path / "a.zarr", split(columns, [0, 1], np.arange(10), none), ("A", "B"))
    b = write_sumstats(tmp_path / "b.zarr", split(columns, [2], np.arange(10, 20), none), ("C",))
    with pytest.raises(InputError, match="no variant has all traits"):
        scan([a, b])
    empty = effects(50)
    empty["beta"][:] = empty["se"][:] = np.nan
    with pytest.raises(InputError, match="no variant has all traits"):
        scan(write_sumstats(tmp_path / "c.zarr", empty))


@pytest.mark.parametrize("given", [[], 3, [3]])
def test_other_things_are_no_summary_statistics(given: Any) -> None:
    with pytest.raises(InputError):
        scan(given)


def test_a_plan_over_the_memory_limit_is_refused(store: str, tmp_path: Path) -> None:
    with dask.config.set({"daskgen.memory-limit": 100_000_000}), pytest.raises(PlanError, match="needs"):
        scan(store).dg.to_store(tmp_path / "r.zarr")
    assert not (tmp_path / "r.zarr").exists()


# Writing --------------------------------------------------------------------------------------------------------------


def test_what_lies_at_the_destination_is_kept_unless_forced(store: str, tmp_path: Path) -> None:
    path = scan(store).dg.to_store(tmp_path / "r.zarr")
    before = dg.open_store(path).attrs["store_id"]
    with pytest.raises(StoreError, match="exists"):
        scan(store).dg.to_store(path)
    assert scan(store).dg.to_store(path, resume=True) == path
    assert dg.open_store(path).attrs["store_id"] == before
    scan(store).dg.to_store(path, force=True)
    assert dg.open_store(path).attrs["store_id"] != before


def test_resume_of_another_model_is_refused(store: str, tmp_path: Path) -> None:
    path = scan(store).dg.to_store(tmp_path / "r.zarr")
    with pytest.raises(ResumeError, match=r"model: F1 =~ A \+ B \+ C before, F1 =~ A now"):
        scan(store, arguments={"model": "F1 =~ A"}).dg.to_store(path, resume=True)


KILLED = """
import sys, time
from pathlib import Path
from tests.sem import test_per_snp_results as test
from tests.sem.stand_in import WeightedLeastSquares

class Slow(WeightedLeastSquares):
    def fit(self, *data):
        time.sleep(0.1)
        Path(sys.argv[3]).touch()
        return super().fit(*data)

test.scan(sys.argv[1], Slow()).dg.to_store(sys.argv[2])
"""


def test_a_killed_run_goes_on_and_ends_with_the_bytes_of_an_uninterrupted_one(store: str, tmp_path: Path) -> None:
    whole = scan(store).dg.to_store(tmp_path / "whole.zarr")
    script, started = tmp_path / "run.py", tmp_path / "started"
    script.write_text(textwrap.dedent(KILLED))
    root = Path(__file__).parents[2]
    arguments = [sys.executable, str(script), store, str(tmp_path / "r.zarr"), str(started)]
    running = subprocess.Popen(arguments, cwd=root, env=os.environ | {"PYTHONPATH": str(root)})
    try:
        deadline = time.monotonic() + 60
        while not started.exists() and time.monotonic() < deadline and running.poll() is None:
            time.sleep(0.02)
        assert started.exists()
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert dg.verify(tmp_path / "r.zarr") != []
    resumed = scan(store).dg.to_store(tmp_path / "r.zarr", resume=True)
    assert dg.verify(resumed) == []
    assert digest(resumed) == digest(whole)


def test_a_part_of_a_result_is_written_block_by_block(store: str, tmp_path: Path) -> None:
    part = scan(store).isel(variant=slice(0, 1_001)).assign_attrs(note="the first ones")
    found = dg.open_store(part.dg.to_store(tmp_path / "r.zarr"))
    assert dg.verify(tmp_path / "r.zarr") == []
    same(found, part)
    assert found.attrs["note"] == "the first ones"
    again = dg.open_store(found.dg.to_store(tmp_path / "again.zarr"))
    same(again, part)


def test_the_plan_does_not_grow_with_the_number_of_snps(store: str, caplog: Any, tmp_path: Path) -> None:
    from daskgen.sem.effects import open_effects

    plans = []
    for n in (10**6, 10**8):
        few, _ = open_effects(store, MODEL.traits)
        many = graph.Effects(few.readers, few.place, few.rows, few.turned, n, False)
        outputs = {"estimate": graph.Output("estimate", ("parameter", "variant"))}
        task = graph.Scan(MODEL, many, outputs, 2**18)
        plans.append(graph.plan_scan(task, decoded_columns=False, bytes_per_row=58, files=100, memory_limit=10**9))
    assert plans[0].needed == plans[1].needed < 600_000_000
    assert plans[1].bytes_per_pass == 100 * plans[0].bytes_per_pass


def test_arrays_among_the_arguments_are_kept_by_their_hash(store: str, tmp_path: Path) -> None:
    arguments = {"model": "F1 =~ A", "S": np.eye(3)}
    lazy = scan(store, arguments=arguments)
    found = dg.open_store(lazy.dg.to_store(tmp_path / "r.zarr"))
    assert found.attrs["arguments"] == lazy.attrs["arguments"]
    assert found.attrs["arguments"]["S"]["shape"] == [3, 3]
    with pytest.raises(ResumeError, match="S: "):
        scan(store, arguments=arguments | {"S": np.ones((3, 3))}).dg.to_store(tmp_path / "r.zarr", resume=True)


def test_the_table_of_parameters_is_kept(store: str) -> None:
    rows = [ParameterRow("F1=~A", 0), ParameterRow("F1=~B"), ParameterRow("F1=~C"), ParameterRow("F1~SNP", 4, "a")]
    found = scan(store, table=rows)
    assert found["parameter_free"].values.tolist() == [4]
    assert found["parameter_name"].values.tolist() == ["a"]
    assert found["parameter_row"].values.tolist() == [3]
    assert found["fixed_parameter_row"].values.tolist() == [0, 1, 2]


def test_the_common_factor_has_names_of_its_own(store: str, tmp_path: Path) -> None:
    lazy = scan(store, WeightedLeastSquares(smooth=True), common_factor=True, smooth_check=True)
    wanted = scan(store)
    assert lazy["estimate"].dims == lazy["se"].dims == lazy["q"].dims == ("variant",)
    assert np.array_equal(lazy["q"].values, wanted["q_snp"].values[0])
    assert np.array_equal(lazy["z_smooth"].values, np.abs(wanted["estimate"].values[0]))
    assert "chisq" not in lazy
    found = dg.open_store(lazy.dg.to_store(tmp_path / "r.zarr"))
    assert dg.verify(tmp_path / "r.zarr") == []
    same(found, lazy)
    assert str(found["parameter"].values) == "F1~SNP"
    assert int(found["q_df"]) == 2
