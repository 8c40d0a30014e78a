"""MarketDataService: latest prices, candles, and what moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import get_args

import grpc.aio

from openbell.adapters.buses.base import Message
from openbell.errors import BusError, UnknownNameError, UsageError
from openbell.model.time import MILLISECOND, parse_timeframe
from openbell.proto.v1 import market_service_pb2 as pb
from openbell.proto.v1.market_service_pb2_grpc import MarketDataServiceServicer
from openbell.services.analytics.indicators import NEVER
from openbell.services.analytics.records import Activity, WindowName
from openbell.services.gateway.backstage import Backstage
from openbell.services.rpc.outboxes import Fan
from openbell.services.rpc.records import candle_message, count_of, mover_messages, price_message, text_of
from openbell.services.topics.names import PRICES
from openbell.services.views import Price

#: How long (seconds) prices gather before the next message of a stream.
BEAT_S = 0.02
SYMBOLS_MAX = 1_000
CANDLES, CANDLES_MAX = 500, 5_000
MOVERS, MOVERS_MAX = 10, 100
WINDOWS, ACTIVITIES = get_args(WindowName), get_args(Activity)


class MarketDataServicer(MarketDataServiceServicer):
    """See `market_service.proto`."""

    def __init__(self, backstage: Backstage) -> None:
        self._backstage = backstage
        self._archive = backstage.archive
        self._prices = Fan[tuple[str, Price]](backstage.bus, PRICES, _keyed)

    async def GetPrice(
        self, request: pb.GetPriceRequest, context: grpc.aio.ServicerContext[pb.GetPriceRequest, pb.GetPriceResponse]
    ) -> pb.GetPriceResponse:
        """The last price of a symbol."""
        found = await self._backstage.price(text_of("symbol", request.symbol))
        if found is None:
            raise UnknownNameError.of("price of", request.symbol, self._archive.speed_layer.prices)
        return pb.GetPriceResponse(price=price_message(request.symbol, found))

    async def GetCandles(
        self, request: pb.GetCandlesRequest, context: grpc.aio.ServicerContext[pb.GetCandlesRequest, pb.GetCandlesResponse]
    ) -> pb.GetCandlesResponse:
        """Candles of a symbol."""
        timeframe, names = request.timeframe or "1m", self._backstage.names
        if request.symbol not in names.instruments:
            raise UnknownNameError.of("symbol", text_of("symbol", request.symbol), names.symbols)
        parse_timeframe(timeframe)
        if timeframe not in names.timeframes:
            raise UnknownNameError.of("timeframe", timeframe, names.timeframes)
        if request.start < 0 or request.end < 0:
            raise UsageError("a time before 1970", "nanoseconds since 1970 UTC, or 0")
        limit = count_of("limit", request.limit, CANDLES, CANDLES_MAX)
        start, end = -(-request.start // MILLISECOND), -(-request.end // MILLISECOND) or NEVER
        found = await self._archive.candles(request.symbol, timeframe, start, end, limit)
        return pb.GetCandlesResponse(candles=map(candle_message, found))

    async def StreamPrices(
        self, request: pb.StreamPricesRequest, context: grpc.aio.ServicerContext[pb.StreamPricesRequest, pb.StreamPricesResponse]
    ) -> AsyncIterator[pb.StreamPricesResponse]:
        """Latest prices: what is known, then what changes."""
        wanted = frozenset(request.symbols)
        if len(wanted) > SYMBOLS_MAX:
            raise UsageError(f"{len(wanted)} symbols", f"at most {SYMBOLS_MAX}", "leave them out to get all")
        for symbol in wanted:
            if symbol not in self._backstage.names.instruments:
                raise UnknownNameError.of("symbol", text_of("symbol", symbol), self._backstage.names.symbols)
        async with self._prices.listen() as outbox:
            found = list(self._archive.speed_layer.prices.items())
            while True:
                prices = [price_message(symbol, price) for symbol, price in found if not wanted or symbol in wanted]
                if prices:
                    yield pb.StreamPricesResponse(prices=prices)
                await asyncio.sleep(BEAT_S)
                found = await outbox.take()

    async def GetMovers(
        self, request: pb.GetMoversRequest, context: grpc.aio.ServicerContext[pb.GetMoversRequest, pb.GetMoversResponse]
    ) -> pb.GetMoversResponse:
        """What rose most, fell most and traded most."""
        window, by = request.window or "5m", request.by or "notional"
        for name, known in ((window, WINDOWS), (by, ACTIVITIES)):
            if name not in known:
                raise UnknownNameError.of("window" if known is WINDOWS else "activity", text_of("name", name), known)
        limit = count_of("limit", request.limit, MOVERS, MOVERS_MAX)
        if self._backstage.analytics is None:
            raise BusError("there are no analytics here", "an analytics service", "start `openbell serve analytics`")
        found = await self._backstage.analytics.movers(window, by, limit)  # type: ignore[arg-type]
        return pb.GetMoversResponse(
            gainers=mover_messages(found.gainers), losers=mover_messages(found.losers), most_active=mover_messages(found.most_active),
            window=found.window, by=found.by, ts=found.ts * MILLISECOND,
        )  # fmt: skip


def _keyed(message: Message) -> tuple[tuple[str, Price], str]:
    return (message.key, message.payload), message.key
