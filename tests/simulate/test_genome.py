"""Contigs of a simulated genome: numbers, positions, names."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from daskgen.errors import UsageError
from daskgen.simulate.genome import genome_of


@pytest.mark.parametrize("m", [1, 5, 22, 1009, 100_000])
def test_human_autosomes_share_variants_by_length(m: int) -> None:
    genome = genome_of(None, m)
    assert genome.names == tuple(map(str, range(1, 23)))
    share = np.array(genome.lengths) / sum(genome.lengths)
    assert sum(genome.lengths) == 2_875_001_522
    assert np.abs(np.diff(genome.edges) - share * m).max() <= 1
    assert genome.edges[-1] == m


def test_a_number_of_contigs_and_named_ones() -> None:
    assert genome_of(3, 9).names == ("1", "2", "3")
    assert genome_of(3, 9).edges.tolist() == [0, 3, 6, 9]
    genome = genome_of({"chrA": 3000, "chrB": 1000}, 8)
    assert (genome.names, genome.edges.tolist()) == (("chrA", "chrB"), [0, 6, 8])


@hypothesis.given(
    st.lists(st.integers(50, 2**31 - 1), min_size=1, max_size=5), st.integers(1, 60), st.integers(0, 2**32 - 1)
)
def test_positions_differ_and_increase_within_their_contig(lengths: list[int], m: int, seed: int) -> None:
    genome = genome_of({f"c{i}": length for i, length in enumerate(lengths)}, m)
    contig = genome.contig(0, m)
    position = genome.position(0, m, np.random.default_rng(seed).uniform(0, 1, m))
    assert position.dtype == np.int32
    assert (position >= 1).all()
    assert (position <= np.array(lengths)[contig]).all()
    if (np.diff(genome.edges) <= lengths).all():
        assert (np.diff(position)[np.diff(contig) == 0] > 0).all()
    np.testing.assert_allclose(genome.centimorgan(position), position / 1e6)


@pytest.mark.parametrize("contigs", [0, -1, {}, {"1": 0}, {"1": 2**31}, {"1": "long"}])
def test_other_contigs_are_refused(contigs: object) -> None:
    with pytest.raises(UsageError, match="contigs are not as expected"):
        genome_of(contigs, 10)  # type: ignore[arg-type]
