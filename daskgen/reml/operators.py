"""`fit_operator`: REML with covariance matrices of the user's own, dense or known by their products."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from daskgen.errors import InputError, UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.covariates import Covariates
from daskgen.reml.asking import answered, one_by_one
from daskgen.reml.assembling import fit_dataset
from daskgen.reml.dense_model import DenseModel
from daskgen.reml.estimates import Estimates
from daskgen.reml.fitting import checked_options
from daskgen.reml.lanczos_fit import LanczosFit
from daskgen.reml.model import FittedGroup
from daskgen.reml.pcg_fit import PcgFit
from daskgen.reml.result import RemlFit
from daskgen.reml.study import Group, Samples, Study

__all__ = ["fit_operator"]

Kernel = np.ndarray | Callable[[np.ndarray], np.ndarray] | Any
"""A symmetric matrix, a function V -> K V, or anything that has ``K @ V`` or ``K.kv(V)``."""


@known_arguments()
def fit_operator(
    y: Any,
    X: Any = None,
    kernels: Mapping[str, Kernel] | Sequence[Kernel] | Kernel | None = None,
    *,
    traces: Mapping[str, float] | Sequence[float] | float | None = None,
    method: str = "auto",
    n_probes: int | str = "auto",
    tol: float = 1e-3,
    seed: int = 0,
) -> RemlFit:
    """Variance components of y = X b + sum_g u_g + e, u_g ~ N(0, theta_g K_g), for any positive semi-definite K_g.

    Parameters
    ----------
    y
        float (n,), or a Series whose index names the samples; no missing values.
    X
        Fixed effects (n, c), array or DataFrame; an intercept is added unless they span it. None: the intercept.
    kernels
        One or several (a mapping gives names): a matrix (n, n), a function V -> K V for V (n, r), or an object with
        ``K @ V`` or ``K.kv(V)``.
    traces
        tr K_g of each; needed for what is neither a matrix nor has a method ``trace()``.
    method
        "exact" needs matrices; "stochastic"; "auto": exact for matrices.
    n_probes, tol, seed
        As in `fit`.

    Returns
    -------
    RemlFit
        With the tables of `fit`; `dataset` has the random effects theta_g K_g P y.

    Raises
    ------
    InputError, UsageError
        Shapes that do not fit, values that are not finite, an unknown trace, "exact" without matrices.
    """
    checked_options(method, n_probes, tol)
    named = _named(kernels)
    group, samples = _samples(y, X)
    parts = _Kernels([kernel for _, kernel in named], group.n)
    known = _traces(named, traces)
    dense = all(isinstance(kernel, np.ndarray) for _, kernel in named)
    if method == "exact" and not dense:
        raise UsageError("the exact way needs matrices.", do='method="stochastic"')
    way = "exact" if dense and method != "stochastic" else "stochastic"
    value = np.ascontiguousarray(group.values[:, 0])
    estimates: Estimates
    if way == "exact":
        matrices = np.stack([np.asarray(kernel, np.float64) for _, kernel in named])
        estimates = DenseModel(matrices, group.design).fit(value)
    else:
        options: dict[str, Any] = {
            "seed": seed,
            "n_probes": None if n_probes == "auto" else int(n_probes),
            "tol": tol,
        }
        if len(named) == 1:
            fitting = LanczosFit(parts, group.design, group.values, group.rows, float(known[0]), **options).fit()
        else:
            fitting = PcgFit(parts, group.design, group.values, group.rows, known, **options).fit()
        (estimates,) = answered(fitting, one_by_one)
    estimates.passes = parts.passes
    u = estimates.theta[:-1, None] * parts.products(estimates.projected[:, None])[:, :, 0]
    fitted = FittedGroup(group, _Named(tuple(name for name, _ in named)), [estimates])  # type: ignore[arg-type]
    study = Study([], samples, [group])
    dataset = fit_dataset(study, [fitted], [np.append(known / group.n, 1.0)], [way], {"seed": int(seed)})
    dims = ("phenotype", "component", "sample")
    unknown = np.full((1, *u.shape), np.nan)
    return RemlFit(
        dataset.assign(
            random_effect=(dims, u[None]),
            pev=(dims, unknown),
            pev_monte_carlo_se=(dims, unknown),
            reliability=(dims, unknown),
        )
    )


@dataclass(frozen=True)
class _Named:
    """What the tables need to know of the matrices."""

    names: tuple[str, ...]

    @property
    def counted(self) -> np.ndarray:
        return np.ones(len(self.names), np.int64)


@dataclass
class _Kernels:
    """The matrices as `PcgFit` sees them."""

    kernels: Sequence[Kernel]
    n: int
    passes: int = 0

    def products(self, vectors: np.ndarray, *, label: str = "K V") -> np.ndarray:
        self.passes += 1
        return np.stack([self._product(kernel, vectors) for kernel in self.kernels])

    def combined(self, theta: np.ndarray, vectors: np.ndarray, *, label: str = "K V") -> np.ndarray:
        return np.asarray(np.tensordot(theta, self.products(vectors), 1))

    def _product(self, kernel: Kernel, vectors: np.ndarray) -> np.ndarray:
        if hasattr(kernel, "kv"):
            found = kernel.kv(vectors)
        else:
            found = kernel @ vectors if hasattr(kernel, "__matmul__") else kernel(vectors)
        found = np.asarray(found, np.float64)
        if found.shape != vectors.shape:
            raise InputError("a product K V has another shape than V.", found=found.shape, expected=vectors.shape)
        return found


def _named(kernels: Any) -> list[tuple[str, Kernel]]:
    if kernels is None or (isinstance(kernels, (Mapping, list, tuple)) and not kernels):
        raise UsageError("no kernels are given.")
    if isinstance(kernels, Mapping):
        return [(str(name), kernel) for name, kernel in kernels.items()]
    if isinstance(kernels, (list, tuple)):
        return [(f"K{i + 1}", kernel) for i, kernel in enumerate(kernels)]
    return [("K", kernels)]


def _samples(y: Any, x: Any) -> tuple[Group, Samples]:
    series = y if isinstance(y, pd.Series) else pd.Series(np.asarray(y, np.float64), name="y")
    ids = series.index.astype(str).to_numpy(object)
    name = "y" if series.name is None else str(series.name)
    values = series.to_numpy(np.float64)
    if not np.isfinite(values).all():
        raise InputError("y has values that are missing or not finite.", do="leave those samples out everywhere")
    columns: dict[str, np.ndarray] = {}
    if x is not None:
        table = x if isinstance(x, pd.DataFrame) else pd.DataFrame(np.asarray(x, np.float64).reshape(len(values), -1))
        if len(table) != len(values):
            raise InputError("X needs a row for each value of y.", found=len(table), expected=len(values))
        names = [f"x{i + 1}" for i in range(table.shape[1])] if not isinstance(x, pd.DataFrame) else map(str, table)
        columns = dict(zip(names, table.to_numpy(np.float64).T, strict=True))
    covariates = Covariates(columns, {}, tuple(columns), len(values))
    samples = Samples(ids, {name: values}, covariates, np.ones(len(values), bool))
    return samples.groups()[0], samples


def _traces(named: Sequence[tuple[str, Kernel]], traces: Any) -> np.ndarray:
    given: dict[str, float] = {}
    if isinstance(traces, Mapping):
        given = {str(name): float(value) for name, value in traces.items()}
    elif traces is not None:
        given = {name: float(v) for (name, _), v in zip(named, np.atleast_1d(traces), strict=True)}
    found = []
    for name, kernel in named:
        if name in given:
            found.append(given[name])
        elif hasattr(kernel, "trace"):
            found.append(float(kernel.trace()))
        else:
            raise UsageError(f"the trace of {name} is not known.", do="traces={name: tr K}")
    return np.array(found)
