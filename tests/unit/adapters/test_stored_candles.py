"""Candles of a store as history for a backtest."""

import numpy as np
import pytest

from openbell import backtest
from openbell.adapters.stores.candles import SqliteCandleStore
from openbell.adapters.stores.history import History, concatenate
from openbell.adapters.stores.history.stored import StoredCandles
from openbell.errors import DataError, UsageError

MINUTE_NS = 60_000_000_000
START = 1_600_000_020_000_000_000


def rows(symbol, count, gap=0):
    """Candles of one minute with a silence after the first third."""
    found = []
    for number in range(count):
        close = 100 + 5 * np.sin(number / 15.0)
        ts = START // 10**6 + (number + (gap if number > count // 3 else 0)) * 60_000
        found.append((symbol, "1m", ts, close - 0.25, close + 1, close - 1, close, 3.0, None, 5))
    return found


@pytest.fixture
def store(tmp_path):
    """Two symbols of which one begins the silence later."""
    opened = SqliteCandleStore(tmp_path / "candles.db")
    opened.add(rows("AAA", 400, 30) + rows("BBB", 300, 7))
    yield opened
    opened.close()


def columns_of(history, rows):
    """All chunks joined."""
    return concatenate(list(history.chunks(rows)))


@pytest.mark.parametrize("size", [7, 100, 65_536])
def test_they_come_in_order_of_time_in_chunks_of_any_size(store, size):
    """Every candle once, by time, at one time by symbol; nothing larger than asked for."""
    history = StoredCandles(store, ("BBB", "AAA"), "1m", MINUTE_NS, START)
    assert isinstance(history, History)
    assert all(1 <= len(chunk) <= size for chunk in history.chunks(size))
    columns = columns_of(history, size)
    order = sorted(rows("BBB", 300, 7) + rows("AAA", 400, 30), key=lambda row: (row[2], row[0] == "AAA"))
    assert columns.ts_event.tolist() == [row[2] * 10**6 for row in order]
    assert [columns.symbols[index] for index in columns.symbol_index] == [row[0] for row in order]
    assert columns.open.tolist() == [row[3] for row in order]
    assert columns.volume.tolist() == [row[7] for row in order]


def test_the_range_is_half_open(store):
    """A candle that starts at `end` is not there, one that starts at `start` is."""
    history = StoredCandles(store, ("AAA",), "1m", MINUTE_NS, START + MINUTE_NS, START + 3 * MINUTE_NS)
    assert columns_of(history, 100).ts_event.tolist() == [START + MINUTE_NS, START + 2 * MINUTE_NS]


def test_a_backtest_takes_them_as_data(store):
    """The result is that of the same candles in columns."""
    params = {"short_period": 3, "long_period": 10}
    history = StoredCandles(store, ("AAA",), "1m", MINUTE_NS, START)
    names = ("time", "open", "high", "low", "close", "volume")
    columns = {name: np.array([row[at] for row in rows("AAA", 400, 30)]) for at, name in enumerate(names, 2)}
    expected = backtest("moving_avg_crossover", columns, params=params, symbols="AAA", bar_timeframe="1m")
    result = backtest("moving_avg_crossover", history, params=params, bar_timeframe="1m")
    assert result.decision_hash == expected.decision_hash
    assert result.counts["orders"] > 5


def test_what_cannot_be_read_is_said(store):
    """No such candles, no start, no symbols."""
    with pytest.raises(DataError, match="no stored 1m candles of CCC"):
        StoredCandles(store, ("AAA", "CCC"), "1m", MINUTE_NS, START)
    with pytest.raises(DataError, match="5m candles of AAA"):
        StoredCandles(store, ("AAA",), "5m", 5 * MINUTE_NS, START, START + MINUTE_NS)
    with pytest.raises(UsageError, match="start"):
        StoredCandles(store, ("AAA",), "1m", MINUTE_NS, None)
    with pytest.raises(UsageError, match="symbols"):
        StoredCandles(store, (), "1m", MINUTE_NS, START)
