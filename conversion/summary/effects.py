"""Signs, effects, standard errors and the size of z of a block of rows, from whatever columns a file has.

What is missing is derived: p from -log10 p; z from p and the sign of the effect; p from z; the effect from an odds
ratio; its standard error from a confidence interval. Where p is 0, or so small that it may only mean "too small to
print", z is that of the file, or effect / standard error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from conversion.summary.columns import Columns
from conversion.summary.numeric import check_numeric, floats, log10_of_text
from conversion.summary.quantiles import SMALLEST_P, z_of_log10_p, z_of_p
from daskgen.errors import InputError

__all__ = ["EffectColumns", "Effects"]

Float64 = npt.NDArray[np.float64]

_Z_95 = 1.959963984540054  # half the width of a 95 % interval, in standard errors
_ENOUGH = 20  # rows from which a median says something


@dataclass(frozen=True, eq=False)
class Effects:
    """Of each row: effect on the scale of the file's effects (the logarithm of odds ratios), its standard error, z.

    printed_se: the standard error as the file has it, which may be that of an odds ratio. z has the sign of the effect
    and the size that p gives; NaN where p, z or effect is missing. invalid: rows with a value that cannot be (p outside
    [0, 1], an odds ratio or standard error that is not positive).
    """

    effect: Float64
    se: Float64
    printed_se: Float64
    z: Float64
    invalid: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class EffectColumns:
    """The columns that effects are taken from. None where a file has none.

    se_of_odds_ratio: whether the standard error is that of the odds ratio itself rather than of its logarithm, None
    where that is for the numbers to tell; log10_p_is_negated: whether the column has log10 p rather than -log10 p.
    """

    path: str
    beta: str | None
    odds_ratio: str | None
    z: str | None
    se: str | None
    ci_lower: str | None
    ci_upper: str | None
    p: str | None
    log10_p: str | None
    se_of_odds_ratio: bool | None = None
    log10_p_is_negated: bool = False

    @classmethod
    def of(cls, columns: Columns) -> EffectColumns:
        """The columns of a file. InputError where nothing gives signs, or nothing gives their size."""
        got: dict[str, Any] = {
            key: columns.get(key) for key in ("beta", "odds_ratio", "z", "se", "ci_lower", "ci_upper", "p", "log10_p")
        }
        if got["ci_lower"] is None or got["ci_upper"] is None:
            got["ci_lower"] = got["ci_upper"] = None
        if got["beta"] is None and got["odds_ratio"] is None and got["z"] is None:
            raise columns.missing(
                "no column with an effect was recognised, so there is no sign: p values alone cannot be used.",
                "beta",
                "odds_ratio",
                "z",
            )
        if all(got[key] is None for key in ("p", "log10_p", "z", "se", "ci_lower")):
            raise columns.missing(
                "no column with a p value, z statistic or standard error was recognised.", "p", "z", "se"
            )
        return cls(columns.path, **got)

    @property
    def names(self) -> list[str]:
        """All columns that are read."""
        every = (self.beta, self.odds_ratio, self.z, self.se, self.ci_lower, self.ci_upper, self.p, self.log10_p)
        return [name for name in every if name is not None]

    @property
    def has_se(self) -> bool:
        """Whether there is a standard error, given or by a confidence interval."""
        return self.se is not None or self.ci_lower is not None

    def read(self, frame: pl.DataFrame) -> Effects:
        """The effects of the rows of `frame`."""
        invalid = np.zeros(frame.height, bool)
        effect = self._effect(frame, invalid)
        printed_se = self._printed_se(frame, invalid)
        se = printed_se
        if self.se_of_odds_ratio:
            with np.errstate(over="ignore"):
                se = printed_se / np.exp(effect)
        given_z = None if self.z is None else floats(frame[self.z])
        size = self._size(frame, effect, se, given_z, invalid)
        sign = np.sign(effect) if given_z is None else np.where(np.isnan(effect), np.sign(given_z), np.sign(effect))
        return Effects(effect, se, printed_se, sign * size, invalid)

    def _effect(self, frame: pl.DataFrame, invalid: npt.NDArray[np.bool_]) -> Float64:
        effect = np.full(frame.height, np.nan) if self.beta is None else floats(frame[self.beta])
        if self.odds_ratio is not None:
            ratio = floats(frame[self.odds_ratio])
            with np.errstate(divide="ignore", invalid="ignore"):
                logarithm = np.log(ratio)
            alone = np.isnan(effect)
            invalid |= alone & (ratio <= 0)
            effect = np.where(alone & (ratio > 0), logarithm, effect)
        return effect

    def _printed_se(self, frame: pl.DataFrame, invalid: npt.NDArray[np.bool_]) -> Float64:
        se = np.full(frame.height, np.nan) if self.se is None else floats(frame[self.se])
        if self.ci_lower is not None and self.ci_upper is not None and not self.se_of_odds_ratio:
            lower, upper = floats(frame[self.ci_lower]), floats(frame[self.ci_upper])
            with np.errstate(divide="ignore", invalid="ignore"):
                width = upper - lower if self.beta is not None else np.log(upper) - np.log(lower)
            se = np.where(np.isnan(se), width / (2 * _Z_95), se)
        se = np.where((se == -9) | np.isinf(se), np.nan, se)
        invalid |= se <= 0
        return se

    def _size(
        self, frame: pl.DataFrame, effect: Float64, se: Float64, given_z: Float64 | None, invalid: npt.NDArray[np.bool_]
    ) -> Float64:
        """|z|: from p, -log10 p, z or effect / standard error, in this order."""
        size = np.full(frame.height, np.nan)
        text = None
        if self.p is not None:
            text = frame[self.p]
            p = floats(text)
            p = np.where(p == -9, np.nan, p)
            invalid |= (p < 0) | (p > 1)
            usable = (p >= SMALLEST_P) & (p <= 1)
            size[usable] = z_of_p(p[usable])
            rest = (p >= 0) & (p < SMALLEST_P)
        else:
            rest = np.ones(frame.height, bool)
        if not rest.any():
            return size
        if self.log10_p is not None:
            log10_p = floats(frame[self.log10_p]) * (1.0 if self.log10_p_is_negated else -1.0)
            invalid |= rest & (log10_p > 0)
            usable = rest & (log10_p <= 0) & ~np.isinf(log10_p)
            size[usable] = z_of_log10_p(log10_p[usable])
            rest &= ~usable
        if given_z is not None:
            usable = rest & np.isfinite(given_z)
            size[usable] = np.abs(given_z[usable])
            rest &= ~usable
        usable = rest & np.isfinite(effect) & (se > 0)
        size[usable] = np.abs(effect[usable] / se[usable])
        rest &= ~usable
        if text is not None and rest.any():
            where = np.flatnonzero(rest)
            size[where] = z_of_log10_p(log10_of_text(text.gather(where).cast(pl.String).to_list()))
        invalid |= np.isinf(size)  # p is 0 and nothing else tells how small
        return np.where(np.isinf(size), np.nan, size)

    def checked(self, columns: Columns, frame: pl.DataFrame) -> EffectColumns:
        """These columns after a look at the first rows: are they numbers, of the kind that their names say.

        Raises InputError for text, odds ratios under the name of an effect or the other way round, and effects whose
        signs contradict each other. Decides whether standard errors of odds ratios are on the logarithmic scale.
        """
        for name in self.names:
            check_numeric(self.path, frame[name])
        self._check_ratio(columns, frame)
        self._check_beta(columns, frame)
        self._check_signs(frame)
        decided = {}
        if self.log10_p is not None:
            log10_p = floats(frame[self.log10_p])
            log10_p = log10_p[np.isfinite(log10_p)]
            decided["log10_p_is_negated"] = bool(len(log10_p)) and bool((log10_p <= 0).all() and (log10_p < 0).any())
        if self.se_of_odds_ratio is None:
            decided["se_of_odds_ratio"] = bool(self.se_seems_of_ratio(frame))
        return EffectColumns(**{**self.__dict__, **decided})

    def _check_ratio(self, columns: Columns, frame: pl.DataFrame) -> None:
        if self.odds_ratio is None or self.beta is not None:
            return
        ratio = floats(frame[self.odds_ratio])
        ratio = ratio[np.isfinite(ratio)]
        if len(ratio) and (ratio < 0).mean() > 0.01:
            raise InputError(
                f"{self.path}: the column {self.odds_ratio} should hold odds ratios, which are positive.",
                found=f"{(ratio < 0).mean():.0%} negative values, median {np.median(ratio):.3g}",
                do=f"if they are logarithms of odds ratios:  --column beta={self.odds_ratio}",
            )
        if len(ratio) >= _ENOUGH and not 0.2 <= np.median(ratio) <= 5 and "odds_ratio" not in columns.given:
            raise InputError(
                f"{self.path}: the column {self.odds_ratio} should hold odds ratios, most of which are near 1.",
                found=f"median {np.median(ratio):.3g}",
                do=f"name the right column:  --column odds_ratio=COLUMN, or {self.odds_ratio} if it is right",
            )

    def _check_beta(self, columns: Columns, frame: pl.DataFrame) -> None:
        if self.beta is None or "beta" in columns.given:
            return
        beta = floats(frame[self.beta])
        beta = beta[np.isfinite(beta)]
        if len(beta) >= _ENOUGH and (beta > 0).all() and 0.5 < np.median(beta) < 2:
            raise InputError(
                f"{self.path}: the effects in {self.beta} look like odds ratios: all are positive, most near 1.",
                found=f"{beta.min():.3g} to {beta.max():.3g}, median {np.median(beta):.3g}",
                do=f"--column odds_ratio={self.beta}, or --column beta={self.beta} if they are not ratios",
            )

    def _check_signs(self, frame: pl.DataFrame) -> None:
        """Columns that are there side by side have to agree which way the effect goes."""
        signs = {}
        for name, centre in ((self.beta, 0.0), (self.odds_ratio, 1.0), (self.z, 0.0)):
            if name is not None:
                signs[name] = np.sign(floats(frame[name]) - centre)
        names = list(signs)
        for first, second in zip(names, names[1:], strict=False):
            product = signs[first] * signs[second]
            both = product[np.isfinite(product) & (product != 0)]
            if len(both) >= _ENOUGH and (both < 0).mean() > 0.01:
                alone = "z" if second == self.z else "beta"
                raise InputError(
                    f"{self.path}: {first} and {second} contradict each other about the direction of the effect.",
                    found=f"in {(both < 0).mean():.1%} of the first {len(both):,} rows",
                    do=f"say which of them to leave alone, for example  --column {alone}=none",
                )

    def se_seems_of_ratio(self, frame: pl.DataFrame) -> bool | None:
        """Whether log(OR) / (SE / OR) agrees with p better than log(OR) / SE does: the convention differs by tool.

        None where that cannot be told, because there is no p or odds ratio, or too few rows.
        """
        if self.se is None or self.odds_ratio is None or self.beta is not None or (self.p or self.log10_p) is None:
            return None
        plain = EffectColumns(
            **{**self.__dict__, "z": None, "ci_lower": None, "ci_upper": None, "se_of_odds_ratio": False}
        )
        rows = plain.read(frame)
        with np.errstate(divide="ignore", invalid="ignore"):
            as_logarithm = np.abs(rows.effect) / rows.se
        useful = np.isfinite(rows.z) & np.isfinite(as_logarithm) & (np.abs(rows.z) > 0.5) & (np.abs(rows.effect) > 0.02)
        if useful.sum() < _ENOUGH:
            return None
        size, ratio = np.abs(rows.z[useful]), np.exp(rows.effect[useful])
        off_logarithm = np.abs(as_logarithm[useful] - size)
        off_ratio = np.abs(as_logarithm[useful] * ratio - size)
        return bool(np.median(off_ratio) < np.median(off_logarithm))
