r"""What SEM of SNPs reads of a trait: effects and standard errors in units of the trait's standard deviation.

With f the file's minor allele frequency (the reference's where the file has none), :math:`v = 2 f (1 - f)` the variance
of the genotype, z the statistic that p and the sign of the effect give, b the effect as printed (the logarithm of an
odds ratio), s its standard error and :math:`D = \sqrt{b^2 v + \pi^2 / 3}` the standard deviation of the liability under
a logistic model, R GenomicSEM's ``sumstats`` computes

====================  ========================================  ==================
scale                 beta                                      se
====================  ========================================  ==================
linear                z / sqrt(N v)                             abs(beta / z)
standardised          b                                         abs(b / z)
logistic              b / D                                     s / D
odds_ratio            b / D                                     (s / exp(b')) / D
odds_ratio_corrected  b / D                                     (s / exp(b)) / D
linear_probability    b / D with b = z / sqrt(N v / 4)          1 / sqrt(N v / 4) / D
====================  ========================================  ==================

before the effect is turned to the reference's allele. In "odds_ratio" and "odds_ratio_corrected" s is the standard
error of the odds ratio itself. "odds_ratio" follows R to the letter, which divides by exp(b'), where b' is the effect
*after* it was turned: for turned rows the standard error is off by the square of the odds ratio.
"odds_ratio_corrected" divides by the odds ratio that s belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from conversion.summary.trait import Filters, Rows, TraitRows
from daskgen.errors import UsageError

__all__ = ["SCALES", "ScaledStatistic", "check_scale", "scaled_effects"]

Float64 = npt.NDArray[np.float64]

SCALES = ("linear", "standardised", "logistic", "odds_ratio", "odds_ratio_corrected", "linear_probability")
NEEDS_N = ("linear", "linear_probability")
NEEDS_SE = ("logistic", "odds_ratio", "odds_ratio_corrected")
SE_OF_ODDS_RATIO = ("odds_ratio", "odds_ratio_corrected")

_ELSEWHERE = {
    "ols": "linear",
    "betas": "standardised",
    "standardized": "standardised",
    "se.logit": "logistic",
    "se_logit": "logistic",
    "none": "odds_ratio",
    "or": "odds_ratio",
    "linprob": "linear_probability",
}


def check_scale(scale: object) -> str:
    """`scale` if it is one of SCALES; UsageError, which says what R's names are called here, otherwise."""
    if scale in SCALES:
        return str(scale)
    ours = _ELSEWHERE.get(str(scale).lower())
    raise UsageError(
        f"scale={scale!r} is not understood.",
        expected=", ".join(map(repr, SCALES)),
        do=f"R's {scale} is {ours!r} here" if ours else None,
    )


def scaled_effects(
    scale: str, effect: Float64, printed_se: Float64, z: Float64, n: Float64, v: Float64, turned: npt.NDArray[np.bool_]
) -> tuple[Float64, Float64]:
    """(beta, se) of the table above; all arguments of one length, v = 2 f (1 - f)."""
    if scale == "linear":
        beta = z / np.sqrt(n * v)
        return beta, np.abs(beta / z)
    if scale == "standardised":
        return effect, np.abs(effect / z)
    se = printed_se
    if scale == "linear_probability":
        se = 1 / np.sqrt(n / 4 * v)
        effect = z * se
    elif scale == "odds_ratio":
        se = printed_se / np.exp(np.where(turned, -effect, effect))
    elif scale == "odds_ratio_corrected":
        se = printed_se / np.exp(effect)
    deviation = np.sqrt(effect**2 * v + np.pi**2 / 3)
    return effect / deviation, se / deviation


@dataclass(frozen=True)
class ScaledStatistic:
    """beta and se on the scale of `scaled_effects`.

    Left out: variants whose minor allele is rarer than `filters.maf` in the reference; those whose frequency in the
    file is missing, 0 or 1; effects of exactly 0; rows without N or standard error where the scale needs them.
    """

    scale: str
    filters: Filters
    names: tuple[str, ...] = ("beta", "se")
    signed: tuple[str, ...] = ("beta",)

    def values(self, rows: Rows) -> Mapping[str, Float64]:
        """beta and se of the rows, after the filters."""
        assert rows.reference_frequency is not None
        of_reference = np.minimum(rows.reference_frequency, 1 - rows.reference_frequency)
        rows.drop(~(of_reference >= self.filters.maf), "low_frequency")
        frequency = rows.minor_frequency
        if frequency is not None:
            rows.drop(~(frequency > 0), "low_frequency")
        else:
            frequency = of_reference
        effects = rows.effects
        # A file with nothing but z has its sign and, after scaling, its size from there.
        effect = np.where(np.isnan(effects.effect), effects.z, effects.effect)
        rows.drop(effect == 0, "no_effect")
        if self.scale in NEEDS_N:
            rows.drop(np.isnan(rows.n), "low_n")
        if self.scale in NEEDS_SE:
            rows.drop(np.isnan(effects.printed_se), "missing_values")
        v = 2 * frequency * (1 - frequency)
        beta, se = scaled_effects(self.scale, effect, effects.printed_se, effects.z, rows.n, v, rows.turned)
        rows.drop(~(np.isfinite(beta) & np.isfinite(se) & (se > 0)), "no_effect")
        return {"beta": beta, "se": se}

    def look_at(self, result: TraitRows) -> None:
        """Warns of statistics that are too large, as R does, and says where R's formula is off."""
        mean = float(np.mean(np.abs(result.values["beta"] / result.values["se"])))
        if mean > 5:
            result.warnings.append(
                f"{result.report.path}: effects are {mean:.1f} standard errors large on average, which no trait is: "
                "a column or the scale was misunderstood"
            )
        if self.scale == "odds_ratio" and result.report.flipped:
            result.notes.append(
                f"the standard errors of {result.report.flipped:,} rows with turned alleles are those of R, which are "
                "off by the square of the odds ratio; scale odds_ratio_corrected has them right"
            )
