"""The engine: a plan's state, its compiled handlers, and `step` over arrays of events."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from openbell.engine.broker import BROKER
from openbell.engine.plan import Plan
from openbell.engine.state import MAGIC, Seat, commands_max, first_state
from openbell.engine.step import step
from openbell.engine.stretch import LOOPS
from openbell.errors import JournalError
from openbell.model import enums
from openbell.model.candles import SLICE_RECORD
from openbell.model.commands import COMMAND
from openbell.model.events import BAR_RECORD, EVENT, QUOTE_RECORD, TRADE_RECORD
from openbell.model.jit import handler, join, signature
from openbell.model.orders import FILL_RECORD
from openbell.model.state import ENGINE_STATE, STATE_VERSION, TABLES
from openbell.strategies.load import load
from openbell.strategies.strategy import Strategy, handlers

#: What each handler is given as its event.
HANDLER_EVENTS = (BAR_RECORD, TRADE_RECORD, QUOTE_RECORD, FILL_RECORD, BROKER, SLICE_RECORD)


class Engine:
    """One plan, running. Not safe for two threads at once.

    `commands_capacity` rows of output are held; a `step` that would write more is cut into several by itself. `classes` are the strategy
    classes in the order of the assignments, where they are not to be found by name or path.
    """

    def __init__(self, plan: Plan, commands_capacity: int = 0, classes: list[type[Strategy]] | None = None, stretches: bool = True) -> None:
        self.plan = plan
        self.classes = classes or [load(assignment.strategy) for assignment in plan.assignments]
        self.state, self.seats = first_state(plan, self.classes)
        #: The head of the state, a live view.
        self.head: Any = self.state[: ENGINE_STATE.itemsize].view(ENGINE_STATE)[0]
        self.faults: list[BaseException] = []
        self._callbacks = compile_handlers(self.classes, self.seats, self.faults)
        self._table = np.zeros(len(self.classes) * enums.HANDLER_SLOTS, np.int64)
        for (strategy, index), callback in self._callbacks.items():
            self._table[strategy * enums.HANDLER_SLOTS + index] = callback.address
        #: Commands that one event may write at most.
        self.reserve = commands_max(plan, int(self.head["builder_count"]))
        self.commands = np.zeros(max(commands_capacity, 4 * self.reserve), COMMAND)
        self._addresses = (self.state.ctypes.data, self.commands.ctypes.data, len(self.commands), self.reserve, self._table.ctypes.data)
        self._calm = 0 if stretches else -1
        state, commands, capacity, reserve, table = self._addresses
        step(state, 0, 0, commands, capacity, reserve, table, self._calm)  # compiles, or loads from disk, before the first event is there

    def table(self, name: str) -> np.ndarray[Any, Any]:
        """A table of the state by its name in `model.state.TABLES`, a live view."""
        dtype, count = next((dtype, count) for table, dtype, count in TABLES if table == name)
        offset = int(self.head[f"{name}_offset"])
        rows = int(self.head[count]) if count else 1 if name == "fills" else len(self.plan.listings) * len(self.plan.assignments)
        return self.state[offset : offset + rows * dtype.itemsize].view(dtype)

    def records(self, strategy: int) -> np.ndarray[Any, Any]:
        """The state records of a strategy, one per instrument it follows (one in all for a portfolio); a live view."""
        seat: Seat = self.seats[strategy]
        end = self.seats[strategy + 1].offset if strategy + 1 < len(self.seats) else len(self.state)
        count = min(len(seat.instruments), (end - seat.offset) // seat.dtype.itemsize)
        if enums.ON_SLICE in handlers(seat.cls):
            count = 1
        return self.state[seat.offset : seat.offset + count * seat.dtype.itemsize].view(seat.dtype)

    def step(self, events: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
        """Feed events (dtype EVENT, contiguous, `seq` going on without a gap); yields arrays of commands (dtype COMMAND).

        Each yielded array is a view that the next one overwrites: copy what is to be kept.
        """
        assert events.dtype == EVENT, "events are an array of EVENT"
        assert events.flags.c_contiguous, "events are contiguous"
        if len(events) and int(events[0]["seq"]) != int(self.head["seq"]) + 1:
            expected = f"seq {int(self.head['seq']) + 1}"
            raise JournalError(f"events start at seq {events[0]['seq']}", expected, "feed every event once, in order")
        state, commands, capacity, reserve, table = self._addresses
        address, left = events.ctypes.data, len(events)
        while left:
            done, written = step(state, address, left, commands, capacity, reserve, table, self._calm)
            address, left = address + done * EVENT.itemsize, left - done
            if written:
                yield self.commands[:written]

    def run(self, events: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Feed events and return a copy of all commands they caused."""
        parts = [join([part]) for part in self.step(events)]
        return join(parts) if parts else np.zeros(0, COMMAND)

    def checkpoint(self) -> bytes:
        """The whole state."""
        return self.state.tobytes()

    def restore(self, checkpoint: bytes) -> None:
        """Go back to a checkpoint of the same plan; JournalError when it is another's."""
        data = np.frombuffer(checkpoint, np.uint8)
        if len(data) != len(self.state) or not np.array_equal(data[:8], MAGIC):
            raise JournalError(f"checkpoint of {len(data)} bytes", f"{len(self.state)} bytes of an openbell state for this plan")
        version = int(data[: ENGINE_STATE.itemsize].view(ENGINE_STATE)[0]["version"])
        if version != STATE_VERSION:
            raise JournalError(f"checkpoint of state version {version}", f"version {STATE_VERSION}", "replay the run from its start")
        self.state[:] = data

    def state_hash(self) -> str:
        """SHA-256 of the state, in hex."""
        return hashlib.sha256(self.state.data).hexdigest()


def compile_handlers(classes: list[type[Strategy]], seats: list[Seat], faults: list[BaseException]) -> dict[tuple[int, int], Any]:
    """The C function of every handler of every strategy, by (strategy, handler)."""
    made: dict[Any, Any] = {}
    table = {}
    for strategy, (cls, seat) in enumerate(zip(classes, seats, strict=True)):
        for index in handlers(cls):
            key = (cls, signature(seat.dtype), index)
            if key not in made:
                made[key] = handler(
                    cls, enums.HANDLER_NAMES[index], seat.dtype, HANDLER_EVENTS[index], BROKER, cls.compiled, faults, LOOPS.get(index)
                )
            table[strategy, index] = made[key]
    return table
