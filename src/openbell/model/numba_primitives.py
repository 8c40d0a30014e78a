"""The few instructions that numba puts in the place of each `Primitive` of `jit.py`. Imported by `numba_types.py` alone."""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

OPTIONS = {"error_model": "numpy", "nogil": True}


@intrinsic
def _address_of(_typing: Any, record: Any) -> Any:
    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], ir.IntType(64))

    return types.int64(record), codegen


@intrinsic
def _call(_typing: Any, function: Any, state: Any, event: Any, count: Any, engine: Any) -> Any:
    """numba's own calling convention: (place for the result, place for an exception, arguments) -> status."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        word, place = ir.IntType(64), ir.IntType(8).as_pointer()
        convention = ir.FunctionType(ir.IntType(32), [place.as_pointer(), place.as_pointer(), word, word, word, word])
        target = builder.inttoptr(args[0], convention.as_pointer())
        result, exception = cgutils.alloca_once(builder, place), cgutils.alloca_once(builder, place)
        return builder.sext(builder.call(target, [result, exception, *args[1:]]), word)

    return types.int64(*[types.int64] * 5), codegen


@intrinsic
def _prefetch(_typing: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        place, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = builder.module.declare_intrinsic("llvm.prefetch", [place], ir.FunctionType(ir.VoidType(), [place, flag, flag, flag]))
        builder.call(function, [builder.inttoptr(args[0], place), flag(0), flag(3), flag(1)])  # to read, keep, data
        return context.get_dummy_value()

    return types.none(types.int64), codegen


def _as_size(size: Any) -> Any:
    raise TypeError("replaced by its overload")


@overload(_as_size, strict=False, jit_options=OPTIONS)
def _overload_as_size(size: Any) -> Any:
    if isinstance(size, types.BaseTuple):
        return lambda size: size
    return lambda size: (1, float(size))


@njit(**OPTIONS)
def _sized(size: Any) -> Any:
    return _as_size(size)


#: By the name of the primitive: an intrinsic, or a compiled function.
PRIMITIVES: dict[str, Any] = {"address_of": _address_of, "call": _call, "prefetch": _prefetch, "as_size": _sized}
