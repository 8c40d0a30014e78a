"""The one place that knows numba: records with methods, kernels, addresses.

The kernel's state is a buffer of bytes and its code is plain Python. This file lets the same source run in two ways over the same bytes:

* **interpreted** (`OPENBELL_INTERPRETED=1`): a `Record` is a view into the buffer; a debugger and coverage see every line;
* **compiled** (the default): numba compiles a `@kernel` at its first call and keeps the machine code on disk.

The five ideas:

`Record`      a numpy record whose fields read and write as attributes and whose class may have methods and properties
`kernel`      a function that compiles at its first call; importing a kernel never imports numba
`pointer`     `pointer(ORDER)(address, index)` is the record at `address + index * ORDER.itemsize`
`address_of`  the address of a record that lives in a buffer
`call`        calls a compiled handler by its address, so that one kernel serves every strategy without being compiled again

Compiled code is kept in a folder named after a hash of every source file of the pure core, because numba's own cache does not see an
edit in another file that a cached function calls. Floating point is strict (no fastmath), and division by zero gives inf or NaN.
"""

import ctypes
import functools
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

INTERPRETED = os.environ.get("OPENBELL_INTERPRETED", "") not in ("", "0")

#: Folders of the package whose source decides what compiled code does.
PURE_ROOMS = ("model", "bars", "indicators", "risk", "execution", "portfolio", "engine", "strategies", "alerts", "analytics")
PACKAGE = Path(__file__).resolve().parents[1]

#: Every handler has this C signature: (two places it may write to, address of its state, of its event, how many
#: events lie there that it may take, address of the engine) -> 0, or 1 if it raised.
HANDLER = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 4)

#: The base of records; of no known type, because their fields are attributes that only the dtype knows.
VOID: Any = np.void
#: Names of the methods and properties of all record classes.
method_names: set[str] = set()
property_names: set[str] = set()


class Record(VOID):  # type: ignore[misc]
    """A numpy record whose fields are attributes. A subclass adds methods that run interpreted and compiled alike."""

    def __getattribute__(self, name: str) -> Any:
        # Fields come first: numpy gives every scalar attributes such as `sum`, `size` and `fill`.
        if not name.startswith("__") and name in (np.void.__getattribute__(self, "dtype").names or ()):
            value = self[name]
            # Compiled code computes with small integers as int64; numpy alone would keep them small and overflow.
            return np.int64(value) if isinstance(value, np.integer) else value
        return np.void.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        try:
            self[name] = value
        except (KeyError, ValueError):
            raise AttributeError(f"{type(self).__name__} has no field {name!r}, or it does not take {value!r}") from None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, member in vars(cls).items():
            if name.startswith("__"):
                continue
            if isinstance(member, property):
                property_names.add(name)
            elif callable(member) and not isinstance(member, type):
                method_names.add(name)
        if "openbell.model.numba_types" in sys.modules:
            _numba().register(method_names, property_names)

    @classmethod
    def allocate(cls, fields: Sequence[tuple[Any, ...]]) -> Self:
        """A new zeroed record of this class with the given numpy fields, in memory of its own."""
        record: Self = np.zeros(1, np.dtype((cls, np.dtype(list(fields), align=True))))[0]
        return record


def layout(cls: type[Record], size: int, fields: Sequence[tuple[Any, ...]]) -> np.dtype[Any]:
    """The dtype of `cls`: every byte named, every field aligned, `size` bytes in all, so that state is a stable wire format."""
    plain = np.dtype(list(fields))
    end = 0
    for name in plain.names or ():
        field, offset = plain.fields[name][:2]  # type: ignore[index]
        assert offset == end, f"{cls.__name__}.{name}: implicit padding at {end}"
        assert offset % max(field.base.alignment, 1) == 0, f"{cls.__name__}.{name}: offset {offset} is not aligned"
        end = offset + field.itemsize
    assert plain.itemsize == size, f"{cls.__name__} has {plain.itemsize} bytes, {size} stated"
    return np.dtype((cls, plain))


def union(cls: type[Record], size: int, members: Sequence[tuple[str, Any, int]]) -> np.dtype[Any]:
    """A dtype of `size` bytes whose `(name, dtype, offset)` members may overlap, as a C union does."""
    names, formats, offsets = zip(*members, strict=True)
    plain = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})
    return np.dtype((cls, plain))


def join(parts: "Sequence[np.ndarray[Any, Any]]") -> "np.ndarray[Any, Any]":
    """One contiguous copy of flat arrays of one kind of record, as bytes.

    numpy's own copy of a union goes field by field, 20 times slower, and its concatenation lays the members out side by side.
    """
    dtype = parts[0].dtype
    plain = f"V{dtype.itemsize}"
    if len(parts) == 1:
        return np.ascontiguousarray(parts[0]).view(plain).copy().view(dtype)
    return np.concatenate([np.ascontiguousarray(part).view(plain) for part in parts]).view(dtype)


