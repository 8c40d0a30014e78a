"""Streaming indicators, one file each: what they take, what they return, and how, on one screen."""

from openbell.indicators.adx import Adx
from openbell.indicators.atr import Atr
from openbell.indicators.bollinger import Bollinger
from openbell.indicators.donchian import Donchian
from openbell.indicators.ema import Ema
from openbell.indicators.macd import Macd
from openbell.indicators.obv import Obv
from openbell.indicators.rate_of_change import RateOfChange
from openbell.indicators.realised_volatility import RealisedVolatility
from openbell.indicators.rsi import Rsi
from openbell.indicators.sma import Sma
from openbell.indicators.standard_deviation import StandardDeviation
from openbell.indicators.stochastic import Stochastic
from openbell.indicators.vwap import Vwap
from openbell.indicators.wma import Wma

__all__ = [
    "Adx",
    "Atr",
    "Bollinger",
    "Donchian",
    "Ema",
    "Macd",
    "Obv",
    "RateOfChange",
    "RealisedVolatility",
    "Rsi",
    "Sma",
    "StandardDeviation",
    "Stochastic",
    "Vwap",
    "Wma",
]
