"""A platform in one process, verified through its gateway: prices flow, and what is made of them follows.

From outside there is no way to put a tick into it, so the next real one is watched: a market that is quiet, or a recording that has come
to its end, has none.
"""

import asyncio
from time import perf_counter
from typing import Any

from openbell.errors import BusError, DataError
from openbell.model.time import MILLISECOND, parse_timeframe
from openbell.services.verify.gateway import GatewayAddress, Stream
from openbell.services.verify.journey import Journey, Report, Seen, Stop
from openbell.services.verify.verdict import verdict

GATEWAY, PRICES, PRICE, CANDLES, EQUITY = "gateway", "WebSocket: price", "/price", "/candles", "WebSocket: equity"
#: Between two questions.
ASK_EVERY_S = 0.05


async def watch_gateway(address: GatewayAddress, symbol: str, timeout_s: float) -> Report:
    """Watch a symbol ("" for the first that the platform lists)."""
    watching = Watching(address, symbol)
    journey = Journey(timeout_s)
    try:
        journey.follow(Stop(GATEWAY), watching.health())
        journey.follow(Stop(PRICES, after=GATEWAY), watching.new_price(journey))
        journey.follow(Stop(PRICE, after=PRICES), watching.same_price())
        journey.follow(Stop(CANDLES, after=PRICES), watching.candle())
        journey.follow(Stop(EQUITY, after=PRICES), watching.equity())
        await journey.finish()
    finally:
        await watching.close()
    journey.stops[0].ms = None  # the gateway is there before the tick is
    for stop in journey.stops:
        if stop.state == "lost" and not stop.why:
            stop.why = watching.missing(stop.name, timeout_s)
    return journey.report(watching.symbol, [line.replace("marked tick", "next tick") for line in verdict(watching.symbol, journey.stops)])


class Watching:
    """What the stops have in common: the gateway, the stream, the symbol and the first new price."""

    def __init__(self, address: GatewayAddress, symbol: str) -> None:
        self.symbol = symbol
        self._address = address
        self._stream, self._equity = Stream(address), Stream(address)
        self._healthy = asyncio.Event()
        self._price: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def health(self) -> Seen:
        """GET /health says that all is well."""
        _, told = await self._address.get("/health")
        checks = told.get("checks") if isinstance(told, dict) else None
        if not isinstance(checks, dict):
            raise BusError(f"{self._address} answers, but is no gateway of openbell", do="see --url")
        bad = [f"{name} ({check.get('detail') or check['status']})" for name, check in checks.items() if check["status"] != "healthy"]
        if bad:
            raise BusError(f"the platform is not well: {', '.join(bad)}", do="read its log, and see `openbell doctor`")
        if not self.symbol:
            await self._choose()
        await self._stream.open(["prices"], self.symbol)
        self._healthy.set()
        return Seen(f"{self._address}, openbell {told['version']}", perf_counter())

    async def _choose(self) -> None:
        """Take the first symbol that is listed."""
        first = Stream(self._address)
        await first.open(["services"], "")
        await first.close()
        self.symbol = str(next(iter(first.snapshot.get("symbols", [])), ""))

    async def new_price(self, journey: Journey) -> Seen:
        """A price that is newer than what the stream began with."""
        await self._healthy.wait()
        symbols = self._stream.snapshot.get("symbols", [])
        if self._stream.snapshot and self.symbol not in symbols:
            raise DataError(f"the platform lists no {self.symbol!r}", f"one of {', '.join(symbols)}", "name it with --symbol")
        before = self._stream.snapshot.get("prices", {}).get(self.symbol, {}).get("ts", -1)
        await self._equity.open(["equity"], self.symbol)
        async for channel, data in self._stream.messages():
            if channel == "prices" and self.symbol in data and data[self.symbol]["ts"] > before:
                journey.begin()
                self._price.set_result(data[self.symbol])
                return Seen(f"{self._address.stream}, {data[self.symbol]['price']} at {data[self.symbol]['ts']}", perf_counter())
        raise self._stream.closed()

    async def same_price(self) -> Seen:
        """GET /price has that price, or a newer one."""
        wanted = await self._price
        while True:
            status, price = await self._address.get(f"/price/{self.symbol}")
            if status == 200 and price["ts"] >= wanted["ts"]:
                return Seen(f"/price/{self.symbol}, {price['price']} at {price['ts']}", perf_counter())
            await asyncio.sleep(ASK_EVERY_S)

    async def candle(self) -> Seen:
        """GET /candles has the candle of the price in the shortest timeframe, or the one before it."""
        wanted = await self._price
        timeframe = self._stream.snapshot["timeframes"][0]
        length = parse_timeframe(timeframe) // MILLISECOND
        while True:
            status, told = await self._address.get(f"/candles/{self.symbol}?timeframe={timeframe}&limit=2")
            candles = told["candles"] if status == 200 else []
            if candles and candles[-1]["ts"] + 2 * length > wanted["ts"]:
                return Seen(f"/candles/{self.symbol}, {timeframe} from {candles[-1]['ts']}", perf_counter())
            await asyncio.sleep(ASK_EVERY_S)

    async def equity(self) -> Seen:
        """The equity is told again."""
        await self._price
        async for channel, data in self._equity.messages():
            if channel == "equity":
                return Seen(f"{self._address.stream}, {data[-1] if isinstance(data, list) else data}", perf_counter())
        raise self._equity.closed()

    def missing(self, stop: str, timeout_s: float) -> str:
        """Why a stop may have been missed."""
        if stop == PRICES:
            feeds = [view for view in self._stream.snapshot.get("services", []) if view["name"] == "feed"]
            said = f" The feed is {feeds[0]['state']}: {feeds[0]['detail']}." if feeds else ""
            return f"no new price of {self.symbol} within {timeout_s:g} s.{said} Wait longer with --timeout, or read the log."
        return f"not within {timeout_s:g} s. Read the log of the platform."

    async def close(self) -> None:
        """Disconnect."""
        await self._stream.close()
        await self._equity.close()
