"""The update of the markers of one block given all else, on the block's right-hand sides and Gram matrix.

With c_j = x_j' W r at the entry of the block and K = X' W X of its markers, the conditional of the effect of marker j
is, over the classes k of variances v_jk = gamma_k s2_j,

    q = (c_j + d_j a_j) / s2e,   lhs_k = d_j / s2e + 1 / v_jk,
    log p_k = log pi_jk - 1/2 (log lhs_k + log v_jk - q^2 / lhs_k),   a_j ~ N(q / lhs_k, 1 / lhs_k),

a class of variance 0 having log p_k = log pi_jk. With two classes of which the first has variance 0, a uniform u
includes the marker if u < P(included), which is

    q^2 > 2 lhs_1 (log pi_j0 - log pi_j1 + log(u / (1 - u)) + 1/2 log(lhs_1 v_j1)).

The right side needs nothing of the markers before it, so that the threads of a team share its logarithms
(`prepare_draws`), and what has to be done marker after marker is a multiplication and a comparison. After each change
c_k += K_kj (a_old - a_new), which keeps c equal to x' W r with the residual as it would be after single-site updates.
Sources: Habier et al. 2011 (BayesC pi), Erbe et al. 2012 (BayesR), Breen et al. 2022 (blocks).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from daskgen.kernels.compile import helper
from daskgen.kernels.gibbs_updates import MARKER
from daskgen.kernels.random_draws import normal_quantile, two_uniforms

__all__ = ["prepare_draws", "sample_block"]

Vector = npt.NDArray[np.float64]


@helper
def prepare_draws(
    start: int,
    first: int,
    last: int,
    iteration: int,
    repeat: int,
    key: npt.NDArray[np.uint32],
    given_uniform: Vector,
    given_normal: Vector,
    diagonal: Vector,
    marker_variance: Vector,
    common_variance: float,
    gamma: Vector,
    log_pi: npt.NDArray[np.float64],
    residual_variance: float,
    deciding: Vector,
    normals: Vector,
) -> None:
    """What `sample_block` needs of chance for the markers `first` to `last` - 1 of the block that begins at `start`.

    given_uniform, given_normal: of all markers, to be used in place of drawn numbers, or empty. deciding: (b,),
    changed: what q^2 must exceed where there are two classes and the first has variance 0, else the uniform. normals:
    (b,), changed: given ones and, where each marker has its own variance, standard normals, else uniforms of which the
    normal is the quantile, which only included markers need.
    """
    per_marker = log_pi.shape[1] > 1
    spike_and_slab = gamma.size == 2 and gamma[0] == 0.0
    for j in range(first, last):
        i = j - start
        if given_uniform.size:
            u, normal = given_uniform[j], given_normal[j]
        else:
            u, normal = two_uniforms(iteration, j, repeat, MARKER, key)
            if marker_variance.size:
                normal = normal_quantile(normal)
        normals[i] = normal
        deciding[i] = u
        if spike_and_slab:
            variance = marker_variance[j] if marker_variance.size else common_variance
            column = j if per_marker else 0
            odds = log_pi[0, column] - log_pi[1, column]
            v = gamma[1] * variance
            if v > 0.0:
                lhs = diagonal[j] / residual_variance + 1.0 / v
                against = u / (1.0 - u)
                deciding[i] = lhs * (2.0 * odds + math.log(against * against * (lhs * v)))
            else:
                deciding[i] = -np.inf if u < 1.0 / (1.0 + math.exp(odds)) else np.inf


@helper
def sample_block(
    start: int,
    stop: int,
    right: Vector,
    gram: Vector,
    gram_single: npt.NDArray[np.float32],
    diagonal: Vector,
    effect: Vector,
    slab: Vector,
    group: npt.NDArray[np.int8],
    marker_variance: Vector,
    common_variance: float,
    gamma: Vector,
    log_pi: npt.NDArray[np.float64],
    deciding: Vector,
    normals: Vector,
    as_quantiles: bool,
    residual_variance: float,
    weight: Vector,
) -> None:
    """One pass over the markers `start` to `stop` - 1 of a block.

    right: c, changed; gram, gram_single: (b b,), row after row, one of them empty; diagonal: d of all markers; effect,
    slab, group: of all markers, changed: the effect, the effect or, where the class has variance 0, a draw from the
    prior, and the class. marker_variance: s2_j of all markers, empty where `common_variance` holds for all. gamma:
    (classes,). log_pi: (classes, 1), or (classes, markers). deciding, normals: of `prepare_draws`; as_quantiles:
    `normals` holds uniforms p, and the normal is their quantile, which is computed where it is used. weight: work space
    (classes,).

    More than two classes, or two with variances above 0, are drawn as the first whose cumulative probability exceeds u.
    """
    classes = gamma.size
    per_marker = log_pi.shape[1] > 1
    spike_and_slab = classes == 2 and gamma[0] == 0.0
    precision = 1.0 / residual_variance
    for j in range(start, stop):
        i = j - start
        variance = marker_variance[j] if marker_variance.size else common_variance
        old = effect[j]
        d = diagonal[j] * precision
        q = right[i] * precision + d * old
        chosen = 0
        if spike_and_slab:
            chosen = 1 if q * q > deciding[i] else 0
        elif classes > 1:
            column = j if per_marker else 0
            largest = -np.inf
            for k in range(classes):
                v = gamma[k] * variance
                log_p = log_pi[k, column]
                if v > 0.0:
                    lhs = d + 1.0 / v
                    log_p -= 0.5 * (math.log(lhs * v) - q * q / lhs)
                weight[k] = log_p
                largest = max(largest, log_p)
            total = 0.0
            for k in range(classes):
                weight[k] = math.exp(weight[k] - largest)
                total += weight[k]
            cumulative = 0.0
            chosen = classes - 1
            for k in range(classes):
                cumulative += weight[k]
                if deciding[i] < cumulative / total:
                    chosen = k
                    break
        v = gamma[chosen] * variance
        z = 0.0
        if not as_quantiles:
            z = normals[i]
        elif v > 0.0:
            z = normal_quantile(normals[i])
        if v > 0.0:
            lhs = d + 1.0 / v
            new = q / lhs + z / math.sqrt(lhs)
            slab[j] = new
        else:
            new = 0.0
            slab[j] = z * math.sqrt(variance)
        group[j] = chosen
        effect[j] = new
        change = old - new
        if change != 0.0:
            row = i * (stop - start)
            if gram.size:
                for k in range(stop - start):
                    right[k] += gram[row + k] * change
            else:
                for k in range(stop - start):
                    right[k] += gram_single[row + k] * change
