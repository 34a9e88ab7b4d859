"""Mixed models that leave one group of contigs out at a time, from one fit: P_k y, and what x'P_k x is.

Component g without group k is K_g,-k = (c_g K_g - c_gk K_gk) / (c_g - c_gk), c_gk its variants in the group that vary;
its variance theta_g stays (`refit`: is estimated again). Two ways (see `mixed_association`):

- exact: dense matrices, P_k by inversion, x'P_k x for every variant;
- streamed: all left-out systems H_k q_k = y of all phenotypes, and those of the random variants that calibrate the
  denominator, in one block of conjugate gradients: a pass over the genotypes serves all columns.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daskgen.errors import UsageError
from daskgen.genotypes.source import UNPLACED, GenotypeSource
from daskgen.genotypes.view import GenotypeView
from daskgen.kernels.standardised import standardised
from daskgen.linalg.conjugate_gradient import ConjugateGradients
from daskgen.reml.dense_model import DenseModel
from daskgen.reml.design import Design
from daskgen.reml.graph import relationship_matrices
from daskgen.reml.journal import Journal
from daskgen.reml.left_out_graph import left_out_products
from daskgen.reml.mixed_association import LeftOut
from daskgen.reml.relationships import Relationships

__all__ = ["ContigGroups", "Problem", "exact_models", "predict_seconds", "streamed_models"]

log = logging.getLogger("daskgen.reml")

UNPLACED_NAME = "unplaced"
CALIBRATION = 40
"""Random variants whose exact denominators calibrate the others'."""

_TOLERANCE = 1e-5  # relative residual of a solve; products are rounded at 1e-6
_BATCH_BYTES = 1_000_000_000  # of dense matrices of several groups at once
_BLOCK = 256  # variants decoded together

# Seconds on one core, as in `choosing`.
_MATRIX, _INVERSE, _DECODE, _COLUMN = 1.0e-11, 8e-11, 2.0e-10, 4.5e-11
_PASSES = 25


@dataclass(frozen=True)
class ContigGroups:
    """Names of groups of contigs, and the group of each contig."""

    names: tuple[str, ...]
    of_contig: Mapping[str, int]

    @classmethod
    def of(cls, sources: Sequence[GenotypeSource], given: str | Mapping[str, str]) -> ContigGroups:
        """The contigs of the model's sources, each alone ("contig") or as `given` (contig -> group) joins them.

        Contigs that are not placed on a chromosome are one group. Raises UsageError for what is not understood.
        """
        if given != "contig" and not isinstance(given, Mapping):
            raise UsageError(
                f"loco_groups = {given!r} is not understood.", expected='"contig", or a mapping contig -> group'
            )
        joined = {} if isinstance(given, str) else {str(contig): str(name) for contig, name in given.items()}
        group_of: dict[str, str] = {}
        for source in sources:
            contig, placed = source.contig, source.ploidy_class != UNPLACED
            for name in dict.fromkeys(contig.tolist()):
                alone = str(name) if name and placed[contig == name].all() else UNPLACED_NAME
                group_of[str(name)] = joined.get(str(name), alone)
        unknown = [contig for contig in joined if contig not in group_of]
        if unknown:
            raise UsageError("loco_groups names contigs that the model has not.", found=", ".join(unknown[:8]))
        names = tuple(dict.fromkeys(group_of.values()))
        return cls(names, {contig: names.index(name) for contig, name in group_of.items()})

    def of_variants(self, source: GenotypeSource, variants: np.ndarray | None) -> np.ndarray:
        """int64 per variant: its group, -1 where the model has no variant of its contig."""
        contig = source.contig if variants is None else source.contig[variants]
        known, inverse = np.unique(contig.astype(str), return_inverse=True)
        return np.array([self.of_contig.get(name, -1) for name in known.tolist()], np.int64)[inverse]


