"""Products of 2-bit codes with numbers in fixed point: exact sums of integers, as accurate as sums of float64.

The numbers of a tile, at most L in size, are cut into three digits of 16 bits (limbs): with the base B = 65,534

    v = u ((a B + b) B + c) + rest,   u = L / (32,767 B^2),   |a|, |b|, |c| <= 32,767,   |rest| <= u / 2 = 1.8e-15 L.

Codes times limbs are added in 32-bit integers, which a tile of 1,024 samples cannot overflow (3 x 32,767 x 1,024), two
products and a sum in one instruction. An integer sum does not depend on its order: the bits are the same for every
processor. The rest makes an error of about 1e-15 L sqrt(n), or 4e-15 n L at the worst; float64 sums of as many terms
err by as much.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from daskgen.kernels.compile import helper

__all__ = ["LIMBS", "ROWS", "TILE", "code_sums", "cut_tile", "joined"]

TILE = 256
"""Bytes of a tile, 1,024 samples: a team shares out tiles, of which 10,000 samples should have more than a few."""

LIMBS = 3
"""Digits of a number."""

ROWS = 4
"""Markers that `code_sums` takes together, so that a limb is loaded once for all of them."""

_BASE = 65_534.0
_LARGEST = 32_767.0
_TINY = 1e-280  # numbers that are all smaller count as zero
_LANES = 16  # codes that are multiplied at a time

_without_nan = numba.njit(nogil=True, fastmath={"nnan", "nsz", "reassoc"})


@_without_nan
def _largest(v):
    largest = 0.0
    for i in range(v.size):
        largest = max(largest, abs(v[i]))
    return largest


@helper
def cut_tile(values, first, last, limbs):
    """Cut the places `first` to `last` - 1 of each plane: (u, sum of what the limbs stand for).

    values: float64 (4, bytes); limbs: (LIMBS, 4, TILE), changed in its first last - first places. Nothing is said of
    numbers that are not finite.
    """
    largest = 0.0
    for k in range(4):
        largest = max(largest, _largest(values[k, first:last]))
    largest = max(largest, _TINY)
    factor = _LARGEST / largest
    sum_a = sum_b = sum_c = np.int64(0)
    for k in range(4):
        row = values[k, first:last]
        limb_a, limb_b, limb_c = limbs[0, k], limbs[1, k], limbs[2, k]
        for i in range(row.size):
            x = row[i] * factor
            a = np.rint(x)
            y = (x - a) * _BASE
            b = np.rint(y)
            c = np.rint((y - b) * _BASE)
            limb_a[i], limb_b[i], limb_c[i] = np.int16(a), np.int16(b), np.int16(c)
            sum_a += np.int64(limb_a[i])
            sum_b += np.int64(limb_b[i])
            sum_c += np.int64(limb_c[i])
    unit = largest / _LARGEST / _BASE / _BASE
    return unit, ((sum_a * _BASE + sum_b) * _BASE + sum_c) * unit


@helper
def joined(sums: npt.NDArray[np.int32], at: int) -> float:
    """The number whose limbs are sums[at : at + LIMBS], in units u."""
    return (sums[at] * _BASE + sums[at + 1]) * _BASE + sums[at + 2]


def _prefetch(builder: ir.IRBuilder) -> Any:
    """Declare the instruction that asks for a byte's cache line before it is needed; any address will do."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    function = builder.module.declare_intrinsic("llvm.prefetch", (byte,), kind)
    to_read, to_second_cache, data = (ir.Constant(number, value) for value in (0, 2, 1))
    return lambda address: builder.call(function, [address, to_read, to_second_cache, data])


def _numbers(bits: int, lanes: int) -> ir.VectorType:
    return ir.VectorType(ir.IntType(bits), lanes)


