"""A compiled loop that asks Python for something in between: rows from a store, sums from other workers.

The loop holds no GIL; Python's ctypes takes it for the call (some microseconds). A hook is an address, so that compiled
code can be kept: `Hook` makes one of a Python function, 0 is no hook.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["Hook", "call_hook"]

_CFunction = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class Hook:
    """A Python function (what, number) as compiled loops call it, while this object lives.

    An exception, Ctrl-C too, is kept in `error` and the loop is told to stop; whoever started the loop raises it.
    """

    def __init__(self, function: Callable[[int, int], None]):
        self.error: BaseException | None = None
        self._function = function
        self._callback = _CFunction(self._call)

    @property
    def address(self) -> int:
        return int(ctypes.cast(self._callback, ctypes.c_void_p).value or 0)

    def _call(self, what: int, number: int) -> int:
        if self.error is not None:
            return 1
        try:
            self._function(what, number)
        except BaseException as error:  # it must not be lost in compiled code
            self.error = error
            return 1
        return 0


@intrinsic
def call_hook(typing_context: Any, address: types.Type, what: types.Type, number: types.Type) -> Any:
    """What the hook at `address` returns for (what, number): 0, or 1 where the loop has to stop."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        long = ir.IntType(64)
        function = builder.inttoptr(arguments[0], ir.FunctionType(long, [long, long]).as_pointer())
        return builder.call(function, arguments[1:])

    return types.int64(types.int64, types.int64, types.int64), generate
