"""Genotypes for property tests: any numbers of variants and samples, codes with and without missing ones."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

# One sample, less and more than a byte, and around the 64-bit words of the counting kernel (32 samples).
AWKWARD_SIZES = (1, 2, 3, 4, 5, 63, 64, 65, 1001)


def codes(max_variants: int = 6, max_samples: int = 140) -> st.SearchStrategy[np.ndarray]:
    """int8 (variants, samples) of codes 0 to 3."""
    shapes = st.tuples(st.integers(1, max_variants), st.integers(1, max_samples))
    return shapes.flatmap(lambda shape: arrays(np.int8, shape, elements=st.integers(0, 3)))


@st.composite
def codes_and_samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Codes, and positions of samples in any order, with repeats, perhaps none."""
    drawn = draw(codes())
    positions = st.lists(st.integers(0, drawn.shape[1] - 1), max_size=2 * drawn.shape[1])
    return drawn, np.array(draw(positions), np.int64)
