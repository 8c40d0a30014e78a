"""Watching one decision: the event that brought it is stepped once more, with the strategy's handlers as plain Python.

Compiled and interpreted handlers give the same bytes, so what the interpreter sees on the way is what the compiled strategy saw: the event
it was handed, what each indicator answered, its own local names, and the state of the whole engine at the moment it returned.
"""

import sys
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import numpy as np

from openbell.engine.engine import Engine
from openbell.engine.plan import Plan
from openbell.indicators.indicator import Indicator
from openbell.model.enums import EVENT_NAMES, HANDLER_NAMES
from openbell.model.jit import address_of
from openbell.model.state import EngineState
from openbell.strategies.load import load
from openbell.strategies.strategy import handlers

#: Arrays up to this length are shown in full.
SHOWN_MAX = 8


@dataclass(slots=True)
class Call:
    """One call of a handler, as it was when it returned."""

    handler: str
    event: dict[str, Any]  # what it was handed
    indicators: dict[str, Any]  # name -> what `update` answered
    fields: dict[str, Any]  # the strategy's own numbers
    local: dict[str, Any]  # its local names
    state: bytes  # of the engine
    leg: int  # orders decided on this event so far


@dataclass(slots=True)
class Watch:
    """The calls of one strategy's handlers while one event was stepped."""

    calls: list[Call] = field(default_factory=list)

    def of_leg(self, leg: int) -> Call | None:
        """The call that decided the event's order number `leg`."""
        return next((call for call in self.calls if call.leg >= leg), None)


def watch(plan: Plan, state: bytes, event: np.ndarray[Any, Any], strategy: int) -> Watch:
    """Step one event (an array of one) from a state, and note each call of the strategy's handlers."""
    classes = [load(assignment.strategy) for assignment in plan.assignments]
    cls = classes[strategy]
    classes[strategy] = type(cls.__name__, (cls,), {"compiled": False, "__doc__": cls.__doc__, "__module__": cls.__module__})
    engine = Engine(plan, classes=classes)
    engine.restore(state)
    observer = _Observer(engine, strategy)
    before = sys.getprofile()
    sys.setprofile(observer.notice)
    try:
        engine.run(event)
    finally:
        sys.setprofile(before)
    return Watch(observer.calls)


class _Observer:
    """A profile function: it sees every Python function return, with its local names and its answer."""

    def __init__(self, engine: Engine, strategy: int) -> None:
        self.engine, self.strategy = engine, strategy
        self.calls: list[Call] = []
        self._answers: list[tuple[Any, Any]] = []
        cls = engine.classes[strategy]
        self._handlers: dict[CodeType, str] = {getattr(cls, HANDLER_NAMES[index]).__code__: HANDLER_NAMES[index] for index in handlers(cls)}

    def notice(self, frame: FrameType, what: str, answer: Any) -> None:
        """Called by the interpreter."""
        if frame.f_code in self._handlers:
            if what == "call":
                self._answers = []
            elif what == "return":
                self._returned(frame)
        elif what == "return" and frame.f_code.co_name == "update" and isinstance(frame.f_locals.get("self"), Indicator):
            self._answers.append((frame.f_locals["self"], answer))

    def _returned(self, frame: FrameType) -> None:
        names = frame.f_code.co_varnames
        record, event, broker = (frame.f_locals[name] for name in names[:3])
        if int(broker.strategy) != self.strategy:
            return  # another assignment of the same class
        local = {name: numbers(value) for name, value in frame.f_locals.items() if name not in names[:3]}
        answers = {name: _labelled(owner, answer) for owner, answer in self._answers if (name := _name_of(record, owner))}
        self.calls.append(
            Call(
                self._handlers[frame.f_code], _handed(event), answers, record_dict(record),
                {name: value for name, value in local.items() if value is not None}, self.engine.checkpoint(), int(broker.leg),
            )
        )  # fmt: skip


def _handed(event: Any) -> dict[str, Any]:
    """What a handler was given; a timer's is the engine itself, which is shown elsewhere."""
    return {} if isinstance(event, EngineState) else event_dict(event)


def event_dict(event: Any) -> dict[str, Any]:
    """An event by field, its kind in words."""
    found = record_dict(event)
    return {**found, "kind": EVENT_NAMES.get(found["kind"], "")} if "kind" in found else found


def _labelled(indicator: Any, answer: Any) -> Any:
    values = numbers(answer)
    return dict(zip(indicator.outputs, values, strict=True)) if indicator.outputs and isinstance(values, list) else values


def _name_of(record: Any, indicator: Any) -> str:
    """The field of the strategy's record that holds the indicator; "" for one inside another indicator."""
    offset = address_of(indicator) - address_of(record)
    for name in record.dtype.names:
        kind, start = record.dtype.fields[name][:2]
        base, count = (kind.subdtype[0], int(np.prod(kind.subdtype[1]))) if kind.subdtype else (kind, 1)
        place, rest = divmod(offset - start, base.itemsize)
        if rest == 0 and 0 <= place < count and base.type is type(indicator):
            return f"{name}[{place}]" if kind.subdtype else str(name)
    return ""


def record_dict(record: Any) -> dict[str, Any]:
    """The numbers of a record by field; what is padding, an indicator or a long array is left out."""
    found = {}
    for name in record.dtype.names or ():
        value = None if name.startswith("_") else numbers(record[name])
        if value is not None:
            found[name] = value
    return found


def numbers(value: Any) -> Any:
    """A number, or a short list of numbers, as plain Python; None for anything else."""
    if isinstance(value, np.integer | np.floating | np.bool_):
        return value.item()
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple) and len(value) <= SHOWN_MAX:
        plain = [numbers(item) for item in value]
        return None if None in plain else plain
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.size <= SHOWN_MAX:
        return value.tolist()
    return None
