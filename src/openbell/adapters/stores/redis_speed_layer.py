"""The speed layer in Redis: keys that anybody can read, and channels that say what changed.

    price:AAPL          {"price":231.05,"bid":231.04,"ask":231.06,"quantity":100.0,"ts":1795259193220}
    candle:AAPL:1m      the open candle
    readings:AAPL       what analytics says, for openbell's gateways: {"ts":...,"position":...}, a new line, and bytes
    closes:1h:AAPL      and the prices that correlations are of

`redis-cli GET price:AAPL` shows the first. Whoever updated with positions has added "position" to the text (see `PlacedPrice`). A price
that was replaced goes to the channel `prices` too, with the symbol as its key, an open candle to `open-candles`, with `AAPL 1m`: what was
too old is not shown either. With a namespace all these names begin with it and a dot.

Many updates are one write: what was updated while a write was on its way goes with the next one, the newest of each key.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from openbell.adapters.redis_link import RedisAsker, RedisLink
from openbell.adapters.redis_server import TROUBLE, Pauses, Place, RedisServer
from openbell.adapters.stores.speed_layer import Age, Candle, Entry, Price
from openbell.errors import StorageError

#: KEYS: what is updated. ARGV: the channel ("" for none), then of each key: time, trades, position (-1 for none), the text, and the key of
#: the message on the channel (as `redis_link.on_channel` puts it). Returns how many were not too old. As `Age.is_before`.
UPDATE = """
local olds, fresh = redis.call('MGET', unpack(KEYS)), {}
local is_heard = ARGV[1] ~= '' and redis.call('PUBSUB', 'NUMSUB', ARGV[1])[2] > 0
for index, key in ipairs(KEYS) do
  local at, old, is_old = index * 5 - 3, olds[index], false
  if old then
    local ts, old_ts = tonumber(ARGV[at]), tonumber(string.match(old, '"ts":(%d+)') or '0')
    if ts <= old_ts then
      local old_trades = tonumber(string.match(old, '"trades":(%d+)') or '0')
      if ts < old_ts or tonumber(ARGV[at + 1]) < old_trades then
        local position, old_position = tonumber(ARGV[at + 2]), tonumber(string.match(old, '"position":(%d+)}$') or '-1')
        is_old = position < 0 or old_position < 0 or position < old_position
      end
    end
  end
  if not is_old then
    table.insert(fresh, key)
    table.insert(fresh, ARGV[at + 3])
    if is_heard then redis.call('PUBLISH', ARGV[1], '\\0' .. ARGV[at + 4] .. '\\0' .. ARGV[at + 3]) end
  end
end
if #fresh > 0 then redis.call('MSET', unpack(fresh)) end
return #fresh / 2
"""
#: KEYS: entries of a table. ARGV of each key: time, position (-1 for none), the entry.
PUT = """
local olds, fresh = redis.call('MGET', unpack(KEYS)), {}
for index, key in ipairs(KEYS) do
  local at, old, is_old = index * 3 - 2, olds[index], false
  if old then
    local old_ts, old_position = string.match(old, '^{"ts":(%d+),"position":(%-?%d+)}')
    if old_ts and tonumber(ARGV[at]) < tonumber(old_ts) then
      local position = tonumber(ARGV[at + 1])
      is_old = position < 0 or tonumber(old_position) < 0 or position < tonumber(old_position)
    end
  end
  if not is_old then
    table.insert(fresh, key)
    table.insert(fresh, ARGV[at + 2])
  end
