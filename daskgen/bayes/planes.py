"""Vectors over samples in the order of packed genotypes: four planes, sample 4 i + k at place i of plane k."""

from __future__ import annotations

import numpy as np

from daskgen.kernels.genotype_layout import packed_width

__all__ = ["from_planes", "to_planes"]


def to_planes(vector: np.ndarray) -> np.ndarray:
    """float64 (..., samples) -> (..., 4, bytes); places past the last sample are 0."""
    values = np.asarray(vector, np.float64)
    n = values.shape[-1]
    width = packed_width(n)
    padded = np.zeros((*values.shape[:-1], 4 * width))
    padded[..., :n] = values
    return np.ascontiguousarray(padded.reshape(*values.shape[:-1], width, 4).swapaxes(-1, -2))


def from_planes(planes: np.ndarray, n_samples: int) -> np.ndarray:
    """(..., 4, bytes) -> (..., samples)."""
    flat = np.ascontiguousarray(planes.swapaxes(-1, -2)).reshape(*planes.shape[:-2], -1)
    return flat[..., :n_samples]
