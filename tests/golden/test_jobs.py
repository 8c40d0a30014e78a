"""The jobs that engines are compared by: what they must give to the cent, from exact arithmetic or from every engine that agrees."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import data
from openbell import backtest
from openbell.bars.columns import candles_of
from openbell.model.plan import Venue
from openbell.research.sweep import sweep

EMA_CROSS = Path(data.__file__).with_name("ema_cross.py")


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """The first 100,000 bars of the benchmarks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBELL_BENCH_DATA", str(tmp_path_factory.mktemp("bench")))
        yield np.array(data.bars(100_000))


@pytest.fixture(scope="module")
def ticks():
    """The first million ticks of the benchmarks."""
    drawn = data.draw_ticks(10_000_000)[:1_000_000]
    return {name: np.ascontiguousarray(drawn[name]) for name in drawn.dtype.names}


def exact_j1(bars, fee):
    """Averages as sums of integer cents, compared by cross-multiplication: no rounding anywhere but in the cash."""
    cents = np.round(bars["close"] * 100).astype(np.int64)
    total = np.concatenate(([0], np.cumsum(cents)))
    fast, slow = total[50:] - total[30:-20], total[50:] - total[:-50]
    ahead = np.zeros(len(bars), np.int64)
    ahead[49:] = np.sign(fast * 50 - slow * 20)
    cash, units, orders = 100_000.0, 0.0, 0
    for row in range(50, len(bars)):
        price = bars["open"][row]
        if ahead[row - 1] > 0 and units == 0.0:
            units, cash, orders = cash / (price * (1 + fee)), 0.0, orders + 1
        elif ahead[row - 1] < 0 and units > 0.0:
            cash, units, orders = units * price * (1 - fee), 0.0, orders + 1
    return orders, cash + units * bars["close"][-1]


def test_j1_is_what_exact_arithmetic_gives(bars):
    """2,215 orders and 10,523.42: averages that tie on paper tie in the engine, on all 44 bars where they do."""
    result = backtest("moving_avg_crossover", bars, fee_bps=10.0)
    assert exact_j1(bars, 0.001) == (2215, pytest.approx(10_523.4233, abs=5e-5))
    assert result.counts["orders"] == 2215
    assert result.final_equity == pytest.approx(10_523.4233, abs=1e-3)


def test_j4_is_what_every_tick_engine_gives(ticks):
    """6,404 market orders and 99,357.28 at the price that stood when each was decided."""
    columns = {"time": ticks["ts"], "price": ticks["price"], "size": ticks["size"], "side": ticks["side"]}
    venue = Venue(fill="prevailing", fee_taker_bps=10.0)
    result = backtest(str(EMA_CROSS), columns, venue=venue, lot_size=0.01)
    assert result.counts["orders"] == result.counts["fills"] == 6404
    assert round(result.final_equity, 2) == 99_357.28


def test_j3_equals_polars(ticks):
    """Candles from columns are those of polars, to the last bit of every price."""
    import polars as pl

    frame = pl.DataFrame({"ts": ticks["ts"].astype("datetime64[ns]"), "price": ticks["price"], "size": ticks["size"]})
    price = pl.col("price")
    ends = [price.first().alias("open"), price.last().alias("close")]
    whole = [*ends, price.max().alias("high"), price.min().alias("low"), pl.len().alias("n")]
    expected = frame.with_columns(pl.col("ts").set_sorted()).group_by_dynamic("ts", every="1s").agg(*whole, pl.col("size").sum())
    found = candles_of(ticks["ts"], ticks["price"], np.rint(ticks["size"] * 100).astype(np.int64), 1_000_000_000)
    assert len(found) == expected.height
    for name in ("open", "high", "low", "close"):
        assert np.array_equal(found[name], expected[name].to_numpy())
    assert np.array_equal(found["trades"], expected["n"].to_numpy())
    assert np.allclose(found["volume"] / 100, expected["size"].to_numpy(), rtol=1e-12)


def test_a_sweep_is_the_backtests_it_stands_for(bars):
    """Each parameter set of a sweep ends with the orders, fills and equity of its own backtest."""
    params = [{"short_period": short, "long_period": long} for short in (5, 20, 44) for long in (50, 170)]
    found = sweep("moving_avg_crossover", bars[:20_000], params)
    for row, chosen in enumerate(params):
        alone = backtest("moving_avg_crossover", bars[:20_000], params=chosen)
        assert found.orders[row] == alone.counts["orders"]
        assert found.fills[row] == alone.counts["fills"]
        assert found.final_equity[row] == alone.final_equity
