"""What analytics answers, as it stands in the JSON of the gateway: times in ms since 1970 UTC, null for what cannot be said yet."""

from typing import Literal

import msgspec

from openbell.adapters.stores.speed_layer import Number

WindowName = Literal["1m", "5m", "15m", "1h", "1d"]
#: Those that correlations are of: 60 returns of 5 seconds at the least.
CorrelationWindow = Literal["5m", "15m", "1h", "1d"]
Activity = Literal["notional", "volume", "trades"]
Kind = Literal["price_jump", "volume_burst", "spread_wide", "stale"]


class Mover(msgspec.Struct):
    """An instrument and how it has moved within the window."""

    symbol: str
    price: float
    change_percent: float
    volume: float  # units
    notional: float  # money: price times units
    trades: int


class Movers(msgspec.Struct):
    """What rose most, fell most, and traded most."""

    window: str
    by: str  # what the most active have most of
    ts: int
    gainers: list[Mover]
    losers: list[Mover]
    most_active: list[Mover]


class Bands(msgspec.Struct):
    """Bollinger bands."""

    lower: Number
    middle: Number
    upper: Number


class Anomaly(msgspec.Struct):
    """Something out of the ordinary: `value` is beyond `threshold`, where `usual` is what it is otherwise, all in `unit`."""

    symbol: str
    kind: Kind
    ts: int  # when it began
    value: float
    usual: float
    threshold: float
    unit: str


class Anomalies(msgspec.Struct):
    """Those of the last fifteen minutes, the newest first."""

    ts: int
    anomalies: list[Anomaly]


class WindowFigures(msgspec.Struct):
    """One window of a symbol: sixty parts, of which the last is still open."""

    change_percent: float
    volume: float  # units
    notional: float  # money: price times units
    trades: int
    vwap: Number  # volume-weighted average price
    sma: Number  # mean of the prices at the ends of the parts
    ema: Number  # the same, of all parts so far, the newest counting most
    volatility: Number  # realised, of a year, as a fraction
    volatility_ewma: Number  # the same, RiskMetrics
    spread_bps: Number  # quoted, mean over time
    returns: int  # that the volatility is of
    periods_per_year: float  # parts of the window in a year of this market


class SessionFigures(msgspec.Struct):
    """Since the start of the session; of a market that never closes, since midnight UTC."""

    ts: int  # its start
    change_percent: float  # of the price before it
    volume: float
    notional: float
    trades: int
    vwap: Number


class SymbolFigures(msgspec.Struct):
    """A symbol as it stands, with every tick up to `ts`."""

    ts: int
    price: float
    bid: Number
    ask: Number
    spread_bps: Number
    session: SessionFigures
    windows: dict[str, WindowFigures]
    anomalies: list[Anomaly]


class Analytics(msgspec.Struct):
    """Indicators at the latest closed candle of the timeframe, null while one is not ready; and the symbol as it stands now."""

    symbol: str
    timeframe: str
    sma_20: Number
    ema_20: Number
    rsi_14: Number
    realised_volatility: Number
    atr_14: Number
    bollinger: Bands
    vwap: Number
    ts: int | None
    now: SymbolFigures | None = None  # null before the first tick


class Pair(msgspec.Struct):
    """How two symbols move together."""

    symbols: tuple[str, str]
    correlation: Number  # of their log returns, -1 to 1; null for too few, or a price that does not change
    returns: int  # that both have


class Correlations(msgspec.Struct):
    """Pairs, those that are the farthest from 0 first."""

    window: str
    step_s: float  # length of one return
    ts: int
    pairs: list[Pair]
