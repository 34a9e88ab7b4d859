"""Threads that run one compiled loop together: an atomic barrier in memory that they share.

A team of T threads calls the same kernel, each with its number; between parts of the loop they meet at a barrier. It
costs a fraction of a microsecond where every thread has a core of its own, against tens of microseconds for handing
work to a pool. A thread that waits for long gives its core away between looks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from daskgen.kernels.compile import helper
from daskgen.kernels.hooks import call_hook

__all__ = ["ask", "barrier", "new_barrier", "told_to_stop"]

_SPINS = 2_000  # looks before the core is given away
_STOP = 4  # place of the sign that the team has to stop


def _element(context: Any, builder: ir.IRBuilder, array_type: types.Type, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return cgutils.gep_inbounds(builder, data, index)


@intrinsic
def _fetch_add(typing_context: Any, array: types.Type, index: types.Type, value: types.Type) -> Any:
    """Add `value` to array[index] in one step; the value before."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        pointer = _element(context, builder, signature.args[0], arguments[0], arguments[1])
        return builder.atomic_rmw("add", pointer, arguments[2], ordering="seq_cst")

    return types.int64(array, types.int64, types.int64), generate


@intrinsic
def _load(typing_context: Any, array: types.Type, index: types.Type) -> Any:
    """array[index] as another thread may just have written it."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        pointer = _element(context, builder, signature.args[0], arguments[0], arguments[1])
        return builder.load_atomic(pointer, ordering="seq_cst", align=8, typ=ir.IntType(64))

    return types.int64(array, types.int64), generate


@intrinsic
def _give_way(typing_context: Any) -> Any:
    """Let another thread have the core: sched_yield of POSIX."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.IntType(32), []), "sched_yield")
        return builder.sext(builder.call(function, []), ir.IntType(64))

    return types.int64(), generate


@helper
def barrier(state: npt.NDArray[np.int64], team: int) -> None:
    """Wait until all `team` threads are here. state: int64 (16,) of `new_barrier`, the same for all of them."""
    if team == 1:
        return
    turn = _load(state, 8)
    if _fetch_add(state, 0, 1) == team - 1:
        _fetch_add(state, 0, -team)
        _fetch_add(state, 8, 1)
        return
    looks = 0
    while _load(state, 8) == turn:
        looks += 1
        if looks > _SPINS:
            _give_way()


@helper
def ask(state: npt.NDArray[np.int64], hook: int, what: int, number: int) -> None:
    """The leader calls the hook, if there is one; where it says stop, so does `told_to_stop` after the next barrier."""
    if hook != 0 and call_hook(hook, what, number) != 0:
        _fetch_add(state, _STOP, 1)


@helper
def told_to_stop(state: npt.NDArray[np.int64]) -> bool:
    """Whether the hook has said stop."""
    return _load(state, _STOP) != 0


def new_barrier() -> npt.NDArray[np.int64]:
    """The memory of a barrier: a count and a turn, each in a cache line of its own."""
    return np.zeros(16, np.int64)
