"""The market, as a client asks for it: prices, candles, analytics, and what moved."""

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

from openbell.client.asking import Asking, Moment, moment
from openbell.errors import UsageError
from openbell.services.views import Analytics, Anomalies, Anomaly, Candle, Candles, Correlations, LastPrice, Movers

if TYPE_CHECKING:
    import polars

#: Candles in one answer.
PAGE_MAX = 5_000


class Market(Asking):
    """A part of the client."""

    def price(self, symbol: str) -> LastPrice:
        """The last price of a symbol, with its best bid and offer. UnknownNameError for one that was never seen."""
        return self._get(f"/price/{quote(symbol, safe='')}", LastPrice)

    def prices(self, symbols: Iterable[str]) -> dict[str, LastPrice]:
        """The last price of each symbol, one request each; the stream has all of them ten times a second."""
        return {symbol: self.price(symbol) for symbol in symbols}

    def candles(
        self, symbol: str, timeframe: str = "1m", *, start: Moment | None = None, end: Moment | None = None, limit: int = 500
    ) -> list[Candle]:
        """The newest `limit` candles that begin in the range, oldest first; the last may still be open (`complete` is False).

        Longer lists are asked for in pages.
        """
        if limit < 1:
            raise UsageError(f"limit is {limit}", "1 or more")
        found: list[Candle] = []
        first, until = moment(start), moment(end)
        while len(found) < limit:
            wanted = min(limit - len(found), PAGE_MAX)
            path = f"/candles/{quote(symbol, safe='')}"
            page = self._get(path, Candles, timeframe=timeframe, start=first, end=until, limit=wanted).candles
            found = page + found
            if len(page) < wanted:
                break
            until = page[0].ts
        return found

    def frame(
        self, symbol: str, timeframe: str = "1m", *, start: Moment | None = None, end: Moment | None = None, limit: int = 500
    ) -> "polars.DataFrame":
        """Closed candles as a polars frame, as `openbell.backtest` takes it; `.to_numpy(structured=True)` makes an array of it.

        Columns: `time` (ms, UTC), `symbol`, `open`, `high`, `low`, `close`, `volume` (Float64), `vwap` (null when nothing was traded),
        `trades` (Int64).
        """
        import polars

        rows = [candle for candle in self.candles(symbol, timeframe, start=start, end=end, limit=limit) if candle.complete]
        columns = {name: [getattr(row, name) for row in rows] for name in ("open", "high", "low", "close", "volume", "vwap")}
        times = polars.Series("time", [row.ts for row in rows], polars.Int64).cast(polars.Datetime("ms", "UTC"))
        numbers = [polars.Series(name, values, polars.Float64) for name, values in columns.items()]
        trades = polars.Series("trades", [row.trades for row in rows], polars.Int64)
        return polars.DataFrame([times, polars.Series("symbol", [symbol] * len(rows), polars.String), *numbers, trades])

    def analytics(self, symbol: str, timeframe: str = "1m") -> Analytics:
        """Indicators at the latest closed candle, and the symbol as it stands now: windows, session, spread, volatility, anomalies."""
        return self._get(f"/analytics/{quote(symbol, safe='')}", Analytics, timeframe=timeframe)

    def movers(self, window: str = "5m", limit: int = 10, *, by: str = "notional") -> Movers:
        """What rose most, fell most and traded most within the window; `by` notional, volume or trades."""
        return self._get("/analytics/movers", Movers, window=window, limit=limit, by=by)

    def correlations(self, symbols: Iterable[str] = (), window: str = "1h", limit: int = 20) -> Correlations:
        """How log returns move together: all pairs of the symbols, or without any the strongest pairs of all."""
        return self._get("/analytics/correlations", Correlations, symbols=",".join(symbols), window=window, limit=limit)

    def anomalies(self, limit: int = 100) -> list[Anomaly]:
        """What is out of the ordinary, the newest first."""
        return self._get("/analytics/anomalies", Anomalies, limit=limit).anomalies
