"""Philox4x32-10: the published vectors, lanes equal to single counters, keys that differ."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.kernels.philox import as_uniform, philox_key, philox_words
from tests.oracles.simulated_haplotypes import philox

# Random123 1.14, tests/kat_vectors: counter, key, words.
PUBLISHED = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), PUBLISHED)
def test_published_vectors(counter: tuple[int, ...], key: tuple[int, ...], words: tuple[int, ...]) -> None:
    assert philox(counter, key) == words
    np.testing.assert_array_equal(philox_words(np.array(key, np.uint32), [counter]), [words])


@pytest.mark.parametrize("n", [0, 1, 17])
def test_rows_of_counters_equal_the_oracle(n: int) -> None:
    counters = np.random.default_rng(n).integers(0, 2**32, (n, 4), dtype=np.uint32)
    key = philox_key(3, "test")
    expected = [philox(counter, key.tolist()) for counter in counters.tolist()]
    np.testing.assert_array_equal(philox_words(key, counters), np.array(expected, np.uint32).reshape(n, 4))


def test_keys_differ_by_seed_purpose_and_chain_and_stay_what_they_are() -> None:
    keys = {tuple(philox_key(*arguments)) for arguments in [(0, "a"), (1, "a"), (0, "b"), (0, "a", 1), (10**30, "a")]}
    assert len(keys) == 5
    # Stores of earlier versions can be made again only while keys are the same on every machine.
    assert philox_key(0, "genotypes").tolist() == [42378866, 1550598474]


def test_uniform_numbers_lie_inside_the_interval() -> None:
    words = np.array([0, 1, 2**31, 2**32 - 1], np.uint32)
    for numbers in (as_uniform(words), as_uniform(words, words[::-1].copy())):
        assert (numbers > 0).all()
        assert (numbers < 1).all()
        assert (np.diff(numbers) > 0).all()
    assert as_uniform(words[:1], words[-1:])[0] < 2.0**-32
