"""Probability blocks of BGEN against the decoder that goes through them one number at a time."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.kernels import bgen_probabilities as kernels
from tests.oracles import bgen


def decode(blocks: list[bytes], n_samples: int, allele: int = 1, layout: int = 2) -> kernels.DecodedBlocks:
    data = np.frombuffer(b"".join(blocks) + bytes(kernels.PADDING), np.uint8)
    starts = np.cumsum([0, *map(len, blocks)])
    return kernels.decode_blocks(data, starts, np.full(len(blocks), allele), n_samples, layout)


def check(blocks: list[bytes], n_samples: int, allele: int = 1, layout: int = 2) -> None:
    found = decode(blocks, n_samples, allele, layout)
    assert found.status.tolist() == [kernels.GOOD] * len(blocks)
    for row, info, block in zip(found.dosage, found.info, blocks, strict=True):
        expected, measure = bgen.dosages(block, allele, layout)
        np.testing.assert_array_equal(row == 65535, [value is None for value in expected])
        for steps, value in zip(row.tolist(), expected, strict=True):
            # The nearest step, so that at most half a step is lost.
            assert value is None or abs(steps / 16384 - value) <= 0.5 / 16384 + 1e-12
        np.testing.assert_allclose(info, measure, rtol=1e-5, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("phased", [False, True])
@pytest.mark.parametrize("bits", [*range(1, 18), 24, 25, 31, 32])
def test_every_number_of_bits(bits: int, phased: bool) -> None:
    rng = np.random.default_rng(bits)
    blocks = [bgen.random_block(rng, n, bits=bits, phased=phased) for n in (17, 17, 17)]
    for allele in (0, 1):
        check(blocks, 17, allele)


@pytest.mark.parametrize("n_samples", [1, 2, 31, 257])
def test_awkward_numbers_of_samples(n_samples: int) -> None:
    rng = np.random.default_rng(n_samples)
    for bits in (3, 8, 16):
        check([bgen.random_block(rng, n_samples, bits=bits) for _ in range(4)], n_samples)


@pytest.mark.parametrize("phased", [False, True])
@pytest.mark.parametrize("n_alleles", [2, 3, 5])
@pytest.mark.parametrize("ploidies", [(2,), (1,), (1, 2), (0, 1, 2)])
def test_several_alleles_and_mixed_ploidy(ploidies: tuple[int, ...], n_alleles: int, phased: bool) -> None:
    rng = np.random.default_rng(n_alleles)
    for bits in (5, 8, 16):
        block = bgen.random_block(rng, 23, bits=bits, phased=phased, n_alleles=n_alleles, ploidies=ploidies)
        for allele in range(n_alleles):
            check([block], 23, allele)


def test_layout_1() -> None:
    rng = np.random.default_rng(1)
    thirds = np.floor(rng.dirichlet([0.2, 0.2, 0.2], (3, 41)) * 32768).astype(np.uint16)
    thirds[1, 7] = 0  # missing
    for allele in (0, 1):
        check([bgen.block_1(rows) for rows in thirds], 41, allele, layout=1)


def test_nobody_called_and_an_absent_allele() -> None:
    nobody = bgen.block_2([0] * 10, 5, missing=range(5))
    absent = bgen.block_2([255, 0] * 5, 5)
    found = decode([nobody, absent], 5)
    assert (found.dosage[0] == 65535).all()
    assert np.isnan(found.info[0])
    assert (found.dosage[1] == 0).all()
    assert found.info[1] == 1


def test_damage_is_told_by_block() -> None:
    good = bgen.block_2([255, 0] * 5, 5)
    other_size = bgen.block_2([255, 0] * 6, 6)
    triploid = bgen.block_2([255, 0, 0] * 5, 5, ploidy=3)
    no_bits = good[:14] + b"\x00" + good[15:]
    too_much = bgen.block_2([200, 100] * 5, 5)
    one_allele = bgen.block_2([], 5, n_alleles=1)
    mixed = bgen.block_2([255, 0] * 4 + [255], 5, ploidy=[2, 2, 2, 2, 1])
    blocks = [good, good[:-1], good[:8], other_size, triploid, no_bits, too_much, one_allele, mixed[:-1], good]
    expected = [
        kernels.GOOD,
        kernels.CUT,
        kernels.CUT,
        kernels.WRONG_SAMPLES,
        kernels.WRONG_PLOIDY,
        kernels.WRONG_BITS,
        kernels.WRONG_SUM,
        kernels.WRONG_ALLELES,
        kernels.CUT,
        kernels.GOOD,
    ]
    assert decode(blocks, 5).status.tolist() == expected
    assert decode([good], 5, allele=2).status.tolist() == [kernels.WRONG_ALLELES]
    assert decode([bytes(29)], 5, layout=1).status.tolist() == [kernels.CUT]


def test_arguments_are_checked() -> None:
    good = np.frombuffer(bgen.block_2([255, 0] * 5, 5), np.uint8)
    with pytest.raises(ValueError, match="followed by padding"):
        kernels.decode_blocks(good, np.array([0, len(good)]), np.array([1]), 5, 2)
    with pytest.raises(TypeError, match="allele must be int64"):
        kernels.decode_blocks(good, np.array([0, 1]), np.array([1], np.int32), 5, 2)
