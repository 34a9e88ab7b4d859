"""Draws inside compiled loops, each a function of a key and a counter: normal, gamma, chi-square, beta.

A draw has the counter (iteration, index, step, purpose) of :mod:`daskgen.kernels.philox`; a rejection sampler counts
its tries in `step`. So every draw of a chain can be had in any order, by any thread, and again after a restart.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from daskgen.kernels.compile import helper
from daskgen.kernels.philox import philox, uniform

__all__ = ["chi_square", "gamma", "normal_quantile", "two_uniforms", "uniform_and_normal"]

Words = npt.NDArray[np.uint32]


@helper
def normal_quantile(p: float) -> float:
    """The x with Phi(x) = p, 0 < p < 1, to about 1e-16 relative.

    Source: Wichura (1988), Algorithm AS 241 (PPND16), Applied Statistics 37, 477-484.
    """
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        numerator = (
            (
                (
                    (
                        ((2509.0809287301226727 * r + 33430.575583588128105) * r + 67265.770927008700853) * r
                        + 45921.953931549871457
                    )
                    * r
                    + 13731.693765509461125
                )
                * r
                + 1971.5909503065514427
            )
            * r
            + 133.14166789178437745
        ) * r + 3.3871328727963666080
        denominator = (
            (
                (
                    (
                        ((5226.4952788528545610 * r + 28729.085735721942674) * r + 39307.895800092710610) * r
                        + 21213.794301586595867
                    )
                    * r
                    + 5394.1960214247511077
                )
                * r
                + 687.18700749205790830
            )
            * r
            + 42.313330701600911252
        ) * r + 1.0
        return q * numerator / denominator
    r = math.sqrt(-math.log(p if q < 0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        numerator = (
            (
                (
                    (
                        ((7.74545014278341407640e-4 * r + 2.27238449892691845833e-2) * r + 2.41780725177450611770e-1)
                        * r
                        + 1.27045825245236838258
                    )
                    * r
                    + 3.64784832476320460504
                )
                * r
                + 5.76949722146069140550
            )
            * r
            + 4.63033784615654529590
        ) * r + 1.42343711074968357734
        denominator = (
            (
                (
                    (
                        ((1.05075007164441684324e-9 * r + 5.47593808499534494600e-4) * r + 1.51986665636164571966e-2)
                        * r
                        + 1.48103976427480074590e-1
                    )
                    * r
                    + 6.89767334985100004550e-1
                )
                * r
                + 1.67638483018380384940
            )
            * r
            + 2.05319162663775882187
        ) * r + 1.0
    else:
        r -= 5.0
        numerator = (
            (
                (
                    (
                        ((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 1.24266094738807843860e-3)
                        * r
                        + 2.65321895265761230930e-2
                    )
                    * r
                    + 2.96560571828504891230e-1
                )
                * r
                + 1.78482653991729133580
            )
            * r
            + 5.46378491116411436990
        ) * r + 6.65790464350110377720
        denominator = (
            (
                (
                    (
                        ((2.04426310338993978564e-15 * r + 1.42151175831644588870e-7) * r + 1.84631831751005468180e-5)
                        * r
                        + 7.86869131145613259100e-4
                    )
                    * r
                    + 1.48753612908506148525e-2
                )
                * r
                + 1.36929880922735805310e-1
            )
            * r
            + 5.99832206555887937690e-1
        ) * r + 1.0
    x = numerator / denominator
    return -x if q < 0 else x


@helper
def two_uniforms(iteration: int, index: int, step: int, purpose: int, key: Words):
    """Two independent uniforms on (0, 1) of one counter; the quantile of the second is that of `uniform_and_normal`."""
    a, b, c, d = philox(np.uint32(iteration), np.uint32(index), np.uint32(step), np.uint32(purpose), key[0], key[1])
    return uniform(a, b), uniform(c, d)


@helper
def uniform_and_normal(iteration: int, index: int, step: int, purpose: int, key: Words):
    """A uniform on (0, 1) and a standard normal, independent, of one counter."""
    a, b, c, d = philox(np.uint32(iteration), np.uint32(index), np.uint32(step), np.uint32(purpose), key[0], key[1])
    return uniform(a, b), normal_quantile(uniform(c, d))


@helper
def gamma(shape: float, iteration: int, index: int, purpose: int, key: Words) -> float:
    """A gamma variate of unit scale.

    Source: Marsaglia and Tsang (2000), A simple method for generating gamma variables, ACM TOMS 26, 363-372; below a
    shape of 1 with the factor U^(1 / shape) of its section 6.
    """
    boost = 1.0
    step = 0
    if shape < 1.0:
        u, _ = uniform_and_normal(iteration, index, step, purpose, key)
        boost = u ** (1.0 / shape)
        shape += 1.0
        step = 1
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        u, x = uniform_and_normal(iteration, index, step, purpose, key)
        step += 1
        v = 1.0 + c * x
        if v <= 0.0:
            continue
        v = v * v * v
        if math.log(u) < 0.5 * x * x + d - d * v + d * math.log(v):
            return boost * d * v


@helper
def chi_square(df: float, iteration: int, index: int, purpose: int, key: Words) -> float:
    """A chi-square variate with `df` > 0 degrees of freedom."""
    return 2.0 * gamma(0.5 * df, iteration, index, purpose, key)
