"""Whether the covariances say what the parameters are.

A model is locally identified where the Jacobian of vech(Sigma), with that of the equality constraints below it, has as
many independent columns as there are parameters. It is looked at in a point that is not special, so that a rank that is
lacking is the model's and not the point's.
"""

from __future__ import annotations

import numpy as np

from daskgen.errors import InputError
from daskgen.linalg.vech import vech_length
from daskgen.sem.constraints import Constraints
from daskgen.sem.structure import Structure

__all__ = ["check_identified", "lacking"]

_TOLERANCE = 1e-9


def check_identified(structure: Structure, constraints: Constraints, names: tuple[str, ...]) -> None:
    """Raise InputError, with the rank and the parameters concerned, unless the model is identified."""
    p = structure.n_parameters
    if not p:
        return
    rng = np.random.default_rng(20190408)
    lacks: list[int] = list(range(p))
    rank = 0
    for _ in range(3):
        theta = structure.start * (1.0 + 0.4 * rng.random(p)) + 0.1 * np.abs(structure.start).mean() * rng.random(p)
        stacked = np.concatenate([structure.jacobian(theta), constraints.equality.jacobian(theta)])
        found, undetermined = lacking(stacked)
        if found >= rank:
            rank, lacks = found, undetermined
        if rank == p:
            return
    cells = vech_length(len(structure.observed))
    few = f"{p} free parameters, {cells} variances and covariances of {len(structure.observed)} traits"
    raise InputError(
        "the model is not identified: other values of its parameters imply the same covariances.",
        found=f"{few}; rank {rank}\nundetermined: {', '.join(names[i] for i in lacks)}",
        expected=f"rank {p}",
        do="fix a loading or the variance of each factor, or leave paths out" if rank < p else None,
    )


def lacking(jacobian: np.ndarray, tolerance: float = _TOLERANCE) -> tuple[int, list[int]]:
    """(rank, columns that have a part in a direction that changes nothing) of a matrix (cells, parameters).

    tolerance: singular value, of the columns at length one and relative to the largest, that counts as zero.
    """
    p = jacobian.shape[1]
    size = np.sqrt((jacobian**2).sum(axis=0))
    zero = ~(size > 0)
    scaled = jacobian / np.where(zero, 1.0, size)
    _, singular, right = np.linalg.svd(scaled, full_matrices=True)
    rank = int((singular > tolerance * max(singular.max(initial=0.0), 1e-300)).sum())
    null = np.abs(right[rank:])
    return rank, [i for i in range(p) if null[:, i].max(initial=0.0) > 1e-6]
