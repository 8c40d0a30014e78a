"""Replay: a source of past (or computed) events, played at the speed it happened, faster, or as fast as they are taken.

The clock of the session runs from the first event played. Events are handed over in frames of 20 ms, which is a blink for who watches and
leaves an idle process idle. When the taker is too slow, the session waits for it: it slips and never sprints after the clock.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

import numpy as np

from openbell.adapters.feeds.base import EventArray, FeedStatus, Ticks
from openbell.errors import JournalError, UsageError
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.model.time import MINUTE

FRAME_S = 0.02
#: Candles up to this long are closed at the end of a recording.
CLOSING_NS = 5 * MINUTE
#: Events in one array at full speed, and at most in a frame.
ARRAY_ROWS = 512
#: How far the session may fall behind before its clock is set anew.
SLIP_S = 0.25


class Source(Protocol):
    """Events in numbered chunks, each the same whenever it is asked for."""

    name: str

    def chunks(self, first: int) -> Iterator[EventArray]:
        """The chunks from number `first` on."""

    def progress(self, ts: int) -> float | None:
        """The share (0 to 1) of the source that lies before a time; None when it has no end."""


class Recording:
    """A source made of recorded arrays; `read` begins anew at each call. The last chunk is one timer, which closes the last candles."""

    def __init__(self, name: str, read: Callable[[], Iterator[EventArray]], span: tuple[int, int] | None = None) -> None:
        self.name = name
        self._read = read
        self._span = span

    def chunks(self, first: int) -> Iterator[EventArray]:
        """The chunks from number `first` on."""
        number, last = 0, 0
        for events in self._read():
            last = int(events["ts_available"][-1])
            if number >= first:
                yield events
            number += 1
        if number >= first and last:
            timer = np.zeros(1, EVENT)
            timer["kind"], timer["instrument"] = enums.TIMER, -1
            timer["ts_available"], timer["ts_event"] = last, (last // CLOSING_NS + 1) * CLOSING_NS
            yield timer

    def progress(self, ts: int) -> float | None:
        """The share of the span before a time."""
        if self._span is None:
            return None
        start, end = self._span
        return min(1.0, max(0.0, (ts - start) / max(end - start, 1)))


class ReplayFeed:
    """Plays a source; see `openbell.adapters.feeds.base` for the contract."""

    def __init__(self, source: Source, speed: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.source = source
        self.speed = speed
        self._clock = clock
        self._now = 0  # ns, of the latest event played
        self._lag = 0.0
        self._done = False

    async def stream(self, cursor: bytes) -> AsyncIterator[Ticks]:
        """The events after the cursor, when they are due."""
        first, offset = parse_cursor(cursor)
        pace = Pace(self.speed, self._clock)
        async for number, events in self._chunks(first):
            while offset < len(events):
                count = await self._due(pace, events, offset)
                offset += count
                self._now = int(events["ts_available"][offset - 1])
                yield Ticks(events[offset - count : offset], b"%d.%d" % (number, offset))
            offset = 0
        self._done = True

    async def _chunks(self, first: int) -> AsyncIterator[tuple[int, EventArray]]:
        """The numbered chunks of the source; while one is played, the next is read or computed in a thread."""
        chunks, number = self.source.chunks(first), first
        coming = asyncio.ensure_future(asyncio.to_thread(next, chunks, None))
        try:
            while (events := await coming) is not None:
                coming = asyncio.ensure_future(asyncio.to_thread(next, chunks, None))
                yield number, events
                number += 1
        finally:
            coming.cancel()

    def is_over(self, cursor: bytes) -> bool:
        """Whether nothing comes after the cursor."""
        first, offset = parse_cursor(cursor)
        for events in self.source.chunks(first):
            if offset < len(events):
                return False
            offset = 0
        return True

    async def _due(self, pace: "Pace", events: EventArray, offset: int) -> int:
        """How many events are due, at least one; waits for the first."""
        if math.isinf(self.speed):
            await asyncio.sleep(0)
            return min(ARRAY_ROWS, len(events) - offset)
        times = events["ts_available"]
        await asyncio.sleep(max(pace.wait(int(times[offset])), FRAME_S))
        count = int(np.searchsorted(times[offset : offset + ARRAY_ROWS], pace.now(), "right"))
        self._lag = pace.settle(int(times[offset]))
        return max(count, 1)

    def status(self) -> FeedStatus:
        """How it stands."""
        speed = "at full speed" if math.isinf(self.speed) else f"{self.speed:g}x"
        share = self.source.progress(self._now) if self._now else 0.0
        if self._done:
            return FeedStatus(f"{self.source.name} has ended", 0.0, True)
        shown = "" if share is None else f", {100 * share:.0f}% of the session"
        return FeedStatus(f"{self.source.name} {speed}{shown}", round(1000 * self._lag, 1), False)


class Pace:
    """Maps the session's time to the machine's."""

    def __init__(self, speed: float, clock: Callable[[], float]) -> None:
        self._speed = speed
        self._clock = clock
        self._anchor: tuple[float, int] | None = None

    def wait(self, ts: int) -> float:
        """Seconds until a session time (ns) is due; the first time asked for is due at once."""
        if self._anchor is None:
            self._anchor = (self._clock(), ts)
        return (ts - self.now()) / 1e9 / self._speed

    def now(self) -> int:
        """The session's time, ns."""
        assert self._anchor is not None, "the session has not begun"
        start, ts = self._anchor
        return ts + int((self._clock() - start) * self._speed * 1e9)

    def settle(self, ts: int) -> float:
        """Seconds by which the event at `ts` is late; when it is too late, the session goes on from it."""
        late = (self.now() - ts) / 1e9 / self._speed - FRAME_S
        if late > SLIP_S:
            self._anchor = (self._clock(), ts)
        return max(late, 0.0)


def parse_cursor(cursor: bytes) -> tuple[int, int]:
    """The number of the chunk and the offset in it."""
    if not cursor:
        return 0, 0
    number, dot, offset = cursor.partition(b".")
    if not (dot and number.isdigit() and offset.isdigit()):
        raise JournalError(f"the feed's cursor is {cursor!r}", "a chunk and an offset such as 3.250", "start a new run")
    return int(number), int(offset)


def parse_speed(text: str) -> float:
    """`2`, `0.5`, `20x` or `max` (infinity)."""
    if text == "max":
        return math.inf
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0.0 < speed <= 10_000.0:
        raise UsageError(f"speed is {text!r}", "a number above 0 and up to 10000, such as 2 or 0.5, or max")
    return speed
