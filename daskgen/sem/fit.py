"""`Fit`: what `usermodel` and `commonfactor` return."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from daskgen.sem.path_diagram import Diagram, draw
from daskgen.stores import RunKey, StoreLike, write_result

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["ESTIMATES", "Fit"]

ESTIMATES = ("lhs", "op", "rhs", "est", "se", "est_std", "se_std", "est_std_all", "p")

_OF_USERMODEL = ("Unstand_Est", "Unstand_SE", "STD_Genotype", "STD_Genotype_SE", "STD_All", "p_value")
_OF_COMMONFACTOR = (
    *("Unstandardized_Estimate", "Unstandardized_SE", "Standardized_Est", "Standardized_SE"),
    "p_value",
)


@dataclass(frozen=True, eq=False)
class Fit:
    """A model fitted to a covariance structure.

    estimates
        DataFrame with a row per parameter: lhs op rhs as in the model; est, se; est_std, se_std of the fit to the
        genetic correlations (R: STD_Genotype); est_std_all, fully standardised (R: STD_All); p, two-sided, of
        est / se. Free parameters come first, then those defined by :=, then fixed ones, whose errors are NaN.
    fit_indices
        Series: chisq, df, p_chisq, aic, cfi, srmr; NaN where a saturated model leaves nothing to be tested.
    npar
        Free parameters less equality constraints.
    implied_cov, residual_cov
        DataFrames (trait, trait): Sigma, and S - Sigma.
    q_factor
        DataFrame factor_1 factor_2 chisq df p, or None where it was not asked for.
    constrained_se
        Series by "lhs op rhs" without blanks: standard errors that honour equal labels and equality constraints, which
        `se`, as GenomicSEM, leaves out of account.
    converged, warnings
        Whether gradient and constraints are zero at the estimates; what a reader should know.
    """

    model: str
    estimation: str
    command: str
    traits: tuple[str, ...]
    estimates: pd.DataFrame
    fit_indices: pd.Series
    npar: int
    implied_cov: pd.DataFrame
    residual_cov: pd.DataFrame
    constrained_se: pd.Series
    converged: bool
    q_factor: pd.DataFrame | None = None
    warnings: tuple[str, ...] = ()
    arguments: dict[str, Any] = field(default_factory=dict, repr=False)
    inputs: tuple[str, ...] = field(default=(), repr=False)

    def to_dataset(self) -> xr.Dataset:
        """Everything as a Dataset: the estimates along `parameter` (lhs op rhs without blanks), the indices as scalars,
        the matrices along (trait, trait_2), and what was fitted in the attributes.
        """
        import xarray as xr

        table = self.estimates
        labels = (table["lhs"] + table["op"] + table["rhs"]).to_numpy(object)
        data: dict[str, Any] = {
            name: ("parameter", table[name].to_numpy(object if name in ESTIMATES[:3] else np.float64))
            for name in ESTIMATES
        }
        data["constrained_se"] = ("parameter", self.constrained_se.to_numpy(np.float64))
        data |= {str(name): ((), float(value)) for name, value in self.fit_indices.items()}
        pair = ("trait", "trait_2")
        data |= {
            "implied_cov": (pair, self.implied_cov.to_numpy()),
            "residual_cov": (pair, self.residual_cov.to_numpy()),
        }
        if self.q_factor is not None:
            for name in self.q_factor.columns:
                kind = object if name.startswith("factor") else np.float64
                data[f"q_{name}"] = ("factor_pair", self.q_factor[name].to_numpy(kind))
        traits = np.array(self.traits, object)
        attrs = {
            "kind": "sem_fit",
            "command": self.command,
            "model": self.model,
            "estimation": self.estimation,
            "npar": self.npar,
            "converged": int(self.converged),
            "warnings": list(self.warnings),
        }
        return xr.Dataset(data, coords={"parameter": labels, "trait": traits, "trait_2": traits}, attrs=attrs)

    def to_store(self, path: StoreLike, *, force: bool = False) -> str:
        """Write `to_dataset` as a store; returns its place. force: replace a store that daskgen made."""
        dataset = self.to_dataset()
        run = RunKey(self.command, {"model": self.model, "estimation": self.estimation, **self.arguments}, self.inputs)
        dataset.attrs = {name: value for name, value in dataset.attrs.items() if name not in ("kind", "command")}
        return write_result(path, dataset, kind="sem_fit", run=run, provenance=run.as_dict(), force=force).url

    def to_genomicsem(self) -> pd.DataFrame:
        """The estimates with the columns of R GenomicSEM's `results`."""
        common = self.command == "sem commonfactor"
        ours = [name for name in ESTIMATES[3:] if not (common and name == "est_std_all")]
        names = _OF_COMMONFACTOR if common else _OF_USERMODEL
        return self.estimates[[*ESTIMATES[:3], *ours]].rename(columns=dict(zip(ours, names, strict=True)))

    def path_diagram(self, *, standardised: bool = True) -> Diagram:
        """A drawing of the model with its estimates, as SVG: shown by a notebook, written by ``.save("model.svg")``.

        standardised: write est_std_all at the paths, else est.
        """
        return draw(self.estimates, self.traits, "est_std_all" if standardised else "est")

    def head(self) -> str:
        """What was fitted and whether it converged, in one line."""
        name = self.command.removeprefix("sem ")
        state = "converged" if self.converged else "NOT CONVERGED"
        return f"{name}: {len(self.traits)} traits, {self.npar} parameters, {self.estimation}, {state}"

    def index_line(self) -> str:
        """The indices in one line."""
        named = {"p_chisq": "p", "aic": "AIC", "cfi": "CFI", "srmr": "SRMR"}
        parts = []
        for name, value in self.fit_indices.items():
            shown = round(value, 12) if name == "srmr" else value  # 0 but for rounding in a saturated model
            parts.append(f"{named.get(str(name), str(name))} " + (f"{shown:.4g}" if shown == shown else "NA"))
        return "  ".join(parts)

    def __repr__(self) -> str:
        table = self.estimates.to_string(index=False, float_format=lambda v: f"{v:.4g}", na_rep="")
        notes = [f"warning: {text}" for text in self.warnings]
        return "\n".join([self.head(), self.index_line(), "", table, *notes])

    def _repr_html_(self) -> str:
        table = self.estimates.to_html(index=False, float_format=lambda v: f"{v:.4g}", na_rep="", border=0)
        notes = "".join(f"<p><b>warning</b> {html.escape(text)}</p>" for text in self.warnings)
        head = f"<b>{html.escape(self.head())}</b><br>{html.escape(self.index_line())}"
        return f"<div>{head}{notes}{table}{self.path_diagram().svg}</div>"
