"""The usual figures of a run, from its equity curve, its fills and its round trips.

What is not defined is NaN, never 0: the Sharpe ratio of a curve that never moved, the win rate of no trades.

Returns and what is annualised are taken from the curve in one of two ways, stated in `Statistics.sampling`:

* The caller gives `periods_per_year`: every point of the curve is one period.
* Otherwise a curve with several points a day is reduced to the last of each UTC day (before them, its first
  point), and the number of periods in a year follows from the days: 252 when five weekdays occur, 312 when
  six do (currencies open on Sunday), 365 when all seven do; 52 for weeks, 12 for months, 4 for quarters, 1
  for years. Several points a day over less than two days are one period, and nothing is annualised.

Drawdown and exposure always use every point. With r the returns, A the periods a year, f the risk-free rate
of one period:

    CAGR         (last / first) ** (A / number of returns) - 1
    volatility   std(r, ddof=1) * sqrt(A)
    Sharpe       mean(r - f) / std(r, ddof=1) * sqrt(A)
    Sortino      mean(r - f) / sqrt(mean(min(r - f, 0) ** 2)) * sqrt(A)
    drawdown     equity / highest equity so far - 1
    Calmar       CAGR / |max drawdown|
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from openbell.backtest.round_trips import Fills, FloatArray, Int64Array, RoundTrips, round_trips
from openbell.errors import DataError

NAN = float("nan")
_HOUR = 3_600_000_000_000
_DAY = 24 * _HOUR
#: Longest spacing in days -> (periods a year, its name).
_SPACINGS = ((10.0, 52.0, "weekly"), (45.0, 12.0, "monthly"), (135.0, 4.0, "quarterly"), (500.0, 1.0, "yearly"))


@dataclass(frozen=True, slots=True)
class Statistics:
    """The figures of one run. Ratios are fractions (0.1 is 10 %), money is in the account's currency."""

    start_ts: int  # ns UTC, first point of the curve
    end_ts: int  # ns UTC, last point
    sampling: str  # what a period is, in words
    periods: int  # returns used for everything annualised
    periods_per_year: float
    initial_equity: float
    final_equity: float
    total_return: float
    cagr: float  # NaN below two periods
    volatility: float  # a year
    sharpe: float
    sortino: float
    max_drawdown: float  # 0 or below
    max_drawdown_length_ns: int  # of the deepest: from its peak until the peak was reached again, or the end
    longest_drawdown_ns: int  # longest time below a peak
    calmar: float
    exposure: float  # share of the time with an open position
    turnover: float  # value bought and sold, divided by the mean equity; not annualised
    fees: float
    trades: int  # round trips
    win_rate: float  # share of the trades that earned something after fees
    profit_factor: float  # sum of gains / sum of losses
    average_trade: float  # money
    average_trade_return: float
    best_trade: float  # return
    worst_trade: float  # return
    expectancy: float  # average trade / average losing trade: what a trade earns for each unit a loser loses

    def as_dict(self) -> dict[str, float | int | str | None]:
        """The figures by name, ready for JSON: None where a figure is not defined."""
        return {name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in asdict(self).items()}


def compute_statistics(
    ts: Int64Array,
    equity: FloatArray,
    fills: Fills | None = None,
    trades: RoundTrips | None = None,
    *,
    periods_per_year: float | None = None,
    risk_free_rate: float = 0.0,
) -> Statistics:
    """Compute every figure.

    Parameters
    ----------
    ts, equity
        The equity curve: int64 ns UTC that never falls, and float64 money. The first point is the equity
        before trading.
    fills
        All fills, for exposure, turnover and fees; None is a run without any.
    trades
        Round trips when they are there already; otherwise they are made of the fills, first in first out.
    periods_per_year
        Says how many points of the curve make a year; otherwise found as the module describes.
    risk_free_rate
        Of a year, as a fraction.

    Raises DataError when the curve is empty, not finite or out of order.
    """
    _check(ts, equity)
    if trades is None and fills is not None:
        trades = round_trips(fills)
    returns, per_year, sampling = sample_returns(ts, equity, periods_per_year)
    total = _ratio(float(equity[-1]), float(equity[0])) - 1
    cagr = _cagr(total, len(returns), per_year)
    excess = returns - ((1 + risk_free_rate) ** (1 / per_year) - 1)
    deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else NAN
    # Equal returns differ by rounding; their deviation is no risk to divide by.
    risk = deviation if deviation > 1e-14 * float(np.max(np.abs(returns), initial=0.0)) else NAN
    downside = float(np.sqrt(np.mean(np.minimum(excess, 0.0) ** 2))) if len(returns) > 1 else NAN
    mean = float(np.mean(excess)) if len(returns) else NAN
    deepest, deepest_length, longest = _drawdowns(ts, equity)
    return Statistics(
        start_ts=int(ts[0]),
        end_ts=int(ts[-1]),
        sampling=sampling,
        periods=len(returns),
        periods_per_year=per_year,
        initial_equity=float(equity[0]),
        final_equity=float(equity[-1]),
        total_return=total,
        cagr=cagr,
        volatility=deviation * per_year**0.5,
        sharpe=_ratio(mean, risk) * per_year**0.5,
        sortino=_ratio(mean, downside) * per_year**0.5,
        max_drawdown=deepest,
        max_drawdown_length_ns=deepest_length,
        longest_drawdown_ns=longest,
        calmar=_ratio(cagr, abs(deepest)),
        exposure=exposure(fills, int(ts[0]), int(ts[-1])),
        turnover=_ratio(float(fills.value.sum()) if fills is not None else 0.0, float(np.mean(equity))),
        fees=float(fills.fee.sum()) if fills is not None else 0.0,
        **_of_trades(trades),
    )


