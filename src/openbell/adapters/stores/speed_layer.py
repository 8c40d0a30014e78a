"""The speed layer's contract, in words and as a protocol. `tests/contracts/test_speed_layer.py` holds every implementation to it.

A speed layer has the newest of everything that is asked for all the time: the price and quote of every symbol, the candle that is open in
every timeframe, and tables of whatever else is read by name, such as what analytics says of every symbol. It is a cache for displays; what
counts is in the journal and the store.

1. *Updating never waits.* `update` takes what a batch of ticks changed, `put` the new entries of a table, and both return; over a network
   all that has gathered is one write in one round trip, and while the server is away the newest of each key waits. `flush` waits until it
   is there.
2. *Reading is one command.* `get_price` looks up one key; None for what nobody has updated. `get` and `get_prices` look up many at once.
3. *Old never replaces new.* A process that is late, or goes through ticks again after a restart, must not put back what others have moved
   on from. An update is old when its time is before that of what is there and its position (of the tick in its topic) is too: so
   a new run over older data may replace what an earlier run has left, and new data a position of a topic that was made anew.
   Candles that start at the same time go by their number of trades. Without positions the time decides alone.
4. *Trouble has a name.* StorageError for what waiting cannot mend, and for a question that is not answered within a second or so.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

Number = float | None


class Price(msgspec.Struct):
    """The latest trade and quote of an instrument."""

    price: float
    bid: Number
    ask: Number
    quantity: Number
    ts: int


class PlacedPrice(Price, omit_defaults=True):
    """A price, and the position of the latest tick of the instrument in its topic, which may have changed nothing."""

    position: int | None = None


class Candle(msgspec.Struct):
    """One candle; `ts` is its start."""

    symbol: str
    timeframe: str
    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: Number
    trades: int
    complete: bool


class Entry(msgspec.Struct):
    """What a table has under a name: bytes that only who wrote them and who reads them know, at a time."""

    ts: int
    body: bytes
    position: int | None = None


class SpeedStore(Protocol):
    """A speed layer. Times are ms since 1970 UTC."""

    async def update(
        self,
        prices: Mapping[str, Price],
        candles: Iterable[Candle] = (),
        positions: Mapping[str, int] | None = None,
    ) -> None:
        """Take what a batch of ticks changed: prices by symbol, open candles, and, by symbol, the position of its last tick."""

    async def put(self, table: str, entries: Mapping[str, Entry]) -> None:
        """Take the new entries of a table, by name."""

    async def flush(self) -> None:
        """Wait until all updates can be read."""

    async def get(self, table: str, names: Iterable[str]) -> dict[str, Entry]:
        """The entries of those names that have one."""

    async def get_price(self, symbol: str) -> Price | None:
        """The latest price of a symbol."""

    async def get_prices(self, symbols: Iterable[str]) -> dict[str, Price]:
        """The latest prices of those symbols that have one."""

    async def get_candle(self, symbol: str, timeframe: str) -> Candle | None:
        """The candle that is open."""

    async def close(self) -> None:
        """Flush and disconnect."""


class Age(msgspec.Struct, frozen=True):
    """How new something is."""

    ts: int
    trades: int = 0
    position: int | None = None

    @classmethod
    def of(cls, thing: Price | Candle | Entry, position: int | None) -> "Age":
        """The age of an update."""
        return cls(thing.ts, thing.trades if isinstance(thing, Candle) else 0, position)

    def is_before(self, other: "Age") -> bool:
        """Whether this is older than what is there."""
        is_earlier = (self.ts, self.trades) < (other.ts, other.trades)
        return is_earlier and (self.position is None or other.position is None or self.position < other.position)


class MemorySpeedLayer:
    """The speed layer within one process."""

    def __init__(self) -> None:
        self.prices: dict[str, Price] = {}
        self.open: dict[tuple[str, str], Candle] = {}
        self.tables: dict[str, dict[str, Entry]] = {}
        self._ages: dict[tuple[str, ...], Age] = {}

    async def update(
        self,
        prices: Mapping[str, Price],
        candles: Iterable[Candle] = (),
        positions: Mapping[str, int] | None = None,
    ) -> None:
        """Take what is not older than what is there."""
        known = positions or {}
        for symbol, price in prices.items():
            if self._is_new(("price", symbol), Age.of(price, known.get(symbol))):
                self.prices[symbol] = msgspec.structs.replace(price)
        for candle in candles:
            if self._is_new(("candle", candle.symbol, candle.timeframe), Age.of(candle, known.get(candle.symbol))):
                self.open[candle.symbol, candle.timeframe] = msgspec.structs.replace(candle)

    async def put(self, table: str, entries: Mapping[str, Entry]) -> None:
        """Take what is not older than what is there."""
        known = self.tables.setdefault(table, {})
        for name, entry in entries.items():
            if self._is_new(("entry", table, name), Age.of(entry, entry.position)):
                known[name] = msgspec.structs.replace(entry)

    def _is_new(self, name: tuple[str, ...], age: Age) -> bool:
        if name in self._ages and age.is_before(self._ages[name]):
            return False
        self._ages[name] = age
        return True

    async def flush(self) -> None:
        """Updates can be read at once."""

    async def get_price(self, symbol: str) -> Price | None:
        """The latest price of a symbol."""
        return self.prices.get(symbol)

    async def get_prices(self, symbols: Iterable[str]) -> dict[str, Price]:
        """The latest prices of those symbols that have one."""
        return {symbol: self.prices[symbol] for symbol in symbols if symbol in self.prices}

    async def get_candle(self, symbol: str, timeframe: str) -> Candle | None:
        """The candle that is open."""
        return self.open.get((symbol, timeframe))

    async def get(self, table: str, names: Iterable[str]) -> dict[str, Entry]:
        """The entries of those names that have one."""
        known = self.tables.get(table, {})
        return {name: known[name] for name in names if name in known}

    async def close(self) -> None:
        """Nothing is open."""
