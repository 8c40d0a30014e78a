"""A tick on its way through the platform: at which stops it was seen and when, and where it was lost.

Every stop but the first follows another one. All are watched from the beginning; the time that a stop is given begins when the tick was
seen at the stop before, so that the whole journey ends after `timeout_s` for each stop of the longest way, about.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

import msgspec

from openbell.errors import OpenbellError

State = Literal["waiting", "ok", "lost", "not reached"]


@dataclass(frozen=True, slots=True)
class Seen:
    """Where exactly the tick was seen, and when (seconds of `perf_counter`)."""

    where: str
    at: float


class Trail:
    """Positions that rise, each with when it was first seen: kept while it is not known yet which of them counts. For any thread."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, float]] = []

    def note(self, position: int) -> None:
        """It stands there now."""
        if not self._steps or position > self._steps[-1][0]:
            self._steps.append((position, perf_counter()))

    def first_from(self, position: int) -> tuple[int, float] | None:
        """The first that was seen at this position or behind it, and when."""
        return next((step for step in self._steps if step[0] >= position), None)


class Stop(msgspec.Struct):
    """One place where the tick has to be seen."""

    name: str
    process: str = ""  # who brings it there, as the control channel calls it; empty for a server
    after: str = ""  # the stop before
    state: State = "waiting"
    where: str = ""
    ms: float | None = None  # since it was published
    why: str = ""  # it was lost, where that is known


class Report(msgspec.Struct):
    """What became of the tick."""

    symbol: str
    arrived: bool
    ms: float  # until it was at the last stop it was seen at
    stops: list[Stop]
    verdict: list[str]


class Journey:
    """Watches the stops; `begin` is called when the tick leaves."""

    def __init__(self, timeout_s: float) -> None:
        self.stops: list[Stop] = []
        self._timeout_s = timeout_s
        self._began = perf_counter()
        self._followed: dict[str, asyncio.Task[bool]] = {}

    def begin(self) -> None:
        """Time runs from now on."""
        self._began = perf_counter()

    def follow(self, stop: Stop, watch: Coroutine[Any, Any, Seen]) -> None:
        """Add a stop. `watch` waits until the tick is seen there, or raises the OpenbellError that says why it never will be."""
        self.stops.append(stop)
        self._followed[stop.name] = asyncio.create_task(self._follow(stop, asyncio.create_task(watch)))

    async def finish(self) -> None:
        """Wait until every stop is known."""
        await asyncio.gather(*self._followed.values())

    async def _follow(self, stop: Stop, watching: "asyncio.Task[Seen]") -> bool:
        try:
            if stop.after and not await self._followed[stop.after]:
                stop.state = "not reached"
                return False
            async with asyncio.timeout(self._timeout_s):
                seen = await watching
            stop.state, stop.where, stop.ms = "ok", seen.where, round(1000 * (seen.at - self._began), 1)
        except TimeoutError:
            stop.state = "lost"
        except OpenbellError as error:
            stop.state, stop.why = "lost", str(error)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return stop.state == "ok"

    def report(self, symbol: str, verdict: list[str]) -> Report:
        """All stops, with what is said about them."""
        seen = [stop.ms for stop in self.stops if stop.ms is not None]
        return Report(symbol, all(stop.state == "ok" for stop in self.stops), max(seen, default=0.0), self.stops, verdict)
