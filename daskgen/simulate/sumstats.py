"""Munged summary statistics with known heritabilities, genetic correlations and intercepts.

The model of LD-score regression, independently from variant to variant (as simLDSC of GenomicSEM): with l = max(L, 0),

    z_j ~ Normal(0, l_j / M * D S D + I),       D = diag(sqrt(N_1), ..., sqrt(N_k))

S is the genetic covariance of k traits and I the matrix of intercepts, whose elements beside the diagonal are what
overlapping samples make: rho N_s / sqrt(N_1 N_2) for N_s shared people with a phenotypic correlation rho. It is drawn
as the sum of a genetic and an error part, each a square root of its covariance times independent normal numbers. The
numbers of variant j and trait t come from the Philox counter (j, t), so a value does not depend on chunks or workers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtri

from daskgen.errors import InputError, UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.kernels.philox import as_uniform, philox_key, philox_words
from daskgen.passes import run_map
from daskgen.simulate.architecture import square_root, whole
from daskgen.stores import ArrayPlan, RunKey, StageTarget, StoreLike, StoreWriter, column_layout, open_dataset

__all__ = ["sumstats"]

_TOGETHER = 1 << 14  # variants whose random numbers are drawn at a time
_STATISTIC, _MISSING = 0, 1
"""Third counter of Philox: what the words are for."""

_COLUMNS = ("variant_id", "variant_allele", "variant_contig", "variant_position")
_TEXT = np.dtypes.StringDType()


@dataclass(frozen=True)
class _Model:
    """S root and I root (k, k), sample sizes (k,), and what the draws are made with."""

    genetic_root: np.ndarray
    error_root: np.ndarray
    n: np.ndarray
    m: float
    missing_rate: float
    seed: int

    def draw(self, first: int, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """z and N (traits, variants) of the variants from number `first` on; NaN where missing."""
        k, rows = len(self.n), len(score)
        z = np.empty((k, rows))
        for start in range(0, rows, _TOGETHER):
            part = slice(start, min(start + _TOGETHER, rows))
            genetic, error = self._normal(first + start, part.stop - start)
            scale = np.sqrt(np.maximum(score[part], 0.0) / self.m)[:, None] * np.sqrt(self.n)
            z[:, part] = (genetic @ self.genetic_root * scale + error @ self.error_root).T
            if self.missing_rate > 0:
                words = philox_words(philox_key(self.seed, "sumstats"), self._counters(first + start, part, _MISSING))
                z[:, part][self.missing_rate > as_uniform(words[:, 0]).reshape(-1, k).T] = np.nan
        return z, np.where(np.isnan(z), np.nan, self.n[:, None])

    def _normal(self, first: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Two independent standard normal numbers for each variant and trait, (variants, traits) each."""
        counters = self._counters(first, slice(0, rows), _STATISTIC)
        words = philox_words(philox_key(self.seed, "sumstats"), counters)
        shape = (rows, len(self.n))
        return tuple(  # type: ignore[return-value]
            ndtri(as_uniform(words[:, i], words[:, i + 1])).reshape(shape) for i in (0, 2)
        )

    def _counters(self, first: int, part: slice, purpose: int) -> np.ndarray:
        rows, k = part.stop - part.start, len(self.n)
        counters = np.zeros((rows * k, 4), np.uint32)
        counters[:, 0] = np.repeat(np.arange(first, first + rows), k)
        counters[:, 1] = np.tile(np.arange(k), rows)
        counters[:, 2] = purpose
        return counters


