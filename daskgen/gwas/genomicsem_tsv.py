"""A result as the table that R's GenomicSEM gives, column for column, written block by block.

`userGWAS`: a row per variant and parameter, SNP CHR BP MAF A1 A2 lhs op rhs free label est SE Z_Estimate Pval_Estimate
chisq chisq_df chisq_pval AIC [Q_SNP Q_SNP_df Q_SNP_pval] error warning [Z_smooth]. `commonfactorGWAS`: a row per
variant, SNP CHR BP MAF A1 A2 i lhs op rhs est se_c Z_Estimate Pval_Estimate Q Q_df Q_pval fail warning [Z_smooth].
With predicted expression (TWAS) the first columns are Gene Panel HSQ. Columns that the result has not are left out;
missing numbers are NA.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import xarray as xr

from daskgen.gwas.layout import blocks, labels
from daskgen.gwas.p_values import chisq_p, two_sided_p, z_scores
from daskgen.gwas.tables import tested_factor
from daskgen.gwas.tsv import write_frames

__all__ = ["write_genomicsem"]

_OPERATOR = re.compile(r"=~|~~|:=|==|~|<|>")
_ROWS = 1 << 16  # variants of a block


def write_genomicsem(dataset: xr.Dataset, path: str | os.PathLike[str], *, force: bool = False) -> str:
    """Write a result of `user_gwas` or `commonfactor_gwas` as R's table, compressed if `path` ends in .gz.

    The file appears when it is whole. Returns the path. Raises UsageError for a folder that is not there and a result
    of another kind, StoreError for a file that is there without `force`.
    """
    rows = _common_factor_rows if "q" in dataset.variables else _user_rows
    return write_frames(path, rows(dataset), force=force)


# Rows of userGWAS -----------------------------------------------------------------------------------------------------


def _user_rows(dataset: xr.Dataset) -> Iterator[pl.DataFrame]:
    """Blocks of rows, the parameters of a variant one after the other."""
    table = _Parameters(dataset)
    r = len(table.label)
    for columns in _blocks(dataset, ["estimate", "se", "chisq", "aic", "q_snp"]):
        n = len(columns.status)
        estimate = _by_parameter(columns.values["estimate"], n)
        se = _by_parameter(columns.values["se"], n)
        est, error = (np.full((n, r), np.nan) for _ in range(2))
        est[:, table.estimated] = estimate[table.source].T
        error[:, table.estimated] = se[table.source].T
        est[:, table.fixed] = table.fixed_value
        z = z_scores(est, error)
        frame = columns.repeated(r)
        for name, values in zip(("lhs", "op", "rhs"), table.terms, strict=True):
            frame[name] = pl.Series(values * n)
        frame["free"] = pl.Series(table.free * n, dtype=pl.Int64)
        frame["label"] = pl.Series(table.name * n)
        frame |= {
            "est": _numbers(est),
            "SE": _numbers(error),
            "Z_Estimate": _numbers(z),
            "Pval_Estimate": _numbers(two_sided_p(z)),
        }
        if columns.values["chisq"] is not None:
            chisq, df = columns.values["chisq"], int(dataset["chisq_df"].values)
            shown = (chisq, np.where(np.isfinite(chisq), df, np.nan), chisq_p(chisq, df), columns.values["aic"])
            for name, values in zip(("chisq", "chisq_df", "chisq_pval", "AIC"), shown, strict=True):
                frame[name] = _numbers(np.repeat(values, r), whole=name == "chisq_df")
        if columns.values["q_snp"] is not None:
            frame |= table.heterogeneity(columns.values["q_snp"], n)
        frame |= columns.messages(r, ("error", "warning"))
        yield pl.DataFrame(frame)


class _Parameters:
    """The rows of one variant: estimated and fixed parameters in the order of the model's table."""

    def __init__(self, dataset: xr.Dataset):
        known = labels(dataset)
        fixed = _text(dataset, "fixed_parameter", [])
        behind = [len(fixed) + i for i in range(len(known))]
        place = [
            *_integers(dataset, "parameter_row", behind),
            *_integers(dataset, "fixed_parameter_row", list(range(len(fixed)))),
        ]
        order = np.argsort(np.array(place, np.int64), kind="stable")
        everything = [*known, *fixed]
        self.label = [everything[i] for i in order]
        free = [*_integers(dataset, "parameter_free", [None] * len(known)), *([0] * len(fixed))]
        names = [
            *_text(dataset, "parameter_name", [""] * len(known)),
            *_text(dataset, "fixed_parameter_name", [""] * len(fixed)),
        ]
        self.free = [free[i] for i in order]
        self.name = [names[i] for i in order]
        self.estimated = np.flatnonzero(order < len(known))
        self.source = order[self.estimated]
        self.fixed = np.flatnonzero(order >= len(known))
        self.fixed_value = (
            np.asarray(dataset["fixed_estimate"].values)[order[self.fixed] - len(known)] if len(fixed) else np.zeros(0)
        )
        self.terms = _terms(self.label)
        self.factor = [tested_factor(dataset, label) for label in self.label]
        self.q_df = np.asarray(dataset["q_snp_df"].values) if "q_snp_df" in dataset.variables else None

    def heterogeneity(self, q_snp: np.ndarray, n: int) -> dict[str, pl.Series]:
        """Q_SNP, its df and p, in the rows of a factor's own effect."""
        r = len(self.label)
        q, df, p = (np.full((n, r), np.nan) for _ in range(3))
        assert self.q_df is not None
        for row, factor in enumerate(self.factor):
            if factor is not None:
                q[:, row] = q_snp[factor]
                df[:, row] = np.where(np.isfinite(q_snp[factor]), self.q_df[factor], np.nan)
                p[:, row] = chisq_p(q_snp[factor], self.q_df[factor])
        return {"Q_SNP": _numbers(q), "Q_SNP_df": _numbers(df, whole=True), "Q_SNP_pval": _numbers(p)}


