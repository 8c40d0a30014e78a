"""What the machine code of a class depends on, as a hash: its code, and every value and function outside that its code names.

numba freezes globals and closures into machine code, so a hash of a source file would not do: a constant may be imported from another file,
two classes of one name may close over different values, and a class of a notebook has no file.
"""

import hashlib
import inspect
import sys
from types import CodeType, ModuleType
from typing import Any

import numpy as np

#: Packages known by their names: their versions are in the name of the cache folder, or do not change what a handler may use of them.
_KNOWN = frozenset({"openbell", "numpy", "numba", "builtins", *sys.stdlib_module_names}) - {"__main__"}


def fingerprint(cls: type) -> str:
    """SHA-256 (16 hex digits) of everything the code of a class names; the same in every process."""
    parts: list[str] = []
    _describe(cls, parts, set())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _describe(value: Any, parts: list[str], seen: set[int], names: tuple[str, ...] = ()) -> None:
    """Append what tells this value from another; `names` are those that the code naming it uses, for the attributes of a module."""
    if isinstance(value, str | bytes | int | float | complex | type(None)):
        parts.append(repr(value))
    elif isinstance(value, tuple | list):
        for item in value:
            _describe(item, parts, seen)
    elif isinstance(value, frozenset):
        parts.extend(sorted(map(repr, value)))
    elif isinstance(value, np.ndarray):
        parts.append(f"{value.dtype}{value.shape}{value.tobytes().hex()}")
    elif id(value) not in seen:
        seen.add(id(value))
        home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) or type(value).__module__
        parts.append(f"{home}.{getattr(value, '__qualname__', type(value).__qualname__)}")
        if home.partition(".")[0] not in _KNOWN:
            _describe_code(value, parts, seen, names)


def _describe_code(value: Any, parts: list[str], seen: set[int], names: tuple[str, ...]) -> None:
    """The code inside a class, a module, a property, a function or what a decorator made of one."""
    if isinstance(value, type):
        for base in value.__mro__[1:]:
            _describe(base, parts, seen)
        for name, member in sorted(vars(value).items()):
            if inspect.isfunction(member) or isinstance(member, property):
                parts.append(name)
                _describe(member, parts, seen)
    elif isinstance(value, ModuleType):
        for name in names:
            _describe(getattr(value, name, None), parts, seen, names)
    elif isinstance(value, property):
        _describe(value.fget, parts, seen)
    elif (function := getattr(value, "py_func", getattr(value, "function", value))) is not None and inspect.isfunction(function):
        _describe_function(function, function.__code__, parts, seen)
        _describe(function.__defaults__, parts, seen)
        for cell in function.__closure__ or ():
            _describe(cell.cell_contents, parts, seen)


def _describe_function(function: Any, code: CodeType, parts: list[str], seen: set[int]) -> None:
    """The instructions, their constants, and the globals they name."""
    parts.append(f"{code.co_code.hex()}{code.co_names}{code.co_varnames}")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _describe_function(function, constant, parts, seen)
        else:
            _describe(constant, parts, seen)
    for name in code.co_names:
        if name in function.__globals__:
            _describe(function.__globals__[name], parts, seen, code.co_names)
