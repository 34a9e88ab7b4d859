"""From estimates by group to the one Dataset of a fit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from daskgen.reml.components import RESIDUAL
from daskgen.reml.model import FittedGroup
from daskgen.reml.study import Study

__all__ = ["fit_dataset"]


def fit_dataset(
    study: Study,
    fitted: Sequence[FittedGroup],
    mean_diagonals: Sequence[np.ndarray],
    methods: Sequence[str],
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """All estimates as arrays; mean_diagonals: per group tr(A_i) / n of components and residual (G + 1,)."""
    names = list(study.samples.phenotypes)
    components = list(fitted[0].relationships.names)
    parameters = [*components, RESIDUAL]
    terms = list(dict.fromkeys(term for f in fitted for term in f.group.design.names))
    n_t, n_p, n_s, n_f = len(names), len(parameters), len(study.samples.ids), len(terms)
    pair = ("phenotype", "parameter", "parameter_2")
    arrays: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        name: (("phenotype", "parameter"), np.zeros((n_t, n_p), dtype))
        for name, dtype in (
            ("variance_component", np.float64),
            ("score", np.float64),
            ("mean_diagonal", np.float64),
            ("at_bound", bool),
        )
    }
    arrays |= {
        name: (pair, np.zeros((n_t, n_p, n_p))) for name in ("covariance", "information", "monte_carlo_covariance")
    }
    arrays |= {
        name: (("phenotype",), np.zeros(n_t))
        for name in ("log_likelihood", "null_log_likelihood", "log_likelihood_error")
    }
    arrays |= {
        name: (("phenotype",), np.zeros(n_t, np.int64))
        for name in ("n_samples", "n_fixed", "n_probes", "passes", "group")
    }
    arrays |= {name: (("phenotype",), np.full(n_t, "", object)) for name in ("reason", "method", "history")}
    arrays["converged"] = (("phenotype",), np.zeros(n_t, bool))
    arrays["n_counted"] = (("phenotype", "component"), np.zeros((n_t, n_p - 1), np.int64))
    arrays |= {
        name: (("phenotype", "fixed_effect"), np.full((n_t, n_f), np.nan))
        for name in ("fixed_effect_estimate", "fixed_effect_se")
    }
    arrays["fixed_effect_covariance"] = (
        ("phenotype", "fixed_effect", "fixed_effect_2"),
        np.full((n_t, n_f, n_f), np.nan),
    )
    arrays["phenotype_value"] = (("phenotype", "sample"), np.full((n_t, n_s), np.nan))
    arrays["projected"] = (("phenotype", "sample"), np.full((n_t, n_s), np.nan))
    arrays["used"] = (("phenotype", "sample"), np.zeros((n_t, n_s), bool))
    for number, (f, diagonal, method) in enumerate(zip(fitted, mean_diagonals, methods, strict=True)):
        for column, (name, e) in enumerate(zip(f.group.phenotypes, f.estimates, strict=True)):
            t = names.index(name)
            b, covariance = f.group.design.raw_scale(e.gamma, e.gamma_covariance)
            at = [terms.index(term) for term in f.group.design.names]
            values: dict[str, Any] = {
                "variance_component": e.theta,
                "score": e.score,
                "mean_diagonal": diagonal,
                "at_bound": e.at_bound,
                "covariance": e.covariance,
                "information": e.information,
                "monte_carlo_covariance": e.monte_carlo,
                "log_likelihood": e.log_likelihood,
                "null_log_likelihood": e.null_log_likelihood,
                "log_likelihood_error": e.log_likelihood_error,
                "n_samples": f.group.n,
                "n_fixed": f.group.design.rank,
                "n_probes": e.n_probes,
                "passes": e.passes,
                "group": number,
                "reason": e.reason,
                "method": method,
                "history": json.dumps(e.history),
                "converged": e.converged,
                "n_counted": f.relationships.counted,
            }
            for key, value in values.items():
                arrays[key][1][t] = value
            arrays["fixed_effect_estimate"][1][t, at] = b
            arrays["fixed_effect_se"][1][t, at] = np.sqrt(np.diag(covariance))
            arrays["fixed_effect_covariance"][1][t][np.ix_(at, at)] = covariance
            arrays["phenotype_value"][1][t, f.group.rows] = f.group.values[:, column]
            arrays["projected"][1][t, f.group.rows] = e.projected
            arrays["used"][1][t, f.group.rows] = 1
    return xr.Dataset(
        arrays,
        coords={
            "phenotype": np.array(names, dtype=object),
            "parameter": np.array(parameters, dtype=object),
            "component": np.array(components, dtype=object),
            "fixed_effect": np.array(terms, dtype=object),
            "sample_id": ("sample", study.samples.ids.astype(object)),
        },
        attrs=dict(attrs),
    )
