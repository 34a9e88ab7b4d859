"""What a loop over bytes needs and Numba lacks: unaligned 32 and 64 bit words, and counting the ones of a word.

A row of packed genotypes is as long as the number of samples wants it, so the second row of an array begins anywhere.
Words are little-endian, as on every machine that Numba compiles for.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["load_uint32", "load_uint64", "ones", "store_uint32"]


def _is_integers(array: types.Type) -> bool:
    return isinstance(array, types.Array) and isinstance(array.dtype, types.Integer) and array.layout == "C"


def _pointer(context: Any, builder: ir.IRBuilder, array_type: types.Type, array: Any, offset: Any, bits: int) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    first_byte = builder.bitcast(data, ir.IntType(8).as_pointer())
    return builder.bitcast(cgutils.gep_inbounds(builder, first_byte, offset), ir.IntType(bits).as_pointer())


def _load(bits: int, result: types.Type) -> Any:
    def load(typing_context: Any, array: types.Type, offset: types.Type) -> Any:
        if not _is_integers(array):
            return None

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1], bits)
            return builder.load(pointer, align=1, typ=ir.IntType(bits))

        return result(array, types.int64), generate

    return load


# Each takes a C-contiguous array of integers and a position counted in bytes from its start.
load_uint32 = intrinsic(_load(32, types.uint32))
load_uint64 = intrinsic(_load(64, types.uint64))


@intrinsic
def store_uint32(typing_context: Any, array: types.Type, offset: types.Type, value: types.Type) -> Any:
    """Write the four bytes of `value` to `array` (C-contiguous integers) from byte `offset` on."""
    if not (_is_integers(array) and array.mutable):
        return None

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1], 32)
        builder.store(arguments[2], pointer, align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint32), generate


@intrinsic
def ones(typing_context: Any, word: types.Type) -> Any:
    """The number of ones among the bits of `word`, as an integer; LLVM makes vector instructions of a loop of these."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate
