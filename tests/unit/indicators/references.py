"""The outside source of each indicator's numbers: TA-Lib, or the published formula over all the data at once."""

import numpy as np
import talib
from numpy.lib.stride_tricks import sliding_window_view


def windows(column, length, function):
    """`function` of every full window, in extended precision, NaN before."""
    full = function(sliding_window_view(column.astype(np.longdouble), length))
    return np.concatenate([np.full(length - 1, np.nan), full.astype(np.float64)])


def bollinger(bars, length=20, width=2.0):
    upper, middle, lower = talib.BBANDS(bars["close"], length, width, width)
    return lower, middle, upper


def donchian(bars, length=20):
    lower, upper = talib.MIN(bars["low"], length), talib.MAX(bars["high"], length)
    return lower, (lower + upper) / 2, upper


def realised_volatility(bars, length=20, periods=1.0):
    returns = np.diff(np.log(bars["close"].astype(np.longdouble)))
    rows = windows(returns, length, lambda window: np.sqrt((window**2).sum(axis=1) * periods / length))
    return np.concatenate([[np.nan], rows])


def standard_deviation(bars, length):
    # TA-Lib's sum of squares loses digits where the spread is small; it is compared with in its own test.
    return windows(bars["close"], length, lambda window: window.std(axis=1))


def vwap(bars, length=0):
    turnover, volume = (bars["close"] * bars["volume"]).astype(np.longdouble), bars["volume"].astype(np.longdouble)
    if length == 0:
        return (turnover.cumsum() / volume.cumsum()).astype(np.float64)
    both = [sliding_window_view(column, length).sum(axis=1) for column in (turnover, volume)]
    return np.concatenate([np.full(length - 1, np.nan), (both[0] / both[1]).astype(np.float64)])


#: By class name: bars and the parameters -> one column, or one for each output.
REFERENCES = {
    "Adx": lambda bars, length=14: talib.ADX(bars["high"], bars["low"], bars["close"], length),
    "Atr": lambda bars, length=14: talib.ATR(bars["high"], bars["low"], bars["close"], length),
    "Bollinger": bollinger,
    "Donchian": donchian,
    "Ema": lambda bars, length: talib.EMA(bars["close"], length),
    "Macd": lambda bars, fast=12, slow=26, signal=9: talib.MACD(bars["close"], fast, slow, signal),
    "Obv": lambda bars: talib.OBV(bars["close"], bars["volume"]),
    "RateOfChange": lambda bars, length=10: talib.ROC(bars["close"], length),
    "RealisedVolatility": realised_volatility,
    "Rsi": lambda bars, length=14: talib.RSI(bars["close"], length),
    "Sma": lambda bars, length: talib.SMA(bars["close"], length),
    "StandardDeviation": standard_deviation,
    "Stochastic": lambda bars, length=14, smooth=3, signal=3: talib.STOCH(
        bars["high"], bars["low"], bars["close"], length, smooth, 0, signal, 0
    ),
    "Vwap": vwap,
    "Wma": lambda bars, length: talib.WMA(bars["close"], length),
}