def sample_returns(ts: Int64Array, equity: FloatArray, periods_per_year: float | None = None) -> tuple[FloatArray, float, str]:
    """Returns of equal periods, how many of them make a year, and both in words.

    The module states the rule.
    """
    if periods_per_year is not None:
        return _returns(equity), float(periods_per_year), f"every point, {periods_per_year:g} a year"
    spacing = float(np.median(np.diff(ts))) if len(ts) > 1 else float(_DAY)
    if spacing < 20 * _HOUR and ts[-1] - ts[0] < 2 * _DAY:
        # Two sides of a midnight are no two days: one period, from which nothing is annualised.
        return _returns(equity[[0, -1]]), NAN, "nothing, the run is shorter than two days"
    if spacing < 20 * _HOUR:
        last = np.flatnonzero(np.append(np.diff(ts // _DAY) != 0, True))
        points, days = np.append(equity[0], equity[last]), ts[last] // _DAY
        name = "last point of each UTC day"
    else:
        points, days, name = equity, ts // _DAY, "daily"
    if spacing < 4 * _DAY:
        weekdays = np.bincount((days + 3) % 7, minlength=7)
        seen = int((weekdays > 0.05 * weekdays.sum()).sum())
        per_year = {7: 365.0, 6: 312.0}.get(seen, 252.0)
    else:
        per_year, name = next(
            ((count, name) for limit, count, name in _SPACINGS if spacing < limit * _DAY),
            (365.25 * _DAY / spacing, "as sampled"),
        )
    return _returns(points), per_year, f"{name}, {per_year:g} a year"


def drawdown(equity: FloatArray) -> FloatArray:
    """Distance below the highest equity so far, as a fraction: 0 at a peak, -0.1 ten percent below it."""
    peak = np.maximum.accumulate(equity)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(peak > 0, equity / peak - 1, NAN)


def exposure(fills: Fills | None, start: int, end: int) -> float:
    """Share of the time from `start` to `end` (ns) in which any symbol had an open position; NaN when there
    is no time.
    """
    if end <= start:
        return NAN
    if fills is None or not len(fills):
        return 0.0
    order = np.argsort(fills.symbol_index, kind="stable")
    symbol = fills.symbol_index[order]
    signed = (fills.side.astype(np.int64) * fills.quantity)[order]
    first = np.r_[True, symbol[1:] != symbol[:-1]]
    running = np.cumsum(signed)
    position = running - (running - signed)[first][np.cumsum(first) - 1]
    is_open = (position != 0).astype(np.int64)
    change = is_open - np.where(first, 0, np.r_[0, is_open[:-1]])
    back = np.empty(len(order), np.int64)
    back[order] = change
    held = np.cumsum(back) > 0
    edges = np.clip(np.append(fills.ts, end), start, end)
    return float(np.diff(edges)[held].sum() / (end - start))


def _check(ts: Int64Array, equity: FloatArray) -> None:
    if len(ts) != len(equity) or not len(ts):
        raise DataError(f"the equity curve has {len(ts)} times and {len(equity)} values", expected="one value a time")
    bad = np.flatnonzero(~np.isfinite(equity))
    if len(bad):
        raise DataError(f"the equity curve holds {equity[bad[0]]} at point {bad[0] + 1}", expected="finite money")
    if len(ts) > 1 and np.diff(ts).min() < 0:
        raise DataError("the equity curve's time runs backwards", expected="times that never fall")


def _returns(points: FloatArray) -> FloatArray:
    """Simple returns; NaN after a point that is not above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(points[:-1] > 0, points[1:] / points[:-1] - 1, NAN)


def _ratio(value: float, by: float) -> float:
    return value / by if by == by and by != 0 else NAN


def _cagr(total: float, periods: int, per_year: float) -> float:
    """NaN where a year's growth is no number: below two periods, after ruin, or beyond what a float holds."""
    if periods < 2 or not total > -1:
        return NAN
    exponent = per_year / periods * float(np.log1p(total))
    return float(np.expm1(exponent)) if exponent < 700 else NAN


def _drawdowns(ts: Int64Array, equity: FloatArray) -> tuple[float, int, int]:
    """The deepest drawdown, its length in ns, and the longest time below a peak in ns."""
    below = drawdown(equity)
    if np.isnan(below).all():
        return NAN, 0, 0
    peaks = np.flatnonzero(equity >= np.maximum.accumulate(equity))  # where the curve is at its highest so far
    # From each peak until the next one, when something was lower in between; the last lasts until the end.
    until = ts[np.append(peaks[1:], len(ts) - 1)]
    lengths = np.where(np.diff(np.append(peaks, len(ts))) > 1, until - ts[peaks], 0)
    worst = int(np.nanargmin(below))
    length = int(lengths[np.searchsorted(peaks, worst, "right") - 1]) if below[worst] < 0 else 0
    return float(below[worst]), length, int(lengths.max())


def _of_trades(trades: RoundTrips | None) -> dict[str, Any]:
    count = 0 if trades is None else len(trades)
    if trades is None or count == 0:
        names = ("win_rate", "profit_factor", "average_trade", "average_trade_return", "best_trade", "worst_trade")
        return {"trades": 0, **dict.fromkeys((*names, "expectancy"), NAN)}
    gains, losses = trades.pnl[trades.pnl > 0], -trades.pnl[trades.pnl < 0]
    average = float(trades.pnl.mean())
    return {
        "trades": count,
        "win_rate": len(gains) / count,
        "profit_factor": _ratio(float(gains.sum()), float(losses.sum())),
        "average_trade": average,
        "average_trade_return": float(trades.returns.mean()),
        "best_trade": float(trades.returns.max()),
        "worst_trade": float(trades.returns.min()),
        "expectancy": _ratio(average, float(losses.mean()) if len(losses) else NAN),
    }
