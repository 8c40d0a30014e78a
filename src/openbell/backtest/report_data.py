"""What the report's charts are drawn from: long arrays made short enough for a page without losing what the
eye looks for.

An equity curve keeps the first, lowest, highest and last point of each of a thousand stretches, so that no
peak and no trough is lost. Candles are joined, `n` neighbours to one, until at most 2,000 are left; fills and
trades are counted on them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from openbell.backtest.round_trips import Fills, FloatArray, Int64Array, RoundTrips
from openbell.backtest.statistics import drawdown

CANDLES_MAX = 2_000
_STRETCHES = 1_000
_TRADE_LINES = 2_000
_MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """The bars of one symbol; `ts` in ns UTC, prices and volume float64."""

    symbol: str
    ts: Int64Array
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray


def thin_curve(ts: Int64Array, equity: FloatArray, stretches: int = _STRETCHES) -> dict[str, Any]:
    """Times in ms, equity and drawdown of the points that shape the curve; at most four for each stretch."""
    below = drawdown(equity)
    keep = np.arange(len(equity))
    if len(equity) > 4 * stretches:
        borders = np.linspace(0, len(equity), stretches + 1).astype(np.int64)
        size = np.diff(borders)
        # Rows of equal width, the last value repeated, turn "by stretch" into "by row".
        place = np.minimum(borders[:-1, None] + np.arange(size.max()), borders[1:, None] - 1)
        values, rows = equity[place], np.arange(stretches)
        extremes = place[rows, values.argmin(1)], place[rows, values.argmax(1)]
        deepest = place[rows, np.nan_to_num(below, nan=0.0)[place].argmin(1)]
        keep = np.unique(np.concatenate([borders[:-1], borders[1:] - 1, *extremes, deepest]))
    return {
        "t": milliseconds(ts[keep]),
        "equity": short(equity[keep]),
        "drawdown": short(below[keep], 5),
    }


def thin_candles(candles: Candles, limit: int = CANDLES_MAX) -> Candles:
    """Join neighbours until at most `limit` candles are left; each keeps the time of its first."""
    count = len(candles.ts)
    step = -(-count // limit) if count > limit else 1
    if step == 1:
        return candles
    first = np.arange(0, count, step)
    last = np.minimum(first + step, count) - 1
    return Candles(
        candles.symbol,
        candles.ts[first],
        candles.open[first],
        np.maximum.reduceat(candles.high, first),
        np.minimum.reduceat(candles.low, first),
        candles.close[last],
        np.add.reduceat(candles.volume, first),
    )


def candle_chart(candles: Candles, index: int, fills: Fills | None, trades: RoundTrips | None) -> dict[str, Any]:
    """One symbol's candles with its fills counted on them, and lines from entry to exit of its trades."""
    thin = thin_candles(candles)
    chart: dict[str, Any] = {
        "symbol": candles.symbol,
        "joined": -(-len(candles.ts) // max(1, len(thin.ts))),
        "t": milliseconds(thin.ts),
        "o": short(thin.open),
        "h": short(thin.high),
        "l": short(thin.low),
        "c": short(thin.close),
        "v": short(thin.volume, 5) if thin.volume.any() else [],
        "buys": [],
        "sells": [],
        "trades": [],
    }
    if fills is not None and len(thin.ts):
        chart["buys"] = _marks(thin, fills, (fills.symbol_index == index) & (fills.side > 0))
        chart["sells"] = _marks(thin, fills, (fills.symbol_index == index) & (fills.side < 0))
    if trades is not None:
        rows = np.flatnonzero(trades.symbol_index == index)[:_TRADE_LINES]
        columns = (
            milliseconds(trades.entry_ts[rows]),
            short(trades.entry_price[rows]),
            milliseconds(trades.exit_ts[rows]),
            short(trades.exit_price[rows]),
            np.sign(trades.pnl[rows]).astype(int).tolist(),
        )
        chart["trades"] = [list(row) for row in zip(*columns, strict=True)]
    return chart


def monthly_returns(ts: Int64Array, equity: FloatArray) -> tuple[list[int], FloatArray, FloatArray]:
    """Years, returns by year and month (NaN where there is none), and returns of the years."""
    months = ts.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    last = np.flatnonzero(np.append(np.diff(months) != 0, True))
    ends = equity[last]
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = ends / np.append(equity[0], ends[:-1]) - 1
    month = months[last]
    first_year = int(month[0] // 12)
    table = np.full((int(month[-1] // 12) - first_year + 1, 12), np.nan)
    table[month // 12 - first_year, month % 12] = returns
    growth = np.nanprod(1 + table, axis=1) - 1
    years = [1970 + first_year + row for row in range(len(table))]
    return years, table, np.where(np.isnan(table).all(1), np.nan, growth)


def distribution(returns: FloatArray) -> dict[str, Any]:
    """A histogram of trade returns: bars of a round width, zero between two of them; the outer 1 % in the end
    bars.
    """
    values = returns[np.isfinite(returns)]
    if len(values) < 2:
        return {}
    low, high = np.quantile(values, (0.01, 0.99))
    span = max(float(high - low), float(np.abs(values).max()) * 1e-3, 1e-9)
    wanted = span / min(40, max(8, 2 * int(np.sqrt(len(values)))))
    power = 10.0 ** np.floor(np.log10(wanted))
    width = float(power * min((1, 2, 5, 10), key=lambda step: abs(step * power - wanted)))
    start, stop = int(np.floor(low / width)), int(np.ceil(high / width))
    stop = max(stop, start + 1)
    bins = np.clip(np.floor(values / width).astype(np.int64), start, stop - 1) - start
    return {
        "width": width,
        "start": start,
        "counts": np.bincount(bins, minlength=stop - start).tolist(),
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "cut": [bool(values.min() < start * width), bool(values.max() >= stop * width)],
    }


def milliseconds(ts: Int64Array) -> list[int]:
    """Times as JavaScript counts them."""
    return (ts // _MILLISECOND).tolist()  # type: ignore[no-any-return]


def short(values: FloatArray, digits: int = 8) -> list[float]:
    """Numbers with as many significant digits as a chart can show."""
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else 0.0 for value in values.tolist()]


def _marks(candles: Candles, fills: Fills, chosen: "np.ndarray[Any, np.dtype[np.bool_]]") -> list[list[float]]:
    """[candle, fills, mean price] of the candles with such fills."""
    rows = np.flatnonzero(chosen)
    place = np.clip(np.searchsorted(candles.ts, fills.ts[rows], "right") - 1, 0, None)
    count = np.bincount(place, minlength=len(candles.ts))
    total = np.bincount(place, fills.price[rows], minlength=len(candles.ts))
    hit = np.flatnonzero(count)
    mean = short(total[hit] / count[hit])
    return [[int(at), int(count[at]), price] for at, price in zip(hit, mean, strict=True)]
