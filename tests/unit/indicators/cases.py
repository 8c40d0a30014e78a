"""What the indicator tests run over: every exported indicator, in several lengths, on real bars.

As a program it prints a digest of every case, for `OPENBELL_INTERPRETED=1` to be compared with compiled code.
"""

import functools
import hashlib
import inspect
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

import openbell.indicators
from openbell.model.jit import INTERPRETED

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "src/openbell/data"
#: Lengths to try besides an indicator's own defaults: the shortest, a power of two, and neither.
LENGTHS = (2, 16, 21)


@dataclass(frozen=True)
class Case:
    """One indicator with its parameters."""

    cls: type
    parameters: tuple[tuple[str, float], ...] = ()

    def __str__(self):
        return f"{self.cls.__name__}({', '.join(f'{name}={value}' for name, value in self.parameters)})"

    def make(self):
        """A new indicator."""
        return self.cls(**dict(self.parameters))

    def columns(self, bars):
        """The columns of `bars` the indicator takes."""
        return [bars[name] for name in self.cls.inputs]


def parameters_of(cls):
    """The parameters of an indicator, by name."""
    return {name: each for name, each in inspect.signature(cls.__new__).parameters.items() if name != "cls"}


def cases():
    """Every indicator that `openbell.indicators` exports, in several lengths."""
    found = []
    for name in openbell.indicators.__all__:
        cls = getattr(openbell.indicators, name)
        parameters = parameters_of(cls)
        if all(each.default is not each.empty for each in parameters.values()):
            found.append(Case(cls))
        if "length" in parameters:
            found += [Case(cls, (("length", length),)) for length in LENGTHS]
    return [*found, Case(openbell.indicators.Macd, (("fast", 3), ("slow", 8), ("signal", 2)))]


def as_columns(frame):
    """Bars as float64 columns under the names that indicators ask for."""
    bars = {name: frame[name].cast(pl.Float64).to_numpy() for name in ("open", "high", "low", "close", "volume")}
    return bars | {"value": bars["close"], "price": bars["close"]}


def lower_case(frame):
    return frame.rename(str.lower)


@functools.cache
def market():
    """Real bars by name: 37 years of AAPL with its splits, a month of SPY minutes, seconds of BTCUSDT made of trades."""
    daily = lower_case(pl.read_csv(ROOT / "tests/data/us_equity_daily_wiki_aapl_msft.csv.gz", infer_schema_length=None))
    minutes = lower_case(pl.read_csv(ROOT / "tests/data/etf_spy_1min_2011.csv.gz"))
    trades = pl.read_parquet(SHIPPED / "crypto_binance_trades.parquet").filter(
        pl.col("venue") == "binance_spot", pl.col("symbol") == "BTCUSDT"
    )
    seconds = trades.group_by(pl.col("trade_ts_ms") // 1000, maintain_order=True).agg(
        open=pl.col("price").first(),
        high=pl.col("price").max(),
        low=pl.col("price").min(),
        close=pl.col("price").last(),
        volume=pl.col("qty").sum(),
    )
    return {
        "AAPL": as_columns(daily.filter(pl.col("symbol") == "AAPL")),
        "SPY": as_columns(minutes),
        "BTCUSDT": as_columns(seconds),
    }


def part(bars, start, end):
    """A slice of bars."""
    return {name: column[start:end] for name, column in bars.items()}


def stream(indicator, columns):
    """Update value by value, from Python; float64 of the shape that `over` returns."""
    return np.array([indicator.update(*row) for row in zip(*columns, strict=True)], np.float64)


def digest(case):
    """SHA-256 of everything a case returns and of the state it ends in, over 300 bars with a few bad values."""
    columns = [column.copy() for column in case.columns(part(market()["BTCUSDT"], 0, 300))]
    columns[0][[0, 57, 58, 200]] = [np.nan, np.inf, -np.inf, 1e100]
    columns[-1][123] = np.nan
    indicator = case.make()
    rows = indicator.over(*columns)
    return hashlib.sha256(rows.tobytes() + indicator.tobytes()).hexdigest()


if __name__ == "__main__":
    assert INTERPRETED
    for each in cases():
        print(each, digest(each), sep="\t")
