"""What numba has to be told about `jit.py`: the type of a `Record` with methods, and the lowering of pointers, addresses and calls.

Imported by `jit.py` at the first compilation and by nobody else; with it, the pure core's only import of numba.
"""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, typeof, types
from numba.core import errors
from numba.core.dispatcher import Dispatcher
from numba.core.imputils import lower_builtin, lower_getattr
from numba.core.registry import cpu_target
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr
from numba.extending import intrinsic, models, register_model, typeof_impl
from numba.np.arrayobj import record_getattr
from numba.np.numpy_support import from_dtype

from openbell.model import jit
from openbell.model.compile_errors import compile_error
from openbell.model.fingerprint import fingerprint
from openbell.model.numba_cache import cache_in, share
from openbell.model.numba_inner import inner
from openbell.model.numba_primitives import OPTIONS, PRIMITIVES

#: For functions that only compiled code calls: no wrappers for Python or C, which saves half of the compile time.
INNER = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_registered: set[str] = set()
_alive: list[Any] = []
_record_types: dict[Any, "RecordType"] = {}


class RecordType(types.Record):
    """numba's record type, plus the class whose methods it has."""

    def __init__(self, cls: type[jit.Record], fields: Any, size: int) -> None:
        self.cls = cls
        super().__init__(fields, size, True)
        # A class defined anew in a notebook is another type; ours must have the same name in every process, for the disk cache.
        version = "" if cls.__module__.startswith("openbell.") else str(id(cls))
        self.name: str = f"{cls.__module__}.{cls.__qualname__}:{version}:{self.name}"

    @property
    def key(self) -> Any:
        """What makes two types equal."""
        return self.name

    @property
    def mangling_args(self) -> Any:
        """What stands for the type in the names of functions: its content, where numba would put a number of this process.

        Machine code from disk, made by another process, would call a function of this one that has the same name and another layout.
        """
        version = "" if self.cls.__module__.startswith("openbell.") else fingerprint(self.cls)
        _, _, layout = self.name.split(":", 2)
        return self.cls.__qualname__, (_digest(f"{self.cls.__module__}:{version}:{layout}"),)

    def can_convert_to(self, _context: Any, _other: Any) -> None:
        """Never: numba would take one record for another that begins with the same fields."""


register_model(RecordType)(models.RecordModel)


