"""openbell: collect market data, discover and backtest strategies, trade them live, with one kernel for all.

The names below are the public surface; everything else may change between versions. They are looked up when
first used, so `import openbell` costs a few milliseconds and loads none of numpy, numba, polars or FastAPI.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openbell.backtest import Result, backtest
    from openbell.client import Client
    from openbell.errors import OpenbellError
    from openbell.indicators import (
        Adx,
        Atr,
        Bollinger,
        Donchian,
        Ema,
        Macd,
        Obv,
        RateOfChange,
        RealisedVolatility,
        Rsi,
        Sma,
        StandardDeviation,
        Stochastic,
        Vwap,
        Wma,
    )
    from openbell.strategies import Strategy, param

__version__ = "0.1.0"

__all__ = [
    "Adx",
    "Atr",
    "Bollinger",
    "Client",
    "Donchian",
    "Ema",
    "Macd",
    "Obv",
    "OpenbellError",
    "RateOfChange",
    "RealisedVolatility",
    "Result",
    "Rsi",
    "Sma",
    "StandardDeviation",
    "Stochastic",
    "Strategy",
    "Vwap",
    "Wma",
    "__version__",
    "backtest",
    "param",
]

#: Where each public name lives. A name missing here is an indicator.
_ROOMS = {
    "Client": "openbell.client",
    "OpenbellError": "openbell.errors",
    "Result": "openbell.backtest",
    "Strategy": "openbell.strategies",
    "backtest": "openbell.backtest",
    "param": "openbell.strategies",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'openbell' has no attribute {name!r}")
    from importlib import import_module

    room = import_module(_ROOMS.get(name, "openbell.indicators"))
    # Importing the package `openbell.backtest` binds that name to the package, whoever imports it first.
    # So the package is callable, and is what the name means in either case.
    value = room if room.__name__ == f"openbell.{name}" and callable(room) else getattr(room, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
