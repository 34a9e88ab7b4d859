"""Tapes: what a builder writes down is what a kernel computes, side by side for many SNPs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgen.kernels.lanes import LANES
from daskgen.kernels.sem_sandwich import ResultSlots, compute_results
from daskgen.kernels.tape import TapeBuilder

SIZES = [1, 7, LANES - 1, LANES, LANES + 1, 3 * LANES + 5]


def run(write, inputs):
    """What the values that `write(builder, slots)` returns are at every column of `inputs`."""
    tape = TapeBuilder()
    slots = ResultSlots.on(tape, len(inputs), 0)
    results = [tape.constant(value) for value in write(tape, slots.inputs)]
    n = inputs.shape[1]
    return compute_results(tape.tape(), slots, results, inputs, np.empty((0, n)), np.zeros(n, np.int16))


@pytest.mark.parametrize("n", SIZES)
def test_every_kind_of_instruction_gives_its_value(n):
    x, y, z = values = np.random.default_rng(n).uniform(0.5, 2, (3, n))

    def write(tape, slots):
        a, b, c = slots
        return [
            tape.products([(a, b), (b, c), (c, 2.5)]),
            tape.combination([(2.0, a), (-0.5, c), (3.0, 1.0)]),
            tape.reciprocal(tape.product(a, b)),
            tape.root(c),
            tape.product(tape.root(a), tape.reciprocal(a)),
        ]

    wanted = [x * y + y * z + 2.5 * z, 2 * x - 0.5 * z + 3, 1 / (x * y), np.sqrt(z), x**-0.5]
    np.testing.assert_allclose(run(write, values), wanted, rtol=1e-15)


@given(
    terms=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12),
    constants=st.lists(st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.3]), min_size=3, max_size=3),
)
def test_sums_of_products_of_slots_and_constants_are_those_of_numbers(terms, constants):
    values = np.random.default_rng(0).normal(size=(3, 5))

    def write(tape, slots):
        places = [*slots, *constants]
        return [
            tape.products([(places[i], places[j]) for i, j in terms]),
            tape.combination([(constants[j % 3], places[i]) for i, j in terms]),
        ]

    numbers = [*values, *(np.full(5, c) for c in constants)]
    products = sum((numbers[i] * numbers[j] for i, j in terms), np.zeros(5))
    combination = sum((constants[j % 3] * numbers[i] for i, j in terms), np.zeros(5))
    np.testing.assert_allclose(run(write, values), [products, combination], rtol=1e-13, atol=1e-13)


def test_constants_are_folded_and_nothing_is_computed_twice():
    tape = TapeBuilder()
    a, b = tape.slots(2)
    assert tape.products([(2.0, 3.0), (1.0, 0.5)]) == 6.5
    assert tape.products([(a, 0.0)]) == 0.0
    assert tape.products([(a, 1.0)]) == a
    assert tape.combination([(1.0, a), (2.0, b), (-2.0, b)]) == a
    assert tape.combination([(1.0, a), (-1.0, a)]) == 0.0
    assert tape.reciprocal(4.0) == 0.25
    first = tape.products([(a, b), (a, a)])
    assert tape.products([(a, a), (b, a)]) == first
    assert isinstance(first, int)
    assert len(tape.tape().kind) == 1


def test_no_slot_is_taken_for_the_constant_zero():
    tape = TapeBuilder()
    assert all(slot != 0.0 for slot in tape.slots(3))
    assert tape.products([(tape.slot(), 1.0)]) != 0.0


def test_stages_use_what_earlier_ones_have_computed():
    tape = TapeBuilder()
    (a,) = tape.slots(1)
    square = tape.product(a, a)
    tape.end_stage()
    assert tape.products([(a, a)]) == square
    cube = tape.product(square, a)
    assert cube != square
    assert tape.tape().stage.tolist() == [0, 1, 2]


def test_tapes_that_lack_a_slot_or_a_stage_are_refused():
    tape = TapeBuilder()
    slots = ResultSlots.on(tape, 1, 0)
    made = tape.tape()
    late = tape.constant(3.0)
    data = (np.ones((1, 2)), np.empty((0, 2)), np.zeros(2, np.int16))
    with pytest.raises(ValueError, match="no slot"):
        compute_results(made, slots, [late], *data)
    with pytest.raises(ValueError, match="1 stages"):
        compute_results(made, ResultSlots.on(TapeBuilder(), 1, 0, 2), [], *data)


@pytest.mark.parametrize("order", [1, 2, 5, 9])
@pytest.mark.parametrize("n", [1, LANES + 3])
def test_the_covariance_of_a_tape_is_the_sandwich(order, n):
    rng = np.random.default_rng(order)
    roots = rng.normal(size=(2, n, order, order + 2))
    bread, filling = roots @ roots.transpose(0, 1, 3, 2)
    bread[-1] = np.ones((order, order)) if order > 1 else 0.0
    inputs = np.concatenate([m.reshape(n, -1).T for m in (bread, filling)])
    tape = TapeBuilder()
    slots = ResultSlots.on(tape, len(inputs), 0, order)
    tape.end_stage()
    given_bread, given_filling = slots.inputs[: order**2], slots.inputs[order**2 :]
    for i in range(order):
        for j in range(order):
            tape.put(slots.filling[i * order + j], [(given_filling[i * order + j], 1.0)])
        for j in range(i + 1):
            tape.put(slots.normal[i * (i + 1) // 2 + j], [(given_bread[i * order + j], 1.0)])
    tape.end_stage()
    results = list(slots.covariance)
    outcome = np.zeros(n, np.int16)
    got = compute_results(tape.tape(), slots, results, inputs, np.empty((0, n)), outcome)
    row, column = np.tril_indices(order)
    for snp in range(n - 1):
        inverse = np.linalg.inv(bread[snp])
        np.testing.assert_allclose(got[:, snp], (inverse @ filling[snp] @ inverse)[row, column], rtol=1e-8, atol=1e-10)
    assert outcome.tolist() == [0] * (n - 1) + [2]
    assert np.isnan(got[:, -1]).all()