def record_type(dtype: np.dtype[Any]) -> Any:
    """The numba type of any dtype, with every nested `Record` class kept."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return types.NestedArray(record_type(base), shape)
    if dtype.fields is None:
        return from_dtype(dtype)
    known = jit.signature(dtype)
    if known not in _record_types:
        fields = [(name, {"type": record_type(dtype.fields[name][0]), "offset": dtype.fields[name][1]}) for name in dtype.names or ()]
        cls = dtype.type if issubclass(dtype.type, jit.Record) else jit.Record
        _record_types[known] = RecordType(cls, fields, dtype.itemsize)
    return _record_types[known]


@typeof_impl.register(jit.Record)
def _typeof_record(value: Any, _context: Any) -> Any:
    return record_type(value.dtype)


@typeof_impl.register(jit.Kernel)
def _typeof_kernel(value: Any, _context: Any) -> Any:
    return typeof(value.inner)


@typeof_impl.register(jit.Pointer)
def _typeof_pointer(value: jit.Pointer, _context: Any) -> Any:
    if not hasattr(value, "intrinsic"):
        record, size = record_type(value.dtype), value.dtype.itemsize

        def record_at(_typing: Any, address: Any, index: Any) -> Any:
            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                word = ir.IntType(64)
                place = builder.add(args[0], builder.mul(args[1], ir.Constant(word, size)))
                return builder.inttoptr(place, context.get_value_type(record))

            return record(types.int64, types.int64), codegen

        value.intrinsic = intrinsic(record_at)  # type: ignore[attr-defined]
    return _type_of_intrinsic(value.intrinsic)  # type: ignore[attr-defined]


def _type_of_intrinsic(value: Any) -> Any:
    cpu_target.typing_context.refresh()
    return cpu_target.typing_context.resolve_value_type(value)


@typeof_impl.register(jit.Primitive)
def _typeof_primitive(value: jit.Primitive, _context: Any) -> Any:
    lowered = PRIMITIVES[value.name]
    return typeof(lowered) if isinstance(lowered, Dispatcher) else _type_of_intrinsic(lowered)


@functools.cache
def _member(cls: type[jit.Record], name: str) -> Any:
    """The numba type of a method or property getter of a record class, or None where it has none of that name."""
    member = getattr(cls, name, None)
    function = member.fget if isinstance(member, property) else member
    if not inspect.isfunction(function):
        return None
    # A user's own code may not write beyond its arrays: the strategy faults instead.
    checked = not cls.__module__.startswith("openbell.")
    dispatcher = inner(function, forceinline=getattr(function, "inlined", False), boundscheck=checked, **INNER)
    _alive.append(dispatcher)  # numba's type of it holds only a weak reference
    return typeof(dispatcher)


@infer_getattr
class _Members(AttributeTemplate):
    """Resolves `record.name` where the name is a method or a property, not a field."""

    key = RecordType

    def generic_resolve(self, record: Any, name: str) -> Any:
        if name in record.fields:
            return None  # numba's own rule for records
        function = _member(record.cls, name)
        if function is None:
            raise errors.NumbaAttributeError(f"{record.cls.__name__} has no field or method {name!r}")
        if name in jit.property_names:
            return function.get_call_type(self.context, (record,), {}).return_type
        return types.BoundFunction(_method_template(name), record)


@functools.cache
def _method_template(method: str) -> Any:
    class Method(AbstractTemplate):
        key = (RecordType, method)

        def generic(self, args: Any, kws: Any) -> Any:
            full = _member(self.this.cls, method).get_call_type(self.context, (self.this, *args), kws)
            short = full.replace(args=full.args[1:], recvr=self.this)
            if full.pysig is not None:
                short = short.replace(pysig=full.pysig.replace(parameters=list(full.pysig.parameters.values())[1:]))
            return short

    return Method


def _lower_member(name: str) -> Any:
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = _member(signature.args[0].cls, name)
        full = function.get_call_type(context.typing_context, signature.args, {})
        call = context.get_function(function, full)
        context.add_linking_libs(getattr(call, "libs", ()))
        return call(builder, args)

    return lower


def register(method_names: Iterable[str], property_names: Iterable[str]) -> None:
    """Let compiled code call these methods and read these properties on any `Record` class that has them."""
    for name in set(method_names) - _registered:
        _registered.add(name)
        lower_builtin((RecordType, name), RecordType, types.VarArg(types.Any))(_lower_member(name))
    for name in set(property_names) - _registered:
        _registered.add(name)
        _lower_property(name)


def _lower_property(name: str) -> None:
    @lower_getattr(RecordType, name)
    def getter(context: Any, builder: Any, record: Any, value: Any) -> Any:
        if name in record.fields:  # another class has a property of this name
            return record_getattr(context, builder, record, value, name)
        function = _member(record.cls, name)
        full = function.get_call_type(context.typing_context, (record,), {})
        call = context.get_function(function, full)
        context.add_linking_libs(getattr(call, "libs", ()))
        return call(builder, (value,))


register(jit.method_names, jit.property_names)


def inner_kernel(function: Callable[..., Any], inline: bool) -> Any:
    """The dispatcher of a kernel for other kernels; it becomes part of their machine code."""
    return inner(function, forceinline=inline, **INNER)


def entry_kernel(function: Callable[..., Any]) -> Any:
    """The dispatcher of a kernel for Python, with its disk cache in the folder of these sources."""
    ours = function.__module__.startswith("openbell.")
    with cache_in(jit.cache_folder()) as writable:
        return share(njit(cache=ours and writable, **OPTIONS)(function))


#: A handler that takes one event, and one that takes a stretch of them.
ONE = "state_at(state_address, 0).{name}(event_at(event_address, 0), engine_at(engine_address, 0))"
MANY = "loop(state_at(state_address, 0), event_address, count, engine_at(engine_address, 0))"
BODY = '''"""Calls one handler of one strategy; kept here so that its machine code has a place on disk."""


def handler(state_address, event_address, count, engine_address):
    {body}
'''


def compile_handler(cls: type[jit.Record], name: str, state: np.dtype[Any], event: np.dtype[Any], engine: np.dtype[Any], loop: Any) -> Any:
    """The machine code of a handler, from disk where the same code and the same layout were compiled before."""
    body = BODY.format(body=MANY if loop else ONE.format(name=name))
    shape = repr([jit.signature(dtype) for dtype in (state, event, engine)])
    stem = f"{cls.__name__}_{name}_{fingerprint(cls)}_{_digest(shape)}"
    folder = jit.cache_folder() / "handlers"
    path = folder / f"{stem}.py"
    with cache_in(folder) as writable:
        if writable and not path.exists():
            draft = path.with_suffix(f".{os.getpid()}.tmp")
            draft.write_text(body)
            draft.replace(path)
        # A module of its own, because numba pickles the globals of a function that has none.
        module = ModuleType(f"openbell_handler_{stem}")
        module.__dict__.update(
            __file__=str(path), state_at=jit.pointer(state), event_at=jit.pointer(event), engine_at=jit.pointer(engine), loop=loop
        )
        sys.modules[module.__name__] = module
        exec(compile(body, str(path), "exec"), module.__dict__)
        try:
            code = njit("void(int64,int64,int64,int64)", cache=writable, **INNER)(module.__dict__["handler"])
        except errors.NumbaError as error:
            raise compile_error(cls, name, str(error)) from error
    compiled = code.overloads[code.signatures[0]]
    code.address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    return code


def _digest(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:16]
