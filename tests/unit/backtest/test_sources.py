"""What a backtest steps: histories, candles built from ticks, and any other source of numbered events."""

import numpy as np
import pytest

from openbell import backtest
from openbell.backtest.candles import CandlesOf
from openbell.backtest.data import Batches, EventSource
from openbell.errors import UsageError
from openbell.model.events import EVENT

PARAMS = {"short_period": 3, "long_period": 8}


def ticks():
    """Two hours of trades of two markets, with silences."""
    rng = np.random.default_rng(7)
    ts = np.sort(rng.integers(0, 7_200, 4_000)) * 1_000_000_000
    ts = ts[(ts < 3_000 * 10**9) | (ts > 3_400 * 10**9)] + 1_600_000_020 * 10**9
    price = 100 + np.cumsum(rng.normal(0, 0.05, len(ts)))
    symbols = np.where(rng.random(len(ts)) < 0.6, "AAA", "BBB").tolist()
    return {"time": ts, "price": price, "quantity": np.full(len(ts), 2.0), "symbol": symbols}


class Cut(EventSource):
    """Another source, in batches of other sizes."""

    def __init__(self, whole, size):
        self.whole, self.size = whole, size
        self.name, self.symbols, self.lot_size, self.bar_timeframe_ns = "cut", whole.symbols, whole.lot_size, whole.bar_timeframe_ns

    def __iter__(self):
        for events in self.whole:
            for begin in range(0, len(events), self.size):
                yield events[begin : begin + self.size]

    def notes(self):
        return ["cut"]


def test_a_source_of_events_gives_the_result_of_its_history():
    """However the events are cut: same hash, same figures; the source says its name and its notes."""
    whole = backtest("moving_avg_crossover", ticks(), params=PARAMS)
    result = backtest("moving_avg_crossover", Cut(Batches(ticks(), {}, None), 97), params=PARAMS)
    assert (result.decision_hash, result.state_hash, result.counts) == (whole.decision_hash, whole.state_hash, whole.counts)
    assert (result.data_name, result.notes) == ("cut", ["cut"])
    assert whole.counts["orders"] > 5


@pytest.mark.parametrize("choice", [{"symbols": "AAA"}, {"start": "2020-01-01"}, {"on_bad": "drop"}, {"lot_size": 1.0}, {"sort": True}])
def test_a_source_is_chosen_from_where_it_is_made(choice):
    """What to read cannot be chosen a second time."""
    with pytest.raises(UsageError, match="made already"):
        backtest("moving_avg_crossover", Cut(Batches(ticks(), {}, None), 97), **choice)


def test_ticks_become_the_candles_a_strategy_would_see():
    """Closed candles of every symbol, in the order in which they ended, however the ticks are cut."""
    whole = Batches(ticks(), {}, None)
    found = [join(CandlesOf(Cut(whole, size), "1m")) for size in (13, 1_000, 10**6)]
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()
    bars, columns = found[0]["bar"], ticks()
    assert (np.diff(found[0]["ts_available"]) >= 0).all()
    assert (found[0]["ts_available"] - bars["ts_event"] == 60 * 10**9).all()
    assert found[0]["seq"].tolist() == list(range(1, len(bars) + 1))
    for index, symbol in enumerate(whole.symbols):
        own = np.array(columns["symbol"]) == symbol
        minutes = columns["time"][own] // (60 * 10**9) * (60 * 10**9)
        for bar in bars[bars["instrument"] == index]:
            prices = columns["price"][own][minutes == bar["ts_event"]]
            assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (prices[0], prices.max(), prices.min(), prices[-1])
        assert (bars["instrument"] == index).sum() == len(np.unique(minutes)) - 1


def test_a_backtest_of_ticks_may_ask_for_candles():
    """`bar_timeframe` beside ticks: the strategy sees bars, and orders fill at bars."""
    result = backtest("moving_avg_crossover", ticks(), params=PARAMS, bar_timeframe="1m")
    assert result.counts["trades"] == 0
    assert result.counts["bars"] == result.counts["events"] > 100
    assert result.plan.bar_timeframe == "1m"
    again = backtest("moving_avg_crossover", CandlesOf(Batches(ticks(), {}, None), "1m"), params=PARAMS)
    assert again.decision_hash == result.decision_hash


def join(source):
    """All events of a source as one array."""
    return np.concatenate([events.view(np.uint8) for events in source]).view(EVENT)
