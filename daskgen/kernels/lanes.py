"""Vectors of float64 in compiled loops: one number of each of `LANES` SNPs, handled as one value.

A loop that does the same arithmetic for every SNP, by lists that are known only at run time, has its SNPs innermost:
`memory` is float64 (slots, LANES), a slot holds one quantity of all of them. Numba's loop vectoriser would have to
prove that slots don't overlap, each time anew; here a slot is loaded as a vector, which the compiler splits into what
the machine has. A lane never sees another lane, and a product with a sum is one fused operation with one rounding on
every machine; so the bits of a SNP's result depend neither on its neighbours nor on the machine.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

__all__ = ["LANES", "add", "divide", "fill", "load", "multiply", "multiply_add", "root", "select", "store", "subtract"]

LANES = 16
"""Two vectors of eight or four of four: enough to hide how long an operation takes; more would need more cache."""

_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"Lanes({LANES})")


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, frontend_type: types.Type) -> None:
        super().__init__(manager, frontend_type, _VECTOR)


lanes = _Lanes()


def _is_memory(array: types.Type) -> bool:
    return isinstance(array, types.Array) and array.dtype == types.float64 and array.ndim == 2 and array.layout == "C"


def _pointer(context: Any, builder: ir.IRBuilder, array_type: types.Type, array: Any, slot: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    first = cgutils.gep_inbounds(builder, data, builder.mul(slot, ir.Constant(slot.type, LANES)))
    return builder.bitcast(first, _VECTOR.as_pointer())


@intrinsic
def load(typing_context: Any, memory: types.Type, slot: types.Type) -> Any:
    """A slot of `memory` (slots, LANES)."""
    if not _is_memory(memory):
        return None

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, signature.args[0], *arguments), align=8, typ=_VECTOR)

    return lanes(memory, types.intp), generate


@intrinsic
def store(typing_context: Any, memory: types.Type, slot: types.Type, value: types.Type) -> Any:
    """Write `value` to a slot of `memory` (slots, LANES)."""
    if not _is_memory(memory):
        return None

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        array, place, value = arguments
        builder.store(value, _pointer(context, builder, signature.args[0], array, place), align=8)
        return context.get_dummy_value()

    return types.void(memory, types.intp, lanes), generate


@intrinsic
def fill(typing_context: Any, value: types.Type) -> Any:
    """The same number in all lanes."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), arguments[0], ir.IntType(32)(0))
        return builder.shuffle_vector(
            one, ir.Constant(_VECTOR, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        )

    return lanes(types.float64), generate


def _operation(name: str, arity: int) -> Any:
    """An instruction of the builder, or one of LLVM's own functions, of `arity` vectors."""

    def operation(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        if not name.startswith("llvm."):
            return getattr(builder, name)(*arguments)
        function_type = ir.FunctionType(_VECTOR, [_VECTOR] * arity)
        function = cgutils.get_or_insert_function(builder.module, function_type, f"{name}.v{LANES}f64")
        return builder.call(function, arguments)

    return lanes(*[lanes] * arity), operation


@intrinsic
def add(typing_context: Any, x: types.Type, y: types.Type) -> Any:
    """x + y."""
    return _operation("fadd", 2)


@intrinsic
def subtract(typing_context: Any, x: types.Type, y: types.Type) -> Any:
    """x - y."""
    return _operation("fsub", 2)


@intrinsic
def multiply(typing_context: Any, x: types.Type, y: types.Type) -> Any:
    """x y."""
    return _operation("fmul", 2)


@intrinsic
def divide(typing_context: Any, x: types.Type, y: types.Type) -> Any:
    """x / y, infinite or NaN where y is zero."""
    return _operation("fdiv", 2)


@intrinsic
def multiply_add(typing_context: Any, x: types.Type, y: types.Type, z: types.Type) -> Any:
    """x y + z, rounded once."""
    return _operation("llvm.fma", 3)


@intrinsic
def root(typing_context: Any, x: types.Type) -> Any:
    """The square root, NaN where x is negative."""
    return _operation("llvm.sqrt", 1)


@intrinsic
def select(typing_context: Any, x: types.Type, y: types.Type, if_not: types.Type, otherwise: types.Type) -> Any:
    """`otherwise` where x <= y, else `if_not`; so `if_not` too where one of them is NaN."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        first, second, if_not, otherwise = arguments
        return builder.select(builder.fcmp_ordered("<=", first, second), otherwise, if_not)

    return lanes(lanes, lanes, lanes, lanes), generate
