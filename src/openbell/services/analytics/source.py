"""Where readings come from: the board of this process, or what other processes have put into the speed layer."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from openbell.adapters.stores.speed_layer import Entry, SpeedStore
from openbell.errors import BusError
from openbell.model.analytics import BEFORE, CLOSES_RECORD, READING_RECORD, WINDOW_NAMES
from openbell.model.time import MILLISECOND

Array = np.ndarray[Any, Any]

#: Tables of the speed layer; that of closes has the window in its name.
READINGS, CLOSES = "readings", "closes:{}"
#: How long (seconds) what was read of all symbols serves the next question.
KEPT_S = 0.25


@dataclass(frozen=True, slots=True)
class Table:
    """Records of symbols, at a time (ns; BEFORE without any)."""

    symbols: list[str]
    rows: Array
    now: int

    def of(self, symbol: str) -> Any:
        """The record of a symbol, None when it has none."""
        return self.rows[self.symbols.index(symbol)] if symbol in self.symbols else None


class Source(Protocol):
    """What questions are answered from. BusError when nobody computes it."""

    async def readings(self) -> Table:
        """The reading (READING) of every symbol that is known."""

    async def closes(self, window: int, symbols: Sequence[str] | None = None) -> Table:
        """Prices at the ends of the parts (CLOSES) of a window, by its number; of all symbols, or of some."""


class Stored:
    """Reads what the analytics processes have put into the speed layer. `symbols` are those of the platform."""

    def __init__(self, speed: SpeedStore, symbols: Iterable[str]) -> None:
        self._speed = speed
        self._symbols = list(symbols)
        self._known: dict[str, tuple[float, Table]] = {}
        self._asking = asyncio.Lock()

    async def readings(self) -> Table:
        """See `Source`."""
        return await self._all(READINGS, READING_RECORD)

    async def closes(self, window: int, symbols: Sequence[str] | None = None) -> Table:
        """See `Source`."""
        name = CLOSES.format(WINDOW_NAMES[window])
        if symbols is None:
            return await self._all(name, CLOSES_RECORD)
        return table_of(await self._speed.get(name, symbols), CLOSES_RECORD)

    async def _all(self, name: str, dtype: Any) -> Table:
        """A whole table; who asks while it is read waits for it, and who asks soon after gets the same."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            until, table = self._known.get(name, (0.0, None))
            if table is None or now >= until:
                table = table_of(await self._speed.get(name, self._symbols), dtype)
                self._known[name] = now + KEPT_S, table
        if not table.symbols and name == READINGS:
            raise BusError("nothing has computed analytics yet", "an analytics service", "start `openbell serve analytics`")
        return table


def table_of(entries: Mapping[str, Entry], dtype: Any) -> Table:
    """Entries of the speed layer as a table; what was written by another version is left out."""
    good = {symbol: entry for symbol, entry in entries.items() if len(entry.body) == dtype.itemsize}
    rows = np.frombuffer(b"".join(entry.body for entry in good.values()), dtype)
    return Table(list(good), rows, max((entry.ts for entry in good.values()), default=0) * MILLISECOND or BEFORE)


class Local:
    """Reads the board of this process. `read` tells instruments and rows; it is asked anew after a moment."""

    def __init__(
        self, symbols: Sequence[str], readings: Callable[[], tuple[Sequence[int], Array, int]],
        closes: Callable[[int], tuple[Sequence[int], Array, int]],
    ) -> None:  # fmt: skip
        self._symbols = symbols
        self._readings, self._closes = readings, closes
        self._known: dict[int, tuple[float, Table]] = {}

    async def readings(self) -> Table:
        """See `Source`."""
        return self._read(-1)

    async def closes(self, window: int, symbols: Sequence[str] | None = None) -> Table:
        """See `Source`."""
        table = self._read(window)
        if symbols is None:
            return table
        wanted = [index for index, symbol in enumerate(table.symbols) if symbol in set(symbols)]
        return Table([table.symbols[index] for index in wanted], table.rows[wanted], table.now)

    def _read(self, key: int) -> Table:
        now = asyncio.get_running_loop().time()
        until, table = self._known.get(key, (0.0, None))
        if table is None or now >= until:
            instruments, rows, ts = self._readings() if key < 0 else self._closes(key)
            table = Table([self._symbols[instrument] for instrument in instruments], rows, ts)
            self._known[key] = now + KEPT_S, table
        return table
