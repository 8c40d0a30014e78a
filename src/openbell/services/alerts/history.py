"""The candles before those that alerts have seen: what an indicator goes by that somebody has just asked for.

The first whole candle of a new indicator may be a day away. Until it has closed, the indicator is that of the stored candles, which are
looked up when one more should be there; from then on it is that of its own, behind the last stored one before.
"""

import asyncio
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from openbell.adapters.stores.candles_base import CandleStore
from openbell.alerts.gauges import Candle, Gauge
from openbell.model.time import MILLISECOND, format_timeframe
from openbell.services.alerts.symbols import SymbolDesk

#: After so many candles the slowest of the usual indicators has forgotten its start; of a longer one, so many times its length.
CANDLES_MIN, LENGTHS = 300, 4
#: How often a candle is looked for that is not stored yet. A quiet stretch makes none.
LOOKS_MAX = 10


@dataclass(slots=True)
class Looked:
    """What was looked for of one indicator: candles before a time (ns), and how often."""

    before: int = -1
    times: int = 0


class History:
    """Stored candles for the indicators of desks."""

    def __init__(self, store: CandleStore) -> None:
        self._store = store
        self._looked: WeakKeyDictionary[Gauge, Looked] = WeakKeyDictionary()

    async def look(self, desk: SymbolDesk) -> None:
        """Give indicators that are new what is stored before what they saw."""
        for symbol in desk.places:
            book = desk.books[symbol]
            for timeframe_ns, gauge in list(desk.board.candles.waiting(book)):
                before = gauge.held[0][0] if gauge.held else desk.board.now(book) // timeframe_ns * timeframe_ns
                if before > 0:
                    await self._look(desk, symbol, gauge, timeframe_ns, before)

    async def _look(self, desk: SymbolDesk, symbol: str, gauge: Gauge, timeframe_ns: int, before: int) -> None:
        looked = self._looked.setdefault(gauge, Looked())
        if looked.before != before:
            looked.before, looked.times = before, 0
        found: list[tuple[int, Candle]] = []
        if gauge.latest + timeframe_ns < before and looked.times < LOOKS_MAX:
            looked.times += 1
            found = await asyncio.to_thread(self._before, symbol, timeframe_ns, gauge, before)
        latest = found[-1][0] if found else gauge.latest
        is_whole = bool(gauge.held) and (latest + timeframe_ns >= before or looked.times >= LOOKS_MAX)
        if found or is_whole:
            desk.catch_up(symbol, gauge, timeframe_ns, found, is_whole)

    def _before(self, symbol: str, timeframe_ns: int, gauge: Gauge, before: int) -> list[tuple[int, Candle]]:
        """The candles that a gauge has not seen and that start before a time (ns), oldest first."""
        count = max([CANDLES_MIN, *(LENGTHS * int(value) for _, value in gauge.key[1])])
        start = gauge.latest // MILLISECOND + 1
        rows = self._store.read(symbol, format_timeframe(timeframe_ns), start, before // MILLISECOND, count)
        return [(row[2] * MILLISECOND, (row[4], row[5], row[6], row[7], row[6] if row[8] is None else row[8])) for row in rows]
