"""The face of the product: a class with parameters, `setup`, and handlers that run on every event.

    class SmaCross(Strategy):
        fast = param(20, 5, 100)
        slow = param(50, 20, 400)

        def setup(self):
            self.fast_average = Sma(self.fast)
            self.slow_average = Sma(self.slow)

        def on_bar(self, bar, broker):
            fast = self.fast_average.update(bar.close)
            slow = self.slow_average.update(bar.close)
            if fast > slow and broker.position(bar.instrument) == 0:
                broker.buy(bar.instrument, broker.all_in(bar))
            elif fast < slow and broker.position(bar.instrument) > 0:
                broker.close(bar.instrument)

`setup` runs once, in Python, and only declares: the indicators, numbers and arrays it sets on `self` become the fields of the strategy's
state record, one record for each instrument. A strategy with `on_slice` sees all instruments together and has one record in all.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from openbell.errors import StrategyError, suggest
from openbell.model.enums import HANDLER_NAMES, ON_SLICE
from openbell.model.jit import Record, inlined


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter: its default, and the range a search may try."""

    default: float
    low: float
    high: float


def param(default: float, low: float | None = None, high: float | None = None) -> Any:
    """A parameter of a strategy, whole if its default is; `low` and `high` bound what may be set (by default nothing does)."""
    low = -np.inf if low is None else low
    high = np.inf if high is None else high
    if not low <= default <= high:
        raise StrategyError(f"param default is {default}; expected from {low} to {high}")
    return Param(default, low, high)


class Strategy(Record):
    """Base of every strategy. Override `setup` and any of `on_bar on_trade on_quote on_fill on_timer on_slice`."""

    #: False runs the handlers as plain Python: slower, same rules, any library.
    compiled: ClassVar[bool] = True
    #: Interval of `on_timer`, such as "1m"; empty for none.
    timer: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in HANDLER_NAMES:
            if name in vars(cls):
                inlined(vars(cls)[name])

    def setup(self) -> None:
        """Declare indicators and fields; parameters are already set on `self`, and `self.instruments` is their number."""


def parameters(cls: type[Strategy]) -> dict[str, Param]:
    """The parameters of a strategy class by name, in the order they were written."""
    found: dict[str, Param] = {}
    for base in reversed(cls.__mro__):
        found.update({name: value for name, value in vars(base).items() if isinstance(value, Param)})
    return found


def handlers(cls: type[Strategy]) -> list[int]:
    """Which handlers (indices into HANDLER_NAMES) the class has."""
    return [index for index, name in enumerate(HANDLER_NAMES) if callable(getattr(cls, name, None))]


def is_portfolio(cls: type[Strategy]) -> bool:
    """Whether the strategy decides over all instruments at once, with one state record in all."""
    return ON_SLICE in handlers(cls)


class Declaration:
    """What `setup` sees as `self`: parameters are there, and everything it sets becomes a field."""

    def __init__(self, instruments: int) -> None:
        self.instruments = instruments


def declare(cls: type[Strategy], values: dict[str, Any], instruments: int) -> Any:
    """Run `setup` and return the strategy's first state record (a view into one element of its dtype).

    Raises StrategyError for a parameter that is unknown or out of range, a field that cannot be state, and a strategy without handlers.
    """
    known = parameters(cls)
    for name in values:
        if name not in known:
            raise StrategyError(f"{cls.__name__} has no parameter {name!r}", f"one of {', '.join(known) or 'none'}", suggest(name, known))
    if not handlers(cls):
        raise StrategyError(f"{cls.__name__} has no handler; expected at least one of {', '.join(HANDLER_NAMES)}")
    declaration = Declaration(instruments)
    for name, parameter in known.items():
        setattr(declaration, name, _checked(cls, name, parameter, values.get(name, parameter.default)))
    try:
        cls.setup(declaration)  # type: ignore[arg-type]
    except Exception as error:
        place = error.__traceback__
        while place and place.tb_next:
            place = place.tb_next
        where = f"line {place.tb_lineno} of {place.tb_frame.f_code.co_filename.rpartition('/')[2]}" if place else ""
        raise StrategyError(f"{cls.__name__}.setup failed: {type(error).__name__}: {error} ({where})") from error
    fields: list[tuple[Any, ...]] = []
    content: dict[str, Any] = {}
    for name, value in vars(declaration).items():
        field, content[name] = _field(cls, name, value)
        fields.append((name, *field))
    record = cls.allocate(fields)
    for name, value in content.items():
        record[name] = value
    return record


def _checked(cls: type[Strategy], name: str, parameter: Param, value: Any) -> Any:
    whole = isinstance(parameter.default, int)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise StrategyError(f"{cls.__name__}.{name} is {value!r}; expected a number") from None
    if not parameter.low <= number <= parameter.high:
        raise StrategyError(f"{cls.__name__}.{name} is {value}; expected from {parameter.low} to {parameter.high}")
    if not math.isfinite(number):
        raise StrategyError(f"{cls.__name__}.{name} is {value}; expected a finite number")
    if whole and number != int(number):
        raise StrategyError(f"{cls.__name__}.{name} is {value}; expected a whole number")
    return int(number) if whole else number


def _field(cls: type[Strategy], name: str, value: Any) -> tuple[tuple[Any, ...], Any]:
    if isinstance(value, np.void):
        return (value.dtype,), value
    if isinstance(value, bool | int | np.integer):
        return ("i8",), int(value)
    if isinstance(value, float | np.floating):
        return ("f8",), float(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.size:
        return (value.dtype, value.shape), value
    if isinstance(value, list | tuple) and value and all(isinstance(item, np.void) and item.dtype == value[0].dtype for item in value):
        return (value[0].dtype, (len(value),)), np.array(list(value), value[0].dtype)
    if isinstance(value, list | tuple) and value and all(isinstance(item, int | float) for item in value):
        return ("f8", (len(value),)), np.array(value, np.float64)
    raise StrategyError(
        f"{cls.__name__}.setup set self.{name} to {type(value).__name__} {value!r}, which cannot be part of the state; "
        "expected a number, an indicator, a numpy array of numbers, or a list of indicators of one kind"
    )
