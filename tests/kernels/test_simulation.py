"""Simulated haplotypes, families, drift and missing calls against the oracle, and their distributions."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.kernels import simulation
from daskgen.kernels.genotype_codes import unpack
from daskgen.kernels.philox import philox_key
from tests.oracles import simulated_haplotypes as oracle

KEY = philox_key(5, "test")


def mosaic(
    first: int, stop: int, starts: list[int], rho: float, frequency: np.ndarray, mirrored: np.ndarray, bounds: list[int]
) -> simulation.Mosaic:
    """The description of variants `first` to `stop` - 1 of those that the arrays describe."""
    rows = np.arange(first, stop)
    return simulation.Mosaic(
        key=KEY,
        first=first,
        contig_first=max(start for start in starts if start <= first),
        rho=rho,
        is_first=np.isin(rows, starts),
        mirrored=mirrored[first:stop],
        frequency=frequency[first:stop],
        bounds=np.array(bounds),
    )


@pytest.fixture
def variants() -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (variants, 3 populations) and mirrored flags of 41 variants; some monomorphic."""
    rng = np.random.default_rng(0)
    frequency = rng.uniform(0, 1, (41, 3))
    frequency[7], frequency[8] = 0.0, 1.0
    return frequency, rng.integers(0, 2, 41).astype(bool)


STARTS = [0, 13, 14, 30]


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("n", [1, 2, 4, 7, 2053])
def test_unrelated_samples_equal_the_oracle(variants: tuple[np.ndarray, np.ndarray], n: int, rho: float) -> None:
    frequency, mirrored = variants
    groups = -(-n // 2)
    bounds = [0, groups // 3, groups // 2, groups]
    codes = unpack(simulation.unrelated(mosaic(0, 41, STARTS, rho, frequency, mirrored, bounds), n), n)
    assert codes.shape == (41, n)
    for sample in {0, 1 % n, n // 2, n - 1}:
        population = np.searchsorted(bounds, sample // 2, side="right") - 1
        p = frequency[:, population].tolist()
        expected = np.sum(
            [
                oracle.haplotype(h, KEY.tolist(), p, mirrored.tolist(), set(STARTS), rho)
                for h in (2 * sample, 2 * sample + 1)
            ],
            axis=0,
        )
        np.testing.assert_array_equal(codes[:, sample], expected)
    assert (codes[7] == 0).all()
    assert (codes[8] == 2).all()


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("n", [1, 3, 11, 1031])
def test_sibs_equal_the_oracle(variants: tuple[np.ndarray, np.ndarray], n: int, size: int) -> None:
    frequency, mirrored = variants
    groups = -(-n // size)
    contig = np.searchsorted(STARTS, np.arange(41), side="right") - 1
    morgan = np.concatenate([np.sort(np.random.default_rng(c).uniform(0, 3, (contig == c).sum())) for c in range(4)])
    description = mosaic(0, 41, STARTS, 0.8, frequency[:, :1], mirrored, [0, groups])
    where = contig.tolist(), morgan.tolist()
    codes = unpack(simulation.gene_drop(description, n, size, contig, morgan), n)
    for child in {0, n // 2, n - 1}:
        family = child // size
        four = [
            oracle.haplotype(
                4 * family + k, KEY.tolist(), frequency[:, 0].tolist(), mirrored.tolist(), set(STARTS), 0.8
            )
            for k in range(4)
        ]
        expected = np.sum(
            [
                oracle.gamete(2 * child + parent, KEY.tolist(), four[2 * parent : 2 * parent + 2], *where)
                for parent in range(2)
            ],
            axis=0,
        )
        np.testing.assert_array_equal(codes[:, child], expected)


@pytest.mark.parametrize("rho", [0.0, 0.9, 0.99])
@pytest.mark.parametrize("first", [0, 1, 12, 13, 14, 29, 40])
def test_a_chunk_that_begins_anywhere_continues_the_one_before(
    variants: tuple[np.ndarray, np.ndarray], first: int, rho: float
) -> None:
    frequency, mirrored = variants
    n, bounds = 1100, [0, 100, 200, 550]
    contig = np.searchsorted(STARTS, np.arange(41), side="right") - 1
    morgan = np.arange(41) * 0.4
    whole = mosaic(0, 41, STARTS, rho, frequency, mirrored, bounds)
    part = mosaic(first, 41, STARTS, rho, frequency, mirrored, bounds)
    np.testing.assert_array_equal(simulation.unrelated(whole, n)[first:], simulation.unrelated(part, n))
    np.testing.assert_array_equal(
        simulation.gene_drop(whole, n, 2, contig, morgan)[first:],
        simulation.gene_drop(part, n, 2, contig[first:], morgan[first:]),
    )


@pytest.mark.parametrize("n", [1, 5, 2051])
def test_missing_calls_equal_the_oracle_and_padding_stays_missing(n: int) -> None:
    rate = 0.3
    packed = np.zeros((6, -(-n // 4)), np.uint8)
    packed[:, -1] = 0xFF & ~((1 << 2 * ((n - 1) % 4 + 1)) - 1)
    simulation.set_missing(packed, n, KEY, 100, rate)
    expected = [[oracle.is_missing(100 + row, sample, KEY.tolist(), rate) for sample in range(n)] for row in range(6)]
    np.testing.assert_array_equal(unpack(packed, n) == -1, expected)
    whole = unpack(packed, 4 * packed.shape[1])
    assert (whole[:, n:] == -1).all()


def test_no_call_is_lost_at_rate_zero() -> None:
    packed = np.zeros((3, 2), np.uint8)
    simulation.set_missing(packed, 8, KEY, 0, 0.0)
    assert not packed.any()


@pytest.mark.parametrize("p", [0.01, 0.3])
@pytest.mark.parametrize("fst", [0.01, 0.2, 0.9])
def test_drift_has_the_mean_and_variance_of_balding_and_nichols(p: float, fst: float) -> None:
    m, populations = 20_000, 3
    found = simulation.drift(np.full(m, p), fst, populations, KEY, 0)
    assert found.shape == (m, populations)
    assert ((found >= 0) & (found <= 1)).all()
    variance = fst * p * (1 - p)
    n = m * populations
    assert abs(found.mean() - p) < 5 * np.sqrt(variance / n)
    # The variance of a sample variance, from the fourth moment of the sample itself.
    fourth = ((found - p) ** 4).mean()
    assert abs(((found - p) ** 2).mean() - variance) < 5 * np.sqrt((fourth - variance**2) / n)
    assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1]) < 5 / np.sqrt(m)


def test_drift_of_a_variant_does_not_depend_on_its_neighbours() -> None:
    frequency = np.random.default_rng(1).uniform(0.01, 0.5, 50)
    whole = simulation.drift(frequency, 0.1, 4, KEY, 10)
    np.testing.assert_array_equal(simulation.drift(frequency[20:30], 0.1, 4, KEY, 30), whole[20:30])
    np.testing.assert_array_equal(simulation.drift(frequency, 0.1, 2, KEY, 10), whole[:, :2])