@intrinsic
def _lane_sums(typing_context: Any, codes: Any, rows: Any, first: Any, steps: Any, limbs: Any, sums: Any) -> Any:
    """sums[m LIMBS + l] = sum of code times limb l over 16 `steps` bytes from the byte `first` of the row rows[m].
    Written for the vector unit: 16 codes of a plane are multiplied, and added in pairs, at once.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        long, short = ir.IntType(64), ir.IntType(32)
        narrow, words, wide, half = _numbers(8, _LANES), _numbers(16, _LANES), _numbers(32, _LANES), _numbers(32, 8)
        matrix = context.make_array(signature.args[0])(context, builder, arguments[0])
        width = builder.extract_value(matrix.shape, 1)
        digits = context.make_array(signature.args[4])(context, builder, arguments[4]).data
        out = context.make_array(signature.args[5])(context, builder, arguments[5]).data
        starts = [
            builder.gep(
                matrix.data, [builder.add(builder.mul(builder.extract_value(arguments[1], m), width), arguments[2])]
            )
            for m in range(ROWS)
        ]
        even, odd = (ir.Constant(half, list(range(start, _LANES, 2))) for start in (0, 1))
        nothing = ir.Constant(wide, ir.Undefined)
        totals = [cgutils.alloca_once_value(builder, ir.Constant(half, [0] * 8)) for _ in range(ROWS * LIMBS)]

        def times(code: Any, limb: Any) -> Any:
            product = builder.mul(code, limb, flags=["nsw"])
            return builder.add(
                builder.shuffle_vector(product, nothing, even),
                builder.shuffle_vector(product, nothing, odd),
                flags=["nsw"],
            )

        # A tile is too short a piece of a row for the processor to see a stream in it: without asking for the bytes
        # of the next ROWS markers a quarter of the time goes by in waiting for memory.
        prefetch, ahead = _prefetch(builder), builder.mul(width, ir.Constant(long, ROWS))
        with cgutils.for_range(builder, arguments[3]) as loop:
            at = builder.mul(loop.index, ir.Constant(long, _LANES))
            for start in starts:
                prefetch(builder.gep(start, [builder.add(at, ahead)]))
            quads = [
                builder.zext(
                    builder.load(builder.bitcast(builder.gep(start, [at]), narrow.as_pointer()), align=1), words
                )
                for start in starts
            ]
            products: list[list[Any]] = [[] for _ in totals]
            for k in range(4):
                codes_of_plane = [
                    builder.sext(
                        builder.and_(
                            builder.lshr(quad, ir.Constant(words, [2 * k] * _LANES)), ir.Constant(words, [3] * _LANES)
                        ),
                        wide,
                    )
                    for quad in quads
                ]
                for number in range(LIMBS):
                    place = builder.gep(digits, [builder.add(at, ir.Constant(long, (4 * number + k) * TILE))])
                    limb = builder.load(builder.bitcast(place, words.as_pointer()), align=2)
                    limb = builder.sext(limb, wide)
                    for m in range(ROWS):
                        products[m * LIMBS + number].append(times(codes_of_plane[m], limb))
            for total, (a, b, c, d) in zip(totals, products, strict=True):  # one addition has to wait for the last turn
                turn = builder.add(builder.add(a, b), builder.add(c, d))
                builder.store(builder.add(builder.load(total), turn), total)
        add_up = builder.module.declare_intrinsic("llvm.vector.reduce.add.v8i32", (), ir.FunctionType(short, [half]))
        for i, total in enumerate(totals):
            builder.store(builder.call(add_up, [builder.load(total)]), builder.gep(out, [ir.Constant(long, i)]))
        return ir.Constant(long, 0)

    return types.int64(codes, rows, types.int64, types.int64, limbs, sums), generate


@helper
def code_sums(codes, rows, first, count, limbs, sums):
    """sums int32 (ROWS LIMBS,): of code times limb over `count` bytes from `first` on, of ROWS markers.

    codes: packed uint8 (markers, bytes); rows: a tuple of ROWS int64, any of them may be the same; limbs: int16 (LIMBS,
    4, TILE) of this tile. Missing calls count as 3.
    """
    steps = count // _LANES
    _lane_sums(codes, rows, first, steps, limbs, sums)
    for i in range(steps * _LANES, count):
        for m in range(ROWS):
            code = codes[rows[m], first + i]
            for k in range(4):
                for number in range(LIMBS):
                    sums[m * LIMBS + number] += np.int32((code >> (2 * k)) & 3) * np.int32(limbs[number, k, i])
