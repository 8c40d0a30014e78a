"""What every indicator has: a checked length, a window, one rule for bad values, and a run over whole arrays.

**Bad values.** A value that is NaN, infinite or of a magnitude of 1e100 and more is ignored: `update` returns NaN, and the
state, `count` included, stays as if the call had not happened. So one bad tick costs one answer and never the ones after it.

**Windows of floats** are kept in two blocks, so that nothing is ever subtracted and no rounding error outlives its value:

    the block before            the block that fills
    . . . . | x x x x x x       y y y y | . . . . . .
             tail[place]        head     place

The window is the tail of one block and the head of the next. The head is a running sum (or maximum); when its block is
full, the sums of all its tails are computed at once, backwards, and the next block begins. That is one more addition an
update, spread evenly, whatever the length. The slots before `place` are free by then and hold the values of the head.
(Integers need no such care: `openbell.indicators.sma` adds and subtracts.)
"""

import math
from typing import Any

import numpy as np

from openbell.errors import StrategyError
from openbell.model.jit import Record, inlined, kernel

#: Values are smaller than this, so that a product of two and a sum of 2**24 such products stay finite.
MAGNITUDE_MAX = 1e100
LENGTH_MAX = 1 << 24
#: Fields of a window in two blocks. `place` is unsigned: that spares compiled code the question of a negative index.
BLOCKS: list[tuple[Any, ...]] = [("length", "i8"), ("count", "i8"), ("place", "u4"), ("ready", "u4")]


class Indicator(Record):
    """A streaming indicator: `update(...)` takes the newest value and returns the indicator's, NaN until it is `ready`.

    Every indicator has the fields `count` (values seen) and `ready` (0 or 1). Several outputs come back as a tuple, named by `outputs`.
    Its state is a record, so a strategy that declares one in `setup()` can be checkpointed and compiled.
    """

    #: Values seen, and whether what `update` returns is a number.
    count: int
    ready: int
    #: Names of what `update` takes, in order: "value", or columns of a bar.
    inputs: tuple[str, ...] = ("value",)
    #: Names of the values of the tuple that `update` returns; empty when it returns one number.
    outputs: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "update" in vars(cls):
            inlined(vars(cls)["update"])

    def over(self, *columns: Any) -> np.ndarray[Any, Any]:
        """Run over whole columns (float64, one per input, equal lengths) at compiled speed, going on from the state it is in.

        Returns float64 of shape `(n,)`, or `(n, len(outputs))` for several outputs.
        """
        if len(columns) != len(self.inputs):
            raise TypeError(f"{type(self).__name__}.over takes {len(self.inputs)} columns ({', '.join(self.inputs)}), got {len(columns)}")
        arrays = [np.ascontiguousarray(column, np.float64) for column in columns]
        if any(array.shape != arrays[0].shape or array.ndim != 1 for array in arrays):
            raise ValueError(f"columns must be flat and of equal length, got shapes {[array.shape for array in arrays]}")
        if self.outputs:
            several = np.empty((len(arrays[0]), len(self.outputs)))
            _SEVERAL[len(arrays)](self, several, *arrays)
            return several
        single = np.empty(len(arrays[0]))
        _SINGLE[len(arrays)](self, single, *arrays)
        return single


def check_length(name: str, length: Any, minimum: int = 1) -> int:
    """`length` as an int, or a StrategyError that says what is wrong with it.

    >>> check_length("Rsi", 0)
    Traceback (most recent call last):
    openbell.errors.StrategyError: Rsi: length is 0; expected a whole number from 1 to 16777216.
    """
    whole = isinstance(length, int | float | np.integer | np.floating) and not isinstance(length, bool)
    if not (whole and minimum <= length <= LENGTH_MAX and int(length) == length):
        raise StrategyError(f"{name}: length is {length!r}", f"a whole number from {minimum} to {LENGTH_MAX}")
    return int(length)


def check_factor(name: str, factor: Any) -> float:
    """`factor` as a float, or a StrategyError unless it is a finite number above 0."""
    number = isinstance(factor, int | float | np.integer | np.floating) and not isinstance(factor, bool)
    if not (number and 0.0 < factor < math.inf):
        raise StrategyError(f"{name} is {factor!r}", "a finite number above 0")
    return float(factor)


def capacity(length: int) -> int:
    """Slots of a window: the power of two at or above `length`, so that near lengths share one compilation and `& mask` wraps."""
    return 1 << max(int(length) - 1, 0).bit_length()


@kernel
def _single_1(indicator: Any, out: Any, a: Any) -> None:
    for i in range(len(out)):
        out[i] = indicator.update(a[i])


@kernel
def _single_2(indicator: Any, out: Any, a: Any, b: Any) -> None:
    for i in range(len(out)):
        out[i] = indicator.update(a[i], b[i])


@kernel
def _single_3(indicator: Any, out: Any, a: Any, b: Any, c: Any) -> None:
    for i in range(len(out)):
        out[i] = indicator.update(a[i], b[i], c[i])


@kernel
def _single_4(indicator: Any, out: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    for i in range(len(out)):
        out[i] = indicator.update(a[i], b[i], c[i], d[i])


@kernel
def _several_1(indicator: Any, out: Any, a: Any) -> None:
    for i in range(len(out)):
        row = indicator.update(a[i])
        for k in range(len(row)):
            out[i, k] = row[k]


@kernel
def _several_2(indicator: Any, out: Any, a: Any, b: Any) -> None:
    for i in range(len(out)):
        row = indicator.update(a[i], b[i])
        for k in range(len(row)):
            out[i, k] = row[k]


@kernel
def _several_3(indicator: Any, out: Any, a: Any, b: Any, c: Any) -> None:
    for i in range(len(out)):
        row = indicator.update(a[i], b[i], c[i])
        for k in range(len(row)):
            out[i, k] = row[k]


_SINGLE = {1: _single_1, 2: _single_2, 3: _single_3, 4: _single_4}
_SEVERAL = {1: _several_1, 2: _several_2, 3: _several_3}
