"""Routes about the market: prices, candles, analytics."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from openbell.errors import BusError, StorageError, UnknownNameError
from openbell.model.time import parse_timeframe
from openbell.services.analytics.answers import SYMBOLS_MAX, Answers
from openbell.services.analytics.indicators import NEVER, Indicators
from openbell.services.analytics.records import Activity, CorrelationWindow, WindowName
from openbell.services.gateway.access import needs
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.bodies import json_response, tagged
from openbell.services.gateway.openapi import answers
from openbell.services.views import Analytics, Anomalies, Candles, Correlations, LastPrice, Movers

Limit = Annotated[int, Query(ge=1, le=5_000)]
Most = Annotated[int, Query(ge=1, le=100)]
Symbols = Annotated[str, Query(max_length=4_000, description=f"with commas, 2 to {SYMBOLS_MAX}; none for all")]
Moment = Annotated[int | None, Query(ge=0, le=NEVER, description="ms since 1970 UTC")]


def market_routes(backstage: Backstage) -> APIRouter:
    """The routes of one platform."""
    routes = APIRouter(tags=["market"], dependencies=[needs("read")])
    archive, names = backstage.archive, backstage.names
    indicators = Indicators(archive.store)

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
    async def movers(request: Request, window: WindowName = "5m", by: Activity = "notional", limit: Most = 10) -> Response:
        """What rose most, fell most and traded most within the window; `by` says what the most active have most of."""
        return tagged(request, msgspec.json.encode(await _analyst().movers(window, by, limit)))

    @routes.get("/analytics/correlations", responses=answers(Correlations, 404, 422, tagged=True))
    async def correlations(request: Request, symbols: Symbols = "", window: CorrelationWindow = "1h", limit: Most = 20) -> Response:
        """How log returns move together: all pairs of the symbols, or without any the strongest `limit` pairs of all."""
        wanted = [symbol for symbol in symbols.split(",") if symbol]
        for symbol in wanted:
            if symbol not in names.instruments:
                raise UnknownNameError.of("symbol", symbol, names.symbols)
        return tagged(request, msgspec.json.encode(await _analyst().correlations(wanted, window, limit)))

    @routes.get("/analytics/anomalies", responses=answers(Anomalies, 422, tagged=True))
    async def anomalies(request: Request, limit: Most = 100) -> Response:
        """Jumps of prices, bursts of volume and wide spreads of the last fifteen minutes, and what stands still while others trade."""
        return tagged(request, msgspec.json.encode(await _analyst().anomalies(limit)))

    @routes.get("/analytics/{symbol}", responses=answers(Analytics, 404, 422, tagged=True))
    async def analytics(request: Request, symbol: str, timeframe: str = "1m") -> Response:
        """Indicators at the latest closed candle, and the symbol as it stands now: windows, session, spread, volatility, anomalies."""
        _known(symbol, timeframe)
        found = await archive.ask(indicators.of, symbol, timeframe)
        if backstage.analytics is not None:
            try:
                found.now = await backstage.analytics.of(symbol)
            except (BusError, StorageError):  # the indicators are there all the same
                found.now = None
        return tagged(request, msgspec.json.encode(found))

    def _analyst() -> Answers:
        if backstage.analytics is None:
            raise BusError("there are no analytics here", "an analytics service", "start `openbell serve analytics`")
        return backstage.analytics

    def _known(symbol: str, timeframe: str) -> None:
        if symbol not in names.instruments:
            raise UnknownNameError.of("symbol", symbol, names.symbols)
        parse_timeframe(timeframe)
        if timeframe not in names.timeframes:
            raise UnknownNameError.of("timeframe", timeframe, names.timeframes)

    return routes
