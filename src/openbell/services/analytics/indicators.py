"""The usual indicators over stored candles, updated with the candles that are new since the last question.

The indicators are those of `openbell.indicators`, interpreted: a question brings a handful of new candles, so there is nothing worth
compiling. The first question about a symbol warms them with the latest 300 candles, after which the slowest has forgotten its start.
"""

import math
from collections import OrderedDict
from typing import Any

from openbell.adapters.stores.candles_base import CandleStore
from openbell.indicators import Atr, Bollinger, Ema, RealisedVolatility, Rsi, Sma, Vwap
from openbell.services.analytics.records import Analytics, Bands

WARM_UP = 300
#: Sets of indicators that are kept, one a symbol and timeframe.
KEPT = 256
NEVER = (1 << 62) - 1


class IndicatorSet:
    """The indicators of one symbol and timeframe, after the candle that starts at `ts`."""

    def __init__(self, symbol: str, timeframe: str) -> None:
        self.symbol, self.timeframe = symbol, timeframe
        self.ts: int | None = None
        self.sma, self.ema, self.rsi, self.atr = Sma(20), Ema(20), Rsi(14), Atr(14)
        self.bollinger, self.volatility, self.vwap = Bollinger(20, 2.0), RealisedVolatility(20), Vwap()
        self.values: dict[str, Any] = {}

    def update(self, store: CandleStore) -> Analytics:
        """Take the closed candles that are new."""
        start = 0 if self.ts is None else self.ts + 1
        for _, _, ts, _, high, low, close, volume, vwap, _ in store.read(self.symbol, self.timeframe, start, NEVER, WARM_UP):
            self.ts = ts
            self.values = {
                "sma_20": self.sma.update(close),
                "ema_20": self.ema.update(close),
                "rsi_14": self.rsi.update(close),
                "realised_volatility": self.volatility.update(close),
                "atr_14": self.atr.update(high, low, close),
                "bollinger": self.bollinger.update(close),
                "vwap": self.vwap.update(close if vwap is None else vwap, volume),
            }
        lower, middle, upper = self.values.get("bollinger", (math.nan,) * 3)
        plain: dict[str, Any] = {name: _ready(self.values.get(name, math.nan)) for name in _PLAIN}
        return Analytics(
            symbol=self.symbol, timeframe=self.timeframe, ts=self.ts, bollinger=Bands(_ready(lower), _ready(middle), _ready(upper)), **plain
        )


_PLAIN = ("sma_20", "ema_20", "rsi_14", "realised_volatility", "atr_14", "vwap")


class Indicators:
    """Answers from one store. Used in the store's thread."""

    def __init__(self, store: CandleStore) -> None:
        self._store = store
        self._sets: OrderedDict[tuple[str, str], IndicatorSet] = OrderedDict()

    def of(self, symbol: str, timeframe: str) -> Analytics:
        """The indicators at the latest closed candle."""
        found = self._sets.pop((symbol, timeframe), None) or IndicatorSet(symbol, timeframe)
        self._sets[symbol, timeframe] = found
        if len(self._sets) > KEPT:
            self._sets.popitem(last=False)
        return found.update(self._store)


def _ready(value: Any) -> float | None:
    """A number, None while the indicator is not ready."""
    return float(value) if math.isfinite(value) else None