class Pointer:
    """Turns an address and an index into a record of one dtype. Compiled, it costs an addition."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self._window = ctypes.c_char * dtype.itemsize

    def __call__(self, address: int, index: int) -> Any:
        """The record, a view."""
        window = self._window.from_address(int(address) + int(index) * self.dtype.itemsize)
        return np.frombuffer(memoryview(window), self.dtype)[0]


_pointers: dict[Any, Pointer] = {}
_handlers: dict[Any, Any] = {}


def pointer(dtype: np.dtype[Any]) -> Pointer:
    """The `Pointer` of a dtype."""
    return _pointers.setdefault(signature(dtype), Pointer(dtype))


def signature(dtype: np.dtype[Any]) -> Any:
    """A key for a dtype with every nested class in it; numpy calls dtypes of different classes equal when their fields are."""
    if dtype.subdtype is not None:
        return signature(dtype.subdtype[0]), dtype.subdtype[1]
    if dtype.fields is None:
        return dtype.str
    return dtype.type, tuple((name, signature(dtype.fields[name][0]), dtype.fields[name][1]) for name in dtype.names or ()), dtype.itemsize


def _address_of(record: Any) -> int:
    return int(np.asarray(record).ctypes.data)


def _call(function: int, state: int, event: int, count: int, engine: int) -> int:
    return int(HANDLER(int(function))(None, None, int(state), int(event), int(count), int(engine)))


def _prefetch(_address: int) -> None:
    """Nothing to do: it changes how long things take, never what they are."""


def _as_size(size: Any) -> tuple[int, float]:
    return size if isinstance(size, tuple) else (1, float(size))


class Primitive:
    """A function that numba replaces by a few instructions; interpreted, it is Python."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.function = function

    def __call__(self, *args: Any) -> Any:
        """What it does interpreted."""
        return self.function(*args)


#: The address of a record that is a view into a buffer.
address_of = Primitive("address_of", _address_of)
#: Calls the handler at an address: `call(function, state, event, count, engine)`.
call = Primitive("call", _call)


#: Tells the processor that an address will be read soon.
prefetch = Primitive("prefetch", _prefetch)


#: A size given as a number becomes `(BY_QUANTITY, number)`; one given as a pair stays what it is.
as_size = Primitive("as_size", _as_size)


class Kernel:
    """A function compiled at its first call. Kernels and record methods may call each other."""

    def __init__(self, function: Callable[..., Any], inline: bool = False) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.inline = inline

    @functools.cached_property
    def inner(self) -> Any:
        """What other kernels call."""
        return _numba().inner_kernel(self.function, self.inline)

    @functools.cached_property
    def entry(self) -> Any:
        """What Python calls."""
        return _numba().entry_kernel(self.function)

    def __call__(self, *args: Any) -> Any:
        """Compile at the first call, and run."""
        return self.entry(*args)


def kernel(function: Callable[..., Any]) -> Any:
    """Make `function` a kernel: arrays and scalars in, no allocation, no Python objects, no exceptions for data."""
    return function if INTERPRETED else Kernel(function)


def inlined(method: Callable[..., Any]) -> Any:
    """Mark a method of a record to be compiled into its callers: for small ones that every event calls."""
    method.inlined = True  # type: ignore[attr-defined]
    return method


def inline_kernel(function: Callable[..., Any]) -> Any:
    """A kernel that is copied into its callers: for the few functions every event passes through."""
    return function if INTERPRETED else Kernel(function, inline=True)


def handler(
    cls: type[Record],
    name: str,
    state: np.dtype[Any],
    event: np.dtype[Any],
    engine: np.dtype[Any],
    compiled: bool,
    faults: list[BaseException],
    loop: Any = None,
) -> Any:
    """A function at an address that calls `cls.name(state, event, engine)`; keep the returned object alive and use its `.address`.

    An exception in it makes the call return non-zero: interpreted, the exception is appended to `faults`; compiled, it is only counted.
    """
    if compiled and not INTERPRETED:
        key = (cls, name, signature(state), signature(event), signature(engine))
        if key not in _handlers:
            _handlers[key] = _numba().compile_handler(cls, name, state, event, engine, loop)
        return _handlers[key]
    method, state_at, event_at, engine_at = getattr(cls, name), pointer(state), pointer(event), pointer(engine)

    def run(_result: Any, _exception: Any, state_address: int, event_address: int, _count: int, engine_address: int) -> int:
        try:
            method(state_at(state_address, 0), event_at(event_address, 0), engine_at(engine_address, 0))
        except Exception as fault:  # the caller pauses the strategy and reports it
            faults.append(fault)
            return 1
        return 0

    callback = HANDLER(run)
    callback.address = ctypes.cast(callback, ctypes.c_void_p).value  # type: ignore[attr-defined]
    return callback


@functools.cache
def source_hash() -> str:
    """SHA-256 (16 hex digits) of every source file of the pure core: what a run must have in common with its replay."""
    digest = hashlib.sha256()
    for room in PURE_ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Where compiled code is kept: `$OPENBELL_CACHE`, else the user's cache folder, under a hash of the sources."""
    root = os.environ.get("OPENBELL_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "openbell")
    version = f"py{sys.version_info[0]}{sys.version_info[1]}-{np.__version__}"
    return Path(root) / "compiled" / f"{version}-{source_hash()}"


def file_hash(paths: Iterable[str | None]) -> str:
    """SHA-256 (16 hex digits) of the contents of some files, in order; `None` and missing files count as empty."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(Path(path).read_bytes() if path and os.path.isfile(path) else b"")
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def _numba() -> Any:
    from openbell.model import numba_types

    return numba_types