def _terms(found: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Left side, operator and right side of each label."""
    lhs, op, rhs = [], [], []
    for label in found:
        match = _OPERATOR.search(label)
        lhs.append(label[: match.start()] if match else label)
        op.append(match[0] if match else "")
        rhs.append(label[match.end() :] if match else "")
    return lhs, op, rhs


def _by_parameter(values: np.ndarray, n: int) -> np.ndarray:
    return np.asarray(values).reshape(-1, n)


# Rows of commonfactorGWAS ---------------------------------------------------------------------------------------------


def _common_factor_rows(dataset: xr.Dataset) -> Iterator[pl.DataFrame]:
    lhs, op, rhs = _terms(labels(dataset))
    df = int(dataset["q_df"].values)
    for columns in _blocks(dataset, ["estimate", "se", "q"]):
        estimate, se, q = (columns.values[name] for name in ("estimate", "se", "q"))
        n = len(columns.status)
        z = z_scores(estimate, se)
        frame = columns.repeated(1)
        frame["i"] = pl.Series(np.arange(columns.part.start + 1, columns.part.stop + 1))
        for name, value in (("lhs", lhs[0]), ("op", op[0]), ("rhs", rhs[0])):
            frame[name] = pl.Series([value] * n, dtype=pl.String)
        frame |= {
            "est": _numbers(estimate),
            "se_c": _numbers(se),
            "Z_Estimate": _numbers(z),
            "Pval_Estimate": _numbers(two_sided_p(z)),
            "Q": _numbers(q),
            "Q_df": _numbers(np.where(np.isfinite(q), df, np.nan), whole=True),
            "Q_pval": _numbers(chisq_p(q, df)),
        }
        yield pl.DataFrame(frame | columns.messages(1, ("fail", "warning")))


# What both share ------------------------------------------------------------------------------------------------------


class _Block:
    """A block of variants in memory: columns, statuses, and the arrays asked for (None where the result has none)."""

    def __init__(self, dataset: xr.Dataset, part: slice, columns: dict[str, Any], values: dict[str, Any]):
        self.part = part
        self.values = values
        self.status = columns["status"]
        self._columns = columns
        self._contigs = _text(dataset, "contig_id", [])
        self._attrs = dataset["status"].attrs

    def repeated(self, times: int) -> dict[str, pl.Series]:
        """The first columns, each value so many times."""
        column = self._columns
        found: dict[str, Any] = {}
        twas = column["hsq"] is not None
        found["Gene" if twas else "SNP"] = _texts(column["variant_id"])
        if twas:
            if column["panel"] is not None:
                found["Panel"] = _texts(column["panel"])
            found["HSQ"] = _numbers(column["hsq"])
        if column["variant_contig"] is not None and self._contigs:
            found["CHR"] = pl.Series(self._contigs, dtype=pl.String).gather(column["variant_contig"])
        if column["variant_position"] is not None:
            found["BP"] = pl.Series(column["variant_position"])
        if column["maf"] is not None:
            found["MAF"] = _numbers(column["maf"])
        if column["variant_allele"] is not None and not twas:
            # A1 is the effect allele: the second of the two.
            found["A1"], found["A2"] = (_texts(column["variant_allele"][:, i]) for i in (1, 0))
        if times == 1:
            return found
        rows = np.repeat(np.arange(len(self.status)), times)
        return {name: series.gather(rows) for name, series in found.items()}

    def messages(self, times: int, names: tuple[str, str]) -> dict[str, pl.Series]:
        """Columns of errors (there is no estimate) and warnings (there is one): the text of the status, or 0."""
        table = {int(code): text for code, text in self._attrs.get("table", {}).items()}
        good = int(self._attrs.get("valid", [0])[0])
        first = np.asarray(self.values["estimate"]).reshape(-1, len(self.status))[0]
        text = np.array([table.get(int(code), f"status {code}") for code in self.status], dtype=object)
        failed, noted = ~np.isfinite(first), self.status != good
        frame = {
            names[0]: pl.Series(np.where(failed, text, "0"), dtype=pl.String),
            names[1]: pl.Series(np.where(noted & ~failed, text, "0"), dtype=pl.String),
        }
        if self._columns["z_smooth"] is not None:
            frame["Z_smooth"] = _numbers(self._columns["z_smooth"])
        if times == 1:
            return frame
        rows = np.repeat(np.arange(len(self.status)), times)
        return {name: series.gather(rows) for name, series in frame.items()}


_COLUMNS = (
    "variant_id", "variant_allele", "variant_contig", "variant_position", "maf", "hsq", "panel", "status", "z_smooth",
)  # fmt: skip


def _blocks(dataset: xr.Dataset, names: list[str]) -> Iterator[_Block]:
    everything = [*_COLUMNS, *names]
    arrays = [dataset[name] if name in dataset.variables else None for name in everything]
    n = int(dataset.sizes["variant"])
    for rows, found in blocks(dataset, arrays):
        for start in range(rows.start, rows.stop, _ROWS):
            part = slice(start, min(start + _ROWS, n, rows.stop))
            inside = slice(part.start - rows.start, part.stop - rows.start)
            cut = [None if v is None else v[_at(array, inside)] for v, array in zip(found, arrays, strict=True)]
            values = dict(zip(everything, cut, strict=True))
            yield _Block(dataset, part, {c: values[c] for c in _COLUMNS}, {c: values[c] for c in names})


def _at(array: xr.DataArray | None, rows: slice) -> tuple[slice, ...]:
    assert array is not None
    return tuple(rows if dim == "variant" else slice(None) for dim in array.dims)


def _numbers(values: np.ndarray, *, whole: bool = False) -> pl.Series:
    series = pl.Series(np.ascontiguousarray(values, np.float64).ravel(), nan_to_null=True)
    return series.cast(pl.Int64) if whole else series


def _texts(values: np.ndarray) -> pl.Series:
    return pl.Series(values.tolist(), dtype=pl.String)


def _text(dataset: xr.Dataset, name: str, missing: list[str]) -> list[str]:
    return [str(value) for value in dataset[name].values] if name in dataset.variables else missing


def _integers(dataset: xr.Dataset, name: str, missing: list[Any]) -> list[Any]:
    return [int(value) for value in dataset[name].values] if name in dataset.variables else missing
