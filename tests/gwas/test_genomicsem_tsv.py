"""Tables as R's GenomicSEM writes them: from a result with R's numbers comes R's table."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import daskgen as dg
from daskgen.errors import StoreError, UsageError
from daskgen.gwas import genomicsem_tsv
from tests.exact_numbers import EXACT, as_text
from tests.gwas.results import STATUS, result
from tests.shared_data import shared


def read(path: str | Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype={"CHR": str, "A2": str}, **EXACT)


def reference(name: str) -> pd.DataFrame:
    return read(shared("reference/sem/expected", f"{name}.tsv.gz"))


def variant_columns(rows: pd.DataFrame) -> dict[str, Any]:
    contigs = sorted(set(rows["CHR"]), key=int)
    return {
        "variant_id": ("variant", rows["SNP"].to_numpy(object)),
        "variant_allele": (("variant", "allele"), rows[["A2", "A1"]].to_numpy(object)),
        "variant_contig": ("variant", rows["CHR"].map(contigs.index).to_numpy(np.int32)),
        "variant_position": ("variant", rows["BP"].to_numpy(np.int32)),
        "contig_id": ("contig", np.array(contigs, dtype=object)),
        "maf": ("variant", rows["MAF"].to_numpy(float)),
        "status": ("variant", np.zeros(len(rows), np.int16), STATUS),
    }


def user_result(table: pd.DataFrame) -> xr.Dataset:
    """A result as dg.sem.user_gwas gives it, with the numbers of R's table."""
    label = table["lhs"] + table["op"] + table["rhs"]
    rows = list(dict.fromkeys(label))
    r, n = len(rows), len(table) // len(set(label))
    number = {row: i for i, row in enumerate(rows)}
    se = table["SE"].to_numpy(float).reshape(n, r)
    own = [i for i in range(r) if not np.isnan(se[:, i]).all()]
    fixed = [i for i in range(r) if i not in own]
    estimate = table["est"].to_numpy(float).reshape(n, r)
    first = table.iloc[::r]
    text = as_text(table["label"]).iloc[:r].to_numpy(object)
    data = variant_columns(first) | {
        "parameter": ("parameter", np.array([rows[i] for i in own], dtype=object)),
        "estimate": (("parameter", "variant"), estimate[:, own].T),
        "se": (("parameter", "variant"), se[:, own].T),
        "parameter_row": ("parameter", np.array([number[rows[i]] for i in own], np.int32)),
        "parameter_free": ("parameter", table["free"].to_numpy(np.int32)[:r][own]),
        "parameter_name": ("parameter", text[own]),
        "chisq": ("variant", first["chisq"].to_numpy(float)),
        "chisq_df": ((), np.int32(first["chisq_df"].iloc[0])),
        "aic": ("variant", first["AIC"].to_numpy(float)),
    }
    if fixed:
        data |= {
            "fixed_parameter": ("fixed_parameter", np.array([rows[i] for i in fixed], dtype=object)),
            "fixed_estimate": ("fixed_parameter", estimate[0, fixed]),
            "fixed_parameter_row": ("fixed_parameter", np.array(fixed, np.int32)),
            "fixed_parameter_name": ("fixed_parameter", text[fixed]),
        }
    if "Q_SNP" in table and table["Q_SNP"].notna().any():
        q = table["Q_SNP"].to_numpy(float).reshape(n, r)
        tested = [i for i in range(r) if not np.isnan(q[:, i]).all()]
        df = table["Q_SNP_df"].to_numpy(float).reshape(n, r)
        data |= {
            "factor": ("factor", np.array([rows[i].split("~")[0] for i in tested], dtype=object)),
            "q_snp": (("factor", "variant"), q[:, tested].T),
            "q_snp_df": ("factor", df[0, tested].astype(np.int32)),
        }
    if "Z_smooth" in table:
        data["z_smooth"] = ("variant", first["Z_smooth"].to_numpy(float))
    return xr.Dataset(data, attrs={"kind": "gwas"})


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("name", ["one_fix", "one_free", "direct", "defined", "two_free", "nonpd", "subtraction"])
def test_user_gwas_as_r_writes_it(name: str, lazy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(genomicsem_tsv, "_ROWS", 17)
    wanted = reference(f"userGWAS_{name}")
    dataset = user_result(wanted)
    if lazy:
        dataset = dataset.chunk({"variant": 33})
    path = dataset.dg.to_tsv(tmp_path / "r.tsv.gz")
    found = read(path)
    assert list(found.columns) == list(wanted.columns)
    for column in wanted.columns:
        if column in ("error", "warning"):
            assert (found[column].astype(str) == "0").all()
        elif pd.api.types.is_numeric_dtype(wanted[column]):
            # R's p values come from pnorm(..., lower.tail = FALSE): the same to rounding.
            rtol = 1e-9 if "pval" in column.lower() or column == "Z_Estimate" else 1e-15
            np.testing.assert_allclose(found[column], wanted[column], rtol=rtol, atol=1e-300, err_msg=column)
        else:
            assert as_text(found[column]).tolist() == as_text(wanted[column]).tolist(), column


@pytest.mark.parametrize("name", ["commonfactorGWAS", "commonfactorGWAS_ml", "commonfactorGWAS_conserv"])
def test_commonfactor_gwas_as_r_writes_it(name: str, tmp_path: Path) -> None:
    wanted = reference(name)
    data = variant_columns(wanted) | {
        "estimate": ("variant", wanted["est"].to_numpy(float)),
        "se": ("variant", wanted["se_c"].to_numpy(float)),
        "q": ("variant", wanted["Q"].to_numpy(float)),
        "q_df": ((), np.int32(wanted["Q_df"].iloc[0])),
        "parameter": ((), np.array("F1~SNP", dtype=object)),
    }
    path = xr.Dataset(data).dg.to_tsv(tmp_path / "r.tsv")
    found = read(path)
    assert list(found.columns) == [c for c in wanted.columns if c != "Z_smooth"]
    for column in ("SNP", "CHR", "BP", "MAF", "A1", "A2", "i", "lhs", "op", "rhs", "est", "se_c", "Q", "Q_df"):
        assert found[column].tolist() == wanted[column].tolist(), column
    for column in ("Z_Estimate", "Pval_Estimate", "Q_pval"):
        np.testing.assert_allclose(found[column], wanted[column], rtol=1e-9)


def test_failed_fits_are_na_and_say_why(tmp_path: Path) -> None:
    dataset = result(600)
    found = pd.read_csv(dataset.dg.to_tsv(tmp_path / "r.tsv"), sep="\t", dtype=str, keep_default_na=False)
    by_variant = found[found["rhs"] == "SNP"].groupby("SNP", sort=False).first()
    assert by_variant.loc["rs9", ["est", "SE", "Z_Estimate", "Pval_Estimate"]].tolist() == ["NA"] * 4
    assert by_variant.loc["rs9", ["error", "warning"]].tolist() == ["bad input", "0"]
    assert by_variant.loc["rs7", ["error", "warning"]].tolist() == ["0", "did not converge"]
    assert by_variant.loc["rs5", ["error", "warning"]].tolist() == ["0", "smoothed"]
    assert by_variant.loc["rs1", ["error", "warning"]].tolist() == ["0", "0"]
    assert by_variant.loc["rs7", "est"] != "NA"
    assert set(found["free"]) == {"NA"}  # the numbers of parameters are not known
    assert len(found) == 1_200


def test_genes_have_columns_of_their_own(tmp_path: Path) -> None:
    dataset = result(20, positions=False).drop_vars(["maf"])
    dataset["hsq"] = ("variant", np.linspace(0.01, 0.2, 20))
    dataset["panel"] = ("variant", np.array(["blood.wgt.RDat"] * 20, dtype=object))
    dataset["parameter"] = ["F1~Gene", "T2~Gene"]
    found = pd.read_csv(dataset.dg.to_tsv(tmp_path / "r.tsv"), sep="\t")
    wanted = pd.read_csv(shared("reference/sem/expected/userGWAS_twas.tsv.gz"), sep="\t", nrows=3)
    assert list(found.columns) == list(wanted.columns)


def test_the_lazy_result_its_store_and_any_chunks_give_the_same_bytes(tmp_path: Path) -> None:
    memory = Path(result().dg.to_tsv(tmp_path / "memory.tsv.gz")).read_bytes()
    lazy = Path(result(chunk=700).dg.to_tsv(tmp_path / "lazy.tsv.gz")).read_bytes()
    opened = dg.open_store(result().dg.to_store(tmp_path / "r.zarr"))
    stored = Path(opened.dg.to_tsv(tmp_path / "stored.tsv.gz")).read_bytes()
    assert gzip.decompress(memory) == gzip.decompress(lazy) == gzip.decompress(stored)
    assert memory == stored
    plain = Path(opened.dg.to_tsv(tmp_path / "stored.tsv")).read_bytes()
    assert plain == gzip.decompress(stored)
    assert not list(tmp_path.glob("*.partial"))


def test_files_that_are_there_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "r.tsv"
    path.write_text("mine")
    with pytest.raises(StoreError, match="exists"):
        result(5).dg.to_tsv(path)
    with pytest.raises(UsageError, match="folder does not exist"):
        result(5).dg.to_tsv(tmp_path / "no" / "r.tsv")
    with pytest.raises(UsageError, match="layout"):
        result(5).dg.to_tsv(tmp_path / "x.tsv", layout="plink9")
    assert path.read_text() == "mine"
    result(5).dg.to_tsv(path, force=True)
    assert path.read_text().startswith("SNP\tCHR\tBP\t")
