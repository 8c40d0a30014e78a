"""Routes about the market: prices, candles, analytics."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from openbell.errors import UnknownNameError
from openbell.model.time import MINUTE, SECOND, parse_timeframe
from openbell.services.gateway.access import needs
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.bodies import json_response, tagged
from openbell.services.gateway.openapi import answers
from openbell.services.processor.analytics import NEVER, AnalyticsBoard
from openbell.services.views import Analytics, Candles, LastPrice, Movers

Limit = Annotated[int, Query(ge=1, le=5_000)]
Moment = Annotated[int | None, Query(ge=0, le=NEVER, description="ms since 1970 UTC")]


def market_routes(backstage: Backstage) -> APIRouter:
    """The routes of one platform."""
    routes = APIRouter(tags=["market"], dependencies=[needs("read")])
    archive, names = backstage.archive, backstage.names
    board = AnalyticsBoard(archive.store, names.timeframes)

    @routes.get("/price/{symbol}", responses=answers(LastPrice, 404))
    async def price(symbol: str) -> Response:
        """The last price of a symbol, with its best bid and offer."""
        found = await backstage.price(symbol)
        if found is None:
            raise UnknownNameError.of("price of", symbol, archive.speed_layer.prices)
        return json_response(LastPrice(found.price, found.bid, found.ask, found.quantity, found.ts, symbol))

    @routes.get("/candles/{symbol}", responses=answers(Candles, 404, 422, tagged=True))
    async def candles(
        request: Request, symbol: str, timeframe: str = "1m", start: Moment = None, end: Moment = None, limit: Limit = 500
    ) -> Response:
        """Candles of a symbol, oldest first; the one that is still open comes last."""
        _known(symbol, timeframe)
        found = await archive.candles(symbol, timeframe, start or 0, NEVER if end is None else end, limit)
        return tagged(request, msgspec.json.encode(Candles(symbol, timeframe, found)))

    @routes.get("/analytics/movers", responses=answers(Movers, 422, tagged=True))
    async def movers(request: Request, window: str = "5m", limit: Annotated[int, Query(ge=1, le=100)] = 10) -> Response:
        """What rose most, fell most and traded most."""
        window_ns = min(max(parse_timeframe(window), 5 * SECOND), 10_000 * MINUTE)
        return tagged(request, msgspec.json.encode(await archive.ask(board.movers, archive.speed_layer, window_ns, limit)))

    @routes.get("/analytics/{symbol}", responses=answers(Analytics, 404, 422, tagged=True))
    async def analytics(request: Request, symbol: str, timeframe: str = "1m") -> Response:
        """Moving averages, volatility and other indicators at the latest closed candle."""
        _known(symbol, timeframe)
        return tagged(request, msgspec.json.encode(await archive.ask(board.indicators, symbol, timeframe)))

    def _known(symbol: str, timeframe: str) -> None:
        if symbol not in names.instruments:
            raise UnknownNameError.of("symbol", symbol, names.symbols)
        parse_timeframe(timeframe)
        if timeframe not in names.timeframes:
            raise UnknownNameError.of("timeframe", timeframe, names.timeframes)

    return routes