@dataclass(frozen=True, eq=False)
class Problem:
    """The phenotypes of one group of samples.

    relationships: of the model; groups: contig group of each variant, by part of the model; n_groups: K; design: of
    the fixed effects; values: y (n, t); theta (t, G + 1); scanned: the tested variants in these samples; scanned_group
    (m,): their contig groups.
    """

    relationships: Relationships
    groups: Sequence[np.ndarray]
    n_groups: int
    design: Design
    values: np.ndarray
    theta: np.ndarray
    scanned: GenotypeView
    scanned_group: np.ndarray

    @property
    def needed(self) -> np.ndarray:
        """The groups that have variants to be tested, -1 among them where some are of no group."""
        return np.unique(self.scanned_group)

    def counted(self, k: int) -> np.ndarray:
        """c_g - c_gk (G,) for the group k, c_g for -1."""
        found = [
            ((part.weights > 0) & (group[:, None] != k)).sum(axis=0)
            for part, group in zip(self.relationships.parts, self.groups, strict=True)
        ]
        return np.concatenate(found)

    def empty(self) -> LeftOut:
        """The result before it is known."""
        n, t = self.values.shape
        return LeftOut(self.scanned_group, np.zeros((self.n_groups + 1, n, t)))


def predict_seconds(problem: Problem) -> tuple[float, float]:
    """(exact, streamed) on one core."""
    n, t = problem.values.shape
    k, m = len(problem.needed), problem.relationships.n_variants
    exact = k * t * _INVERSE * n**3 + 2 * _MATRIX * n**2 * m + 2.5e-11 * t * n**2 * problem.scanned.n_variants
    columns = t * (k + CALIBRATION)
    return exact, _PASSES * float(n) * m * (_DECODE + _COLUMN * columns)


# Exact ----------------------------------------------------------------------------------------------------------------


def exact_models(
    problem: Problem, *, refit: bool = False, journal: Journal | None = None
) -> tuple[LeftOut, np.ndarray]:
    """(P_k y and x'P_k x of every tested variant, variances (K + 1, t, G + 1)) with dense matrices.

    journal: keeps the groups that are done.
    """
    found, journal = problem.empty(), journal or Journal()
    t = problem.values.shape[1]
    denominator = np.full((problem.scanned.n_variants, t), np.nan)
    variances = np.tile(problem.theta, (problem.n_groups + 1, 1, 1))
    done: list[int] = []
    if (known := journal.known("exact")) is not None:
        found.projected[...], denominator[...], variances[...] = (
            known[name] for name in ("projected", "denominator", "variances")
        )
        done = known["done"].tolist()
    journal.keep(
        "exact",
        lambda: {
            "projected": found.projected,
            "denominator": denominator,
            "variances": variances,
            "done": np.array(done, np.int64),
        },
    )
    for k, matrices in _left_out_matrices(problem, done):
        # Components that have variants only in the group are left out with it.
        used = np.flatnonzero(problem.counted(k) > 0)
        model = DenseModel(matrices[used], problem.design)
        at = np.append(used, len(problem.theta[0]) - 1)
        chosen = problem.scanned_group == k
        for i in range(t):
            y = np.ascontiguousarray(problem.values[:, i])
            theta = problem.theta[i][at]
            if refit and len(used):
                theta = model.fit(y).theta
                variances[k, i] = 0.0
                variances[k, i, at] = theta
            inverse = model.inverse(theta)[0]
            found.projected[k, :, i] = problem.design.residual(inverse @ y)
            for rows, x in _centred_blocks(problem.scanned, chosen):
                denominator[rows, i] = np.einsum("vn,vn->v", x @ inverse, x)
        done.append(k)
        journal.write()
    return LeftOut(found.group, found.projected, None, denominator), variances


