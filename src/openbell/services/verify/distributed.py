"""A platform of several processes, verified with a marked tick: through the bus, to Redis, the database, the traders and the WebSocket."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from openbell.adapters.messages.control import Status, StatusReply
from openbell.adapters.stores.database import Database
from openbell.config import Settings
from openbell.errors import BusError, ConfigError, DataError, OpenbellError, StorageError, UnknownNameError
from openbell.model.plan import Listing
from openbell.services.control.channel import ControlChannel
from openbell.services.ingest.markets import listings_of
from openbell.services.plans import make_plans
from openbell.services.processes.edge import Edge
from openbell.services.topics.names import COMMANDS, CONTROL, TICKS
from openbell.services.verify.display import RedisStop, shown_on
from openbell.services.verify.gateway import GatewayAddress, Stream
from openbell.services.verify.journey import Journey, Report, Stop
from openbell.services.verify.looking import ask
from openbell.services.verify.mark import claim_epoch, marked_tick, new_marker
from openbell.services.verify.market import SHOWN, MarketStops
from openbell.services.verify.stored import open_tables, stored_past
from openbell.services.verify.trader import TraderStops
from openbell.services.verify.verdict import by_process, verdict

T = TypeVar("T")

#: How long (seconds) a server may take to be there, to answer how services stand, and to let us go.
PREPARE_S = 10.0
STATUS_S = 1.0
CLOSE_S = 2.0


async def follow_tick(settings: Settings, symbol: str, timeout_s: float, address: GatewayAddress) -> Report:
    """Publish a marked tick of a symbol ("" for the first that is listed) and watch where it comes by.

    Raises the OpenbellError of what has to be there before a tick can be sent: the settings, Redis with a price, the database.
    """
    listings = listings_of(settings)
    symbol = _listed(listings, symbol)
    edge = Edge(settings, "openbell-verify")
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(_in_time_or_not, edge.close)
        if not edge.market.KEEPS_HISTORY:
            raise ConfigError(f"bus.market is {settings.bus.market}, where a tick has no offset to be followed by", "kafka or redis")
        return await Verification(settings, edge, listings, symbol, timeout_s).run(address, stack)


def _listed(listings: tuple[Listing, ...], symbol: str) -> str:
    symbols = [listing.symbol for listing in listings]
    if not symbols:
        raise ConfigError("no strategy has symbols", "at least one symbol", "add symbols under trading.strategies")
    if symbol and symbol not in symbols:
        raise UnknownNameError.of("symbol", symbol, symbols)
    return symbol or symbols[0]


class Verification:
    """One marked tick, and who is asked about it."""

    def __init__(self, settings: Settings, edge: Edge, listings: tuple[Listing, ...], symbol: str, timeout_s: float) -> None:
        self._settings, self._edge = settings, edge
        self._listings, self._symbol, self._timeout_s = listings, symbol, timeout_s
        self._traders: list[TraderStops] = []
        self._bus = SHOWN[settings.bus.market]
        self._redis = RedisStop(settings.redis, settings.bus.namespace, symbol)

    async def run(self, address: GatewayAddress, stack: contextlib.AsyncExitStack) -> Report:
        """Prepare, publish, watch, and say what became of it."""
        stack.push_async_callback(_in_time_or_not, self._redis.close)
        price = await self._redis.price()
        if price is None:
            raise DataError(
                f"{self._symbol} has no price yet: there is no {self._redis.key} in Redis", "a feed and a processor that run",
                "start `openbell serve processor` and `openbell serve ingest`; `openbell control status` shows who runs",
            )  # fmt: skip
        database = await _within(ask(partial(open_tables, self._settings)), StorageError("the database does not answer"))
        stack.push_async_callback(_in_time_or_not, partial(ask, database.close))
        stream = Stream(address)
        stack.push_async_callback(_in_time_or_not, stream.close)
        market = MarketStops(self._edge.market, self._edge.name(TICKS))
        await self._listen(market, stream, stack)
        epoch = await _within(ask(partial(claim_epoch, database, self._edge.name(TICKS))), StorageError("the database does not answer"))
        marker = new_marker()
        payload = marked_tick(self._listings, self._symbol, price.price, marker, epoch)
        journey = Journey(self._timeout_s)
        self._follow(journey, market, payload, marker, database, stream)
        await journey.finish()
        replies = await self._statuses() if any(stop.state == "lost" for stop in journey.stops) else {}
        return journey.report(self._symbol, verdict(self._symbol, journey.stops, replies))

    async def _listen(self, market: MarketStops, stream: Stream, stack: contextlib.AsyncExitStack) -> None:
        """Be there before the tick is: on the stream, beside the journals, at the topics."""
        commands = self._edge.name(COMMANDS)
        traders = make_plans(self._settings.trading, self._listings)
        self._traders = [TraderStops(trader, self._edge.market, commands) for trader in traders]
        for trader in self._traders:
            stack.push_async_callback(_in_time_or_not, partial(ask, trader.close))
        journals = asyncio.gather(*(ask(partial(trader.open, self._settings)) for trader in self._traders))
        topics = asyncio.gather(market.ready(), *(trader.ready() for trader in self._traders))
        await asyncio.gather(
            stream.open(["prices"], self._symbol),
            _within(journals, StorageError("the journal of a trader does not answer")),
            _within(topics, BusError(f"{self._bus} does not answer", do="see `openbell doctor`")),
        )

    def _follow(
        self, journey: Journey, market: MarketStops, payload: bytes, marker: int, database: Database, stream: Stream
    ) -> None:  # fmt: skip
        """All stops, each after the one that it needs."""
        main = self._traders[0]
        ticks, commands = self._edge.name(TICKS), self._edge.name(COMMANDS)
        tables = "PostgreSQL" if self._settings.database.engine == "postgresql" else "SQLite"

        def place() -> tuple[int, int] | None:
            return (market.placed.result().partition, market.placed.result().offset) if market.placed.done() else None

        def offset() -> int | None:
            return market.placed.result().offset if market.placed.done() else None

        def told() -> tuple[int, int] | None:
            return (0, main.told_at.result()) if main.told_at.done() else None

        async def offset_read() -> int:
            return (await market.placed).offset

        written, read = f"{self._bus} (written)", f"{self._bus} (read)"
        journey.follow(Stop(written), market.confirmed(journey, payload, self._symbol))
        journey.follow(Stop(read, after=written), market.read_back(payload))
        journey.follow(Stop("Redis", "processor", read), self._redis.seen(offset))
        journey.follow(Stop("WebSocket", "gateway", "Redis"), shown_on(stream, self._symbol, offset_read()))
        journey.follow(Stop(f"{tables} (candles)", "processor", read), stored_past(database, f"processor {ticks}", place))
        for trader in self._traders:
            journal, kernel = f"trader {trader.trader} (journal)", f"trader {trader.trader} (kernel)"
            journey.follow(Stop(journal, trader.process, read), trader.in_journal(marker))
            journey.follow(Stop(kernel, trader.process, journal), trader.stepped())
        accounts = Stop(f"{tables} (accounts)", "portfolio", f"trader {main.trader} (kernel)")
        journey.follow(accounts, stored_past(database, f"portfolio {commands}", told))

    async def _statuses(self) -> dict[str, list[StatusReply]] | None:
        """How the processes say they stand; None when the control channel does not work."""
        channel = ControlChannel(self._edge.control, "verify", self._edge.name(CONTROL))
        try:
            async with asyncio.timeout(STATUS_S + CLOSE_S), channel:
                return by_process(await channel.gather(Status(), STATUS_S))
        except (TimeoutError, OpenbellError):
            return None


async def _within(work: Awaitable[T], otherwise: OpenbellError) -> T:
    """The result of some work, or an error when it takes too long."""
    try:
        async with asyncio.timeout(PREPARE_S):
            return await work
    except TimeoutError:
        raise otherwise from None


async def _in_time_or_not(close: Callable[[], Awaitable[object]]) -> None:
    """Close something; a server that does not let us go will find out by itself."""
    with contextlib.suppress(TimeoutError, OpenbellError):
        async with asyncio.timeout(CLOSE_S):
            await close()
