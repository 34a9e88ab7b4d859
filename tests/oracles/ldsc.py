"""Multivariate LD-score regression as its definition reads: one pair after the other, one block after the other."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass
class Trait:
    """One munged file: parallel lists, in any order, any variants; z = NaN where missing."""

    variant_id: list[str]
    a1: list[str]
    z: np.ndarray
    n: np.ndarray


@dataclass
class Scores:
    """LD scores: parallel lists; M is the number of variants that they sum over, by contig."""

    variant_id: list[str]
    contig: list[int]
    position: list[int]
    score: np.ndarray
    weight: np.ndarray
    m: dict[int, float]


@dataclass
class Regression:
    slope: float
    intercept: float
    pseudo: np.ndarray  # (blocks, 2)
    n_bar: float
    n_variants: int
    mean: float


def joined(trait: Trait, scores: Scores, chisq_max: float | None) -> list[tuple]:
    """(contig, position, id, z, N, a1, L, weight L) of the variants of a trait, in genome order, filtered."""
    where = {name: i for i, name in enumerate(scores.variant_id)}
    rows = []
    for name, a1, z, n in zip(trait.variant_id, trait.a1, trait.z, trait.n, strict=True):
        if name in where and not np.isnan(z) and not np.isnan(n):
            i = where[name]
            rows.append((scores.contig[i], scores.position[i], name, z, n, a1, scores.score[i], scores.weight[i]))
    rows.sort(key=lambda row: row[:2])
    limit = max(0.001 * max(row[4] for row in rows), 80) if chisq_max is None else chisq_max
    return [row for row in rows if row[3] ** 2 <= limit]


def weight(chisq, n, score, weight_ld, m):
    h2 = min(max(m * (np.mean(chisq) - 1) / np.mean(score * n), 0), 1)
    variance = 2 * (1 + h2 * n / m * np.maximum(score, 1)) ** 2
    return np.sqrt(1 / variance / np.maximum(weight_ld, 1))


def regress(y, score, w, n_blocks):
    """Weighted regression of y on [score, 1] with the block jackknife: (estimate (2,), pseudo-values (blocks, 2))."""
    w = w / w.sum()
    x = np.column_stack([score, np.ones_like(score)]) * w[:, None]
    y = y * w
    edges = [int(np.floor(v)) - 1 for v in np.linspace(1, len(y), n_blocks + 1)]
    edges[-1] = len(y)
    estimate = np.linalg.solve(x.T @ x, x.T @ y)
    pseudo = np.empty((n_blocks, 2))
    for block in range(n_blocks):
        others = np.ones(len(y), bool)
        others[edges[block] : edges[block + 1]] = False
        deleted = np.linalg.solve(x[others].T @ x[others], x[others].T @ y[others])
        pseudo[block] = n_blocks * estimate - (n_blocks - 1) * deleted
    return estimate, pseudo


def pair(first: list[tuple], second: list[tuple], m: float, n_blocks: int) -> Regression:
    partner = {row[2]: row for row in second}
    rows = [(row, partner[row[2]]) for row in first if row[2] in partner]
    z_1 = np.array([a[3] if a[5] == b[5] else -a[3] for a, b in rows])
    z_2 = np.array([b[3] for _, b in rows])
    n_1, n_2 = (np.array([r[i][4] for r in rows], float) for i in (0, 1))
    score, weight_ld = (np.array([a[i] for a, _ in rows]) for i in (6, 7))
    w = weight(z_1**2, n_1, score, weight_ld, m) + weight(z_2**2, n_2, score, weight_ld, m)
    estimate, pseudo = regress(z_1 * z_2, score, w, n_blocks)
    n_bar = np.sqrt(n_1.mean() * n_2.mean())
    return Regression(estimate[0], estimate[1], pseudo, n_bar, len(rows), float((z_1 * z_2).mean()))


def liability(sample: float, population: float) -> float:
    if np.isnan(sample):
        return 1.0
    normal = NormalDist()
    density = normal.pdf(normal.inv_cdf(1 - population))
    return population**2 * (1 - population) ** 2 / (sample * (1 - sample) * density**2)


def ldsc(traits, scores, *, n_blocks=200, chisq_max=None, select=None, sample_prev=None, population_prev=None):
    """The dictionary of S, V, I, N, m that GenomicSEM returns, and what else the regressions say."""
    k = len(traits)
    if k > 18:
        n_blocks = (k + 1) * (k + 2) // 2 + 1
    contigs = set(scores.m) if select is None else set(select)
    m = sum(scores.m[c] for c in contigs)
    kept = [i for i, c in enumerate(scores.contig) if c in contigs]
    subset = Scores(
        [scores.variant_id[i] for i in kept],
        [scores.contig[i] for i in kept],
        [scores.position[i] for i in kept],
        scores.score[kept],
        scores.weight[kept],
        {},
    )
    tables = [joined(trait, subset, chisq_max) for trait in traits]
    nan = [float("nan")] * k
    scale = np.array([liability(p, q) for p, q in zip(sample_prev or nan, population_prev or nan, strict=True)])
    cells = [(i, j) for j in range(k) for i in range(j, k)]
    fits = [pair(tables[j], tables[i], m, n_blocks) for i, j in cells]
    s, intercept, se, counts = (np.empty((k, k)) for _ in range(4))
    factor = np.empty(len(cells))
    for c, ((i, j), fit) in enumerate(zip(cells, fits, strict=True)):
        factor[c] = m / fit.n_bar * np.sqrt(scale[i] * scale[j])
        s[i, j] = s[j, i] = fit.slope * factor[c]
        intercept[i, j] = intercept[j, i] = fit.intercept
        se[i, j] = se[j, i] = fit.pseudo[:, 1].std(ddof=1) / np.sqrt(n_blocks)
        counts[i, j] = counts[j, i] = fit.n_variants
    v = np.cov(np.array([fit.pseudo[:, 0] * f for fit, f in zip(fits, factor, strict=True)])) / n_blocks
    deleted = {
        (i, j): (n_blocks * fit.slope - fit.pseudo[:, 0]) / (n_blocks - 1) * f
        for (i, j), fit, f in zip(cells, fits, factor, strict=True)
    }
    rg, rg_se = np.full((k, k), np.nan), np.full((k, k), np.nan)
    for i, j in cells:
        if i != j and s[i, i] > 0 and s[j, j] > 0:
            ratio = s[i, j] / np.sqrt(s[i, i] * s[j, j])
            with np.errstate(invalid="ignore"):
                one_out = deleted[i, j] / np.sqrt(deleted[i, i] * deleted[j, j])
            pseudo = n_blocks * ratio - (n_blocks - 1) * one_out
            rg[i, j] = rg[j, i] = ratio
            rg_se[i, j] = rg_se[j, i] = pseudo.std(ddof=1) / np.sqrt(n_blocks)
    return {
        "S": s,
        "V": np.atleast_2d(v),
        "I": intercept,
        "I_se": se,
        "N": np.array([fit.n_bar for fit in fits]),
        "m": m,
        "n_variants": counts,
        "rg": rg,
        "rg_se": rg_se,
        "mean_chisq": np.array([np.mean([row[3] ** 2 for row in table]) for table in tables]),
        "lambda_gc": np.array([np.median([row[3] ** 2 for row in table]) for table in tables]) / 0.45493642311957283,
    }
