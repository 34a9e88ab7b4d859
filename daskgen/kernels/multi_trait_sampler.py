"""The update of the markers of one block for several traits, given all else.

Marker j has beta_j ~ N(0, G) and the effects a_j = D_j beta_j, D_j = diag(delta_j), whose states delta_j have the
probabilities Pi. Rows of residuals are N(0, R / weight). With w_k = x_j' W r_k + d_j a_jk for each trait:

Sampler I, trait by trait, q being the others:

    C_0 = (G^-1)_kk,            g_0 = -(G^-1)_kq beta_q / C_0,
    C_1 = C_0 + (R^-1)_kk d_j,  g_1 = (w'(R^-1)_.k - ((G^-1)_kq + d_j (R^-1)_kq delta_q) beta_q) / C_1,
    log p_s = -1/2 (log C_s - g_s^2 C_s) + log Pi(delta with delta_k = s),   beta_k ~ N(g_s, 1 / C_s).

Sampler II, all traits at once, over the states s:

    C_s = d_j D_s R^-1 D_s + G^-1,   g_s = C_s^-1 D_s R^-1 w,
    log p_s = -1/2 (log |C_s| - g_s' D_s R^-1 w) + log Pi_s,   beta ~ N(g_s, C_s^-1).

Both leave the posterior as it is; I cannot leave a state all of whose neighbours have probability 0. Source: Cheng,
Kizilkaya, Zeng, Garrick, Fernando (2018), Genomic prediction from multiple-trait Bayesian regression methods using
mixture priors, Genetics 209, 89-103.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from daskgen.kernels.compile import helper
from daskgen.kernels.small_matrices import factor, invert, solve_factored

__all__ = ["sample_traits"]

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


@helper
def _one_by_one(w, d, code, beta, g_inverse, r_inverse, log_pi, uniforms, normals):
    """Sampler I for one marker: the new state, as a number whose bit k says whether trait k has an effect."""
    traits = w.size
    for k in range(traits):
        c0 = g_inverse[k, k]
        c1 = c0 + r_inverse[k, k] * d
        right0 = 0.0
        right1 = 0.0
        for q in range(traits):
            right1 += w[q] * r_inverse[q, k]
            if q != k:
                prior = g_inverse[k, q] * beta[q]
                right0 -= prior
                right1 -= prior
                if (code >> q) & 1:
                    right1 -= d * r_inverse[k, q] * beta[q]
        without, with_ = code & ~(1 << k), code | (1 << k)
        log_0 = -0.5 * (math.log(c0) - right0 * right0 / c0) + log_pi[without]
        log_1 = -0.5 * (math.log(c1) - right1 * right1 / c1) + log_pi[with_]
        if log_1 > -np.inf and uniforms[k] < 1.0 / (1.0 + math.exp(log_0 - log_1)):
            code = with_
            beta[k] = right1 / c1 + normals[k] / math.sqrt(c1)
        else:
            code = without
            beta[k] = right0 / c0 + normals[k] / math.sqrt(c0)
    return code


@helper
def _precision(code, d, g_inverse, r_inverse, out):
    """d D R^-1 D + G^-1 of a state."""
    traits = out.shape[0]
    for k in range(traits):
        for q in range(traits):
            out[k, q] = g_inverse[k, q]
            if (code >> k) & 1 and (code >> q) & 1:
                out[k, q] += d * r_inverse[k, q]


@helper
def _jointly(w, d, beta, g_inverse, r_inverse, states, log_pi, u, normals, weight, one, other, g, right):
    """Sampler II for one marker: the new state. weight (listed,), one, other (T, T), g, right (T,): work space."""
    traits = w.size
    for k in range(traits):
        right[k] = 0.0
        for q in range(traits):
            right[k] += r_inverse[k, q] * w[q]
    largest = -np.inf
    for s in range(states.size):
        code = states[s]
        _precision(code, d, g_inverse, r_inverse, one)
        log_determinant = factor(one, traits, one)
        for k in range(traits):
            g[k] = right[k] if (code >> k) & 1 else 0.0
        solve_factored(one, traits, g)
        fit = 0.0
        for k in range(traits):
            if (code >> k) & 1:
                fit += g[k] * right[k]
        weight[s] = log_pi[code] - 0.5 * (log_determinant - fit)
        largest = max(largest, weight[s])
    total = 0.0
    for s in range(states.size):
        weight[s] = math.exp(weight[s] - largest)
        total += weight[s]
    cumulative = 0.0
    chosen = states.size - 1
    for s in range(states.size):
        cumulative += weight[s]
        if u < cumulative / total:
            chosen = s
            break
    code = states[chosen]
    _precision(code, d, g_inverse, r_inverse, one)
    factor(one, traits, one)
    for k in range(traits):
        g[k] = right[k] if (code >> k) & 1 else 0.0
    solve_factored(one, traits, g)
    invert(one, traits, other)
    factor(other, traits, other)
    for k in range(traits):
        beta[k] = g[k]
        for q in range(k + 1):
            beta[k] += other[k, q] * normals[q]
    return code


@helper
def sample_traits(
    start: int,
    stop: int,
    right: Matrix,
    gram: Vector,
    gram_single: npt.NDArray[np.float32],
    diagonal: Vector,
    effect: Matrix,
    slab: Matrix,
    group: npt.NDArray[np.int16],
    joint: bool,
    states: npt.NDArray[np.int64],
    log_pi: Vector,
    g_inverse: Matrix,
    r_inverse: Matrix,
    uniforms: Matrix,
    normals: Matrix,
    weight: Vector,
    work: npt.NDArray[np.float64],
) -> None:
    """One pass over the markers `start` to `stop` - 1 of a block.

    right: x' W r, (traits, b or more), changed; gram, gram_single: (b b,), row after row, one of them empty; diagonal:
    d of all markers; effect, slab (P, traits): a and beta, changed; group (P,): states as numbers with a bit for each
    trait, changed. joint: sampler II. states: the numbers of the states that may occur, in the order in which they are
    drawn; log_pi: log probabilities by number of the state. uniforms, normals: (b or more, traits); II takes the first
    uniform. weight: (states,), work: (5, traits, traits).
    """
    traits = effect.shape[1]
    w, change = work[0, 0], work[1, 0]
    for j in range(start, stop):
        i = j - start
        d = diagonal[j]
        for k in range(traits):
            w[k] = right[k, i] + d * effect[j, k]
        if joint:
            code = _jointly(
                w, d, slab[j], g_inverse, r_inverse, states, log_pi, uniforms[i, 0], normals[i], weight, work[2],
                work[3], work[4, 0], change,
            )  # fmt: skip
        else:
            code = _one_by_one(w, d, np.int64(group[j]), slab[j], g_inverse, r_inverse, log_pi, uniforms[i], normals[i])
        group[j] = code
        for k in range(traits):
            new = slab[j, k] if (code >> k) & 1 else 0.0
            change[k] = effect[j, k] - new
            effect[j, k] = new
        for k in range(traits):
            if change[k] != 0.0:
                row = i * (stop - start)
                if gram.size:
                    for m in range(stop - start):
                        right[k, m] += gram[row + m] * change[k]
                else:
                    for m in range(stop - start):
                        right[k, m] += gram_single[row + m] * change[k]
