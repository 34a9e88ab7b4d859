"""Arithmetic that is known only at run time, as a list of sums of products: what a model asks for, without a compiler.

A structural model is polynomial arithmetic in its parameters with most terms zero. `TapeBuilder` writes it down once
per model, symbolically, leaving out what is zero and whatever was computed before; `run_tape` then goes through the
list for all SNPs of a group side by side (see `lanes`). A slot holds one quantity, a value of the builder is a slot or
a constant:

    b = TapeBuilder()
    x, y = b.slot(), b.slot()
    z = b.products([(x, y), (x, 2.0)])        # x y + 2 x
    tape = b.tape()

The same tape serves any array with the SNPs side by side, those of a GPU included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array
from daskgen.kernels.lanes import divide, fill, load, multiply_add, root, store

__all__ = ["TAPE_TYPES", "Tape", "TapeBuilder", "Value", "run_tape"]

Value = int | float
"""An int is a slot, a float a constant."""

_PRODUCTS, _COMBINATION, _RECIPROCAL, _ROOT = range(4)

TAPE_TYPES = (
    *[input_array(types.int8, 1)],
    *[input_array(types.int32, 1)] * 4,
    input_array(types.float64, 1),
    input_array(types.int64, 1),
)
"""Numba types of `Tape.arrays()`."""


@dataclass(frozen=True, eq=False)
class Tape:
    """Instructions: n of them, with terms in all.

    kind: int8 (n,). target: int32 (n,), the slot that is written. start: int32 (n + 1,), where its terms begin.
    left, right: int32 (terms,), slots; factor: float64 (terms,). A sum of products is sum left right, a combination
    sum factor left, a reciprocal 1 / left and a root sqrt(left) of its one term.
    stage: int64 (stages + 1,), the instructions at which stages begin. n_slots: slots that the memory must have.
    constant_slot: int32 (constants,), constant: float64 (constants,), what they hold before the first stage.
    """

    kind: npt.NDArray[np.int8]
    target: npt.NDArray[np.int32]
    start: npt.NDArray[np.int32]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    factor: npt.NDArray[np.float64]
    stage: npt.NDArray[np.int64]
    n_slots: int
    constant_slot: npt.NDArray[np.int32]
    constant: npt.NDArray[np.float64]

    @property
    def n_stages(self) -> int:
        """Stages, the last one included."""
        return len(self.stage) - 1

    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """What `run_tape` takes, in its order."""
        return self.kind, self.target, self.start, self.left, self.right, self.factor, self.stage


class TapeBuilder:
    """Writes a tape. Constants are folded and nothing is computed twice."""

    def __init__(self) -> None:
        self._n_slots = 1  # slot 0 is nobody's, so that no slot equals the constant 0.0
        self._constants: dict[float, int] = {}
        self._known: dict[tuple[Any, ...], int] = {}
        self._kind: list[int] = []
        self._target: list[int] = []
        self._start = [0]
        self._left: list[int] = []
        self._right: list[int] = []
        self._factor: list[float] = []
        self._stage = [0]

    def slots(self, n: int) -> list[int]:
        """`n` new slots, one after the other."""
        first = self._n_slots
        self._n_slots += n
        return list(range(first, first + n))

    def slot(self) -> int:
        """A new slot."""
        return self.slots(1)[0]

    def constant(self, value: Value) -> int:
        """The slot of a value."""
        if isinstance(value, int):
            return value
        if value not in self._constants:
            self._constants[value] = self.slot()
        return self._constants[value]

    def products(self, terms: Iterable[tuple[Value, Value]]) -> Value:
        """The sum of the products of pairs of values."""
        total, kept = 0.0, []
        for x, y in terms:
            if isinstance(x, float) and isinstance(y, float):
                total += x * y
            elif x != 0.0 and y != 0.0:
                kept.append((x, y))
        if not kept:
            return total
        if total:
            kept.append((total, self.constant(1.0)))
        if len(kept) == 1 and 1.0 in (floats := [v for v in kept[0] if isinstance(v, float)]) and len(floats) == 1:
            return next(v for v in kept[0] if isinstance(v, int))
        pairs = sorted(tuple(sorted((self.constant(x), self.constant(y)))) for x, y in kept)
        return self._new(_PRODUCTS, [(x, y, 0.0) for x, y in pairs])

    def combination(self, terms: Iterable[tuple[float, Value]]) -> Value:
        """The sum of values times numbers."""
        total, factors = 0.0, dict[int, float]()
        for factor, x in terms:
            if isinstance(x, float):
                total += factor * x
            else:
                factors[x] = factors.get(x, 0.0) + float(factor)
        kept = sorted((x, factor) for x, factor in factors.items() if factor != 0.0)
        if not kept:
            return total
        if total:
            kept.append((self.constant(1.0), total))
        if len(kept) == 1 and kept[0][1] == 1.0:
            return kept[0][0]
        return self._new(_COMBINATION, [(x, 0, factor) for x, factor in kept])

    def product(self, x: Value, y: Value) -> Value:
        """The product of two values."""
        return self.products([(x, y)])

    def reciprocal(self, x: Value) -> Value:
        """1 / x."""
        return 1.0 / x if isinstance(x, float) else self._new(_RECIPROCAL, [(x, 0, 0.0)])

    def root(self, x: Value) -> Value:
        """The square root of x."""
        return float(np.sqrt(x)) if isinstance(x, float) else self._new(_ROOT, [(x, 0, 0.0)])

    def put(self, slot: int, terms: Iterable[tuple[Value, Value]]) -> None:
        """Write a sum of products to a certain slot, also where it is zero or there already is one that holds it."""
        self._write(slot, _PRODUCTS, [(self.constant(x), self.constant(y), 0.0) for x, y in terms])

    def end_stage(self) -> None:
        """What follows is another stage. It may use what the earlier ones have computed."""
        self._stage.append(len(self._kind))

    def tape(self) -> Tape:
        """What has been written, the last stage ended."""
        return Tape(
            np.array(self._kind, np.int8),
            np.array(self._target, np.int32),
            np.array(self._start, np.int32),
            np.array(self._left, np.int32),
            np.array(self._right, np.int32),
            np.array(self._factor, np.float64),
            np.array([*self._stage, len(self._kind)], np.int64),
            self._n_slots,
            np.array(list(self._constants.values()), np.int32),
            np.array(list(self._constants.keys()), np.float64),
        )

    def _new(self, kind: int, terms: list[tuple[int, int, float]]) -> int:
        key = (kind, *terms)
        if key not in self._known:
            slot = self.slot()
            self._write(slot, kind, terms)
            self._known[key] = slot
        return self._known[key]

    def _write(self, slot: int, kind: int, terms: list[tuple[int, int, float]]) -> None:
        self._kind.append(kind)
        self._target.append(slot)
        for left, right, factor in terms:
            self._left.append(left)
            self._right.append(right)
            self._factor.append(factor)
        self._start.append(len(self._left))


@helper
def run_tape(stage_number, kind, target, start, left, right, factor, stage, memory):
    """Go through the instructions of one stage for all lanes of `memory` (slots, LANES)."""
    for n in range(stage[stage_number], stage[stage_number + 1]):
        if kind[n] == _PRODUCTS:
            total = fill(0.0)
            for t in range(start[n], start[n + 1]):
                total = multiply_add(load(memory, left[t]), load(memory, right[t]), total)
        elif kind[n] == _COMBINATION:
            total = fill(0.0)
            for t in range(start[n], start[n + 1]):
                total = multiply_add(fill(factor[t]), load(memory, left[t]), total)
        elif kind[n] == _RECIPROCAL:
            total = divide(fill(1.0), load(memory, left[start[n]]))
        else:
            total = root(load(memory, left[start[n]]))
        store(memory, target[n], total)
