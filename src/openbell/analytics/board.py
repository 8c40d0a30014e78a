"""A board of tapes: ticks of many symbols in, readings out.

>>> board = Board(
...     [1.0], [0.0], lambda ts: [(ts // DAY * DAY + number * DAY, ts // DAY * DAY + (number + 1) * DAY) for number in range(-20, 20)]
... )
>>> board.open(0)
>>> trades = np.zeros(3, EVENT)
>>> trades["trade"]["kind"], trades["trade"]["price"], trades["trade"]["quantity"] = 1, (100.0, 101.0, 102.0), 1
>>> trades["ts_event"] = np.arange(3) * 30_000_000_000
>>> board.take(trades)
3
>>> _, readings = board.readings(board.now)
>>> float(readings["windows"]["reference"][0, 0]), float(readings["windows"]["vwap"][0, 1])
(100.0, 101.0)
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from openbell.analytics.reading import read, read_closes
from openbell.analytics.take import take
from openbell.errors import JournalError
from openbell.model.analytics import (
    BEFORE,
    CLOSES_RECORD,
    DONE,
    FORGET_NS,
    HEAD_RECORD,
    HOURS_RECORD,
    NOBODY,
    NUMBER_RECORD,
    READING_RECORD,
    RING,
    RING_RECORD,
    ROW_RECORD,
    SPAN_RECORD,
    TAPE_RECORD,
    WINDOW_COUNT,
    WINDOWS,
)
from openbell.model.analytics import PARTS as PARTS
from openbell.model.events import EVENT as EVENT
from openbell.model.time import DAY as DAY

Array = np.ndarray[Any, Any]
#: Tells the sessions (opens, closes; ns) around a time, in order: from two weeks before it at the latest, and beyond it.
Sessions = Callable[[int], Sequence[tuple[int, int]]]

_FIRST_ROWS = 16
_TABLES = {"tapes": (TAPE_RECORD, 1), "spans": (SPAN_RECORD, WINDOW_COUNT), "rings": (RING_RECORD, WINDOW_COUNT)}
#: Bytes of a symbol, and what they mean.
TAPE_BYTES = sum(dtype.itemsize * each for dtype, each in _TABLES.values())
LAYOUT = blake2b(repr([dtype.descr for dtype, _ in _TABLES.values()]).encode(), digest_size=8).hexdigest()


class Board:
    """Tapes by their instrument, whose lots have so many units and whose prices such a smallest step (0: none). For one thread at once."""

    def __init__(self, lot_sizes: Sequence[float], price_increments: Sequence[float], sessions: Sessions) -> None:
        self.instruments: list[int] = []
        self._lot_sizes, self._increments, self._sessions = lot_sizes, price_increments, sessions
        self._head = np.zeros(1, HEAD_RECORD)
        self._address = int(self._head.ctypes.data)
        self._arrays: dict[str, Array] = {}
        self._set("rows", np.full(max(len(lot_sizes), 1), NOBODY, np.int64).view(ROW_RECORD))
        self._set("numbers", np.zeros(2 * RING, NUMBER_RECORD))
        self._head["instruments"], self._head["now"] = len(lot_sizes), BEFORE
        self._head["covers_from"], self._head["covers_until"] = 0, BEFORE
        self._make_room(_FIRST_ROWS)

    @property
    def now(self) -> int:
        """The latest time (ns) of any symbol, BEFORE the first."""
        return int(self._head["now"][0])

    def pass_time(self, ts: int) -> None:
        """It is `ts` (ns), at the least."""
        self._head["now"] = max(self.now, ts)

    @property
    def nbytes(self) -> int:
        """Memory of the tables."""
        return sum(array.nbytes for array in self._arrays.values())

    def open(self, instrument: int, kept: bytes = b"") -> None:
        """Take the ticks of an instrument from now on, which goes on from what was kept. JournalError when it cannot be read."""
        if kept and len(kept) != TAPE_BYTES:
            raise JournalError(f"analytics of {len(kept)} bytes", f"{TAPE_BYTES}", "let them begin anew")
        index = len(self.instruments)
        if index + 2 > len(self._arrays["tapes"]):
            self._make_room(index + index // 4 + 2)
        self.instruments.append(instrument)
        first = 0
        for name, (dtype, each) in _TABLES.items():
            size = dtype.itemsize * each
            rows = self._arrays[name][index * each : (index + 1) * each]
            rows[:] = np.frombuffer(kept[first : first + size], dtype) if kept else np.zeros(each, dtype)
            first += size
        tape = self._arrays["tapes"][index]
        tape["lot_size"], tape["price_increment"] = self._lot_sizes[instrument], self._increments[instrument]
        tape["instrument"] = instrument
        if kept:
            self._head["now"] = max(self.now, int(tape["now"]))
        else:
            tape["now"] = tape["last_ts"] = BEFORE
            self._arrays["spans"]["step_ns"][index * WINDOW_COUNT : (index + 1) * WINDOW_COUNT] = np.array(WINDOWS) // PARTS
        self._arrays["rows"]["tape"][instrument] = index
        self._head["tape_count"] = index + 1

    def take(self, events: Array) -> int:
        """Take ticks (EVENT), in order; what is of other instruments, or makes no sense, is passed over. Returns how many there were."""
        events = np.ascontiguousarray(events)
        first, count, address = 0, len(events), int(events.ctypes.data)
        while take(self._address, address, first, count) != DONE:
            first = int(self._head["row"][0])
            self._cover(int(self._head["asked_ts"][0]))
        return count

    def readings(self, now: int) -> tuple[list[int], Array]:
        """Instruments that something is known of, and the reading (READING) of each at `now` (ns), or later where its own time is."""
        found = np.zeros(len(self.instruments), READING_RECORD)
        if now == BEFORE:
            return [], found[:0]
        self._cover(now)
        read(self._address, now, int(found.ctypes.data))
        known = found["last_ts"] != BEFORE
        return self._known(known), found[known]

    def closes(self, window: int, now: int) -> tuple[list[int], Array]:
        """Instruments, and the prices at the ends of the parts (CLOSES) of a window, by its number in WINDOWS, at `now` (ns)."""
        found = np.zeros(len(self.instruments), CLOSES_RECORD)
        if now == BEFORE:
            return [], found[:0]
        self._cover(now)
        read_closes(self._address, now, window, int(found.ctypes.data))
        known = found["known"] > 0
        return self._known(known), found[known]

    def kept(self, instrument: int) -> bytes:
        """Everything about an instrument, for `open`."""
        index = int(self._arrays["rows"]["tape"][instrument])
        parts = (self._arrays[name][index * each : (index + 1) * each] for name, (_, each) in _TABLES.items())
        return b"".join(part.tobytes() for part in parts)

    def _known(self, known: Array) -> list[int]:
        return [self.instruments[index] for index in np.flatnonzero(known).tolist()]

    def _cover(self, ts: int) -> None:
        """See that the sessions around a time are known."""
        if self._head["covers_from"][0] <= ts - FORGET_NS and ts < self._head["covers_until"][0]:
            return
        hours = np.array([*self._sessions(ts)], np.int64).reshape(-1, 2)
        self._set("hours", hours.view(HOURS_RECORD).reshape(-1))
        self._head["hours_count"] = len(hours)
        self._head["covers_from"], self._head["covers_until"] = hours[0, 0], hours[-1, 0]

    def _make_room(self, tapes: int) -> None:
        for name, (dtype, each) in _TABLES.items():
            made = np.zeros(tapes * each, dtype)
            if name in self._arrays:
                plain = f"V{dtype.itemsize}"
                made.view(plain)[: len(self._arrays[name])] = self._arrays[name].view(plain)
            self._set(name, made)

    def _set(self, name: str, array: Array) -> None:
        self._arrays[name] = array
        self._head[name] = array.ctypes.data