end
if #fresh > 0 then redis.call('MSET', unpack(fresh)) end
return #fresh / 2
"""
#: Keys in one script: the server does nothing else meanwhile (1 ms, about).
PART = 250
#: How long closing waits for the server.
CLOSE_S = 2.0


class _Place(msgspec.Struct):
    """The head of an entry."""

    ts: int
    position: int


Thing = TypeVar("Thing", Price, Candle, _Place)
#: What waits to be written under a key.
Change = tuple[Age, list[Any]]


class RedisSpeedLayer:
    """See `openbell.adapters.stores.speed_layer` for the contract."""

    def __init__(self, place: Place, namespace: str = "", client: str = "openbell") -> None:
        self._server = RedisServer.at(place, client)
        self._prefix = f"{namespace}." if namespace else ""
        self._asker = RedisAsker(self._server)
        self._waiting: dict[str, dict[str, Change]] = {f"{self._prefix}prices": {}, f"{self._prefix}open-candles": {}, "": {}}
        self._work = asyncio.Event()
        self._written = asyncio.Condition()
        self._is_writing = False
        self._trouble: StorageError | None = None
        self._writer: asyncio.Task[None] | None = None

    # Writing.

    async def update(
        self,
        prices: Mapping[str, Price],
        candles: Iterable[Candle] = (),
        positions: Mapping[str, int] | None = None,
    ) -> None:
        """Take what a batch of ticks changed; it is written in the background."""
        known = positions or {}
        channels = list(self._waiting)
        for symbol, price in prices.items():
            self._add(channels[0], f"price:{symbol}", symbol, price, known.get(symbol))
        for candle in candles:
            symbol, timeframe = candle.symbol, candle.timeframe
            self._add(channels[1], f"candle:{symbol}:{timeframe}", f"{symbol} {timeframe}", candle, known.get(symbol))
        self._begin_writing()

    async def put(self, table: str, entries: Mapping[str, Entry]) -> None:
        """Take the new entries of a table; they are written in the background."""
        waiting = self._waiting[""]
        for name, entry in entries.items():
            key, age = f"{self._prefix}{table}:{name}", Age.of(entry, entry.position)
            if key not in waiting or not age.is_before(waiting[key][0]):
                position = -1 if entry.position is None else entry.position
                waiting[key] = age, [entry.ts, position, b'{"ts":%d,"position":%d}\n%b' % (entry.ts, position, entry.body)]
        self._begin_writing()

    def _begin_writing(self) -> None:
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write(), name=f"redis speed layer {self._server.address}")
        self._work.set()
        if self._trouble is not None:
            raise StorageError(*self._trouble.args)

    async def flush(self) -> None:
        """Wait until all updates can be read."""
        async with self._written:
            while self._is_writing or any(self._waiting.values()):
                if self._trouble is not None:
                    raise StorageError(*self._trouble.args)
                await self._written.wait()

    async def close(self) -> None:
        """Write what waits, for two seconds at most, and disconnect."""
        try:
            with contextlib.suppress(TimeoutError):  # it is a cache
                async with asyncio.timeout(CLOSE_S):
                    await self.flush()
        finally:
            if self._writer is not None:
                self._writer.cancel()
                await asyncio.wait([self._writer])
            await self._asker.close()

    def _add(self, channel: str, key: str, name: str, thing: Price | Candle, position: int | None) -> None:
        age, text = Age.of(thing, position), msgspec.json.encode(thing)
        kept = b'%s,"position":%d}' % (text[:-1], position) if position is not None else text
        waiting, key = self._waiting[channel], self._prefix + key
        if key not in waiting or not age.is_before(waiting[key][0]):
            waiting[key] = age, [age.ts, age.trades, -1 if position is None else position, kept, name]

    async def _write(self) -> None:
        pauses = Pauses(self._server, "updating prices")
        link: RedisLink | None = None
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                changes, self._waiting = self._waiting, {channel: {} for channel in self._waiting}
                self._is_writing = True
                try:
                    link = link or await RedisLink.open(self._server)
                    for answer in await link.calls(_commands(changes)):
                        if isinstance(answer, Exception):
                            raise answer
                    self._trouble = None
                    pauses.reset()
                except TROUBLE as error:
                    if link is not None:
                        await link.close()
                    link = None
                    for channel, newer in self._waiting.items():
                        newer.update({key: change for key, change in changes[channel].items() if key not in newer})
                    self._work.set()
                    self._trouble = pauses.verdict(error, StorageError)
                    await self._tell()
                    await pauses.after(error)
                await self._tell()
        finally:
            if link is not None:
                await link.close()

    async def _tell(self) -> None:
        async with self._written:
            self._is_writing = False
            self._written.notify_all()

    # Reading.

    async def get_price(self, symbol: str) -> Price | None:
        """The latest price of a symbol."""
        return await self._get(f"price:{symbol}", Price)

    async def get_prices(self, symbols: Iterable[str]) -> dict[str, Price]:
        """The latest prices of those symbols that have one."""
        wanted = list(symbols)
        if not wanted:
            return {}
        texts = await self._ask("MGET", *(f"{self._prefix}price:{symbol}" for symbol in wanted))
        return {symbol: self._read(symbol, text, Price) for symbol, text in zip(wanted, texts, strict=True) if text is not None}

    async def get_candle(self, symbol: str, timeframe: str) -> Candle | None:
        """The candle that is open."""
        return await self._get(f"candle:{symbol}:{timeframe}", Candle)

    async def get(self, table: str, names: Iterable[str]) -> dict[str, Entry]:
        """The entries of those names that have one."""
        wanted = list(names)
        if not wanted:
            return {}
        texts = await self._ask("MGET", *(f"{self._prefix}{table}:{name}" for name in wanted))
        return {name: self._entry(f"{table}:{name}", text) for name, text in zip(wanted, texts, strict=True) if text is not None}

    def _entry(self, key: str, text: bytes) -> Entry:
        head, line, body = text.partition(b"\n")
        place = self._read(key, head if line else b"", _Place)
        return Entry(place.ts, body, None if place.position < 0 else place.position)

    async def _get(self, key: str, kind: type[Thing]) -> Thing | None:
        text = await self._ask("GET", self._prefix + key)
        return None if text is None else self._read(key, text, kind)

    async def _ask(self, *command: str) -> Any:
        try:
            return await self._asker.ask(*command)
        except TROUBLE as error:
            raise self._server.verdict(error, StorageError) or StorageError(
                f"Redis at {self._server.address} does not answer ({type(error).__name__})", do="see whether it runs, and ask again"
            ) from error

    def _read(self, key: str, text: bytes, kind: type[Thing]) -> Thing:
        try:
            return msgspec.json.decode(text, type=kind)
        except msgspec.DecodeError as error:
            raise StorageError(f"{self._prefix}{key} in Redis cannot be read: {error}", "what openbell wrote", "delete the key") from None


def _commands(changes: Mapping[str, Mapping[str, Change]]) -> list[list[Any]]:
    """The scripts that write the changes."""
    commands = []
    for channel, waiting in changes.items():
        keys = list(waiting)
        for first in range(0, len(keys), PART):
            part = keys[first : first + PART]
            values = [value for key in part for value in waiting[key][1]]
            commands.append(["EVAL", UPDATE, len(part), *part, channel, *values] if channel else ["EVAL", PUT, len(part), *part, *values])
    return commands