@known_arguments()
def sumstats(
    path: str | os.PathLike[str],
    ld_scores: StoreLike | xr.Dataset,
    *,
    S: Any,
    N: Any,
    intercepts: Any = None,
    traits: Sequence[str] | None = None,
    missing_rate: float = 0.0,
    seed: int = 0,
    force: bool = False,
    resume: bool = False,
) -> str:
    """Simulate munged summary statistics of k traits and write them to a store (purpose "ldsc"); returns its path.

    Parameters
    ----------
    path
        Where the store goes.
    ld_scores
        LD scores, path or Dataset, univariate: their variants are those of the statistics, in their order; M is the sum
        of M_5_50 (of M where there is none).
    S
        Genetic covariance (k, k), array or DataFrame; heritabilities on its diagonal.
    N
        Sample sizes: one for all traits, or (k,).
    intercepts
        LD-score regression intercepts: (k,), or (k, k) with what overlapping samples make beside the diagonal. Default:
        1, without overlap.
    traits
        Names; default the columns of S where it is a DataFrame, else T1, T2, ...
    missing_rate
        Probability that a trait lacks a variant, in [0, 1).
    seed
        Whole number, at least 0. The content depends on it and on the arguments above, not on chunks or workers.
    force, resume
        Replace a store that daskgen made; go on with an interrupted run of the same call.

    Alleles are those of the LD scores where they have them, else A and G. The attribute `simulation` holds S, N,
    intercepts and M.

    Raises InputError for matrices that are not symmetric or not positive semidefinite and LD scores that cannot be
    used, UsageError for numbers out of range, StoreError for what lies at `path`.
    """
    names = _names(S, traits)
    k = len(names)
    covariance = _covariance("S", S, k)
    error = np.eye(k) if intercepts is None else _covariance("intercepts", intercepts, k)
    n = _sizes(N, k)
    if not 0 <= missing_rate < 1:
        raise UsageError("missing_rate is out of range.", found=missing_rate, expected="from 0 up to, without, 1")
    scores = _opened(ld_scores)
    m_name = "M_5_50" if "M_5_50" in scores else "M"
    m = float(scores[m_name].values.sum())
    model = _Model(
        _root("S", covariance), _root("intercepts", error), n, m, float(missing_rate), whole("seed", seed, 0)
    )
    truth = {
        "S": covariance.tolist(),
        "N": n.tolist(),
        "intercepts": error.tolist(),
        "M": m,
        "missing_rate": float(missing_rate),
        "seed": int(seed),
    }
    source = str(scores.attrs.get("store_id", "Dataset"))
    run = RunKey("simulate sumstats", truth | {"traits": names, "score": scores["ld_score"].values}, [source])
    with StoreWriter(
        path,
        kind="sumstats",
        arrays=_arrays(scores, k),
        run=run,
        provenance={"sources": [{"name": source}], "arguments": truth | {"traits": names}, "dropped": {}},
        attrs={"purpose": "ldsc", "simulation": truth | {"traits": names}},
        force=force,
        resume=resume,
    ) as writer:
        if not writer.already_complete:
            _write(writer, scores, names, model)
        return str(writer.finish())


def _write(writer: StoreWriter, scores: xr.Dataset, names: Sequence[str], model: _Model) -> None:
    writer.write(
        "traits",
        trait=np.array(names, dtype=_TEXT),
        trait_n=model.n,
        n_kind=np.array(["total"] * len(names), dtype=_TEXT),
    )
    writer.write("contigs", contig_id=np.array(scores["contig_id"].values.tolist(), dtype=_TEXT))
    rows = column_layout(scores.sizes["variants"]).chunks[0]
    statistics = writer.stage("statistics", arrays=["z", "n"], blocks={"variants": rows})
    score = np.ascontiguousarray(scores["ld_score"].values[:, 0], np.float64)
    for _ in run_map(_write_group, statistics.pending, model, score, statistics.target, label="simulate"):
        pass
    columns = writer.stage("variants", arrays=list(_COLUMNS), blocks={"variants": rows})
    for index in columns.pending:
        columns.target.write(index, _variant_columns(scores, columns.target.ranges(index)["variants"]))


def _write_group(index: int, model: _Model, score: np.ndarray, target: StageTarget) -> None:
    rows = target.ranges(index)["variants"]
    z, n = model.draw(rows.start, score[rows])
    target.write(index, {"z": z, "n": n})


def _variant_columns(scores: xr.Dataset, rows: slice) -> dict[str, np.ndarray]:
    part = scores.isel(variants=rows)
    if "variant_allele" in part:
        allele = np.array(part["variant_allele"].values.tolist(), dtype=_TEXT)
    else:
        allele = np.array([["A", "G"]] * part.sizes["variants"], dtype=_TEXT)
    return {
        "variant_id": np.array(part["variant_id"].values.tolist(), dtype=_TEXT),
        "variant_allele": allele,
        "variant_contig": part["variant_contig"].values.astype(np.int32),
        "variant_position": part["variant_position"].values.astype(np.int32),
    }