def _left_out_matrices(problem: Problem, done: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """(k, K_g,-k of every component (G, n, n)) of the groups that are needed and not done."""
    relationships = problem.relationships
    needed = problem.needed[~np.isin(problem.needed, done)]
    if not len(needed):
        return
    n, full, counted = problem.values.shape[0], relationships.dense(), relationships.counted
    relationships.passes += 1
    if needed[0] == -1:
        yield -1, full
        needed = needed[1:]
    g = len(full)
    batch = max(1, _BATCH_BYTES // (8 * n * n * g))
    for start in range(0, len(needed), batch):
        groups = needed[start : start + batch]
        parts = []
        for part, group in zip(relationships.parts, problem.groups, strict=True):
            inside = group[:, None] == groups
            # (variants, components of the part x groups)
            weights = (part.weights[:, :, None] * inside[:, None, :]).reshape(len(inside), -1)
            matrices = relationship_matrices(part.operator, weights)
            parts.append(matrices.reshape(-1, len(groups), n, n))
        taken = np.concatenate(parts)
        for i, k in enumerate(groups.tolist()):
            left = problem.counted(k)
            share = counted / np.maximum(left, 1)
            yield k, (full - taken[:, i]) * share[:, None, None]


def _centred_blocks(view: GenotypeView, chosen: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(positions, x - mean with 0 for missing calls, float64 (v, n)) of the chosen variants, block by block."""
    for index, (_, _, rows) in enumerate(view.chunk_rows):
        inside = np.flatnonzero(chosen[rows])
        if not len(inside):
            continue
        block = np.ascontiguousarray(view.read_codes(index)[inside])
        mean = view.moments_of(block).centre()
        for start in range(0, len(inside), _BLOCK):
            part = slice(start, start + _BLOCK)
            x = standardised(block[part], mean[part], np.ones(len(mean[part])), view.n_samples)
            yield rows.start + inside[part], x


# Streamed -------------------------------------------------------------------------------------------------------------


def streamed_models(
    problem: Problem, *, testable: np.ndarray, seed: int = 0, journal: Journal | None = None
) -> LeftOut:
    """P_k y and the calibrated denominators gamma by conjugate gradients.

    testable: bool (m,), the tested variants that may calibrate; journal: keeps the state between passes.
    """
    found = problem.empty()
    needed, t = problem.needed, problem.values.shape[1]
    generator = np.random.default_rng(seed)
    eligible = np.flatnonzero(testable)
    picked = np.sort(generator.permutation(eligible)[: min(CALIBRATION, len(eligible))])
    chosen = np.zeros(len(testable), bool)
    chosen[picked] = True
    x = np.concatenate([block for _, block in _centred_blocks(problem.scanned, chosen)]).T
    x = problem.design.residual(x)
    y = problem.design.residual(problem.values)
    # Columns: each phenotype for each group, then the variants for each phenotype.
    right = np.hstack([np.tile(y, len(needed)), *([x] * t)])
    own = np.concatenate([np.repeat(needed, t), np.tile(problem.scanned_group[picked], t)])
    trait = np.concatenate([np.tile(np.arange(t), len(needed)), np.repeat(np.arange(t), len(picked))])
    solved, residual, passes = _solve(problem, right, own, trait, journal or Journal())
    if residual > 10 * _TOLERANCE:
        log.warning("the left-out solves stopped at a relative residual of %.1e", residual)
    first = solved[:, : t * len(needed)].reshape(len(x), len(needed), t)
    found.projected[needed] = first.transpose(1, 0, 2)
    squares = np.einsum("nv,nv->v", x, x)
    ratio = np.einsum("ntv,nv->tv", solved[:, t * len(needed) :].reshape(len(x), t, -1), x) / squares
    gamma = ratio.mean(axis=1)
    spread = ratio.std(axis=1, ddof=1) / gamma
    log.info(
        "Left out   %d groups of contigs, %d passes; denominators from %d variants, which differ by %s",
        int((needed >= 0).sum()),
        passes,
        len(picked),
        ", ".join(f"{value:.1%}" for value in spread),
    )
    return LeftOut(found.group, found.projected, gamma)


def _solve(
    problem: Problem, right: np.ndarray, own: np.ndarray, trait: np.ndarray, journal: Journal
) -> tuple[np.ndarray, float, int]:
    """(P_k(j) b_j of every column j, largest relative residual, passes); right (n, r): M B."""
    design, theta = problem.design, problem.theta
    factors = np.empty((theta.shape[1] - 1, len(own)))
    for k in np.unique(own):
        columns = np.flatnonzero(own == k)
        left = problem.counted(int(k))
        factors[:, columns] = np.where(left > 0, 1.0 / np.maximum(left, 1), 0.0)[:, None] * theta[trait[columns], :-1].T
    residual_variance = theta[trait, -1]

    def apply(vectors: np.ndarray, columns: np.ndarray) -> np.ndarray:
        total = vectors * residual_variance[columns]
        first = 0
        for part, group in zip(problem.relationships.parts, problem.groups, strict=True):
            g = slice(first, first + len(part.components))
            first = g.stop
            total += left_out_products(
                part.operator, part.weights > 0, group, factors[g][:, columns], own[columns], vectors
            )
        return design.residual(total)

    solves = ConjugateGradients(right, tol=_TOLERANCE)
    if (known := journal.known("solves")) is not None:
        solves.restore(known)
    journal.keep("solves", solves.as_arrays)
    while (wanted := solves.wanted) is not None:
        solves.advance(apply(*wanted))
        journal.write()
    solution = solves.solution
    return design.residual(solution.solution), float(solution.residual.max()), solution.products
