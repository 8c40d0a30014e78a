"""Statistics against empyrical-reloaded 0.7.1, a published example, and tables worked by hand."""

import math

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.adapters.stores.catalog import open_dataset
from openbell.adapters.stores.history import read_all
from openbell.backtest.round_trips import Fills
from openbell.backtest.statistics import compute_statistics, drawdown, exposure, sample_returns
from openbell.errors import DataError

DAY = 86_400_000_000_000
MINUTE = 60_000_000_000
MONDAY = 19_723 * DAY  # 2024-01-01
SAME = {"rel": 1e-10, "abs": 1e-12}


def days(count):
    return MONDAY + DAY * np.arange(count)


def weekdays(count):
    return np.array([MONDAY + DAY * (7 * (n // 5) + n % 5) for n in range(count)])


def make_fills(rows, lot_size=1.0):
    """Fills from rows of (ts, symbol_index, side, quantity, price, fee)."""
    ts, symbol, side, quantity, price, fee = (np.array(column) for column in zip(*rows, strict=True))
    return Fills(
        ts.astype(np.int64),
        symbol.astype(np.int32),
        side.astype(np.int8),
        quantity.astype(np.int64),
        price.astype(float),
        fee.astype(float),
        lot_size,
    )


@pytest.mark.parametrize("symbol", ["AAPL", "XOM", "AMD", "RRC"])
def test_agrees_with_empyrical_on_real_closes(symbol):
    """Thirty years of a real share as the equity curve."""
    columns = read_all(open_dataset("us-daily", symbols=symbol))
    found = compute_statistics(columns.ts_event, columns.close, risk_free_rate=0.02)
    assert (found.sampling, found.periods) == ("daily, 252 a year", 8_312)
    index = pd.DatetimeIndex(columns.ts_event[1:].astype("datetime64[ns]"))
    returns = pd.Series(columns.close[1:] / columns.close[:-1] - 1, index)
    free = 1.02 ** (1 / 252) - 1
    assert found.total_return == pytest.approx(empyrical.cum_returns_final(returns), **SAME)
    assert found.cagr == pytest.approx(empyrical.annual_return(returns, annualization=252), **SAME)
    assert found.volatility == pytest.approx(empyrical.annual_volatility(returns, annualization=252), **SAME)
    assert found.sharpe == pytest.approx(empyrical.sharpe_ratio(returns, free, annualization=252), **SAME)
    assert found.sortino == pytest.approx(empyrical.sortino_ratio(returns, free, annualization=252), **SAME)
    assert found.max_drawdown == pytest.approx(empyrical.max_drawdown(returns), **SAME)
    assert found.calmar == pytest.approx(empyrical.calmar_ratio(returns, annualization=252), **SAME)


@given(st.lists(st.floats(-0.2, 0.25), min_size=3, max_size=60), st.sampled_from([12.0, 52.0, 252.0, 365.0]))
def test_agrees_with_empyrical_on_any_curve(changes, per_year):
    """Any returns, any number of periods; where empyrical has NaN or infinity, we have NaN."""
    equity = 1_000.0 * np.cumprod(np.r_[1.0, 1 + np.array(changes)])
    found = compute_statistics(days(len(equity)), equity, periods_per_year=per_year)
    returns = pd.Series(equity[1:] / equity[:-1] - 1)
    expected = {
        "cagr": empyrical.annual_return(returns, annualization=per_year),
        "volatility": empyrical.annual_volatility(returns, annualization=per_year),
        "sharpe": empyrical.sharpe_ratio(returns, annualization=per_year),
        "sortino": empyrical.sortino_ratio(returns, annualization=per_year),
        "max_drawdown": empyrical.max_drawdown(returns),
    }
    for name, value in expected.items():
        mine = getattr(found, name)
        if math.isfinite(value) and not math.isnan(mine):
            assert mine == pytest.approx(value, rel=1e-9, abs=1e-11), name
        elif name != "sharpe":
            assert math.isnan(mine), name


def test_sortino_of_the_published_example():
    """Rollinger and Hoffman, "Sortino: A Sharper Ratio" (Red Rock Capital): 17 15 23 -5 12 9 13 -4 % give 4.417."""
    equity = 100 * np.cumprod(np.r_[1.0, 1 + np.array([17, 15, 23, -5, 12, 9, 13, -4]) / 100])
    found = compute_statistics(days(9), equity, periods_per_year=1)
    assert found.sortino == pytest.approx(4.417, abs=5e-4)


def test_a_curve_worked_by_hand():
    """100 110 99 99 121 110: peak to trough and back, counted on paper."""
    equity = np.array([100.0, 110, 99, 99, 121, 110])
    found = compute_statistics(weekdays(6), equity)
    assert found.total_return == pytest.approx(0.10, abs=1e-15)
    assert found.max_drawdown == pytest.approx(-0.10, abs=1e-15)
    # Peak on Tuesday, back above it on Friday; the second drawdown lasts over the weekend, to the end.
    assert found.max_drawdown_length_ns == 3 * DAY
    assert found.longest_drawdown_ns == 3 * DAY
    assert found.cagr == pytest.approx(1.1 ** (252 / 5) - 1, rel=1e-12)
    returns = [0.1, -0.1, 0.0, 2 / 9, -1 / 11]
    mean = sum(returns) / 5
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / 4)
    assert found.sharpe == pytest.approx(mean / deviation * math.sqrt(252), rel=1e-12)
    downside = math.sqrt((0.01 + 1 / 121) / 5)
    assert found.sortino == pytest.approx(mean / downside * math.sqrt(252), rel=1e-12)
    np.testing.assert_allclose(drawdown(equity), [0, 0, -0.1, -0.1, 0, -1 / 11], atol=1e-15)


def test_a_drawdown_that_never_ends_lasts_to_the_end():
    """From the last peak on, also when the peak was held for a while."""
    found = compute_statistics(days(5), np.array([100.0, 120, 120, 60, 90]))
    assert found.max_drawdown == -0.5
    assert found.max_drawdown_length_ns == 2 * DAY


def test_trades_worked_by_hand():
    """Two gains, one loss, one draw: +100, +50, -50, 0 before fees of 1 a fill."""
    rows = []
    for day, (side, entry, leave) in enumerate([(1, 100, 110), (-1, 100, 95), (1, 100, 95), (1, 100, 100)]):
        rows.append((MONDAY + day * DAY, 0, side, 10, entry, 1.0))
        rows.append((MONDAY + day * DAY + DAY // 2, 0, -side, 10, leave, 1.0))
    found = compute_statistics(days(5), np.array([1000.0, 1098, 1146, 1094, 1092]), make_fills(rows))
    assert (found.trades, found.fees) == (4, 8.0)
    assert found.win_rate == 0.5
    assert found.profit_factor == pytest.approx((98 + 48) / (52 + 2))
    assert found.average_trade == pytest.approx(92 / 4)
    assert found.average_trade_return == pytest.approx(0.023)
    assert (found.best_trade, found.worst_trade) == (pytest.approx(0.098), pytest.approx(-0.052))
    assert found.expectancy == pytest.approx(23 / 27)
    assert found.exposure == pytest.approx(0.5)
    assert found.turnover == pytest.approx((4 * 1000 + 1100 + 950 + 950 + 1000) / 1086)


def test_what_is_not_defined_is_nan():
    """Never 0: a flat curve has no Sharpe ratio, no trades have no win rate, one point has nothing."""
    flat = compute_statistics(days(10), np.full(10, 100.0))
    assert (flat.total_return, flat.cagr, flat.volatility, flat.max_drawdown) == (0.0, 0.0, 0.0, 0.0)
    for name in ("sharpe", "sortino", "calmar", "win_rate", "profit_factor", "average_trade", "expectancy"):
        assert math.isnan(getattr(flat, name)), name
    assert (flat.exposure, flat.turnover, flat.trades) == (0.0, 0.0, 0)
    single = compute_statistics(days(1), np.array([100.0]))
    assert single.total_return == 0.0
    for name in ("cagr", "volatility", "sharpe", "sortino", "calmar", "exposure"):
        assert math.isnan(getattr(single, name)), name
    assert single.as_dict()["sharpe"] is None
    growth = compute_statistics(days(10), 100 * 1.01 ** np.arange(10))
    assert math.isnan(growth.sharpe)


def test_ruin_has_no_growth_rate():
    """An account that reached zero lost everything; its yearly growth is no number."""
    ruined = compute_statistics(days(4), np.array([100.0, 50, 0, -10]))
    assert ruined.max_drawdown == pytest.approx(-1.1)
    assert math.isnan(ruined.cagr)
    assert math.isnan(ruined.sharpe)


@pytest.mark.parametrize(
    ("ts", "sampling"),
    [
        (weekdays(60), "daily, 252 a year"),
        (days(60), "daily, 365 a year"),
        (days(60)[np.arange(60) % 7 != 5], "daily, 312 a year"),
        (MONDAY + 7 * DAY * np.arange(20), "weekly, 52 a year"),
        (MONDAY + 30 * DAY * np.arange(20), "monthly, 12 a year"),
        (MONDAY + 91 * DAY * np.arange(20), "quarterly, 4 a year"),
        (MONDAY + 365 * DAY * np.arange(20), "yearly, 1 a year"),
        (MONDAY + 60 * MINUTE * np.arange(24 * 30), "last point of each UTC day, 365 a year"),
    ],
)
def test_the_sampling_is_found_and_stated(ts, sampling):
    """Markets of five days have 252 periods, those that never close 365."""
    assert sample_returns(ts, np.ones(len(ts)))[2] == sampling


def test_points_within_a_day_are_reduced_to_its_last():
    """The first point stays as the base of the first day."""
    ts = MONDAY + np.array([9, 12, 33, 40, 57]) * 60 * MINUTE
    returns, _, sampling = sample_returns(ts, np.array([100.0, 110, 50, 121, 242]))
    np.testing.assert_allclose(returns, [0.1, 0.1, 1.0])
    assert sampling == "last point of each UTC day, 252 a year"


def test_a_few_hours_are_not_blown_up_to_a_year():
    """Also when they lie around a midnight: no growth of a year, no Sharpe ratio, but a return and a drawdown."""
    ts = MONDAY + 23 * 60 * MINUTE + MINUTE * np.arange(120)
    found = compute_statistics(ts, np.linspace(100, 101, 120) - (np.arange(120) == 60))
    assert (found.periods, found.sampling) == (1, "nothing, the run is shorter than two days")
    assert found.total_return == pytest.approx(0.01)
    assert found.max_drawdown < 0
    for name in ("cagr", "volatility", "sharpe", "sortino", "calmar", "periods_per_year"):
        assert math.isnan(getattr(found, name)), name


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(0, 0, 1, 5, 1, 0), (4, 0, -1, 5, 1, 0)], 0.4),
        ([(0, 0, 1, 5, 1, 0), (4, 0, -1, 3, 1, 0)], 1.0),
        ([(2, 0, -1, 5, 1, 0), (4, 0, 1, 10, 1, 0), (6, 0, -1, 5, 1, 0)], 0.4),
        ([(0, 0, 1, 5, 1, 0), (1, 1, 1, 5, 1, 0), (3, 0, -1, 5, 1, 0), (5, 1, -1, 5, 1, 0)], 0.5),
        ([(1, 1, 1, 5, 1, 0), (2, 1, -1, 5, 1, 0), (8, 0, 1, 5, 1, 0)], 0.3),
    ],
)
def test_exposure_is_the_share_of_time_with_a_position(rows, expected):
    """Long or short, any symbol; overlapping positions count once."""
    assert exposure(make_fills(rows), 0, 10) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ts", "equity", "text"),
    [
        (days(2), np.array([1.0]), "2 times and 1 values"),
        (days(0), np.array([]), "0 times"),
        (days(2), np.array([1.0, np.nan]), "nan at point 2"),
        (days(2)[::-1], np.array([1.0, 2.0]), "runs backwards"),
    ],
)
def test_a_broken_curve_is_refused(ts, equity, text):
    """Nothing is computed from what cannot be a curve."""
    with pytest.raises(DataError, match=text):
        compute_statistics(ts, equity)