def _arrays(scores: xr.Dataset, k: int) -> list[ArrayPlan]:
    m = scores.sizes["variants"]
    rows = column_layout(m).chunks[0]
    n_contigs = scores.sizes["contigs"]
    return [
        *(ArrayPlan(name, (k, m), np.float64, ("traits", "variants"), (1, rows), fill_value=np.nan) for name in "zn"),
        *(
            ArrayPlan(name, (m, *more), dtype, ("variants", *dims), (rows, *more))
            for name, dtype, more, dims in (
                ("variant_id", "string", (), ()),
                ("variant_allele", "string", (2,), ("alleles",)),
                ("variant_contig", np.int32, (), ()),
                ("variant_position", np.int32, (), ()),
            )
        ),
        ArrayPlan("contig_id", (n_contigs,), "string", ("contigs",), (n_contigs,)),
        *(
            ArrayPlan(name, (k,), dtype, ("traits",), (k,))
            for name, dtype in (("trait", "string"), ("trait_n", np.float64), ("n_kind", "string"))
        ),
    ]


# Arguments ----------------------------------------------------------------------------------------------------------


def _opened(ld_scores: StoreLike | xr.Dataset) -> xr.Dataset:
    opened = open_dataset(ld_scores, "ld_scores") if isinstance(ld_scores, (str, os.PathLike)) else ld_scores
    needed = ("variant_id", "variant_contig", "variant_position", "contig_id", "ld_score")
    missing = [name for name in needed if name not in opened.variables]
    if missing or not ("M_5_50" in opened or "M" in opened):
        raise InputError(
            f"these are no LD scores: {(missing or ['M_5_50'])[0]} is not there.",
            found=", ".join(map(str, opened.variables)),
            expected=", ".join((*needed, "M_5_50")),
        )
    if opened["ld_score"].shape[1] != 1:
        raise InputError(
            "statistics are simulated from univariate LD scores.", found=f"{opened['ld_score'].shape[1]} annotations"
        )
    return opened


def _names(s: Any, traits: Sequence[str] | None) -> list[str]:
    if traits is not None:
        names = [str(name) for name in traits]
    elif isinstance(s, pd.DataFrame):
        names = [str(name) for name in s.columns]
    else:
        names = [f"T{i + 1}" for i in range(len(np.atleast_2d(np.asarray(s))))]
    if len(set(names)) != len(names) or not names:
        raise UsageError("traits must have different names.", found=", ".join(names) or "none")
    return names


def _covariance(name: str, value: Any, k: int) -> np.ndarray:
    """A symmetric (k, k) matrix; intercepts may be a diagonal, or one number for all of it."""
    matrix = np.asarray(value, np.float64)
    if matrix.shape in ((), (k,)) and (name == "intercepts" or k == 1):
        matrix = np.diag(np.broadcast_to(matrix, k))
    if matrix.shape != (k, k):
        raise InputError(f"{name} does not fit {k} traits.", found=matrix.shape, expected=(k, k))
    if not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T, rtol=1e-8, atol=1e-12):
        raise InputError(f"{name} must be finite and symmetric.", found=str(matrix.tolist()))
    return matrix


def _root(name: str, covariance: np.ndarray) -> np.ndarray:
    values = np.linalg.eigvalsh(covariance)
    if values.min() < -1e-9 * max(values.max(), 1e-300):
        raise InputError(
            f"{name} is no covariance matrix: it has a negative eigenvalue.",
            found=f"eigenvalues {', '.join(f'{value:.4g}' for value in values)}",
        )
    return square_root(covariance)


def _sizes(n: Any, k: int) -> np.ndarray:
    sizes = np.asarray(n, np.float64)
    if sizes.ndim > 1 or sizes.size not in (1, k):
        raise InputError(
            "N must be one number, or one for each trait.",
            found=f"shape {sizes.shape}",
            expected=f"({k},)",
            do="what overlapping samples make belongs into intercepts, beside the diagonal",
        )
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise InputError("N must be positive.", found=", ".join(map(str, sizes.ravel())))
    return np.array(np.broadcast_to(sizes.reshape(-1), k))
